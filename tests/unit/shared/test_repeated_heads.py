"""A head that repeats that of the request before is not read again, and serves as if it were."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from relais_shared import protocol
from relais_shared.protocol import Cycle, DeadlineProtocol

HEAD = b"Host: relais.example\r\nAuthorization: Bearer abc\r\nConnection: keep-alive\r\n\r\n"
GOOD = b"GET /first?a=1 HTTP/1.1\r\n" + HEAD


class Wire:
    """A transport that keeps what was written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Answer addresses."""
        return ("127.0.0.1", 1) if name in {"peername", "sockname"} else default

    def write(self, block: bytes) -> None:
        """Keep a block."""
        self.written += block

    def writelines(self, blocks: Iterable[bytes]) -> None:
        """Keep several."""
        self.written += b"".join(blocks)

    def is_closing(self) -> bool:
        """Say whether it was closed."""
        return self.closed

    def close(self) -> None:
        """Close it."""
        self.closed = True

    abort = write_eof = close

    def pause_reading(self) -> None:
        """Read on: what is fed here is fed."""

    resume_reading = pause_reading


class App:
    """Answers at once, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def at_once(self, cycle: Cycle, _in_a_task: Callable[[Any], None]) -> None:
        """Keep the request; spoil what was handed over, as no app should."""
        scope: Any = cycle.scope
        self.asked.append({**scope, "headers": [*scope["headers"]], "more": cycle.more_body})
        scope["headers"].append((b"x-spoilt", b"yes"))
        cycle.answer(200, [(b"content-length", b"2")], b"ok")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve nothing in a task."""


class Counted(DeadlineProtocol):
    """Counts the requests that its parser reads."""

    parsed = 0

    def on_message_begin(self) -> None:
        """Count one."""
        self.parsed += 1
        super().on_message_begin()


class Parsed(Counted):
    """Reads each by its parser."""

    def _repeats(self, data: bytes) -> bool:
        del data
        return False


def served(*blocks: bytes, by: type[Counted] = Counted) -> tuple[list[dict[str, Any]], bytes, bool, int]:
    """Answer what an app is asked on one connection, what is written, whether it was closed, how many were parsed."""

    async def fed() -> tuple[list[dict[str, Any]], bytes, bool, int]:
        app, wire = App(), Wire()
        config = Config(app, log_level="critical")
        config.load()
        config.loaded_app = app
        listening = by(config, ServerState(), {})
        listening.connection_made(wire)  # type: ignore[arg-type]  # all that it needs of a transport
        for block in blocks:
            listening.data_received(block)
        closed = wire.closed
        listening.connection_lost(None)
        return app.asked, wire.written, closed, listening.parsed

    return asyncio.run(fed())


def alike(*blocks: bytes) -> int:
    """Hold that blocks are served as by a parser, behind a good request; answer how many the parser read of them."""
    all_parsed, found = served(GOOD, *blocks, by=Parsed), served(GOOD, *blocks)
    # That no body follows is known before such a request is served, and of a parsed one in the moment after.
    for each in (*all_parsed[0], *found[0]):
        each.pop("more")
    assert found[0] == all_parsed[0]
    assert _told(found[1]) == _told(all_parsed[1])
    assert found[2] == all_parsed[2]
    return found[3] - 1


def _told(written: bytes) -> list[bytes]:
    """Answer what was answered, a refusal without the trace that it names."""
    return [each[:12] if each.startswith(b"4") else each for each in written.split(b"HTTP/1.1 ")]


def test_a_repeated_head_is_not_parsed_again() -> None:
    assert alike(b"GET /v1/other?b=2&c=%20 HTTP/1.1\r\n" + HEAD) == 0
    assert alike(*[b"GET /%d HTTP/1.1\r\n" % number + HEAD for number in range(5)]) == 0
    asked, written, closed, _ = served(GOOD, b"GET /v1/other?b=2&c=%20 HTTP/1.1\r\n" + HEAD)
    assert [(one["path"], one["raw_path"], one["query_string"]) for one in asked] == [
        ("/first", b"/first", b"a=1"),
        ("/v1/other", b"/v1/other", b"b=2&c=%20"),
    ]
    assert not asked[1]["more"]
    assert (written.count(b"HTTP/1.1 200 OK\r\n"), closed) == (2, False)


@given(st.text(st.characters(max_codepoint=255), max_size=30).map(lambda text: text.encode("latin-1")))
@example(b"//elsewhere/path")
@example(b"/a?")
@example(b"/a?b?c")
@example(b"/%2e%2e/a")
@example(b"/a#b")
@example(b"http://elsewhere/a")
@example(b"*")
@example(b"")
@example(b"/a HTTP/1.1\r\nContent-Length: 5\r\nX:")
def test_any_address_is_read_as_a_parser_reads_it(address: bytes) -> None:
    alike(b"GET " + address + b" HTTP/1.1\r\n" + HEAD)
    alike(b"GET /" + address + b" HTTP/1.1\r\n" + HEAD)


@pytest.mark.parametrize(
    "blocks",
    [
        [b"POST /a HTTP/1.1\r\n" + HEAD],
        [b"HEAD /a HTTP/1.1\r\n" + HEAD],
        [b"get /a HTTP/1.1\r\n" + HEAD],
        [b"GET /a HTTP/1.0\r\n" + HEAD],
        [b"GET  /a HTTP/1.1\r\n" + HEAD],
        [b"GET\t/a HTTP/1.1\r\n" + HEAD],
        [b"GET /a HTTP/1.1 \r\n" + HEAD],
        [b"GET /a\r\n" + HEAD],
        [b"GET /a HTTP/1.1\r\nX-More: 1\r\n" + HEAD],
        [b"GET /a HTTP/1.1\r\nContent-Length: 3\r\n" + HEAD, b"abc", b"GET /b HTTP/1.1\r\n" + HEAD],
        [b"GET /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HEAD, b"0\r\n\r\n", b"GET /b HTTP/1.1\r\n" + HEAD],
        [b"GET /a HTTP/1.1\r\n" + HEAD + b"GET /b HTTP/1.1\r\n" + HEAD, b"GET /c HTTP/1.1\r\n" + HEAD],
        [b"GET /a HTTP/1.1\r\n" + HEAD + b"GET /b HTTP/1.1\r\n" + HEAD] * 2,
        [b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: y\r\n\r\n"] * 2,
        [b"POST /a HTTP/1.1\r\nContent-Length: 0\r\n" + HEAD, b"GET /b HTTP/1.1\r\nContent-Length: 0\r\n" + HEAD],
        [b"GET /a HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n"],
        [b"GET /%d HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n" % number for number in range(2)],
        [b"GET /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n" % number for number in range(2)],
        [b"GET /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\na\r\n\r\n" % number for number in range(2)],
        [b"GET /%d HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" % number for number in range(3)],
        [b"GET /%d HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n" % number for number in range(3)],
        [b"GET /%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % number for number in range(2)],
        [b"GET /a HTTP/1.1\r\nHost: x\r\nX: ", b"GET /b HTTP/1.1\r\n\r\n", b"GET /c HTTP/1.1\r\n\r\n"],
        [b"GET /a HT", b"TP/1.1\r\n" + HEAD, b"GET /c HTTP/1.1\r\n" + HEAD],
        [b"\r\nGET /a HTTP/1.1\r\n" + HEAD, b"GET /c HTTP/1.1\r\n" + HEAD],
        [b"GET /a HTTP/1.1\r\n" + HEAD + b"\r\n", b"GET /c HTTP/1.1\r\n" + HEAD],
        [b"GET /a HTTP/1.1\n" + HEAD],
        [HEAD],
        [b"GET /" + b"a" * protocol.TARGET_LIMIT + b" HTTP/1.1\r\n" + HEAD],
        [b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n"],
    ],
)
def test_what_is_not_the_same_is_parsed(blocks: list[bytes]) -> None:
    assert alike(*blocks) >= 1


def test_a_request_waits_for_the_answer_to_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """One behind the other is the parser's, which knows how to let it wait."""
    monkeypatch.setattr(App, "at_once", lambda *_: None)
    *_, parsed = served(GOOD, b"GET /b HTTP/1.1\r\n" + HEAD)
    assert parsed == 2
