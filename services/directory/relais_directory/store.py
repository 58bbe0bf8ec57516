"""The queries of the directory; those of search, HSDS, imports, upkeep and quality stand in modules of their own."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

import asyncpg

WALK: Final = 1.3
"""Metres to walk for each metre as the crow flies: the usual detour of streets in towns."""

STOPS: Final = 3
"""Stops told of a place: the nearest ones, of different names."""

STOP_WITHIN_M: Final = 1_500
"""Beyond twenty minutes' walk no stop is near."""

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
Position = tuple[float, float, float]
Row = asyncpg.Record | Mapping[str, Any]
"""A row, or what stands in for one."""


async def places(connection: Connection, text: str, postcode: str, limit: int, home: str) -> Sequence[asyncpg.Record]:
    """Answer places by the beginning of a name (plain), of a word of it, or of a postcode.

    The best match first, then those of the home country, then the best known.
    """
    return await connection.fetch(
        """
        select p.*, m.name as municipality_name,
            case when p.names like '%|' || $1 || '|%' then 0
                 when p.names like '%|' || $1 || '%' then 1
                 when $2 <> '' and $2 = any(p.postcodes) then 0
                 when $2 <> '' then 1 else 2 end as rank
        from place p left join place m on m.code = p.parent
        where ($1 <> '' and (p.names like '%|' || $1 || '%' or p.names like '% ' || $1 || '%'))
            or ($2 <> '' and exists (select from unnest(p.postcodes) c where c like $2 || '%'))
        order by rank, p.country <> $4, p.kind = 'locality', p.population desc, p.name, p.code
        limit $3
        """,
        text,
        postcode,
        limit,
        home,
    )


async def place_by_code(connection: Connection, code: str) -> asyncpg.Record | None:
    """Answer a place by its code."""
    return await connection.fetchrow("select * from place where code = $1", code)


async def places_of_postcode(connection: Connection, country: str, postcode: str) -> Sequence[asyncpg.Record]:
    """Answer the places that carry a postcode: its localities, else its municipalities."""
    rows = await connection.fetch(
        "select * from place where postcodes @> array[$2]::varchar[] and country = $1", country, postcode
    )
    return [row for row in rows if row["kind"] == "locality"] or rows


async def municipalities(connection: Connection) -> list[tuple[str, float, float]]:
    """Answer code, latitude and longitude of every municipality."""
    rows = await connection.fetch("select code, latitude, longitude from place where kind = 'municipality'")
    return [(row["code"], row["latitude"], row["longitude"]) for row in rows]


async def nearest_municipality(connection: Connection, position: Position) -> asyncpg.Record | None:
    """Answer the municipality whose point is nearest: by reading all, for points far from any (see `nearby`)."""
    return await connection.fetchrow(
        """
        select * from place where kind = 'municipality' order by position <-> cube($1::float8[]) limit 1
        """,
        list(position),
    )


async def terms(connection: Connection) -> Sequence[asyncpg.Record]:
    """Answer the terms of our taxonomies, parents first."""
    return await connection.fetch("select * from taxonomy_term order by id")


SERVICE: Final = """
    select s.*, s.record::text as record_text, o.name as organisation_name, o.record::text as organisation_record,
        case when s.record ->> 'can_receive' is distinct from 'relais'
                then coalesce(s.record ->> 'can_receive', 'phone_only')
            when (r.facts -> 'scopes') ? 'referral:receive' and (r.facts -> 'active')::bool then 'relais'
            when s.record ->> 'email' is not null then 'guest' else 'phone_only' end as receives,
        p.available, p.maximum, p.unit, p.waiting_days, p.description as capacity_description,
        p.updated_at as capacity_at
    from service s join organisation o on o.id = s.organisation_id
    left join registered_organisation r on r.id = o.id
    left join service_capacity p on p.service_id = s.id
    where s.id = $1
"""


