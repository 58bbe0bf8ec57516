"""Figures: what a month's hand-overs come to, told so that nobody is told of (design 3, docs/figures.md)."""

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from math import ceil
from typing import Any, Final, Protocol
from uuid import UUID

from relais_referral.domain.handshake import EVENTS, HANDED_OVER, WAITING, Action

LEAST: Final = 5
"""Nothing is told of fewer persons (design 3)."""

SETTLED: Final = timedelta(minutes=10)
"""No transaction that began before a month's count is still open so long after."""

SEVERAL: Final = "several"
"""The theme of a hand-over whose needs are of several families."""

UNTOLD: Final = ""
"""Where a hand-over of a sensitive theme is counted among themes: in a cell that is never told."""

PROPOSED: Final = EVENTS[Action.PROPOSE]
_ANSWERS: Final = frozenset({EVENTS[Action.ACCEPT], EVENTS[Action.DECLINE]})
_MET: Final = frozenset({EVENTS[Action.CONFIRM_HANDOVER], HANDED_OVER})
_AGREES: Final = frozenset({"consent.given", "consent.confirmed", "consent.narrowed"})
_ENDS: Final = frozenset({"consent.withdrawn", "consent.expired"})


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a hand-over, as far as figures need it.

    Attributes:
        at: When, aware UTC.
        type: What.
        state: The state that followed, where the event says it.
        consent_id: The agreement to the hand-over that it tells of.
        statistics: That agreement has the purpose `statistics`.
        valid_until: When that agreement runs out by itself.
    """

    at: datetime
    type: str
    state: str | None = None
    consent_id: UUID | None = None
    statistics: bool = False
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """How far a hand-over had come, and how soon.

    Attributes:
        answered_after: From the proposal to the first answer, yes or no.
        met: Both sides say that she was met.
        met_after: From the proposal to the first word that she was.
    """

    answered_after: timedelta | None
    met: bool
    met_after: timedelta | None

    @property
    def step(self) -> str:
        """How far it had come, in one word."""
        if self.met:
            return "met"
        return "waiting" if self.answered_after is None else "answered"


@dataclass(frozen=True, slots=True)
class Counted:
    """One hand-over as it is counted.

    Attributes:
        person: The same for the hand-overs of a chain of redirections, which are of one person.
        parties: The organisations that know it.
        theme: `theme_of` its needs.
        municipality: Hers.
        course: How far it came.
    """

    person: Hashable
    parties: frozenset[UUID]
    theme: str
    municipality: str
    course: Course


class Known(Protocol):
    """What is counted of a person, and the organisations that know it."""

    @property
    def person(self) -> Hashable:
        """The same in everything that is counted of a person."""

    @property
    def parties(self) -> frozenset[UUID]:
        """The organisations that can take it off."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is told of a group of hand-overs; a median is in whole days, rounded up."""

    key: str
    handovers: int
    answered_within_days: int | None = None
    met_within_days: int | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What is told of a month: the whole, and three ways to part it. A part that is not told is in none."""

    whole: Row
    steps: tuple[Row, ...]
    themes: tuple[Row, ...]
    municipalities: tuple[Row, ...]

    def told(self) -> dict[str, Any]:
        """Answer it as it is kept: plain lists and words."""
        parts = {"steps": self.steps, "themes": self.themes, "municipalities": self.municipalities}
        return {"whole": asdict(self.whole), **{name: [asdict(row) for row in rows] for name, rows in parts.items()}}


def course_of(steps: Iterable[Step], until: datetime) -> Course | None:
    """Answer how far a hand-over had come at an instant, or nothing where she did not agree to be counted then.

    Args:
        steps: Its events in their order.
        until: What happened later is not looked at.
    """
    past = [step for step in steps if step.at < until]
    proposed = next((step.at for step in past if step.type == PROPOSED), None)
    if proposed is None or not agreed(past, until):
        return None
    answered = said = None
    met = False
    for step in past:
        if step.type == EVENTS[Action.UNDO] and step.state in WAITING:
            answered = None
        if step.type in _ANSWERS | _MET:
            # Where the sender telephones, the first word that she was met is the answer too.
            answered = answered or step.at
        if step.type in _MET:
            said, met = said or step.at, met or step.type == HANDED_OVER
    return Course(
        answered_after=answered - proposed if answered else None,
        met=met,
        met_after=said - proposed if said and met else None,
    )


def agreed(steps: Iterable[Step], at: datetime) -> bool:
    """Answer whether the agreement in force at an instant has the purpose `statistics`."""
    agreement: Step | None = None
    for step in steps:
        if step.type in _AGREES and step.consent_id is not None:
            agreement = step
        elif step.type in _ENDS and agreement is not None and step.consent_id == agreement.consent_id:
            agreement = None
    if agreement is None or not agreement.statistics:
        return False
    return agreement.valid_until is None or at < agreement.valid_until


def theme_of(themes: Sequence[str], *, sensitive: bool) -> str:
    """Answer the one theme under which a hand-over is counted.

    Its theme where it has one; the family of its themes where they are of one; `SEVERAL`, or `UNTOLD`.
    """
    families = {family(theme) for theme in themes}
    if sensitive:
        return UNTOLD
    if len(families) != 1:
        return SEVERAL
    return themes[0] if len(themes) == 1 else families.pop()


def family(theme: str) -> str:
    """Answer the family of a theme: `childcare` of `childcare--nursery`."""
    return theme.partition("--")[0]


def figures_of(handovers: Sequence[Counted], *, insiders: bool) -> Figures | None:
    """Answer what may be told of a month's hand-overs, or nothing.

    Args:
        handovers: All that are counted.
        insiders: Organisations read it that know some of the hand-overs themselves, and may take them off.
    """
    known = [one if insiders else _known_to_nobody(one) for one in handovers]
    if not enough(known):
        return None
    families = _parted(known, lambda one: family(one.theme))
    told = shown(families, never={UNTOLD})
    themes = []
    for name in told:
        themes.append(_row(name, families[name]))
        # Its themes part a number that is told: they are judged as the families were.
        inside = _parted(families[name], lambda one: one.theme)
        themes += [_row(theme, inside[theme]) for theme in shown(inside, never={name})]
    steps = _parted(known, lambda one: one.course.step)
    places = _parted(known, lambda one: one.municipality)
    return Figures(
        whole=_row("", known),
        steps=tuple(Row(step, len(steps[step])) for step in shown(steps)),
        themes=tuple(themes),
        municipalities=tuple(_row(place, places[place]) for place in shown(places)),
    )


def shown(parts: Mapping[str, Sequence[Counted]], *, never: Container[str] = ()) -> list[str]:
    """Answer which parts of a whole may be told, the whole being told too: no other part can be computed from them.

    What is not told can be added up, since the whole is known: so it must be enough itself, consist of several parts,
    and not be so much that each of them must be as large as a hidden one can be. Until then the smallest parts that
    could be told are hidden too, all of the same size at once: the one that is left would say how large they are.

    Args:
        parts: By key; each hand-over stands in one.
        never: Keys that are not told however many they are.

    Returns:
        The keys, sorted.
    """
    sizes = {key: persons(part) for key, part in parts.items() if part}
    told = [key for key in sizes if key not in never and enough(parts[key])]
    while told and not _blurred([parts[key] for key in sizes if key not in told]):
        smallest = min(sizes[key] for key in told)
        told = [key for key in told if sizes[key] > smallest]
    return sorted(told)


def _blurred(hidden: Sequence[Sequence[Counted]]) -> bool:
    """Answer whether nothing can be said of any hidden part from what they come to together."""
    together = [one for part in hidden for one in part]
    if not together:
        return True
    small = all(persons(part) < LEAST for part in hidden)
    most = small and persons(together) >= (LEAST - 1) * len(hidden)
    return len(hidden) > 1 and enough(together) and not most


def enough(group: Iterable[Known]) -> bool:
    """Answer whether a group may be told of: five persons at least, also to an organisation that takes off its own.

    Where nobody is left then, nobody is told of.
    """
    known: dict[Hashable, frozenset[UUID]] = {}
    for one in group:
        known[one.person] = known.get(one.person, one.parties) & one.parties
    own = Counter(party for parties in known.values() for party in parties)
    left = [len(known) - count for count in own.values()]
    return len(known) >= LEAST and all(count == 0 or count >= LEAST for count in left)


def persons(group: Iterable[Known]) -> int:
    """Answer of how many persons a group is, as far as can be known: Relais matches nobody."""
    return len({one.person for one in group})


def first_of(month: date) -> datetime:
    """Answer the instant at which a month begins, in UTC."""
    return datetime.combine(month, time(), UTC)


def next_month(month: date) -> date:
    """Answer the first day of the month that follows."""
    return (month.replace(day=1) + timedelta(days=31)).replace(day=1)


def counted_at(month: date) -> datetime:
    """Answer the instant as of which a month is counted: a month after its end, so that answers had their time."""
    return first_of(next_month(next_month(month)))


def months_due(last: date | None, first: date | None, now: datetime) -> list[date]:
    """Answer the first days of the months that are to be counted now, in order, those without hand-overs included.

    Args:
        last: The month that was counted last.
        first: The day of the very first proposal.
        now: The present instant.
    """
    month = next_month(last) if last else first and first.replace(day=1)
    due = []
    while month and counted_at(month) + SETTLED <= now:
        due.append(month)
        month = next_month(month)
    return due


def _known_to_nobody(one: Counted) -> Counted:
    return replace(one, parties=frozenset())


def _parted(handovers: Iterable[Counted], by: Callable[[Counted], str]) -> dict[str, list[Counted]]:
    found: dict[str, list[Counted]] = defaultdict(list)
    for one in handovers:
        found[by(one)].append(one)
    return dict(found)


def _row(key: str, group: Sequence[Counted]) -> Row:
    return Row(
        key,
        len(group),
        answered_within_days=_median(group, lambda one: one.course.answered_after),
        met_within_days=_median(group, lambda one: one.course.met_after),
    )


def _median(group: Iterable[Counted], after: Callable[[Counted], timedelta | None]) -> int | None:
    """Answer within how many whole days half of a group had it, of those who had; never a mean, which subtracts."""
    had = [(one, term) for one in group if (term := after(one)) is not None]
    if not enough(one for one, _ in had):
        return None
    return ceil(sorted(term for _, term in had)[(len(had) - 1) // 2] / timedelta(days=1))
