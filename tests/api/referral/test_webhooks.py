"""Webhooks: signed as the standard says, at least once, in order, and never to whom it is none of their business."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api.referral.receiver import Moment, Receiver, receiving
from api.referral.test_may_sanction import LATE, ended
from api.referral.world import (
    HERS,
    OUTSIDER,
    PRACTISING,
    RECEIVE,
    RECIPIENT,
    SANCTIONING,
    SEND,
    SENDER,
    Handover,
    World,
    if_match,
    key,
    opened,
    problem,
)
from sqlalchemy import text
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from relais_local.databases import Access
from relais_referral.actions.delivering import FRESH_S, LEASE, Deliverer
from relais_referral.actions.sequencing import sequence
from relais_referral.domain.events import OF_DIRECTORY
from relais_shared.client import Outside
from relais_shared.db import Database

pytestmark = pytest.mark.anyio

MANAGE, READ = "webhook:manage", "directory:read"


@dataclass
class Desk:
    """A running app with a clock that moves, a receiver, and the worker's part that sends."""

    world: World
    moment: Moment
    receiver: Receiver
    outside: Outside = field(default_factory=Outside)

    def __post_init__(self) -> None:
        self.deliverer = self.another()

    def another(self, outside: Outside | None = None) -> Deliverer:
        """Answer a sender of another worker."""
        state = self.world.app.state
        return Deliverer(state.database, state.settings, outside or self.outside, self.moment, lambda: 0.0)

    @property
    def database(self) -> Database:
        """The app's."""
        found: Database = self.world.app.state.database
        return found

    async def register(self, structure: Any, **more: Any) -> dict[str, Any]:
        """Register the receiver for a structure."""
        client = self.world.as_(structure, MANAGE)
        answer = await client.post("/v1/webhooks", json={"url": self.receiver.url, **more})
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        self.receiver.secrets = [found["secret"]]
        return found

    async def send(self) -> int:
        """Give positions and send all that is due now."""
        await sequence(self.database, self.moment.now)
        return await self.deliverer.round()

    async def proposed(self) -> Handover:
        """Propose a hand-over at the moment where the clock stands."""
        handover = self.world.between(SENDER, RECIPIENT)
        await handover.open()
        await handover.agree(given_at=self.moment.now.isoformat())
        await handover.walk("propose")
        return handover

    async def next_due(self) -> datetime | None:
        """Answer when something that waits is due next."""
        async with self.database.write() as tx:
            await tx.execute(text("select set_config('relais.worker', 'on', true)"))
            found: datetime | None = await tx.scalar(
                text(
                    "select min(greatest(d.next_at, e.rests_until, d.leased_until)) from webhook_delivery d"
                    " join webhook_endpoint e on e.id = d.endpoint_id where d.state = 'waiting'"
                    # What waits behind another is not due before it.
                    " and not exists (select from webhook_delivery f where f.endpoint_id = d.endpoint_id and"
                    " f.subject_id = d.subject_id and f.state = 'waiting' and f.position < d.position)"
                )
            )
            return found

    async def until(self, end: datetime) -> None:
        """Let time pass until an instant, sending whatever becomes due."""
        await self.send()
        while (due := await self.next_due()) is not None and due <= end:
            self.moment.now = max(due, self.moment.now)
            await self.send()
        self.moment.now = max(end, self.moment.now)

    async def log(self, structure: Any, endpoint: dict[str, Any], **asked: Any) -> list[dict[str, Any]]:
        """Answer an endpoint's deliveries, the oldest first."""
        client = self.world.as_(structure, MANAGE)
        answer = await client.get(f"/v1/webhooks/{endpoint['id']}/deliveries", params={"limit": 100, **asked})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found[::-1]

    async def read(self, structure: Any, endpoint: dict[str, Any]) -> httpx.Response:
        """Read an endpoint."""
        answer = await self.world.as_(structure, MANAGE).get(f"/v1/webhooks/{endpoint['id']}")
        assert answer.status_code == 200, answer.text
        return answer


