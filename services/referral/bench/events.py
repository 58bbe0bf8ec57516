"""How soon an event that was committed reaches a receiver, how many do, and what writing it costs a step.

`make bench-events` runs a whole Relais with its own worker. Events are written by transactions of the app's own code at
a steady rate; the receiver stands in this process, so that both instants are of one clock.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import orjson
from sqlalchemy import select
from sqlmodel import col

sys.path.insert(0, str(Path(__file__).parents[3] / "tests"))

from support.measuring import ROUNDS, Result, report
from support.stack import Stack, if_match, key

from relais_referral import store
from relais_referral.models.referrals import Referral
from relais_referral.rewrapping import WORKER
from relais_referral.settings import ReferralSettings
from relais_shared.db import Database

REFERRALS = 150
"""Hand-overs whose events are sent, of each one at a time; so many that each stays as short as real ones are."""
RATES = (10, 100)
"""Events a second."""
SECONDS = 10.0
"""Of one rate."""
BURST = 1_000
"""Events that wait, to see how many leave in a second."""
TYPE = "referral.meeting_replanned"
AT_ONCE = 8
"""Transactions under way; a service has ten connections too."""
COST = 150
"""Transactions of one side in one turn."""


@dataclass
class Receiver:
    """Takes what comes, and when."""

    came: dict[tuple[str, int], float] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: set[asyncio.Task[Any]] = field(default_factory=set)
    """One for each connection; they are kept."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's messages."""
        if (task := asyncio.current_task()) is not None:
            self.under_way.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                told = orjson.loads(await reader.readexactly(length))["data"]
                self.came.setdefault((told["subject_id"], told["sequence"]), time.perf_counter())
                self.news.set()
                writer.write(b"HTTP/1.1 204 Taken\r\n\r\n")
                await writer.drain()
        except (EOFError, ConnectionError, asyncio.CancelledError):
            writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, int]]:
    """Run a receiver; answer it with its port."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    try:
        yield receiver, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in receiver.under_way:
            task.cancel()


def proposed(ana: httpx.Client, service: dict[str, Any]) -> str:
    """Propose a hand-over by real calls."""
    to = {"organisation_id": service["organisation"]["id"], "service_id": service["id"]}
    draft = {
        "recipient": to,
        "counsellor": {"name": "Ana Lopes"},
        "person": {
            "identity": {"given_name": "Mesure"},
            "contact": {"reach": "via_sender"},
            "area": {"municipality": "be:52011"},
            "languages": ["fr"],
        },
        "needs": [{"theme": service["service"]["themes"][0]}],
    }
    id_ = ana.post("/v1/referrals", headers=key(), json=draft).json()["id"]
    agreed = {
        "purposes": ["referral"],
        "data_categories": ["identity", "contact", "needs"],
        "method": "in_person_oral",
        "language": "fr",
        "notice_version": "2026-1",
        "collected_by": "Ana Lopes",
        "given_at": datetime.now(UTC).isoformat(),
    }
    place = f"/v1/referrals/{id_}"
    assert ana.post(f"{place}/consents", headers=key(), json=agreed).status_code == 201
    assert ana.post(f"{place}/propose", headers=if_match(ana.get(place)), json={}).status_code == 200
    found: str = id_
    return found


class Writer:
    """Commits events as a step does: the referral locked, its event chained, one transaction."""

    def __init__(self, database: Database, ids: list[str]) -> None:
        self._database = database
        self.ids = ids
        self.sequence = dict.fromkeys(ids, 1)
        self.committed: dict[tuple[str, int], float] = {}
        self._room = asyncio.Semaphore(AT_ONCE)
        self._turn = {id_: asyncio.Lock() for id_ in ids}

    async def write(self, number: int, *, event: bool = True) -> None:
        """Commit one change of a referral, with its event or without."""
        id_ = self.ids[number % len(self.ids)]
        async with self._turn[id_], self._room:
            async with self._database.write() as tx:
                await store.callers.begin(tx, WORKER)
                query = select(Referral).where(col(Referral.id) == UUID(id_)).with_for_update()
                referral = (await tx.scalars(query)).one()
                referral.updated_at = datetime.now(UTC)
                if event:
                    store.trail.add_event(
                        tx,
                        referral,
                        TYPE,
                        actor="bench",
                        organisation_id=referral.recipient_id,
                        at=referral.updated_at,
                        data={"state": referral.state},
                    )
            if event:
                self.sequence[id_] += 1
                self.committed[(id_, self.sequence[id_])] = time.perf_counter()


async def all_came(receiver: Receiver, writer: Writer) -> None:
    """Wait until everything that was committed has come."""
    while not writer.committed.keys() <= receiver.came.keys():
        receiver.news.clear()
        async with asyncio.timeout(120):
            await receiver.news.wait()


async def at_rate(receiver: Receiver, writer: Writer, rate: int) -> list[float]:
    """Commit so many events a second for a while; answer the seconds from commit to arrival, sorted."""
    writer.committed.clear()
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(rate * SECONDS)):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            tasks.create_task(writer.write(number))
    await all_came(receiver, writer)
    return sorted(receiver.came[one] - at for one, at in writer.committed.items())


def switch(ben: httpx.Client, endpoint: str, *, on: bool) -> None:
    """Switch an endpoint on or off."""
    ben.patch(endpoint, headers=if_match(ben.get(endpoint)), json={"enabled": on})


def send_again(ben: httpx.Client, endpoint: str) -> None:
    """Send all that happened while an endpoint was off, once it stands in its log."""
    while ben.get(endpoint).json()["health"]["set_aside"] < BURST:
        time.sleep(0.1)
    switch(ben, endpoint, on=True)
    assert ben.post(f"{endpoint}/replay", json={}).json() == {"count": BURST}


async def burst(receiver: Receiver, writer: Writer, ben: httpx.Client, endpoint: str) -> float:
    """Let many events wait, send them; answer the deliveries a second from the first to the last.

    They are written while the endpoint is switched off: the writer takes more of the machine than the worker.
    """
    writer.committed.clear()
    await asyncio.to_thread(switch, ben, endpoint, on=False)
    places = iter(range(BURST))

    async def some() -> None:
        for number in places:
            await writer.write(number)

    await asyncio.gather(*(some() for _ in range(8)))
    await asyncio.to_thread(send_again, ben, endpoint)
    await all_came(receiver, writer)
    came = [receiver.came[one] for one in writer.committed]
    return len(came) / (max(came) - min(came))


async def cost(writer: Writer) -> tuple[list[float], list[float]]:
    """Answer transactions a second with their event and without, in turns."""

    async def side(*, event: bool) -> float:
        began = time.perf_counter()
        for number in range(COST):
            await writer.write(number, event=event)
        return COST / (time.perf_counter() - began)

    sides: tuple[Callable[[], Awaitable[float]], ...] = (lambda: side(event=True), lambda: side(event=False))
    for one in sides:
        await one()
    pairs = [(await sides[0](), await sides[1]()) for _ in range(ROUNDS)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def told(name: str, ours: float, theirs: float, unit: str) -> Result:
    """Answer a line without a target: to be known."""
    return Result(name, round(ours, 1), round(theirs, 1), round(ours / theirs, 2), None, True, unit, ROUNDS)


async def measured(stack: Stack) -> None:
    """Measure everything on a running stack."""
    ben_client = stack.clients("referral:receive", "webhook:manage")[0]
    ana_client = next(one for one in stack.clients("referral:send", "directory:read") if one != ben_client)
    async with receiving() as (receiver, port):
        with stack.api(ana_client) as ana, stack.api(ben_client) as ben:
            made = ben.post("/v1/webhooks", json={"url": f"http://127.0.0.1:{port}/in", "types": [TYPE]})
            assert made.status_code == 201, made.text
            params = {"organisation_id": ben_client["organisation_id"], "limit": 50}
            cards = ana.get("/v1/directory/search", params=params).json()["items"]
            service = next(one for one in cards if one["can_receive"] == "relais")
            ids = [proposed(ana, service) for _ in range(REFERRALS)]
        endpoint = f"/v1/webhooks/{made.json()['id']}"
        database = Database(ReferralSettings.load())
        writer = Writer(database, ids)
        # What a recipient was told before counts: its agreement is told to the sender alone, the proposal to both.
        with stack.api(ben_client) as ben:
            feed = ben.get("/v1/events", params={"limit": 1_000}).json()["items"]
        writer.sequence |= {one["subject_id"]: one["sequence"] for one in feed if one["subject_id"] in writer.sequence}
        results = []
        for rate in RATES:
            waits = await at_rate(receiver, writer, rate)
            p50, p95 = (1_000 * waits[int(len(waits) * share)] for share in (0.5, 0.95))
            print(f"commit to first delivery at {rate} events/s: p50 {p50:.0f} ms, p95 {p95:.0f} ms")
            results.append(told(f"commit to delivery at {rate} events/s, p95 beside p50", p95, p50, "ms"))
        with stack.api(ben_client) as ben:
            each = await burst(receiver, writer, ben, endpoint)
        print(f"deliveries: {each:.0f} a second to one receiver")
        results.append(told("deliveries a second, one receiver, beside 1", each, 1, "deliveries/s"))
        ours, theirs = await cost(writer)
        await all_came(receiver, writer)
        ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
        print(f"a transaction with its event, beside one without: {ratio:.2f} of its rate")
        results.append(
            told("transactions with their event / without", statistics.median(ours), statistics.median(theirs), "tx/s")
        )
        await database.close()
    report("events", results)


def main() -> None:
    """Start a whole Relais of its own, measure it."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack.start(Path(folder) / "home")
        os.environ["RELAIS_HOME"] = str(stack.home)
        try:
            asyncio.run(measured(stack))
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
