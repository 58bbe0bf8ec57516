"""What is due is sent: at least once, and in order for each endpoint and referral."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store
from relais_referral.domain.events import DISABLED, TEST
from relais_referral.domain.webhooks import DeliveryState, Disabled, Outcome, Verdict, judge
from relais_referral.models.feed import FeedRow
from relais_referral.models.shared import OrganisationCopy
from relais_referral.models.webhooks import Delivery, Endpoint
from relais_referral.rewrapping import WORKER
from relais_referral.schemas.events import EventItem, item
from relais_referral.settings import ReferralSettings
from relais_referral.signing import SecretBox, Secrets
from relais_referral.store.webhooks import Claimed, Held
from relais_shared.auth import Actor
from relais_shared.client import Outside, Unreached
from relais_shared.clock import Clock, utc_now
from relais_shared.db import Database
from relais_shared.outside import ForbiddenAddress, Target, target
from relais_shared.registry import known
from relais_shared.telemetry import get_logger, going_on
from relais_shared.together import Together

AT_ONCE: Final = 100
"""Sendings of one worker under way: mostly waiting for others to answer."""
OF_ENDPOINT: Final = 4
"""Sendings to one endpoint under way: a slow one holds up nobody else."""
MOST_OF_ENDPOINT: Final = 16
"""As many where it takes quickly what it is sent; each that it took adds one, and what it did not begins anew."""
QUICK: Final = timedelta(seconds=1)
"""An endpoint that takes longer is not sent more at once."""
LEASE: Final = timedelta(seconds=60)
"""How long a worker holds what it sends: three times what a sending may take, so that only a dead one loses it."""
FRESH_S: Final = 0.25
"""What may be told is asked as it is claimed, and once more where it leaves later than this after it."""
STOPPED_WITHIN_S: Final = 5.0
"""What is under way when we are told to stop has so long to end: most receivers answer sooner."""
TRIES_KEPT: Final = 20
"""Attempts that are shown of a delivery."""


class _Withheld(Exception):  # noqa: N818 - an answer to ourselves
    """When it was about to leave, the organisation was no longer to know of it."""


@dataclass(frozen=True, slots=True)
class Sending:
    """One delivery that a worker holds: what, where to, signed with what.

    Attributes:
        asked_at: On the loop's clock, before it was asked whether it may leave.
        traceparent: Of what caused it.
    """

    claimed: Claimed
    organisation_id: UUID
    url: str
    secrets: Secrets
    item: EventItem
    asked_at: float
    traceparent: str | None

    @property
    def held(self) -> Held:
        """Under which lease."""
        return self.claimed.held


@dataclass(frozen=True, slots=True)
class _Ended:
    """What a sending came to; nothing where it was not to leave any more."""

    sending: Sending
    outcome: Outcome | None
    began_at: datetime
    at: datetime

    @property
    def held(self) -> Held:
        return self.sending.held


class Deliverer:
    """Claims what is due, sends it, and writes what it came to.

    Args:
        database: The referral app's.
        settings: Where the outside reaches us, what may be called.
        outside: Sends.
        clock: Answers the present instant.
        chance: Between -1 and 1, for the waits.
    """

    def __init__(
        self,
        database: Database,
        settings: ReferralSettings,
        outside: Outside,
        clock: Clock = utc_now,
        chance: Callable[[], float] = lambda: random.uniform(-1, 1),  # noqa: S311 - spreads load, guards nothing
    ) -> None:
        self._database = database
        self._settings = settings
        self._box = SecretBox(settings.secret_bytes())
        self._outside = outside
        self._clock = clock
        self._chance = chance
        self._under_way: dict[asyncio.Task[None], UUID] = {}
        self._more: Counter[UUID] = Counter()
        """How many more than `OF_ENDPOINT` an endpoint is sent at once."""
        self._still_told = Together(self._which_are_still_told)
        self._ended: list[_Ended] = []
        """Sendings whose outcome the next turn writes."""
        self._news = asyncio.Event()

    async def turn(self) -> int:
        """Write what has ended, claim what is due as much as there is room for, and begin to send it.

        One transaction for both: what ended makes room for what comes after it.

        Returns:
            How much was begun.
        """
        async with self._written() as tx:
            claimed = await self._claim(tx)
        for one in claimed:
            task = asyncio.create_task(self._deliver(one))
            self._under_way[task] = one.held.endpoint_id
            task.add_done_callback(self._under_way.pop)
        return len(claimed)

    @asynccontextmanager
    async def _written(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction in which what has ended is written."""
        ended, self._ended = self._ended, []
        self._news.clear()
        async with self._database.write() as tx:
            await store.callers.begin(tx, WORKER)
            await store.webhooks.prepare_turn(tx)
            if ended:
                await self._settle(tx, ended)
            yield tx

    async def stop(self) -> None:
        """Wait a little for what is under way, write what it came to; the rest is sent by whoever comes after us."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=STOPPED_WITHIN_S)
        for task in self._under_way:
            task.cancel()
        if self._ended:
            async with self._written():
                pass

    async def some_ended(self, within_s: float) -> None:
        """Wait until a sending has ended, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._news.wait()

    async def round(self) -> int:
        """Send all that is due, one after the other of each referral; answer how much it was."""
        count = 0
        while (begun := await self.turn()) or self._under_way or self._ended:
            count += begun
            await asyncio.gather(*self._under_way)
        return count

    async def _claim(self, tx: AsyncSession) -> list[Sending]:
        now, busy = self._clock(), Counter(self._under_way.values())
        found: list[Sending] = []
        if (room := AT_ONCE - busy.total()) <= 0:
            return found
        full = [id_ for id_, number in busy.items() if number >= self._room_of(id_)]
        endpoints = {row.id: row for row in await store.webhooks.due_endpoints(tx, now, but=full, limit=room)}
        free = {id_: self._room_of(id_) - busy[id_] for id_ in endpoints}
        claimed = await store.webhooks.claim(tx, _at_most(free, room), now, now + LEASE) if free else []
        if not claimed:
            return found
        asked_at = asyncio.get_running_loop().time()
        told = await self._told_now(tx, [(endpoints[one.held.endpoint_id].organisation_id, one) for one in claimed])
        if withheld := [one.held for one in claimed if one.held not in told]:
            await store.webhooks.withhold(tx, withheld, now)
        traces = await store.feed.traces(tx, {held.event_id for held in told})
        secrets = {
            id_: self._box.open(id_, bytes(endpoints[id_].secrets)) for id_ in {held.endpoint_id for held in told}
        }
        for one in claimed:
            if (item := told.get(one.held)) is not None:
                to = endpoints[one.held.endpoint_id]
                trace = traces.get(item.id)
                found.append(Sending(one, to.organisation_id, to.url, secrets[to.id], item, asked_at, trace))
        return found

    def _room_of(self, endpoint_id: UUID) -> int:
        return OF_ENDPOINT + self._more[endpoint_id]

    async def _told_now(self, tx: AsyncSession, of: Iterable[tuple[UUID, Claimed]]) -> dict[Held, EventItem]:
        """Answer deliveries as their organisations may know of them at this moment, by the registry's copy."""
        by_organisation: dict[UUID, list[Claimed]] = {}
        for id_, one in of:
            by_organisation.setdefault(id_, []).append(one)
        found: dict[Held, EventItem] = {}
        for id_, claimed in by_organisation.items():
            organisation = await known(tx, OrganisationCopy, id_)
            if organisation is None or not organisation.active or "webhook:manage" not in organisation.scopes:
                continue
            actor = Actor("client", "webhook", id_, scopes=frozenset(organisation.scopes))
            events = {one.id for one in claimed if one.type != TEST}
            told = await store.feed.told_now(tx, actor, events) if events else {}
            for one in claimed:
                said = one if one.type == TEST else told.get(one.id)
                if said is not None:
                    found[one.held] = item(self._settings.public_url, said)
        return found

    async def _deliver(self, one: Sending) -> None:
        began = self._clock()
        try:
            try:
                outcome = await self._send(one, began)
            except _Withheld:
                outcome = None
            self._ended.append(_Ended(one, outcome, began, self._clock()))
        except Exception as fault:  # noqa: BLE001 - a fault of ours in one sending must not end the others
            # No fault of the receiver's: it is sent again when the lease has run out.
            get_logger().error("sending failed", exc_info=fault)
        finally:
            self._news.set()

    async def _send(self, one: Sending, now: datetime) -> Outcome:
        body = payload(one.item)
        headers = {"Content-Type": "application/json", **one.secrets.headers(one.item.id, body, now)}
        try:
            # One trace from the door to the receiver: the sending belongs to the request that caused the event.
            with going_on("POST webhook", one.traceparent) as told:
                answer = await self._outside.post(
                    self._target(one.url), body, {**headers, **told}, before_sending=lambda: self._ask_again(one)
                )
        except ForbiddenAddress:
            return Outcome(fault="address")
        except Unreached as fault:
            return Outcome(fault=str(fault))
        return Outcome(status=answer.status, retry_after=answer.retry_after)

    def _target(self, url: str) -> Target:
        return target(url, ports=self._settings.webhook_ports, loopback=self._settings.webhook_loopback)

    async def _ask_again(self, one: Sending) -> None:
        """Ask once more, where resolving and connecting took their time."""
        late = asyncio.get_running_loop().time() - one.asked_at > FRESH_S
        if late and not await self._still_told(one):
            raise _Withheld

    async def _which_are_still_told(self, sendings: Sequence[Sending]) -> list[bool]:
        async with self._database.write() as tx:
            await store.callers.begin(tx, WORKER)
            there = await store.webhooks.leased(tx, [one.held for one in sendings])
            of = [(one.organisation_id, one.claimed) for one in sendings if one.held.lease in there]
            told = await self._told_now(tx, of)
        return [one.held in told for one in sendings]

    async def _settle(self, tx: AsyncSession, ended: Sequence[_Ended]) -> None:
        endpoints = await store.webhooks.locked_endpoints(tx, {one.held.endpoint_id for one in ended})
        rows = await store.webhooks.leased(tx, [one.held for one in ended], lock=True)
        for one in ended:
            endpoint, row = endpoints.get(one.held.endpoint_id), rows.get(one.held.lease)
            self._note_pace(one)
            # Another took it over, or the endpoint is gone, or what came before in this turn disabled it.
            if endpoint is not None and row is not None and endpoint.disabled_at is None:
                await self._note(tx, endpoint, row, one)
        await tx.flush()  # What is claimed next is looked for by statements of our own.

    def _note_pace(self, ended: _Ended) -> None:
        endpoint_id = ended.held.endpoint_id
        if ended.outcome is not None and ended.outcome.taken and ended.at - ended.began_at <= QUICK:
            self._more[endpoint_id] = min(self._more[endpoint_id] + 1, MOST_OF_ENDPOINT - OF_ENDPOINT)
        else:
            self._more.pop(endpoint_id, None)

    async def _note(self, tx: AsyncSession, endpoint: Endpoint, row: Delivery, ended: _Ended) -> None:
        outcome, now = ended.outcome, ended.at
        if outcome is None:
            _end(row, DeliveryState.WITHHELD, now)
            return
        row.attempts += 1
        tried = {
            "at": ended.began_at.isoformat(),
            "duration_ms": int((now - ended.began_at).total_seconds() * 1_000),
            "status": outcome.status,
            "fault": outcome.fault,
        }
        row.tries = [*row.tries, tried][-TRIES_KEPT:]
        _note_health(endpoint, outcome, now, test=row.type == TEST)
        verdict = judge(
            outcome,
            attempts=row.attempts,
            failures=endpoint.failures,
            failing_since=endpoint.failing_since,
            now=now,
            jitter=self._chance(),
        )
        if row.type == TEST and not outcome.taken:
            # A test tells at once how it went; nobody waits three days for it, and it disables nothing.
            verdict = Verdict(DeliveryState.SET_ASIDE)
        _end(row, verdict.state, now, verdict.next_at)
        if verdict.rests_until is not None:
            endpoint.rests_until = max(verdict.rests_until, endpoint.rests_until or verdict.rests_until)
        if verdict.disabled is not None:
            await _disable(tx, endpoint, verdict.disabled, now)


