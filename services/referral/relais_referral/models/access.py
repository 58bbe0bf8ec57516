"""The tables of her own way in."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlmodel import Column, Field

from relais_referral.models.table import Table, binary, instant, of_referral


class Access(Table, table=True):
    """Her own way in: a link that is kept as a hash, and the code that she picked."""

    id: UUID = Field(primary_key=True)
    referral_id: UUID = of_referral()  # whose card it is; what she joined to it stands in access_referral
    party: str = Field(description="Which side made it.")
    link_hash: bytes = Field(sa_column=Column(LargeBinary, unique=True, nullable=False))
    code_kind: str = Field(description="pictures (four of twelve, in order) or digits (six).")
    code_hash: bytes = binary()
    level: str = Field(description="none, steps or full: what the link shows.")
    discreet: bool = Field(description="No structure, theme or map where others may look over her shoulder.")
    language: str
    made_at: datetime = instant()
    made_by: str
    ended_at: datetime | None = instant(nullable=True)
    tries: int = 0
    locked_until: datetime | None = instant(nullable=True)


class AccessReferral(Table, table=True):
    """A referral that her access shows; only she adds one to another."""

    __tablename__ = "access_referral"
    __table_args__ = (Index("access_of_referral", "referral_id"),)

    access_id: UUID = Field(sa_column=Column(ForeignKey("access.id"), primary_key=True))
    referral_id: UUID = of_referral(primary=True)
    linked_at: datetime = instant()


class AccessOpening(Table, table=True):
    """One opening of her link, told to her."""

    __tablename__ = "access_opening"

    id: UUID = Field(primary_key=True)
    access_id: UUID = Field(sa_column=Column(ForeignKey("access.id"), index=True, nullable=False))
    at: datetime = instant()
    way: str = Field(description="link or assisted.")
    organisation_id: UUID | None = Field(default=None, description="The counter where she was assisted.")
    organisation: str | None = None


class PersonSession(Table, table=True):
    """Her session, short; the token is kept as a hash."""

    __tablename__ = "person_session"

    token_hash: bytes = binary(primary=True)
    access_id: UUID = Field(sa_column=Column(ForeignKey("access.id"), nullable=False))
    opened_at: datetime = instant()
    expires_at: datetime = instant()
    assisted_by: UUID | None = None
    assisted_name: str | None = None
