"""One person is handed over in two browsers: Ana's, and Ben's, which runs no script."""

import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode, urlsplit

from browser.desks import Cast, Desk, Open, turn
from browser.sound import CUT, Seen
from playwright.sync_api import Page, expect
from support.rows import owner_dsn, tables
from support.stack import Stack

CALLED, FAMILY, PHONE, WORDS = "Zéphyrine-Page", "Canaripage", "0470 99 88 77", "une place avant lundi"
HERS = (CALLED, FAMILY, PHONE, "470998877")


def sound(page: Page) -> None:
    """Check what every page keeps: nothing inline, nothing from elsewhere, one title, headings in order."""
    assert Seen(page.content()).faults() == []
    assert not page.evaluate(CUT)


def search_childcare(desk: Desk) -> None:
    """Search for childcare near 6000."""
    page = desk.page
    page.get_by_label("Où ?").fill("6000 Charleroi")
    page.get_by_label("Garde d'enfants").check(force=True)
    page.get_by_role("button", name="Chercher").click()
    expect(page.get_by_role("heading", name="réponses")).to_be_visible()
    sound(page)


def open_relay(desk: Desk, cast: Cast) -> None:
    """Open the page of the service, then the relay page, from the list or by its address."""
    page, name = desk.page, cast.service["service"]["name"]
    while not page.get_by_role("link", name=name, exact=True).count():
        turn(page, page.get_by_role("link", name="Voir les suivants"))
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
    sound(page)
    page.get_by_role("link", name="Passer le relais").click()
    expect(page.get_by_role("heading", level=1, name="Passer le relais")).to_be_visible()
    sound(page)


def write(desk: Desk, words: str = WORDS) -> None:
    """Fill the relay page as Ana does with the person beside her."""
    page = desk.page
    page.get_by_role("textbox", name="Avec ses mots").fill(words)
    themes = page.get_by_role("group", name="Cela touche à").get_by_role("radio")
    themes.first.check(force=True)
    page.get_by_label("Sa commune").fill("6000 Charleroi")
    page.get_by_label("Comment souhaite-t-elle être appelée ?").fill(CALLED)
    page.get_by_text("Ajouter son nom complet").click()
    page.get_by_label("Nom", exact=True).fill(FAMILY)
    page.get_by_role("radio", name="Par téléphone").check()
    page.get_by_label("Son téléphone").fill(PHONE)
    for name in ("Son besoin, avec ses mots", "Son nom", "Comment la joindre"):
        page.get_by_role("checkbox", name=name, exact=True).check()
    page.get_by_role("radio", name="Oui, de vive voix").check()


def handed_over(desk: Desk, cast: Cast) -> str:
    """Search, open, write, pass the relay; answer the thread's address."""
    desk.sign_in()
    search_childcare(desk)
    open_relay(desk, cast)
    write(desk)
    desk.page.get_by_role("button", name="Passer le relais").click()
    expect(desk.page.get_by_role("status")).to_contain_text("C'est parti")
    return desk.page.url.partition("?")[0]


def reads_nothing_of_her(page: Page) -> None:
    """Check that neither name nor phone stands anywhere in the page."""
    content = page.content()
    assert not [each for each in HERS if each in content]


