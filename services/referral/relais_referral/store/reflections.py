"""The queries of reflections: the notes of a quarter's hand-overs, what is counted of them, and what is told."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral.domain.figures import first_of
from relais_referral.domain.handshake import Party
from relais_referral.domain.reflection import CLOSED, Ballot, counted_at, next_quarter
from relais_referral.models.referrals import Referral, SealedPart
from relais_referral.models.reflections import ReflectionBallot, ReflectionPeriod
from relais_referral.models.trail import EventRow
from relais_referral.store import figures


def part_of(party: Party) -> str:
    """Answer the sealed part that holds what a side noted."""
    return f"reflection.{party}"


PARTS = (part_of(Party.SENDER), part_of(Party.RECIPIENT))
"""What either side noted; nobody else ever reads it."""


async def bounds(tx: AsyncSession) -> tuple[date | None, datetime | None]:
    """Answer the quarter that was counted last, and when the very first hand-over was closed."""
    # A year begins with its first quarter: the last beginning is a quarter's.
    last = await tx.scalar(select(func.max(col(ReflectionPeriod.since))))
    first = await tx.scalar(select(func.min(col(EventRow.at))).where(col(EventRow.type) == CLOSED))
    return last, first


def steps_of(tx: AsyncSession, quarter: date) -> AsyncIterator[list[Any]]:
    """Answer the steps of every hand-over that was closed in a quarter, until it is counted, one at a time.

    Args:
        tx: As the worker: nobody else finds anything.
        quarter: Its first day.
    """
    before = first_of(next_quarter(quarter))
    return figures.steps_with(tx, CLOSED, first_of(quarter), before, until=counted_at(quarter))


async def notes(tx: AsyncSession, referral_ids: Sequence[UUID]) -> list[tuple[Referral, dict[str, bytes]]]:
    """Answer hand-overs of which a side noted something, with what it noted, sealed; none that is erased."""
    rows = await tx.execute(
        select(Referral, col(SealedPart.part), col(SealedPart.content))
        .join(SealedPart, col(SealedPart.referral_id) == col(Referral.id))
        .where(
            col(Referral.id).in_(referral_ids),
            col(Referral.erased_at).is_(None),
            col(Referral.key_id).is_not(None),
            col(SealedPart.part).in_(PARTS),
        )
    )
    found: dict[UUID, tuple[Referral, dict[str, bytes]]] = {}
    for referral, part, content in rows:
        found.setdefault(referral.id, (referral, {}))[1][part] = content
    return list(found.values())


async def forget_notes(tx: AsyncSession, referral_ids: Sequence[UUID]) -> None:
    """Remove what was noted of hand-overs: it was counted, or never will be."""
    await tx.execute(
        delete(SealedPart).where(col(SealedPart.referral_id).in_(referral_ids), col(SealedPart.part).in_(PARTS))
    )


async def keep_ballots(tx: AsyncSession, quarter: date, ballots: Iterable[tuple[UUID, Ballot]]) -> None:
    """Keep what is counted of a quarter, in an order by chance.

    Args:
        tx: As the worker.
        quarter: Its first day.
        ballots: Each with an id by chance.
    """
    tx.add_all(
        ReflectionBallot(
            id=id_,
            quarter=quarter,
            person=one.person,
            organisation_id=next(iter(one.parties)),
            criteria=one.criteria,
            held=sorted(one.held),
            others=sorted(one.others),
        )
        for id_, one in sorted(ballots, key=lambda pair: pair[0])
    )
    await tx.flush()


async def ballots(tx: AsyncSession, quarters: Sequence[date]) -> list[Ballot]:
    """Answer what is counted of some quarters."""
    rows = await tx.scalars(select(ReflectionBallot).where(col(ReflectionBallot.quarter).in_(quarters)))
    return [
        Ballot(row.person, frozenset({row.organisation_id}), row.criteria, frozenset(row.held), frozenset(row.others))
        for row in rows
    ]


async def forget_ballots(tx: AsyncSession, before: date) -> None:
    """Remove what was counted of the quarters before a day."""
    await tx.execute(delete(ReflectionBallot).where(col(ReflectionBallot.quarter) < before))


async def keep(tx: AsyncSession, since: date, before: date, at: datetime, told: dict[str, Any] | None) -> None:
    """Keep what is told of a period in place of what was."""
    await tx.execute(
        delete(ReflectionPeriod).where(col(ReflectionPeriod.since) == since, col(ReflectionPeriod.before) == before)
    )
    tx.add(ReflectionPeriod(since=since, before=before, counted_at=at, told=told))
    await tx.flush()


async def kept(tx: AsyncSession, since: date) -> dict[tuple[date, date], dict[str, Any] | None]:
    """Answer what is told of the periods that begin on a day or later."""
    rows = await tx.scalars(select(ReflectionPeriod).where(col(ReflectionPeriod.since) >= since))
    return {(row.since, row.before): row.told for row in rows}


async def page(
    tx: AsyncSession, after: tuple[date, date] | None, limit: int
) -> tuple[list[ReflectionPeriod], tuple[date, date] | None]:
    """Answer the periods of which something is told, the newest first; and the last one where more follow.

    Args:
        tx: After `store.callers.begin`.
        after: The end and the beginning of the last one that was read.
        limit: Periods.
    """
    place = tuple_(col(ReflectionPeriod.before), col(ReflectionPeriod.since))
    query = select(ReflectionPeriod).where(col(ReflectionPeriod.told).is_not(None))
    if after is not None:
        query = query.where(place < tuple_(*after))
    order = (col(ReflectionPeriod.before).desc(), col(ReflectionPeriod.since).desc())
    rows = (await tx.scalars(query.order_by(*order).limit(limit + 1))).all()
    found = list(rows[:limit])
    return found, (found[-1].before, found[-1].since) if len(rows) > limit else None
