"""What she reads in her own session: everything of hers, and nobody's word between."""

import json
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from api.referral.her import ANA, FULL, NISS, PICTURES, asked_by_link, bare, card, herself, mine, ok, opened
from api.referral.world import (
    GIVEN,
    HERS,
    NOTE,
    PHONE,
    PLACE,
    RECIPIENT,
    SENDER,
    WORDS,
    Asserted,
    Handover,
    World,
    problem,
)

from relais_referral.domain.visibility import Category
from relais_shared.auth import Actor
from relais_shared.client import Client

pytestmark = pytest.mark.anyio
PDF = b"%PDF-1.7\n1 0 obj\nendobj\n%%EOF\n"


async def added(client: Client, handover: Handover, title: str = "bulletin.pdf") -> str:
    """Add a document as a side; answer its id."""
    headers = {"Content-Type": "application/pdf", "Content-Disposition": f'attachment; filename="{title}"'}
    answer = await client.post(f"{handover.place}/documents", headers=headers, content=PDF)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


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
