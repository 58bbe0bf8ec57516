"""She follows her own hand-over, through the gateway, without an account.

Ana prints her a card with four pictures that she picks. At home she opens her link: she reads what the other side
would read, sees it taken over, corrects her telephone, sees that Ben's software read her, and stops the sharing. At
the town's counter, which knows nothing of all this, she is assisted with the same card. Then every trace, log and
table of the gateway is searched for her, her link, her session and what she wrote.
"""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
from journeys.test_canary import every_trace
from journeys.test_one_handover import a_service_of, consented
from support.rows import owner_dsn, tables
from support.stack import Stack, if_match, key

GIVEN, FAMILY, PHONE, OTHER_PHONE = "Aminata-Page", "Benhamou-Page", "0477 31 42 53", "0478 64 75 86"
WORDS, HERS = "une place près de la gare verte", "plutôt avant le goûter"
PICTURES = {"kind": "pictures", "value": [4, 9, 2, 2]}
CANARIES = (GIVEN, FAMILY, PHONE, OTHER_PHONE, "477314253", WORDS, HERS, "gare verte")


def draft(service: dict[str, Any]) -> dict[str, Any]:
    """Answer the body of her hand-over."""
    return {
        "recipient": {"organisation_id": service["organisation"]["id"], "service_id": service["service"]["id"]},
        "counsellor": {"name": "Ana Lopes"},
        "person": {
            "identity": {"given_name": GIVEN, "family_name": FAMILY},
            "contact": {"phone": PHONE},
            "area": {"municipality": "be:52011"},
            "languages": ["fr"],
        },
        "needs": [{"theme": "childcare", "words": WORDS}],
    }


def ok(answer: httpx.Response) -> Any:
    """Answer the document of an answer that must be a good one, and nobody's to keep."""
    assert answer.is_success, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


def test_she_follows_and_stops_her_own_hand_over(stack: Stack) -> None:
    one, two, three = stack.clients("directory:read", "referral:send", "referral:receive")[:3]
    began = datetime.now(UTC)
    with (
        stack.api(one) as ana,
        stack.api(two) as ben,
        stack.api(three) as counter,
        httpx.Client(base_url=stack.base_url, timeout=30) as she,
    ):
        opened = ana.post("/v1/referrals", headers=key(), json=draft(a_service_of(ana, two["organisation_id"])))
        id_ = ok(opened)["id"]
        place, mine = f"/v1/referrals/{id_}", f"/v1/person/referrals/{id_}"
        link = ok(ana.post(f"{place}/access", json={"code": PICTURES, "level": "full"}))["link"]
        assert link.startswith(f"{stack.base_url}/p#")

        shown = {"link": link, "code": PICTURES}
        wrong = {**shown, "code": {"kind": "pictures", "value": [4, 9, 2, 3]}}
        assert she.post("/v1/person/session", json=wrong).status_code == 401
        assert she.get("/v1/person/referrals").status_code == 401
        session = ok(she.post("/v1/person/session", json=shown))["session"]
        she.headers["Relais-Person-Session"] = session

        params = [("data_categories", name) for name in ("identity", "contact", "needs")]
        early, late = ok(she.get(f"{mine}/preview", params=params))["items"]
        assert WORDS in json.dumps(early, ensure_ascii=False)
        assert GIVEN not in json.dumps(early)
        assert GIVEN in json.dumps(late)

        assert consented(ana, id_, "identity", "contact", "needs").status_code == 201
        assert ana.post(f"{place}/propose", headers=if_match(ana.get(place)), json={}).status_code == 200
        ok(she.post(f"{mine}/needs", json={"theme": "childcare", "words": HERS}))
        assert HERS in ben.get(place).text
        taken = ben.post(f"{place}/accept", headers=if_match(ben.get(place)), json={"counsellor": {"name": "Ben Noël"}})
        assert PHONE in taken.text
        ok(she.patch(mine, json={"contact": {"phone": OTHER_PHONE}}))
        assert OTHER_PHONE in ben.get(place).text
        lines = {line["organisation"]: line for line in ok(she.get(f"{mine}/readers"))["items"]}
        assert lines[two["organisation"]]["copied_into"] == two["organisation"]

        assert ok(she.post(f"{mine}/withdraw"))["state"] == "withdrawn"
        assert not [word for word in CANARIES if word in ben.get(place).text]
        assert she.delete("/v1/person/session").status_code == 204
        assert she.get(mine).status_code == 401

        assisted = ok(counter.post("/v1/assisted_sessions", json=shown))["session"]
        she.headers["Relais-Person-Session"] = assisted
        found = ok(she.get("/v1/person/referrals"))
        assert (found["items"][0]["state"], found["assisted_by"]) == ("withdrawn", three["organisation"])
        assert GIVEN in ok(she.get(mine))["referral"]["person"]["identity"]["given_name"]
        assert counter.get(place).status_code == 404

    told = json.dumps(every_trace(stack, began), ensure_ascii=False)
    told += "\n".join(row for rows in tables(owner_dsn(stack.home, "gateway")).values() for row in rows)
    told += "\n".join(file.read_text() for file in (stack.home / "logs").iterdir())
    secrets = (link.partition("#")[2], session, assisted)
    assert not [word for word in (*CANARIES, *secrets) if word in told]
