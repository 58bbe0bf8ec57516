"""A counsellor narrows what she finds, in her language, without a script in the page."""

import re

from browser.desks import Cast, Open, turn
from playwright.sync_api import Page, expect


def found(page: Page) -> int:
    """Answer how many services the page says it found."""
    said = re.search(r"\d+", page.locator("#reponses").inner_text().replace("\u202f", ""))
    assert said is not None
    return int(said[0])


def test_filters_narrow_and_stay(open_desk: Open, cast: Cast) -> None:
    desk = open_desk(cast.sender, java_script_enabled=False)
    desk.sign_in()
    page = desk.page
    page.goto(f"{desk.base_url}/recherche?place=6000+Charleroi&theme=childcare&radius_km=25")
    whole = found(page)
    page.get_by_text("Filtres", exact=True).click()
    page.get_by_label("Avec des places").check()
    page.get_by_label("Manière").select_option(label="Sur place")
    turn(page, page.get_by_role("main").get_by_role("button", name="Chercher"))
    narrowed = found(page)
    assert 0 < narrowed < whole
    expect(page.get_by_text("Filtres (2)")).to_be_visible()
    expect(page.get_by_label("Avec des places")).to_be_checked()
    turn(page, page.get_by_role("link", name="Voir les suivants"))
    assert found(page) == narrowed
    expect(page.get_by_label("Manière")).to_have_value("on_site")


def test_a_place_typed_half_is_said_in_full(open_desk: Open, cast: Cast) -> None:
    desk = open_desk(cast.sender)
    desk.sign_in()
    page = desk.page
    page.get_by_label("Où ?").press_sequentially("charler")
    offered = page.locator("#lieux option")
    expect(offered.first).to_have_attribute("value", "6000 Charleroi")
    values = offered.evaluate_all("all => all.map((one) => one.value)")
    assert len(values) == len(set(values))
    for typed, said in (("gosselie", "6041 Gosselies"), ("6061", "6061 Charleroi")):
        page.goto(f"{desk.base_url}/recherche?place={typed}&theme=childcare")
        expect(page.get_by_label("Où ?")).to_have_value(said)
        expect(page).to_have_title(re.compile(f" près de {said} "))
        nearest = page.locator(".cards h3").first.inner_text()
        turn(page, page.get_by_role("main").get_by_role("button", name="Chercher"))
        # The place that is said is the one that was looked from.
        expect(page.locator(".cards h3").first).to_have_text(nearest)


def test_a_page_speaks_one_language(open_desk: Open, cast: Cast) -> None:
    """The words of the page follow the choice made in it; the words of services stay as they were written."""
    desk = open_desk(cast.sender)
    desk.sign_in()
    page = desk.page
    page.goto(f"{desk.base_url}/recherche?place=6000+Charleroi&theme=childcare")
    for language, code, button in (
        ("Nederlands", "nl", "Overdragen"),
        ("Deutsch", "de", "Übergeben"),
        ("English", "en", "Hand over"),
    ):
        turn(page, page.get_by_role("button", name=language))
        page.goto(f"{desk.base_url}/recherche?place=6000+Charleroi&theme=childcare")
        expect(page.locator("html")).to_have_attribute("lang", code)
        turn(page, page.get_by_role("link", name=button).first)
        expect(page.locator("main h1")).to_be_visible()
        assert "Pourquoi" not in page.get_by_role("main").inner_text()
        page.goto(f"{desk.base_url}/recherche?place=6000+Charleroi&theme=childcare")


def test_what_is_missing_is_signalled_and_counted_without_her(open_desk: Open, cast: Cast) -> None:
    desk = open_desk(cast.sender, java_script_enabled=False)
    desk.sign_in()
    page = desk.page
    page.goto(f"{desk.base_url}/recherche?place=6000+Charleroi&theme=childcare&q=trottinette+volante&radius_km=2")
    expect(page).to_have_title(re.compile(r"^Rien à moins de 2\Wkm"))
    page.get_by_label("À quel moment ?").select_option(label="La nuit")
    page.get_by_role("button", name="Signaler ce manque").click()
    expect(page.get_by_role("status")).to_contain_text("Ce manque est compté")
    expect(page.get_by_label("Où ?")).to_have_value("6000 Charleroi")
    assert page.url.count("fait=") == 1
    # Where much was found there is no lack.
    page.goto(f"{desk.base_url}/recherche?place=6000+Charleroi&theme=childcare&radius_km=25")
    expect(page.get_by_role("button", name="Signaler ce manque")).to_have_count(0)


def test_the_list_is_printed_for_her_to_take_along(open_desk: Open, cast: Cast) -> None:
    desk = open_desk(cast.sender)
    desk.sign_in()
    page = desk.page
    page.goto(f"{desk.base_url}/recherche?place=6000+Charleroi&theme=childcare")
    contacts = page.get_by_text("Contact relais :")
    expect(contacts.first).to_be_visible()
    page.emulate_media(media="print")
    expect(page.get_by_text("Recherche du").first).to_contain_text("6000 Charleroi")
    for gone in (page.get_by_role("search"), contacts.first, page.get_by_role("button", name="Imprimer cette liste")):
        expect(gone).to_be_hidden()
    expect(page.locator(".card h3").first).to_be_visible()
    # Whom to call: the service's own number, never its relay contact's.
    expect(page.get_by_text(re.compile(r"^Téléphone : \+?[\d ]{6}")).first).to_be_visible()
