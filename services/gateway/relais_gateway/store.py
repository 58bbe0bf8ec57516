"""The queries of the gateway: registry, sessions, teams, audit log, traces; others stand in modules of their own."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from relais_gateway.domain.audit import START, Entry, digest
from relais_shared.db import DOWN

Row = asyncpg.Record
Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

FAULTS: Final = (*DOWN, asyncpg.PostgresError)
"""All that a query raises: what works by itself tells of it, and begins again."""


LIMITS: Final = """
select organisation_id, null as client_id, per_second, burst, at_once from organisation_limit
union all
select c.organisation_id, l.client_id, l.per_second, l.burst, l.at_once
from client_limit l join client c on c.id = l.client_id
"""
"""How often organisations (`client_id` none) and their systems may call, where it is said."""


async def version(connection: Connection) -> int:
    """Answer the version of who may do what."""
    found: int = await connection.fetchval("select version from registry_version")
    return found


async def begin_day(connection: Connection, today: date) -> None:
    """Move the version with the day, once: what holds by days may hold no more, or hold from now on."""
    if await connection.fetchval("select day < $1 from registry_version", today):
        # Whoever only reads now, as from a database that takes nothing, sees the new day all the same.
        with suppress(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute(
                "update registry_version set version = version + 1, day = $1 where day < $1", today
            )


async def everything(connection: Connection) -> dict[str, Any]:
    """Answer the whole state of who may do what, at one instant."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return {
            "version": await version(connection),
            "organisations": await connection.fetch("select * from organisation order by name"),
            "agreements": await connection.fetch("select * from agreement where ended_at is null"),
            "grants": await connection.fetch("select * from scope_grant"),
            "clients": await connection.fetch("select * from client where active"),
            "accounts": await connection.fetch("select id, organisation_id, name, roles from account where active"),
            "members": await connection.fetch("select * from team_member order by team_id"),
            "absences": await connection.fetch("select * from absence order by account_id"),
            "limits": await connection.fetch(LIMITS),
            "keys": await connection.fetch(
                "select * from signing_key where retired_at is null or retired_at > now() order by created_at, kid"
            ),
        }


async def account_by_email(connection: Connection, email: str) -> asyncpg.Record | None:
    """Answer an active account of an active organisation by its e-mail (small letters)."""
    return await connection.fetchrow(
        "select a.* from account a join organisation o on o.id = a.organisation_id"
        " where a.email = $1 and a.active and o.active",
        email,
    )


async def failed_attempts(connection: Connection, who: bytes, since: datetime) -> int:
    """Answer how often signing in failed, for whoever and from wherever `who` stands for, since an instant."""
    found: int = await connection.fetchval(
        "select count(*) from sign_in_attempt where who = $1 and at > $2", who, since
    )
    return found


async def note_attempt(connection: Connection, who: bytes, now: datetime) -> int:
    """Note a try of signing in, which counts as failed until it is forgiven; answer its number."""
    number: int = await connection.fetchval(
        "insert into sign_in_attempt (who, at) values ($1, $2) returning id", who, now
    )
    return number


async def forgive_attempts(connection: Connection, numbers: Sequence[int]) -> None:
    """Forget a try that went well, wherever it was counted."""
    await connection.execute("delete from sign_in_attempt where id = any($1)", numbers)


async def open_session(  # noqa: PLR0913 - all that a session is
    connection: Connection, hash_: bytes, account_id: UUID, now: datetime, *, how: str, device: str
) -> None:
    """Keep a new session."""
    await connection.execute(
        "insert into session (secret_hash, account_id, created_at, seen_at, how, device)"
        " values ($1, $2, $3, $3, $4, $5)",
        hash_,
        account_id,
        now,
        how,
        device,
    )


async def session(connection: Connection, hash_: bytes, seen_after: datetime, opened_after: datetime) -> Any:  # noqa: ANN401 - a record or nothing
    """Answer whose session this is, while it lives."""
    return await connection.fetchrow(
        """
        select a.*, o.name as organisation_name, s.seen_at, s.created_at, s.id as session_id, s.how,
            exists (select from totp t where t.account_id = a.id and t.confirmed_at is not null)
                or exists (select from passkey k where k.account_id = a.id) as second_step
        from session s join account a on a.id = s.account_id join organisation o on o.id = a.organisation_id
        where s.secret_hash = $1 and s.seen_at > $2 and s.created_at > $3 and a.active and o.active
        """,
        hash_,
        seen_after,
        opened_after,
    )


