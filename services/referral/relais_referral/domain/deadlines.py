"""When an answer is usual: working days, never a deadline for the person (design 5)."""

from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

TODAY_WITHIN: Final = timedelta(hours=1)
"""`today` unanswered for an hour goes to the desk, with alternatives."""

ZONE: Final = ZoneInfo("Europe/Brussels")
"""Days are counted where the counsellors work."""

_SATURDAY: Final = 5


def day_of(at: datetime) -> date:
    """Answer the day of an instant on the clocks of those who work: theirs begins before the day of UTC does."""
    return at.astimezone(ZONE).date()


def answer_due(proposed_at: datetime, *, urgency: str, working_days: int) -> datetime:
    """Answer the instant from which a proposal counts as unanswered for too long.

    Args:
        proposed_at: Aware.
        urgency: `today`, `days` or `none`; `none` doubles the recipient's usual time.
        working_days: What the recipient declares; Saturdays and Sundays do not count.
    """
    if urgency == "today":
        return proposed_at + TODAY_WITHIN
    left = working_days * (2 if urgency == "none" else 1)
    due = proposed_at.astimezone(ZONE)
    while left:
        due += timedelta(days=1)
        left -= due.weekday() < _SATURDAY
    return due.astimezone(proposed_at.tzinfo)


def overdue(due_at: datetime | None, now: datetime, *, waiting: bool, paused: bool) -> bool:
    """Answer whether an answer is overdue now: only while it is waited for, and never in a pause."""
    return due_at is not None and waiting and not paused and due_at <= now
