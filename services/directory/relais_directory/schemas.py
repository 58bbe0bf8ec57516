"""What travels: the query of a search, and what the directory answers."""

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from relais_directory.data import audiences, themes

Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


def _only_true(given: bool) -> bool:  # noqa: FBT001 - pydantic hands it over so
    if not given:
        raise ValueError("Only true: leave it out to find everything.")
    return given


OnlyTrue = Annotated[bool, AfterValidator(_only_true)]
"""A filter that can be set, not inverted: false would be read as "only those without"."""


class SearchQuery(BaseModel):
    """Where, for what, how far; a value out of its range is refused, never moved."""

    model_config = ConfigDict(extra="forbid")

    near: str | None = Field(
        default=None, pattern=r"^-?\d{1,3}(\.\d+)?,-?\d{1,3}(\.\d+)?$", description="`latitude,longitude`, WGS 84."
    )
    postcode: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z -]{3,10}$")] | None = Field(
        default=None, description="Of the territory's country, or with it: `fr:97400`.", examples=["6000"]
    )
    municipality: Annotated[str, StringConstraints(pattern=r"^([a-z]{2}:)?[0-9A-Z]{4,6}$")] | None = Field(
        default=None,
        description="Official code: `be:52011`, `fr:97411`; a bare one is of the territory's country.",
    )
    place: Short | None = Field(default=None, description="Free text: a name, or a postcode and a name.")
    radius_km: float = Field(default=15, gt=0, le=100)
    theme: list[str] = Field(default_factory=list, description="Repeat for several; a parent takes its children.")
    q: Short | None = Field(default=None, description="What people say: accents, case and small errors do not matter.")
    audience: list[str] = Field(
        default_factory=list, description="Repeat for several; a service for everybody is for each."
    )
    mode: list[Literal["on_site", "remote", "at_home"]] = Field(default_factory=list, description="Repeat for several.")
    language: list[Annotated[str, StringConstraints(to_lower=True, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]] = (
        Field(default_factory=list, description="BCP 47, as in `fr`; repeat for several.")
    )
    reception: list[Literal["private_room", "children_welcome", "may_come_accompanied", "calm"]] = Field(
        default_factory=list, description="How one is received; repeat for several, each has to be so."
    )
    residence: Annotated[str, StringConstraints(pattern=r"^([a-z]{2}:)?[0-9A-Z]{4,6}$")] | None = Field(
        default=None, description="Municipality where the person lives: only what is for its inhabitants."
    )
    wheelchair: OnlyTrue | None = Field(default=None, description="Only places for wheelchairs.")
    free: OnlyTrue | None = Field(default=None, description="Only what costs nothing.")
    has_capacity: OnlyTrue | None = Field(default=None, description="Only where an open place was told within 60 days.")
    open_at: datetime | None = Field(
        default=None,
        description="Only places open then; without an offset it is the time on each place's own clock.",
        examples=["2026-11-24T08:30", "2026-11-24T08:30:00+01:00"],
    )
    reachable_by_transport_m: int | None = Field(
        default=None, ge=50, le=1_500, description="Only places with a stop at most so many metres to walk away."
    )
    organisation_id: UUID | None = None
    facets: list[
        Literal[
            "theme",
            "audience",
            "mode",
            "language",
            "reception",
            "free",
            "wheelchair",
            "has_capacity",
            "organisation_id",
        ]
    ] = Field(
        default_factory=list, description="Also answer how many services each value would find; repeat for several."
    )
    sort: Literal["relevance", "distance", "freshness"] | None = Field(
        default=None, description="Where absent: relevance with words, else distance with a place, else freshness."
    )
    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = None

    @field_validator("postcode", mode="before")
    @classmethod
    def _postcode(cls, given: object) -> object:
        return given.partition(":")[2] if isinstance(given, str) and given[:3].endswith(":") else given

    @field_validator("near")
    @classmethod
    def _on_earth(cls, given: str | None) -> str | None:
        if given is not None:
            latitude, longitude = map(float, given.split(","))
            if abs(latitude) > 90 or abs(longitude) > 180:  # noqa: PLR2004 - the poles and the date line
                raise ValueError("Latitude goes from -90 to 90, longitude from -180 to 180.")
        return given

    @field_validator("open_at", mode="before")
    @classmethod
    def _no_number(cls, given: object) -> object:
        if isinstance(given, str) and given.isdigit():
            raise ValueError("A date and time as in 2026-11-24T08:30.")
        # In an address a plus that was not escaped arrives as a blank.
        return given.replace(" ", "+") if isinstance(given, str) and "T" in given else given

    @field_validator("audience")
    @classmethod
    def _known_audience(cls, given: list[str]) -> list[str]:
        if unknown := [slug for slug in given if slug not in audiences()]:
            raise ValueError(f"Not among the audiences: {', '.join(unknown)[:200]}.")
        return list(dict.fromkeys(given))

    @field_validator("theme")
    @classmethod
    def _known(cls, given: list[str]) -> list[str]:
        if unknown := [slug for slug in given if slug not in themes()]:
            raise ValueError(f"Not among /v1/directory/themes: {', '.join(unknown)[:200]}.")
        return list(dict.fromkeys(given))

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        given = [name for name in ("near", "postcode", "municipality", "place") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"One place at a time: {', '.join(given)} were given.")
        if self.sort == "distance" and not given:
            raise ValueError("Sorting by distance needs a place.")
        return self


class Opening(BaseModel):
    """Whether it is open now, and when it opens next."""

    open_now: bool | None
    next_opening: datetime | None


class Freshness(BaseModel):
    """Who assured an entry, when, and how far it can still be trusted."""

    assured_at: str | None
    assured_by: str | None
    score: float = Field(ge=0, le=1)


class Card(BaseModel):
    """A service at its nearest place."""

    model_config = ConfigDict(extra="allow")

    id: UUID
    service: dict[str, Any]
    organisation: dict[str, Any]
    location: dict[str, Any] | None
    distance_m: int | None = Field(description="Along the ground (WGS 84), null where the service comes to the person.")
    opening: Opening
    capacity: dict[str, Any] | None
    freshness: Freshness
    relay_contact: dict[str, Any] | None
    can_receive: Literal["relais", "guest", "phone_only"]
    why: dict[str, list[str]] = Field(description="Which words, themes and filters made the match.")
    source: dict[str, Any]


class SearchPage(BaseModel):
    """One page of cards."""

    items: list[Card]
    total: int = Field(description="Services that fit, counted up to 1,000.")
    total_is_exact: bool
    facets: dict[str, dict[str, int]] | None = Field(
        default=None, description="Where asked for: services that each value would find, other filters as they are."
    )
    next_cursor: str | None


class PlaceView(BaseModel):
    """A place of the gazetteer."""

    code: str
    name: str
    kind: str
    municipality: str
    postcodes: list[str]
    latitude: float
    longitude: float
    country: str
    precision: str
    province: str = Field(description="Province in Belgium, département in France.")
    population: int = Field(description="Inhabitants of any recent year; 0 where unknown.")


class PlacePage(BaseModel):
    """Places that begin so, the best known first."""

    items: list[PlaceView]


class ThemeView(BaseModel):
    """A theme of the taxonomy."""

    slug: str
    parent: str | None
    labels: dict[str, str]
    sensitive: bool
    shape: str
    symbol: str


class ThemePage(BaseModel):
    """Every theme, each parent before its children."""

    items: list[ThemeView]


class AudienceView(BaseModel):
    """A kind of person that a service can be for."""

    slug: str
    labels: dict[str, str]


class AudiencePage(BaseModel):
    """Every audience."""

    items: list[AudienceView]


class ServiceView(BaseModel):
    """All that is known of a service."""

    model_config = ConfigDict(extra="allow")

    id: UUID
    name: str
    status: str
    organisation: dict[str, Any]
    can_receive: str
    sensitive: bool
    themes: list[str]
    locations: list[dict[str, Any]]


class CapacityTold(BaseModel):
    """What was told of open places."""

    available: int
    maximum: int | None
    unit: str | None
    waiting_days: int | None
    description: str | None
    updated_at: datetime


class OpenPlaces(BaseModel):
    """Open places and waiting time, and when they were told."""

    available: int
    maximum: int | None
    unit: str | None
    waiting_days: int | None
    description: str | None
    updated_at: datetime


class OwnService(BaseModel):
    """A service as its owner sees it in a list."""

    id: UUID
    name: str
    status: str
    version: int
    quality: float = Field(description="data.inclusion's score, from 0 to 1: the mean of the criteria.")
    criteria: dict[str, float] = Field(description="What the score is made of, each from 0 to 1: where to go on.")
    assured_on: date | None
    assured_by: str | None
    updated_at: datetime
    open_reports: int
    asked: bool = Field(description="A review asks about it.")
    capacity: OpenPlaces | None


class OwnServices(BaseModel):
    """One page of an owner's services."""

    items: list[OwnService]
    next_cursor: str | None


class Change(BaseModel):
    """One change of one field (HSDS metadata)."""

    at: datetime
    action: str
    field_name: str
    previous_value: Any
    replacement_value: Any
    updated_by: str


class HistoryPage(BaseModel):
    """Changes, the latest first."""

    items: list[Change]
    next_cursor: str | None


class OrganisationView(BaseModel):
    """What an organisation tells of itself."""

    model_config = ConfigDict(extra="allow")

    id: UUID
    name: str
    services: int = Field(description="Shown in search.")


class NewPage(SearchPage):
    """One page of cards that are new to a saved search."""

    as_of: datetime = Field(description="Mark it as seen until then, and nothing that came meanwhile is missed.")


class ChangeOfService(BaseModel):
    """A service at its last change."""

    id: UUID
    organisation_id: UUID
    gone: bool = Field(description="It left search: inactive, retired, or another entry stands for it.")
    status: str
    merged_into: UUID | None
    version: int
    updated_at: datetime
    capacity_at: datetime | None = Field(description="When its open places were last told.")


class ChangePage(BaseModel):
    """Services by their last change."""

    items: list[ChangeOfService]
    more: bool = Field(description="There is more at once; else ask again later.")
    next_cursor: str | None


class ReportView(BaseModel):
    """A report, as its owner and its author see it."""

    id: UUID
    service_id: UUID
    service: str
    field: str
    text: str | None
    at: datetime
    answer: str | None
    corrected: bool | None
    answered_at: datetime | None
    mine: bool = Field(description="It is about a service of your organisation.")


class Reports(BaseModel):
    """Reports, the oldest first."""

    items: list[ReportView]
    next_cursor: str | None


class CampaignView(BaseModel):
    """A review, and how far it came."""

    id: UUID
    name: str
    older_than_days: int
    started_at: datetime
    due_on: date
    ended_at: datetime | None
    asked: int = Field(description="Entries.")
    answered: int = Field(description="Entries that their owners confirmed, changed or retired.")
    organisations: int


class Campaigns(BaseModel):
    """Reviews, the latest first."""

    items: list[CampaignView]


class CampaignOwner(BaseModel):
    """An owner whom a review asks."""

    organisation_id: UUID
    organisation: str
    asked: int
    answered: int
    registered: bool = Field(description="It is in Relais, and finds the review there; others are to be written to.")
    email: str | None


class CampaignOwners(BaseModel):
    """Owners, those with most left first."""

    items: list[CampaignOwner]


class Review(BaseModel):
    """An entry of yours that a review asks about."""

    campaign_id: UUID
    campaign: str
    due_on: date
    service_id: UUID
    service: str
    assured_on: date | None


class Reviews(BaseModel):
    """Entries that a review asks about, the earliest due first."""

    items: list[Review]


class LookedAt(BaseModel):
    """How a look for duplicates went on."""

    proposed: int
    next_cursor: str | None = Field(description="Call again with it; none: all were looked at.")


class DuplicateEntry(BaseModel):
    """One entry of a pair."""

    id: UUID
    name: str
    source: str
    organisation: str
    organisation_id: UUID


class DuplicatePair(BaseModel):
    """Two entries that may be one service."""

    id: UUID
    score: float = Field(ge=0, le=1)
    reasons: list[dict[str, Any]] = Field(description="`what` is alike, and how far.")
    state: Literal["proposed", "merged", "apart"]
    kept_id: UUID | None
    found_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    entries: list[DuplicateEntry]


class DuplicatePage(BaseModel):
    """Pairs, the likeliest first."""

    items: list[DuplicatePair]
    next_cursor: str | None


class QualityRow(BaseModel):
    """How well an organisation's entries are kept."""

    organisation_id: UUID
    organisation: str
    registered: bool = Field(description="It is in Relais, and keeps its entries itself.")
    services: int = Field(description="Published.")
    stale: int = Field(description="Of them, not assured for so many days.")
    open_reports: int
    quality: float = Field(description="Mean of data.inclusion's score, from 0 to 1, as its entries were last written.")


class QualityPage(BaseModel):
    """Organisations, those with most stale entries first."""

    items: list[QualityRow]
    next_cursor: str | None


class StaleEntry(BaseModel):
    """An entry that nobody assured for long."""

    id: UUID
    name: str
    organisation_id: UUID
    organisation: str
    source: str
    assured_on: date | None
    quality: float


class StalePage(BaseModel):
    """Entries, the longest untouched first."""

    items: list[StaleEntry]
    next_cursor: str | None


class TipView(BaseModel):
    """What a professional tells colleagues about a service."""

    id: UUID
    text: str
    at: datetime
    organisation: str | None
    mine: bool


class Tips(BaseModel):
    """Tips, the latest first."""

    items: list[TipView]


class UnmetNeedView(BaseModel):
    """Needs of one kind that found no place in a calendar year."""

    year: int
    theme: str
    municipality_code: str
    municipality: str | None
    hours: str | None
    reason: Literal["no_result", "no_place"]
    needs: int = Field(description="In whole fives: 10 is ten to fourteen.")


class UnmetNeeds(BaseModel):
    """Needs that found no place, the most frequent of each year first; nothing under five."""

    items: list[UnmetNeedView]


class ConditionOutcome(BaseModel):
    """One condition, held against what was said."""

    kind: str
    text: str
    outcome: Literal["holds", "fails", "to_ask"]


class Checked(BaseModel):
    """Every condition of a service, held against what was said; nothing of it was kept."""

    outcome: Literal["holds", "fails", "to_ask"]
    conditions: list[ConditionOutcome]
