"""The tables of the referral app; what is hers stands in `sealed_part` alone."""

from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, LargeBinary, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import registry
from sqlmodel import Column, DateTime, Field, SQLModel, String

from relais_shared.idempotency import IdempotencyColumns
from relais_shared.registry import OrganisationCopyColumns


class Table(SQLModel, registry=registry()):
    """The base of this service's tables, with metadata of their own."""

    # SQLModel finds out for each value whether it is a column's, tells SQLAlchemy, then Pydantic, which judges no
    # table's: forty calls to set one. The column's descriptor is all that it takes.
    __setattr__ = object.__setattr__  # type: ignore[assignment]  # bound all the same: it is a slot of C


def _instant(*, nullable: bool = False) -> Any:  # noqa: ANN401 - SQLModel's field marker
    return Field(default=None if nullable else ..., sa_column=Column(DateTime(timezone=True), nullable=nullable))


def _words() -> Any:  # noqa: ANN401 - SQLModel's field marker
    return Field(sa_column=Column(ARRAY(String), nullable=False))


def _of_referral(*, primary: bool = False) -> Any:  # noqa: ANN401 - SQLModel's field marker
    return Field(sa_column=Column(ForeignKey("referral.id"), primary_key=primary, index=not primary, nullable=False))


def _document(**options: Any) -> Any:  # noqa: ANN401 - SQLModel's field marker
    return Field(default=None, sa_column=Column(JSONB(none_as_null=True)), **options)


def _bytes(*, primary: bool = False) -> Any:  # noqa: ANN401 - SQLModel's field marker
    return Field(sa_column=Column(LargeBinary, primary_key=primary, nullable=False))


class Referral(Table, table=True):
    """One person handed over to one service; nothing in this row tells who she is."""

    __table_args__ = (
        Index("referral_of_sender", "sender_id", "updated_at", "id"),
        Index("referral_of_recipient", "recipient_id", "updated_at", "id"),
        Index("referral_due", "due_at", postgresql_where=text("state in ('proposed', 'received')")),
        Index("referral_of_term", "state", "state_at", postgresql_where=text("shredded_at is null")),
        Index("referral_rehearsed", "updated_at", postgresql_where=text("practice")),
        Index("referral_by_key", "key_id", postgresql_where=text("key_id is not null")),
        Index(
            "referral_erased",
            "erased_at",
            postgresql_where=text("erased_at is not null and shredded_at is null"),
        ),
    )

    id: UUID = Field(primary_key=True)
    short_code: str = Field(unique=True, description="What two counsellors say to each other on the telephone.")
    state: str
    version: int = Field(description="Moves with every change; the ETag of everybody but a sanctioning sender.")
    neutral_version: int = Field(description="Moves only with what a sanctioning sender may notice.")
    sender_id: UUID
    sender_name: str
    sender_may_sanction: bool
    recipient_id: UUID
    recipient_name: str
    service_id: UUID
    service_name: str
    relay_contact_id: UUID | None = None
    practice: bool
    sensitive: bool = Field(description="The theme or service is sensitive (health, violence, justice ...).")
    themes: list[str] = _words()
    languages: list[str] = _words()
    municipality: str
    area_name: str | None = Field(default=None, description="The municipality's name; none where it is not known.")
    wide_area: str | None = Field(default=None, description="The province's, where few live: told until acceptance.")
    postcode: str | None = None
    urgency: str
    sender_counsellor: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    recipient_counsellor: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    confirmations: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    decline_reason: str | None = None
    outcome: str | None = None
    via: str = Field(description="How the recipient receives: relais, guest or phone_only.")
    state_at: datetime = _instant()  # since when it stands there: what retention counts from
    due_at: datetime | None = _instant(nullable=True)  # when an answer is usual; past it, it is overdue
    overdue_told: bool = False
    paused_at: datetime | None = _instant(nullable=True)
    paused_until: date | None = None
    phoned: dict[str, Any] | None = _document(description="Agreed by telephone: with whom and when.")
    undo: dict[str, Any] | None = _document(description="The last step, while it can be taken back.")
    redirected_from: UUID | None = None
    redirected_to: UUID | None = None
    conference_id: UUID | None = Field(default=None, description="The conference that decided on it.")
    sender_account_id: UUID | None = None
    sender_team_id: str | None = None
    recipient_account_id: UUID | None = None
    recipient_team_id: str | None = None
    idle_asked_at: datetime | None = _instant(nullable=True)
    erased_at: datetime | None = _instant(nullable=True)  # every access is closed
    shredded_at: datetime | None = _instant(nullable=True)  # the key is gone
    key_id: str | None = Field(default=None, description="Which wrapping key wrapped the referral's own.")
    wrapped_key: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    event_count: int = 0
    event_head: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = _instant()
    updated_at: datetime = _instant()
    noticed_at: datetime = _instant()  # the last change that a sanctioning sender may notice


