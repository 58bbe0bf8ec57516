"""A guest's door: nobody, the wrong code, the ended invitation; then a named person of a service without an account."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from api.referral.her import at_the_door, herself, ok
from api.referral.test_conversation import PDF
from api.referral.world import (
    BODIES,
    FAMILY,
    GIVEN,
    HERS,
    IMPORTED,
    NOTE,
    OUTSIDER,
    PHONE,
    RECIPIENT,
    SANCTIONING,
    SEND,
    SENDER,
    WORDS,
    Handover,
    World,
    if_match,
    key,
    problem,
)

from relais_shared.client import Client

pytestmark = pytest.mark.anyio

HEADER = "Relais-Guest-Session"
DOOR = "/v1/guest/session"
PLACE = "/v1/guest/referral"
LEA = {"name": "Léa Petit", "function": "accueillante", "secrecy": "discretion", "undertaking": "2026-1"}
"""Who the guest is, and what she undertakes."""


@pytest.fixture(name="handover")
def _handover(world: World) -> Handover:
    """Answer a hand-over to a service that stands in the directory alone."""
    return Handover(world.as_(SENDER), world.as_(IMPORTED), IMPORTED)


async def invited(handover: Handover) -> dict[str, Any]:
    """Have the service invited; answer the invitation."""
    answer = await handover.sender.post(f"{handover.place}/guest")
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = ok(answer)
    return found


def shown(invitation: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Answer what a guest shows the first time."""
    return {"link": invitation["link"], "code": invitation["code"], **LEA, **more}


def showing(world: World, session: str) -> Client:
    """Answer a client that shows a guest's session."""
    client = at_the_door(world)
    client.headers[HEADER] = session
    return client


async def a_guest(world: World, handover: Handover) -> Client:
    """Have the service invited, and answer its guest, who came in."""
    answer = await at_the_door(world).post(DOOR, json=shown(await invited(handover)))
    assert answer.status_code == 201, answer.text
    return showing(world, answer.json()["session"])


async def step(guest: Client, action: str) -> httpx.Response:
    """Take a step as a guest, on the version that is read now."""
    return await guest.post(f"{PLACE}/{action}", headers=if_match(await guest.get(PLACE)), json=BODIES[action])


OPERATIONS = [
    ("GET", PLACE), ("GET", f"{PLACE}/messages"), ("POST", f"{PLACE}/messages"), ("GET", f"{PLACE}/documents"),
    ("POST", f"{PLACE}/documents"), ("GET", f"{PLACE}/documents/{UUID(int=1)}"), ("GET", f"{PLACE}/meetings"),
    ("GET", f"{PLACE}/tasks"), ("POST", f"{PLACE}/tasks/{UUID(int=1)}/done"),
    *(("POST", f"{PLACE}/{action}") for action in (
        "receive", "accept", "decline", "release", "plan_meeting", "replan", "confirm_handover", "close", "undo",
        "reopen", "pause", "resume", "withdraw",
    )),
]  # fmt: skip
"""All that a guest's session opens."""


async def test_every_operation_of_a_guest_is_in_the_list_above(world: World) -> None:
    paths = world.app.openapi()["paths"]
    there = {(method.upper(), path) for path, item in paths.items() for method in item if path.startswith(PLACE)}
    ids = {f"{UUID(int=1)}"}
    named = {(method, path.replace(next(iter(ids)), "{id}")) for method, path in OPERATIONS}
    there = {(method, path.replace("{document_id}", "{id}").replace("{task_id}", "{id}")) for method, path in there}
    assert named == there


async def test_nobody_comes_in(world: World, handover: Handover) -> None:
    await handover.proposed()
    invitation = await invited(handover)
    for method, path in OPERATIONS:
        for client in (
            world.anonymous(), at_the_door(world), showing(world, "x"), showing(world, invitation["code"]),
            world.as_(SENDER), await herself(world, handover),
        ):  # fmt: skip
            answer = await client.request(method, path, content=b"{broken")
            assert problem(answer) == (401, "unauthenticated"), path
            assert answer.headers["cache-control"] == "no-store"
    # Without the gateway's word the door itself is shut.
    for method, path in (("POST", DOOR), ("DELETE", DOOR), ("GET", "/v1/guest/undertaking/2026-1/fr")):
        assert problem(await world.anonymous().request(method, path)) == (401, "unauthenticated")


