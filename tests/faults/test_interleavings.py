"""Two requests on one referral, their transactions interleaved in every order: exactly, without a sleep that hopes.

Each request stops before its locks, before it reads what stands under them, and before its COMMIT; a
schedule says whose turn it is. So the app's own statements and its own decisions are walked through, as PostgreSQL's
isolation tester does it with statements alone. Whoever waits for a lock misses its turn.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from api.referral.world import BEN, GIVEN, HERS, RECIPIENT, SENDER, Handover, World, if_match, opened, problem
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only

from relais_local.databases import Access
from relais_referral.store import callers
from relais_shared.reading import Reading

pytestmark = pytest.mark.anyio

PARTS = 4
"""Of each transaction: up to its locks, up to reading what they hold, up to COMMIT, COMMIT."""
SCHEDULES = [
    "".join("a" if place in firsts else "b" for place in range(2 * PARTS))
    for firsts in combinations(range(2 * PARTS), PARTS)
]
"""Every order of the parts of two transactions: 70."""
GATES = re.compile(r"take_turn\(|LATERAL")
"""What is in a statement before which a request stops: in that which locks, and in that which reads it all."""
A_LOOK_S = 0.005
"""How often it is asked whether somebody waits for a lock; nothing depends on it."""


@dataclass
class Request:
    """One request that goes on when told to."""

    task: "asyncio.Task[httpx.Response] | None" = None
    pid: int | None = None
    passed: set[str] = field(default_factory=set)
    may_go: asyncio.Event = field(default_factory=asyncio.Event)
    stands: asyncio.Event = field(default_factory=asyncio.Event)

    async def stop(self, gate: str) -> None:
        """Stand before a gate, the first time, until told to go on."""
        if gate not in self.passed:
            self.passed.add(gate)
            self.stands.set()
            await self.may_go.wait()
            self.may_go.clear()


_UNDER_WAY: ContextVar[Request | None] = ContextVar("under_way", default=None)


@contextmanager
def gates(world: World) -> Iterator[None]:
    """Put the gates into every transaction of the requests that are walked through."""
    engine = world.app.state.database.engine.sync_engine

    begin, read = callers.begun_by, Reading.rows

    def beginning(session: Session, sql: str, values: Sequence[Any]) -> None:
        request = _UNDER_WAY.get()
        if request is not None:
            request.pid = session.connection().connection.driver_connection.get_server_pid()  # type: ignore[union-attr]
            if gate := GATES.search(sql):
                await_only(request.stop(gate[0]))
        begin(session, sql, values)

    async def reading(query: Reading, tx: AsyncSession, **values: Any) -> Sequence[asyncpg.Record]:
        request = _UNDER_WAY.get()
        if request is not None and (gate := GATES.search(query.statement.sql)):
            await request.stop(gate[0])
        return await read(query, tx, **values)

    def commit(_connection: Connection) -> None:
        request = _UNDER_WAY.get()
        if request is not None:
            await_only(request.stop("commit"))

    event.listen(engine, "commit", commit)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(callers, "begun_by", beginning)
            patch.setattr(Reading, "rows", reading)
            yield
    finally:
        event.remove(engine, "commit", commit)


class Walk:
    """Two requests walked through in the order of a schedule.

    Attributes:
        answered: In which order they were answered.
        locking: In which order they asked for the referral's lock.
        began: What had been answered when each began.
    """

    def __init__(self, observer: asyncpg.Connection, **ways: Callable[[], Awaitable[httpx.Response]]) -> None:
        self._observer = observer
        self._ways = ways
        self._requests = {name: Request() for name in ways}
        self.answered: list[str] = []
        self.locking: list[str] = []
        self.began: dict[str, list[str]] = {}

    async def run(self, schedule: str) -> dict[str, httpx.Response]:
        """Go through a schedule, then to the end; answer both answers."""
        for name in [*schedule, *sorted(self._ways) * 2]:
            await self._turn(name)
        return {name: await request.task for name, request in self._requests.items() if request.task}

    async def _turn(self, name: str) -> None:
        request = self._requests[name]
        if request.task is None:
            self.began[name] = list(self.answered)
            request.task = asyncio.create_task(self._go(name, request))
        elif await self._rests(request) or request.task.done():
            return
        else:
            if request.passed == {"take_turn("}:
                self.locking.append(name)
            request.stands.clear()
            request.may_go.set()
        for each in self._requests.values():
            await self._rests(each)

    async def _go(self, name: str, request: Request) -> httpx.Response:
        _UNDER_WAY.set(request)
        answer = await self._ways[name]()
        self.answered.append(name)
        return answer

    async def _rests(self, request: Request) -> bool:
        """Wait until a request stands before a gate, has ended, or waits for a lock; answer whether it waits."""
        while request.task is not None and not request.task.done() and not request.stands.is_set():
            waiting = asyncio.create_task(request.stands.wait())
            await asyncio.wait({request.task, waiting}, timeout=A_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if request.pid is not None and not request.stands.is_set() and not request.task.done():
                blocked = "select cardinality(pg_blocking_pids($1)) > 0"
                if await self._observer.fetchval(blocked, request.pid):
                    return True
        return False


@pytest.fixture(name="world", scope="module")
async def _world(
    home: Path, databases: Any, fresh_database: Callable[[str], Access], anyio_backend: str
) -> AsyncIterator[World]:
    """Run the app on a database of this module's own, with gates in its transactions."""
    del home, databases, anyio_backend
    async with opened(fresh_database("referral")) as world:
        with gates(world):
            yield world