def test_one_person_is_handed_over_in_two_browsers(open_desk: Open, cast: Cast, stack: Stack) -> None:
    ana = open_desk(cast.sender)
    thread = handed_over(ana, cast)
    sound(ana.page)

    # Ben finds the need in his inbox: no name, no phone, there or in the thread.
    ben = open_desk(cast.recipient, java_script_enabled=False)
    ben.sign_in()
    ben.page.get_by_role("link", name="Relais en cours").click()
    waiting = ben.page.get_by_role("region", name="À prendre")
    expect(waiting).to_be_visible()
    reads_nothing_of_her(ben.page)
    assert Seen(ben.page.content()).faults() == []
    waiting.locator(f"a[href='{urlsplit(thread).path}']").click()
    expect(ben.page.get_by_text(WORDS)).to_be_visible()
    reads_nothing_of_her(ben.page)
    assert Seen(ben.page.content()).faults() == []

    # He takes it: now he reads who she is and how to reach her, with what she allows.
    ben.page.get_by_role("button", name="Prendre le relais").click()
    expect(ben.page.get_by_text(FAMILY)).to_be_visible()
    expect(ben.page.get_by_role("link", name=PHONE)).to_be_visible()
    expect(ben.page.get_by_text("ne laissez pas de message")).to_be_visible()

    # They agree on a meeting; each side says that it took place.
    ben.page.get_by_label("Jour", exact=True).fill("2030-05-06")
    ben.page.get_by_label("Heure", exact=True).fill("09:30")
    ben.page.get_by_label("Où ?").fill("à l'accueil")
    ben.page.get_by_role("button", name="Noter le rendez-vous").first.click()
    expect(ben.page.get_by_text("lundi 6 mai 2030 à 9")).to_be_visible()
    ben.page.get_by_role("button", name="Confirmer la rencontre").click()
    expect(ben.page.get_by_text("Il manque l'autre côté")).to_be_visible()
    ana.page.goto(thread)
    ana.page.get_by_role("button", name="Confirmer la rencontre").click()
    expect(ana.page.get_by_role("heading", name="La rencontre a eu lieu")).to_be_visible()

    # Ben closes; both threads say so, and Ana reads who looked.
    ben.page.goto(thread)
    ben.page.get_by_role("radio", name="L'accompagnement continue chez nous").check()
    ben.page.get_by_role("button", name="Clôturer").click()
    expect(ben.page.get_by_role("heading", name="Terminé")).to_be_visible()
    ana.page.reload()
    expect(ana.page.get_by_role("heading", name="Terminé")).to_be_visible()
    looked = ana.page.get_by_role("region", name="Qui a regardé")
    expect(looked).to_contain_text(cast.service["organisation"]["name"])
    sound(ana.page)

    # Nothing of her was ever in an address, and nothing was asked of another host.
    for desk in (ana, ben):
        assert desk.faults == []
        for address in desk.sent:
            assert address.startswith(desk.base_url), address
            assert not [each for each in HERS if each in address]

    # The gateway, whose pages she went through, kept nothing of her: no log, no span, no session.
    with ThreadPoolExecutor() as beside:  # In this thread the browser's own event loop runs.
        rows = beside.submit(tables, owner_dsn(stack.home, "gateway")).result()
    kept = "".join(row for each in rows.values() for row in each)
    logged = "".join(path.read_text() for path in (stack.home / "logs").glob("*.log"))
    assert not [each for each in (*HERS, WORDS) if each in kept or each in logged]


def test_she_stops_the_sharing_and_ben_reads_nothing(open_desk: Open, cast: Cast) -> None:
    ana = open_desk(cast.sender)
    thread = handed_over(ana, cast)
    ben = open_desk(cast.recipient)
    ben.sign_in()
    ben.page.goto(thread)
    ben.page.get_by_role("button", name="Prendre le relais").click()
    expect(ben.page.get_by_text(FAMILY)).to_be_visible()

    ana.page.goto(thread)
    ana.page.get_by_text("Elle veut arrêter").click()
    ana.page.get_by_role("button", name="Arrêter le partage").click()
    expect(ana.page.get_by_role("status")).to_contain_text("Le partage est arrêté")

    ben.page.reload()
    expect(ben.page.get_by_role("heading", name="Le partage est arrêté")).to_be_visible()
    reads_nothing_of_her(ben.page)


def test_what_was_typed_is_kept_and_the_fault_stands_beside_it(open_desk: Open, cast: Cast) -> None:
    ana = open_desk(cast.sender)
    ana.sign_in()
    ana.page.goto(f"{ana.base_url}/relais/nouveau?service={cast.service['service']['id']}")
    write(ana, words=f"appelez-la au {PHONE}")
    ana.page.get_by_role("button", name="Passer le relais").click()
    field = ana.page.get_by_role("textbox", name="Avec ses mots")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile("Retirez-en le nom, le téléphone"))
    expect(ana.page.get_by_role("alert")).to_contain_text("Rien n'est encore parti")
    expect(ana.page.get_by_label("Comment souhaite-t-elle être appelée ?")).to_have_value(CALLED)
    expect(ana.page.get_by_label("Son téléphone")).to_have_value(PHONE)
    assert urlsplit(ana.page.url).query == ""
    field.fill(WORDS)
    ana.page.get_by_role("button", name="Passer le relais").click()
    expect(ana.page.get_by_role("status")).to_contain_text("C'est parti")