async def touch_session(connection: Connection, hash_: bytes, now: datetime) -> None:
    """Note that a session was used."""
    await connection.execute("update session set seen_at = $2 where secret_hash = $1", hash_, now)


async def end_session(connection: Connection, hash_: bytes) -> None:
    """Remove a session."""
    await connection.execute("delete from session where secret_hash = $1", hash_)


async def forget_visits(
    connection: Connection, sessions_opened: datetime, sessions_seen: datetime, attempts: datetime
) -> None:
    """Remove the sessions that ended by themselves, and the attempts that no longer count."""
    await connection.execute(
        "delete from session where created_at < $1 or seen_at < $2", sessions_opened, sessions_seen
    )
    await connection.execute("delete from sign_in_attempt where at < $1", attempts)


async def set_password(connection: Connection, email: str, password_hash: str) -> UUID | None:
    """Give an account another password, end its sessions and who is halfway; answer its id, or nothing."""
    id_: UUID | None = await connection.fetchval(
        "update account set password_hash = $2 where email = $1 returning id", email.casefold(), password_hash
    )
    if id_ is not None:
        await connection.execute("delete from session where account_id = $1", id_)
        await connection.execute("delete from sign_in_step where account_id = $1", id_)
    return id_


async def teams(connection: Connection, organisation_id: UUID) -> Sequence[asyncpg.Record]:
    """Answer an organisation's teams by name, each with its active members as JSON (account_id, lead)."""
    return await connection.fetch(
        """
        select t.id, t.name, coalesce(
            jsonb_agg(jsonb_build_object('account_id', a.id, 'lead', m.lead) order by a.name, a.id)
                filter (where a.id is not null), '[]'
        ) as members
        from team t left join team_member m on m.team_id = t.id left join account a on a.id = m.account_id and a.active
        where t.organisation_id = $1 group by t.id order by t.name
        """,
        organisation_id,
    )


async def add_team(connection: Connection, id_: UUID, organisation_id: UUID, name: str) -> bool:
    """Keep a new team; answer whether the organisation had none of that name."""
    done: str = await connection.execute(
        "insert into team values ($1, $2, $3) on conflict (organisation_id, name) do nothing",
        id_,
        organisation_id,
        name,
    )
    return _touched(done)


async def rename_team(connection: Connection, id_: UUID, organisation_id: UUID, name: str) -> bool:
    """Give a team another name; answer whether it is one of this organisation.

    Raises:
        asyncpg.UniqueViolationError: Another team has the name.
    """
    done: str = await connection.execute(
        "update team set name = $3 where id = $1 and organisation_id = $2", id_, organisation_id, name
    )
    return _touched(done)


async def remove_team(connection: Connection, id_: UUID, organisation_id: UUID) -> bool:
    """Remove a team with its memberships; answer whether it was one of this organisation."""
    done: str = await connection.execute(
        "delete from team where id = $1 and organisation_id = $2", id_, organisation_id
    )
    return _touched(done)


async def has_team(connection: Connection, id_: UUID, organisation_id: UUID) -> bool:
    """Answer whether an organisation has this team, and keep it from leaving until the transaction ends."""
    return bool(
        await connection.fetchval(
            "select true from team where id = $1 and organisation_id = $2 for key share", id_, organisation_id
        )
    )


async def has_account(connection: Connection, id_: UUID, organisation_id: UUID) -> bool:
    """Answer whether an organisation has this account, and it is open."""
    return bool(
        await connection.fetchval(
            "select true from account where id = $1 and organisation_id = $2 and active", id_, organisation_id
        )
    )


async def put_member(
    connection: Connection, team_id: UUID, account_id: UUID, organisation_id: UUID, *, lead: bool
) -> None:
    """Take an account into a team, or change whether it leads."""
    await connection.execute(
        "insert into team_member values ($1, $2, $3, $4)"
        " on conflict (team_id, account_id) do update set lead = excluded.lead",
        team_id,
        account_id,
        organisation_id,
        lead,
    )


