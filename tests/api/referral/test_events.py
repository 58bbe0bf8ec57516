"""The feed: one order for everybody, nothing skipped, nothing of hers, and nothing that one may not know of."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api.gateway.world import serving
from api.referral.test_may_sanction import EARLY, ERASED, LATE, ended
from api.referral.world import (
    HERS,
    OUTSIDER,
    PATHS,
    PRACTISING,
    RECEIVE,
    RECIPIENT,
    SANCTIONING,
    SEND,
    SENDER,
    Asserted,
    Handover,
    World,
    problem,
)
from sqlalchemy import text
from support.stack import free_ports

from relais_referral import store
from relais_referral.actions import sequencing
from relais_referral.actions.sequencing import follow_directory, forget_events, sequence
from relais_referral.domain.events import TYPES
from relais_referral.models.referrals import Referral
from relais_referral.rewrapping import WORKER
from relais_referral.routes import events as routes
from relais_shared.auth import Actor
from relais_shared.client import Client
from relais_shared.db import Database

pytestmark = pytest.mark.anyio

MANAGE, READ = "webhook:manage", "directory:read"


async def followed(client: Client, **parameters: Any) -> list[dict[str, Any]]:
    """Answer all events that a client is told, page by page."""
    found: list[dict[str, Any]] = []
    while True:
        answer = await client.get("/v1/events", params=parameters)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if not page["more"]:
            return found
        assert f"cursor={page['next_cursor']}" in answer.headers["link"]
        parameters["cursor"] = page["next_cursor"]


async def of(client: Client, handover: Handover, **parameters: Any) -> list[dict[str, Any]]:
    """Answer the events of one hand-over that a client is told."""
    return [one for one in await followed(client, **parameters) if one["subject_id"] == handover.id]


def types(items: list[dict[str, Any]]) -> list[str]:
    """Answer the types of events, in order."""
    return [one["type"] for one in items]


async def test_nobody_and_who_may_know_of_nothing(world: World) -> None:
    for path in ("/v1/events", "/v1/events/stream"):
        assert problem(await world.anonymous().get(path)) == (401, "unauthenticated")
        assert problem(await world.as_(SENDER, "org:admin", "trace:read").get(path)) == (403, "scope-missing")


async def test_both_sides_are_told_and_nobody_else(world: World, handover: Handover) -> None:
    await handover.open()
    await handover.agree()
    await handover.walk(*PATHS["closed"])
    await world.sequenced()
    of_sender, of_recipient = await of(handover.sender, handover), await of(handover.recipient, handover)
    steps = ["referral.proposed", "referral.accepted", "referral.handed_over", "referral.closed"]
    assert types(of_sender) == ["consent.given", *steps]
    # What was before the proposal is the sender's alone.
    assert types(of_recipient) == steps
    assert [one["sequence"] for one in of_sender] == [1, 2, 3, 4, 5]
    assert [one["sequence"] for one in of_recipient] == [1, 2, 3, 4]
    assert [one["id"] for one in of_sender[1:]] == [one["id"] for one in of_recipient]
    assert of_sender[0].keys() == {"id", "type", "time", "subject", "subject_id", "sequence", "practice"}
    assert of_sender[0]["subject"] == f"http://localhost:8000/v1/referrals/{handover.id}"
    said = json.dumps([of_sender, of_recipient])
    assert not any(one in said for one in (*HERS, "Ana", "Ben"))
    for client in (
        world.as_(OUTSIDER, SEND, RECEIVE, MANAGE, READ),
        world.as_(SENDER, RECEIVE),
        world.as_(RECIPIENT, SEND),
        world.as_(SENDER, MANAGE),
        world.as_(RECIPIENT, MANAGE, READ),
    ):
        assert await of(client, handover) == []


async def test_a_scope_that_the_registry_took_away_opens_nothing(world: World, handover: Handover) -> None:
    """A token may be older than the registry: what counts is what is held now."""
    await handover.proposed()
    await world.sequenced()
    assert await of(handover.recipient, handover)
    try:
        await world.tell_registry(2, Creche={"scopes": [SEND, MANAGE]})
        assert await of(handover.recipient, handover) == []
        await world.tell_registry(3, Creche={"active": False})
        assert await of(handover.recipient, handover) == []
    finally:
        await world.tell_registry(4)
    assert await of(handover.recipient, handover)


async def test_a_cursor_goes_on_where_it_was(world: World, handover: Handover) -> None:
    await handover.proposed()
    await world.sequenced()
    everything = await followed(handover.sender)
    one_by_one = await followed(handover.sender, limit=1)
    assert one_by_one == everything
    last = (await handover.sender.get("/v1/events", params={"limit": 1_000})).json()
    nothing = (await handover.sender.get("/v1/events", params={"cursor": last["next_cursor"]})).json()
    assert nothing == {"items": [], "more": False, "next_cursor": last["next_cursor"]}
    await handover.walk("r.receive")
    await world.sequenced()
    more = (await handover.sender.get("/v1/events", params={"cursor": last["next_cursor"]})).json()
    assert types(more["items"]) == ["referral.received"]
    # A cursor is its reader's own, and no invention.
    elsewhere = await world.as_(OUTSIDER).get("/v1/events", params={"cursor": last["next_cursor"]})
    assert problem(elsewhere) == (422, "invalid-input")
    for wrong in ({"cursor": "AAAA"}, {"limit": 0}, {"type": "referral.dreamt"}, {"since": "x"}):
        assert problem(await handover.sender.get("/v1/events", params=wrong)) == (422, "invalid-input"), wrong


async def test_types_choose(world: World, handover: Handover) -> None:
    await handover.proposed()
    await handover.walk("r.receive", "r.decline")
    await handover.sender.post(f"/v1/consents/{handover.consent_id}/withdraw", json={})
    await world.sequenced()
    chosen = await of(handover.sender, handover, type=["referral.declined", "consent.withdrawn"])
    assert types(chosen) == ["referral.declined", "consent.withdrawn"]
    assert set(types(await followed(handover.sender))) <= set(TYPES)


async def test_a_step_taken_back_is_told(world: World, handover: Handover) -> None:
    await handover.proposed()
    await handover.walk("r.accept", "r.undo")
    await world.sequenced()
    assert types(await of(handover.sender, handover))[-2:] == ["referral.accepted", "referral.reopened"]


async def test_rehearsals_stand_in_a_feed_of_their_own(world: World) -> None:
    handover = world.between(PRACTISING, PRACTISING)
    await handover.proposed()
    await world.sequenced()
    assert await of(handover.sender, handover) == []
    rehearsed = await of(handover.sender, handover, practice=True)
    assert types(rehearsed)[-1] == "referral.proposed"
    assert all(one["practice"] for one in rehearsed)


@pytest.mark.parametrize("ends", [EARLY, LATE, ERASED], ids=["early", "late", "erased"])
async def test_every_ending_is_told_alike_to_a_sender_that_may_sanction(world: World, ends: Any) -> None:
    """Byte for byte, ids and times aside; its own stopping afterwards included."""
    found = set()
    for end in ends.values():
        handover = await ended(world, end)
        await world.sequenced()
        ana = world.as_(SANCTIONING, SEND)
        before = await ana.get("/v1/events", params={"limit": 1_000})
        await ana.post(f"/v1/consents/{handover.consent_id}/withdraw", json={})
        await ana.post(f"{handover.place}/withdraw", json={})
        await world.sequenced()
        after = await ana.get("/v1/events", params={"cursor": before.json()["next_cursor"]})
        said = [one for one in before.json()["items"] + after.json()["items"] if one["subject_id"] == handover.id]
        told = json.dumps(said).replace(handover.id, "REFERRAL")
        told = re.sub(r'"id": "[0-9a-f-]{36}"', "ID", told)
        found.add(re.sub(r'"time": "[^"]+"', "TIME", told))
        assert "referral.ended" in told
        assert not re.search(r"declined|received|meeting|handed_over|closed", told)
        assert [one["sequence"] for one in said] == list(range(1, len(said) + 1))
    assert len(found) == 1, found


async def test_what_it_may_not_notice_moves_no_cursor(world: World) -> None:
    """Whether the recipient works with her shows neither in events nor in where the feed has come to."""
    handover = await world.between(SANCTIONING, RECIPIENT).proposed()
    await world.sequenced()
    ana = world.as_(SANCTIONING, SEND)
    first = (await ana.get("/v1/events", params={"limit": 1_000})).json()["next_cursor"]
    before = (await ana.get("/v1/events", params={"cursor": first})).content
    for action in ("receive", "accept"):
        await handover.step(handover.recipient, action)
        await world.sequenced()
        if action == "receive":
            assert (await ana.get("/v1/events", params={"cursor": first})).content == before
    accepted = (await ana.get("/v1/events", params={"cursor": first})).json()
    assert types(accepted["items"]) == ["referral.accepted"]
    for action in ("plan_meeting", "replan", "confirm_handover"):
        await handover.step(handover.recipient, action)
        await world.sequenced()
        assert (await ana.get("/v1/events", params={"cursor": accepted["next_cursor"]})).json()["items"] == []


# ── the sequencer ──────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def writing(world: World, referral_id: str) -> AsyncIterator[Any]:
    """Write an event of a referral in a transaction that the block holds open."""
    database: Database = world.app.state.database
    async with database.session() as session:
        await session.begin()
        await store.callers.begin(session, WORKER)
        # A transaction has its number from its first write on, long before the lock that it waits for.
        await session.execute(text("select pg_current_xact_id()"))

        async def write(type_: str) -> None:
            query = text("select id from referral where id = :id for update")
            await session.execute(query, {"id": referral_id})
            referral = await session.get(Referral, referral_id)
            assert referral is not None
            await session.refresh(referral)
            store.trail.add_event(session, referral, type_, actor="test", organisation_id=None, at=datetime.now(UTC))
            await session.commit()

        yield write
        await session.rollback()


async def test_a_late_commit_is_never_skipped(fresh: World) -> None:
    """What began first and is committed last stands behind, and no cursor has passed it."""
    early, late = fresh.between(SENDER, RECIPIENT), fresh.between(SENDER, RECIPIENT)
    await early.proposed()
    await late.proposed()
    await fresh.sequenced()
    cursor = (await early.sender.get("/v1/events")).json()["next_cursor"]
    async with writing(fresh, late.id) as write:
        await early.walk("r.receive")
        await fresh.sequenced()
        page = (await early.sender.get("/v1/events", params={"cursor": cursor})).json()
        assert [(one["type"], one["subject_id"]) for one in page["items"]] == [("referral.received", early.id)]
        # More comes and goes meanwhile; the late one stays in sight.
        await early.walk("r.accept")
        await fresh.sequenced()
        await write("referral.paused")
    await fresh.sequenced()
    rest = await followed(early.sender, cursor=page["next_cursor"])
    assert [(one["type"], one["subject_id"]) for one in rest] == [
        ("referral.accepted", early.id),
        ("referral.paused", late.id),
    ]
    assert await followed(early.sender, cursor=rest and cursor) == [*page["items"], *rest]


async def test_a_referral_keeps_its_order_whichever_transaction_began_first(fresh: World) -> None:
    handover = fresh.between(SENDER, RECIPIENT)
    await handover.proposed()
    async with writing(fresh, handover.id) as write:
        await handover.walk("r.receive", "r.accept")
        await write("referral.paused")
    await fresh.sequenced()
    told = await of(handover.sender, handover)
    assert types(told)[-3:] == ["referral.received", "referral.accepted", "referral.paused"]
    assert [one["sequence"] for one in told] == [1, 2, 3, 4, 5]


async def test_two_sequencers_place_each_event_once(fresh: World) -> None:
    handovers = [fresh.between(SENDER, RECIPIENT) for _ in range(4)]
    stop = asyncio.Event()

    async def placing() -> None:
        while not stop.is_set():
            await sequence(fresh.app.state.database, datetime.now(UTC))

    working = [asyncio.create_task(placing()) for _ in range(2)]
    await asyncio.gather(*(one.proposed() for one in handovers))
    for step in ("r.receive", "r.accept", "r.plan_meeting"):
        await asyncio.gather(*(one.walk(step) for one in handovers))
    stop.set()
    await asyncio.gather(*working)
    await fresh.sequenced()
    told = await followed(handovers[0].sender)
    assert len({one["id"] for one in told}) == len(told) == 4 * 5
    for handover in handovers:
        assert [one["sequence"] for one in told if one["subject_id"] == handover.id] == [1, 2, 3, 4, 5]


async def test_a_database_restored_elsewhere_loses_nothing(fresh: World) -> None:
    """A copy that is loaded into another server counts its transactions anew; the mark of the old one is ahead."""
    handover = fresh.between(SENDER, RECIPIENT)
    await handover.proposed()
    await fresh.sequenced()
    async with fresh.app.state.database.write() as tx:
        await tx.execute(text("update sequencing set mark = 9000000000000 where name = 'events'"))
    await handover.walk("r.receive")
    await fresh.sequenced()
    assert types(await of(handover.sender, handover))[-1] == "referral.received"
    assert len(await of(handover.sender, handover)) == 3


async def test_a_look_that_finds_nothing_writes_nothing(fresh: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mark moves with what was found; else only where it lags, or stands ahead of everything."""

    async def mark() -> int:
        async with fresh.app.state.database.write() as tx:
            row = await store.sequencing.sequencing(tx, "events")
        assert row is not None
        return int(row.mark)

    handover = fresh.between(SENDER, RECIPIENT)
    await handover.proposed()
    await fresh.sequenced()
    found = await mark()
    await fresh.sequenced()
    assert await mark() == found
    monkeypatch.setattr(sequencing, "MARK_LAGS", 1)
    await fresh.sequenced()
    lagged = await mark()
    assert lagged > found
    monkeypatch.setattr(sequencing, "MARK_LAGS", 1_000)
    async with fresh.app.state.database.write() as tx:
        await tx.execute(text("update sequencing set mark = 9000000000000 where name = 'events'"))
    await fresh.sequenced()
    assert lagged < await mark() < 9_000_000_000_000


