"""Who answers in the sandbox, and how: each way that a structure can answer, so that a partner meets all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID, uuid5

from relais_referral.domain.handshake import Action, Party, State

NAMESPACE: Final = UUID("6f3f0f0e-3a0c-5d0b-9a4e-7c1d2b8e5a10")
"""Under it a service of the sandbox keeps one id in every installation."""

PACE: Final = timedelta(seconds=1)
"""So long after each change the other side takes its next step: both can be seen one after the other."""

ATTENDED_FOR: Final = timedelta(hours=1)
"""So long after the last change the other side still moves; then nobody rehearses any more."""

COUNSELLOR: Final = {"name": "Camille Essai", "function": "Exercice"}
"""Who answers for the sandbox's structures; nobody is called so."""


class Way(StrEnum):
    """How a service or a person of the sandbox is answered."""

    ACCEPTS = "accepts"  # takes over, plans, confirms after the sender, closes
    DECLINES_NO_PLACE = "declines_no_place"
    DECLINES_OUTSIDE_AREA = "declines_outside_area"
    DECLINES_CONDITION = "declines_condition"
    DECLINES_MISSION = "declines_mission"
    DECLINES_LANGUAGE = "declines_language"
    DECLINES_HOURS = "declines_hours"
    DECLINES_CONFLICT_OF_INTEREST = "declines_conflict_of_interest"
    DECLINES_SAFETY = "declines_safety"
    DECLINES_OTHER = "declines_other"
    NEVER_ANSWERS = "never_answers"  # its answer becomes overdue
    TAKES_IN_HAND = "takes_in_hand"  # says received, then nothing
    RELEASES = "releases"  # takes over, then gives back

    @property
    def reason(self) -> str | None:
        """Why it declines; none where it does not."""
        return self.removeprefix("declines_") if self.startswith("declines_") else None

    @property
    def called(self) -> str:
        """The name that she is given, to be answered so by the service that answers by the person; one word."""
        return f"Essai{self.title().replace('_', '')}"


BY_PERSON: Final = "by_person"
"""The service that answers as the person's name says; any other name is accepted."""


def service_id(key: str) -> UUID:
    """Answer the id of the sandbox's service for a way, or for `by_person`."""
    return uuid5(NAMESPACE, key)


SERVICES: Final[Mapping[UUID, Way | None]] = {
    **{service_id(way): way for way in Way},
    service_id(BY_PERSON): None,
}
"""How each service of the sandbox answers; none: as the person's name says."""

PERSONS: Final[Mapping[str, Way]] = {way.called.casefold(): way for way in Way}
"""How a person is answered, by the name that she is given."""


@dataclass(frozen=True, slots=True)
class Move:
    """The next step of the other side, and why it is taken where it is a no."""

    action: Action
    reason: str | None = None


def next_move(way: Way, state: State, confirmed: frozenset[Party]) -> Move | None:
    """Decide what a structure of the sandbox does next; nothing where it waits, or has nothing more to do.

    Args:
        way: How it answers.
        state: Where the referral stands.
        confirmed: Who has said that she was met.
    """
    if state in {State.PROPOSED, State.RECEIVED}:
        return _answer(way, state)
    if way is Way.RELEASES:
        return Move(Action.RELEASE, "hours") if state is State.ACCEPTED else None
    if state is State.ACCEPTED and not confirmed:
        return Move(Action.PLAN_MEETING)
    if state is State.HANDED_OVER:
        return Move(Action.CLOSE)
    # The sender, or she herself, says first that she was met.
    return Move(Action.CONFIRM_HANDOVER) if confirmed and Party.RECIPIENT not in confirmed else None


def _answer(way: Way, state: State) -> Move | None:
    if way is Way.NEVER_ANSWERS:
        return None
    if state is State.PROPOSED:
        return Move(Action.RECEIVE)
    if way is Way.TAKES_IN_HAND:
        return None
    return Move(Action.DECLINE, way.reason) if way.reason else Move(Action.ACCEPT)
