"""The queries of duplicates: what is compared, pairs, and which entry stands for another."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from relais_directory.store import Connection

COMPARED: Final = "s.status in ('active', 'temporarily_closed', 'inactive') and s.merged_into is null"
"""What may be told to be another entry's double: published, and standing for itself."""

ANOTHERS: Final = """(t.source <> s.source or s.source = 'relais' and t.organisation_id <> s.organisation_id)"""
"""Of another source; or of another organisation, where both write here themselves."""

SWITCHBOARD: Final = 20
"""A number that more entries share is a house's switchboard: it tells nothing of them."""


async def slice_of(connection: Connection, after: UUID | None, limit: int) -> list[UUID]:
    """Answer the ids of published entries that stand for themselves, in order, behind one of them."""
    rows = await connection.fetch(
        f"""
        select s.id from service s where {COMPARED} and ($1::uuid is null or s.id > $1) order by s.id limit $2
        """,
        after,
        limit,
    )
    return [row["id"] for row in rows]


async def near_pairs(connection: Connection, ids: Sequence[UUID], within_m: float) -> Sequence[asyncpg.Record]:
    """Answer pairs of entries at one place, or with one number, whose names are a little alike.

    One of each is among `ids`, the other comes behind it; pairs that are known already are left out. `distance_m` is
    the chord between their nearest places. A confidential place takes no part, nor what stands at the centre of a
    municipality for want of a better point.
    """
    return await connection.fetch(
        f"""
        with here as materialized (
            select c.service_id, c.position from card c
            where c.service_id = any($1::uuid[]) and c.position is not null and not c.confidential
                and not exists (select from place p where p.position = c.position)
        ), numbers as materialized (
            select s.id, right(regexp_replace(n.number #>> '{{}}', '[^0-9]', '', 'g'), 8) as number
            from service s cross join lateral (
                select jsonb_path_query(s.record, '$.phones[*].number') as number
                union
                select jsonb_path_query(s.record, '$.locations[*] ? (!(@.confidential == true)).phones[*].number')
            ) n where {COMPARED}
        ), shared as (
            select number from numbers where length(number) = 8
            group by number having count(*) between 2 and {SWITCHBOARD}
        ), pairs as (
            select a.service_id as one, b.service_id as other, a.position <-> b.position as distance_m
            from here a
            join search_entry b on b.theme = 0 and b.service_id > a.service_id
                and b.position <@ cube_enlarge(a.position, $2, 3) and a.position <-> b.position <= $2
            join card c on c.id = b.card_id and not c.confidential
            where not exists (select from place p where p.position = b.position)
            union all
            select a.id, b.id, null from shared join numbers a using (number) join numbers b using (number)
            where a.id = any($1::uuid[]) and b.id > a.id
        )
        select p.one, p.other, min(p.distance_m) as distance_m
        from pairs p join service s on s.id = p.one join service t on t.id = p.other
        where {ANOTHERS} and s.name % t.name
            and not exists (select from duplicate d where d.first_id = p.one and d.second_id = p.other)
        group by p.one, p.other
        """,
        ids,
        within_m,
    )


async def compared(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, asyncpg.Record]:
    """Answer the entries to compare by id."""
    rows = await connection.fetch(
        """
        select s.id, s.name, s.record::text as record, o.name as organisation
        from service s join organisation o on o.id = s.organisation_id where s.id = any($1::uuid[])
        """,
        ids,
    )
    return {row["id"]: row for row in rows}


async def propose(  # noqa: PLR0913 - what is kept of a pair
    connection: Connection, one: UUID, other: UUID, score: float, reasons: Sequence[Any], now: datetime
) -> None:
    """Propose two entries as one service."""
    await connection.execute(
        """
        insert into duplicate (id, first_id, second_id, score, reasons, state, found_at)
        values (gen_random_uuid(), $1, $2, $3, $4, 'proposed', $5) on conflict do nothing
        """,
        one,
        other,
        score,
        json.dumps(reasons),
        now,
    )


async def duplicates(
    connection: Connection,
    state: str,
    after: tuple[float, UUID] | None,
    limit: int,
    *,
    organisation_id: UUID | None = None,
) -> Sequence[asyncpg.Record]:
    """Answer pairs in a state, the likeliest first, with the names of both; all, or those of one owner alone."""
    return await connection.fetch(
        """
        select d.id, d.score, d.reasons::text as reasons, d.state, d.kept_id, d.found_at, d.decided_at, d.decided_by,
            json_build_array(
                json_build_object('id', a.id, 'name', a.name, 'source', a.source, 'organisation', x.name,
                    'organisation_id', x.id),
                json_build_object('id', b.id, 'name', b.name, 'source', b.source, 'organisation', y.name,
                    'organisation_id', y.id)
            )::text as entries
        from duplicate d join service a on a.id = d.first_id join service b on b.id = d.second_id
        join organisation x on x.id = a.organisation_id join organisation y on y.id = b.organisation_id
        where d.state = $1 and ($2::float8 is null or (-d.score, d.id) > (-$2::float8, $3::uuid))
            and ($5::uuid is null or (x.id = $5 and y.id = $5))
        order by -d.score, d.id limit $4
        """,
        state,
        after[0] if after else None,
        after[1] if after else None,
        limit,
        organisation_id,
    )


async def lock_duplicate(connection: Connection, id_: UUID, organisation_id: UUID | None) -> asyncpg.Record | None:
    """Answer a pair, its row locked; where an owner asks, only one between entries of its own."""
    query = """
        select d.*, d.before::text as before_text from duplicate d
        join service a on a.id = d.first_id join service b on b.id = d.second_id
        where d.id = $1 and ($2::uuid is null or (a.organisation_id = $2 and b.organisation_id = $2))
        for update of d
        """
    return await connection.fetchrow(query, id_, organisation_id)


async def decide(  # noqa: PLR0913 - what is kept of a decision
    connection: Connection,
    id_: UUID,
    state: str,
    now: datetime,
    by: str,
    kept: UUID | None = None,
    before: str | None = None,
) -> None:
    """Keep what was decided on a pair."""
    await connection.execute(
        "update duplicate set state = $2, decided_at = $3, decided_by = $4, kept_id = $5, before = $6 where id = $1",
        id_,
        state,
        now,
        by,
        kept,
        before,
    )


async def lock_services(connection: Connection, ids: Sequence[UUID]) -> None:
    """Lock services, always in one order."""
    await connection.execute("select from service where id = any($1::uuid[]) order by id for update", ids)


async def version_of(connection: Connection, id_: UUID) -> int:
    """Answer the version of a service."""
    found: int = await connection.fetchval("select version from service where id = $1", id_)
    return found


async def stand_for(connection: Connection, other: UUID, kept: UUID | None, now: datetime, by: str) -> None:
    """Let one entry stand for another, or (None) let it stand for itself again; its history tells of it."""
    await connection.execute(
        """
        with old as (select id, merged_into from service where id = $1), kept as (
            insert into history (resource_id, resource_type, at, action, field_name, previous_value,
                replacement_value, updated_by)
            select id, 'service', $3, 'update', 'merged_into', to_jsonb(merged_into), to_jsonb($2::uuid), $4 from old
        )
        update service set merged_into = $2, changed_in = pg_current_xact_id()::text::bigint where id = $1
        """,
        other,
        kept,
        now,
        by,
    )
