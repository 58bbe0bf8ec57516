"""What travels. What you send is checked here as far as a typing slip goes; Relais has the last word.

What you read may grow: a field that this version does not know is kept (`model_extra`), and one that you may not see
now is None.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")


class Sent(BaseModel):
    """What you send: a name that is not here is refused before it leaves."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Read(BaseModel):
    """What you read."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Versioned(Read):
    """What you read and may change: a change says which version you had read."""

    etag: str | None = Field(default=None, exclude=True, description="None in a list: read it alone to change it.")


class Page(Read, Generic[T]):
    """Some of a list."""

    items: list[T]
    next_cursor: str | None = None


# What is sent.


class Counsellor(Sent):
    """The named colleague who answers for the person on one side."""

    name: str
    function: str | None = None
    email: str | None = None
    phone: str | None = None


class Identity(Sent):
    """Who she is: one name at least; what she wishes to be called is enough."""

    called: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    birth_date: date | None = None


class Safety(Sent):
    """What may be done to reach her: no, until she says yes."""

    shared_phone: bool = False
    voicemail: bool = False
    sms: bool = False
    may_say_who: bool = False
    times: str | None = None


class Contact(Sent):
    """How she is reached safely; the first two ways need neither phone nor surname."""

    reach: Literal["via_sender", "she_comes", "phone", "address"] | None = None
    safety: Safety = Safety()
    phone: str | None = None
    email: str | None = None
    address: str | None = None
    preferred: Literal["phone", "email", "address"] | None = None


class Area(Sent):
    """Roughly where she lives, as `be:52011`; never an address."""

    municipality: str
    postcode: str | None = None


class Person(Sent):
    """Who is accompanied."""

    identity: Identity
    contact: Contact
    area: Area
    languages: Sequence[str]


class Need(Sent):
    """One need, in her words first; she may hide the line from the other side."""

    theme: str
    words: str | None = None
    said_by: Literal["person", "counsellor"] = "person"
    hidden_from: Sequence[Literal["recipient"]] = ()


class Concerned(Sent):
    """Somebody besides her whom the need concerns."""

    relation: str
    age_band: Literal["0-2", "3-5", "6-11", "12-17", "18-25", "26-64", "65+"]


class To(Sent):
    """To whom she is handed over."""

    organisation_id: UUID
    service_id: UUID
    relay_contact_id: UUID | None = None


class Draft(Sent):
    """A new referral. What is read before acceptance may hold neither her name nor a way to reach her."""

    recipient: To
    counsellor: Counsellor
    person: Person
    needs: Sequence[Need]
    goal_words: str | None = None
    resources: Sequence[str] = ()
    concerned: Sequence[Concerned] = ()
    situation: dict[str, str | bool | int | float | None] | None = None
    notes: str | None = None
    constraints: Sequence[str] = ()
    urgency: Literal["today", "days", "none"] = "days"
    external_ids: dict[str, str] = {}


Purpose = Literal["referral", "feedback", "case_conference", "pathway_sharing", "statistics"]
Category = Literal["identity", "contact", "needs", "situation", "notes", "documents"]


class Agreement(Sent):
    """What she agreed to, as her counsellor records it; read her the notice first."""

    purposes: Sequence[Purpose]
    data_categories: Sequence[Category]
    method: Literal["in_person_oral", "in_person_written", "phone"]
    language: str
    notice_version: str
    collected_by: str
    given_at: datetime
    expressed_by: Literal["spoken", "spoken_before_second_professional", "her_tap", "picture_code", "signature"] = (
        "spoken"
    )
    seen_alone: Literal["yes", "no", "unknown"] = "unknown"
    interpreter: Literal["none", "professional", "relative"] = "none"
    given_by: Literal["person", "parent", "legal_guardian", "administrator", "trusted_person"] = "person"
    valid_until: datetime | None = None
    legal_basis: dict[Purpose, str] = {}
    article_9_basis: str | None = None


Mode = Literal["visit", "call", "video"]
Reason = Literal[
    "no_place", "outside_area", "condition", "mission", "language", "hours", "conflict_of_interest", "safety", "other"
]
Outcome = Literal["under_way", "completed", "not_pursued", "redirected"]


class MeetingOption(Sent):
    """One time that the recipient offers."""

    starts_at: datetime
    mode: Mode = "visit"
    place: str | None = None


class Attendee(Sent):
    """A named person who comes."""

    name: str
    role: str


class Meeting(Sent):
    """How and when she will be met: `starts_at`, or `to_be_agreed`."""

    starts_at: datetime | None = None
    to_be_agreed: bool = False
    mode: Mode = "visit"
    place: str | None = None
    agreed: str | None = None
    attendees: Sequence[Literal["person", "sender", "recipient"] | Attendee] = ("person", "sender", "recipient")


# What is read.


class Card(Read):
    """A service at its nearest place."""

    id: UUID
    service: dict[str, Any]
    organisation: dict[str, Any]
    location: dict[str, Any] | None
    distance_m: int | None
    opening: dict[str, Any]
    capacity: dict[str, Any] | None
    freshness: dict[str, Any]
    relay_contact: dict[str, Any] | None
    can_receive: str
    why: dict[str, list[str]]

    @property
    def to(self) -> To:
        """The recipient of a hand-over to this service."""
        return To(organisation_id=self.organisation["id"], service_id=self.service["id"])


class SearchPage(Page[Card]):
    """Some of the services that fit."""

    total: int
    total_is_exact: bool
    facets: dict[str, dict[str, int]] | None = None


class Referral(Versioned):
    """A referral as you may see it now: what grows with the handshake, and goes with her consent."""

    id: UUID
    state: str
    allowed_actions: list[str]
    created_at: datetime
    updated_at: datetime
    short_code: str | None = None
    practice: bool | None = None
    sender: dict[str, Any] | None = None
    recipient: dict[str, Any] | None = None
    counsellor: dict[str, Any] | None = None
    recipient_counsellor: dict[str, Any] | None = None
    via: str | None = None
    urgency: str | None = None
    due_at: datetime | None = None
    overdue: bool | None = None
    undo_until: datetime | None = None
    external_ids: dict[str, str] | None = None
    launch_url: str | None = None
    themes: list[str] | None = None
    person: dict[str, Any] | None = None
    needs: list[dict[str, Any]] | None = None
    constraints: list[str] | None = None
    situation: dict[str, Any] | None = None
    notes: str | None = None
    meeting: dict[str, Any] | None = None
    meeting_options: list[dict[str, Any]] | None = None
    confirmations: dict[str, Any] | None = None
    decline: dict[str, Any] | None = None
    outcome: dict[str, Any] | None = None


class Consent(Read):
    """A consent as recorded, and how it stands."""

    id: UUID
    referral_id: UUID
    status: str | None = None
    purposes: list[str]
    data_categories: list[str]
    given_at: datetime | None = None
    valid_until: datetime | None = None
    superseded_by: UUID | None = None


class Disclosure(Read):
    """One act of showing what is hers."""

    at: datetime
    actor: str
    on_behalf_of: str | None = None
    organisation_id: UUID | None = None
    categories: list[str]
    consent_id: UUID | None = None
    trace_id: str


class Message(Read):
    """A message of the thread."""

    id: UUID
    at: datetime
    party: str
    author: str
    words: str


class Notice(Read):
    """The text that is read aloud before she answers."""

    version: str
    language: str
    title: str
    text: str
    sha256: str


class Event(Read):
    """What happened to what; read the subject for how it stands now. Nothing of hers is in it."""

    id: UUID
    type: str
    time: datetime
    subject: str
    subject_id: UUID
    sequence: int | None = None
    practice: bool = False


class EventPage(Page[Event]):
    """Some events in their order. Keep `next_cursor` with what you did about them."""

    more: bool
    next_cursor: str


class Webhook(Read):
    """The body of a webhook."""

    type: str
    timestamp: datetime
    data: Event


class Endpoint(Versioned):
    """Where your events are sent, and how that goes. The secret is read once, where it is made."""

    id: UUID
    url: str
    types: list[str]
    description: str | None = None
    practice: bool
    enabled: bool
    public_keys: list[str]
    health: dict[str, Any]
    secret: str | None = Field(default=None, repr=False)


class Delivery(Read):
    """One event for one endpoint."""

    event_id: UUID
    type: str
    time: datetime
    subject: str
    sequence: int | None = None
    state: str
    attempts: list[dict[str, Any]]
    next_attempt_at: datetime | None = None
