"""What each party reads at each stage: one table, asked for every representation (design 5)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from relais_referral.domain.handshake import ENDED, WAITING, Party, State


class Category(StrEnum):
    """What her consent names: the kinds of data that may go to a recipient (design 6)."""

    IDENTITY = "identity"
    CONTACT = "contact"
    NEEDS = "needs"
    SITUATION = "situation"
    NOTES = "notes"
    DOCUMENTS = "documents"


class Part(StrEnum):
    """One part of a referral's representation."""

    IDENTITY = "identity"  # who she is
    CONTACT = "contact"  # how she is reached safely
    NEEDS = "needs"  # the need in her words, what she aims at, what she has
    SITUATION = "situation"
    NOTES = "notes"
    DOCUMENTS = "documents"
    OUTLINE = "outline"  # short code, themes, area, languages, urgency
    CONSTRAINTS = "constraints"  # what must be heeded, and who is concerned besides her
    PARTIES = "parties"  # the two structures and the service
    COUNSELLORS = "counsellors"  # the named colleague of the other side
    STEPS = "steps"  # which step was taken when
    MEETING = "meeting"
    REASON = "reason"  # why it was declined, as the recipient said it
    OUTCOME = "outcome"  # what changed
    MESSAGES = "messages"  # what the two sides write to each other
    MARKS = "marks"  # paused, agreed by telephone, redirected


OF_CATEGORY: Final[Mapping[Category, Part]] = {category: Part(category) for category in Category}
"""Which part a category opens."""

PERSONAL: Final = frozenset(OF_CATEGORY.values()) | {Part.CONSTRAINTS}
"""The parts that are sealed because they are hers; opening one is a disclosure."""

OPEN: Final = frozenset({State.ACCEPTED, State.MEETING_PLANNED, State.HANDED_OVER, State.CLOSED})
"""The states in which the recipient knows who she is."""

_FRAME: Final = frozenset({Part.OUTLINE, Part.CONSTRAINTS, Part.PARTIES, Part.COUNSELLORS, Part.STEPS})


def visible(  # noqa: PLR0913 - the dimensions of the table, each by name
    party: Party,
    state: State,
    consented: frozenset[Category],
    *,
    feedback: bool = False,
    may_sanction: bool = False,
    erased: bool = False,
) -> frozenset[Part]:
    """Answer the parts that a party reads.

    Args:
        party: Who reads.
        state: Where the referral stands.
        consented: The categories that an active consent opens to the recipient, now.
        feedback: She agreed that the sender learns the outcome.
        may_sanction: The sender can sanction the people it accompanies; it then reads steps alone.
        erased: Her data are gone.
    """
    hers = frozenset(OF_CATEGORY.values()) | {Part.CONSTRAINTS}
    if party is Party.PERSON:
        return frozenset({Part.PARTIES}) if erased else frozenset(Part)
    if party is Party.RECIPIENT:
        return _for_recipient(state, consented, erased=erased)
    # What must be heeded is hers too: erased, it goes with the rest.
    own = (_FRAME - {Part.CONSTRAINTS}) | (frozenset() if erased else hers)
    if may_sanction:
        return own - {Part.COUNSELLORS, Part.STEPS} if state is not State.DRAFT else own
    more = frozenset() if erased else frozenset({Part.MEETING, Part.REASON, Part.MESSAGES, Part.MARKS})
    return own | more | ({Part.OUTCOME} if feedback and not erased else frozenset())


def _for_recipient(state: State, consented: frozenset[Category], *, erased: bool) -> frozenset[Part]:
    if state is State.DRAFT:
        return frozenset()
    if erased or state in ENDED:
        return frozenset({Part.REASON})
    # Without an active consent the handshake's frame remains, and nothing of hers.
    opened = frozenset(OF_CATEGORY[category] for category in consented)
    constraints = frozenset({Part.CONSTRAINTS, Part.MESSAGES}) if consented else frozenset()
    if state in WAITING:
        return (_FRAME - {Part.CONSTRAINTS, Part.COUNSELLORS}) | {Part.MARKS} | constraints | (opened & {Part.NEEDS})
    assert state in OPEN  # noqa: S101 - the states are four groups, and three were answered above
    frame = (_FRAME - {Part.CONSTRAINTS}) | {Part.MARKS, Part.OUTCOME, Part.REASON}
    # Where and when she is met is hers too: without her consent only the recipient's own words remain.
    return frame | constraints | opened | ({Part.MEETING} if consented else frozenset())


def pathway_open(party: Party, state: State, *, agreed: bool, may_sanction: bool, erased: bool) -> bool:
    """Answer whether a side reads the outline of the hand-overs that she linked to this one.

    Args:
        party: Who reads; she reads her own pathway elsewhere.
        state: Where the hand-over stands that it reads from.
        agreed: An active consent to this recipient names the purpose `pathway_sharing`.
        may_sanction: The reader can sanction the people it accompanies, on whichever side: what she does elsewhere
            is nothing that it could use for her.
        erased: Her data are gone.
    """
    return party is not Party.PERSON and state in OPEN and agreed and not may_sanction and not erased


_NEUTRAL: Final[Mapping[State, str]] = {
    State.DRAFT: "draft",
    State.PROPOSED: "proposed",
    State.RECEIVED: "proposed",
    State.ACCEPTED: "accepted",
    State.MEETING_PLANNED: "accepted",
    State.HANDED_OVER: "accepted",
    State.CLOSED: "ended",
    State.DECLINED: "ended",
    State.CANCELLED: "ended",
    State.WITHDRAWN: "ended",
}


def shown_state(state: State, *, neutral: bool) -> str:
    """Answer the state as a party reads it; a sender that may sanction reads proposed, accepted or ended."""
    return _NEUTRAL[state] if neutral else str(state)
