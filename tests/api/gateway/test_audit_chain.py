"""The log of who changed what is one chain: who tampers with it is found out, and the entry is named."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from api.gateway.world import ORGANISATION, PLATFORM, PUBLIC_URL, Door

from relais_gateway import actions, auditing, store
from relais_gateway.domain.audit import START, Reading
from relais_local.databases import Access

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENTRIES = 5
LOSSES = {
    "delete from audit where id = 3": "entry 3 is missing",
    "delete from audit where id = 5": "entry 5 is missing, and whatever came after it",
    "delete from audit": "entry 1 is missing, and whatever came after it",
    "update audit set hash = sha256(hash) where id = 5": "entry 5 was changed",
    "update audit_head set hash = sha256(hash)": "entry 5 is not the one that is remembered as the last",
    "update audit_head set number = 4": "entry 5 was added, 4 are remembered",
    "update audit a set facts = b.facts, action = b.action, at = b.at, subject = b.subject from audit b"
    " where (a.id, b.id) in ((2, 3), (3, 2))": "entry 2 was changed",
}
"""What somebody with the whole server does, and what is then said of it first."""


@pytest.fixture(name="access")
def _access(home: Path, fresh_database: Callable[[str], Access]) -> Access:
    del home
    return fresh_database("gateway")


@pytest.fixture(name="connection")
async def _connection(access: Access, anyio_backend: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect as the service, with some entries written."""
    del anyio_backend
    connection = await asyncpg.connect(access.dsn)
    await actions.demonstrate(connection, [ORGANISATION, PLATFORM], actions.Kept({}, {}), PUBLIC_URL, NOON)
    for number in range(2, ENTRIES + 1):
        facts = {"scope": "directory:read", "number": number, "words": ["é", "\N{SNOWMAN}"], "nothing": None}
        await store.audit(connection, NOON, "user:a", f"done_{number}", "b", facts, organisation_id=UUID(int=1))
    yield connection
    await connection.close()


