"""A sender that can sanction the people it accompanies reads nothing of what became of her."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from api.referral.her import PICTURES, card, opened
from api.referral.table import operations as of_conference
from api.referral.test_keeping import Time
from api.referral.world import (
    BODIES,
    PHONE,
    RECIPIENT,
    SANCTIONING,
    SEND,
    Handover,
    World,
    a_consent,
    if_match,
    key,
)

from relais_referral import facade
from relais_referral.domain.handshake import State
from relais_referral.schemas.consents import ConsentRequest
from relais_shared.client import Client

pytestmark = pytest.mark.anyio


@dataclass
class Watched(Handover):
    """A hand-over of a sender that may sanction, a document in it, and her own way in."""

    hers: Client = field(default_factory=Client)
    document_id: str = ""
    moved: dict[str, int] = field(default_factory=dict)
    """How its sender's counts moved as it ended."""


End = Callable[[Watched], Awaitable[object]]


async def _withdrew_early(handover: Handover) -> None:
    await handover.recipient.post(f"{handover.place}/withdraw", json={"method": "in_person"})


async def _withdrew_by_consent(handover: Handover) -> None:
    await handover.recipient.post(f"/v1/consents/{handover.consent_id}/withdraw", json={"method": "phone"})


async def _no_place(handover: Handover) -> None:
    await handover.step(handover.recipient, "receive")
    await handover.step(handover.recipient, "decline")


async def _no_place_after_all(handover: Handover) -> None:
    await handover.step(handover.recipient, "accept")
    await handover.step(handover.recipient, "release", words="Complet.")


async def _did_not_come(handover: Handover) -> None:
    await handover.step(handover.recipient, "accept")
    await handover.step(handover.recipient, "plan_meeting")
    await handover.step(handover.recipient, "replan")
    await handover.step(handover.recipient, "release", reason="other")


async def _withdrew_late(handover: Handover) -> None:
    await handover.step(handover.recipient, "receive")
    await handover.step(handover.recipient, "accept")
    await handover.step(handover.recipient, "confirm_handover")
    await handover.recipient.post(f"{handover.place}/withdraw", json={})


async def _she_withdrew(handover: Watched) -> None:
    await _post(handover.hers, f"/v1/person/referrals/{handover.id}/withdraw")


async def _she_withdrew_late(handover: Watched) -> None:
    await handover.step(handover.recipient, "accept")
    await _post(handover.hers, "/v1/person/withdraw")


async def _closed(handover: Watched, outcome: str = "completed") -> None:
    for action in ("receive", "accept", "plan_meeting", "confirm_handover"):
        await handover.step(handover.recipient, action)
    # Others confer about her meanwhile.
    opened = await handover.recipient.post(f"{handover.place}/conferences", headers=key(), json=BODIES["receive"])
    assert opened.status_code == 201, opened.text
    await _post(handover.hers, f"/v1/person/referrals/{handover.id}/confirm_handover")
    answer = await handover.step(handover.recipient, "close", outcome=outcome)
    assert answer.json()["state"] == "closed", answer.text


async def _not_pursued(handover: Watched) -> None:
    await _closed(handover, "not_pursued")


def _then_erased(end: End) -> End:
    async def erased(handover: Watched) -> None:
        await end(handover)
        await _post(handover.hers, f"/v1/person/referrals/{handover.id}/erase")

    return erased


async def _accepted(handover: Handover) -> None:
    await handover.step(handover.recipient, "accept")


async def _post(client: Client, path: str) -> None:
    answer = await client.post(path, json={})
    assert answer.is_success, answer.text


EARLY: dict[str, End] = {
    "withdrew": _withdrew_early,
    "stopped": _withdrew_by_consent,
    "herself": _she_withdrew,
    "no place": _no_place,
}
LATE: dict[str, End] = {
    "withdrew": _withdrew_late,
    "herself": _she_withdrew_late,
    "gave back": _no_place_after_all,
    "did not come": _did_not_come,
    "closed": _closed,
    "not pursued": _not_pursued,
}
ERASED: dict[str, End] = {
    "under way": _then_erased(_accepted),
    "withdrew": _then_erased(_she_withdrew_late),
    "gave back": _then_erased(_no_place_after_all),
    "closed": _then_erased(_closed),
}
"""What a sender wrote is closed to it once she had it erased: that it sees, and nothing of how it had ended."""


