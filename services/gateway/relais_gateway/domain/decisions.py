"""May this client do this, and why not: the door's own questions asked without a call, each with its answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from relais_gateway.domain.scopes import Grant


class Check(StrEnum):
    """One question of the door."""

    OPERATION = "operation"  # the path names an operation
    CLIENT = "client"  # the system is known, and open
    ORGANISATION = "organisation"  # its organisation is open
    CLIENT_MAY = "client_may"  # the system itself may ask for one of the scopes
    GRANTED = "granted"  # its organisation is granted one of them
    IN_TIME = "in_time"  # the grant has not ended
    AGREEMENT = "agreement"  # for hand-overs: an agreement is on record
    NOT_CONTROL = "not_control"  # for hand-overs: it is no control unit


@dataclass(frozen=True, slots=True)
class Facts:
    """What the door knows of who asks and what for.

    Attributes:
        scopes: Any of them opens the operation; none where the path names no operation.
        open_to_all: The operation needs no scope.
        client: Whether the system is known and open.
        organisation: Whether its organisation is open.
        may: What the system may ask for.
        grants: What its organisation is granted, by scope, whether it holds or not.
    """

    scopes: frozenset[str]
    open_to_all: bool
    client: bool
    organisation: bool
    may: frozenset[str]
    grants: Mapping[str, Grant]
    agreement: bool
    control_unit: bool


def decide(facts: Facts, today: date) -> list[tuple[Check, bool]]:
    """Answer the questions in the door's order, up to the first no; all yes means that it opens."""
    if facts.open_to_all:
        return [(Check.OPERATION, True)]
    asked: list[tuple[Check, bool]] = []
    wanted = facts.scopes
    for check, holds in (
        (Check.OPERATION, bool(wanted)),
        (Check.CLIENT, facts.client),
        (Check.ORGANISATION, facts.organisation),
        (Check.CLIENT_MAY, bool(wanted & facts.may)),
    ):
        asked.append((check, holds))
        if not holds:
            return asked
    left = {scope: facts.grants[scope] for scope in wanted & facts.may if scope in facts.grants}
    asked.append((Check.GRANTED, bool(left)))
    left = {scope: grant for scope, grant in left.items() if grant.ends_on is None or today <= grant.ends_on}
    if asked[-1][1]:
        asked.append((Check.IN_TIME, bool(left)))
    if left and all(scope.startswith("referral:") for scope in left):
        asked.append((Check.AGREEMENT, facts.agreement))
        asked.append((Check.NOT_CONTROL, not facts.control_unit))
    return asked
