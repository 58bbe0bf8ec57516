"""Imports by API: announced, sent in blocks, run beside the searches, reported; killed, they go on where they stood."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from relais_directory import actions, import_store, importing
from relais_directory.app import create_app
from relais_directory.records import OrganisationRecord
from relais_directory.settings import DirectorySettings
from relais_directory.writing import Author
from relais_local.databases import Access
from relais_shared.auth import Actor, Keyring
from relais_shared.client import ASGITransport, open_client

pytestmark = pytest.mark.anyio

OTHERS = UUID(int=102)


@pytest.fixture(name="mine")
def _mine() -> UUID:
    return uuid4()


def found(mine: UUID, source: str = "import") -> dict[str, str]:
    """Answer the parameters of a search for what an organisation imported."""
    owner = importing.organisation_id(f"{mine}/{source}", OrganisationRecord(record_id="o1", name="x"))
    return {"organisation_id": str(owner)}


@pytest.fixture(name="access", scope="module")
async def _access(home: Path, fresh_database: Callable[[str], Access]) -> Access:
    """Answer a directory with vocabularies and gazetteer; each test imports as an organisation of its own."""
    del home
    access = await asyncio.to_thread(fresh_database, "directory")
    connection = await asyncpg.connect(access.dsn)
    await actions.load_vocabularies(connection)
    await actions.load_gazetteer(connection)
    await connection.close()
    return access


@asynccontextmanager
async def acting(access: Access, gateway: Keyring) -> AsyncIterator[Callable[..., httpx.AsyncClient]]:
    """Answer a function that makes clients of organisations with scopes."""
    app = create_app(DirectorySettings.load(dsn=access.dsn))
    async with app.router.lifespan_context(app):
        clients: list[httpx.AsyncClient] = []

        async def client(organisation: UUID, *scopes: str, limits: Any = None) -> httpx.AsyncClient:
            held = frozenset(scopes)
            actor = Actor("client", f"client:{organisation}", organisation, "Essai", held, limits=limits or {})
            made = await open_client("http://directory", transport=ASGITransport(app=app)).__aenter__()
            made.headers["Authorization"] = f"Bearer {gateway.sign('directory', actor)}"
            clients.append(made)
            return made

        yield client
        for one in clients:
            await one.aclose()


def record(number: int, **changes: Any) -> dict[str, Any]:
    """Answer a canonical record in Charleroi."""
    return {
        "record_id": f"r{number}",
        "organisation": {"record_id": "o1", "name": "Les Essais"},
        "name": f"Service {number}",
        "themes": ["mobility--bike"],
        "modes": ["on_site"],
        "locations": [
            {"record_id": "1", "address": {"municipality_code": "be:52011", "country": "BE"},
             "latitude": 50.41, "longitude": 4.44}
        ],
    } | changes  # fmt: skip


async def announced(api: httpx.AsyncClient, content: bytes, name: str = "a.jsonl", **more: Any) -> str:
    """Announce a file, and answer the address of its job."""
    made = await api.post("/v1/directory/imports", json={"file": name, "size": len(content), **more})
    assert made.status_code == 201, made.text
    assert made.json()["state"] == "receiving"
    return made.headers["location"]


async def sent(api: httpx.AsyncClient, place: str, content: bytes, block: int = 1 << 20) -> None:
    """Send a file in blocks."""
    for start in range(0, len(content), block):
        answer = await api.patch(
            f"{place}/content", content=content[start : start + block], headers={"Upload-Offset": str(start)}
        )
        assert answer.status_code == 204, answer.text
        assert answer.headers["upload-offset"] == str(min(start + block, len(content)))


async def ended(api: httpx.AsyncClient, place: str) -> dict[str, Any]:
    """Start a job and answer it once it ended."""
    assert (await api.post(f"{place}/start")).status_code == 202
    async with asyncio.timeout(120):
        while True:
            job: dict[str, Any] = (await api.get(place)).json()
            if job["ended_at"]:
                return job
            await asyncio.sleep(0.2)


async def test_only_who_may_write_imports_and_sees_its_own(access: Access, gateway: Keyring, mine: UUID) -> None:
    async with acting(access, gateway) as client:
        reader, writer, other = (
            await client(mine, "directory:read"), await client(mine, "directory:write"),
            await client(OTHERS, "directory:write"),
        )  # fmt: skip
        told = {"file": "a.jsonl", "size": 10}
        assert (await reader.post("/v1/directory/imports", json=told)).status_code == 403
        place = await announced(writer, b"0123456789")
        for answer in (
            await other.get(place),
            await other.post(f"{place}/start"),
            await other.delete(place),
            await other.patch(f"{place}/content", content=b"x", headers={"Upload-Offset": "0"}),
            await writer.get(f"/v1/directory/imports/{uuid4()}"),
        ):
            assert answer.status_code == 404, answer.text
        assert (await other.get("/v1/directory/imports")).json()["items"] == []


async def test_a_file_is_sent_in_blocks_imported_and_reported(access: Access, gateway: Keyring, mine: UUID) -> None:
    rows = [record(number) for number in range(30)]
    rows[7]["locations"][0]["latitude"] = 200
    rows[8] = record(8, organisation={"record_id": "x", "id": str(OTHERS), "name": "Registered elsewhere"})
    content = "\n".join(map(json.dumps, rows)).encode()
    connection = await asyncpg.connect(access.dsn)
    await connection.execute("insert into registered_organisation values ($1, 1, '{}')", OTHERS)
    async with acting(access, gateway) as client:
        api = await client(mine, "directory:read", "directory:write")
        place = await announced(api, content, source="nightly")
        assert (await api.post(f"{place}/start")).status_code == 409  # not all here
        await sent(api, place, content, block=1_000)
        job = await ended(api, place)
        assert job["state"] == "done", job
        assert job["source"] == f"{mine}/nightly"
        report = job["report"]
        assert {name: report[name] for name in ("read", "new", "refused")} == {"read": 30, "new": 28, "refused": 2}
        assert [(one["line"], one["record"], one["field"]) for one in report["refusals"]] == [
            (8, "r7", "locations.0.latitude"),
            (9, "r8", "organisation.id"),
        ]
        assert report["file"]["encoding"] == "utf-8"
        page = (await api.get("/v1/directory/search", params=found(mine, "nightly"))).json()
        assert page["total"] == 28
        listed = (await api.get("/v1/directory/imports")).json()["items"]
        assert [one["id"] for one in listed] == [job["id"]]
        # The operator sees everybody's, and changes none.
        operator = await client(OTHERS, "platform:admin")
        theirs = (await operator.get("/v1/directory/imports")).json()["items"]
        assert {"id": job["id"], "organisation_id": str(mine)}.items() <= theirs[0].items()
        assert (await operator.get(place)).json()["report"] == report
        assert (await operator.delete(place)).status_code == 403
        # What it wrote stays; the job can be forgotten, and its bytes are gone.
        assert (await api.delete(place)).status_code == 204
        assert (await api.get(place)).status_code == 404
    await connection.close()


async def test_an_import_goes_no_further_than_its_grant(access: Access, gateway: Keyring, mine: UUID) -> None:
    """A grant for one theme in one municipality: everything else is refused, with its reason."""
    elsewhere = [{"record_id": "1", "address": {"municipality_code": "be:92094", "country": "BE"}}]
    rows = [record(1), record(2, themes=["childcare"]), record(3, locations=elsewhere), record(4, themes=[])]
    content = "\n".join(map(json.dumps, rows)).encode()
    limits = {"directory:write": {"themes": ["mobility"], "municipalities": ["be:52011"]}}
    async with acting(access, gateway) as client:
        api = await client(mine, "directory:read", "directory:write", limits=limits)
        place = await announced(api, content)
        await sent(api, place, content)
        report = (await ended(api, place))["report"]
    assert (report["new"], report["refused"]) == (1, 3)
    assert [(one["record"], one["field"]) for one in report["refusals"]] == [
        ("r2", "themes.0"),
        ("r3", "locations.0"),
        ("r4", "themes"),
    ]


async def test_what_is_not_its_own_to_tell_of_any_more_has_not_left(
    access: Access, gateway: Keyring, mine: UUID
) -> None:
    """A grant that shrank, an organisation that joined Relais: rows are refused, what was known of them stays."""
    theirs = {"id": str(uuid4()), "record_id": "o2", "name": "Les Voisins"}
    content = "\n".join(map(json.dumps, [record(1), record(2, themes=["childcare"]), record(3, organisation=theirs)]))
    connection = await asyncpg.connect(access.dsn)
    async with acting(access, gateway) as client:
        for limits in ({}, {"directory:write": {"themes": ["mobility"]}}):
            api = await client(mine, "directory:read", "directory:write", limits=limits)
            place = await announced(api, content.encode())
            await sent(api, place, content.encode())
            report = (await ended(api, place))["report"]
            if not limits:
                assert report["new"] == 3
                await connection.execute(
                    "insert into registered_organisation (id, version, facts) values ($1, 1, '{}')", UUID(theirs["id"])
                )
    assert [(one["record"], one["field"]) for one in report["refusals"]] == [
        ("r2", "themes.0"),
        ("r3", "organisation.id"),
    ]
    assert report["retired"] == 0
    await connection.execute("delete from registered_organisation where id = $1", UUID(theirs["id"]))
    await connection.close()


async def test_a_job_that_another_directory_runs_is_left_to_it(access: Access, tmp_path: Path) -> None:
    """It is neither taken up a second time nor given up, however often it was begun."""
    connection, other = await asyncpg.connect(access.dsn), await asyncpg.connect(access.dsn)
    options = importing.Options(source="t", organisation_id=uuid4()).as_json()
    job = await import_store.open_job(
        connection, tmp_path / "a.jsonl", "t", options, datetime(2000, 1, 1, tzinfo=UTC), size=1
    )
    for _ in range(5):
        await import_store.begin_job(connection, job, datetime.now(UTC))
    await other.execute("select pg_advisory_lock(hashtext($1))", f"job:{job}")
    assert await import_store.next_job(connection, 5) != job
    assert await connection.fetchval("select state from import_job where id = $1", job) == "running"
    await other.close()
    assert await import_store.next_job(connection, 6) == job
    assert await import_store.next_job(connection, 5) != job
    assert await connection.fetchval("select state from import_job where id = $1", job) == "failed"
    await connection.close()


async def test_blocks_in_disorder_are_refused_and_say_where_to_go_on(
    access: Access, gateway: Keyring, mine: UUID
) -> None:
    async with acting(access, gateway) as client:
        api = await client(mine, "directory:write")
        place = await announced(api, b"0123456789", "a.csv")
        for offset, content, status in (("5", b"56789", 409), ("0", b"01234", 204), ("0", b"01234", 409)):
            answer = await api.patch(f"{place}/content", content=content, headers={"Upload-Offset": offset})
            assert answer.status_code == status
            if status == 409:
                assert answer.headers["upload-offset"] == ("0" if offset == "5" else "5")
        answer = await api.patch(f"{place}/content", content=b"567890", headers={"Upload-Offset": "5"})
        assert answer.status_code == 422
        assert (await api.get(place)).json()["bytes_received"] == 5


@pytest.mark.parametrize(
    ("told", "pointer"),
    [
        ({"file": "../a.csv", "size": 1}, "/file"),
        ({"file": "a.csv", "size": 0}, "/size"),
        ({"file": "a.csv", "size": 1 << 40}, "/size"),
        ({"file": "a.csv", "size": 1, "mapping": "no such"}, "/mapping"),
        (
            {"file": "a.csv", "size": 1, "mapping": 'source = "x"\n[record]\nname = { column = "a", steps = ["no"] }'},
            "/mapping",
        ),
        ({"file": "a.csv", "size": 1, "source": "../x"}, "/source"),
        ({"file": "a.csv", "size": 1, "more": 1}, "/more"),
    ],
)
async def test_a_faulty_announcement_names_its_fault(
    access: Access, gateway: Keyring, mine: UUID, told: dict[str, Any], pointer: str
) -> None:
    async with acting(access, gateway) as client:
        answer = await (await client(mine, "directory:write")).post("/v1/directory/imports", json=told)
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]


async def test_a_mapping_of_ones_own_reads_a_table(access: Access, gateway: Keyring, mine: UUID) -> None:
    content = "Nr;Nom;Lat;Lon\n1;Vélos;50,41;4,44\n2;Trains;x;4,44\n".encode("cp1252")
    own = """
