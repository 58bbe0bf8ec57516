"""Her page in a browser: she reads, asks, corrects and stops, by role and label; and nobody else sees a thing."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from browser.desks import Cast, Open, turn
from browser.her import FAMILY, GIVEN, HERS, PHONE, PICTURES, PLACE, WORDS, Hers, come_in, hers
from browser.sound import grammar, violations
from browser.test_keyboard import follow, reach
from playwright.sync_api import Page, expect
from support.stack import Stack

STOP, SURE = "Arrêter le partage", "Oui, arrêter"


@pytest.fixture(name="kept", scope="module")
def _kept(stack: Stack) -> Iterator[Hers]:
    """Answer a hand-over of hers for the tests that only read."""
    with hers(stack) as made:
        yield made


def done(page: Page, text: str) -> None:
    """Expect that the page says so."""
    expect(page.get_by_role("status").filter(has_text=text)).to_be_visible()


def test_her_whole_story(stack: Stack, open_desk: Open) -> None:  # noqa: PLR0915 - one story, told whole
    """Four pictures, then: reads, stops a part, corrects, hides, says yes to less, confirms, takes a copy, erases."""
    with hers(stack) as made:
        link = made.card(code=PICTURES)
        made.ask("identity", "contact", "needs", "notes")
        desk = open_desk({})
        page = desk.page
        page.goto(link)
        assert "#" not in page.url
        for name in ("Fleur", "Chat", "Étoile", "Étoile"):
            page.get_by_role("button", name=name).click()
        page.get_by_role("button", name="Ouvrir ma page").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Vous avez rendez-vous")
        expect(page.get_by_text(PLACE)).to_be_visible()
        expect(page.get_by_role("heading", name="Qui a regardé")).to_be_visible()

        page.get_by_role("button", name="Oui, pour ce que j'ai coché").click()
        expect(page.get_by_role("alert")).to_contain_text("Cochez au moins une chose")
        page.get_by_label("Votre demande, avec vos mots").check()
        page.get_by_role("button", name="Voir ce qu'ils liraient").click()
        expect(page.get_by_text("Rien n'est encore envoyé")).to_be_visible()
        page.get_by_label("Votre nom").check()
        page.get_by_label("Comment vous joindre").first.check()
        page.get_by_role("button", name="Oui, pour ce que j'ai coché").click()
        done(page, "Vous avez dit oui")
        given = made.sender.get(f"{made.place}/consents").json()["items"][0]
        assert (given["status"], set(given["data_categories"])) == ("given", {"identity", "contact", "needs"})

        page.get_by_role("button", name="Ne plus partager : Comment vous joindre").click()
        done(page, "Cette partie n'est plus partagée")
        assert PHONE not in made.recipient.get(made.place).text
        page.get_by_text("Corriger mon nom").click()
        page.get_by_label("Prénom").fill("Yasmine-Page")
        page.get_by_role("button", name="Enregistrer mon nom").click()
        done(page, "C'est corrigé")
        assert "Yasmine-Page" in made.recipient.get(made.place).text
        page.get_by_text("Corriger comment me joindre").click()
        page.get_by_label("On peut laisser un message vocal").check()
        page.get_by_label("Téléphone", exact=True).fill("demain")
        page.get_by_role("button", name="Enregistrer", exact=True).click()
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_label("Téléphone", exact=True)).to_have_value("demain")
        expect(page.get_by_label("On peut laisser un message vocal")).to_be_checked()
        page.get_by_role("button", name="Cacher cette ligne 1").click()
        done(page, "Cette ligne est cachée")
        assert WORDS not in made.recipient.get(made.place).text
        page.get_by_label("Ajouter quelque chose à votre demande").fill(f"appelez {GIVEN} au {PHONE}")
        page.get_by_role("button", name="Ajouter mes mots").click()
        expect(page.get_by_role("alert")).to_contain_text("N'écrivez ici ni nom, ni numéro")
        page.get_by_label("Écrire un message").fill("Merci, à mardi.")
        page.get_by_role("button", name="Envoyer aux deux équipes").click()
        done(page, "Votre message est parti")
        page.get_by_role("button", name="Mettre en pause").click()
        done(page, "C'est en pause")
        turn(page, page.get_by_role("button", name="Reprendre"))
        page.get_by_role("button", name="Oui, la rencontre a eu lieu").click()
        done(page, "Merci. C'est noté.")
        for name in ("Tout garder, en données (JSON)", "Tout garder, à imprimer (PDF)", "Mettre dans mon agenda"):
            with page.expect_download() as taken:
                page.get_by_role("link", name=name).click()
            assert taken.value.path().stat().st_size > 100
        page.get_by_text("Tout effacer").click()
        page.get_by_role("button", name="Oui, effacer ce relais").click()
        done(page, "C'est effacé")
        assert not [word for word in HERS if word in page.content()]
        assert made.recipient.get(made.place).status_code == 404 or GIVEN not in made.recipient.get(made.place).text
        secret = link.partition("#")[2]
        logs = "\n".join(file.read_text() for file in (stack.home / "logs").iterdir())
        assert not [word for word in (*HERS, secret, "Yasmine-Page") if word in logs]
        assert not [one for one in desk.sent if secret in one or not one.startswith(desk.base_url)]
        assert desk.faults == []


def test_stopping_takes_two_presses_and_quick_exit_leaves_nothing_behind(stack: Stack, open_desk: Open) -> None:
    with hers(stack) as made:
        page = come_in(open_desk, made.card()).page
        page.get_by_text(STOP).click()
        page.get_by_role("button", name=SURE, exact=True).click()
        done(page, "Le partage est arrêté")
        assert not [word for word in HERS if word in made.recipient.get(made.place).text]
        page.get_by_role("button", name="Quitter vite").click()
        page.wait_for_url("**/p/calendrier")
        assert page.title() == "Calendrier"
        for _ in range(2):
            page.go_back()
            page.wait_for_load_state()
            assert not [word for word in (*HERS, made.recipient_name, "partage") if word in page.inner_text("body")]


def test_without_javascript_she_reads_and_stops(stack: Stack, open_desk: Open) -> None:
    """She copies what stands under the drawing of her card, and picks her pictures from lists."""
    with hers(stack) as made:
        link = made.card(code=PICTURES)
        page = open_desk({}, java_script_enabled=False).page
        page.goto(f"{stack.base_url}/p")
        page.get_by_label("Le lien de votre carte").fill(link)
        for number, picture in enumerate(("Fleur", "Chat", "Étoile", "Étoile"), start=1):
            page.get_by_label(f"Image {number}").select_option(label=picture)
        page.get_by_role("button", name="Ouvrir ma page").click()
        expect(page.get_by_text(PLACE)).to_be_visible()
        page.get_by_text(STOP).click()
        page.get_by_role("button", name=SURE, exact=True).click()
        done(page, "Le partage est arrêté")
        page.get_by_role("button", name="Quitter vite").click()
        expect(page).to_have_title("Calendrier")
        page.goto(f"{stack.base_url}/p/ici")
        assert page.url.startswith(f"{stack.base_url}/p?")


def test_with_the_keyboard_alone_she_comes_in_and_stops(stack: Stack, open_desk: Open) -> None:
    with hers(stack) as made:
        page = open_desk({}, viewport={"width": 360, "height": 740}).page
        page.goto(made.card())
        reach(page, page.locator("#digits"))
        page.keyboard.type("482910")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        # Nothing that sticks to an edge of a small screen lies over where the focus is.
        reach(page, page.locator("summary.stop"))
        page.keyboard.press("Enter")
        follow(page, page.get_by_role("button", name=SURE, exact=True))
        done(page, "Le partage est arrêté")


def test_a_discreet_card_names_nothing(kept: Hers, open_desk: Open) -> None:
    link = kept.card(discreet=True)
    page = come_in(open_desk, link).page
    # Where messages and corrections stand, her own words do; structures and themes stand nowhere.
    assert page.title() == "Ma page"
    seen = page.content()
    assert not [word for word in (kept.recipient_name, "enfants", PLACE, "Ben Noël", "geo:") if word in seen]
    expect(page.get_by_text(STOP)).to_be_visible()


def test_wrong_codes_until_the_card_rests(kept: Hers, open_desk: Open) -> None:
    """The right one opens nothing either then, and the page says the same all along."""
    link = kept.card()
    desk = open_desk({})
    desk.page.goto(link)
    for code in ("000000",) * 5 + ("482910",):
        desk.page.locator("#digits").fill(code)
        turn(desk.page, desk.page.get_by_role("button", name="Ouvrir ma page"))
        expect(desk.page.get_by_role("alert")).to_contain_text("la carte se repose")
    assert "relais_person" not in {one["name"] for one in desk.page.context.cookies()}


def test_at_a_counter_her_page_is_apart_and_told(kept: Hers, cast: Cast, open_desk: Open, stack: Stack) -> None:
    """The counter's own session stands beside hers; a card of steps alone shows everything there."""
    link = kept.card(level="steps")
    alone = come_in(open_desk, link).page
    assert kept.recipient_name not in alone.content()
    expect(alone.get_by_text(STOP)).to_be_visible()
    desk = open_desk(cast.stranger)
    desk.sign_in()
    desk.page.goto(f"{stack.base_url}/guichet")
    desk.page.get_by_label("Le lien de sa carte").fill(link)
    desk.page.locator("#digits").fill("482910")
    desk.page.get_by_role("button", name="Ouvrir sa page").click()
    done(desk.page, "Quelqu'un vous aide au guichet")
    expect(desk.page.get_by_text(PLACE)).to_be_visible()
    desk.page.get_by_role("button", name="Quitter vite").click()
    desk.page.wait_for_url("**/p/calendrier")
    desk.page.goto(f"{stack.base_url}/recherche")
    expect(desk.page.get_by_role("button", name="Se déconnecter")).to_be_visible()
    here = come_in(open_desk, kept.card()).page
    here.get_by_text("Quand votre carte a été ouverte").click()