@pytest.fixture(name="desk")
async def _desk(home: Path, fresh_database: Callable[[str], Access], anyio_backend: str) -> AsyncIterator[Desk]:
    """Run the app with a receiver, on a database of this test's own."""
    del home, anyio_backend
    moment = Moment()
    async with opened(fresh_database("referral")) as world, receiving(moment) as receiver:
        world.app.state.clock = moment
        desk = Desk(world, moment, receiver)
        yield desk
        await desk.outside.close()


def of_referrals(receiver: Receiver) -> dict[str, list[int]]:
    """Answer the sequences of what was taken by referral, repeats left out, in the order of their first coming."""
    found: dict[str, list[int]] = {}
    seen = set()
    for message in receiver.taken:
        told = message.told
        if told["id"] not in seen and told["sequence"] is not None:
            seen.add(told["id"])
            found.setdefault(told["subject_id"], []).append(told["sequence"])
    return found


# ── who may ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_may_manage_endpoints(desk: Desk) -> None:
    made = await desk.register(SENDER)
    place = f"/v1/webhooks/{made['id']}"
    event = uuid4()
    operations = [
        ("GET", "/v1/webhooks", None),
        ("POST", "/v1/webhooks", {"url": desk.receiver.url}),
        ("GET", place, None),
        ("PATCH", place, {"enabled": False}),
        ("DELETE", place, None),
        ("POST", f"{place}/rotate", {}),
        ("POST", f"{place}/test", None),
        ("GET", f"{place}/deliveries", None),
        ("GET", f"{place}/deliveries/{event}", None),
        ("POST", f"{place}/deliveries/{event}/replay", None),
        ("POST", f"{place}/replay", {}),
    ]
    nobody, without = desk.world.anonymous(), desk.world.as_(SENDER, SEND, RECEIVE, READ, "org:admin")
    other = desk.world.as_(OUTSIDER, MANAGE)
    for method, path, body in operations:
        asked: dict[str, Any] = {"json": body, "headers": {"If-Match": '"1"'}}
        assert problem(await nobody.request(method, path, **asked)) == (401, "unauthenticated"), path
        assert problem(await without.request(method, path, **asked)) == (403, "scope-missing"), path
        if path != "/v1/webhooks":
            theirs = await other.request(method, path, **asked)
            assert problem(theirs) == (404, "not-found"), path
            absent = await other.request(method, path.replace(made["id"], str(uuid4())), **asked)
            assert theirs.json()["detail"] == absent.json()["detail"]
    assert (await other.get("/v1/webhooks")).json() == {"items": []}
    assert (await desk.read(SENDER, made)).json()["enabled"]


async def test_an_address_that_is_not_called_is_refused(desk: Desk) -> None:
    client = desk.world.as_(SENDER, MANAGE)
    for url in ("http://partner.org/in", "https://10.0.0.1/", "https://localhost/", "https://user@partner.org/", ""):
        answer = await client.post("/v1/webhooks", json={"url": url})
        assert problem(answer) == (422, "invalid-input"), url
        assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/url"]
    made = await desk.register(SENDER)
    headers = if_match(await desk.read(SENDER, made))
    moved = await client.patch(f"/v1/webhooks/{made['id']}", headers=headers, json={"url": "https://10.0.0.1/"})
    assert problem(moved) == (422, "invalid-input")
    wrong = await client.post("/v1/webhooks", json={"url": desk.receiver.url, "types": ["referral.dreamt"]})
    assert [fault["pointer"] for fault in wrong.json()["errors"]] == ["/types/0"]


async def test_a_secret_is_shown_once(desk: Desk) -> None:
    made = await desk.register(SENDER)
    assert made["secret"].startswith("whsec_")
    assert not set(made["types"]) & OF_DIRECTORY
    read = await desk.read(SENDER, made)
    listed = await desk.world.as_(SENDER, MANAGE).get("/v1/webhooks")
    assert "whsec" not in read.text + listed.text
    assert {**read.json(), "secret": made["secret"]} == made
    assert listed.json()["items"] == [read.json()]