source = "mine"
[record]
record_id = { column = "Nr" }
name = { column = "Nom" }
modes = { constant = ["on_site"] }
themes = { constant = ["mobility"] }
[record.organisation]
record_id = { constant = "o1" }
name = { constant = "Nous" }
[[record.locations]]
latitude = { column = "Lat", steps = ["decimal_comma"] }
longitude = { column = "Lon", steps = ["decimal_comma"] }
address = { municipality_code = { constant = "be:52011" }, country = { constant = "BE" } }
"""
    async with acting(access, gateway) as client:
        api = await client(mine, "directory:read", "directory:write")
        place = await announced(api, content, "liste.csv", mapping=own)
        await sent(api, place, content)
        report = (await ended(api, place))["report"]
        assert (report["new"], report["refused"]) == (1, 1)
        assert report["file"] == {
            "name": report["file"]["name"],
            "format": "csv",
            "encoding": "cp1252",
            "delimiter": ";",
        }
        assert report["refusals"][0]["field"] == "Lat"
        page = (await api.get("/v1/directory/search", params=found(mine))).json()
        assert [one["service"]["name"] for one in page["items"]] == ["Vélos"]


async def test_a_broken_file_fails_and_changes_nothing(access: Access, gateway: Keyring, mine: UUID) -> None:
    content = "\n".join(json.dumps(record(number)) for number in range(1_200)).encode() + b"\n{"
    async with acting(access, gateway) as client:
        api = await client(mine, "directory:read", "directory:write")
        place = await announced(api, content)
        await sent(api, place, content)
        job = await ended(api, place)
        assert (job["state"], job["report"]["new"]) == ("failed", 0)
        assert job["reason"].startswith("Line 1201: broken JSON")
        assert (await api.get("/v1/directory/search", params=found(mine))).json()["total"] == 0


async def test_a_killed_import_goes_on_where_it_stood(access: Access, tmp_path: Path) -> None:
    """Killed three times in the middle, it ends as if nothing had been; nothing is taken twice, nothing is missing."""
    rows = [record(number) for number in range(4_000)]
    rows[10]["themes"] = ["no such theme"]
    file = tmp_path / "many.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    connection = await asyncpg.connect(access.dsn)
    before = await importing.run(connection, _few(tmp_path), importing.Options(source="s"), author())
    assert before.new == 2
    job = await import_store.open_job(
        connection, file, "s", importing.Options(source="s").as_json(), datetime.now(UTC), size=file.stat().st_size
    )
    stood = []
    for _ in range(3):
        process = await runner(access, job)
        rows_done = stood[-1] if stood else 0
        async with asyncio.timeout(60):
            while rows_done <= (stood[-1] if stood else 0):
                rows_done = await connection.fetchval("select rows_done from import_job where id = $1", job)
                assert process.returncode is None
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        stood.append(await connection.fetchval("select rows_done from import_job where id = $1", job))
    assert 0 < stood[0] < stood[1] < stood[2] < 4_000
    process = await runner(access, job)
    assert await process.wait() == 0
    row = await connection.fetchrow(
        "select state, rows_done, attempts, report::text as report from import_job where id = $1", job
    )
    assert row is not None
    report = json.loads(row["report"])
    assert (row["state"], row["rows_done"], row["attempts"]) == ("done", 4_000, 4)
    assert {name: report[name] for name in ("read", "new", "changed", "unchanged", "retired", "refused")} == {
        "read": 4_000, "new": 3_998, "changed": 0, "unchanged": 1, "retired": 1, "refused": 1,
    }  # fmt: skip
    assert await connection.fetchval("select count(*) from service where source = 's' and status = 'active'") == 3_999
    assert (
        await connection.fetchval(
            "select count(*) from card c join service s on s.id = c.service_id where s.source = 's'"
        )
        == 3_999
    )
    assert await connection.fetchval("select count(*) from import_seen where job_id = $1", job) == 0
    await connection.close()


def _few(folder: Path) -> Path:
    file = folder / "few.jsonl"
    file.write_text("\n".join(json.dumps(record(number)) for number in (5, 9_999)))
    return file


def author() -> Author:
    """Answer who imports."""
    return Author("test", datetime.now(UTC))


async def runner(access: Access, job: UUID) -> asyncio.subprocess.Process:
    """Start the process that runs a job."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relais_directory", "run-job", str(job),
        env={**os.environ, "RELAIS_DIRECTORY_DSN": access.dsn},
    )  # fmt: skip