class SealedPart(Table, table=True):
    """One part of what is hers, sealed under the referral's key."""

    __tablename__ = "sealed_part"

    referral_id: UUID = _of_referral(primary=True)
    part: str = Field(primary_key=True)
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class ConsentRecord(Table, table=True):
    """What she agreed to; the database refuses to change or remove it."""

    __tablename__ = "consent"

    id: UUID = Field(primary_key=True)
    referral_id: UUID = _of_referral()
    conference_id: UUID | None = None
    recipient_id: UUID
    service_id: UUID | None = None
    purposes: list[str] = _words()
    data_categories: list[str] = _words()
    valid_until: datetime | None = _instant(nullable=True)
    given_at: datetime | None = _instant(nullable=True)  # none while it is only asked for
    recorded_at: datetime = _instant()
    record: dict[str, Any] = Field(
        sa_column=Column(JSONB, nullable=False), description="The other fields of the record (ISO/IEC TS 27560)."
    )


class ConsentState(Table, table=True):
    """How a consent stands: the one row that withdrawing changes and every disclosing read locks."""

    __tablename__ = "consent_state"
    __table_args__ = (
        # The database itself refuses a second consent in force for one hand-over.
        Index(
            "one_consent_in_force",
            "referral_id",
            unique=True,
            postgresql_where=text("status = 'given' and conference_id is null"),
        ),
        Index(
            "consent_running_out",
            "valid_until",
            postgresql_where=text("status = 'given' and valid_until is not null"),
        ),
    )

    consent_id: UUID = Field(sa_column=Column(ForeignKey("consent.id"), primary_key=True))
    referral_id: UUID = _of_referral()
    conference_id: UUID | None = None
    status: str
    changed_at: datetime = _instant()
    valid_until: datetime | None = _instant(nullable=True)
    warned_at: datetime | None = _instant(nullable=True)
    withdrawal_method: str | None = None
    superseded_by: UUID | None = None
    history: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False))


class Disclosure(Table, table=True):
    """One act of showing what is hers; written with the reading, or nothing is shown."""

    id: UUID = Field(primary_key=True)
    referral_id: UUID = _of_referral()
    at: datetime = _instant()
    actor: str
    on_behalf_of: str | None = None
    organisation_id: UUID | None = None
    categories: list[str] = _words()
    consent_id: UUID | None = Field(default=None, description="None where the sender reads what it wrote.")
    trace_id: str


class EventRow(Table, table=True):
    """One event of a referral's hash chain, without personal data."""

    __tablename__ = "event"
    __table_args__ = (
        Index("event_by_time", "at"),
        Index("event_by_writing", "written_in"),
        Index("event_of_proposal", "at", postgresql_where=text("type = 'referral.proposed'")),
        Index("event_of_closing", "at", postgresql_where=text("type = 'referral.closed'")),
    )

    referral_id: UUID = _of_referral(primary=True)
    number: int = Field(primary_key=True)
    at: datetime = _instant()
    type: str
    actor: str
    organisation_id: UUID | None = None
    data: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    previous: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    written_in: int | None = Field(
        default=None,
        sa_column=Column(BigInteger, nullable=False, server_default=text("pg_current_xact_id()::text::bigint")),
        description="The transaction that wrote it: by it the sequencer finds what was committed since it last looked.",
    )
    traceparent: str | None = Field(default=None, description="The trace that it happened in; no part of the chain.")


class Access(Table, table=True):
    """Her own way in: a link that is kept as a hash, and the code that she picked."""

    id: UUID = Field(primary_key=True)
    referral_id: UUID = _of_referral()  # whose card it is; what she joined to it stands in access_referral
    party: str = Field(description="Which side made it.")
    link_hash: bytes = Field(sa_column=Column(LargeBinary, unique=True, nullable=False))
    code_kind: str = Field(description="pictures (four of twelve, in order) or digits (six).")
    code_hash: bytes = _bytes()
    level: str = Field(description="none, steps or full: what the link shows.")
    discreet: bool = Field(description="No structure, theme or map where others may look over her shoulder.")
    language: str
    made_at: datetime = _instant()
    made_by: str
    ended_at: datetime | None = _instant(nullable=True)
    tries: int = 0
    locked_until: datetime | None = _instant(nullable=True)


