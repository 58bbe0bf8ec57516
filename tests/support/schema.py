"""Whether a database is what the models say."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.asyncio import create_async_engine

from relais_shared.db import async_url


async def differences(dsn: str, metadata: MetaData) -> list[object]:
    """Answer what a new migration would have to change in a database to make it what the models say."""
    engine = create_async_engine(async_url(dsn))

    def compared(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found: list[object] = compare_metadata(context, metadata)
        return found

    try:
        async with engine.connect() as connection:
            return await connection.run_sync(compared)
    finally:
        await engine.dispose()
