"""The handshake: one table of states and actions, read by the API, the diagram and the tests (design 5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from relais_referral.domain.refusals import ConsentMissing, IllegalAction, NotYourTurn


class State(StrEnum):
    """Where a referral stands."""

    DRAFT = "draft"  # the sender writes; nobody else knows of it
    PROPOSED = "proposed"  # the recipient reads the need
    RECEIVED = "received"  # a named counsellor of the recipient looks at it
    ACCEPTED = "accepted"  # that structure takes over; identity opens
    MEETING_PLANNED = "meeting_planned"  # how and when she will be met is agreed with her
    HANDED_OVER = "handed_over"  # both sides say that she was met
    CLOSED = "closed"  # the recipient's work is done
    DECLINED = "declined"  # the recipient cannot take it, or gave it back
    CANCELLED = "cancelled"  # the sender stopped it
    WITHDRAWN = "withdrawn"  # the person stopped it


class Party(StrEnum):
    """Who may act on a referral."""

    SENDER = "sender"
    RECIPIENT = "recipient"
    PERSON = "person"


class Action(StrEnum):
    """What can be done with a referral."""

    PROPOSE = "propose"
    RECEIVE = "receive"
    ACCEPT = "accept"
    DECLINE = "decline"
    RELEASE = "release"
    PLAN_MEETING = "plan_meeting"
    REPLAN = "replan"
    CONFIRM_HANDOVER = "confirm_handover"
    CLOSE = "close"
    CANCEL = "cancel"
    WITHDRAW = "withdraw"


EVENTS: Final[Mapping[Action, str]] = {
    Action.PROPOSE: "referral.proposed",
    Action.RECEIVE: "referral.received",
    Action.ACCEPT: "referral.accepted",
    Action.DECLINE: "referral.declined",
    Action.RELEASE: "referral.declined",
    Action.PLAN_MEETING: "referral.meeting_planned",
    Action.REPLAN: "referral.meeting_replanned",
    Action.CONFIRM_HANDOVER: "referral.handover_confirmed",
    Action.CLOSE: "referral.closed",
    Action.CANCEL: "referral.cancelled",
    Action.WITHDRAW: "referral.withdrawn",
}
"""The event that an action causes; the second confirmation causes `referral.handed_over` instead."""

HANDED_OVER: Final = "referral.handed_over"

SANCTIONING_SENDER: Final = frozenset({Action.PROPOSE, Action.CANCEL, Action.WITHDRAW})
"""All that a sender does that can sanction the people it accompanies."""

ENDED: Final = frozenset({State.DECLINED, State.CANCELLED, State.WITHDRAWN})
"""The states in which the recipient reads nothing any more."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table: where an action leads, whose it is, and whether it shows something new of her."""

    target: State
    by: frozenset[Party]
    discloses: bool = False


_SENDER = frozenset({Party.SENDER})
_RECIPIENT = frozenset({Party.RECIPIENT})
_EITHER = frozenset({Party.SENDER, Party.RECIPIENT})
_CONFIRMING = frozenset(Party)
_ANYONE = frozenset(Party)

RULES: Final[Mapping[tuple[State, Action], Rule]] = {
    (State.DRAFT, Action.PROPOSE): Rule(State.PROPOSED, _SENDER, discloses=True),
    (State.PROPOSED, Action.RECEIVE): Rule(State.RECEIVED, _RECIPIENT),
    **{
        (state, Action.ACCEPT): Rule(State.ACCEPTED, _RECIPIENT, discloses=True)
        for state in (State.PROPOSED, State.RECEIVED)
    },
    **{(state, Action.DECLINE): Rule(State.DECLINED, _RECIPIENT) for state in (State.PROPOSED, State.RECEIVED)},
    **{(state, Action.RELEASE): Rule(State.DECLINED, _RECIPIENT) for state in (State.ACCEPTED, State.MEETING_PLANNED)},
    (State.ACCEPTED, Action.PLAN_MEETING): Rule(State.MEETING_PLANNED, _EITHER, discloses=True),
    (State.MEETING_PLANNED, Action.REPLAN): Rule(State.MEETING_PLANNED, _EITHER, discloses=True),
    **{
        (state, Action.CONFIRM_HANDOVER): Rule(State.HANDED_OVER, _CONFIRMING)
        for state in (State.ACCEPTED, State.MEETING_PLANNED)
    },
    (State.HANDED_OVER, Action.CLOSE): Rule(State.CLOSED, _RECIPIENT),
    **{
        (state, Action.CANCEL): Rule(State.CANCELLED, _SENDER) for state in State if state not in ENDED | {State.CLOSED}
    },
    # The person may stop it in every state, closed included; a counsellor of either side does it at her word.
    # Stopping twice is no fault, and tells nobody whether she had stopped it before.
    **{(state, Action.WITHDRAW): Rule(State.WITHDRAWN, _ANYONE) for state in State},
}
"""Every step that exists; what is not here is not possible."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a decision needs to know of a referral, its row locked by the caller.

    Attributes:
        state: Where it stands.
        consented: An active consent covers this recipient, now, for the purpose `referral`.
        confirmed: Who has said so far that she was met.
        sender_may_sanction: Then meeting and hand-over are the recipient's and the person's alone.
    """

    state: State
    consented: bool = False
    confirmed: frozenset[Party] = frozenset()
    sender_may_sanction: bool = False


