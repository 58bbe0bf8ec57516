"""The keyboard alone, on both sides of a hand-over: each stop is seen, and nothing needs a hand on a mouse."""

import re

import pytest
from browser.desks import CALLED, WORDS, Cast, Desk, Open, Sides
from playwright.sync_api import Locator, Page, expect

STOP = """() => {
    const one = document.activeElement;
    // The end of a page leads through the browser's own bars; what only scripts and skip links focus is no stop.
    if (one === document.body || one.tabIndex < 0) return null;
    const place = one.closest(".chip") ?? one, shown = place.querySelector("input + span") ?? one;
    const style = getComputedStyle(shown), box = shown.getClientRects()[0];
    const hit = box && document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    return {
        ring: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
        uncovered: !!hit && (place.contains(hit) || hit.contains(place)),
        what: one.outerHTML.slice(0, 160),
    };
}"""
"""Where the focus is: how wide its ring, and whether it lies open before whoever looks."""


def press(page: Page, key: str) -> None:
    """Press a key; where the focus lies then, it is seen."""
    page.keyboard.press(key)
    stop = page.evaluate(STOP)
    assert stop is None or (stop["ring"] >= 3 and stop["uncovered"]), stop


def reach(page: Page, wanted: Locator, key: str = "Tab") -> None:
    """Press a key until the focus is where one wants it."""
    for _ in range(150):
        press(page, key)
        if wanted.count() and wanted.first.evaluate("each => each === document.activeElement"):
            return
    pytest.fail(f"The keyboard does not reach {wanted}.")


def follow(page: Page, link: Locator) -> None:
    """Go where a link or a button leads."""
    reach(page, link)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def come_in(desk: Desk) -> None:
    """Sign in."""
    page = desk.page
    page.goto(desk.base_url)
    reach(page, page.get_by_role("link", name="Aller au contenu"))
    reach(page, page.get_by_label("Adresse e-mail"))
    page.keyboard.type(desk.account["email"])
    reach(page, page.get_by_label("Mot de passe"))
    page.keyboard.type(desk.account["password"])
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Se déconnecter").wait_for()


def test_who_hands_over_gets_from_the_door_to_the_other_side(open_desk: Open, cast: Cast) -> None:
    ana = open_desk(cast.sender)
    page, keys = ana.page, ana.page.keyboard
    come_in(ana)
    reach(page, page.get_by_label("Garde d'enfants"))
    keys.press("Space")
    reach(page, page.get_by_label("Où ?"))
    keys.type("6000 Charleroi")
    keys.press("Enter")
    expect(page.get_by_role("heading", name="réponses")).to_be_visible()
    follow(page, page.get_by_role("link", name="Passer le relais à"))
    expect(page.get_by_role("heading", level=1, name="Passer le relais")).to_be_visible()

    reach(page, page.get_by_role("textbox", name="Avec ses mots"))
    keys.type(WORDS)
    reach(page, page.locator("input[name=theme]"))
    keys.press("Space")
    expect(page.get_by_label("Sa commune")).to_have_value("6000 Charleroi")
    reach(page, page.get_by_label("Comment souhaite-t-elle être appelée ?"))
    keys.type("Zéphyrine-Page")
    reach(page, page.get_by_role("radio", name="Par nous"))
    keys.press("Space")
    for name in ("Son besoin, avec ses mots", "Son nom", "Comment la joindre"):
        reach(page, page.get_by_role("checkbox", name=name, exact=True))
        keys.press("Space")
    reach(page, page.get_by_role("radio", name="Oui, de vive voix"))
    keys.press("Space")
    follow(page, page.get_by_role("button", name="Passer le relais"))
    # The nearest may have no account: then the page leads on to inviting it.
    expect(page.get_by_role("status")).to_contain_text(re.compile("C'est parti|Il reste à inviter"))
    assert ana.faults == []


def test_who_takes_over_gets_from_the_door_to_the_meeting(open_desk: Open, cast: Cast, sides: Sides) -> None:
    """Into the inbox, the thread, the relay taken with two moments offered; then the hand-over confirmed."""
    id_ = sides.opened()
    ben = open_desk(cast.recipient)
    page, keys = ben.page, ben.page.keyboard
    come_in(ben)
    follow(page, page.get_by_role("link", name="Relais en cours"))
    follow(page, page.get_by_role("region", name="À prendre").locator(f"a[href='/relais/{id_}']"))
    expect(page.get_by_text(WORDS)).to_be_visible()

    reach(page, page.locator("summary", has_text="Proposer déjà des moments"))
    keys.press("Enter")
    for number, hour in ((1, "0930AM"), (2, "1130AM")):
        reach(page, page.get_by_label(f"Jour {number}"))
        keys.type("06062030")  # The same day whichever comes first, day or month.
        expect(page.get_by_label(f"Jour {number}")).to_have_value("2030-06-06")
        reach(page, page.get_by_label(f"Heure {number}"))
        keys.type(hour)
    expect(page.get_by_label("Heure 2")).to_have_value("11:30")
    how = page.locator("#accept-mode")
    reach(page, how)
    press(page, "ArrowDown")
    expect(how).to_have_value("call")
    press(page, "ArrowUp")
    expect(how).to_have_value("visit")
    follow(page, page.get_by_role("button", name="Prendre le relais"))
    expect(page.get_by_role("status").filter(has_text="Vous avez pris le relais")).to_be_visible()
    expect(page.get_by_text(CALLED).first).to_be_visible()

    # They met; he finds the thread again, and says so.
    offered = sides.sender.get(f"/v1/referrals/{id_}").json()["meeting_options"]
    assert len(offered) == 2
    sides.step(sides.sender, id_, "plan_meeting", starts_at=offered[0]["starts_at"], place="à l'accueil")
    follow(page, page.get_by_role("link", name="Relais en cours"))
    follow(page, page.get_by_role("main").locator(f"a[href='/relais/{id_}']"))
    follow(page, page.get_by_role("button", name="Confirmer la rencontre"))
    expect(page.get_by_text("Il manque l'autre côté")).to_be_visible()
    sides.step(sides.sender, id_, "confirm_handover")
    assert sides.sender.get(f"/v1/referrals/{id_}").json()["state"] == "handed_over"
    assert ben.faults == []