async def test_a_repeat_with_its_key_makes_no_second_endpoint(desk: Desk) -> None:
    client, once = desk.world.as_(SENDER, MANAGE), key()
    body = {"url": desk.receiver.url}
    first = await client.post("/v1/webhooks", headers=once, json=body)
    again = await client.post("/v1/webhooks", headers=once, json=body)
    assert again.status_code == first.status_code == 201
    assert (again.json()["id"], again.json()["secret"]) == (first.json()["id"], first.json()["secret"])
    other = await client.post("/v1/webhooks", headers=once, json={**body, "description": "B"})
    assert problem(other) == (422, "idempotency-key-reused")
    assert len((await client.get("/v1/webhooks")).json()["items"]) == 1
    theirs = await desk.world.as_(OUTSIDER, MANAGE).post("/v1/webhooks", headers=once, json=body)
    assert theirs.json()["id"] != first.json()["id"]


async def test_an_endpoint_changes_with_its_version(desk: Desk) -> None:
    made = await desk.register(SENDER)
    client, place = desk.world.as_(SENDER, MANAGE), f"/v1/webhooks/{made['id']}"
    assert problem(await client.patch(place, json={"enabled": False})) == (428, "version-required")
    assert problem(await client.patch(place, headers={"If-Match": '"9"'}, json={})) == (412, "stale-version")
    changed = await client.patch(
        place, headers=if_match(await desk.read(SENDER, made)), json={"types": ["referral.closed"], "description": "A"}
    )
    assert (changed.json()["types"], changed.json()["description"]) == (["referral.closed"], "A")
    assert changed.headers["etag"] == (await desk.read(SENDER, made)).headers["etag"]
    assert (await client.delete(place)).status_code == 204
    assert problem(await client.get(place)) == (404, "not-found")


# ── what arrives ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_arrives_verifies_and_holds_nothing_of_hers(desk: Desk) -> None:
    made = await desk.register(RECIPIENT)
    handover = await desk.world.between(SENDER, RECIPIENT).proposed()
    await handover.walk("r.receive", "r.accept")
    assert await desk.send() == 3
    assert desk.receiver.paths == ["/in?tenant=7"] * 3
    first = desk.receiver.taken[0]
    body = Webhook(made["secret"]).verify(first.body, first.headers)
    assert body.keys() == {"type", "timestamp", "data"}
    assert body["type"] == body["data"]["type"] == "referral.proposed"
    assert first.headers["webhook-id"] == body["data"]["id"]
    assert "." not in first.headers["webhook-id"]
    feed = (await handover.recipient.get("/v1/events")).json()["items"]
    assert [message.told for message in desk.receiver.taken] == feed
    for message in desk.receiver.taken:
        message.verify_key(made["public_keys"][0])
        said = message.body.decode() + str(message.headers)
        assert not any(one in said for one in (*HERS, "Ana", "Ben"))
    with pytest.raises(WebhookVerificationError):
        Webhook(made["secret"]).verify(first.body + b" ", first.headers)
    for late in (timedelta(minutes=6), timedelta(minutes=-6)):
        with pytest.raises(WebhookVerificationError):
            first.verify([made["secret"]], desk.moment.now + late)
    assert await desk.send() == 0


async def test_a_rotation_leaves_no_gap(desk: Desk) -> None:
    old = await desk.register(SENDER)
    rotated = await desk.world.as_(SENDER, MANAGE).post(f"/v1/webhooks/{old['id']}/rotate", json={"overlap_hours": 2})
    new = rotated.json()
    assert new["secret"] != old["secret"]
    assert new["public_keys"][1:] == old["public_keys"]
    handover = await desk.world.between(SENDER, RECIPIENT).proposed()
    desk.receiver.secrets = []
    await desk.send()
    for message in desk.receiver.taken:
        for keys in (old, new):
            message.verify([keys["secret"]], desk.moment.now)
            message.verify_key(keys["public_keys"][0])
    desk.moment.now += timedelta(hours=3)
    await handover.walk("cancel")
    await desk.send()
    last = desk.receiver.taken[-1]
    last.verify([new["secret"]], desk.moment.now)
    with pytest.raises(WebhookVerificationError):
        last.verify([old["secret"]], desk.moment.now)
    assert (await desk.read(SENDER, old)).json()["public_keys"] == new["public_keys"][:1]


