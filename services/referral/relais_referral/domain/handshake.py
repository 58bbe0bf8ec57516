"""The handshake: one table of states and actions, read by the API, the diagram and the tests (design 5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
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


class Via(StrEnum):
    """How the other side receives: by its account, as a guest by a one-time link, or by telephone alone."""

    RELAIS = "relais"
    GUEST = "guest"
    PHONE_ONLY = "phone_only"


class Action(StrEnum):
    """What can be done with a referral."""

    PROPOSE = "propose"
    AGREE_BY_PHONE = "agree_by_phone"
    RECEIVE = "receive"
    ACCEPT = "accept"
    DECLINE = "decline"
    RELEASE = "release"
    PLAN_MEETING = "plan_meeting"
    REPLAN = "replan"
    CONFIRM_HANDOVER = "confirm_handover"
    CLOSE = "close"
    UNDO = "undo"
    REOPEN = "reopen"
    REDIRECT = "redirect"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    WITHDRAW = "withdraw"


EVENTS: Final[Mapping[Action, str]] = {
    Action.PROPOSE: "referral.proposed",
    Action.AGREE_BY_PHONE: "referral.agreed_by_phone",
    Action.RECEIVE: "referral.received",
    Action.ACCEPT: "referral.accepted",
    Action.DECLINE: "referral.declined",
    Action.RELEASE: "referral.declined",
    Action.PLAN_MEETING: "referral.meeting_planned",
    Action.REPLAN: "referral.meeting_replanned",
    Action.CONFIRM_HANDOVER: "referral.handover_confirmed",
    Action.CLOSE: "referral.closed",
    Action.UNDO: "referral.undone",
    Action.REOPEN: "referral.reopened",
    Action.REDIRECT: "referral.redirected",
    Action.PAUSE: "referral.paused",
    Action.RESUME: "referral.resumed",
    Action.CANCEL: "referral.cancelled",
    Action.WITHDRAW: "referral.withdrawn",
}
"""The event that an action causes; the second confirmation causes `referral.handed_over` instead."""

HANDED_OVER: Final = "referral.handed_over"

SANCTIONING_SENDER: Final = frozenset({Action.PROPOSE, Action.CANCEL, Action.WITHDRAW})
"""All that a sender does that can sanction the people it accompanies."""

STOPPING: Final = frozenset({Action.CANCEL, Action.WITHDRAW})
"""All that is done with a referral once what was written in it has gone: nobody is handed over without it."""

WAITING: Final = frozenset({State.PROPOSED, State.RECEIVED})
"""The recipient has not answered yet: here a referral can be overdue."""

ENDED: Final = frozenset({State.DECLINED, State.CANCELLED, State.WITHDRAWN})
"""The states in which the recipient reads nothing any more."""

UNDOABLE: Final = frozenset({Action.ACCEPT, Action.DECLINE, Action.RELEASE, Action.CLOSE})
"""What a slip of the finger may have done."""

UNDO_WITHIN: Final = timedelta(minutes=15)
"""So long a step can be taken back, unless the other side acted on it before (design 5)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table: where an action leads, whose it is, and whether it shows something new of her.

    No target: the state stays (a mark is set), or for `undo` goes back to where it was.
    """

    target: State | None
    by: frozenset[Party]
    discloses: bool = False


_SENDER = frozenset({Party.SENDER})
_RECIPIENT = frozenset({Party.RECIPIENT})
_EITHER = frozenset({Party.SENDER, Party.RECIPIENT})
_ANYONE = frozenset(Party)
_UNDER_WAY = (State.PROPOSED, State.RECEIVED, State.ACCEPTED, State.MEETING_PLANNED, State.HANDED_OVER)

RULES: Final[Mapping[tuple[State, Action], Rule]] = {
    (State.DRAFT, Action.PROPOSE): Rule(State.PROPOSED, _SENDER, discloses=True),
    (State.PROPOSED, Action.AGREE_BY_PHONE): Rule(None, _SENDER),
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
        (state, Action.CONFIRM_HANDOVER): Rule(State.HANDED_OVER, _ANYONE)
        for state in (State.ACCEPTED, State.MEETING_PLANNED)
    },
    (State.HANDED_OVER, Action.CLOSE): Rule(State.CLOSED, _RECIPIENT),
    # A slip is taken back by whoever made it; what was shown again to the recipient needs her consent again.
    **{(state, Action.UNDO): Rule(None, _RECIPIENT) for state in (State.ACCEPTED, State.CLOSED)},
    (State.DECLINED, Action.UNDO): Rule(None, _RECIPIENT, discloses=True),
    (State.DECLINED, Action.REOPEN): Rule(State.RECEIVED, _RECIPIENT, discloses=True),
    (State.CLOSED, Action.REOPEN): Rule(State.HANDED_OVER, _RECIPIENT),
    (State.DECLINED, Action.REDIRECT): Rule(None, _SENDER),
    **{(state, Action.PAUSE): Rule(None, _ANYONE) for state in _UNDER_WAY},
    **{(state, Action.RESUME): Rule(None, _ANYONE) for state in _UNDER_WAY},
    **{
        (state, Action.CANCEL): Rule(State.CANCELLED, _SENDER) for state in State if state not in ENDED | {State.CLOSED}
    },
    # The person may stop it in every state, closed included; a counsellor of either side does it at her word.
    # Stopping twice is no fault, and tells nobody whether she had stopped it before.
    **{(state, Action.WITHDRAW): Rule(State.WITHDRAWN, _ANYONE) for state in State},
}
"""Every step that exists between two sides; what is not here is not possible."""

BY_PHONE: Final[Mapping[tuple[State, Action], Rule]] = {
    **{
        key: rule
        for key, rule in RULES.items()
        if key[0] in {State.DRAFT, State.PROPOSED, State.HANDED_OVER, State.CLOSED, *ENDED}
        and rule.by != _RECIPIENT
        and key[1] is not Action.AGREE_BY_PHONE
    },
    (State.PROPOSED, Action.CONFIRM_HANDOVER): Rule(State.HANDED_OVER, frozenset({Party.SENDER, Party.PERSON})),
    (State.PROPOSED, Action.DECLINE): Rule(State.DECLINED, _SENDER),
    (State.HANDED_OVER, Action.CLOSE): Rule(State.CLOSED, _SENDER),
    (State.CLOSED, Action.UNDO): Rule(None, _SENDER),
    (State.DECLINED, Action.UNDO): Rule(None, _SENDER),
}
"""The steps where nobody receives on the screen: the sender telephones, and logs the first contact alone."""


@dataclass(frozen=True, slots=True)
class Slip:
    """The last step, while it can be taken back: what it was, whose, and where the referral stood before."""

    action: Action
    by: Party
    source: State
    at: datetime

    def stands(self, now: datetime) -> bool:
        """Answer whether it can still be taken back, at an instant."""
        return now < self.at + UNDO_WITHIN


@dataclass(frozen=True, slots=True)
class Standing:
    """What a decision needs to know of a referral, its row locked by the caller.

    Attributes:
        state: Where it stands.
        consented: An active consent covers this recipient, now, for the purpose `referral`.
        confirmed: Who has said so far that she was met.
        sender_may_sanction: Then meeting and hand-over are the recipient's and the person's alone.
        via: How the other side receives.
        slip: The last step, where it can still be taken back now.
        paused: The mark stands.
        redirected: A new referral took its place.
        erased: What was written in it has gone.
    """

    state: State
    consented: bool = False
    confirmed: frozenset[Party] = frozenset()
    sender_may_sanction: bool = False
    via: Via = Via.RELAIS
    slip: Slip | None = None
    paused: bool = False
    redirected: bool = False
    erased: bool = False

    @property
    def rules(self) -> Mapping[tuple[State, Action], Rule]:
        """The table that holds for it."""
        return BY_PHONE if self.via is Via.PHONE_ONLY else RULES


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
        IllegalAction: The table has no such action from this state, or the moment for it has passed.
        NotYourTurn: The action belongs to another party.
        ConsentMissing: The action discloses, and no active consent covers the recipient.
    """
    rule = standing.rules.get((standing.state, action))
    if rule is None or not _in_place(standing, action):
        raise _refused(IllegalAction, f"A referral that is {standing.state} cannot {action} now.", standing, parties)
    able = _able(standing, action, rule, parties)
    if not able:
        raise _refused(NotYourTurn, f"It is not for the {_names(parties)} to {action} now.", standing, parties)
    if rule.discloses and not standing.consented:
        raise _refused(ConsentMissing, "No active consent covers this recipient.", standing, parties)
    by = min(able, key=list(Party).index)
    if action is Action.CONFIRM_HANDOVER:
        said = standing.confirmed | {by}
        # Her own word that she was met stands for her sender's, never for the recipient's (design 5).
        if needed_confirmations(standing) <= said | ({Party.SENDER} if Party.PERSON in said else frozenset()):
            return Transition(action, by, standing.state, State.HANDED_OVER, HANDED_OVER)
        return Transition(action, by, standing.state, standing.state, EVENTS[action])
    target = rule.target or standing.state
    if action is Action.UNDO and standing.slip is not None:
        target = standing.slip.source
    return Transition(action, by, standing.state, target, EVENTS[action])


