"""What she takes along and has erased."""

import json
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from api.referral.her import FULL, PICTURES, card, herself, mine, ok, opened
from api.referral.world import (
    FAMILY,
    GIVEN,
    HERS,
    NOTE,
    OUTSIDER,
    PHONE,
    PLACE,
    RECIPIENT,
    SENDER,
    WORDS,
    Handover,
    World,
    problem,
)

from relais_referral import copying
from relais_referral.papers.paper import as_html
from relais_referral.schemas.person import CopyView

pytestmark = pytest.mark.anyio


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
