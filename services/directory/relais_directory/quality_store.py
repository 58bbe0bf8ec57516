"""Queries for whoever looks after the whole directory: how well it is kept, and by whom."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import asyncpg

from relais_directory.store import Connection


async def by_organisation(
    connection: Connection, stale_before: date, after: tuple[int, UUID] | None, limit: int
) -> Sequence[asyncpg.Record]:
    """Answer organisations with published entries, those with most stale ones first.

    Args:
        connection: To the directory's database.
        stale_before: What was last assured before this day, or never, is stale.
        after: Stale entries and id of the last one seen.
        limit: Rows.
    """
    return await connection.fetch(
        """
        select * from (
            select o.id as organisation_id, o.name as organisation,
                exists (select from registered_organisation r where r.id = o.id and (r.facts -> 'active')::bool)
                    as registered,
                count(*) as services,
                count(*) filter (where coalesce(s.assured_on, date '2000-01-01') < $1) as stale,
                coalesce(sum((select count(*) from remark m where m.service_id = s.id and m.kind = 'reported'
                    and m.answered_at is null)), 0)::int as open_reports,
                round(avg(s.quality)::numeric, 2)::float8 as quality
            from service s join organisation o on o.id = s.organisation_id
            where s.status in ('active', 'temporarily_closed') and s.merged_into is null
            group by o.id, o.name
        ) kept
        where $2::bigint is null or (-stale, organisation_id) > (-$2::bigint, $3::uuid)
        order by -stale, organisation_id limit $4
        """,
        stale_before,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )


async def stale(
    connection: Connection,
    stale_before: date,
    organisation_id: UUID | None,
    after: tuple[date, UUID] | None,
    limit: int,
) -> Sequence[asyncpg.Record]:
    """Answer published entries that nobody assured since a day, the longest untouched first; all, or an owner's."""
    return await connection.fetch(
        """
        select s.id, s.name, o.id as organisation_id, o.name as organisation, s.source, s.assured_on, s.quality,
            coalesce(s.assured_on, date '2000-01-01') as since
        from service s join organisation o on o.id = s.organisation_id
        where s.status in ('active', 'temporarily_closed') and s.merged_into is null
            and coalesce(s.assured_on, date '2000-01-01') < $1 and ($2::uuid is null or o.id = $2)
            and ($3::date is null or (coalesce(s.assured_on, date '2000-01-01'), s.id) > ($3, $4::uuid))
        order by coalesce(s.assured_on, date '2000-01-01'), s.id limit $5
        """,
        stale_before,
        organisation_id,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )
