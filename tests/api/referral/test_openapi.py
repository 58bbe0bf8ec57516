"""The document that the gateway builds its routes from, the schema, and the commands."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from api.referral.world import PATHS, RECIPIENT, SENDER, World
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from typer.testing import CliRunner

import relais_referral
from relais_local.databases import Access
from relais_referral import problems
from relais_referral.cli import audit
from relais_referral.domain import refusals
from relais_referral.models import Table
from relais_shared import idempotency
from relais_shared.db import async_url
from relais_shared.refusals import Refusal

pytestmark = pytest.mark.anyio

SCOPES = {"referral:send", "referral:receive"}
ROOT = Path(relais_referral.__file__).parents[3]
RELAIS = str(Path(sys.executable).with_name("relais"))


async def test_each_operation_declares_its_scopes_or_is_public(world: World) -> None:
    paths = world.app.openapi()["paths"]
    assert "/internal/registry" not in paths
    assert "/metrics" not in paths
    operations = {f"{method} {path}": operation for path, item in paths.items() for method, operation in item.items()}
    assert {"post /v1/referrals", "get /v1/referrals/{referral_id}"} <= set(operations)
    for name, operation in operations.items():
        if operation.get("x-relais-public"):
            assert operation["security"] == [], name
            continue
        scopes = [scope for one in operation["security"] for scope in one["oauth2"]]
        assert all(len(one["oauth2"]) == 1 for one in operation["security"]), name
        assert set(scopes) <= SCOPES, name
        assert scopes, name
        assert {"401", "403", "422"} <= set(operation["responses"]), name
        assert operation.get("summary"), name
        assert operation.get("description"), name


async def test_every_refusal_has_its_problem() -> None:
    own = [
        one for module in (refusals, idempotency) for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Refusal) and one.__module__ == module.__name__
    ]  # fmt: skip
    assert own
    assert set(own) <= set(problems.TABLE)


async def test_the_migrations_make_what_the_models_say(databases: dict[str, Access]) -> None:
    engine = create_async_engine(async_url(databases["referral"].owner_dsn))

    def compared(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found: list[object] = compare_metadata(context, Table.metadata)
        return found

    async with engine.connect() as connection:
        assert await connection.run_sync(compared) == []
    await engine.dispose()


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command."""
    return subprocess.run(
        words,
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


async def test_the_page_of_the_handshake_is_as_the_table() -> None:
    done = await asyncio.to_thread(command, sys.executable, "-m", "relais_referral", "diagram", "--check")
    assert done.returncode == 0, done.stdout


TOUCHES = [
    ("update event set actor = 'client:other' where number = 2", "event 2 was changed"),
    ("update event set data = '{}' where number = 3", "event 3 was changed"),
    ("delete from event where number = 2", "event 2 is missing"),
    ("delete from event where number = (select max(number) from event)", "the last events are missing"),
    ("delete from event", "every event is missing"),
    (
        "update event set number = 5 - number where number in (2, 3)",
        "event 2 does not follow the one before it",
    ),
]


async def test_the_audit_finds_each_touched_event(fresh: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns the tables can switch their guards off; the chain still tells."""
    handover = fresh.between(SENDER, RECIPIENT)
    await handover.open()
    await handover.agree()
    await handover.walk(*PATHS["closed"])
    dsn = fresh.database.owner_dsn
    own = {"RELAIS_REFERRAL_OWNER_DSN": dsn}
    whole = await asyncio.to_thread(command, RELAIS, "audit", "verify", **own)
    assert (whole.returncode, whole.stdout.strip()) == (0, "1 referrals and 0 daily heads, 0 faults."), whole.stderr
    monkeypatch.setenv(*own.popitem())
    owner = await asyncpg.connect(dsn)
    await owner.execute("alter table event no force row level security; alter table event disable trigger user")
    await owner.execute("alter table event drop constraint event_pkey")
    await owner.execute("create table kept as table event")
    for touch, said in TOUCHES:
        assert not (await owner.execute(touch)).endswith(" 0")
        done = await asyncio.to_thread(CliRunner().invoke, audit, ["verify"])
        assert done.exit_code == 1, touch
        assert f"{handover.id}: {said}" in " ".join(done.stdout.split()), touch
        await owner.execute("delete from event")
        await owner.execute("insert into event table kept")
    await owner.close()
