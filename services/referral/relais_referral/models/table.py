"""What every table is made of."""

from typing import Any

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import registry
from sqlmodel import Column, DateTime, Field, SQLModel, String


class Table(SQLModel, registry=registry()):
    """The base of this service's tables, with metadata of their own."""

    # SQLModel finds out for each value whether it is a column's, tells SQLAlchemy, then Pydantic, which judges no
    # table's: forty calls to set one. The column's descriptor is all that it takes.
    __setattr__ = object.__setattr__  # type: ignore[assignment]  # bound all the same: it is a slot of C


def instant(*, nullable: bool = False) -> Any:  # noqa: ANN401 - SQLModel's field marker
    """Answer a column for an aware instant."""
    return Field(default=None if nullable else ..., sa_column=Column(DateTime(timezone=True), nullable=nullable))


def words() -> Any:  # noqa: ANN401 - SQLModel's field marker
    """Answer a column for a list of words."""
    return Field(sa_column=Column(ARRAY(String), nullable=False))


def of_referral(*, primary: bool = False) -> Any:  # noqa: ANN401 - SQLModel's field marker
    """Answer a column that names the referral that a row is of."""
    return Field(sa_column=Column(ForeignKey("referral.id"), primary_key=primary, index=not primary, nullable=False))


def document(**options: Any) -> Any:  # noqa: ANN401 - SQLModel's field marker
    """Answer a column for a JSON document, none unless given."""
    return Field(default=None, sa_column=Column(JSONB(none_as_null=True)), **options)


def binary(*, primary: bool = False) -> Any:  # noqa: ANN401 - SQLModel's field marker
    """Answer a column for bytes: a hash, a signature, what is sealed."""
    return Field(sa_column=Column(LargeBinary, primary_key=primary, nullable=False))
