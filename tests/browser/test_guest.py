"""A guest in a browser: a link, a code said on the telephone, secrecy undertaken, and on to the hand-over."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from browser.desks import Open
from browser.her import GIVEN, PHONE, WORDS
from browser.sound import grammar, violations
from journeys.test_one_handover import consented
from playwright.sync_api import Page, expect
from support.stack import Stack, if_match, key


@pytest.fixture(name="invited")
def _invited(stack: Stack) -> Iterator[tuple[httpx.Client, str, dict[str, Any]]]:
    """Invite a guest to a hand-over; answer the sender, where it is, and the invitation."""
    sender = stack.clients("directory:read", "referral:send")[0]
    with stack.api(sender) as ana:
        near = {"postcode": "6000", "theme": "childcare", "radius_km": 30, "limit": 100}
        found = ana.get("/v1/directory/search", params=near).json()["items"]
        service = next(one for one in found if one["can_receive"] == "guest")
        opened = ana.post(
            "/v1/referrals",
            headers=key(),
            json={
                "recipient": {
                    "organisation_id": service["organisation"]["id"],
                    "service_id": service["service"]["id"],
                },
                "counsellor": {"name": "Ana Lopes"},
                "person": {
                    "identity": {"given_name": GIVEN},
                    "contact": {"phone": PHONE},
                    "area": {"municipality": "be:52011"},
                    "languages": ["fr"],
                },
                "needs": [{"theme": "childcare", "words": WORDS}],
            },
        )
        place = f"/v1/referrals/{opened.json()['id']}"
        assert consented(ana, opened.json()["id"], "identity", "contact", "needs").status_code == 201
        assert ana.post(f"{place}/propose", headers=if_match(ana.get(place)), json={}).status_code == 200
        yield ana, place, ana.post(f"{place}/guest").json()


def sound(page: Page) -> None:
    """Expect a page without a fault of grammar or access."""
    assert grammar(page.content()) == []
    assert violations(page) == []


def test_a_guest_takes_over_and_confirms(  # noqa: PLR0915 - one story, told whole
    invited: tuple[httpx.Client, str, dict[str, Any]], open_desk: Open, stack: Stack
) -> None:
    ana, place, invitation = invited
    desk = open_desk({}, viewport={"width": 360, "height": 740})
    page = desk.page
    page.goto(invitation["link"])
    assert "#" not in page.url
    sound(page)
    page.get_by_label("Le code à six chiffres").fill("000000" if invitation["code"] != "000000" else "111111")
    page.get_by_role("button", name="Entrer").click()
    expect(page.get_by_role("alert")).to_contain_text("Ce lien et ce code n'ouvrent rien")
    page.get_by_label("Le code à six chiffres").fill(invitation["code"])
    page.get_by_label("Votre prénom et votre nom").fill("Léa Petit")
    page.get_by_label("Votre fonction").fill("accueillante")
    page.get_by_label("Votre équipe est tenue").select_option("discretion")
    page.get_by_label("Je m'y engage").check()
    page.get_by_role("button", name="Entrer").click()
    expect(page.get_by_role("heading", name="Bonjour Léa Petit")).to_be_visible()
    again = page.get_by_label("Gardez ce lien pour revenir").input_value()
    page.get_by_role("link", name="Voir le relais").click()
    expect(page.get_by_text(WORDS)).to_be_visible()
    assert not [word for word in (GIVEN, PHONE) if word in page.content()]
    sound(page)
    page.get_by_role("button", name="Prendre ce relais").click()
    expect(page.get_by_text(GIVEN)).to_be_visible()
    expect(page.get_by_text(PHONE)).to_be_visible()
    page.get_by_label("Jour", exact=True).fill("2030-01-08")
    page.get_by_label("Heure").fill("09:30")
    page.get_by_label("Lieu").fill("chez nous")
    page.get_by_role("button", name="Noter le rendez-vous").click()
    expect(page.get_by_text("mardi 8 janvier")).to_be_visible()
    page.get_by_label("Votre message").fill("Nous avons parlé.")
    page.get_by_role("button", name="Envoyer le message").click()
    expect(page.get_by_text("Nous avons parlé.")).to_be_visible()
    page.get_by_role("button", name="Confirmer la rencontre").click()
    expect(page.get_by_role("status")).to_contain_text("confirmation")
    sound(page)
    assert ana.post(f"{place}/confirm_handover", headers=if_match(ana.get(place)), json={}).status_code == 200
    assert ana.get(place).json()["state"] == "handed_over"

    page.get_by_role("button", name="Quitter vite").click()
    page.wait_for_url("**/p/calendrier")
    assert page.request.get(f"{stack.base_url}/g/ici", max_redirects=0).status == 303
    page.goto(again)
    page.get_by_label("Le code à six chiffres").fill(invitation["code"])
    page.get_by_role("button", name="Entrer").click()
    page.get_by_role("link", name="Voir le relais").click()
    expect(page.get_by_text(GIVEN)).to_be_visible()
    ana.post(f"{place}/withdraw", json={})
    page.reload()
    assert not [word for word in (GIVEN, PHONE, WORDS) if word in page.content()]
    page.get_by_role("button", name="Elle est effacée").click()
    expect(page.get_by_role("status")).to_contain_text("C'est noté")
    assert desk.faults == []
    assert not [one for one in desk.sent if invitation["link"].partition("#")[2] in one]


@pytest.mark.parametrize(
    ("locale", "heading"), [("nl", "doorverwijzing"), ("de", "Vermittlung"), ("en", "handed over")]
)
def test_the_door_speaks_the_guests_language(open_desk: Open, stack: Stack, locale: str, heading: str) -> None:
    page = open_desk({}, locale=locale).page
    page.goto(f"{stack.base_url}/g")
    expect(page.get_by_role("heading", level=1)).to_contain_text(heading)
    sound(page)
