"""The tables of what was counted."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Column, Field

from relais_referral.models.table import Table, document, instant


class FigureMonth(Table, table=True):
    """A month that was counted, with what may be told of the territory; nothing where it came to too few."""

    __tablename__ = "figure_month"

    month: date = Field(primary_key=True, description="Its first day.")
    counted_at: datetime = instant()
    territory: dict[str, Any] | None = document()


class FigureOwn(Table, table=True):
    """What an organisation may be told of a month's hand-overs of its own."""

    __tablename__ = "figure_own"
    __table_args__ = (Index("figure_of_organisation", "organisation_id", "role", "month"),)

    month: date = Field(sa_column=Column(ForeignKey("figure_month.month", ondelete="CASCADE"), primary_key=True))
    organisation_id: UUID = Field(primary_key=True)
    role: str = Field(primary_key=True, description="sender or recipient.")
    told: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
