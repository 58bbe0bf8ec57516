"""The records of the directory: organisations and services as whole documents, in HSDS 3.1's words and a few of ours.

A service is read, written, compared and exported as one document (docs/decisions/0009). Importers make records, the
API takes them, exports write them; `cards.py` makes of them what search shows. Parts that HSDS names keep its fields
and ids; where a part has no id, one is made of its service's id and its place in the record.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import orjson
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from relais_directory.data import audiences, themes

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}:[0-9A-Z]{2,6}$")]
Clock = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?(Z|[+-]\d{2}:\d{2})?$|^24:00$")]
Day = Annotated[date, Field(ge=date(1900, 1, 1), le=date(2199, 12, 31))]
"""A day of a schedule or a price: anything else is a typing error."""

OLDEST_RECORD = date(2000, 1, 1)
"""Nobody assured or changed a digital record before."""

STATUSES = ("draft", "active", "temporarily_closed", "inactive", "retired")
SHOWN = ("active", "temporarily_closed")
"""The statuses in which search finds a service."""

RECEPTION = ("private_room", "children_welcome", "may_come_accompanied", "calm")
"""What can be told of how one is received, each true or false, and searched for."""


class Part(BaseModel):
    """A part of a record; a field that it does not know is a fault."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Taxonomy(Part):
    """HSDS taxonomy."""

    id: UUID
    name: Line
    description: Text
    uri: Line | None = None
    version: Line | None = None


class TaxonomyTerm(Part):
    """HSDS taxonomy_term, of a taxonomy that is not ours."""

    id: UUID
    code: Line | None = None
    name: Line
    description: Text
    parent_id: UUID | None = None
    taxonomy: Line | None = None
    taxonomy_detail: Taxonomy | None = None
    language: Line | None = None
    taxonomy_id: UUID | None = None
    term_uri: Line | None = None


class Attribute(Part):
    """HSDS attribute: a part bears a term of a taxonomy that is not ours."""

    id: UUID | None = None
    link_type: Line | None = None
    value: Line | None = None
    label: Line | None = None
    taxonomy_term: TaxonomyTerm | None = None


class HsdsPart(Part):
    """A part as HSDS spells it."""

    id: UUID | None = None
    attributes: list[Attribute] = Field(default_factory=list)


def _coded(given: object) -> object:
    # A code alone is the language of that code.
    return {"code": given} if isinstance(given, str) else given


class LanguageRecord(HsdsPart):
    """HSDS language: in which one is received; a code (BCP 47) where search shall find it."""

    name: Line | None = None
    code: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None
    note: Text | None = None


Spoken = Annotated[LanguageRecord, BeforeValidator(_coded)]


class PhoneRecord(HsdsPart):
    """HSDS phone."""

    number: Line
    extension: float | None = Field(default=None, ge=0, le=99_999_999)
    type: Line | None = None
    description: Text | None = None
    languages: list[Spoken] = Field(default_factory=list)


class ContactRecord(HsdsPart):
    """HSDS contact: a function or person that anybody may turn to."""

    name: Line | None = None
    title: Line | None = None
    department: Line | None = None
    email: Line | None = None
    phones: list[PhoneRecord] = Field(default_factory=list)


class ScheduleRecord(HsdsPart):
    """HSDS schedule (a rule of iCalendar); what search judges are a location's `opening_hours`."""

    valid_from: Day | None = None
    valid_to: Day | None = None
    dtstart: Day | None = None
    timezone: float | None = Field(default=None, ge=-12, le=14)
    until: Day | None = None
    count: int | None = Field(default=None, ge=0)
    wkst: Literal["MO", "TU", "WE", "TH", "FR", "SA", "SU"] | None = None
    freq: Literal["WEEKLY", "MONTHLY"] | None = None
    interval: int | None = Field(default=None, ge=0)
    byday: Line | None = None
    byweekno: Line | None = None
    bymonthday: Line | None = None
    byyearday: Line | None = None
    description: Text | None = None
    opens_at: Clock | None = None
    closes_at: Clock | None = None
    schedule_link: Line | None = None
    attending_type: Line | None = None
    notes: Text | None = None


