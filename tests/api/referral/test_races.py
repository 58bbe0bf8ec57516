"""Many at once on one referral: one winner, one creation, and nothing shown after she stopped it."""

import asyncio
from collections import Counter
from uuid import UUID

import asyncpg
import httpx
import pytest
from api.referral.world import (
    BEN,
    GIVEN,
    HERS,
    RECIPIENT,
    SENDER,
    Handover,
    World,
    a_consent,
    a_draft,
    if_match,
    key,
    problem,
)

pytestmark = pytest.mark.anyio

MANY = 200


async def rows(world: World, query: str, *values: object) -> list[asyncpg.Record]:
    """Ask the database as the owner."""
    connection = await asyncpg.connect(world.database.owner_dsn)
    try:
        found: list[asyncpg.Record] = await connection.fetch(query, *values)
        return found
    finally:
        await connection.close()


async def test_of_200_accepts_one_wins(world: World, handover: Handover) -> None:
    await handover.proposed()
    seen = await handover.recipient.get(handover.place)

    async def accept(number: int) -> httpx.Response:
        body = {"counsellor": {"name": f"Collègue {number}"}}
        return await handover.recipient.post(f"{handover.place}/accept", headers=if_match(seen), json=body)

    answers = await asyncio.gather(*(accept(number) for number in range(MANY)))
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses[200] == 1
    assert set(statuses) <= {200, 409, 412, 503}, statuses
    winner = next(answer for answer in answers if answer.status_code == 200)
    now = (await handover.recipient.get(handover.place)).json()
    assert now["recipient_counsellor"] == winner.json()["recipient_counsellor"]
    events = await rows(world, "select type from event where referral_id = $1", UUID(handover.id))
    assert Counter(row["type"] for row in events)["referral.accepted"] == 1


async def test_of_200_creations_with_one_key_one_is_made(world: World) -> None:
    client = world.as_(SENDER)
    headers, body = key(), a_draft(RECIPIENT)

    async def create() -> httpx.Response:
        answer = await client.post("/v1/referrals", headers=headers, json=body)
        while answer.status_code != 201:
            assert problem(answer) in {(409, "request-in-progress"), (503, "unavailable")}
            assert answer.headers["retry-after"]
            # Asked again as the answer says; the pause of a test is as short as may be.
            await asyncio.sleep(0)
            answer = await client.post("/v1/referrals", headers=headers, json=body)
        return answer

    answers = await asyncio.gather(*(create() for _ in range(MANY)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    ids = {answer.json()["id"] for answer in answers}
    made = await rows(
        world, "select resource_id from idempotency where key = $1", headers["Idempotency-Key"].strip('"')
    )
    assert [str(row["resource_id"]) for row in made] == list(ids)
    events = await rows(world, "select type from event where referral_id = $1", UUID(ids.pop()))
    assert [row["type"] for row in events] == ["referral.drafted"]


async def test_nothing_is_shown_by_a_read_that_began_after_the_withdrawal(world: World, handover: Handover) -> None:
    await handover.proposed("identity", "contact", "needs")
    await handover.walk("r.accept")
    enough, stopped = asyncio.Event(), asyncio.Event()
    shown: list[tuple[bool, httpx.Response]] = []

    async def reads(count: int) -> None:
        for _ in range(count):
            after = stopped.is_set()
            shown.append((after, await handover.recipient.get(handover.place)))
            if len(shown) >= 300:
                enough.set()

    async def withdraws() -> None:
        await enough.wait()
        answer = await handover.sender.post(f"/v1/consents/{handover.consent_id}/withdraw", json={})
        assert answer.status_code == 200, answer.text
        stopped.set()

    await asyncio.gather(*(reads(50) for _ in range(20)), withdraws())
    assert len(shown) == 1_000
    assert {answer.status_code for _, answer in shown} <= {200, 503}
    late = [answer for after, answer in shown if after]
    early = [answer for after, answer in shown if not after]
    assert len(late) >= 100
    assert any(GIVEN in answer.text for answer in early)
    for answer in late:
        assert not [word for word in HERS if word in answer.text]
    # What was shown is written down, each before the withdrawal in the order that locks gave.
    opened = sum(GIVEN in answer.text for _, answer in shown)
    looks = await rows(
        world,
        "select count(*) from disclosure"
        " where referral_id = $1 and organisation_id = $2 and 'identity' = any(categories)",
        UUID(handover.id),
        RECIPIENT.id,
    )
    assert looks[0][0] == opened + 1  # and the acceptance itself


async def test_accept_cancel_and_withdraw_at_once_leave_one_way(world: World) -> None:
    for _ in range(20):
        handover = world.between(SENDER, RECIPIENT)
        await handover.proposed()
        seen_by_sender = await handover.sender.get(handover.place)
        seen = await handover.recipient.get(handover.place)
        accepted, cancelled, withdrawn = await asyncio.gather(
            handover.recipient.post(f"{handover.place}/accept", headers=if_match(seen), json=BEN),
            handover.sender.post(f"{handover.place}/cancel", headers=if_match(seen_by_sender)),
            handover.sender.post(f"{handover.place}/withdraw", json={}),
        )
        # Her word counts whatever else happened; of the other two at most one was first.
        assert withdrawn.status_code == 200
        assert [accepted.status_code, cancelled.status_code].count(200) <= 1
        after = (await handover.recipient.get(handover.place)).json()
        assert after["state"] == "withdrawn"
        states = [
            row["state"]
            for row in await rows(
                world,
                "select data ->> 'state' as state from event where referral_id = $1 and data ? 'state' order by number",
                UUID(handover.id),
            )
        ]
        assert states[-1] == "withdrawn"
        assert len(states) == 2 + [accepted.status_code, cancelled.status_code].count(200)


async def test_of_two_agreements_at_once_one_is_in_force(world: World, handover: Handover) -> None:
    await handover.open()
    answers = await asyncio.gather(
        *(handover.sender.post(f"{handover.place}/consents", headers=key(), json=a_consent("needs")) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} <= {201, 503}
    found = await rows(
        world,
        "select status, count(*) from consent_state where referral_id = $1 group by status",
        UUID(handover.id),
    )
    assert {row["status"]: row["count"] for row in found}["given"] == 1


async def test_a_key_of_another_structure_is_another_key(world: World) -> None:
    headers, body = key(), a_draft(RECIPIENT)
    mine = await world.as_(SENDER).post("/v1/referrals", headers=headers, json=body)
    theirs = await world.as_(RECIPIENT).post("/v1/referrals", headers=headers, json=body)
    assert mine.status_code == theirs.status_code == 201
    assert mine.json()["id"] != theirs.json()["id"]
    other = {**body, "urgency": "today"}
    assert problem(await world.as_(SENDER).post("/v1/referrals", headers=headers, json=other))[0] == 422
