"""Conditions are held against what a person says, and nothing of it stays anywhere."""

import asyncio
from uuid import uuid4

import pytest
from api.directory.owners import NAMUR, OWNER, READ, SEND, World, faults, refusal
from support.rows import tables

pytestmark = pytest.mark.anyio


async def test_nobody_and_those_who_may_not_read_are_refused(world: World) -> None:
    place = f"/services/{await world.caller().publish()}/conditions/check"
    nobody = await world.caller().ask("POST", place, {}, headers={"Authorization": ""})
    assert refusal(nobody) == (401, "unauthenticated")
    assert refusal(await world.caller(SEND).ask("POST", place, {})) == (403, "scope-missing")
    absent = await world.caller(READ).ask("POST", f"/services/{uuid4()}/conditions/check", {})
    assert refusal(absent) == (404, "not-found")


async def test_each_rule_is_named_with_what_came_of_it(world: World) -> None:
    owner, reader = world.caller(), world.caller(READ)
    id_ = await owner.publish(
        service_area=["be:52011"],
        minimum_age=18,
        conditions=[
            {"kind": "status", "text": "Demandeurs d'emploi.", "audiences": ["jobseekers"]},
            {"kind": "level", "text": "Français A2.", "level": "A2"},
            {"kind": "prescriber", "text": "Sur orientation."},
            {"kind": "papers", "text": "Carte d'identité."},
            {"kind": "other", "text": "Être motivé."},
        ],
    )

    async def outcomes(**said: object) -> tuple[str, list[str]]:
        answer = (await reader.told("POST", f"/services/{id_}/conditions/check", said)).json()
        assert [one["kind"] for one in answer["conditions"]] == [
            "age", "area", "status", "level", "prescriber", "papers", "other",
        ]  # fmt: skip
        return answer["outcome"], [one["outcome"] for one in answer["conditions"]]

    assert await outcomes() == ("to_ask", ["to_ask"] * 7)
    whole = {
        "municipality": "be:52011", "age": 18, "audiences": ["jobseekers"], "level": "A2", "prescriber": True,
        "papers": True,
    }  # fmt: skip
    assert await outcomes(**whole) == ("to_ask", ["holds"] * 6 + ["to_ask"])
    nothing = {
        "municipality": NAMUR, "age": 17, "audiences": [], "level": "A1", "prescriber": False, "papers": False,
    }  # fmt: skip
    assert await outcomes(**nothing) == ("fails", ["fails"] * 6 + ["to_ask"])
    plain = await owner.publish()
    assert (await reader.told("POST", f"/services/{plain}/conditions/check", whole)).json() == {
        "outcome": "holds", "conditions": [],
    }  # fmt: skip


async def test_what_cannot_be_read_is_refused_without_repeating_it(world: World) -> None:
    id_ = await world.caller().publish()
    said = {"municipality": "be:99999", "age": 200, "audiences": ["a secret"], "level": "Z9", "name": "Amina"}
    answer = await world.caller(READ).ask("POST", f"/services/{id_}/conditions/check", said)
    assert faults(answer) == {"/age", "/audiences", "/level", "/name"}
    assert not any(word in answer.text for word in ("a secret", "Z9", "Amina", "200"))
    unknown = await world.caller(READ).ask("POST", f"/services/{id_}/conditions/check", {"municipality": "be:99999"})
    assert faults(unknown) == {"/municipality"}


async def test_nothing_of_what_is_said_is_stored_or_logged(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    owner = world.caller(*OWNER)
    id_ = await owner.publish(minimum_age=18, conditions=[{"kind": "level", "text": "A2.", "level": "A2"}])
    before = await asyncio.to_thread(tables, world.access.owner_dsn)
    capfd.readouterr()
    said = {"municipality": "be:52011", "age": 44, "level": "B1", "papers": False}
    await world.caller(READ).told("POST", f"/services/{id_}/conditions/check", said)
    out, err = capfd.readouterr()
    assert not any(secret in out + err for secret in ("be:52011", "44", "B1"))
    assert await asyncio.to_thread(tables, world.access.owner_dsn) == before