async def service(connection: Connection, id_: UUID) -> asyncpg.Record | None:
    """Answer a service with its organisation, capacity, and whether it receives hand-overs now."""
    return await connection.fetchrow(SERVICE, id_)


async def lock_service(connection: Connection, id_: UUID, organisation_id: UUID | None) -> asyncpg.Record | None:
    """Answer a service of an organisation, its row locked; nothing where it is another's."""
    return await connection.fetchrow(
        "select *, record::text as record_text from service where id = $1 and organisation_id = $2 for update",
        id_,
        organisation_id,
    )


async def drop_draft(connection: Connection, id_: UUID) -> None:
    """Delete a draft: nobody but its owner ever saw it. Its history, which nothing takes away, is shown no more."""
    await connection.execute("delete from service where id = $1 and status = 'draft'", id_)


async def keep_from_imports(connection: Connection, id_: UUID, *, owned: bool = True) -> None:
    """Note whether a service is kept by its organisation itself, so that imports leave it as it is."""
    await connection.execute("update service set owned = $2 where id = $1", id_, owned)


async def lock_organisation(connection: Connection, id_: UUID) -> asyncpg.Record | None:
    """Answer where an organisation's entry comes from, and its version; its row locked."""
    return await connection.fetchrow(
        "select version, source, record_id from organisation where id = $1 for update", id_
    )


async def line_of_parents(connection: Connection, id_: UUID) -> set[UUID]:
    """Answer an organisation, its parent, that one's parent, and so on; a loop is walked once."""
    rows = await connection.fetch(
        """
        with recursive line as (
            select $1::uuid as id
            union
            select (o.record ->> 'parent_organisation_id')::uuid from organisation o join line on line.id = o.id
            where o.record ->> 'parent_organisation_id' is not null
        )
        select id from line
        """,
        id_,
    )
    return {row["id"] for row in rows}


async def organisation(connection: Connection, id_: UUID) -> asyncpg.Record | None:
    """Answer what an organisation tells of itself (`record` as text), and how many services it shows."""
    return await connection.fetchrow(
        """
        select o.id, o.version, o.record::text as record, o.name,
            (select count(distinct c.service_id) from card c where c.organisation_id = o.id) as services
        from organisation o where o.id = $1
        """,
        id_,
    )


async def own_services(  # noqa: PLR0913 - the filters of a list
    connection: Connection,
    organisation_id: UUID,
    status: str | None,
    stale_days: int | None,
    today: date,
    after: UUID | None,
    limit: int,
) -> Sequence[asyncpg.Record]:
    """Answer the services of an organisation by id, with their open reports and whether a review asks about them."""
    return await connection.fetch(
        """
        select s.id, s.name, s.status, s.version, s.record::text as record, s.assured_on, s.assured_by, s.updated_at,
            (select count(*) from remark r where r.service_id = s.id and r.kind = 'reported'
                and r.answered_at is null) as open_reports,
            exists (select from campaign_entry e join campaign c on c.id = e.campaign_id
                where e.service_id = s.id and e.answered_at is null and c.ended_at is null) as asked,
            p.available, p.maximum, p.unit, p.waiting_days, p.description, p.updated_at as told_at
        from service s left join service_capacity p on p.service_id = s.id
        where s.organisation_id = $1 and s.merged_into is null and ($2::text is null or s.status = $2)
            and ($3::int is null or coalesce(s.assured_on, date '2000-01-01') < $4::date - $3::int)
            and ($5::uuid is null or s.id > $5)
        order by s.id limit $6
        """,
        organisation_id,
        status,
        stale_days,
        today,
        after,
        limit,
    )