def allowed_actions(standing: Standing, parties: frozenset[Party]) -> list[Action]:
    """Answer what these parties may do now, in the table's order.

    Withdrawing is not among them: it is the person's, it needs no reading first, and it is always possible.
    """
    return [
        action
        for (state, action), rule in standing.rules.items()
        if state is standing.state
        and action is not Action.WITHDRAW
        and _in_place(standing, action)
        and _able(standing, action, rule, parties)
        and (standing.consented or not rule.discloses)
    ]


def needed_confirmations(standing: Standing) -> frozenset[Party]:
    """Answer who must say that she was met: both sides; the person in place of a sender that may sanction.

    Where the other side has no screen, the sender alone does (or she, where it may sanction).
    """
    hers = Party.PERSON if standing.sender_may_sanction else Party.SENDER
    if standing.via is not Via.PHONE_ONLY:
        return frozenset({Party.RECIPIENT, hers})
    # Either of them knows that she was received; whoever says it first has said it.
    return frozenset() if not standing.sender_may_sanction else frozenset({hers})


def _in_place(standing: Standing, action: Action) -> bool:
    """Answer whether a mark that the action needs stands, or one that it sets does not yet."""
    if standing.erased and action not in STOPPING:
        return False
    if action is Action.UNDO:
        return standing.slip is not None
    if action is Action.REOPEN:
        return standing.slip is None and not standing.redirected
    if action is Action.REDIRECT:
        return not standing.redirected
    if action in {Action.PAUSE, Action.RESUME}:
        return standing.paused is (action is Action.RESUME)
    return True


