"""Every query of what leaves: the feed and its positions, endpoints, and the deliveries to them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    case,
    delete,
    exists,
    false,
    func,
    null,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral import store
from relais_referral.domain.events import PUBLIC, Happened
from relais_referral.domain.webhooks import DeliveryState, Disabled
from relais_referral.models.feed import FeedRow, Sequencing, ServiceSeen
from relais_referral.models.referrals import Referral
from relais_referral.models.trail import EventRow
from relais_referral.models.webhooks import Delivery, Endpoint
from relais_shared.auth import Actor
from relais_shared.refusals import NotFound

EVENTS_CHANNEL: Final = "relais_events"
"""Where the database says that a referral's event was written (a trigger of the table)."""
FEED_CHANNEL: Final = "relais_feed"
"""Where the sequencer says that positions were given."""

_TURN: Final = 7_236_413
"""The advisory lock of whoever gives positions."""

NO_ENDPOINT: Final = "There is no such endpoint, or it is not yours to know of."


# ── the sequencer ──────────────────────────────────────────────────────────────────────────────────────────────────


async def take_turn(tx: AsyncSession, *, wait: bool = False) -> bool:
    """Take the turn to give positions until this transaction ends; answer whether it was free.

    One transaction at a time gives positions, so they become visible in their order.
    """
    if wait:
        await tx.execute(select(func.pg_advisory_xact_lock(_TURN)))
        return True
    return bool(await tx.scalar(select(func.pg_try_advisory_xact_lock(_TURN))))


async def sequencing(tx: AsyncSession, name: str) -> Sequencing | None:
    """Answer how far the sequencer has come with the events of referrals, or of the directory."""
    return await tx.get(Sequencing, name)


@dataclass(frozen=True, slots=True)
class Horizon:
    """The transactions that may still be open: none below `settled` is, and none from `ahead` on has begun."""

    settled: int
    ahead: int


async def horizon(tx: AsyncSession) -> Horizon:
    """Answer which transactions may still commit. To be asked before what they wrote is looked for."""
    row = (
        await tx.execute(
            text(
                "select pg_snapshot_xmin(seen)::text::bigint, pg_snapshot_xmax(seen)::text::bigint"
                " from pg_current_snapshot() as seen"
            )
        )
    ).one()
    return Horizon(row[0], row[1])


@dataclass(frozen=True, slots=True)
class Unplaced:
    """An event without a position."""

    referral_id: UUID
    number: int
    at: datetime


async def unplaced(tx: AsyncSession, mark: int, limit: int) -> list[Unplaced]:
    """Answer events that leave and have no position, of each referral the first ones.

    Args:
        tx: After `begin`, as the worker.
        mark: Every transaction below it has ended, and all that it wrote has its position.
        limit: At most so many.
    """
    rows = await tx.execute(
        select(col(EventRow.referral_id), col(EventRow.number), col(EventRow.at))
        .where(
            col(EventRow.written_in) >= mark,
            col(EventRow.type).in_(list(PUBLIC)),
            ~exists().where(
                col(FeedRow.referral_id) == col(EventRow.referral_id), col(FeedRow.number) == col(EventRow.number)
            ),
        )
        # By number within a referral: a transaction that began earlier may have written later.
        .order_by(col(EventRow.referral_id), col(EventRow.number))
        .limit(limit)
    )
    return [Unplaced(*row) for row in rows]