async def ended(world: World, end: End) -> Watched:
    """Propose as a sender that may sanction, and let it end."""
    started = world.between(SANCTIONING, RECIPIENT)
    handover = Watched(started.sender, started.recipient, started.to)
    await handover.open()
    await handover.agree()
    # A card that such a sender made opens at another structure's counter alone.
    handover.hers = await opened(world, await card(handover), handover.recipient)
    added = await handover.sender.post(f"{handover.place}/documents", headers=_A_PDF, content=_PDF)
    assert added.status_code == 201, added.text
    handover.document_id = added.json()["id"]
    await handover.walk("propose")
    before = await _counts(handover.sender)
    await end(handover)
    after = await _counts(handover.sender)
    handover.moved = {name: after.get(name, 0) - before.get(name, 0) for name in {*before, *after}}
    return handover


async def _counts(ana: Client) -> dict[str, int]:
    answer = await ana.get("/v1/referrals/counts")
    return {f"{role} {name}": number for role, found in answer.json().items() for name, number in (found or {}).items()}


_PDF = b"%PDF-1.7\n1 0 obj << /Type /Catalog >> endobj\ntrailer\n%%EOF\n"
_A_PDF = {"Content-Type": "application/pdf", "Content-Disposition": 'attachment; filename="essai.pdf"'}
_NOBODYS = "00000000-0000-4000-8000-000000000000"

WRITES: dict[str, Any] = {
    "PATCH /v1/referrals/{referral_id}": {"urgency": "none"},
    "PUT /v1/referrals/{referral_id}/external_ids": {"dossier": "A-1"},
    "PUT /v1/referrals/{referral_id}/reflection": {"criteria": "2026-1", "held": ["own_pace"]},
    "POST /v1/referrals/{referral_id}/assign": {},
    "POST /v1/referrals/{referral_id}/redirect": {
        "recipient": {"organisation_id": str(RECIPIENT.id), "service_id": str(RECIPIENT.service_id)}
    },
    "POST /v1/referrals/{referral_id}/consents": a_consent("identity"),
    "POST /v1/referrals/{referral_id}/consents/request": {
        name: value for name, value in a_consent("identity").items() if name in ConsentRequest.model_fields
    },
    "POST /v1/referrals/{referral_id}/messages": {"words": "Bonjour"},
    "POST /v1/referrals/{referral_id}/documents": _PDF,
    "DELETE /v1/referrals/{referral_id}/documents/{document_id}": None,
    "POST /v1/tasks/{task_id}/done": {},
    "POST /v1/referrals/{referral_id}/access": {"code": PICTURES, "level": "full"},
    "POST /v1/referrals/{referral_id}/access/end": {},
    "POST /v1/referrals/{referral_id}/guest": {},
    "POST /v1/consents/{consent_id}/withdraw": {},
    "PUT /v1/mailboxes/mine": {"mode": "never"},
    **{
        f"{method} {path}": body
        for method, path, body in of_conference(
            "{referral_id}", "{conference_id}", "{decision_id}", "{consent_id}"
        ).values()
        if method != "GET"
    },
}
"""What it may try to write, beside the steps of the handshake, and with which body."""

LAST = (
    "POST /v1/referrals/{referral_id}/cancel",
    "POST /v1/consents/{consent_id}/withdraw",
    "POST /v1/referrals/{referral_id}/withdraw",
)
"""At last it stops everything itself, in each way: that tells nothing either."""

