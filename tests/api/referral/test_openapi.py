"""The document that the gateway builds its routes from, the schema, and the commands."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from api.referral.world import World
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

import relais_referral
from relais_local.databases import Access
from relais_referral import problems
from relais_referral.domain import refusals
from relais_referral.models.table import Table
from relais_shared import idempotency
from relais_shared.db import async_url
from relais_shared.refusals import Refusal

pytestmark = pytest.mark.anyio

SCOPES = {"referral:send", "referral:receive", "referral:stats", "directory:read", "webhook:manage"}
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
