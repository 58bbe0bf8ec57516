"""HSDS both ways: what a service says in it, what comes back, what never leaves, and where a fault stood."""

import json
from copy import deepcopy
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.hsds import a_record, an_organisation, faults, published, shapes

from relais_directory.formats import hsds, naming
from relais_directory.judging import Judged, Points, document, judge
from relais_directory.records import OrganisationProfile, OrganisationRecord, Record, ServiceRecord
from relais_local.territory import generate

SERVICE = UUID("00000000-0000-4000-8000-000000000001")
OWNER = UUID("00000000-0000-4000-8000-000000000002")
CHANGED = "2026-11-16T08:00:00+00:00"

A_SERVICE = {
    "id": str(SERVICE),
    "name": "Food parcels",
    "status": "active",
    "organization": {"id": str(OWNER), "name": "The Pantry", "description": "A pantry."},
    "service_at_locations": [
        {
            "id": "00000000-0000-4000-8000-000000000003",
            "location": {
                "id": "00000000-0000-4000-8000-000000000004",
                "location_type": "physical",
                "latitude": 50.4,
                "longitude": 4.4,
                "addresses": [
                    {
                        "id": "00000000-0000-4000-8000-000000000005",
                        "address_1": "Rue du Sifflet 3",
                        "city": "Charleroi",
                        "state_province": "Hainaut",
                        "postal_code": "6000",
                        "country": "Belgium",
                        "address_type": "physical",
                    }
                ],
            },
        }
    ],
}


@pytest.fixture(scope="module", name="points")
def _points() -> Points:
    return Points.load()


def written(record: Any, organisation: Any = None, **more: Any) -> dict[str, Any]:
    """Answer a record as an HSDS service, as it arrives elsewhere."""
    made = hsds.service(
        record,
        id=SERVICE,
        organisation=organisation or {"name": "The Pantry"},
        organisation_id=OWNER,
        source="demo",
        last_modified=CHANGED,
        **more,
    )
    found: dict[str, Any] = json.loads(json.dumps(made))
    return found


def changed(**members: Any) -> dict[str, Any]:
    """Answer the service above with other members."""
    return deepcopy(A_SERVICE) | members


def own(part: dict[str, Any]) -> dict[str, list[str]]:
    """Answer the attributes of our own taxonomy: the values of each code."""
    found: dict[str, list[str]] = {}
    for attribute in part.get("attributes", ()):
        if attribute["taxonomy_term"]["taxonomy"] == "relais":
            found.setdefault(attribute["taxonomy_term"]["code"], []).append(attribute["value"])
    return found


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(a_record(), an_organisation())
def test_what_goes_out_comes_back(record: dict[str, Any], organisation: dict[str, Any]) -> None:
    kept = json.loads(document(ServiceRecord.model_validate(record)))
    owner = json.loads(document(OrganisationProfile.model_validate(organisation)))
    sent = written(kept, owner)
    assert faults([sent], shapes("service")) == []
    made = hsds.record(sent)
    back = Record.model_validate(dict(made))
    assert json.loads(document(back)) == kept
    assert json.loads(document(back.organisation)) == owner
    assert (back.id, back.organisation.id, back.record_id) == (SERVICE, OWNER, str(SERVICE))
    assert made.remarks == []


def test_the_demonstration_goes_out_and_comes_back_but_for_what_is_confidential() -> None:
    services = generate.services(date(2026, 11, 16))
    secret = 0
    for row in services:
        record = Record.model_validate(row)
        kept = json.loads(document(record))
        sent = written(record, record.organisation)
        assert faults([sent], shapes("service")) == []
        back = json.loads(document(Record.model_validate(dict(hsds.record(sent)))))
        kept.pop("relay_contact", None)
        for number, place in enumerate(kept.get("locations", ())):
            if place.get("confidential"):
                secret += 1
                told = {name: place["address"][name] for name in ("municipality", "municipality_code", "country")}
                assert back["locations"][number].pop("id")
                kept["locations"][number] = {"address": told, "confidential": True}
        assert back == kept
    assert (len(services), secret) == (507, 5)


