"""`kill -9` at any moment of a running load: what was confirmed is there, once, and every state has its event.

The load keeps a ledger of what was confirmed to it, and repeats what was not, as a careful client does: a creation
with its own Idempotency-Key, a step after reading again. The seed of the moments stands in the test's
name; `RELAIS_SEED=7` takes that one.
"""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from api.referral.world import BODIES, GIVEN, OUTSIDER, RECIPIENT, SENDER, a_consent, a_draft, if_match, key
from support.served import UP_WITHIN_S, Served, served

from relais_local.home import Home
from relais_referral.domain.handshake import EVENTS, HANDED_OVER, Action
from relais_shared.client import Client

pytestmark = pytest.mark.anyio

SEED = int(os.environ["RELAIS_SEED"])
KILLS_OF_SERVICE, KILLS_OF_WORKER, KILLS_OF_DATABASE = 50, 50, 4
AT_ONCE = 6
"""Hand-overs under way at any moment."""
ANSWERS = 20
"""The app is killed after it gave at most so many answers again, and then within as long as one of them takes."""
ONE_ANSWER_S = 0.02
ONE_ROUND_S = 0.4
"""The worker is killed within so long after its start: about one round."""
AGAIN_S = 0.1
"""How long a client waits before it asks again."""

WALKS: tuple[tuple[str, ...], ...] = (
    ("propose", "r.receive", "r.accept", "r.plan_meeting", "confirm_handover", "r.confirm_handover", "r.close"),
    ("propose", "r.accept", "confirm_handover", "r.confirm_handover", "withdraw"),
    ("propose", "r.receive", "r.decline"),
    ("propose", "cancel"),
    ("propose", "r.accept"),
)
ENDS_OF_CONSENT = {"consent.expired": "expired", "consent.withdrawn": "withdrawn", "consent.expiring": None}
"""What happens to an agreement by itself, or with a step; and how it stands then."""
LASTS = (timedelta(seconds=1), timedelta(days=10), None)
"""How long her agreement holds: it runs out under the worker's hands, it is warned of, it stands."""


@dataclass
class Ledger:
    """What was confirmed: by a good answer, or by reading it after an answer was lost."""

    confirmed: dict[str, list[str]] = field(default_factory=dict)
    shown: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    since: datetime = field(default_factory=lambda: datetime.now(UTC))

    def enter(self, id_: str, event: str) -> None:
        """Write down that a step was confirmed."""
        self.confirmed.setdefault(id_, []).append(event)


