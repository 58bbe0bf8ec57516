"""Who may do what: nobody, the wrong organisation, a missing scope; then the right ones."""

from uuid import UUID, uuid4

import httpx
import pytest
from api.referral.her import PICTURES
from api.referral.table import operations as of_conference
from api.referral.test_fhir import operations as in_fhir
from api.referral.world import (
    BODIES,
    OUTSIDER,
    RECEIVE,
    RECIPIENT,
    SEND,
    SENDER,
    Asserted,
    Handover,
    World,
    a_consent,
    a_draft,
    key,
    problem,
)
from joserfc.jwk import OKPKey

from relais_referral.schemas.consents import ConsentRequest
from relais_shared.auth import Actor, Keyring, system
from relais_shared.client import Client

pytestmark = pytest.mark.anyio

SENDERS = {
    "propose", "agree_by_phone", "cancel", "change", "record_consent", "request_consent", "invite_guest", "call_sheet",
    "redirect", "list_alternatives", "preview_draft",
}  # fmt: skip
RECIPIENTS = {"receive", "accept", "release", "reopen"}


def operations(referral_id: str, consent_id: str) -> dict[str, tuple[str, str, dict[str, object] | None]]:
    """Answer every operation on one referral: method, path, body."""
    place = f"/v1/referrals/{referral_id}"
    terms = a_consent()
    asked = {name: terms[name] for name in terms if name in ConsentRequest.model_fields}
    found: dict[str, tuple[str, str, dict[str, object] | None]] = {
        action: ("POST", f"{place}/{action}", dict(body)) for action, body in BODIES.items()
    }
    return found | {
        "read": ("GET", place, None),
        "change": ("PATCH", place, {"urgency": "today"}),
        "record_consent": ("POST", f"{place}/consents", a_consent()),
        "list_consents": ("GET", f"{place}/consents", None),
        "list_disclosures": ("GET", f"{place}/disclosures", None),
        "list_events": ("GET", f"{place}/events", None),
        "keep_external_ids": ("PUT", f"{place}/external_ids", {"case-tool": "A-17"}),
        "assign": ("POST", f"{place}/assign", {}),
        "list_messages": ("GET", f"{place}/messages", None),
        "write_message": ("POST", f"{place}/messages", {"words": "Peut-elle venir lundi ?"}),
        "list_documents": ("GET", f"{place}/documents", None),
        "read_document": ("GET", f"{place}/documents/{referral_id}", None),
        "remove_document": ("DELETE", f"{place}/documents/{referral_id}", None),
        "read_meetings": ("GET", f"{place}/meetings", None),
        "list_tasks": ("GET", f"{place}/tasks", None),
        "read_meetings_as_calendar": ("GET", f"{place}/meetings.ics", None),
        "open_conference": ("POST", f"{place}/conferences", dict(BODIES["receive"])),
        "read_reflection": ("GET", f"{place}/reflection", None),
        "note_reflection": ("PUT", f"{place}/reflection", {"criteria": "2026-1", "held": []}),
        "read_outline": ("GET", f"{place}/pathway", None),
        "withdraw_consent": ("POST", f"/v1/consents/{consent_id}/withdraw", {}),
        "read_receipt": ("GET", f"/v1/consents/{consent_id}/receipt", None),
        "request_consent": ("POST", f"{place}/consents/request", asked),
        "invite_guest": ("POST", f"{place}/guest", None),
        "call_sheet": ("GET", f"{place}/call_sheet", None),
        "preview_draft": ("GET", f"{place}/preview", None),
        "redirect": ("POST", f"{place}/redirect", {"recipient": a_draft(RECIPIENT)["recipient"]}),
        "list_alternatives": ("GET", f"{place}/alternatives", None),
        "add_document": ("POST", f"{place}/documents", {}),
        "finish_task": ("POST", f"/v1/tasks/{referral_id}/done", {}),
        "make_access": ("POST", f"{place}/access", {"code": PICTURES, "level": "full"}),
        "list_accesses": ("GET", f"{place}/access", None),
        "end_access": ("POST", f"{place}/access/end", None),
    }


async def called(client: Client, operation: tuple[str, str, dict[str, object] | None]) -> httpx.Response:
    """Call an operation with all the headers that it could ask for."""
    method, path, body = operation
    return await client.request(method, path, json=body, headers={**key(), "If-Match": '"1"'})


