"""The queries of imports: their jobs, what each met, and which entries it leaves behind."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg

from relais_directory.store import Connection


async def open_job(  # noqa: PLR0913 - what is kept of a job
    connection: Connection,
    path: Path,
    source: str,
    options: Mapping[str, Any],
    now: datetime,
    *,
    size: int,
    file: str | None = None,
    state: str = "waiting",
) -> UUID:
    """Keep an import that is to be run (`waiting`), or whose file is still to come (`receiving`); answer its id."""
    id_: UUID = await connection.fetchval(
        """
        insert into import_job (id, organisation_id, source, file, path, options, state, created_at, bytes_total,
            bytes_read, rows_done, report, attempts)
        values (gen_random_uuid(), $1, $2, $3, $4, $5, $8, $6, $7, 0, 0, '{}', 0) returning id
        """,
        UUID(options["organisation_id"]) if options.get("organisation_id") else None,
        source,
        file or path.name,
        str(path),
        json.dumps(dict(options)),
        now,
        size,
        state,
    )
    return id_


async def begin_job(connection: Connection, id_: UUID, now: datetime) -> asyncpg.Record:
    """Take a job up, anew or again, and answer it."""
    row = await connection.fetchrow(
        """
        update import_job set state = 'running', started_at = coalesce(started_at, $2), attempts = attempts + 1
        where id = $1
        returning *, options::text as options, report::text as report
        """,
        id_,
        now,
    )
    assert row is not None  # noqa: S101 - whoever begins a job has its id
    return row


async def note_job(connection: Connection, id_: UUID, rows_done: int, bytes_read: int, report: str) -> None:
    """Keep how far a job came, with what it wrote."""
    await connection.execute(
        "update import_job set rows_done = $2, bytes_read = $3, report = $4 where id = $1",
        id_,
        rows_done,
        bytes_read,
        report,
    )


async def end_job(  # noqa: PLR0913 - what is kept of an end
    connection: Connection, id_: UUID, state: str, report: str, now: datetime, reason: str | None
) -> None:
    """Keep how a job ended; what it met is forgotten."""
    await connection.execute("delete from import_seen where job_id = $1", id_)
    await connection.execute(
        """
        update import_job set state = $2::text, report = $3, ended_at = $4, reason = $5,
            bytes_read = case $2::text when 'done' then bytes_total else bytes_read end
        where id = $1
        """,
        id_,
        state,
        report,
        now,
        reason,
    )


async def see(connection: Connection, job: UUID, ids: Sequence[UUID]) -> set[UUID]:
    """Note the entries that a job met; answer those it meets for the first time."""
    rows = await connection.fetch(
        "insert into import_seen select $1, unnest($2::uuid[]) on conflict do nothing returning service_id", job, ids
    )
    return {row["service_id"] for row in rows}


async def of_other_source(connection: Connection, source: str, ids: Sequence[UUID]) -> set[UUID]:
    """Answer which of these entries stand under another source."""
    rows = await connection.fetch("select id from service where id = any($1::uuid[]) and source <> $2", ids, source)
    return {row["id"] for row in rows}


async def other_ids(connection: Connection, source: str, records: Mapping[UUID, str]) -> dict[UUID, UUID]:
    """Answer, for each entry whose record id stands in its source with another id, that one."""
    rows = await connection.fetch(
        """
        select g.id, s.id as known from unnest($2::uuid[], $3::text[]) g (id, record_id)
        join service s on s.source = $1 and s.record_id = g.record_id and s.id <> g.id
        """,
        source,
        list(records),
        list(records.values()),
    )
    return {row["id"]: row["known"] for row in rows}


async def gone(connection: Connection, source: str, job: UUID) -> list[UUID]:
    """Answer the entries of a source that a job did not meet.

    What its organisation keeps itself has not gone, nor what stands for an entry that another source still tells.
    """
    rows = await connection.fetch(
        """
        select s.id from service s where s.source = $1 and s.status <> 'retired' and not s.owned
        and not exists (select from import_seen i where i.job_id = $2 and i.service_id = s.id)
        and not exists (select from service m where m.merged_into = s.id and m.source <> $1 and m.status <> 'retired')
        order by s.id
        """,
        source,
        job,
    )
    return [row["id"] for row in rows]


async def living(connection: Connection, source: str) -> int:
    """Answer how many entries of a source an import could retire."""
    found: int = await connection.fetchval(
        "select count(*) from service where source = $1 and status <> 'retired' and not owned", source
    )
    return found


async def held_before(connection: Connection, source: str, job: UUID) -> bool:
    """Answer whether the last import of a source that came to its end held back what was missing."""
    held: int | None = await connection.fetchval(
        """
        select (report ->> 'held')::int from import_job where source = $1 and id <> $2 and state = 'done'
        order by ended_at desc limit 1
        """,
        source,
        job,
    )
    return bool(held)


async def jobs(
    connection: Connection, organisation_id: UUID | None, before: UUID | None, limit: int
) -> Sequence[asyncpg.Record]:
    """Answer the imports of an organisation, or everybody's, the latest first."""
    return await connection.fetch(
        """
        select *, report::text as report from import_job where ($1::uuid is null or organisation_id = $1)
            and ($2::uuid is null or (created_at, id) < (select created_at, id from import_job where id = $2))
        order by created_at desc, id desc limit $3
        """,
        organisation_id,
        before,
        limit,
    )


async def job(connection: Connection, id_: UUID, organisation_id: UUID | None) -> asyncpg.Record | None:
    """Answer one import, of an organisation or of anybody, its row locked."""
    return await connection.fetchrow(
        "select *, report::text as report from import_job"
        " where id = $1 and ($2::uuid is null or organisation_id = $2) for update",
        id_,
        organisation_id,
    )


async def open_jobs(connection: Connection, organisation_id: UUID) -> int:
    """Answer how many imports of an organisation have not ended."""
    found: int = await connection.fetchval(
        "select count(*) from import_job where organisation_id = $1 and ended_at is null", organisation_id
    )
    return found


async def place_job(connection: Connection, id_: UUID, path: str) -> None:
    """Note where the bytes of a job stand."""
    await connection.execute("update import_job set path = $2 where id = $1", id_, path)


async def ready_job(connection: Connection, id_: UUID) -> None:
    """Let a job be run."""
    await connection.execute("update import_job set state = 'waiting' where id = $1", id_)


async def drop_job(connection: Connection, id_: UUID) -> None:
    """Forget a job."""
    await connection.execute("delete from import_job where id = $1", id_)


_TO_BE_RUN: Final = """state in ('waiting', 'running') and organisation_id is not null
    and not exists (select from pg_locks l where l.locktype = 'advisory' and l.objsubid = 1
        and l.database = (select oid from pg_database where datname = current_database())
        and (l.classid::bigint << 32 | l.objid::bigint) = hashtext('job:' || j.id::text))"""
"""No end yet, and nobody is at it: a runner holds the lock of its job, another directory's too."""


async def next_job(connection: Connection, attempts: int) -> UUID | None:
    """Answer the oldest job that is to be run: one that waits, or one whose runner is gone.

    One that was taken up too often has failed.
    """
    await connection.execute(
        f"""
        update import_job j set state = 'failed', ended_at = now(), reason = 'It was taken up too often without an end.'
        where {_TO_BE_RUN} and attempts >= $1
        """,
        attempts,
    )
    id_: UUID | None = await connection.fetchval(
        f"select id from import_job j where {_TO_BE_RUN} order by created_at limit 1"
    )
    return id_