async def test_only_the_sender_invites_and_only_the_services_own_address(world: World, handover: Handover) -> None:
    await handover.open()
    place = f"{handover.place}/guest"
    assert problem(await handover.sender.post(place)) == (409, "transition-not-allowed")
    await handover.agree()
    await handover.walk("propose")
    for client, expected in (
        (world.anonymous(), (401, "unauthenticated")),
        (world.as_(OUTSIDER), (404, "not-found")),
        (world.as_(SENDER, "referral:receive"), (403, "scope-missing")),
        (handover.recipient, (409, "transition-not-allowed")),
    ):
        assert problem(await client.post(place)) == expected
    assert (await invited(handover))["address"] == "accueil@nid.example"
    service = world.directory.services[str(IMPORTED.service_id)]
    world.directory.services[str(IMPORTED.service_id)] = {**service, "email": None}
    try:
        assert problem(await handover.sender.post(place)) == (422, "invalid-input")
        world.directory.up = False
        assert problem(await handover.sender.post(place))[0] == 503
    finally:
        world.directory.up = True
        world.directory.services[str(IMPORTED.service_id)] = service


async def test_nobody_is_invited_where_there_is_an_account_or_a_sender_that_may_sanction(world: World) -> None:
    with_account = world.between(SENDER, RECIPIENT)
    await with_account.proposed()
    sanctioning = Handover(world.as_(SANCTIONING), world.as_(IMPORTED), IMPORTED)
    await sanctioning.proposed()
    # It telephones instead, and learns nothing more from that.
    assert (await sanctioning.sender.get(sanctioning.place)).json()["via"] == "phone_only"
    for handover in (with_account, sanctioning):
        assert problem(await handover.sender.post(f"{handover.place}/guest")) == (409, "transition-not-allowed")


async def test_nothing_is_read_before_the_undertaking_of_secrecy(world: World, handover: Handover) -> None:
    await handover.proposed()
    invitation, door = await invited(handover), at_the_door(world)
    for missing in LEA:
        refused = await door.post(DOOR, json={**shown(invitation), missing: None})
        assert problem(refused) == (422, "invalid-input")
        assert [fault["pointer"] for fault in refused.json()["errors"]] == [f"/{missing}"]
        assert WORDS not in refused.text
    for wrong in ({"secrecy": "none"}, {"undertaking": "2025-9"}, {"code": "12345"}):
        assert problem(await door.post(DOOR, json=shown(invitation, **wrong))) == (422, "invalid-input")
    number = await door.post(DOOR, json=shown(invitation, function="85.07.30-033 28"))
    assert problem(number) == (422, "personal-data-detected")
    text = ok(await door.get("/v1/guest/undertaking/2026-1/fr"))
    assert problem(await door.get("/v1/guest/undertaking/2026-1/xx")) == (404, "not-found")
    # A refusal uses nothing up: the same link still opens.
    session = ok(await door.post(DOOR, json=shown(invitation)))
    assert ok(await showing(world, session["session"]).get(PLACE))["needs"][0]["words"] == WORDS
    events = (await handover.sender.get(f"{handover.place}/events")).json()["items"]
    assert [event["type"] for event in events][-2:] == ["guest.invited", "guest.undertook"]
    # What she undertook is no notice that a person could have agreed to.
    assert (await handover.sender.get("/v1/notices/undertakings/fr")).status_code == 404
    assert len(text["sha256"]) == 64


async def test_a_link_opens_once_and_hands_over_the_next(world: World, handover: Handover) -> None:
    await handover.proposed()
    invitation, door = await invited(handover), at_the_door(world)
    place, _, link = invitation["link"].partition("#")
    assert (place, len(link)) == ("http://localhost:8000/g", 22)
    first = ok(await door.post(DOOR, json=shown(invitation)))
    assert problem(await door.post(DOOR, json=shown(invitation))) == (401, "unauthenticated")
    card = {"link": first["next_link"].partition("#")[2], "code": invitation["code"]}
    second = ok(await door.post(DOOR, json=card))
    assert second["name"] == LEA["name"]
    # She is in one place at a time.
    assert problem(await showing(world, first["session"]).get(PLACE)) == (401, "unauthenticated")
    guest = showing(world, second["session"])
    assert ok(await guest.get(PLACE))["id"] == handover.id
    assert (await guest.delete(DOOR)).status_code == 204
    assert problem(await guest.get(PLACE)) == (401, "unauthenticated")


