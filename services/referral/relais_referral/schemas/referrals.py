"""What a party reads of a referral, and of what surrounds it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from relais_referral.schemas.common import Input, Line, OrganisationView, View


class Assignment(Input):
    """Whose referral it is inside its organisation; neither: the desk's."""

    account_id: UUID | None = None
    team_id: Line | None = None


class RecipientView(OrganisationView):
    """The structure and service that take over."""

    service_id: UUID | None = Field(default=None, description="In no list where the service is sensitive.")
    service_name: str | None = None
    relay_contact_id: UUID | None = None


class PersonView(View):
    """What is read of her."""

    area: dict[str, Any] | None = None
    languages: list[str] | None = None
    identity: dict[str, Any] | None = None
    contact: dict[str, Any] | None = None


class ReferralView(View):
    """A referral as its reader may see it, now."""

    id: UUID
    short_code: str | None = None
    state: str
    practice: bool | None = None
    sender: OrganisationView | None = None
    recipient: RecipientView | None = None
    counsellor: dict[str, Any] | None = Field(default=None, description="The sender's named counsellor.")
    recipient_counsellor: dict[str, Any] | None = None
    assigned: dict[str, Any] | None = Field(
        default=None,
        description="Whose it is inside your own organisation: `account_id`, `team_id`; neither: the desk's.",
    )
    via: str | None = Field(default=None, description="How the recipient receives: relais, guest or phone_only.")
    urgency: str | None = None
    due_at: datetime | None = Field(default=None, description="When an answer is usual.")
    overdue: bool | None = None
    paused: dict[str, Any] | None = None
    agreed_by_phone: dict[str, Any] | None = None
    undo_until: datetime | None = Field(default=None, description="Until when the last step can be taken back.")
    redirected_from: UUID | None = None
    redirected_to: UUID | None = None
    conference_id: UUID | None = Field(default=None, description="The case conference that decided on it.")
    external_ids: dict[str, str] | None = None
    launch_url: str | None = Field(default=None, description="Opens this draft on the screen, nothing typed twice.")
    themes: list[str] | None = None
    person: PersonView | None = None
    needs: list[dict[str, Any]] | None = None
    goal_words: str | None = None
    resources: list[str] | None = None
    concerned: list[dict[str, Any]] | None = None
    situation: dict[str, Any] | None = None
    notes: str | None = None
    constraints: list[str] | None = None
    meeting: dict[str, Any] | None = None
    meeting_options: list[dict[str, Any]] | None = None
    confirmations: dict[str, Any] | None = None
    decline: dict[str, Any] | None = None
    outcome: dict[str, Any] | None = None
    created_at: datetime
    updated_at: datetime
    allowed_actions: list[str]


class ReferralPage(View):
    """One page of a list; it never opens what is sealed."""

    items: list[ReferralView]
    next_cursor: str | None = None


class DisclosureView(View):
    """One act of showing what is hers."""

    at: datetime
    actor: str
    on_behalf_of: str | None = None
    organisation_id: UUID | None = None
    categories: list[str]
    consent_id: UUID | None = None
    trace_id: str


class DisclosurePage(View):
    """Who looked, the newest first."""

    items: list[DisclosureView]


class EventView(View):
    """One thing that happened; no personal data."""

    number: int
    at: datetime
    type: str
    actor: str | None = None
    organisation_id: UUID | None = None


class EventPage(View):
    """What happened, in order."""

    items: list[EventView]


class CountsView(View):
    """How many wait where: by role, then by state, with the overdue ones."""

    sender: dict[str, int] = Field(default={})
    recipient: dict[str, int] = Field(default={})


class Alternative(View):
    """Another service near her area for the same need."""

    service_id: UUID
    name: str
    organisation: str
    municipality: str | None = None
    distance_m: int | None = None
    available: int | None = None
    can_receive: str
    suggested: bool = Field(default=False, description="By the structure that declined.")


class AlternativePage(View):
    """Other services, those with open places first."""

    items: list[Alternative]


class PathwayStage(View):
    """One hand-over of hers in outline; of a sensitive one neither theme nor structures."""

    state: str
    created_at: datetime
    state_at: datetime
    sender: str | None = None
    recipient: str | None = None
    themes: list[str] | None = None


class PathwayOutline(View):
    """The other hand-overs that she linked to this one, in order; empty unless she agreed to show them."""

    items: list[PathwayStage]
