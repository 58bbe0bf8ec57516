"""Every operation with the ids of others: a real one and one of nobody's are refused alike.

The ids are real: two structures hand a person over, and a third, with all the same scopes, tries each operation on
everything that came of it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from journeys.test_one_handover import a_service_of, consented, opened
from support.filling import fitting
from support.stack import Stack, key

from relais_gateway.domain.routing import METHODS

OF_EVERYBODY: Final = frozenset(
    {
        "/fhir/HealthcareService/{id}",
        "/hsds/organizations/{id}",
        "/hsds/service_at_locations/{id}",
        "/hsds/services/{id}",
        "/hsds/taxonomies/{id}",
        "/hsds/taxonomy_terms/{id}",
        "/v1/directory/organisations/{organisation_id}",
        "/v1/directory/places/{code}",
        "/v1/directory/services/{service_id}",
        "/v1/directory/services/{service_id}/conditions/check",
        "/v1/directory/services/{service_id}/confirmations",
        "/v1/directory/services/{service_id}/reports",
        "/v1/directory/services/{service_id}/tips",
        "/v1/notices/{version}/{language}",
    }
)
"""What whoever has the scope may read, or say about: the directory is everybody's."""

ELSEWHERE: Final = (
    # Receivers are called by their public names, which a machine on its own does not have: test_webhooks.py.
    "/v1/webhooks/",
    # Pairs that look alike are found by the hundred, and answered by owners: test_duplicates.py.
    "/v1/directory/duplicates/",
    # A decision is drawn up in a conference that she attends: test_conference.py.
    "/v1/conferences/{conference_id}/decisions/{decision_id}/draft",
)
"""Where an id needs more than a hand-over to be there, and which tests try it."""

OF_ANOTHER_STAGE: Final = frozenset(
    {
        "/v1/conferences/{conference_id}/meeting.ics",
        "/v1/referrals/{referral_id}/call_sheet",
        "/v1/referrals/{referral_id}/preview",
    }
)
"""What is read at another stage of a hand-over than the one that it has here: of a draft."""

OF_THE_PLATFORM: Final = frozenset({"platform:admin", "trace:read"})
"""Whoever holds one looks after all organisations: nothing of the directory or the log is another's."""


@dataclass(frozen=True, slots=True)
class Row:
    """An operation with ids in its path."""

    method: str
    template: str
    scopes: frozenset[str]
    body: Any
    """The smallest that its schema takes; None where it takes none."""
    media: str

    def __str__(self) -> str:
        return f"{self.method} {self.template}"

    def ask(self, api: httpx.Client, ids: dict[str, str], etag: str) -> httpx.Response:
        """Call it."""
        path = self.template
        for name, value in ids.items():
            path = path.replace(f"{{{name}}}", value)
        # Whatever an operation needs besides: nothing that is missing may hide who calls.
        headers = key() | {"If-Match": etag, "Upload-Offset": "0"}
        if self.body is None:
            return api.request(self.method, path, headers=headers)
        content = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return api.request(self.method, path, headers=headers | {"Content-Type": self.media}, content=content)


@dataclass(frozen=True, slots=True)
class World:
    """A hand-over with all that hangs on it, its two sides, and somebody else."""

    sender: httpx.Client
    recipient: httpx.Client
    outsider: httpx.Client
    ids: dict[str, str]
    """A real one for each parameter of a path, the sender's where it is one organisation's."""


def ok(answer: httpx.Response) -> Any:
    """Answer what a call that went well answered."""
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.text}"
    return answer.json() if answer.content else None


@pytest.fixture(name="world", scope="module")
def _world(stack: Stack) -> Iterator[World]:
    admins = stack.clients("org:admin", "referral:send", "referral:receive", "webhook:manage", "directory:write")
    sending, other = admins[:2]
    receiving = next(one for one in stack.clients("referral:receive", "directory:write") if one not in (sending, other))
    with stack.api(sending) as sender, stack.api(receiving) as recipient, stack.api(other) as outsider:
        world = World(sender, recipient, outsider, _walked(sender, recipient, receiving["organisation_id"]))
        yield world
        ok(sender.delete(f"/v1/directory/imports/{world.ids['import_id']}"))


