"""A person is handed to services that no one here has an account for: they came with last night's file.

1. A data manager imports a file of data.inclusion: one service that can be written to, one that is telephoned.
2. Ana finds the first. Its organisation is unknown here, so she writes the link to the service's own address and says
   the code on the telephone. Léa, who answers there, undertakes secrecy, reads the need, takes the person over, and
   only then reads who she is. Both say that she was met. Then every trace, log and table of the gateway is searched.
3. Ana telephones the second from a printed sheet, and logs the first contact herself.
"""

import json
import time
from typing import Any

import httpx
import pytest
from journeys.test_one_handover import consented
from support.rows import owner_dsn, tables
from support.stack import Stack, if_match, key

GIVEN, PHONE, WORDS = "Ombeline-Invitée", "0477 62 73 84", "un atelier le samedi matin bleu"
ADDRESS = "accueil@nulle-part.example"
SERVICE: dict[str, Any] = {
    "source": "nuit",
    "description": "On apprend à se servir d'un ordinateur.",
    "date_maj": "2026-11-01",
    "thematiques": ["numerique--maitriser-les-fondamentaux-du-numerique"],
    "modes_accueil": ["en-presentiel"],
    "commune": "Lille",
    "code_postal": "59000",
    "code_insee": "59350",
    "latitude": 50.633,
    "longitude": 3.059,
}
ROWS = [
    {**SERVICE, "id": "nuit--1", "structure_id": "nuit--a", "nom": "Atelier Invité", "courriel": ADDRESS,
     "structure": {"nom": "Association Invitée"}},
    {**SERVICE, "id": "nuit--2", "structure_id": "nuit--b", "nom": "Atelier Appelé", "telephone": "03 20 00 00 01",
     "structure": {"nom": "Association Appelée"}},
]  # fmt: skip


@pytest.fixture(name="services", scope="module")
def _services(stack: Stack) -> dict[str, dict[str, Any]]:
    """Import the file, as a data manager does, and answer its services by how they receive."""
    content = json.dumps(ROWS).encode()
    with stack.api(stack.clients("directory:read", "directory:write")[0]) as api:
        about = {"file": "nuit.json", "size": len(content), "source": "nuit"}
        made = api.post("/v1/directory/imports", json=about, headers=key())
        assert made.status_code == 201, made.text
        place = made.headers["location"]
        block = {"Upload-Offset": "0", "Content-Type": "application/octet-stream"}
        assert api.patch(f"{place}/content", content=content, headers=block).status_code == 204
        assert api.post(f"{place}/start").status_code == 202
        until = time.monotonic() + 120
        while not (job := api.get(place).json())["ended_at"]:
            assert time.monotonic() < until, job
            time.sleep(0.2)
        assert (job["state"], job["report"]["refused"]) == ("done", 0), job
        found = api.get("/v1/directory/search", params={"postcode": "fr:59000", "q": "atelier", "limit": 100}).json()
    ours = [
        one for one in found["items"] if one["organisation"]["name"] in {"Association Invitée", "Association Appelée"}
    ]
    return {one["can_receive"]: one for one in ours}


def proposed(ana: httpx.Client, service: dict[str, Any], *categories: str) -> str:
    """Open a hand-over to a service, record her agreement and propose; answer where it is."""
    opened = ana.post(
        "/v1/referrals",
        headers=key(),
        json={
            "recipient": {"organisation_id": service["organisation"]["id"], "service_id": service["id"]},
            "counsellor": {"name": "Ana Lopes"},
            "person": {
                "identity": {"given_name": GIVEN},
                "contact": {"phone": PHONE},
                "area": {"municipality": "fr:59350"},
                "languages": ["fr"],
            },
            "needs": [{"theme": "training--digital", "words": WORDS}],
        },
    )
    assert opened.status_code == 201, opened.text
    place = f"/v1/referrals/{opened.json()['id']}"
    assert consented(ana, opened.json()["id"], *categories).status_code == 201
    assert ana.post(f"{place}/propose", headers=if_match(ana.get(place)), json={}).status_code == 200
    return place


