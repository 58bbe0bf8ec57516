"""Imports: all of a file or nothing, twice as once, and a reason for every row that was not taken."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from api.directory.conftest import reading
from geographiclib.geodesic import Geodesic
from support.rows import tables
from support.stack import OWN_THEME

from relais_directory import actions, importing, importing_stops
from relais_directory.formats.reading import UnreadableFile
from relais_directory.importing import Options, Report
from relais_directory.writing import Author
from relais_local.databases import Access
from relais_shared.auth import Keyring

pytestmark = pytest.mark.anyio

RESOURCES = Path(__file__).resolve().parents[4] / "shared" / "data" / "resources"
REUNION = RESOURCES / "fr_974_data_inclusion_services.json"
SAINT_DENIS = {"postcode": "97400", "radius_km": 30, "limit": 100}


@dataclass(frozen=True)
class Directory:
    """A directory of a test's own: a connection to fill it, and a client to search it."""

    access: Access
    connection: asyncpg.Connection
    client: httpx.AsyncClient
    folder: Path

    async def take(self, content: Any, name: str = "a.json", **options: Any) -> Report:
        """Import a file with some content: records for JSON, text for anything else."""
        file = self.folder / name
        file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return await self.imported(file, **options)

    async def imported(self, file: Path, **options: Any) -> Report:
        """Import a file."""
        return await importing.run(self.connection, file, Options(**options), Author("test", datetime.now(UTC)))

    async def found(self, **params: Any) -> list[dict[str, Any]]:
        """Answer the items of a search, of all pages."""
        items: list[dict[str, Any]] = []
        while True:
            answer = await self.client.get("/v1/directory/search", params=params)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            items += page["items"]
            if page["next_cursor"] is None:
                return items
            params["cursor"] = page["next_cursor"]

    async def names(self, **params: Any) -> list[str]:
        """Answer the names that a search finds, in order of the alphabet."""
        return sorted([item["service"]["name"] for item in await self.found(**params)])

    async def everything(self) -> dict[str, list[str]]:
        """Answer every row of every table."""
        found = await asyncio.to_thread(tables, self.access.owner_dsn)
        return {name: sorted(rows) for name, rows in found.items()}


@pytest.fixture(name="directory")
async def _directory(
    home: Path, fresh_database: Callable[[str], Access], gateway: Keyring, tmp_path: Path
) -> AsyncIterator[Directory]:
    """Answer an empty directory with vocabularies and gazetteer."""
    del home
    access = await asyncio.to_thread(fresh_database, "directory")
    connection = await asyncpg.connect(access.dsn)
    await actions.load_vocabularies(connection)
    await actions.load_gazetteer(connection)
    async with reading(access.dsn, gateway) as client:
        yield Directory(access, connection, client, tmp_path)
    await connection.close()


def service(number: int, **changes: Any) -> dict[str, Any]:
    """Answer a canonical record in Charleroi."""
    return {
        "record_id": f"r{number}",
        "organisation": {"record_id": "o1", "name": "Les Marmousets"},
        "name": f"Service {number}",
        "themes": ["childcare"],
        "modes": ["on_site"],
        "locations": [
            {
                "record_id": "1",
                "address": {"municipality_code": "be:52011", "municipality": "Charleroi", "country": "BE"},
                "latitude": 50.411,
                "longitude": 4.444,
            }
        ],
    } | changes


