"""The tables of what she agreed to."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Column, Field

from relais_referral.models.table import Table, instant, of_referral, words


class ConsentRecord(Table, table=True):
    """What she agreed to; the database refuses to change or remove it."""

    __tablename__ = "consent"

    id: UUID = Field(primary_key=True)
    referral_id: UUID = of_referral()
    conference_id: UUID | None = None
    recipient_id: UUID
    service_id: UUID | None = None
    purposes: list[str] = words()
    data_categories: list[str] = words()
    valid_until: datetime | None = instant(nullable=True)
    given_at: datetime | None = instant(nullable=True)  # none while it is only asked for
    recorded_at: datetime = instant()
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
    referral_id: UUID = of_referral()
    conference_id: UUID | None = None
    status: str
    changed_at: datetime = instant()
    valid_until: datetime | None = instant(nullable=True)
    warned_at: datetime | None = instant(nullable=True)
    withdrawal_method: str | None = None
    superseded_by: UUID | None = None
    history: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False))
