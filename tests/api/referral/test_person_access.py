"""Her card and her session: nobody, the wrong code, the stolen session; then she."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from api.referral.her import (
    ANA,
    DIGITS,
    OTHER,
    PICTURES,
    Card,
    asked_by_link,
    at_the_door,
    card,
    herself,
    ok,
    opened,
    showing,
)
from api.referral.world import (
    OUTSIDER,
    RECEIVE,
    RECIPIENT,
    SANCTIONING,
    SEND,
    SENDER,
    Handover,
    World,
    a_draft,
    problem,
)

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SESSION = "/v1/person/session"


async def test_nobody_comes_in(world: World, handover: Handover) -> None:
    await handover.proposed()
    place = f"/v1/person/referrals/{handover.id}"
    hers = await card(handover)
    for method, path in (
        ("GET", "/v1/person/referrals"), ("GET", place), ("GET", f"{place}/readers"), ("GET", f"{place}/preview"),
        ("GET", f"{place}/places"), ("GET", f"{place}/meetings.ics"),
        ("PATCH", place), ("POST", f"{place}/withdraw"), ("POST", f"{place}/erase"), ("GET", "/v1/person/copy"),
        ("POST", "/v1/person/referrals/link"), ("POST", f"/v1/person/consents/{handover.consent_id}/withdraw"),
    ):  # fmt: skip
        for client in (
            world.anonymous(), at_the_door(world), showing(world, "x"), showing(world, ""), world.as_(SENDER)
        ):  # fmt: skip
            answer = await client.request(method, path, content=b"{broken")
            assert problem(answer) == (401, "unauthenticated"), path
            assert answer.headers["cache-control"] == "no-store"
    # Without the gateway's word the door itself is shut.
    assert problem(await world.anonymous().post(SESSION, json=hers.shown())) == (401, "unauthenticated")
    assert problem(await world.anonymous().delete(SESSION)) == (401, "unauthenticated")


async def test_only_her_counsellors_make_and_end_her_card(world: World, handover: Handover) -> None:
    await handover.proposed()
    body = {"code": PICTURES, "level": "full"}
    eve = world.as_(OUTSIDER)
    for client, expected in (
        (world.anonymous(), (401, "unauthenticated")),
        (eve, (404, "not-found")),
        (world.as_(SENDER, RECEIVE), (404, "not-found")),
        (world.as_(SENDER, "directory:read"), (403, "scope-missing")),
    ):
        assert problem(await client.post(f"{handover.place}/access", json=body)) == expected
        assert problem(await client.get(f"{handover.place}/access")) == expected
        assert problem(await client.post(f"{handover.place}/access/end")) == expected
    # The recipient does not read who she is before it takes her over.
    for method, path in (("POST", "/access"), ("GET", "/access"), ("POST", "/access/end")):
        answer = await handover.recipient.request(method, f"{handover.place}{path}", json=body)
        assert problem(answer) == (409, "transition-not-allowed")
    await handover.walk("r.accept")
    hers = await card(handover, handover.recipient)
    assert await opened(world, hers)


async def test_a_recipient_without_her_identity_makes_no_card(handover: Handover) -> None:
    """A card would show it what she did not agree to."""
    await handover.proposed("needs")
    await handover.walk("r.accept")
    answer = await handover.recipient.post(f"{handover.place}/access", json={"code": PICTURES, "level": "full"})
    assert problem(answer) == (409, "transition-not-allowed")


@pytest.mark.parametrize(
    "code",
    [
        {"kind": "pictures", "value": [1, 2, 3]}, {"kind": "pictures", "value": [1, 2, 3, 12]},
        {"kind": "digits", "value": "12345"}, {"kind": "digits", "value": "12345a"},
        {"kind": "words", "value": "sesame"}, "482910", None,
    ],
)  # fmt: skip
async def test_a_code_is_four_pictures_or_six_digits(handover: Handover, code: Any) -> None:
    await handover.open()
    answer = await handover.sender.post(f"{handover.place}/access", json={"code": code, "level": "full"})
    assert problem(answer) == (422, "invalid-input")
    assert "sesame" not in answer.text
    assert "12345a" not in answer.text


@pytest.mark.parametrize("code", [PICTURES, DIGITS])
async def test_link_and_code_open_her_session(world: World, handover: Handover, code: dict[str, Any]) -> None:
    await handover.open()
    body = {"code": code, "level": "full", "discreet": True, "language": "nl"}
    made = await handover.sender.post(f"{handover.place}/access", json=body)
    shown = ok(made)
    place, _, link = shown["link"].partition("#")
    assert place == "http://localhost:8000/p"
    assert len(link) == 22
    assert (shown["level"], shown["forced"], shown["discreet"]) == ("full", False, True)
    for form in (shown["link"], link):
        answer = await at_the_door(world).post(SESSION, json={"link": form, "code": code})
        session = ok(answer)
        assert (session["level"], session["discreet"], session["language"]) == ("full", True, "nl")
        found = ok(await showing(world, session["session"]).get("/v1/person/referrals"))
        assert [one["id"] for one in found["items"]] == [handover.id]
    assert link not in (await handover.sender.get(f"{handover.place}/access")).text


def _bare(answer: Any) -> tuple[int, str, dict[str, str]]:
    text = answer.text.replace(answer.json()["trace_id"], "")
    return answer.status_code, text, {k: v for k, v in answer.headers.items() if k != "traceresponse"}


async def test_whatever_is_wrong_reads_alike(world: World, handover: Handover) -> None:
    """Byte for byte, the trace id aside: wrong link, wrong code, ended, resting, showing nothing."""
    door = at_the_door(world)
    await handover.open()
    nothing = world.between(SENDER, RECIPIENT)
    await nothing.open()
    resting = world.between(SENDER, RECIPIENT)
    await resting.open()
    first = await card(handover)
    hers = await card(handover)
    rests = await card(resting)
    for _ in range(5):
        await door.post(SESSION, json=rests.shown(code=OTHER))
    said = [
        _bare(await door.post(SESSION, json=shown))
        for shown in (
            hers.shown(link="x" * 22),
            hers.shown(code=OTHER),
            hers.shown(code=DIGITS),
            first.shown(),
            rests.shown(),
            (await card(nothing, level="none")).shown(),
        )
    ]
    assert said[0][0] == 401
    assert all(one == said[0] for one in said)
    assert await opened(world, hers)


async def test_five_wrong_tries_rest_the_link_and_each_round_doubles(
    world: World, handover: Handover, clock: list[datetime]
) -> None:
    await handover.open()
    hers, door = await card(handover), at_the_door(world)

    async def opens() -> bool:
        return (await door.post(SESSION, json=hers.shown())).is_success

    for minutes in (15, 30, 60):
        for _ in range(5):
            await door.post(SESSION, json=hers.shown(code=OTHER))
        for _ in range(7):
            # While it rests, nothing more is counted against her.
            await door.post(SESSION, json=hers.shown(code=OTHER))
        assert not await opens()
        clock[0] += timedelta(minutes=minutes, seconds=-1)
        assert not await opens()
        clock[0] += timedelta(seconds=1)
    assert await opens()
    for _ in range(4):
        await door.post(SESSION, json=hers.shown(code=OTHER))
    assert await opens()


async def test_a_session_lives_from_its_use_and_two_hours_at_most(
    world: World, handover: Handover, clock: list[datetime]
) -> None:
    await handover.open()
    hers = await card(handover)
    she = await opened(world, hers)
    for _ in range(6):
        clock[0] += timedelta(minutes=19)
        assert ok(await she.get("/v1/person/referrals"))
    clock[0] += timedelta(minutes=6)
    assert problem(await she.get("/v1/person/referrals")) == (401, "unauthenticated")
    idle = await opened(world, hers)
    clock[0] += timedelta(minutes=20)
    assert problem(await idle.get("/v1/person/referrals")) == (401, "unauthenticated")


async def test_leaving_is_at_once_and_always_answers_alike(world: World, handover: Handover) -> None:
    await handover.open()
    she = await herself(world, handover)
    for client in (she, she, at_the_door(world)):
        assert (await client.delete(SESSION)).status_code == 204
    assert problem(await she.get("/v1/person/referrals")) == (401, "unauthenticated")


async def test_an_ended_or_renewed_link_ends_its_sessions_at_once(world: World, handover: Handover) -> None:
    await handover.open()
    first = await card(handover)
    one, another = await opened(world, first), await opened(world, first)
    second = await card(handover)
    for session in (one, another):
        assert problem(await session.get("/v1/person/referrals")) == (401, "unauthenticated")
    she = await opened(world, second)
    for _ in range(2):
        assert (await handover.sender.post(f"{handover.place}/access/end")).status_code == 204
    assert problem(await she.get("/v1/person/referrals")) == (401, "unauthenticated")
    assert problem(await at_the_door(world).post(SESSION, json=second.shown())) == (401, "unauthenticated")
    listed = ok(await handover.sender.get(f"{handover.place}/access"))["items"]
    assert [one["ended_at"] is not None for one in listed] == [True, True]


async def test_another_session_sees_nothing_of_hers(world: World, handover: Handover) -> None:
    """Byte for byte as what does not exist."""
    await handover.proposed()
    other = world.between(SENDER, RECIPIENT)
    await other.open()
    eve = await herself(world, other)
    consent, nowhere = handover.consent_id, str(uuid4())
    for method, path, body in (
        ("GET", "", None), ("GET", "/readers", None), ("GET", "/preview", None),
        ("GET", f"/documents/{nowhere}", None), ("PATCH", "", {}), ("POST", "/erase", None),
        ("GET", "/places", None), ("GET", "/meetings.ics", None),
        ("POST", "/withdraw", None), ("POST", "/pause", None), ("POST", "/resume", None),
        ("POST", "/confirm_handover", None),
        ("POST", "/restore", None), ("POST", "/needs", {"theme": "childcare", "words": "lundi"}),
        ("PUT", "/hidden", {"theme": "childcare"}), ("POST", "/messages", {"words": "lundi"}),
    ):  # fmt: skip
        said = [
            _bare(await eve.request(method, f"/v1/person/referrals/{id_}{path}", json=body))
            for id_ in (handover.id, nowhere)
        ]
        assert said[0][0] == 404, path
        assert said[0] == said[1], path
    for action in ("answer", "confirm", "withdraw"):
        body = {"agreed": True} if action == "answer" else None
        said = [_bare(await eve.post(f"/v1/person/consents/{id_}/{action}", json=body)) for id_ in (consent, nowhere)]
        assert said[0][0] == 404, action
        assert said[0] == said[1], action
    await eve.post(f"/v1/person/referrals/{handover.id}/unlink")
    assert handover.id not in (await eve.get("/v1/person/referrals")).text
    assert handover.id not in (await eve.get("/v1/person/copy")).text
    assert (await handover.sender.get(handover.place)).json()["state"] == "proposed"


SHARED = {"phone": "0470 11 22 33", "safety": {"shared_phone": True}}


async def test_where_others_answer_her_telephone_the_link_shows_nothing(world: World, handover: Handover) -> None:
    """Her card then opens at a counter, where all of it is read; and whatever she chose, her counsellor is told."""
    person = {**a_draft(RECIPIENT)["person"], "contact": SHARED}
    await handover.open(person=person)
    made = ok(await handover.sender.post(f"{handover.place}/access", json={"code": PICTURES, "level": "full"}))
    assert (made["level"], made["forced"]) == ("none", True)
    hers = Card(made["link"], PICTURES)
    assert problem(await at_the_door(world).post(SESSION, json=hers.shown())) == (401, "unauthenticated")
    she = await opened(world, hers, world.as_(OUTSIDER))
    assert ok(await she.get(f"/v1/person/referrals/{handover.id}"))["referral"]["person"]["identity"]


async def test_a_telephone_that_is_shared_later_shuts_the_link_too(world: World, handover: Handover) -> None:
    await handover.open()
    hers = await card(handover)
    she = await opened(world, hers)
    ok(await she.patch(f"/v1/person/referrals/{handover.id}", json={"contact": SHARED}))
    assert problem(await at_the_door(world).post(SESSION, json=hers.shown())) == (401, "unauthenticated")


async def test_at_a_counter_she_is_assisted_apart_for_a_quarter_of_an_hour(
    world: World, handover: Handover, clock: list[datetime]
) -> None:
    """Any enrolled counter; told to her with the counter's name, and never prolonged."""
    await handover.proposed()
    hers = await card(handover, level="none")
    counter = world.as_(OUTSIDER, SEND)
    assert problem(await world.as_(OUTSIDER, "directory:read").post("/v1/assisted_sessions", json=hers.shown())) == (
        403,
        "scope-missing",
    )
    assert problem(await world.anonymous().post("/v1/assisted_sessions", json=hers.shown()))[0] == 401
    for shown in (hers.shown(code=OTHER), hers.shown(link="x" * 22)):
        assert problem(await counter.post("/v1/assisted_sessions", json=shown)) == (404, "not-found")
    she = await opened(world, hers, counter)
    found = ok(await she.get("/v1/person/referrals"))
    assert (found["assisted_by"], found["level"]) == (OUTSIDER.name, "full")
    assert problem(await counter.get(handover.place)) == (404, "not-found")
    told = ok(await she.get("/v1/person/access"))["openings"]
    assert [(one["way"], one["organisation"]) for one in told] == [("assisted", OUTSIDER.name)]
    listed = ok(await handover.sender.get(f"{handover.place}/access"))["items"][0]["openings"]
    assert [(one["way"], one["organisation"]) for one in listed] == [("assisted", OUTSIDER.name)]
    clock[0] += timedelta(minutes=14)
    assert ok(await she.get("/v1/person/referrals"))
    clock[0] += timedelta(minutes=1)
    assert problem(await she.get("/v1/person/referrals")) == (401, "unauthenticated")


