"""Bytes that no well-behaved client sends: refused at the door, the connection closed, and no service sees them."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from api.gateway.world import BIG, Door

from relais_gateway import live
from relais_shared import protocol

pytestmark = pytest.mark.anyio

WITHIN_S = 20
"""No refusal takes so long; it ends a test that would wait for ever."""
POST = b"POST /v1/directory/echo HTTP/1.1\r\nHost: x\r\n"
WORD = b"Content-Length: 3\r\n"


@asynccontextmanager
async def connected(door: Door) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    port = int(door.base_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def said(door: Door, *blocks: bytes) -> bytes:
    """Send bytes and answer all that comes back until the door closes the connection."""
    async with asyncio.timeout(WITHIN_S), connected(door) as (reader, writer):
        for block in blocks:
            writer.write(block)
            await writer.drain()
        return await reader.read()


def refused(answer: bytes, status: int, slug: str, what: object) -> None:
    """Hold that an answer is one problem document and nothing after it."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status), (what, answer[:300])
    assert b"content-type: application/problem+json" in lines, what
    assert b"connection: close" in lines, what
    document = json.loads(body)
    assert (document["type"], document["status"]) == (f"/problems/{slug}", status), what
    assert len(document["trace_id"]) == 32, what


async def test_what_two_readers_could_read_in_two_ways_is_refused(door: Door) -> None:
    """Every way of smuggling that we know of (RFC 9112, section 11.2; CWE-444)."""
    token = b"Authorization: " + (await door.bearer())["Authorization"].encode() + b"\r\n"
    whole = POST + token
    heads = [
        whole + WORD + b"Content-Length: 4\r\n\r\nabc",
        whole + WORD + WORD + b"\r\nabc",
        whole + b"Content-Length: 3, 3\r\n\r\nabc",
        whole + b"Content-Length: +3\r\n\r\nabc",
        whole + b"Content-Length: 0x3\r\n\r\nabc",
        whole + b"Content-Length: -3\r\n\r\nabc",
        whole + b"Content-Length: 99999999999999999999999\r\n\r\nabc",
        whole + b"Content-Length:\r\n\r\nabc",
        whole + WORD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        whole + b"Transfer-Encoding: chunked\r\n" + WORD + b"\r\n3\r\nabc\r\n0\r\n\r\n",
        whole + b"Transfer-Encoding: chunked, identity\r\n\r\nabc",
        whole + b"Transfer-Encoding: identity\r\n\r\nabc",
        whole + b"Transfer-Encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        whole + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        whole + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        whole + b"Transfer-Encoding : chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        whole + b"Content-Length : 3\r\n\r\nabc",
        whole + WORD + b"X-A: b\r\n c\r\n\r\nabc",
        whole + WORD + b"X-A: b\r\n\tc\r\n\r\nabc",
        whole + WORD + b" X-A: b\r\n\r\nabc",
        whole + WORD + b"X-A: b\x00c\r\n\r\nabc",
        whole + WORD + b"X-A: b\x01c\r\n\r\nabc",
        whole + WORD + b"X\x00A: b\r\n\r\nabc",
        whole + WORD + b"X A: b\r\n\r\nabc",
        whole + WORD + b": b\r\n\r\nabc",
        whole + WORD + b"X-A\r\n\r\nabc",
        whole + WORD + b"X-A: b\rX-B: c\r\n\r\nabc",
        whole + WORD + b"X-A: b\nX-B: c\r\n\r\nabc",
        whole + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        whole + b"Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
        whole + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        whole + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
        whole + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        whole + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
        whole + WORD + b"Host: y\r\n\r\nabc",
        b"POST /v1/directory/echo HTTP/1.1\r\n" + token + WORD + b"\r\nabc",
        b"POST /v1/directory/echo HTTP/1.0\r\nHost: x\r\n" + token + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/directory/echo HTTP/2.0\r\nHost: x\r\n" + token + WORD + b"\r\nabc",
        b"POST /v1/directory/echo HTTP/1.9\r\nHost: x\r\n" + token + WORD + b"\r\nabc",
        b"POST /v1/directory/echo\r\nHost: x\r\n" + token + WORD + b"\r\nabc",
        b"POST /v1/directory/\x00echo HTTP/1.1\r\nHost: x\r\n" + token + WORD + b"\r\nabc",
        b"POST /v1/directory/\xc3\xa9cho HTTP/1.1\r\nHost: x\r\n" + token + WORD + b"\r\nabc",
        b"POST\t/v1/directory/echo\tHTTP/1.1\r\nHost: x\r\n" + token + WORD + b"\r\nabc",
        b"FROB /v1/directory/echo HTTP/1.1\r\nHost: x\r\n" + token + b"\r\n",
        b"CONNECT 127.0.0.1:8001 HTTP/1.1\r\nHost: x\r\n" + token + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]
    before = door.seen()
    for head in heads:
        refused(await said(door, head), 400, "malformed-request", head)
    assert door.seen() == before
    # The door is none the worse for it.
    assert (await door.ask("POST", "/v1/directory/echo", headers=await door.bearer())).status_code == 200
    assert door.seen() == before + 1


