"""The tables of the referral app; what is hers stands in `sealed_part` alone."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import registry
from sqlmodel import Column, DateTime, Field, SQLModel, String

from relais_shared.idempotency import IdempotencyColumns
from relais_shared.registry import OrganisationCopyColumns


class Table(SQLModel, registry=registry()):
    """The base of this service's tables, with metadata of their own."""


def _instant(*, nullable: bool = False) -> Any:  # noqa: ANN401 - SQLModel's field marker
    return Field(default=None if nullable else ..., sa_column=Column(DateTime(timezone=True), nullable=nullable))


def _words() -> Any:  # noqa: ANN401 - SQLModel's field marker
    return Field(sa_column=Column(ARRAY(String), nullable=False))


def _of_referral(*, primary: bool = False) -> Any:  # noqa: ANN401 - SQLModel's field marker
    return Field(sa_column=Column(ForeignKey("referral.id"), primary_key=primary, index=not primary, nullable=False))


class Referral(Table, table=True):
    """One person handed over to one service; nothing in this row tells who she is."""

    __table_args__ = (
        Index("referral_of_sender", "sender_id", "updated_at", "id"),
        Index("referral_of_recipient", "recipient_id", "updated_at", "id"),
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
    postcode: str | None = None
    urgency: str
    sender_counsellor: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    recipient_counsellor: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    confirmations: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    decline_reason: str | None = None
    outcome: str | None = None
    key_id: str = Field(description="Which wrapping key wrapped the referral's own.")
    wrapped_key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
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
    recipient_id: UUID
    service_id: UUID
    purposes: list[str] = _words()
    data_categories: list[str] = _words()
    valid_until: datetime | None = _instant(nullable=True)
    given_at: datetime = _instant()
    recorded_at: datetime = _instant()
    record: dict[str, Any] = Field(
        sa_column=Column(JSONB, nullable=False), description="The other fields of the record (ISO/IEC TS 27560)."
    )


class ConsentState(Table, table=True):
    """How a consent stands: the one row that withdrawing changes and every disclosing read locks."""

    __tablename__ = "consent_state"
    __table_args__ = (
        # The database itself refuses a second consent in force for one hand-over.
        Index("one_consent_in_force", "referral_id", unique=True, postgresql_where=text("status = 'given'")),
    )

    consent_id: UUID = Field(sa_column=Column(ForeignKey("consent.id"), primary_key=True))
    referral_id: UUID = _of_referral()
    status: str
    changed_at: datetime = _instant()
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

    referral_id: UUID = _of_referral(primary=True)
    number: int = Field(primary_key=True)
    at: datetime = _instant()
    type: str
    actor: str
    organisation_id: UUID | None = None
    data: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    previous: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Idempotency(IdempotencyColumns, Table, table=True):
    """The keys of the last 24 hours."""


class OrganisationCopy(OrganisationCopyColumns, Table, table=True):
    """The registry's organisations as last heard."""

    __tablename__ = "organisation"
