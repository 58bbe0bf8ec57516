"""How an answer leaves: its head with the first of its body, by itself where that is not there yet, and never wrong."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from relais_shared.protocol import Cycle

pytestmark = pytest.mark.anyio

LENGTH = (b"content-length", b"3")


class Wire:
    """A transport that keeps what was written, write by write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, block: bytes) -> None:
        """Keep a block."""
        self.writes.append(block)

    def writelines(self, blocks: Iterable[bytes]) -> None:
        """Keep several as the one write that they are."""
        self.writes.append(b"".join(blocks))

    def is_closing(self) -> bool:
        """Say whether it was closed."""
        return self.closed

    def close(self) -> None:
        """Close it."""
        self.closed = True


def answering(method: str = "GET", *, keep_alive: bool = True) -> tuple[Wire, Cycle]:
    wire: Any = Wire()
    cycle = Cycle(
        {"type": "http", "method": method},  # type: ignore[typeddict-item,arg-type]  # all that it looks at
        wire,
        FlowControl(wire),
        None,  # type: ignore[arg-type]  # nothing is logged
        None,  # type: ignore[arg-type]  # the same
        access_log=False,
        default_headers=[(b"date", b"now")],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=lambda: None,
    )
    return wire, cycle


async def start(cycle: Cycle, *headers: tuple[bytes, bytes], status: int = 200) -> None:
    await cycle.send({"type": "http.response.start", "status": status, "headers": headers})


async def body(cycle: Cycle, block: bytes, *, more: bool = False) -> None:
    await cycle.send({"type": "http.response.body", "body": block, "more_body": more})


async def test_head_and_body_leave_in_one_write() -> None:
    wire, cycle = answering()
    await start(cycle, LENGTH)
    await body(cycle, b"abc")
    await asyncio.sleep(0)
    assert wire.writes == [b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 3\r\n\r\nabc"]


async def test_a_head_does_not_wait_for_a_body_that_is_not_there() -> None:
    wire, cycle = answering(keep_alive=False)
    await start(cycle, (b"Content-Type", b"text/event-stream"))
    assert wire.writes == []
    await asyncio.sleep(0)
    (head,) = wire.writes
    assert head.endswith(
        b"content-type: text/event-stream\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    ), head
    await body(cycle, b"abc", more=True)
    await body(cycle, b"", more=True)
    await body(cycle, b"")
    assert (wire.writes[1:], wire.closed) == ([b"3\r\nabc\r\n", b"0\r\n\r\n"], True)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304)])
async def test_what_has_no_body_says_none(method: str, status: int) -> None:
    wire, cycle = answering(method)
    await start(cycle, status=status)
    await body(cycle, b"abc" if method == "HEAD" else b"")
    (said,) = wire.writes
    assert said.endswith(b"date: now\r\n\r\n"), said


@pytest.mark.parametrize("header", [(b"x", b"a\r\nb: c"), (b"x", b"a\x00"), (b"x\r\ny", b"a"), (b"x y", b"a")])
async def test_no_header_smuggles_another(header: tuple[bytes, bytes]) -> None:
    wire, cycle = answering()
    with pytest.raises(RuntimeError):
        await start(cycle, header)
    await asyncio.sleep(0)
    assert wire.writes == []


@pytest.mark.parametrize("block", [b"ab", b"abcd"])
async def test_a_body_of_another_length_than_said_never_looks_whole(block: bytes) -> None:
    wire, cycle = answering()
    await start(cycle, LENGTH)
    with pytest.raises(RuntimeError):
        await body(cycle, block)
    assert (wire.writes, cycle.response_complete) == ([], False)


@pytest.mark.parametrize(
    ("status", "headers", "block", "said"),
    [
        (200, [LENGTH], b"abc", b"content-length: 3\r\n\r\nabc"),
        (200, [(b"x", b"y")], b"abc", b"x: y\r\ncontent-length: 3\r\n\r\nabc"),
        (204, [(b"x", b"y")], b"", b"x: y\r\n\r\n"),
        (304, [(b"etag", b"y")], b"", b"etag: y\r\n\r\n"),
    ],
)
async def test_an_answer_that_is_there_leaves_at_once(
    status: int, headers: list[tuple[bytes, bytes]], block: bytes, said: bytes
) -> None:
    wire, cycle = answering()
    cycle.answer(status, headers, block)
    assert wire.writes[0].startswith(b"HTTP/1.1 %d " % status)
    assert [write.partition(b"date: now\r\n")[2] for write in wire.writes] == [said]
    assert (cycle.response_complete, wire.closed) == (True, False)


async def test_an_answer_that_is_the_last_says_so() -> None:
    wire, cycle = answering(keep_alive=False)
    cycle.answer(200, [LENGTH], b"abc")
    assert (wire.writes[0].endswith(b"\r\nconnection: close\r\n\r\nabc"), wire.closed) == (True, True)


async def test_nobody_is_answered_who_left() -> None:
    wire, cycle = answering()
    cycle.disconnected = True
    cycle.answer(200, [LENGTH], b"abc")
    assert wire.writes == []