@pytest.fixture(name="observer")
async def _observer(world: World, databases: Any) -> AsyncIterator[asyncpg.Connection]:
    """Answer a connection that sees who waits for whom."""
    del databases
    connection = await asyncpg.connect(world.database.owner_dsn)
    yield connection
    await connection.close()


async def since(observer: asyncpg.Connection, handover: Handover) -> tuple[list[Any], list[asyncpg.Record]]:
    """Answer when identity was disclosed to the recipient, and the events with a state."""
    looks = await observer.fetch(
        "select at from disclosure where referral_id = $1 and organisation_id = $2 and 'identity' = any(categories)",
        UUID(handover.id),
        RECIPIENT.id,
    )
    events = await observer.fetch(
        "select at, type from event where referral_id = $1 and data ? 'state' order by number", UUID(handover.id)
    )
    return [row["at"] for row in looks], events


async def test_a_read_and_a_withdrawal_in_every_order(world: World, observer: asyncpg.Connection) -> None:
    """What is read is what stood when the lock was given; the record says so too, and after the end nothing is read."""
    for schedule in SCHEDULES:
        handover = await world.between(SENDER, RECIPIENT).proposed()
        await handover.walk("r.accept")
        before, _ = await since(observer, handover)
        walk = Walk(
            observer,
            a=lambda handover=handover: handover.recipient.get(handover.place),
            b=lambda handover=handover: handover.sender.post(f"/v1/consents/{handover.consent_id}/withdraw", json={}),
        )
        answers = await walk.run(schedule)
        read, withdrawn = answers["a"], answers["b"]
        assert (read.status_code, withdrawn.status_code) == (200, 200), schedule
        shown = GIVEN in read.text
        assert shown == (walk.locking[0] == "a"), schedule
        assert shown or not [word for word in HERS if word in read.text], schedule
        if "b" in walk.began["a"]:
            assert not shown, schedule
        looks, events = await since(observer, handover)
        assert len(looks) - len(before) == shown, schedule
        assert events[-1]["type"] == "referral.withdrawn"
        assert max(looks) <= events[-1]["at"], f"{schedule}: read after the withdrawal, says the record"
        after = await handover.recipient.get(handover.place)
        assert not [word for word in HERS if word in after.text], schedule


async def test_an_acceptance_and_a_withdrawal_in_every_order(world: World, observer: asyncpg.Connection) -> None:
    """Her word counts in any order; it was accepted before it, or not at all, and nothing is shown then."""
    for schedule in SCHEDULES:
        handover = await world.between(SENDER, RECIPIENT).proposed()
        seen = if_match(await handover.recipient.get(handover.place))
        walk = Walk(
            observer,
            a=lambda handover=handover, seen=seen: handover.recipient.post(
                f"{handover.place}/accept", headers=seen, json=BEN
            ),
            b=lambda handover=handover: handover.sender.post(f"{handover.place}/withdraw", json={}),
        )
        answers = await walk.run(schedule)
        accepted, withdrawn = answers["a"], answers["b"]
        assert withdrawn.status_code == 200, schedule
        first = walk.locking[0] == "a"
        assert accepted.status_code == 200 if first else problem(accepted)[0] == 412, schedule
        assert (GIVEN in accepted.text) == first, schedule
        looks, events = await since(observer, handover)
        types = [row["type"] for row in events]
        assert types == ["referral.proposed", *(["referral.accepted"] if first else []), "referral.withdrawn"], schedule
        times = [row["at"] for row in events]
        assert times == sorted(times), f"{schedule}: the events' times contradict their order"
        assert (len(looks), all(at <= times[-1] for at in looks)) == (int(first), True), schedule
        after = await handover.recipient.get(handover.place)
        assert after.json()["state"] == "withdrawn", schedule
        assert not [word for word in HERS if word in after.text], schedule