async def remove_member(connection: Connection, team_id: UUID, account_id: UUID) -> bool:
    """Take an account out of a team; answer whether it was in."""
    done: str = await connection.execute(
        "delete from team_member where team_id = $1 and account_id = $2", team_id, account_id
    )
    return _touched(done)


async def colleagues(connection: Connection, organisation_id: UUID) -> Sequence[asyncpg.Record]:
    """Answer an organisation's open accounts by name: teams as JSON (id, name, lead), the absence in its columns."""
    return await connection.fetch(
        """
        select a.id, a.name, a.function, a.email, b.deputy_id, b.begins_on, b.ends_on, coalesce(
            (
                select jsonb_agg(jsonb_build_object('id', t.id, 'name', t.name, 'lead', m.lead) order by t.name)
                from team_member m join team t on t.id = m.team_id where m.account_id = a.id
            ), '[]'
        ) as teams
        from account a left join absence b on b.account_id = a.id
        where a.organisation_id = $1 and a.active order by a.name, a.id
        """,
        organisation_id,
    )


async def mailboxes(connection: Connection) -> Sequence[asyncpg.Record]:
    """Answer every open account: its organisation, e-mail, roles, language, teams, led teams, its absence."""
    return await connection.fetch(
        """
        select a.id, a.organisation_id, a.email, a.roles, a.language, b.deputy_id, b.begins_on, b.ends_on,
            array(select m.team_id::text from team_member m where m.account_id = a.id) as teams,
            array(select m.team_id::text from team_member m where m.account_id = a.id and m.lead) as leads
        from account a left join absence b on b.account_id = a.id join organisation o on o.id = a.organisation_id
        where a.active and o.active
        """
    )


async def put_absence(  # noqa: PLR0913 - what an absence is
    connection: Connection,
    account_id: UUID,
    organisation_id: UUID,
    deputy_id: UUID,
    begins_on: date,
    ends_on: date | None,
) -> None:
    """Note when an account is away and who stands for it, in place of what was noted."""
    await connection.execute(
        """
        insert into absence values ($1, $2, $3, $4, $5) on conflict (account_id) do update
        set deputy_id = excluded.deputy_id, begins_on = excluded.begins_on, ends_on = excluded.ends_on
        """,
        account_id,
        organisation_id,
        deputy_id,
        begins_on,
        ends_on,
    )


async def remove_absence(connection: Connection, account_id: UUID) -> bool:
    """Forget an absence; answer whether there was one."""
    done: str = await connection.execute("delete from absence where account_id = $1", account_id)
    return _touched(done)


async def set_answer_time(connection: Connection, organisation_id: UUID, working_days: int) -> None:
    """Note how soon an organisation usually answers."""
    await connection.execute(
        "update organisation set answer_within_days = $2 where id = $1", organisation_id, working_days
    )


def _touched(done: str) -> bool:
    """Answer whether a command changed a row, by what PostgreSQL says of it (`DELETE 1`)."""
    return not done.endswith(" 0")


async def audit(  # noqa: PLR0913 - who changed what
    connection: Connection,
    at: datetime,
    actor: str,
    action: str,
    subject: str,
    facts: Mapping[str, Any] | None = None,
    *,
    organisation_id: UUID | None = None,
) -> None:
    """Write who changed what, as the next entry of the chain.

    Others who write wait until this transaction is over, so that the chain is one line: write it last.
    """
    async with connection.transaction():
        head = await connection.fetchrow("select number, hash from hold_audit_head()")
        assert head is not None  # noqa: S101 - the one row that no role of ours may remove
        entry = Entry(head["number"] + 1, at, actor, action, subject, organisation_id, dict(facts or {}), head["hash"])
        await connection.execute(
            """
            insert into audit (id, at, actor, action, subject, organisation_id, facts, previous, hash)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            """,
            entry.number,
            at,
            actor,
            action,
            subject,
            organisation_id,
            json.dumps(entry.facts),
            entry.previous,
            digest(entry),
        )


