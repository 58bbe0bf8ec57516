"""Every query of whoever gives events their positions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import exists, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral.domain.events import PUBLIC, Happened
from relais_referral.models.feed import FeedRow, Sequencing, ServiceSeen
from relais_referral.models.referrals import Referral
from relais_referral.models.trail import EventRow
from relais_referral.store.feed import call_worker

_TURN: Final = 7_236_413
"""The advisory lock of whoever gives positions."""


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
