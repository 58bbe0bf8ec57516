"""Wrapping keys turn over while the app works; what was erased is opened by no key of today, older copies included."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from api.referral.world import GIVEN, HERS, RECIPIENT, SENDER, World
from cryptography.exceptions import InvalidTag

from relais_referral import rewrapping, store
from relais_referral.sealing import Sealer, Wrapped
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


async def shred(world: World, id_: str, now: datetime) -> None:
    """Destroy one referral for good, as the worker does."""
    async with world.app.state.database.write() as tx:
        await store.begin(tx, rewrapping.WORKER)
        referral, _ = await store.lock_referral(tx, UUID(id_), rewrapping.WORKER)
        await rewrapping.shred(tx, world.app.state.sealer, referral, now)


async def test_all_keys_turn_over_while_the_app_works(fresh: World) -> None:
    handovers = []
    for _ in range(12):
        handover = fresh.between(SENDER, RECIPIENT)
        await handover.proposed()
        await handover.walk("r.accept")
        handovers.append(handover)
    database: Database = fresh.app.state.database
    sealer: Sealer = fresh.app.state.sealer
    before = set(sealer.file.held())
    stop = asyncio.Event()
    answers: list[httpx.Response] = []

    async def work() -> None:
        while not stop.is_set():
            answers.extend([await handover.recipient.get(handover.place) for handover in handovers])
            new = fresh.between(SENDER, RECIPIENT)
            answers.append(await new.open())

    async def turn() -> None:
        now = datetime.now(UTC)
        count = await rewrapping.turn_over(database, sealer, before, now)
        assert count >= len(handovers)
        # Nothing is destroyed while a request under way might still wrap under an old key.
        assert before <= set(sealer.file.held())
        await rewrapping.turn_over(database, sealer, [], now + LATER)
        stop.set()

    await asyncio.gather(work(), turn())
    assert not before & set(sealer.file.held())
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert sum(GIVEN in answer.text for answer in answers) >= len(handovers)
    under = await rewrapping.rows_by_key(database)
    assert not before & set(under)


async def test_a_key_is_not_destroyed_while_a_row_is_under_it(fresh: World) -> None:
    handover = fresh.between(SENDER, RECIPIENT)
    await handover.open()
    database: Database = fresh.app.state.database
    sealer: Sealer = fresh.app.state.sealer
    [row] = await fetch(fresh.database.owner_dsn, "select key_id from referral")
    now = datetime.now(UTC)
    async with database.write() as tx:
        await store.begin(tx, rewrapping.WORKER)
        await store.lock_referral(tx, UUID(handover.id), rewrapping.WORKER)
        # Somebody holds the row: the round goes on without it, and its key stays.
        await rewrapping.turn_over(database, sealer, [row["key_id"]], now)
        await rewrapping.turn_over(database, sealer, [], now + LATER)
        assert row["key_id"] in sealer.file.held()
    await rewrapping.turn_over(database, sealer, [], now + 2 * LATER)
    assert row["key_id"] not in sealer.file.held()
    assert (await handover.sender.get(handover.place)).status_code == 200


async def test_an_older_copy_opens_nothing_that_was_erased_since(
    fresh: World,
) -> None:
    kept, gone = fresh.between(SENDER, RECIPIENT), fresh.between(SENDER, RECIPIENT)
    for handover in (kept, gone):
        await handover.open(notes=CANARY)
        await handover.agree("identity", "notes", "needs")
        await handover.walk("propose", "r.accept")
    # The older backup: the rows as they stood, beside today's keys.
    backup = await fetch(fresh.database.owner_dsn, "select id, key_id, wrapped_key from referral")
    parts = await fetch(fresh.database.owner_dsn, "select * from sealed_part where part = 'notes'")
    now = datetime.now(UTC)
    sealer: Sealer = fresh.app.state.sealer
    await shred(fresh, gone.id, now)
    await rewrapping.turn_over(fresh.app.state.database, sealer, [], now)
    await rewrapping.turn_over(fresh.app.state.database, sealer, [], now + LATER)
    today = Sealer.load(Path(fresh.app.state.settings.home))
    by_id = {str(row["id"]): Wrapped(row["key_id"], bytes(row["wrapped_key"])) for row in backup}
    note = {str(row["referral_id"]): bytes(row["content"]) for row in parts}
    with pytest.raises(KeyError):
        today.open(UUID(gone.id), by_id[gone.id])
    # The other is read as before, though the key it was under may have gone too.
    assert CANARY in (await kept.recipient.get(kept.place)).text
    for key_id in today.file.held():
        with pytest.raises(InvalidTag):
            today.open(UUID(gone.id), Wrapped(key_id, by_id[gone.id].wrapped))
    assert note[gone.id] != note[kept.id]
    for table in ("sealed_part", "message", "document", "decision"):
        rows = await fetch(fresh.database.owner_dsn, f"select 1 from {table} where referral_id = $1", UUID(gone.id))  # noqa: S608 - a name of ours
        assert rows == []
    seen = await gone.recipient.get(gone.place)
    assert seen.status_code == 200
    assert not [word for word in (*HERS, CANARY) if word in seen.text]
    assert not [word for word in (*HERS, CANARY) if word in (await gone.sender.get(gone.place)).text]


async def test_nothing_of_her_stands_in_the_files_of_the_database(fresh: World, databases: Any) -> None:
    handover = fresh.between(SENDER, RECIPIENT)
    await handover.open(notes=CANARY, situation={"logement": CANARY}, goal_words=CANARY)
    await handover.agree("identity", "contact", "needs", "notes", "situation")
    await handover.walk("propose", "r.accept", "r.plan_meeting")
    await handover.sender.post(f"{handover.place}/messages", json={"words": CANARY})
    connection = await asyncpg.connect(databases.admin_dsn)
    try:
        await connection.execute("checkpoint")
    finally:
        await connection.close()
    code = (await handover.sender.get(handover.place)).json()["short_code"]
    found = await asyncio.to_thread(searched, databases.files, [*HERS, CANARY, code])
    # What is searched for would be found: the code that both sides say stands in the clear.
    assert found == {code}


def searched(folder: Path, words: list[str]) -> set[str]:
    """Answer which words stand in any file below a folder."""
    found = set()
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            found |= {word for word in words if word.encode() in content}
    return found
