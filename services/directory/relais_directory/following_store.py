"""The queries of saved searches, and of the instant up to which they were seen."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from relais_directory.store import Connection

MOST_SEARCHES: Final = 200
"""Searches that one actor may save: as many as the list shows."""


async def count_searches(connection: Connection, owner: str) -> int:
    """Answer how many searches somebody saved."""
    found: int = await connection.fetchval("select count(*) from saved_search where owner = $1", owner)
    return found


async def settled(connection: Connection, now: datetime) -> datetime:
    """Answer the instant up to which all that was written is surely visible.

    What an open transaction writes bears the instant when it began, and shows when it ends.
    """
    found: datetime = await connection.fetchval(
        """
        select least($1, min(xact_start)) from pg_stat_activity
        where datname = current_database() and backend_xid is not null and pid <> pg_backend_pid()
        """,
        now,
    )
    return found


async def save_search(  # noqa: PLR0913 - what is kept of a search
    connection: Connection, organisation_id: UUID, owner: str, name: str, query: str, now: datetime
) -> UUID:
    """Keep a search; answer its id."""
    id_: UUID = await connection.fetchval(
        "insert into saved_search (id, organisation_id, owner, name, query, created_at, seen_at)"
        " values (gen_random_uuid(), $1, $2, $3, $4, $5, $5) returning id",
        organisation_id,
        owner,
        name,
        query,
        now,
    )
    return id_


async def saved_searches(connection: Connection, owner: str) -> Sequence[asyncpg.Record]:
    """Answer the searches that somebody saved, by name."""
    return await connection.fetch(
        "select *, query::text as query_text from saved_search where owner = $1 order by name, id", owner
    )


async def saved_search(connection: Connection, id_: UUID, owner: str) -> asyncpg.Record | None:
    """Answer a saved search of somebody."""
    return await connection.fetchrow(
        "select *, query::text as query_text from saved_search where id = $1 and owner = $2", id_, owner
    )


async def drop_search(connection: Connection, id_: UUID, owner: str) -> bool:
    """Forget a saved search; answer whether it was there."""
    return await connection.execute("delete from saved_search where id = $1 and owner = $2", id_, owner) == "DELETE 1"


async def see_search(connection: Connection, id_: UUID, now: datetime) -> None:
    """Note until when what a saved search found was seen."""
    await connection.execute("update saved_search set seen_at = $2 where id = $1", id_, now)
