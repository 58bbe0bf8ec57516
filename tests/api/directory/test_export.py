"""Exports: what leaves, what never does, and that it comes back the same."""

import asyncio
import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from data_inclusion.schema.v1 import Service

from relais_directory import actions, import_rows, importing
from relais_directory.formats.exporting import COLUMNS
from relais_directory.judging import Judged, judge, points
from relais_directory.writing import Author
from relais_local.databases import Access
from relais_local.territory import generate

pytestmark = pytest.mark.anyio

FORMATS = ("hsds", "hsds-ndjson", "data-inclusion", "csv", "geojson", "canonical")


async def export(reader: httpx.AsyncClient, kind: str, **params: str) -> httpx.Response:
    """Answer an export."""
    answer = await reader.get("/v1/directory/export", params={"format": kind, **params}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.fixture(name="records", scope="module")
def _records(territory_file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(territory_file.read_text())
    return found


@pytest.mark.parametrize("kind", FORMATS)
async def test_nothing_leaves_that_is_for_professionals_or_confidential(
    reader: httpx.AsyncClient, records: list[dict[str, Any]], kind: str
) -> None:
    text = (await export(reader, kind)).text
    relays = {one["relay_contact"][part] for one in records if "relay_contact" in one for part in ("email", "name")}
    secret = {
        str(told)
        for one in records
        for place in one["locations"]
        if place.get("confidential")
        for told in (place["address"]["street"], place["latitude"], place["longitude"])
    }
    # What stands in a public entry too (a street of that name) proves nothing.
    public = json.dumps(
        [
            {**one, "relay_contact": None, "locations": [at for at in one["locations"] if not at.get("confidential")]}
            for one in records
        ],
        ensure_ascii=False,
    )
    hidden = {told for told in relays | secret if told not in public}
    assert len(hidden & relays) > 20
    assert hidden & secret
    assert not [told for told in hidden if told in text]


async def test_a_table_has_a_row_for_each_place_and_no_formula(
    reader: httpx.AsyncClient, records: list[dict[str, Any]]
) -> None:
    answer = await export(reader, "csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == sum(max(1, len(one["locations"])) for one in records)
    assert not [value for row in rows for value in row.values() if value[:1] in {"=", "+", "@"}]


async def test_geojson_holds_every_place_that_may_be_shown(
    reader: httpx.AsyncClient, records: list[dict[str, Any]]
) -> None:
    found = (await export(reader, "geojson")).json()
    places = [place for one in records for place in one["locations"] if not place.get("confidential")]
    assert len(found["features"]) == len(places)
    for feature in found["features"]:
        longitude, latitude = feature["geometry"]["coordinates"]
        assert 3 < longitude < 6
        assert 49 < latitude < 52


async def test_data_inclusion_validates(reader: httpx.AsyncClient, records: list[dict[str, Any]]) -> None:
    found = (await export(reader, "data-inclusion")).json()
    assert len(found) == len(records)
    for one in found:
        Service.model_validate(one)


async def test_parts_can_be_asked_for(reader: httpx.AsyncClient, records: list[dict[str, Any]]) -> None:
    lines = (await export(reader, "canonical", theme="childcare")).text.splitlines()
    wanted = [one for one in records if any(slug.partition("--")[0] == "childcare" for slug in one["themes"])]
    assert len(lines) == len(wanted)
    assert (await export(reader, "hsds", source="nobody")).json() == []
    assert (await reader.get("/v1/directory/export", params={"format": "pdf"})).status_code == 422
    assert (await reader.get("/v1/directory/export", params={"theme": "x"})).status_code == 422


@pytest.mark.parametrize(("kind", "name"), [("canonical", "all.jsonl"), ("hsds", "all.json")])
async def test_what_is_exported_and_imported_elsewhere_is_the_same(  # noqa: PLR0913, RUF100 - fixtures
    home: Path,
    reader: httpx.AsyncClient,
    fresh_database: Callable[[str], Access],
    tmp_path: Path,
    kind: str,
    name: str,
) -> None:
    """Into an empty directory: the same entries with the same ids and documents, found at the same places."""
    del home
    (tmp_path / name).write_bytes((await export(reader, kind)).content)
    access = await asyncio.to_thread(fresh_database, "directory")
    connection = await asyncpg.connect(access.dsn)
    await actions.load_vocabularies(connection)
    options = importing.Options(source="demo")
    report = await importing.run(connection, tmp_path / name, options, Author("test", datetime.now(UTC)))
    assert report.refused == 0, report.refusals[:3]
    again = await importing.run(connection, tmp_path / name, options, Author("test", datetime.now(UTC)))
    assert again.unchanged == report.read
    here = await _documents(connection)
    await connection.close()
    there = {one["id"]: one for one in map(json.loads, (await export(reader, "canonical")).text.splitlines())}
    assert here.keys() == there.keys()
    for id_, document in there.items():
        # What the source calls its record and its organisation may differ; what is told may not.
        for member in ("record_id", "organisation", "id", "capacity", "assured_at", "assured_by", "updated_at"):
            document.pop(member, None)
            here[id_].pop(member, None)
        assert _without_ids(here[id_]) == _without_ids(document), id_


def test_a_package_is_written_by_the_command_and_read_again(dsn: str, home: Path, tmp_path: Path) -> None:
    """HSDS as tables, for those who work with spreadsheets: every service, none refused on its way back."""
    del home
    file = tmp_path / "directory.zip"
    command = [sys.executable, "-m", "relais_directory", "export", str(file), "--format", "hsds-package"]
    environment = {**os.environ, "RELAIS_DIRECTORY_DSN": dsn}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "507 services" in done.stderr
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (again.returncode, "is there already" in again.stderr) == (1, True)
    read = [made for made in import_rows.made_of(file, importing.Options()) if made.record is not None]
    assert len(read) == 507
    for made in read:
        assert isinstance(made.record, dict)
        assert isinstance(judge(made.record, 1, points()), Judged)


async def _documents(connection: asyncpg.Connection) -> dict[str, Any]:
    rows = await connection.fetch("select id, record::text as record from service")
    return {str(row["id"]): json.loads(row["record"]) for row in rows}


def _without_ids(value: Any) -> Any:
    """Answer a document without the ids of its parts, which one of two ways may have made explicit."""
    if isinstance(value, dict):
        left = {name: _without_ids(part) for name, part in value.items() if name not in {"id", "at_id", "record_id"}}
        return {name: part for name, part in left.items() if part not in (None, [], {})}
    return [_without_ids(part) for part in value] if isinstance(value, list) else value


def test_the_territory_is_the_same_each_time() -> None:
    """The export above is compared with it: chance would make that comparison worth nothing."""
    day = datetime(2026, 11, 16, tzinfo=UTC).date()
    assert list(generate.services(day)) == list(generate.services(day))