@pytest.mark.parametrize("way", ["reset", 500, 302, "slow"])
async def test_whatever_goes_wrong_it_arrives_in_order(desk: Desk, way: int | str) -> None:
    made = await desk.register(RECIPIENT)
    desk.deliverer = desk.another(quick := Outside(within_s=1 if way == "slow" else 20))
    desk.receiver.headers = {"Location": f"http://127.0.0.1:{desk.receiver.port}/elsewhere"}
    handovers = [await desk.world.between(SENDER, RECIPIENT).proposed() for _ in range(2)]
    for one in handovers:
        await one.walk("r.receive", "r.accept")
    desk.receiver.answers = [way, way]
    await desk.send()
    # The first of each referral failed; nothing overtook it.
    assert desk.receiver.taken == []
    desk.deliverer = desk.another()
    await desk.until(desk.moment.now + timedelta(minutes=10))
    assert of_referrals(desk.receiver) == {one.id: [1, 2, 3] for one in handovers}
    assert set(desk.receiver.paths) == {"/in?tenant=7"}
    tries = [one["attempts"][0] for one in await desk.log(RECIPIENT, made) if len(one["attempts"]) > 1]
    assert {one["status"] or one["fault"] for one in tries} == {
        {"reset": "connection", "slow": "timeout"}.get(str(way), way)
    }
    assert (await desk.read(RECIPIENT, made)).json()["health"]["failures"] == 0
    await quick.close()


async def test_down_for_three_days_and_nothing_is_lost(desk: Desk) -> None:
    made = await desk.register(RECIPIENT)
    desk.receiver.usual = 503
    began = desk.moment.now
    handovers: list[Handover] = []
    for number, hours in enumerate((0, 1, 20, 40, 60, 71)):
        await desk.until(began + timedelta(hours=hours))
        handovers.append(await desk.proposed())
        await handovers[0].walk("r.resume" if number % 2 else "r.pause")
    await desk.until(began + timedelta(hours=72) - timedelta(seconds=1))
    assert desk.receiver.taken == []
    health = (await desk.read(RECIPIENT, made)).json()["health"]
    assert health["waiting"] == 12
    assert health["failing_since"] is not None
    desk.receiver.usual = 204
    await desk.until(began + timedelta(days=7))
    assert of_referrals(desk.receiver) == {
        one.id: list(range(1, 8)) if one is handovers[0] else [1] for one in handovers
    }
    assert (await desk.read(RECIPIENT, made)).json()["health"] == {
        **health, "failures": 0, "failing_since": None, "waiting": 0, "set_aside": 0,
        "last_success_at": (await desk.read(RECIPIENT, made)).json()["health"]["last_success_at"],
    }  # fmt: skip