def test_what_cannot_be_saved_now_is_kept_in_the_page(open_desk: Open, cast: Cast, stack: Stack) -> None:
    ana = open_desk(cast.sender)
    ana.sign_in()
    ana.page.goto(f"{ana.base_url}/relais/nouveau?service={cast.service['service']['id']}")
    write(ana)
    pids = stack.pids_of("referral")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        ana.page.get_by_role("button", name="Passer le relais").click()
        expect(ana.page.get_by_role("heading", level=1)).to_have_text("Nous n'avons pas pu enregistrer")
        sound(ana.page)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    again, done = ana.page.get_by_role("button", name="Réessayer"), ana.page.get_by_role("status")
    expect(again).to_be_visible()
    for _ in range(20):  # The press that was cut off still runs, or the service needs a breath: one presses again.
        turn(ana.page, again)
        expect(again.or_(done).first).to_be_visible()
        if done.is_visible():
            break
    expect(done).to_contain_text("C'est parti")


def test_going_back_and_pressing_again_makes_no_second_referral(open_desk: Open, cast: Cast) -> None:
    ana = open_desk(cast.sender)
    ana.sign_in()
    ana.page.goto(f"{ana.base_url}/relais/nouveau?service={cast.service['service']['id']}")
    write(ana)
    form = ana.page.locator("form[action='/relais/nouveau']")
    sent = form.evaluate("form => [...new FormData(form)].map(([name, value]) => [name, String(value)])")
    answers = [
        ana.page.request.post(
            f"{ana.base_url}/relais/nouveau",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            data=urlencode([tuple(pair) for pair in sent]),
            max_redirects=0,
        )
        for _ in range(2)
    ]
    assert [answer.status for answer in answers] == [303, 303]
    assert answers[0].headers["location"] == answers[1].headers["location"]


def test_a_page_that_changed_meanwhile_says_so_kindly(open_desk: Open, cast: Cast) -> None:
    ana = open_desk(cast.sender)
    thread = handed_over(ana, cast)
    ben = open_desk(cast.recipient)
    ben.sign_in()
    ben.page.goto(thread)
    beside = ben.page.context.new_page()
    beside.goto(thread)
    beside.get_by_role("button", name="Je m'en occupe").click()
    expect(beside.get_by_role("status")).to_contain_text("pris la demande en main")
    ben.page.get_by_role("button", name="Prendre le relais").click()
    expect(ben.page.get_by_role("status")).to_contain_text("a changé entre-temps")
    expect(ben.page.get_by_role("button", name="Prendre le relais")).to_be_visible()


def test_a_thread_of_others_is_not_there(open_desk: Open, cast: Cast) -> None:
    ana = open_desk(cast.sender)
    thread = handed_over(ana, cast)
    eve = open_desk(cast.stranger)
    eve.sign_in()
    answer = eve.page.goto(thread)
    assert answer is not None
    assert answer.status == 404
    expect(eve.page.get_by_role("heading", level=1)).to_have_text("Cette page n'est pas là")
    reads_nothing_of_her(eve.page)
    sound(eve.page)


def test_nobody_gets_in_and_nobody_learns_who_has_an_account(open_desk: Open, cast: Cast) -> None:
    said = []
    for email in (cast.sender["email"], "personne@nulle-part.example"):
        desk = open_desk({"email": email, "password": "not this one"})
        desk.page.goto(desk.base_url + "/relais")
        assert urlsplit(desk.page.url).path == "/connexion"
        desk.page.get_by_label("Adresse e-mail").fill(email)
        desk.page.get_by_label("Mot de passe").fill("not this one")
        desk.page.get_by_role("button", name="Se connecter").click()
        said.append(desk.page.get_by_role("alert").inner_text())
        sound(desk.page)
    assert said[0] == said[1]


