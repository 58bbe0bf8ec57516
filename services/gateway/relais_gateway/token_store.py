"""The queries about tokens: signing keys, what was shown once, what was revoked, how clients prove themselves."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from relais_gateway.store import Connection


async def moved(connection: Connection) -> tuple[int, int]:
    """Answer the version of who may do what, and the number of the last token that was revoked."""
    ((version, revocations),) = await connection.fetch("select version, revocations from registry_version")
    return version, revocations


async def revoked_since(connection: Connection, number: int) -> dict[str, datetime]:
    """Answer the tokens revoked after a number, by their id, and when each would have ended."""
    rows = await connection.fetch("select jti, expires_at from revoked_token where number > $1", number)
    return {row["jti"]: row["expires_at"] for row in rows}


async def revoke(connection: Connection, jti: str, expires_at: datetime) -> None:
    """Revoke a token. A second time does nothing.

    The lock on the one row of registry_version is held until the commit: numbers are in the order of commits.
    """
    await connection.execute(
        """
        with next as (update registry_version set revocations = revocations + 1 returning revocations)
        insert into revoked_token select $1, revocations, $2 from next on conflict (jti) do nothing
        """,
        jti,
        expires_at,
    )


async def take_once(connection: Connection, hash_: bytes, expires_at: datetime) -> bool:
    """Take an assertion or a proof by its fingerprint; answer whether it was shown for the first time."""
    done: str = await connection.execute(
        "insert into shown_once values ($1, $2) on conflict (hash) do nothing", hash_, expires_at
    )
    return done.endswith(" 1")


async def forget_tokens(connection: Connection, before: datetime) -> None:
    """Remove what ended before an instant: by then its own end refuses it."""
    await connection.execute("delete from shown_once where expires_at < $1", before)
    await connection.execute("delete from revoked_token where expires_at < $1", before)


async def all_keys(connection: Connection) -> Sequence[asyncpg.Record]:
    """Answer every signing key that ever was, newest first, without private halves."""
    return await connection.fetch(
        "select kid, public ->> 'alg' as alg, created_at, retired_at from signing_key order by created_at desc, kid"
    )


async def lock_keys(connection: Connection) -> None:
    """Let nobody else make or retire signing keys until the end of the transaction."""
    await connection.execute("select pg_advisory_xact_lock(hashtext('signing-key'))")


async def add_key(connection: Connection, kid: str, public: Mapping[str, Any], sealed: bytes, now: datetime) -> None:
    """Keep a new signing key."""
    await connection.execute(
        "insert into signing_key values ($1, $2, $3, $4, null)", kid, json.dumps(dict(public)), sealed, now
    )


async def retire_keys(connection: Connection, at: datetime) -> list[str]:
    """Let every signing key end at an instant, unless it ends already; answer which."""
    rows = await connection.fetch("update signing_key set retired_at = $1 where retired_at is null returning kid", at)
    return [row["kid"] for row in rows]


async def withdraw_key(connection: Connection, kid: str, now: datetime) -> bool:
    """Let a signing key verify nothing from now on; answer whether it still did."""
    done: str = await connection.execute(
        "update signing_key set retired_at = $2 where kid = $1 and (retired_at is null or retired_at > $2)", kid, now
    )
    return done.endswith(" 1")


async def client(connection: Connection, client_id: str, organisation_id: UUID | None) -> asyncpg.Record | None:
    """Answer a client, locked; of one organisation, or of any where none is named."""
    return await connection.fetchrow(
        "select * from client where id = $1 and ($2::uuid is null or organisation_id = $2) for update",
        client_id,
        organisation_id,
    )


async def set_client_authentication(  # noqa: PLR0913 - how a client proves itself
    connection: Connection,
    client_id: str,
    *,
    methods: Sequence[str],
    jwks: Sequence[Mapping[str, Any]],
    dpop_required: bool,
    token_life_s: int | None,
    token_alg: str,
    fapi: bool,
) -> None:
    """Note how a client proves itself, and what its tokens are."""
    await connection.execute(
        "update client set auth_methods = $2, jwks = $3, dpop_required = $4, token_life_s = $5, token_alg = $6,"
        " fapi = $7 where id = $1",
        client_id,
        list(methods),
        json.dumps(list(jwks)),
        dpop_required,
        token_life_s,
        token_alg,
        fapi,
    )
