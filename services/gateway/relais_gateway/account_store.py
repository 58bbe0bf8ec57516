"""Queries about who signs in: accounts with their roles, who administers, invitations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from relais_gateway.store import Connection, Row

CHANGEABLE: Final = frozenset({"name", "function", "roles", "active"})
"""Columns of an account that an administrator changes."""


@dataclass(frozen=True, slots=True)
class Administrators:
    """How many administer: one organisation, the platform today, and the platform without an end."""

    own: int
    operators: int
    lasting: int


async def hold_administration(connection: Connection, organisation_id: UUID) -> None:
    """Wait for whoever changes who administers this organisation or the platform, and let others wait."""
    await connection.execute(
        """
        select from organisation o where o.id = $1
            or exists (select from scope_grant s where s.organisation_id = o.id and s.scope = 'platform:admin')
        order by o.id for no key update
        """,
        organisation_id,
    )


async def administrators(connection: Connection, organisation_id: UUID, today: date) -> Administrators:
    """Answer how many open accounts administer an organisation, and how many run the platform on a day, or for good."""
    row = await connection.fetchrow(
        """
        select count(*) filter (where a.organisation_id = $1) as own,
            count(*) filter (where o.active and s.scope is not null and (s.ends_on is null or s.ends_on >= $2))
                as operators,
            count(*) filter (where o.active and s.scope is not null and s.ends_on is null) as lasting
        from account a join organisation o on o.id = a.organisation_id
            left join scope_grant s on s.organisation_id = o.id and s.scope = 'platform:admin'
        where a.active and 'administrator' = any(a.roles)
        """,
        organisation_id,
        today,
    )
    assert row is not None  # noqa: S101 - an aggregate answers one row
    return Administrators(row["own"], row["operators"], row["lasting"])


async def accounts(connection: Connection, organisation_id: UUID, *, closed: bool) -> Sequence[asyncpg.Record]:
    """Answer an organisation's accounts by name, with when each was here last; the closed ones too where asked for."""
    return await connection.fetch(
        f"{_ACCOUNT} where a.organisation_id = $1 and (a.active or $2) order by a.name, a.id", organisation_id, closed
    )


async def account(connection: Connection, id_: UUID, organisation_id: UUID | None) -> Row | None:
    """Answer an account; of one organisation, or of any where none is named."""
    return await connection.fetchrow(
        f"{_ACCOUNT} where a.id = $1 and ($2::uuid is null or a.organisation_id = $2)", id_, organisation_id
    )


_ACCOUNT: Final = """
select a.id, a.organisation_id, a.email, a.name, a.function, a.roles, a.active,
    (select max(s.seen_at) from session s where s.account_id = a.id) as seen_at
from account a
"""


async def change_account(connection: Connection, id_: UUID, changes: Mapping[str, Any]) -> None:
    """Change some columns of an account, all of them in `CHANGEABLE`."""
    assert changes.keys() <= CHANGEABLE, changes.keys()  # noqa: S101 - names stand in the statement
    written = ", ".join(f"{name} = ${place}" for place, name in enumerate(changes, start=2))
    await connection.execute(f"update account set {written} where id = $1", id_, *changes.values())  # noqa: S608 - names of ours


async def end_sessions(connection: Connection, account_id: UUID) -> None:
    """End every session of an account."""
    await connection.execute("delete from session where account_id = $1", account_id)


async def end_sessions_of(connection: Connection, organisation_id: UUID) -> None:
    """End every session of an organisation's accounts."""
    await connection.execute(
        "delete from session where account_id in (select id from account where organisation_id = $1)", organisation_id
    )


async def account_with(connection: Connection, email: str) -> Row | None:
    """Answer whose account bears an e-mail (small letters): its organisation, and whether it is open."""
    return await connection.fetchrow("select id, organisation_id, active from account where email = $1", email)


async def add_account(  # noqa: PLR0913 - what an account is
    connection: Connection,
    id_: UUID,
    organisation_id: UUID,
    *,
    email: str,
    name: str,
    function: str,
    roles: Sequence[str],
    password_hash: str,
) -> bool:
    """Keep a new account; answer whether nobody had its e-mail."""
    done: str = await connection.execute(
        """
        insert into account (id, organisation_id, email, name, function, password_hash, roles, active)
        values ($1, $2, $3, $4, $5, $6, $7, true) on conflict (email) do nothing
        """,
        id_,
        organisation_id,
        email,
        name,
        function,
        password_hash,
        list(roles),
    )
    return done.endswith(" 1")


async def invite(  # noqa: PLR0913 - what an invitation is
    connection: Connection,
    id_: UUID,
    organisation_id: UUID,
    *,
    email: str,
    name: str,
    function: str,
    roles: Sequence[str],
    secret_hash: bytes,
    invited_by: str,
    now: datetime,
    expires_at: datetime,
) -> None:
    """Keep an invitation, in place of any that is open for the same e-mail in the same organisation."""
    await connection.execute(
        """
        update invitation set withdrawn_at = $3
        where organisation_id = $1 and email = $2 and accepted_at is null and withdrawn_at is null
        """,
        organisation_id,
        email,
        now,
    )
    await connection.execute(
        """
        insert into invitation (id, organisation_id, email, name, function, roles, secret_hash, invited_by, invited_at,
            expires_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        id_,
        organisation_id,
        email,
        name,
        function,
        list(roles),
        secret_hash,
        invited_by,
        now,
        expires_at,
    )


async def invitations(connection: Connection, organisation_id: UUID, now: datetime) -> Sequence[asyncpg.Record]:
    """Answer an organisation's open invitations, the latest first."""
    return await connection.fetch(
        f"""
        select id, email, name, function, roles, invited_by, invited_at, expires_at from invitation
        where organisation_id = $2 and {_OPEN} order by invited_at desc, id
        """,  # noqa: S608 - words of ours
        now,
        organisation_id,
    )


_OPEN: Final = "accepted_at is null and withdrawn_at is null and expires_at > $1"


async def withdraw_invitation(
    connection: Connection, id_: UUID, organisation_id: UUID | None, now: datetime
) -> UUID | None:
    """Withdraw an open invitation, of one organisation or of any; answer whose it was, nothing where it is none."""
    found: UUID | None = await connection.fetchval(
        f"""
        update invitation set withdrawn_at = $1
        where id = $2 and ($3::uuid is null or organisation_id = $3) and {_OPEN} returning organisation_id
        """,  # noqa: S608 - words of ours
        now,
        id_,
        organisation_id,
    )
    return found


async def invited(connection: Connection, secret_hash: bytes, now: datetime) -> Row | None:
    """Answer the open invitation that a link's secret opens, locked until the transaction ends."""
    return await connection.fetchrow(
        f"""
        select i.*, o.name as organisation from invitation i join organisation o on o.id = i.organisation_id
        where i.secret_hash = $2 and o.active and {_OPEN} for no key update of i
        """,  # noqa: S608 - words of ours
        now,
        secret_hash,
    )


async def invitation_ends(connection: Connection, id_: UUID) -> datetime:
    """Answer when the term of an invitation is over, open or not."""
    found: datetime = await connection.fetchval("select expires_at from invitation where id = $1", id_)
    return found


async def accept_invitation(connection: Connection, id_: UUID, now: datetime) -> None:
    """Note that an invitation was accepted: its link opens nothing more."""
    await connection.execute("update invitation set accepted_at = $2 where id = $1", id_, now)


async def forget_invitations(connection: Connection, expired: datetime) -> None:
    """Remove the invitations whose term was over by an instant, accepted or not."""
    await connection.execute("delete from invitation where expires_at < $1", expired)
