"""How complete an entry is: data.inclusion's score (v1 `score_qualite`), on our words."""

from dataclasses import dataclass
from datetime import date
from typing import Final

FRESH_DAYS: Final = 183
"""A change within half a year counts whole."""
STALE_DAYS: Final = 730
"""After two years it counts nothing; between, a straight line."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the score looks at.

    Attributes:
        on_site: It is given at a place.
        address: That place has a street or a point.
        phone: There is a number.
        email: There is an address.
        link: There is a page.
        relay: Somebody who takes hand-overs is named.
        changed_on: When it was changed or assured last.
        themes: It bears one.
        audiences: It says whom it is for.
        description: Characters of its text.
        free: It costs nothing; None where nobody told.
        fees: It says what it costs.
    """

    on_site: bool
    address: bool
    phone: bool
    email: bool
    link: bool
    relay: bool
    changed_on: date | None
    themes: bool
    audiences: bool
    description: int
    free: bool | None
    fees: bool


def score(facts: Facts, today: date) -> float:
    """Answer the mean of the criteria that apply, from 0 to 1, two decimals."""
    found = list(criteria(facts, today).values())
    return round(sum(found) / len(found), 2)


def criteria(facts: Facts, today: date) -> dict[str, float]:
    """Answer each criterion that applies, from 0 to 1: what an owner can make better."""
    found = {
        "contact": float(facts.phone or facts.email or facts.link),
        "ways_in": (float(facts.phone or facts.email or facts.link or facts.on_site) + float(facts.relay)) / 2,
        "updated": _recent(facts.changed_on, today),
        "themes": float(facts.themes),
        "audiences": float(facts.audiences),
        "description": _told(facts.description),
        "fees": 0.0 if facts.free is None else 0.5 if not facts.free and not facts.fees else 1.0,
    }
    if facts.on_site:
        found["address"] = float(facts.address)
    return found


def _recent(changed_on: date | None, today: date) -> float:
    if changed_on is None:
        return 0.0
    age = (today - changed_on).days
    return max(0.0, min(1.0, 1 - (age - FRESH_DAYS) / (STALE_DAYS - FRESH_DAYS)))


def _told(characters: int) -> float:
    if characters < 50:  # noqa: PLR2004 - the score's own steps
        return 0.0
    return 1.0 if 200 <= characters < 2_000 else 0.5  # noqa: PLR2004 - the score's own steps
