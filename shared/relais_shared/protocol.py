"""HTTP/1.1 as we listen to it: nobody silent, slow, boundless or ambiguous keeps a connection."""

import asyncio
from typing import Final

from opentelemetry.trace import SpanKind
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from relais_shared import problems
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

LONG_TARGET: Final = Problem("address-too-long", 414, "The address is longer than allowed.")
LARGE_HEAD: Final = Problem("headers-too-large", 431, "The headers are more or larger than allowed.")


class _Refused(Exception):  # noqa: N818 - an answer
    """This request is not taken: the parser stops at it."""


class DeadlineProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which by itself waits for ever, and keeps whatever it has not read to its end."""

    head_limit = INSIDE_HEAD_LIMIT
    """Bytes of a head; whatever of a body is not body (sizes of chunks, trailers) may be as much."""

    _deadline: asyncio.TimerHandle | None = None
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

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._within(HEAD_DEADLINE_S)

    def data_received(self, data: bytes) -> None:
        """Read on, unless it never comes to an end: the parser itself would keep all of it."""
        if self._closing:
            return
        self._data = len(data)
        self._beside += self._data
        super().data_received(data)
        self._between = self._in_head and not self._most
        if self._surely + self._beside > self.head_limit and not self._closing:
            self._refused = self._too_much() if self._in_head else MALFORMED
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """Begin to wait for the head of the next request on this connection."""
        super().on_message_begin()
        self._most, self._beside = self._data, 0
        self._surely, self._between = self._data if self._between else 0, False
        self._within(HEAD_DEADLINE_S)

    def on_headers_complete(self) -> None:
        """Judge the head, then begin to wait for the body."""
        self._judge()
        super().on_headers_complete()
        # What follows the body is no header of the request: the scope has the list of before.
        self.headers = []
        self._in_head, self._surely, self._beside, self._body = False, 0, 0, 0
        self._within(BODY_DEADLINE_S)

    def on_body(self, body: bytes) -> None:
        """Take a block; each byte of it pays for one of the framing beside it."""
        self._beside = max(self._beside - 2 * len(body), -self.head_limit)
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait no longer: the request is whole."""
        super().on_message_complete()
        self._in_head, self._most, self._beside = True, 0, 0
        self._within(None)

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
        self._within(None)
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

    def _judge(self) -> None:
        """Stop at a head that is too large, or that two readers could read in two ways (RFC 9112, 3.2 and 6)."""
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
        version = self.parser.get_http_version()
        fits = hosts == 1 if version == "1.1" else version == "1.0" and hosts <= 1 and not codings
        if lengths + codings > 1 or not fits:
            raise _Refused

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _too_much(self) -> Problem:
        return LONG_TARGET if len(getattr(self, "url", b"")) > TARGET_LIMIT else LARGE_HEAD

    def _within(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self._late) if seconds else None

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
