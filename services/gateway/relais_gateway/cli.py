"""The gateway's commands."""

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import asyncpg
import typer
from rich.console import Console

from relais_gateway import account_actions, actions, passwords, sign_in_store, store, token_actions, token_store
from relais_gateway.domain.scopes import OF_ROLE
from relais_gateway.settings import MIGRATIONS, GatewaySettings
from relais_gateway.signing import OVERLAP, SigningKeys
from relais_shared.clock import utc_now
from relais_shared.keys import write_private
from relais_shared.refusals import Refusal

app = typer.Typer(help="The gateway.", no_args_is_help=True)
users = typer.Typer(help="Counsellors and administrators.", no_args_is_help=True)
keys = typer.Typer(help="The keys that sign access tokens.", no_args_is_help=True)
console = Console()


@app.command()
def serve() -> None:
    """Serve the API, the pages and the receiver of traces until told to stop."""
    gc.disable()  # What it imports stays for as long as it serves: `service.serve` lets the collector begin.
    from relais_gateway.app import create_app
    from relais_shared import service

    settings = GatewaySettings.load()
    service.serve(create_app(settings), settings, head_limit=settings.head_bytes)


@app.command()
def migrate() -> None:
    """Bring the schema to the newest version."""
    from relais_shared.migrations import upgrade  # Alembic takes a tenth of a server's start.

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
    """Create an account, or write one anew; its password is shown once. The last administrator stays one."""
    if unknown := set(role) - OF_ROLE.keys():
        raise typer.BadParameter(f"There is no such role: {', '.join(sorted(unknown))}. Take of: {', '.join(OF_ROLE)}.")
    password = passwords.draw()

    async def run(connection: asyncpg.Connection) -> None:
        by = actions.By(actions.OPERATOR, organisation, utc_now())
        async with connection.transaction():
            await account_actions.put(connection, by, account_actions.Invited(email, name, function, role), password)

    try:
        asyncio.run(_connected(GatewaySettings.load(), run))
    except Refusal as refusal:
        raise typer.BadParameter(refusal.detail) from None
    console.print(f"{email}: {password}")


@users.command("first")
def first_user(
    email: str,
    *,
    name: Annotated[str, typer.Option()],
    organisation: Annotated[str, typer.Option(help="The name of whoever runs this Relais.")],
) -> None:
    """Create the organisation that runs this Relais and its administrator; her password is shown once."""
    password = passwords.draw()

    async def run(connection: asyncpg.Connection) -> None:
        by = actions.By(actions.OPERATOR, uuid4(), utc_now())
        async with connection.transaction():
            await actions.begin(connection, by, organisation)
            who = account_actions.Invited(email, name, "", ["administrator"])
            await account_actions.put(connection, by, who, password)

    try:
        asyncio.run(_connected(GatewaySettings.load(), run))
    except Refusal as refusal:
        raise typer.BadParameter(refusal.detail) from None
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


@users.command("reset-second-step")
def reset_second_step(email: str) -> None:
    """Take away an account's app and recovery codes, as when the telephone is lost; its sessions end."""

    async def run(connection: asyncpg.Connection) -> bool:
        async with connection.transaction():
            row = await connection.fetchrow("select * from account where email = $1", email.casefold())
            if row is not None:
                await sign_in_store.reset(connection, row["id"])
                house = row["organisation_id"]
                by, subject = actions.OPERATOR, str(row["id"])
                await store.audit(connection, utc_now(), by, "second_step_reset", subject, organisation_id=house)
        return row is not None

    if not asyncio.run(_connected(GatewaySettings.load(), run)):
        raise typer.BadParameter("There is no such account.")
    console.print(f"{email} signs in with the password alone.")


@keys.command("list")
def list_keys() -> None:
    """List the signing keys, the newest first."""
    for row in asyncio.run(_connected(GatewaySettings.load(), token_store.all_keys)):
        until = f"verifies until {row['retired_at']}" if row["retired_at"] else "in use"
        console.print(f"{row['kid']}  {row['alg']}  made {row['created_at']}  {until}")


@keys.command("rotate")
def rotate_keys() -> None:
    """Make new signing keys; the old ones verify until every token that they signed has ended."""
    settings = GatewaySettings.load()
    made = SigningKeys(settings.secret_bytes(), settings.public_url)

    async def run(connection: asyncpg.Connection) -> list[str]:
        return await token_actions.rotate_keys(connection, made, actions.OPERATOR, utc_now())

    ending = asyncio.run(_connected(settings, run))
    console.print(f"New keys sign within seconds; {len(ending)} old ones verify for another {OVERLAP}.")


@keys.command("withdraw")
def withdraw_key(kid: str) -> None:
    """Withdraw a signing key at once, as when others may know it; every token that it signed ends within a second."""

    async def run(connection: asyncpg.Connection) -> None:
        await token_actions.withdraw_key(connection, kid, actions.OPERATOR, utc_now())

    try:
        asyncio.run(_connected(GatewaySettings.load(), run))
    except Refusal as refusal:
        raise typer.BadParameter(refusal.detail) from None
    console.print(f"{kid} verifies nothing any more.")


async def _connected(settings: GatewaySettings, work: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:  # noqa: ANN401 - whatever the work answers
    connection = await asyncpg.connect(settings.dsn.get_secret_value())
    try:
        return await work(connection)
    finally:
        await connection.close()
