"""A service's page, the ways to whoever has no account, and the way out where there is danger."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from browser.desks import Cast, Open
from browser.sound import grammar, violations
from browser.test_handover import PHONE, write
from browser.test_passing import client_of, opened
from playwright.sync_api import Page, expect
from support.stack import Stack


def sound(page: Page) -> None:
    """Expect a page without a fault of grammar or access, that a phone shows whole."""
    assert grammar(page.content()) == []
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def a_service(stack: Stack, cast: Cast, receives: str) -> dict[str, Any]:
    """Answer a service that is received so."""
    with stack.api(client_of(stack, cast.sender)) as api:
        asked = {"postcode": "6000", "radius_km": 40, "limit": 100}
        for theme in ("childcare", "mobility", "support", "training"):
            found = api.get("/v1/directory/search", params={**asked, "theme": theme}).json()["items"]
            for one in found:
                whole = api.get(f"/v1/directory/services/{one['service']['id']}").json()
                if one["can_receive"] == receives and whole["email"] and not whole["sensitive"]:
                    answer: dict[str, Any] = one
                    return answer
    pytest.fail(f"No service of the demonstration is received as {receives}.")


def test_a_guest_is_invited_from_the_page(open_desk: Open, cast: Cast, stack: Stack) -> None:
    service = a_service(stack, cast, "guest")
    desk = open_desk(cast.sender, viewport={"width": 360, "height": 740})
    page = opened(desk, service)
    expect(page.get_by_text("Elle répondra par un lien")).to_be_visible()
    write(desk)
    page.get_by_role("button", name="Passer le relais").click()
    expect(page.get_by_role("status")).to_contain_text("Il reste à inviter la structure")
    sound(page)
    page.get_by_role("button", name="Faire l'invitation").click()
    link, code = page.get_by_label("Le lien").input_value(), page.locator(".calling code").inner_text()
    assert re.fullmatch(r"\d{6}", code)
    sound(page)
    guest = open_desk({}).page
    guest.goto(link)
    guest.get_by_label("Le code à six chiffres").fill(code)
    guest.get_by_label("Votre prénom et votre nom").fill("Léa Petit")
    guest.get_by_label("Votre fonction").fill("accueillante")
    guest.get_by_label("Votre équipe est tenue").select_option("discretion")
    guest.get_by_label("Je m'y engage").check()
    guest.get_by_role("button", name="Entrer").click()
    expect(guest.get_by_role("heading", name="Bonjour Léa Petit")).to_be_visible()
    page.get_by_role("link", name="C'est fait").click()
    expect(page.get_by_role("link", name="L'inviter, ou refaire l'invitation")).to_be_visible()


def test_a_structure_that_is_only_called_is_called_from_a_sheet(open_desk: Open, cast: Cast, stack: Stack) -> None:
    service = a_service(stack, cast, "phone_only")
    desk = open_desk(cast.sender, viewport={"width": 360, "height": 740})
    page = opened(desk, service)
    # Nobody who is only called is bound by secrecy: there is no place for the counsellor's own words.
    expect(page.get_by_label("Nos précisions")).to_have_count(0)
    write(desk)
    said = page.get_by_role("region", name="Ce que nous dirons")
    expect(said.locator(".sides > div")).to_have_count(1)
    expect(said).to_contain_text(PHONE)
    page.get_by_role("button", name="Passer le relais").click()
    expect(page.get_by_role("status")).to_contain_text("Il reste à appeler la structure")
    sound(page)
    sheet = page.get_by_role("link", name="La fiche d'appel").get_attribute("href")
    printed = page.request.get(f"{desk.base_url}{sheet}")
    assert (printed.status, printed.headers["content-type"]) == (200, "application/pdf")
    assert printed.body().startswith(b"%PDF")
    page.get_by_role("button", name="Ils prennent le relais").click()
    expect(page.get_by_role("heading", name="La rencontre a eu lieu")).to_be_visible()


def test_what_a_colleague_said_on_the_telephone_is_noted(open_desk: Open, cast: Cast, stack: Stack) -> None:
    desk = open_desk(cast.sender)
    page = opened(desk, cast.service)
    write(desk)
    page.get_by_text("Accord au téléphone, et comment nous rappeler").click()
    page.get_by_label("Qui vous a dit oui au téléphone ?").fill("Ben Noël")
    page.get_by_role("button", name="Passer le relais").click()
    expect(page.get_by_role("status")).to_contain_text("n'a plus qu'un geste à faire")
    with stack.api(client_of(stack, cast.sender)) as api:
        referral = api.get(f"/v1/referrals/{urlsplit(page.url).path.rpartition('/')[2]}").json()
    assert referral["agreed_by_phone"]["colleague"] == "Ben Noël"


def test_a_service_is_told_whole_and_kept_right_together(open_desk: Open, cast: Cast) -> None:
    desk = open_desk(cast.stranger, java_script_enabled=False)
    desk.sign_in()
    page = desk.page
    page.goto(f"{desk.base_url}/services/{cast.service['service']['id']}")
    for term in ("Comment on est reçu", "Où", "Coût"):
        expect(page.get_by_role("term").filter(has_text=re.compile(rf"^\s*{term}$"))).to_be_visible()
    expect(page.get_by_text(re.compile(r"[\d,]+\sk?m à pied")).first).to_be_visible()
    page.get_by_role("button", name="Oui, elle est juste").click()
    expect(page.get_by_role("status")).to_contain_text("confirmée")
    expect(page.get_by_text("Confirmé aujourd'hui").first).to_be_visible()

    page.get_by_text("Ajouter un conseil").click()
    page.get_by_label("Votre conseil").fill("demandez Zoé au 0470 11 22 33")
    page.get_by_role("button", name="Partager ce conseil").click()
    expect(page.get_by_label("Votre conseil")).to_have_accessible_description(re.compile("sans nom de personne"))
    page.get_by_label("Votre conseil").fill("Sonnez deux fois, la porte est lente.")
    page.get_by_role("button", name="Partager ce conseil").click()
    expect(page.get_by_role("region", name="Bon à savoir")).to_contain_text("Sonnez deux fois")
    page.get_by_role("button", name="Retirer").click()
    expect(page.get_by_role("region", name="Bon à savoir")).not_to_contain_text("Sonnez deux fois")

    page.get_by_text("Signaler une erreur").click()
    page.get_by_label("Qu'est-ce qui ne va pas ?").select_option(label="Les horaires")
    page.get_by_role("button", name="Signaler", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("prévenue")
    expect(page.get_by_text("Des collègues ont signalé une erreur ici")).to_contain_text("Les horaires")


def with_conditions(stack: Stack, cast: Cast) -> str:
    """Answer the id of a service that has a condition of age, or another that can be checked."""
    with stack.api(client_of(stack, cast.sender)) as api:
        for theme in ("training", "support", "mobility", "childcare"):
            asked = {"postcode": "6000", "radius_km": 40, "limit": 100, "theme": theme}
            for one in api.get("/v1/directory/search", params=asked).json()["items"]:
                whole = api.get(f"/v1/directory/services/{one['service']['id']}").json()
                if whole["conditions"] and one["can_receive"] == "relais":
                    return str(whole["id"])
    pytest.fail("No service of the demonstration has conditions.")


@pytest.mark.parametrize("scripted", [True, False])
def test_conditions_are_checked_beforehand_and_kept_nowhere(
    open_desk: Open, cast: Cast, stack: Stack, *, scripted: bool
) -> None:
    service_id = with_conditions(stack, cast)
    desk = open_desk(cast.sender, java_script_enabled=scripted)
    desk.sign_in()
    page = desk.page
    page.goto(f"{desk.base_url}/relais/nouveau?service={service_id}")
    page.get_by_role("textbox", name="Avec ses mots").fill("rester ici")
    page.get_by_text("Ce que la personne en dit").click()
    page.get_by_label("Son âge").fill("trente")
    page.get_by_role("button", name="Vérifier").click()
    expect(page.get_by_text("Écrivez un âge en années").first).to_be_visible()
    page.get_by_label("Son âge").fill("34")
    page.get_by_role("button", name="Vérifier").click()
    expect(page.get_by_text("une règle a ses exceptions")).to_be_visible()
    assert page.locator("#verifie li, [data-checked] li").count() > 0
    # Neither the port nor the id of the service is an age.
    assert "34" not in page.url.removeprefix(desk.base_url).replace(service_id, "")
    if scripted:
        expect(page.get_by_role("textbox", name="Avec ses mots")).to_have_value("rester ici")
        assert violations(page) == []
    else:
        expect(page.get_by_role("heading", level=1)).to_have_text("Les conditions")
        assert grammar(page.content()) == []
    assert desk.faults == []


def test_where_there_is_danger_nothing_is_asked_and_one_is_out_at_once(
    open_desk: Open, cast: Cast, stack: Stack
) -> None:
    for locale, said in (("fr", "pompiers"), ("nl", "brandweer"), ("de", "Feuerwehr"), ("en", "fire brigade")):
        page = open_desk({}, locale=locale, viewport={"width": 360, "height": 740}).page
        page.goto(f"{stack.base_url}/danger")
        expect(page.get_by_role("listitem").filter(has_text=said)).to_contain_text("112")
        sound(page)
    for scripted in (True, False):
        desk = open_desk(cast.sender, java_script_enabled=scripted)
        page = opened(desk, cast.service)
        page.get_by_text("Danger immédiat").click()
        expect(page.get_by_role("link", name="112")).to_be_visible()
        page.get_by_role("button", name="Quitter vite").click()
        page.wait_for_url("**/p/calendrier")
        page.goto(f"{desk.base_url}/relais")
        expect(page.get_by_role("heading", level=1)).to_have_text("Se connecter")