def test_the_page_is_sound_light_and_fits_a_small_telephone(kept: Hers, open_desk: Open, stack: Stack) -> None:
    """Less than 30 kB without the font, HTML without a fault, axe-core without a word, nothing cut at 360 pixels."""
    kept.ask("identity", "contact", "needs", "notes")
    desk = open_desk({}, viewport={"width": 360, "height": 740})
    weights: dict[str, int] = {}
    desk.page.on(
        "requestfinished", lambda one: weights.update({one.url: weights.get(one.url, 0) + sum(one.sizes().values())})
    )
    desk.page.goto(kept.card())
    sound(desk.page)
    desk.page.locator("#digits").fill("482910")
    desk.page.get_by_role("button", name="Ouvrir ma page").click()
    desk.page.wait_for_url("**/p/ici")
    desk.page.wait_for_load_state("networkidle")
    assert 5_000 < sum(size for url, size in weights.items() if "woff2" not in url) < 30_000, weights
    # The way there: drawn without a script, told in words beside it, and on paper too.
    way = desk.page.locator(".walk").first
    expect(desk.page.get_by_text(re.compile(r"Arrêt de bus .+, à \d+ minutes? à pied")).first).to_be_visible()
    expect(way.locator("text", has_text="A")).to_be_visible()
    desk.page.emulate_media(media="print")
    expect(way).to_be_visible()
    desk.page.emulate_media(media="screen")
    for summary in desk.page.locator("main summary").all():
        summary.click()
    sound(desk.page)
    desk.page.goto(f"{stack.base_url}/p/calendrier")
    sound(desk.page)
    assert desk.faults == []


