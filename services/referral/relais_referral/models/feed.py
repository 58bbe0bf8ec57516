"""The tables of what leaves, and how far its sequencer has come."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, text
from sqlmodel import Column, Field

from relais_referral.models.table import Table, instant


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
    at: datetime = instant()
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
    capacity_at: datetime | None = instant(nullable=True)
