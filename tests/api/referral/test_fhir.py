"""FHIR R4: every answer is a valid resource, shows what the JSON API shows the same reader, and no more."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api.referral.her import asked_by_link
from api.referral.world import (
    HERS,
    OUTSIDER,
    PATHS,
    PHONE,
    PRACTISING,
    RECEIVE,
    RECIPIENT,
    SANCTIONING,
    SEND,
    SENDER,
    Handover,
    Structure,
    World,
)
from fhir.resources.R4B import get_fhir_model_class

from relais_referral import facade
from relais_referral.domain.handshake import State
from relais_shared.auth import Actor
from relais_shared.client import Client

pytestmark = pytest.mark.anyio

STATUSES = {
    "draft": "draft", "proposed": "requested", "received": "requested", "accepted": "accepted",
    "meeting_planned": "in-progress", "handed_over": "in-progress", "closed": "completed", "declined": "rejected",
    "cancelled": "cancelled", "withdrawn": "cancelled",
}  # fmt: skip


def operations(referral_id: str, consent_id: str) -> list[str]:
    """Answer the path of everything that is read of one referral."""
    return [
        f"/fhir/Task/{referral_id}",
        f"/fhir/ServiceRequest/{referral_id}",
        f"/fhir/Consent/{consent_id}",
        "/fhir/Consent" + ("" if "{" in referral_id else f"?data=Task/{referral_id}"),
    ]


def resource(answer: httpx.Response, kind: str, status: int = 200) -> dict[str, Any]:
    """Answer a resource that the public models take for valid."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/fhir+json"
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    assert found["resourceType"] == kind
    get_fhir_model_class(kind).model_validate(found)
    for one in found.get("entry", ()):
        get_fhir_model_class(one["resource"]["resourceType"]).model_validate(one["resource"])
    return found


@pytest.mark.parametrize("state", State)
async def test_each_state_has_its_status_and_every_resource_is_valid(handover: Handover, state: State) -> None:
    await handover.open()
    await handover.agree()
    if PATHS[state]:
        await handover.walk(*PATHS[state])
    for client in (handover.sender, handover.recipient)[: 1 if state is State.DRAFT else 2]:
        task = resource(await client.get(f"/fhir/Task/{handover.id}"), "Task")
        assert task["status"] == STATUSES[state]
        assert task["businessStatus"]["coding"][0]["code"] == state
        request = resource(await client.get(f"/fhir/ServiceRequest/{handover.id}"), "ServiceRequest")
        assert request["status"] == facade.REQUEST[task["status"]]
        found = resource(await client.get("/fhir/Task", params={"_id": handover.id}), "Bundle")
        assert [one["resource"]["status"] for one in found["entry"]] == [STATUSES[state]]
        assert not [word for word in HERS if word in str(found)]
        given = resource(await client.get("/fhir/Consent", params={"data": f"Task/{handover.id}"}), "Bundle")
        consent = resource(await client.get(f"/fhir/Consent/{handover.consent_id}"), "Consent")
        assert given["entry"][0]["resource"] == consent
        assert consent["status"] == ("inactive" if state is State.WITHDRAWN else "active")
        assert not [word for word in HERS if word in str(consent)]


async def test_the_same_is_shown_and_recorded_as_in_the_json_api(handover: Handover) -> None:
    await handover.proposed()
    for steps in ((), ("r.accept",), ("withdraw",)):
        if steps:
            await handover.walk(*steps)
        for client in (handover.sender, handover.recipient):
            plain = (await client.get(handover.place)).text
            before = (await handover.sender.get(f"{handover.place}/disclosures")).json()["items"]
            said = "".join([(await client.get(path)).text for path in operations(handover.id, handover.consent_id)[:2]])
            after = (await handover.sender.get(f"{handover.place}/disclosures")).json()["items"]
            # A place is no text of a task's: it stands among the notes of the request.
            assert {word for word in HERS if word in said} <= {word for word in HERS if word in plain}
            opened = [one["categories"] for one in after[: len(after) - len(before)]]
            assert len(opened) == (2 if any(word in plain for word in HERS) else 0)
    kept = resource(await handover.recipient.get(f"/fhir/Task/{handover.id}"), "Task")
    assert "contained" not in kept or not [word for word in HERS if word in str(kept)]


async def test_nobody_another_structure_and_a_missing_scope_read_nothing(world: World, handover: Handover) -> None:
    await handover.proposed()
    theirs = operations(handover.id, handover.consent_id)
    absent = operations(str(uuid4()), str(uuid4()))
    for here, nowhere in zip(theirs, absent, strict=True):
        for client, status, code in (
            (world.anonymous(), 401, "login"),
            (world.as_(SENDER, "directory:read"), 403, "forbidden"),
            (world.as_(OUTSIDER), 404, "not-found"),
            (world.as_(SENDER, RECEIVE), 404, "not-found"),
        ):
            refused = resource(await client.get(here), "OperationOutcome", status)
            assert refused["issue"][0]["code"] == code
            assert refused == resource(await client.get(nowhere), "OperationOutcome", status)
    everything = resource(await world.as_(OUTSIDER).get("/fhir/Task"), "Bundle")
    assert handover.id not in str(everything)
    assert (await world.anonymous().get("/fhir/Task")).status_code == 401


