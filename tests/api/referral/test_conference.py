"""Case conferences: nobody, the wrong structure, a missing scope; then those alone whom she agreed to."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from api.referral.her import HEADER, card, herself, ok, opened
from api.referral.table import DECIDED, EVA, ROOM, SAID, Table, accepted, agreement, asked_for, called, operations
from api.referral.world import (
    BEN,
    GIVEN,
    OUTSIDER,
    PHONE,
    PRACTISING,
    RECEIVE,
    RECIPIENT,
    SANCTIONING,
    SEND,
    SENDER,
    SENSITIVE,
    THIRD,
    UNBOUND,
    UNSIGNED,
    WITHOUT_ACCOUNT,
    WORDS,
    Asserted,
    Handover,
    Structure,
    World,
    a_draft,
    key,
    problem,
)

from relais_referral import copying
from relais_referral.papers.paper import as_html
from relais_referral.schemas.person import CopyView
from relais_shared.auth import Actor
from relais_shared.client import Client

pytestmark = pytest.mark.anyio


async def test_nobody_takes_part(world: World, table: Table) -> None:
    consent = (await table.agree(RECIPIENT)).json()["id"]
    every = operations(table.handover.id, table.id, str(uuid4()), consent)
    every["list"] = ("GET", "/v1/conferences", None)
    for name, operation in every.items():
        assert problem(await called(world.anonymous(), operation)) == (401, "unauthenticated"), name
        without = world.as_(SENDER, "directory:read", "org:admin")
        assert problem(await called(without, operation)) == (403, "scope-missing"), name
    recipient = world.as_(RECIPIENT, RECEIVE)
    assert problem(await called(recipient, every["draft"])) == (403, "scope-missing")


async def test_whoever_she_did_not_agree_to_reads_as_if_there_were_none(world: World, table: Table) -> None:
    """An outsider; one that is asked for and not answered; the other side; the wrong scope: byte for byte."""
    consent = (await table.agree(SENDER)).json()["id"]
    asking = await table.handover.sender.post(
        f"{table.place}/consents/request", headers=key(), json=asked_for(THIRD, "identity")
    )
    assert asking.status_code == 201, asking.text
    theirs = operations(table.handover.id, table.id, str(uuid4()), consent)
    absent = operations(str(uuid4()), str(uuid4()), str(uuid4()), str(uuid4()))
    for client, own in (
        (world.as_(OUTSIDER), set()),
        (world.as_(THIRD), set()),
        (world.as_(RECIPIENT), {"open", "pathway"}),
        (world.as_(SANCTIONING), set()),
    ):
        for name in theirs.keys() - own:
            here, nowhere = await called(client, theirs[name]), await called(client, absent[name])
            assert problem(here) == (404, "not-found"), name
            assert bare(here) == bare(nowhere), name
        assert table.id not in (await client.get("/v1/conferences", params={"limit": 100})).text


def bare(answer: httpx.Response) -> bytes:
    """Answer a problem without its trace id."""
    trace: str = answer.json()["trace_id"]
    return answer.content.replace(trace.encode(), b"")


async def test_each_reads_what_she_agreed_to_for_it_and_that_is_recorded(table: Table) -> None:
    sender = await table.seat(SENDER, "identity", "needs", "situation")
    recipient = await table.seat(RECIPIENT, "identity", "needs")
    third = await table.seat(THIRD, "needs")
    said = await third.post(f"{table.place}/messages", json={"words": SAID})
    assert said.status_code == 201, said.text
    assert (said.json()["author"], said.json()["organisation"]) == ("Eva Petit", THIRD.name)
    seen = {client: (await client.get(table.place)) for client in (sender, recipient, third)}
    assert seen[sender].headers["cache-control"] == "no-store"
    by_sender, by_recipient, by_third = (one.json() for one in seen.values())
    assert by_sender["identity"]["given_name"] == GIVEN == by_recipient["identity"]["given_name"]
    assert by_sender["situation"] == {"housing": "chez une cousine"}
    assert "situation" not in by_recipient
    assert by_third["needs"][0]["words"] == WORDS
    assert not {"identity", "situation", "referral_id", "contact", "notes"} & set(by_third)
    assert by_sender["referral_id"] == table.handover.id == by_recipient["referral_id"]
    for view in (by_sender, by_recipient, by_third):
        assert [one["words"] for one in view["messages"]] == [SAID]
        assert {one["name"] for one in view["organisations"]} == {SENDER.name, RECIPIENT.name, THIRD.name}
    assert not any(table.handover.id in one.text for one in [seen[third]])
    assert PHONE not in json.dumps([by_sender, by_recipient, by_third])
    she = await herself(table.world, table.handover)
    readers = ok(await she.get(f"/v1/person/referrals/{table.handover.id}/readers"))["items"]
    mine = next(one for one in readers if one["organisation"] == THIRD.name)
    assert mine["categories"] == ["messages", "needs"]
    assert "name" not in mine
    # Neither side reads what others read there, nor that there is a conference at all.
    for client in (table.handover.sender, table.handover.recipient):
        looks = (await client.get(f"{table.handover.place}/disclosures")).text
        assert str(THIRD.id) not in looks
        events = (await client.get(f"{table.handover.place}/events")).json()["items"]
        assert not [one for one in events if one["type"].startswith("conference")]
        assert [one["number"] for one in events] == list(range(1, len(events) + 1))


async def test_who_takes_part_learns_nothing_else_of_the_hand_over(table: Table) -> None:
    third = await table.seat(THIRD, "identity", "needs")
    place = table.handover.place
    for path in ("", "/events", "/disclosures", "/consents", "/messages", "/documents", "/meetings", "/tasks"):
        assert problem(await third.get(place + path)) == (404, "not-found"), path
    assert place.rpartition("/")[2] not in (await third.get("/v1/referrals")).text
    for consent in (table.handover.consent_id, (await table.agree(SENDER)).json()["id"]):
        assert problem(await third.post(f"/v1/consents/{consent}/withdraw", json={})) == (404, "not-found")
    for name in ("record", "request", "end"):
        every = operations(table.handover.id, table.id, str(uuid4()), str(uuid4()))
        assert problem(await called(third, every[name])) == (409, "transition-not-allowed"), name


async def test_before_it_joins_a_structure_reads_the_frame_alone(table: Table) -> None:
    sender = await table.seat(SENDER, "identity")
    await sender.post(f"{table.place}/messages", json={"words": SAID})
    await table.agree(THIRD, "identity", "needs")
    third = table.world.as_(THIRD)
    view = (await third.get(table.place)).json()
    assert view["allowed_actions"] == ["join", "leave"]
    assert not {"identity", "needs", "messages"} & set(view)
    listed = (await third.get("/v1/conferences")).json()["items"]
    assert [one["allowed_actions"] for one in listed if one["id"] == table.id] == [["join", "leave"]]
    assert problem(await third.post(f"{table.place}/messages", json={"words": SAID}))[0] == 409
    joined = await third.post(f"{table.place}/join", json=EVA)
    assert joined.json()["identity"]["given_name"] == GIVEN
    assert problem(await third.post(f"{table.place}/join", json=EVA))[0] == 409


@pytest.mark.parametrize("state", ["draft", "proposed", "declined", "withdrawn"])
async def test_a_conference_is_about_somebody_who_was_taken_over(handover: Handover, state: str) -> None:
    await handover.open()
    await handover.agree()
    steps = {"draft": (), "proposed": ("propose",), "declined": ("propose", "r.decline"), "withdrawn": ("withdraw",)}
    if steps[state]:
        await handover.walk(*steps[state])
    answer = await handover.sender.post(f"{handover.place}/conferences", headers=key(), json=BEN)
    assert problem(answer) == (409, "transition-not-allowed")


async def test_a_sender_that_may_sanction_opens_none_and_learns_of_none(world: World) -> None:
    handover = world.between(SANCTIONING, RECIPIENT)
    await handover.proposed()
    answers = []
    for step in ("r.accept", "r.plan_meeting"):
        answer = await handover.sender.post(f"{handover.place}/conferences", headers=key(), json=EVA)
        assert problem(answer) == (409, "transition-not-allowed")
        answers.append(bare(answer))
        await handover.walk(step)
    assert answers[0] == answers[1]
    before = [await handover.sender.get(handover.place + path) for path in ("", "/events", "/consents", "/disclosures")]
    table = Table(world, Handover(handover.recipient, handover.recipient, RECIPIENT, handover.id, handover.consent_id))
    await table.open()
    await table.agree(RECIPIENT, "identity")
    assert GIVEN in (await handover.recipient.get(table.place)).text
    after = [await handover.sender.get(handover.place + path) for path in ("", "/events", "/consents", "/disclosures")]
    assert [one.content for one in after[:3]] == [one.content for one in before[:3]]
    assert [one.headers.get("etag") for one in after] == [one.headers.get("etag") for one in before]
    assert str(RECIPIENT.id) not in after[3].text


@pytest.mark.parametrize("structure", [SANCTIONING, UNSIGNED, WITHOUT_ACCOUNT, PRACTISING, Structure("Personne")])
async def test_who_cannot_take_part_is_refused_alike(table: Table, structure: Structure) -> None:
    answer = await table.agree(structure, "identity")
    assert problem(answer) == (422, "invalid-input")
    fault = {"pointer": "/organisation_id", "detail": "No structure of that id can take part in this conference."}
    assert answer.json()["errors"] == [fault]


async def test_no_more_than_the_hand_overs_agreement(table: Table) -> None:
    for changes in ({"data_categories": ["documents"]}, {"data_categories": ["contact"]}, {"purposes": ["referral"]}):
        assert problem(await table.agree(THIRD, **changes)) == (422, "invalid-input"), changes
    assert problem(await table.agree(UNBOUND, "situation")) == (409, "recipient-not-bound")
    assert (await table.agree(UNBOUND, "needs")).status_code == 201
    late = agreement(THIRD, given_at=(datetime.now(UTC) - timedelta(days=2)).isoformat())
    answer = await table.handover.sender.post(f"{table.place}/consents", headers=key(), json=late)
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/given_at"]


async def test_a_sensitive_theme_needs_its_basis(world: World) -> None:
    table = await Table(world, await accepted(world, SENSITIVE, article_9_basis="consent", seen_alone="yes")).open()
    assert problem(await table.agree(THIRD, "identity")) == (409, "sensitive-basis-missing")
    # A relative stood by: what she said of her situation stays closed until she confirms it alone.
    await table.agree(THIRD, "needs", "situation", article_9_basis="consent", interpreter="relative")
    third = world.as_(THIRD)
    joined = await third.post(f"{table.place}/join", json=EVA)
    assert "situation" not in joined.json()
    she = await herself(world, table.handover)
    ok(await she.post(f"/v1/person/consents/{table.consents[THIRD.name]}/confirm"))
    assert (await third.get(table.place)).json()["situation"] == {"housing": "chez une cousine"}


async def test_a_repeated_request_is_done_once(table: Table) -> None:
    once = key()
    sender, opened_at = table.handover.sender, f"{table.handover.place}/conferences"
    first, again = [await sender.post(opened_at, headers=once, json=EVA) for _ in range(2)]
    assert first.json() == again.json()
    body = agreement(THIRD)
    first, again = [await sender.post(f"{table.place}/consents", headers=once, json=body) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert problem(await sender.post(opened_at, json=EVA)) == (400, "idempotency-key-missing")


async def test_what_she_is_asked_by_her_link_opens_when_she_says_yes(table: Table) -> None:
    she = await herself(table.world, table.handover)
    third = table.world.as_(THIRD)
    for agreed in (False, True):
        body = asked_for(THIRD, "identity", "needs")
        answer = await table.handover.sender.post(f"{table.place}/consents/request", headers=key(), json=body)
        assert answer.json()["status"] == "requested"
        assert problem(await third.get(table.place)) == (404, "not-found")
        [hers] = ok(await she.get("/v1/person/referrals"))["items"]
        consent = answer.json()["id"]
        assert {"kind": "consent_requested", "consent_id": consent} in hers["waits"]
        said = {"agreed": agreed, "data_categories": ["needs"]} if agreed else {"agreed": False}
        ok(await she.post(f"/v1/person/consents/{consent}/answer", json=said))
    joined = await third.post(f"{table.place}/join", json=EVA)
    assert joined.json()["data_categories"] == ["needs"]
    assert "identity" not in joined.json()
    [hers] = ok(await she.get("/v1/person/referrals"))["items"]
    shared = next(one for one in hers["shared"] if one["organisation"] == THIRD.name)
    assert (shared["categories"], shared["purposes"]) == (["needs"], ["case_conference"])
    assert "refused" not in (await table.handover.sender.get(f"{table.handover.place}/tasks")).text


async def test_they_meet_and_decide_and_a_decision_becomes_a_draft(table: Table) -> None:
    sender = await table.seat(SENDER, "identity")
    third = await table.seat(THIRD, "identity")
    assert problem(await third.get(f"{table.place}/meeting.ics")) == (404, "not-found")
    meeting = {"starts_at": "2026-12-03T09:00:00Z", "place": ROOM, "attendees": [{"name": "Eva", "role": "écoute"}]}
    for sequence in range(2):
        planned = await third.put(f"{table.place}/meeting", json=meeting)
        assert planned.json()["meeting"]["place"] == ROOM, planned.text
        taken = await sender.get(f"{table.place}/meeting.ics")
        assert taken.headers["content-type"].startswith("text/calendar")
        assert f"SEQUENCE:{sequence}" in taken.text
        assert not re.search("Quetsche|Eva|Amina", taken.text)
    for told in ({"words": "85.07.30-033 28"}, {"words": DECIDED, "organisations": [str(RECIPIENT.id)]}):
        assert problem(await sender.post(f"{table.place}/decisions", json=told))[0] == 422
    decided = await sender.post(f"{table.place}/decisions", json={"words": DECIDED, "with_her": True})
    assert set(decided.json()["decided_by"]) == {SENDER.name, THIRD.name}
    place = f"{table.place}/decisions/{decided.json()['id']}/draft"
    once = key()
    draft, again = [await third.post(place, headers=once, json=a_draft(RECIPIENT)) for _ in range(2)]
    assert draft.status_code == 201, draft.text
    assert draft.json()["id"] == again.json()["id"]
    assert (draft.json()["state"], draft.json()["allowed_actions"]) == ("draft", ["cancel"])
    assert draft.json()["conference_id"] == table.id == again.json()["conference_id"]
    assert problem(await sender.post(place, headers=key(), json=a_draft(RECIPIENT)))[0] == 409
    # The draft is its sender's to know of, and she learns that there is one.
    [by_third] = (await third.get(table.place)).json()["decisions"]
    [by_sender] = (await sender.get(table.place)).json()["decisions"]
    assert by_third["draft_id"] == draft.json()["id"]
    assert not {"draft_id", "drafted"} & set(by_sender)
    she = await herself(table.world, table.handover)
    [hers] = ok(await she.get(f"/v1/person/referrals/{table.handover.id}"))["conferences"]
    assert hers["decisions"][0]["drafted"] is True
    assert "draft_id" not in hers["decisions"][0]


async def test_she_attends_and_writes_and_takes_it_all_along(table: Table) -> None:
    sender = await table.seat(SENDER, "identity")
    she = await herself(table.world, table.handover)
    place = f"/v1/person/conferences/{table.id}"
    ok(await she.post(f"{place}/attend", json={"attends": True}))
    said = ok(await she.post(f"{place}/messages", json={"words": SAID}))
    assert said["author"] == "person"
    assert problem(await she.post(f"{place}/messages", json={"words": "85.07.30-033 28"}))[0] == 422
    view = (await sender.get(table.place)).json()
    assert view["she_attends"] is True
    assert [(one["author"], one["words"]) for one in view["messages"]] == [("person", SAID)]
    await sender.post(f"{table.place}/decisions", json={"words": DECIDED})
    copy = ok(await she.get("/v1/person/copy"))
    [conference] = copy["items"][0]["whole"]["conferences"]
    assert (conference["messages"][0]["words"], conference["decisions"][0]["words"]) == (SAID, DECIDED)
    assert [one["status"] for one in conference["consents"]] == ["given"]
    printed = as_html(copying.paper(CopyView.model_validate(copy)))
    assert SAID in printed
    assert DECIDED in printed
    assert (await she.get("/v1/person/copy.pdf")).content.startswith(b"%PDF-")
    ok(await she.post(f"{place}/end"))
    for path, body in (("attend", {"attends": False}), ("messages", {"words": SAID})):
        assert problem(await she.post(f"{place}/{path}", json=body)) == (409, "transition-not-allowed")


async def test_a_conference_is_hers_alone(world: World, table: Table) -> None:
    """Nobody without a session, nobody with another's, and at level `steps` only what stops it."""
    other = await herself(world, await accepted(world))
    place = f"/v1/person/conferences/{table.id}"
    every: dict[str, dict[str, Any] | None] = {
        "attend": {"attends": True}, "messages": {"words": SAID}, "end": None,
        f"organisations/{SENDER.id}/withdraw": None,
    }  # fmt: skip
    for path, body in every.items():
        nobody = world.anonymous()
        nobody.headers[HEADER] = "x"
        assert problem(await nobody.post(f"{place}/{path}", json=body)) == (401, "unauthenticated")
        assert problem(await other.post(f"{place}/{path}", json=body)) == (404, "not-found"), path
    steps = await opened(world, await card(table.handover, level="steps"))
    assert problem(await steps.post(f"{place}/messages", json={"words": SAID})) == (403, "scope-missing")
    assert problem(await steps.post(f"{place}/organisations/{uuid4()}/withdraw")) == (404, "not-found")
    ok(await steps.post(f"{place}/end"))


