"""Practising in a browser: every page says so, on paper too, and the other side answers by itself."""

from typing import Any

from browser.desks import Hire, Open, turn
from playwright.sync_api import Page, expect
from support.stack import Stack

from relais_local.territory import sandbox
from relais_local.territory.generate import organisation_id

MARK = """() => {
    const box = getComputedStyle(document.querySelector(".practice"), "::after");
    return [box.content, box.position];
}"""


def practises(page: Page) -> None:
    """Expect a page that says that this is an exercise, and across each sheet of paper too."""
    expect(page.get_by_text("Exercice :").first).to_be_visible()
    page.emulate_media(media="print")
    assert page.evaluate(MARK) == ['"Exercice"', "fixed"], page.url
    page.emulate_media(media="screen")


def test_who_practises_sees_so_on_every_page_and_is_answered(hire: Hire, open_desk: Open, stack: Stack) -> None:
    desk = open_desk(hire(organisation_id(sandbox.PARTNER)))
    desk.sign_in()
    page = desk.page
    client = stack.demo["sandbox"]["clients"][0]
    with stack.api(client) as api:
        asked = {"organisation_id": organisation_id(sandbox.ANSWERING), "limit": 50}
        found = [one["service"] for one in api.get("/v1/directory/search", params=asked).json()["items"]]
        service = next(one for one in found if "accepte, rencontre" in one["name"])
        for path in ("/recherche?place=6700", f"/services/{service['id']}", "/relais", "/compte", "/guichet"):
            page.goto(desk.base_url + path)
            practises(page)
        page.goto(f"{desk.base_url}/relais/nouveau?service={service['id']}")
        practises(page)
        write(page)
        page.get_by_role("button", name="Passer le relais").click()
        expect(page.get_by_role("status")).to_contain_text("C'est parti")
        practises(page)
        # The structure of the sandbox takes it within seconds; the page says by itself that something moved.
        expect(page.get_by_text("Ce relais a bougé entre-temps")).to_be_visible()
        page.get_by_role("link", name="Voir où il en est").click()
        expect(page.get_by_text("Exercice : rien de ceci n'est réel.")).to_be_visible()
        id_ = page.url.partition("?")[0].rpartition("/")[2]
        consent = api.get(f"/v1/referrals/{id_}/consents").json()["items"][0]["id"]
        receipt = api.get(f"/v1/consents/{consent}/receipt", params={"form": "page"}).text
        assert '<p class="mark">Exercice</p>' in receipt
        made: dict[str, Any] = {"code": {"kind": "digits", "value": "482910"}, "level": "full"}
        link = api.post(f"/v1/referrals/{id_}/access", json=made).json()["link"]
    hers = open_desk({}).page
    hers.goto(link)
    hers.locator("#digits").fill("482910")
    turn(hers, hers.get_by_role("button", name="Ouvrir ma page"))
    practises(hers)
    assert desk.faults == []


def write(page: Page) -> None:
    """Fill the relay page as somebody does who practises."""
    page.get_by_role("textbox", name="Avec ses mots").fill("quelqu'un à qui parler")
    page.get_by_role("group", name="Cela touche à").get_by_role("radio").first.check(force=True)
    page.get_by_label("Sa commune").fill("6700 Arlon")
    page.get_by_label("Comment souhaite-t-elle être appelée ?").fill("Essai")
    page.get_by_role("radio", name="Elle passera d'elle-même").check()
    for name in ("Son besoin, avec ses mots", "Son nom"):
        page.get_by_role("checkbox", name=name, exact=True).check()
    page.get_by_role("radio", name="Oui, de vive voix").check()
