"""Which of a referral's events leave it, under which name, and for which side (design 7, and 5 for no sanction)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from relais_referral.domain.handshake import State
from relais_referral.domain.visibility import shown_state

PUBLIC: Final[Mapping[str, str]] = {
    **{
        name: name
        for name in (
            "referral.proposed",
            "referral.received",
            "referral.accepted",
            "referral.declined",
            "referral.meeting_planned",
            "referral.meeting_replanned",
            "referral.handed_over",
            "referral.closed",
            "referral.cancelled",
            "referral.withdrawn",
            "referral.paused",
            "referral.resumed",
            "referral.reopened",
            "referral.redirected",
            "consent.given",
            "consent.withdrawn",
        )
    },
    "message.written": "referral.message",
    # A step that was taken back: the referral stands again where it stood before.
    "referral.undone": "referral.reopened",
    # She withdrew a part of what she had agreed to.
    "consent.narrowed": "consent.withdrawn",
}
"""The events that leave a referral, by their name in its chain; all others stay inside."""

ENDED: Final = "referral.ended"
"""All that a sender which may sanction is told of an ending, whatever it was."""

OF_REFERRALS: Final = frozenset({*PUBLIC.values(), ENDED})
"""What tells of a referral."""

SERVICE_CHANGED: Final = "service.changed"
CAPACITY_CHANGED: Final = "capacity.changed"
OF_DIRECTORY: Final = frozenset({SERVICE_CHANGED, CAPACITY_CHANGED})
"""What tells of a service in the directory."""

DISABLED: Final = "webhook.disabled"
TEST: Final = "webhook.test"

TYPES: Final = tuple(sorted(OF_REFERRALS | OF_DIRECTORY | {DISABLED}))
"""Every type that can be asked for."""

OF_SENDER: Final = frozenset({"referral.redirected"})
"""Where she goes instead is not for the recipient that declined."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of a referral's chain, as far as it matters here."""

    number: int
    type: str
    organisation_id: UUID | None
    state: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """How an event is told to one side: its type, and its place among all that this side is told of the referral."""

    type: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Public:
    """An event that leaves its referral: how each side is told of it, if at all."""

    number: int
    sender: Told | None
    recipient: Told | None


def told(chain: Iterable[Happened], *, sender_id: UUID, may_sanction: bool) -> Iterator[Public]:
    """Answer the events that leave a referral, in order.

    A recipient is told of what happened from the proposal on. A sender that may sanction is told of what it did itself
    and of when its neutral view changed: the same, whatever the ending was.

    Args:
        chain: All events of the referral from the first, by number.
        sender_id: Its sender.
        may_sanction: That sender can sanction the people it accompanies.
    """
    to_sender = to_recipient = 0
    proposed = False
    view = shown_state(State.DRAFT, neutral=True)
    for event in chain:
        proposed = proposed or event.type == "referral.proposed"
        type_ = PUBLIC.get(event.type)
        after = shown_state(State(event.state), neutral=True) if event.state else view
        for_sender = type_ if not may_sanction else _neutral(event, type_, sender_id, view, after)
        for_recipient = type_ if proposed and event.type not in OF_SENDER else None
        view = after
        if type_ is None:
            continue
        to_sender += for_sender is not None
        to_recipient += for_recipient is not None
        yield Public(
            event.number,
            Told(for_sender, to_sender) if for_sender else None,
            Told(for_recipient, to_recipient) if for_recipient else None,
        )


def _neutral(event: Happened, type_: str | None, sender_id: UUID, before: str, after: str) -> str | None:
    if event.organisation_id == sender_id:
        # Its own withdrawal reads the same whether somebody had withdrawn that consent before or not.
        return None if event.type in {"consent.withdrawn", "consent.narrowed"} else type_
    return f"referral.{after}" if after != before else None


def directory_change(before: tuple[int, bool, object] | None, after: tuple[int, bool, object]) -> str:
    """Answer what is told of a service: `(version, gone, when its open places were last told)` before and after."""
    if before is not None and before[:2] == after[:2] and before[2] != after[2]:
        return CAPACITY_CHANGED
    return SERVICE_CHANGED
