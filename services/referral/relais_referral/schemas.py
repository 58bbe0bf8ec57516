"""What travels: the inputs of a hand-over and what its parties read."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    EmailStr,
    Field,
    StrictBool,
    StringConstraints,
    model_validator,
)

from relais_referral.domain.consent import Purpose
from relais_referral.domain.visibility import Category


class Input(BaseModel):
    """A body: what is not named here is refused, so that a misspelt protection is not silently lost."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


def shown(**example: Any) -> ConfigDict:  # noqa: ANN401 - JSON
    """Answer the configuration of a model that shows integrators what is sent; a test holds each to its own schema."""
    return ConfigDict(json_schema_extra={"examples": [example]})


def _one_line(value: object) -> object:
    if isinstance(value, str) and any(ord(sign) < ord(" ") for sign in value):
        raise ValueError("Write it on one line, without control characters.")
    return value


def _no_controls(value: object) -> object:
    if isinstance(value, str) and any(ord(sign) < ord(" ") and sign not in "\n\r\t" for sign in value):
        raise ValueError("Control characters cannot be taken.")
    return value


Line = Annotated[str, BeforeValidator(_one_line), StringConstraints(min_length=1, max_length=200)]
"""A short text on one line, at most 200 characters."""
Text = Annotated[str, BeforeValidator(_no_controls), StringConstraints(min_length=1, max_length=4_000)]
"""Some paragraphs, at most 4,000 characters: a page, not a file."""
Phone = Annotated[str, StringConstraints(pattern=r"^\+?[0-9][0-9 ./()\-]{4,24}$")]
"""A telephone number as people write it."""
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)]
"""A BCP 47 tag."""
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-{1,2}[a-z0-9]+)*$", max_length=80)]
"""A theme of the directory."""


class Reach(StrEnum):
    """How she is reached; the first two need no phone and no surname."""

    VIA_SENDER = "via_sender"
    SHE_COMES = "she_comes"
    PHONE = "phone"
    ADDRESS = "address"


class Counsellor(Input):
    """The named colleague who answers for the person on one side."""

    name: Line
    function: Line | None = None
    email: EmailStr | None = None
    phone: Phone | None = None


class Identity(Input):
    """Who she is; it may be just what she wishes to be called."""

    called: Line | None = Field(default=None, description="What she wishes to be called.")
    given_name: Line | None = None
    family_name: Line | None = None
    birth_date: date | None = None

    @model_validator(mode="after")
    def _some_name(self) -> Self:
        if not (self.called or self.given_name or self.family_name):
            raise ValueError("Give one name at least: what she wishes to be called is enough.")
        return self

    def names(self) -> list[str]:
        """Answer every name that stands here."""
        return [name for name in (self.called, self.given_name, self.family_name) if name]


class Safety(Input):
    """What may be done to reach her; every answer is no until she says yes."""

    shared_phone: StrictBool = Field(default=False, description="She knows that others answer this phone, and agrees.")
    voicemail: StrictBool = Field(default=False, description="A message may be left.")
    sms: StrictBool = Field(default=False, description="A text may be sent.")
    may_say_who: StrictBool = Field(default=False, description="The caller may say who they are.")
    times: Line | None = Field(default=None, description="When she can be called.")


class Contact(Input):
    """How she is reached safely."""

    reach: Reach | None = Field(default=None, description="From the contact given, where absent.")
    safety: Safety = Field(default_factory=Safety)
    phone: Phone | None = None
    email: EmailStr | None = None
    address: Line | None = None
    preferred: Literal["phone", "email", "address"] | None = None

    @model_validator(mode="after")
    def _reached(self) -> Self:
        missing = {Reach.PHONE: self.phone, Reach.ADDRESS: self.address}
        if self.reach in missing and not missing[self.reach]:
            raise ValueError(f"To reach her by {self.reach}, give it.")
        if self.preferred and not getattr(self, self.preferred):
            raise ValueError(f"She prefers {self.preferred}: give it.")
        if self.reach is None:
            self.reach = Reach.PHONE if self.phone else Reach.ADDRESS if self.address else Reach.VIA_SENDER
        return self


class Area(Input):
    """Roughly where she lives; never an address."""

    municipality: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}:[0-9A-Z]{4,6}$")] = Field(
        description="Country and official code, as `be:52011`."
    )
    postcode: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z -]{3,10}$")] | None = None
    name: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        default=None,
        description="The municipality's, as the directory knows it: read alone; sent back, it says nothing.",
        json_schema_extra={"readOnly": True},
    )