def test_the_published_example_comes_in_and_goes_out(points: Points) -> None:
    example = published("hsds-3.0/examples/service_full.json")
    made = hsds.record(example)
    judged = judge(made, 1, points)
    # Its point is at latitude 100, which is nowhere.
    assert isinstance(judged, list)
    assert [made.where(one.field) for one in judged] == ["service_at_locations.0.location.latitude"]
    example["service_at_locations"][0]["location"]["latitude"] = 51.5
    made = hsds.record(example)
    judged = judge(made, 1, points)
    assert isinstance(judged, Judged)
    assert {path for path, _what in made.remarks} == {
        "metadata",
        "organization.locations",
        "service_at_locations.0.schedules",
    }
    sent = written(judged.record, judged.record.organisation)
    assert faults([sent], shapes("service")) == []
    for name in (
        "name", "alternate_name", "description", "url", "email", "interpretation_services", "application_process",
        "accreditations", "eligibility_description", "minimum_age", "maximum_age", "assured_date", "assurer_email",
        "licenses", "wait_time", "alert", "phones", "schedules", "service_areas", "languages", "funding",
        "cost_options", "program", "required_documents", "contacts",
    ):  # fmt: skip
        given = example[name].strip() if isinstance(example[name], str) else example[name]
        assert sent[name] == given, name
    given = {name: value for name, value in example["organization"].items() if name not in {"id", "locations"}}
    assert {name: sent["organization"].get(name) for name in given} == given


def test_the_published_organisation_comes_in() -> None:
    made = hsds.organisation(published("hsds-3.0/examples/organization_full.json"))
    record = OrganisationRecord.model_validate(made["organisation"])
    assert (record.name, record.year_incorporated) == ("Example Organization Inc.", 2011)
    assert record.identifiers[0].identifier == "1234567"
    assert faults([hsds.organisation_document(record, id=OWNER)], shapes("organization")) == []


@pytest.mark.parametrize(
    ("place", "value", "path"),
    [
        (("name",), {"no": "text"}, "name"),
        (("status",), "soon", "status"),
        (("minimum_age",), -1, "minimum_age"),
        (("assured_date",), "1800-01-01", "assured_date"),
        (("last_modified",), "1999-01-01T00:00:00Z", "last_modified"),
        (("fees_description",), ["dear"], "fees_description"),
        (("phones",), "0471", "phones"),
        (("phones",), [{"number": "1"}, {"type": "voice"}], "phones.1.number"),
        (("phones",), ["0471"], "phones.0"),
        (("languages",), [{"code": "not a code"}], "languages.0.code"),
        (("schedules",), [{"opens_at": "sometimes"}], "schedules.0.opens_at"),
        (("schedules",), [{"valid_from": "1800-01-01"}], "schedules.0.valid_from"),
        (("capacities",), [{"available": -1, "updated": CHANGED}], "capacities.0.available"),
        (("service_areas",), [{"name": "Here"}, {"name": 3, "extent": {}}, {"name": [1]}], "service_areas.2.name"),
        (("organization", "name"), None, "organization.name"),
        (("organization", "year_incorporated"), "long ago", "organization.year_incorporated"),
        (("organization",), None, "organization"),
        (("service_at_locations",), {"id": "x"}, "service_at_locations"),
        (("service_at_locations", 0, "location", "latitude"), 200, "service_at_locations.0.location.latitude"),
        (("service_at_locations", 0, "location"), None, "service_at_locations.0.location"),
        (("service_at_locations", 0, "location", "addresses"), [], "service_at_locations.0.location.addresses"),
        (
            ("service_at_locations", 0, "location", "addresses", 0, "country"),
            "Atlantis",
            "service_at_locations.0.location.addresses.0.country",
        ),
        (
            ("service_at_locations", 0, "location", "addresses", 0, "postal_code"),
            "a very long postcode",
            "service_at_locations.0.location.addresses.0.postal_code",
        ),
        (("service_at_locations", 0, "phones"), [{}], "service_at_locations.0.phones.0.number"),
        (("id",), None, "id"),
    ],
)
def test_a_fault_is_told_where_it_stood(place: tuple[Any, ...], value: Any, path: str, points: Points) -> None:
    given: Any = deepcopy(A_SERVICE)
    inside = given
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = value
    made = hsds.record(given)
    judged = judge(made, 1, points)
    assert isinstance(judged, list)
    assert [made.where(one.field) for one in judged] == [path]


def test_an_address_for_letters_behind_the_one_of_people_keeps_its_path(points: Points) -> None:
    given = deepcopy(A_SERVICE)
    location: Any = given["service_at_locations"][0]["location"]  # type: ignore[index]  # as written above
    location["addresses"] = [{"address_type": "postal", "country": "??"}, location["addresses"][0]]
    made = hsds.record(given)
    judged = judge(made, 1, points)
    assert isinstance(judged, list)
    assert [made.where(one.field) for one in judged] == ["service_at_locations.0.location.addresses.0.country"]


