"""Every query of how often organisations and their systems may call."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from relais_gateway.domain.limits import Numbers
from relais_gateway.store import LIMITS, Connection


async def said(connection: Connection, organisation_id: UUID | None = None) -> Sequence[asyncpg.Record]:
    """Answer what is said of one organisation or of all: of itself (`client_id` none) and of its systems."""
    return await connection.fetch(
        f"select * from ({LIMITS}) said where $1::uuid is null or organisation_id = $1 order by client_id",  # noqa: S608 - our own text
        organisation_id,
    )


async def keep_for_organisation(connection: Connection, organisation_id: UUID, numbers: Numbers) -> None:
    """Keep what an organisation may."""
    await connection.execute(
        "insert into organisation_limit values ($1, $2, $3, $4) on conflict (organisation_id) do update"
        " set per_second = excluded.per_second, burst = excluded.burst, at_once = excluded.at_once",
        organisation_id,
        *numbers,
    )


async def forget_for_organisation(connection: Connection, organisation_id: UUID) -> bool:
    """Let the settings count for an organisation; answer whether something else was said."""
    done: str = await connection.execute("delete from organisation_limit where organisation_id = $1", organisation_id)
    return done != "DELETE 0"


async def keep_for_client(connection: Connection, client_id: str, numbers: Numbers) -> None:
    """Keep what a system may."""
    await connection.execute(
        "insert into client_limit values ($1, $2, $3, $4) on conflict (client_id) do update"
        " set per_second = excluded.per_second, burst = excluded.burst, at_once = excluded.at_once",
        client_id,
        *numbers,
    )


async def forget_for_client(connection: Connection, client_id: str) -> bool:
    """Let a system call as often as its organisation; answer whether something else was said."""
    done: str = await connection.execute("delete from client_limit where client_id = $1", client_id)
    return done != "DELETE 0"
