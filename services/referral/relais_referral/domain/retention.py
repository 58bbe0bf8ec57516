"""How long what is hers stays: one table, read by the worker, the page of the docs and the tests (design 6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from relais_referral.domain.handshake import ENDED, State

DRAFT: Final = timedelta(days=7)
"""A draft to which she never agreed."""
ENDED_FOR: Final = timedelta(days=30)
"""Declined, cancelled or withdrawn."""
CLOSED_FOR: Final = timedelta(days=183)
"""Closed: half a year, in which the work may be taken up again."""
IDLE: Final = timedelta(days=365)
"""Open, and nobody touched it: the sender is asked."""
ASKED: Final = timedelta(days=30)
"""An answer to that question may wait as long as an ended referral does."""
PRACTICE: Final = timedelta(days=7)
"""A rehearsal, whatever its state."""
TAKEN_BACK: Final = timedelta(hours=72)
"""An erasure that she asked for can be taken back so long, in person; then the key is destroyed."""
REPEATED: Final = timedelta(hours=24)
"""The keys of repeated requests."""

ROWS: Final[Mapping[str, str]] = {
    "her refusal": "at once",
    "draft without her agreement": f"{DRAFT.days} days after it was opened",
    "draft that was cancelled before she ever agreed": "at once",
    "declined, cancelled, withdrawn": f"{ENDED_FOR.days} days after that step",
    "closed": f"{CLOSED_FOR.days} days after closing",
    "open, untouched": f"the sender is asked after {IDLE.days} days, and {ASKED.days} days later it goes",
    "what a side noted of a closed hand-over": "with it, and once its quarter is counted at the latest",
    "the same for the count, of no hand-over any more": "when the first quarter of the next year is counted",
    "practice": f"{PRACTICE.days} days after it was opened",
    "erased at her word": f"{TAKEN_BACK.total_seconds() / 3600:.0f} hours later, unless she took it back in person",
    "her card": "ends with the last hand-over that it shows",
    "sessions, hers and guests'": "removed within a minute after they ended",
    "repeated requests' keys": f"{REPEATED.total_seconds() / 3600:.0f} hours",
    "events, agreements without the data": "kept as proof; they hold nothing of hers",
}
"""What, and when it goes."""


@dataclass(frozen=True, slots=True)
class Age:
    """What the table needs to know of a referral.

    Attributes:
        state: Where it stands.
        created_at: When it was opened.
        state_at: Since when it stands there.
        updated_at: When anybody last touched it.
        agreed: She has ever said yes.
        refused: She was asked and said no, and never yes.
        practice: A rehearsal.
        idle_asked_at: When its sender was asked whether it goes on.
        erased_at: When she asked for its erasure.
    """

    state: State
    created_at: datetime
    state_at: datetime
    updated_at: datetime
    agreed: bool = True
    refused: bool = False
    practice: bool = False
    idle_asked_at: datetime | None = None
    erased_at: datetime | None = None


def goes_at(age: Age) -> datetime | None:
    """Answer the instant from which what is hers may no longer be there; None while nothing says so."""
    terms = []
    if age.erased_at is not None:
        terms.append(age.erased_at + TAKEN_BACK)
    if age.practice:
        terms.append(age.created_at + PRACTICE)
    if age.state is State.DRAFT and age.refused:
        terms.append(age.created_at)
    elif age.state is State.DRAFT and not age.agreed:
        terms.append(age.created_at + DRAFT)
    if age.state in ENDED:
        # She never said yes: nobody but its sender ever read it, and there is nothing to come back to.
        terms.append(age.state_at + (ENDED_FOR if age.agreed else timedelta()))
    elif age.state is State.CLOSED:
        terms.append(age.state_at + CLOSED_FOR)
    elif age.idle_asked_at is not None:
        terms.append(age.idle_asked_at + ASKED)
    return min(terms, default=None)


def is_idle(age: Age, now: datetime) -> bool:
    """Answer whether its sender is asked now whether it goes on."""
    open_ = age.state not in ENDED | {State.CLOSED} and age.erased_at is None
    return open_ and age.idle_asked_at is None and age.updated_at + IDLE <= now


def table() -> str:
    """Answer the table as Markdown."""
    head = ["| what | goes |", "| --- | --- |"]
    return "\n".join(head + [f"| {what} | {when} |" for what, when in ROWS.items()])
