"""One whole story in each other language: signing in, searching, passing on, taking over, and her own page."""

import re
from collections.abc import Callable

import pytest
from browser.desks import Cast, Open, turn
from browser.her import DIGITS, come_in
from playwright.sync_api import Page, expect
from support.stack import Stack

from relais_gateway.web.languages import _, speaking

Say = Callable[[str], str]
FRENCH = re.compile(r"\b(vous|votre|vos|avec|pour|cette|elle|nous|aucune?)\b", re.IGNORECASE)
"""Words that our French cannot do without, and that no other of our languages has."""
SAID = "h1, h2, h3, label, legend, button, summary, dt, nav a, .hint, [role=status]"
"""What the page itself says, where nothing of people and structures stands."""
WORDS = "een plaats, eine Stelle, a place"


def spoken_in(code: str) -> Say:
    """Answer how a French text of a page is said in a language; it fails where nobody translated it."""

    def say(text: str) -> str:
        with speaking(code):
            found = _(text.replace(" ?", "\N{NO-BREAK SPACE}?"))
        assert found != text, text
        return found

    return say


def no_french(page: Page) -> None:
    """Expect that nothing of the page itself is left in French; what people and structures wrote stays as it is."""
    text = page.evaluate(
        """said => [...document.querySelectorAll(said)]
            .filter(each => each.checkVisibility() && !each.closest("[lang=fr]"))
            .map(each => each.innerText).join("\\n")""",
        SAID,
    )
    assert not FRENCH.search(text), FRENCH.findall(text)


@pytest.mark.parametrize(
    ("code", "takes", "waits", "stop", "sure", "told"),
    [
        ("nl", "Overnemen", "Uw afspraak", "Het delen stoppen", "Ja, stoppen", "Het delen is gestopt"),
        ("de", "Übernehmen", "Ihr Termin", "Das Teilen beenden", "Ja, beenden", "Das Teilen ist beendet"),
        ("en", "Take over", "Your meeting", "Stop sharing", "Yes, stop", "The sharing has stopped"),
    ],
)
def test_a_person_is_handed_over_in_another_language(
    open_desk: Open, cast: Cast, stack: Stack, code: str, takes: str, waits: str, stop: str, sure: str, told: str
) -> None:
    say, locale = spoken_in(code), {"locale": f"{code}-BE"}
    ana = open_desk(cast.sender, **locale)
    enter(ana.page, ana.base_url, cast.sender, say)
    page = ana.page
    page.get_by_label(say("Où ?")).fill("6000 Charleroi")
    page.get_by_label(say("Garde d'enfants")).check(force=True)
    turn(page, page.get_by_role("button", name=say("Chercher")))
    no_french(page)
    page.goto(f"{ana.base_url}/services/{cast.service['service']['id']}")
    no_french(page)
    turn(page, page.get_by_role("link", name=say("Passer le relais")).first)
    no_french(page)
    page.get_by_role("textbox", name=say("Avec ses mots")).fill(WORDS)
    page.get_by_role("group", name=say("Cela touche à")).get_by_role("radio").first.check(force=True)
    page.get_by_label(say("Sa commune")).fill("6000 Charleroi")
    page.get_by_label(say("Comment souhaite-t-elle être appelée ?")).fill("Odile")
    page.get_by_role("radio", name=say("Elle passera d'elle-même")).check()
    for name in ("Son besoin, avec ses mots", "Son nom"):
        page.get_by_role("checkbox", name=say(name), exact=True).check()
    page.get_by_role("radio", name=say("Oui, de vive voix")).check()
    page.get_by_role("button", name=say("Passer le relais")).click()
    expect(page.get_by_role("status")).to_contain_text(
        say("C'est parti. La structure d'accueil voit le besoin, sans le nom ni le téléphone.")
    )
    no_french(page)
    thread = page.url.partition("?")[0]

    ben = open_desk(cast.recipient, **locale)
    enter(ben.page, ben.base_url, cast.recipient, say)
    ben.page.goto(thread)
    turn(ben.page, ben.page.get_by_role("button", name=takes, exact=True))
    expect(ben.page.get_by_role("status").first).to_be_visible()
    no_french(ben.page)
    form = ben.page.locator("form", has=ben.page.get_by_role("button", name=say("Noter le rendez-vous"))).first
    form.get_by_label(say("Jour"), exact=True).fill("2030-05-06")
    form.get_by_label(say("Heure"), exact=True).fill("09:30")
    turn(ben.page, form.get_by_role("button", name=say("Noter le rendez-vous")))
    expect(ben.page.get_by_role("status").first).to_be_visible()
    no_french(ben.page)

    client = next(
        one for one in stack.clients("referral:send") if one["organisation_id"] == cast.sender["organisation_id"]
    )
    with stack.api(client) as api:
        made = api.post(
            f"/v1/referrals/{thread.rpartition('/')[2]}/access",
            json={"code": DIGITS, "level": "full", "language": code},
        )
    assert made.status_code == 201, made.text
    hers = come_in(open_desk, made.json()["link"], button=say("Ouvrir ma page"), **locale).page
    assert hers.locator("html").get_attribute("lang") == code
    expect(hers.get_by_role("heading", name=waits)).to_be_visible()
    no_french(hers)
    hers.locator("summary.stop").click()
    expect(hers.locator("summary.stop")).to_contain_text(stop)
    hers.get_by_role("button", name=sure, exact=True).click()
    expect(hers.get_by_role("status").filter(has_text=told)).to_be_visible()
    ben.page.reload()
    assert not [word for word in (WORDS, "Odile") if word in ben.page.content()]


def enter(page: Page, base_url: str, account: dict[str, str], say: Say) -> None:
    """Sign in, in the language that the browser asks for."""
    page.goto(base_url)
    no_french(page)
    page.get_by_label(say("Adresse e-mail")).fill(account["email"])
    page.get_by_label(say("Mot de passe")).fill(account["password"])
    page.get_by_role("button", name=say("Se connecter")).click()
    page.get_by_role("button", name=say("Se déconnecter")).wait_for()
