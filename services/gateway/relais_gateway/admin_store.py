"""Queries for whoever runs the platform: organisations with what they are granted, their systems, the audit log."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg

from relais_gateway.store import Connection


async def organisations(connection: Connection, id_: UUID | None = None) -> Sequence[asyncpg.Record]:
    """Answer every organisation by name (or the one asked for) with its agreement, grants, and what it has of each."""
    return await connection.fetch(
        """
        select o.id, o.name, o.kind, o.municipality, o.active, o.platform, o.may_sanction, o.control_unit, o.secrecy,
            o.practice, o.controller, o.answer_within_days, o.launch_base,
            (select json_build_object('id', g.id, 'text_version', g.text_version, 'signed_on', g.signed_on,
                'ends_on', g.ends_on, 'parties', g.parties)::text
                from agreement g where g.organisation_id = o.id and g.ended_at is null) as agreement,
            (select count(*) from client c where c.organisation_id = o.id and c.active) as clients,
            (select count(*) from account a where a.organisation_id = o.id and a.active) as accounts,
            coalesce((select json_agg(json_build_object('scope', s.scope, 'limits', s.limits, 'ends_on', s.ends_on)
                order by s.scope) from scope_grant s where s.organisation_id = o.id), '[]')::text as grants
        from organisation o where $1::uuid is null or o.id = $1 order by o.name, o.id
        """,
        id_,
    )


async def clients(connection: Connection, organisation_id: UUID) -> Sequence[asyncpg.Record]:
    """Answer the systems of an organisation by name; never what they prove themselves with."""
    return await connection.fetch(
        "select id, name, scopes, active from client where organisation_id = $1 order by name, id", organisation_id
    )


async def put_grant(
    connection: Connection, organisation_id: UUID, scope: str, limits: Mapping[str, Any], ends_on: date | None
) -> None:
    """Grant a scope, in place of what was granted of it."""
    await connection.execute(
        """
        insert into scope_grant values ($1, $2, $3, $4)
        on conflict (organisation_id, scope) do update set limits = excluded.limits, ends_on = excluded.ends_on
        """,
        organisation_id,
        scope,
        json.dumps(dict(limits)),
        ends_on,
    )


async def remove_grant(connection: Connection, organisation_id: UUID, scope: str) -> bool:
    """Take a grant away; answer whether there was one."""
    done: str = await connection.execute(
        "delete from scope_grant where organisation_id = $1 and scope = $2", organisation_id, scope
    )
    return done.endswith(" 1")


async def audited(
    connection: Connection, before: int | None, subject: str | None, organisation_id: UUID | None, limit: int
) -> Sequence[asyncpg.Record]:
    """Answer what was written down, the latest first; all, or what is about one subject, or of one organisation."""
    return await connection.fetch(
        """
        select id, at, actor, action, subject, organisation_id, facts::text as facts, previous, hash from audit
        where ($1::bigint is null or id < $1) and ($2::text is null or subject = $2)
            and ($3::uuid is null or organisation_id = $3)
        order by id desc limit $4
        """,
        before,
        subject,
        organisation_id,
        limit,
    )


async def grants(
    connection: Connection, organisation_id: UUID, today: date
) -> tuple[Sequence[asyncpg.Record], bool, bool]:
    """Answer an organisation's grants, whether an agreement is in force, and whether it is a control unit."""
    rows = await connection.fetch("select scope, ends_on from scope_grant where organisation_id = $1", organisation_id)
    found = await connection.fetchrow(
        """
        select exists (
            select from agreement where organisation_id = o.id and ended_at is null and signed_on <= $2
                and (ends_on is null or ends_on >= $2)
        ), o.control_unit from organisation o where o.id = $1
        """,
        organisation_id,
        today,
    )
    return rows, bool(found and found[0]), bool(found and found[1])


async def open_client(connection: Connection, id_: str, organisation_id: UUID) -> asyncpg.Record | None:
    """Answer an open system of an organisation, locked."""
    return await connection.fetchrow(
        "select id, name, scopes, active from client where id = $1 and organisation_id = $2 and active for update",
        id_,
        organisation_id,
    )


async def add_client(  # noqa: PLR0913 - what a system is
    connection: Connection, id_: str, organisation_id: UUID, name: str, secret_hash: bytes, scopes: Sequence[str]
) -> None:
    """Keep a new system."""
    await connection.execute(
        "insert into client (id, organisation_id, name, secret_hash, scopes, active) values ($1, $2, $3, $4, $5, true)",
        id_,
        organisation_id,
        name,
        secret_hash,
        list(scopes),
    )


async def change_client(connection: Connection, id_: str, name: str, scopes: Sequence[str]) -> None:
    """Give a system another name and other scopes."""
    await connection.execute("update client set name = $2, scopes = $3 where id = $1", id_, name, list(scopes))


async def set_client_secret(connection: Connection, id_: str, secret_hash: bytes) -> None:
    """Keep the hash of a system's new secret in place of the old one's."""
    await connection.execute("update client set secret_hash = $2 where id = $1", id_, secret_hash)


async def close_client(connection: Connection, id_: str) -> None:
    """Close a system."""
    await connection.execute("update client set active = false where id = $1", id_)