async def test_a_trailer_is_no_header(door: Door) -> None:
    token = b"Authorization: " + (await door.bearer())["Authorization"].encode() + b"\r\n"
    body = b"3\r\nabc\r\n0\r\nRelais-On-Behalf-Of: eva\r\nX-Late: 1\r\n\r\n"
    answer = await said(door, POST + token + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert b"x-late" not in answer
    assert b"eva" not in answer


async def test_heads_that_are_too_large_are_refused_before_they_end(door: Door) -> None:
    limit = door.settings.head_bytes
    line = b"GET /" + b"a" * (protocol.TARGET_LIMIT + 1)
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(protocol.HEADERS_LIMIT))
    for status, slug, blocks in (
        (414, "address-too-long", [line + b" HTTP/1.1\r\nHost: x\r\n\r\n"]),
        (414, "address-too-long", [b"GET /", *[b"a" * 4_096] * (limit // 4_096 + 2)]),
        (431, "headers-too-large", [POST + b"X-A: " + b"a" * limit + b"\r\n\r\n"]),
        (431, "headers-too-large", [POST, b"X-A: ", *[b"a" * 4_096] * (limit // 4_096 + 2)]),
        (431, "headers-too-large", [POST, *[b"X-A: " + b"a" * 1_000 + b"\r\n"] * (limit // 1_000 + 2)]),
        (431, "headers-too-large", [POST, many + b"\r\n"]),
        (431, "headers-too-large", [POST + b"X" * limit + b": a\r\n\r\n"]),
        (431, "headers-too-large", [b"\r\n" * limit]),
    ):
        refused(await said(door, *blocks), status, slug, blocks[0][:60])
    # What is just small enough passes to the question who asks.
    head = POST + b"Connection: close\r\nX-A: " + b"a" * (limit - 200) + b"\r\n\r\n"
    assert (await said(door, head)).startswith(b"HTTP/1.1 401 ")


async def test_whoever_sends_without_end_is_not_kept_in_memory(door: Door) -> None:
    """A head, the extension of a chunk and a trailer that never end: cut after little more than a head may be."""
    token = b"Authorization: " + (await door.bearer())["Authorization"].encode() + b"\r\n"
    chunked = POST + token + b"Transfer-Encoding: chunked\r\n\r\n"
    for begin in (POST + b"X-A: ", chunked + b"3;x=", chunked + b"3\r\nabc\r\n0\r\nX-A: "):
        async with asyncio.timeout(WITHIN_S), connected(door) as (reader, writer):
            writer.write(begin)
            answer = asyncio.create_task(reader.read())
            sent = 0
            while not answer.done():
                writer.write(b"a" * 65_536)
                with suppress(ConnectionError):
                    await writer.drain()
                await asyncio.sleep(0)
                sent += 65_536
            assert (await answer).startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 ")), begin
        # As much as the buffers of the sockets take meanwhile.
        assert sent < 64 << 20, begin


async def test_a_second_request_that_is_broken_takes_no_answer_of_the_first(door: Door) -> None:
    first = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await said(door, first + b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n")
    # Never the refusal where the first one's answer belongs.
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert b"malformed-request" not in answer


async def test_requests_one_behind_the_other_are_traces_of_their_own(door: Door) -> None:
    """Each begins where the one before is answered, in a task or at once, and not in its trace."""
    bearer = (await door.bearer())["Authorization"].encode()
    one = b"GET /v1/directory/both HTTP/1.1\r\nHost: x\r\nAuthorization: " + bearer + b"\r\n"
    for _ in range(2):
        answer = await said(door, 3 * (one + b"\r\n") + one + b"Connection: close\r\n\r\n")
        assert answer.count(b"HTTP/1.1 200 OK\r\n") == 4, answer
        assert len(set(re.findall(rb"traceresponse: 00-([0-9a-f]{32})-", answer))) == 4, answer


async def test_silent_and_trickling_callers_are_closed(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the deadlines, shortened here; two hundred of them keep nobody out, and all are gone in the end."""
    headers = await door.bearer()
    token = b"Authorization: " + headers["Authorization"].encode() + b"\r\n"
    long = POST + token + b"Content-Length: 1000000\r\n\r\n"
    ways = [(silent, begin) for begin in (b"", b"GET /", POST + b"X-A: ", long)]
    ways += [(trickling, begin) for begin in (b"GET /", POST + b"X-A: ", long)]
    async with asyncio.timeout(60), httpx.AsyncClient(base_url=door.base_url, headers=headers) as client:
        monkeypatch.setattr(protocol, "HEAD_DEADLINE_S", 2)
        monkeypatch.setattr(protocol, "BODY_DEADLINE_S", 2)
        # A busy machine keeps this whole process from its database for a second: that is not what is asked here.
        monkeypatch.setattr(live, "BLIND_AFTER_S", WITHIN_S)
        waiting = [asyncio.create_task(behave(door, begin)) for behave, begin in ways for _ in range(30)]
        # Asked again where this busy process itself was too late to send its own head within the two seconds.
        answered = 0
        while answered < 10:
            with suppress(httpx.TransportError):
                assert (await client.post("/v1/directory/echo")).status_code == 200
                answered += 1
        await asyncio.gather(*waiting)


async def test_whoever_sends_on_is_not_late(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes of a body buys time for the rest: it is over long after the deadline, and whole."""
    monkeypatch.setattr(protocol, "BODY_DEADLINE_S", 0.1)
    monkeypatch.setattr(protocol, "BODY_BYTES_S", 10)
    token = b"Authorization: " + (await door.bearer())["Authorization"].encode() + b"\r\n"
    head = POST + token + b"Connection: close\r\nContent-Length: 1010\r\n\r\n" + b"a" * 1_000
    async with asyncio.timeout(WITHIN_S), connected(door) as (reader, writer):
        writer.write(head)
        for _ in range(10):
            await asyncio.sleep(0.05)
            writer.write(b"a")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")


async def silent(door: Door, begin: bytes) -> None:
    """Begin, then wait to be closed."""
    async with connected(door) as (reader, writer):
        writer.write(begin)
        with suppress(ConnectionError):
            await reader.read()


async def trickling(door: Door, begin: bytes) -> None:
    """Begin, then go on by single bytes until closed."""
    async with connected(door) as (reader, writer):
        writer.write(begin)
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"a")
                await writer.drain()
                # Ninety of them and the door share this process: quicker ones would be a load, and not a trickle.
                await asyncio.sleep(0.5)


async def test_whoever_does_not_read_the_answer_is_let_go(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "READ_DEADLINE_S", 0.5)
    token = b"Authorization: " + (await door.bearer())["Authorization"].encode() + b"\r\n"
    head = b"GET /v1/directory/big HTTP/1.1\r\nHost: x\r\n" + token + b"\r\n"
    async with asyncio.timeout(WITHIN_S), connected(door) as (reader, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # as transports of sockets can
        writer.write(head)
        while not door.under_way():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        while door.under_way():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.02)
        writer.transport.resume_reading()  # type: ignore[attr-defined]  # the same
        with suppress(ConnectionError):
            assert len(await reader.read()) < BIG
