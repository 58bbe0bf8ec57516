"""The published HSDS schemas, and random records to send through them."""

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

import pytest
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator
from pydantic import AwareDatetime

from relais_directory.data import audiences, themes
from relais_directory.records import OrganisationProfile, Part, ServiceRecord

CONFORMANCE = Path(__file__).resolve().parents[3] / "shared" / "data" / "conformance"
"""Files of others, beside the project; not part of it."""

VERSIONS = {"3.0": CONFORMANCE / "hsds-3.0", "3.1": CONFORMANCE / "hsds-3.1-dev"}

Shaped = tuple[Draft202012Validator, ...]


def published(path: str) -> Any:
    """Answer a published JSON file; skips the test where it is not at hand."""
    if not (CONFORMANCE / path).exists():
        pytest.skip(f"../shared/data/conformance/{path} is not here: it is third-party data beside the project.")
    return json.loads((CONFORMANCE / path).read_text())


@cache
def shapes(entity: str) -> Shaped:
    """Answer the validators of an object, of both versions, everything nested included."""
    found = []
    for folder in VERSIONS.values():
        whole = published(f"{folder.name}/schema/compiled/service_with_definitions.json")
        definitions = whole.pop("definitions")
        definitions["service"] = whole
        schema = {"$ref": f"#/definitions/{entity}", "definitions": definitions}
        found.append(Draft202012Validator(schema, validate_formats=True))
    return tuple(found)


@cache
def page_shapes() -> Shaped:
    """Answer the validators of a page's envelope, of both versions."""
    pages = [
        published(f"{folder.name}/schema/openapi.json")["components"]["schemas"]["Page"] for folder in VERSIONS.values()
    ]
    return tuple(Draft202012Validator(page | {"required": list(page["properties"])}) for page in pages)


def faults(documents: Iterable[Any], validators: Shaped) -> list[str]:
    """Answer what is wrong with documents."""
    return [
        f"{'.'.join(map(str, fault.instance_path))}: {fault.message[:200]}"
        for document in documents
        for validator in validators
        for fault in validator.iter_errors(document)
    ]


LETTERS = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"])
TEXT = st.text(LETTERS, min_size=1, max_size=20)
DAY = st.dates(min_value=date(2000, 1, 1), max_value=date(2100, 1, 1))
BY_NAME: Mapping[str, st.SearchStrategy[Any]] = {
    "service_area": st.lists(st.sampled_from(["be:52011", "fr:97411", "fr:974", "be:56001"]), unique=True, max_size=3),
    "municipalities": st.lists(st.sampled_from(["be:52011", "fr:97411"]), unique=True, max_size=2),
    "municipality_code": st.sampled_from(["be:52011", "fr:97411"]),
    "themes": st.lists(st.sampled_from(sorted(themes())), unique=True, max_size=3),
    "audiences": st.lists(st.sampled_from(sorted(audiences())), unique=True, max_size=3),
    "country": st.sampled_from(["BE", "FR", "LU"]),
    "postcode": st.sampled_from(["6000", "97400", "ABC 123"]),
    "opening_hours": st.sampled_from(["Mo-Fr 09:00-17:00; PH off", "Mo,We 08:00-12:00,13:00-16:30", "Jan-Mar off"]),
    "opens_at": st.sampled_from(["09:00", "08:30:00", "10:00Z", "10:00+01:00"]),
    "closes_at": st.sampled_from(["17:00", "24:00", "12:15:00"]),
    "byday": st.sampled_from(["MO", "MO,TU", "1FR"]),
    "code": st.sampled_from(["fr", "nl", "ar", "rcf", "zh-Hans"]),
    "term_uri": st.just("https://example.org/term"),
    "url": st.sampled_from(["https://example.org/x", "urn:x:y"]),
    "uri": st.sampled_from(["https://example.org/x", "urn:x:y"]),
    "email": st.sampled_from(["a@example.org", "not an address"]),
    "website": st.sampled_from(["https://example.org/é", "www.example.org", "https://example.org/a"]),
    "closed_from": st.none(),
    "closed_until": st.none(),
    "minimum_age": st.integers(0, 20),
    "maximum_age": st.integers(20, 99),
    "modes": st.lists(st.sampled_from(["on_site", "remote", "at_home"]), unique=True, min_size=1),
    "status": st.sampled_from(["active", "temporarily_closed", "inactive", "retired"]),
    "latitude": st.floats(-90, 90, allow_nan=False),
    "longitude": st.floats(-180, 180, allow_nan=False),
    "parent_organisation_id": st.uuids().map(str),
    "relay_contact": st.none(),
    "confidential": st.just(False),
}
"""Fields whose values have a form."""


def a_record() -> st.SearchStrategy[dict[str, Any]]:
    """Answer services of any shape, without what is for professionals alone, as their JSON."""
    return _made(ServiceRecord)


def an_organisation() -> st.SearchStrategy[dict[str, Any]]:
    """Answer organisations of any shape, as their JSON."""
    return _made(OrganisationProfile)


@cache
def _made(kind: type[Part]) -> st.SearchStrategy[dict[str, Any]]:
    required, optional = {}, {}
    for name, field in kind.model_fields.items():
        found = BY_NAME.get(name) if "_id" not in name else BY_NAME.get(name, st.uuids().map(str))
        found = found if found is not None else _any(field.annotation, field.metadata)
        (required if field.is_required() else optional)[name] = found
    if kind.__name__ == "TaxonomyTerm":
        optional.pop("taxonomy_detail")
        optional["taxonomy"] = st.sampled_from(["Open Eligibility", "SNL"])
    if kind.__name__ == "Attribute":
        # One without term, value and label would say nothing.
        required["value"] = TEXT
        optional.pop("value")
    return st.fixed_dictionaries(required, optional=optional).map(_told)


def _told(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, [], {})}


def _any(annotation: Any, metadata: Iterable[Any] = ()) -> st.SearchStrategy[Any]:
    """Answer values of a field's type, as JSON."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _any(args[0], args[1:])
    if origin in {Union, UnionType}:
        return _any(next(each for each in args if each is not type(None)), metadata)
    if origin in {Literal, list}:
        return st.sampled_from(args) if origin is Literal else st.lists(_any(args[0]), max_size=2)
    if annotation in (int, float):
        bounds = {name: getattr(each, name) for each in metadata for name in ("ge", "le") if hasattr(each, name)}
        return st.integers(int(bounds.get("ge") or 0), int(bounds.get("le") or 1000)).map(annotation)
    if annotation in PLAIN:
        return PLAIN[annotation]
    assert issubclass(annotation, Part), annotation
    return st.deferred(lambda: _made(annotation))


PLAIN: Mapping[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    bool: st.booleans(),
    UUID: st.uuids().map(str),
    date: DAY.map(str),
    datetime: DAY.map(lambda day: f"{day}T10:00:00Z"),
    AwareDatetime: DAY.map(lambda day: f"{day}T10:00:00Z"),
}
"""Values of the plain types."""
