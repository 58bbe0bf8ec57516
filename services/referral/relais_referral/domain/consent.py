"""Whether a consent holds, and what it opens (design 6)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from relais_referral.domain.visibility import Category


class Purpose(StrEnum):
    """What the data may be used for; each has its own yes or no."""

    REFERRAL = "referral"
    FEEDBACK = "feedback"  # the sender learns the outcome
    CASE_CONFERENCE = "case_conference"
    PATHWAY_SHARING = "pathway_sharing"
    STATISTICS = "statistics"


class Status(StrEnum):
    """How a consent stands."""

    REQUESTED = "requested"
    GIVEN = "given"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


class Secrecy(StrEnum):
    """By what the staff of an organisation is bound."""

    PROFESSIONAL = "professional"
    DISCRETION = "discretion"
    NONE = "none"


BOUND_ONLY: Final = frozenset({Category.SITUATION, Category.NOTES, Category.DOCUMENTS})
"""What does not go to an organisation whose staff is bound by nothing."""

ALONE_ONLY: Final = frozenset({Category.CONTACT, Category.SITUATION})
"""What stays closed on a sensitive theme until she has confirmed it alone (design 6)."""

WARNED_BEFORE: Final = timedelta(days=14)
"""Both sides learn so long beforehand that an agreement runs out."""

RECORDED_WITHIN: Final = timedelta(hours=24)
"""A spoken agreement is recorded within a day, or asked for again (design 6)."""

CLOCKS_DIFFER_BY: Final = timedelta(minutes=5)
"""A partner's clock may run this much ahead of ours."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What a consent says, and how it stands at the moment of reading."""

    id: UUID
    recipient_id: UUID
    service_id: UUID | None
    purposes: frozenset[Purpose]
    categories: frozenset[Category]
    status: Status
    valid_until: datetime | None = None

    def active(self, at: datetime) -> bool:
        """Answer whether it holds at an instant (aware UTC)."""
        return self.status is Status.GIVEN and (self.valid_until is None or at < self.valid_until)

    def covers(self, recipient_id: UUID, service_id: UUID, *, at: datetime) -> bool:
        """Answer whether it lets this recipient take the person over, at an instant."""
        return (
            self.active(at)
            and Purpose.REFERRAL in self.purposes
            and (self.recipient_id, self.service_id) == (recipient_id, service_id)
        )

    def opens(self, recipient_id: UUID, service_id: UUID, *, at: datetime) -> frozenset[Category]:
        """Answer the categories that this recipient may read, at an instant; none where it does not cover."""
        return self.categories if self.covers(recipient_id, service_id, at=at) else frozenset()


def given_in_time(given_at: datetime, now: datetime, *, written: bool) -> bool:
    """Answer whether an agreement given then may be recorded now."""
    return given_at <= now + CLOCKS_DIFFER_BY and (written or now - given_at <= RECORDED_WITHIN)


def held_back(*, sensitive: bool, seen_alone: str, interpreter: str) -> frozenset[Category]:
    """Answer what stays closed in spite of her yes: somebody who stood by may have decided for her.

    Args:
        sensitive: The theme or service is.
        seen_alone: `yes`, `no` or `unknown`; what nobody noted is taken as no.
        interpreter: `none`, `professional` or `relative`.
    """
    if sensitive and (seen_alone != "yes" or interpreter == "relative"):
        return ALONE_ONLY
    return frozenset()