class AccessReferral(Table, table=True):
    """A referral that her access shows; only she adds one to another."""

    __tablename__ = "access_referral"
    __table_args__ = (Index("access_of_referral", "referral_id"),)

    access_id: UUID = Field(sa_column=Column(ForeignKey("access.id"), primary_key=True))
    referral_id: UUID = _of_referral(primary=True)
    linked_at: datetime = _instant()


class AccessOpening(Table, table=True):
    """One opening of her link, told to her."""

    __tablename__ = "access_opening"

    id: UUID = Field(primary_key=True)
    access_id: UUID = Field(sa_column=Column(ForeignKey("access.id"), index=True, nullable=False))
    at: datetime = _instant()
    way: str = Field(description="link or assisted.")
    organisation_id: UUID | None = Field(default=None, description="The counter where she was assisted.")
    organisation: str | None = None


class PersonSession(Table, table=True):
    """Her session, short; the token is kept as a hash."""

    __tablename__ = "person_session"

    token_hash: bytes = _bytes(primary=True)
    access_id: UUID = Field(sa_column=Column(ForeignKey("access.id"), nullable=False))
    opened_at: datetime = _instant()
    expires_at: datetime = _instant()
    assisted_by: UUID | None = None
    assisted_name: str | None = None


class Guest(Table, table=True):
    """A named person of a service without an account, who answers by a link used once."""

    id: UUID = Field(primary_key=True)
    referral_id: UUID = _of_referral()
    link_hash: bytes = Field(sa_column=Column(LargeBinary, unique=True, nullable=False))
    address: str = Field(description="The service's own verified address.")
    code_hash: bytes = _bytes()
    made_at: datetime = _instant()
    expires_at: datetime = _instant()
    opened_at: datetime | None = _instant(nullable=True)
    ended_at: datetime | None = _instant(nullable=True)
    tries: int = 0
    locked_until: datetime | None = _instant(nullable=True)
    name: str | None = None
    function: str | None = None
    secrecy: str | None = None
    undertaken_at: datetime | None = _instant(nullable=True)


class GuestSession(Table, table=True):
    """A guest's session, short; the token is kept as a hash."""

    __tablename__ = "guest_session"

    token_hash: bytes = _bytes(primary=True)
    guest_id: UUID = Field(sa_column=Column(ForeignKey("guest.id"), nullable=False))
    opened_at: datetime = _instant()
    expires_at: datetime = _instant()


class Message(Table, table=True):
    """One message of a referral's thread or of a case conference; its words are sealed."""

    id: UUID = Field(primary_key=True)
    referral_id: UUID = _of_referral()
    conference_id: UUID | None = None
    at: datetime = _instant()
    party: str
    organisation_id: UUID | None = None
    author: str
    early: bool = Field(description="Written before acceptance, and judged as such.")
    content: bytes = _bytes()


class Document(Table, table=True):
    """A small document, sealed: neither its title nor its content is read without the referral's key."""

    id: UUID = Field(primary_key=True)
    referral_id: UUID = _of_referral()
    at: datetime = _instant()
    party: str
    organisation_id: UUID | None = None
    media_type: str
    size: int = Field(description="Bytes, unsealed.")
    about: bytes = _bytes()
    content: bytes = _bytes()


class Task(Table, table=True):
    """Something that waits for one side's professionals; it holds nothing of hers, words of an answer are sealed."""

    __table_args__ = (Index("task_open", "opened_at", postgresql_where=text("done_at is null and dropped_at is null")),)

    id: UUID = Field(primary_key=True)
    referral_id: UUID = _of_referral()
    party: str
    kind: str
    reason: str = Field(description="The event that opened it.")
    opened_at: datetime = _instant()
    done_at: datetime | None = _instant(nullable=True)
    done_by: str | None = None
    answer: dict[str, Any] | None = _document()
    dropped_at: datetime | None = _instant(nullable=True)