BESIDE = {
    "POST /v1/referrals": "opens another one",
    "POST /v1/assisted_sessions": "she shows her own card there",
    "POST /v1/cards": "prints her link as it was made",
    "GET /v1/notices/{version}/{language}": "reads the same to all",
    "GET /v1/reflections/criteria": "reads the same to all",
    "GET /v1/referrals": "listed under every filter",
    "GET /v1/referrals/counts": "compared as it moves",
    "GET /v1/tasks": "listed for this referral alone",
    "GET /fhir/Task": "listed for this referral alone",
    "GET /v1/figures/sent": "none for it, see test_figures",
    "GET /v1/events": "told alike, see test_events",
    "GET /v1/events/stream": "the same as the feed, as it happens",
}
"""Operations that are not tried as they stand, and why."""

FILTERS: dict[str, list[str]] = {
    "role": ["sender", "recipient"],
    "state": list(State),
    "theme": ["childcare", "mobility"],
    "counsellor": [_NOBODYS],
    "team": ["equipe"],
    "overdue": ["true", "false"],
    "updated_since": ["2026-01-01T00:00:00Z", "2096-01-01T00:00:00Z"],
    "limit": ["100"],
    "cursor": [],  # ours, and as opaque as the order of the list that it continues
}
"""What is asked of the list, by filter."""

IN_FHIR: dict[str, list[str]] = {
    "status": [*facade.REQUEST],
    "_lastUpdated": ["ge2026-01-01", "ge2096-01-01"],
    "requester": ["me"],
    "owner": ["me"],
}
"""What is asked of the same list in FHIR."""

NO_FILTERS = {"form", "discreet", "data_categories", "seen_alone", "data", "_id", "_count", "_sort", "_cursor"}
"""What chooses a form, a page, or one thing that is named."""


