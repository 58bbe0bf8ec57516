"""The tables of the directory: organisations and services as documents, the gazetteer, and what search reads."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Date, Float, ForeignKey, Index, Integer, LargeBinary, SmallInteger, Text, Uuid, text
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
        Index("place_by_position", "position"),
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
    """HSDS organization, whole, as `records.OrganisationProfile`."""

    # Not unique: a source may begin to name an organisation's registry id, which makes it another row.
    __table_args__ = (Index("organisation_of_source", "source", "record_id"),)

    id: UUID = Field(primary_key=True)
    source: str
    record_id: str
    name: str
    record: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    content_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    version: int
    owned: bool = Field(description="Kept by the organisation itself: imports leave it alone.")
    updated_at: datetime = _instant(nullable=False)


class Service(Table, table=True):
    """HSDS service, whole, as `records.ServiceRecord`; beside it what is asked for alone."""

    __table_args__ = (
        Index("service_of_source", "source", "record_id", unique=True),
        Index("service_by_change", "changed_in", "id"),
        Index("service_by_freshness", "organisation_id", "assured_on"),
    )

    id: UUID = Field(primary_key=True)
    organisation_id: UUID = _of("organisation")
    source: str
    record_id: str
    name: str
    status: str = Field(description="draft, active, temporarily_closed, inactive, retired.")
    record: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    content_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    version: int = Field(description="Counts its changes, from 1; the ETag of its record.")
    quality: float = Field(description="data.inclusion's score, from 0 to 1.")
    assured_on: date | None = None
    assured_by: str | None = None
    owned: bool = Field(description="Kept by its organisation: imports of its source leave it alone.")
    created_at: datetime = _instant(nullable=False)
    updated_at: datetime = _instant(nullable=False)
    retired_at: datetime | None = _instant()
    merged_into: UUID | None = Field(default=None, description="The entry that stands for this one.")
    changed_in: int = Field(
        sa_column=Column(BigInteger, nullable=False),
        description="The transaction that changed it last: the feed passes on only what is surely committed.",
    )


class ServiceAtLocation(Table, table=True):
    """HSDS service_at_location: where in the record a place stands, and where on earth it is indexed."""

    __tablename__ = "service_at_location"

    id: UUID = Field(primary_key=True)
    service_id: UUID = _of("service")
    location_id: UUID = Field(index=True)
    number: int = Field(sa_column=Column(SmallInteger, nullable=False), description="In the record's list, from 0.")
    position: list[float] | None = Field(
        default=None,
        sa_column=Column(ARRAY(Float)),
        description="Earth-centred, in metres; the centre of its municipality for a confidential one.",
    )
    municipality_code: str | None = None
    confidential: bool


class ServiceCapacity(Table, table=True):
    """HSDS service_capacity: open places and waiting time, as the owner told them."""

    __tablename__ = "service_capacity"

    service_id: UUID = Field(sa_column=Column(ForeignKey("service.id", ondelete="CASCADE"), primary_key=True))
    available: int
    maximum: int | None = None
    unit: str | None = None
    waiting_days: int | None = None
    description: str | None = None
    updated_at: datetime = _instant(nullable=False)
    updated_by: str | None = None


class History(Table, table=True):
    """HSDS metadata: one change of one field, and who made it."""

    __table_args__ = (Index("history_of_resource", "resource_id", "id"),)

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    resource_id: UUID
    resource_type: str
    at: datetime = _instant(nullable=False)
    action: str = Field(description="create, update, delete or restore.")
    field_name: str
    previous_value: Any = _json()
    replacement_value: Any = _json()
    updated_by: str


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


class Opening(Table, table=True):
    """One spelling of opening hours in one country's time and holidays: judged once, for every place that has it."""

    __table_args__ = (Index("opening_once", "text", "zone", "country", unique=True),)

    id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=True))
    text: str
    zone: str
    country: str


class Stop(Table, table=True):
    """A stop of public transport, from GTFS or a list."""

    __table_args__ = (
        Index("stop_of_source", "source", "stop_id", unique=True),
        Index("stop_by_position", "position", postgresql_using="gist"),
    )

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    source: str
    stop_id: str
    name: str
    kind: str | None = None
    latitude: float
    longitude: float
    position: Any = Field(sa_column=Column(Cube(), nullable=False))


