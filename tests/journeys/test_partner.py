"""A partner's tool, alone with the sandbox, from its own screen to a hand-over that is closed; nothing is typed twice.

Its case file holds the person already. The tool opens a draft from it, with its own reference, on behalf of its user;
shows the notice that Relais keeps; records what she agreed to; proposes, or opens the draft on Relais's screen. The
sandbox answers, and the tool follows.
"""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class
from support.stack import Stack

import relais_client as rc
from relais_client import Relais

CASE = {"number": "DOSSIER-77", "first": "Prénom", "last": "Exemple", "phone": "0470 00 00 00", "reads": "fr"}
"""The partner's own record: all that was ever typed."""
AGENT = "agent-12"


@pytest.fixture(name="tool")
def _tool(stack: Stack) -> Any:
    client = stack.demo["sandbox"]["clients"][0]
    with Relais(stack.base_url, client["client_id"], client["client_secret"]) as relais:
        yield relais


def services(tool: Relais) -> dict[str, rc.Card]:
    """Answer the services of the sandbox by the second half of their names."""
    found = tool.search(q="Exercice", limit=50)
    return {
        one.service["name"].partition(" : ")[2]: one for one in found if one.service["name"].startswith("Exercice : ")
    }


def drafted(user: Relais, card: rc.Card) -> rc.Referral:
    """Open a draft out of the case file."""
    return user.create_referral(
        rc.Draft(
            recipient=card.to,
            counsellor=rc.Counsellor(name="Ana Lopes"),
            person=rc.Person(
                identity=rc.Identity(given_name=CASE["first"], family_name=CASE["last"]),
                contact=rc.Contact(phone=CASE["phone"]),
                area=rc.Area(municipality="be:52011", postcode="6000"),
                languages=[CASE["reads"]],
            ),
            needs=[rc.Need(theme="support", words="une première rencontre")],
            external_ids={"dossier": CASE["number"]},
        )
    )


def agreed(user: Relais, referral: rc.Referral) -> None:
    """Read her the notice and record what she agreed to."""
    notice = user.read_notice("2026-1", CASE["reads"])
    assert notice.text
    user.record_consent(
        referral.id,
        rc.Agreement(
            purposes=["referral", "feedback"],
            data_categories=["identity", "contact", "needs"],
            method="in_person_oral",
            language=notice.language,
            notice_version=notice.version,
            collected_by="Ana Lopes",
            given_at=datetime.now(UTC),
        ),
    )


def test_from_the_tool_to_a_closed_hand_over_with_the_sandbox(stack: Stack, tool: Relais) -> None:
    there = services(tool)
    user = tool.acting_for(AGENT)
    before = tool.event_page(practice=True, limit=1_000).next_cursor
    draft = drafted(user, there["accepte, rencontre, clôture"])
    assert draft.launch_url == f"{stack.base_url}/relais/{draft.id}"
    assert draft.external_ids == {"dossier": CASE["number"]}
    agreed(user, draft)
    user.propose_referral(user.read_referral(draft.id))

    types = []
    for event in tool.follow(practice=True, cursor=before):
        if str(event.subject_id) != str(draft.id):
            continue
        assert event.practice
        types.append(event.type)
        if event.type == "referral.meeting_planned":
            user.confirm_handover(user.read_referral(draft.id))
        if event.type == "referral.closed":
            break
    assert [one for one in types if one.startswith("referral.")] == [
        "referral.proposed", "referral.received", "referral.accepted", "referral.meeting_planned",
        "referral.handed_over", "referral.closed",
    ]  # fmt: skip
    assert {one.on_behalf_of for one in tool.list_disclosures(draft.id)} == {AGENT}


def test_every_answer_of_the_sandbox_stands_in_the_directory(tool: Relais) -> None:
    found = services(tool)
    assert len(found) == 14
    assert all(card.can_receive == "relais" for card in found.values())


def test_the_fhir_endpoint_says_what_it_serves(stack: Stack, tool: Relais) -> None:
    said = httpx.get(f"{stack.base_url}/fhir/metadata")
    assert said.headers["content-type"] == "application/fhir+json"
    statement = said.json()
    get_fhir_model_class("CapabilityStatement").model_validate(statement)
    paths = httpx.get(f"{stack.base_url}/openapi.json").json()["paths"]
    served = {path for path in paths if path.startswith("/fhir/") and path != "/fhir/metadata"}
    told = set()
    for one in statement["rest"][0]["resource"]:
        told.add(f"/fhir/{one['type']}/{{id}}")
        if "searchParam" in one:
            told.add(f"/fhir/{one['type']}")
            taken = {each["name"] for each in paths[f"/fhir/{one['type']}"]["get"]["parameters"]}
            assert {each["name"] for each in one["searchParam"]} <= taken
    assert told == served

    service = next(iter(services(tool).values()))
    draft = drafted(tool, service)
    task = tool.request("GET", f"/fhir/Task/{draft.id}")
    get_fhir_model_class("Task").model_validate(task)
    found = tool.request("GET", f"/fhir/HealthcareService/{service.service['id']}")
    assert found["name"] == service.service["name"]