async def test_who_stays_down_is_disabled_told_of_it_and_replays(desk: Desk) -> None:
    made = await desk.register(RECIPIENT, description="tool")
    desk.receiver.usual = "reset"
    handover = await desk.world.between(SENDER, RECIPIENT).proposed()
    await handover.walk("r.receive")
    began = desk.moment.now
    await desk.until(began + timedelta(days=5))
    view = (await desk.read(RECIPIENT, made)).json()
    assert (view["enabled"], view["disabled_reason"]) == (False, "failing")
    assert (view["health"]["waiting"], view["health"]["set_aside"]) == (0, 2)
    first = (await desk.log(RECIPIENT, made))[0]
    assert len(first["attempts"]) == 10
    at = [datetime.fromisoformat(one["at"]) - began for one in first["attempts"]]
    assert [round(one.total_seconds()) for one in at][-1] == pytest.approx(75 * 3_600 + 35 * 60 + 5, abs=60)
    manager = desk.world.as_(RECIPIENT, MANAGE)
    notice = (await manager.get("/v1/events")).json()["items"]
    assert [(one["type"], one["subject_id"]) for one in notice] == [("webhook.disabled", made["id"])]
    # What happens meanwhile is set aside at once, and nobody calls.
    asked = len(desk.receiver.asked)
    await handover.walk("r.accept")
    assert await desk.send() == 0
    assert len(desk.receiver.asked) == asked
    desk.receiver.usual = 204
    headers = if_match(await desk.read(RECIPIENT, made))
    place = f"/v1/webhooks/{made['id']}"
    back = await manager.patch(place, headers=headers, json={"enabled": True})
    assert back.json()["enabled"]
    assert back.json()["health"]["failing_since"] is None
    assert (await manager.post(f"{place}/replay", json={})).json() == {"count": 3}
    await desk.send()
    assert of_referrals(desk.receiver) == {handover.id: [1, 2, 3]}
    # One alone is sent again under its id, whatever became of it.
    again = desk.receiver.taken[1].told["id"]
    replayed = await manager.post(f"{place}/deliveries/{again}/replay")
    assert (replayed.status_code, replayed.json()["state"]) == (202, "waiting")
    await desk.send()
    assert desk.receiver.taken[-1].told["id"] == again
    for until, count in ((began - timedelta(seconds=1), 0), (began, 2)):
        range_ = {"until": until.isoformat(), "states": ["delivered"]}
        assert (await manager.post(f"{place}/replay", json=range_)).json() == {"count": count}


async def test_gone_is_taken_at_its_word(desk: Desk) -> None:
    made = await desk.register(RECIPIENT)
    handover = await desk.world.between(SENDER, RECIPIENT).proposed()
    await handover.walk("r.receive")
    desk.receiver.usual = 410
    await desk.until(desk.moment.now + timedelta(days=1))
    assert len(desk.receiver.asked) == 1
    view = (await desk.read(RECIPIENT, made)).json()
    assert (view["disabled_reason"], view["health"]["set_aside"]) == ("gone", 2)


async def test_a_pause_that_is_asked_for_is_kept(desk: Desk) -> None:
    made = await desk.register(RECIPIENT)
    handovers = [await desk.world.between(SENDER, RECIPIENT).proposed() for _ in range(6)]
    desk.receiver.answers, desk.receiver.headers = [429] * 6, {"Retry-After": "600"}
    began = desk.moment.now
    await desk.send()
    # The endpoint rests, not one delivery alone: those that were not yet under way wait too.
    asked = len(desk.receiver.asked)
    assert asked <= 4
    await desk.until(began + timedelta(seconds=599))
    assert len(desk.receiver.asked) == asked
    desk.receiver.answers = []
    await desk.until(began + timedelta(seconds=700))
    assert len(of_referrals(desk.receiver)) == len(handovers)
    assert (await desk.read(RECIPIENT, made)).json()["health"]["failures"] == 0


async def test_an_answer_is_read_so_far_and_never_shown(desk: Desk) -> None:
    made = await desk.register(RECIPIENT)
    await desk.world.between(SENDER, RECIPIENT).proposed()
    desk.receiver.usual = "endless"
    assert await desk.send() == 1
    log = await desk.log(RECIPIENT, made)
    assert (log[0]["state"], log[0]["attempts"][0]["status"]) == ("delivered", 200)
    assert "xxx" not in json.dumps(log)


# ── order and several workers ──────────────────────────────────────────────────────────────────────────────────────


async def test_workers_beside_each_other_send_each_once_and_in_order(desk: Desk) -> None:
    await desk.register(RECIPIENT)
    handovers = [desk.world.between(SENDER, RECIPIENT) for _ in range(6)]
    await asyncio.gather(*(one.proposed() for one in handovers))
    for step in ("r.receive", "r.accept", "r.plan_meeting", "r.replan"):
        await asyncio.gather(*(one.walk(step) for one in handovers))
    await sequence(desk.database, desk.moment.now)
    others = [desk.another() for _ in range(2)]
    await asyncio.gather(*(one.round() for one in (desk.deliverer, *others)))
    await desk.send()
    assert of_referrals(desk.receiver) == {one.id: [1, 2, 3, 4, 5] for one in handovers}
    assert len(desk.receiver.taken) == 30


