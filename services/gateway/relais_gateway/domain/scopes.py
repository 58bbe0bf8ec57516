"""Scopes only narrow: asked, cut to what the client may have, cut to what its organisation is granted (design 3)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from relais_gateway.domain.refusals import InvalidScope

MEANINGS: Final[Mapping[str, str]] = {
    "directory:read": "search and read the directory, export it",
    "directory:write": "write its own organisations, services and locations; run imports under its own source name",
    "directory:capacity": "tell the open places and waiting time of its own services",
    "referral:send": "open, propose and follow referrals as sender; record consent",
    "referral:receive": "take, answer and follow referrals as recipient",
    "referral:stats": "read aggregates, never of fewer than 5 persons",
    "webhook:manage": "register its endpoints, see and replay deliveries",
    "org:admin": "manage its own users, clients and keys",
    "platform:admin": "manage organisations and grants, read the audit log",
    "trace:read": "read traces and service health",
}
"""Every scope that can be granted, and what it lets an organisation do."""

OF_ROLE: Final[Mapping[str, frozenset[str]]] = {
    "counsellor": frozenset({"directory:read", "referral:send", "referral:receive"}),
    "data_manager": frozenset({"directory:read", "directory:write", "directory:capacity"}),
    "administrator": frozenset({"directory:read", "platform:admin", "trace:read", "org:admin", "webhook:manage"}),
}
"""What a person signed in may ask for, by role; always cut to the organisation's grants."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A scope of an organisation, with its limits and its last day."""

    scope: str
    limits: Mapping[str, Any]
    ends_on: date | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """The agreement that an organisation signed, until its last day where one is agreed."""

    signed_on: date
    ends_on: date | None = None

    def holds(self, today: date) -> bool:
        """Say whether it is in force on a day (in UTC, as the days of grants)."""
        return self.signed_on <= today and (self.ends_on is None or today <= self.ends_on)


def granted(grants: Iterable[Grant], *, today: date, agreement: bool, control_unit: bool) -> dict[str, Grant]:
    """Answer the grants that hold today, by scope.

    A `referral:*` grant holds only with a signed agreement in force, and never for a unit whose only mission is
    control.
    """
    return {
        grant.scope: grant
        for grant in grants
        if grant.scope in MEANINGS
        and (grant.ends_on is None or today <= grant.ends_on)
        and (not grant.scope.startswith("referral:") or (agreement and not control_unit))
    }


def narrowed(asked: str | None, may: Iterable[str], held: Iterable[str]) -> list[str]:
    """Answer the scopes of a token: asked, cut twice; all that remains where none was asked for.

    Args:
        asked: The `scope` parameter, as it came; None where it was absent.
        may: What the client (or the person's role) may have.
        held: What the organisation is granted.

    Raises:
        InvalidScope: An asked scope does not exist, or nothing is left.
    """
    limit = set(may) & set(held)
    if asked is None:
        wanted = limit
    else:
        wanted = set(asked.split(" ")) - {""}
        if wanted - set(MEANINGS):
            raise InvalidScope("A scope that was asked for does not exist.")
        wanted &= limit
    if not wanted:
        raise InvalidScope("Nothing of what was asked for is granted.")
    return sorted(wanted)
