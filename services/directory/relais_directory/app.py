"""Assembly of the directory."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
from fastapi import FastAPI

from relais_directory import actions, jobs, store
from relais_directory.models import OrganisationCopy
from relais_directory.nearby import Municipalities
from relais_directory.openings import Openings
from relais_directory.problems import TABLE
from relais_directory.routes import (
    duplicates,
    exports,
    fhir,
    following,
    hsds,
    imports,
    places,
    quality,
    records,
    search,
    services,
    upkeep,
)
from relais_directory.settings import MIGRATIONS, DirectorySettings
from relais_shared import registry
from relais_shared.client import open_client
from relais_shared.service import build_app
from relais_shared.telemetry import tell_statements

READING: Final = {"jit": "off", "max_parallel_workers_per_gather": "0"}
"""A search takes a millisecond: compiling it or parting it among workers would cost more than it."""

SEARCHING: Final = {**READING, "plan_cache_mode": "force_generic_plan"}
"""Its plan is the same whatever is asked for: making it anew for every search took as long as the search."""

SCOPES: Final = {
    "directory:read": "search and read the directory, export it",
    "directory:write": "write its own organisations, services and locations; run imports under its own source name",
    "directory:capacity": "tell the open places and waiting time of its own services",
}


async def _as_it_is(connection: asyncpg.Connection) -> None:
    """Leave a connection as it is: a search changes nothing on it, and undoing nothing costs a round trip."""


def _pool(settings: DirectorySettings, options: Mapping[str, str]) -> asyncpg.Pool:
    return asyncpg.create_pool(
        settings.dsn.get_secret_value(),
        min_size=2,
        max_size=settings.database_connections,
        init=tell_statements,
        reset=_as_it_is,
        server_settings={"application_name": "relais-directory", "statement_timeout": "10000", **options},
    )


def create_app(settings: DirectorySettings | None = None) -> FastAPI:
    """Assemble the directory.

    Args:
        settings: Read from the environment where absent.
    """
    settings = settings or DirectorySettings.load()
    settings.take_themes()
    # A territory's file of words that cannot be read stops the start, not the first search.
    search.lexicon(settings.words)

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        async with (
            open_client(settings.gateway_url) as gateway,
            _pool(settings, READING) as pool,
            _pool(settings, SEARCHING) as searching,
        ):
            app.state.pool, app.state.searching = pool, searching
            app.state.uploads = settings.home / "uploads"
            async with pool.acquire() as connection:
                await actions.load_vocabularies(connection)
                known = await store.terms(connection)
                municipalities = await store.municipalities(connection)
            app.state.terms = {row["code"]: row["id"] for row in known}
            app.state.slugs = {row["id"]: row["code"] for row in known}
            app.state.audiences = [row["code"] for row in known if row["taxonomy"] == "audiences"]
            app.state.openings = Openings()
            app.state.municipalities = Municipalities(municipalities)
            pulling = asyncio.create_task(
                registry.keep_pulling(app.state.database, OrganisationCopy, gateway, app.state.keyring)
            )
            importing = asyncio.create_task(jobs.keep_running(pool, settings))
            yield
            pulling.cancel()
            importing.cancel()
            await asyncio.gather(pulling, importing, return_exceptions=True)

    return build_app(
        settings,
        title="Relais directory",
        description="Local resources, found by place and need.",
        table=TABLE,
        routers=[
            search.router,
            places.router,
            services.router,
            records.router,
            upkeep.router,
            duplicates.router,
            quality.router,
            following.router,
            imports.router,
            exports.router,
            hsds.router,
            fhir.router,
            registry.router(OrganisationCopy),
        ],
        migrations=MIGRATIONS,
        opened=opened,
        database_options=READING,
        scopes=SCOPES,
    )