async def test_tasks_are_searched_page_by_page_and_polled(world: World) -> None:
    began = datetime.now(UTC)
    mine = [await world.between(SENDER, RECIPIENT).proposed() for _ in range(3)]
    await mine[0].walk("r.accept", "pause")
    client, ids = mine[0].sender, [one.id for one in mine]

    async def found(**params: Any) -> list[dict[str, Any]]:
        query = {"_lastUpdated": f"ge{began.isoformat()}", "_count": 1, **params}
        page = resource(await client.get("/fhir/Task", params=query), "Bundle")
        items = [one["resource"] for one in page.get("entry", ())]
        while following := [one["url"] for one in page["link"] if one["relation"] == "next"]:
            page = resource(await client.get(following[0].partition("/fhir/")[2].join(["/fhir/", ""])), "Bundle")
            items += [one["resource"] for one in page.get("entry", ())]
        return [one for one in items if one["id"] in ids]

    assert [one["id"] for one in await found()] == [ids[0], ids[2], ids[1]]
    assert [one["id"] for one in await found(status="on-hold")] == [ids[0]]
    assert [one["id"] for one in await found(status="requested,completed", requester="me")] == [ids[2], ids[1]]
    assert await found(owner="me") == []
    later = {"_lastUpdated": f"ge{(datetime.now(UTC) + timedelta(days=1)).isoformat()}"}
    assert await found(**later) == []
    for params in ({"status": "ready"}, {"_lastUpdated": "lt2026-11-03"}, {"code": "x"}, {"_count": 0}, {"_sort": "x"}):
        refused = resource(await client.get("/fhir/Task", params=params), "OperationOutcome", 422)
        assert refused["issue"][-1]["code"] == "invalid"
    refused = resource(await client.get("/fhir/Consent", params={"data": "Task/1"}), "OperationOutcome", 422)
    assert "?data" in str(refused)


async def test_a_sender_that_may_sanction_reads_no_more_in_fhir(world: World) -> None:
    declined, closed = (world.between(SANCTIONING, RECIPIENT) for _ in range(2))
    for one, steps in ((declined, ("r.decline",)), (closed, ("r.accept", "r.release"))):
        await one.proposed()
        await one.walk(*steps)
    said = [resource(await one.sender.get(f"/fhir/Task/{one.id}"), "Task") for one in (declined, closed)]
    assert {one["status"] for one in said} == {"completed"}
    assert {one["businessStatus"]["coding"][0]["code"] for one in said} == {"ended"}
    assert all("statusReason" not in one for one in said)


async def test_every_parameter_of_a_search_holds(handover: Handover) -> None:
    """All are combined, an id too; what could not be combined is refused, and never left out in silence."""
    await handover.proposed()
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()

    async def found(client: Client, **params: Any) -> int:
        page = resource(await client.get("/fhir/Task", params={"_id": handover.id, **params}), "Bundle")
        return len(page.get("entry", ()))

    assert await found(handover.sender) == 1
    assert await found(handover.sender, requester="me", status="requested") == 1
    assert await found(handover.sender, owner="me") == 0
    assert await found(handover.sender, requester="me", owner="me") == 0
    assert await found(handover.recipient, requester="me") == 0
    assert await found(handover.recipient, _lastUpdated=f"ge{later}") == 0
    assert await found(handover.sender, _id=str(uuid4())) == 0
    for twice in ("_lastUpdated=lt2026-01-01&_lastUpdated=ge2026-01-01", "status=draft&status=requested"):
        refused = resource(await handover.sender.get(f"/fhir/Task?{twice}"), "OperationOutcome", 422)
        assert f"?{twice.partition('=')[0]}" in str(refused)


async def test_what_may_be_done_with_her_number_goes_where_it_goes(handover: Handover) -> None:
    identity = {"called": "Mme B."}
    contact = {"phone": PHONE, "safety": {"voicemail": True, "times": "le matin"}}
    area = {"municipality": "be:52011"}
    await handover.proposed(person={"identity": identity, "contact": contact, "area": area, "languages": ["fr"]})
    await handover.walk("r.accept")
    task = resource(await handover.recipient.get(f"/fhir/Task/{handover.id}"), "Task")
    [phone] = task["contained"][0]["telecom"]
    assert phone["value"] == PHONE
    [safety] = phone["extension"]
    answers = {one["url"]: one.get("valueBoolean", one.get("valueString")) for one in safety["extension"]}
    assert answers == {
        "shared_phone": False, "voicemail": True, "sms": False, "may_say_who": False, "times": "le matin",
    }  # fmt: skip


async def test_a_rehearsal_is_marked_as_what_is_tried_out(world: World) -> None:
    handover = await world.between(PRACTISING, PRACTISING).proposed()
    for path in operations(handover.id, handover.consent_id)[:3]:
        found = resource(await handover.sender.get(path), path.split("/")[2])
        assert [one["code"] for one in found["meta"]["security"]] == ["HTEST"]
    real = await world.between(SENDER, RECIPIENT).proposed()
    assert "HTEST" not in (await real.sender.get(f"/fhir/Task/{real.id}")).text


@pytest.mark.parametrize("sender", [SENDER, SANCTIONING], ids=["any", "may sanction"])
async def test_what_she_is_only_asked_for_is_not_active(world: World, sender: Structure) -> None:
    handover = world.between(sender, RECIPIENT)
    await handover.proposed()
    actor = Actor("client", "client:its", sender.id, sender.name, frozenset({SEND}))
    request = await asked_by_link(world, handover, actor)
    found = resource(await handover.sender.get(f"/fhir/Consent/{request}"), "Consent")
    assert found["status"] == "proposed"
