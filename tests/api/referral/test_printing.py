"""What is printed and kept: receipts, her card, the call sheet, calendars; and the way by telephone, to its end."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api.referral.her import card, herself
from api.referral.world import (
    BY_PHONE,
    FAMILY,
    GIVEN,
    HERS,
    NOTE,
    OUTSIDER,
    PHONE,
    PLACE,
    RECIPIENT,
    SANCTIONING,
    SEND,
    SENDER,
    WORDS,
    Handover,
    World,
    problem,
)
from icalendar import Calendar

from relais_shared.client import Client

pytestmark = pytest.mark.anyio

PAPERS = ("page", "pdf")
LATER = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)


def receipt(handover: Handover) -> str:
    """Answer where the receipt of its consent is."""
    return f"/v1/consents/{handover.consent_id}/receipt"


async def test_a_receipt_says_what_she_agreed_to_and_nothing_of_her(handover: Handover) -> None:
    await handover.proposed()
    for client in (handover.sender, handover.recipient):
        answer = await client.get(receipt(handover))
        assert answer.headers["content-type"] == "application/ld+json"
        assert answer.headers["cache-control"] == "no-store"
        found = answer.json()
        assert (found["record_id"], found["@type"]) == (handover.consent_id, "dpv:ConsentRecord")
        assert [one["pii_type"] for one in found["pii_information"]] == ["contact", "identity", "needs"]
        assert [one["party_name"] for one in found["pii_controllers"]] == ["Depart", "Creche"]
        assert [one["status"] for one in found["events"]] == ["given"]
        assert found["kantara"]["consentReceiptID"] == handover.consent_id
        assert not [word for word in HERS if word in answer.text]
    await handover.walk("withdraw")
    states = [one["status"] for one in (await handover.recipient.get(receipt(handover))).json()["events"]]
    assert states == ["given", "withdrawn"]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/pdf", "application/pdf"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
        ("application/json", "application/ld+json"),
        ("*/*", "application/ld+json"),
    ],
)
async def test_a_receipt_comes_as_it_is_asked_for(handover: Handover, accept: str, expected: str) -> None:
    await handover.proposed()
    answer = await handover.sender.get(receipt(handover), headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, expected)


async def test_a_printed_receipt_is_in_her_language_and_discreet_on_demand(world: World, handover: Handover) -> None:
    await handover.open()
    await handover.agree(language="nl")
    page = await handover.sender.get(receipt(handover), params={"form": "page"})
    assert "Ontvangstbewijs van uw akkoord" in page.text
    assert "Creche" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    plain = await handover.sender.get(receipt(handover), params={"form": "page", "discreet": True})
    pdf = await handover.sender.get(receipt(handover), params={"form": "pdf"})
    assert pdf.content.startswith(b"%PDF-")
    assert "attachment" in pdf.headers["content-disposition"]
    steps = await herself(world, handover, level="steps")
    assert problem(await steps.get(f"/v1/person/consents/{handover.consent_id}/receipt")) == (403, "scope-missing")
    # She takes it herself, as discreet as her card.
    she = await herself(world, handover, discreet=True)
    own = await she.get(f"/v1/person/consents/{handover.consent_id}/receipt")
    assert own.text == plain.text
    assert not [name for name in ("Creche", "Depart", "Accueil") if name in own.text]
    other = world.between(SENDER, RECIPIENT)
    await other.proposed()
    assert problem(await she.get(f"/v1/person/consents/{other.consent_id}/receipt")) == (404, "not-found")


async def test_a_sender_that_may_sanction_reads_the_same_receipt_whatever_became_of_her(world: World) -> None:
    handover = world.between(SANCTIONING, RECIPIENT)
    await handover.proposed()
    before = [
        (await handover.sender.get(receipt(handover), params={"form": form})).content for form in ("json", "page")
    ]
    await handover.recipient.post(f"/v1/consents/{handover.consent_id}/withdraw", json={"data_categories": ["contact"]})
    after = [(await handover.sender.get(receipt(handover), params={"form": form})).content for form in ("json", "page")]
    assert before == after
    mine = (await handover.recipient.get(receipt(handover))).json()
    assert [one["status"] for one in mine["events"]] == ["given", "superseded"]


async def test_her_card_is_printed_with_its_drawing_and_without_her(handover: Handover, world: World) -> None:
    await handover.open()
    hers = await card(handover)
    for form in PAPERS:
        printed = await handover.sender.post("/v1/cards", params={"form": form}, json={"link": hers.link})
        assert printed.status_code == 200, printed.text
        assert printed.headers["cache-control"] == "no-store"
    page = (await handover.sender.post("/v1/cards", json={"link": hers.link, "language": "de"})).text
    assert "<svg" in page
    assert hers.link in page
    assert "Ihre Seite" in page
    assert not [word for word in (*HERS, "Depart", "Creche") if word in page]
    for link in ("https://elsewhere.example/p#x", "http://localhost:8000/q#x", "x"):
        assert problem(await handover.sender.post("/v1/cards", json={"link": link})) == (422, "invalid-input")
    assert problem(await world.as_(SENDER, "directory:read").post("/v1/cards", json={"link": hers.link}))[0] == 403


async def met(handover: Handover, when: datetime = LATER) -> None:
    """Plan her meeting."""
    seen = await handover.recipient.get(handover.place)
    body = {"starts_at": when.isoformat(), "mode": "visit", "place": PLACE}
    answer = await handover.recipient.post(
        f"{handover.place}/plan_meeting", headers={"If-Match": seen.headers["etag"]}, json=body
    )
    assert answer.status_code == 200, answer.text


def events(content: bytes) -> list[Any]:
    """Answer the entries of a calendar."""
    return list(Calendar.from_ical(content).walk("VEVENT"))


async def test_a_meeting_in_a_calendar_tells_that_the_time_is_taken(handover: Handover) -> None:
    await handover.proposed()
    await handover.walk("r.accept")
    assert events((await handover.sender.get(f"{handover.place}/meetings.ics")).content) == []
    await met(handover)
    for client in (handover.sender, handover.recipient):
        answer = await client.get(f"{handover.place}/meetings.ics")
        assert answer.headers["content-type"].startswith("text/calendar")
        assert answer.headers["cache-control"] == "no-store"
        (entry,) = events(answer.content)
        assert entry["dtstart"].dt == LATER
        assert not [word for word in HERS if word in answer.text]
        assert not [name for name in ("Creche", "Depart", "childcare") if name in answer.text]
    looks = (await handover.sender.get(f"{handover.place}/disclosures")).json()["items"]
    assert next(look for look in looks if look["organisation_id"] == str(RECIPIENT.id))["categories"] == ["meeting"]
    # Planned anew with a time still to be agreed, there is nothing to enter.
    await handover.walk("r.replan")
    assert events((await handover.sender.get(f"{handover.place}/meetings.ics")).content) == []
    await handover.walk("withdraw")
    assert events((await handover.recipient.get(f"{handover.place}/meetings.ics")).content) == []


async def test_a_feed_holds_the_meetings_of_ones_own_side(fresh: World) -> None:
    codes = set()
    for sender, recipient, days in ((SENDER, RECIPIENT, 3), (RECIPIENT, SENDER, 1), (OUTSIDER, RECIPIENT, 2)):
        handover = fresh.between(sender, recipient)
        await handover.proposed()
        await handover.walk("r.accept")
        await met(handover, LATER + timedelta(days=days))
        if OUTSIDER not in (sender, recipient):
            codes.add((await handover.sender.get(handover.place)).json()["short_code"])
    sanctioning = fresh.between(SANCTIONING, RECIPIENT)
    await sanctioning.proposed()
    await sanctioning.walk("r.accept")
    await met(sanctioning)

    found = events((await fresh.as_(SENDER).get("/v1/meetings.ics")).content)
    assert {str(entry["summary"])[-9:-1] for entry in found} == codes
    assert [entry["dtstart"].dt for entry in found] == [LATER + timedelta(days=days) for days in (1, 3)]
    assert len(events((await fresh.as_(RECIPIENT).get("/v1/meetings.ics")).content)) == 4
    assert len(events((await fresh.as_(SENDER, SEND).get("/v1/meetings.ics")).content)) == 1
    # A sender that may sanction learns of no meeting.
    assert events((await fresh.as_(SANCTIONING).get("/v1/meetings.ics")).content) == []


def by_phone(world: World, sender: Client | None = None) -> Handover:
    """Answer a hand-over to a structure that is telephoned."""
    return Handover(sender or world.as_(SENDER), world.as_(BY_PHONE), BY_PHONE)


async def sheet(handover: Handover, form: str = "page") -> str:
    """Answer the call sheet."""
    answer = await handover.sender.get(f"{handover.place}/call_sheet", params={"form": form})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.text


async def test_the_call_sheet_says_whom_to_call_and_what_she_agreed_to(world: World) -> None:
    handover = by_phone(world)
    await handover.open(notes=NOTE)
    assert problem(await handover.sender.get(f"{handover.place}/call_sheet")) == (409, "transition-not-allowed")
    agreed = await handover.agree("needs", "identity")
    # Her consent names the structure that is called.
    assert agreed.json()["recipient"]["name"] == "Guichet"
    await handover.walk("propose")
    said = await sheet(handover)
    whom = ("Guichet", "Accueil Guichet", "071 00 00 08", "071 00 00 09", "Zoé Maes", "Charleroi")
    assert not [word for word in (*whom, GIVEN, FAMILY, WORDS, PLACE) if word not in said]
    assert not [word for word in (PHONE, NOTE) if word in said]
    look = (await handover.sender.get(f"{handover.place}/disclosures")).json()["items"][0]
    assert look["categories"] == ["constraints", "identity", "needs"]
    pdf = await handover.sender.get(f"{handover.place}/call_sheet", headers={"Accept": "application/pdf"})
    assert pdf.content.startswith(b"%PDF-")
    # What she stops is on no sheet that is printed from then on.
    narrower = {"data_categories": ["identity"]}
    await handover.sender.post(f"/v1/consents/{handover.consent_id}/withdraw", json=narrower)
    assert GIVEN not in await sheet(handover)


async def test_only_the_sender_of_a_hand_over_by_telephone_prints_a_sheet(world: World, handover: Handover) -> None:
    await handover.proposed()
    assert problem(await handover.sender.get(f"{handover.place}/call_sheet")) == (409, "transition-not-allowed")
    called = by_phone(world)
    await called.proposed()
    place = f"{called.place}/call_sheet"
    assert problem(await world.as_(OUTSIDER).get(place)) == (404, "not-found")
    assert problem(await called.recipient.get(place)) == (409, "transition-not-allowed")
    sanctioning = by_phone(world, world.as_(SANCTIONING))
    await sanctioning.proposed()
    assert not [word for word in HERS if word in await sheet(sanctioning)]


@pytest.mark.parametrize("outcome", ["under_way", "completed", "not_pursued", "redirected"])
async def test_the_sender_alone_logs_the_first_contact_and_closes(world: World, outcome: str) -> None:
    handover = by_phone(world)
    await handover.proposed()
    await sheet(handover)
    offered = (await handover.sender.get(handover.place)).json()["allowed_actions"]
    assert set(offered) == {"confirm_handover", "decline", "pause", "cancel"}
    logged = await handover.step(handover.sender, "confirm_handover", on="2026-11-20", mode="call")
    assert logged.json()["state"] == "handed_over", logged.text
    assert logged.json()["confirmations"] == {"sender": {"on": "2026-11-20", "mode": "call"}}
    assert problem(await handover.sender.get(f"{handover.place}/call_sheet")) == (409, "transition-not-allowed")
    closed = await handover.step(handover.sender, "close", outcome=outcome)
    assert closed.json()["state"] == "closed"
    types = [event["type"] for event in (await handover.sender.get(f"{handover.place}/events")).json()["items"]]
    assert types[-2:] == ["referral.handed_over", "referral.closed"]


async def test_a_no_on_the_telephone_is_noted_and_redirected(world: World) -> None:
    handover = by_phone(world)
    await handover.proposed()
    for action in ("receive", "accept", "plan_meeting", "agree_by_phone"):
        seen = await handover.step(handover.sender, action)
        assert seen.status_code in {403, 409}, action
    said_no = await handover.step(handover.sender, "decline", reason="no_place")
    assert (said_no.json()["state"], said_no.json()["allowed_actions"]) == ("declined", ["redirect", "undo"])


async def test_the_same_facts_make_the_same_pdf(handover: Handover) -> None:
    """When it was printed stands nowhere in it: two prints tell no more than one."""
    await handover.proposed()
    once, again = [await handover.sender.get(receipt(handover), params={"form": "pdf"}) for _ in range(2)]
    assert once.content == again.content
    assert not [word for word in (b"CreationDate", b"ModDate", b"CreateDate") if word in once.content]
