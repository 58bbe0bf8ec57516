"""One person is handed over, call by call, as a partner's system does it.

Ana works where a mother of two asks for help. She finds childcare near Charleroi, opens a referral, tells the
mother what will be shared, and proposes. Ben, at the nursery, sees the need but no name, takes it, and only then
sees who she is. They agree on a meeting, both confirm that she was met, and Ben closes. Later the mother stops
the sharing.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from support.stack import Stack, if_match, key

GIVEN, FAMILY, PHONE, WORDS = "Amina-Journey", "Benali-Journey", "0470 11 22 33", "une place avant lundi"


@pytest.fixture(name="parties", scope="module")
def _parties(stack: Stack) -> tuple[dict[str, Any], dict[str, Any]]:
    first, second, *_ = stack.clients("directory:read", "referral:send", "referral:receive")
    return first, second


def a_service_of(api: httpx.Client, organisation_id: str) -> dict[str, Any]:
    """Answer a service that the organisation offers and can be handed to."""
    found = api.get("/v1/directory/search", params={"organisation_id": organisation_id, "limit": 100}).json()
    item: dict[str, Any] = next(one for one in found["items"] if one["can_receive"] == "relais")
    return item


def opened(sender: httpx.Client, service: dict[str, Any], theme: str = "childcare") -> httpx.Response:
    """Open a referral with everything that the appendix of the design shows."""
    return sender.post(
        "/v1/referrals",
        headers=key(),
        json={
            "recipient": {
                "organisation_id": service["organisation"]["id"],
                "service_id": service["service"]["id"],
            },
            "counsellor": {"name": "Ana Lopes", "email": "ana@depart.example", "phone": "071 00 00 01"},
            "person": {
                "identity": {"given_name": GIVEN, "family_name": FAMILY, "birth_date": "1991-05-04"},
                "contact": {"phone": PHONE, "preferred": "phone"},
                "area": {"municipality": "be:52011", "postcode": "6000"},
                "languages": ["fr"],
            },
            "needs": [{"theme": theme, "words": WORDS}],
            "constraints": ["le matin"],
        },
    )


def consented(sender: httpx.Client, referral_id: str, *categories: str) -> httpx.Response:
    """Record her agreement to these categories."""
    return sender.post(
        f"/v1/referrals/{referral_id}/consents",
        headers=key(),
        json={
            "purposes": ["referral", "feedback"],
            "data_categories": list(categories),
            "method": "in_person_oral",
            "language": "fr",
            "notice_version": "2026-1",
            "collected_by": "Ana Lopes",
            "given_at": datetime.now(UTC).isoformat(),
        },
    )


def test_a_token_is_what_the_appendix_shows(stack: Stack, parties: tuple[dict[str, Any], ...]) -> None:
    client = parties[0]
    answer = httpx.post(
        f"{stack.base_url}/oauth2/token",
        auth=(client["client_id"], client["client_secret"]),
        data={"grant_type": "client_credentials", "scope": "directory:read referral:send"},
    )
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
    assert (body["token_type"], body["expires_in"] <= 900) == ("Bearer", True)
    assert set(body["scope"].split()) == {"directory:read", "referral:send"}
    assert answer.headers["cache-control"] == "no-store"


def test_a_search_is_what_the_appendix_shows(stack: Stack, parties: tuple[dict[str, Any], ...]) -> None:
    with stack.api(parties[0], "directory:read") as api:
        answer = api.get(
            "/v1/directory/search", params={"postcode": "6000", "theme": "childcare", "radius_km": 10, "limit": 5}
        )
    assert answer.status_code == 200
    body = answer.json()
    assert {"items", "total", "total_is_exact", "next_cursor"} <= set(body)
    assert len(body["items"]) == 5
    assert body["total"] > 5
    assert body["total_is_exact"]
    for item in body["items"]:
        assert {
            "id", "service", "organisation", "location", "distance_m", "opening", "capacity", "freshness",
            "relay_contact", "why", "source",
        } <= set(item)  # fmt: skip
        assert {"id", "name", "themes", "description"} <= set(item["service"])
        assert any(theme.startswith("childcare") for theme in item["service"]["themes"])
        assert {"id", "name"} <= set(item["organisation"])
        assert {"id", "name", "address", "latitude", "longitude"} <= set(item["location"])
        assert {"street", "postcode", "municipality", "country"} <= set(item["location"]["address"])
        assert {"open_now", "next_opening"} <= set(item["opening"])
        assert {"assured_at", "assured_by", "score"} <= set(item["freshness"])
        assert {"name", "record_id", "url"} <= set(item["source"])
    known = [item["distance_m"] for item in body["items"] if item["distance_m"] is not None]
    assert known == sorted(known)
    assert all(distance <= 10_000 for distance in known)


def test_a_person_is_handed_over_and_stops_the_sharing(  # noqa: PLR0915 - one story, told in order
    stack: Stack, parties: tuple[dict[str, Any], ...]
) -> None:
    one, two = parties
    with stack.api(one) as ana, stack.api(two) as ben, stack.api(stack.clients("referral:receive")[2]) as eve:
        # Ana finds the service and opens a draft: nobody else knows of it.
        service = a_service_of(ana, two["organisation_id"])
        draft = opened(ana, service)
        assert draft.status_code == 201, draft.text
        referral = draft.json()
        place = f"/v1/referrals/{referral['id']}"
        assert draft.headers["location"].endswith(place)
        assert referral["state"] == "draft"
        assert referral["allowed_actions"] == ["cancel"]
        assert [api.get(place).status_code for api in (ana, ben, eve)] == [200, 404, 404]

        # Without consent nothing goes; with it, propose joins the actions.
        refused = ana.post(f"{place}/propose", headers=if_match(draft), json={})
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/consent-missing")
        assert refused.json()["allowed_actions"] == ["cancel"]
        consent = consented(ana, referral["id"], "identity", "contact", "needs")
        assert consent.status_code == 201, consent.text
        assert consent.json()["status"] == "given"
        seen = ana.get(place)
        assert set(seen.json()["allowed_actions"]) == {"propose", "cancel"}
        proposed = ana.post(f"{place}/propose", headers=if_match(seen), json={})
        assert (proposed.status_code, proposed.json()["state"]) == (200, "proposed"), proposed.text

        # Ben reads the need; no name, no phone, in the list or in the referral.
        listed = ben.get("/v1/referrals", params={"role": "recipient", "state": "proposed"})
        assert referral["id"] in [item["id"] for item in listed.json()["items"]]
        before = ben.get(place)
        for answer in (listed, before):
            assert answer.status_code == 200
            assert not [word for word in (GIVEN, FAMILY, PHONE, "71 00 00 01") if word in answer.text]
        assert WORDS in before.text
        assert WORDS not in listed.text
        assert eve.get(place).status_code == 404

        # He takes it in hand and takes it over: now he sees who she is and how to reach her.
        received = ben.post(f"{place}/receive", headers=if_match(before), json={"counsellor": {"name": "Ben Noël"}})
        assert received.json()["state"] == "received", received.text
        stale = ben.post(f"{place}/accept", headers=if_match(before), json={"counsellor": {"name": "Ben Noël"}})
        assert (stale.status_code, stale.json()["type"]) == (412, "/problems/stale-version")
        bare = ben.post(f"{place}/accept", json={"counsellor": {"name": "Ben Noël"}})
        assert (bare.status_code, bare.json()["type"]) == (428, "/problems/version-required")
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        accepted = ben.post(
            f"{place}/accept",
            headers=if_match(received),
            json={
                "counsellor": {"name": "Ben Noël", "phone": "071 00 00 02"},
                "meeting_options": [{"starts_at": tomorrow, "mode": "visit"}],
            },
        )
        assert accepted.status_code == 200, accepted.text
        assert accepted.json()["state"] == "accepted"
        assert accepted.json()["person"]["identity"]["given_name"] == GIVEN
        assert accepted.json()["person"]["contact"]["phone"].replace(" ", "").endswith("470112233")
        assert accepted.json()["person"]["contact"]["reach"] == "phone"
        assert not any(
            accepted.json()["person"]["contact"]["safety"][may] for may in ("voicemail", "sms", "may_say_who")
        )

        # They agree on a meeting, and both confirm that she was met.
        planned = ben.post(
            f"{place}/plan_meeting",
            headers=if_match(accepted),
            json={
                "starts_at": tomorrow,
                "mode": "visit",
                "place": "à la crèche",
                "attendees": ["person", "sender"],
            },
        )
        assert planned.json()["state"] == "meeting_planned", planned.text
        half = ana.post(f"{place}/confirm_handover", headers=if_match(ana.get(place)), json={})
        assert (half.status_code, half.json()["state"]) == (200, "meeting_planned"), half.text
        both = ben.post(f"{place}/confirm_handover", headers=if_match(ben.get(place)), json={})
        assert both.json()["state"] == "handed_over", both.text
        closed = ben.post(f"{place}/close", headers=if_match(both), json={"outcome": "under_way"})
        assert closed.json()["state"] == "closed", closed.text
        assert ana.get(place).json()["state"] == "closed"

        # Every look was written down.
        looks = ana.get(f"{place}/disclosures").json()["items"]
        assert any(look["organisation_id"] == two["organisation_id"] for look in looks)
        assert all({"at", "actor", "categories", "consent_id", "trace_id"} <= set(look) for look in looks)
        opened_by_ben = [look for look in looks if look["organisation_id"] == two["organisation_id"]]
        assert {"identity", "contact"} <= {name for look in opened_by_ben for name in look["categories"]}

        # She stops the sharing: Ben's next read holds neither name nor phone nor her words.
        withdrawn = ana.post(f"/v1/consents/{consent.json()['id']}/withdraw", json={"method": "counsellor"})
        assert (withdrawn.status_code, withdrawn.json()["status"]) == (200, "withdrawn"), withdrawn.text
        after = ben.get(place)
        assert (after.status_code, after.json()["state"]) == (200, "withdrawn")
        assert not [word for word in (GIVEN, FAMILY, PHONE, "470112233", WORDS) if word in after.text]


@pytest.mark.parametrize("ending", ["cancel", "decline", "withdraw"])
def test_other_endings_leave_the_recipient_with_nothing(
    stack: Stack, parties: tuple[dict[str, Any], ...], ending: str
) -> None:
    one, two = parties
    with stack.api(one) as ana, stack.api(two) as ben:
        place = f"/v1/referrals/{opened(ana, a_service_of(ana, two['organisation_id'])).json()['id']}"
        assert consented(ana, place.rpartition("/")[2], "identity", "contact", "needs").status_code == 201
        proposed = ana.post(f"{place}/propose", headers=if_match(ana.get(place)), json={})
        if ending == "decline":
            ended = ben.post(
                f"{place}/decline",
                headers=if_match(ben.get(place)),
                json={"reason": "no_place", "words": "Complet."},
            )
        else:
            ended = ana.post(f"{place}/{ending}", headers=if_match(proposed), json={})
        assert ended.status_code == 200, ended.text
        left = ben.get(place)
        assert left.status_code == 200
        assert left.json()["state"] == {"cancel": "cancelled", "decline": "declined", "withdraw": "withdrawn"}[ending]
        assert not [word for word in (GIVEN, FAMILY, PHONE, "470112233", WORDS, "le matin") if word in left.text]
