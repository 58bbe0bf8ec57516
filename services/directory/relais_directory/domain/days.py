"""Which day it is for those who keep and read entries."""

from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

ZONE: Final = ZoneInfo("Europe/Brussels")
"""Days are counted where counsellors and structures work."""


def day_of(at: datetime) -> date:
    """Answer the day of an instant on their clocks: theirs begins before the day of UTC does."""
    return at.astimezone(ZONE).date()