async def test_a_colleagues_seat_is_not_anybodys(world: World, table: Table) -> None:
    """Of a structure's users, who joined, the deputy and the team read; others do not."""
    await table.agree(THIRD, "identity")

    def user(number: int, **more: Any) -> Client:
        id_ = UUID(int=number)
        scopes = frozenset({SEND, RECEIVE})
        actor = Actor("user", f"user:{id_}", THIRD.id, THIRD.name, scopes, id_, name=f"U{number}", **more)
        return world.anonymous(Asserted(world.gateway, actor))

    assert (await user(1, teams=("a",)).post(f"{table.place}/join", json=EVA)).status_code == 200
    for reader in (user(1), user(2, stands_for=(UUID(int=1),)), user(3, teams=("a",)), world.as_(THIRD)):
        assert (await reader.get(table.place)).status_code == 200
    assert problem(await user(4, teams=("b",)).get(table.place)) == (404, "not-found")
    assert table.id not in (await user(4, teams=("b",)).get("/v1/conferences")).text
    assert table.id in (await user(3, teams=("a",)).get("/v1/conferences")).text


async def test_an_agreement_for_a_conference_has_its_receipt(table: Table) -> None:
    await table.seat(SENDER)
    third = await table.seat(THIRD, "identity")
    she = await herself(table.world, table.handover)
    own, other = (f"/v1/consents/{table.consents[one.name]}/receipt" for one in (THIRD, SENDER))
    for client in (third, table.handover.sender):
        receipt = await client.get(own)
        assert receipt.status_code == 200, receipt.text
        assert "case_conference" in receipt.text
        assert table.handover.id not in receipt.text
    assert (await she.get(own.replace("/v1/", "/v1/person/"))).status_code == 200
    for client, place in ((third, other), (table.handover.recipient, own), (table.world.as_(OUTSIDER), own)):
        assert problem(await client.get(place)) == (404, "not-found")
    hand_over = await third.get(f"/v1/consents/{table.handover.consent_id}/receipt")
    assert bare(hand_over) == bare(await third.get(f"/v1/consents/{uuid4()}/receipt"))


async def test_practice_confers_with_practice(world: World) -> None:
    handover = world.between(PRACTISING, PRACTISING)
    await handover.proposed()
    await handover.walk("r.accept")
    table = await Table(world, handover).open()
    assert (await handover.sender.get(table.place)).json()["practice"] is True
    assert problem(await table.agree(THIRD))[0] == 422