# ── the directory's changes ────────────────────────────────────────────────────────────────────────────────────────


def a_change(service_id: str, version: int = 1, *, gone: bool = False, told: str | None = None) -> dict[str, Any]:
    """Answer a line of the directory's change feed."""
    return {"id": service_id, "version": version, "gone": gone, "capacity_at": told}


async def test_the_directorys_changes_are_drawn_in(fresh: World) -> None:
    state, now = fresh.app.state, datetime.now(UTC)
    one, two = str(uuid4()), str(uuid4())
    fresh.directory.changed = [a_change(one), a_change(two)]
    # What stands there when one begins to follow is learnt, and told to nobody.
    assert await follow_directory(state.database, state.directory, now) == 0
    for changes in (
        [a_change(one, 2), a_change(two, told="2026-11-01T10:00:00Z")],
        # A confirmation moves neither its content nor its places.
        [a_change(two, told="2026-11-01T10:00:00Z"), a_change(str(uuid4())), a_change(one, 2, gone=True)],
    ):
        fresh.directory.changed += changes
        assert await follow_directory(state.database, state.directory, now) == len(changes)
    reader = fresh.as_(OUTSIDER, READ)
    told = await followed(reader)
    assert types(told) == [
        "service.changed", "capacity.changed", "service.changed", "service.changed", "service.changed"
    ]  # fmt: skip
    assert told[1]["subject"] == f"http://localhost:8000/v1/directory/services/{two}"
    assert await followed(fresh.as_(OUTSIDER, SEND, RECEIVE, MANAGE)) == []
    assert await followed(reader, type="capacity.changed") == [told[1]]
    # Restored from an older copy, it no longer knows our cursor: what differs is told, nothing else.
    fresh.directory.changed = [a_change(one, 2, gone=True), a_change(two, 3)]
    assert await follow_directory(state.database, state.directory, now) == 2