def test_nothing_is_guessed_for_a_service_that_tells_little(points: Points) -> None:
    made = hsds.record({"id": "17", "name": "A line", "organization": {"id": "4", "name": "Us"}})
    judged = judge(made, 1, points)
    assert isinstance(judged, Judged)
    assert (judged.record.record_id, judged.record.id, judged.record.modes) == ("17", None, ["remote"])
    assert judged.record.organisation.record_id == "4"
    assert {path for path, _what in made.remarks} == {"status", "service_at_locations"}


def test_an_organisation_may_stand_beside_its_services() -> None:
    given = changed(organization_id=str(OWNER))
    owner = given.pop("organization")
    assert Record.model_validate(dict(hsds.record(given, organisation=owner))).organisation.id == OWNER


def test_terms_of_others_are_kept_and_lead_to_themes() -> None:
    def attribute(**term: Any) -> dict[str, Any]:
        return {"taxonomy_term": {"taxonomy": "Open Eligibility", "name": "?", "description": "?", **term}}

    given = changed(
        attributes=[
            attribute(code="1102", name="Emergency Food"),
            attribute(code="famille--garde-denfants", name="Garde d'enfants", taxonomy="data·inclusion"),
            attribute(name="Older adults") | {"link_type": "eligibility"},
            {"taxonomy_term": {"code": "x--y", "taxonomy": "relais:themes"}},
            {"taxonomy_term_id": "nowhere told"},
        ]
    )
    made = hsds.record(given)
    record = Record.model_validate(dict(made))
    assert "support--food-clothing" in record.themes
    assert any(slug.startswith("childcare") for slug in record.themes)
    assert [one.taxonomy_term.name for one in record.attributes if one.taxonomy_term] == [
        "Emergency Food",
        "Garde d'enfants",
        "Older adults",
        "x--y",
    ]
    assert {path for path, _what in made.remarks} == {"attributes.3", "attributes.4"}


def test_a_place_that_is_none_leaves_its_number_with_the_service() -> None:
    given = changed(
        service_at_locations=[
            *A_SERVICE["service_at_locations"],
            {"location": {"location_type": "virtual", "url": "https://example.org", "phones": [{"number": "1"}]}},
        ]
    )
    record = Record.model_validate(dict(hsds.record(given)))
    assert record.modes == ["on_site", "remote"]
    assert [one.number for one in record.phones] == ["1"]
    assert [one.url for one in record.additional_urls] == ["https://example.org"]
    assert len(record.locations) == 1