async def test_tries_are_limited_and_every_no_is_alike(world: World, handover: Handover, clock: list[datetime]) -> None:
    await handover.proposed()
    invitation, door = await invited(handover), at_the_door(world)
    wrong = f"{(int(invitation['code']) + 1) % 1_000_000:06d}"
    nos = [await door.post(DOOR, json=shown(invitation, code=wrong)) for _ in range(5)]
    nos.append(await door.post(DOOR, json=shown(invitation)))  # right, while it rests
    nos.append(await door.post(DOOR, json=shown(invitation, link="x" * 22)))
    assert {problem(no) for no in nos} == {(401, "unauthenticated")}
    assert len({no.text.replace(no.json()["trace_id"], "") for no in nos}) == 1
    clock[0] += timedelta(minutes=15)
    assert (await door.post(DOOR, json=shown(invitation))).status_code == 201


async def test_an_invitation_runs_out(world: World, handover: Handover, clock: list[datetime]) -> None:
    await handover.proposed()
    late, door = await invited(handover), at_the_door(world)
    clock[0] += timedelta(days=14)
    assert problem(await door.post(DOOR, json=shown(late))) == (401, "unauthenticated")
    again = await invited(handover)
    session = ok(await door.post(DOOR, json=shown(again)))
    guest = showing(world, session["session"])
    clock[0] += timedelta(minutes=60)
    assert problem(await guest.get(PLACE)) == (401, "unauthenticated")
    card = {"link": session["next_link"], "code": again["code"]}
    clock[0] += timedelta(days=89)
    card["link"] = ok(await door.post(DOOR, json=card))["next_link"]
    clock[0] += timedelta(days=1)
    assert problem(await door.post(DOOR, json=card)) == (401, "unauthenticated")


async def test_another_invitation_ends_the_earlier(world: World, handover: Handover) -> None:
    await handover.proposed()
    first = await invited(handover)
    door = at_the_door(world)
    session = ok(await door.post(DOOR, json=shown(first)))
    second = await invited(handover)
    assert problem(await showing(world, session["session"]).get(PLACE)) == (401, "unauthenticated")
    card = {"link": session["next_link"], "code": first["code"]}
    assert problem(await door.post(DOOR, json=card)) == (401, "unauthenticated")
    # Another named person undertakes anew.
    assert problem(await door.post(DOOR, json={"link": second["link"], "code": second["code"]})) == (
        422,
        "invalid-input",
    )
    assert ok(await door.post(DOOR, json=shown(second, name="Tom Roy")))["name"] == "Tom Roy"


