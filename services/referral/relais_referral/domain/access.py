"""Her own way in: what her link shows, how long a session lives, how guessing her code is slowed (design 6)."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class Level(StrEnum):
    """What her link shows."""

    NONE = "none"  # nothing: her card is for a counter, with somebody of hers beside her
    STEPS = "steps"  # the steps and the meeting
    FULL = "full"  # everything


class Way(StrEnum):
    """How she came in."""

    LINK = "link"
    ASSISTED = "assisted"  # at a counter, with her card and code


TRIES: Final = 5
"""Wrong codes before her link rests: four pictures of twelve in order are 20,736, so nobody guesses them so."""

RESTS_FOR: Final = timedelta(minutes=15)
"""How long it rests at first; each further five wrong tries double it."""

RESTS_AT_MOST: Final = timedelta(days=1)
"""Whoever found her card can keep her out so long, not for good; her counsellor gives her another card."""

PROLONGED_BY: Final = timedelta(minutes=20)
"""A session left open ends so long after its last use."""

LIVES_AT_MOST: Final = timedelta(hours=2)
"""A session ends then, however much it is used: a borrowed telephone goes back."""

ASSISTED_FOR: Final = timedelta(minutes=15)
"""A session at a counter ends then, used or not: the next person stands there."""


def rests_until(tries: int, now: datetime) -> datetime | None:
    """Answer until when a link rests after so many wrong tries in a row, or nothing where it does not."""
    rounds, more = divmod(tries, TRIES)
    if more or not rounds:
        return None
    # The exponent is bounded first: nobody computes with a number of a thousand digits here.
    return now + min(RESTS_FOR * (1 << min(rounds - 1, 10)), RESTS_AT_MOST)


def lives_until(opened_at: datetime, now: datetime, way: Way) -> datetime:
    """Answer until when a session lives that is used now; one at a counter is not prolonged."""
    if way is Way.ASSISTED:
        return opened_at + ASSISTED_FOR
    return min(now + PROLONGED_BY, opened_at + LIVES_AT_MOST)
