"""Whether two entries of different sources tell of one service: a score with its reasons, never a verdict."""

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from relais_directory.domain.words import plain

PROPOSED_FROM: Final = 0.6
"""A likeness from which two entries are worth a look: a name and a place, or a name and a number."""

SAME_PLACE_M: Final = 150
"""Two points of one building, as different sources set them."""

NAME_FROM: Final = 0.55
"""Names less alike are of different services, however near they are."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What two entries are compared by; phones as digits, streets of places that are told."""

    name: str
    organisation: str
    phones: frozenset[str]
    email: str | None
    streets: frozenset[str]
    themes: frozenset[str]


COUNTRIES: Final = ("32", "33", "352", "31", "49", "262", "590", "594", "596")
"""Of telephone numbers: Belgium, France, Luxembourg, the Netherlands, Germany, France's overseas departments."""

ABROAD: Final = 10
"""Digits from which a number that begins with no zero holds its country's: at home it has nine, or a zero before."""


def digits(number: str) -> str:
    """Answer a telephone number as digits, without its country's code and zero: 071 12 34 56 is +32 71 12 34 56."""
    found = "".join(sign for sign in number if sign.isdigit())
    abroad = number.strip().startswith("+") or found.startswith("00")
    abroad = abroad or (len(found) >= ABROAD and not found.startswith("0"))
    if abroad:
        found = found.removeprefix("00")
        code = next((code for code in COUNTRIES if found.startswith(code)), "")
        found = found[len(code) :]
    return found.removeprefix("0")


def compare(one: Entry, other: Entry, distance_m: float | None) -> tuple[float, list[dict[str, object]]]:
    """Answer how likely two entries are one service, from 0 to 1, and why."""
    name = _likeness(one.name, other.name)
    if name < NAME_FROM:
        return 0.0, []
    score = 0.45 * name
    reasons: list[dict[str, object]] = [{"what": "name", "likeness": round(name, 2)}]
    if distance_m is not None and distance_m <= SAME_PLACE_M:
        score += 0.25
        reasons.append({"what": "place", "distance_m": round(distance_m)})
    if one.phones & other.phones:
        score += 0.2
        reasons.append({"what": "phone"})
    if one.email and other.email and one.email.casefold() == other.email.casefold():
        score += 0.15
        reasons.append({"what": "email"})
    if {plain(street) for street in one.streets} & {plain(street) for street in other.streets}:
        score += 0.1
        reasons.append({"what": "street"})
    organisation = _likeness(one.organisation, other.organisation)
    if organisation >= NAME_FROM:
        score += 0.1 * organisation
        reasons.append({"what": "organisation", "likeness": round(organisation, 2)})
    if one.themes & other.themes:
        score += 0.05
        reasons.append({"what": "themes"})
    return round(min(1.0, score), 2), reasons


def _likeness(one: str, other: str) -> float:
    """Answer how alike two names are, the order of words aside."""
    first, second = (" ".join(sorted(plain(text).split())) for text in (one, other))
    return SequenceMatcher(None, first, second, autojunk=False).ratio() if first and second else 0.0