def _at_most(free: Mapping[UUID, int], room: int) -> dict[UUID, int]:
    """Answer how many each may have, the first ones first, where there is room for so many in all."""
    found: dict[UUID, int] = {}
    for id_, number in free.items():
        found[id_] = min(number, room)
        room -= found[id_]
    return found


def _end(row: Delivery, state: DeliveryState, now: datetime, next_at: datetime | None = None) -> None:
    row.state, row.next_at = state, next_at
    row.lease = row.leased_until = None
    row.ended_at = None if state is DeliveryState.WAITING else now


def _note_health(endpoint: Endpoint, outcome: Outcome, now: datetime, *, test: bool) -> None:
    if outcome.taken:
        endpoint.failures, endpoint.failing_since, endpoint.last_success_at = 0, None, now
        endpoint.rests_until = None
        return
    endpoint.last_failure_at = now
    if not test:  # A test is not tried again: its failure would stand for days without meaning anything.
        endpoint.failures += 1
        endpoint.failing_since = endpoint.failing_since or now


async def _disable(tx: AsyncSession, endpoint: Endpoint, reason: Disabled, now: datetime) -> None:
    """Disable an endpoint, and tell its organisation by its feed and its other endpoints."""
    if endpoint.disabled_at is not None:
        return
    get_logger().warning("webhook disabled", endpoint=str(endpoint.id), reason=str(reason))
    await store.webhooks.must_stay(tx)
    await store.webhooks.disable(tx, endpoint, reason, now)
    await tx.flush()
    await store.sequencing.take_turn(tx, wait=True)
    notice = FeedRow(
        id=uuid4(),
        at=now,
        subject_id=endpoint.id,
        practice=endpoint.practice,
        organisation_id=endpoint.organisation_id,
        type=DISABLED,
    )
    await store.sequencing.place(tx, [notice], now)


def payload(told: EventItem) -> bytes:
    """Answer the body of a webhook: thin, as the feed tells it."""
    said = told.model_dump(mode="json")
    return orjson.dumps({"type": said["type"], "timestamp": said["time"], "data": said})
