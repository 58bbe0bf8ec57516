"""The same request twice does its work once."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api.referral.world import RECIPIENT, SENDER, Handover, World, a_consent, a_draft, key, problem

pytestmark = pytest.mark.anyio


async def opened_by(world: World) -> list[dict[str, Any]]:
    """Answer the sender's referrals."""
    found: list[dict[str, Any]] = (await world.as_(SENDER).get("/v1/referrals")).json()["items"]
    return found


async def test_without_a_key_nothing_is_created(fresh: World) -> None:
    ana = fresh.as_(SENDER)
    assert problem(await ana.post("/v1/referrals", json=a_draft(RECIPIENT))) == (400, "idempotency-key-missing")
    for bad in ("", '""', '"a', 'a"b', "é".encode(), f'"{"k" * 256}"'):
        answer = await ana.post("/v1/referrals", headers={"Idempotency-Key": bad}, json=a_draft(RECIPIENT))
        assert problem(answer) == (400, "malformed-request"), bad
    assert await opened_by(fresh) == []
    handover = fresh.between(SENDER, RECIPIENT)
    await handover.open()
    answer = await ana.post(f"{handover.place}/consents", json=a_consent())
    assert problem(answer) == (400, "idempotency-key-missing")


async def test_many_at_once_with_one_key_open_one_referral(fresh: World) -> None:
    used = key()
    answers = await asyncio.gather(
        *(fresh.as_(SENDER).post("/v1/referrals", headers=used, json=a_draft(RECIPIENT)) for _ in range(6))
    )
    opened = [answer for answer in answers if answer.status_code == 201]
    waiting = [answer for answer in answers if answer.status_code == 409]
    assert len(opened) + len(waiting) == 6
    assert len({answer.json()["id"] for answer in opened}) == 1
    for answer in waiting:
        assert problem(answer) == (409, "request-in-progress")
        assert answer.headers["retry-after"]
    # Whoever had to wait sends it again, and gets the same.
    later = await fresh.as_(SENDER).post("/v1/referrals", headers=used, json=a_draft(RECIPIENT))
    assert later.json()["id"] == opened[0].json()["id"]
    assert len(await opened_by(fresh)) == 1


async def test_repeats_of_what_has_ended_do_not_refuse_each_other(world: World) -> None:
    used, ana, body = key(), world.as_(SENDER), a_draft(RECIPIENT)
    first = await ana.post("/v1/referrals", headers=used, json=body)
    answers = await asyncio.gather(*(ana.post("/v1/referrals", headers=used, json=body) for _ in range(12)))
    assert [(answer.status_code, answer.text) for answer in answers] == [(201, first.text)] * 12


async def test_a_repeat_reads_what_the_first_made(world: World) -> None:
    used, ana, body = key(), world.as_(SENDER), a_draft(RECIPIENT)
    first = await ana.post("/v1/referrals", headers=used, json=body)
    again = await ana.post("/v1/referrals", headers={"Idempotency-Key": used["Idempotency-Key"].strip('"')}, json=body)
    assert (again.status_code, again.json(), again.headers["location"], again.headers["etag"]) == (
        201, first.json(), first.headers["location"], first.headers["etag"],
    )  # fmt: skip
    other = await ana.post("/v1/referrals", headers=used, json={**body, "urgency": "today"})
    assert problem(other) == (422, "idempotency-key-reused")


async def test_a_key_is_its_organisations_and_operations_own(world: World, handover: Handover) -> None:
    used = key()
    first = await world.as_(SENDER).post("/v1/referrals", headers=used, json=a_draft(RECIPIENT))
    second = await world.as_(RECIPIENT).post("/v1/referrals", headers=used, json=a_draft(RECIPIENT))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]
    await handover.open()
    agreed = await handover.sender.post(f"{handover.place}/consents", headers=used, json=a_consent())
    assert agreed.status_code == 201


async def test_a_consent_is_recorded_once(handover: Handover) -> None:
    await handover.open()
    used, body, place = key(), a_consent(), f"{handover.place}/consents"
    first = await handover.sender.post(place, headers=used, json=body)
    again = await handover.sender.post(place, headers=used, json=body)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["etag"] == first.headers["etag"]
    assert len((await handover.sender.get(place)).json()["items"]) == 1
    other = await handover.sender.post(place, headers=used, json={**body, "language": "nl"})
    assert problem(other) == (422, "idempotency-key-reused")


async def test_a_refused_request_keeps_no_key(world: World) -> None:
    used, ana = key(), world.as_(SENDER)
    wrong = await ana.post("/v1/referrals", headers=used, json=a_draft(RECIPIENT, needs=[{"theme": "astrology"}]))
    assert wrong.status_code == 422
    assert (await ana.post("/v1/referrals", headers=used, json=a_draft(RECIPIENT))).status_code == 201


async def test_a_key_is_forgotten_after_a_day(fresh: World) -> None:
    used, ana, start = key(), fresh.as_(SENDER), datetime.now(UTC)
    fresh.app.state.clock = lambda: start
    first = await ana.post("/v1/referrals", headers=used, json=a_draft(RECIPIENT))
    fresh.app.state.clock = lambda: start + timedelta(hours=24) - timedelta(seconds=1)
    again = await ana.post("/v1/referrals", headers=used, json=a_draft(RECIPIENT))
    assert again.json()["id"] == first.json()["id"]
    fresh.app.state.clock = lambda: start + timedelta(hours=24)
    new = await ana.post("/v1/referrals", headers=used, json=a_draft(RECIPIENT))
    assert (new.status_code, new.json()["id"] == first.json()["id"]) == (201, False)
