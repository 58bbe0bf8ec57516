"""What she reads and does in her own session: everything of hers, and nobody's word between."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from api.referral.her import ANA, PICTURES, asked_by_link, bare, card, herself, ok, opened
from api.referral.world import (
    FAMILY,
    GIVEN,
    HERS,
    NOTE,
    OUTSIDER,
    PHONE,
    PLACE,
    RECIPIENT,
    SANCTIONING,
    SENDER,
    SENSITIVE,
    WORDS,
    Asserted,
    Handover,
    World,
    a_draft,
    problem,
)

from relais_referral import copying
from relais_referral.domain.visibility import Category
from relais_referral.papers.paper import as_html
from relais_referral.schemas.person import CopyView
from relais_shared.auth import Actor
from relais_shared.client import Client

pytestmark = pytest.mark.anyio

PDF = b"%PDF-1.7\n1 0 obj\nendobj\n%%EOF\n"
NISS = "93.05.18-223.61"


@pytest.fixture(name="clock")
def _clock(world: World) -> Iterator[list[datetime]]:
    """Answer a clock of one instant that a test moves."""
    at = [datetime.now(UTC)]
    world.app.state.clock = lambda: at[0]
    yield at
    del world.app.state.clock


def mine(handover: Handover) -> str:
    """Answer where a hand-over is for her."""
    return f"/v1/person/referrals/{handover.id}"


async def added(client: Client, handover: Handover, title: str = "bulletin.pdf") -> str:
    """Add a document as a side; answer its id."""
    headers = {"Content-Type": "application/pdf", "Content-Disposition": f'attachment; filename="{title}"'}
    answer = await client.post(f"{handover.place}/documents", headers=headers, content=PDF)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


FULL: dict[str, Any] = {
    "situation": {"logement": "chez une amie"},
    "notes": NOTE,
    "goal_words": "reprendre la formation",
    "resources": ["une cousine"],
    "concerned": [{"relation": "sa fille", "age_band": "3-5"}],
}


async def test_she_reads_where_everything_stands(world: World, handover: Handover) -> None:
    await handover.open(**FULL)
    she = await herself(world, handover)
    request = await asked_by_link(world, handover, ANA)
    drafted = ok(await she.get("/v1/person/referrals"))["items"][0]
    assert drafted["state"] == "draft"
    assert drafted["waits"] == [{"kind": "consent_requested", "consent_id": request}]
    assert drafted["shared"] == []
    await handover.agree("identity", "needs", purposes=["referral", "feedback"])
    await handover.walk("propose", "r.accept")
    await handover.step(handover.recipient, "plan_meeting", to_be_agreed=True, place="Maison de quartier")
    found = ok(await she.get("/v1/person/referrals"))["items"][0]
    assert found["meeting"]["place"] == "Maison de quartier"
    assert found["counsellor"]["name"] == "Ana Lopes"
    assert found["recipient_counsellor"]["name"] == "Ben Noel"
    assert found["recipient"]["service_name"] == "Accueil Creche"
    (shared,) = found["shared"]
    assert (shared["organisation"], shared["categories"]) == (RECIPIENT.name, ["identity", "needs"])
    assert shared["purposes"] == ["feedback", "referral"]
    assert found["waits"] == [{"kind": "confirm_handover"}]
    steps = [(one["type"], one["by"]) for one in found["steps"]]
    assert ("referral.proposed", "sender") in steps
    assert ("referral.accepted", "recipient") in steps
    assert set(found["allowed_actions"]) == {"confirm_handover", "pause"}


async def test_a_question_that_waits_changes_nothing_of_what_she_is_shown_that_they_read(
    world: World, handover: Handover
) -> None:
    """Under what is asked, where nothing is agreed; from then on under what is, whatever is asked besides."""
    await handover.open(**FULL)
    she = await herself(world, handover)
    await asked_by_link(world, handover, ANA)
    asked = ok(await she.get(mine(handover)))["previews"]
    assert [one["now"] for one in asked] == [False, False]
    await handover.agree("identity", "contact")
    await handover.walk("propose", "r.accept")
    await asked_by_link(world, handover, ANA)
    before, after = ok(await she.get(mine(handover)))["previews"]
    assert (before["now"], after["now"]) == (False, True)
    assert steady(after["reads"]) == steady((await handover.recipient.get(handover.place)).json())


async def test_she_reads_a_hand_over_whole(world: World, handover: Handover) -> None:
    """What is written of her, said, kept and agreed to; what she reads is no disclosure."""
    await handover.open(**FULL)
    await handover.agree("identity", "contact", "needs", "documents")
    document = await added(handover.sender, handover)
    await handover.walk("propose", "r.accept")
    await handover.sender.post(f"{handover.place}/messages", json={"words": "Elle vient lundi."})
    she = await herself(world, handover)
    before = len((await handover.sender.get(f"{handover.place}/disclosures")).json()["items"])
    whole = ok(await she.get(mine(handover)))
    assert whole["referral"]["person"]["identity"]["given_name"] == GIVEN
    assert whole["referral"]["notes"] == NOTE
    assert whole["referral"]["concerned"] == FULL["concerned"]
    assert [one["words"] for one in whole["messages"]] == ["Elle vient lundi."]
    assert [(one["id"], one["title"]) for one in whole["documents"]] == [(document, "bulletin.pdf")]
    assert [one["status"] for one in whole["consents"]] == ["given"]
    assert whole["consents"][0]["status_history"]
    content = await she.get(f"{mine(handover)}/documents/{document}")
    assert content.content == PDF
    assert content.headers["cache-control"] == "no-store"
    assert content.headers["content-disposition"].startswith("attachment")
    assert problem(await she.get(f"{mine(handover)}/documents/{uuid4()}")) == (404, "not-found")
    assert len((await handover.sender.get(f"{handover.place}/disclosures")).json()["items"]) == before
    wrote = await she.post(f"{mine(handover)}/messages", json={"words": "Merci, je viens."})
    assert ok(wrote)["author"] == "person"
    thread = (await handover.recipient.get(f"{handover.place}/messages")).json()["items"]
    assert [one["party"] for one in thread] == ["sender", "person"]


async def test_at_level_steps_she_reads_steps_and_meeting_alone(world: World, handover: Handover) -> None:
    """And stops it all the same."""
    await handover.open(**FULL)
    await handover.agree()
    await handover.walk("propose", "r.accept", "r.plan_meeting")
    she = await herself(world, handover, level="steps")
    (found,) = ok(await she.get("/v1/person/referrals"))["items"]
    assert set(found) == {"id", "state", "created_at", "steps", "meeting", "allowed_actions", "waits"}
    assert not [word for word in (*HERS, RECIPIENT.name, SENDER.name) if word in json.dumps(found)]
    for method, path, body in (
        ("GET", mine(handover), None), ("GET", f"{mine(handover)}/readers", None), ("GET", "/v1/person/copy", None),
        ("GET", f"{mine(handover)}/preview", None), ("PATCH", mine(handover), {}),
        ("POST", f"{mine(handover)}/needs", {"theme": "childcare", "words": "lundi"}),
        ("PUT", f"{mine(handover)}/hidden", {"theme": "childcare"}),
        ("POST", f"/v1/person/consents/{handover.consent_id}/confirm", None),
        ("POST", f"/v1/person/consents/{handover.consent_id}/answer", {"agreed": True}),
        ("POST", "/v1/person/referrals/link", {"link": "x", "code": PICTURES}),
        ("POST", f"{mine(handover)}/messages", {"words": "lundi"}),
        ("GET", f"{mine(handover)}/documents/{uuid4()}", None), ("GET", f"{mine(handover)}/places", None),
    ):  # fmt: skip
        assert problem(await she.request(method, path, json=body)) == (403, "scope-missing"), path
    ok(await she.post(f"{mine(handover)}/confirm_handover"))
    assert ok(await she.post(f"{mine(handover)}/withdraw"))["state"] == "withdrawn"


STOP = {"name": "Gare", "kind": "bus", "walk_m": 240, "latitude": 50.4111, "longitude": 4.4412}


def a_site(**changes: Any) -> dict[str, Any]:
    """Answer a place of a service as the directory tells it."""
    return {
        "name": "Crèche",
        "confidential": False,
        "address": {"street": "rue des Jardins 12", "postcode": "6000", "municipality": "Charleroi"},
        "latitude": 50.41,
        "longitude": 4.44,
        "precision": "exact",
        "nearest_stops": [STOP],
        **changes,
    }


async def test_she_reads_how_to_get_there_and_takes_her_meeting_along(world: World, handover: Handover) -> None:
    """A confidential place is not told, a discreet card tells none, and her calendar says only when."""
    served = world.directory.services[str(RECIPIENT.service_id)]
    served["locations"] = [a_site(), a_site(confidential=True), a_site(name="Antenne", precision="municipality")]
    await handover.open()
    await handover.agree()
    await handover.walk("propose", "r.accept")
    planned = {"starts_at": "2030-01-08T09:00:00Z", "to_be_agreed": False, "place": PLACE}
    assert (await handover.step(handover.recipient, "plan_meeting", **planned)).status_code == 200
    she = await herself(world, handover, language="nl")
    exact, rough = ok(await she.get(f"{mine(handover)}/places"))["items"]
    assert exact["stops"] == [STOP]
    assert (exact["latitude"], rough["name"], "latitude" in rough) == (50.41, "Antenne", False)
    told = await she.get(f"{mine(handover)}/meetings.ics")
    assert told.headers["cache-control"] == "no-store"
    assert "SUMMARY:Afspraak\r\n" in told.text
    reference = (await handover.sender.get(handover.place)).json()["short_code"]
    assert not [word for word in (*HERS, reference, RECIPIENT.name, "LOCATION") if word in told.text]
    she = await herself(world, handover, discreet=True)
    assert ok(await she.get(f"{mine(handover)}/places")) == {"items": []}
    world.directory.up = False
    she = await herself(world, handover)
    assert problem(await she.get(f"{mine(handover)}/places")) == (503, "unavailable")
    world.directory.up = True
    del served["locations"]


SUBSETS = [frozenset(chosen) for size in range(1, 7) for chosen in combinations(Category, size)]
UNSTEADY = {
    "updated_at",
    "due_at",
    "overdue",
    "allowed_actions",
    "state",
    "recipient_counsellor",
    "undo_until",
    "assigned",
}
"""What the walk itself changes: when, by whom, and what can be done next."""


def steady(view: dict[str, Any]) -> dict[str, Any]:
    """Answer what of a representation is of her."""
    return {name: one for name, one in bare(view).items() if name not in UNSTEADY}


async def test_the_preview_is_what_they_then_read(world: World) -> None:
    """For each subset of the categories, before somebody takes over and after; her hidden line is in neither."""
    needs = [
        {"theme": "childcare", "words": WORDS},
        {"theme": "mobility", "words": "pas de permis", "hidden_from": ["recipient"]},
    ]
    for chosen in SUBSETS:
        handover = world.between(SENDER, RECIPIENT)
        await handover.open(needs=needs, **FULL)
        await added(handover.sender, handover)
        she = await herself(world, handover)
        params = [("data_categories", str(one)) for one in sorted(chosen)]
        tried = ok(await she.get(f"{mine(handover)}/preview", params=params))["items"]
        assert [(one["stage"], one["now"]) for one in tried] == [("proposed", False), ("accepted", False)]
        await handover.agree(*sorted(chosen))
        for place, step in enumerate(("propose", "r.accept")):
            await handover.walk(step)
            read = await handover.recipient.get(handover.place)
            assert steady(tried[place]["reads"]) == steady(read.json()), chosen
            documents = (await handover.recipient.get(f"{handover.place}/documents")).json()["items"]
            assert bare(tried[place]["documents"]) == bare(documents), chosen
            stands = ok(await she.get(f"{mine(handover)}/preview"))["items"][place]
            assert stands["now"] is True
            # Once it stands so, nothing differs but whose it is over there, which is theirs alone.
            seen = {name: one for name, one in read.json().items() if name != "assigned"}
            assert bare(stands["reads"]) == bare(seen), chosen
            assert "pas de permis" not in json.dumps(stands)
            if Category.NEEDS in chosen:
                assert WORDS in json.dumps(stands)


async def test_the_preview_holds_no_reference_of_their_software(world: World, handover: Handover) -> None:
    await handover.proposed()
    for client, name in ((handover.sender, "notre-ref"), (handover.recipient, "leur-ref")):
        kept = await client.put(f"{handover.place}/external_ids", json={"case-tool": name})
        assert name in kept.text
    she = await herself(world, handover)
    assert "-ref" not in (await she.get(mine(handover))).text


async def test_the_preview_of_what_she_is_asked(world: World, handover: Handover) -> None:
    """Without a choice of hers it shows what was asked for; after the end, what is left."""
    await handover.open()
    she = await herself(world, handover)
    nothing = ok(await she.get(f"{mine(handover)}/preview"))["items"]
    assert not [word for word in HERS if word in json.dumps(nothing)]
    await asked_by_link(world, handover, ANA, "identity")
    early, late = ok(await she.get(f"{mine(handover)}/preview"))["items"]
    assert GIVEN not in json.dumps(early)
    assert late["reads"]["person"]["identity"]["given_name"] == GIVEN
    assert PHONE not in json.dumps(late)
    await handover.agree()
    await handover.walk("propose", "cancel")
    (ended,) = ok(await she.get(f"{mine(handover)}/preview"))["items"]
    assert (ended["stage"], ended["now"]) == ("ended", True)
    assert bare(ended["reads"]) == bare((await handover.recipient.get(handover.place)).json())


async def test_she_answers_what_she_was_asked(world: World, handover: Handover) -> None:
    """Yes, no, or less; once, and the same again changes nothing."""
    await handover.open()
    she = await herself(world, handover)
    request = await asked_by_link(world, handover, ANA, "identity", "contact")
    answer = f"/v1/person/consents/{request}/answer"
    more = {"agreed": True, "data_categories": ["identity", "notes"]}
    assert problem(await she.post(answer, json=more)) == (422, "invalid-input")
    past = {"agreed": True, "valid_until": "2026-01-01T00:00:00Z"}
    assert problem(await she.post(answer, json=past)) == (422, "invalid-input")
    for guessed in (1, "yes"):
        assert problem(await she.post(answer, json={"agreed": guessed})) == (422, "invalid-input")
    less = {"agreed": True, "data_categories": ["identity"]}
    first = ok(await she.post(answer, json=less))
    assert (first["status"], first["data_categories"], first["method"]) == ("given", ["identity"], "private_link")
    again = ok(await she.post(answer, json=less))
    assert again["id"] == first["id"]
    assert problem(await she.post(answer, json={"agreed": False})) == (409, "transition-not-allowed")
    await handover.walk("propose", "r.accept")
    assert GIVEN in (await handover.recipient.get(handover.place)).text
    other = world.between(SENDER, RECIPIENT)
    await other.open()
    she = await herself(world, other)
    request = await asked_by_link(world, other, ANA)
    for _ in range(2):
        assert (
            ok(await she.post(f"/v1/person/consents/{request}/answer", json={"agreed": False}))["status"] == "refused"
        )
    assert problem(await other.step(other.sender, "propose")) == (409, "consent-missing")


async def test_what_stays_closed_opens_when_she_confirms_it_alone(world: World) -> None:
    """On a sensitive theme, and not at a counter, where somebody stands by."""
    handover = world.between(SENDER, SENSITIVE)
    await handover.open()
    await handover.agree("identity", "contact", seen_alone="no", article_9_basis="explicit consent")
    await handover.walk("propose", "r.accept")
    hers = await card(handover)
    she = await opened(world, hers)
    (found,) = ok(await she.get("/v1/person/referrals"))["items"]
    assert found["waits"][0] == {"kind": "confirm_alone", "consent_id": handover.consent_id}
    assert (found["shared"][0]["categories"], found["shared"][0]["held_back"]) == (["identity"], ["contact"])
    confirm = f"/v1/person/consents/{handover.consent_id}/confirm"
    counter = await opened(world, hers, world.as_(OUTSIDER))
    assert problem(await counter.post(confirm)) == (409, "transition-not-allowed")
    assert PHONE not in (await handover.recipient.get(handover.place)).text
    first = ok(await she.post(confirm))
    assert (first["status"], first["seen_alone"]) == ("given", "yes")
    assert ok(await she.post(confirm))["id"] == first["id"]
    assert PHONE in (await handover.recipient.get(handover.place)).text
    assert ok(await she.get("/v1/person/referrals"))["items"][0]["shared"][0]["held_back"] == []


async def test_stopping_cuts_the_next_reading(world: World, handover: Handover) -> None:
    """A part of it, then all; the other side answers for its own copy, and she reads the answer."""
    await handover.proposed()
    await handover.walk("r.accept")
    she = await herself(world, handover)
    assert PHONE in (await handover.recipient.get(handover.place)).text
    stop = f"/v1/person/consents/{handover.consent_id}/withdraw"
    narrower = ok(await she.post(stop, json={"data_categories": ["contact"]}))
    assert narrower["data_categories"] == ["identity", "needs"]
    read = (await handover.recipient.get(handover.place)).text
    assert PHONE not in read
    assert GIVEN in read
    for _ in range(2):
        assert ok(await she.post(f"{mine(handover)}/withdraw"))["state"] == "withdrawn"
    read = (await handover.recipient.get(handover.place)).text
    assert not [word for word in HERS if word in read]
    whole = ok(await she.get(mine(handover)))
    methods = [one.get("withdrawal_method") for one in whole["consents"] if one["status"] == "withdrawn"]
    assert methods == ["private_link"]
    assert [one.get("answer") for one in whole["local_copies"]] == [None, None]
    tasks = (await handover.recipient.get(f"{handover.place}/tasks")).json()["items"]
    copies = [one["id"] for one in tasks if one["kind"] == "local_copy"]
    await handover.recipient.post(f"/v1/tasks/{copies[0]}/done", json={"local_copy": "erased"})
    kept = {"local_copy": "kept", "basis": "obligation comptable"}
    await handover.recipient.post(f"/v1/tasks/{copies[1]}/done", json=kept)
    told = ok(await she.get(mine(handover)))["local_copies"]
    assert [(one["answer"], one.get("basis")) for one in told] == [("erased", None), ("kept", "obligation comptable")]


async def test_stopping_one_agreement_stops_the_hand_over(world: World, handover: Handover) -> None:
    await handover.proposed()
    she = await opened(world, await card(handover), world.as_(OUTSIDER))
    stop = f"/v1/person/consents/{handover.consent_id}/withdraw"
    for _ in range(2):
        stopped = ok(await she.post(stop))
        assert (stopped["status"], stopped["withdrawal_method"]) == ("withdrawn", "in_person")
    assert ok(await she.get("/v1/person/referrals"))["items"][0]["state"] == "withdrawn"


async def test_she_corrects_who_she_is_and_both_sides_are_told(world: World, handover: Handover) -> None:
    await handover.proposed()
    await handover.walk("r.accept")
    she = await herself(world, handover)
    before = await handover.recipient.get(handover.place)
    change = {"identity": {"given_name": "Amina", "family_name": FAMILY}, "contact": {"phone": "0499 00 11 22"}}
    for _ in range(2):
        seen = ok(await she.patch(mine(handover), json=change))
        assert seen["person"]["identity"] == {"given_name": "Amina", "family_name": FAMILY}
    after = await handover.recipient.get(handover.place)
    assert after.json()["person"]["contact"]["phone"] == "0499 00 11 22"
    assert after.headers["etag"] != before.headers["etag"]
    assert (await handover.sender.get(handover.place)).json()["person"]["identity"]["given_name"] == "Amina"
    for client in (handover.sender, handover.recipient):
        tasks = (await client.get(f"{handover.place}/tasks")).json()["items"]
        assert [one["reason"] for one in tasks if one["kind"] == "corrected"] == ["person.corrected"]
        assert "Amina" not in json.dumps(tasks)
    events = (await handover.recipient.get(f"{handover.place}/events")).json()["items"]
    assert [one["actor"] for one in events if one["type"] == "person.corrected"] == ["person"]
    for wrong in (
        {"contact": {"address": f"rue {NISS}"}}, {"identity": {"called": NISS}},
        {"contact": {"safety": {"times": NISS}}},
    ):  # fmt: skip
        answer = await she.patch(mine(handover), json=wrong)
        assert problem(answer) == (422, "personal-data-detected")
        assert NISS not in answer.text


async def test_a_corrected_name_is_not_in_what_is_read_before(world: World, handover: Handover) -> None:
    """Her counsellor wrote the name that she now gives: the line is named, and nothing changes."""
    await handover.proposed(needs=[{"theme": "childcare", "words": "une place pour Yasmina"}])
    she = await herself(world, handover)
    answer = await she.patch(mine(handover), json={"identity": {"given_name": "Yasmina"}})
    assert problem(answer) == (422, "personal-data-detected")
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/needs/0/words"]
    assert "Yasmina" not in answer.text
    assert ok(await she.get(mine(handover)))["referral"]["person"]["identity"]["given_name"] == GIVEN
    # She hides the line, and then nothing of her is read before; showing it again would tell.
    line = {"theme": "childcare", "words": "une place pour Yasmina"}
    ok(await she.put(f"{mine(handover)}/hidden", json=line))
    ok(await she.patch(mine(handover), json={"identity": {"given_name": "Yasmina"}}))
    answer = await she.put(f"{mine(handover)}/hidden", json={**line, "hidden": False})
    assert problem(answer) == (422, "personal-data-detected")
    assert "Yasmina" not in (await handover.recipient.get(handover.place)).text


async def test_what_reads_without_her_hidden_line_is_recorded_so(world: World, handover: Handover) -> None:
    """Where she hid her only line nothing of the need is shown, and none of it stands in the record as shown."""
    await handover.proposed()
    she = await herself(world, handover)

    async def recorded() -> list[list[str]]:
        rows = (await handover.sender.get(f"{handover.place}/disclosures")).json()["items"]
        return [row["categories"] for row in rows if row["organisation_id"] == str(RECIPIENT.id)]

    ok(await she.put(f"{mine(handover)}/hidden", json={"theme": "childcare", "words": WORDS}))
    before = await recorded()
    assert WORDS not in (await handover.recipient.get(handover.place)).text
    after = await recorded()
    assert not any("needs" in categories for categories in after[: len(after) - len(before)])
    ok(await she.put(f"{mine(handover)}/hidden", json={"theme": "childcare", "words": WORDS, "hidden": False}))
    assert WORDS in (await handover.recipient.get(handover.place)).text
    assert "needs" in (await recorded())[0]


async def test_she_adds_words_and_hides_a_line(world: World, handover: Handover) -> None:
    await handover.proposed()
    she = await herself(world, handover)
    line = {"theme": "childcare", "words": "plutôt le matin"}
    for _ in range(2):
        seen = ok(await she.post(f"{mine(handover)}/needs", json=line))
        assert [(one["words"], one["said_by"]) for one in seen["needs"]] == [
            (WORDS, "person"),
            ("plutôt le matin", "person"),
        ]
    assert "plutôt le matin" in (await handover.recipient.get(handover.place)).text
    for words in (f"demandez {GIVEN}", PHONE, "a@b.example", NISS):
        answer = await she.post(f"{mine(handover)}/needs", json={"theme": "childcare", "words": words})
        assert problem(answer) == (422, "personal-data-detected")
        assert words not in answer.text
    elsewhere = {"theme": "support--health", "words": "fatiguée"}
    assert problem(await she.post(f"{mine(handover)}/needs", json=elsewhere)) == (422, "invalid-input")
    hide = {"theme": "childcare", "words": WORDS}
    for hidden in (True, True, False):
        ok(await she.put(f"{mine(handover)}/hidden", json={**hide, "hidden": hidden}))
        assert (WORDS in (await handover.recipient.get(handover.place)).text) is not hidden
        assert WORDS in (await handover.sender.get(handover.place)).text
    absent = {"theme": "childcare", "words": "rien de tel"}
    assert problem(await she.put(f"{mine(handover)}/hidden", json=absent)) == (422, "invalid-input")
    told = (await handover.recipient.get(f"{handover.place}/events")).text
    assert told.count("person.changed_needs") == 3
    tasks = (await handover.recipient.get(f"{handover.place}/tasks")).json()["items"]
    assert [(one["kind"], one["reason"]) for one in tasks] == [("corrected", "person.changed_needs")] * 3
    assert "hid" not in told


async def test_a_full_list_takes_no_more_lines_and_stays_a_draft_to_change(world: World, handover: Handover) -> None:
    opened_ = await handover.open(needs=[{"theme": "childcare", "words": f"ligne {n}"} for n in range(10)])
    she = await herself(world, handover)
    for number in range(10):
        ok(await she.post(f"{mine(handover)}/needs", json={"theme": "childcare", "words": f"mienne {number}"}))
    full = await she.post(f"{mine(handover)}/needs", json={"theme": "childcare", "words": "encore"})
    assert problem(full) == (422, "invalid-input")
    headers = {"If-Match": (await handover.sender.get(handover.place)).headers["etag"]}
    assert opened_.headers["etag"] != headers["If-Match"]
    changed = await handover.sender.patch(handover.place, headers=headers, json={"urgency": "today"})
    assert changed.status_code == 200, changed.text


async def test_she_lets_it_rest_and_says_that_she_was_met(world: World, handover: Handover) -> None:
    """No version to show, and twice is once."""
    await handover.proposed()
    she = await herself(world, handover)
    assert problem(await she.post(f"{mine(handover)}/confirm_handover")) == (409, "transition-not-allowed")
    day = (datetime.now(UTC).date() + timedelta(days=9)).isoformat()
    for until in (None, day, day):
        found = ok(await she.post(f"{mine(handover)}/pause", json={"until": until} if until else None))
        assert found["paused"].get("until") == until
    assert (await handover.recipient.get(handover.place)).json()["paused"]["until"] == day
    for _ in range(2):
        assert "paused" not in ok(await she.post(f"{mine(handover)}/resume"))
    await handover.walk("r.accept")
    for _ in range(2):
        found = ok(await she.post(f"{mine(handover)}/confirm_handover", json={"mode": "call"}))
        assert found["confirmations"]["person"]["mode"] == "call"
    types = [one["type"] for one in found["steps"]]
    assert types.count("referral.paused") == 2
    assert types.count("referral.resumed") == 1
    assert types.count("referral.handover_confirmed") == 1


async def test_who_read_what_in_one_line_for_each_structure_and_day(
    world: World, handover: Handover, clock: list[datetime]
) -> None:
    """With the function; the name of her named counsellors alone; and whose software took it over."""
    clock[0] = datetime.now(UTC).replace(hour=10)
    counsellor = {"name": "Ben Noel", "function": "puéricultrice", "email": "ben@creche.example"}
    ben = Actor("user", f"user:{UUID(int=7)}", RECIPIENT.id, RECIPIENT.name, frozenset({"referral:receive"}),
                user_id=UUID(int=7), name="Ben Noel")  # fmt: skip
    lea = Actor("client", "client:creche", RECIPIENT.id, RECIPIENT.name, frozenset({"referral:receive"}),
                on_behalf_of="lea@creche.example")  # fmt: skip
    await handover.open()
    await handover.agree(given_at=clock[0].isoformat())
    await handover.walk("propose")
    recipient = world.anonymous(Asserted(world.gateway, ben))
    tag = {"If-Match": (await handover.sender.get(handover.place)).headers["etag"]}
    taken = await recipient.post(f"{handover.place}/accept", headers=tag, json={"counsellor": counsellor})
    assert taken.status_code == 200, taken.text
    await recipient.get(handover.place)
    she = await herself(world, handover)
    await handover.sender.get(handover.place)
    hers = ok(await she.get(f"{mine(handover)}/readers"))["items"]
    today = clock[0].date().isoformat()
    assert len(hers) == 2
    by_name = {one["organisation"]: one for one in hers}
    assert by_name[RECIPIENT.name] == {
        "day": today,
        "organisation": RECIPIENT.name,
        "function": "puéricultrice",
        "name": "Ben Noel",
        "categories": ["constraints", "contact", "identity", "needs"],
    }
    # The sender's software read without saying for whom.
    assert by_name[SENDER.name]["copied_into"] == SENDER.name
    assert "name" not in by_name[SENDER.name]
    clock[0] += timedelta(days=1)
    await world.anonymous(Asserted(world.gateway, lea)).get(handover.place)
    she = await herself(world, handover)
    newest = ok(await she.get(f"{mine(handover)}/readers"))["items"]
    assert len(newest) == 3
    assert newest[0]["day"] == clock[0].date().isoformat()
    assert not {"name", "function", "copied_into"} & set(newest[0])
    assert "lea@" not in json.dumps(newest)
    assert "client:" not in json.dumps(newest)


async def test_an_erasure_closes_every_access_at_once(world: World, handover: Handover, clock: list[datetime]) -> None:
    """She too reads only until when it can be taken back: in person, at a counter; what was shared stays stopped."""
    await handover.proposed()
    await handover.walk("r.accept")
    hers = await card(handover)
    she = await opened(world, hers)
    assert GIVEN in (await handover.recipient.get(handover.place)).text
    first = ok(await she.post(f"{mine(handover)}/erase"))
    assert ok(await she.post(f"{mine(handover)}/erase")) == first
    left = datetime.fromisoformat(first["restore_until"]) - datetime.fromisoformat(first["erased_at"])
    assert left == timedelta(hours=72)
    (found,) = ok(await she.get("/v1/person/referrals"))["items"]
    assert found == {"id": handover.id, "erased": first}
    assert ok(await she.get("/v1/person/copy"))["items"] == [{"erased": first, "readings": []}]
    for path in ("", "/readers", "/preview", f"/documents/{uuid4()}"):
        assert problem(await she.get(f"{mine(handover)}{path}")) == (404, "not-found"), path
    assert problem(await she.patch(mine(handover), json={})) == (404, "not-found")
    for client in (handover.sender, handover.recipient):
        for path in ("", "/messages", "/documents", "/meetings"):
            text = (await client.get(f"{handover.place}{path}")).text
            assert not [word for word in HERS if word in text], path
    assert (await handover.sender.get(handover.place)).json()["state"] == "withdrawn"
    tasks = (await handover.recipient.get(f"{handover.place}/tasks")).json()["items"]
    assert [one["kind"] for one in tasks if not one.get("done_at")] == ["local_copy"]
    answer = await handover.sender.post(f"{handover.place}/access", json={"code": PICTURES, "level": "full"})
    assert problem(answer) == (404, "not-found")
    assert problem(await she.post(f"{mine(handover)}/restore")) == (409, "transition-not-allowed")
    clock[0] += timedelta(hours=71, minutes=50)
    counter = await opened(world, hers, world.as_(OUTSIDER))
    assert ok(await counter.post(f"{mine(handover)}/restore"))["state"] == "withdrawn"
    whole = ok(await counter.get(mine(handover)))
    assert whole["referral"]["person"]["identity"]["given_name"] == GIVEN
    assert [one["status"] for one in whole["consents"]] == ["withdrawn"]
    assert GIVEN not in (await handover.recipient.get(handover.place)).text
    assert problem(await counter.post(f"{mine(handover)}/restore")) == (409, "transition-not-allowed")
    ok(await counter.post(f"{mine(handover)}/erase"))
    clock[0] += timedelta(hours=72)
    counter = await opened(world, hers, world.as_(OUTSIDER))
    assert problem(await counter.post(f"{mine(handover)}/restore")) == (409, "transition-not-allowed")


async def test_what_was_declined_is_erased_too(world: World, handover: Handover) -> None:
    """Its agreement ends with it, though the hand-over had ended before."""
    await handover.proposed()
    await handover.walk("r.decline")
    she = await herself(world, handover)
    ok(await she.post(f"{mine(handover)}/erase"))
    consents = (await handover.sender.get(f"{handover.place}/consents")).json()["items"]
    assert [one["status"] for one in consents] == ["withdrawn"]
    assert (await handover.sender.get(handover.place)).json()["state"] == "declined"
    assert problem(await handover.step(handover.recipient, "undo"))[0] in {404, 409}


async def test_a_copy_holds_everything(world: World, handover: Handover) -> None:
    await handover.open(**FULL)
    await handover.agree("identity", "contact", "needs", "notes")
    await handover.walk("propose", "r.accept")
    await handover.sender.post(f"{handover.place}/messages", json={"words": "Elle vient lundi."})
    she = await herself(world, handover)
    copy = ok(await she.get("/v1/person/copy"))
    text = json.dumps(copy, ensure_ascii=False)
    for word in (GIVEN, FAMILY, PHONE, WORDS, NOTE, PLACE, "chez une amie", "Elle vient lundi.", RECIPIENT.name):
        assert word in text, word
    assert [one["way"] for one in copy["access"]["openings"]] == ["link"]
    (item,) = copy["items"]
    assert {one["organisation"] for one in item["readings"]} == {SENDER.name, RECIPIENT.name}


@pytest.mark.parametrize("language", ["fr", "nl", "de", "en", "ar"])
async def test_her_copy_is_printed_in_her_language(world: World, handover: Handover, language: str) -> None:
    """Everything that the copy holds, in a PDF that can be read aloud, without a code of ours."""
    await handover.open(**FULL)
    await handover.agree("identity", "contact", "needs", "notes")
    await handover.walk("propose", "r.accept", "r.plan_meeting", "r.confirm_handover", "confirm_handover", "r.close")
    await handover.sender.post(f"{handover.place}/messages", json={"words": "Elle vient lundi. #include $x$ *"})
    gone = world.between(SENDER, RECIPIENT)
    await gone.open()
    declined = await world.between(OUTSIDER, RECIPIENT).proposed()
    await declined.walk("r.decline")
    she = await herself(world, handover, language=language)
    ok(await she.post("/v1/person/referrals/link", json=(await card(declined)).shown()))
    ok(await she.post("/v1/person/referrals/link", json=(await card(gone)).shown()))
    ok(await she.post(f"{mine(gone)}/erase"))
    ok(await she.post(f"{mine(handover)}/withdraw"))
    copy = CopyView.model_validate(ok(await she.get("/v1/person/copy")))
    html = as_html(copying.paper(copy))
    for word in (GIVEN, FAMILY, PHONE, WORDS, NOTE, PLACE, "chez une amie", "#include $x$ *", RECIPIENT.name):
        assert word in html, word
    assert "_" not in html.partition("<main>")[2], "a name of ours that has no word"
    printed = await she.get("/v1/person/copy.pdf")
    assert printed.headers["content-type"] == "application/pdf"
    assert printed.headers["cache-control"] == "no-store"
    assert printed.content.startswith(b"%PDF-")


async def test_nothing_of_hers_is_logged_or_in_events(
    world: World, handover: Handover, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither when she reads, nor when she changes, nor when she is refused."""
    await handover.open(**FULL)
    await handover.agree()
    await handover.walk("propose", "r.accept")
    capfd.readouterr()
    hers = await card(handover)
    she = await opened(world, hers)
    session = she.headers["Relais-Person-Session"]
    secret = "Zeynep-Essai"
    await she.get(mine(handover))
    await she.patch(mine(handover), json={"identity": {"given_name": secret}})
    await she.patch(mine(handover), json={"identity": {"given_name": NISS}})
    await she.post(f"{mine(handover)}/needs", json={"theme": "childcare", "words": f"{secret} attend"})
    await she.post("/v1/person/referrals/link", json={"link": hers.link, "code": {"kind": "digits", "value": "918273"}})
    await she.get("/v1/person/copy")
    await she.post(f"{mine(handover)}/erase")
    logged = "".join(capfd.readouterr())
    words = (*HERS, secret, NISS, session, hers.link.partition("#")[2], "918273")
    assert not [word for word in words if word in logged]
    owner = await asyncpg.connect(world.database.owner_dsn)
    rows = await owner.fetch("select * from event where referral_id = $1", handover.id)
    await owner.close()
    kept = str([dict(row) for row in rows])
    assert rows
    assert not [word for word in words if word in kept]