async def test_a_guest_takes_her_over_and_closes(world: World, handover: Handover) -> None:
    """The whole of it: exactly the recipient's sight, every reading recorded, both sides confirm, the guest closes."""
    await handover.open(notes=NOTE)
    await handover.agree("identity", "contact", "needs", "notes", "documents", purposes=["referral", "feedback"])
    await handover.walk("propose")
    guest = await a_guest(world, handover)

    early = await guest.get(PLACE)
    assert early.headers["cache-control"] == "no-store"
    assert WORDS in early.text
    assert not [word for word in (GIVEN, FAMILY, PHONE, NOTE) if word in early.text]
    assert set(early.json()["allowed_actions"]) == {"receive", "accept", "decline", "pause"}
    # Without a body she takes it in hand, and over, in her own name.
    received = await guest.post(f"{PLACE}/receive", headers=if_match(early))
    assert received.json()["recipient_counsellor"] == {"name": LEA["name"], "function": LEA["function"]}
    taken = await guest.post(f"{PLACE}/accept", headers=if_match(received))
    assert taken.json()["person"]["identity"]["family_name"] == FAMILY
    assert taken.json()["notes"] == NOTE

    assert ok(await guest.post(f"{PLACE}/messages", json={"words": "Je l'appelle lundi."}))["author"] == "Léa Petit"
    assert [one["words"] for one in ok(await guest.get(f"{PLACE}/messages"))["items"]] == ["Je l'appelle lundi."]
    sent = await guest.post(f"{PLACE}/documents", content=PDF, headers={"Content-Type": "application/pdf"})
    id_ = ok(sent)["id"]
    assert [one["id"] for one in ok(await guest.get(f"{PLACE}/documents"))["items"]] == [id_]
    fetched = await guest.get(f"{PLACE}/documents/{id_}")
    assert (fetched.content, fetched.headers["content-type"]) == (PDF, "application/pdf")
    assert "sandbox" in fetched.headers["content-security-policy"]

    assert (await step(guest, "plan_meeting")).json()["state"] == "meeting_planned"
    assert (await step(guest, "replan")).json()["meeting"]["mode"] == "call"
    assert ok(await guest.get(f"{PLACE}/meetings"))["meeting"]["to_be_agreed"]
    assert (await step(guest, "pause")).json()["paused"]
    assert "paused" not in (await step(guest, "resume")).json()
    await handover.walk("confirm_handover")
    assert (await step(guest, "confirm_handover")).json()["state"] == "handed_over"
    assert (await step(guest, "close")).json()["state"] == "closed"
    assert (await step(guest, "undo")).json()["state"] == "handed_over"
    assert (await step(guest, "close")).json()["state"] == "closed"
    assert (await handover.sender.get(handover.place)).json()["outcome"]["outcome"] == "under_way"

    looks = [
        look
        for look in (await handover.sender.get(f"{handover.place}/disclosures")).json()["items"]
        if look["actor"].startswith("guest:")
    ]
    assert {look["organisation_id"] for look in looks} == {str(IMPORTED.id)}
    assert {look["consent_id"] for look in looks} == {handover.consent_id}
    assert {"identity", "contact", "needs", "notes", "documents", "messages", "meeting", "constraints"} == {
        name for look in looks for name in look["categories"]
    }
    hers = ok(await (await herself(world, handover)).get(f"/v1/person/referrals/{handover.id}/readers"))["items"]
    assert [(line["name"], line["function"]) for line in hers if line["organisation"] == "Nid"] == [
        ("Léa Petit", "accueillante")
    ]


async def test_a_guest_reads_what_the_recipient_reads(world: World, handover: Handover) -> None:
    """Byte for byte, at every stage: the imported organisation reads the same once it has an account."""
    await handover.proposed()
    guest = await a_guest(world, handover)
    for action in ("receive", "accept", "release", "undo", "plan_meeting"):
        assert (await step(guest, action)).status_code == 200, action
        assert (await guest.get(PLACE)).content == (await handover.recipient.get(handover.place)).content


@pytest.mark.parametrize("action", ["decline", "release"])
async def test_a_guest_says_no(world: World, handover: Handover, action: str) -> None:
    await handover.proposed()
    guest = await a_guest(world, handover)
    if action == "release":
        await step(guest, "accept")
    assert (await step(guest, action)).json()["state"] == "declined"
    left = await guest.get(PLACE)
    assert not [word for word in HERS if word in left.text]
    assert (await handover.sender.get(handover.place)).json()["decline"]["reason"]


@pytest.mark.parametrize("by", ["sender", "guest", "person", "consent"])
async def test_stopping_ends_a_guests_sight_at_once(world: World, handover: Handover, by: str) -> None:
    """Nothing of hers is read from then on; what the guest noted is still answered for."""
    await handover.proposed()
    guest, she = await a_guest(world, handover), await herself(world, handover)
    assert FAMILY in (await step(guest, "accept")).text
    await guest.post(f"{PLACE}/messages", json={"words": f"Mme {FAMILY} vient lundi."})
    if by == "sender":
        await handover.walk("withdraw")
    elif by == "guest":
        assert (await guest.post(f"{PLACE}/withdraw")).status_code == 200
    elif by == "person":
        ok(await she.post(f"/v1/person/referrals/{handover.id}/withdraw"))
    else:
        await handover.sender.post(f"/v1/consents/{handover.consent_id}/withdraw")
    for path in ("", "/messages", "/documents", "/meetings"):
        left = await guest.get(f"{PLACE}{path}")
        assert not [word for word in HERS if word in left.text]
    assert ok(await guest.get(PLACE)) .keys() <= {
        "id", "state", "created_at", "updated_at", "allowed_actions", "decline",
    }  # fmt: skip
    assert problem(await guest.post(f"{PLACE}/messages", json={"words": "?"})) == (409, "transition-not-allowed")
    (task,) = ok(await guest.get(f"{PLACE}/tasks"))["items"]
    done = await guest.post(f"{PLACE}/tasks/{task['id']}/done", json={"local_copy": "erased"})
    assert ok(done)["answer"]["local_copy"] == "erased"
    assert problem(await handover.sender.post(f"{handover.place}/guest")) == (409, "transition-not-allowed")


