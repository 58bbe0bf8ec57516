"""Wrapping keys turn over while the app works; what was erased is opened by no key of today, older copies included."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from api.referral.her import herself
from api.referral.test_keeping import PATIENCE_S, Time
from api.referral.world import GIVEN, HERS, RECIPIENT, SENDER, Handover, World, if_match, opened
from cryptography.exceptions import InvalidTag

from relais_local import programs
from relais_local.databases import Access
from relais_referral import rewrapping, store
from relais_referral.actions import keeping
from relais_referral.sealing import LIVING, Sealer, Wrapped
from relais_shared.db import Database

pytestmark = pytest.mark.anyio

CANARY = "griboulande zinzoline"
LATER = timedelta(minutes=2)


async def fetch(dsn: str, query: str, *values: object) -> list[asyncpg.Record]:
    """Ask a database as its owner."""
    connection = await asyncpg.connect(dsn)
    try:
        found: list[asyncpg.Record] = await connection.fetch(query, *values)
        return found
    finally:
        await connection.close()


@dataclass
class Load:
    """Readers and writers at work, each on its own, until told to stop; every answer must be a good one."""

    world: World
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    done: Counter[str] = field(default_factory=Counter)
    said: dict[str, list[str]] = field(default_factory=dict)
    noted: dict[str, str] = field(default_factory=dict)
    opened: list[Handover] = field(default_factory=list)

    async def reads(self, handover: Handover) -> None:
        """Read who she is."""
        while not self.ended.is_set():
            answer = await handover.recipient.get(handover.place)
            assert GIVEN in answer.text, answer.text
            self.done[f"reads {handover.id}"] += 1

    async def writes(self, handover: Handover) -> None:
        """Write one message after the other; remember which were confirmed."""
        said = self.said.setdefault(handover.id, [])
        while not self.ended.is_set():
            words = f"message {len(said)}"
            answer = await handover.sender.post(f"{handover.place}/messages", json={"words": words})
            assert answer.status_code == 201, answer.text
            said.append(words)
            self.done[f"writes {handover.id}"] += 1

    async def changes(self, draft: Handover) -> None:
        """Change a draft again and again; remember the last change that was confirmed."""
        while not self.ended.is_set():
            words = f"note {self.done[f'changes {draft.id}']}"
            head = if_match(await draft.sender.get(draft.place))
            answer = await draft.sender.patch(draft.place, headers=head, json={"notes": words})
            assert answer.status_code == 200, answer.text
            self.noted[draft.id] = words
            self.done[f"changes {draft.id}"] += 1

    async def opens(self) -> None:
        """Open new drafts, each under a key of its own."""
        while not self.ended.is_set():
            new = self.world.between(SENDER, RECIPIENT)
            await new.open()
            self.opened.append(new)
            self.done["opens"] += 1

    async def each_again(self) -> None:
        """Wait until every one of them has done two things more: then none is at what it began before."""
        before = Counter(self.done)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if all(self.done[name] >= count + 2 for name, count in before.items()):
                    return
                await asyncio.sleep(0.01)


async def rotate(world: World) -> int:
    """Let every key turn over by the command, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from relais_referral.cli import keys; keys()", "rotate"),
        env={**os.environ, "RELAIS_REFERRAL_DSN": world.database.dsn},
        stdout=asyncio.subprocess.DEVNULL,
    )
    return await process.wait()


async def test_all_keys_turn_over_while_readers_and_writers_work(fresh: World) -> None:
    read, written = [await fresh.between(SENDER, RECIPIENT).proposed() for _ in range(2)]
    for handover in (read, written):
        await handover.walk("r.accept")
    draft = fresh.between(SENDER, RECIPIENT)
    await draft.open()
    file, load = fresh.app.state.sealer.file, Load(fresh)
    # Those that others let retire before are destroyed at once, and rightly.
    before = {key_id for key_id, key in file.held().items() if not key.retiring}

    async def turn() -> None:
        await load.each_again()
        # Two at once, each in a process of its own: they share the file of keys, and the rows.
        assert await asyncio.gather(rotate(fresh), rotate(fresh)) == [0, 0]
        # Nothing is destroyed while a request under way might still wrap under an old key.
        assert before <= set(file.held())
        await load.each_again()
        # Rows that somebody reads or changes are not waited for: as the worker's, the next round meets them.
        async with asyncio.timeout(PATIENCE_S):
            while before & set(file.held()):
                later = datetime.now(UTC) + LATER
                await rewrapping.turn_over(fresh.app.state.database, fresh.app.state.sealer, [], later)
        await load.each_again()
        load.ended.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load.reads(read))
        tasks.create_task(load.writes(written))
        tasks.create_task(load.changes(draft))
        tasks.create_task(load.opens())
        tasks.create_task(turn())

    assert not before & set(await rewrapping.rows_by_key(fresh.app.state.database))
    thread = (await written.recipient.get(f"{written.place}/messages")).json()["items"]
    assert [one["words"] for one in thread] == load.said[written.id]
    assert (await draft.sender.get(draft.place)).json()["notes"] == load.noted[draft.id]
    # Some of them, the first and the last among them: each reading takes as long as its opening.
    for new in (*load.opened[::10], load.opened[-1]):
        assert GIVEN in (await new.sender.get(new.place)).text