async def audit_entries(connection: Connection) -> AsyncIterator[Entry]:
    """Answer the whole audit log by number, a thousand entries in memory at a time; inside a transaction."""
    async for row in connection.cursor("select * from audit order by id", prefetch=1_000):
        facts = json.loads(row["facts"])
        yield Entry(
            row["id"], row["at"], row["actor"], row["action"], row["subject"], row["organisation_id"], facts,
            row["previous"], row["hash"],
        )  # fmt: skip


async def audit_head(connection: Connection) -> tuple[int, bytes]:
    """Answer the number and the hash of the last entry of the audit log, as they are remembered beside it."""
    row = await connection.fetchrow("select number, hash from audit_head")
    return (row["number"], row["hash"]) if row else (0, START)


SPAN_COLUMNS: Final = (
    "trace_id", "span_id", "parent_span_id", "service", "name", "kind", "started_at", "duration_ms", "status",
    "attributes", "entry",
)  # fmt: skip


async def add_spans(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Keep spans, many at once."""
    await connection.copy_records_to_table("span", records=rows, columns=SPAN_COLUMNS)


async def forget_spans(connection: Connection, before: datetime) -> None:
    """Remove the spans that began before an instant, however long it takes: an hour of a busy Relais has millions."""
    async with connection.transaction():
        await connection.execute("set local statement_timeout = 0")
        await connection.execute("delete from span where started_at < $1", before)


async def traces(  # noqa: PLR0913 - the filters of the list
    connection: Connection,
    *,
    service: str | None,
    status: str | None,
    min_duration_ms: float | None,
    organisation_id: UUID | None,
    http_status: int | None,
    calls: bool,
    before: tuple[datetime, str] | None,
    limit: int,
) -> Sequence[asyncpg.Record]:
    """Answer traces, the newest first: each by the span where it came in, with its services and number of spans."""
    return await connection.fetch(
        """
        select r.trace_id, r.name as root, r.started_at, r.duration_ms, whole.services, whole.status, whole.spans,
            (r.attributes ->> 'http.response.status_code')::int as http_status
        from span r cross join lateral (
            select array_agg(distinct s.service order by s.service) as services, count(*) as spans,
                case when bool_or(s.status = 'error') then 'error' else 'ok' end as status,
                bool_or(s.attributes ->> 'relais.organisation_id' = $4) as theirs
            from span s where s.trace_id = r.trace_id
        ) whole
        where r.entry
            and ($1::text is null or $1 = any(whole.services)) and ($2::text is null or whole.status = $2)
            and ($3::float8 is null or r.duration_ms >= $3)
            and ($4::text is null or whole.theirs)
            and ($8::int is null or (r.attributes ->> 'http.response.status_code')::int = $8)
            and (not $9 or (r.kind = 'server' and r.service = 'gateway' and r.name not like '% /internal/%'))
            and ($5::timestamptz is null or (r.started_at, r.trace_id) < ($5, $6))
        order by r.started_at desc, r.trace_id desc limit $7
        """,
        service,
        status,
        min_duration_ms,
        str(organisation_id) if organisation_id else None,
        before[0] if before else None,
        before[1] if before else None,
        limit,
        http_status,
        calls,
    )


async def trace(connection: Connection, trace_id: str) -> Sequence[asyncpg.Record]:
    """Answer the spans of a trace in the order in which they began."""
    return await connection.fetch("select * from span where trace_id = $1 order by started_at, id", trace_id)


async def service_calls(connection: Connection, since: datetime) -> Sequence[asyncpg.Record]:
    """Answer who called whom since an instant: number of calls, faults among them, and how long they took."""
    return await connection.fetch(
        """
        select caller.service as caller, called.service as service, count(*) as calls,
            count(*) filter (where called.status = 'error') as errors,
            percentile_cont(0.5) within group (order by called.duration_ms) as median_ms,
            percentile_cont(0.95) within group (order by called.duration_ms) as p95_ms
        from span called
        left join span caller on caller.trace_id = called.trace_id and caller.span_id = called.parent_span_id
        where called.kind in ('server', 'consumer') and called.started_at >= $1
            and caller.service is distinct from called.service
        group by caller.service, called.service order by called.service, caller.service nulls first
        """,
        since,
    )