class AccessibilityRecord(HsdsPart):
    """HSDS accessibility of a location; search reads `wheelchair`."""

    description: Text | None = None
    details: Text | None = None
    url: Line | None = None


class AreaRecord(HsdsPart):
    """HSDS service_area that has no code of the gazetteer; shown, not searched."""

    name: Text | None = None
    description: Text | None = None
    extent: Text | None = None
    extent_type: Line | None = None
    uri: Line | None = None


class CostRecord(HsdsPart):
    """HSDS cost_option."""

    valid_from: Day | None = None
    valid_to: Day | None = None
    option: Text | None = None
    currency: Line | None = None
    amount: float | None = Field(default=None, ge=0)
    amount_description: Text | None = None


class RequiredDocumentRecord(HsdsPart):
    """HSDS required_document."""

    document: Text | None = None
    uri: Line | None = None


class FundingRecord(HsdsPart):
    """HSDS funding."""

    source: Text | None = None


class ProgramRecord(HsdsPart):
    """HSDS program."""

    name: Line
    alternate_name: Line | None = None
    description: Text


class UrlRecord(HsdsPart):
    """HSDS url."""

    url: Line
    label: Line | None = None


class IdentifierRecord(HsdsPart):
    """HSDS organization_identifier."""

    identifier_scheme: Line | None = None
    identifier_type: Line
    identifier: Line


class OrganisationProfile(Part):
    """HSDS organization: what can be told of who offers services."""

    name: Line
    alternate_name: Line | None = None
    description: Text | None = None
    email: Line | None = None
    website: Line | None = None
    additional_websites: list[UrlRecord] = Field(default_factory=list)
    legal_status: Line | None = None
    tax_status: Line | None = None
    tax_id: Line | None = None
    year_incorporated: int | None = Field(default=None, ge=1000, le=2199)
    logo: Line | None = None
    uri: Line | None = None
    parent_organisation_id: UUID | None = None
    phones: list[PhoneRecord] = Field(default_factory=list)
    contacts: list[ContactRecord] = Field(default_factory=list)
    funding: list[FundingRecord] = Field(default_factory=list)
    programs: list[ProgramRecord] = Field(default_factory=list)
    identifiers: list[IdentifierRecord] = Field(default_factory=list)
    attributes: list[Attribute] = Field(default_factory=list)


class OrganisationRecord(OrganisationProfile):
    """An organisation as a source tells of it; `id` where it is also in the gateway's registry."""

    id: UUID | None = None
    record_id: Line


class AddressRecord(HsdsPart):
    """HSDS address; `municipality_code` as in the gazetteer (`be:52011`)."""

    type: Literal["physical", "postal", "virtual"] = Field(default="physical", description="HSDS address_type.")
    attention: Line | None = None
    street: Line | None = Field(default=None, description="HSDS address_1.")
    address_2: Line | None = None
    postcode: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z -]{3,10}$")] | None = None
    municipality: Line | None = Field(default=None, description="HSDS city.")
    municipality_code: Code | None = None
    region: Line | None = None
    state_province: Line | None = None
    country: Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")]


class LocationRecord(HsdsPart):
    """HSDS location, with its hours in OpenStreetMap's syntax; a confidential one is shown as its municipality."""

    record_id: Line | None = None
    name: Line | None = None
    alternate_name: Line | None = None
    description: Text | None = None
    url: Line | None = None
    address: AddressRecord
    other_addresses: list[AddressRecord] = Field(default_factory=list)
    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)
    wheelchair: bool | None = None
    accessibility: list[AccessibilityRecord] = Field(default_factory=list)
    opening_hours: Line | None = None
    schedules: list[ScheduleRecord] = Field(default_factory=list)
    confidential: bool = False
    nearest_stop: Line | None = Field(default=None, description="HSDS transportation.")
    external_identifier: Line | None = None
    external_identifier_type: Line | None = None
    languages: list[Spoken] = Field(default_factory=list)
    phones: list[PhoneRecord] = Field(default_factory=list)
    contacts: list[ContactRecord] = Field(default_factory=list)
    at_id: UUID | None = Field(default=None, description="Id of HSDS's service_at_location.")


