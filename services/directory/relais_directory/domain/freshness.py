"""How fresh what we know is: it fades with time, from the day when somebody assured it."""

from datetime import date
from math import exp, log
from typing import Final

HALF_LIFE_DAYS: Final = 180
"""After half a year an entry is worth half: crèches and phone numbers change about once in that time."""

UNKNOWN: Final = 0.2
"""An entry that nobody ever assured: worth less than one of a year ago, more than nothing."""


def score(assured_on: date | None, today: date) -> float:
    """Answer how far an entry can be trusted, from 0 to 1, two decimals."""
    if assured_on is None:
        return UNKNOWN
    age = max(0, (today - assured_on).days)
    return round(exp(-age * log(2) / HALF_LIFE_DAYS), 2)
