"""The sandbox: a partner alone meets every answer there is, and nothing of it stays."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from api.referral.world import PRACTISING, Handover, World
from sqlalchemy import func, select, text
from sqlmodel import col

from relais_referral import store
from relais_referral.actions.keeping import erase_past_term
from relais_referral.actions.rehearsing import rehearse
from relais_referral.domain import rehearsal
from relais_referral.domain.rehearsal import BY_PERSON, SERVICES, Way, service_id
from relais_referral.models.referrals import Referral
from relais_referral.rewrapping import WORKER

PATIENCE_S = 60
"""Far longer than the worker takes to come to its turn, on any machine."""
ENDS = {
    Way.ACCEPTS: "meeting_planned",
    Way.NEVER_ANSWERS: "proposed",
    Way.TAKES_IN_HAND: "received",
}
"""Where each way comes to rest until the sender moves; all others say no."""


@pytest.fixture(name="answering", scope="module")
def _answering(world: World) -> dict[UUID, Any]:
    """Give the practising structure the services of the sandbox, as the demonstration does."""
    services = {id_: replace(PRACTISING, service_id=id_) for id_ in SERVICES}
    world.directory.services |= {str(id_): one.offers() for id_, one in services.items()}
    return services


def _as_told(now: datetime) -> datetime:
    return now


async def rehearsed(world: World, handover: Handover, *, at: datetime | None = None) -> dict[str, Any]:
    """Let the worker answer until nothing moves any more; answer the referral as its sender reads it."""
    begun = at or datetime.now(UTC)
    state = world.app.state
    for turn in range(1, 11):
        now = begun + turn * timedelta(seconds=5)
        await rehearse(state.database, state.sealer, partial(_as_told, now))
    seen: dict[str, Any] = (await handover.sender.get(handover.place)).json()
    return seen


async def proposed(world: World, answering: dict[UUID, Any], key: str, **identity: str) -> Handover:
    """Hand a person who does not exist over to a service of the sandbox."""
    handover = world.between(PRACTISING, answering[service_id(key)])
    person = {
        "identity": {"given_name": "Personne", **identity},
        "contact": {"reach": "via_sender"},
        "area": {"municipality": "be:52011"},
        "languages": ["fr"],
    }
    return await handover.proposed(person=person)


@pytest.mark.parametrize("way", Way)
async def test_each_service_answers_in_its_way_and_so_does_each_person(
    world: World, answering: dict[UUID, Any], way: Way
) -> None:
    for key, called in ((way, "Personne"), (BY_PERSON, way.called)):
        handover = await proposed(world, answering, key, given_name=called)
        seen = await rehearsed(world, handover)

        assert seen["practice"] is True
        assert seen["state"] == ENDS.get(way, "declined")
        if way.reason:
            assert seen["decline"]["reason"] == way.reason


async def test_who_accepts_goes_to_the_end_with_the_sender(world: World, answering: dict[UUID, Any]) -> None:
    handover = await proposed(world, answering, Way.ACCEPTS)
    await rehearsed(world, handover)
    await handover.walk("confirm_handover")

    assert (await rehearsed(world, handover))["state"] == "closed"
    shown = (await handover.sender.get(f"{handover.place}/events")).json()["items"]
    assert [one["type"].partition(".")[2] for one in shown if one["type"].startswith("referral.")] == [
        "drafted", "proposed", "received", "accepted", "meeting_planned", "handover_confirmed", "handed_over", "closed",
    ]  # fmt: skip


async def test_her_no_is_kept_in_rehearsals_too(world: World, answering: dict[UUID, Any]) -> None:
    """After a withdrawal the other side moves no more, and one that cannot be answered holds up no other."""
    stopped = await proposed(world, answering, Way.ACCEPTS)
    await stopped.walk("withdraw")
    other = await proposed(world, answering, Way.ACCEPTS)

    assert (await rehearsed(world, other))["state"] == "meeting_planned"
    assert (await stopped.sender.get(stopped.place)).json()["state"] == "withdrawn"


async def test_whoever_reads_while_the_sandbox_answers_reads_on(world: World, answering: dict[UUID, Any]) -> None:
    """The worker waits for its turn, and holds nothing meanwhile that the reader still needs."""
    handover = await proposed(world, answering, Way.ACCEPTS)
    state, id_ = world.app.state, UUID(handover.id)
    later = datetime.now(UTC) + timedelta(seconds=5)
    waits = text("select count(*) from pg_locks where locktype = 'advisory' and not granted")
    async with state.database.write() as reading:
        await store.callers.begin(reading, WORKER)
        await reading.execute(select(func.pg_advisory_xact_lock_shared(store.referrals.turn_of(id_))))
        answers = asyncio.create_task(rehearse(state.database, state.sealer, partial(_as_told, later)))
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if await reading.scalar(waits):
                    break
                await asyncio.sleep(0.01)
        found = await reading.scalar(
            select(Referral).where(col(Referral.id) == id_).with_for_update(read=True, nowait=True)
        )
        assert found is not None
    await answers
    assert (await handover.sender.get(handover.place)).json()["state"] == "received"


async def test_after_an_hour_nobody_rehearses_and_after_seven_days_nothing_is_left(
    world: World, answering: dict[UUID, Any]
) -> None:
    handover = await proposed(world, answering, Way.ACCEPTS)
    later = datetime.now(UTC) + rehearsal.ATTENDED_FOR + timedelta(seconds=1)
    assert (await rehearsed(world, handover, at=later))["state"] == "proposed"

    state = world.app.state
    await erase_past_term(state.database, state.sealer, lambda: datetime.now(UTC) + timedelta(days=7, seconds=1))
    seen = (await handover.sender.get(handover.place)).json()
    assert "identity" not in seen.get("person", {})
    assert all("words" not in need for need in seen["needs"])