async def test_what_a_dead_worker_held_is_taken_over(desk: Desk) -> None:
    await desk.register(RECIPIENT)
    handover = await desk.world.between(SENDER, RECIPIENT).proposed()
    await handover.walk("r.receive")
    await sequence(desk.database, desk.moment.now)
    dead = desk.another()
    assert await dead.turn() == 1
    for task in dead._under_way:  # noqa: SLF001 - it dies here
        task.cancel()
    assert await desk.send() == 0
    desk.moment.now += LEASE
    assert await desk.send() == 2
    assert of_referrals(desk.receiver) == {handover.id: [1, 2]}


# ── for whom ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_managing_alone_receives_nothing_of_referrals(desk: Desk) -> None:
    await desk.world.tell_registry(2, Creche={"scopes": [MANAGE]})
    made = await desk.register(RECIPIENT)
    handover = desk.world.between(SENDER, RECIPIENT)
    await desk.world.tell_registry(3)
    await handover.proposed()
    await desk.world.tell_registry(4, Creche={"scopes": [MANAGE]})
    await desk.send()
    assert desk.receiver.asked == []
    log = await desk.log(RECIPIENT, made)
    assert [(one["state"], one["type"], one["subject"], one["sequence"]) for one in log] == [("withheld", *[None] * 3)]
    # Back with its right, it may have what was withheld.
    await desk.world.tell_registry(5)
    place = f"/v1/webhooks/{made['id']}/replay"
    answer = await desk.world.as_(RECIPIENT, MANAGE).post(place, json={"states": ["withheld"]})
    assert answer.json() == {"count": 1}
    await desk.send()
    assert of_referrals(desk.receiver) == {handover.id: [1]}


@pytest.mark.parametrize("facts", [{"active": False}, {"scopes": [SEND, RECEIVE]}, {"scopes": [SEND, MANAGE]}])
async def test_a_right_that_goes_while_a_delivery_waits(desk: Desk, facts: dict[str, Any]) -> None:
    await desk.register(RECIPIENT)
    await desk.world.between(SENDER, RECIPIENT).proposed()
    desk.receiver.answers = [500]
    await desk.send()
    await desk.world.tell_registry(2, Creche=facts)
    asked = len(desk.receiver.asked)
    await desk.until(desk.moment.now + timedelta(days=1))
    assert len(desk.receiver.asked) == asked


async def test_a_right_that_goes_while_connecting(desk: Desk) -> None:
    """Resolving and connecting take their time; what is then no longer allowed does not leave."""
    made = await desk.register(RECIPIENT)
    await desk.world.between(SENDER, RECIPIENT).proposed()

    async def slowly(_host: str, _port: int) -> list[str]:
        await desk.world.tell_registry(2, Creche={"scopes": [MANAGE]})
        await asyncio.sleep(FRESH_S)
        return ["127.0.0.1"]

    desk.deliverer = desk.another(slow := Outside(slowly))
    await desk.send()
    assert desk.receiver.asked == []
    assert [one["state"] for one in await desk.log(RECIPIENT, made)] == ["withheld"]
    await slow.close()


async def test_a_name_that_leads_elsewhere_when_called_is_not_called(desk: Desk) -> None:
    """It led to the open network when it was registered; then it leads inside (rebinding)."""
    answers = iter([["93.184.215.14"], ["127.0.0.1"], ["93.184.215.14", "10.0.0.1"]])

    async def rebinding(_host: str, _port: int) -> list[str]:
        return next(answers)

    honest, desk.world.app.state.outside = desk.world.app.state.outside, Outside(rebinding)
    made = await desk.register(RECIPIENT, url="https://hooks.partner.org/in")
    await desk.world.between(SENDER, RECIPIENT).proposed()
    desk.deliverer = desk.another(desk.world.app.state.outside)
    await desk.send()
    await desk.until(desk.moment.now + timedelta(seconds=6))
    log = await desk.log(RECIPIENT, made)
    assert [one["fault"] for one in log[0]["attempts"]] == ["address", "address"]
    assert desk.receiver.asked == []
    await desk.world.app.state.outside.close()
    desk.world.app.state.outside = honest


