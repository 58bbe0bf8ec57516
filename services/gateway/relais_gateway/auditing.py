"""The proof of who changed what: the audit log read from end to end."""

import asyncio

import asyncpg

from relais_gateway import store
from relais_gateway.domain.audit import Reading
from relais_gateway.settings import GatewaySettings


def verify() -> tuple[str, list[str]]:
    """Answer how much of the audit log was read, and everything in it that is not as it was written, line by line."""
    return asyncio.run(_verify(GatewaySettings.load()))


async def _verify(settings: GatewaySettings) -> tuple[str, list[str]]:
    connection = await asyncpg.connect(settings.dsn.get_secret_value())
    try:
        if await connection.fetchval("select to_regclass('alembic_version') is null"):
            return "no audit log: this gateway's database was never migrated", []
        reading = await read(connection)
    finally:
        await connection.close()
    said = f"{reading.number} entries of the audit log, the last with the hash {reading.hash.hex()}"
    return said, [f"audit log: {fault}" for fault in reading.faults]


async def read(connection: store.Connection) -> Reading:
    """Read the whole log as it stood at one moment, while others go on writing."""
    reading = Reading()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        async for entry in store.audit_entries(connection):
            reading.take(entry)
        reading.end(*await store.audit_head(connection))
    return reading
