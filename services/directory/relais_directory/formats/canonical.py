"""The canonical record: the one form that every importer brings its rows into."""

from collections.abc import Mapping
from datetime import date
from math import isfinite
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, field_validator

from relais_directory.data import audiences, themes

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}:[0-9A-Z]{2,6}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OrganisationRecord(_Part):
    """Who offers a service; `id` where it is also in the gateway's registry."""

    id: UUID | None = None
    record_id: Line
    name: Line
    description: Text | None = None
    email: Line | None = None
    phone: Line | None = None
    website: Line | None = None


class AddressRecord(_Part):
    """Where a location is; `municipality_code` as in the gazetteer (`be:52011`)."""

    street: Line | None = None
    postcode: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z -]{3,10}$")] | None = None
    municipality: Line | None = None
    municipality_code: Code | None = None
    country: Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")]


class LocationRecord(_Part):
    """A place where a service is given; hours in OpenStreetMap's syntax."""

    record_id: Line
    name: Line | None = None
    address: AddressRecord
    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)
    wheelchair: bool | None = None
    opening_hours: Line | None = None
    confidential: bool = False
    nearest_stop: Line | None = None


class RelayContactRecord(_Part):
    """The named person or desk who takes hand-overs."""

    name: Line
    function: Line | None = None
    phone: Line | None = None
    email: Line | None = None
    hours: Line | None = None


class CapacityRecord(_Part):
    """Open places and waiting time, as the owner told them."""

    available: int = Field(ge=0, le=100_000)
    waiting_days: int | None = Field(default=None, ge=0, le=10_000)
    updated_at: AwareDatetime


class ConditionRecord(_Part):
    """One condition of a service."""

    kind: Literal["area", "status", "age", "level", "prescriber", "papers", "other"]
    text: Line


class Record(_Part):
    """One service as an importer hands it over."""

    record_id: Line
    organisation: OrganisationRecord
    name: Line
    description: Text | None = None
    themes: list[str] = []
    keywords: list[Line] = []
    audiences: list[str] = []
    languages: list[Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]] = []
    modes: list[Literal["on_site", "remote", "at_home"]] = Field(min_length=1)
    free: bool | None = None
    fees: Text | None = None
    conditions: list[ConditionRecord] = []
    reception: dict[str, Any] | None = None
    locations: list[LocationRecord] = []
    service_area: list[Code] = []
    phone: Line | None = None
    email: Line | None = None
    website: Line | None = None
    relay_contact: RelayContactRecord | None = None
    can_receive: Literal["relais", "guest", "phone_only"] = "phone_only"
    capacity: CapacityRecord | None = None
    assured_at: date | None = Field(default=None, ge=date(2000, 1, 1))
    assured_by: Line | None = None
    updated_at: AwareDatetime | None = None
    url: Line | None = None
    alert: Text | None = None

    @field_validator("themes")
    @classmethod
    def _known_themes(cls, given: list[str]) -> list[str]:
        return _known(given, themes(), "theme")

    @field_validator("audiences")
    @classmethod
    def _known_audiences(cls, given: list[str]) -> list[str]:
        return _known(given, audiences(), "audience")


def _known(given: list[str], there: Any, what: str) -> list[str]:  # noqa: ANN401 - a mapping by slug
    if unknown := [str(number) for number, slug in enumerate(given, 1) if slug not in there]:
        # Not the word itself: what stands in the wrong column may be anything, a person's name too.
        raise ValueError(f"Not a {what} of the directory: number {', '.join(unknown)[:100]} of the list.")
    return list(dict.fromkeys(given))


def unstorable(value: Any, where: str = "") -> str | None:  # noqa: ANN401 - JSON of any shape
    """Answer where a value holds what PostgreSQL cannot keep: a NUL, half of a surrogate pair, NaN; None if nowhere."""
    if isinstance(value, str):
        broken = "\0" in value or any("\ud800" <= sign <= "\udfff" for sign in value)
    elif isinstance(value, float):
        broken = not isfinite(value)
    elif isinstance(value, Mapping):
        found = (unstorable(name, where) or unstorable(part, f"{where}.{name}") for name, part in value.items())
        return next(filter(None, found), None)
    elif isinstance(value, list):
        found = (unstorable(part, f"{where}.{number}") for number, part in enumerate(value))
        return next(filter(None, found), None)
    else:
        return None
    return (where.lstrip(".") or "row") if broken else None