async def test_who_may_sanction_opens_nothing_with_the_card_that_it_makes(world: World) -> None:
    """Neither by the link, nor at its own counter; nor does it learn when she was there, nor end another's card."""
    handover = await world.between(SANCTIONING, RECIPIENT).proposed()
    made = ok(await handover.sender.post(f"{handover.place}/access", json={"code": PICTURES, "level": "full"}))
    assert (made["level"], made["forced"]) == ("none", True)
    hers = Card(made["link"], PICTURES)
    assert problem(await at_the_door(world).post(SESSION, json=hers.shown()))[0] == 401
    assert problem(await world.as_(SANCTIONING).post("/v1/assisted_sessions", json=hers.shown()))[0] == 404
    before = ok(await handover.sender.get(f"{handover.place}/access"))
    assert await opened(world, hers, world.as_(OUTSIDER))
    await handover.step(handover.recipient, "accept")
    full = await card(handover, handover.recipient)
    she = await opened(world, full)
    assert ok(await handover.sender.get(f"{handover.place}/access")) == before
    await handover.sender.post(f"{handover.place}/access/end")
    await handover.sender.post(f"{handover.place}/access", json={"code": PICTURES, "level": "full"})
    assert ok(await she.get("/v1/person/referrals"))["items"]


async def test_only_she_joins_her_hand_overs(world: World, handover: Handover) -> None:
    """With the other card and its code; each side learns nothing, and renewing a card joins nothing."""
    await handover.open()
    other = world.between(OUTSIDER, RECIPIENT)
    await other.open()
    first, second = await card(handover), await card(other, code=DIGITS)
    she = await opened(world, first)
    link = "/v1/person/referrals/link"
    assert problem(await she.post(link, json=second.shown(code=PICTURES))) == (404, "not-found")
    assert problem(await she.post(link, json=second.shown(link="x" * 22))) == (404, "not-found")
    for _ in range(2):
        joined = ok(await she.post(link, json=second.shown()))
        assert [(one["id"], one["joined"]) for one in joined["items"]] == [(handover.id, False), (other.id, True)]
    assert "linked" not in (await handover.sender.get(f"{handover.place}/events")).text
    assert problem(await handover.sender.get(other.place)) == (404, "not-found")
    assert problem(await she.post(f"/v1/person/referrals/{handover.id}/unlink"))[0] == 409
    for _ in range(2):
        assert (await she.post(f"/v1/person/referrals/{other.id}/unlink")).status_code == 204
        assert [one["id"] for one in ok(await she.get("/v1/person/referrals"))["items"]] == [handover.id]
    ok(await she.post(link, json=second.shown()))
    # Her counsellor here renews this card, and gains nothing of the other structure's with it.
    renewed = await opened(world, await card(handover))
    assert [one["id"] for one in ok(await renewed.get("/v1/person/referrals"))["items"]] == [handover.id]
    # Her counsellor there ends that card, and it is gone from this one too.
    ok(await renewed.post(link, json=second.shown()))
    await other.sender.post(f"{other.place}/access/end")
    assert [one["id"] for one in ok(await renewed.get("/v1/person/referrals"))["items"]] == [handover.id]


