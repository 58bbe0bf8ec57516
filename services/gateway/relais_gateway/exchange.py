"""One connection toward one of our services: HTTP/1.1, one request at a time, no body in memory.

`docs/decisions/0008` says why this is not httpx.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Final, cast

import httptools

from relais_shared.deadlines import Deadline

Header = tuple[bytes, bytes]

HEAD_WITHIN_S: Final = 10.0
"""A service has its own deadlines; this one ends what never would answer."""
SILENT_S: Final = 30.0
"""A service that says nothing for so long in the middle of an answer is gone; a stream says something each 15 s."""
STALLED_S: Final = 10.0
"""A service that takes nothing of a body for so long is gone, whatever it answered before."""
WAITING: Final = 16
"""Blocks of a body that may wait for a slow reader before the service is asked to pause."""
SMALL: Final = 64 << 10
"""Bytes of an answer that is waited for as a whole: what breaks inside it can still be asked elsewhere."""


class UpstreamDown(Exception):  # noqa: N818 - an answer to the forwarder
    """The service could not be reached, or broke off before it answered."""

    def __init__(self, detail: str, *, sent: bool, waited: bool = False) -> None:
        super().__init__(detail)
        self.sent = sent
        """Whether something of the request may have reached it."""
        self.waited = waited
        """It was waited for in vain: the caller has no time left for another."""


class Exchange(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.closed = False
        self.born_at = self.idle_since = asyncio.get_running_loop().time()
        self.used = False
        """It carried a request before: the service may have closed it meanwhile."""
        self.left = False
        """The caller no longer waits."""
        self._writable = asyncio.Event()
        self._writable.set()
        loop = asyncio.get_running_loop()
        self._deadline = Deadline(loop)
        self.slow = Deadline(loop)
        """When an answer takes so long that its caller is watched."""
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
        self._deadline.close()
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
        # Who answers before the body is whole wants no more of it.
        self._writable.set()
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
        """Send a request; its body as it comes, no faster than the service takes it.

        A service that answers before it has all of the body gets no more of it.

        Raises:
            UpstreamDown: It closed, or took nothing for too long.
        """
        assert self.transport is not None  # noqa: S101 - connected before it is handed out
        self.transport.write(head)
        if body is None:
            return
        async for block in body:
            if self.answered:
                self._keep = False
                return
            if self.closed:
                raise UpstreamDown("closed while sending", sent=True)
            self.transport.write(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
            if not self._writable.is_set():
                await self._taken()
        if chunked and not self.closed:
            self.transport.write(b"0\r\n\r\n")

    @property
    def answered(self) -> bool:
        """Whether the head of an answer has come."""
        return self._head.done() and not self._head.cancelled() and self._head.exception() is None

    async def _taken(self) -> None:
        try:
            async with asyncio.timeout(STALLED_S):
                await self._writable.wait()
        except TimeoutError:
            self._fail()
            raise UpstreamDown("takes no more of the body", sent=True, waited=True) from None

    async def head(self) -> tuple[int, list[Header]]:
        """Answer status and headers once they are there.

        Raises:
            UpstreamDown: It broke off before, or says nothing.
        """
        if self._head.done():
            return self._head.result()
        self._deadline.within(HEAD_WITHIN_S, self._late)
        try:
            return await self._head
        finally:
            self._deadline.over()

    def _late(self) -> None:
        if not self._head.done():
            self._head.set_exception(UpstreamDown("does not answer in time", sent=True, waited=True))
        self._fail()

    async def whole(self) -> bytes:
        """Answer a body at once; only for one that is known to be small.

        Raises:
            UpstreamDown: It broke off.
        """
        if not self._whole:
            return b"".join([block async for block in self.body()])
        found = b"".join(self._blocks)
        self._blocks.clear()
        return found

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
                raise UpstreamDown("fell silent inside the body", sent=True, waited=True) from None

    @property
    def reusable(self) -> bool:
        """Whether another request may follow."""
        return self._whole and self._keep and not self.closed and not self._broken

    def rest(self) -> None:
        """Make ready for the next request."""
        self.used = True
        self._begin()


def request_head(method: str, target: bytes, headers: Iterable[Header]) -> bytes:
    """Answer the head of a request, built anew: nothing that a caller sent stands in it unread."""
    lines = [b"%b %b HTTP/1.1" % (method.encode(), target)]
    lines += [b"%b: %b" % header for header in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"
