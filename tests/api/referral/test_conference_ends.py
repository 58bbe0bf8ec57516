"""How case conferences end: sight with them, and nothing outlives them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from api.referral.her import herself, ok
from api.referral.table import DECIDED, EVA, ROOM, SAID, Table, accepted, called, operations
from api.referral.world import (
    FAMILY,
    GIVEN,
    NOTE,
    OUTSIDER,
    PHONE,
    RECIPIENT,
    SENDER,
    STRUCTURES,
    THIRD,
    WORDS,
    Asserted,
    Structure,
    World,
    problem,
)

from relais_referral import worker
from relais_shared.auth import system
from relais_shared.client import Client

pytestmark = pytest.mark.anyio


CANARIES = (GIVEN, FAMILY, PHONE, WORDS, NOTE, SAID, DECIDED, ROOM)


async def _she_withdraws(table: Table, she: Client) -> None:
    ok(await she.post(f"/v1/person/consents/{table.consents[THIRD.name]}/withdraw"))


async def _she_sends_away(table: Table, she: Client) -> None:
    for _ in range(2):
        ok(await she.post(f"/v1/person/conferences/{table.id}/organisations/{THIRD.id}/withdraw"))


async def _a_side_withdraws(table: Table, she: Client) -> None:
    del she
    answer = await table.handover.sender.post(f"/v1/consents/{table.consents[THIRD.name]}/withdraw", json={})
    assert answer.json()["status"] == "withdrawn"


async def _its_own_counsellor(table: Table, she: Client) -> None:
    del she
    third = table.world.as_(THIRD)
    answer = await third.post(f"/v1/consents/{table.consents[THIRD.name]}/withdraw", json={"method": "phone"})
    assert answer.json()["status"] == "withdrawn"
    assert table.handover.id not in answer.text


async def _it_leaves(table: Table, she: Client) -> None:
    del she
    assert (await table.world.as_(THIRD).post(f"{table.place}/leave")).status_code == 204


async def _she_ends_it(table: Table, she: Client) -> None:
    for _ in range(2):
        ok(await she.post(f"/v1/person/conferences/{table.id}/end"))


async def _a_side_ends_it(table: Table, she: Client) -> None:
    del she
    assert (await table.handover.sender.post(f"{table.place}/end")).status_code == 204


async def _she_stops_the_hand_over(table: Table, she: Client) -> None:
    ok(await she.post(f"/v1/person/referrals/{table.handover.id}/withdraw"))


async def _she_has_it_erased(table: Table, she: Client) -> None:
    ok(await she.post(f"/v1/person/referrals/{table.handover.id}/erase"))


ENDS = {
    "alone": (_she_withdraws, _she_sends_away, _a_side_withdraws, _its_own_counsellor, _it_leaves),
    "everybody": (_she_ends_it, _a_side_ends_it, _she_stops_the_hand_over, _she_has_it_erased),
}


@pytest.mark.parametrize(
    ("end", "alone"),
    [(end, who == "alone") for who, ends in ENDS.items() for end in ends],
    ids=[end.__name__ for ends in ENDS.values() for end in ends],
)
async def test_sight_ends_at_once(table: Table, end: Any, alone: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    sender = await table.seat(SENDER, "identity")
    third = await table.seat(THIRD, "identity")
    she = await herself(table.world, table.handover)
    await third.post(f"{table.place}/messages", json={"words": SAID})
    assert GIVEN in (await third.get(table.place)).text
    await end(table, she)
    every = operations(table.handover.id, table.id, str(uuid4()), table.consents[THIRD.name])
    for name, operation in every.items():
        assert problem(await called(third, operation)) == (404, "not-found"), name
    assert table.id not in (await third.get("/v1/conferences")).text
    left = await sender.get(table.place)
    if alone:
        assert [one["name"] for one in left.json()["organisations"]] == [SENDER.name]
        assert [one["words"] for one in left.json()["messages"]] == [SAID]
    else:
        assert problem(left) == (404, "not-found")
    if end is not _she_has_it_erased:
        # She still reads all of it, and who had been there.
        [hers] = ok(await she.get(f"/v1/person/referrals/{table.handover.id}"))["conferences"]
        assert [one["words"] for one in hers["messages"]] == [SAID]
        away = next(one for one in hers["organisations"] if one["name"] == THIRD.name)
        assert away["status"] in {"withdrawn", "expired"}


async def test_no_reading_that_begins_after_she_sent_it_away_shows_anything(table: Table) -> None:
    await table.seat(SENDER, "identity")
    third = await table.seat(THIRD, "identity")
    she = await herself(table.world, table.handover)
    gone = asyncio.Event()

    async def send_away() -> None:
        await _she_sends_away(table, she)
        gone.set()

    async def reads() -> None:
        while True:
            late = gone.is_set()
            answer = await third.get(table.place)
            if late:
                assert problem(answer) == (404, "not-found")
                return
            assert (GIVEN in answer.text) == (answer.status_code == 200)

    await asyncio.gather(send_away(), *(reads() for _ in range(8)))


async def test_a_part_of_an_agreement_can_be_stopped(table: Table) -> None:
    third = await table.seat(THIRD, "identity", "needs")
    answer = await table.handover.sender.post(
        f"/v1/consents/{table.consents[THIRD.name]}/withdraw", json={"data_categories": ["identity"]}
    )
    assert answer.json()["data_categories"] == ["needs"]
    view = (await third.get(table.place)).json()
    assert "identity" not in view
    assert view["needs"]
    # What she stops at the hand-over is stopped here too.
    stop = {"data_categories": ["needs"]}
    await table.handover.sender.post(f"/v1/consents/{table.handover.consent_id}/withdraw", json=stop)
    assert "needs" not in (await third.get(table.place)).json()


async def test_an_agreement_runs_out_by_itself(fresh: World) -> None:
    now = datetime.now(UTC)
    fresh.app.state.clock = lambda: now
    table = await Table(fresh, await accepted(fresh)).open()
    await table.seat(SENDER, "identity")
    until = now + timedelta(days=3)
    await table.agree(THIRD, "identity", valid_until=until.isoformat())
    third = fresh.as_(THIRD)
    assert (await third.post(f"{table.place}/join", json=EVA)).status_code == 200
    now = until
    assert problem(await third.get(table.place)) == (404, "not-found")
    done = await worker.one_round(fresh.app.state.database, fresh.app.state.sealer, lambda: now)
    assert done["expire_consents"] == 1
    for client in (table.handover.sender, table.handover.recipient):
        assert "expir" not in (await client.get(f"{table.handover.place}/tasks")).text


async def test_taken_back_to_before_acceptance_it_is_closed(table: Table) -> None:
    recipient = await table.seat(RECIPIENT, "identity")
    await recipient.post(f"{table.place}/messages", json={"words": f"{FAMILY} vient lundi"})
    await table.handover.walk("r.undo")
    view = await recipient.get(table.place)
    assert "identity" not in view.json()
    assert FAMILY not in view.text


async def test_a_structure_that_is_marked_later_is_out_at_once(fresh: World) -> None:
    table = await Table(fresh, await accepted(fresh)).open()
    third = await table.seat(THIRD, "identity")
    assert GIVEN in (await third.get(table.place)).text
    told = [one.organisation() | ({"may_sanction": True} if one is THIRD else {}) for one in STRUCTURES]
    gateway = fresh.anonymous(Asserted(fresh.gateway, system("gateway")))
    pushed = await gateway.put("/internal/registry", json={"version": 2, "organisations": told})
    assert pushed.json() == {"taken": True}
    assert problem(await third.get(table.place)) == (404, "not-found")
    assert (await third.get("/v1/conferences")).json() == {"items": []}


async def test_the_database_itself_shows_a_seat_as_long_as_it_stands(table: Table) -> None:
    third = await table.seat(THIRD, "identity")
    await third.post(f"{table.place}/messages", json={"words": SAID})
    connection = await asyncpg.connect(table.world.database.dsn)

    async def seen(structure: Structure) -> int:
        async with connection.transaction():
            await connection.execute("select set_config('relais.organisation', $1, true)", str(structure.id))
            query = "select count(*) from message where conference_id = $1"
            found: int = await connection.fetchval(query, UUID(table.id))
            return found

    try:
        assert [await seen(one) for one in (THIRD, SENDER, OUTSIDER)] == [1, 1, 0]
        assert (await third.post(f"{table.place}/leave")).status_code == 204
        assert [await seen(one) for one in (THIRD, SENDER, OUTSIDER)] == [0, 1, 0]
    finally:
        await connection.close()


async def test_nothing_of_a_conference_stands_in_the_clear_and_nothing_outlives_it(fresh: World) -> None:
    table = await Table(fresh, await accepted(fresh)).open()
    sender = await table.seat(SENDER, "identity", "needs")
    await sender.post(f"{table.place}/messages", json={"words": SAID})
    await sender.put(f"{table.place}/meeting", json={"to_be_agreed": True, "place": ROOM})
    await sender.post(f"{table.place}/decisions", json={"words": DECIDED})
    connection = await asyncpg.connect(fresh.database.owner_dsn)
    tables = [row[0] for row in await connection.fetch("select tablename from pg_tables where schemaname = 'public'")]
    assert {"message", "decision", "conference", "conference_part", "event"} <= set(tables)

    async def dumped() -> str:
        await connection.execute("alter table message disable row level security")
        rows = [row for name in tables for row in await connection.fetch(f"select * from {name}")]  # noqa: S608 - our own
        return "\n".join(str(dict(row)) for row in rows)

    found = await dumped()
    assert not [canary for canary in CANARIES if canary in found]
    assert "Ana Lopes" in str(await connection.fetch("select * from conference_part"))
    she = await herself(fresh, table.handover)
    ok(await she.post(f"/v1/person/referrals/{table.handover.id}/erase"))
    now = datetime.now(UTC) + timedelta(hours=73)
    done = await worker.one_round(fresh.app.state.database, fresh.app.state.sealer, lambda: now)
    assert done["erase_past_term"] == 1
    for name in ("message", "decision", "sealed_part"):
        assert await connection.fetchval(f"select count(*) from {name}") == 0, name  # noqa: S608 - our own
    assert "Ana Lopes" not in str(await connection.fetch("select * from conference_part"))
    await connection.close()
