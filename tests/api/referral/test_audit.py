"""Whatever is changed in the log of events shows, and the first bad entry is named."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from api.referral.world import RECIPIENT, SENDER, World
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from relais_referral import auditing, rewrapping, store
from relais_referral.domain.heads import START, End, Head, days_due, head_of
from relais_shared.db import async_url

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


async def verdict(dsn: str, home: Path, exported: Head | None = None) -> auditing.Verdict:
    """Verify a database as its owner."""
    _, key_id, public = auditing.keys_of(home)
    engine = create_async_engine(async_url(dsn))
    try:
        async with AsyncSession(engine) as tx:
            return await auditing.verify(tx, {key_id: public}.get, exported)
    finally:
        await engine.dispose()


async def write_heads(world: World, now: datetime) -> list[Head]:
    """Write the heads that are due, as the worker does."""
    key, key_id, _ = auditing.keys_of(world.app.state.settings.home)
    async with world.app.state.database.write() as tx:
        await store.begin(tx, rewrapping.WORKER)
        return await auditing.write_heads(tx, key, key_id, now)


async def walked(world: World, days: int = 3) -> datetime:
    """Fill some days with hand-overs; answer the last instant."""
    now = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    for number in range(days):
        world.app.state.clock = lambda now=now: now
        for steps in (("propose", "r.accept", "r.plan_meeting"), ("propose", "r.decline")):
            handover = world.between(SENDER, RECIPIENT)
            await handover.open()
            await handover.agree(given_at=now.isoformat())
            await handover.walk(*steps)
        if number == 0:
            now += DAY  # a day on which nothing happened
        now += DAY
    del world.app.state.clock
    return now


async def test_every_day_gets_one_head_chained_and_signed(fresh: World) -> None:
    home = fresh.app.state.settings.home
    now = await walked(fresh)
    heads = await write_heads(fresh, now)
    assert [head.day.isoformat() for head in heads] == ["2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23"]
    assert [head.referrals for head in heads] == [2, 0, 2, 2]
    assert [head.previous for head in heads] == [START, *(head.hash for head in heads[:-1])]
    assert await write_heads(fresh, now) == []
    good = await verdict(fresh.database.owner_dsn, home)
    assert (good.referrals, good.heads, good.faults) == (6, 4, [])
    assert (await verdict(fresh.database.owner_dsn, home, heads[1])).faults == []
    assert Head.of(json.loads(json.dumps(heads[-1].told()))) == heads[-1]


CHANGES = {
    "at": "at + interval '1 millisecond'",
    "type": "type || 'x'",
    "actor": "actor || 'x'",
    "organisation_id": "gen_random_uuid()",
    "data": "data || '{\"more\": 1}'",
    "previous": "sha256(previous)",
    "hash": "sha256(hash)",
    "number": "number + 100",
    # Its number goes along: under that id another event has it already.
    "referral_id": "(select id from referral where id <> event.referral_id order by id limit 1), number = 99",
}
"""A change of each column of an event."""


Alter = Callable[..., Awaitable[None]]


@pytest.fixture(name="alter")
def _alter(fresh: World, databases: Any) -> Alter:
    """Change what the database refuses to change, as somebody who holds its server could."""

    async def alter(*statements: str) -> None:
        name = fresh.database.dsn.rpartition("/")[2]
        connection = await asyncpg.connect(f"{databases.admin_dsn.rpartition('/')[0]}/{name}")
        try:
            await connection.execute("set session_replication_role = replica")
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    return alter


@pytest.mark.parametrize("column", CHANGES)
async def test_a_changed_column_shows(fresh: World, alter: Alter, column: str) -> None:
    home = fresh.app.state.settings.home
    await write_heads(fresh, await walked(fresh, days=2))
    target = (
        "(referral_id, number) = (select referral_id, number from event order by referral_id, number offset 4 limit 1)"
    )
    await alter(
        f"update event set {column} = {CHANGES[column]} where {target}",  # noqa: S608 - our own words
    )
    found = await verdict(fresh.database.owner_dsn, home)
    assert found.faults
    assert any(fault.split(":")[0] != "head" for fault in found.faults)


WHOLE = {
    "an event removed": """delete from event where number = 2
        and referral_id = (select id from referral order by id limit 1)""",
    "the end cut off": """delete from event where number = (select event_count from referral
        where id = event.referral_id) and referral_id = (select id from referral order by id limit 1)""",
    "two events in each other's place": """update event set number = case number when 2 then 3 else 2 end + 1000
        where number in (2, 3); update event set number = number - 1000 where number > 1000""",
    "a whole referral's events removed": """delete from event
        where referral_id = (select id from referral order by id limit 1)""",
    "an event added": """insert into event select referral_id, number + 1, at, type, actor, organisation_id, data, hash,
        sha256(hash) from event where number = (select event_count from referral where id = event.referral_id)""",
    "a head's events": "update day_head set events = events + 1 where day = '2026-11-20'",
    "a head's hash": "update day_head set hash = sha256(hash) where day = '2026-11-20'",
    "a head's end": "update day_head set upto = upto + interval '1 hour' where day = '2026-11-20'",
    "a head's signature": "update day_head set signature = sha256(signature) || sha256(hash) where day = '2026-11-20'",
    "a head removed": "delete from day_head where day = '2026-11-21'",
}
"""What else somebody might do."""


@pytest.mark.parametrize("what", WHOLE)
async def test_whatever_is_done_to_the_log_shows(fresh: World, alter: Alter, what: str) -> None:
    home = fresh.app.state.settings.home
    await write_heads(fresh, await walked(fresh, days=2))
    await alter(*WHOLE[what].split(";"))
    assert (await verdict(fresh.database.owner_dsn, home)).faults


async def test_a_log_rewritten_whole_shows_beside_a_head_that_was_handed_out(fresh: World, alter: Alter) -> None:
    """Whoever holds database and key can write everything anew; not what partners hold."""
    home = fresh.app.state.settings.home
    now = await walked(fresh, days=2)
    handed_out = (await write_heads(fresh, now))[-1]
    await alter(
        "delete from day_head",
        "delete from event where referral_id = (select id from referral order by id limit 1)",
        "update referral set event_count = 0, event_head = decode(repeat('00', 32), 'hex')"
        " where id = (select id from referral order by id limit 1)",
    )
    await write_heads(fresh, now)
    faults = (await verdict(fresh.database.owner_dsn, home, handed_out)).faults
    assert f"head of {handed_out.day}: it is not the one that was handed out" in faults


async def test_a_head_of_another_key_is_not_ours(fresh: World) -> None:
    home = fresh.app.state.settings.home
    now = await walked(fresh, days=1)
    async with fresh.app.state.database.write() as tx:
        await store.begin(tx, rewrapping.WORKER)
        _, key_id, _ = auditing.keys_of(home)
        await auditing.write_heads(tx, Ed25519PrivateKey.generate(), key_id, now)
    faults = (await verdict(fresh.database.owner_dsn, home)).faults
    assert [fault for fault in faults if "signature" in fault]


async def test_the_command_says_it(fresh: World, alter: Alter) -> None:
    await write_heads(fresh, await walked(fresh, days=1))

    async def run(*words: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", "from relais_referral.cli import audit; audit()", *words],
            env={**os.environ, "RELAIS_REFERRAL_OWNER_DSN": fresh.database.owner_dsn},
            capture_output=True,
            text=True,
            check=False,
        )

    head = await run("head")
    assert head.returncode == 0, head.stderr
    assert Head.of(json.loads(head.stdout)).day.isoformat() == "2026-11-21"
    good = await run("verify")
    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "2 referrals and 2 daily heads, 0 faults.")
    await alter("update event set actor = 'x' where number = 1")
    bad = await run("verify")
    assert bad.returncode == 1
    assert "event 1 was changed" in bad.stdout


def test_a_day_is_over_ten_minutes_after_midnight() -> None:
    day = datetime(2026, 11, 23, tzinfo=UTC)
    assert days_due(None, None, day) == []
    assert days_due(None, day.date(), day + DAY + timedelta(minutes=9)) == []
    assert days_due(None, day.date(), day + DAY + timedelta(minutes=10)) == [day.date()]
    assert days_due(day.date(), day.date(), day + 3 * DAY) == [(day + DAY).date()]


def test_the_order_of_ends_counts() -> None:
    day = datetime(2026, 11, 23, tzinfo=UTC).date()
    one, other = (End(id_, 1, bytes(32)) for id_ in (SENDER.id, RECIPIENT.id))
    first = head_of(day, [one, other], events=2, previous=START)
    assert first != head_of(day, [other, one], events=2, previous=START)
    assert first != head_of(day, [one, other], events=3, previous=START)
    assert first != head_of(day, [one], events=2, previous=START)
