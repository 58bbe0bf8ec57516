"""What travels of case conferences."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field, StrictBool

from relais_referral.domain.consent import Purpose
from relais_referral.domain.visibility import Category
from relais_referral.schemas.common import Input, OrganisationView, Text, View, shown
from relais_referral.schemas.consents import ConsentInput, ConsentRequest, ConsentView
from relais_referral.schemas.steps import Appointment, Attendee


class ConferenceConsent(ConsentInput):
    """What she agreed to for one structure in a case conference."""

    model_config = shown(
        organisation_id="5b0c7a4e-0000-4000-8000-000000000001",
        purposes=["case_conference"],
        data_categories=["identity", "needs"],
        method="in_person_oral",
        language="fr",
        notice_version="2026-1",
        collected_by="Ana Lopes",
        given_at="2030-01-07T09:30:00+01:00",
    )

    organisation_id: UUID = Field(description="Who will take part; your own structure needs an agreement too.")
    purposes: list[Purpose] = Field(default=[Purpose.CASE_CONFERENCE], description="`case_conference` alone.")
    data_categories: list[Category] = Field(
        default=[],
        description="`identity`, `needs`, `situation`, as far as the hand-over's own agreement goes; or nothing.",
    )


class ConferenceRequest(ConsentRequest):
    """What she will be asked by her own link, for one structure in a case conference."""

    model_config = shown(
        organisation_id="5b0c7a4e-0000-4000-8000-000000000001",
        purposes=["case_conference"],
        data_categories=["needs"],
        language="fr",
        notice_version="2026-1",
        collected_by="Ana Lopes",
    )

    organisation_id: UUID = Field(description="Who will take part; your own structure needs an agreement too.")
    purposes: list[Purpose] = Field(default=[Purpose.CASE_CONFERENCE], description="`case_conference` alone.")
    data_categories: list[Category] = Field(
        default=[],
        description="`identity`, `needs`, `situation`, as far as the hand-over's own agreement goes; or nothing.",
    )


class ConferenceMeeting(Appointment):
    """How and when the conference meets."""

    attendees: list[Attendee] = Field(default=[], max_length=20, description="Named people with their role.")


class NewDecision(Input):
    """What was decided, and by whom."""

    words: Text
    organisations: list[UUID] | None = Field(
        default=None, min_length=1, max_length=20, description="Who decided it; all who take part now, where absent."
    )
    with_her: StrictBool = Field(default=False, description="She was there and agreed.")


class Attendance(Input):
    """Whether she takes part herself."""

    attends: StrictBool = True


class ConferencePartView(OrganisationView):
    """A structure in a case conference."""

    counsellor: dict[str, Any] | None = None
    joined_at: datetime | None = None
    left_at: datetime | None = None
    status: str | None = Field(default=None, description="How her agreement stands; to her and to who opened it.")


class ConferenceMessageView(View):
    """A message of a case conference."""

    id: UUID
    at: datetime
    organisation_id: UUID | None = Field(default=None, description="None where she wrote it.")
    organisation: str | None = None
    author: str
    words: str


class DecisionView(View):
    """What a case conference decided."""

    id: UUID
    at: datetime
    organisation_id: UUID = Field(description="Who wrote it down.")
    decided_by: list[str] = Field(description="The structures that decided it.")
    with_her: bool
    words: str
    drafted: bool | None = Field(default=None, description="It became a draft; told to her and to its sender.")
    draft_id: UUID | None = Field(default=None, description="The draft, to its sender alone.")


class ConferenceView(View):
    """A case conference as its reader may see it, now."""

    id: UUID
    referral_id: UUID | None = Field(default=None, description="To her and to the two sides of the hand-over.")
    practice: bool
    opened_at: datetime
    opened_by: str | None = Field(default=None, description="Where that structure takes part.")
    ended_at: datetime | None = None
    she_attends: bool
    organisations: list[ConferencePartView]
    data_categories: list[str] | None = Field(default=None, description="What her agreement opens to you.")
    valid_until: datetime | None = None
    identity: dict[str, Any] | None = None
    needs: list[dict[str, Any]] | None = None
    goal_words: str | None = None
    resources: list[str] | None = None
    situation: dict[str, Any] | None = None
    messages: list[ConferenceMessageView] | None = None
    meeting: dict[str, Any] | None = None
    decisions: list[DecisionView] | None = None
    consents: list[ConsentView] | None = Field(default=None, description="Every agreement, to her.")
    allowed_actions: list[str]


class ConferencePage(View):
    """The living case conferences in which you have a place, the newest first; nothing of hers is opened."""

    items: list[ConferenceView]