class Person(Input):
    """Who is accompanied."""

    identity: Identity
    contact: Contact
    area: Area
    languages: list[Language] = Field(min_length=1, max_length=10)


class Need(Input):
    """One need: its theme opens the matching search, its words are hers first."""

    theme: Slug
    words: Text | None = None
    said_by: Literal["person", "counsellor"] = "person"
    hidden_from: list[Literal["recipient"]] = Field(default=[], description="Who does not read this line.")


class Concerned(Input):
    """Somebody besides her whom the need concerns; never a birth date."""

    relation: Line
    age_band: Literal["0-2", "3-5", "6-11", "12-17", "18-25", "26-64", "65+"]


class To(Input):
    """To whom she is handed over."""

    organisation_id: UUID
    service_id: UUID
    relay_contact_id: UUID | None = None


Short = Annotated[list[Line], Field(max_length=20)]


ExternalIds = Annotated[dict[Slug, Line], Field(max_length=10)]
"""References of one side's own software, by system; sealed, and read by that side alone."""


class Draft(Input):
    """A new referral."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "recipient": {
                        "organisation_id": "5b0c7a4e-0000-4000-8000-000000000001",
                        "service_id": "5b0c7a4e-0000-4000-8000-000000000002",
                    },
                    "counsellor": {"name": "Ana Lopes", "email": "ana@depart.example"},
                    "person": {
                        "identity": {"called": "Mme B."},
                        "contact": {"reach": "via_sender"},
                        "area": {"municipality": "be:52011", "postcode": "6000"},
                        "languages": ["fr"],
                    },
                    "needs": [{"theme": "childcare", "words": "une place avant lundi"}],
                }
            ]
        }
    )

    recipient: To
    counsellor: Counsellor
    person: Person
    needs: list[Need] = Field(min_length=1, max_length=10)
    goal_words: Text | None = None
    resources: Short = []
    concerned: list[Concerned] = Field(default=[], max_length=20)
    situation: dict[Slug | Line, Text | bool | int | float | None] | None = Field(default=None, max_length=30)
    notes: Text | None = None
    constraints: Short = []
    urgency: Literal["today", "days", "none"] = "days"
    external_ids: ExternalIds = Field(default={}, description="Your own references; the other side never reads them.")


class Redirection(Input):
    """Opening a new draft toward another service, after the first said no."""

    model_config = shown(
        recipient={
            "organisation_id": "5b0c7a4e-0000-4000-8000-000000000003",
            "service_id": "5b0c7a4e-0000-4000-8000-000000000004",
        }
    )

    recipient: To
    counsellor: Counsellor | None = None


class DraftChange(Input):
    """What changes in a draft; a part that is given takes the place of the whole part."""

    counsellor: Counsellor | None = None
    person: Person | None = None
    needs: list[Need] | None = Field(default=None, min_length=1, max_length=20, description="Hers too.")
    goal_words: Text | None = None
    resources: Short | None = None
    concerned: list[Concerned] | None = Field(default=None, max_length=20)
    situation: dict[Slug | Line, Text | bool | int | float | None] | None = Field(default=None, max_length=30)
    notes: Text | None = None
    constraints: Short | None = None
    urgency: Literal["today", "days", "none"] | None = None

    @model_validator(mode="after")
    def _stays(self) -> Self:
        kept = ("counsellor", "person", "needs", "urgency")
        if found := [name for name in kept if name in self.model_fields_set and getattr(self, name) is None]:
            raise ValueError(f"A draft is never without {' and '.join(found)}: leave out what does not change.")
        return self


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


class ConsentTerms(Input):
    """To what she is asked to agree."""

    purposes: list[Purpose] = Field(min_length=1, description="`referral`, and each other purpose she said yes to.")
    data_categories: list[Category] = Field(min_length=1)
    language: Language
    notice_version: Line
    collected_by: Line
    given_by: Literal["person", "parent", "legal_guardian", "administrator", "trusted_person"] = Field(
        default="person", description="Who decides: she herself, or whoever represents her."
    )
    valid_until: AwareDatetime | None = None
    legal_basis: dict[Purpose, Line] = Field(
        default={}, description="The GDPR basis of each purpose, apart from her agreement."
    )
    article_9_basis: Line | None = None


class ConsentInput(ConsentTerms):
    """What she agreed to, as her counsellor records it."""

    model_config = shown(
        purposes=["referral", "feedback"],
        data_categories=["identity", "contact", "needs"],
        method="in_person_oral",
        language="fr",
        notice_version="2026-1",
        collected_by="Ana Lopes",
        given_at="2030-01-07T09:30:00+01:00",
    )

    method: Literal["in_person_oral", "in_person_written", "phone"]
    expressed_by: Literal["spoken", "spoken_before_second_professional", "her_tap", "picture_code", "signature"] = (
        "spoken"
    )
    seen_alone: Literal["yes", "no", "unknown"] = "unknown"
    interpreter: Literal["none", "professional", "relative"] = "none"
    given_at: AwareDatetime


class ConsentRequest(ConsentTerms):
    """What she will be asked by her own link."""

    model_config = shown(
        purposes=["referral"],
        data_categories=["needs"],
        language="nl",
        notice_version="2026-1",
        collected_by="Ana Lopes",
    )


class ConsentAnswer(Input):
    """Her own answer; she may agree to less than was asked."""

    model_config = shown(agreed=True, purposes=["referral"], data_categories=["needs"])

    agreed: StrictBool
    purposes: list[Purpose] | None = None
    data_categories: list[Category] | None = None
    valid_until: AwareDatetime | None = None


class TaskDone(Input):
    """What was done about a task."""

    how: Literal["told_in_person", "told_by_phone", "told_in_writing", "told_by_relay", "not_possible", "done"] = "done"
    local_copy: Literal["erased", "kept"] | None = Field(default=None, description="For a task `local_copy`.")
    basis: Line | None = Field(default=None, description="On what basis a copy is kept.")

    @model_validator(mode="after")
    def _basis(self) -> Self:
        if (self.local_copy == "kept") != (self.basis is not None):
            raise ValueError("Say on what basis the copy is kept, and only then.")
        return self


class Assignment(Input):
    """Whose referral it is inside its organisation; neither: the desk's."""

    account_id: UUID | None = None
    team_id: Line | None = None