async def test_the_services_of_la_reunion_are_where_they_are(directory: Directory) -> None:
    """The file lost the minus sign of its latitudes; its mapping gives it back."""
    if not REUNION.exists():
        pytest.skip("The services of La Réunion are not beside this checkout (../shared/data/resources).")
    first = await directory.imported(REUNION)
    assert first.read == 2_705
    assert first.read == first.new + first.refused
    assert first.refused == len(first.refusals) == sum(first.reasons.values()) == 0
    assert {flag.reason.partition(":")[0] for flag in first.flags} <= {
        "No point",
        "No theme that we know",
        "The point lies 32 km from its municipality",
        "The point lies 40 km from its municipality",
    }
    before = await directory.everything()

    again = await directory.imported(REUNION)
    assert (again.read, again.unchanged, again.new, again.changed, again.retired) == (2_705, 2_705, 0, 0, 0)
    after = await directory.everything()
    assert len(after.pop("import_job")) == len(before.pop("import_job")) + 1
    assert after == before

    bounds = await directory.connection.fetchrow(
        "select min((l ->> 'latitude')::float) as s, max((l ->> 'latitude')::float) as n,"
        " min((l ->> 'longitude')::float) as w, max((l ->> 'longitude')::float) as e"
        " from service, jsonb_array_elements(record -> 'locations') l"
    )
    assert bounds is not None
    assert -21.4 < bounds["s"] < bounds["n"] < -20.8
    assert 55.2 < bounds["w"] < bounds["e"] < 55.9

    items = await directory.found(theme="childcare", **SAINT_DENIS)
    told = [item["distance_m"] for item in items if item["distance_m"] is not None]
    assert len(told) > 50
    assert told == sorted(told)
    assert any("crèche" in item["service"]["name"].lower() for item in items[:10])
    start = await directory.connection.fetchrow(
        "select avg(latitude) as lat, avg(longitude) as lon from place"
        " where '97400' = any(postcodes) and (kind = 'locality') = exists"
        " (select from place where '97400' = any(postcodes) and kind = 'locality')"
    )
    assert start is not None
    for item in items:
        if item["distance_m"] is not None:
            there = item["location"]["latitude"], item["location"]["longitude"]
            true = Geodesic.WGS84.Inverse(start["lat"], start["lon"], *there)["s12"]
            assert abs(item["distance_m"] - true) <= max(1, true * 0.005)


V1 = {
    "source": "dora",
    "id": "dora--1",
    "structure_id": "dora--s",
    "nom": "Atelier numérique",
    "description": "On apprend à se servir d'un ordinateur.",
    "date_maj": "2026-01-15",
    "thematiques": ["numerique--maitriser-les-fondamentaux-du-numerique"],
    "modes_accueil": ["en-presentiel"],
    "commune": "Lille",
    "code_postal": "59000",
    "code_insee": "59350",
    "latitude": 50.633,
    "longitude": 3.059,
    "courriel": "accueil@service.example",
}


async def test_data_inclusion_v1_is_known_by_its_fields(directory: Directory) -> None:
    rows = [
        V1,
        V1 | {"id": "dora--2", "structure_id": "dora--t", "structure": {"nom": "Auto-école"}},
        V1 | {"id": "dora--3", "structure_id": "dora--u", "structure": "not an object"},
        V1 | {"id": "dora--4", "code_postal": "5"},
    ]
    beside = directory.folder / "structures.json"
    beside.write_text(json.dumps([{"id": "dora--s", "nom": "La Structure"}]))
    report = await directory.take(rows, "v1.json", structures=str(beside))
    assert (report.read, report.new, report.refused) == (4, 3, 1)
    assert [(one.record, one.field) for one in report.refusals] == [("dora--4", "code_postal")]
    items = await directory.found(postcode="fr:59000", theme="training")
    assert {item["organisation"]["name"] for item in items} == {"La Structure", "Auto-école", "Structure dora--u"}
    assert {item["can_receive"] for item in items} == {"guest"}
    assert {item["freshness"]["assured_at"] for item in items} == {"2026-01-15"}


MAPPING = """
source = "commune"
[record]
record_id = { column = "Nr" }
name = { column = "Naam" }
themes = [{ constant = "childcare" }]
modes = [{ constant = "on_site" }]
free = { column = "Gratis", steps = ["yes_no"] }
[record.organisation]
record_id = { column = "Org" }
name = { column = "Org" }
[[record.locations]]
record_id = { column = "Nr" }
latitude = { column = "Lat", steps = ["decimal_comma"] }
longitude = { column = "Lon", steps = ["decimal_comma"] }
[record.locations.address]
postcode = { column = "PC" }
country = { constant = "BE" }
"""
TABLE = """\ufeffNr;Naam;Gratis;Org;PC;Lat;Lon
1;"Crèche ""A""; Charleroi";ja;Stad;6000;50,411;4,444
2;Crèche B;nee;Stad;6000;50,412;4,445
3;Crèche C;misschien;Stad;6000;50,412;4,445
4;Crèche D;ja;Stad;6000;vijftig;4,445
"""