async def sites(connection: Connection, id_: UUID) -> Sequence[asyncpg.Record]:
    """Answer the indexed places of a service with their stops and where these are, as they stand in its record.

    A card of the search tells no more of a stop than one reads: where it is, is looked up here.
    """
    return await connection.fetch(
        f"""
        select l.*, near.stops, p.name as municipality
        from service_at_location l
        left join place p on p.code = l.municipality_code
        left join lateral (
            select json_agg(json_build_object('name', s.name, 'kind', s.kind, 'walk_m', s.walk_m,
                'latitude', s.latitude, 'longitude', s.longitude) order by s.walk_m)::text as stops
            from ({nearest_stops("cube(l.position)")}) s
        ) near on l.position is not null and not l.confidential
        where l.service_id = $1 order by l.number
        """,
        id_,
    )


async def history(connection: Connection, id_: UUID, before: int | None, limit: int) -> Sequence[asyncpg.Record]:
    """Answer the changes of a resource, the latest first."""
    return await connection.fetch(
        """
        select id, at, action, field_name, previous_value::text as previous_value,
            replacement_value::text as replacement_value, updated_by
        from history where resource_id = $1 and ($2::bigint is null or id < $2) order by id desc limit $3
        """,
        id_,
        before,
        limit,
    )


async def openings(connection: Connection, ids: Sequence[int]) -> Sequence[asyncpg.Record]:
    """Answer opening hours by their ids."""
    return await connection.fetch("select id, text, zone, country from opening where id = any($1::int[])", ids)


async def relay_openings(connection: Connection) -> list[int]:
    """Answer the ids of all hours in which relay contacts can be reached."""
    rows = await connection.fetch(
        """
        with recursive walk as (
            (select relay_opening_id as id from card where relay_opening_id is not null order by 1 limit 1)
            union all
            select (select relay_opening_id from card where relay_opening_id > walk.id order by 1 limit 1)
            from walk where walk.id is not null
        )
        select id from walk where id is not null
        """
    )
    return [row["id"] for row in rows]


async def passed(connection: Connection, transaction: int) -> bool:
    """Answer whether a transaction of this number can have ended; not where a copy was restored that is older."""
    found: bool = await connection.fetchval(
        "select $1::bigint < pg_snapshot_xmax(pg_current_snapshot())::text::bigint", transaction
    )
    return found


async def changes(connection: Connection, after: tuple[int, UUID] | None, limit: int) -> Sequence[asyncpg.Record]:
    """Answer services by their last change, only those whose transaction surely ended before every later one.

    A change that commits late has an older number than one already passed on: so nothing is passed on that an open
    transaction could still overtake.
    """
    return await connection.fetch(
        """
        select id, organisation_id, status, version, updated_at, merged_into, changed_in,
            (select p.updated_at from service_capacity p where p.service_id = s.id) as capacity_at
        from service s
        where changed_in < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
            and ($1::bigint is null or (changed_in, id) > ($1, $2::uuid))
            -- A draft is nobody's business, unless it stood published before: then it is gone.
            and (status <> 'draft' or exists (select from history h where h.resource_id = s.id
                and h.field_name = 'status' and h.action = 'update' and h.replacement_value = '"draft"'))
        order by changed_in, id limit $3
        """,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )


async def places_of_others(connection: Connection, places: Mapping[UUID, UUID]) -> set[UUID]:
    """Answer which ids of a service at a place (each with its service) are another service's."""
    rows = await connection.fetch(
        """
        select l.id from service_at_location l
        join unnest($1::uuid[], $2::uuid[]) g (id, service_id) on g.id = l.id and g.service_id <> l.service_id
        """,
        list(places),
        list(places.values()),
    )
    return {row["id"] for row in rows}