class Load:
    """Hand-overs walked all the time by careful clients, until told to stop."""

    def __init__(self, where: Served, chance: random.Random) -> None:
        self.ledger = Ledger()
        self.stop = asyncio.Event()
        self._sender, self._recipient = where.as_(SENDER), where.as_(RECIPIENT)
        self._chance = chance
        self._answered = asyncio.Semaphore(0)

    async def answers(self, count: int) -> None:
        """Wait until so many more answers have come."""
        self._answered = asyncio.Semaphore(0)
        for _ in range(count):
            await self._answered.acquire()

    async def run(self) -> None:
        """Walk hand-overs until told to stop; those under way are walked to their end."""
        async with asyncio.TaskGroup() as walking:
            for _ in range(AT_ONCE):
                walking.create_task(self._walk_on())

    async def _walk_on(self) -> None:
        while not self.stop.is_set():
            await self._walk(self._chance.choice(WALKS), self._chance.choice(LASTS))

    async def _walk(self, steps: tuple[str, ...], lasts: timedelta | None) -> None:
        created = await self._sure("/v1/referrals", lambda: a_draft(RECIPIENT))
        id_ = created.json()["id"]
        self.ledger.enter(id_, "referral.drafted")
        await self._sure(f"/v1/referrals/{id_}/consents", lambda: _consent(lasts))
        self.ledger.enter(id_, "consent.given")
        for step in steps:
            side, _, action = step.rpartition(".")
            client = self._recipient if side else self._sender
            # In these walks the recipient's word is the second one, which hands over.
            event = HANDED_OVER if step == "r.confirm_handover" else EVENTS[Action(action)]
            if not await self._step(client, id_, Action(action), event):
                return
            read = await self._answer(self._recipient, "GET", f"/v1/referrals/{id_}")
            self.ledger.shown[id_] += read is not None and GIVEN in read.text

    async def _sure(self, path: str, body: Callable[[], dict[str, Any]]) -> httpx.Response:
        """Create something, with the same key until it is confirmed."""
        headers, said = key(), body()
        while True:
            answer = await self._answer(self._sender, "POST", path, headers=headers, json=said)
            if answer is None or answer.status_code == 409:
                continue
            if answer.status_code == 201:
                return answer
            # Its time ran out while the app was away; it was refused, so nothing stands under that key.
            assert "This is past already" in answer.text, answer.text
            headers, said = key(), body()

    async def _step(self, client: Client, id_: str, action: Action, event: str) -> bool:
        """Take a step, read again and repeat until it is confirmed; answer False where her agreement ran out."""
        place, tried = f"/v1/referrals/{id_}", False
        while True:
            seen = await self._answer(client, "GET", place)
            if seen is None or (tried and (done := await self._done(client, place, event)) is None):
                continue
            assert seen.status_code == 200, seen.text
            if tried and done:
                break
            tried = True
            headers = if_match(seen)
            answer = await self._answer(client, "POST", f"{place}/{action}", headers=headers, json=BODIES[action])
            if answer is None or answer.status_code == 412:
                continue
            if answer.status_code == 409:
                assert answer.json()["type"].endswith("/consent-missing"), answer.text
                return False
            assert answer.status_code == 200, answer.text
            break
        self.ledger.enter(id_, event)
        return True

    async def _done(self, client: Client, place: str, event: str) -> bool | None:
        """Answer whether a step whose answer was lost was taken all the same."""
        answer = await self._answer(client, "GET", f"{place}/events")
        return None if answer is None else event in [each["type"] for each in answer.json()["items"]]

    async def _answer(self, client: Client, method: str, path: str, **options: Any) -> httpx.Response | None:
        """Ask; answer None where the answer was lost or says to come again."""
        try:
            answer = await client.request(method, path, **options)
        except httpx.TransportError:
            self.ledger.lost += 1
            await asyncio.sleep(AGAIN_S)
            return None
        if answer.status_code == 503:
            assert answer.headers["retry-after"]
            self.ledger.lost += 1
            await asyncio.sleep(AGAIN_S)
            return None
        assert answer.status_code < 500, answer.text
        self._answered.release()
        return answer


def _consent(lasts: timedelta | None) -> dict[str, Any]:
    return a_consent(**({"valid_until": (datetime.now(UTC) + lasts).isoformat()} if lasts else {}))