def test_after_signing_in_one_is_where_one_wanted_to_be(open_desk: Open, cast: Cast) -> None:
    ana = open_desk(cast.sender)
    ana.page.goto(f"{ana.base_url}/relais/nouveau?service={cast.service['service']['id']}")
    ana.page.get_by_label("Adresse e-mail").fill(ana.account["email"])
    ana.page.get_by_label("Mot de passe").fill(ana.account["password"])
    ana.page.get_by_role("button", name="Se connecter").click()
    expect(ana.page.get_by_role("heading", level=1)).to_have_text("Passer le relais")


def test_pages_are_kept_nowhere_and_files_for_long(open_desk: Open, cast: Cast) -> None:
    ana = open_desk(cast.sender)
    ana.sign_in()
    asked = ana.page.request
    page = asked.get(f"{ana.base_url}/relais").headers
    assert page["cache-control"] == "no-store"
    assert "unsafe" not in page["content-security-policy"]
    assert page["content-security-policy"].startswith("default-src 'self';")
    style = ana.page.locator("link[rel=stylesheet]").first.get_attribute("href")
    assert style is not None
    assert "immutable" in asked.get(ana.base_url + style).headers["cache-control"]
    cookie = next(each for each in ana.page.context.cookies() if each["name"] == "relais_session")
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")

    # Signed out, the cookie that somebody copied opens nothing any more.
    ana.page.get_by_role("button", name="Se déconnecter").click()
    ana.page.get_by_role("heading", name="Se connecter").wait_for()
    ana.page.context.add_cookies([{"name": "relais_session", "value": cookie["value"], "url": ana.base_url}])
    ana.page.goto(f"{ana.base_url}/relais")
    expect(ana.page.get_by_role("heading", level=1)).to_have_text("Se connecter")


def test_a_form_of_another_site_is_refused(open_desk: Open, cast: Cast) -> None:
    ana = open_desk(cast.sender)
    ana.sign_in()
    for form in ({}, {"proof": "x"}):
        answer = ana.page.request.post(f"{ana.base_url}/deconnexion", form=form, max_redirects=0)
        assert answer.status == 403
    ana.page.goto(ana.base_url)
    expect(ana.page.get_by_role("button", name="Se déconnecter")).to_be_visible()


def test_places_are_offered_while_one_types_and_list_and_map_light_each_other(open_desk: Open, cast: Cast) -> None:
    ana = open_desk(cast.sender)
    ana.sign_in()
    ana.page.get_by_label("Où ?").press_sequentially("charl")
    offered = ana.page.locator("#lieux option")
    expect(offered.first).to_be_attached()
    assert "6000 Charleroi" in [each.get_attribute("value") for each in offered.all()]
    search_childcare(ana)
    first = ana.page.locator(".card").first
    mark = ana.page.locator(f".mark[data-for='{first.get_attribute('id')}']")
    first.get_by_role("link").first.focus()
    expect(mark).to_have_class(re.compile("lit"))
    ana.page.get_by_label("Mots").focus()
    expect(mark).not_to_have_class(re.compile("lit"))
    mark.hover()
    expect(first).to_have_class(re.compile("lit"))
    assert ana.faults == []


def test_the_relay_page_asks_at_most_five_things(open_desk: Open, cast: Cast) -> None:
    ana = open_desk(cast.sender)
    ana.sign_in()
    ana.page.goto(f"{ana.base_url}/relais/nouveau?service={cast.service['service']['id']}")
    asked = ana.page.evaluate("new Set([...document.querySelectorAll('main [required]')].map(one => one.name)).size")
    assert 0 < asked <= 5


def test_the_first_page_is_light(open_desk: Open, cast: Cast) -> None:
    """Everything that a first visit transfers, the font included, weighs less than 100 kB."""
    ana = open_desk(cast.sender)
    weights: list[int] = []
    ana.page.on("requestfinished", lambda request: weights.append(sum(request.sizes().values())))
    ana.sign_in()
    ana.page.wait_for_load_state("networkidle")
    assert 0 < sum(weights) < 100_000
