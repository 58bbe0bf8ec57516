"""The tables of the directory: HSDS 3.1's entities, the gazetteer, and what search reads."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Float, ForeignKey, Index, LargeBinary, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR
from sqlalchemy.orm import registry
from sqlalchemy.types import UserDefinedType
from sqlmodel import Column, DateTime, Field, SQLModel, String

from relais_shared.registry import OrganisationCopyColumns


class Cube(UserDefinedType[str]):
    """PostgreSQL's `cube`: an earth-centred position in metres."""

    cache_ok = True

    def get_col_spec(self, **_options: object) -> str:
        """Answer the type's name in SQL."""
        return "cube"


class Table(SQLModel, registry=registry()):
    """The base of this service's tables, with metadata of their own."""


def _instant(*, nullable: bool = True) -> Any:  # noqa: ANN401 - SQLModel's field marker
    return Field(default=None if nullable else ..., sa_column=Column(DateTime(timezone=True), nullable=nullable))


def _words() -> Any:  # noqa: ANN401 - SQLModel's field marker
    return Field(sa_column=Column(ARRAY(String), nullable=False, server_default=text("'{}'")))


def _json() -> Any:  # noqa: ANN401 - SQLModel's field marker
    return Field(default=None, sa_column=Column(JSONB(none_as_null=True)))


def _of(table: str, *, nullable: bool = False) -> Any:  # noqa: ANN401 - SQLModel's field marker
    return Field(
        default=None if nullable else ...,
        sa_column=Column(ForeignKey(f"{table}.id", ondelete="CASCADE"), index=True, nullable=nullable),
    )


class Place(Table, table=True):
    """One place of the gazetteer."""

    __table_args__ = (
        Index("place_by_name", "names", postgresql_using="gin", postgresql_ops={"names": "gin_trgm_ops"}),
        Index("place_by_postcode", "postcodes", postgresql_using="gin"),
        Index("place_by_position", "position", postgresql_using="gist"),
    )

    code: str = Field(primary_key=True)
    kind: str
    parent: str | None = None
    country: str
    region: str
    province: str
    name: str
    name_fr: str
    name_nl: str
    name_de: str
    names: str = Field(description="Every name, plain, parted by |, with one before and one behind.")
    postcodes: list[str] = _words()
    latitude: float
    longitude: float
    position: Any = Field(sa_column=Column(Cube(), nullable=False))
    precision: str
    population: int


class Loaded(Table, table=True):
    """Which version of a shipped file was loaded."""

    name: str = Field(primary_key=True)
    version: str


class Organisation(Table, table=True):
    """HSDS organization."""

    # Not unique: a source may begin to name an organisation's registry id, which makes it another row.
    __table_args__ = (Index("organisation_of_source", "source", "record_id"),)

    id: UUID = Field(primary_key=True)
    source: str
    record_id: str
    name: str
    description: str | None = None
    email: str | None = None
    website: str | None = None


class Service(Table, table=True):
    """HSDS service, with what a hand-over needs to know."""

    __table_args__ = (Index("service_of_source", "source", "record_id", unique=True),)

    id: UUID = Field(primary_key=True)
    organisation_id: UUID = _of("organisation")
    source: str
    record_id: str
    name: str
    description: str | None = None
    url: str | None = None
    website: str | None = None
    email: str | None = None
    status: str = Field(description="HSDS: active, inactive, defunct, temporarily closed.")
    alert: str | None = None
    free: bool | None = None
    fees_description: str | None = None
    modes: list[str] = _words()
    keywords: list[str] = _words()
    conditions: list[dict[str, Any]] | None = _json()
    reception: dict[str, Any] | None = _json()
    can_receive: str = Field(description="As its source says: relais, guest or phone_only.")
    assured_date: date | None = None
    assurer: str | None = None
    last_modified: datetime | None = _instant()
    texts: list[str] = Field(
        sa_column=Column(ARRAY(Text), nullable=False),
        description="Stems to be found by: of the name, of themes and keywords, of who and where, of the rest.",
    )
    content_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    retired_at: datetime | None = _instant()


class Location(Table, table=True):
    """HSDS location; a confidential one is indexed at the centre of its municipality."""

    id: UUID = Field(primary_key=True)
    organisation_id: UUID = _of("organisation")
    name: str | None = None
    location_type: str
    latitude: float | None = None
    longitude: float | None = None
    position: list[float] | None = Field(
        default=None,
        sa_column=Column(ARRAY(Float)),
        description="Earth-centred, in metres: where search finds it; the centre for a confidential one.",
    )
    precision: str = Field(description="exact, or municipality where the source told no point.")
    municipality_code: str | None = None
    confidential: bool
    transportation: str | None = Field(default=None, description="The nearest stop.")


class Address(Table, table=True):
    """HSDS address of a location."""

    id: UUID = Field(primary_key=True)
    location_id: UUID = _of("location")
    address_1: str | None = None
    city: str | None = None
    postal_code: str | None = None
    country: str
    address_type: str


class ServiceAtLocation(Table, table=True):
    """HSDS service_at_location."""

    __tablename__ = "service_at_location"

    id: UUID = Field(primary_key=True)
    service_id: UUID = _of("service")
    location_id: UUID = _of("location")


class Schedule(Table, table=True):
    """HSDS schedule of a service at a location; the hours stand in OpenStreetMap's syntax."""

    id: UUID = Field(primary_key=True)
    service_at_location_id: UUID = _of("service_at_location")
    description: str
    time_zone: str


