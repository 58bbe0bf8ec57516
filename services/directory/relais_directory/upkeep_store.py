"""The queries of upkeep: confirmations and reports, reviews, tips, unmet needs."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

import asyncpg

from relais_directory.domain.days import ZONE, day_of
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
            and (at at time zone $4)::date = ($3 at time zone $4)::date)
        """,
        id_,
        organisation_id,
        at,
        ZONE.key,
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
        day_of(now),
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
