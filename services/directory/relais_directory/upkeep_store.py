"""The queries of upkeep: confirmations and reports, reviews, duplicates, tips, unmet needs, saved searches."""

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from relais_directory.store import Connection

SHOWN_FROM: Final = 5
"""Fewer unmet needs of one kind could point at somebody (design 4)."""


async def confirm(connection: Connection, id_: UUID, day: date, by: str | None) -> bool:
    """Note that an entry was assured on a day; answer whether there is such an entry."""
    row = await connection.fetchrow(
        """
        update service set assured_on = greatest(assured_on, $2),
            assured_by = case when assured_on > $2 then assured_by else $3 end,
            changed_in = pg_current_xact_id()::text::bigint
        where id = $1 and status not in ('draft', 'retired') and merged_into is null
        returning assured_on, assured_by
        """,
        id_,
        day,
        by,
    )
    if row is None:
        return False
    await connection.execute(
        "update card set freshness = $2, assured_by = $3 where service_id = $1",
        id_,
        row["assured_on"],
        row["assured_by"],
    )
    await connection.execute("update search_entry set freshness = $2 where service_id = $1", id_, row["assured_on"])
    return True


async def note_confirmed(connection: Connection, id_: UUID, organisation_id: UUID, at: datetime) -> None:
    """Keep that an organisation confirmed an entry, once a day; its row is locked."""
    await connection.execute(
        """
        insert into remark (id, service_id, organisation_id, kind, at)
        select gen_random_uuid(), $1, $2, 'confirmed', $3
        where not exists (select from remark where service_id = $1 and organisation_id = $2 and kind = 'confirmed'
            and (at at time zone 'UTC')::date = ($3 at time zone 'UTC')::date)
        """,
        id_,
        organisation_id,
        at,
    )


async def report(  # noqa: PLR0913 - what is kept of a report
    connection: Connection, id_: UUID, organisation_id: UUID, field: str, text: str | None, at: datetime
) -> UUID:
    """Keep what a counsellor reports of an entry; answer its id."""
    found: UUID = await connection.fetchval(
        """
        insert into remark (id, service_id, organisation_id, kind, field, text, at)
        values (gen_random_uuid(), $1, $2, 'reported', $3, $4, $5) returning id
        """,
        id_,
        organisation_id,
        field,
        text,
        at,
    )
    return found


async def open_reports(connection: Connection, id_: UUID) -> Sequence[asyncpg.Record]:
    """Answer what is reported of an entry and not answered yet, the latest first."""
    return await connection.fetch(
        """
        select id, field, at from remark where service_id = $1 and kind = 'reported' and answered_at is null
        order by at desc limit 20
        """,
        id_,
    )


WITHOUT_OWNER: Final = """not exists (select from registered_organisation r where r.id = s.organisation_id
    and (r.facts -> 'active')::bool)"""
"""The owner of a service is not in Relais: the operator stands in for it."""


async def reports(
    connection: Connection,
    organisation_id: UUID | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
    *,
    answered: bool,
) -> Sequence[asyncpg.Record]:
    """Answer the reports on an organisation's entries and those it made itself, the oldest first.

    Without an organisation: those on entries whose owner is not here.
    """
    whose = (
        "(s.organisation_id = $1 or m.organisation_id = $1)"
        if organisation_id
        else f"$1::uuid is null and {WITHOUT_OWNER}"
    )
    return await connection.fetch(
        f"""
        select m.id, m.service_id, s.name as service, m.field, m.text, m.at, m.answer, m.corrected, m.answered_at,
            s.organisation_id is not distinct from $1 as mine
        from remark m join service s on s.id = m.service_id
        where m.kind = 'reported' and {whose} and (m.answered_at is not null) = $2
            and ($3::timestamptz is null or (m.at, m.id) > ($3, $4::uuid))
        order by m.at, m.id limit $5
        """,
        organisation_id,
        answered,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )


