"""One connection toward one of our services: HTTP/1.1, one request at a time, no body in memory.

`docs/decisions/0008` says why this is not httpx.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
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
        self.born_at = self.idle_since = time.monotonic()
        self.used = False
        """It carried a request before: the service may have closed it meanwhile."""
        self.left = False
        """The caller no longer waits."""
        self._writable = asyncio.Event()
        self._writable.set()
        self._loop = asyncio.get_running_loop()
        self._deadline = Deadline(self._loop)
        self.slow = Deadline(self._loop)
        """When an answer takes so long that its caller is watched."""
        self._heard: Callable[[], None] | None = None
        self.late = False
        """Nothing came in the time for which it was followed."""
        self._parser = httptools.HttpResponseParser(self)
        self._asked = False
        self.status = 0
        """Of the answer; 0 before its head has come."""
        self.headers: list[Header] = []
        self._blocks: deque[bytes] = deque()
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
        if self._heard is not None:
            self._heard()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits for an answer."""
        del exc
        self.closed = True
        self._deadline.close()
        self._writable.set()
        if not self._whole:
            self._broken = True
        if self._heard is not None:
            self._heard()

    def pause_writing(self) -> None:
        """Stop sending: the service is slow to read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on sending."""
        self._writable.set()

    def on_message_begin(self) -> None:
        """See that one answer comes to one request: another would be taken for that to the next.

        Raises:
            UpstreamDown: The service says more than it was asked; the parser stops there.
        """
        if not self._asked:
            raise UpstreamDown("says more than it was asked", sent=True)
        self._asked = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Hand out the head of the answer."""
        self._keep = self._parser.should_keep_alive()
        # Who answers before the body is whole wants no more of it.
        self._writable.set()
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Keep a block, and ask the service to pause when many wait."""
        self._blocks.append(body)
        if len(self._blocks) > WAITING and self.transport is not None:
            self.transport.pause_reading()

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self._whole = True

    def _fail(self) -> None:
        self._broken = True
        self.abort()

    def abort(self) -> None:
        """Close the connection at once, whatever is under way."""
        if self.transport is not None:
            self.transport.abort()

    def begin(self, head: bytes) -> None:
        """Send the head of a request."""
        assert self.transport is not None  # noqa: S101 - connected before it is handed out
        self._asked, self.status, self.headers, self._whole = True, 0, [], False
        self.transport.write(head)

    async def send(self, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        """Send the body of a request as it comes, no faster than the service takes it.

        A service that answers before it has all of the body gets no more of it.

        Raises:
            UpstreamDown: It closed, or took nothing for too long.
        """
        assert self.transport is not None  # noqa: S101 - connected before it is handed out
        async for block in body:
            if self.status:
                self._keep = False
                return
            if self.closed:
                raise UpstreamDown("closed while sending", sent=True)
            self.transport.write(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
            if not self._writable.is_set():
                await self._taken()
        if chunked and not self.closed:
            self.transport.write(b"0\r\n\r\n")

    async def _taken(self) -> None:
        try:
            async with asyncio.timeout(STALLED_S):
                await self._writable.wait()
        except TimeoutError:
            self._fail()
            raise UpstreamDown("takes no more of the body", sent=True, waited=True) from None

    def follow(self, heard: Callable[[], None] | None, seconds: float = 0) -> None:
        """Let it be told when something of the answer comes, when the connection ends, and when it is `late`.

        Args:
            heard: Told of each; nobody is told any more where None.
            seconds: After which it is late.
        """
        self._heard, self.late = heard, False
        if heard is None:
            self._deadline.over()
        else:
            self._deadline.within(seconds, self._late)

    def _late(self) -> None:
        self.late = True
        if self._heard is not None:
            self._heard()

    async def _news(self, seconds: float, silence: str) -> None:
        """Wait until something of the answer comes, or the connection ends.

        Raises:
            UpstreamDown: Neither in time, in the words for that silence.
        """
        waiter: asyncio.Future[None] = self._loop.create_future()

        def heard() -> None:
            if not waiter.done():
                waiter.set_result(None)

        self.follow(heard, seconds)
        try:
            await waiter
            late = self.late
        finally:
            self.follow(None)
        if late:
            self._fail()
            raise UpstreamDown(silence, sent=True, waited=True)

    async def head(self) -> None:
        """Wait for status and headers.

        Raises:
            UpstreamDown: It broke off before, or says nothing.
        """
        while not self.status:
            if self.broken:
                raise UpstreamDown("broke off", sent=True)
            await self._news(HEAD_WITHIN_S, "does not answer in time")

    @property
    def broken(self) -> bool:
        """Whether no more will come."""
        return self._broken or self.closed

    @property
    def small(self) -> bool:
        """Whether an answer, whose head has come, says that it is small."""
        length = next((value for name, value in self.headers if name == b"content-length"), b"")
        return length.isdigit() and int(length) <= SMALL

    def there(self) -> bytes | None:
        """Answer the body where all of it is there and nothing waits behind it."""
        if not self._whole or len(self._blocks) > WAITING:
            return None
        body = b"".join(self._blocks)
        self._blocks.clear()
        return body

    async def whole(self) -> bytes:
        """Answer a body at once; only for one that is known to be small.

        Raises:
            UpstreamDown: It broke off.
        """
        return b"".join([block async for block in self.body()])

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
            if self.broken:
                raise UpstreamDown("broke off inside the body", sent=True)
            await self._news(SILENT_S, "fell silent inside the body")

    @property
    def reusable(self) -> bool:
        """Whether another request may follow: the answer is whole, and read."""
        return self._whole and self._keep and not self._broken and not self.closed and not self._blocks


def request_head(method: str, target: bytes, headers: Iterable[Header]) -> bytes:
    """Answer the head of a request, built anew: nothing that a caller sent stands in it unread."""
    return b"\r\n".join((b"%b %b HTTP/1.1" % (method.encode(), target), *map(b": ".join, headers), b"", b""))
