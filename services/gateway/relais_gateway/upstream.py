"""Toward our own services: a pooled keep-alive HTTP/1.1 client that holds no body in memory.

`docs/decisions/0008` says why this is not httpx.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Final, cast
from urllib.parse import urlsplit

import httptools

Header = tuple[bytes, bytes]

CONNECT_WITHIN_S: Final = 1.0
"""Our services are near: one that does not take a connection in a second is down."""
HEAD_WITHIN_S: Final = 10.0
"""A service has its own deadlines; this one ends what never would answer."""
SILENT_S: Final = 30.0
"""A service that says nothing for so long in the middle of an answer is gone; a stream says something each 15 s."""
IDLE_S: Final = 30.0
"""An unused connection is closed before the service closes it (75 s)."""
WAITING: Final = 16
"""Blocks of a body that may wait for a slow reader before the service is asked to pause."""


class UpstreamDown(Exception):  # noqa: N818 - an answer to the forwarder
    """The service could not be reached, or broke off before it answered."""

    def __init__(self, detail: str, *, sent: bool) -> None:
        super().__init__(detail)
        self.sent = sent
        """Whether something of the request may have reached it."""


class Exchange(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.closed = False
        self.idle_since = 0.0
        self.left = False
        """The caller no longer waits."""
        self._writable = asyncio.Event()
        self._writable.set()
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[Header] = []
        self._head: asyncio.Future[tuple[int, list[Header]]] = asyncio.get_running_loop().create_future()
        self._blocks: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._whole = False
        self._broken = False
        self._keep = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        # uvloop has transports of its own kind.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read what the service sends."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits for an answer."""
        del exc
        self.closed = True
        self._writable.set()
        if not self._whole:
            self._broken = True
        if not self._head.done():
            self._head.set_exception(UpstreamDown("broke off", sent=True))
            self._head.exception()
        self._arrived.set()

    def pause_writing(self) -> None:
        """Stop sending: the service is slow to read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on sending."""
        self._writable.set()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Hand out the head of the answer."""
        self._keep = self._parser.should_keep_alive()
        if not self._head.done():
            self._head.set_result((self._parser.get_status_code(), self._headers))

    def on_body(self, body: bytes) -> None:
        """Keep a block, and ask the service to pause when many wait."""
        self._blocks.append(body)
        if len(self._blocks) > WAITING and self.transport is not None:
            self.transport.pause_reading()
        self._arrived.set()

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self._whole = True
        self._arrived.set()

    def _fail(self) -> None:
        self._broken = True
        self.abort()

    def abort(self) -> None:
        """Close the connection at once, whatever is under way."""
        if self.transport is not None:
            self.transport.abort()

    async def send(self, head: bytes, body: AsyncIterator[bytes] | None, *, chunked: bool) -> None:
        """Send a request; its body as it comes, no faster than the service takes it."""
        assert self.transport is not None  # noqa: S101 - connected before it is handed out
        self.transport.write(head)
        if body is None:
            return
        async for block in body:
            if self.closed:
                raise UpstreamDown("closed while sending", sent=True)
            self.transport.write(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
            await self._writable.wait()
        if chunked:
            self.transport.write(b"0\r\n\r\n")

    async def head(self) -> tuple[int, list[Header]]:
        """Answer status and headers once they are there."""
        async with asyncio.timeout(HEAD_WITHIN_S):
            return await asyncio.shield(self._head)

    async def body(self) -> AsyncIterator[bytes]:
        """Answer the body as it comes.

        Raises:
            UpstreamDown: It broke off.
        """
        while True:
            while self._blocks:
                yield self._blocks.popleft()
                if len(self._blocks) < WAITING and self.transport is not None and not self.closed:
                    self.transport.resume_reading()
            if self._whole:
                return
            if self._broken or self.closed:
                raise UpstreamDown("broke off inside the body", sent=True)
            self._arrived.clear()
            try:
                async with asyncio.timeout(SILENT_S):
                    await self._arrived.wait()
            except TimeoutError:
                self._fail()

    @property
    def reusable(self) -> bool:
        """Whether another request may follow."""
        return self._whole and self._keep and not self.closed and not self._broken

    def rest(self) -> None:
        """Make ready for the next request."""
        self._begin()


class Upstream:
    """One of our services, over a pool of kept connections.

    Args:
        name: What it is called.
        url: Where it listens.
    """

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self.authority = f"{self._host}:{self._port}".encode()
        self._idle: deque[Exchange] = deque()

    async def take(self) -> tuple[Exchange, bool]:
        """Answer a connection, and whether it was used before: an old one may have been closed meanwhile.

        Raises:
            UpstreamDown: The service takes no connection.
        """
        now = asyncio.get_running_loop().time()
        while self._idle:
            kept = self._idle.pop()
            if not kept.closed and now - kept.idle_since < IDLE_S:
                return kept, True
            kept.abort()
        return await self.connect(), False

    async def connect(self) -> Exchange:
        """Open a new connection.

        Raises:
            UpstreamDown: The service takes none.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                _, exchange = await loop.create_connection(Exchange, self._host, self._port)
        except (OSError, TimeoutError) as fault:
            raise UpstreamDown("takes no connection", sent=False) from fault
        return exchange

    def give_back(self, exchange: Exchange) -> None:
        """Keep a connection for the next request, or close it."""
        if exchange.reusable:
            exchange.rest()
            exchange.idle_since = asyncio.get_running_loop().time()
            self._idle.append(exchange)
        else:
            exchange.abort()

    def close(self) -> None:
        """Close every kept connection."""
        while self._idle:
            self._idle.pop().abort()


def request_head(method: str, target: bytes, headers: Iterable[Header]) -> bytes:
    """Answer the head of a request, built anew: nothing that a caller sent stands in it unread."""
    lines = [b"%b %b HTTP/1.1" % (method.encode(), target)]
    lines += [b"%b: %b" % header for header in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"