class Conference(Table, table=True):
    """A case conference: the organisations that she agreed to speak with each other about one hand-over."""

    id: UUID = Field(primary_key=True)
    referral_id: UUID = _of_referral()
    opened_at: datetime = _instant()
    opened_by: UUID
    ended_at: datetime | None = _instant(nullable=True)
    ended_by: str | None = None
    she_attends: bool = False


class ConferencePart(Table, table=True):
    """An organisation of a case conference."""

    __tablename__ = "conference_part"
    __table_args__ = (Index("conference_of_organisation", "organisation_id"),)

    conference_id: UUID = Field(sa_column=Column(ForeignKey("conference.id"), primary_key=True))
    organisation_id: UUID = Field(primary_key=True)
    organisation: str
    counsellor: dict[str, Any] | None = _document(description="The named colleague who takes part.")
    account_id: UUID | None = None
    team_id: str | None = None
    invited_at: datetime = _instant()
    joined_at: datetime | None = _instant(nullable=True)
    left_at: datetime | None = _instant(nullable=True)


class Decision(Table, table=True):
    """What a case conference decided; it may become a draft."""

    id: UUID = Field(primary_key=True)
    conference_id: UUID = Field(sa_column=Column(ForeignKey("conference.id"), index=True, nullable=False))
    referral_id: UUID = _of_referral()
    at: datetime = _instant()
    organisation_id: UUID
    content: bytes = _bytes()
    draft_id: UUID | None = None
    drafted_by: UUID | None = None


class DayHead(Table, table=True):
    """The signed end of every event chain on one day; the database refuses to change or remove it."""

    __tablename__ = "day_head"

    day: date = Field(primary_key=True)
    upto: datetime = _instant()
    referrals: int
    events: int
    previous: bytes = _bytes()
    hash: bytes = _bytes()
    key_id: str
    signature: bytes = _bytes()


class FeedRow(Table, table=True):
    """An event as it left: its position was given after commit, so that none is ever skipped; no personal data.

    An event of a referral names its parties; one of a service nobody; one of an endpoint its organisation.
    """

    __tablename__ = "feed"
    __table_args__ = (
        Index("feed_of_sender", "sender_id", "position", postgresql_where=text("sender_id is not null")),
        Index("feed_of_recipient", "recipient_id", "position", postgresql_where=text("recipient_id is not null")),
        Index("feed_of_others", "position", postgresql_where=text("sender_id is null")),
        Index("feed_of_chain", "referral_id", "number", unique=True, postgresql_where=text("referral_id is not null")),
    )

    position: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    id: UUID = Field(unique=True, description="What receivers know the event by.")
    at: datetime = _instant()
    subject_id: UUID = Field(description="The referral, the service or the endpoint.")
    practice: bool = False
    referral_id: UUID | None = Field(default=None, sa_column=Column(ForeignKey("referral.id")))
    number: int | None = Field(default=None, description="In the referral's chain.")
    sender_id: UUID | None = None
    sender_type: str | None = None
    sender_sequence: int | None = None
    recipient_id: UUID | None = None
    recipient_type: str | None = None
    recipient_sequence: int | None = None
    organisation_id: UUID | None = Field(default=None, description="Whose endpoint it tells of.")
    type: str | None = Field(default=None, description="Where no referral is the subject.")


class Sequencing(Table, table=True):
    """How far the sequencer has come."""

    name: str = Field(primary_key=True, description="events or directory.")
    mark: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    cursor: str | None = None


class ServiceSeen(Table, table=True):
    """A service of the directory as it was last told of."""

    __tablename__ = "service_seen"

    service_id: UUID = Field(primary_key=True)
    version: int
    gone: bool
    capacity_at: datetime | None = _instant(nullable=True)


class Endpoint(Table, table=True):
    """Where an organisation wants its events sent; its secrets are sealed."""

    __tablename__ = "webhook_endpoint"
    __table_args__ = (Index("endpoint_of_organisation", "organisation_id"),)

    id: UUID = Field(primary_key=True)
    organisation_id: UUID
    version: int = 1
    url: str
    description: str | None = None
    types: list[str] = _words()
    practice: bool = False
    secrets: bytes = _bytes()
    created_at: datetime = _instant()
    disabled_at: datetime | None = _instant(nullable=True)
    disabled_reason: str | None = None
    rests_until: datetime | None = _instant(nullable=True)
    failures: int = Field(default=0, description="In a row.")
    failing_since: datetime | None = _instant(nullable=True)
    last_success_at: datetime | None = _instant(nullable=True)
    last_failure_at: datetime | None = _instant(nullable=True)


