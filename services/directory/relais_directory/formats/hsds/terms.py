"""HSDS's words for our fields, and the taxonomies that carry what HSDS has no word for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin
from uuid import NAMESPACE_URL, UUID, uuid5

from relais_directory.data import audiences, themes
from relais_directory.records import (
    AccessibilityRecord,
    AddressRecord,
    AreaRecord,
    CapacityRecord,
    ContactRecord,
    CostRecord,
    FundingRecord,
    IdentifierRecord,
    LanguageRecord,
    LocationRecord,
    OrganisationProfile,
    Part,
    PhoneRecord,
    ProgramRecord,
    RequiredDocumentRecord,
    ScheduleRecord,
    ServiceRecord,
    UrlRecord,
)

Json = dict[str, Any]

Version = Literal["3.0", "3.1"]

NAMESPACE: Final = uuid5(NAMESPACE_URL, "https://relais.example/hsds")
"""Under it our taxonomies, their terms and units keep one UUID in every installation."""

THEMES: Final = "relais:themes"

AUDIENCES: Final = "relais:audiences"

OWN: Final = "relais"

STATUSES: Final = {
    "active": "active",
    "inactive": "inactive",
    "temporarily_closed": "temporarily closed",
    "retired": "defunct",
}
"""Our word for a status, and that of HSDS; a draft has none, for it leaves the house in no format."""

STAND_IN: Final = "-"
"""What stands in a member that HSDS requires and nobody told; the attribute `not_told` names the member."""

TERMS: Final = {
    "modes": "How it is given: on_site, remote or at_home; one attribute for each.",
    "keywords": "A word that people look for it by; one attribute for each.",
    "free": "It costs nothing: true or false.",
    "conditions": "A condition as JSON: kind, text, and what can be checked; one attribute for each.",
    "reception": "How one is received, as JSON.",
    "can_receive": "How a hand-over reaches it: relais, guest or phone_only.",
    "closed_from": "First day of a temporary closure.",
    "closed_until": "Last day of a temporary closure.",
    "url": "The page where its source shows it.",
    "assured_by": "Who assured it, where that is no mail address.",
    "updated_at": "When its source changed it.",
    "source": "Which source it came from.",
    "record_id": "The id of a location in its source.",
    "opening_hours": "Opening hours in OpenStreetMap's syntax; the schedules of the place are made of them.",
    "wheelchair": "Whether a wheelchair gets in: true or false.",
    "confidential": "The place is confidential: of its address the municipality alone is told.",
    "municipality_code": "The municipality's official code with its country: be:52011.",
    "waiting_days": "How many days one waits for a place.",
    "not_told": "A member that HSDS requires and nobody told: what stands there is a stand-in.",
    "as_told": "A member as it was told, as JSON, where it does not have the form that HSDS asks for.",
}
"""The terms of the taxonomy `relais`: what the value of such an attribute says."""

ONE: Final = "one"

MANY: Final = "many"

OBJECT: Final = "object"

OBJECTS: Final = "objects"

OWN_FIELDS: Final[Mapping[type[Part], Mapping[str, str]]] = {
    ServiceRecord: {
        "modes": MANY,
        "keywords": MANY,
        "free": ONE,
        "conditions": OBJECTS,
        "reception": OBJECT,
        "can_receive": ONE,
        "closed_from": ONE,
        "closed_until": ONE,
        "url": ONE,
        "assured_by": ONE,
        "updated_at": ONE,
    },
    LocationRecord: {"record_id": ONE, "opening_hours": ONE, "confidential": ONE},
    AccessibilityRecord: {},
    AddressRecord: {"municipality_code": ONE},
    CapacityRecord: {"waiting_days": ONE},
}
"""The fields that travel as attributes: one value, several, a JSON object, several of them."""

RENAMED: Final[Mapping[type[Part], Mapping[str, str]]] = {
    ServiceRecord: {"fees": "fees_description", "website": "url", "assured_at": "assured_date"},
    OrganisationProfile: {
        "identifiers": "organization_identifiers",
        "parent_organisation_id": "parent_organization_id",
    },
    LocationRecord: {"nearest_stop": "transportation"},
    AddressRecord: {
        "street": "address_1",
        "postcode": "postal_code",
        "municipality": "city",
        "type": "address_type",
    },
    CapacityRecord: {"updated_at": "updated"},
}
"""Our name of a field, and that of HSDS where it is another."""

BY_HAND: Final[Mapping[type[Part], frozenset[str]]] = {
    ServiceRecord: frozenset(
        {"status", "themes", "audiences", "locations", "service_area", "other_areas", "relay_contact", "capacity"}
    ),
    LocationRecord: frozenset({"address", "other_addresses", "at_id", "wheelchair"}),
    CapacityRecord: frozenset({"unit"}),
}
"""Fields that are no plain member of the HSDS object."""

ENTITIES: Final[Mapping[type[Part], str]] = {
    ServiceRecord: "service",
    OrganisationProfile: "organization",
    LocationRecord: "location",
    AddressRecord: "address",
    PhoneRecord: "phone",
    ContactRecord: "contact",
    ScheduleRecord: "schedule",
    LanguageRecord: "language",
    AccessibilityRecord: "accessibility",
    AreaRecord: "service_area",
    CostRecord: "cost_option",
    RequiredDocumentRecord: "required_document",
    FundingRecord: "funding",
    ProgramRecord: "program",
    UrlRecord: "url",
    IdentifierRecord: "organization_identifier",
    CapacityRecord: "service_capacity",
}
"""What HSDS calls a part."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a part of ours looks in HSDS.

    Attributes:
        scalars: HSDS's name of a plain member: ours.
        parts: HSDS's name of a nested object or list: our name, what it is of, and whether it is a list.
        theirs: Our name: HSDS's.
    """

    scalars: Mapping[str, str]
    parts: Mapping[str, tuple[str, type[Part], bool]]
    theirs: Mapping[str, str]


@cache
def shape_of(kind: type[Part]) -> Shape:
    """Answer how a part looks in HSDS: by its own fields, so that a new one travels too."""
    base = OrganisationProfile if issubclass(kind, OrganisationProfile) else kind
    base = ServiceRecord if issubclass(base, ServiceRecord) else base
    renamed = RENAMED.get(base, {})
    apart = {"id", "attributes", *BY_HAND.get(base, ()), *OWN_FIELDS.get(base, ())}
    scalars, parts, theirs = {}, {}, {}
    for name, field in base.model_fields.items():
        theirs[name] = renamed.get(name, name)
        if name in apart:
            continue
        inner, many = _inner(field.annotation)
        if inner is None:
            scalars[theirs[name]] = name
        else:
            parts[theirs[name]] = name, inner, many
    return Shape(scalars, parts, {**theirs, **_THEIRS.get(base, {})})


_THEIRS: Final[Mapping[type[Part], Mapping[str, str]]] = {
    ServiceRecord: {
        "record_id": "id",
        "organisation": "organization",
        "locations": "service_at_locations",
        "service_area": "service_areas",
        "other_areas": "service_areas",
        "capacity": "capacities",
        "themes": "attributes",
        "audiences": "attributes",
        "assured_by": "assurer_email",
        "updated_at": "last_modified",
    },
    OrganisationProfile: {"record_id": "id"},
    LocationRecord: {"address": "addresses", "other_addresses": "addresses"},
}
"""Where the document holds what is handled by hand."""


def _inner(annotation: Any) -> tuple[type[Part] | None, bool]:  # noqa: ANN401 - any annotation
    """Answer the part that a field holds, and whether it holds a list of them."""
    many = False
    while (origin := get_origin(annotation)) is not None:
        many = many or origin is list
        if origin is Annotated or origin is list:
            annotation = get_args(annotation)[0]
        elif origin in {Union, UnionType}:
            annotation = next(each for each in get_args(annotation) if each is not type(None))
        else:
            return None, many
    return (annotation, many) if isinstance(annotation, type) and issubclass(annotation, Part) else (None, many)


def location_id(service_id: UUID, location: Mapping[str, Any], number: int) -> UUID:
    """Answer the id of a location that has none of its own: of its id in the source, else its place in the record."""
    return uuid5(service_id, f"location|{location.get('record_id') or number}")


def service_at_location_id(service_id: UUID, location: UUID) -> UUID:
    """Answer the id of a service at a location, where it has none of its own."""
    return uuid5(service_id, f"at|{location}")


def listed(conditions: Iterable[Any]) -> str:
    """Answer conditions as one text, a line for each."""
    return "\n".join(f"• {one['text']}" for one in conditions if isinstance(one, Mapping) and one.get("text"))


def unit_id(name: str | None) -> UUID:
    """Answer the id of a unit of capacity; of none, where nobody named one."""
    return uuid5(NAMESPACE, f"unit|{name or ''}")


def join(*steps: str) -> str:
    """Answer a path of these steps; an empty one is none."""
    return ".".join(step for step in steps if step)


@cache
def taxonomies() -> tuple[Json, ...]:
    """Answer our taxonomies as HSDS taxonomies."""
    told = {
        THEMES: "What a service is for. A parent takes its children.",
        AUDIENCES: "Whom a service is for. None, or everyone: whoever comes.",
        OWN: "What a Relais directory knows beyond HSDS: the term is the field, the attribute's value says the rest.",
    }
    return tuple(
        {"id": str(uuid5(NAMESPACE, name)), "name": name, "description": text, "version": "1"}
        for name, text in told.items()
    )


@cache
def taxonomy_terms() -> tuple[Json, ...]:
    """Answer the terms of our taxonomies as HSDS taxonomy terms, each parent before its children."""
    made = [_term(THEMES, slug, each.labels, each.parent) for slug, each in themes().items()]
    made += [_term(AUDIENCES, slug, each.labels, None) for slug, each in audiences().items()]
    made += [_term(OWN, code, {"en": code.replace("_", " ")}, None, text) for code, text in TERMS.items()]
    return tuple(made)


@cache
def term_ids() -> Mapping[str, tuple[str, str]]:
    """Answer taxonomy and code of each term of ours, by its id."""
    return {term["id"]: (term["taxonomy"], term["code"]) for term in taxonomy_terms()}


def _term(taxonomy: str, code: str, labels: Mapping[Any, str], parent: str | None, description: str = "") -> Json:
    about = " · ".join(f"{language}: {label}" for language, label in labels.items() if language != "en")
    made = {
        "id": str(uuid5(NAMESPACE, f"{taxonomy}|{code}")),
        "code": code,
        "name": labels["en"],
        "description": description or about,
        "taxonomy": taxonomy,
        "taxonomy_detail": next(one for one in taxonomies() if one["name"] == taxonomy),
        "language": "en",
        "taxonomy_id": str(uuid5(NAMESPACE, taxonomy)),
    }
    return made | ({"parent_id": str(uuid5(NAMESPACE, f"{taxonomy}|{parent}"))} if parent else {})


@cache
def terms_by_code() -> Mapping[tuple[str, str], Json]:
    """Answer each term of ours by its taxonomy and code."""
    return {(term["taxonomy"], term["code"]): term for term in taxonomy_terms()}
