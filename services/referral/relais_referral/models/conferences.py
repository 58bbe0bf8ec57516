"""The tables of case conferences."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlmodel import Column, Field

from relais_referral.models.table import Table, binary, document, instant, of_referral


class Conference(Table, table=True):
    """A case conference: the organisations that she agreed to speak with each other about one hand-over."""

    id: UUID = Field(primary_key=True)
    referral_id: UUID = of_referral()
    opened_at: datetime = instant()
    opened_by: UUID
    ended_at: datetime | None = instant(nullable=True)
    ended_by: str | None = None
    she_attends: bool = False


class ConferencePart(Table, table=True):
    """An organisation of a case conference."""

    __tablename__ = "conference_part"
    __table_args__ = (Index("conference_of_organisation", "organisation_id"),)

    conference_id: UUID = Field(sa_column=Column(ForeignKey("conference.id"), primary_key=True))
    organisation_id: UUID = Field(primary_key=True)
    organisation: str
    counsellor: dict[str, Any] | None = document(description="The named colleague who takes part.")
    account_id: UUID | None = None
    team_id: str | None = None
    invited_at: datetime = instant()
    joined_at: datetime | None = instant(nullable=True)
    left_at: datetime | None = instant(nullable=True)


class Decision(Table, table=True):
    """What a case conference decided; it may become a draft."""

    id: UUID = Field(primary_key=True)
    conference_id: UUID = Field(sa_column=Column(ForeignKey("conference.id"), index=True, nullable=False))
    referral_id: UUID = of_referral()
    at: datetime = instant()
    organisation_id: UUID
    content: bytes = binary()
    draft_id: UUID | None = None
    drafted_by: UUID | None = None