OF_NO_REFERRAL = {
    ("POST", "/v1/referrals"), ("GET", "/v1/referrals"), ("GET", "/v1/referrals/counts"), ("GET", "/v1/meetings.ics"),
    ("GET", "/v1/tasks"), ("POST", "/v1/cards"), ("GET", "/v1/notices/{version}/{language}"),
    ("POST", "/v1/assisted_sessions"), ("GET", "/v1/conferences"), ("GET", "/v1/events"), ("GET", "/v1/events/stream"),
    ("GET", "/v1/webhooks"), ("POST", "/v1/webhooks"), ("GET", "/v1/webhooks/{webhook_id}"),
    ("PATCH", "/v1/webhooks/{webhook_id}"), ("DELETE", "/v1/webhooks/{webhook_id}"),
    ("POST", "/v1/webhooks/{webhook_id}/rotate"), ("POST", "/v1/webhooks/{webhook_id}/test"),
    ("POST", "/v1/webhooks/{webhook_id}/replay"), ("GET", "/v1/webhooks/{webhook_id}/deliveries"),
    ("GET", "/v1/webhooks/{webhook_id}/deliveries/{event_id}"),
    ("POST", "/v1/webhooks/{webhook_id}/deliveries/{event_id}/replay"),
    ("GET", "/fhir/Task"), ("GET", "/v1/mailboxes/mine"), ("PUT", "/v1/mailboxes/mine"),
    ("GET", "/v1/figures"), ("GET", "/v1/figures/sent"), ("GET", "/v1/figures/received"),
    ("GET", "/v1/figures/reflections"), ("GET", "/v1/reflections/criteria"),
}  # fmt: skip
"""What is guarded and names no referral; what is open to all is judged in the files of its doors."""


async def test_every_operation_has_its_row(world: World) -> None:
    paths = world.app.openapi()["paths"]
    guarded = {
        (method.upper(), path)
        for path, item in paths.items()
        for method, operation in item.items()
        if not operation.get("x-relais-public")
    }
    rows = {(method, path) for method, path, _ in operations("{referral_id}", "{consent_id}").values()}
    for told, named in (
        ("documents/{referral_id}", "documents/{document_id}"),
        ("tasks/{referral_id}", "tasks/{task_id}"),
    ):
        rows = {(method, path.replace(told, named)) for method, path in rows}
    seats = of_conference("{referral_id}", "{conference_id}", "{decision_id}", "{consent_id}")
    rows |= {(method, path) for method, path, _ in seats.values()}
    rows |= {("GET", path) for path in in_fhir("{id}", "{id}")}
    assert rows | OF_NO_REFERRAL == guarded


async def test_nobody_does_nothing(world: World, handover: Handover) -> None:
    await handover.proposed()
    nobody = world.anonymous()
    every = operations(handover.id, handover.consent_id) | {
        "create": ("POST", "/v1/referrals", {}),
        "list": ("GET", "/v1/referrals", None),
        "notice": ("GET", "/v1/notices/2026-1/fr", None),
        "events": ("GET", "/v1/events", None),
        "stream": ("GET", "/v1/events/stream", None),
        "webhooks": ("GET", "/v1/webhooks", None),
        "webhook": ("POST", "/v1/webhooks", {}),
        "calendar": ("GET", "/v1/meetings.ics", None),
        "print_card": ("POST", "/v1/cards", {}),
        "registry": ("PUT", "/internal/registry", {"version": 99, "organisations": []}),
    }
    for name, operation in every.items():
        answer = await called(nobody, operation)
        assert problem(answer) == (401, "unauthenticated"), name
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_caller_is_judged_before_the_body(world: World) -> None:
    for client, expected in (
        (world.anonymous(), (401, "unauthenticated")),
        (world.as_(SENDER, RECEIVE), (403, "scope-missing")),
    ):
        answer = await client.post("/v1/referrals", content=b"{broken")
        assert problem(answer) == expected


async def test_only_the_gateway_vouches_for_others(world: World) -> None:
    """An assertion of another key, for another service, or by no sibling at all is nobody's."""
    actor = Actor("client", "client:x", SENDER.id, SENDER.name, frozenset({SEND}))
    made = OKPKey.generate_key("Ed25519", {"kid": "gateway:forged"})
    forged = Keyring("gateway", made, {})
    assert problem(await world.anonymous(Asserted(forged, actor)).get("/v1/referrals")) == (401, "unauthenticated")
    elsewhere = world.gateway.sign("directory", actor)
    answer = await world.anonymous().get("/v1/referrals", headers={"Authorization": f"Bearer {elsewhere}"})
    assert problem(answer) == (401, "unauthenticated")


