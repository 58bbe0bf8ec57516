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
            o.practice, g.text_version, g.signed_on, g.parties,
            (select count(*) from client c where c.organisation_id = o.id and c.active) as clients,
            (select count(*) from account a where a.organisation_id = o.id and a.active) as accounts,
            coalesce((select json_agg(json_build_object('scope', s.scope, 'limits', s.limits, 'ends_on', s.ends_on)
                order by s.scope) from scope_grant s where s.organisation_id = o.id), '[]')::text as grants
        from organisation o left join agreement g on g.organisation_id = o.id
        where $1::uuid is null or o.id = $1 order by o.name, o.id
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
    connection: Connection, before: int | None, subject: str | None, limit: int
) -> Sequence[asyncpg.Record]:
    """Answer what was written down, the latest first; all, or what is about one subject."""
    return await connection.fetch(
        """
        select id, at, actor, action, subject, facts::text as facts from audit
        where ($1::bigint is null or id < $1) and ($2::text is null or subject = $2) order by id desc limit $3
        """,
        before,
        subject,
        limit,
    )
