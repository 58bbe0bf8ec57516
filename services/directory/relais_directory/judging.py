"""The judgement of a record: can it be taken, what has to be looked at, and in which municipalities it stands."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from math import dist
from typing import Any, Final, Self

from pydantic import ValidationError

from relais_directory import hours
from relais_directory.domain.areas import codes_of
from relais_directory.domain.geo import geodesic_m, position
from relais_directory.domain.words import plain
from relais_directory.gazetteer import Place, read_places
from relais_directory.records import (
    AddressRecord,
    LocationRecord,
    OrganisationRecord,
    Part,
    Record,
    ServiceRecord,
    unstorable,
)
from relais_shared.refusals import reason

FLAGGED_BEYOND_M: Final = 30_000
"""A point this far from its municipality's is told: the largest communes of our territories reach 20 km."""

REFUSED_BEYOND_M: Final = 150_000
"""A point this far away is wrong (a lost sign, swapped axes): its row is refused, never moved."""

AREA_DIGITS: Final = 3
"""Digits of a postcode that name its area: an overseas department by three, the others by two."""

REASON_LENGTH: Final = 200
"""Characters of a reason: enough for a sentence."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing about one row: refused, or taken with a flag."""

    line: int
    record: str | None
    field: str
    reason: str
    file: str | None = None
    """The file, or sheet, where the row stands, where a source is of several."""


