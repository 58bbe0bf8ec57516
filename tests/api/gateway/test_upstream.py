"""A service behind the door that breaks: each way has its answer, and nothing unsafe is sent twice."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from api.gateway.world import BIG, Door, opened

from relais_gateway import exchange, forwarder, limiting, live
from relais_gateway.domain import circuit
from relais_gateway.onward import WATCH_AFTER_S
from relais_local.databases import Access

pytestmark = pytest.mark.anyio

Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"


@dataclass
class Service:
    """A service of a few bytes; it counts what reached it."""

    heads: list[bytes] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def instead(door: Door, behave: Behave) -> AsyncIterator[Service]:
    """Put another service in the directory's place until the block ends."""
    door.service.should_exit = True
    while any(socket.is_serving() for socket in door.service.servers):  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.02)
    service = Service()

    async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b" /v1/" not in head:
                    break  # The gateway's own questions: the registry, the document.
                service.heads.append(head)
                await behave(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            service.gone.set()
        finally:
            writer.close()

    async with await asyncio.start_server(taken, "127.0.0.1", door.echo_port):
        yield service


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(1)


async def unavailable(door: Door, method: str, path: str) -> None:
    answer = await door.ask(method, path, headers=await door.bearer())
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable"), answer.text
    assert answer.headers["retry-after"] == "1"
    assert len(answer.json()["trace_id"]) == 32


async def test_a_service_that_hangs_up_is_unavailable_and_asked_once(door: Door) -> None:
    async with instead(door, hang_up) as service:
        for method, path in (("GET", "/v1/directory/big"), ("POST", "/v1/directory/echo")):
            service.heads.clear()
            await unavailable(door, method, path)
            assert len(service.heads) == 1


async def test_a_stale_connection_is_replaced_for_what_changes_nothing(door: Door) -> None:
    count = 0

    async def every_second(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        if count % 2:
            writer.write(OK)
        else:
            writer.transport.abort()

    headers = await door.bearer()
    async with instead(door, every_second) as service:
        for _ in range(2):
            assert (await door.ask("GET", "/v1/directory/big", headers=headers)).text == "ok"
        assert len(service.heads) == 3
        # What changes something is not sent again: it may have been done.
        await unavailable(door, "POST", "/v1/directory/echo")
        assert len(service.heads) == 4


async def test_a_service_that_says_nothing_is_given_up(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "HEAD_WITHIN_S", 0.1)
    async with instead(door, say_nothing) as service:
        await unavailable(door, "GET", "/v1/directory/big")
        await service.gone.wait()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nrubbish\r\n",
    ],
)
async def test_a_broken_answer_never_looks_whole(door: Door, answer: bytes) -> None:
    async def half(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        if b"rubbish" not in answer:
            writer.close()

    headers = await door.bearer()
    async with instead(door, half):
        with pytest.raises(httpx.RemoteProtocolError):
            await door.ask("GET", "/v1/directory/big", headers=headers)


async def test_a_small_answer_that_breaks_is_no_answer(door: Door) -> None:
    """It was waited for as a whole: nothing of it has left, so that the caller is told what happened."""

    async def half(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    async with instead(door, half):
        await unavailable(door, "GET", "/v1/directory/big")


async def test_an_answer_that_falls_silent_is_cut(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "SILENT_S", 0.1)

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nhalf")
        await reader.readexactly(1)

    headers = await door.bearer()
    async with instead(door, half) as service:
        with pytest.raises(httpx.RemoteProtocolError):
            await door.ask("GET", "/v1/directory/big", headers=headers)
        await service.gone.wait()


async def test_a_service_that_failed_too_often_is_not_asked(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit, "OPEN_S", 60.0)
    async with instead(door, hang_up) as service:
        for _ in range(circuit.OPENS_AFTER + 3):
            await unavailable(door, "POST", "/v1/directory/echo")
        assert len(service.heads) == circuit.OPENS_AFTER


async def test_what_is_no_http_is_unavailable(door: Door) -> None:
    async def rubbish(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")

    async with instead(door, rubbish):
        await unavailable(door, "GET", "/v1/directory/big")


async def test_when_the_caller_leaves_the_service_is_left_too(door: Door) -> None:
    headers = await door.bearer()
    port = int(door.base_url.rpartition(":")[2])
    async with instead(door, say_nothing) as service:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        token = headers["Authorization"]
        writer.write(f"GET /v1/directory/big HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\n\r\n".encode())
        while not service.heads:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        writer.close()
        await service.gone.wait()


async def test_a_slow_reader_slows_the_service(door: Door) -> None:
    headers = await door.bearer()
    port = int(door.base_url.rpartition(":")[2])
    sent = 0

    async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (BIG * 8))
        for _ in range(BIG * 8 >> 16):
            writer.write(b"x" * (1 << 16))
            await writer.drain()
            sent += 1 << 16

    async with instead(door, pour):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
        token = headers["Authorization"]
        writer.write(f"GET /v1/directory/big HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        before = -1
        # Nobody reads on: once nothing moves any more, what was taken stands in buffers, and they are small.
        while sent != before:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < BIG * 8
        rest = BIG * 8
        while rest:
            rest -= len(await reader.read(1 << 20))
        assert sent == BIG * 8
        writer.close()


async def test_head_is_get_without_its_body(door: Door) -> None:
    headers = await door.bearer()
    answer = await door.ask("HEAD", "/v1/directory/big", headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")
    again = await door.ask("HEAD", "/v1/traces", headers=await door.bearer(1))
    assert (again.status_code, again.content) == (200, b"")
    assert (await door.ask("GET", "/v1/directory/big", headers=headers)).status_code == 200


async def in_two(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK[:-1])
    await writer.drain()
    await asyncio.sleep(WATCH_AFTER_S / 4)
    writer.write(OK[-1:])


async def slowly(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(2 * WATCH_AFTER_S)
    writer.write(OK)


async def in_chunks(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n")
    await writer.drain()
    await asyncio.sleep(WATCH_AFTER_S / 4)
    writer.write(b"1\r\nk\r\n0\r\n\r\n")


async def half(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK[:-1])
    await writer.drain()
    writer.close()


async def test_what_goes_at_once_goes_on_however_it_comes(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was judged before, on a kept connection: every answer, and every end of one, is as in a task."""
    at_once, took = forwarder.Door.at_once, []

    def noted(door: forwarder.Door, *given: Any) -> Any:
        rest = at_once(door, *given)
        took.append(rest is None)
        return rest

    async def good(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)

    async def turn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await behave(reader, writer)

    monkeypatch.setattr(forwarder.Door, "at_once", noted)
    # A busy machine hears from the database late; then nothing goes at once, and this would say so.
    monkeypatch.setattr(live, "BLIND_AFTER_S", 60)
    behave, headers = good, await door.bearer()
    async with instead(door, turn) as service:
        for way, status, sent in ((good, 200, 1), (in_two, 200, 1), (slowly, 200, 1), (in_chunks, 200, 1),
                                  (half, 503, 1), (hang_up, 503, 2)):  # fmt: skip
            behave = good
            assert (await door.ask("GET", "/v1/directory/big", headers=headers)).text == "ok"
            behave = way
            took.clear()
            service.heads.clear()
            answer = await door.ask("GET", "/v1/directory/big", headers=headers)
            assert (answer.status_code, took, len(service.heads)) == (status, [True], sent), way
            assert (answer.text == "ok") is (status == 200), way
            assert len(answer.headers["traceresponse"]) == 55
            assert answer.headers["ratelimit"].startswith('"organisation";r=')
        behave = good
        assert (await door.ask("GET", "/v1/directory/big", headers=headers)).text == "ok"
        behave = say_nothing
        service.gone.clear()
        _reader, writer = await asyncio.open_connection("127.0.0.1", int(door.base_url.rpartition(":")[2]))
        said = f"host: x\r\nauthorization: {headers['Authorization']}\r\n\r\n"
        writer.write(f"GET /v1/directory/big HTTP/1.1\r\n{said}".encode())
        while door.under_way() == 0:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        writer.close()
        await service.gone.wait()
        while door.under_way():  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.01)


async def test_what_is_beyond_a_bound_is_refused_in_the_turn_that_brings_it(
    home: Path, fresh_database: Callable[[str], Access], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a flood the door does little else: a refusal is no task, and says all that one from a task says."""
    del home
    at_once, took = forwarder.Door.at_once, []

    def noted(door: forwarder.Door, *given: Any) -> Any:
        rest = at_once(door, *given)
        took.append(rest is None)
        return rest

    monkeypatch.setattr(forwarder.Door, "at_once", noted)
    monkeypatch.setattr(live, "BLIND_AFTER_S", 60)
    async with opened(fresh_database("gateway"), organisation_burst=3, organisation_per_second=1) as door:
        now_s = time.monotonic()
        monkeypatch.setattr(limiting, "time", SimpleNamespace(monotonic=lambda: now_s))
        headers = await door.bearer()
        assert (await door.ask("GET", "/v1/directory/big", headers=headers)).status_code == 200
        directory = door.state.door._upstreams["directory"]  # noqa: SLF001 - nothing outside makes it busy for sure
        monkeypatch.setattr(directory, "working", 1_000)
        busy = [await door.ask(method, "/v1/directory/big", headers=headers) for method in ("GET", "HEAD")]
        took_busy = took[-2:]
        many = [await door.ask(method, "/v1/directory/big", headers=headers) for method in ("GET", "HEAD")]
        assert door.under_way() == 0
    for quick, slow, status in ((*busy, 503), (*many, 429)):
        assert (quick.status_code, slow.status_code) == (status, status)
        quick_names, slow_names = ({*answer.headers} - {"content-length"} for answer in (quick, slow))
        assert quick_names == slow_names
        assert quick_names >= {"retry-after", "traceresponse", "ratelimit", "ratelimit-policy", "content-type"}
        assert quick.json()["trace_id"] in quick.headers["traceresponse"]
        # It is recorded nowhere.
        assert quick.headers["traceresponse"].endswith("-00")
    assert (took_busy, took[-2:]) == ([True, False], [True, False])


async def test_refusals_leave_a_connection_open_however_many_wait_on_it(
    home: Path, fresh_database: Callable[[str], Access], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks on before the answer is there is answered in turn; no refusal is said from within another."""
    del home
    many, burst = 1_000, 5
    monkeypatch.setattr(live, "BLIND_AFTER_S", 60)

    async def good(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)

    async with opened(fresh_database("gateway"), organisation_burst=burst, organisation_per_second=1) as door:
        headers = await door.bearer()
        async with instead(door, good):
            assert (await door.ask("GET", "/v1/directory/big", headers=headers)).status_code == 200
            reader, writer = await asyncio.open_connection("127.0.0.1", int(door.base_url.rpartition(":")[2]))
            said = f"host: x\r\nauthorization: {headers['Authorization']}\r\n\r\n"
            writer.write(f"GET /v1/directory/big HTTP/1.1\r\n{said}".encode() * many)
            statuses = []
            for _ in range(many):
                head = await reader.readuntil(b"\r\n\r\n")
                assert b"connection: close" not in head
                statuses.append(int(head.split()[1]))
                length = next(line for line in head.splitlines() if line.startswith(b"content-length: "))
                await reader.readexactly(int(length.split()[1]))
            writer.close()
    let_in = statuses.count(200)
    assert burst - 1 <= let_in < many
    assert statuses.count(429) == many - let_in


async def test_a_service_with_all_it_can_bear_refuses_at_once_and_the_rest_goes_on(
    home: Path, fresh_database: Callable[[str], Access]
) -> None:
    """Too many for one service are told when to come back; nobody else notices, and it is over when it is over."""
    del home
    go_on = asyncio.Event()

    async def slowly(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(OK)

    async with opened(fresh_database("gateway"), service_at_once=2) as door:
        headers = await door.bearer()
        async with instead(door, slowly) as service:
            held = [asyncio.create_task(door.ask("GET", "/v1/directory/big", headers=headers)) for _ in range(2)]
            while len(service.heads) < len(held):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
            for method, path in (("GET", "/v1/directory/big"), ("POST", "/v1/directory/echo")):
                refused = await door.ask(method, path, headers=headers)
                assert (refused.status_code, refused.json()["type"]) == (503, "/problems/unavailable")
                assert int(refused.headers["retry-after"]) >= 1
                assert refused.headers["traceresponse"].endswith("-00")
                # Who is known is told what is left all the same.
                assert "ratelimit" in refused.headers
            assert len(service.heads) == len(held)
            # Tokens, the gateway's own operations and the other services have places of their own.
            assert (await door.token()).status_code == 200
            assert (await door.ask("GET", "/v1/organisations", headers=await door.bearer(1))).status_code == 200
            go_on.set()
            assert [answer.status_code for answer in await asyncio.gather(*held)] == [200, 200]
            assert (await door.ask("GET", "/v1/directory/big", headers=headers)).status_code == 200