@pytest.fixture(name="where", scope="module")
async def _where(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncIterator[Served]:
    """Run a referral app and a PostgreSQL of our own, to be killed."""
    del anyio_backend
    async with served(Home(tmp_path_factory.mktemp("killed") / "home")) as where:
        yield where


async def app_killed(where: Served, load: Load, chance: random.Random) -> None:
    """Kill the app again and again, amid its answers, and start it anew each time."""
    for _ in range(KILLS_OF_SERVICE):
        await load.answers(chance.randint(1, ANSWERS))
        await asyncio.sleep(chance.random() * ONE_ANSWER_S)
        where.kill("serve")
        where.begin("serve")
        await where.answers()


async def worker_killed(where: Served, chance: random.Random) -> None:
    """Kill the worker again and again, and start it anew each time."""
    for _ in range(KILLS_OF_WORKER):
        await asyncio.sleep(chance.random() * ONE_ROUND_S)
        where.kill("work")
        where.begin("work")


@pytest.mark.parametrize("seed", [SEED])
async def test_a_killed_app_and_worker_lose_and_double_nothing(where: Served, seed: int) -> None:
    chances = [random.Random(seed + number) for number in range(3)]  # noqa: S311 - moments, no secrets
    load = Load(where, chances[0])
    where.begin("work")
    async with asyncio.TaskGroup() as going:
        going.create_task(load.run())
        killers = (
            going.create_task(app_killed(where, load, chances[1])),
            going.create_task(worker_killed(where, chances[2])),
        )
        await asyncio.gather(*killers)
        load.stop.set()
    where.kill("work")
    assert load.ledger.lost >= KILLS_OF_SERVICE, "the kills met no request: nothing was proved"

    await asyncio.to_thread(where.command, "work", "--once")
    found = await proved(where, load.ledger)
    assert {"consent.expired", "consent.expiring"} <= set(found), "the worker had nothing to do: nothing was proved"
    # Another round has nothing left to do.
    await asyncio.to_thread(where.command, "work", "--once")
    assert await proved(where, load.ledger) == found


@pytest.mark.parametrize("seed", [SEED])
async def test_a_killed_database_loses_nothing_and_is_found_again(where: Served, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - moments, no secrets
    load, app = Load(where, chance), where.processes["serve"].pid
    anybody = where.as_(OUTSIDER)
    async with asyncio.TaskGroup() as going:
        going.create_task(load.run())
        for _ in range(KILLS_OF_DATABASE):
            await load.answers(chance.randint(1, 5 * ANSWERS))
            assert where.cluster.process is not None
            where.cluster.process.kill()
            await where.cluster.ended()
            away = await anybody.get("/readyz")
            assert (away.status_code, away.json()["checks"]["database"]) == (503, False)
            assert (await anybody.get("/healthz")).status_code == 200
            await where.cluster.start()
            async with asyncio.timeout(UP_WITHIN_S):
                while (await anybody.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - only asking tells
                    await asyncio.sleep(AGAIN_S)
        load.stop.set()
    assert where.processes["serve"].pid == app
    assert where.processes["serve"].is_alive()
    assert load.ledger.lost > KILLS_OF_DATABASE
    await proved(where, load.ledger)


async def proved(where: Served, ledger: Ledger) -> Counter[str]:
    """Hold the database against what was confirmed; answer how often each event happened."""
    owner = await asyncpg.connect(where.access.owner_dsn)
    try:
        await owner.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        made = "select id, state, event_count from referral where created_at >= $1"
        referrals = {str(row["id"]): row for row in await owner.fetch(made, ledger.since)}
        ours, of_ours = list(referrals), "select {} from {} where referral_id = any($1::uuid[])"
        events: dict[str, list[asyncpg.Record]] = {id_: [] for id_ in referrals}
        for row in await owner.fetch(
            of_ours.format("referral_id, type, data", "event") + " order by referral_id, number", ours
        ):
            events[str(row["referral_id"])].append(row)
        consents = await owner.fetch(of_ours.format("referral_id, status", "consent_state"), ours)
        tasks = await owner.fetch(of_ours.format("referral_id, kind, reason, party", "task"), ours)
        looks = await owner.fetch(
            "select referral_id, count(*) from disclosure where organisation_id = $1"
            " and 'identity' = any(categories) group by 1",
            RECIPIENT.id,
        )
        keys = await owner.fetchval("select count(*) from idempotency where created_at >= $1", ledger.since)
    finally:
        await owner.close()

    # Nothing that was confirmed is missing, and nothing is there twice: each key made one referral, one consent.
    assert set(referrals) == set(ledger.confirmed)
    assert (len(consents), keys) == (len(referrals), 2 * len(referrals))
    statuses = {str(row["referral_id"]): row["status"] for row in consents}
    for id_, rows in events.items():
        types = [row["type"] for row in rows]
        assert [each for each in types if each not in ENDS_OF_CONSENT] == ledger.confirmed[id_]
        assert set(Counter(types).values()) == {1}, types
        # Every state has its event, and every end of an agreement too.
        states = [row["data"]["state"] for row in rows if "state" in row["data"]]
        assert (states[-1] if states else "draft") == referrals[id_]["state"]
        assert referrals[id_]["event_count"] == len(rows)
        assert statuses[id_] == next((ENDS_OF_CONSENT[each] for each in types if ENDS_OF_CONSENT.get(each)), "given")
    assert not [task for task, times in Counter(tuple(row) for row in tasks).items() if times > 1]
    told = {(str(row["referral_id"]), row["kind"], row["party"]) for row in tasks}
    for id_, rows in events.items():
        types = {row["type"] for row in rows}
        assert ((id_, "consent_expired", "sender") in told) == ("consent.expired" in types)
        assert ((id_, "consent_expiring", "recipient") in told) == ("consent.expiring" in types)
    # What was shown is written down; what was written but never arrived is told to her all the same.
    assert not ledger.shown - Counter({str(row["referral_id"]): row["count"] for row in looks})
    await asyncio.to_thread(where.command, "audit", "verify")
    return Counter(row["type"] for rows in events.values() for row in rows)