def operations(world: World) -> dict[str, dict[str, Any]]:
    """Answer every operation that a sender's scope opens, as the service itself describes it."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in world.app.openapi()["paths"].items()
        for method, operation in methods.items()
        if {"oauth2": [SEND]} in operation.get("security", [])
    }


async def probed(world: World, handover: Watched) -> dict[str, str]:
    """Answer all that the sender can find out, ids and times taken out: by reading, by filters, by trying."""
    ana, said = handover.sender, {"counts": str(sorted(handover.moved.items()))}
    found = operations(world)
    reads = [name for name in found if name.startswith("GET ") and name not in BESIDE]
    tries = [name for name in found if not name.startswith("GET ") and name not in {*BESIDE, *LAST}]

    async def all_read(when: str) -> None:
        for name in reads:
            said[f"{when}: {name}"] = _said(await ana.get(_place(name, handover)), handover)
            if "form" in _asked(found[name]):
                # The PDF is printed from what stands on the page, and from nothing else.
                page = await ana.get(_place(name, handover), params={"form": "page"})
                said[f"{when}: {name} as a page"] = _said(page, handover)
        for name, values in IN_FHIR.items():
            for value in values:
                page = await ana.get("/fhir/Task", params={"_count": 100, name: value})
                shown = [json.dumps(one) for one in page.json().get("entry", ())]
                mine = str([one for one in shown if handover.id in one])
                said[f"{when}: FHIR {name}={value}"] = _bare(mine, handover)
        tasks = (await ana.get("/v1/tasks", params={"limit": 100})).json()["items"]
        said[f"{when}: tasks"] = str([one for one in tasks if one["referral_id"] == handover.id])
        for name, values in FILTERS.items():
            for value in values:
                page = await ana.get("/v1/referrals", params={"limit": 100, name: value})
                listed = [json.dumps(one) for one in page.json()["items"] if one["id"] == handover.id]
                said[f"{when}: {name}={value}"] = _bare(str(listed), handover)

    await all_read("at first")
    for part in ("needs", "contact"):
        stopped = await ana.post(f"/v1/consents/{handover.consent_id}/withdraw", json={"data_categories": [part]})
        said[f"a part: {part}"] = _said(stopped, handover)
    for name in [*tries, *LAST]:
        body = WRITES.get(name, BODIES.get(name.rpartition("/")[2]))
        sent: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
        headers = if_match(await ana.get(handover.place)) | key() | (_A_PDF if isinstance(body, bytes) else {})
        answer = await ana.request(name.partition(" ")[0], _place(name, handover), headers=headers, **sent)
        said[name] = _said(answer, handover)
    await all_read("at last")
    return said


def _asked(operation: dict[str, Any]) -> set[str]:
    return {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}


def _place(name: str, handover: Watched) -> str:
    path = name.partition(" ")[2]
    ids = {
        "referral_id": handover.id,
        "consent_id": handover.consent_id,
        "document_id": handover.document_id,
        "id": handover.consent_id if path.startswith("/fhir/Consent") else handover.id,
    }
    return re.sub(r"{(\w+)}", lambda one: ids.get(one[1], _NOBODYS), path)


def _said(answer: httpx.Response, handover: Watched) -> str:
    return _bare(f"{answer.status_code} {_headers(answer)} {answer.text}", handover)


def _headers(answer: httpx.Response) -> dict[str, str]:
    return {name: text for name, text in answer.headers.items() if name not in {"traceresponse", "content-length"}}


def _bare(text: str, handover: Watched) -> str:
    text = text.replace(handover.document_id, "DOCUMENT")
    text = text.replace(handover.consent_id, "CONSENT").replace(handover.id, "REFERRAL")
    text = re.sub(r'("link": ?)"[^"]+"', "LINK", text)
    text = re.sub(r'"short_code": ?"\w+"', "CODE", text)
    # FHIR's name for it.
    text = re.sub(r'(/short_code", ?"value": ?)"\w+"', "CODE", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)", "TIME", text)
    text = re.sub(r'("consentTimestamp": ?)\d+', "TIME", text)
    text = re.sub(r"urn:uuid:[0-9a-f-]{36}", "SUBJECT", text)
    text = re.sub(r'"trace_id":"[0-9a-f]{32}"', "TRACE", text)
    return re.sub(r'"id":"[0-9a-f-]{36}"', "ID", text)


def _apart(one: str, other: str) -> tuple[str, str] | None:
    """Answer where two answers part, each with a little around it."""
    if one == other:
        return None
    shorter = min(len(one), len(other))
    start = max(0, next((at for at in range(shorter) if one[at] != other[at]), shorter) - 60)
    return one[start : start + 160], other[start : start + 160]


@pytest.mark.parametrize("ends", [EARLY, LATE, ERASED], ids=["early", "late", "erased"])
async def test_every_ending_reads_the_same(world: World, ends: dict[str, End]) -> None:
    found = {name: await probed(world, await ended(world, end)) for name, end in ends.items()}
    first, *others = found
    for other in others:
        telling = {what: _apart(text, found[other][what]) for what, text in found[first].items()}
        telling = {what: apart for what, apart in telling.items() if apart is not None}
        assert telling == {}, f"{other} reads otherwise than {first}"
    told = "\n".join(found[first].values())
    for word in ("Complet", "no_place", "Ben Noel", "meeting_planned"):
        assert word not in told
    read = "\n".join(text for what, text in found[first].items() if what.startswith("at first"))
    assert not re.search(r"declined|handed_over|(?<!until )withdrawn|received", read)


class _Ticking(Time):
    """A clock that never tells the same instant twice."""

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


async def test_every_ending_reads_the_same_once_its_term_is_over(fresh: World) -> None:
    """What has ended is shredded after its term, what is closed is kept longer: it can try, and learns neither."""
    time = _Ticking(fresh, datetime.now(UTC))
    fresh.app.state.clock = time
    ends = {name: LATE[name] for name in ("withdrew", "gave back", "closed")}
    handovers = {name: await ended(fresh, end) for name, end in ends.items()}
    time.now += timedelta(days=31)
    await time.round()
    found = {name: await probed(fresh, handover) for name, handover in handovers.items()}
    first, *others = found
    assert "6000" not in found[first]["at first: GET /v1/referrals/{referral_id}"]
    for other in others:
        telling = {what: _apart(text, found[other][what]) for what, text in found[first].items()}
        assert {what: apart for what, apart in telling.items() if apart is not None} == {}, other


async def test_what_she_stops_in_part_is_nothing_to_it(world: World) -> None:
    """Neither the narrower agreement nor her word that she was alone is told; what it stops then is what stands."""
    handover = await ended(world, _accepted)
    consents = f"{handover.place}/consents"

    async def seen() -> list[Any]:
        read = await handover.sender.get(handover.place)
        events = (await handover.sender.get(f"{handover.place}/events")).json()["items"]
        given = await handover.sender.get("/fhir/Consent", params={"data": f"Task/{handover.id}"})
        return [read.headers["etag"], read.text, (await handover.sender.get(consents)).text, events, given.text]

    before = await seen()
    stopped = await handover.hers.post(
        f"/v1/person/consents/{handover.consent_id}/withdraw", json={"data_categories": ["contact"]}
    )
    assert stopped.status_code == 200, stopped.text
    assert PHONE not in (await handover.recipient.get(handover.place)).text
    assert await seen() == before
    whole = await handover.sender.post(f"/v1/consents/{handover.consent_id}/withdraw", json={})
    assert whole.json()["status"] == "withdrawn"
    assert (await handover.recipient.get(handover.place)).json()["state"] == "withdrawn"


async def test_nothing_that_its_scope_opens_is_left_out(world: World) -> None:
    """Whoever adds an operation or a filter says here how it is tried: else it could tell what became of her."""
    found = operations(world)
    steps = {f"POST /v1/referrals/{{referral_id}}/{action}" for action in BODIES}
    writes = {name for name in found if not name.startswith("GET ")}
    assert writes <= {*steps, *WRITES, *BESIDE}, "say in WRITES with which body it is tried"
    assert {*WRITES, *LAST} <= writes
    assert set(found) >= set(BESIDE)
    reads = [
        name for name in found if name.startswith("GET ") and not name.startswith(("GET /v1/events", "GET /v1/figures"))
    ]
    asked = {parameter for name in reads for parameter in _asked(found[name])}
    assert asked - NO_FILTERS == {*FILTERS, *IN_FHIR}, "say in FILTERS what is asked of it"


async def test_what_it_may_not_notice_moves_nothing(world: World) -> None:
    """Neither version, nor date, nor place in the list moves while the recipient works with her."""
    handover = await world.between(SANCTIONING, RECIPIENT).proposed()
    other = await world.between(SANCTIONING, RECIPIENT).proposed()
    ana = handover.sender

    async def seen() -> tuple[Any, ...]:
        read = await ana.get(handover.place)
        listed = (await ana.get("/v1/referrals", params={"role": "sender", "limit": 100})).json()["items"]
        ids = [one["id"] for one in listed if one["id"] in {handover.id, other.id}]
        since = await ana.get("/v1/referrals", params={"updated_since": read.json()["updated_at"], "limit": 100})
        later = {one["id"] for one in since.json()["items"]}
        return read.headers["etag"], read.text, ids, handover.id in later, other.id in later

    before = await seen()
    assert before[2] == [other.id, handover.id]
    await handover.step(handover.recipient, "receive")
    assert await seen() == before
    await handover.step(handover.recipient, "accept")
    accepted = await seen()
    assert json.loads(accepted[1])["state"] == "accepted"
    for action in ("plan_meeting", "replan", "confirm_handover"):
        await handover.step(handover.recipient, action)
        assert await seen() == accepted, action


async def test_it_can_send_and_stop_and_nothing_else(world: World) -> None:
    handover = await world.between(SANCTIONING, RECIPIENT).proposed()
    for _ in range(2):
        read = await handover.sender.get(handover.place)
        assert read.json()["allowed_actions"] == ["cancel"]
        await handover.step(handover.recipient, "accept")
    read = await handover.sender.get(handover.place)
    assert not {"recipient_counsellor", "confirmations", "meeting", "decline", "outcome"} & set(read.json())
    stopped = await handover.walk("cancel")
    assert (stopped.json()["state"], stopped.json()["allowed_actions"]) == ("ended", [])