async def test_without_telephone_and_surname_it_reaches_handed_over(world: World, handover: Handover) -> None:
    """What she wishes to be called and the word of her counsellor are enough."""
    person = {
        **a_draft(RECIPIENT)["person"],
        "identity": {"called": "Mme A."},
        "contact": {"reach": "via_sender"},
    }
    await handover.open(person=person)
    she = await opened(world, await card(handover, level="none"), world.as_(OUTSIDER))
    request = await asked_by_link(world, handover, ANA, "identity", "contact", "needs")
    ok(await she.post(f"/v1/person/consents/{request}/answer", json={"agreed": True}))
    await handover.walk("propose", "r.receive", "r.accept", "r.plan_meeting", "confirm_handover", "r.confirm_handover")
    read = (await handover.recipient.get(handover.place)).json()
    assert (read["state"], read["person"]["identity"]) == ("handed_over", {"called": "Mme A."})
    assert read["person"]["contact"]["reach"] == "via_sender"


async def test_her_word_stands_for_her_senders_and_never_for_the_recipients(world: World) -> None:
    """Whichever comes first; with her sender's alone, nobody of the other side has met her yet."""
    for first in ("she", "recipient"):
        handover = await world.between(SENDER, RECIPIENT).proposed()
        await handover.walk("r.accept")
        she = await herself(world, handover)
        if first == "she":
            assert ok(await she.post(f"{mine(handover)}/confirm_handover"))["state"] == "accepted"
            assert (await handover.step(handover.sender, "confirm_handover")).json()["state"] == "accepted"
            assert (await handover.step(handover.recipient, "confirm_handover")).json()["state"] == "handed_over"
        else:
            assert (await handover.step(handover.recipient, "confirm_handover")).json()["state"] == "accepted"
            assert ok(await she.post(f"{mine(handover)}/confirm_handover"))["state"] == "handed_over"


async def test_a_sanctioning_senders_hand_over_is_confirmed_without_it(world: World) -> None:
    """By the recipient and by her; the sender reads nothing of it, whoever says it first."""
    handover = await world.between(SANCTIONING, RECIPIENT).proposed()
    await handover.walk("r.accept")
    hers = await card(handover, handover.recipient)
    she = await opened(world, hers)

    async def seen() -> list[str]:
        found = [await handover.sender.get(f"{handover.place}{path}") for path in ("", "/events", "/tasks", "/access")]
        return [one.headers.get("etag", "") + one.text for one in found]

    before = await seen()
    assert problem(await handover.step(handover.sender, "confirm_handover"))[0] == 409
    ok(await she.post(f"{mine(handover)}/confirm_handover"))
    assert await seen() == before
    confirmed = await handover.step(handover.recipient, "confirm_handover")
    assert confirmed.json()["state"] == "handed_over"
    assert await seen() == before
    assert ok(await she.get("/v1/person/referrals"))["items"][0]["state"] == "handed_over"
