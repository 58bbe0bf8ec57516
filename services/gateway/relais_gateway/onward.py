"""One request on its way to a service: its head built anew, its body passed on, sent again where it may be."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope

from relais_gateway.exchange import Exchange, Header, UpstreamDown, request_head
from relais_gateway.upstream import Instance, Upstream
from relais_shared.refusals import MalformedRequest, Refusal

NEVER_ON: Final = frozenset(
    {
        b"authorization", b"baggage", b"connection", b"content-length", b"cookie", b"dpop", b"expect", b"forwarded",
        b"host", b"keep-alive", b"proxy-authorization", b"proxy-connection", b"relais-on-behalf-of", b"te",
        b"traceparent", b"tracestate", b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
"""Headers of a caller that go no further: they speak of this connection, or would speak in our name."""

NEVER_BACK: Final = frozenset(
    {b"connection", b"date", b"keep-alive", b"proxy-connection", b"server", b"te", b"trailer", b"traceresponse",
     b"transfer-encoding", b"upgrade"}
)  # fmt: skip
"""Headers of a service that do not reach the caller."""

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""What may be sent again: it changes nothing."""

ELSEWHERE: Final = 2
"""Other instances that a safe request may be sent to when one broke off: where three fall, a fourth does not help."""

WATCH_AFTER_S: Final = 0.02
"""Before that nobody looks whether the caller left: it costs more than the answer that comes meanwhile."""

Begun = tuple[Instance, Exchange]
"""Whom a request was sent to, and on what connection."""


class TooLarge(Refusal):
    """The body is larger than allowed."""


class CallerLeft(Exception):  # noqa: N818 - nobody is at fault
    """Nobody waits for the answer any more."""


class Onward:
    """A request that goes on to a service.

    Args:
        scope: As the caller asked.
        receive: Gives the caller's body, and tells when the caller leaves.
        body_max: Bytes of a body that this operation takes.
        headers: Ours, added to what goes on of the caller's.

    Raises:
        MalformedRequest: Two ways of saying where the body ends.
        TooLarge: The body says that it is larger than allowed.
    """

    def __init__(self, scope: Scope, receive: Receive, body_max: int, headers: list[Header]) -> None:
        self._receive = receive
        self._body_max = body_max
        self._safe = scope["method"] in SAFE
        kept, self._chunked, self.has_body = _kept(scope, body_max)
        self._headers = kept + headers
        self._working = 0
        self._since = 0.0
        self._method = scope["method"]
        self._target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")

    def add(self, headers: Iterable[Header]) -> None:
        """Add more of our own headers."""
        self._headers += headers

    def begin(self, instance: Instance, exchange: Exchange) -> None:
        """Send its head."""
        headers = [(b"host", instance.authority), *self._headers]
        exchange.begin(request_head(self._method, self._target, headers))

    async def asked(self, upstream: Upstream, begun: Begun | None = None) -> "Answer":
        """Send it, and answer what comes back: the whole of a small answer, the head of another.

        A safe one that broke off is sent again: on a fresh connection where the kept one was stale, else to another
        instance. Nothing else is ever sent twice: it may have been done.

        Args:
            upstream: The service.
            begun: Whom it was sent to already.

        Raises:
            Busy: The service has as much to do as it can bear.
            UpstreamDown: No instance answered.
            CallerLeft: The caller went meanwhile.
        """
        if begun is None and (busy := upstream.busy()) is not None:
            raise busy
        try:
            if not self.has_body:
                self._works(upstream)
            return await self._answered(upstream, begun)
        finally:
            upstream.working -= self._working
            if self._working:
                upstream.took(time.monotonic() - self._since)

    def _works(self, upstream: Upstream) -> None:
        self._working = 1
        upstream.working += 1
        self._since = time.monotonic()

    async def _answered(self, upstream: Upstream, begun: Begun | None) -> "Answer":
        again = self._safe and not self.has_body
        failed: list[Instance] = []
        instance, exchange = begun or await upstream.take()
        while True:
            try:
                if begun is None:
                    self.begin(instance, exchange)
                begun = None
                return await self._once(upstream, instance, exchange)
            except UpstreamDown as fault:
                stale = again and exchange.used and fault.sent and not exchange.status
                instance.give_back(exchange)
                if stale:
                    # It may have been closed while nobody used it: that says nothing of the instance.
                    instance.circuit.let_go()
                    try:
                        exchange = await instance.take(fresh=True)
                        continue
                    except UpstreamDown:
                        pass
                else:
                    instance.failed()
                failed.append(instance)
                if not again or fault.waited or len(failed) > min(ELSEWHERE, len(upstream.instances) - 1):
                    raise
                instance, exchange = await upstream.take(but=failed)
            except BaseException:
                instance.circuit.let_go()
                instance.give_back(exchange)
                raise

    async def _once(self, upstream: Upstream, instance: Instance, exchange: Exchange) -> "Answer":
        leaving = _Leaving(self._receive, exchange)
        try:
            if self.has_body:
                await exchange.send(self._body(), chunked=self._chunked)
                # A body that trickles keeps no place from anybody: the service waits for it, and computes nothing.
                self._works(upstream)
            leaving.watch()
            await exchange.head()
            instance.circuit.worked()
            whole = exchange.there()
            if whole is None and self._safe and exchange.small:
                # What breaks inside a small answer was not passed on yet, and may be asked of another instance.
                whole = await exchange.whole()
        except BaseException:
            leaving.stop()
            exchange.abort()
            if exchange.left:
                raise CallerLeft from None
            raise
        return Answer(instance, exchange, leaving, whole)

    async def _body(self) -> AsyncIterator[bytes]:
        """Answer the caller's body as it comes, counted.

        Raises:
            TooLarge: It grows beyond what is allowed.
            CallerLeft: No more will come.
        """
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise CallerLeft
            block = message.get("body", b"")
            size += len(block)
            if size > self._body_max:
                raise too_large(self._body_max)
            if block:
                yield block
            if not message.get("more_body", False):
                return