def _walked(sender: httpx.Client, recipient: httpx.Client, organisation_id: str) -> dict[str, str]:
    """Hand a person over as far as a meeting, with everything beside it; answer the ids of all that came of it."""
    service = a_service_of(sender, organisation_id)
    referral = ok(opened(sender, service))["id"]
    place = f"/v1/referrals/{referral}"
    consent = ok(consented(sender, referral, "identity", "contact", "needs", "documents"))["id"]

    def step(api: httpx.Client, name: str, body: dict[str, Any]) -> None:
        etag = api.get(place).headers["etag"]
        ok(api.post(f"{place}/{name}", headers=key() | {"If-Match": etag}, json=body))

    step(sender, "propose", {})
    step(recipient, "receive", {"counsellor": {"name": "Ben Maes"}})
    step(recipient, "accept", {"counsellor": {"name": "Ben Maes"}})
    ok(sender.post(f"{place}/messages", headers=key(), json={"words": "Elle vient avec sa soeur."}))
    document = ok(
        sender.post(
            f"{place}/documents",
            headers=key() | {"Content-Type": "application/pdf"},
            params={"name": "attestation.pdf"},
            content=b"%PDF-1.4\n%%EOF\n",
        )
    )["id"]
    tasks = ok(sender.get(f"{place}/tasks"))["items"]
    conference = ok(sender.post(f"{place}/conferences", headers=key(), json={"counsellor": {"name": "Ana Lopes"}}))
    own = ok(sender.get("/v1/directory/own/services"))["items"][0]["id"]
    tip = ok(sender.post(f"/v1/directory/services/{service['service']['id']}/tips", json={"text": "Sonner deux fois."}))
    search = ok(
        sender.post("/v1/directory/saved-searches", json={"name": f"Ici {uuid4()}", "query": {"postcode": "6000"}})
    )
    report = ok(recipient.post(f"/v1/directory/services/{own}/reports", headers=key(), json={"field": "hours"}))["id"]
    team = ok(sender.post("/v1/organisation/teams", headers=key(), json={"name": f"Équipe {uuid4()}"}))["id"]
    colleague = {"email": f"lea-{uuid4()}@maison.example", "name": "Léa Dupont"}
    invitation = ok(sender.post("/v1/organisation/invitations", headers=key(), json=colleague))["id"]
    account = ok(sender.get("/v1/organisation/accounts"))["items"][0]["id"]
    client = ok(sender.get("/v1/organisation/clients"))["items"][0]["id"]
    imported = ok(sender.post("/v1/directory/imports", headers=key(), json={"file": "a.json", "size": 2}))["id"]
    return {
        "referral_id": referral, "consent_id": consent, "document_id": document, "task_id": tasks[0]["id"],
        "conference_id": conference["id"], "service_id": own, "tip_id": tip["id"], "search_id": search["id"],
        "report_id": report, "invitation_id": invitation, "team_id": team, "account_id": account, "client_id": client,
        "import_id": imported, "id": referral,
    }  # fmt: skip


@pytest.fixture(name="rows", scope="module")
def _rows(world: World) -> list[Row]:
    document = ok(world.sender.get("/openapi.json"))
    found = []
    for template, methods in document["paths"].items():
        names = {part[1:-1] for part in template.split("/") if part.startswith("{")}
        for method, said in methods.items():
            scopes = frozenset(name for way in said.get("security", ()) for names_ in way.values() for name in names_)
            if method not in METHODS or not names or not scopes or scopes <= OF_THE_PLATFORM:
                continue
            media, body = "", None
            for media, taken in said.get("requestBody", {}).get("content", {}).items():
                body = fitting(taken["schema"], document) if "json" in media else b"%PDF-1.4\n%%EOF\n"
                if isinstance(body, dict) and "given_at" in body:
                    body["given_at"] = datetime.now(UTC).isoformat()  # An agreement is recorded within a day.
                break
            found.append(Row(method.upper(), template, scopes, body, media))
    return found