EXPORT: Final = """
    select s.id, s.organisation_id, s.source, s.record_id, s.record::text as record_text, s.assured_on, s.assured_by,
        s.updated_at, o.record::text as organisation_record, o.record_id as organisation_record_id,
        coalesce(r.facts ->> 'name', o.name) as organisation_name, p.available, p.maximum, p.unit, p.waiting_days,
        p.description as capacity_description, p.updated_at as capacity_at,
        coalesce((select json_agg(json_build_object('number', l.number, 'position', l.position,
            'municipality_code', l.municipality_code) order by l.number)
            from service_at_location l where l.service_id = s.id), '[]')::text as sites
    from service s join organisation o on o.id = s.organisation_id
    left join registered_organisation r on r.id = o.id
    left join service_capacity p on p.service_id = s.id
    where s.status in ('active', 'temporarily_closed', 'inactive') and s.merged_into is null
        and ($1::uuid is null or s.organisation_id = $1)
        and ($2::text is null or exists (
            select from jsonb_array_elements_text(s.record -> 'themes') t where t = $2 or t like $2 || '--%'))
        and ($3::text is null or s.source = $3)
    order by s.id
"""


async def exported(
    connection: Connection, organisation_id: UUID | None, theme: str | None, source: str | None
) -> AsyncGenerator[dict[str, Any], None]:
    """Answer the services that leave the house, by id, as of one moment; memory does not grow with them."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        # A slow reader may take an hour; the default is for requests that answer at once.
        await connection.execute("set local statement_timeout = 0")
        async for row in connection.cursor(EXPORT, organisation_id, theme, source, prefetch=200):
            yield {**row, "sites": json.loads(row["sites"])}


def nearest_stops(at: str) -> str:
    """Answer the SQL of the nearest stops of a position (an SQL expression of a cube): name, kind, walk_m, and where.

    The nearest poles, one for each name: the two sides of a street are one stop.
    """
    within = f"cube_enlarge({at}, {STOP_WITHIN_M} / {WALK}, 3)"
    return f"""
        select * from (
            select distinct on (t.name) t.name, t.kind, round((t.position <-> {at}) * {WALK})::int as walk_m,
                t.latitude, t.longitude
            from (select * from stop where position <@ {within} order by position <-> {at} limit 12) t
            order by t.name, walk_m
        ) u where walk_m <= {STOP_WITHIN_M} order by walk_m limit {STOPS}
    """


async def put_stops(connection: Connection, source: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Write the stops of a source (id, name, kind, latitude, longitude, position); answer how many are gone."""
    await connection.execute(
        "create temporary table arriving_stop (stop_id text, name text, kind text, latitude float8, longitude float8,"
        " at float8[]) on commit drop"
    )
    await connection.copy_records_to_table("arriving_stop", records=rows)
    gone = await connection.execute(
        "delete from stop s where s.source = $1"
        " and not exists (select from arriving_stop n where n.stop_id = s.stop_id)",
        source,
    )
    await connection.execute(
        """
        insert into stop (source, stop_id, name, kind, latitude, longitude, position)
        select $1, stop_id, name, kind, latitude, longitude, cube(at) from arriving_stop
        on conflict (source, stop_id) do update set name = excluded.name, kind = excluded.kind,
            latitude = excluded.latitude, longitude = excluded.longitude, position = excluded.position
        where (stop.name, stop.kind, stop.latitude, stop.longitude)
            is distinct from (excluded.name, excluded.kind, excluded.latitude, excluded.longitude)
        """,
        source,
    )
    return int(gone.rpartition(" ")[2])


async def renew_stops(connection: Connection) -> int:
    """Tell every place its nearest stops; answer for how many they changed."""
    done = await connection.execute(
        f"""
        with found as (
            select c.id, s.stop_m, s.stops from card c left join lateral (
                select min(n.walk_m) as stop_m, json_agg(json_build_object('name', n.name, 'kind', n.kind,
                    'walk_m', n.walk_m) order by n.walk_m)::text as stops
                from ({nearest_stops("c.position")}) n
            ) s on true
            where c.position is not null and not c.confidential
        )
        update card c set stop_m = f.stop_m, stops = f.stops from found f
        where f.id = c.id and (c.stop_m, c.stops) is distinct from (f.stop_m, f.stops)
        """
    )
    return int(done.rpartition(" ")[2])