async def test_a_table_is_read_by_a_mapping_file(directory: Directory) -> None:
    (directory.folder / "mine.toml").write_text(MAPPING)
    with pytest.raises(UnreadableFile, match="No mapping fits"):
        await directory.take(TABLE, "table.csv")
    report = await directory.take(TABLE, "table.csv", mapping=str(directory.folder / "mine.toml"))
    assert report.summary() == {
        "read": 4, "new": 2, "changed": 0, "unchanged": 0, "kept": 0, "retired": 0, "refused": 2, "flagged": 0,
    }  # fmt: skip
    assert [(one.line, one.record, one.field, one.reason) for one in report.refusals] == [
        (4, "3", "Gratis", "neither yes nor no"),
        (5, "4", "Lat", "not a number"),
    ]
    items = await directory.found(postcode="6000", q="crèche")
    assert [(item["service"]["name"], item["free"]) for item in items] == [
        ('Crèche "A"; Charleroi', True),
        ("Crèche B", False),
    ]
    stored = json.loads(await directory.connection.fetchval("select report::text from import_job"))
    assert stored == report.as_json()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", json.dumps([service(n) for n in range(800)], indent=0)[:-9_000] + "oops"),
        ("a.json", json.dumps([service(n) for n in range(800)])[:-2]),
        ("a.jsonl", "\n".join(json.dumps(service(n)) for n in range(800)) + "\n{"),
    ],
)
async def test_a_file_that_breaks_in_the_middle_changes_nothing(directory: Directory, name: str, content: str) -> None:
    await directory.take([service(1), service(9_000)], source="a")
    before = await directory.everything()
    with pytest.raises(UnreadableFile, match=r"Line \d+"):
        await directory.take(content, name, source="a")
    after = await directory.everything()
    # The attempt is on record, with its reason; nothing else is.
    assert len(after.pop("import_job")) == len(before.pop("import_job")) + 1
    assert after == before
    assert "Line" in await directory.connection.fetchval("select reason from import_job where state = 'failed'")
    assert sum(map(len, before.values())) > 40_000  # the gazetteer is among them


async def test_a_word_finds_its_theme_and_who_bears_it(directory: Directory) -> None:
    """`crèche` means the nursery; a service that is called so is found beside it, and after it."""
    rows = [
        service(1, name="Crèche des Haies"),
        service(2, name="Les Petits", themes=["childcare--nursery"]),
        service(3, name="Atelier vélo", themes=["mobility--bike"]),
    ]
    await directory.take(rows)
    found = await directory.found(q="crèches", postcode="6000")
    assert [item["service"]["name"] for item in found] == ["Les Petits", "Crèche des Haies"]


async def test_what_left_the_source_is_retired_and_comes_back(directory: Directory) -> None:
    await directory.take([service(1), service(2), service(3)])
    second = await directory.take([service(1), service(2, name="Service deux")])
    assert (second.unchanged, second.changed, second.retired) == (1, 1, 1)
    assert await directory.names(postcode="6000") == ["Service 1", "Service deux"]
    assert await directory.names(q="service", postcode="6000") == ["Service 1", "Service deux"]
    left = importing.service_id("a", "r3")
    whole = await directory.client.get(f"/v1/directory/services/{left}")
    assert (whole.status_code, whole.json()["status"]) == (200, "inactive")

    third = await directory.take([service(1), service(2, name="Service deux"), service(3)])
    assert (third.unchanged, third.changed, third.retired) == (2, 1, 0)
    assert await directory.names(postcode="6000") == ["Service 1", "Service 3", "Service deux"]


async def test_a_refused_row_has_not_left(directory: Directory) -> None:
    """What was known of it stays; and a file of which nothing can be taken retires nobody."""
    await directory.take([service(1), service(2), service(3)])
    report = await directory.take([service(1), service(2, modes=[])])
    assert (report.unchanged, report.refused, report.retired) == (1, 1, 1)
    assert await directory.names(postcode="6000") == ["Service 1", "Service 2"]
    for nothing in ([], [service(7, modes=[]), {"no": "id"}, 5]):
        report = await directory.take(nothing, mapping="canonical")
        assert (report.refused, report.retired) == (len(nothing), 0)
    assert await directory.names(postcode="6000") == ["Service 1", "Service 2"]


