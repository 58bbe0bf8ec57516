"""Whatever is changed in the log of events shows, and the first bad entry is named."""

# ruff: noqa: S608 - statements of our own words alone, on a database of the test's own

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from api.referral.world import RECIPIENT, SENDER, World
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from typer.testing import CliRunner

from relais_referral import auditing, cli, rewrapping, store
from relais_referral.domain import chain
from relais_referral.domain.heads import START, End, Head, days_due, head_of
from relais_shared.db import async_url

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


async def verdict(world: World, now: datetime, exported: Head | None = None) -> auditing.Verdict:
    """Verify a database as its owner."""
    engine = create_async_engine(async_url(world.database.owner_dsn))
    try:
        async with AsyncSession(engine) as tx:
            return await auditing.verify(tx, auditing.public_keys(world.app.state.settings.home), now, exported)
    finally:
        await engine.dispose()


async def write_heads(world: World, now: datetime) -> list[Head]:
    """Write the heads that are due, as the worker does."""
    key, key_id = auditing.signing_key(world.app.state.settings.home)
    async with world.app.state.database.write() as tx:
        await store.callers.begin(tx, rewrapping.WORKER)
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
    now = await walked(fresh)
    heads = await write_heads(fresh, now)
    assert [head.day.isoformat() for head in heads] == ["2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23"]
    assert [head.referrals for head in heads] == [2, 0, 2, 2]
    assert [head.previous for head in heads] == [START, *(head.hash for head in heads[:-1])]
    assert await write_heads(fresh, now) == []
    good = await verdict(fresh, now)
    assert (good.referrals, good.heads, good.faults) == (6, 4, [])
    assert (await verdict(fresh, now, heads[1])).faults == []
    assert Head.of(json.loads(json.dumps(heads[-1].told()))) == heads[-1]


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


KEPT = ("referral", "event", "day_head")
"""What a verification reads."""
ONE, OTHER = ("(select id from referral order by id limit 1)", "(select id from referral order by id limit 1 offset 1)")
SECOND = f"where referral_id = {ONE} and number = 2"
LAST = f"where referral_id = {ONE} and number = (select event_count from referral where id = {ONE})"

EVENTS = {
    "referral_id": (f"update event set referral_id = {OTHER}, number = 99 {SECOND}", "event 2 is missing"),
    "number": (f"update event set number = 99 {SECOND}", "event 2 is missing"),
    "at": (f"update event set at = at + interval '1 millisecond' {SECOND}", "event 2 was changed"),
    "type": (f"update event set type = 'x' {SECOND}", "event 2 was changed"),
    "actor": (f"update event set actor = 'x' {SECOND}", "event 2 was changed"),
    "organisation_id": (f"update event set organisation_id = null {SECOND}", "event 2 was changed"),
    "data": (f"update event set data = '{{\"more\": 1}}' {SECOND}", "event 2 was changed"),
    "previous": (f"update event set previous = hash {SECOND}", "event 2 does not follow the one before it"),
    "hash": (f"update event set hash = previous {SECOND}", "event 2 was changed"),
}
"""A change of each column of an event, and what is said of its referral."""

ROWS = {
    "one removed": (f"delete from event {SECOND}", "event 2 is missing"),
    "the end cut off": (f"delete from event {LAST}", "event {last} is missing, and whatever came after it"),
    "all removed": (f"delete from event where referral_id = {ONE}", "event 1 is missing, and whatever came after it"),
    "one added": (
        f"""insert into event select referral_id, number + 1, at, type, actor, organisation_id, data, hash, sha256(hash)
            from event {LAST}""",
        "event {more} was added, the referral remembers {last}",
    ),
    "two in each other's place": (
        f"""update event set number = 5 - number + 100 where referral_id = {ONE} and number in (2, 3);
            update event set number = number - 100 where number > 100""",
        "event 2 does not follow the one before it",
    ),
    "the referral removed": (
        f"delete from referral where id = {ONE}",
        "event 1 and those after it are there, the referral itself is not",
    ),
    "its count": (
        f"update referral set event_count = event_count - 1 where id = {ONE}",
        "event {last} was added, the referral remembers {less}",
    ),
    "its end": (
        f"update referral set event_head = sha256(event_head) where id = {ONE}",
        "event {last} is not the one that the referral remembers as its last",
    ),
}
"""What else somebody might do to a referral's events."""

