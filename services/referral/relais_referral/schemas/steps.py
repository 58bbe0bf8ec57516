"""What travels with the steps of the handshake."""

from datetime import date
from enum import StrEnum
from typing import Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, StrictBool, model_validator

from relais_referral.domain.consent import Purpose
from relais_referral.domain.visibility import Category
from relais_referral.schemas.common import Input, Line, Text, shown
from relais_referral.schemas.drafts import Counsellor


class Propose(Input):
    """Proposing: the draft's counsellor, unless another is named."""

    counsellor: Counsellor | None = None


class PhoneAgreement(Input):
    """What was agreed by telephone: the colleague accepts it in one tap."""

    model_config = shown(colleague="Ben Maes")

    colleague: Line = Field(description="Who said yes on the telephone.")
    at: AwareDatetime | None = None


class Pause(Input):
    """Letting it rest; nobody is reminded meanwhile."""

    model_config = shown(until="2030-01-15")

    until: date | None = None


class Taken(Input):
    """Taking in hand: a named counsellor of the recipient."""

    model_config = shown(counsellor={"name": "Ben Maes", "email": "ben@accueil.example"})

    counsellor: Counsellor


class MeetingOption(Input):
    """One time that the recipient offers for a first meeting."""

    starts_at: AwareDatetime
    mode: Literal["visit", "call", "video"] = "visit"
    place: Line | None = None


class Acceptance(Taken):
    """Taking over: a named counsellor, and perhaps times for a first meeting."""

    model_config = shown(
        counsellor={"name": "Ben Maes", "email": "ben@accueil.example"},
        meeting_options=[{"starts_at": "2030-01-08T10:00:00+01:00", "mode": "visit", "place": "Rue de l'Accueil 3"}],
    )

    meeting_options: list[MeetingOption] = Field(default=[], max_length=10)


class DeclineReason(StrEnum):
    """Why a structure cannot take her; never her motivation or an absence."""

    NO_PLACE = "no_place"
    OUTSIDE_AREA = "outside_area"
    CONDITION = "condition"
    MISSION = "mission"
    LANGUAGE = "language"
    HOURS = "hours"
    CONFLICT_OF_INTEREST = "conflict_of_interest"
    SAFETY = "safety"
    OTHER = "other"


class Decline(Input):
    """Declining or giving back."""

    model_config = shown(reason="no_place", words="Une place se libère en mars.")

    reason: DeclineReason
    words: Text | None = None
    suggested_service_ids: list[UUID] = Field(default=[], max_length=10)


class Attendee(Input):
    """A named person who comes to the meeting."""

    name: Line
    role: Line


class Appointment(Input):
    """How and when people meet."""

    model_config = shown(
        starts_at="2030-01-08T10:00:00+01:00",
        mode="visit",
        place="Rue de l'Accueil 3",
        agreed="par téléphone, avec elle",
    )

    starts_at: AwareDatetime | None = None
    to_be_agreed: StrictBool = Field(default=False, description="The time is still to be agreed with her.")
    mode: Literal["visit", "call", "video"] = "visit"
    place: Line | None = None
    agreed: Line | None = Field(default=None, description="How it was agreed with her.")

    @model_validator(mode="after")
    def _when(self) -> Self:
        if (self.starts_at is None) != self.to_be_agreed:
            raise ValueError("Give starts_at, or say to_be_agreed: true; not both.")
        return self


class Meeting(Appointment):
    """How and when she will be met."""

    attendees: list[Literal["person", "sender", "recipient"] | Attendee] = Field(
        default=["person", "sender", "recipient"], max_length=20, description="Roles, or names with their role."
    )


class Confirmation(Input):
    """Saying that she was met."""

    model_config = shown(on="2030-01-08", mode="visit")

    on: date | None = Field(default=None, description="Day of the first contact; today where absent.")
    mode: Literal["visit", "call", "video"] = "visit"


class Closing(Input):
    """Ending the work; no outcome judges anyone."""

    model_config = shown(outcome="completed", words="Sa fille va à la crèche trois jours par semaine.")

    outcome: Literal["under_way", "completed", "not_pursued", "redirected"]
    words: Text | None = Field(default=None, description="What changed, in her words if she wishes.")


class Withdrawal(Input):
    """Stopping at her word, all or a part; nobody is asked why."""

    model_config = shown(method="in_person", data_categories=["documents"])

    method: Literal["counsellor", "private_link", "phone", "in_person"] = "counsellor"
    purposes: list[Purpose] = Field(default=[], description="Only these; all where neither these nor categories.")
    data_categories: list[Category] = Field(default=[], description="Only these.")