@pytest.fixture(name="etag")
def _etag(world: World) -> str:
    etag: str = world.sender.get(f"/v1/referrals/{world.ids['referral_id']}").headers["etag"]
    return etag


def names_of(row: Row) -> set[str]:
    """Answer the parameters of an operation's path."""
    return {part[1:-1] for part in row.template.split("/") if part.startswith("{")}


def test_each_operation_is_tried_or_said_where(world: World, rows: list[Row]) -> None:
    """An operation that is new and takes an id stands in one of these places, or fails the build here."""
    for row in rows:
        told = row.template in OF_EVERYBODY or row.template.startswith(ELSEWHERE)
        assert told or names_of(row) <= world.ids.keys(), str(row)


def real_ids(world: World, row: Row) -> dict[str, str]:
    """Answer the ids of what is there; FHIR calls every one of them `id`."""
    ids = world.ids | ({"id": world.ids["consent_id"]} if row.template.startswith("/fhir/Consent") else {})
    return {name: ids[name] for name in names_of(row)}


def tried_on(world: World, rows: list[Row]) -> Iterator[Row]:
    """Answer the operations on what belongs to somebody, of which the ids are there."""
    for row in rows:
        if names_of(row) <= world.ids.keys() and row.template not in OF_EVERYBODY:
            yield row


def test_an_id_of_others_is_as_one_of_nobodys(world: World, rows: list[Row], etag: str) -> None:
    """A third structure with every scope: what is there and what is not are refused alike."""
    wrong, tried = [], 0
    for row in tried_on(world, rows):
        real = row.ask(world.outsider, real_ids(world, row), etag)
        unknown = row.ask(world.outsider, {name: str(uuid4()) for name in names_of(row)}, etag)
        told = [re.sub(r'"[0-9a-f]{32}"', '""', each.text) for each in (real, unknown)]
        if (real.status_code, told[0]) != (404, told[1]):
            wrong.append(f"{row}: {real.status_code} {real.text} {unknown.status_code} {unknown.text}")
        tried += 1
    assert not wrong, "\n".join(wrong)
    assert tried > 80


def test_the_other_side_takes_no_step_that_is_not_its_own(world: World, rows: list[Row], etag: str) -> None:
    """Both sides hold both scopes; what only the sender may do is refused to the recipient, and the other way."""
    before = ok(world.sender.get(f"/v1/referrals/{world.ids['referral_id']}"))
    tried = 0
    for row in rows:
        sides = {"referral:send": world.recipient, "referral:receive": world.sender}
        if names_of(row) != {"referral_id"} or len(row.scopes) != 1:
            continue
        (scope,) = row.scopes
        answer = row.ask(sides[scope], {"referral_id": world.ids["referral_id"]}, etag)
        assert answer.status_code in {403, 404, 409}, f"{row}: {answer.status_code} {answer.text}"
        tried += 1
    assert tried > 12
    assert ok(world.sender.get(f"/v1/referrals/{world.ids['referral_id']}")) == before


def test_the_right_one_reads_what_is_there(world: World, rows: list[Row], etag: str) -> None:
    """Otherwise the refusals above would say nothing: each reading opens to the side that it belongs to."""
    read = 0
    for row in tried_on(world, rows):
        if row.method != "GET" or row.template in OF_ANOTHER_STAGE:
            continue
        answers = [row.ask(api, real_ids(world, row), etag) for api in (world.sender, world.recipient)]
        assert 200 in {each.status_code for each in answers}, f"{row}: {answers[0].text} {answers[1].text}"
        read += 1
    assert read > 15
