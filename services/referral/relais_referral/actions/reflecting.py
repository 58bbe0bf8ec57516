"""Reflecting: what either side notes of a closed hand-over; the quarter's notes are counted, and then gone."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store
from relais_referral.actions.common import Asked, in_force, locked, seal_of
from relais_referral.actions.counting import step_of
from relais_referral.criteria import Criteria
from relais_referral.domain.consent import Consent, Purpose
from relais_referral.domain.figures import Step, agreed
from relais_referral.domain.handshake import Party, State
from relais_referral.domain.reflection import (
    Ballot,
    Reflections,
    closed_at,
    counted_at,
    name_of,
    next_quarter,
    noted_until,
    quarter_due,
    quarter_of,
    reflections_of,
    year_of,
)
from relais_referral.domain.refusals import IllegalAction
from relais_referral.models.referrals import Referral
from relais_referral.rewrapping import WORKER
from relais_referral.schemas.reflections import Note, NoteView
from relais_referral.sealing import Sealer, Wrapped
from relais_referral.store.reflections import PARTS, part_of
from relais_shared.clock import Clock
from relais_shared.db import Database
from relais_shared.refusals import Fault, InvalidInput, StaleVersion

Told = tuple[NoteView, int]
"""What one side reads of its own note, and the version that it reads it by; 0 where there is none."""


async def read_note(tx: AsyncSession, asked: Asked, id_: UUID) -> Told:
    """Answer what one's own side noted, and until when it may; nobody ever reads the other side's.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    await store.callers.begin(tx, asked.caller)
    referral, parties = await store.referrals.lock(tx, id_, asked.caller, reading=True)
    consent = in_force(referral, await store.consents.of_referral(tx, id_, reading=True))
    until = await _until(tx, referral, consent, asked)
    return _view(until, await _noted(tx, referral, parties, asked) if until else {})


async def note(  # noqa: PLR0913 - what is noted, of which list, on which version
    tx: AsyncSession, asked: Asked, id_: UUID, body: Note, version: str, criteria: Criteria
) -> Told:
    """Keep what one's own side noted in place of what was; what stands there already is no fault.

    Nothing of the referral moves: neither its version nor its date, and no event tells of it. Who noted it is not
    kept, so that no counsellor can be counted.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: Not closed, counted already, not to be counted, or never noted at all.
        InvalidInput: Another list than the one that holds, or codes that are not on it.
        StaleVersion: It changed since.
    """
    referral, parties, consent = await locked(tx, asked, id_)
    until = await _until(tx, referral, consent, asked)
    if until is None:
        raise IllegalAction("Nothing is noted of this hand-over now.", allowed_actions=[])
    held = _judged(body, criteria)
    before = await _noted(tx, referral, parties, asked)
    if (before.get("criteria"), before.get("held")) == (criteria.version, held):
        return _view(until, before)
    if version != str(before.get("version", 0)):
        raise StaleVersion("It changed since you read it: read it again, then decide again.")
    after = {
        "version": before.get("version", 0) + 1,
        "criteria": criteria.version,
        "held": held,
        "others": [code for code in criteria.codes() if code not in held],
    }
    part = _part(parties)
    await store.sealed.seal(tx, id_, part, seal_of(referral, asked).close(part, after))
    return _view(until, after)


def _judged(body: Note, criteria: Criteria) -> list[str]:
    """Answer the codes that were ticked, in the list's order."""
    if body.criteria != criteria.version:
        raise InvalidInput("Another list of criteria holds now.", [Fault("/criteria", "Read the criteria again.")])
    codes = criteria.codes()
    faults = [
        Fault(f"/held/{at}", "This is not on the list.") for at, code in enumerate(body.held) if code not in codes
    ]
    if faults:
        raise InvalidInput("Some criteria are not on the list.", faults)
    return [code for code in codes if code in body.held]


async def _until(tx: AsyncSession, referral: Referral, consent: Consent | None, asked: Asked) -> datetime | None:
    if referral.erased_at is not None:
        return None
    steps = [Step(row.at, row.type, row.data.get("state")) for row in await store.trail.events(tx, referral.id)]
    return noted_until(
        closed_at(steps),
        State(referral.state),
        agreed=consent is not None and consent.active(asked.now) and Purpose.STATISTICS in consent.purposes,
        sender_may_sanction=referral.sender_may_sanction,
        now=asked.now,
    )


def _part(parties: frozenset[Party]) -> str:
    """Answer where a side's note is kept; an organisation that is both sides has one."""
    return part_of(min(parties, key=list(Party).index))


async def _noted(tx: AsyncSession, referral: Referral, parties: frozenset[Party], asked: Asked) -> dict[str, Any]:
    part = _part(parties)
    kept = await store.sealed.parts(tx, referral.id, [part])
    noted: dict[str, Any] = seal_of(referral, asked).open(part, kept[part]) if kept else {}
    return noted