# ── the stream ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Stream:
    """A stream of events as it is read."""

    lines: AsyncIterator[str]

    async def next(self) -> dict[str, Any]:
        """Answer the next event, past whatever keeps the stream alive."""
        found: dict[str, str] = {}
        async for line in self.lines:
            name, _, value = line.partition(": ")
            if name in {"id", "event", "data"}:
                found[name] = value
            if not line and "data" in found:
                told: dict[str, Any] = json.loads(found["data"])
                assert (found["id"], found["event"]) == (told["id"], told["type"])
                return told
        raise EOFError


@asynccontextmanager
async def streamed(world: World, actor: Actor, **asked: Any) -> AsyncIterator[tuple[httpx.Response, Stream]]:
    """Open the stream on a real socket, as an actor."""
    port = free_ports(1)[0]
    # The app runs already; what is served here is the same app, without a second start.
    async with serving(_WithoutLifespan(world.app), port):
        client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", auth=Asserted(world.gateway, actor), timeout=30, trust_env=False
        )
        async with client, client.stream("GET", "/v1/events/stream", **asked) as answer:
            yield answer, Stream(answer.aiter_lines())


class _WithoutLifespan:
    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        await self._app(scope, receive, send)


def an_actor(structure: Any, *scopes: str) -> Actor:
    """Answer a client of a structure."""
    return Actor("client", "client:stream", structure.id, structure.name, frozenset(scopes))