class Card(Table, table=True):
    """A service at one of its places as search shows it: finished JSON, and what finding needs beside.

    A service that comes to the person has one more card, of no place (`position` null).
    """

    __table_args__ = (
        Index("card_by_words", "document", "themes", postgresql_using="gin"),
        Index("card_that_comes", "areas", postgresql_using="gin", postgresql_where=text("position is null")),
        Index("card_of_organisation", "organisation_id", "freshness", "service_id"),
        Index("card_by_relay_hours", "relay_opening_id", postgresql_where=text("relay_opening_id is not null")),
    )

    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=True))
    service_id: UUID = _of("service")
    location_id: UUID
    organisation_id: UUID
    position: Any = Field(default=None, sa_column=Column(Cube(), nullable=True))
    lead: bool = Field(description="The one card of its service where no place is asked for.")
    areas: list[str] = _words()
    themes: list[int] = Field(sa_column=Column(ARRAY(SmallInteger), nullable=False))
    audiences: list[int] = Field(sa_column=Column(ARRAY(SmallInteger), nullable=False), description="None: everybody.")
    modes: list[str] = _words()
    languages: list[str] = _words()
    reception: list[str] = _words()
    wheelchair: bool | None = None
    free: bool | None = None
    confidential: bool
    freshness: date = Field(description="When it was last assured; long ago where nobody did.")
    assured_by: str | None = None
    available: int | None = None
    waiting_days: int | None = None
    capacity_at: datetime | None = _instant()
    opening_id: int | None = None
    relay_opening_id: int | None = Field(default=None, description="When its relay contact can be reached.")
    stop_m: int | None = Field(default=None, description="Metres to walk to the nearest stop.")
    stops: str | None = Field(default=None, sa_column=Column(Text), description="The nearest stops, finished JSON.")
    has_email: bool
    can_receive: str
    document: Any = Field(sa_column=Column(TSVECTOR, nullable=False))
    body: str = Field(sa_column=Column(Text, nullable=False), description="JSON object without what each reading adds.")


class SearchEntry(Table, table=True):
    """One row for each theme of a card and each ancestor of it; theme 0 is any."""

    __tablename__ = "search_entry"
    __table_args__ = (
        Index(
            "search_by_theme_and_position",
            "theme",
            "position",
            postgresql_using="gist",
            # Counting and walking never leave the index.
            postgresql_include=["alone", "card_id", "service_id"],
        ),
        Index("search_without_place", "theme", "freshness", "service_id", postgresql_where=text("lead")),
        Index("search_everywhere", "theme", "service_id", postgresql_where=text("everywhere")),
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
    everywhere: bool = Field(description="It comes to the person, wherever she is.")
    lead: bool
    freshness: date


class SearchWalk(Table, table=True):
    """The order of a search, kept for its next pages."""

    __tablename__ = "search_walk"

    id: UUID = Field(sa_column=Column(Uuid, primary_key=True, server_default=text("gen_random_uuid()")))
    ids: list[UUID] = Field(sa_column=Column(ARRAY(Uuid), nullable=False))
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False, server_default=text("now()")))


class Vocabulary(Table, table=True):
    """Every word of the directory, so that a mistyped one finds its neighbour."""

    __table_args__ = (
        Index("word_by_likeness", "word", postgresql_using="gin", postgresql_ops={"word": "gin_trgm_ops"}),
    )

    word: str = Field(primary_key=True)


class ImportJob(Table, table=True):
    """One import: what is to be read, how far it came, and what came of it."""

    __tablename__ = "import_job"

    id: UUID = Field(primary_key=True)
    organisation_id: UUID | None = Field(default=None, description="Who asked for it; none: the operator's command.")
    source: str
    file: str = Field(description="As its owner named it.")
    path: str = Field(description="Where its bytes stand until it ended.")
    options: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    state: str = Field(description="receiving, waiting, running, done or failed.")
    created_at: datetime = _instant(nullable=False)
    started_at: datetime | None = _instant()
    ended_at: datetime | None = _instant()
    bytes_total: int = Field(sa_column=Column(BigInteger, nullable=False))
    bytes_read: int = Field(sa_column=Column(BigInteger, nullable=False))
    rows_done: int = Field(sa_column=Column(BigInteger, nullable=False), description="Rows written: it goes on there.")
    report: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    reason: str | None = Field(default=None, description="Why it failed.")
    attempts: int = Field(description="How often somebody took it up.")


