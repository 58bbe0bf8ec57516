"""Every query of endpoints and of the deliveries to them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, or_, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral.domain.webhooks import DeliveryState, Disabled
from relais_referral.models.webhooks import Delivery, Endpoint
from relais_referral.store.feed import call_worker
from relais_shared.refusals import NotFound

NO_ENDPOINT: Final = "There is no such endpoint, or it is not yours to know of."


async def endpoints(tx: AsyncSession, organisation_id: UUID) -> Sequence[Endpoint]:
    """Answer an organisation's endpoints, the oldest first."""
    found = await tx.scalars(
        select(Endpoint)
        .where(col(Endpoint.organisation_id) == organisation_id)
        .order_by(col(Endpoint.created_at), col(Endpoint.id))
    )
    return found.all()


async def endpoint(tx: AsyncSession, id_: UUID, organisation_id: UUID, *, lock: bool = False) -> Endpoint:
    """Answer an endpoint of an organisation.

    Raises:
        NotFound: Absent, or another's.
    """
    query = select(Endpoint).where(col(Endpoint.id) == id_, col(Endpoint.organisation_id) == organisation_id)
    # Not the key: what is put in line for it meanwhile need not wait.
    row = await tx.scalar(query.with_for_update(key_share=True) if lock else query)
    if row is None:
        raise NotFound(NO_ENDPOINT)
    return row


async def waiting(tx: AsyncSession, ids: Iterable[UUID]) -> dict[UUID, dict[str, int]]:
    """Answer how many deliveries of endpoints wait, and how many are set aside."""
    rows = await tx.execute(
        select(col(Delivery.endpoint_id), col(Delivery.state), func.count())
        .where(
            col(Delivery.endpoint_id).in_(list(ids)),
            col(Delivery.state).in_([DeliveryState.WAITING, DeliveryState.SET_ASIDE]),
        )
        .group_by(col(Delivery.endpoint_id), col(Delivery.state))
    )
    found: dict[UUID, dict[str, int]] = {}
    for id_, state, number in rows:
        found.setdefault(id_, {})[state] = number
    return found


async def deliveries(
    tx: AsyncSession,
    endpoint_id: UUID,
    *,
    states: Sequence[str],
    before: tuple[int, UUID] | None,
    limit: int,
) -> Sequence[Delivery]:
    """Answer the deliveries of an endpoint, the newest first."""
    query = select(Delivery).where(col(Delivery.endpoint_id) == endpoint_id)
    if states:
        query = query.where(col(Delivery.state).in_(states))
    if before is not None:
        query = query.where(
            or_(
                col(Delivery.position) < before[0],
                (col(Delivery.position) == before[0]) & (col(Delivery.event_id) < before[1]),
            )
        )
    found = await tx.scalars(query.order_by(col(Delivery.position).desc(), col(Delivery.event_id).desc()).limit(limit))
    return found.all()


async def delivery(tx: AsyncSession, endpoint_id: UUID, event_id: UUID) -> Delivery | None:
    """Answer one delivery."""
    return await tx.get(Delivery, (endpoint_id, event_id))


