"""HTTP/1.1 as we listen to it: nobody silent, slow, boundless or ambiguous keeps a connection."""

import asyncio
import re
from collections.abc import Sequence
from contextvars import copy_context
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

import httptools
from opentelemetry.trace import SpanKind
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from relais_shared import problems
from relais_shared.deadlines import Deadline
from relais_shared.problems import MALFORMED, Problem
from relais_shared.telemetry import tracer, traceresponse

HEAD_DEADLINE_S: Final = 5
"""A client that has not sent its whole head by then is silent or hostile."""
BODY_DEADLINE_S: Final = 10
"""From the end of the head to the end of the body; what comes meanwhile buys more."""
BODY_BYTES_S: Final = 16 << 10
"""So many bytes of a body buy another second: a large file over a poor line (128 kbit/s) may take its time, a trickle
may not."""
READ_DEADLINE_S: Final = 30
"""A client that takes nothing of an answer of which 64 KiB wait for it no longer reads."""
LINGER_S: Final = 1
"""Whoever is refused may go on sending for so long, unread: a connection closed at once would lose the refusal."""

INSIDE_HEAD_LIMIT: Final = 64 << 10
"""Bytes of a head between our own services: what the gateway takes from outside, and the assertion that it adds."""
TARGET_LIMIT: Final = 8 << 10
"""Bytes of a request's address (RFC 9110, section 4.1: at least 8,000)."""
HEADERS_LIMIT: Final = 100
"""Headers of one request; a browser sends about twenty."""

NO_BODY: Final = frozenset({204, 304})
"""Answers that never have a body (RFC 9110, section 6.4.1)."""

FRAMING: Final = frozenset({b"content-length: ", b"transfer-encoding: ", b"connection: ", b"content-type: "})
"""How the lines begin that say where an answer ends, or that it never does."""
STREAM: Final = b"text/event-stream"
"""An answer that goes on for as long as its reader may read it; whoever reads it asks again when it breaks."""

WITH_BODY: Final = "relais.with_body"
"""In the start of an answer: whether its body follows at once, so that nobody need see to its head alone."""

PLAIN: Final = re.compile(rb"GET (/[!$&-;=@-Z_a-z~]*)(?:\?([!$-;=?-Z_a-z~]*))? HTTP/1\.1")
"""The first line of a request that is read without a parser: RFC 3986 in its letters, nothing of its path escaped."""
END_OF_HEAD: Final = b"\r\n\r\n"

LONG_TARGET: Final = Problem("address-too-long", 414, "The address is longer than allowed.")
LARGE_HEAD: Final = Problem("headers-too-large", 431, "The headers are more or larger than allowed.")


class _Refused(Exception):  # noqa: N818 - an answer
    """This request is not taken: the parser stops at it."""