def sound(page: Page) -> None:
    """Expect a page without a fault of grammar or access, that no small screen cuts, with targets large enough."""
    assert grammar(page.content()) == []
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    small: list[Any] = page.evaluate(
        """[...document.querySelectorAll("a.button, button, select, summary, input:not([type=hidden],[type=checkbox])")]
            .filter(each => each.checkVisibility() && each.getBoundingClientRect().height < 43.5)
            .map(each => each.outerHTML.slice(0, 80))"""
    )
    assert small == []


def test_her_counsellor_prints_her_card_with_her(cast: Cast, stack: Stack, open_desk: Open) -> None:
    """She picks her code on the turned screen; the paper comes at once, and another structure finds no such card."""
    with hers(stack) as made:
        ours = made.sender.get(made.place).json()["sender"]["organisation_id"]
        account = next(one for one in stack.demo["counsellors"] if one["organisation_id"] == ours)
        desk = open_desk(account)
        desk.sign_in()
        made.ask("identity", "notes")
        desk.page.goto(f"{stack.base_url}/relais/{made.id}")
        agreed = desk.page.get_by_role("region", name="Son accord")
        for line in ("Demandé, par son lien.", "Donné, de vive voix, "):
            expect(agreed.get_by_text(line)).to_be_visible()
        desk.page.get_by_role("link", name="La carte de la personne").click()
        desk.page.get_by_label("Carte discrète").check()
        desk.page.get_by_label("Que montre la carte").select_option("none")
        desk.page.get_by_role("button", name="Faire la carte et l'imprimer").click()
        expect(desk.page.get_by_role("alert")).to_contain_text("Il manque le code")
        # A card that she wanted quiet does not turn into one that talks.
        expect(desk.page.get_by_label("Carte discrète")).to_be_checked()
        expect(desk.page.get_by_label("Que montre la carte")).to_have_value("none")
        for name in ("Soleil", "Lune", "Clé", "Vélo"):
            desk.page.get_by_role("button", name=name).click()
        with desk.page.expect_download() as taken:
            desk.page.get_by_role("button", name="Faire la carte et l'imprimer").click()
        assert taken.value.path().read_bytes().startswith(b"%PDF")
        assert desk.faults == []
        stranger = open_desk(
            next(
                each
                for each in (cast.sender, cast.recipient, cast.stranger)
                if each["organisation_id"] not in made.sides
            )
        )
        stranger.sign_in()
        assert stranger.page.goto(f"{stack.base_url}/cartes/{made.id}").status == 404  # type: ignore[union-attr]


def test_what_is_anothers_is_not_there(kept: Hers, open_desk: Open, stack: Stack) -> None:
    """With her own session she finds nothing under another's id, and without a session nobody finds anything."""
    with hers(stack, met=False) as other:
        page = come_in(open_desk, other.card()).page
        for id_ in (kept.id, str(uuid4())):
            for path in ("", "/rendez-vous.ics", f"/documents/{uuid4()}"):
                answer = page.request.get(f"{stack.base_url}/p/ici/{id_}{path}")
                assert answer.status == 404, path
                assert not [word for word in (*HERS, FAMILY) if word in answer.text()]
        for path in ("/p/ici", f"/p/ici/{kept.id}", "/p/ici/copie.json", f"/p/ici/recus/{uuid4()}.pdf"):
            nobody = open_desk({}).page.request.get(f"{stack.base_url}{path}", max_redirects=0)
            assert (nobody.status, nobody.headers["location"]) == (303, "/p?fait=fin"), path
            assert nobody.headers["cache-control"] == "no-store"
            assert nobody.headers["referrer-policy"] == "no-referrer"
