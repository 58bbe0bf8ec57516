"""Opening hours in OpenStreetMap's syntax, judged in the place's own time with its public holidays."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import opening_hours
from opening_hours import OpeningHours, State

ZONES: Final = {
    "be": "Europe/Brussels",
    "fr": "Europe/Paris",
    "lu": "Europe/Luxembourg",
    "nl": "Europe/Amsterdam",
    "de": "Europe/Berlin",
    "ch": "Europe/Zurich",
    "gb": "Europe/London",
    "fr:971": "America/Guadeloupe",
    "fr:972": "America/Martinique",
    "fr:973": "America/Cayenne",
    "fr:974": "Indian/Reunion",
    "fr:976": "Indian/Mayotte",
}
"""Time zone by country, or by the beginning of the municipality's code."""

REMEMBERED: Final = 20_000
"""Parsed hours kept: most places of a territory share a few hundred spellings."""


@dataclass(frozen=True, slots=True)
class Opening:
    """Whether a place is open; None where nobody told its hours. `next_opening` is aware, in the place's time."""

    open_now: bool | None
    next_opening: datetime | None = None


def zone_of(municipality: str | None, country: str) -> str:
    """Answer the IANA time zone of a municipality (`fr:97411`), or of its country."""
    return ZONES.get((municipality or "")[:6]) or ZONES.get(country.lower(), "UTC")


def parse(text: str, zone: str, country: str) -> OpeningHours:
    """Read hours, once for each spelling.

    Raises:
        ValueError: They cannot be read.
    """
    try:
        return _parsed(text, zone, country)
    except opening_hours.ParserError as fault:  # type: ignore[attr-defined]  # missing from its stub alone
        raise ValueError("These opening hours are not in OpenStreetMap's syntax.") from fault
    except opening_hours.UnknownCountryError as fault:  # type: ignore[attr-defined]  # missing from its stub alone
        raise ValueError("The public holidays of this country are not known.") from fault


@lru_cache(maxsize=REMEMBERED)
def _parsed(text: str, zone: str, country: str) -> OpeningHours:
    return OpeningHours(text, timezone=ZoneInfo(zone), country=country.upper() or None)


def opening(text: str | None, zone: str, country: str, now: datetime) -> Opening:
    """Answer whether a place is open at an instant (aware), and when it opens next."""
    if not text:
        return Opening(None)
    try:
        hours = parse(text, zone, country)
    except ValueError:
        return Opening(None)
    at = now.astimezone(ZoneInfo(zone))
    if hours.is_open(at):
        return Opening(open_now=True)
    if hours.is_unknown(at):
        return Opening(None)
    return Opening(False, hours.next_change(at))


def is_open(text: str, zone: str, country: str, at: datetime) -> bool:
    """Answer whether a place is open at an instant; a naive moment is one on the place's own clock."""
    try:
        hours = parse(text, zone, country)
    except ValueError:
        return False
    here = ZoneInfo(zone)
    return hours.is_open(at.astimezone(here) if at.tzinfo else at.replace(tzinfo=here))


def week(text: str, zone: str, country: str, now: datetime) -> list[dict[str, str]]:
    """Answer the opening times of the coming seven days, in the place's time."""
    start = now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        spans = parse(text, zone, country).intervals(start, start + timedelta(days=7))
        return [
            {"opens_at": opens.isoformat(), "closes_at": closes.isoformat()}
            for opens, closes, state, _comment in spans
            if state == State.OPEN and closes is not None
        ]
    except ValueError:
        return []
