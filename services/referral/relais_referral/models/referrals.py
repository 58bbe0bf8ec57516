"""The tables of hand-overs; what is hers stands in `sealed_part` alone."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, LargeBinary, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Column, Field

from relais_referral.models.table import Table, document, instant, of_referral, words


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
    themes: list[str] = words()
    languages: list[str] = words()
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
    state_at: datetime = instant()  # since when it stands there: what retention counts from
    due_at: datetime | None = instant(nullable=True)  # when an answer is usual; past it, it is overdue
    overdue_told: bool = False
    paused_at: datetime | None = instant(nullable=True)
    paused_until: date | None = None
    phoned: dict[str, Any] | None = document(description="Agreed by telephone: with whom and when.")
    undo: dict[str, Any] | None = document(description="The last step, while it can be taken back.")
    redirected_from: UUID | None = None
    redirected_to: UUID | None = None
    conference_id: UUID | None = Field(default=None, description="The conference that decided on it.")
    sender_account_id: UUID | None = None
    sender_team_id: str | None = None
    recipient_account_id: UUID | None = None
    recipient_team_id: str | None = None
    idle_asked_at: datetime | None = instant(nullable=True)
    erased_at: datetime | None = instant(nullable=True)  # every access is closed
    shredded_at: datetime | None = instant(nullable=True)  # the key is gone
    key_id: str | None = Field(default=None, description="Which wrapping key wrapped the referral's own.")
    wrapped_key: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    event_count: int = 0
    event_head: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = instant()
    updated_at: datetime = instant()
    noticed_at: datetime = instant()  # the last change that a sanctioning sender may notice


class SealedPart(Table, table=True):
    """One part of what is hers, sealed under the referral's key."""

    __tablename__ = "sealed_part"

    referral_id: UUID = of_referral(primary=True)
    part: str = Field(primary_key=True)
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