async def answer_report(  # noqa: PLR0913 - what is kept of an answer
    connection: Connection,
    id_: UUID,
    organisation_id: UUID | None,
    answer: str | None,
    now: datetime,
    *,
    corrected: bool,
    operator: bool,
) -> str | None:
    """Keep an answer; answer `done`, `answered` where it was already, or nothing where it is not theirs to answer."""
    row = await connection.fetchrow(
        f"""
        select m.answered_at from remark m join service s on s.id = m.service_id
        where m.id = $1 and m.kind = 'reported' and (s.organisation_id = $2 or $3 and {WITHOUT_OWNER}) for update of m
        """,
        id_,
        organisation_id,
        operator,
    )
    if row is None:
        return None
    if row["answered_at"] is not None:
        return "answered"
    await connection.execute(
        "update remark set answer = $2, corrected = $3, answered_at = $4 where id = $1", id_, answer, corrected, now
    )
    return "done"


async def start_campaign(  # noqa: PLR0913 - what a review is
    connection: Connection, name: str, older_than_days: int, due_on: date, organisation_id: UUID | None, now: datetime
) -> UUID:
    """Open a review of what nobody assured for so many days; answer its id."""
    id_: UUID = await connection.fetchval(
        "insert into campaign (id, name, older_than_days, started_at, due_on)"
        " values (gen_random_uuid(), $1, $2, $3, $4) returning id",
        name,
        older_than_days,
        now,
        due_on,
    )
    await connection.execute(
        """
        insert into campaign_entry (campaign_id, service_id, organisation_id)
        select $1, id, organisation_id from service
        where status in ('active', 'temporarily_closed') and merged_into is null
            and coalesce(assured_on, date '2000-01-01') < $2::date - $3::int
            and ($4::uuid is null or organisation_id = $4)
        """,
        id_,
        now.date(),
        older_than_days,
        organisation_id,
    )
    return id_


async def campaigns(connection: Connection) -> Sequence[asyncpg.Record]:
    """Answer the reviews, the latest first, with how many entries were asked about and answered."""
    return await connection.fetch(
        """
        select c.id, c.name, c.older_than_days, c.started_at, c.due_on, c.ended_at, count(e.service_id) as asked,
            count(e.answered_at) as answered, count(distinct e.organisation_id) as organisations
        from campaign c left join campaign_entry e on e.campaign_id = c.id
        group by c.id order by c.started_at desc, c.id limit 100
        """
    )


async def is_campaign(connection: Connection, id_: UUID) -> bool:
    """Answer whether there is such a review."""
    return bool(await connection.fetchval("select true from campaign where id = $1", id_))


async def campaign_owners(connection: Connection, id_: UUID) -> Sequence[asyncpg.Record]:
    """Answer the owners that a review asks, those with most left first, and whether each can answer here."""
    return await connection.fetch(
        """
        select e.organisation_id, o.name as organisation, count(*) as asked, count(e.answered_at) as answered,
            r.id is not null as registered, o.record ->> 'email' as email
        from campaign_entry e join organisation o on o.id = e.organisation_id
        left join registered_organisation r on r.id = o.id
        where e.campaign_id = $1 group by e.organisation_id, o.id, r.id
        order by count(*) - count(e.answered_at) desc, 2 limit 1000
        """,
        id_,
    )


async def end_campaign(connection: Connection, id_: UUID, now: datetime) -> bool:
    """End a review; answer whether it was open."""
    return (
        await connection.execute("update campaign set ended_at = $2 where id = $1 and ended_at is null", id_, now)
        == "UPDATE 1"
    )


async def reviews(connection: Connection, organisation_id: UUID) -> Sequence[asyncpg.Record]:
    """Answer the entries of an organisation that an open review asks about, the earliest due first."""
    return await connection.fetch(
        """
        select c.id as campaign_id, c.name as campaign, c.due_on, s.id as service_id, s.name as service, s.assured_on
        from campaign_entry e join campaign c on c.id = e.campaign_id join service s on s.id = e.service_id
        where s.organisation_id = $1 and e.answered_at is null and c.ended_at is null
            and s.status <> 'retired' and s.merged_into is null
        order by c.due_on, s.assured_on nulls first, s.id limit 500
        """,
        organisation_id,
    )