def _view(until: datetime | None, noted: dict[str, Any]) -> Told:
    view = NoteView(until=until, noted=bool(noted), criteria=noted.get("criteria"), held=noted.get("held", []))
    return view, noted.get("version", 0)


async def count_quarters(database: Database, sealer: Sealer, clock: Clock) -> int:
    """Count every quarter that is due, one transaction each; answer how many."""
    done, now = 0, clock()
    while await _count_next(database, sealer, now):
        done += 1
    return done


async def _count_next(database: Database, sealer: Sealer, now: datetime) -> bool:
    async with database.write() as tx:
        await store.callers.begin(tx, WORKER)
        await store.figures.take_turn(tx)
        quarter = quarter_due(*await store.reflections.bounds(tx), now)
        if quarter is None:
            return False
        await _take_out(tx, sealer, quarter)
        await store.reflections.forget_ballots(tx, year_of(quarter)[0])
        for (since, before), told in (await _counted(tx, year_of(quarter))).items():
            if before == next_quarter(quarter):
                await store.reflections.keep(tx, since, before, counted_at(quarter), told)
        return True


async def _take_out(tx: AsyncSession, sealer: Sealer, quarter: date) -> None:
    """Take the notes of a quarter out of their hand-overs: what is counted is of no hand-over any more."""
    closed, counted = [], set()
    async for rows in store.reflections.steps_of(tx, quarter):
        steps = [step_of(row) for row in rows]
        first = closed_at(steps)
        if first is not None and quarter_of(first) == quarter:
            closed.append(rows[0].referral_id)
            if agreed(steps, counted_at(quarter)) and not rows[0].sender_may_sanction:
                counted.add(rows[0].referral_id)
    for at in range(0, len(closed), store.figures.AT_ONCE):
        some = closed[at : at + store.figures.AT_ONCE]
        found = [
            (uuid4(), ballot)
            for referral, noted in await store.reflections.notes(tx, some)
            if referral.id in counted
            for ballot in _ballots(referral, noted, sealer)
        ]
        await store.reflections.keep_ballots(tx, quarter, found)
        await store.reflections.forget_notes(tx, some)


def _ballots(referral: Referral, noted: dict[str, bytes], sealer: Sealer) -> list[Ballot]:
    try:
        seal = sealer.open(referral.id, Wrapped(str(referral.key_id), bytes(referral.wrapped_key or b"")))
    except KeyError:
        # The row comes from an older copy of the database: nothing of it can be opened any more.
        return []
    authors = dict(zip(PARTS, (referral.sender_id, referral.recipient_id), strict=True))
    person, found = uuid4(), []
    for part, content in noted.items():
        said = seal.open(part, content)
        parties = frozenset({authors[part]})
        found.append(Ballot(person, parties, said["criteria"], frozenset(said["held"]), frozenset(said["others"])))
    return found


async def _counted(tx: AsyncSession, year: Sequence[date]) -> dict[tuple[date, date], dict[str, Any] | None]:
    """Answer what may be told of a year's quarters, and of the whole of those of which nothing may be.

    No note is in two of these periods: what is told of one subtracts nothing from another.
    """
    found: dict[tuple[date, date], dict[str, Any] | None] = {}
    waiting = []
    for quarter in year:
        told = _told(reflections_of(await store.reflections.ballots(tx, [quarter])), [quarter])
        found[quarter, next_quarter(quarter)] = told
        if told is None:
            waiting.append(quarter)
    together = reflections_of(await store.reflections.ballots(tx, waiting)) if len(waiting) > 1 else None
    found[year[0], next_quarter(year[-1])] = _told(together, waiting)
    return found


def _told(reflections: Reflections | None, quarters: Sequence[date]) -> dict[str, Any] | None:
    return reflections.told() | {"quarters": [name_of(one) for one in quarters]} if reflections else None


async def rebuild(database: Database, *, keep: bool) -> tuple[int, list[str]]:
    """Count anew every period whose notes are still kept: those of the year that was counted last.

    Args:
        database: The referral app's.
        keep: What the notes say takes the place of what is kept; otherwise it is only compared.

    Returns:
        How many periods there are, and the names of those of which something else was kept.
    """
    async with database.write() as tx:
        await store.callers.begin(tx, WORKER)
        await store.figures.take_turn(tx)
        last, _ = await store.reflections.bounds(tx)
        if last is None:
            return 0, []
        year = year_of(last)
        found = await _counted(tx, year)
        periods = await store.reflections.kept(tx, year[0])
        differing = []
        for (since, before), told in sorted(periods.items()):
            if told != found[since, before]:
                whole = before != next_quarter(since)
                differing.append(str(since.year) if whole else name_of(since))
                if keep:
                    at = counted_at(year[-1] if whole else since)
                    await store.reflections.keep(tx, since, before, at, found[since, before])
        return len(periods), differing
