"""A canonical record becomes what HSDS 3.0 and 3.1 name; what is for professionals alone, or confidential, stays."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID, uuid5

from relais_directory.formats.hsds.terms import (
    AUDIENCES,
    ENTITIES,
    MANY,
    NAMESPACE,
    OBJECTS,
    OWN,
    OWN_FIELDS,
    STAND_IN,
    STATUSES,
    THEMES,
    Json,
    Version,
    join,
    listed,
    location_id,
    service_at_location_id,
    shape_of,
    terms_by_code,
    unit_id,
)
from relais_directory.formats.schedules import schedules
from relais_directory.gazetteer import read_places
from relais_directory.judging import shown
from relais_directory.records import (
    AddressRecord,
    AreaRecord,
    Attribute,
    CapacityRecord,
    LocationRecord,
    OrganisationProfile,
    Part,
    ServiceRecord,
    UrlRecord,
)

URIS: Final = frozenset({"url", "website", "schedule_link", "term_uri"})

EMAILS: Final = frozenset({"email", "assurer_email"})

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+")

_ATOM: Final = r"[\w!#$%&'*+/=?^`{|}~-]+"
_EMAIL: Final = re.compile(rf"{_ATOM}(\.{_ATOM})*@[a-z\d-]+(\.[a-z\d-]+)*", re.ASCII | re.IGNORECASE)
"""An address as RFC 5321 has it, without quotes: what the published schema calls an e-mail."""

_KEPT: Final = "-._~:/?#[]@!$&'()*+,;=%"
"""Signs of a URI that stay as they are."""

NEWER: Final = frozenset({"additional_urls", "additional_websites", "capacities", "label"})
"""Members that 3.1 brought."""

REQUIRED_ADDRESS: Final = ("address_1", "city", "state_province", "postal_code")

WHEELCHAIR: Final = {True: "Accessible by wheelchair.", False: "Not accessible by wheelchair."}


def service(  # noqa: PLR0913 - a record, and what the directory knows of it beside
    record: ServiceRecord | Mapping[str, Any],
    *,
    id: UUID,  # noqa: A002 - HSDS's name
    organisation: OrganisationProfile | Mapping[str, Any],
    organisation_id: UUID,
    source: str,
    last_modified: str,
    version: Version = "3.1",
    full: bool = True,
) -> Json:
    """Answer a record as an HSDS service.

    Relay contacts never leave, nor does anything of a confidential place but its municipality.

    Args:
        record: The record, or its JSON as it is kept.
        id: The service's.
        organisation: Who offers it; the same.
        organisation_id: The organisation's.
        source: Which source it came from.
        last_modified: When it changed here, RFC 3339.
        version: Of HSDS; 3.0 goes without what 3.1 brought.
        full: With all that hangs on it; else its plain members, its organisation's and its programme's.

    Raises:
        ValueError: A draft.
    """
    values = _plain(record)
    status = STATUSES.get(values.get("status", "active"))
    if status is None:
        raise ValueError("A draft leaves the directory in no format.")
    writing = _Writing(id, version, full=full)
    secret = any(place.get("confidential") for place in values.get("locations", ()))
    made = writing.part(ServiceRecord, values, "", {"schedules"} if secret else ())
    made |= {"id": str(id), "organization_id": str(organisation_id), "status": status, "last_modified": last_modified}
    made["organization"] = organisation_document(organisation, id=organisation_id, version=version, full=full)
    if "eligibility_description" not in made and (conditions := listed(values.get("conditions", ()))):
        made["eligibility_description"] = conditions
    if _EMAIL.fullmatch(assurer := values.get("assured_by") or ""):
        made["assurer_email"] = assurer
    if program := made.get("program"):
        made["program_id"] = program["id"]
    if not full:
        return made
    made["attributes"] = [
        *writing.terms(values.get("themes", ()), THEMES, "theme"),
        *writing.terms(values.get("audiences", ()), AUDIENCES, "audience"),
        writing.attribute("source", source, "", id, "service", 0),
        *made.pop("attributes", ()),
    ]
    if areas := writing.areas(values):
        made["service_areas"] = areas
    if (capacity := values.get("capacity")) and version != "3.0":
        made["capacities"] = [writing.capacity(capacity)]
    if places := [
        writing.place(location, number, organisation_id) for number, location in enumerate(values.get("locations", ()))
    ]:
        made["service_at_locations"] = places
    return made


def organisation_document(
    profile: OrganisationProfile | Mapping[str, Any],
    *,
    id: UUID,  # noqa: A002 - HSDS's name
    version: Version = "3.1",
    full: bool = True,
) -> Json:
    """Answer an organisation as an HSDS organization.

    Args:
        profile: The profile, or its JSON as it is kept.
        id: The organisation's.
        version: Of HSDS.
        full: With all that hangs on it.
    """
    writing = _Writing(id, version, full=full)
    made = writing.part(OrganisationProfile, _plain(profile), "", stand_ins={"description": STAND_IN})
    return made | {"id": str(id)}


def service_at_location(service: Mapping[str, Any], number: int, *, full: bool = True) -> Json:
    """Answer one place of a service, with the service at it.

    Args:
        service: The full HSDS service.
        number: Which of its places, from 0.
        full: With all that hangs on both; else their plain members.
    """
    entry = dict(service["service_at_locations"][number])
    whole = {name: value for name, value in service.items() if name != "service_at_locations"}
    if not full:
        entry = _flat(entry) | {"location": _flat(entry["location"])}
        whole = _flat(whole)
        for name in ("organization", "program"):
            if name in whole:
                whole[name] = _flat(whole[name])
    return {**entry, "service": whole}


def metadata(row: Mapping[str, Any]) -> Json | None:
    """Answer one row of the history as HSDS metadata; None for what concerns professionals alone.

    What changed at a place is told without its values: the place may be confidential, or have been.

    Args:
        row: `resource_id`, `resource_type`, `at`, `action`, `field_name`, `previous_value`, `replacement_value`,
            `updated_by`.
    """
    field, *below = str(row["field_name"]).split(".")
    if field == "relay_contact":
        return None
    hidden = field in {"locations", "schedules"}
    values = [STAND_IN if hidden else _said(row[name]) for name in ("previous_value", "replacement_value")]
    theirs = shape_of(OrganisationProfile if row["resource_type"] == "organization" else ServiceRecord).theirs
    return {
        "id": str(uuid5(NAMESPACE, f"metadata|{row['resource_id']}|{row['id']}")),
        "resource_id": str(row["resource_id"]),
        "resource_type": row["resource_type"],
        "last_action_date": row["at"].isoformat(),
        "last_action_type": row["action"],
        "field_name": join(theirs.get(field, field), *(() if hidden else below)),
        "previous_value": values[0],
        "replacement_value": values[1],
        "updated_by": row["updated_by"],
    }


class _Writing:
    """One document on its way out.

    Args:
        root: The id of the document, of which those of its parts are made where they have none.
        version: Of HSDS.
        full: With lists.
    """

    def __init__(self, root: UUID, version: Version, *, full: bool) -> None:
        self._root = root
        self._version = version
        self._full = full

    def part(
        self,
        kind: type[Part],
        values: Mapping[str, Any],
        made: str,
        without: Iterable[str] = (),
        stand_ins: Mapping[str, str] | None = None,
    ) -> Json:
        """Answer a part: its plain members, its parts, and as attributes what HSDS has no member for.

        Args:
            kind: The part.
            values: Its fields, as JSON.
            made: Its path in the record.
            without: HSDS members that stay at home.
            stand_ins: What stands in members that are required, where they are not told.
        """
        id_ = values.get("id") or str(uuid5(self._root, made))
        own: list[tuple[str, str]] = []
        found: Json = {"id": id_} | dict(self._members(kind, values, own))
        for theirs, stand_in in (stand_ins or {}).items():
            if theirs not in found:
                found[theirs] = stand_in
                own.append(("not_told", theirs))
        for theirs, (ours, inner, many) in shape_of(kind).parts.items():
            value = values.get(ours)
            if not value or theirs in without or not self._knows(theirs):
                continue
            path = join(made, ours)
            if not many:
                found[theirs] = self.part(inner, value, path)
            elif self._full:
                found[theirs] = [self.part(inner, one, f"{path}.{number}") for number, one in enumerate(value)]
        if self._full and kind in ENTITIES:
            own += _own(kind, values)
            if attributes := self._attributes(own, values.get("attributes", ()), made, id_, kind):
                found["attributes"] = attributes
        return found

    def _members(
        self, kind: type[Part], values: Mapping[str, Any], own: list[tuple[str, str]]
    ) -> Iterator[tuple[str, Any]]:
        """Answer the plain members of a part; what does not fit its member goes among our own attributes."""
        for theirs, ours in shape_of(kind).scalars.items():
            value = values.get(ours)
            if value is None or not self._knows(theirs):
                continue
            # Where the member is all there is to the part, it goes as it was told.
            fitted = value if kind is UrlRecord else _fitted(theirs, value, kind)
            if fitted is not None:
                yield theirs, fitted
            if fitted != value:
                own.append(("as_told", _compact({"field": theirs, "value": value})))

    def _knows(self, theirs: str) -> bool:
        return self._version != "3.0" or theirs not in NEWER

    def place(self, values: Mapping[str, Any], number: int, organisation_id: UUID) -> Json:
        """Answer a service at one of its locations; of a confidential one the municipality alone."""
        made = f"locations.{number}"
        id_ = values.get("id") or str(location_id(self._root, values, number))
        at = values.get("at_id") or str(service_at_location_id(self._root, UUID(id_)))
        if values.get("confidential"):
            place = shown(LocationRecord.model_validate(values))
            values = {"confidential": True, "address": place.address.model_dump(exclude_defaults=True)}
        address = values.get("address") or {}
        location = self.part(LocationRecord, {**values, "id": id_}, made)
        location |= {"location_type": "physical", "organization_id": str(organisation_id)}
        location["addresses"] = [
            self._address(one, f"{made}.{'address' if not at_ else f'other_addresses.{at_ - 1}'}", id_)
            for at_, one in enumerate((address, *values.get("other_addresses", ())))
        ]
        if (wheelchair := values.get("wheelchair")) is not None:
            location["accessibility"] = [*location.get("accessibility", ()), self._wheelchair(made, told=wheelchair)]
        entry: Json = {"id": at, "service_id": str(self._root), "location_id": id_, "location": location}
        if hours := values.get("opening_hours"):
            entry["schedules"] = [
                {"id": str(uuid5(self._root, f"{made}.opening.{rule}")), **schedule}
                for rule, schedule in enumerate(schedules(hours))
            ]
        return entry

    def areas(self, values: Mapping[str, Any]) -> list[Json]:
        """Answer where a service is for: codes of the gazetteer by their names, and other areas."""
        coded = []
        for code in values.get("service_area", ()):
            name, _province = _gazetteer().get(code, (None, None))
            area = {"id": str(uuid5(self._root, f"service_area|{code}")), "name": name or code, "uri": code}
            coded.append(area | {"service_id": str(self._root)})
        others = values.get("other_areas", ())
        return coded + [self.part(AreaRecord, one, f"other_areas.{number}") for number, one in enumerate(others)]

    def capacity(self, values: Mapping[str, Any]) -> Json:
        """Answer the capacity of a service, in the unit that was told, else in places."""
        unit = values.get("unit")
        made = self.part(CapacityRecord, values, "capacity")
        return made | {
            "service_id": str(self._root),
            "unit": {"id": str(unit_id(unit)), "name": unit or "place"},
        }

    def terms(self, codes: Sequence[str], taxonomy: str, link_type: str) -> Iterator[Json]:
        """Answer the attributes of a service that bears terms of ours."""
        for code in codes:
            term = terms_by_code().get((taxonomy, code))
            if term is not None:
                yield {
                    "id": str(uuid5(self._root, f"{taxonomy}|{code}")),
                    "link_id": str(self._root),
                    "link_entity": "service",
                    "link_type": link_type,
                    "taxonomy_term_id": term["id"],
                    "taxonomy_term": term,
                }

    def attribute(self, code: str, value: str, made: str, link_id: UUID | str, entity: str, number: int) -> Json:  # noqa: PLR0913 - an attribute, and on what it hangs
        """Answer an attribute of our own taxonomy."""
        term = terms_by_code()[OWN, code]
        return {
            "id": str(uuid5(self._root, f"{made}|{entity}|{code}|{number}")),
            "link_id": str(link_id),
            "link_entity": entity,
            "taxonomy_term_id": term["id"],
            "value": value,
            "taxonomy_term": term,
        }

    def _address(self, values: Mapping[str, Any], made: str, location: str) -> Json:
        """Answer an address; what HSDS requires and nobody told is stood in for, and said so."""
        name, province = _gazetteer().get(values.get("municipality_code", ""), (None, None))
        city = values.get("municipality") or name
        stand_ins = {"city": city, "address_1": city, "state_province": province}
        found = self.part(
            AddressRecord,
            values,
            made,
            stand_ins={theirs: stand_ins.get(theirs) or STAND_IN for theirs in REQUIRED_ADDRESS},
        )
        found.setdefault("address_type", "physical")
        found.setdefault("country", (values.get("municipality_code") or "")[:2].upper() or STAND_IN)
        return found | {"location_id": location}

    def _wheelchair(self, made: str, *, told: bool) -> Json:
        path = f"{made}.wheelchair"
        id_ = uuid5(self._root, path)
        value = "true" if told else "false"
        attribute = self.attribute("wheelchair", value, path, id_, "accessibility", 0)
        return {"id": str(id_), "description": WHEELCHAIR[told], "attributes": [attribute]}

    def _attributes(
        self,
        own: Sequence[tuple[str, str]],
        foreign: Sequence[Mapping[str, Any]],
        made: str,
        id_: str,
        kind: type[Part],
    ) -> list[Json]:
        entity = ENTITIES[kind]
        found = [self.attribute(code, value, made, id_, entity, number) for number, (code, value) in enumerate(own)]
        for number, attribute in enumerate(foreign):
            one = self.part(Attribute, attribute, join(made, f"attributes.{number}"))
            one |= {"link_id": id_, "link_entity": entity}
            if term := attribute.get("taxonomy_term"):
                one["taxonomy_term_id"] = term["id"]
            found.append(one)
        return found


def _own(kind: type[Part], values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Answer the fields of a part that travel as attributes: code and value."""
    for name, how in OWN_FIELDS.get(kind, {}).items():
        value = values.get(name)
        if value is None or (name == "assured_by" and _EMAIL.fullmatch(value)):
            continue
        for one in value if how in {MANY, OBJECTS} else (value,):
            yield name, one if isinstance(one, str) else _compact(one)