HEADS = {
    "day": ("day = '2026-12-21'", "it is missing"),
    "upto": ("upto = upto + interval '1 hour'", "it was changed"),
    "referrals": ("referrals = referrals + 1", "the events of that day are not those that were signed"),
    "events": ("events = events + 1", "the events of that day are not those that were signed"),
    "previous": ("previous = hash", "it does not follow the one before it"),
    "hash": ("hash = previous", "its signature is not ours"),
    "key_id": ("key_id = 'another'", "its signature is not ours"),
    "signature": ("signature = sha256(signature) || sha256(hash)", "its signature is not ours"),
}
"""A change of each column of a daily head, and the first that is said of it."""


@dataclass
class Log:
    """A log of some days, changed and put back again and again."""

    world: World
    now: datetime
    alter: Alter

    async def faults(self, *statements: str) -> list[str]:
        """Answer what is found after a change; the log is then as it was before."""
        await self.alter(*statements)
        found = (await verdict(self.world, self.now)).faults
        await self.alter(*(f"delete from {table}; insert into {table} select * from kept.{table}" for table in KEPT))
        return found


@pytest.fixture(name="log")
async def _log(fresh: World, alter: Alter) -> Log:
    now = await walked(fresh, days=2)
    await write_heads(fresh, now)
    await alter("create schema kept", *(f"create table kept.{table} as table {table}" for table in KEPT))
    return Log(fresh, now, alter)


async def columns(world: World, table: str) -> set[str]:
    """Answer the columns of a table."""
    rows = await asked(world, f"select column_name from information_schema.columns where table_name = '{table}'")
    return {row[0] for row in rows}


async def asked(world: World, query: str) -> list[asyncpg.Record]:
    """Ask the database as its owner."""
    connection = await asyncpg.connect(world.database.owner_dsn)
    try:
        found: list[asyncpg.Record] = await connection.fetch(query)
        return found
    finally:
        await connection.close()


async def test_whatever_is_done_to_the_events_shows_and_the_first_bad_one_is_named(log: Log) -> None:
    # No facts of an event: which transaction wrote it, for the feed's order, and in which trace, for webhooks.
    assert set(EVENTS) | {"written_in", "traceparent"} == await columns(log.world, "event")
    [row] = await asked(log.world, f"select id, event_count from referral where id = {ONE}")
    last = row["event_count"]
    assert await log.faults() == []
    for what, (statement, said) in (EVENTS | ROWS).items():
        wanted = f"{row['id']}: {said.format(last=last, more=last + 1, less=last - 1)}"
        assert (await log.faults(statement))[0] == wanted, what
    assert await log.faults() == []


async def test_whatever_is_done_to_a_head_shows_and_its_day_is_named(log: Log) -> None:
    assert set(HEADS) == await columns(log.world, "day_head")
    days = ["2026-11-20", "2026-11-21", "2026-11-22"]
    for day in days:
        for column, (change, said) in HEADS.items():
            found = await log.faults(f"update day_head set {change} where day = '{day}'")
            assert f"head of {day}: {said}" in found, column
            assert found[0].startswith(f"head of {day}: ")
        assert (await log.faults(f"delete from day_head where day = '{day}'"))[0] == f"head of {day}: it is missing"
    found = await log.faults("delete from day_head")
    assert found == ["head of 2026-11-20: it is missing, and 2 after it"]


async def test_events_rewritten_without_the_key_show_in_the_head_of_their_day(log: Log) -> None:
    """Whoever holds the database can hash a chain anew and mend the referral's row; not sign its day."""
    rows = await asked(log.world, f"select * from event where referral_id = {ONE} order by number")
    previous, statements = START, []
    for row in rows:
        said = {name: value for name, value in row.items() if name not in {"written_in", "traceparent"}}
        event = chain.Event(**{**said, "data": json.loads(row["data"]), "actor": "x", "previous": previous})
        previous = chain.digest(event)
        statements.append(
            f"update event set actor = 'x', previous = '\\x{event.previous.hex()}', hash = '\\x{previous.hex()}'"
            f" where referral_id = '{event.referral_id}' and number = {event.number}"
        )
    statements.append(f"update referral set event_head = '\\x{previous.hex()}' where id = {ONE}")
    day = rows[0]["at"].date()
    assert await log.faults(*statements) == [f"head of {day}: the events of that day are not those that were signed"]


