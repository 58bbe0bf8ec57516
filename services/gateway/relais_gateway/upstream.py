"""One of our services, behind the door: its instances, which of them is asked, and what is remembered of each."""

import asyncio
import time
from collections import deque
from collections.abc import Collection, Sequence
from typing import Final
from urllib.parse import urlsplit

from relais_gateway.domain.circuit import OPEN_S, Circuit
from relais_gateway.exchange import Exchange, UpstreamDown, request_head
from relais_shared.refusals import Unavailable
from relais_shared.telemetry import get_logger

AT_ONCE: Final = 48
"""Calls that one instance works on for us at once, where nothing else is said: more of them make no more answers a
second, and each waits longer. Half as many again as one organisation may have under way: it never fills them alone."""
AT_LEAST: Final = 16
"""So many of them are let in however slowly it answers: fewer, and it would wait for us between two answers. Whoever
has no more under way finds a place beyond the room, while there is any: the flood is somebody else's."""
SLOW_S: Final = 0.1
"""Where one answer in five takes longer, each further call would only wait for those before it."""
QUICK: Final = 0.25
"""By how many places a quick answer makes more room; a slow one takes one away."""
CONNECT_WITHIN_S: Final = 3.0
"""Our services are near: one that takes no connection within this is down. The kernel asks again after one second what
got lost, and a machine that stands still for a moment takes nothing in it either."""
IDLE_S: Final = 30.0
"""An unused connection is closed before the service closes it (75 s)."""
LIFE_S: Final = 600.0
"""A connection is not used for longer, so that no instance keeps the callers it once had."""
IDLE_AT_MOST: Final = 64
"""Unused connections kept to one instance: a burst leaves no more behind."""

CHECK_EVERY_S: Final = 1.0
"""How often each instance is asked whether it is ready."""
CHECK_WITHIN_S: Final = 2.0
"""How long it may take to say so: it asks its database and what else it needs."""
EJECTED_AFTER: Final = 2
"""Checks in a row without a yes; the first yes lets it in again."""

OK: Final = 200


class CircuitOpen(UpstreamDown):
    """No instance is asked at this moment: each failed too often just now."""

    def __init__(self) -> None:
        super().__init__("left alone for a moment", sent=False)
        self.wait_s = max(1, round(OPEN_S))


class Busy(Unavailable):
    """As many calls as a service may work on at once wait for it already."""


class Instance:
    """One process of a service, over a pool of kept connections.

    Args:
        name: Of the service.
        url: Where this one listens.
    """

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.authority = f"{host}:{self._port}".encode()
        self.circuit = Circuit()
        self.ready = True
        """As the last checks said; before the first one it is believed."""
        self.under_way = 0
        """Requests that it works on."""
        self._missed = 0
        self._idle: deque[Exchange] = deque()

    async def take(self, *, fresh: bool = False) -> Exchange:
        """Answer a connection for one request, to be given back whatever happens.

        Args:
            fresh: A new one, not a kept one.

        Raises:
            UpstreamDown: It takes no connection.
        """
        if not fresh and (kept := self.kept()) is not None:
            return kept
        self.under_way += 1
        self.circuit.begin()
        try:
            return await self._connected()
        except UpstreamDown:
            self.under_way -= 1
            self.failed()
            raise
        except BaseException:
            self.under_way -= 1
            self.circuit.let_go()
            raise

    def kept(self) -> Exchange | None:
        """Answer a kept connection for one request, to be given back whatever happens; None where there is none."""
        now = time.monotonic()
        while self._idle:
            kept = self._idle.pop()
            if kept.reusable and now - kept.idle_since < IDLE_S:
                self.under_way += 1
                self.circuit.begin()
                return kept
            kept.abort()
        return None

    async def _connected(self) -> Exchange:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                _, exchange = await loop.create_connection(Exchange, self._host, self._port)
        except (OSError, TimeoutError) as fault:
            raise UpstreamDown(f"takes no connection: {type(fault).__name__}", sent=False) from fault
        return exchange

    def give_back(self, exchange: Exchange) -> None:
        """Keep a connection for the next request, or close it."""
        self.under_way -= 1
        now = time.monotonic()
        if exchange.reusable and now - exchange.born_at < LIFE_S and len(self._idle) < IDLE_AT_MOST:
            exchange.used, exchange.idle_since = True, now
            self._idle.append(exchange)
        else:
            exchange.abort()

    def failed(self) -> None:
        """Note that it did not answer a request."""
        if self.circuit.failed(time.monotonic()):
            get_logger().warning("circuit open", service=self.name, instance=self.authority.decode())

    async def check(self) -> bool:
        """Ask whether it is ready, on a connection of its own; remember what it says, and answer whether it is back."""
        was = self.ready
        if await self._says_ready():
            self._missed, self.ready = 0, True
        else:
            self._missed += 1
            self.ready = self.ready and self._missed < EJECTED_AFTER
        if self.ready is not was:
            word = "instance readmitted" if self.ready else "instance ejected"
            get_logger().warning(word, service=self.name, instance=self.authority.decode())
        return self._missed == 0

    async def _says_ready(self) -> bool:
        exchange: Exchange | None = None
        try:
            async with asyncio.timeout(CHECK_WITHIN_S):
                exchange = await self._connected()
                head = request_head("GET", b"/readyz", [(b"host", self.authority), (b"connection", b"close")])
                exchange.begin(head)
                await exchange.head()
                return exchange.status == OK
        except (UpstreamDown, TimeoutError):
            return False
        finally:
            if exchange is not None:
                exchange.abort()

    def sweep(self) -> None:
        """Close the connections that nobody used for too long."""
        now = time.monotonic()
        # Given back at the right end and taken from it: the oldest stand at the left.
        while self._idle and (self._idle[0].closed or now - self._idle[0].idle_since >= IDLE_S):
            self._idle.popleft().abort()

    @property
    def idle(self) -> int:
        """How many connections wait for a request."""
        return len(self._idle)

    def close(self) -> None:
        """Close every kept connection."""
        while self._idle:
            self._idle.pop().abort()


