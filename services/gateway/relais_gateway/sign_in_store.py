"""What the database keeps of signing in: second steps, recovery codes, steps on the way, one's own sessions."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from relais_gateway.domain.keys import Made
from relais_gateway.store import Connection


async def account(connection: Connection, account_id: UUID) -> asyncpg.Record | None:
    """Answer an active account of an active organisation."""
    return await connection.fetchrow(
        "select a.* from account a join organisation o on o.id = a.organisation_id"
        " where a.id = $1 and a.active and o.active",
        account_id,
    )


async def still_by(connection: Connection, account_id: UUID, password_hash: str) -> bool:
    """Answer whether an account is still entered by a password; it stays so until the transaction ends."""
    found = await connection.fetchval(
        "select true from account where id = $1 and password_hash = $2 for share", account_id, password_hash
    )
    return bool(found)


async def write_password(connection: Connection, account_id: UUID, password_hash: str) -> None:
    """Give an account another password."""
    await connection.execute("update account set password_hash = $2 where id = $1", account_id, password_hash)


async def write_language(connection: Connection, session_hash: bytes, language: str) -> None:
    """Note in which language whoever opened a session reads the pages."""
    await connection.execute(
        """
        update account a set language = $2 from session s
        where s.secret_hash = $1 and a.id = s.account_id and a.language is distinct from $2
        """,
        session_hash,
        language,
    )


async def sessions_of(
    connection: Connection, account_id: UUID, seen_after: datetime, opened_after: datetime
) -> Sequence[asyncpg.Record]:
    """Answer the living sessions of an account (id, device, how, created_at, seen_at), the last used first."""
    return await connection.fetch(
        """
        select id, device, how, created_at, seen_at from session
        where account_id = $1 and seen_at > $2 and created_at > $3 order by seen_at desc, id
        """,
        account_id,
        seen_after,
        opened_after,
    )


async def end_session(connection: Connection, account_id: UUID, session_id: UUID) -> bool:
    """Remove a session of an account; answer whether there was one."""
    done: str = await connection.execute(
        "delete from session where account_id = $1 and id = $2", account_id, session_id
    )
    return done != "DELETE 0"


async def end_other_sessions(connection: Connection, account_id: UUID, kept: UUID | None) -> None:
    """Remove every session of an account but one, and whoever is halfway to another."""
    await connection.execute("delete from session where account_id = $1 and id is distinct from $2", account_id, kept)
    await connection.execute("delete from sign_in_step where account_id = $1 and purpose = 'code'", account_id)


async def factors(connection: Connection, account_id: UUID) -> asyncpg.Record:
    """Answer since when an account has an app (`totp_at`), how many recovery `codes`, and whether a `second_step`."""
    found = await connection.fetchrow(
        """
        select (select confirmed_at from totp where account_id = $1) as totp_at,
            (select count(*) from recovery_code where account_id = $1) as codes,
            exists (select from totp where account_id = $1 and confirmed_at is not null)
                or exists (select from passkey where account_id = $1) as second_step
        """,
        account_id,
    )
    assert found is not None  # noqa: S101 - a select without a table has one row
    return found


async def totp(connection: Connection, account_id: UUID, *, confirmed: bool) -> bytes | None:
    """Answer what an app shares with us, sealed: the one in use, or the one that is being set up."""
    found: bytes | None = await connection.fetchval(
        "select sealed_secret from totp where account_id = $1 and (confirmed_at is not null) = $2",
        account_id,
        confirmed,
    )
    return found


async def begin_totp(connection: Connection, account_id: UUID, sealed: bytes, now: datetime) -> bool:
    """Begin to set up an app, in place of one that was not confirmed; answer false where one is in use."""
    done: str = await connection.execute(
        """
        insert into totp (account_id, sealed_secret, created_at, last_step) values ($1, $2, $3, 0)
        on conflict (account_id) do update set sealed_secret = excluded.sealed_secret,
            created_at = excluded.created_at where totp.confirmed_at is null
        """,
        account_id,
        sealed,
        now,
    )
    return done != "INSERT 0 0"


async def confirm_totp(connection: Connection, account_id: UUID, sealed: bytes, period: int, now: datetime) -> bool:
    """Put an app to use whose code fitted; answer false where it is not the one being set up."""
    done: str = await connection.execute(
        """
        update totp set confirmed_at = $4, last_step = $3
        where account_id = $1 and sealed_secret = $2 and confirmed_at is null
        """,
        account_id,
        sealed,
        period,
        now,
    )
    return done != "UPDATE 0"


async def use_period(connection: Connection, account_id: UUID, period: int) -> bool:
    """Use up a period of an app, with all before it; answer false where it was used already."""
    done: str = await connection.execute(
        "update totp set last_step = $2 where account_id = $1 and last_step < $2 and confirmed_at is not null",
        account_id,
        period,
    )
    return done != "UPDATE 0"


async def remove_totp(connection: Connection, account_id: UUID) -> bool:
    """Remove an app; answer whether there was one."""
    done: str = await connection.execute("delete from totp where account_id = $1", account_id)
    return done != "DELETE 0"


async def write_recovery_codes(connection: Connection, account_id: UUID, hashes: Iterable[bytes]) -> None:
    """Keep new recovery codes in place of all others."""
    await connection.execute("delete from recovery_code where account_id = $1", account_id)
    await connection.executemany("insert into recovery_code values ($1, $2)", [(account_id, one) for one in hashes])


async def use_recovery_code(connection: Connection, account_id: UUID, hash_: bytes) -> bool:
    """Use up a recovery code; answer false where there is none such."""
    done: str = await connection.execute(
        "delete from recovery_code where account_id = $1 and hash = $2", account_id, hash_
    )
    return done != "DELETE 0"


async def reset(connection: Connection, account_id: UUID) -> None:
    """Take away every second step of an account, and end its sessions."""
    await remove_totp(connection, account_id)
    await connection.execute("delete from passkey where account_id = $1", account_id)
    await write_recovery_codes(connection, account_id, ())
    await connection.execute("delete from sign_in_step where account_id = $1", account_id)
    await end_other_sessions(connection, account_id, None)


async def open_step(  # noqa: PLR0913 - all that a step is
    connection: Connection, hash_: bytes, account_id: UUID | None, purpose: str, facts: Mapping[str, Any], now: datetime
) -> None:
    """Keep that somebody is halfway through signing in."""
    await connection.execute(
        "insert into sign_in_step values ($1, $2, $3, $4, $5)",
        hash_,
        account_id,
        purpose,
        orjson.dumps(facts).decode(),
        now,
    )


async def step(connection: Connection, hash_: bytes, purpose: str, since: datetime) -> asyncpg.Record | None:
    """Answer who is halfway (account_id), with which facts (JSON)."""
    return await connection.fetchrow(
        "select * from sign_in_step where secret_hash = $1 and purpose = $2 and created_at > $3",
        hash_,
        purpose,
        since,
    )


async def end_step(connection: Connection, hash_: bytes) -> bool:
    """Use up a step; answer false where another did so first."""
    done: str = await connection.execute("delete from sign_in_step where secret_hash = $1", hash_)
    return done != "DELETE 0"


async def forget_steps(connection: Connection, before: datetime) -> None:
    """Remove the steps that nobody went on from, and the apps that were never confirmed."""
    await connection.execute("delete from sign_in_step where created_at < $1", before)
    await connection.execute("delete from totp where confirmed_at is null and created_at < $1", before)


def facts(step: asyncpg.Record) -> dict[str, Any]:
    """Answer what was noted with a step."""
    found: dict[str, Any] = orjson.loads(step["facts"])
    return found


async def bound(connection: Connection, issuer: str, subject: str) -> UUID | None:
    """Answer the account that an outside provider's name for somebody is bound to."""
    found: UUID | None = await connection.fetchval(
        "select account_id from outside_identity where issuer = $1 and subject = $2", issuer, subject
    )
    return found