def _fitted(theirs: str, value: Any, kind: type[Part]) -> Any:  # noqa: ANN401 - JSON of any shape
    """Answer a value in the form that HSDS asks for in this member; None where it cannot have it."""
    if theirs in EMAILS:
        return value if _EMAIL.fullmatch(value) else None
    if theirs in URIS or (theirs == "uri" and kind is not AreaRecord):
        uri = quote(value, safe=_KEPT)
        return uri if _URI.fullmatch(uri) and value.strip() == value and " " not in value else None
    return value


def _plain(record: Part | Mapping[str, Any]) -> Mapping[str, Any]:
    return record.model_dump(mode="json", exclude_defaults=True) if isinstance(record, Part) else record


def _flat(document: Mapping[str, Any]) -> Json:
    return {name: value for name, value in document.items() if not isinstance(value, list)}


def _compact(value: Any) -> str:  # noqa: ANN401 - JSON of any shape
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _said(value: Any) -> str:  # noqa: ANN401 - JSON of any shape
    return "" if value is None else value if isinstance(value, str) else _compact(value)


@cache
def _gazetteer() -> Mapping[str, tuple[str, str]]:
    """Answer name and province of each municipality, and of each province by its code, as far as one has a code."""
    found: dict[str, tuple[str, str]] = {}
    for place in read_places():
        if place.kind == "municipality":
            found[place.code] = place.name, place.province
            if place.country == "fr":
                # The départements overseas have three digits.
                digits = 3 if place.code[3:5] in {"97", "98"} else 2
                found.setdefault(f"fr:{place.code[3 : 3 + digits]}", (place.province, place.province))
    return found