class Cycle(RequestResponseCycle):
    """uvicorn's request and its answer, whose head leaves together with the first of its body.

    A write costs more than most of what we do with a request, and a head by itself wakes its reader for nothing.
    """

    _head: bytes | None = None
    """What is written of it in this turn of the loop, at the latest."""
    endless = False
    """The answer has begun and never comes to an end by itself."""

    async def send(self, message: Any) -> None:  # noqa: ANN401 - ASGI's own
        """Take the next part of the answer."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if not self.response_started and kind == "http.response.start":
            self._begin(message["status"], message.get("headers", ()))
            if not message.get(WITH_BODY):
                asyncio.get_running_loop().call_soon(self._alone)
        elif self.response_started and not self.response_complete and kind == "http.response.body":
            self._go_on(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"{kind} has no place here.")

    def answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        """Answer by all of a body, in this turn of the loop; only to GET, and while `flow` is not paused.

        Args:
            status: Of the answer.
            headers: As a parser or we ourselves wrote them: what stands in them is not judged again. None of them says
                where the body ends but `content-length`, and that says its length.
            body: All of it.
        """
        if self.disconnected:
            return
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        lines = [*self.default_headers, *headers]
        if status not in NO_BODY and b"content-length" not in dict(headers):
            lines.append((b"content-length", b"%d" % len(body)))
        if not self.keep_alive:
            lines.append((b"connection", b"close"))
        self._head = STATUS_LINE[status] + b"\r\n".join(map(b": ".join, lines)) + b"\r\n\r\n"
        self._write(body)
        self._over()

    def _begin(self, status: int, headers: Any) -> None:  # noqa: ANN401 - ASGI's iterable of pairs
        self.response_started = True
        self.waiting_for_100_continue = False
        lines = [STATUS_LINE[status]]
        says_close = False
        values = []
        for name, value in (*self.default_headers, *headers):
            begin = _begin_of_line(name)
            values.append(value)
            lines += (begin, value, b"\r\n")
            if begin not in FRAMING:
                continue
            if begin == b"content-length: " and self.chunked_encoding is None:
                self.expected_content_length, self.chunked_encoding = int(value), False
            elif begin == b"transfer-encoding: " and value.lower() == b"chunked":
                self.expected_content_length, self.chunked_encoding = 0, True
            elif begin == b"connection: " and b"close" in [one.strip() for one in value.lower().split(b",")]:
                self.keep_alive, says_close = False, True
            elif begin == b"content-type: ":
                self.endless = value.startswith(STREAM)
        if HEADER_VALUE_RE.search(b"".join(values)):
            raise RuntimeError("This is no value of a header.")
        if not self.keep_alive and not says_close:
            lines.append(b"connection: close\r\n")
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in NO_BODY:
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        self._head = b"".join(lines)

    def _alone(self) -> None:
        """Let a head go whose body is not there yet."""
        if self._head is not None and not self.transport.is_closing():
            self._write(b"")

    def _go_on(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length, body = 0, b""
        elif self.chunked_encoding:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                body += b"0\r\n\r\n"
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0 or (self.expected_content_length and not more):
                raise RuntimeError("The body is not as long as Content-Length says.")
        if body or not more:
            self._write(body)
        if not more:
            self.response_complete = True
            self._over()

    def _over(self) -> None:
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _write(self, block: bytes) -> None:
        head, self._head = self._head, None
        if head is None:
            self.transport.write(block)
        else:
            self.transport.writelines((head, block))


@lru_cache(maxsize=1_000)
def _begin_of_line(name: bytes) -> bytes:
    """Answer how a header's line begins, its name in small letters.

    Raises:
        RuntimeError: This is no name of a header.
    """
    if HEADER_RE.search(name):
        raise RuntimeError("This is no name of a header.")
    return name.lower() + b": "


class DeadlineProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which by itself waits for ever, and keeps whatever it has not read to its end."""

    head_limit = INSIDE_HEAD_LIMIT
    """Bytes of a head; whatever of a body is not body (sizes of chunks, trailers) may be as much."""

    _deadline: Deadline
    """Of a head, a body, or the next request."""
    _wanted_s: float | None = None
    """What is waited for anew once the block that came has been read; 0: nothing. Most requests come in one block."""
    _unread: asyncio.TimerHandle | None = None
    _refused = MALFORMED
    _closing = False
    _in_head = True
    _between = True
    """No request had begun when the block came that is read now."""
    _data = 0
    """Bytes of that block."""
    _most = 0
    """Bytes of the block in which the request began: so many of them are its head, at most."""
    _surely = 0
    """As many, where nothing of another request stood before it in that block."""
    _beside = 0
    """Bytes of the blocks after it that were no body."""
    _body = 0
    """Bytes of body that bought no time yet."""
    _scope: dict[str, Any]
    """Of the last request that the parser read, as it was before anybody served it."""
    _repeated: bytes | None = None
    """Its head from the end of its first line on, where the next request may be read by it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._deadline = Deadline(self.loop)
        self._context = copy_context()
        self._within(HEAD_DEADLINE_S)

    def data_received(self, data: bytes) -> None:
        """Read on, unless it never comes to an end: the parser itself would keep all of it."""
        if self._closing or self._repeats(data):
            return
        alone = self._between
        self._data = len(data)
        self._beside += self._data
        super().data_received(data)
        self._repeated = self._repeatable(data) if alone else None
        if self._wanted_s is not None and not self._closing:
            if self._wanted_s:
                self._within(self._wanted_s)
            else:
                self._deadline.over()
            self._wanted_s = None
        self._between = self._in_head and not self._most
        if self._surely + self._beside > self.head_limit and not self._closing:
            self._refused = self._too_much() if self._in_head else MALFORMED
            self.send_400_response("")

    def _repeatable(self, data: bytes) -> bytes | None:
        """Answer what the next block may repeat, where this one is a request without a body, and nothing else."""
        if not (data.startswith(b"GET ") and data.endswith(END_OF_HEAD) and data.count(END_OF_HEAD) == 1):
            return None
        # Whole where another head may begin: it says of no body that it follows.
        whole = self._in_head and not self._closing and self.cycle.keep_alive
        return data[data.index(b"\r\n") :] if whole else None

    def _repeats(self, data: bytes) -> bool:
        """Serve a request whose head is that of the one before but for its address; say whether this is one.

        A system that asks again and again writes the same head again and again. The parser read it and we judged it: a
        second time both would say the same. Only its first line is read, and must be of the plainest kind.
        """
        rest = self._repeated
        if rest is None or not data.endswith(rest) or not self.cycle.response_complete:
            return False
        end = len(data) - len(rest)
        found = PLAIN.fullmatch(data, 0, end)
        if found is None or end > TARGET_LIMIT or len(data) > self.head_limit:
            return False
        path, query = found.groups()
        scope = {**self._scope, "headers": [*self._scope["headers"]], "state": self.app_state.copy()}
        scope["path"], scope["raw_path"], scope["query_string"] = path.decode(), path, query or b""
        self._deadline.over()
        self.cycle = self._cycle(scope, keep_alive=True)
        self.cycle.more_body = False
        self.cycle.message_event.set()
        self._start_asgi_task(self.cycle, self.app)
        return True

    def on_message_begin(self) -> None:
        """Begin to wait for the head of the next request on this connection."""
        super().on_message_begin()
        self._most, self._beside = self._data, 0
        self._surely, self._between = self._data if self._between else 0, False
        self._wanted_s = HEAD_DEADLINE_S

    def on_headers_complete(self) -> None:
        """Judge the head and begin to serve the request, then to wait for its body."""
        version = self._judge()
        scope: Any = self.scope
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        address = httptools.parse_url(self.url)
        path = address.path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"], scope["query_string"] = address.path, address.query or b""
        self._scope = {**scope, "headers": [*self.headers]}
        before = self.cycle
        self.cycle = self._cycle(scope, keep_alive=version != "1.0" and self.parser.should_keep_alive())
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            # Its answer has to wait for those of before, and so have we.
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        # What follows the body is no header of the request: the scope has the list of before.
        self.headers = []
        self._in_head, self._surely, self._beside, self._body = False, 0, 0, 0
        self._wanted_s = BODY_DEADLINE_S

    def _cycle(self, scope: Any, *, keep_alive: bool) -> Cycle:  # noqa: ANN401 - ASGI's own
        return Cycle(
            scope,
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:  # noqa: ANN401 - uvicorn's cycle, an ASGI app
        """Serve a request at once where the app can do that, else in a task.

        In the context in which the connection began: a request that waited for the answer to another begins where that
        one ends, in the middle of what it traces.
        """
        context = self._context.copy()
        start = super()._start_asgi_task

        def in_a_task(app: Any) -> None:  # noqa: ANN401 - an ASGI app
            context.run(start, cycle, app)

        at_once = getattr(app, "at_once", None)
        rest = app if at_once is None else context.run(at_once, cycle, in_a_task)
        if rest is not None:
            in_a_task(rest)

    def on_body(self, body: bytes) -> None:
        """Take a block; each byte of it pays for one of the framing beside it."""
        self._beside = max(self._beside - 2 * len(body), -self.head_limit)
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait no longer: the request is whole. Where it was answered already, wait for another."""
        super().on_message_complete()
        self._in_head, self._most, self._beside = True, 0, 0
        self._wanted_s = self.timeout_keep_alive if self.cycle.response_complete else 0

    def on_response_complete(self) -> None:
        """Begin to serve the request that waits; where there is none, wait for another."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            # Not in this turn: what is answered at once would begin the next from within, as deep as many wait.
            self.loop.call_soon(self._start_asgi_task, *self.pipeline.pop())
        elif not self._deadline.runs:
            self._within(self.timeout_keep_alive)

    def shutdown(self) -> None:
        """Stop when what is under way has been answered; a stream would keep us until we are cut off."""
        super().shutdown()
        if isinstance(self.cycle, Cycle) and self.cycle.endless:
            self.transport.close()

    def pause_writing(self) -> None:
        """Begin to wait for a client that is slow to read."""
        super().pause_writing()
        self._unread = self.loop.call_later(READ_DEADLINE_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Wait no longer: it read."""
        super().resume_writing()
        self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines of a closed connection."""
        self._deadline.close()
        self._read()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be taken, and close.

        Args:
            msg: uvicorn's words; the answer is a problem document instead.
        """
        del msg
        self._closing = True
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            # Whoever serves it sees the client leave: no half of a request is ever taken for a whole one.
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started or not cycle.more_body:
                # What we would say would be taken for the answer to the request before.
                self.transport.close()
                return
        self.transport.write(_refusal(self._refused))
        self.transport.write_eof()
        self._within(LINGER_S)

    def _judge(self) -> str:
        """Stop at a head that is too large, or that two readers could read in two ways (RFC 9112, 3.2 and 6).

        Returns:
            The version of HTTP.
        """
        if (
            len(self.headers) > HEADERS_LIMIT
            or len(self.url) > TARGET_LIMIT
            or (self._most + self._beside > self.head_limit and self._head_bytes() > self.head_limit)
        ):
            self._refused = self._too_much()
            raise _Refused
        hosts = lengths = codings = 0
        for name, _ in self.headers:
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                lengths += 1
            elif name == b"transfer-encoding":
                codings += 1
        version: str = self.parser.get_http_version()
        fits = hosts == 1 if version == "1.1" else version == "1.0" and hosts <= 1 and not codings
        if lengths + codings > 1 or not fits:
            raise _Refused
        return version

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _too_much(self) -> Problem:
        return LONG_TARGET if len(getattr(self, "url", b"")) > TARGET_LIMIT else LARGE_HEAD

    def _within(self, seconds: float) -> None:
        self._deadline.within(seconds, self._late)

    def _late(self) -> None:
        bought_s, self._body = self._body / BODY_BYTES_S, 0
        if self._in_head or self._closing or bought_s < 1:
            self.transport.close()
        else:
            self._within(bought_s)

    def _read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


def _refusal(problem: Problem) -> bytes:
    """Answer a whole response: nothing of the application has seen the request."""
    with tracer().start_as_current_span("HTTP", kind=SpanKind.SERVER) as span:
        span.set_attribute("http.response.status_code", problem.status)
        answer = problems.problem_response(problem)
        headers = [
            *answer.raw_headers,
            (b"x-content-type-options", b"nosniff"),
            (b"traceresponse", (traceresponse() or "").encode()),
            (b"connection", b"close"),
        ]
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return STATUS_LINE[problem.status] + lines + b"\r\n" + bytes(answer.body)
