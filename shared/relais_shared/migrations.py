"""Migrations: how every service runs its own, as the owner of its schema."""

import asyncio
from pathlib import Path

from alembic import command, context, op
from alembic.config import Config
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

from relais_shared.db import async_url
from relais_shared.settings import ServiceSettings, SettingsProblem

LOCK_TIMEOUT = "2s"
"""A migration that waits longer for a lock would make every request wait behind it: it gives up instead."""


def upgrade(settings: ServiceSettings, migrations: Path) -> None:
    """Bring the service's schema to the newest version; does nothing when it is there.

    Raises:
        SettingsProblem: No owner DSN.
    """
    if settings.owner_dsn is None:
        name = f"RELAIS_{settings.service}_OWNER_DSN".upper()
        raise SettingsProblem(f"{name} is needed to migrate: PostgreSQL as the owner of the schema.")
    command.upgrade(_config(migrations, settings.owner_dsn.get_secret_value()), "head")


def run() -> None:
    """Run Alembic for one service; its `migrations/env.py` is this call.

    The models are not asked: migrations are written by hand, a test compares them with the models, and reading a
    service's models takes longer than migrating does.
    """
    config = context.config
    given: Connection | None = config.attributes.get("connection")
    if given is not None:
        _run(given)
    else:
        asyncio.run(_connect(config.attributes["dsn"]))


def run_script(script: str) -> None:
    """Run the commands of an SQL script, inside a migration.

    The driver prepares every statement, and a prepared statement is one command: the script is cut at the
    semicolons that end a line, except inside `$$`; the last one needs none.
    """
    current, inside = "", False
    for line in script.splitlines():
        inside ^= line.count("$$") % 2 == 1
        current += line + "\n"
        if line.rstrip().endswith(";") and not inside:
            op.execute(current)
            current = ""
    if current.strip():
        op.execute(current)


def _config(migrations: Path, owner_dsn: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.attributes["dsn"] = owner_dsn
    return config


async def _connect(dsn: str) -> None:
    engine = create_async_engine(
        async_url(dsn),
        poolclass=pool.NullPool,
        connect_args={"server_settings": {"lock_timeout": LOCK_TIMEOUT, "application_name": "relais-migrate"}},
    )
    async with engine.begin() as connection:
        await connection.run_sync(_run)
    await engine.dispose()


def _run(connection: Connection) -> None:
    context.configure(connection=connection)
    # One migration at a time, also when two processes start together.
    connection.exec_driver_sql("select pg_advisory_xact_lock(7236411)")
    with context.begin_transaction():
        context.run_migrations()