async def bind(connection: Connection, issuer: str, subject: str, account_id: UUID, now: datetime) -> bool:
    """Bind a provider's name for somebody to an account; answer false where either is bound already."""
    done: str = await connection.execute(
        "insert into outside_identity values ($1, $2, $3, $4) on conflict do nothing", issuer, subject, account_id, now
    )
    return done != "INSERT 0 0"


async def keys_of(connection: Connection, account_id: UUID) -> Sequence[asyncpg.Record]:
    """Answer the passkeys of an account (id, name, created_at, used_at), the oldest first."""
    return await connection.fetch(
        "select id, name, created_at, used_at from passkey where account_id = $1 order by created_at, id", account_id
    )


async def key(connection: Connection, id_: bytes) -> asyncpg.Record | None:
    """Answer a passkey by its id."""
    return await connection.fetchrow("select * from passkey where id = $1", id_)


async def add_key(connection: Connection, account_id: UUID, made: Made, name: str, now: datetime) -> bool:
    """Keep a new passkey; answer false where its id is known."""
    done: str = await connection.execute(
        """
        insert into passkey (id, account_id, public_key, sign_count, name, created_at)
        values ($1, $2, $3, $4, $5, $6) on conflict do nothing
        """,
        made.id,
        account_id,
        made.public,
        made.count,
        name,
        now,
    )
    return done != "INSERT 0 0"


async def use_key(connection: Connection, id_: bytes, count: int, now: datetime) -> bool:
    """Note that a passkey was used; answer false where its count ran no further, which a copied key's does not."""
    done: str = await connection.execute(
        """
        update passkey set sign_count = $2, used_at = $3
        where id = $1 and (sign_count < $2 or (sign_count = 0 and $2 = 0))
        """,
        id_,
        count,
        now,
    )
    return done != "UPDATE 0"


async def remove_key(connection: Connection, account_id: UUID, id_: bytes) -> bool:
    """Remove a passkey of an account; answer whether there was one."""
    done: str = await connection.execute("delete from passkey where account_id = $1 and id = $2", account_id, id_)
    return done != "DELETE 0"
