"""The tables of notices by e-mail."""

from datetime import datetime, time
from uuid import UUID

from sqlalchemy import Index, LargeBinary, text
from sqlmodel import Column, Field

from relais_referral.models.table import Table, binary, instant, of_referral


class Mail(Table, table=True):
    """A notice by e-mail to one side of a referral; whom it goes to is found when it leaves."""

    __table_args__ = (
        Index("mail_due", "next_at", postgresql_where=text("state = 'waiting'")),
        Index("mail_of_letter", "letter"),
    )

    event_id: UUID = Field(primary_key=True)
    party: str = Field(primary_key=True)
    mailbox: bytes = Field(
        sa_column=Column(LargeBinary, primary_key=True, nullable=False),
        description="Keyed hash of the address; empty until it is known whom it goes to.",
    )
    referral_id: UUID = of_referral()
    organisation_id: UUID
    at: datetime = instant()
    state: str
    attempts: int = 0
    next_at: datetime | None = instant(nullable=True)
    leased_until: datetime | None = instant(nullable=True)
    account_id: UUID | None = None
    letter: UUID | None = Field(default=None, description="The message that it left in.")


class Mailbox(Table, table=True):
    """What was chosen for an address, or became of it; the address itself stands nowhere."""

    hash: bytes = binary(primary=True)
    mode: str
    quiet_from: time
    quiet_until: time
    bounced_at: datetime | None = instant(nullable=True)