async def test_a_key_is_not_destroyed_while_a_row_is_under_it(fresh: World) -> None:
    handover = fresh.between(SENDER, RECIPIENT)
    await handover.open()
    database: Database = fresh.app.state.database
    sealer: Sealer = fresh.app.state.sealer
    [row] = await fetch(fresh.database.owner_dsn, "select key_id from referral")
    now = datetime.now(UTC)
    async with database.write() as tx:
        await store.callers.begin(tx, rewrapping.WORKER)
        await store.referrals.lock(tx, UUID(handover.id), rewrapping.WORKER)
        # Somebody holds the row: the round goes on without it, and its key stays.
        await rewrapping.turn_over(database, sealer, [row["key_id"]], now)
        await rewrapping.turn_over(database, sealer, [], now + LATER)
        assert row["key_id"] in sealer.file.held()
    await rewrapping.turn_over(database, sealer, [], now + 2 * LATER)
    assert row["key_id"] not in sealer.file.held()
    assert (await handover.sender.get(handover.place)).status_code == 200


class Backup:
    """A dump of a database, as an operator keeps it, brought back beside the keys of today."""

    def __init__(self, databases: Any, file: Path) -> None:
        self._databases = databases
        self._file = file
        self._tools = programs.find(databases.files).bin

    async def take(self, of: Access) -> None:
        """Dump a database."""
        await self._run("pg_dump", "--format=custom", f"--file={self._file}", self._as_admin(of))

    async def restored(self) -> Access:
        """Answer the database as it was, under another name."""
        target: Access = await asyncio.to_thread(self._databases.fresh, "referral")
        await self._run("pg_restore", "--clean", "--if-exists", f"--dbname={self._as_admin(target)}", str(self._file))
        return target

    def _as_admin(self, database: Access) -> str:
        return f"{self._databases.admin_dsn.rpartition('/')[0]}/{database.dsn.rpartition('/')[2]}"

    async def _run(self, tool: str, *words: str) -> None:
        done = await asyncio.to_thread(
            subprocess.run, [self._tools / tool, *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


async def all_read(world: World, handover: Handover) -> str:
    """Answer all that both sides read of a hand-over."""
    said = []
    for client in (world.as_(SENDER), world.as_(RECIPIENT)):
        for what in ("", "/messages", "/documents", "/tasks", "/consents"):
            answer = await client.get(f"{handover.place}{what}")
            assert answer.status_code in {200, 404}, answer.text
            said.append(answer.text)
    return "".join(said)


async def test_nothing_opens_what_she_had_erased_older_backups_included(
    fresh: World, databases: Any, tmp_path: Path
) -> None:
    """Her page, the moved clock, the worker's own rounds, and a backup from before, restored beside today's keys."""
    time = Time(fresh, datetime.now(UTC))
    fresh.app.state.clock = time
    kept, gone = fresh.between(SENDER, RECIPIENT), fresh.between(SENDER, RECIPIENT)
    for handover in (kept, gone):
        await handover.open(notes=CANARY)
        await handover.agree("identity", "notes", "needs")
        await handover.walk("propose", "r.accept")
        await handover.sender.post(f"{handover.place}/messages", json={"words": f"{CANARY} {GIVEN}"})
    backup = Backup(databases, tmp_path / "backup")
    await backup.take(fresh.database)
    rows = await fetch(fresh.database.owner_dsn, "select id, key_id, wrapped_key from referral")
    then = {str(row["id"]): Wrapped(row["key_id"], bytes(row["wrapped_key"])) for row in rows}
    file = fresh.app.state.sealer.file

    she = await herself(fresh, gone)
    assert (await she.post(f"/v1/person/referrals/{gone.id}/erase")).status_code == 200
    time.now += timedelta(hours=72, seconds=-1)
    assert "erase_past_term" not in await time.round()
    # Until then it could be taken back; the backup could be read as well.
    Sealer(file).open(UUID(gone.id), then[gone.id])
    time.now += timedelta(seconds=1)
    assert (await time.round())["erase_past_term"] == 1
    time.now += LATER
    await time.round()

    today = Sealer.load(Path(fresh.app.state.settings.home))
    with pytest.raises(KeyError):
        today.open(UUID(gone.id), then[gone.id])
    for key_id in file.held():
        with pytest.raises(InvalidTag):
            today.open(UUID(gone.id), Wrapped(key_id, then[gone.id].wrapped))
    assert not telling(await all_read(fresh, gone))
    assert telling(await all_read(fresh, kept)) >= {CANARY, GIVEN}
    async with opened(await backup.restored(), version=2) as older:
        found = await fetch(older.database.owner_dsn, "select count(*) from sealed_part")
        assert found[0][0] > 0
        assert not telling(await all_read(older, gone))
        # The other lives on in the backup too, unless it was kept under the very key that was destroyed.
        assert bool(telling(await all_read(older, kept))) is (then[kept.id].key_id in file.held())

        # Within a month every key of that day has turned over: the backup then opens nothing of anybody.
        time.now += rewrapping.EVERY
        for _ in range(LIVING // rewrapping.AT_ONCE + 1):
            await keeping.turn_keys_over(fresh.app.state.database, fresh.app.state.sealer, time)
            time.now += LATER
        assert not {wrapped.key_id for wrapped in then.values()} & set(file.held())
        assert not telling(await all_read(older, kept))
    assert telling(await all_read(fresh, kept)) >= {CANARY, GIVEN}


def telling(text: str) -> set[str]:
    """Answer what of hers stands in a text."""
    return {word for word in (*HERS, CANARY) if word in text}
