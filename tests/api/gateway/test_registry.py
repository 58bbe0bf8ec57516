"""The registry: who may be there at all, what the database holds by itself, and how the services hear of it."""

import json
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from os import environ
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from api.gateway.world import ORGANISATION, PLATFORM, PUBLIC_URL, Door, EchoSettings
from support.schema import differences

from relais_gateway import actions, passwords
from relais_gateway.domain.refusals import GrantImpossible
from relais_gateway.models import Table
from relais_local.databases import Access
from relais_shared.auth import Keyring, system
from relais_shared.registry import Snapshot

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(name="access")
def _access(home: Path, fresh_database: Callable[[str], Access]) -> Access:
    del home
    return fresh_database("gateway")


@pytest.fixture(name="connection")
async def _connection(access: Access, anyio_backend: str) -> AsyncIterator[asyncpg.Connection]:
    del anyio_backend
    connection = await asyncpg.connect(access.dsn)
    yield connection
    await connection.close()


async def test_who_controls_or_has_not_agreed_holds_no_hand_over(connection: asyncpg.Connection) -> None:
    for changes in ({"control_unit": True}, {"agreement": None}):
        with pytest.raises(GrantImpossible):
            await actions.put_organisation(connection, {**ORGANISATION, **changes}, NOON)
        allowed = {**ORGANISATION, **changes, "scopes": ["directory:read"]}
        await actions.put_organisation(connection, allowed, NOON)
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(
                "insert into scope_grant values ($1, 'referral:send', '{}', null)", UUID(ORGANISATION["id"])
            )
        await connection.execute("update agreement set ended_at = now()")


async def test_what_was_written_down_stays(connection: asyncpg.Connection) -> None:
    await actions.demonstrate(connection, [ORGANISATION], actions.Kept({}, {}), PUBLIC_URL, NOON)
    assert await connection.fetchval("select count(*) from audit") == 1
    for statement in ("delete from audit", "update audit set actor = 'x'", "truncate audit", "drop table audit"):
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute(statement)
    for statement in ("delete from registry_version", "insert into registry_version values (false, 1)"):
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute(statement)


async def test_a_second_demonstration_keeps_what_was_handed_out(connection: asyncpg.Connection) -> None:
    first = await actions.demonstrate(connection, [ORGANISATION, PLATFORM], actions.Kept({}, {}), PUBLIC_URL, NOON)
    again = await actions.demonstrate(connection, [ORGANISATION, PLATFORM], actions.Kept.of(first), PUBLIC_URL, NOON)
    assert again == first
    without = await actions.demonstrate(connection, [ORGANISATION, PLATFORM], actions.Kept({}, {}), PUBLIC_URL, NOON)
    assert [one["client_id"] for one in without["clients"]] == [one["client_id"] for one in first["clients"]]
    secrets = [one["client_secret"] for found in (first, without) for one in found["clients"]]
    assert len(set(secrets)) == 4
    assert all(secret.startswith("rel_live_") and len(secret) > 50 for secret in secrets)
    hash_ = await connection.fetchval("select password_hash from account")
    assert hash_.startswith("$argon2id$")
    assert passwords.fits(hash_, without["counsellors"][0]["password"])


async def test_the_demonstrations_teams_are_made_once(connection: asyncpg.Connection) -> None:
    """A second start gives back nothing that their administrator took away."""
    ana, bo = ORGANISATION["users"][0], {"name": "Bo", "email": "bo@essai.example", "function": "", "roles": []}
    team = {"name": "Accueil", "lead": ana["email"], "members": [ana["email"], bo["email"]]}
    first = {**ana, "roles": ["counsellor", "administrator"]}
    listed = [{**ORGANISATION, "users": [first, {**bo, "roles": ["counsellor"]}], "teams": [team]}]
    made = await actions.demonstrate(connection, listed, actions.Kept({}, {}), PUBLIC_URL, NOON)
    assert ([one["email"] for one in made["counsellors"]], made["administrator"]) == (team["members"], None)
    told = "select a.email, m.lead from team_member m join account a on a.id = m.account_id order by a.email"
    assert [tuple(row) for row in await connection.fetch(told)] == [(ana["email"], True), (bo["email"], False)]
    await connection.execute("delete from team_member where lead")
    await actions.demonstrate(connection, listed, actions.Kept.of(made), PUBLIC_URL, NOON)
    assert [tuple(row) for row in await connection.fetch(told)] == [(bo["email"], False)]


def relais(access: Access, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "relais_gateway", *words],
        env={**environ, "RELAIS_GATEWAY_DSN": access.dsn, "RELAIS_PUBLIC_URL": PUBLIC_URL},
        capture_output=True,
        text=True,
        check=False,
    )


async def test_the_demonstration_is_written_for_its_owner_alone(
    access: Access, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    listed, output = tmp_path / "organisations.json", tmp_path / "demo.json"
    admin = {"name": "Ada", "email": "ada@essai.example", "function": "", "roles": ["administrator"]}
    listed.write_text(json.dumps([ORGANISATION, {**PLATFORM, "users": [admin]}]))
    words = ("demo", "--organisations", str(listed), "--output", str(output))
    done = relais(access, *words)
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    demo = json.loads(output.read_text())
    assert set(demo) == {"base_url", "clients", "counsellors", "administrator", "sandbox"}
    assert set(demo["clients"][0]) == {"organisation_id", "organisation", "client_id", "client_secret", "scopes"}
    assert {"email", "password", "organisation_id", "name"} <= set(demo["counsellors"][0])
    assert {"email", "password", "organisation_id"} <= set(demo["administrator"])
    assert demo["base_url"] == PUBLIC_URL
    assert relais(access, *words).returncode == 0
    assert json.loads(output.read_text()) == demo
    assert await connection.fetchval("select count(*) from client") == 2


async def test_only_a_service_reads_the_registry_and_hears_changes(door: Door) -> None:
    registry = f"{door.base_url}/internal/registry"
    assert (await door.ask("GET", registry)).status_code == 401
    assert (await door.ask("GET", registry, headers=await door.bearer(1))).status_code == 401
    keyring = Keyring.load(EchoSettings.load())

    async def pulled() -> Snapshot:
        token = keyring.sign("gateway", system("directory"))
        answer: httpx.Response = await door.ask("GET", registry, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, answer.text
        return Snapshot.model_validate_json(answer.content)

    first = await pulled()
    names: dict[str, Any] = {one.name: one for one in first.organisations}
    assert set(names) == {"Essai", "Plateforme"}
    assert (names["Essai"].scopes, names["Essai"].agreement) == (["directory:read", "referral:send"], True)
    assert names["Essai"].secrecy == "professional"
    await door.change("update organisation set may_sanction = true where name = 'Essai'")
    later = first
    while later.version == first.version:
        later = await pulled()
    assert later.version > first.version
    assert {one.name: one.may_sanction for one in later.organisations} == {"Essai": True, "Plateforme": False}


async def test_the_migrations_make_what_the_models_say(access: Access) -> None:
    assert await differences(access.owner_dsn, Table.metadata) == []
