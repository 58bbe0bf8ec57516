"""Databases and roles: each service owns one of each, and can open no other's."""

import os
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from relais_local.home import SERVICES, CannotRun, Home

EXTENSIONS = {"directory": ("cube", "btree_gist", "pg_trgm", "unaccent")}
"""What a service's schema builds on; only the server's administrator may create an extension."""

ANALYSES = {"directory"}
"""Services that load much at once, and gather the planner's statistics then, not a minute later."""
MAINTAIN_SINCE = 17
"""The first major version in which one can be allowed to ANALYZE a table that one does not own."""

PASSWORD_BYTES = 24
"""192 bits, in the letters that need no escaping in a DSN."""


@dataclass(frozen=True)
class Access:
    """How a service reaches its database: as itself, and as the owner of the schema (for `migrate` alone)."""

    dsn: str
    owner_dsn: str


def given() -> dict[str, Access] | None:
    """Answer the databases that the environment names; none if it names none, and they are ours to make.

    Raises:
        CannotRun: It names some; says which are missing.
    """
    names = {s: (f"RELAIS_{s.upper()}_DSN", f"RELAIS_{s.upper()}_OWNER_DSN") for s in SERVICES}
    missing = [name for pair in names.values() for name in pair if not os.environ.get(name)]
    if not missing:
        return {s: Access(*(os.environ[name] for name in pair)) for s, pair in names.items()}
    if len(missing) < 2 * len(SERVICES):
        raise CannotRun(f"Name every service's database or none: {', '.join(missing)} not set.")
    return None


async def provision(home: Home, admin_dsn: str, *, ours: bool) -> dict[str, Access]:
    """Make or repair the databases and roles of all services, and keep the DSNs among the home's secrets.

    Args:
        home: Holds the passwords, inside the DSNs.
        admin_dsn: Somebody who may create databases and roles, on any of the server's databases.
        ours: The server serves Relais alone: its maintenance databases are closed to the services too.

    Raises:
        CannotRun: The server does not answer, or refuses the administrator something.
    """
    access = {service: _access(home, admin_dsn, service) for service in SERVICES}
    try:
        admin = await asyncpg.connect(admin_dsn)
        try:
            if ours:
                await admin.execute("REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC")
            for service in SERVICES:
                await _make_roles(admin, service, access[service])
                await _make_database(admin, service)
        finally:
            await admin.close()
        for service in SERVICES:
            await _furnish(_database_of(admin_dsn, f"relais_{service}"), service)
    except (OSError, asyncpg.PostgresError) as fault:
        raise CannotRun(f"The databases cannot be made: {fault}") from fault
    for service, ways in access.items():
        home.write_secret(f"relais_{service}_dsn", ways.dsn)
        home.write_secret(f"relais_{service}_owner_dsn", ways.owner_dsn)
    return access


async def copy(admin_dsn: str, service: str, source: str, target: str) -> None:
    """Make a database of a service as a copy of another one of it, to which nobody is connected (tests)."""
    admin = await asyncpg.connect(admin_dsn)
    try:
        await admin.execute(f'CREATE DATABASE "{target}" TEMPLATE "{source}" OWNER relais_{service}_owner')
        await close_to_others(admin, service, target)
    finally:
        await admin.close()


def _access(home: Home, admin_dsn: str, service: str) -> Access:
    def dsn(setting: str, role: str) -> str:
        known = home.secret(setting)
        password = urlsplit(known).password if known else None
        parts = urlsplit(admin_dsn)
        where = parts.netloc.rpartition("@")[2]
        login = f"{role}:{password or secrets.token_urlsafe(PASSWORD_BYTES)}@{where}"
        return urlunsplit(parts._replace(netloc=login, path=f"/relais_{service}"))

    return Access(
        dsn=dsn(f"relais_{service}_dsn", f"relais_{service}"),
        owner_dsn=dsn(f"relais_{service}_owner_dsn", f"relais_{service}_owner"),
    )


def _database_of(dsn: str, database: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


async def _make_roles(admin: asyncpg.Connection, service: str, access: Access) -> None:
    for role, dsn in ((f"relais_{service}", access.dsn), (f"relais_{service}_owner", access.owner_dsn)):
        known = await admin.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
        # The words of this statement are ours, and the password's letters need no quoting.
        verb = "ALTER" if known else "CREATE"
        await admin.execute(f"{verb} ROLE {role} WITH LOGIN PASSWORD '{urlsplit(dsn).password}'")
    if not await admin.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = CURRENT_USER"):
        # A managed server's administrator is no superuser: to give a database to a role it must belong to it.
        await admin.execute(f"GRANT relais_{service}_owner TO CURRENT_USER")


async def _make_database(admin: asyncpg.Connection, service: str) -> None:
    database = f"relais_{service}"
    if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
        await admin.execute(
            f"CREATE DATABASE {database} OWNER relais_{service}_owner TEMPLATE template0 ENCODING 'UTF8'"
        )
    await close_to_others(admin, service, database)


async def close_to_others(admin: asyncpg.Connection, service: str, database: str) -> None:
    """Let a service alone, and whoever administers the server, open a database."""
    await admin.execute(
        f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC;'
        f'GRANT CONNECT, TEMPORARY ON DATABASE "{database}" TO relais_{service}'
    )


async def _furnish(admin_dsn: str, service: str) -> None:
    """Make the extensions, and let the service read and write what its owner will create.

    A migration that wants rows to be only added takes UPDATE and DELETE away again.
    """
    admin = await asyncpg.connect(admin_dsn)
    try:
        await admin.execute("SET client_min_messages = warning")  # "already exists" is what we expect
        for extension in EXTENSIONS.get(service, ()):
            await admin.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
        rights = "SELECT, INSERT, UPDATE, DELETE"
        if service in ANALYSES and admin.get_server_version().major >= MAINTAIN_SINCE:
            rights += ", MAINTAIN"
        await admin.execute(
            f"GRANT USAGE ON SCHEMA public TO relais_{service};"
            f"ALTER DEFAULT PRIVILEGES FOR ROLE relais_{service}_owner IN SCHEMA public"
            f" GRANT {rights} ON TABLES TO relais_{service};"
            f"ALTER DEFAULT PRIVILEGES FOR ROLE relais_{service}_owner IN SCHEMA public"
            f" GRANT USAGE, SELECT ON SEQUENCES TO relais_{service}"
        )
    finally:
        await admin.close()
