"""Counting: once a month is settled, what may be told of it is worked out of the event log, and kept."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store
from relais_referral.domain.figures import (
    Counted,
    Step,
    counted_at,
    course_of,
    figures_of,
    months_due,
    theme_of,
)
from relais_referral.domain.handshake import Party
from relais_referral.rewrapping import WORKER
from relais_referral.sealing import Sealer
from relais_shared.clock import Clock
from relais_shared.db import Database

Own = dict[tuple[UUID, str], dict[str, Any]]
"""What is told to organisations of their own hand-overs, by organisation and role."""


async def count_months(database: Database, sealer: Sealer, clock: Clock) -> int:
    """Count every month that is due, one transaction each; answer how many."""
    del sealer  # Nothing sealed is counted.
    done, now = 0, clock()
    while await _count_next(database, now):
        done += 1
    return done


async def _count_next(database: Database, now: datetime) -> bool:
    async with database.write() as tx:
        await store.callers.begin(tx, WORKER)
        await store.figures.take_turn(tx)
        last, first = await store.figures.bounds(tx)
        due = months_due(last, first.astimezone(UTC).date() if first else None, now)
        if due:
            await store.figures.keep(tx, due[0], *await count(tx, due[0]))
        return bool(due)


async def rebuild(database: Database, *, keep: bool) -> tuple[int, list[date]]:
    """Count every month anew that was ever counted.

    Args:
        database: The referral app's.
        keep: What the event log says takes the place of what is kept; otherwise it is only compared.

    Returns:
        How many months there are, and those of which something else was kept.
    """
    async with database.write() as tx:
        await store.callers.begin(tx, WORKER)
        months = await store.figures.kept_months(tx)
    differing = []
    for month in months:
        async with database.write() as tx:
            await store.callers.begin(tx, WORKER)
            await store.figures.take_turn(tx)
            told = await count(tx, month)
            if told != await store.figures.kept(tx, month):
                differing.append(month)
                if keep:
                    await store.figures.keep(tx, month, *told)
    return len(months), differing


async def count(tx: AsyncSession, month: date) -> tuple[dict[str, Any] | None, Own]:
    """Work out of the event log what may be told of a month: of the territory, and to each organisation of its own.

    It looks at nothing that happened after the month was counted, so that it comes to the same whenever it is done.

    Args:
        tx: As the worker.
        month: Its first day.
    """
    read: list[tuple[Any, Counted]] = []
    before: dict[UUID, UUID | None] = {}
    async for rows in store.figures.steps_of(tx, month):
        about = rows[0]
        before[about.referral_id] = about.redirected_from
        course = course_of((step_of(row) for row in rows), counted_at(month))
        if course is not None:
            one = Counted(
                person=about.referral_id,
                parties=frozenset({about.sender_id, about.recipient_id}),
                theme=theme_of(about.themes, sensitive=about.sensitive),
                municipality=about.municipality,
                course=course,
            )
            read.append((about, one))
    territory: list[Counted] = []
    own: dict[tuple[UUID, str], list[Counted]] = defaultdict(list)
    for about, each in read:
        one = replace(each, person=_first(about.referral_id, before))
        own[about.recipient_id, str(Party.RECIPIENT)].append(one)
        if not about.sender_may_sanction:
            # What became of her is nothing that such a sender could read, in a sum neither.
            own[about.sender_id, str(Party.SENDER)].append(one)
            territory.append(one)
    whole = figures_of(territory, insiders=True)
    told = {key: figures for key, found in own.items() if (figures := figures_of(found, insiders=False))}
    return whole.told() if whole else None, {key: figures.told() for key, figures in told.items()}


def step_of(row: Any) -> Step:  # noqa: ANN401 - a row of the view
    """Answer a step as it is counted."""
    return Step(row.at, row.type, row.state, row.consent_id, row.statistics, row.valid_until)


def _first(referral_id: UUID, before: Mapping[UUID, UUID | None]) -> UUID:
    """Answer the hand-over with which a chain of redirections began, as far as it is of the same month."""
    while (earlier := before.get(referral_id)) is not None:
        referral_id = earlier
    return referral_id