async def test_whoever_had_not_come_yet_comes_to_nothing_once_it_is_stopped(world: World, handover: Handover) -> None:
    await handover.proposed()
    invitation = await invited(handover)
    await handover.walk("withdraw")
    assert problem(await at_the_door(world).post(DOOR, json=shown(invitation))) == (401, "unauthenticated")


async def test_an_erasure_ends_the_guest_at_once(world: World, handover: Handover) -> None:
    await handover.proposed()
    invitation = await invited(handover)
    session = ok(await at_the_door(world).post(DOOR, json=shown(invitation)))
    guest, she = showing(world, session["session"]), await herself(world, handover)
    ok(await she.post(f"/v1/person/referrals/{handover.id}/erase"))
    assert problem(await guest.get(PLACE)) == (401, "unauthenticated")
    card = {"link": session["next_link"], "code": invitation["code"]}
    assert problem(await at_the_door(world).post(DOOR, json=card)) == (401, "unauthenticated")


async def test_coming_in_and_inviting_again_at_once_leave_one_way_in(world: World, handover: Handover) -> None:
    """Whoever comes first: afterwards the newest invitation alone opens, and nobody waited in a circle."""
    await handover.proposed()
    for _ in range(5):
        earlier, door = await invited(handover), at_the_door(world)
        came, again, *_ = await asyncio.gather(
            door.post(DOOR, json=shown(earlier)),
            handover.sender.post(f"{handover.place}/guest"),
            at_the_door(world).post(DOOR, json=shown(earlier)),
        )
        assert again.status_code == 201, again.text
        assert came.status_code in {201, 401}
        if came.status_code == 201:
            assert problem(await showing(world, came.json()["session"]).get(PLACE)) == (401, "unauthenticated")
        assert (await door.post(DOOR, json=shown(again.json()))).status_code == 201


async def test_a_step_is_taken_once_for_each_key(world: World, handover: Handover) -> None:
    await handover.proposed()
    guest = await a_guest(world, handover)
    headers = {**key(), **if_match(await guest.get(PLACE))}
    answers = [await guest.post(f"{PLACE}/accept", headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    other = await guest.post(f"{PLACE}/accept", headers={**headers, "If-Match": '"1"', **key()})
    assert problem(other) == (412, "stale-version")
    assert problem(await guest.post(f"{PLACE}/close", json={"outcome": "completed"})) == (428, "version-required")


async def test_the_database_shows_a_guest_one_hand_over_and_after_the_end_none(
    world: World, handover: Handover
) -> None:
    """Row-level security stands behind our own checks: `relais.guest` alone opens one referral."""
    await handover.proposed()
    other = await Handover(world.as_(SENDER, SEND), world.as_(IMPORTED), IMPORTED).proposed()
    invitation = await invited(handover)
    await invited(other)
    service = await asyncpg.connect(world.database.dsn)
    try:
        await service.execute("select set_config('relais.guest', $1, false)", invitation["id"])
        for table in ("referral", "sealed_part", "consent", "consent_state", "disclosure", "event"):
            of = "id" if table == "referral" else "referral_id"
            query = f"select distinct {of} from {table}"  # noqa: S608 - our own names
            assert {str(row[0]) for row in await service.fetch(query)} == {handover.id}
        await invited(handover)
        assert await service.fetch("select id from referral") == []
        assert await service.fetch("select part from sealed_part") == []
    finally:
        await service.close()


async def test_neither_link_nor_code_nor_session_stands_in_the_database(world: World, handover: Handover) -> None:
    await handover.proposed()
    invitation = await invited(handover)
    session = ok(await at_the_door(world).post(DOOR, json=shown(invitation)))
    owner = await asyncpg.connect(world.database.owner_dsn)
    try:
        kept = str(
            [
                dict(row)
                for query in ("select * from guest", "select * from guest_session", "select * from event")
                for row in await owner.fetch(query)
            ]
        )
    finally:
        await owner.close()
    links = [one.partition("#")[2] for one in (invitation["link"], session["next_link"])]
    assert not [secret for secret in (*links, session["session"], f"'{invitation['code']}'") if secret in kept]