class NewMessage(Input):
    """A message to the other side."""

    model_config = shown(words="Elle vient avec sa sœur, qui traduit.")

    words: Text


class View(BaseModel):
    """A representation: a field that its reader may not see is absent, not empty."""

    model_config = ConfigDict(extra="forbid")


class OrganisationView(View):
    """One structure of a hand-over."""

    organisation_id: UUID
    name: str


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


class ConsentView(View):
    """A consent as recorded, and how it stands."""

    id: UUID
    referral_id: UUID | None = Field(default=None, description="Not to whoever takes part in a case conference alone.")
    conference_id: UUID | None = Field(default=None, description="The case conference that it is for.")
    status: str | None = None
    purposes: list[str]
    data_categories: list[str]
    recipient: dict[str, Any]
    method: str
    expressed_by: str
    seen_alone: str
    interpreter: str
    language: str
    notice: dict[str, str]
    collected_by: str
    given_by: str
    given_at: datetime | None = None
    valid_until: datetime | None = None
    superseded_by: UUID | None = None
    legal_basis: dict[str, str]
    article_9_basis: str | None = None
    schema_version: str
    withdrawal_method: str | None = None
    status_history: list[dict[str, Any]] | None = None
    held_back: list[str] = Field(default=[], description="Categories that stay closed until she confirms alone.")


class ConsentPage(View):
    """The consents of a referral, the newest first."""

    items: list[ConsentView]


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


class TaskView(View):
    """Something that waits for one side."""

    id: UUID
    referral_id: UUID
    short_code: str
    party: str
    kind: str
    reason: str
    opened_at: datetime
    done_at: datetime | None = None
    answer: dict[str, Any] | None = None


class TaskPage(View):
    """Tasks, the oldest first."""

    items: list[TaskView]
    next_cursor: str | None = None


class CountsView(View):
    """How many wait where: by role, then by state, with the overdue ones."""

    sender: dict[str, int] = {}
    recipient: dict[str, int] = {}


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


class MessageView(View):
    """A message of the thread."""

    id: UUID
    at: datetime
    party: str
    organisation_id: UUID | None = None
    author: str
    words: str


class MessagePage(View):
    """The thread, the oldest first."""

    items: list[MessageView]


class DocumentView(View):
    """A document of a referral; its content is fetched apart, and never shown in place."""

    id: UUID
    at: datetime
    party: str
    organisation_id: UUID | None = None
    media_type: str
    size: int
    title: str


class DocumentPage(View):
    """The documents, the oldest first."""

    items: list[DocumentView]


class MeetingView(View):
    """The meeting that stands, or the times that were offered."""

    meeting: dict[str, Any] | None = None
    options: list[dict[str, Any]] = []


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


class NoticeView(View):
    """The text that is read aloud before she answers."""

    version: str
    language: str
    title: str
    text: str
    sha256: str = Field(description="Fingerprint of the exact text, kept in every consent.")
