"""Meetings as iCalendar (RFC 5545): neutral entries that tell nothing of her."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from icalendar import Calendar, Event

from relais_referral.papers.paper import MARKS

LASTS: Final = timedelta(minutes=45)
"""A first meeting usually takes so long; nobody is asked for its end."""

MODES: Final = {
    "fr": {"visit": "Rendez-vous", "call": "Appel", "video": "Visioconférence"},
    "nl": {"visit": "Afspraak", "call": "Telefoongesprek", "video": "Videogesprek"},
    "de": {"visit": "Termin", "call": "Anruf", "video": "Videogespräch"},
    "en": {"visit": "Appointment", "call": "Call", "video": "Video call"},
}
"""What a meeting is called, by language and mode."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One meeting as a calendar shows it.

    Attributes:
        referral_id: Makes the entry's lasting name.
        short_code: What both sides call the hand-over; empty in her own calendar, which others may see.
        starts_at: Aware.
        mode: visit, call or video.
        sequence: Grows with every change, so that a calendar takes the newest.
        stamped_at: When it was last changed.
        place: Only where it is the structure's own; never hers.
        cancelled: It does not take place.
        language: One of `MODES`.
        practice: Of a rehearsal: nobody is expected anywhere.
    """

    referral_id: str
    short_code: str
    starts_at: datetime
    mode: str
    sequence: int
    stamped_at: datetime
    place: str = ""
    cancelled: bool = False
    language: str = "fr"
    practice: bool = False


def calendar(entries: Iterable[Entry]) -> bytes:
    """Answer meetings as one iCalendar object."""
    whole = Calendar()
    whole.add("prodid", "-//Relais//Meetings//FR")
    whole.add("version", "2.0")
    whole.add("calscale", "GREGORIAN")
    whole.add("method", "PUBLISH")
    for entry in entries:
        whole.add_component(_event(entry))
    made: bytes = whole.to_ical()
    return made


def _event(entry: Entry) -> Event:
    event = Event()
    event.add("uid", f"{entry.referral_id}@relais")
    event.add("dtstamp", entry.stamped_at)
    event.add("dtstart", entry.starts_at)
    event.add("dtend", entry.starts_at + LASTS)
    event.add("sequence", entry.sequence)
    called = MODES[entry.language][entry.mode]
    mark = f"{MARKS[entry.language]} · " if entry.practice else ""
    event.add("summary", mark + (f"{called} (relais {entry.short_code})" if entry.short_code else called))
    event.add("status", "CANCELLED" if entry.cancelled else "CONFIRMED")
    # Others may see the calendar: the entry says that the time is taken, and no more.
    event.add("class", "PRIVATE")
    if entry.place:
        event.add("location", entry.place)
    return event