async def test_the_registry_is_the_gateways_to_tell(world: World) -> None:
    snapshot = {"version": 99, "organisations": []}
    for actor in (
        Actor("client", "client:x", SENDER.id, SENDER.name, frozenset({SEND, RECEIVE, "platform:admin"})),
        Actor("user", "user:x", SENDER.id, SENDER.name, frozenset({"platform:admin"})),
    ):
        answer = await world.anonymous(Asserted(world.gateway, actor)).put("/internal/registry", json=snapshot)
        assert problem(answer) == (401, "unauthenticated")
    # As large as that of a country: it comes at once, and is older here than what is known.
    many = [{"id": str(uuid4()), "name": "Structure", "controller": {"address": "x" * 500}} for _ in range(3_000)]
    old = await world.anonymous(Asserted(world.gateway, system("gateway"))).put(
        "/internal/registry", json={"version": 1, "organisations": many}
    )
    assert (old.status_code, old.json()) == (200, {"taken": False})


async def test_what_is_not_yours_reads_as_absent(world: World, handover: Handover) -> None:
    """Byte for byte, the trace id aside."""
    await handover.proposed()
    eve = world.as_(OUTSIDER)
    theirs = operations(handover.id, handover.consent_id)
    absent = operations(str(uuid4()), str(uuid4()))
    for name, operation in theirs.items():
        here, nowhere = await called(eve, operation), await called(eve, absent[name])
        assert problem(here) == (404, "not-found"), name
        assert _bare(here) == _bare(nowhere), name
    # The last changed come first: it would be on the first page.
    assert handover.id not in (await eve.get("/v1/referrals", params={"limit": 100})).text


def _bare(answer: httpx.Response) -> tuple[bytes, dict[str, str]]:
    trace: str = answer.json()["trace_id"]
    headers = {name: text for name, text in answer.headers.items() if name != "traceresponse"}
    return answer.content.replace(trace.encode(), b""), headers


async def test_a_draft_is_the_senders_alone(world: World, handover: Handover) -> None:
    await handover.open()
    await handover.agree()
    for client in (handover.recipient, world.as_(OUTSIDER), world.as_(SENDER, RECEIVE)):
        for name, operation in operations(handover.id, handover.consent_id).items():
            answer = await called(client, operation)
            assert answer.status_code in {403, 404}, name
            assert handover.id not in answer.text
        assert handover.id not in (await client.get("/v1/referrals")).text


async def test_each_step_needs_its_own_scope(world: World, handover: Handover) -> None:
    await handover.proposed()
    every = operations(handover.id, handover.consent_id)
    for structure, scopes in ((SENDER, (RECEIVE,)), (RECIPIENT, (SEND,))):
        for name in SENDERS if RECEIVE in scopes else RECIPIENTS:
            answer = await called(world.as_(structure, *scopes), every[name])
            assert problem(answer) == (403, "scope-missing"), name
            assert answer.json()["scopes"] == [SEND if RECEIVE in scopes else RECEIVE]
        # With the scope of the other side alone, one is no party of this referral.
        for name in every.keys() - SENDERS - RECIPIENTS:
            assert problem(await called(world.as_(structure, *scopes), every[name])) == (404, "not-found"), name
    for name, operation in every.items():
        answer = await called(world.as_(SENDER, "directory:read", "org:admin", "trace:read"), operation)
        assert problem(answer) == (403, "scope-missing"), name


async def test_no_scope_shows_another_structures_person(world: World, handover: Handover) -> None:
    """Whatever an outsider holds, it learns nothing of a person that is not handed over by or to it."""
    await handover.proposed()
    scopes = (SEND, RECEIVE, "referral:stats", "platform:admin", "org:admin", "trace:read", "webhook:manage")
    answer = await world.as_(OUTSIDER, *scopes).get(handover.place)
    assert problem(answer) == (404, "not-found")


async def test_an_actor_without_organisation_has_no_referral(world: World, handover: Handover) -> None:
    await handover.proposed()
    service = world.anonymous(Asserted(world.gateway, system("gateway", SEND, RECEIVE)))
    assert problem(await service.get(handover.place)) == (404, "not-found")
    assert (await service.get("/v1/referrals")).json()["items"] == []
    answer = await service.post("/v1/referrals", headers=key(), json=a_draft(RECIPIENT))
    assert problem(answer) == (404, "not-found")


@pytest.mark.parametrize("place", ["/v1/referrals/x", f"/v1/referrals/{UUID(int=1)}/", "/v1/consents/x/withdraw"])
async def test_an_address_that_is_none_is_a_problem(world: World, place: str) -> None:
    answer = await world.as_(SENDER).get(place)
    assert problem(answer)[0] in {404, 405, 422}
