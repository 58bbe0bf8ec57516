"""Kept connections to receivers outside: one request at a time on each, its answer counted and thrown away.

Written for this one purpose: a general client takes some milliseconds of a core for each message, this one a tenth.
"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Final

from httptools import HttpParserError, HttpResponseParser

KEPT_S: Final = 4.0
"""A connection waits so long for the next message: many servers close it after five seconds."""
KEPT_AT_MOST: Final = 200
"""Connections that wait, to all receivers together."""
READ_AT_MOST: Final = 64 << 10
"""Bytes of a receiver's answer that are read, and thrown away: enough to end an honest answer in peace."""

_CONTINUE, _FIRST_FINAL = 100, 200
"""Statuses from one up to the other come before the answer itself."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What is kept of a receiver's answer: never its body."""

    status: int
    retry_after: str | None


class Broken(Exception):  # noqa: N818 - an answer to whoever called
    """The connection ended without an answer, or what came is none.

    Args:
        heard: Something had come already.
    """

    def __init__(self, *, heard: bool) -> None:
        super().__init__("broken")
        self.heard = heard


@dataclass(frozen=True, slots=True)
class Place:
    """Where a connection leads: to a name at an address that was judged, and to no other.

    Attributes:
        address: Of IP, connected to as it stands.
        name: What TLS asks for, and checks; none without TLS.
    """

    address: str
    port: int
    name: str | None


class Line(asyncio.Protocol):
    """One connection to a receiver."""

    def __init__(self) -> None:
        self.closed = False
        self.kept = False
        """It has carried an answer before."""
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answered] | None = None
        self._begin()

    def _begin(self) -> None:
        self._parser = HttpResponseParser(self)
        self._size = 0
        self._retry_after: str | None = None
        self._bounded = self._in_body = False

    async def ask(self, request: bytes) -> Answered:
        """Send a whole request; answer what came of it.

        Raises:
            Broken: Nothing did.
        """
        if self._transport is None or self.closed:
            raise Broken(heard=False)
        self._begin()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            self._answer = None

    def close(self) -> None:
        """Close it, whatever is under way."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    # ── what asyncio says ──────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of TCP or TLS; what the types leave open
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Read on, as far as an answer may be long."""
        if self._answer is None or self._answer.done():
            self.close()  # Nobody asked: what comes belongs to no answer.
            return
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserError:
            self._break()
        if self._size >= READ_AT_MOST and not self._answer.done():
            # The status is what is wanted; the rest may be endless.
            if self._in_body:
                self._end(reusable=False)
            else:
                self._break()

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is under way: an answer of no told length ends with its connection."""
        self.closed = True
        if self._in_body and not self._bounded and exc is None:
            self._end(reusable=False)
        else:
            self._break()

    # ── what the parser says ───────────────────────────────────────────────────────────────────────────────────────

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        named = name.lower()
        if named == b"retry-after":
            self._retry_after = self._retry_after or value.decode("latin-1")
        elif named in {b"content-length", b"transfer-encoding"}:
            self._bounded = True

    def on_headers_complete(self) -> None:
        """Know the status, from here on."""
        self._in_body = self._parser.get_status_code() >= _FIRST_FINAL

    def on_message_complete(self) -> None:
        """End the answer, or what came before it."""
        if self._in_body:
            self._end(reusable=bool(self._parser.should_keep_alive()))
        elif self._parser.get_status_code() == _CONTINUE:
            self._retry_after, self._bounded = None, False
        else:
            self._break()  # Other protocols (101), early hints that nobody asked for.

    def _end(self, *, reusable: bool) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Answered(self._parser.get_status_code(), self._retry_after))
        self.kept = True
        if not reusable:
            self.close()

    def _break(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Broken(heard=self._size > 0))
        self.close()


class Lines:
    """The connections that wait for a next request, by where they lead.

    Args:
        trusted: Whom TLS trusts.
    """

    def __init__(self, trusted: ssl.SSLContext) -> None:
        self._trusted = trusted
        self._trusted.set_alpn_protocols(["http/1.1"])
        self._waiting: dict[Place, list[tuple[Line, asyncio.TimerHandle]]] = {}

    async def take(self, place: Place) -> Line:
        """Answer a connection, kept or new.

        Raises:
            OSError: None stands; of TLS, `ssl.SSLError`.
        """
        while waiting := self._waiting.get(place):
            line, closing = waiting.pop()
            closing.cancel()
            if not waiting:
                del self._waiting[place]
            if not line.closed:
                return line
        _, made = await asyncio.get_running_loop().create_connection(
            Line, place.address, place.port, ssl=self._trusted if place.name else None, server_hostname=place.name
        )
        return made

    def keep(self, place: Place, line: Line) -> None:
        """Keep a connection whose answer has ended for the next request."""
        if line.closed:
            return
        if sum(map(len, self._waiting.values())) >= KEPT_AT_MOST:
            line.close()
            return
        closing = asyncio.get_running_loop().call_later(KEPT_S, self._forget, place, line)
        self._waiting.setdefault(place, []).append((line, closing))

    def _forget(self, place: Place, line: Line) -> None:
        line.close()
        there = [one for one in self._waiting.pop(place, []) if one[0] is not line]
        if there:
            self._waiting[place] = there

    def close(self) -> None:
        """Close every connection that waits."""
        for waiting in self._waiting.values():
            for line, closing in waiting:
                closing.cancel()
                line.close()
        self._waiting.clear()
