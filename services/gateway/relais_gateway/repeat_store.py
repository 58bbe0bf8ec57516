"""Queries about calls that may be repeated under a key."""

from datetime import datetime
from uuid import UUID

from relais_gateway.store import Connection, Row
from relais_shared.idempotency import Keyed


async def open_to(connection: Connection, organisation_id: UUID, keyed: Keyed, lock: int, since: datetime) -> bool:
    """Answer whether the first call has ended, or else whether the key is this transaction's now."""
    # One statement looks, then locks only where nothing was found: repeats do not refuse each other.
    found: bool = await connection.fetchval(
        """
        select coalesce(
            (select true from idempotency
                where organisation_id = $1 and route = $2 and key = $3 and created_at > $4),
            pg_try_advisory_xact_lock($5)
        )
        """,
        organisation_id,
        keyed.route,
        keyed.key,
        since,
        lock,
    )
    return found


async def first(connection: Connection, organisation_id: UUID, keyed: Keyed, since: datetime) -> Row | None:
    """Answer what the first call with a key did."""
    return await connection.fetchrow(
        """
        select fingerprint, resource_id from idempotency
        where organisation_id = $1 and route = $2 and key = $3 and created_at > $4
        """,
        organisation_id,
        keyed.route,
        keyed.key,
        since,
    )


async def note(  # noqa: PLR0913 - what a row holds
    connection: Connection, organisation_id: UUID, keyed: Keyed, status: int, resource_id: UUID, now: datetime
) -> None:
    """Note what a call did, in place of what is forgotten and not removed yet."""
    await connection.execute(
        """
        insert into idempotency (organisation_id, route, key, fingerprint, status, resource_id, created_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (organisation_id, route, key) do update set fingerprint = excluded.fingerprint,
            status = excluded.status, resource_id = excluded.resource_id, created_at = excluded.created_at
        """,
        organisation_id,
        keyed.route,
        keyed.key,
        keyed.fingerprint,
        status,
        resource_id,
        now,
    )


async def forget(connection: Connection, before: datetime) -> None:
    """Remove what was noted before an instant."""
    await connection.execute("delete from idempotency where created_at <= $1", before)