async def test_a_feed_without_a_stop_takes_none_away(directory: Directory) -> None:
    file = directory.folder / "stops.txt"
    header = "stop_id,stop_name,stop_lat,stop_lon\n"
    for rows, told in (("1,Gare,50.41,4.44\n", (1, 0)), ("", (0, 0)), ("2,Gare,50.41,4.44\n", (1, 1))):
        file.write_text(header + rows)
        report = await importing_stops.run(directory.connection, file, "t")
        assert (report.taken, report.gone) == told


def moved(latitude: float) -> dict[str, Any]:
    """Answer a record whose place was moved along its meridian."""
    record = deepcopy(service(1))
    record["locations"][0]["latitude"] = latitude
    return record


async def test_a_file_that_lacks_most_of_its_source_is_believed_the_second_time(directory: Directory) -> None:
    """One that was cut between two rows looks like one from which they were taken out: one night's grace."""
    whole, cut = [service(number) for number in range(30)], [service(number) for number in range(3)]
    await directory.take(whole)
    for rows, retired, held in ((cut, 0, 27), (whole, 0, 0), (cut, 0, 27), (cut, 27, 0), (cut, 0, 0)):
        report = await directory.take(rows)
        assert (report.retired, report.held, report.flagged) == (retired, held, int(held > 0))
        assert len(await directory.names(postcode="6000", limit=100)) == (3 if rows is cut and not held else 30)
    # Half of a small list, or less than half of a large one, is a change like any other.
    await directory.take(whole)
    assert (await directory.take(whole[:16])).retired == 14
    assert (await directory.take(whole[:2])).retired == 14


async def test_a_point_far_from_its_municipality_is_refused_with_its_distance(directory: Directory) -> None:
    report = await directory.take([moved(50.411 - 4.5)])
    assert (report.read, report.refused) == (1, 1)
    away = Geodesic.WGS84.Inverse(50.411, 4.444, 50.411 - 4.5, 4.444)["s12"] / 1000
    assert round(away) in range(498, 503)
    assert report.refusals[0].reason == f"The point lies {away:.0f} km from its municipality."
    flagged = await directory.take([moved(50.8)])
    assert (flagged.new, flagged.flagged) == (1, 1)
    assert "43 km" in flagged.flags[0].reason