async def test_she_stops_everything_at_once(world: World, handover: Handover) -> None:
    await handover.proposed()
    other = await world.between(OUTSIDER, RECIPIENT).proposed()
    she = await herself(world, handover)
    ok(await she.post("/v1/person/referrals/link", json=(await card(other)).shown()))
    for _ in range(2):
        stopped = ok(await she.post("/v1/person/withdraw"))["items"]
        assert [one["state"] for one in stopped] == ["withdrawn", "withdrawn"]
        assert [one["shared"] for one in stopped] == [[], []]


async def test_a_card_that_shows_nothing_joins_nothing(world: World, handover: Handover) -> None:
    await handover.open()
    she = await herself(world, handover)
    sanctioned = await world.between(SANCTIONING, RECIPIENT).proposed()
    overheard = world.between(OUTSIDER, RECIPIENT)
    await overheard.open()
    later = await card(overheard)
    seen = {"If-Match": (await overheard.sender.get(overheard.place)).headers["etag"]}
    person = {**a_draft(RECIPIENT)["person"], "contact": SHARED}
    assert (await overheard.sender.patch(overheard.place, headers=seen, json={"person": person})).status_code == 200
    for other in (await card(sanctioned), later):
        answer = await she.post("/v1/person/referrals/link", json=other.shown())
        assert problem(answer) == (404, "not-found")
    assert len(ok(await she.get("/v1/person/referrals"))["items"]) == 1


