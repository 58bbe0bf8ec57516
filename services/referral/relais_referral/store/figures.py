"""The queries of the figures: the steps that are counted, and what was told of each month."""

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import column, delete, func, select, table
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral.domain.figures import PROPOSED, counted_at, first_of, next_month
from relais_referral.models.figures import FigureMonth, FigureOwn
from relais_referral.models.trail import EventRow

AT_ONCE: Final = 1_000
"""Rows that a count holds at a time."""

STATEMENT_TIMEOUT_MS: Final = 600_000
"""Nobody waits for a count, and it holds no lock that anybody else waits for: it may take its time."""

TURN: Final = 7_236_414
"""The advisory lock of whoever counts: two workers do not count the same month."""

# The view of what counting may read; no model of ours, since nobody writes there.
_STEP: Final = table(
    "figure_step",
    *(
        column(name)
        for name in (
            "referral_id", "number", "at", "type", "state", "redirected_from", "sender_id", "recipient_id",
            "sender_may_sanction", "sensitive", "themes", "municipality", "consent_id", "statistics", "valid_until",
        )
    ),
)  # fmt: skip


async def take_turn(tx: AsyncSession) -> None:
    """Wait until nobody else counts; nobody does until this transaction ends."""
    await tx.execute(select(func.set_config("statement_timeout", str(STATEMENT_TIMEOUT_MS), True)))
    await tx.execute(select(func.pg_advisory_xact_lock(TURN)))


async def bounds(tx: AsyncSession) -> tuple[date | None, datetime | None]:
    """Answer the month that was counted last, and when the very first proposal was made."""
    last = await tx.scalar(select(func.max(col(FigureMonth.month))))
    first = await tx.scalar(select(func.min(col(EventRow.at))).where(col(EventRow.type) == PROPOSED))
    return last, first


def steps_of(tx: AsyncSession, month: date) -> AsyncIterator[list[Any]]:
    """Answer the steps of every hand-over that was proposed in a month, until it is counted, one hand-over at a time.

    Args:
        tx: As the worker: nobody else finds anything.
        month: Its first day.
    """
    return steps_with(tx, PROPOSED, first_of(month), first_of(next_month(month)), until=counted_at(month))


async def steps_with(
    tx: AsyncSession, type_: str, since: datetime, before: datetime, *, until: datetime
) -> AsyncIterator[list[Any]]:
    """Answer the steps of every hand-over that took one of a type between two instants, one hand-over at a time.

    Args:
        tx: As the worker: nobody else finds anything.
        type_: Of which event.
        since: The first instant.
        before: The first that is too late.
        until: Steps that were taken later are left out.
    """
    taken = select(_STEP.c.referral_id).where(_STEP.c.type == type_, _STEP.c.at >= since, _STEP.c.at < before)
    rows = await tx.stream(
        select(_STEP)
        .where(_STEP.c.referral_id.in_(taken), _STEP.c.at < until)
        .order_by(_STEP.c.referral_id, _STEP.c.number),
        execution_options={"yield_per": AT_ONCE},
    )
    steps: list[Any] = []
    async for some in rows.partitions():
        for row in some:
            if steps and steps[0].referral_id != row.referral_id:
                yield steps
                steps = []
            steps.append(row)
    if steps:
        yield steps


async def kept_months(tx: AsyncSession) -> Sequence[date]:
    """Answer the months that were counted, in order."""
    return (await tx.scalars(select(col(FigureMonth.month)).order_by(col(FigureMonth.month)))).all()


async def kept(tx: AsyncSession, month: date) -> tuple[dict[str, Any] | None, dict[tuple[UUID, str], dict[str, Any]]]:
    """Answer what was told of a month: of the territory, and to organisations by their role."""
    whole = await tx.scalar(select(col(FigureMonth.territory)).where(col(FigureMonth.month) == month))
    rows = await tx.scalars(select(FigureOwn).where(col(FigureOwn.month) == month))
    return whole, {(row.organisation_id, row.role): row.told for row in rows}


async def keep(
    tx: AsyncSession, month: date, territory: dict[str, Any] | None, own: dict[tuple[UUID, str], dict[str, Any]]
) -> None:
    """Keep what is told of a month in place of what was."""
    await tx.execute(delete(FigureMonth).where(col(FigureMonth.month) == month))
    tx.add(FigureMonth(month=month, counted_at=counted_at(month), territory=territory))
    await tx.flush()  # The organisations' rows refer to it.
    tx.add_all(
        FigureOwn(month=month, organisation_id=organisation_id, role=role, told=told)
        for (organisation_id, role), told in own.items()
    )


Told = tuple[date, datetime, dict[str, Any]]


async def page(  # noqa: PLR0913 - whose figures, and which months of them
    tx: AsyncSession,
    own: tuple[UUID, str] | None,
    *,
    since: date | None,
    until: date | None,
    before: date | None,
    limit: int,
) -> tuple[list[Told], date | None]:
    """Answer what is told of months, the newest first: of the territory, or of an organisation's own in a role.

    Returns:
        Month, instant as of which it was counted, figures; and the last month where more follow.
    """
    month = col(FigureMonth.month)
    if own is None:
        query = select(month, col(FigureMonth.counted_at), col(FigureMonth.territory)).where(
            col(FigureMonth.territory).is_not(None)
        )
    else:
        query = (
            select(month, col(FigureMonth.counted_at), col(FigureOwn.told))
            .join(FigureOwn, col(FigureOwn.month) == month)
            .where(col(FigureOwn.organisation_id) == own[0], col(FigureOwn.role) == own[1])
        )
    if since is not None:
        query = query.where(month >= since)
    if until is not None:
        query = query.where(month <= until)
    if before is not None:
        query = query.where(month < before)
    rows = (await tx.execute(query.order_by(month.desc()).limit(limit + 1))).all()
    found = [(row[0], row[1], row[2]) for row in rows[:limit]]
    return found, found[-1][0] if len(rows) > limit else None