async def test_steps_may_be_taken_while_the_log_is_verified(fresh: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is read as it stood at one moment: a step between two queries is no fault."""
    handover = await fresh.between(SENDER, RECIPIENT).proposed()
    chains = auditing._chains  # noqa: SLF001 - the moment after the referrals were read, and before their events

    async def stepped(tx: AsyncSession) -> AsyncIterator[tuple[UUID, list[chain.Event]]]:
        await handover.walk("r.accept")
        async for one in chains(tx):
            yield one

    monkeypatch.setattr(auditing, "_chains", stepped)
    found = await verdict(fresh, datetime.now(UTC))
    assert (found.referrals, found.faults) == (1, [])
    assert (await handover.sender.get(handover.place)).json()["state"] == "accepted"


async def test_a_log_rewritten_whole_shows_beside_a_head_that_was_handed_out(fresh: World, alter: Alter) -> None:
    """Whoever holds database and key can write everything anew; not what partners hold."""
    now = await walked(fresh, days=2)
    handed_out = (await write_heads(fresh, now))[-1]
    await alter(
        "delete from day_head",
        "delete from event where referral_id = (select id from referral order by id limit 1)",
        "update referral set event_count = 0, event_head = decode(repeat('00', 32), 'hex')"
        " where id = (select id from referral order by id limit 1)",
    )
    await write_heads(fresh, now)
    faults = (await verdict(fresh, now, handed_out)).faults
    assert f"head of {handed_out.day}: it is not the one that was handed out" in faults


async def test_a_head_of_another_key_is_not_ours(fresh: World) -> None:
    now = await walked(fresh, days=1)
    async with fresh.app.state.database.write() as tx:
        await store.callers.begin(tx, rewrapping.WORKER)
        _, key_id = auditing.signing_key(fresh.app.state.settings.home)
        foreign = (await auditing.write_heads(tx, Ed25519PrivateKey.generate(), key_id, now))[-1]
    assert [fault for fault in (await verdict(fresh, now)).faults if "signature" in fault]
    faults = (await verdict(fresh, now, foreign)).faults
    assert f"head of {foreign.day}: the one that was handed in bears no signature of ours" in faults


async def test_the_commands_say_it(fresh: World, alter: Alter, tmp_path: Path, databases: Any) -> None:
    now = max(await walked(fresh, days=1), datetime.now(UTC))

    async def run(*words: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "relais_local", "audit", *words],
            env={
                **os.environ,
                "RELAIS_REFERRAL_OWNER_DSN": fresh.database.owner_dsn,
                "RELAIS_GATEWAY_DSN": databases["gateway"].dsn,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    heads = await write_heads(fresh, now)
    head = await run("head")
    assert head.returncode == 0, head.stderr
    assert Head.of(json.loads(head.stdout)) == heads[-1]
    kept = tmp_path / "head"
    kept.write_text(head.stdout)
    good = await run("verify", "--head", str(kept))
    assert good.returncode == 0, good.stderr
    assert good.stdout.splitlines()[0] == f"2 referrals and {len(heads)} daily heads, 0 faults."
    await alter(f"update event set actor = 'x' {SECOND}")
    [row] = await asked(fresh, f"select id from referral where id = {ONE}")
    bad = await run("verify")
    assert (bad.returncode, bad.stdout.splitlines()[0]) == (1, f"{row['id']}: event 2 was changed")


def test_what_is_no_head_is_not_taken_for_one(home: Path, tmp_path: Path) -> None:
    del home
    (tmp_path / "head").write_text("{}")
    said = CliRunner().invoke(cli.audit, ["verify", "--head", str(tmp_path / "head")])
    assert said.exit_code == 2
    assert "no head as" in said.output


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