def test_what_is_unknown_is_left_out_and_said() -> None:
    made = hsds.record(changed(colour="blue", metadata=[{}], phones=[{"id": "7", "number": "1", "colour": "red"}]))
    assert dict(made.remarks) == {
        "colour": "Not a member that this directory knows: left out.",
        "metadata": "The history of its source: not taken.",
        "phones.0.colour": "Not a member that this directory knows: left out.",
        "phones.0.id": "Not a UUID: left out.",
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(a_record(), st.data())
def test_no_document_breaks_the_reading(record: dict[str, Any], data: st.DataObject) -> None:
    """Whatever stands anywhere: it is taken, or refused at a path that the document has."""
    given: Any = written(json.loads(document(ServiceRecord.model_validate(record))))
    for _each in range(data.draw(st.integers(1, 3))):
        inside = given
        while True:
            keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(inside[key], dict | list) or not inside[key] or data.draw(st.booleans()):
                inside[key] = data.draw(JSON)
                break
            inside = inside[key]
    made = hsds.record(given)
    try:
        Record.model_validate(dict(made))
    except ValidationError as fault:
        for one in fault.errors():
            field = ".".join(map(str, one["loc"]))
            path = made.where(field)
            first = path.split(".")[0]
            assert not field or first in {*given, "id", "name", "organization", "capacities", "attributes"}, path


def a_shelter() -> dict[str, Any]:
    """Answer a service at a place that nobody may find, with a telling value in every field of it."""
    told = {"id": "11111111-1111-4111-8111-111111111111", "number": "TELLING", "name": "TELLING", "code": "fr"}
    phone = {"number": "TELLING"}
    return {
        "name": "Shelter",
        "modes": ["on_site"],
        "schedules": [{"description": "TELLING"}],
        "relay_contact": {"name": "TELLING", "phone": "TELLING", "email": "TELLING"},
        "locations": [
            {
                "confidential": True,
                "record_id": "TELLING",
                "name": "TELLING",
                "alternate_name": "TELLING",
                "description": "TELLING",
                "url": "TELLING",
                "address": {
                    "attention": "TELLING",
                    "street": "TELLING",
                    "address_2": "TELLING",
                    "postcode": "6044",
                    "region": "TELLING",
                    "state_province": "TELLING",
                    "municipality": "Charleroi",
                    "municipality_code": "be:52011",
                    "country": "BE",
                    "attributes": [{"value": "TELLING"}],
                },
                "other_addresses": [{"street": "TELLING", "country": "BE"}],
                "latitude": 50.43757,
                "longitude": 4.39145,
                "wheelchair": True,
                "accessibility": [{"description": "TELLING"}],
                "opening_hours": "Mo-Fr 07:13-18:00",
                "schedules": [{"description": "TELLING"}],
                "nearest_stop": "TELLING",
                "external_identifier": "TELLING",
                "external_identifier_type": "TELLING",
                "languages": [{"name": told["name"]}],
                "phones": [phone],
                "contacts": [{"name": "TELLING", "phones": [phone]}],
                "attributes": [{"value": "TELLING"}],
            }
        ],
    }


@pytest.mark.parametrize("version", ["3.0", "3.1"])
def test_a_confidential_place_is_its_municipality_and_a_relay_contact_nobody(version: hsds.Version) -> None:
    sent = written(ServiceRecord.model_validate(a_shelter()), version=version)
    text = json.dumps(sent)
    for telling in ("TELLING", "6044", "50.43", "4.39", "07:13", "Accessible", "wheelchair"):
        assert telling not in text, telling
    location = sent["service_at_locations"][0]["location"]
    assert set(location) == {"id", "location_type", "organization_id", "addresses", "attributes"}
    assert own(location) == {"confidential": ["true"]}
    address = location["addresses"][0]
    assert (address["city"], address["address_1"], address["postal_code"]) == ("Charleroi", "Charleroi", "-")
    assert address["state_province"] == "Hainaut"
    assert set(own(address)["not_told"]) == {"address_1", "postal_code", "state_province"}
    assert "schedules" not in sent["service_at_locations"][0]
    assert faults([sent], shapes("service")) == []


def test_nothing_in_a_confidential_place_depends_on_what_is_kept_of_it() -> None:
    """Two places of one municipality cannot be told apart."""
    here, there = a_shelter(), a_shelter()
    there["locations"][0] = {
        "id": str(hsds.location_id(SERVICE, here["locations"][0], 0)),
        "confidential": True,
        "address": {"municipality": "Charleroi", "municipality_code": "be:52011", "country": "BE"},
    }
    assert written(here) == written(there)


def test_a_draft_leaves_in_no_format() -> None:
    with pytest.raises(ValueError, match="draft"):
        written({"name": "Not yet", "modes": ["remote"], "status": "draft"})


def test_what_hsds_has_members_for_stands_in_them() -> None:
    record = {
        "name": "Halte-accueil",
        "status": "temporarily_closed",
        "closed_until": "2026-12-31",
        "modes": ["on_site"],
        "conditions": [{"kind": "age", "text": "De 0 à 3 ans."}, {"kind": "area", "text": "De Charleroi."}],
        "service_area": ["be:52011", "fr:974"],
        "capacity": {"available": 2, "waiting_days": 10, "updated_at": "2026-11-01T08:00:00Z"},
        "locations": [
            {
                "address": {"municipality": "Charleroi", "municipality_code": "be:52011", "country": "BE"},
                "opening_hours": "Mo-Fr 08:00-12:00,13:00-17:00; We 08:00-12:00; PH off",
                "wheelchair": False,
            }
        ],
    }
    sent = written(record)
    assert sent["status"] == "temporarily closed"
    assert sent["eligibility_description"] == "• De 0 à 3 ans.\n• De Charleroi."
    assert [area["name"] for area in sent["service_areas"]] == ["Charleroi", "La Réunion"]
    assert sent["capacities"][0]["available"] == 2
    assert sent["capacities"][0]["unit"]["name"] == "place"
    place = sent["service_at_locations"][0]
    assert [(one["byday"], one["opens_at"], one["closes_at"]) for one in place["schedules"]] == [
        ("MO,TU,WE,TH,FR", "08:00", "12:00"),
        ("MO,TU,TH,FR", "13:00", "17:00"),
    ]
    assert place["location"]["accessibility"][0]["description"] == "Not accessible by wheelchair."
    assert (sent["organization"]["description"], own(sent["organization"])) == ("-", {"not_told": ["description"]})


def test_ids_are_there_and_stay() -> None:
    record = {"name": "A", "modes": ["remote"], "phones": [{"number": "1"}, {"number": "2"}]}
    first, again = written(record), written(deepcopy(record))
    assert first == again
    assert [one["id"] for one in first["phones"]] == [str(uuid5(SERVICE, f"phones.{number}")) for number in (0, 1)]
    given = str(uuid5(OWNER, "given"))
    record["phones"] = [{"number": "1", "id": given}]
    assert written(record)["phones"][0]["id"] == given


def test_the_older_version_goes_without_what_the_newer_brought() -> None:
    record = {
        "name": "A",
        "modes": ["remote"],
        "additional_urls": [{"url": "https://example.org"}],
        "capacity": {"available": 2, "updated_at": "2026-11-01T08:00:00Z"},
        "attributes": [{"label": "x", "value": "y"}],
    }
    newer, older = written(record), written(record, version="3.0")
    assert {"additional_urls", "capacities"} <= set(newer)
    assert not {"additional_urls", "capacities"} & set(older)
    assert newer["attributes"][-1]["label"] == "x"
    assert "label" not in older["attributes"][-1]


def test_a_list_shows_plain_members_alone() -> None:
    record = {
        "name": "A",
        "modes": ["remote"],
        "phones": [{"number": "1"}],
        "program": {"name": "P", "description": "D"},
    }
    sent = written(record, {"name": "O", "phones": [{"number": "2"}]}, full=False)
    whole = [sent, sent["organization"], sent["program"]]
    assert [name for part in whole for name, value in part.items() if isinstance(value, list)] == []
    assert faults([sent], shapes("service")) == []


def test_a_place_is_shown_with_its_service() -> None:
    sent = written(dict(a_shelter()))
    full, short = (hsds.service_at_location(sent, 0, full=full) for full in (True, False))
    assert faults([full, short], shapes("service_at_location")) == []
    assert full["service"]["attributes"]
    assert "service_at_locations" not in full["service"]
    assert not any(
        isinstance(value, list) for part in (short, short["service"], short["location"]) for value in part.values()
    )


def test_our_taxonomies_and_terms_are_whole() -> None:
    assert faults(hsds.taxonomies(), shapes("taxonomy")) == []
    terms = hsds.taxonomy_terms()
    assert faults(terms, shapes("taxonomy_term")) == []
    ids = [term["id"] for term in terms]
    assert len(set(ids)) == len(ids)
    seen: set[str] = set()
    for term in terms:
        assert term.get("parent_id") is None or term["parent_id"] in seen
        seen.add(term["id"])


def test_history_is_told_without_contacts_and_places() -> None:
    def row(field: str, before: Any, after: Any) -> dict[str, Any]:
        return {
            "id": 1, "resource_id": SERVICE, "resource_type": "service", "at": datetime(2026, 11, 1, tzinfo=UTC),
            "action": "update", "field_name": field, "previous_value": before, "replacement_value": after,
            "updated_by": "client:x",
        }  # fmt: skip

    told = hsds.metadata(row("fees", None, "5 euros"))
    assert told is not None
    assert (told["field_name"], told["previous_value"], told["replacement_value"]) == (
        "fees_description",
        "",
        "5 euros",
    )
    place = hsds.metadata(row("locations.0.address.street", "TELLING", "TELLING"))
    assert place is not None
    assert "TELLING" not in json.dumps(place)
    assert faults([told, place], shapes("metadata")) == []
    assert hsds.metadata(row("relay_contact.name", "A", "B")) is None
    above = hsds.metadata(row("parent_organisation_id", None, str(SERVICE)) | {"resource_type": "organization"})
    assert above is not None
    assert above["field_name"] == "parent_organization_id"


@pytest.mark.parametrize(
    ("text", "code"),
    [("UK", "GB"), ("us", "US"), ("Belgium", "BE"), ("België", "BE"), ("U.S.A.", "US"), ("be", "BE"), ("Mordor", None)],
)
def test_countries_are_known_by_their_names(text: str, code: str | None) -> None:
    assert naming.country(text) == code


@pytest.mark.parametrize(("text", "code"), [("Spanish", "es"), ("eng", "en"), ("Néerlandais", "nl"), ("Klingon", None)])
def test_languages_are_known_by_their_names(text: str, code: str | None) -> None:
    assert naming.language(text) == code
