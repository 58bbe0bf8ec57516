"""The tables of those who answer without an account."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary
from sqlmodel import Column, Field

from relais_referral.models.table import Table, binary, instant, of_referral


class Guest(Table, table=True):
    """A named person of a service without an account, who answers by a link used once."""

    id: UUID = Field(primary_key=True)
    referral_id: UUID = of_referral()
    link_hash: bytes = Field(sa_column=Column(LargeBinary, unique=True, nullable=False))
    address: str = Field(description="The service's own verified address.")
    code_hash: bytes = binary()
    made_at: datetime = instant()
    expires_at: datetime = instant()
    opened_at: datetime | None = instant(nullable=True)
    ended_at: datetime | None = instant(nullable=True)
    tries: int = 0
    locked_until: datetime | None = instant(nullable=True)
    name: str | None = None
    function: str | None = None
    secrecy: str | None = None
    undertaken_at: datetime | None = instant(nullable=True)


class GuestSession(Table, table=True):
    """A guest's session, short; the token is kept as a hash."""

    __tablename__ = "guest_session"

    token_hash: bytes = binary(primary=True)
    guest_id: UUID = Field(sa_column=Column(ForeignKey("guest.id"), nullable=False))
    opened_at: datetime = instant()
    expires_at: datetime = instant()
