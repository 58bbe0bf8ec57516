"""Open places: told by the owner in one call, in search at once, fading when old."""

from datetime import timedelta
from uuid import uuid4

import pytest
from api.directory.owners import CAPACITY, READ, SEND, World, faults, refusal, service

pytestmark = pytest.mark.anyio


async def test_nobody_and_those_without_the_scope_are_refused(world: World) -> None:
    place = f"/services/{await world.caller().publish()}/capacity"
    nobody = await world.caller().ask("PUT", place, {"available": 1}, headers={"Authorization": ""})
    assert refusal(nobody) == (401, "unauthenticated")
    assert refusal(await world.caller(READ, SEND).ask("PUT", place, {"available": 1})) == (403, "scope-missing")
    assert refusal(await world.nameless(CAPACITY).ask("PUT", place, {"available": 1})) == (403, "scope-missing")


async def test_anothers_service_answers_like_one_that_is_not_there(world: World) -> None:
    owner = world.caller()
    id_ = await owner.publish()
    other = world.caller(CAPACITY)
    theirs = await other.ask("PUT", f"/services/{id_}/capacity", {"available": 1})
    absent = await other.ask("PUT", f"/services/{uuid4()}/capacity", {"available": 1})
    assert refusal(theirs) == refusal(absent) == (404, "not-found")
    assert theirs.json()["detail"] == absent.json()["detail"]
    assert (await owner.found())[id_]["capacity"] is None


@pytest.mark.parametrize(
    ("told", "pointers"),
    [
        ({}, {"/available"}),
        ({"available": -1}, {"/available"}),
        ({"available": 100_001, "waiting_days": 10_001}, {"/available", "/waiting_days"}),
        ({"available": 3, "maximum": 2}, {"/maximum"}),
        ({"available": 3, "maximum": -2}, {"/maximum"}),
        ({"available": 1.5, "unit": ""}, {"/available", "/unit"}),
        ({"available": 1, "description": "x" * 2_001}, {"/description"}),
        ({"available": 1, "description": "Nul\0"}, {"/description"}),
        ({"available": 1, "updated_at": "2020-01-01T00:00:00Z"}, {"/updated_at"}),
    ],
)
async def test_what_is_out_of_its_range_is_refused_by_name(
    world: World, told: dict[str, object], pointers: set[str]
) -> None:
    owner = world.caller()
    answer = await owner.ask("PUT", f"/services/{await owner.publish()}/capacity", told)
    assert (refusal(answer), faults(answer)) == ((422, "invalid-input"), pointers)


async def test_the_scope_alone_suffices_and_search_shows_it_at_once(world: World) -> None:
    owner = world.caller()
    id_, full = await owner.publish(), await owner.publish()
    teller = owner.but(CAPACITY)
    told = {"available": 3, "maximum": 20, "unit": "places", "waiting_days": 10, "description": "Dès lundi."}
    answer = (await teller.told("PUT", f"/services/{id_}/capacity", told)).json()
    assert {name: answer[name] for name in told} == told
    await teller.told("PUT", f"/services/{full}/capacity", {"available": 0})
    card = (await owner.found(near="50.4113,4.4445"))[id_]
    assert (card["capacity"]["available"], card["capacity"]["waiting_days"]) == (3, 10)
    assert (card["capacity"]["age_days"], card["capacity"]["held"]) == (0, True)
    assert list(await owner.found(has_capacity=True)) == [id_]
    page = (await world.caller(READ).read(f"/services/{id_}"))["capacity"]
    assert {name: page[name] for name in told} == told
    # It is no new version of the record, and not a part of it.
    assert await owner.version(id_) == '"1"'
    assert "capacity" not in await owner.read(f"/services/{id_}/record")


async def test_its_age_is_shown_and_nobody_counts_on_what_is_old(world: World) -> None:
    owner = world.caller()
    id_ = await owner.publish()
    await owner.told("PUT", f"/services/{id_}/capacity", {"available": 3})
    async with world.later(days=60):
        assert (await owner.found(has_capacity=True))[id_]["capacity"]["age_days"] == 60
    async with world.later(days=61):
        assert await owner.found(has_capacity=True) == {}
        card = (await owner.found())[id_]
        assert (card["capacity"]["age_days"], card["capacity"]["held"]) == (61, False)


async def test_open_places_lift_a_service_and_a_full_house_sinks(world: World) -> None:
    owner = world.caller()
    full, untold, free = [await owner.publish(name="Garderie") for _ in range(3)]
    await owner.told("PUT", f"/services/{full}/capacity", {"available": 0})
    await owner.told("PUT", f"/services/{free}/capacity", {"available": 2})
    assert list(await owner.found(q="garderie", near="50.4113,4.4445")) == [free, untold, full]


async def test_what_was_told_earlier_never_overwrites_what_was_told_later(world: World) -> None:
    owner = world.caller()
    id_ = await owner.publish()
    await owner.told("PUT", f"/services/{id_}/capacity", {"available": 5})
    yesterday = (world.now() - timedelta(days=1)).isoformat()
    late = service(capacity={"available": 1, "updated_at": yesterday}, description="Autre.")
    await owner.told("PUT", f"/services/{id_}/record", late, version='"1"')
    assert (await owner.found())[id_]["capacity"]["available"] == 5
    async with world.later(hours=1):
        await owner.told("PUT", f"/services/{id_}/capacity", {"available": 4})
        assert (await owner.found())[id_]["capacity"]["available"] == 4
    # A write whose clock is behind (or came late) takes nothing back.
    await owner.told("PUT", f"/services/{id_}/capacity", {"available": 9})
    assert (await owner.found())[id_]["capacity"]["available"] == 4
    assert [row["updated_by"] for row in await world.rows(
        "select updated_by from service_capacity where service_id = $1::text::uuid", id_
    )] == [owner.actor.id]  # fmt: skip


async def test_a_retired_service_has_no_open_places(world: World) -> None:
    owner = world.caller()
    id_ = await owner.publish()
    await owner.told("DELETE", f"/services/{id_}", version='"1"')
    assert refusal(await owner.ask("PUT", f"/services/{id_}/capacity", {"available": 1})) == (409, "not-now")