async def put_in_line(  # noqa: PLR0913 - which deliveries
    tx: AsyncSession,
    endpoint_id: UUID,
    now: datetime,
    *,
    event_id: UUID | None = None,
    states: Sequence[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """Put deliveries in line again, from their first attempt on; answer how many.

    What a worker holds at this moment is left to it.
    """
    query = update(Delivery).where(
        col(Delivery.endpoint_id) == endpoint_id, or_(col(Delivery.lease).is_(None), col(Delivery.leased_until) <= now)
    )
    if event_id is not None:
        query = query.where(col(Delivery.event_id) == event_id)
    if states:
        query = query.where(col(Delivery.state).in_(states))
    if since is not None:
        query = query.where(col(Delivery.at) >= since)
    if until is not None:
        query = query.where(col(Delivery.at) <= until)
    done = await tx.execute(
        query.values(
            state=DeliveryState.WAITING, attempts=0, next_at=now, lease=None, leased_until=None, ended_at=None
        ).returning(col(Delivery.event_id))
    )
    await call_worker(tx)
    return len(done.all())


async def prepare_turn(tx: AsyncSession) -> None:
    """Do not wait for the disk when this transaction ends, and go through what waits in its order.

    A server that dies right after it forgets it, and so what left is sent once more: never less, nothing overtaken.
    Where little has waited for long, the planner takes it that little waits, and would sort all of it for a few rows.
    """
    await tx.execute(
        text("select set_config('synchronous_commit', 'off', true), set_config('enable_sort', 'off', true)")
    )


async def must_stay(tx: AsyncSession) -> None:
    """Wait for the disk after all: what this transaction did is told to others."""
    await tx.execute(text("set local synchronous_commit = on"))


def _due(now: datetime) -> Any:  # noqa: ANN401 - an SQL condition
    return (
        (col(Delivery.state) == DeliveryState.WAITING)
        & (col(Delivery.next_at) <= now)
        & or_(col(Delivery.leased_until).is_(None), col(Delivery.leased_until) <= now)
    )


async def due_endpoints(tx: AsyncSession, now: datetime, *, but: Iterable[UUID], limit: int) -> Sequence[Endpoint]:
    """Answer endpoints that are called and for which something is due, those that waited longest first."""
    first = select(func.min(Delivery.next_at)).where(col(Delivery.endpoint_id) == col(Endpoint.id), _due(now))
    oldest = first.correlate(Endpoint).scalar_subquery()
    found = await tx.scalars(
        select(Endpoint)
        .where(
            col(Endpoint.disabled_at).is_(None),
            or_(col(Endpoint.rests_until).is_(None), col(Endpoint.rests_until) <= now),
            col(Endpoint.id).not_in(list(but)),
            oldest.is_not(None),
        )
        .order_by(oldest)
        .limit(limit)
    )
    return found.all()


@dataclass(frozen=True, slots=True)
class Held:
    """A delivery that a worker holds, and under which lease."""

    endpoint_id: UUID
    event_id: UUID
    lease: UUID


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery as it was claimed: what a test says of itself stands in it, of all else the feed tells more."""

    held: Held
    position: int
    type: str
    at: datetime
    subject_id: UUID
    practice: bool
    sequence: int | None

    @property
    def id(self) -> UUID:
        """The event's."""
        return self.held.event_id


_CLAIM: Final = text(
    """
    with head as materialized (
        select one.endpoint_id, one.event_id
        from unnest(cast(:endpoints as uuid[]), cast(:free as integer[])) as room (endpoint_id, free)
        cross join lateral (
            select d.endpoint_id, d.event_id
            from webhook_delivery d
            where d.endpoint_id = room.endpoint_id and d.state = 'waiting' and d.next_at <= :now
                and (d.leased_until is null or d.leased_until <= :now)
                -- "Is true": so that only the index by subject serves, not one that goes through all that waits.
                and not exists (
                    select from webhook_delivery earlier
                    where earlier.subject_id = d.subject_id and (earlier.endpoint_id = d.endpoint_id) is true
                        and earlier.state = 'waiting' and (earlier.position < d.position) is true
                )
            order by d.position
            limit room.free
            for update of d skip locked
        ) as one
    )
    update webhook_delivery d set lease = gen_random_uuid(), leased_until = :until
    from head where d.endpoint_id = head.endpoint_id and d.event_id = head.event_id
    returning d.endpoint_id, d.event_id, d.lease, d.position, d.type, d.at, d.subject_id, d.practice, d.sequence
    """
)


async def claim(tx: AsyncSession, free: Mapping[UUID, int], now: datetime, until: datetime) -> list[Claimed]:
    """Claim what is due for endpoints: of each subject the first that waits, and no other; the oldest first.

    What another worker holds is passed over, and what comes after it is no head, so nothing overtakes.

    Args:
        tx: After `begin`, as the worker.
        free: How many of each endpoint, at most.
        now: What is due by then.
        until: How long they are held.
    """
    asked = {"endpoints": list(free), "free": list(free.values()), "now": now, "until": until}
    rows = await tx.execute(_CLAIM, asked)
    return sorted((Claimed(Held(*row[:3]), *row[3:]) for row in rows), key=lambda one: one.position)


async def withhold(tx: AsyncSession, held: Iterable[Held], now: datetime) -> None:
    """End deliveries of what their organisation is not to know of now."""
    await tx.execute(
        update(Delivery)
        .where(_held(held))
        .values(state=DeliveryState.WITHHELD, next_at=None, lease=None, leased_until=None, ended_at=now)
        .execution_options(synchronize_session=False)
    )


def _held(held: Iterable[Held]) -> Any:  # noqa: ANN401 - an SQL condition
    return tuple_(col(Delivery.endpoint_id), col(Delivery.event_id), col(Delivery.lease)).in_(
        [(one.endpoint_id, one.event_id, one.lease) for one in held]
    )


async def leased(tx: AsyncSession, held: Iterable[Held], *, lock: bool = False) -> dict[UUID, Delivery]:
    """Answer deliveries by lease, as far as they are still held under it."""
    query = select(Delivery).where(_held(held))
    query = query.order_by(col(Delivery.endpoint_id), col(Delivery.position))
    rows = await tx.scalars(query.with_for_update() if lock else query)
    return {row.lease: row for row in rows if row.lease is not None}


async def locked_endpoints(tx: AsyncSession, ids: Iterable[UUID]) -> dict[UUID, Endpoint]:
    """Lock endpoints, before any of their deliveries."""
    query = select(Endpoint).where(col(Endpoint.id).in_(list(ids))).order_by(col(Endpoint.id))
    return {row.id: row for row in await tx.scalars(query.with_for_update(key_share=True))}


async def disable(tx: AsyncSession, row: Endpoint, reason: Disabled, now: datetime) -> None:
    """Call an endpoint no more: all that waits for it is set aside, to be replayed when it is back."""
    row.disabled_at, row.disabled_reason, row.rests_until = now, reason, None
    await tx.execute(
        update(Delivery)
        .where(col(Delivery.endpoint_id) == row.id, col(Delivery.state) == DeliveryState.WAITING)
        .values(state=DeliveryState.SET_ASIDE, next_at=None, lease=None, leased_until=None, ended_at=now)
    )
