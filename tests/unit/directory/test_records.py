"""The canonical record: what it takes, what it refuses, and why."""

from copy import deepcopy
from typing import Any

import pytest

from relais_directory.gazetteer import Place
from relais_directory.judging import Judged, Points, document, judge
from relais_directory.records import Record, unstorable

GOOD: dict[str, Any] = {
    "record_id": "1",
    "organisation": {"record_id": "o", "name": "Les Marmousets"},
    "name": "Halte-garderie",
    "themes": ["childcare--nursery", "childcare", "childcare"],
    "modes": ["on_site"],
    "locations": [
        {
            "record_id": "1",
            "address": {"municipality": "Charleroi", "postcode": "6000", "country": "BE"},
            "latitude": 50.411,
            "longitude": 4.444,
            "opening_hours": "Mo-Fr 08:00-18:00",
        }
    ],
}


def place(code: str, name: str, postcodes: str, point: tuple[float, float]) -> Place:
    """Answer a municipality."""
    country = code[:2]
    return Place(
        code=code, kind="municipality", parent="", country=country, region="", province="", name=name, name_fr="",
        name_nl="", name_de="", other_names=(), postcodes=tuple(postcodes.split()), latitude=point[0],
        longitude=point[1], precision="exact", population=1,
    )  # fmt: skip


POINTS = Points(
    [
        place("be:52011", "Charleroi", "6000 6001", (50.411, 4.444)),
        place("fr:97416", "Saint-Pierre", "97410 97432", (-21.34, 55.48)),
        place("fr:67439", "Saint-Pierre", "67140", (48.38, 7.47)),
        place("fr:01290", "Port", "01460", (46.16, 5.57)),
        place("fr:97407", "Le Port", "97420", (-20.94, 55.29)),
    ]
)


def changed(path: str, value: Any) -> dict[str, Any]:
    """Answer the good record with one value changed; `path` as in a report."""
    record = deepcopy(GOOD)
    *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
    part: Any = record
    for step in way:
        part = part[step]
    part[last] = value
    return record


def test_a_good_record_is_taken() -> None:
    judged = judge(GOOD, 3, POINTS)
    assert isinstance(judged, Judged)
    assert judged.record.themes == ["childcare--nursery", "childcare"]
    assert [each and each.code for each in judged.places] == ["be:52011"]
    assert judged.flags == ()
    again = judge(deepcopy(GOOD) | {"free": None}, 9, POINTS)
    assert isinstance(again, Judged)
    assert document(again.record) == document(judged.record)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("record_id", "", "record_id"),
        ("record_id", 7, "record_id"),
        ("name", " ", "name"),
        ("name", "x" * 501, "name"),
        ("organisation", {"name": "x"}, "organisation.record_id"),
        ("organisation.id", "x", "organisation.id"),
        ("themes", ["nonsense"], "themes"),
        ("audiences", ["nonsense"], "audiences"),
        ("languages", ["français"], "languages.0.code"),
        ("modes", [], "modes"),
        ("modes", ["by_post"], "modes.0"),
        ("unheard_of", 1, "unheard_of"),
        ("service_area", ["52011"], "service_area.0"),
        ("capacity", {"available": -1, "updated_at": "2026-03-02T12:00:00Z"}, "capacity.available"),
        ("capacity", {"available": 1, "updated_at": "2026-03-02T12:00:00"}, "capacity.updated_at"),
        ("assured_at", "1999-12-31", "assured_at"),
        ("assured_at", "yesterday", "assured_at"),
        ("conditions", [{"kind": "hair", "text": "x"}], "conditions.0.kind"),
        ("can_receive", "pigeon", "can_receive"),
        ("locations.0.latitude", 91, "locations.0.latitude"),
        ("locations.0.longitude", -181, "locations.0.longitude"),
        ("locations.0.longitude", None, "locations.0.latitude"),
        ("locations.0.latitude", float("nan"), "locations.0.latitude"),
        ("locations.0.address.country", "Belgium", "locations.0.address.country"),
        ("locations.0.address.postcode", "6000; drop", "locations.0.address.postcode"),
        ("locations.0.opening_hours", "lundi matin", "locations.0.opening_hours"),
        ("locations", [], "locations"),
        ("locations.0.latitude", -50.411, "locations.0"),
        ("locations.0.latitude", 4.444, "locations.0"),
        ("locations.0", {"record_id": "1", "address": {"country": "BE"}}, "locations.0"),
        (
            "locations.0",
            {"record_id": "1", "address": {"country": "BE"}, "latitude": 50, "longitude": 4, "confidential": True},
            "locations.0",
        ),
        ("name", "a\0b", "name"),
        ("description", "\ud800", "description"),
        ("reception", {"deep": [{"er": float("inf")}]}, "reception.deep"),
        ("reception", {"\0": 1}, "reception"),
    ],
)
def test_each_fault_is_named(path: str, value: Any, field: str) -> None:
    refused = judge(changed(path, value), 3, POINTS)
    assert isinstance(refused, list)
    assert [(one.line, one.field) for one in refused] == [(3, field)]
    assert all(one.reason for one in refused)


def test_every_fault_of_a_record_is_told_at_once() -> None:
    refused = judge(GOOD | {"name": "", "modes": [], "themes": ["x"]}, 3, POINTS)
    assert isinstance(refused, list)
    assert {one.field for one in refused} == {"name", "modes", "themes"}
    assert {one.record for one in refused} == {"1"}


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("locations.0.latitude", 50.8, "43 km"),
        ("locations.0", {"record_id": "1", "address": GOOD["locations"][0]["address"]}, "centre of its municipality"),
        ("themes", [], "No theme"),
        # Hainaut as its statisticians number it: search knows municipalities and départements.
        ("service_area", ["be:52011", "be:50000", "fr:974", "lu:0304"], "No area"),
    ],
)
def test_what_is_odd_is_taken_and_told(path: str, value: Any, said: str) -> None:
    judged = judge(changed(path, value), 3, POINTS)
    assert isinstance(judged, Judged)
    assert len(judged.flags) == 1
    assert said in judged.flags[0].reason


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ({"municipality_code": "fr:67439"}, "fr:67439"),
        ({"municipality": "SAINT PIERRE", "postcode": "97432"}, "fr:97416"),
        ({"municipality": "Saint-Pierre", "postcode": "97499"}, "fr:97416"),
        ({"municipality": "Saint-Pierre"}, None),
        ({"municipality": "Le Port"}, "fr:97407"),
        # Spelt like a town at the other end of the country: the postcode knows better.
        ({"municipality": "Port", "postcode": "97420"}, "fr:97407"),
        ({"municipality": "Port", "postcode": "75001"}, None),
        ({"municipality": "Saint-Pierre", "postcode": "33000"}, None),
        ({}, None),
    ],
)
def test_a_municipality_is_told_from_its_namesakes(address: dict[str, str], code: str | None) -> None:
    record = changed("locations.0.address", {"country": "FR", **address})
    location = Record.model_validate(record).locations[0]
    found = POINTS.municipality(location)
    assert (found and found.code) == code


def test_what_can_be_stored_is_not_complained_of() -> None:
    assert unstorable({"a": [1, 1.5, "é\n", None, True, {"b": "\U0001f600"}]}) is None