async def test_a_stream_tells_as_it_happens_and_goes_on_after_a_cut(world: World, handover: Handover) -> None:
    await handover.proposed()
    await world.sequenced()
    last = (await of(handover.sender, handover))[-1]["id"]
    actor = an_actor(RECIPIENT, RECEIVE)
    async with streamed(world, actor) as (answer, stream):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        await handover.walk("r.receive")
        await world.sequenced()
        received = await stream.next()
        assert (received["type"], received["subject_id"]) == ("referral.received", handover.id)
    await handover.walk("r.accept")
    await world.sequenced()
    async with streamed(world, actor, headers={"Last-Event-ID": last}) as (_, stream):
        assert [(await stream.next())["type"] for _ in range(2)] == ["referral.received", "referral.accepted"]
    async with streamed(world, actor, headers={"Last-Event-ID": str(uuid4())}) as (answer, _):
        assert answer.status_code == 422


async def test_what_happens_between_an_empty_feed_and_its_stream_is_not_missed(fresh: World) -> None:
    handover = fresh.between(SENDER, RECIPIENT)
    feed = (await handover.sender.get("/v1/events")).json()
    assert (feed["items"], feed["more"]) == ([], False)
    await handover.proposed()
    await fresh.sequenced()
    rest = await followed(handover.sender, cursor=feed["next_cursor"])
    assert "referral.proposed" in types(rest)
    async with streamed(fresh, an_actor(SENDER, SEND), params={"cursor": feed["next_cursor"]}) as (_, stream):
        assert [await stream.next() for _ in rest] == rest