async def test_two_at_once_are_one_after_the_other(world: World, handover: Handover) -> None:
    """Two taps, two guesses, leaving while the page still loads: nobody waits in a circle, nothing is counted once."""
    await handover.open()
    hers = await card(handover)
    she = await opened(world, hers)
    request = await asked_by_link(world, handover, ANA)
    for path, body in (
        (f"/v1/person/consents/{request}/answer", {"agreed": True}),
        (f"/v1/person/referrals/{handover.id}/needs", {"theme": "childcare", "words": "le matin"}),
        (f"/v1/person/referrals/{handover.id}/withdraw", None),
        (f"/v1/person/referrals/{handover.id}/erase", None),
    ):
        taps = await asyncio.gather(*(she.post(path, json=body) for _ in range(4)))
        assert [one.status_code for one in taps] == [200] * 4, path
    events = [one["type"] for one in (await handover.sender.get(f"{handover.place}/events")).json()["items"]]
    once = ("consent.given", "person.changed_needs", "referral.withdrawn", "referral.erased")
    assert [events.count(one) for one in once] == [1, 1, 1, 1]
    left = await asyncio.gather(*(she.delete(SESSION) if n == 2 else she.get("/v1/person/access") for n in range(5)))
    assert {one.status_code for one in left} <= {200, 204, 401}
    door = at_the_door(world)
    await asyncio.gather(*(door.post(SESSION, json=hers.shown(code=OTHER)) for _ in range(5)))
    assert problem(await door.post(SESSION, json=hers.shown()))[0] == 401


async def test_wrong_tries_at_joining_count_for_the_other_card(world: World, handover: Handover) -> None:
    await handover.open()
    other = world.between(OUTSIDER, RECIPIENT)
    await other.open()
    she, second = await herself(world, handover), await card(other)
    for _ in range(5):
        await she.post("/v1/person/referrals/link", json=second.shown(code=OTHER))
    assert problem(await at_the_door(world).post(SESSION, json=second.shown()))[0] == 401


async def test_neither_link_nor_code_nor_session_is_kept(world: World, handover: Handover) -> None:
    """What stands in the database tells none of them."""
    await handover.open()
    hers = await card(handover, code=DIGITS)
    session = (await at_the_door(world).post(SESSION, json=hers.shown())).json()["session"]
    link = hers.link.partition("#")[2]
    async with world.app.state.database.session() as tx:
        connection = await (await tx.connection()).get_raw_connection()
        raw = connection.driver_connection
        assert raw is not None
        for table in ("access", "access_referral", "access_opening", "person_session"):
            text = str([dict(row) for row in await raw.fetch(f"select * from {table}")])  # noqa: S608 - our own words
            for secret in (link, session, DIGITS["value"]):
                assert str(secret) not in text
