"""The tables of what happened and of who looked."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, LargeBinary, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Column, Field

from relais_referral.models.table import Table, binary, instant, of_referral, words


class Disclosure(Table, table=True):
    """One act of showing what is hers; written with the reading, or nothing is shown."""

    id: UUID = Field(primary_key=True)
    referral_id: UUID = of_referral()
    at: datetime = instant()
    actor: str
    on_behalf_of: str | None = None
    organisation_id: UUID | None = None
    categories: list[str] = words()
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

    referral_id: UUID = of_referral(primary=True)
    number: int = Field(primary_key=True)
    at: datetime = instant()
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


class DayHead(Table, table=True):
    """The signed end of every event chain on one day; the database refuses to change or remove it."""

    __tablename__ = "day_head"

    day: date = Field(primary_key=True)
    upto: datetime = instant()
    referrals: int
    events: int
    previous: bytes = binary()
    hash: bytes = binary()
    key_id: str
    signature: bytes = binary()
