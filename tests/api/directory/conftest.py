"""The directory on a real PostgreSQL, with the gazetteer and the demonstration territory imported for real."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest
from api.directory.owners import World, open_world
from joserfc.jwk import OKPKey
from support.days import today

from relais_directory import actions, importing
from relais_directory.app import create_app
from relais_directory.settings import DirectorySettings
from relais_directory.writing import Author
from relais_local.databases import Access
from relais_local.territory import generate
from relais_shared.auth import Actor, Keyring
from relais_shared.client import ASGITransport, open_client

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="session", name="gateway")
def _gateway(home: Path) -> Keyring:
    """Answer the gateway's keyring: who vouches for callers."""
    key = OKPKey.import_key(json.loads((home / "keys" / "gateway.jwk").read_text()))
    return Keyring("gateway", key, {})


@pytest.fixture(scope="session", name="territory_file")
def _territory_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("territory")
    # Seen lately, whenever that is: some places are told within the sixty days that they count.
    (folder / "services.json").write_text(json.dumps(generate.services(today() - timedelta(days=12))))
    return folder / "services.json"


@pytest.fixture(scope="session", name="dsn")
async def _dsn(home: Path, databases: object, territory_file: Path) -> str:
    """Answer a directory with the gazetteer and the demonstration territory in it."""
    del home
    dsn: str = databases["directory"].dsn  # type: ignore[index]
    connection = await asyncpg.connect(dsn)
    await actions.load_vocabularies(connection)
    await actions.load_gazetteer(connection)
    options = importing.Options(source="demo")
    report = await importing.run(connection, territory_file, options, Author("test", datetime.now(UTC)))
    assert report.refused == 0
    await connection.close()
    return dsn


@pytest.fixture(scope="session", name="reader")
async def _reader(dsn: str, gateway: Keyring) -> AsyncIterator[httpx.AsyncClient]:
    """Answer a client that may read the directory."""
    async with reading(dsn, gateway) as client:
        yield client


@pytest.fixture(scope="session", name="world")
async def _world(fresh_database: Callable[[str], Access], gateway: Keyring) -> AsyncIterator[World]:
    """Answer a directory that owners write; tests bear each other's rows."""
    async with open_world(fresh_database("directory"), gateway) as world:
        yield world


@asynccontextmanager
async def reading(dsn: str, gateway: Keyring) -> AsyncIterator[httpx.AsyncClient]:
    """Answer a client that may read the directory in a database, for the length of a block."""
    app = create_app(DirectorySettings.load(dsn=dsn))
    actor = Actor("client", "client:t", scopes=frozenset({"directory:read"}))

    def vouch(request: httpx.Request) -> httpx.Request:
        # An assertion lives a minute; a session of tests takes several.
        if "Authorization" not in request.headers:
            request.headers["Authorization"] = f"Bearer {gateway.sign('directory', actor)}"
        return request

    async with (
        app.router.lifespan_context(app),
        open_client("http://directory", transport=ASGITransport(app=app)) as client,
    ):
        client.auth = vouch
        yield client
