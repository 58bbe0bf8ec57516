"""The tables of what the two sides tell and ask each other."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, text
from sqlmodel import Field

from relais_referral.models.table import Table, binary, document, instant, of_referral


class Message(Table, table=True):
    """One message of a referral's thread or of a case conference; its words are sealed."""

    id: UUID = Field(primary_key=True)
    referral_id: UUID = of_referral()
    conference_id: UUID | None = None
    at: datetime = instant()
    party: str
    organisation_id: UUID | None = None
    author: str
    early: bool = Field(description="Written before acceptance, and judged as such.")
    content: bytes = binary()


class Document(Table, table=True):
    """A small document, sealed: neither its title nor its content is read without the referral's key."""

    id: UUID = Field(primary_key=True)
    referral_id: UUID = of_referral()
    at: datetime = instant()
    party: str
    organisation_id: UUID | None = None
    media_type: str
    size: int = Field(description="Bytes, unsealed.")
    about: bytes = binary()
    content: bytes = binary()


class Task(Table, table=True):
    """Something that waits for one side's professionals; it holds nothing of hers, words of an answer are sealed."""

    __table_args__ = (Index("task_open", "opened_at", postgresql_where=text("done_at is null and dropped_at is null")),)

    id: UUID = Field(primary_key=True)
    referral_id: UUID = of_referral()
    party: str
    kind: str
    reason: str = Field(description="The event that opened it.")
    opened_at: datetime = instant()
    done_at: datetime | None = instant(nullable=True)
    done_by: str | None = None
    answer: dict[str, Any] | None = document()
    dropped_at: datetime | None = instant(nullable=True)
