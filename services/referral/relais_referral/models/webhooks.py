"""The tables of endpoints and of the deliveries to them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Column, Field

from relais_referral.models.table import Table, binary, instant, words


class Endpoint(Table, table=True):
    """Where an organisation wants its events sent; its secrets are sealed."""

    __tablename__ = "webhook_endpoint"
    __table_args__ = (Index("endpoint_of_organisation", "organisation_id"),)

    id: UUID = Field(primary_key=True)
    organisation_id: UUID
    version: int = 1
    url: str
    description: str | None = None
    types: list[str] = words()
    practice: bool = False
    secrets: bytes = binary()
    created_at: datetime = instant()
    disabled_at: datetime | None = instant(nullable=True)
    disabled_reason: str | None = None
    rests_until: datetime | None = instant(nullable=True)
    failures: int = Field(default=0, description="In a row.")
    failing_since: datetime | None = instant(nullable=True)
    last_success_at: datetime | None = instant(nullable=True)
    last_failure_at: datetime | None = instant(nullable=True)


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
    at: datetime = instant()
    subject_id: UUID
    referral_id: UUID | None = None
    sequence: int | None = None
    practice: bool = False
    state: str
    attempts: int = Field(default=0, description="Since it was last put in line.")
    tries: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False))
    next_at: datetime | None = instant(nullable=True)
    lease: UUID | None = None
    leased_until: datetime | None = instant(nullable=True)
    ended_at: datetime | None = instant(nullable=True)