async def answer_reviews(connection: Connection, service_id: UUID, outcome: str, now: datetime) -> None:
    """Note in every open review that the owner looked at an entry."""
    await connection.execute(
        """
        update campaign_entry e set answered_at = $3, outcome = $2 from campaign c
        where c.id = e.campaign_id and c.ended_at is null and e.service_id = $1 and e.answered_at is null
        """,
        service_id,
        outcome,
        now,
    )


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


COMPARED: Final = "s.status in ('active', 'temporarily_closed', 'inactive') and s.merged_into is null"
"""What may be told to be another entry's double: published, and standing for itself."""

ANOTHERS: Final = """(t.source <> s.source or s.source = 'relais' and t.organisation_id <> s.organisation_id)"""
"""Of another source; or of another organisation, where both write here themselves."""

SWITCHBOARD: Final = 20
"""A number that more entries share is a house's switchboard: it tells nothing of them."""


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
    connection: Connection, id_: UUID, state: str, now: datetime, by: str, kept: UUID | None = None,
    before: str | None = None,
) -> None:  # fmt: skip
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


async def add_tip(connection: Connection, service_id: UUID, organisation_id: UUID, text: str, now: datetime) -> UUID:
    """Keep a tip; answer its id."""
    id_: UUID = await connection.fetchval(
        "insert into tip (id, service_id, organisation_id, text, at) values (gen_random_uuid(), $1, $2, $3, $4)"
        " returning id",
        service_id,
        organisation_id,
        text,
        now,
    )
    return id_


async def tips(connection: Connection, service_id: UUID) -> Sequence[asyncpg.Record]:
    """Answer the tips on a service, the latest first, with who gave them."""
    return await connection.fetch(
        """
        select t.id, t.text, t.at, t.organisation_id, coalesce(o.name, r.facts ->> 'name') as organisation
        from tip t left join organisation o on o.id = t.organisation_id
        left join registered_organisation r on r.id = t.organisation_id
        where t.service_id = $1 and t.withdrawn_at is null order by t.at desc, t.id limit 100
        """,
        service_id,
    )


async def withdraw_tip(connection: Connection, id_: UUID, organisation_id: UUID, now: datetime) -> bool:
    """Withdraw a tip of an organisation; answer whether it was there."""
    return (
        await connection.execute(
            "update tip set withdrawn_at = $3, text = ''"
            " where id = $1 and organisation_id = $2 and withdrawn_at is null",
            id_,
            organisation_id,
            now,
        )
        == "UPDATE 1"
    )


async def signal(  # noqa: PLR0913 - what is kept of a need
    connection: Connection, theme: str, municipality: str, hours: str | None, reason: str, day: date
) -> None:
    """Keep a need that found no place, by its day alone."""
    await connection.execute(
        """
        insert into unmet_need (id, theme, municipality_code, hours, reason, "on")
        values (gen_random_uuid(), $1, $2, $3, $4, $5)
        """,
        theme,
        municipality,
        hours,
        reason,
        day,
    )


async def unmet(connection: Connection, since: date) -> Sequence[asyncpg.Record]:
    """Answer needs that found no place, by calendar year, theme, municipality, hours and reason, in whole fives.

    Years never overlap, and a count moves by five at once: the difference of two answers tells of five persons or none.
    """
    return await connection.fetch(
        f"""
        select extract(year from u."on")::int as year, u.theme, u.municipality_code, p.name as municipality, u.hours,
            u.reason, count(*) / {SHOWN_FROM} * {SHOWN_FROM} as needs
        from unmet_need u left join place p on p.code = u.municipality_code
        where u."on" >= $1 group by 1, u.theme, u.municipality_code, p.name, u.hours, u.reason
        having count(*) >= {SHOWN_FROM} order by year desc, needs desc, u.theme, u.municipality_code, u.hours, u.reason
        limit 1000
        """,
        since,
    )


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
