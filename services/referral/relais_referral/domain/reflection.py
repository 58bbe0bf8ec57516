"""Reflection: what either side noted of a closed hand-over, told only as sums of five persons (docs/figures.md)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

from relais_referral.domain.figures import SETTLED, Step, enough, first_of, next_month
from relais_referral.domain.handshake import EVENTS, Action, State

AUTHORS: Final = 3
"""Organisations that noted what is told, at least: of two, either would read the other's by taking off its own."""

CLOSED: Final = EVENTS[Action.CLOSE]
_UNDONE: Final = EVENTS[Action.UNDO]


@dataclass(frozen=True, slots=True)
class Ballot:
    """What one side noted, as it is counted: of which hand-over it was stands nowhere any more.

    Attributes:
        person: The same in the notes of both sides of a hand-over.
        parties: The organisation that noted it: it alone knows what stands there.
        criteria: The version of the list.
        held: The codes that were ticked.
        others: The codes of that list that were not.
    """

    person: UUID
    parties: frozenset[UUID]
    criteria: str
    held: frozenset[str]
    others: frozenset[str]


@dataclass(frozen=True, slots=True)
class Row:
    """What is told of one criterion: in how many notes it held, of how many."""

    code: str
    held: int
    of: int


@dataclass(frozen=True, slots=True)
class Reflections:
    """What is told of a period; a criterion of which nothing may be told is not there."""

    criteria: str
    rows: tuple[Row, ...]

    def told(self) -> dict[str, Any]:
        """Answer it as it is kept: plain lists and words."""
        return {"criteria": self.criteria, "rows": [asdict(row) for row in self.rows]}


def reflections_of(ballots: Sequence[Ballot]) -> Reflections | None:
    """Answer what may be told of the notes of a period, or nothing.

    A criterion is told where its notes, those in which it held and those in which it did not are each of five persons
    at least or of nobody, also to an organisation that takes off its own. Criteria part nothing: no sum or difference
    of two of them is of anybody, so that each is judged by itself.

    Args:
        ballots: All that are counted. Where a list took another's place meanwhile, those on the one that more were
            noted on are told: two numbers of notes beside each other would tell of the few on the other.
    """
    lists = Counter(one.criteria for one in ballots)
    if not lists:
        return None
    version = max(lists, key=lambda name: (lists[name], name))
    noted = [one for one in ballots if one.criteria == version]
    authors = frozenset[UUID]().union(*(one.parties for one in noted))
    if len(authors) < AUTHORS or not enough(noted):
        return None
    codes = frozenset[str]().union(*(one.held | one.others for one in noted))
    rows = []
    for code in sorted(codes):
        held = [one for one in noted if code in one.held]
        others = [one for one in noted if code not in one.held]
        if all(enough(part) for part in (held, others) if part):
            rows.append(Row(code, len(held), len(noted)))
    return Reflections(version, tuple(rows)) if rows else None


def closed_at(steps: Iterable[Step]) -> datetime | None:
    """Answer when a hand-over was closed for the first time, a slip that was taken back aside; None: never.

    It is counted in that quarter and in no other, even where it was taken up again and closed once more.
    """
    first: datetime | None = None
    again = False
    for step in steps:
        if step.type == CLOSED:
            first, again = first or step.at, first is not None
        elif step.type == _UNDONE and step.state == State.HANDED_OVER and not again:
            first = None
    return first


def noted_until(
    closed: datetime | None, state: State, *, agreed: bool, sender_may_sanction: bool, now: datetime
) -> datetime | None:
    """Answer until when a side may note, or None: it may not.

    It may while the hand-over is closed and its quarter not counted yet, and she agrees to be counted: what would
    never be counted is not asked for. Never where the sender may sanction, on neither side: what became of her is
    nothing that such a sender could read, in a sum neither.

    Args:
        closed: When it was closed for the first time.
        state: Where it stands.
        agreed: Her agreement in force has the purpose `statistics`.
        sender_may_sanction: As stored.
        now: The instant.
    """
    if closed is None or state is not State.CLOSED or not agreed or sender_may_sanction:
        return None
    until = counted_at(quarter_of(closed))
    return until if now < until else None


def quarter_of(instant: datetime) -> date:
    """Answer the first day of the quarter in UTC that an instant is of."""
    instant = instant.astimezone(UTC)
    return date(instant.year, (instant.month - 1) // 3 * 3 + 1, 1)


def next_quarter(quarter: date) -> date:
    """Answer the first day of the quarter that follows."""
    return next_month(next_month(next_month(quarter)))


def counted_at(quarter: date) -> datetime:
    """Answer the instant as of which a quarter is counted: a month after its end, so that both sides had their time.

    What is hers stays half a year after closing (domain/retention): no note is gone before.
    """
    return first_of(next_month(next_quarter(quarter)))


def quarter_due(last: date | None, first: datetime | None, now: datetime) -> date | None:
    """Answer the first day of the quarter that is to be counted now, where one is.

    Args:
        last: The quarter that was counted last.
        first: When the very first hand-over was closed.
        now: The present instant.
    """
    quarter = next_quarter(last) if last else first and quarter_of(first)
    return quarter if quarter and counted_at(quarter) + SETTLED <= now else None


def year_of(quarter: date) -> list[date]:
    """Answer the quarters of a quarter's year."""
    return [date(quarter.year, month, 1) for month in (1, 4, 7, 10)]


def name_of(quarter: date) -> str:
    """Answer how a quarter is called: `2026-Q3`."""
    return f"{quarter.year}-Q{quarter.month // 3 + 1}"