async def test_rehearsals_go_to_endpoints_marked_for_them(desk: Desk) -> None:
    await desk.register(PRACTISING)
    marked = await desk.register(PRACTISING, practice=True)
    handover = await desk.world.between(PRACTISING, PRACTISING).proposed()
    await desk.send()
    assert [message.told["type"] for message in desk.receiver.taken] == ["consent.given", "referral.proposed"]
    assert all(message.told["practice"] for message in desk.receiver.taken)
    assert {one["subject"].rpartition("/")[2] for one in await desk.log(PRACTISING, marked)} == {handover.id}


async def test_every_ending_arrives_alike_at_a_sender_that_may_sanction(desk: Desk) -> None:
    await desk.register(SANCTIONING)
    told: dict[str, list[tuple[str, int]]] = {}
    for end in LATE.values():
        handover = await ended(desk.world, end)
        await desk.send()
        told[handover.id] = [
            (one.told["type"], one.told["sequence"])
            for one in desk.receiver.taken
            if one.told["subject_id"] == handover.id
        ]
    assert list(told.values()) == [
        [("consent.given", 1), ("referral.proposed", 2), ("referral.accepted", 3), ("referral.ended", 4)]
    ] * len(LATE)


async def test_an_endpoint_gets_the_types_it_chose(desk: Desk) -> None:
    await desk.register(RECIPIENT, types=["referral.accepted"])
    handover = await desk.world.between(SENDER, RECIPIENT).proposed()
    await handover.walk("r.receive", "r.accept")
    await desk.send()
    assert of_referrals(desk.receiver) == {handover.id: [3]}


# ── the test button ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_test_is_sent_once_and_tells_how_it_went(desk: Desk) -> None:
    made = await desk.register(SENDER, types=["referral.closed"])
    manager, place = desk.world.as_(SENDER, MANAGE), f"/v1/webhooks/{made['id']}"
    first = await manager.post(f"{place}/test")
    assert (first.status_code, first.json()["type"]) == (202, "webhook.test")
    await desk.send()
    assert [message.told["type"] for message in desk.receiver.taken] == ["webhook.test"]
    assert desk.receiver.taken[0].told["subject"].endswith(place)
    assert (await manager.get(first.headers["location"])).json()["state"] == "delivered"
    desk.receiver.usual = 500
    second = await manager.post(f"{place}/test")
    await desk.until(desk.moment.now + timedelta(days=1))
    went = (await manager.get(second.headers["location"])).json()
    assert (went["state"], [one["status"] for one in went["attempts"]]) == ("set_aside", [500])
    assert (await desk.read(SENDER, made)).json()["health"]["failing_since"] is None
    headers = if_match(await desk.read(SENDER, made))
    await manager.patch(place, headers=headers, json={"enabled": False})
    assert problem(await manager.post(f"{place}/test")) == (422, "invalid-input")
    assert problem(await manager.get(f"{place}/deliveries/{uuid4()}")) == (404, "not-found")


async def test_the_log_comes_in_pages(desk: Desk) -> None:
    made = await desk.register(RECIPIENT)
    handover = await desk.world.between(SENDER, RECIPIENT).proposed()
    await handover.walk("r.receive", "r.accept")
    await desk.send()
    client, place = desk.world.as_(RECIPIENT, MANAGE), f"/v1/webhooks/{made['id']}/deliveries"
    found, asked = [], {"limit": 2}
    while True:
        page = await client.get(place, params=asked)
        found += page.json()["items"]
        if page.json()["next_cursor"] is None:
            break
        asked["cursor"] = page.json()["next_cursor"]
    assert found[::-1] == await desk.log(RECIPIENT, made)
    assert await desk.log(RECIPIENT, made, state="set_aside") == []
