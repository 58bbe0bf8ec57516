"""The tables of what the sides noted, and what it came to."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlmodel import Field

from relais_referral.models.table import Table, document, instant, words


class ReflectionBallot(Table, table=True):
    """What one side noted of a hand-over that was closed in a quarter; of which one stands nowhere any more."""

    __tablename__ = "reflection_ballot"

    id: UUID = Field(primary_key=True, description="By chance: it follows no order.")
    quarter: date = Field(index=True, description="Its first day.")
    person: UUID = Field(description="By chance: the same in the notes of both sides.")
    organisation_id: UUID
    criteria: str
    held: list[str] = words()
    others: list[str] = words()


class ReflectionPeriod(Table, table=True):
    """A quarter whose notes were counted, or a year of what was too few in its quarters; with what may be told."""

    __tablename__ = "reflection_period"

    since: date = Field(primary_key=True)
    before: date = Field(primary_key=True, description="The first day that is too late.")
    counted_at: datetime = instant()
    told: dict[str, Any] | None = document()