class ImportSeen(Table, table=True):
    """An entry that an import met: what it did not meet has left its source."""

    __tablename__ = "import_seen"

    job_id: UUID = Field(
        sa_column=Column(ForeignKey("import_job.id", ondelete="CASCADE"), primary_key=True),
    )
    service_id: UUID = Field(primary_key=True)


class Remark(Table, table=True):
    """What a counsellor said of an entry: it is right, or something is wrong; shown until its owner answered."""

    __table_args__ = (Index("remark_of_service", "service_id", "at"),)

    id: UUID = Field(primary_key=True)
    service_id: UUID = _of("service")
    organisation_id: UUID = Field(description="Whose counsellor said it.")
    kind: str = Field(description="confirmed or reported.")
    field: str | None = Field(default=None, description="What is wrong.")
    text: str | None = None
    at: datetime = _instant(nullable=False)
    answer: str | None = None
    corrected: bool | None = None
    answered_at: datetime | None = _instant()


class Campaign(Table, table=True):
    """A review: owners of entries that nobody assured for long are asked."""

    id: UUID = Field(primary_key=True)
    name: str
    older_than_days: int
    started_at: datetime = _instant(nullable=False)
    due_on: date
    ended_at: datetime | None = _instant()


class CampaignEntry(Table, table=True):
    """One entry that a review asks about."""

    __tablename__ = "campaign_entry"

    campaign_id: UUID = Field(sa_column=Column(ForeignKey("campaign.id", ondelete="CASCADE"), primary_key=True))
    service_id: UUID = Field(
        sa_column=Column(ForeignKey("service.id", ondelete="CASCADE"), primary_key=True, index=True)
    )
    organisation_id: UUID = Field(index=True)
    answered_at: datetime | None = _instant()
    outcome: str | None = Field(default=None, description="confirmed, changed or retired.")


class Duplicate(Table, table=True):
    """Two entries that may tell of one service; merged by hand, or told apart for good."""

    __table_args__ = (Index("duplicate_once", "first_id", "second_id", unique=True),)

    id: UUID = Field(primary_key=True)
    first_id: UUID = _of("service")
    second_id: UUID = _of("service")
    score: float
    reasons: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False))
    state: str = Field(description="proposed, merged or apart.")
    kept_id: UUID | None = None
    before: dict[str, Any] | None = Field(
        default=None,
        sa_column=Column(JSONB(none_as_null=True)),
        description="The record that was kept, as it was: undone, it is so again.",
    )
    found_at: datetime = _instant(nullable=False)
    decided_at: datetime | None = _instant()
    decided_by: str | None = None


class Tip(Table, table=True):
    """What professionals share with each other about a service."""

    __table_args__ = (Index("tip_of_service", "service_id", "at"),)

    id: UUID = Field(primary_key=True)
    service_id: UUID = _of("service")
    organisation_id: UUID
    text: str
    at: datetime = _instant(nullable=False)
    withdrawn_at: datetime | None = _instant()


class UnmetNeed(Table, table=True):
    """A need that found no place: theme, municipality and time, nobody's story."""

    __tablename__ = "unmet_need"
    __table_args__ = (Index("unmet_need_counted", "theme", "municipality_code"),)

    id: UUID = Field(primary_key=True)
    theme: str
    municipality_code: str
    hours: str | None = Field(default=None, description="daytime, early, late, night, weekend.")
    reason: str = Field(description="no_result or no_place.")
    on: date = Field(sa_column=Column("on", Date, nullable=False))


class SavedSearch(Table, table=True):
    """A search that tells of new services."""

    __tablename__ = "saved_search"

    id: UUID = Field(primary_key=True)
    organisation_id: UUID = Field(index=True)
    owner: str = Field(description="The actor who saved it.")
    name: str
    query: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    created_at: datetime = _instant(nullable=False)
    seen_at: datetime = _instant(nullable=False)


class OrganisationCopy(OrganisationCopyColumns, Table, table=True):
    """The registry's organisations as last heard."""

    __tablename__ = "registered_organisation"
