"""Following the directory: nothing is left out of its feed, and saved searches tell of what is new."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from api.directory.owners import READ, SEND, World, faults, refusal, service

from relais_directory import entries, writing
from relais_directory.records import ServiceRecord
from relais_directory.writing import Author
from relais_shared.http import CursorCodec

pytestmark = pytest.mark.anyio

ASKED = [
    ("GET", "/changes", None),
    ("GET", "/saved-searches", None),
    ("POST", "/saved-searches", {"name": "n", "query": {}}),
    ("GET", f"/saved-searches/{uuid4()}/new", None),
    ("POST", f"/saved-searches/{uuid4()}/seen", None),
    ("DELETE", f"/saved-searches/{uuid4()}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ASKED)
async def test_nobody_and_those_who_may_not_read_are_refused(
    world: World, method: str, path: str, body: dict[str, Any] | None
) -> None:
    nobody = await world.caller().ask(method, path, body, headers={"Authorization": ""})
    assert refusal(nobody) == (401, "unauthenticated")
    assert refusal(await world.caller(SEND).ask(method, path, body)) == (403, "scope-missing")


async def changed(world: World, since: str | None = None, limit: int = 1_000) -> tuple[list[dict[str, Any]], str]:
    """Answer the feed from a cursor to its end, in pages, and the cursor there; all that was changed is in it."""
    await world.settled()
    return await fed(world, since, limit)


async def fed(world: World, since: str | None, limit: int = 1_000) -> tuple[list[dict[str, Any]], str]:
    """Answer the same, as it stands."""
    reader = world.caller(READ)
    items: list[dict[str, Any]] = []
    while True:
        page = await reader.read("/changes", limit=limit, **({"since": since} if since else {}))
        items += page["items"]
        since = page["next_cursor"] or since
        if not page["more"]:
            assert since is not None
            return items, since


async def test_the_feed_tells_of_every_change_and_deletion_across_calls(world: World) -> None:
    owner = world.caller()
    ids = [await owner.publish(name=f"n{number}") for number in range(5)]
    items, start = await changed(world, limit=2)
    own = [one for one in items if one["organisation_id"] == str(owner.id)]
    assert [one["id"] for one in own] == ids
    assert {one["id"] for one in items if one["gone"]}.isdisjoint(ids)
    assert await changed(world, start) == ([], start)
    await owner.change(ids[0], name="Autre nom")
    await owner.told("DELETE", f"/services/{ids[1]}", version='"1"')
    await owner.change(ids[2], status="inactive")
    await owner.told("PUT", f"/services/{ids[3]}/capacity", {"available": 1})
    await world.caller(READ).told("POST", f"/services/{ids[4]}/confirmations")
    items, end = await changed(world, start, limit=2)
    assert [(one["id"], one["gone"], one["version"]) for one in items] == [
        (ids[0], False, 2), (ids[1], True, 2), (ids[2], True, 2), (ids[3], False, 1), (ids[4], False, 1),
    ]  # fmt: skip
    assert await changed(world, end) == ([], end)


async def test_a_cursor_of_another_list_or_of_another_life_is_refused(world: World) -> None:
    reader = world.caller(READ)
    await world.caller().publish()
    assert faults(await reader.ask("GET", "/changes", params={"since": "AAAA"})) == {"?since"}
    codec = CursorCodec(world.app.state.settings.secret_bytes(), "changes")
    ahead = codec.encode([2**40, str(uuid4())])
    assert faults(await reader.ask("GET", "/changes", params={"since": ahead})) == {"?since"}


async def test_what_commits_late_is_never_skipped(world: World) -> None:
    owner = world.caller()
    id_, quick = await owner.publish(), await owner.publish()
    _items, start = await changed(world)
    slow = await asyncpg.connect(world.access.dsn)
    try:
        transaction = slow.transaction()
        await transaction.start()
        now = world.now()
        await entries.replace(
            slow, owner.actor, UUID(id_), "1", ServiceRecord(**service(name="Tard")), Author("t", now),
            world.app.state.terms,
        )  # fmt: skip
        # Another begins later, and commits first.
        await owner.change(quick, name="Vite")
        items, middle = await fed(world, start)
        assert [one["id"] for one in items if one["id"] in {id_, quick}] == []
        await transaction.commit()
    finally:
        await slow.close()
    items, _end = await changed(world, middle)
    assert {id_, quick} <= {one["id"] for one in items}


async def test_a_published_entry_that_became_a_draft_is_gone_for_those_who_follow(world: World) -> None:
    """No owner can do so by the API; a source may say so."""
    owner = world.caller()
    id_ = await owner.publish()
    _items, start = await changed(world)
    connection = await asyncpg.connect(world.access.dsn)
    try:
        async with connection.transaction():
            record = ServiceRecord(**service(status="draft"))
            places = entries.judged(record, world.now())
            one = writing.Service(UUID(id_), owner.id, "x", "relais", id_, record, places, owned=True)
            await writing.write_services(connection, [one], Author("t", world.now()), world.app.state.terms)
    finally:
        await connection.close()
    items, _end = await changed(world, start)
    assert [(one["id"], one["gone"]) for one in items] == [(id_, True)]


async def test_a_saved_search_tells_of_new_services_alone(world: World) -> None:
    owner, reader = world.caller(), world.caller(READ)
    old = await owner.publish()
    draft = await owner.publish(status="draft")
    query = {"near": "50.4113,4.4445", "theme": ["childcare"], "organisation_id": str(owner.id), "limit": 3}
    saved = (await reader.told("POST", "/saved-searches", {"name": "Halte", "query": query})).json()
    assert "limit" not in saved["query"]
    place = f"/saved-searches/{saved['id']}"
    assert (await reader.read(f"{place}/new"))["items"] == []
    new = [await owner.publish(), await owner.publish()]
    await owner.publish(themes=["mobility"])
    await owner.change(old, name="Changé")
    await owner.change(draft, status="active")
    page = await reader.read(f"{place}/new")
    assert {card["id"] for card in page["items"]} == {*new, draft}
    assert page["total"] == 3
    # Page by page it is the same.
    first = await reader.read(f"{place}/new", limit=2)
    second = await reader.read(f"{place}/new", limit=2, cursor=first["next_cursor"])
    assert {card["id"] for card in first["items"] + second["items"]} == {*new, draft}
    # What came after it was read is still new once it is marked as seen until then.
    later = await owner.publish()
    await reader.told("POST", f"{place}/seen", params={"until": page["as_of"]})
    assert [card["id"] for card in (await reader.read(f"{place}/new"))["items"]] == [later]
    await reader.told("POST", f"{place}/seen")
    assert (await reader.read(f"{place}/new"))["items"] == []


async def test_what_commits_after_it_was_seen_is_still_new(world: World) -> None:
    owner, reader = world.caller(), world.caller(READ)
    await owner.publish()
    query = {"organisation_id": str(owner.id)}
    saved = (await reader.told("POST", "/saved-searches", {"name": "n", "query": query})).json()
    place = f"/saved-searches/{saved['id']}"
    await reader.told("POST", f"{place}/seen")
    slow = await asyncpg.connect(world.access.dsn)
    try:
        async with slow.transaction():
            id_ = await entries.publish(
                slow, owner.actor, ServiceRecord(**service()), Author("t", world.now()), world.app.state.terms
            )
            await reader.told("POST", f"{place}/seen")
    finally:
        await slow.close()
    assert str(id_) in {card["id"] for card in (await reader.read(f"{place}/new"))["items"]}


async def test_a_saved_search_is_its_owners_alone(world: World) -> None:
    one, other = world.caller(READ), world.caller(READ)
    saved = (await one.told("POST", "/saved-searches", {"name": "Mienne", "query": {"q": "crèche"}})).json()
    assert [mine["id"] for mine in (await one.read("/saved-searches"))["items"]] == [saved["id"]]
    assert (await other.read("/saved-searches"))["items"] == []
    for method, path in (("GET", "/new"), ("POST", "/seen"), ("DELETE", "")):
        theirs = await other.ask(method, f"/saved-searches/{saved['id']}{path}")
        absent = await other.ask(method, f"/saved-searches/{uuid4()}{path}")
        assert refusal(theirs) == refusal(absent) == (404, "not-found")
    await one.told("DELETE", f"/saved-searches/{saved['id']}")
    assert (await one.read("/saved-searches"))["items"] == []


async def test_a_search_that_cannot_be_asked_is_not_saved(world: World) -> None:
    reader = world.caller(READ)
    for query, pointer in [
        ({"municipality": "be:99999"}, "/query/municipality"),
        ({"place": "nowhere at all"}, "/query/place"),
        ({"q": "de la"}, "/query/q"),
        ({"theme": ["nonsense"]}, "/query/theme"),
        ({"surprise": 1}, "/query/surprise"),
    ]:
        answer = await reader.ask("POST", "/saved-searches", {"name": "n", "query": query})
        assert (refusal(answer), faults(answer)) == ((422, "invalid-input"), {pointer})
    assert (await reader.read("/saved-searches"))["items"] == []
    assert refusal(await world.nameless(READ).ask("POST", "/saved-searches", {"name": "n", "query": {}})) == (
        403, "scope-missing",
    )  # fmt: skip