async def chains(
    tx: AsyncSession, referral_ids: Iterable[UUID]
) -> tuple[dict[UUID, Referral], dict[UUID, list[Happened]]]:
    """Answer referrals and all that happened to each, by number."""
    ids = list(referral_ids)
    referrals = (await tx.scalars(select(Referral).where(col(Referral.id).in_(ids)))).all()
    rows = await tx.execute(
        select(
            col(EventRow.referral_id),
            col(EventRow.number),
            col(EventRow.type),
            col(EventRow.organisation_id),
            col(EventRow.data)["state"].astext,
        )
        .where(col(EventRow.referral_id).in_(ids))
        .order_by(col(EventRow.referral_id), col(EventRow.number))
    )
    found: dict[UUID, list[Happened]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(Happened(*row[1:]))
    return {referral.id: referral for referral in referrals}, found


_FAN_OUT: Final = text(
    """
    insert into webhook_delivery (endpoint_id, event_id, organisation_id, position, type, at, subject_id, referral_id,
        sequence, practice, state, attempts, tries, next_at, ended_at)
    select e.id, f.id, e.organisation_id, f.position, told.type, f.at, f.subject_id, f.referral_id,
        told.sequence, f.practice,
        case when e.disabled_at is null then 'waiting' else 'set_aside' end, 0, '[]',
        case when e.disabled_at is null then cast(:now as timestamptz) end,
        case when e.disabled_at is not null then cast(:now as timestamptz) end
    from feed f
    join webhook_endpoint e on e.practice = f.practice and e.id <> f.subject_id
        and (f.type is null or f.organisation_id is null or f.organisation_id = e.organisation_id)
        and (f.type is not null or e.organisation_id in (f.sender_id, f.recipient_id))
    cross join lateral (
        select f.type, null::integer as sequence where f.type is not null
        union all
        select f.recipient_type, f.recipient_sequence
            where f.recipient_type is not null and f.recipient_id = e.organisation_id
        union all
        select f.sender_type, f.sender_sequence
            where f.sender_type is not null and f.sender_id = e.organisation_id
        limit 1
    ) as told
    where f.id = any(:ids) and told.type = any(e.types)
    """
)


async def place(tx: AsyncSession, rows: Sequence[FeedRow], now: datetime) -> None:
    """Give events their positions, in this order, and put them in line for the endpoints that want them.

    Args:
        tx: Holds the turn.
        rows: New; of one referral by number.
        now: From when they are sent.
    """
    if not rows:
        return
    tx.add_all(rows)
    await tx.flush()  # The positions are given here; what follows reads the rows.
    await tx.execute(_FAN_OUT, {"ids": [row.id for row in rows], "now": now})
    await call_worker(tx)


async def remember_mark(tx: AsyncSession, name: str, *, mark: int = 0, cursor: str | None = None) -> None:
    """Remember how far the sequencer has come."""
    row = insert(Sequencing).values(name=name, mark=mark, cursor=cursor)
    await tx.execute(
        row.on_conflict_do_update(
            index_elements=["name"], set_={"mark": row.excluded.mark, "cursor": row.excluded.cursor}
        )
    )


async def services_seen(tx: AsyncSession, ids: Iterable[UUID]) -> dict[UUID, ServiceSeen]:
    """Answer services as they were last told of."""
    found = await tx.scalars(select(ServiceSeen).where(col(ServiceSeen.service_id).in_(list(ids))))
    return {row.service_id: row for row in found}


async def see_services(tx: AsyncSession, facts: Sequence[Mapping[str, Any]]) -> None:
    """Remember services as they are told of now."""
    row = insert(ServiceSeen)
    names = ("version", "gone", "capacity_at")
    await tx.execute(
        row.on_conflict_do_update(index_elements=["service_id"], set_={name: row.excluded[name] for name in names}),
        list(facts),
    )


# ── the feed ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Item:
    """An event as one organisation is told of it."""

    position: int
    id: UUID
    type: str
    at: datetime
    subject_id: UUID
    practice: bool
    sequence: int | None


def _as_told_to(actor: Actor) -> tuple[Any, Any, Any]:
    """Answer, for a row of the feed joined with its referral: whether it may be an actor's, its type, its sequence.

    The type is null where the actor is not to know of it at this moment.
    """
    as_sender, as_recipient = store.sides(actor)
    own = actor.organisation_id
    ways: list[tuple[Any, Any, Any]] = []
    if "referral:receive" in actor.scopes:
        ways.append((as_recipient, col(FeedRow.recipient_type), col(FeedRow.recipient_sequence)))
    if "referral:send" in actor.scopes:
        ways.append((as_sender, col(FeedRow.sender_type), col(FeedRow.sender_sequence)))
    ways = [(way & type_.is_not(None), type_, sequence) for way, type_, sequence in ways]
    others: list[Any] = [false()]
    if "directory:read" in actor.scopes:
        others.append(col(FeedRow.organisation_id).is_(None))
    if "webhook:manage" in actor.scopes:
        others.append(col(FeedRow.organisation_id) == own)
    other = col(FeedRow.sender_id).is_(None) & or_(*others)
    type_ = case(*((way, type_) for way, type_, _ in ways), (other, col(FeedRow.type)), else_=null())
    sequence = case(*((way, sequence) for way, _, sequence in ways), else_=null()) if ways else null()
    near = or_(col(FeedRow.sender_id) == own, col(FeedRow.recipient_id) == own, col(FeedRow.sender_id).is_(None))
    return near, type_, sequence


async def told(  # noqa: PLR0913 - a page of one reader
    tx: AsyncSession,
    actor: Actor,
    *,
    after: int,
    limit: int,
    types: Sequence[str] = (),
    practice: bool = False,
) -> list[Item]:
    """Answer what an actor is told after a position, as far as it may know of it now, at most `limit`."""
    near, type_, sequence = _as_told_to(actor)
    query = (
        _items(type_, sequence)
        .where(near, col(FeedRow.position) > after, col(FeedRow.practice) == practice, type_.is_not(None))
        .order_by(col(FeedRow.position))
        .limit(limit)
    )
    if types:
        query = query.where(type_.in_(list(types)))
    return [Item(*row) for row in await tx.execute(query)]


async def told_now(tx: AsyncSession, actor: Actor, event_ids: Iterable[UUID]) -> dict[UUID, Item]:
    """Answer events as an actor may know of them at this moment: what it may not know of is missing."""
    _near, type_, sequence = _as_told_to(actor)
    query = _items(type_, sequence).where(col(FeedRow.id).in_(list(event_ids)), type_.is_not(None))
    return {item.id: item for item in (Item(*row) for row in await tx.execute(query))}


def _items(type_: Any, sequence: Any) -> Any:  # noqa: ANN401 - SQL expressions
    return select(
        col(FeedRow.position),
        col(FeedRow.id),
        type_.label("told_type"),
        col(FeedRow.at),
        col(FeedRow.subject_id),
        col(FeedRow.practice),
        sequence.label("told_sequence"),
    ).outerjoin(Referral, col(Referral.id) == col(FeedRow.referral_id))


async def position_of(tx: AsyncSession, event_id: UUID) -> int | None:
    """Answer the position of an event that the asking organisation may have been told of."""
    return await tx.scalar(select(col(FeedRow.position)).where(col(FeedRow.id) == event_id))


async def last_position(tx: AsyncSession) -> int:
    """Answer the newest position."""
    return await tx.scalar(select(func.max(FeedRow.position))) or 0


async def traces(tx: AsyncSession, event_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Answer the trace that each event happened in (`traceparent`), where there was one."""
    rows = await tx.execute(
        select(col(FeedRow.id), col(EventRow.traceparent))
        .join(
            EventRow,
            (col(EventRow.referral_id) == col(FeedRow.referral_id)) & (col(EventRow.number) == col(FeedRow.number)),
        )
        .where(col(FeedRow.id).in_(list(event_ids)), col(EventRow.traceparent).is_not(None))
    )
    return {id_: traceparent for id_, traceparent in rows if traceparent}


# ── endpoints ──────────────────────────────────────────────────────────────────────────────────────────────────────


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


async def call_worker(tx: AsyncSession) -> None:
    """Wake whoever sends or follows, when this transaction commits."""
    await tx.execute(select(func.pg_notify(FEED_CHANNEL, "")))


# ── delivering ─────────────────────────────────────────────────────────────────────────────────────────────────────


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


async def forget(tx: AsyncSession, *, deliveries_before: datetime, feed_before: datetime) -> int:
    """Forget deliveries that have ended, and events of what is no referral's or of a referral that is erased."""
    gone = await tx.execute(
        delete(Delivery).where(col(Delivery.ended_at) <= deliveries_before).returning(col(Delivery.event_id))
    )
    count = len(gone.all())
    erased = exists().where(col(Referral.id) == col(FeedRow.referral_id), col(Referral.shredded_at) <= feed_before)
    old = await tx.execute(
        delete(FeedRow)
        .where(col(FeedRow.at) <= feed_before, or_(col(FeedRow.referral_id).is_(None), erased))
        .returning(col(FeedRow.id))
    )
    return count + len(old.all())