class Delivery(Table, table=True):
    """One event for one endpoint, with what its attempts came to."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        Index("delivery_line", "endpoint_id", "position", postgresql_where=text("state = 'waiting'")),
        Index("delivery_subject", "subject_id", "endpoint_id", "position", postgresql_where=text("state = 'waiting'")),
        Index("delivery_due", "endpoint_id", "next_at", postgresql_where=text("state = 'waiting'")),
        Index("delivery_log", "endpoint_id", "position"),
    )

    endpoint_id: UUID = Field(sa_column=Column(ForeignKey("webhook_endpoint.id", ondelete="CASCADE"), primary_key=True))
    event_id: UUID = Field(primary_key=True)
    organisation_id: UUID
    position: int = Field(sa_column=Column(BigInteger, nullable=False), description="In the feed; 0 for a test.")
    type: str
    at: datetime = _instant()
    subject_id: UUID
    referral_id: UUID | None = None
    sequence: int | None = None
    practice: bool = False
    state: str
    attempts: int = Field(default=0, description="Since it was last put in line.")
    tries: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False))
    next_at: datetime | None = _instant(nullable=True)
    lease: UUID | None = None
    leased_until: datetime | None = _instant(nullable=True)
    ended_at: datetime | None = _instant(nullable=True)


class Mail(Table, table=True):
    """A notice by e-mail to one side of a referral; whom it goes to is found when it leaves."""

    __table_args__ = (
        Index("mail_due", "next_at", postgresql_where=text("state = 'waiting'")),
        Index("mail_of_letter", "letter"),
    )

    event_id: UUID = Field(primary_key=True)
    party: str = Field(primary_key=True)
    mailbox: bytes = Field(
        sa_column=Column(LargeBinary, primary_key=True, nullable=False),
        description="Keyed hash of the address; empty until it is known whom it goes to.",
    )
    referral_id: UUID = _of_referral()
    organisation_id: UUID
    at: datetime = _instant()
    state: str
    attempts: int = 0
    next_at: datetime | None = _instant(nullable=True)
    leased_until: datetime | None = _instant(nullable=True)
    account_id: UUID | None = None
    letter: UUID | None = Field(default=None, description="The message that it left in.")


class Mailbox(Table, table=True):
    """What was chosen for an address, or became of it; the address itself stands nowhere."""

    hash: bytes = _bytes(primary=True)
    mode: str
    quiet_from: time
    quiet_until: time
    bounced_at: datetime | None = _instant(nullable=True)


class FigureMonth(Table, table=True):
    """A month that was counted, with what may be told of the territory; nothing where it came to too few."""

    __tablename__ = "figure_month"

    month: date = Field(primary_key=True, description="Its first day.")
    counted_at: datetime = _instant()
    territory: dict[str, Any] | None = _document()


class FigureOwn(Table, table=True):
    """What an organisation may be told of a month's hand-overs of its own."""

    __tablename__ = "figure_own"
    __table_args__ = (Index("figure_of_organisation", "organisation_id", "role", "month"),)

    month: date = Field(sa_column=Column(ForeignKey("figure_month.month", ondelete="CASCADE"), primary_key=True))
    organisation_id: UUID = Field(primary_key=True)
    role: str = Field(primary_key=True, description="sender or recipient.")
    told: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class ReflectionBallot(Table, table=True):
    """What one side noted of a hand-over that was closed in a quarter; of which one stands nowhere any more."""

    __tablename__ = "reflection_ballot"

    id: UUID = Field(primary_key=True, description="By chance: it follows no order.")
    quarter: date = Field(index=True, description="Its first day.")
    person: UUID = Field(description="By chance: the same in the notes of both sides.")
    organisation_id: UUID
    criteria: str
    held: list[str] = _words()
    others: list[str] = _words()


class ReflectionPeriod(Table, table=True):
    """A quarter whose notes were counted, or a year of what was too few in its quarters; with what may be told."""

    __tablename__ = "reflection_period"

    since: date = Field(primary_key=True)
    before: date = Field(primary_key=True, description="The first day that is too late.")
    counted_at: datetime = _instant()
    told: dict[str, Any] | None = _document()


class Idempotency(IdempotencyColumns, Table, table=True):
    """The keys of the last 24 hours."""


class OrganisationCopy(OrganisationCopyColumns, Table, table=True):
    """The registry's organisations as last heard."""

    __tablename__ = "organisation"
