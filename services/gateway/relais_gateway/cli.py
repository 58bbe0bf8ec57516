"""The gateway's commands."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import typer
from rich.console import Console

from relais_gateway import actions, passwords, store
from relais_gateway.settings import MIGRATIONS, GatewaySettings
from relais_gateway.signing import SigningKeys
from relais_shared.auth import write_private
from relais_shared.clock import utc_now
from relais_shared.migrations import upgrade

app = typer.Typer(help="The gateway.", no_args_is_help=True)
users = typer.Typer(help="Counsellors and administrators.", no_args_is_help=True)
keys = typer.Typer(help="The keys that sign access tokens.", no_args_is_help=True)
console = Console()

OVERLAP = timedelta(minutes=20)
"""An old key verifies this much longer: longer than any token that it signed lives."""


@app.command()
def serve() -> None:
    """Serve the API, the pages and the receiver of traces until told to stop."""
    from relais_gateway.app import create_app
    from relais_shared import service

    settings = GatewaySettings.load()
    service.serve(create_app(settings), settings)


@app.command()
def migrate() -> None:
    """Bring the schema to the newest version."""
    upgrade(GatewaySettings.load(), MIGRATIONS)


@app.command()
def demo(
    *,
    organisations: Annotated[Path, typer.Option(help="The territory's organisations.")],
    output: Annotated[Path, typer.Option(help="Where the accounts are written, for their owner alone.")],
) -> None:
    """Create the demonstration's organisations, clients and accounts; a second time keeps the secrets."""
    settings = GatewaySettings.load()
    before = json.loads(output.read_text()) if output.exists() else None
    listed = json.loads(organisations.read_text())

    async def run(connection: asyncpg.Connection) -> dict[str, Any]:
        kept = actions.Kept.of(before)
        return await actions.demonstrate(connection, listed, kept, settings.public_url, utc_now())

    found = asyncio.run(_connected(settings, run))
    write_private(output, json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    console.print(f"{len(found['clients'])} clients, {len(found['counsellors'])} counsellors.")


@users.command("list")
def list_users() -> None:
    """List who can sign in."""

    async def run(connection: asyncpg.Connection) -> list[asyncpg.Record]:
        return await connection.fetch(
            "select a.email, a.name, a.roles, a.active, o.name as organisation"
            " from account a join organisation o on o.id = a.organisation_id order by o.name, a.email"
        )

    for row in asyncio.run(_connected(GatewaySettings.load(), run)):
        state = "" if row["active"] else " (closed)"
        console.print(f"{row['email']}  {row['name']}, {row['organisation']}  {', '.join(row['roles'])}{state}")


@users.command("add")
def add_user(
    email: str,
    *,
    name: Annotated[str, typer.Option()],
    organisation: Annotated[UUID, typer.Option(help="Its id.")],
    function: Annotated[str, typer.Option()] = "",
    role: Annotated[list[str], typer.Option(help="Also data_manager, administrator; repeat it.")] = ["counsellor"],  # noqa: B006 - typer reads it, nobody changes it
) -> None:
    """Create an account; its password is shown once."""
    password = passwords.draw()

    async def run(connection: asyncpg.Connection) -> None:
        id_ = await actions.put_account(
            connection,
            organisation_id=organisation,
            email=email,
            name=name,
            function=function,
            roles=role,
            password=password,
        )
        await store.audit(connection, utc_now(), actions.OPERATOR, "account_written", str(id_), {"roles": role})

    asyncio.run(_connected(GatewaySettings.load(), run))
    console.print(f"{email}: {password}")


@users.command("password")
def new_password(email: str) -> None:
    """Give an account a new password, shown once; its sessions end."""
    password = passwords.draw()

    async def run(connection: asyncpg.Connection) -> bool:
        id_ = await store.set_password(connection, email, passwords.hash_of_drawn(password))
        if id_ is not None:
            await store.audit(connection, utc_now(), actions.OPERATOR, "password_changed", str(id_))
        return id_ is not None

    if not asyncio.run(_connected(GatewaySettings.load(), run)):
        raise typer.BadParameter("There is no such account.")
    console.print(f"{email}: {password}")


@keys.command("list")
def list_keys() -> None:
    """List the signing keys, the newest signs."""

    async def run(connection: asyncpg.Connection) -> list[asyncpg.Record]:
        return await connection.fetch("select kid, created_at, retired_at from signing_key order by created_at")

    for row in asyncio.run(_connected(GatewaySettings.load(), run)):
        console.print(f"{row['kid']}  made {row['created_at']}  {'retired' if row['retired_at'] else 'in use'}")


@keys.command("rotate")
def rotate_keys() -> None:
    """Make a new signing key; those older than the longest token's life are retired."""
    settings = GatewaySettings.load()
    made = SigningKeys(settings.secret_bytes(), settings.public_url)

    async def run(connection: asyncpg.Connection) -> int:
        now = utc_now()
        await store.add_key(connection, *made.new(), now)
        await store.audit(connection, now, actions.OPERATOR, "key_rotated", "signing_key")
        return await store.retire_keys(connection, now - OVERLAP, now)

    retired = asyncio.run(_connected(settings, run))
    console.print(f"A new key signs from now on; {retired} retired. Run again in {OVERLAP} to retire the rest.")


async def _connected(settings: GatewaySettings, work: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:  # noqa: ANN401 - whatever the work answers
    connection = await asyncpg.connect(settings.dsn.get_secret_value())
    try:
        return await work(connection)
    finally:
        await connection.close()