async def test_a_record_that_comes_twice_is_taken_once(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one batch or in two, the first is taken."""
    for batch in (500, 2):
        monkeypatch.setattr(importing, "BATCH", batch)
        rows = [service(1), service(1, name="again"), service(2), service(3), service(1, name="again")]
        report = await directory.take(rows, source=f"batch {batch}")
        assert (report.read, report.new, report.refused) == (5, 3, 2)
        assert {(one.record, one.field, one.reason) for one in report.refusals} == {
            ("r1", "record_id", "Twice in this file.")
        }
    assert await directory.names(postcode="6000") == sorted(["Service 1", "Service 2", "Service 3"] * 2)


async def test_an_id_that_is_anothers_refuses_its_row_alone(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record id of another entry, or another service's id at its place: one reason, and the rest is taken."""
    for batch in (500, 1):
        monkeypatch.setattr(importing, "BATCH", batch)
        source = f"batch {batch}"
        at = str(UUID(int=batch))
        there = service(1)["locations"][0] | {"at_id": at}
        rows = [
            service(1, locations=[there]),
            service(2, locations=[there]),
            service(3),
            service(3, id=str(UUID(int=batch + 1))),
            service(4, locations=[there, there | {"record_id": "2"}]),
        ]
        first = await directory.take(rows, source=source)
        assert (first.new, first.refused) == (2, 3)
        assert [(one.record, one.field) for one in first.refusals if one.record != "r3"] == [
            ("r4", "row"),
            ("r2", "locations.0.at_id"),
        ] or batch == 1
        # Whoever begins to tell ids loses nothing of what stood here without them.
        later = await directory.take([service(1, id=str(UUID(int=batch + 2))), service(5)], source=source)
        assert (later.new, later.refused, later.retired) == (1, 1, 1)
        assert later.refusals[0].field == "id"
    assert await directory.names(postcode="6000") == ["Service 1", "Service 1", "Service 5", "Service 5"]


async def test_what_its_source_says_is_over_changes_once(directory: Directory) -> None:
    rows = [service(1), service(2, status="retired")]
    assert (await directory.take(rows)).new == 2
    second = await directory.take(rows)
    assert (second.changed, second.unchanged) == (0, 2)
    third = await directory.take([service(1, status="retired"), service(2)])
    assert (third.changed, third.unchanged) == (2, 0)
    assert await directory.names(postcode="6000") == ["Service 2"]


async def test_two_sources_tell_of_a_service_each_for_itself(directory: Directory) -> None:
    await directory.take([service(1)], "a.json")
    await directory.take([service(1, name="Service un"), service(2)], "b.json")
    assert await directory.names(postcode="6000") == ["Service 1", "Service 2", "Service un"]
    report = await directory.take([service(2)], "b.json")
    assert report.retired == 1
    assert await directory.names(postcode="6000") == ["Service 1", "Service 2"]
    assert importing.service_id("a", "r1") != importing.service_id("b", "r1")


async def test_an_organisation_may_come_to_be_known_by_its_registry_id(directory: Directory) -> None:
    known = {"id": str(UUID(int=7)), "record_id": "o1", "name": "Les Marmousets"}
    await directory.take([service(1), service(2)])
    report = await directory.take([service(1, organisation=known), service(2)])
    assert (report.changed, report.unchanged) == (1, 1)
    assert {item["organisation"]["id"] for item in await directory.found(postcode="6000")} > {str(UUID(int=7))}


async def test_who_is_not_in_the_registry_receives_otherwise(directory: Directory) -> None:
    """`relais` is promised by the source; the registry of the gateway says whether it holds."""
    organisations = [{"id": str(UUID(int=n)), "record_id": f"o{n}", "name": f"O{n}"} for n in range(1, 5)]
    rows = [
        service(1, can_receive="relais", organisation=organisations[0]),
        service(2, can_receive="relais", organisation=organisations[1]),
        service(3, can_receive="relais", organisation=organisations[2], email="a@b.example"),
        service(4, can_receive="relais", organisation=organisations[3], email="a@b.example"),
        service(5, can_receive="guest", organisation=organisations[0]),
    ]
    await directory.take(rows)
    facts = {"name": "O", "active": True, "scopes": ["referral:receive"]}
    for number, change in ((1, {}), (2, {"active": False}), (3, {"scopes": ["directory:read"]})):
        await directory.connection.execute(
            "insert into registered_organisation values ($1, 1, $2)", UUID(int=number), json.dumps(facts | change)
        )
    told = {item["service"]["name"]: item["can_receive"] for item in await directory.found(postcode="6000")}
    assert told == {
        "Service 1": "relais",
        "Service 2": "phone_only",
        "Service 3": "guest",
        "Service 4": "guest",
        "Service 5": "guest",
    }
    for number in range(1, 6):
        whole = await directory.client.get(f"/v1/directory/services/{importing.service_id('a', f'r{number}')}")
        assert whole.json()["can_receive"] == told[f"Service {number}"]


async def test_what_postgresql_cannot_keep_refuses_its_row_alone(directory: Directory) -> None:
    rows = [
        service(1),
        service(2, name="a\0b"),
        service(3, record_id="\ud800"),
        service(4, reception={"a": float("nan")}),
        service(5) | {"\0": 1},
        service(6, locations=[{"record_id": "1", "address": {"country": "XX"}, "opening_hours": "Mo 09:00-10:00"}]),
        7,
    ]
    report = await directory.take(rows, mapping="canonical")
    assert (report.read, report.new, report.refused) == (7, 1, 6)
    assert [one.line for one in report.refusals if "public holidays" in one.reason] == [1]


def command(*words: str | Path, dsn: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the directory's own command, with more settings where given."""
    return subprocess.run(
        [sys.executable, "-m", "relais_directory", *words],
        env={**os.environ, "RELAIS_DIRECTORY_DSN": dsn, **more},
        capture_output=True,
        text=True,
        check=False,
    )


async def test_the_command_tells_what_it_took_and_why_not_the_rest(directory: Directory) -> None:
    file, report = directory.folder / "a.json", directory.folder / "report.json"
    file.write_text(json.dumps([service(1), service(2, modes=[])]))
    words = ("import", file, "--source", "mine", "--report", report)
    done = await asyncio.to_thread(command, *words, dsn=directory.access.dsn)
    assert done.returncode == 0, done.stderr
    assert "Source mine: 2 read, 1 new" in done.stderr
    assert "line 1, r2, modes:" in done.stderr
    assert json.loads(report.read_text())["refusals"][0]["record"] == "r2"
    file.write_text('[{"a": 1}')
    broken = await asyncio.to_thread(command, *words, dsn=directory.access.dsn)
    assert (broken.returncode, broken.stderr.split(".")[0]) == (1, "Nothing was imported")
    file.write_text(json.dumps([service(2, modes=[])]))
    refused = await asyncio.to_thread(command, *words, dsn=directory.access.dsn)
    assert refused.returncode == 1
    assert await directory.names(postcode="6000") == ["Service 1"]


async def test_an_import_that_assures_anew_is_a_change_for_who_follows_hsds(directory: Directory) -> None:
    """`assured_date` and `capacities` are of HSDS: a client that asks what changed is told, however old their dates."""
    told = {"assured_at": "2026-01-05", "updated_at": "2026-01-05T00:00:00Z"}
    capacity = {"available": 1, "updated_at": "2026-01-05T00:00:00Z"}
    assert (await directory.take([service(number, **told, capacity=capacity) for number in range(3)])).new == 3
    before = {one["name"]: one for one in await _listed(directory)}
    since = max(one["last_modified"] for one in before.values())

    newer = [
        service(0, **told, capacity=capacity),
        service(1, **told | {"assured_at": "2026-01-06"}, capacity=capacity),
        service(2, **told, capacity=capacity | {"available": 2, "updated_at": "2026-01-06T00:00:00Z"}),
    ]
    assert (await directory.take(newer)).changed == 2
    moved = {one["name"]: one for one in await _listed(directory) if one["last_modified"] > since}
    assert set(moved) == {"Service 1", "Service 2"}
    assert moved["Service 1"]["assured_date"] == "2026-01-06"
    assert moved["Service 2"]["capacities"][0]["available"] == 2
    for name, one in moved.items():
        asked = {one["id"] for one in await _listed(directory, modified_after=one["last_modified"])}
        assert before[name]["id"] in asked
        assert before["Service 0"]["id"] not in asked

    assert (await directory.take(newer)).unchanged == 3
    assert {one["last_modified"] for one in await _listed(directory)} == {
        *(one["last_modified"] for one in moved.values()),
        before["Service 0"]["last_modified"],
    }


async def _listed(directory: Directory, **params: Any) -> list[dict[str, Any]]:
    page = await directory.client.get("/hsds/services", params={"full": "true", **params})
    assert page.status_code == 200, page.text
    found: list[dict[str, Any]] = page.json()["contents"]
    return found


async def test_a_theme_that_is_still_borne_is_not_taken_away(directory: Directory) -> None:
    """The command says which; the directory starts with it again, and without it once nobody bears it."""
    file = directory.folder / "themes.json"
    file.write_text(json.dumps({"themes": [OWN_THEME]}))
    records = directory.folder / "a.json"
    records.write_text(json.dumps([service(1, themes=[OWN_THEME["slug"]]), service(2)]))

    async def run(**more: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(command, "import", records, "--source", "mine", dsn=directory.access.dsn, **more)

    told = await run(RELAIS_DIRECTORY_THEMES=str(file))
    assert told.returncode == 0, told.stderr
    assert "2 read, 2 new" in told.stderr
    without = await run()
    assert without.returncode == 1
    assert f"Services still bear {OWN_THEME['slug']}" in without.stderr
    records.write_text(json.dumps([service(1), service(2)]))
    assert "1 changed" in (await run(RELAIS_DIRECTORY_THEMES=str(file))).stderr
    assert "2 unchanged" in (await run()).stderr
