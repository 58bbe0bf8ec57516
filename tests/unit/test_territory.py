"""The demonstration territory: reviewable, repeatable, believable, and plainly a demonstration."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import date, datetime
from itertools import pairwise
from math import dist
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from opening_hours import OpeningHours

from relais_directory.data import audiences, themes
from relais_directory.domain.geo import position
from relais_directory.formats import gtfs
from relais_directory.gazetteer import read_places
from relais_local.territory import sandbox
from relais_local.territory.generate import AS_OF, localities, organisations, services
from relais_referral.domain import rehearsal
from relais_referral.schemas.steps import DeclineReason

Json = dict[str, Any]
REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "data" / "gazetteer"


@pytest.fixture(scope="module")
def offered() -> list[Json]:
    """Every service of the territory."""
    return services(AS_OF)


def test_the_same_day_gives_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    """The command writes what the functions make, whatever the hash seed of the process."""
    for seed in ("0", "1"):
        subprocess.run(
            [sys.executable, "-m", "relais_local.territory", str(tmp_path / seed)],
            check=True,
            capture_output=True,
            env={"PYTHONHASHSEED": seed},
        )

    for name, made in (
        ("organisations", organisations() + sandbox.organisations()),
        ("services", services(AS_OF) + sandbox.services(AS_OF)),
    ):
        first, second = ((tmp_path / seed / f"{name}.json").read_bytes() for seed in ("0", "1"))
        assert first == second
        assert json.loads(first) == made
    first, second = ((tmp_path / seed / "stops.csv").read_bytes() for seed in ("0", "1"))
    assert first == second


def test_most_sites_have_a_stop_to_walk_to(tmp_path: Path, offered: list[Json]) -> None:
    """The table is one that the directory reads, and no stop is called as another one of its locality."""
    subprocess.run([sys.executable, "-m", "relais_local.territory", str(tmp_path)], check=True, capture_output=True)
    read = list(gtfs.stops(tmp_path / "stops.csv"))
    assert all(isinstance(one, gtfs.StopRow) for one in read)
    assert len({one.name for one in read if isinstance(one, gtfs.StopRow)}) == len(read) > 100
    at = [position(one.latitude, one.longitude) for one in read if isinstance(one, gtfs.StopRow)]
    sites = {(place["latitude"], place["longitude"]) for record in offered for place in record.get("locations", ())}
    near = [site for site in sites if min(dist(position(*site), stop) for stop in at) < 900]
    assert len(near) > len(sites) * 0.9


def test_another_day_moves_dates_and_nothing_else(offered: list[Json]) -> None:
    """Seen a year later, the same services have been confirmed as recently."""
    later = services(date(2027, 11, 16))

    def undated(record: Json) -> Json:
        dated = {"assured_at", "updated_at", "capacity", "reception"}
        return {key: value for key, value in record.items() if key not in dated}

    assert [undated(record) for record in later] == [undated(record) for record in offered]
    assert all(record["assured_at"] <= "2027-11-16" for record in later)


def test_there_are_twelve_organisations_with_their_parts() -> None:
    """Six that hand over both ways, a platform, one that may sanction, one that only controls."""
    by_name = {row["name"]: row for row in organisations()}
    handing_over = [
        row
        for row in by_name.values()
        if {"directory:read", "referral:send", "referral:receive"} <= set(row["clients"][0]["scopes"])
        and not row["may_sanction"]
    ]
    platform = [row for row in by_name.values() if "platform:admin" in row["scopes"]]
    sanctioning = [row for row in by_name.values() if row["may_sanction"] and not row["control_unit"]]
    controlling = [row for row in by_name.values() if row["control_unit"]]

    assert len(by_name) == 12
    assert len(handing_over) == 6
    assert all(row["agreement"] and len(row["users"]) == 2 for row in handing_over)
    assert [row["clients"][0]["scopes"] for row in platform] == [["platform:admin", "trace:read"]]
    assert platform[0]["agreement"]
    assert [user["roles"] for user in platform[0]["users"]] == [["administrator"]]
    assert len(sanctioning) == len(controlling) == 1
    assert sanctioning[0]["agreement"]
    assert not any(scope.startswith("referral:") for scope in controlling[0]["scopes"])


def test_two_counsellors_make_a_team_that_one_of_them_leads() -> None:
    """Who leads administers her own organisation as well, where that is granted, and nowhere else."""
    for row in organisations():
        counsellors = [user for user in row["users"] if "counsellor" in user["roles"]]
        assert [team["members"] for team in row["teams"]] == (
            [[one["email"] for one in counsellors]] if counsellors else []
        )
        for team in row["teams"]:
            assert team["lead"] == counsellors[0]["email"]
            assert ("administrator" in counsellors[0]["roles"]) == ("org:admin" in row["scopes"])
            assert ("data_manager" in counsellors[1]["roles"]) == ("directory:write" in row["scopes"])
    assert sum(len(row["users"]) == 2 for row in organisations()) >= 2


def test_a_referral_scope_needs_an_agreement() -> None:
    """The gateway would refuse the grant."""
    for row in organisations():
        if any(scope.startswith("referral:") for scope in row["scopes"]):
            assert row["agreement"]
        assert all(set(client["scopes"]) <= set(row["scopes"]) for client in row["clients"])


def test_organisations_keep_their_ids(offered: list[Json]) -> None:
    """The registry and the directory speak of the same ones, today and after an update."""
    ids = {row["id"]: row["name"] for row in organisations()}

    assert len(ids) == 12
    assert "fa0eb86e-0d46-5ad3-b9f5-bead280c8330" in ids
    for record in offered:
        assert ids[record["organisation"]["id"]] == record["organisation"]["name"]


def test_everything_says_that_it_is_a_demonstration(offered: list[Json]) -> None:
    """No entry, copied on its own, can be taken for a real service."""
    assert all("(démonstration)" in row["name"] for row in organisations())
    for record in offered:
        assert record["description"].endswith("Fiche de démonstration.")
        assert "démonstration" in record["keywords"]


def test_no_contact_leads_anywhere(offered: list[Json]) -> None:
    """Addresses under `.example`, and numbers that no subscriber can have."""
    text = json.dumps([offered, organisations()], ensure_ascii=False)

    assert all(found.endswith(".example") for found in re.findall(r"[\w.-]+@([\w.-]+)", text))
    assert all(found.endswith(".example") for found in re.findall(r"https?://([^/\"]+)", text))
    assert all(found.startswith("+32 71 00 ") for found in re.findall(r"\+\d[\d ]{6,}", text))


def test_there_is_enough_of_everything(offered: list[Json]) -> None:
    """At least 400 services over the four themes, each with its own id and name."""
    roots = [{theme.partition("--")[0] for theme in record["themes"]} for record in offered]

    assert len(offered) >= 400
    assert len({record["record_id"] for record in offered}) == len(offered)
    assert len({record["name"] for record in offered}) == len(offered)
    for theme in ("childcare", "mobility", "training", "support"):
        assert sum(theme in found for found in roots) >= 100


def test_themes_audiences_and_places_are_known(offered: list[Json]) -> None:
    """Every slug and code is one of the directory's own."""
    places = {place.code: place for place in read_places() if place.country == "be"}
    used = {theme for record in offered for theme in record["themes"]}

    assert used <= set(themes())
    assert {theme.parent or theme.slug for slug, theme in themes().items() if slug in used} == {
        "childcare",
        "mobility",
        "training",
        "support",
    }
    assert {slug for record in offered for slug in record["audiences"]} <= set(audiences())
    for record in offered:
        assert set(record.get("service_area", ())) <= set(places)
        for location in record["locations"]:
            address = location["address"]
            assert places[address["municipality_code"]].name == address["municipality"]
            assert address["postcode"] in places[address["municipality_code"]].postcodes


