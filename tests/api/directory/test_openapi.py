"""The document that the gateway builds its routes from, and the schema."""

import warnings

import asyncpg
import pytest
from sqlalchemy.exc import SAWarning
from support.schema import differences

from relais_directory.app import create_app
from relais_directory.models import Cube, Table
from relais_directory.settings import DirectorySettings
from relais_local.databases import Access

pytestmark = pytest.mark.anyio

PATHS = {
    "get /v1/directory/search",
    "get /v1/directory/places",
    "get /v1/directory/places/{code}",
    "get /v1/directory/outlines",
    "get /v1/directory/themes",
    "get /v1/directory/services/{service_id}",
}


SCOPES = {
    "directory:read", "directory:write", "directory:capacity", "platform:admin", "referral:send", "referral:receive",
}  # fmt: skip
SAID_BY_READERS = {
    "post /v1/directory/services/{service_id}/conditions/check",
    "post /v1/directory/services/{service_id}/confirmations",
    "post /v1/directory/services/{service_id}/reports",
    "post /v1/directory/saved-searches",
    "post /v1/directory/saved-searches/{search_id}/seen",
    "delete /v1/directory/saved-searches/{search_id}",
    "post /v1/directory/unmet-needs",
}
"""What whoever reads the directory may also say."""


async def test_each_operation_declares_its_scope_or_is_public(home: object, databases: dict[str, Access]) -> None:
    del home
    paths = create_app(DirectorySettings.load(dsn=databases["directory"].dsn)).openapi()["paths"]
    operations = {f"{method} {path}": operation for path, item in paths.items() for method, operation in item.items()}
    assert set(operations) >= PATHS
    assert not any("/internal/" in path for path in paths)
    for name, operation in operations.items():
        assert operation.get("summary"), name
        assert operation.get("description"), name
        if operation.get("x-relais-public"):
            assert operation["security"] == [], name
        else:
            scopes = [scope for one in operation["security"] for scope in one["oauth2"]]
            assert scopes, name
            assert set(scopes) <= SCOPES, name
            if not name.startswith("get ") and "/hsds/" not in name and name not in SAID_BY_READERS:
                assert "directory:read" not in scopes, name
            assert {"401", "403"} <= set(operation["responses"]), name


async def test_the_migrations_make_what_the_models_say(databases: dict[str, Access]) -> None:
    with warnings.catch_warnings():
        # SQLAlchemy reads the type `cube` as no type, and compares it with none: that is done here.
        warnings.filterwarnings("ignore", "Did not recognize type 'cube'", SAWarning)
        assert await differences(databases["directory"].owner_dsn, Table.metadata) == []
    connection = await asyncpg.connect(databases["directory"].owner_dsn)
    rows = await connection.fetch(
        "select table_name || '.' || column_name as name from information_schema.columns where udt_name = 'cube'"
    )
    await connection.close()
    cubes = {str(column) for table in Table.metadata.tables.values() for column in table.c if type(column.type) is Cube}
    assert {row["name"] for row in rows} == cubes