@pytest.fixture(name="superuser")
async def _superuser(access: Access, databases: Any, anyio_backend: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect as whoever runs the server: no trigger and no privilege holds them."""
    del anyio_backend
    place = f"{databases.admin_dsn.rpartition('/')[0]}/{access.dsn.rpartition('/')[2]}"
    connection = await asyncpg.connect(place)
    await connection.execute("set session_replication_role = replica")
    yield connection
    await connection.close()


async def read(connection: asyncpg.Connection) -> list[str]:
    """Answer what is wrong with the log, inside the transaction of whoever tampers."""
    reading = Reading()
    async for entry in store.audit_entries(connection):
        reading.take(entry)
    reading.end(*await store.audit_head(connection))
    return reading.faults


async def test_an_untouched_log_is_whole(connection: asyncpg.Connection) -> None:
    reading = await auditing.read(connection)
    assert (reading.number, reading.faults) == (ENTRIES, [])
    assert (await store.audit_head(connection)) == (ENTRIES, reading.hash)
    first = await connection.fetchrow("select previous from audit where id = 1")
    assert first["previous"] == START


async def test_many_who_write_at_once_make_one_line(access: Access, connection: asyncpg.Connection) -> None:
    async with asyncpg.create_pool(access.dsn, min_size=8, max_size=8) as pool:

        async def write(number: int) -> None:
            async with pool.acquire() as one, one.transaction():
                await store.audit(one, NOON, "user:a", "done", str(number))
                await asyncio.sleep(0)
                if number % 4 == 0:
                    raise asyncio.QueueEmpty  # What is given up leaves no gap.

        done = await asyncio.gather(*(write(number) for number in range(40)), return_exceptions=True)
    assert sum(isinstance(one, asyncio.QueueEmpty) for one in done) == 10
    assert [one for one in done if one is not None and not isinstance(one, asyncio.QueueEmpty)] == []
    reading = await auditing.read(connection)
    assert (reading.number, reading.faults) == (ENTRIES + 30, [])


async def test_the_service_itself_can_only_go_on(access: Access, connection: asyncpg.Connection) -> None:
    row = (
        "insert into audit (id, at, actor, action, subject, facts, previous, hash)"
        " values ($1, now(), '', '', '', '{}', $2, $2)"
    )
    number, hash_ = await store.audit_head(connection)
    for wrong, before in ((number, hash_), (number + 2, hash_), (number + 1, START)):
        with pytest.raises((asyncpg.CheckViolationError, asyncpg.UniqueViolationError)):
            await connection.execute(row, wrong, before)
    forbidden = ("update audit_head set number = 0", "delete from audit_head", "insert into audit_head values (false)")
    for statement in (*forbidden, "update audit set actor = 'x'", "delete from audit", "truncate audit"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    owner = await asyncpg.connect(access.owner_dsn)
    for statement in ("update audit set actor = 'x'", "delete from audit", "truncate audit"):
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await owner.execute(statement)
    await owner.close()


@pytest.mark.parametrize("column", ["at", "actor", "action", "subject", "facts", "organisation_id", "previous", "hash"])
async def test_whatever_is_changed_names_its_entry(
    connection: asyncpg.Connection, superuser: asyncpg.Connection, column: str
) -> None:
    del connection
    values: dict[str, str] = {
        "at": "at + interval '1 microsecond'", "facts": """facts || '{"number": 9}'""", "organisation_id": "null",
        "previous": "sha256(previous)", "hash": "sha256(hash)",
    }  # fmt: skip
    for number in range(2, ENTRIES):
        transaction = superuser.transaction()
        await transaction.start()
        await superuser.execute(
            f"update audit set {column} = {values.get(column, column + ' || chr(32)')} where id = $1",  # noqa: S608 - our words
            number,
        )
        assert f"entry {number} was changed" in await read(superuser)
        await transaction.rollback()


async def test_what_is_lost_added_or_moved_shows(connection: asyncpg.Connection, superuser: asyncpg.Connection) -> None:
    del connection
    for statement, said in LOSSES.items():
        transaction = superuser.transaction()
        await transaction.start()
        await superuser.execute(statement)
        assert (await read(superuser))[0] == said, statement
        await transaction.rollback()


async def test_the_command_names_what_was_tampered_with(
    access: Access, connection: asyncpg.Connection, superuser: asyncpg.Connection, databases: Any
) -> None:
    del connection
    environment = {**os.environ, "RELAIS_GATEWAY_DSN": access.dsn}
    environment["RELAIS_REFERRAL_OWNER_DSN"] = databases["referral"].owner_dsn

    async def run() -> tuple[int, list[str]]:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "relais_local", "audit", "verify"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, [line for line in done.stdout.splitlines() if "audit log" in line]

    head = (await store.audit_head(superuser))[1].hex()
    whole = f"{ENTRIES} entries of the audit log, the last with the hash {head}"
    code, said = await run()
    assert said == [f"{whole}, 0 faults."]
    await superuser.execute("""update audit set facts = '{"scope": "platform:admin"}' where id = 3""")
    code, said = await run()
    assert (code, said) == (1, ["audit log: entry 3 was changed", f"{whole}, 1 faults."])


async def test_partners_can_reckon_it_again(door: Door) -> None:
    """The entries that the API tells are enough to reckon the chain, by what docs/proof.md says."""
    operator = await door.bearer(1)
    grants = f"/v1/organisations/{ORGANISATION['id']}/grants/directory:write"
    assert (await door.ask("PUT", grants, json={"themes": ["childcare"]}, headers=operator)).status_code == 204
    page = (await door.ask("GET", "/v1/audit", params={"limit": 100}, headers=operator)).json()
    entries: list[dict[str, Any]] = page["items"][::-1]
    before = "00" * 32
    for number, one in enumerate(entries, start=1):
        moment = datetime.fromisoformat(one["at"]).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        said = [one["id"], moment, *(one[name] for name in ("actor", "action", "subject", "organisation_id", "facts"))]
        text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert (one["id"], one["previous"]) == (number, before)
        before = one["hash"]
        assert sha256(bytes.fromhex(one["previous"]) + text.encode()).hexdigest() == before
    narrowed = {"organisation_id": ORGANISATION["id"]}
    mine = (await door.ask("GET", "/v1/audit", params=narrowed, headers=operator)).json()["items"]
    assert [one["action"] for one in mine] == ["grant_written"]