async def test_a_quiet_stream_stays_alive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "KEEP_ALIVE_S", 0.05)
    async with streamed(world, an_actor(OUTSIDER, RECEIVE)) as (_, stream):
        said = [await anext(stream.lines) for _ in range(6)]
    assert said == ["retry: 2000", "", ": still here", "", ": still here", ""]


async def test_a_stream_ends_with_the_scope(world: World, handover: Handover) -> None:
    await handover.proposed()
    await world.sequenced()
    try:
        async with streamed(world, an_actor(RECIPIENT, RECEIVE)) as (_, stream):
            await world.tell_registry(5, Creche={"scopes": [SEND]})
            await handover.sender.post(f"{handover.place}/cancel", headers={"If-Match": '"3"'}, json={})
            await world.sequenced()
            with pytest.raises(EOFError):
                await stream.next()
    finally:
        await world.tell_registry(6)


async def test_an_organisation_opens_only_so_many_streams(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "STREAMS", 1)
    actor = an_actor(OUTSIDER, RECEIVE)
    async with streamed(world, actor) as (first, stream):
        assert first.status_code == 200
        assert await anext(stream.lines) == "retry: 2000"
        refused = await world.anonymous(Asserted(world.gateway, actor)).get("/v1/events/stream")
        assert problem(refused) == (429, "too-many-streams")
        assert refused.headers["retry-after"] == "15"
    # An ended one no longer counts: the count follows when the connection is seen to be gone.
    while world.app.state.streams:  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0.01)
    async with streamed(world, actor) as (again, _):
        assert again.status_code == 200


async def test_what_has_had_its_time_is_forgotten(fresh: World) -> None:
    """The directory's events after 90 days; a referral's stay while it lives, and go when it is long erased."""
    handover = await fresh.between(SENDER, RECIPIENT).proposed()
    await fresh.sequenced()
    state, now = fresh.app.state, datetime.now(UTC)
    service = str(uuid4())
    fresh.directory.changed = [a_change(service)]
    await follow_directory(state.database, state.directory, now)
    fresh.directory.changed += [a_change(service, 2)]
    await follow_directory(state.database, state.directory, now)
    reader = fresh.as_(SENDER, SEND, READ)
    assert types(await followed(reader)) == ["consent.given", "referral.proposed", "service.changed"]
    assert await forget_events(state.database, state.sealer, lambda: now + timedelta(days=89)) == 0
    assert await forget_events(state.database, state.sealer, lambda: now + timedelta(days=91)) == 1
    assert types(await followed(reader)) == ["consent.given", "referral.proposed"]
    async with state.database.write() as tx:
        await store.callers.begin(tx, WORKER)
        # As its own term would do it (test_keeping walks that).
        await tx.execute(
            text("update referral set wrapped_key = null, key_id = null, erased_at = :at, shredded_at = :at"),
            {"at": now},
        )
    assert await forget_events(state.database, state.sealer, lambda: now + timedelta(days=91)) == 2
    await fresh.sequenced()
    assert await of(handover.sender, handover) == []