def arrived(stack: Stack, answer: httpx.Response) -> None:
    """Wait until the trace of an answer is kept, the referral app's part with it: those before it then are too."""
    trace_id = answer.headers["traceresponse"].split("-")[1]
    until = time.monotonic() + 60
    with stack.api(stack.clients("trace:read")[0]) as api:
        while "referral" not in {span["service"] for span in api.get(f"/v1/traces/{trace_id}").json().get("spans", ())}:
            assert time.monotonic() < until, "the trace never arrived"
            time.sleep(0.2)


def test_a_guest_of_an_imported_service_takes_her_over(stack: Stack, services: dict[str, dict[str, Any]]) -> None:
    with (
        stack.api(stack.clients("directory:read", "referral:send")[0]) as ana,
        httpx.Client(base_url=stack.base_url, timeout=30) as lea,
    ):
        place = proposed(ana, services["guest"], "identity", "contact", "needs")
        invited = ana.post(f"{place}/guest")
        assert (invited.status_code, invited.json()["address"]) == (201, ADDRESS), invited.text
        link, code = invited.json()["link"], invited.json()["code"]
        assert link.startswith(f"{stack.base_url}/g#")

        card = {"link": link, "code": code}
        assert lea.post("/v1/guest/session", json=card).status_code == 422
        said = {"name": "Léa Petit", "function": "animatrice", "secrecy": "discretion", "undertaking": "2026-1"}
        came = lea.post("/v1/guest/session", json={**card, **said})
        assert came.status_code == 201, came.text
        assert lea.get("/v1/guest/referral").status_code == 401
        lea.headers["Relais-Guest-Session"] = came.json()["session"]

        read = lea.get("/v1/guest/referral")
        assert read.headers["cache-control"] == "no-store"
        assert WORDS in read.text
        assert GIVEN not in read.text
        taken = lea.post("/v1/guest/referral/accept", headers=if_match(read))
        assert taken.json()["person"]["identity"]["given_name"] == GIVEN, taken.text
        met = lea.post("/v1/guest/referral/confirm_handover", headers=if_match(taken), json={})
        assert met.json()["state"] == "accepted", met.text
        both = ana.post(f"{place}/confirm_handover", headers=if_match(ana.get(place)), json={})
        assert both.json()["state"] == "handed_over", both.text
        assert both.json()["recipient_counsellor"]["name"] == "Léa Petit"

        looks = [one for one in ana.get(f"{place}/disclosures").json()["items"] if one["actor"].startswith("guest:")]
        assert {one["organisation_id"] for one in looks} == {services["guest"]["organisation"]["id"]}
        assert ana.post(f"{place}/withdraw").status_code == 200
        left = lea.get("/v1/guest/referral")
        assert (left.status_code, left.json()["state"]) == (200, "withdrawn")
        assert not [word for word in (GIVEN, PHONE, WORDS) if word in left.text]

    arrived(stack, left)
    # The traces are kept in the gateway's tables too.
    told = "\n".join(row for rows in tables(owner_dsn(stack.home, "gateway")).values() for row in rows)
    told += "\n".join(file.read_text() for file in (stack.home / "logs").iterdir())
    links = [one.partition("#")[2] for one in (link, came.json()["next_link"])]
    secrets = (GIVEN, PHONE, "477627384", WORDS, *links, came.json()["session"], "Léa Petit")
    assert not [word for word in secrets if word in told]


def test_who_is_only_telephoned_is_told_from_a_sheet(stack: Stack, services: dict[str, dict[str, Any]]) -> None:
    with stack.api(stack.clients("directory:read", "referral:send")[0]) as ana:
        place = proposed(ana, services["phone_only"], "identity", "needs")
        sheet = ana.get(f"{place}/call_sheet", headers={"Accept": "text/html"})
        assert sheet.status_code == 200, sheet.text
        assert not [one for one in ("Association Appelée", "03 20 00 00 01", GIVEN, WORDS) if one not in sheet.text]
        assert PHONE not in sheet.text
        assert sheet.headers["content-security-policy"].startswith("default-src 'none'; style-src")
        printed = ana.get(f"{place}/call_sheet", params={"form": "pdf"})
        assert printed.content.startswith(b"%PDF-")
        logged = ana.post(f"{place}/confirm_handover", headers=if_match(ana.get(place)), json={"mode": "call"})
        assert logged.json()["state"] == "handed_over", logged.text
        closed = ana.post(f"{place}/close", headers=if_match(logged), json={"outcome": "under_way"})
        assert closed.json()["state"] == "closed", closed.text