def _able(standing: Standing, action: Action, rule: Rule, parties: frozenset[Party]) -> frozenset[Party]:
    able = rule.by & parties
    if standing.sender_may_sanction and action not in SANCTIONING_SENDER:
        # What it could do would tell it what became of her.
        able -= {Party.SENDER}
    if action is Action.UNDO and standing.slip is not None:
        able &= {standing.slip.by}
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
    """Answer the table as a Mermaid state diagram; marks, stopping and taking back stand in the table alone."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.DRAFT}"]
    lines += [
        f"    {state} --> {rule.target}: {action} ({', '.join(sorted(rule.by))})"
        for (state, action), rule in RULES.items()
        if rule.target is not None and action not in {Action.CANCEL, Action.WITHDRAW}
    ]
    return "\n".join(lines)


def table(rules: Mapping[tuple[State, Action], Rule] = RULES) -> str:
    """Answer a table of rules as Markdown, one row a step."""
    needs = {True: "yes", False: ""}
    head = ["| from | action | by | to | needs her consent |", "| --- | --- | --- | --- | --- |"]
    rows = [
        f"| {state} | {action} | {', '.join(sorted(rule.by))} | {rule.target or _stays(action)} "
        f"| {needs[rule.discloses]} |"
        for (state, action), rule in rules.items()
    ]
    return "\n".join(head + rows)


def _stays(action: Action) -> str:
    return "(where it stood before)" if action is Action.UNDO else "(a mark)"