@dataclass(frozen=True, slots=True)
class Transition:
    """A step that may be taken: by whom, from where to where, and what it is called afterwards."""

    action: Action
    by: Party
    source: State
    target: State
    event: str


def decide(standing: Standing, action: Action, *, parties: frozenset[Party]) -> Transition:
    """Decide one step of the handshake; change nothing.

    Args:
        standing: The referral as stored.
        action: What is asked.
        parties: What the actor is in this referral; both sides where one structure hands over to itself.

    Raises:
        IllegalAction: The table has no such action from this state.
        NotYourTurn: The action belongs to another party.
        ConsentMissing: The action discloses, and no active consent covers the recipient.
    """
    rule = RULES.get((standing.state, action))
    if rule is None:
        raise _refused(IllegalAction, f"A referral that is {standing.state} cannot {action}.", standing, parties)
    able = _able(standing, action, rule, parties)
    if not able:
        raise _refused(NotYourTurn, f"It is not for the {_names(parties)} to {action} now.", standing, parties)
    if rule.discloses and not standing.consented:
        raise _refused(ConsentMissing, "No active consent covers this recipient.", standing, parties)
    by = min(able, key=list(Party).index)
    if action is not Action.CONFIRM_HANDOVER:
        return Transition(action, by, standing.state, rule.target, EVENTS[action])
    if needed_confirmations(standing) <= standing.confirmed | {by}:
        return Transition(action, by, standing.state, rule.target, HANDED_OVER)
    return Transition(action, by, standing.state, standing.state, EVENTS[action])


def allowed_actions(standing: Standing, parties: frozenset[Party]) -> list[Action]:
    """Answer what these parties may do now, in the table's order.

    Withdrawing is not among them: it is the person's, it needs no reading first, and it is always possible.
    """
    return [
        action
        for (state, action), rule in RULES.items()
        if state is standing.state
        and action is not Action.WITHDRAW
        and _able(standing, action, rule, parties)
        and (standing.consented or not rule.discloses)
    ]


def needed_confirmations(standing: Standing) -> frozenset[Party]:
    """Answer who must say that she was met: both sides; the person in place of a sender that may sanction."""
    return frozenset({Party.RECIPIENT, Party.PERSON if standing.sender_may_sanction else Party.SENDER})


def _able(standing: Standing, action: Action, rule: Rule, parties: frozenset[Party]) -> frozenset[Party]:
    able = rule.by & parties
    if standing.sender_may_sanction and action not in SANCTIONING_SENDER:
        # What it could do would tell it what became of her.
        able -= {Party.SENDER}
    if action is not Action.CONFIRM_HANDOVER:
        return able
    # The person may stand in for the sender; nobody confirms twice.
    return able - standing.confirmed


def _refused(
    kind: type[IllegalAction | NotYourTurn | ConsentMissing],
    detail: str,
    standing: Standing,
    parties: frozenset[Party],
) -> IllegalAction | NotYourTurn | ConsentMissing:
    return kind(detail, allowed_actions=[str(action) for action in allowed_actions(standing, parties)])


def _names(parties: frozenset[Party]) -> str:
    return " and ".join(sorted(parties)) or "caller"


def diagram() -> str:
    """Answer the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.DRAFT}"]
    lines += [
        f"    {state} --> {rule.target}: {action} ({', '.join(sorted(rule.by))})"
        for (state, action), rule in RULES.items()
        if action not in {Action.CANCEL, Action.WITHDRAW}
    ]
    return "\n".join(lines)


def table() -> str:
    """Answer the table as Markdown, one row a step."""
    needs = {True: "yes", False: ""}
    head = ["| from | action | by | to | needs her consent |", "| --- | --- | --- | --- | --- |"]
    rows = [
        f"| {state} | {action} | {', '.join(sorted(rule.by))} | {rule.target} | {needs[rule.discloses]} |"
        for (state, action), rule in RULES.items()
    ]
    return "\n".join(head + rows)