def test_localities_are_those_of_the_gazetteer() -> None:
    """The small table beside the generator has not drifted from its source."""
    places = {place.code: place for place in read_places() if place.country == "be"}

    for locality in localities():
        place = places[f"{locality.municipality_code}/{locality.key}"]
        assert (place.name, place.latitude, place.longitude) == (
            locality.name,
            locality.latitude,
            locality.longitude,
        )
        assert locality.postcode in place.postcodes


def test_what_comes_to_the_person_says_where(offered: list[Json]) -> None:
    """A service is given somewhere, or comes to some municipalities; never neither."""
    for record in offered:
        assert record["modes"]
        assert ("on_site" in record["modes"]) == bool(record["locations"])
        assert record["locations"] or record["service_area"]


def test_opening_hours_can_be_evaluated(offered: list[Json]) -> None:
    """Each timetable is OpenStreetMap syntax that the directory's library reads."""
    tuesday_morning = datetime(2026, 11, 17, 10, 30)  # noqa: DTZ001 - the library takes the time of the place
    written = {location["opening_hours"] for record in offered for location in record["locations"]}
    written |= {record["relay_contact"]["hours"] for record in offered if "relay_contact" in record}

    states = [OpeningHours(hours).is_open(tuesday_morning) for hours in written]

    assert any(states)
    assert not all(states)


def test_dates_lie_before_the_day_it_is_seen_on(offered: list[Json]) -> None:
    """Nothing was confirmed or told in the future; some of it long ago."""
    for record in offered:
        assert record["assured_at"] <= AS_OF.isoformat()
        assert record["reception"]["confirmed_at"] <= AS_OF.isoformat()
        if told := record.get("capacity"):
            assert told["updated_at"][:10] <= AS_OF.isoformat()
            assert (told["available"] > 0) == (told["waiting_days"] == 0)


def test_sites_lie_in_their_municipality(offered: list[Json]) -> None:
    """Shifted off the centre of the locality, a site does not cross the border of the municipality."""
    file = REFERENCE / "be_municipalities.geojson"
    if not file.exists():
        pytest.skip("The reference outlines are not beside this checkout.")
    shapes = {
        f"be:{feature['id']}": feature["geometry"]
        for feature in json.loads(file.read_text(encoding="utf-8"))["features"]
    }

    def inside(ring: list[list[float]], x: float, y: float) -> bool:
        return (
            sum(
                (a[1] > y) != (b[1] > y) and x < (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]) + a[0]
                for a, b in pairwise(ring)
            )
            % 2
            == 1
        )

    astray = []
    for record in offered:
        for location in record["locations"]:
            shape = shapes[location["address"]["municipality_code"]]
            polygons = [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]
            if not any(inside(polygon[0], location["longitude"], location["latitude"]) for polygon in polygons):
                astray.append(location["record_id"])

    assert astray == []


def test_the_sandbox_answers_in_each_way_and_in_the_directory_is_what_answers() -> None:
    """Its services bear the ids by which the referral app knows them, every reason to decline among them."""
    there = {UUID(record["id"]): record for record in sandbox.services(AS_OF)}

    assert there.keys() == rehearsal.SERVICES.keys()
    assert {way.reason for way in rehearsal.Way if way.reason} == set(DeclineReason)
    assert all(row["practice"] for row in sandbox.organisations())
    assert all(record["organisation"]["id"] == sandbox.organisations()[1]["id"] for record in there.values())
