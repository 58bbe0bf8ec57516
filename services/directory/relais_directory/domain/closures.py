"""Temporary closures: judged when an entry is read, so that nobody has to open it again by hand."""

from datetime import date


def closed_on(status: str, first: date | None, last: date | None, today: date) -> bool:
    """Say whether a service is closed on a day: from its first day to its last, both included.

    Without a first day it is closed already, without a last one until its owner says otherwise.
    """
    if status != "temporarily_closed":
        return False
    return (first is None or first <= today) and (last is None or today <= last)


def status_on(status: str, first: date | None, last: date | None, today: date) -> str:
    """Answer the status as it is on a day: a closure that is to come, or over, leaves the service active."""
    if status == "temporarily_closed" and not closed_on(status, first, last, today):
        return "active"
    return status


def notice(status: str, first: date | None, last: date | None, today: date) -> str | None:
    """Answer what is to be told of a closure on a day, in the territory's first language; nothing once it is over."""
    if status != "temporarily_closed" or (last is not None and last < today):
        return None
    begins = f"{first:%d/%m/%Y}" if first is not None and first > today else None
    ends = f"{last:%d/%m/%Y}" if last else None
    if begins:
        return f"Fermeture du {begins} au {ends}." if ends else f"Fermeture à partir du {begins}."
    return f"Fermé temporairement jusqu'au {ends}." if ends else "Fermé temporairement."


MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def hours_with(hours: str | None, status: str, first: date | None, last: date | None) -> str | None:
    """Answer opening hours with a closure in them (OpenStreetMap's syntax), so that they are right on every day.

    Hours that nobody told stay untold: closed days alone would say that it is open never.
    """
    if hours is None or status != "temporarily_closed":
        return hours
    if first is None and last is None:
        return "off"
    begins = _day(first or date(last.year - 1 if last else 1, 1, 1))
    return f"{hours}; {begins}-{_day(last)} off" if last else f"{hours}; {begins}+ off"


def _day(day: date) -> str:
    return f"{day.year} {MONTHS[day.month - 1]} {day.day:02d}"