class RelayContactRecord(Part):
    """The named person or desk who takes hand-overs; for professionals alone."""

    name: Line
    function: Line | None = None
    phone: Line | None = None
    email: Line | None = None
    hours: Line | None = Field(default=None, description="In OpenStreetMap's syntax.")


class CapacityRecord(Part):
    """HSDS service_capacity: open places and waiting time, as the owner told them."""

    available: int = Field(ge=0, le=100_000)
    maximum: int | None = Field(default=None, ge=0, le=100_000)
    unit: Line | None = None
    waiting_days: int | None = Field(default=None, ge=0, le=10_000)
    description: Text | None = None
    updated_at: AwareDatetime


class ConditionRecord(Part):
    """One condition of a service; what it names exactly can be checked beforehand."""

    kind: Literal["area", "status", "age", "level", "prescriber", "papers", "other"]
    text: Line
    municipalities: list[Code] = Field(default_factory=list, description="area: one of these.")
    audiences: list[str] = Field(default_factory=list, description="status: one of these.")
    minimum_age: int | None = Field(default=None, ge=0, le=150, description="age: years, at least.")
    maximum_age: int | None = Field(default=None, ge=0, le=150, description="age: years, at most.")
    level: Line | None = Field(default=None, description="level: as the Common European Framework says, `A2`.")

    @field_validator("audiences")
    @classmethod
    def _known_audiences(cls, given: list[str]) -> list[str]:
        return _known(given, audiences(), "audience")

    @model_validator(mode="after")
    def _ages(self) -> Self:
        if (self.minimum_age or 0) > (self.maximum_age if self.maximum_age is not None else 150):
            raise ValueError("The least age is above the greatest.")
        return self


class ReceptionRecord(Part):
    """How one is received."""

    private_room: bool | None = None
    children_welcome: bool | None = None
    may_come_accompanied: bool | None = None
    calm: bool | None = None
    languages: list[Line] = Field(default_factory=list)
    confirmed_at: Day | None = None