class Contact(Table, table=True):
    """HSDS contact; a relay contact takes hand-overs and is for professionals only."""

    id: UUID = Field(primary_key=True)
    service_id: UUID = _of("service")
    name: str
    title: str | None = None
    email: str | None = None
    hours: str | None = None
    relay: bool


class Phone(Table, table=True):
    """HSDS phone of an organisation, a service or a contact."""

    id: UUID = Field(primary_key=True)
    organisation_id: UUID | None = _of("organisation", nullable=True)
    service_id: UUID | None = _of("service", nullable=True)
    contact_id: UUID | None = _of("contact", nullable=True)
    number: str


class Language(Table, table=True):
    """HSDS language in which a service is given."""

    id: UUID = Field(primary_key=True)
    service_id: UUID = _of("service")
    code: str


class Accessibility(Table, table=True):
    """HSDS accessibility of a location."""

    id: UUID = Field(primary_key=True)
    location_id: UUID = _of("location")
    description: str
    wheelchair: bool


class ServiceArea(Table, table=True):
    """HSDS service_area: a municipality that a service comes to."""

    __tablename__ = "service_area"

    id: UUID = Field(primary_key=True)
    service_id: UUID = _of("service")
    uri: str = Field(description="The gazetteer's code.")


class ServiceCapacity(Table, table=True):
    """HSDS service_capacity: open places and waiting time, as the owner told them."""

    __tablename__ = "service_capacity"

    service_id: UUID = Field(sa_column=Column(ForeignKey("service.id", ondelete="CASCADE"), primary_key=True))
    available: int
    waiting_days: int | None = None
    updated: datetime = _instant(nullable=False)


class TaxonomyTerm(Table, table=True):
    """HSDS taxonomy_term: a theme or an audience."""

    __tablename__ = "taxonomy_term"

    id: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    taxonomy: str
    code: str = Field(unique=True)
    parent: str | None = None
    labels: dict[str, str] = Field(sa_column=Column(JSONB, nullable=False))
    sensitive: bool
    shape: str | None = None
    symbol: str | None = None


class Attribute(Table, table=True):
    """HSDS attribute: a service bears a term."""

    service_id: UUID = Field(sa_column=Column(ForeignKey("service.id", ondelete="CASCADE"), primary_key=True))
    term_id: int = Field(
        sa_column=Column(SmallInteger, ForeignKey("taxonomy_term.id"), primary_key=True, autoincrement=False)
    )


class Card(Table, table=True):
    """A service at one of its places as search shows it: finished JSON, and what finding needs beside.

    A service that comes to the person has one more card, of no place (`position` null).
    """

    __table_args__ = (
        Index("card_by_words", "document", postgresql_using="gin"),
        Index("card_that_comes", "areas", postgresql_using="gin", postgresql_where=text("position is null")),
        Index("card_of_organisation", "organisation_id", "freshness", "service_id"),
    )

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    service_id: UUID = _of("service")
    location_id: UUID
    organisation_id: UUID
    position: Any = Field(default=None, sa_column=Column(Cube(), nullable=True))
    lead: bool = Field(description="The one card of its service where no place is asked for.")
    areas: list[str] = _words()
    themes: list[int] = Field(sa_column=Column(ARRAY(SmallInteger), nullable=False))
    confidential: bool
    freshness: date = Field(description="When it was last assured; long ago where nobody did.")
    assured_by: str | None = None
    hours: str | None = None
    time_zone: str
    country: str
    has_email: bool
    can_receive: str
    document: Any = Field(sa_column=Column(TSVECTOR, nullable=False))
    body: str = Field(sa_column=Column(Text, nullable=False), description="JSON object without what each reading adds.")


class SearchEntry(Table, table=True):
    """One row for each theme of a card and each ancestor of it; theme 0 is any."""

    __tablename__ = "search_entry"
    __table_args__ = (
        Index("search_by_theme_and_position", "theme", "position", postgresql_using="gist"),
        Index("search_without_place", "theme", "freshness", "service_id", postgresql_where=text("lead")),
    )

    theme: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    card_id: int = Field(
        sa_column=Column(
            BigInteger,
            ForeignKey("card.id", ondelete="CASCADE"),
            primary_key=True,
            index=True,
            autoincrement=False,
        )
    )
    service_id: UUID
    position: Any = Field(default=None, sa_column=Column(Cube(), nullable=True))
    alone: bool = Field(description="The service has no other place: no nearer one to look for.")
    lead: bool
    freshness: date


class Vocabulary(Table, table=True):
    """Every word of the directory, so that a mistyped one finds its neighbour."""

    __table_args__ = (
        Index("word_by_likeness", "word", postgresql_using="gin", postgresql_ops={"word": "gin_trgm_ops"}),
    )

    word: str = Field(primary_key=True)


class ImportRun(Table, table=True):
    """One run of an import and what came of it."""

    __tablename__ = "import_run"

    id: UUID = Field(primary_key=True)
    source: str
    file: str
    started_at: datetime = _instant(nullable=False)
    ended_at: datetime = _instant(nullable=False)
    report: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))


class OrganisationCopy(OrganisationCopyColumns, Table, table=True):
    """The registry's organisations as last heard."""

    __tablename__ = "registered_organisation"