class Points:
    """The gazetteer in memory: the point of a municipality, by code or by postcode and name."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._by_code = {place.code: place for place in places}

    @classmethod
    def load(cls) -> Self:
        """Read the gazetteer that comes with the directory."""
        return cls(read_places())

    def __iter__(self) -> Iterator[Place]:
        """Go through every place, in the order of the codes."""
        return iter(self._by_code.values())

    # Made when first asked: where every row says its code, neither is.
    @cached_property
    def _by_name(self) -> dict[tuple[str, str], list[Place]]:
        found: dict[tuple[str, str], list[Place]] = {}
        for place in self._by_code.values():
            names = {place.name, place.name_fr, place.name_nl, place.name_de, *place.other_names} - {""}
            for name in {plain(name) for name in names}:
                found.setdefault((place.country, name), []).append(place)
        return found

    @cached_property
    def _by_postcode(self) -> dict[tuple[str, str], list[Place]]:
        found: dict[tuple[str, str], list[Place]] = {}
        for place in self._by_code.values():
            for postcode in place.postcodes if place.kind == "municipality" else ():
                found.setdefault((place.country, postcode), []).append(place)
        return found

    def municipality(self, location: LocationRecord) -> Place | None:
        """Answer the municipality (or locality) that a location declares, where the gazetteer knows it."""
        address = location.address
        if address.municipality_code and address.municipality_code in self._by_code:
            return self._by_code[address.municipality_code]
        country, postcode = address.country.lower(), address.postcode or ""
        namesakes = self._by_name.get((country, plain(address.municipality or "")), [])
        if not postcode:
            return namesakes[0] if len(namesakes) == 1 else None
        for size in (len(postcode), AREA_DIGITS, AREA_DIGITS - 1):
            # There are many Saint-Pierre: the postcode, or at least its area, says which one is meant.
            near = [one for one in namesakes if any(code[:size] == postcode[:size] for code in one.postcodes)]
            if near:
                return near[0]
        # The name is spelt in a way we do not know; never a namesake at the other end of the country.
        alone = self._by_postcode.get((country, postcode), [])
        return alone[0] if len(alone) == 1 else None

    @cached_property
    def _areas(self) -> frozenset[str]:
        return frozenset(codes_of(*self._by_code))

    @cached_property
    def _countries(self) -> frozenset[str]:
        return frozenset(place.country for place in self._by_code.values())

    def covers(self, area: str) -> bool:
        """Say whether anybody lives in an area, as far as the gazetteer goes: of other countries it knows nothing."""
        return area in self._areas or area[:2] not in self._countries

    def parent(self, place: Place) -> Place:
        """Answer the municipality of a place; itself, where it is one."""
        return self._by_code.get(place.parent, place)


@cache
def points() -> Points:
    """Answer the gazetteer in memory, read once."""
    return Points.load()


def shown(location: LocationRecord) -> LocationRecord:
    """Answer what anybody may be shown of a place: of a confidential one its municipality alone.

    Whoever told of it may have named a quarter: that, too, says where it is.
    """
    if not location.confidential:
        return location
    told = location.address
    place = points().municipality(location)
    town = points().parent(place) if place else None
    return LocationRecord(
        id=location.id,
        at_id=location.at_id,
        record_id=location.record_id,
        confidential=True,
        address=AddressRecord(
            municipality=town.name if town else told.municipality,
            municipality_code=town.code if town else told.municipality_code,
            country=told.country,
        ),
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """A record that can be taken, with the municipality of each location and what to look at."""

    record: Record
    places: tuple[Place | None, ...]
    flags: tuple[Remark, ...]


def judge(made: Mapping[str, Any], line: int, points: Points) -> Judged | OrganisationRecord | list[Remark]:
    """Answer a record that can be taken, or every reason why it cannot.

    Args:
        made: The canonical record, not yet judged; `{"organisation": {...}}` alone is one without a service.
        line: Where it stood.
        points: The gazetteer.
    """
    name = str(made.get("record_id"))[:100] if made.get("record_id") else None
    if where := unstorable(made):
        return [Remark(line, name, where, "Holds a sign or number that cannot be stored.")]
    try:
        if made.keys() == {"organisation"} and isinstance(made["organisation"], dict):
            name = str(made["organisation"].get("record_id"))[:100]
            return OrganisationRecord.model_validate(made["organisation"])
        record = Record.model_validate(made)
    except ValidationError as fault:
        return faults(line, name, fault)
    places, refused, flags = judge_places(record, points)
    if not record.themes:
        flags.append(("themes", "No theme that we know: found by place and words alone."))
    if refused:
        return [Remark(line, name, where, reason) for where, reason in refused]
    return Judged(record, places, tuple(Remark(line, name, where, reason) for where, reason in flags))


Told = list[tuple[str, str]]
"""Fields and what is to be said of each."""


def judge_places(record: ServiceRecord, points: Points) -> tuple[tuple[Place | None, ...], Told, Told]:
    """Answer the municipality of each location, why the record cannot be taken, and what has to be looked at."""
    refused: Told = []
    flags: Told = []
    places = []
    for number, location in enumerate(record.locations):
        place = points.municipality(location)
        places.append(place)
        _judge_place(record, location, place, f"locations.{number}", refused, flags)
    for number, area in enumerate(record.service_area):
        if not points.covers(area):
            flags.append(
                (f"service_area.{number}", "No area that the gazetteer knows: whoever lives there is not found.")
            )
    if not record.locations and record.modes == ["on_site"]:
        refused.append(("locations", "Given on site, and no site is told."))
    if record.relay_contact and record.relay_contact.hours:
        try:
            hours.parse(record.relay_contact.hours, *home_of(record, places))
        except ValueError as fault:
            refused.append(("relay_contact.hours", str(fault)))
    return tuple(places), refused, flags


def home_of(record: ServiceRecord, places: Sequence[Place | None]) -> tuple[str, str]:
    """Answer time zone and country of a service: of its first place, else of where it comes to."""
    code = next((place.code for place in places if place), next(iter(record.service_area), None))
    country = record.locations[0].address.country if record.locations else (code or "")[:2].upper()
    return hours.zone_of(code, country), country


def _judge_place(  # noqa: C901, PLR0913 - every reason in one pass; two lists to tell into
    record: ServiceRecord, location: LocationRecord, place: Place | None, at: str, refused: Told, flags: Told
) -> None:
    if location.opening_hours is not None:
        zone = hours.zone_of(place.code if place else None, location.address.country)
        try:
            hours.parse(location.opening_hours, zone, location.address.country)
        except ValueError as fault:
            refused.append((f"{at}.opening_hours", str(fault)))
    if (location.latitude is None) != (location.longitude is None):
        refused.append((f"{at}.latitude", "A point needs latitude and longitude."))
    elif location.latitude is None or location.longitude is None:
        if place is None and record.modes == ["on_site"]:
            refused.append((at, "Neither a point nor a municipality that the gazetteer knows."))
        elif place is not None:
            flags.append((at, "No point: placed at the centre of its municipality."))
    elif place is not None:
        away = _away(location.latitude, location.longitude, place)
        if away > REFUSED_BEYOND_M:
            refused.append((at, f"The point lies {away / 1000:.0f} km from its municipality."))
        elif away > FLAGGED_BEYOND_M:
            flags.append((at, f"The point lies {away / 1000:.0f} km from its municipality: to be looked at."))
    if location.confidential and place is None and record.modes == ["on_site"]:
        # Its point is never indexed, and there is no centre to index instead.
        refused.append((at, "Confidential, in no municipality that the gazetteer knows."))


def _away(latitude: float, longitude: float, place: Place) -> float:
    return geodesic_m(dist(position(latitude, longitude), position(place.latitude, place.longitude)))


def faults(line: int, record: str | None, fault: ValidationError) -> list[Remark]:
    """Answer what pydantic found, one remark for each field; values are never repeated."""
    return [
        Remark(line, record, ".".join(str(step) for step in one["loc"]) or "row", _cut(reason(one)))
        for one in fault.errors(include_input=False, include_url=False)
    ]


def _cut(said: str) -> str:
    # An unknown term is answered with every known one: the beginning says enough.
    return said if len(said) <= REASON_LENGTH else f"{said[:REASON_LENGTH]}…"


def document(part: Part) -> str:
    """Answer a record as it is kept: JSON without what is at its default, the same text for the same content."""
    return part.model_dump_json(exclude_defaults=True, exclude={"record_id", "organisation", "id"})


def digest(text: str) -> bytes:
    """Answer what tells two documents apart."""
    return sha256(text.encode()).digest()
