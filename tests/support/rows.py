"""The rows of a database: as text, for tests that nothing was stored or is readable; and one moved in time."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg


def tables(dsn: str) -> dict[str, list[str]]:
    """Answer each table's rows as PostgreSQL writes them, by table name; partitions count under their own."""
    return asyncio.run(_tables(dsn))


def owner_dsn(home: Path, service: str) -> str:
    """Answer the DSN of the owner of a service's schema in a `RELAIS_HOME`."""
    text = (home / "secrets" / f"relais_{service}_owner_dsn").read_text().strip()
    return re.sub(r"^postgresql\+\w+", "postgresql", text)


def let_undoing_pass(dsn: str, referral_id: str) -> None:
    """Move the last step of a hand-over a quarter of an hour back: no test waits until it cannot be undone."""
    # A browser's test holds this thread's event loop.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _undone_no_more(dsn, referral_id)).result()


def let_sign_ins_be_new(dsn: str) -> None:
    """Move every sign-in to now: what changes how one signs in takes one of the last quarter of an hour."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _new(dsn)).result()


async def _new(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("update session set created_at = now()")
    finally:
        await connection.close()


async def _undone_no_more(dsn: str, referral_id: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("alter table referral no force row level security")
            done = await connection.execute(
                "update referral set undo = jsonb_set(undo, '{at}',"
                " to_jsonb((undo ->> 'at')::timestamptz - interval '16 minutes')) where id = $1::text::uuid",
                referral_id,
            )
            await connection.execute("alter table referral force row level security")
        assert done == "UPDATE 1", done
    finally:
        await connection.close()


async def _tables(dsn: str) -> dict[str, list[str]]:
    connection = await asyncpg.connect(dsn)
    try:
        names = await connection.fetch(
            "select c.oid::regclass::text as name from pg_class c"
            " join pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind = 'r' and n.nspname = 'public' order by 1"
        )
        found = {}
        for name in [row["name"] for row in names]:
            # Row-level security is forced on the owner too; a reader of the test's kind must see all.
            await connection.execute(f"alter table {name} no force row level security")
            rows = await connection.fetch(f"select t::text as row from {name} t")  # noqa: S608 - names from the catalogue
            found[name] = [row["row"] for row in rows]
        return found
    finally:
        await connection.close()