@dataclass(slots=True)
class Answer:
    """What a service answered; to be ended whatever happens.

    Attributes:
        whole: Its body, where all of that is there.
    """

    _instance: Instance
    exchange: Exchange
    _leaving: "_Leaving"
    whole: bytes | None

    def end(self) -> None:
        """Give the connection back."""
        self._leaving.stop()
        self._instance.give_back(self.exchange)


class _Leaving:
    """Waits for the caller to leave, then lets the service know by closing.

    Most answers are there within a few milliseconds: only later does a task of its own wait.
    """

    __slots__ = ("_exchange", "_receive", "_task")

    def __init__(self, receive: Receive, exchange: Exchange) -> None:
        self._receive = receive
        self._exchange = exchange
        self._task: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Begin, in a moment."""
        self._exchange.slow.within(WATCH_AFTER_S, self._begin)

    def _begin(self) -> None:
        self._task = asyncio.ensure_future(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._exchange.left = True
        self._exchange.abort()

    def stop(self) -> None:
        """Wait no longer."""
        self._exchange.slow.over()
        if self._task is not None:
            self._task.cancel()


def too_large(most: int) -> TooLarge:
    """Answer the refusal of a body beyond what an operation takes."""
    return TooLarge(f"At most {most >> 20} MiB.")


def _kept(scope: Scope, body_max: int) -> tuple[list[Header], bool, bool]:
    """Answer the caller's headers that go on, whether the body is sent in chunks, and whether there is one.

    Raises:
        MalformedRequest: Two ways of saying where the body ends.
        TooLarge: The body says that it is larger than allowed.
    """
    headers, lengths, codings = _sorted(scope["headers"])
    if len(lengths) > 1 or (lengths and codings) or len(codings) > 1:
        raise MalformedRequest("Say once where the body ends.")
    if lengths and (not lengths[0].isdigit() or int(lengths[0]) > body_max):
        raise too_large(body_max)
    if codings:
        headers.append((b"transfer-encoding", b"chunked"))
    elif lengths:
        headers.append((b"content-length", lengths[0]))
    return headers, bool(codings), bool(codings) or (bool(lengths) and lengths[0] != b"0")


def _sorted(given: Iterable[Header]) -> tuple[list[Header], list[bytes], list[bytes]]:
    """Answer the headers that go on, and what was said of where the body ends: lengths, then codings."""
    lengths: list[bytes] = []
    codings: list[bytes] = []
    headers: list[Header] = []
    named: set[bytes] = set()
    for name, value in given:
        if name not in NEVER_ON:
            if not name.startswith((b"x-relais-", b"x-forwarded-")):
                headers.append((name, value))
        elif name == b"content-length":
            lengths.append(value)
        elif name == b"transfer-encoding":
            codings.append(value)
        elif name == b"connection":
            named.update(part.strip().lower() for part in value.split(b","))
    if named:
        # What a caller calls a word between it and us goes no further either (RFC 9110, section 7.6.1).
        headers = [header for header in headers if header[0] not in named]
    return headers, lengths, codings
