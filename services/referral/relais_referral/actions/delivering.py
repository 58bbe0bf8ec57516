"""What is due is sent: at least once, and in order for each endpoint and referral."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store, store_events
from relais_referral.domain.events import DISABLED, TEST
from relais_referral.domain.webhooks import DeliveryState, Disabled, Outcome, Verdict, judge
from relais_referral.models import Delivery, Endpoint, FeedRow, OrganisationCopy
from relais_referral.rewrapping import WORKER
from relais_referral.schemas_events import EventItem, item
from relais_referral.settings import ReferralSettings
from relais_referral.signing import SecretBox, Secrets
from relais_referral.store_events import Held
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
LEASE: Final = timedelta(seconds=60)
"""How long a worker holds what it sends: three times what a sending may take, so that only a dead one loses it."""
TRIES_KEPT: Final = 20
"""Attempts that are shown of a delivery."""


class _Withheld(Exception):  # noqa: N818 - an answer to ourselves
    """When it was about to leave, the organisation was no longer to know of it."""


@dataclass(frozen=True, slots=True)
class Sending:
    """One delivery that a worker holds: what, where to, signed with what."""

    held: Held
    organisation_id: UUID
    url: str
    secrets: Secrets
    item: EventItem
    traceparent: str | None = None


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
        self._still_told = Together(self._which_are_still_told)
        self._settle = Together(self._settle_all)

    async def start(self) -> int:
        """Claim what is due, as much as there is room for, and begin to send it; answer how much it was."""
        held = await self._claim(Counter(self._under_way.values()))
        for one in held:
            task = asyncio.create_task(self._deliver(one))
            self._under_way[task] = one.held.endpoint_id
            task.add_done_callback(self._under_way.pop)
        return len(held)

    async def some_done(self, within_s: float) -> None:
        """Wait until a sending has ended, at most so long; nothing is under way: until the time is over."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(within_s)

    async def finish(self) -> None:
        """Wait for all that is under way."""
        while self._under_way:
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def round(self) -> int:
        """Send all that is due, one after the other of each referral; answer how much it was."""
        count = 0
        while begun := await self.start():
            count += begun
            await self.finish()
        return count

    async def _claim(self, busy: Counter[UUID]) -> list[Sending]:
        now, room = self._clock(), AT_ONCE - busy.total()
        found: list[Sending] = []
        if room <= 0:
            return found
        async with self._database.write() as tx:
            await store.begin(tx, WORKER)
            full = [id_ for id_, number in busy.items() if number >= OF_ENDPOINT]
            for endpoint in await store_events.due_endpoints(tx, now, but=full, limit=room):
                free = min(OF_ENDPOINT - busy[endpoint.id], room - len(found))
                if free <= 0:
                    break
                rows = await store_events.heads(tx, endpoint.id, now, free)
                told = await self._told_now(tx, endpoint.organisation_id, rows)
                secrets = self._box.open(endpoint.id, bytes(endpoint.secrets))
                for row in rows:
                    if row.event_id not in told:
                        _end(row, DeliveryState.WITHHELD, now)
                        continue
                    row.lease, row.leased_until = uuid4(), now + LEASE
                    held = Held(endpoint.id, row.event_id, row.lease)
                    found.append(Sending(held, endpoint.organisation_id, endpoint.url, secrets, told[row.event_id]))
            begun = await store_events.traces(tx, [one.item.id for one in found]) if found else {}
        return [replace(one, traceparent=begun.get(one.item.id)) for one in found]

    async def _told_now(
        self, tx: AsyncSession, organisation_id: UUID, rows: Sequence[Delivery]
    ) -> dict[UUID, EventItem]:
        """Answer deliveries as their organisation may know of them at this moment, by the registry's copy."""
        organisation = await known(tx, OrganisationCopy, organisation_id)
        if organisation is None or not organisation.active or "webhook:manage" not in organisation.scopes:
            return {}
        actor = Actor("client", "webhook", organisation_id, scopes=frozenset(organisation.scopes))
        of_others = [row.event_id for row in rows if row.type != TEST]
        told = await store_events.told_now(tx, actor, of_others) if of_others else {}
        items: list[Delivery | store_events.Item] = [*(row for row in rows if row.type == TEST), *told.values()]
        return {one.id: one for one in (item(self._settings.public_url, each) for each in items)}

    async def _deliver(self, one: Sending) -> None:
        began = self._clock()
        try:
            try:
                outcome = await self._send(one, began)
            except _Withheld:
                outcome = None
            await self._settle((one, outcome, began))
        except Exception as fault:  # noqa: BLE001 - a fault of ours in one sending must not end the others
            # No fault of the receiver's: it is sent again when the lease has run out.
            get_logger().error("sending failed", exc_info=fault)

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
        """Ask once more, now that the connection stands: resolving and connecting may have taken seconds."""
        if not await self._still_told(one):
            raise _Withheld

    async def _which_are_still_told(self, sendings: Sequence[Sending]) -> list[bool]:
        async with self._database.write() as tx:
            await store.begin(tx, WORKER)
            there = await store_events.leased(tx, [one.held for one in sendings])
            of: dict[UUID, list[Delivery]] = {}
            for one in sendings:
                if one.held.lease in there:
                    of.setdefault(one.organisation_id, []).append(there[one.held.lease])
            told = {id_: await self._told_now(tx, id_, rows) for id_, rows in of.items()}
        return [one.held.lease in there and one.held.event_id in told.get(one.organisation_id, {}) for one in sendings]

    async def _settle_all(self, ended: Sequence[tuple[Sending, Outcome | None, datetime]]) -> list[None]:
        """Write what sendings came to, those that ended at nearly one time together."""
        now = self._clock()
        async with self._database.write() as tx:
            await store.begin(tx, WORKER)
            endpoints = await store_events.locked_endpoints(tx, {one.held.endpoint_id for one, *_ in ended})
            rows = await store_events.leased(tx, [one.held for one, *_ in ended], lock=True)
            for one, outcome, began in ended:
                endpoint, row = endpoints.get(one.held.endpoint_id), rows.get(one.held.lease)
                # Another took it over, or the endpoint is gone, or what came before in this turn disabled it.
                if endpoint is not None and row is not None and endpoint.disabled_at is None:
                    await self._note(tx, endpoint, row, outcome, began, now)
        return [None] * len(ended)

    async def _note(  # noqa: PLR0913 - one outcome
        self,
        tx: AsyncSession,
        endpoint: Endpoint,
        row: Delivery,
        outcome: Outcome | None,
        began: datetime,
        now: datetime,
    ) -> None:
        if outcome is None:
            _end(row, DeliveryState.WITHHELD, now)
            return
        row.attempts += 1
        tried = {
            "at": began.isoformat(),
            "duration_ms": int((now - began).total_seconds() * 1_000),
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
    await store_events.disable(tx, endpoint, reason, now)
    await tx.flush()
    await store_events.take_turn(tx, wait=True)
    notice = FeedRow(
        id=uuid4(),
        at=now,
        subject_id=endpoint.id,
        practice=endpoint.practice,
        organisation_id=endpoint.organisation_id,
        type=DISABLED,
    )
    await store_events.place(tx, [notice], now)


def payload(told: EventItem) -> bytes:
    """Answer the body of a webhook: thin, as the feed tells it."""
    said = told.model_dump(mode="json")
    return orjson.dumps({"type": said["type"], "timestamp": said["time"], "data": said})
