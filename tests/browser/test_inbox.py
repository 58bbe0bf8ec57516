"""The thread and the inbox in a browser: every step by its name, without a script; then live, with one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from browser.desks import CALLED, PHONE, WORDS, Cast, Desk, Open, Sides
from browser.sound import grammar
from playwright.sync_api import Page, Route, expect
from support.rows import let_undoing_pass, owner_dsn
from support.stack import Stack

PAPER = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"


def sound(page: Page) -> None:
    """Expect a page that a machine finds nothing wrong with, and that fits a phone."""
    assert grammar(page.content()) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def told(desk: Desk, text: str) -> None:
    """Expect what is said after a step."""
    expect(desk.page.get_by_role("status").filter(has_text=text)).to_be_visible()
    sound(desk.page)


def press(desk: Desk, name: str, *, behind: str = "") -> None:
    """Press a button by its name, behind the name of its group where it has one."""
    if behind:
        desk.page.locator("summary", has_text=behind).click()
    desk.page.get_by_role("button", name=name, exact=True).click()


def at(open_desk: Open, account: dict[str, Any], path: str, **options: Any) -> Desk:
    """Sign in, then open a page."""
    desk = open_desk(account, **options)
    desk.sign_in()
    desk.page.goto(desk.base_url + path)
    return desk


def test_every_step_is_taken_by_its_name_and_without_a_script(  # noqa: PLR0915 - one story, told whole
    open_desk: Open, cast: Cast, sides: Sides
) -> None:
    """Times offered, one chosen, changed; messages and a paper; a rest; given back, taken up again, told."""
    id_ = sides.opened()
    plain = {"java_script_enabled": False, "viewport": {"width": 360, "height": 740}, "accept_downloads": True}
    ben = at(open_desk, cast.recipient, f"/relais/{id_}", **plain)
    ana = at(open_desk, cast.sender, f"/relais/{id_}", **plain)

    press(ana, "Noter cet accord", behind="Quelqu'un a dit oui au téléphone")
    expect(ana.page.get_by_label("Qui a dit oui")).to_have_attribute("aria-invalid", "true")
    ana.page.get_by_label("Qui a dit oui").fill("Ben Noël")
    press(ana, "Noter cet accord")
    told(ana, "Votre collègue n'a plus qu'un geste")
    press(ana, "Mettre en pause", behind="Mettre en pause")
    told(ana, "C'est en pause")
    press(ana, "Reprendre")
    told(ana, "C'est repris")

    # Before anybody takes over nothing that tells who she is; what was typed is kept.
    ben.page.goto(f"{ben.base_url}/relais/{id_}")
    expect(ben.page.get_by_text("Ben Noël a dit oui au téléphone")).to_be_visible()
    ben.page.get_by_label("Votre message").fill(f"Je l'appelle au {PHONE} ?")
    press(ben, "Envoyer")
    expect(ben.page.get_by_label("Votre message")).to_have_value(f"Je l'appelle au {PHONE} ?")
    expect(ben.page.get_by_label("Votre message")).to_have_attribute("aria-invalid", "true")
    ben.page.get_by_label("Votre message").fill("Nous avons une place mardi.")
    press(ben, "Envoyer")
    told(ben, "Votre message est envoyé")

    ben.page.locator("summary", has_text="Proposer déjà des moments").click()
    ben.page.get_by_label("Jour 1").fill("2030-05-06")
    press(ben, "Prendre le relais")
    expect(ben.page.get_by_label("Jour 1")).to_have_attribute("aria-invalid", "true")
    ben.page.get_by_label("Heure 1").fill("09:30")
    ben.page.get_by_label("Jour 2").fill("2030-05-07")
    ben.page.get_by_label("Heure 2").fill("14:00")
    press(ben, "Prendre le relais")
    told(ben, "Vous avez pris le relais")
    expect(ben.page.get_by_role("link", name=PHONE)).to_be_visible()

    ana.page.goto(f"{ana.base_url}/relais/{id_}")
    expect(ana.page.get_by_text("Nous avons une place mardi.")).to_be_visible()
    ana.page.get_by_role("button", name="Convenir de ce moment : mardi 7 mai 2030").click()
    told(ana, "Le rendez-vous est noté des deux côtés")
    with ana.page.expect_download() as fetched:
        ana.page.get_by_role("link", name="Mettre dans mon agenda").click()
    calendar = fetched.value.path().read_text()
    assert "20300507T" in calendar
    assert CALLED not in calendar
    ana.page.get_by_label("Ajouter un document").set_input_files(
        {"name": "attestation d'emploi.pdf", "mimeType": "application/pdf", "buffer": PAPER}
    )
    press(ana, "Ajouter")
    told(ana, "Le document est ajouté")
    ana.page.get_by_label("Ajouter un document").set_input_files(
        {"name": "x.pdf", "mimeType": "application/pdf", "buffer": b"MZ not a paper"}
    )
    press(ana, "Ajouter")
    expect(ana.page.get_by_label("Ajouter un document")).to_have_attribute("aria-invalid", "true")
    sound(ana.page)
    ana.page.goto(f"{ana.base_url}/relais/{id_}")
    ana.page.locator("li", has_text="Le dire à la personne").get_by_role("button", name="C'est dit").first.click()
    told(ana, "C'est noté")

    ben.page.goto(f"{ben.base_url}/relais/{id_}")
    with ben.page.expect_download() as fetched:
        ben.page.get_by_role("link", name="attestation d'emploi.pdf").click()
    assert fetched.value.suggested_filename == "attestation d'emploi.pdf"
    assert fetched.value.path().read_bytes() == PAPER
    ben.page.locator("summary", has_text="Changer le rendez-vous").click()
    moved = ben.page.locator("details", has_text="Changer le rendez-vous")
    moved.get_by_label("À convenir avec la personne").check()
    moved.get_by_label("Comment cela a été convenu").fill("au téléphone, ce matin")
    moved.get_by_role("button", name="Noter le rendez-vous").click()
    told(ben, "Le nouveau rendez-vous est noté")
    expect(ben.page.get_by_text("Convenu : au téléphone, ce matin")).to_be_visible()

    ben.page.locator("summary", has_text="Rendre le relais").click()
    back = ben.page.locator("details", has_text="Rendre le relais")
    back.get_by_label("Pourquoi").select_option(label="Nos horaires ne conviennent pas")
    back.get_by_role("button", name="Rendre le relais").click()
    told(ben, "C'est rendu")
    press(ben, "Reprendre ce geste")
    told(ben, "Votre dernier pas est repris")
    expect(ben.page.get_by_role("button", name="Confirmer la rencontre")).to_be_visible()

    # At her word, a part of it and then all.
    press(ben, "Arrêter cette partie", behind="Elle veut en arrêter une partie")
    told(ben, "Rien n'était coché")
    ben.page.locator("summary", has_text="Elle veut en arrêter une partie").click()
    ben.page.get_by_role("checkbox", name="Ses documents").check()
    press(ben, "Arrêter cette partie")
    told(ben, "Cette partie n'est plus transmise")
    expect(ben.page.get_by_role("link", name="attestation d'emploi.pdf")).to_have_count(0)
    press(ben, "Arrêter le partage", behind="Elle veut arrêter")
    told(ben, "Le partage est arrêté")
    assert CALLED not in ben.page.content()
    ben.page.get_by_role("button", name="Notre copie est effacée").first.click()
    told(ben, "C'est noté")

    for desk in (ana, ben):
        assert not [one for one in desk.sent if CALLED in one or "attestation" in one]


def test_after_a_no_another_service_is_one_press_away(open_desk: Open, cast: Cast, sides: Sides) -> None:
    """What the recipient proposes is what the sender is shown first; her agreement is asked anew."""
    id_ = sides.opened()
    ben = at(open_desk, cast.recipient, f"/relais/{id_}", java_script_enabled=False)
    ben.page.locator("summary", has_text="Ce n'est pas pour nous").click()
    box = ben.page.get_by_role("group", name="Qui pourrait aider").get_by_role("checkbox")
    suggested = ben.page.locator(f"label[for='{box.last.get_attribute('id')}']").inner_text().partition(",")[0]
    box.last.check()
    press(ben, "Dire que ce n'est pas pour nous")
    expect(ben.page.get_by_label("Pourquoi")).to_have_attribute("aria-invalid", "true")
    expect(box.last).to_be_checked()
    ben.page.get_by_label("Pourquoi").select_option(label="Il n'y a pas de place")
    press(ben, "Dire que ce n'est pas pour nous")
    told(ben, "C'est dit")

    ana = at(open_desk, cast.sender, f"/relais/{id_}", java_script_enabled=False)
    shown = ana.page.get_by_role("listitem").filter(has_text="Proposé par l'autre structure")
    expect(shown).to_contain_text(suggested)
    sound(ana.page)
    ana.page.get_by_role("button", name="Passer à ce service").first.click()
    told(ana, "Voici un brouillon pour l'autre service")
    assert ana.page.url.partition("?")[0].endswith("/brouillon")
    ana.page.goto(f"{ana.base_url}/relais/{id_}")
    expect(ana.page.get_by_role("link", name="Le relais est passé à un autre service")).to_be_visible()


def test_what_was_ended_is_reopened_and_what_was_asked_is_cancelled(
    open_desk: Open, cast: Cast, sides: Sides, stack: Stack
) -> None:
    """A no on second thoughts, a hand-over that was closed too early; then the sender takes its question back."""
    refused, closed = sides.opened(), sides.opened()
    sides.step(sides.recipient, refused, "decline", reason="no_place")
    sides.step(sides.recipient, closed, "accept", counsellor={"name": "Ben Noël"})
    for one in (sides.recipient, sides.sender):
        sides.step(one, closed, "confirm_handover")
    sides.step(sides.recipient, closed, "close", outcome="under_way")
    for id_ in (refused, closed):
        let_undoing_pass(owner_dsn(stack.home, "referral"), id_)
    ben = at(open_desk, cast.recipient, f"/relais/{refused}", java_script_enabled=False)
    for id_, waits in ((refused, "Prendre le relais"), (closed, "Clôturer")):
        ben.page.goto(f"{ben.base_url}/relais/{id_}")
        press(ben, "Rouvrir ce relais", behind="Rouvrir")
        told(ben, "Le relais est rouvert")
        expect(ben.page.get_by_role("button", name=waits, exact=True)).to_be_visible()

    ana = at(open_desk, cast.sender, f"/relais/{refused}", java_script_enabled=False)
    press(ana, "Annuler la demande", behind="Annuler la demande")
    told(ana, "La demande est annulée")
    ben.page.goto(f"{ben.base_url}/relais/{refused}")
    expect(ben.page.get_by_text("La structure d'origine a arrêté la demande")).to_be_visible()
    assert not [word for word in (CALLED, PHONE, WORDS) if word in ben.page.content()]


def test_the_inbox_says_for_whom_and_who_stands_in(open_desk: Open, cast: Cast, stack: Stack, sides: Sides) -> None:
    """Given to a colleague who goes away, a thread comes to whoever stands in for her, with her name beside it."""
    id_ = sides.opened(urgency="today")
    team = [one for one in stack.demo["counsellors"] if one["organisation_id"] == cast.recipient["organisation_id"]]
    ben, zoe = (at(open_desk, one, "/relais", java_script_enabled=False) for one in team[:2])
    ben.page.goto(f"{ben.base_url}/relais/{id_}")
    ben.page.locator("summary", has_text="Confier à quelqu'un").click()
    ben.page.get_by_label("À qui").select_option(label=team[0]["name"])
    press(ben, "Confier")
    told(ben, "C'est confié")
    ben.page.get_by_role("link", name="Pour moi").click()
    line = ben.page.locator("li", has=ben.page.locator(f"a[href='/relais/{id_}']"))
    expect(line).to_contain_text("À vous : répondre")
    expect(line).to_contain_text("Aujourd'hui")
    zoe.page.reload()
    expect(zoe.page.locator(f"a[href='/relais/{id_}']")).to_have_count(0)

    press(ben, "Noter mon absence", behind="Je serai en congé")
    expect(ben.page.get_by_role("alert")).to_contain_text("Choisissez qui vous remplace")
    ben.page.get_by_label("Qui vous remplace").select_option(value=None, index=1)
    press(ben, "Noter mon absence")
    told(ben, "Votre absence est notée")
    try:
        zoe.page.goto(f"{zoe.base_url}/relais?pour=me")
        expect(zoe.page.get_by_text(f"Vous remplacez {team[0]['name']}")).to_be_visible()
        theirs = zoe.page.locator("li", has=zoe.page.locator(f"a[href='/relais/{id_}']"))
        while not theirs.count():
            zoe.page.reload()  # Who stands in for whom counts within a second.
        expect(theirs).to_contain_text(f"pour {team[0]['name']}")
        sound(zoe.page)
    finally:
        press(ben, "Je suis de retour")
    told(ben, "Vous êtes de retour")
    zoe.page.reload()
    while theirs.count():
        zoe.page.reload()  # And as soon for whom no more.


def test_what_happens_while_a_page_opens_comes_in_too(open_desk: Open, cast: Cast, sides: Sides) -> None:
    """After the page was made, and before its stream begins: in the list as in the thread."""
    first, second = sides.opened(), list[str]()
    ben, ana = at(open_desk, cast.recipient, "/compte"), at(open_desk, cast.sender, "/compte")

    def another(route: Route) -> None:
        with told_to(sides.recipient, second):
            second.append(sides.opened())
        route.continue_()

    def step(route: Route) -> None:
        with told_to(sides.sender, [first]):
            sides.step(sides.recipient, first, "receive", counsellor={"name": "Ben Noël"})
        route.continue_()

    ben.page.route("**/relais/nouvelles", another, times=1)
    ben.page.goto(f"{ben.base_url}/relais")
    expect(ben.page.locator("#annonce")).to_contain_text("La liste a changé")
    expect(ben.page.locator(f"a[href='/relais/{second[0]}']")).to_be_visible()
    ana.page.route("**/relais/nouvelles", step, times=1)
    ana.page.goto(f"{ana.base_url}/relais/{first}")
    expect(ana.page.get_by_text("Ce relais a bougé entre-temps")).to_be_visible()


@contextmanager
def told_to(side: httpx.Client, ids: list[str]) -> Iterator[None]:
    """Let something happen to a hand-over, and wait until a side is told: a stream that begins later is not."""
    with side.stream("GET", "/v1/events/stream") as stream:
        yield
        assert any(ids[0] in line for line in stream.iter_lines())


def test_what_happens_comes_in_without_reloading(open_desk: Open, cast: Cast, sides: Sides) -> None:
    """The list is asked for anew, a screen reader hears of it, and nothing of her was in what said so."""
    ben = at(open_desk, cast.recipient, "/relais")
    with ben.page.expect_response("**/relais/nouvelles") as heard:
        ben.page.reload()
    assert heard.value.headers["content-type"].startswith("text/event-stream")
    id_ = sides.opened()
    expect(ben.page.get_by_role("region", name="À prendre").locator(f"a[href='/relais/{id_}']")).to_be_visible()
    expect(ben.page.locator("#annonce")).to_contain_text("La liste a changé")
    assert CALLED not in ben.page.content()

    # A thread that moves says so, and leaves to its reader when to look; one's own steps say nothing.
    ana = at(open_desk, cast.sender, f"/relais/{id_}")
    news = ana.page.get_by_text("Ce relais a bougé entre-temps")
    expect(news).to_be_hidden()
    sides.step(sides.recipient, id_, "receive", counsellor={"name": "Ben Noël"})
    expect(news).to_be_visible()
    ana.page.get_by_role("link", name="Voir où il en est").click()
    expect(ana.page.get_by_role("heading", name="Quelqu'un s'en occupe")).to_be_visible()
    expect(news).to_be_hidden()
    assert (ana.faults, ben.faults) == ([], [])

    # Signed out elsewhere, the page is told that it is no longer true, and stops asking.
    ben.page.request.post(
        f"{ben.base_url}/deconnexion", form={"proof": ben.page.locator("input[name=proof]").first.input_value()}
    )
    sides.opened()
    ben.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(ben.page.get_by_text("cette liste n'est plus à jour")).to_be_visible()
