"""What a structure reads of a case conference, and what it may do there: one table (design 5)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from relais_referral.domain.handshake import State
from relais_referral.domain.visibility import OPEN, Category


class Piece(StrEnum):
    """One piece of a case conference."""

    FRAME = "frame"  # that it stands, and which structures take part
    MESSAGES = "messages"
    MEETING = "meeting"
    DECISIONS = "decisions"
    IDENTITY = "identity"  # from the hand-over, as her agreement for the conference says
    NEEDS = "needs"
    SITUATION = "situation"


class Act(StrEnum):
    """What a structure does in a case conference."""

    ASK = "ask"  # record or request her agreement for one more structure
    JOIN = "join"
    WRITE = "write"
    PLAN_MEETING = "plan_meeting"
    DECIDE = "decide"
    DRAFT = "draft"  # turn a decision into a draft of its own
    LEAVE = "leave"
    END = "end"


OF_CATEGORY: Final[Mapping[Category, Piece]] = {
    Category.IDENTITY: Piece.IDENTITY,
    Category.NEEDS: Piece.NEEDS,
    Category.SITUATION: Piece.SITUATION,
}
"""What she may open of her hand-over to a conference: of whom and of what is spoken.

How she is reached, notes and documents stay between the two sides: whoever is to call her gets a hand-over.
"""

THREAD: Final = frozenset({Piece.MESSAGES, Piece.MEETING, Piece.DECISIONS})
"""What is said in the conference itself."""

_OVER: Final = frozenset({State.DECLINED, State.CANCELLED})


def readable(
    state: State,
    *,
    agreed: frozenset[Category] | None,
    handed: frozenset[Category] | None,
    joined: bool,
    opener: bool = False,
) -> frozenset[Piece]:
    """Answer the pieces that a structure reads now.

    Args:
        state: Where the hand-over stands that the conference is about.
        agreed: The categories of her agreement for this conference and this structure; None where none holds.
        handed: The categories of her agreement to the hand-over itself; None where none holds.
        joined: A named colleague of the structure takes part.
        opener: The structure opened the conference: it asks her for the others' sake before anybody reads.
    """
    if state is State.WITHDRAWN:
        return frozenset()
    if agreed is None or handed is None:
        return frozenset({Piece.FRAME}) if opener else frozenset()
    if not joined:
        return frozenset({Piece.FRAME})
    if state in _OVER:
        # What was handed over is closed to everybody; what comes next can still be spoken of.
        return THREAD | {Piece.FRAME}
    if state not in OPEN:
        # Taken back to before acceptance nobody is to know who she is, and the thread may say it.
        return frozenset({Piece.FRAME})
    hers = frozenset(OF_CATEGORY[category] for category in agreed & handed if category in OF_CATEGORY)
    return THREAD | hers | {Piece.FRAME}


def allowed(pieces: frozenset[Piece], *, joined: bool, side: bool) -> frozenset[Act]:
    """Answer what a structure may do now.

    Args:
        pieces: What it reads, from `readable`.
        joined: A named colleague of it takes part.
        side: It is sender or recipient of the hand-over: it answers to her for the conference.
    """
    if Piece.FRAME not in pieces:
        return frozenset()
    found = {Act.LEAVE}
    if not joined:
        found.add(Act.JOIN)
    if pieces >= THREAD:
        found |= {Act.WRITE, Act.PLAN_MEETING, Act.DECIDE, Act.DRAFT}
    if side:
        found |= {Act.ASK, Act.END}
    return frozenset(found)