class ServiceRecord(Part):
    """A service: what, for whom, where, when, on which conditions, and who takes hand-overs."""

    name: Line
    alternate_name: Line | None = None
    description: Text | None = None
    status: Literal["draft", "active", "temporarily_closed", "inactive", "retired"] = "active"
    closed_from: Day | None = Field(default=None, description="First day of a temporary closure.")
    closed_until: Day | None = Field(default=None, description="Last day of it, where known.")
    themes: list[str] = Field(default_factory=list)
    keywords: list[Line] = Field(default_factory=list)
    audiences: list[str] = Field(default_factory=list)
    languages: list[Spoken] = Field(default_factory=list)
    interpretation_services: Text | None = None
    modes: list[Literal["on_site", "remote", "at_home"]] = Field(min_length=1)
    free: bool | None = None
    fees: Text | None = Field(default=None, description="HSDS fees_description.")
    cost_options: list[CostRecord] = Field(default_factory=list)
    conditions: list[ConditionRecord] = Field(default_factory=list)
    eligibility_description: Text | None = None
    minimum_age: float | None = Field(default=None, ge=0, le=150)
    maximum_age: float | None = Field(default=None, ge=0, le=150)
    application_process: Text | None = None
    required_documents: list[RequiredDocumentRecord] = Field(default_factory=list)
    accreditations: Text | None = None
    licenses: Text | None = None
    wait_time: Text | None = None
    reception: ReceptionRecord | None = None
    locations: list[LocationRecord] = Field(default_factory=list, max_length=1_000)
    service_area: list[Code] = Field(
        default_factory=list, description="For whom: inhabitants of these; where it comes to, unless on site."
    )
    other_areas: list[AreaRecord] = Field(default_factory=list)
    schedules: list[ScheduleRecord] = Field(default_factory=list)
    phones: list[PhoneRecord] = Field(default_factory=list)
    contacts: list[ContactRecord] = Field(default_factory=list)
    email: Line | None = None
    website: Line | None = Field(default=None, description="Where one reads on, or applies.")
    additional_urls: list[UrlRecord] = Field(default_factory=list)
    relay_contact: RelayContactRecord | None = None
    can_receive: Literal["relais", "guest", "phone_only"] = "phone_only"
    capacity: CapacityRecord | None = None
    assured_at: date | None = Field(default=None, ge=OLDEST_RECORD)
    assured_by: Line | None = None
    updated_at: AwareDatetime | None = None
    url: Line | None = Field(default=None, description="Where its source shows it.")
    alert: Text | None = None
    program: ProgramRecord | None = None
    funding: list[FundingRecord] = Field(default_factory=list)
    attributes: list[Attribute] = Field(default_factory=list)

    @field_validator("themes")
    @classmethod
    def _known_themes(cls, given: list[str]) -> list[str]:
        return _known(given, themes(), "theme")

    @field_validator("audiences")
    @classmethod
    def _known_audiences(cls, given: list[str]) -> list[str]:
        return _known(given, audiences(), "audience")

    @field_validator("updated_at")
    @classmethod
    def _after_2000(cls, given: AwareDatetime | None) -> AwareDatetime | None:
        if given is not None and given.date() < OLDEST_RECORD:
            raise ValueError("A change before the year 2000.")
        return given

    @model_validator(mode="after")
    def _closing(self) -> Self:
        if self.closed_from and self.closed_until and self.closed_until < self.closed_from:
            raise ValueError("The closure ends before it begins.")
        if (self.closed_from or self.closed_until) and self.status != "temporarily_closed":
            raise ValueError("Dates of a closure need the status temporarily_closed.")
        for name in ("id", "at_id"):
            ids = [told for place in self.locations if (told := getattr(place, name))]
            if len(set(ids)) < len(ids):
                raise ValueError(f"Two locations with one {name}.")
        return self


class Record(ServiceRecord):
    """A service as a source tells of it."""

    record_id: Line
    organisation: OrganisationRecord
    id: UUID | None = Field(default=None, description="Where the source has an id for all the world (HSDS).")


def _known(given: list[str], there: Any, what: str) -> list[str]:  # noqa: ANN401 - a mapping by slug
    if unknown := [str(number) for number, slug in enumerate(given, 1) if slug not in there]:
        # Not the word itself: what stands in the wrong column may be anything, a person's name too.
        raise ValueError(f"Not a {what} of the directory: number {', '.join(unknown)[:100]} of the list.")
    return list(dict.fromkeys(given))


def unstorable(value: Mapping[str, Any]) -> str | None:
    """Answer where a record holds what PostgreSQL cannot keep (a NUL, half of a surrogate pair); None if nowhere."""
    try:
        # Almost every record passes here: the serialiser itself refuses half a pair.
        if b"\\u0000" not in orjson.dumps(value):
            return None
    except TypeError:
        pass
    return _broken(value, "")


def _broken(value: Any, where: str) -> str | None:  # noqa: ANN401 - JSON of any shape
    if isinstance(value, str):
        return (where.lstrip(".") or "row") if "\0" in value or _HALF.search(value) else None
    if isinstance(value, Mapping):
        found = (_broken(name, where) or _broken(part, f"{where}.{name}") for name, part in value.items())
        return next(filter(None, found), None)
    if isinstance(value, list):
        return next(filter(None, (_broken(part, f"{where}.{number}") for number, part in enumerate(value))), None)
    return None


_HALF = re.compile("[\ud800-\udfff]")