class Upstream:
    """One of our services: the instances of it that there are.

    Args:
        name: What it is called.
        urls: Where its instances listen.
        at_once: Calls that each of them works on for this process at once.
    """

    def __init__(self, name: str, urls: Sequence[str], at_once: int = AT_ONCE) -> None:
        self.name = name
        self.instances = [Instance(name, url) for url in urls]
        self.working = 0
        """Calls that are whole and not answered yet: what a caller still sends, or already reads, costs it nothing."""
        self._most = at_once * len(urls)
        self._least = min(AT_LEAST, at_once) * len(urls)
        self._room = float(self._most)
        self.changed = asyncio.Event()
        """An instance came (back): what it serves may be another than before."""
        self._turn = 0

    def took(self, seconds: float) -> None:
        """Note how long an answer took: there is room for as many calls as are answered soon, four in five of them."""
        if seconds > SLOW_S:
            self._room = max(self._room - 1, self._least)
        else:
            self._room = min(self._room + QUICK, self._most)

    def busy(self, running: int = 1) -> Busy | None:
        """Answer the refusal of one call more, where it has as much to do as it can bear.

        A line that only grows would be waited in for nothing, and whoever makes it grow keeps nobody else out.

        Args:
            running: Calls that whoever calls has under way, this one among them.
        """
        if self.working < (self._most if running <= self._least else self._room):
            return None
        return Busy("Relais has as much to do as it can bear. Wait as Retry-After says, then call again.")

    async def take(self, but: Collection[Instance] = ()) -> tuple[Instance, Exchange]:
        """Answer a connection to the instance that has least to do, and that instance.

        Nothing is sent here: one that takes no connection is passed over, whatever the request will be.

        Args:
            but: Instances that have failed this request already.

        Raises:
            UpstreamDown: None takes a connection.
            CircuitOpen: None is asked at this moment.
        """
        passed, fault = list(but), UpstreamDown("takes no connection", sent=False)
        while (instance := self._choose(passed)) is not None:
            try:
                return instance, await instance.take()
            except UpstreamDown as down:
                fault = down
                passed.append(instance)
        raise fault if passed else CircuitOpen

    def kept(self) -> tuple[Instance, Exchange] | None:
        """Answer a kept connection to the instance that has least to do, and that instance; None: one is to be made."""
        instance = self._choose(())
        exchange = instance.kept() if instance is not None else None
        return (instance, exchange) if instance is not None and exchange is not None else None

    def _choose(self, passed: Collection[Instance]) -> Instance | None:
        now = time.monotonic()
        there = [one for one in self.instances if one not in passed and one.circuit.lets(now)]
        if len(there) <= 1:
            return there[0] if there else None
        self._turn += 1
        place = self._turn % len(there)
        # Where none is ready, the one that can answer something says better than we why not.
        turn = [one for one in (*there[place:], *there[:place]) if one.ready] or there
        return min(turn, key=lambda one: one.under_way)

    async def keep_checking(self) -> None:
        """Ask every instance again and again whether it is ready; close what nobody uses."""
        missing: set[Instance] = set()
        while True:
            answers = await asyncio.gather(*(one.check() for one in self.instances))
            gone = {one for one, yes in zip(self.instances, answers, strict=True) if not yes}
            if missing - gone:
                self.changed.set()
            missing = gone
            for one in self.instances:
                one.sweep()
            await asyncio.sleep(CHECK_EVERY_S)

    def close(self) -> None:
        """Close every kept connection."""
        for one in self.instances:
            one.close()
