"""The relay page: its draft is kept at each step and found again, and shows what the other side would read."""

import re
from typing import Any
from urllib.parse import urlsplit

import httpx
from browser.desks import Cast, Desk, Open, turn
from browser.sound import grammar, violations
from browser.test_handover import CALLED, FAMILY, PHONE, WORDS, write
from playwright.sync_api import Locator, Page, expect
from support.stack import Stack, key

KEPT = re.compile("Brouillon enregistré à")


def opened(desk: Desk, service: dict[str, Any]) -> Page:
    """Sign in and open the relay page for a service."""
    desk.sign_in()
    desk.page.goto(f"{desk.base_url}/relais/nouveau?service={service['service']['id']}")
    return desk.page


def column(page: Page, title: str) -> Locator:
    """Answer the part of the preview that shows one of its two moments."""
    return page.get_by_role("region", name="Ce qu'ils verront").locator(".sides > div").filter(has_text=title)


def drafts_of(stack: Stack, cast: Cast) -> set[str]:
    """Answer the ids of the sender's drafts."""
    with stack.api(client_of(stack, cast.sender)) as api:
        items = api.get("/v1/referrals", params={"role": "sender", "state": "draft", "limit": 100}).json()["items"]
    return {each["id"] for each in items}


def events_of(stack: Stack, cast: Cast, referral: str) -> list[str]:
    """Answer what happened to one of the sender's referrals."""
    with stack.api(client_of(stack, cast.sender)) as api:
        return [each["type"] for each in api.get(f"/v1/referrals/{referral}/events").json()["items"]]


def client_of(stack: Stack, account: dict[str, Any]) -> dict[str, Any]:
    """Answer the system of the structure that an account belongs to."""
    return next(one for one in stack.clients("referral:send") if one["organisation_id"] == account["organisation_id"])


def test_the_page_keeps_its_draft_and_shows_what_they_would_read(open_desk: Open, cast: Cast, stack: Stack) -> None:
    desk = open_desk(cast.sender)
    page = opened(desk, cast.service)
    before = drafts_of(stack, cast)
    expect(page.get_by_text("vous voyez ici exactement")).to_be_visible()
    write(desk)
    expect(page.get_by_text(KEPT).first).to_be_visible()
    now, after = column(page, "Maintenant"), column(page, "Après avoir pris le relais")
    expect(after).to_contain_text(FAMILY)
    expect(after).to_contain_text(PHONE)
    for each in (now, after):
        expect(each).to_contain_text(WORDS)
        expect(each).to_contain_text("Charleroi")
    expect(after).to_contain_text("6000 Charleroi")
    assert not [hers for hers in (CALLED, FAMILY, PHONE, "6000") if hers in now.inner_text()]
    (made,) = drafts_of(stack, cast) - before
    changes = events_of(stack, cast, made)
    page.get_by_role("checkbox", name="Comment la joindre", exact=True).uncheck()
    expect(after).not_to_contain_text(PHONE)
    # What she agrees to is asked of the preview alone: the draft did not change.
    assert events_of(stack, cast, made) == changes
    assert grammar(page.content()) == []
    assert violations(page) == []

    # A reload finds all of it, but for what she agreed to: that is asked again.
    assert urlsplit(page.url).path == f"/relais/{made}/brouillon"
    page.reload()
    expect(page.get_by_role("textbox", name="Avec ses mots")).to_have_value(WORDS)
    expect(page.get_by_label("Sa commune")).to_have_value("6000 Charleroi")
    expect(page.get_by_label("Son téléphone")).to_have_value(PHONE)
    assert page.get_by_role("checkbox", name="Son nom", exact=True).is_checked() is False

    # So does the list; and the relay leaves from there, once.
    page.get_by_role("link", name="Relais en cours").click()
    page.locator(f"a[href='/relais/{made}']").click()
    expect(page.get_by_role("heading", level=1, name="Passer le relais")).to_be_visible()
    expect(page.get_by_label("Comment souhaite-t-elle être appelée ?")).to_have_value(CALLED)
    page.get_by_role("checkbox", name="Son besoin, avec ses mots", exact=True).check()
    page.get_by_role("radio", name="Oui, de vive voix").check()
    page.get_by_role("button", name="Passer le relais").click()
    expect(page.get_by_role("status")).to_contain_text("C'est parti")
    assert drafts_of(stack, cast) == before
    assert desk.faults == []
    assert not [address for address in desk.sent for hers in (CALLED, FAMILY, PHONE) if hers in address]


def test_without_a_script_each_step_keeps_it(open_desk: Open, cast: Cast) -> None:
    desk = open_desk(cast.sender, java_script_enabled=False)
    page = opened(desk, cast.service)
    page.get_by_role("button", name="Enregistrer le brouillon").first.click()
    expect(page.get_by_role("alert")).to_contain_text("Quelques points sont à revoir")
    for language, heading in (("Nederlands", "Overdragen"), ("Français", "Passer le relais")):
        turn(page, page.get_by_role("button", name=language))
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    page.get_by_role("textbox", name="Avec ses mots").fill(WORDS)
    page.get_by_role("group", name="Cela touche à").get_by_role("radio").first.check(force=True)
    page.get_by_label("Sa commune").fill("6000 Charleroi")
    page.get_by_label("Comment souhaite-t-elle être appelée ?").fill(CALLED)
    page.get_by_role("button", name="Enregistrer le brouillon").first.click()
    expect(page.get_by_role("status")).to_contain_text("Rien n'est encore parti")
    assert urlsplit(page.url).path.endswith("/brouillon")
    assert urlsplit(page.url).fragment == "pas-2"
    assert CALLED not in column(page, "Maintenant").inner_text()
    page.get_by_role("radio", name="Elle passera d'elle-même").check()
    page.get_by_label("Dans quelle langue lui parler ?").select_option("nl")
    turn(page, page.get_by_role("button", name="Enregistrer le brouillon").last)
    assert urlsplit(page.url).fragment == "pas-3"
    expect(page.get_by_role("radio", name="Elle passera d'elle-même")).to_be_checked()
    # The text to read aloud is in her language, and in no other.
    expect(page.locator(".read:visible")).to_have_attribute("lang", "nl")
    expect(page.locator(".read:visible")).to_have_count(1)
    # On paper too: a box for each thing that she is asked about, and nothing of her.
    page.get_by_role("link", name="Le texte à signer, sur papier").click()
    expect(page.locator("html")).to_have_attribute("lang", "nl")
    expect(page.get_by_role("row").filter(has_text="Uw naam")).to_contain_text("☐")
    assert CALLED not in page.content()
    assert grammar(page.content()) == []
    page.get_by_role("link", name="Terug naar het concept").click()
    page.get_by_role("checkbox", name="Son nom", exact=True).check()
    page.get_by_role("radio", name="Oui, par écrit").check()
    page.get_by_role("button", name="Passer le relais").click()
    expect(page.get_by_role("status")).to_contain_text("C'est parti")


def test_a_draft_of_a_partners_tool_opens_without_retyping(open_desk: Open, cast: Cast, stack: Stack) -> None:
    with stack.api(client_of(stack, cast.sender)) as api:
        draft = api.post("/v1/referrals", headers=key(), json=from_a_tool(cast)).json()
        desk = open_desk(cast.sender)
        desk.sign_in()
        page = desk.page
        page.goto(draft["launch_url"])
        expect(page.get_by_label("Comment souhaite-t-elle être appelée ?")).to_have_value(CALLED)
        page.get_by_role("textbox", name="Avec ses mots").fill("plutôt le matin")
        expect(page.get_by_text(KEPT).first).to_be_visible()
        written = api.get(f"/v1/referrals/{draft['id']}").json()
    # What the page does not ask stays as the tool wrote it; and what is not hers to see is not there for a stranger.
    eve = open_desk(cast.stranger)
    eve.sign_in()
    for page_of_it in ("brouillon", "inviter", "telephone", "fiche"):
        answer = eve.page.goto(f"{eve.base_url}/relais/{draft['id']}/{page_of_it}")
        assert answer is not None
        assert answer.status == 404, page_of_it
        assert not [hers for hers in (CALLED, WORDS) if hers in eve.page.content()]
    assert written["needs"] == [
        {"theme": "childcare", "words": "plutôt le matin", "said_by": "counsellor", "hidden_from": []},
        {"theme": "mobility", "words": "un bus direct", "said_by": "person", "hidden_from": []},
    ]
    assert written["goal_words"] == "travailler à mi-temps"
    assert written["person"]["contact"]["email"] == "hers@example.org"
    assert written["person"]["identity"]["birth_date"] == "1990-01-02"


def from_a_tool(cast: Cast) -> dict[str, Any]:
    """Answer a draft that holds more than the page asks."""
    return {
        "recipient": {
            "organisation_id": cast.service["organisation"]["id"],
            "service_id": cast.service["service"]["id"],
        },
        "counsellor": {"name": "Ana Lopes"},
        "person": {
            "identity": {"called": CALLED, "birth_date": "1990-01-02"},
            "contact": {"email": "hers@example.org"},
            "area": {"municipality": "be:52011", "postcode": "6000"},
            "languages": ["fr", "ar"],
        },
        "needs": [
            {"theme": "childcare", "words": WORDS, "said_by": "counsellor"},
            {"theme": "mobility", "words": "un bus direct"},
        ],
        "goal_words": "travailler à mi-temps",
    }


def test_where_she_says_no_nothing_is_kept(open_desk: Open, cast: Cast, stack: Stack) -> None:
    desk = open_desk(cast.sender)
    page = opened(desk, cast.service)
    before = drafts_of(stack, cast)
    write(desk)
    expect(page.get_by_text(KEPT).first).to_be_visible()
    (made,) = drafts_of(stack, cast) - before
    page.get_by_role("radio", name="Non, ou elle préfère y réfléchir").check()
    page.get_by_role("button", name="Passer le relais").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Rien n'est parti")
    with stack.api(client_of(stack, cast.sender)) as api:
        assert api.get(f"/v1/referrals/{made}").json()["state"] == "cancelled"


def test_she_answers_by_her_own_link(open_desk: Open, cast: Cast, stack: Stack) -> None:
    desk = open_desk(cast.sender)
    page = opened(desk, cast.service)
    write(desk)
    page.get_by_role("radio", name="Elle répondra elle-même, par son lien").check()
    page.get_by_role("button", name="Passer le relais").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("La carte de la personne")
    referral = urlsplit(page.url).path.rpartition("/")[2]
    page.goto(f"{desk.base_url}/relais/{referral}")
    expect(page.get_by_text("Elle n'a pas encore répondu par son lien")).to_be_visible()
    with stack.api(client_of(stack, cast.sender)) as api:
        card = {"code": {"kind": "digits", "value": "482910"}, "level": "full"}
        link = api.post(f"/v1/referrals/{referral}/access", json=card).json()["link"]
        (asked,) = api.get(f"/v1/referrals/{referral}/consents").json()["items"]
    answered(desk.base_url, link, asked["id"])
    page.reload()
    expect(page.get_by_text("Elle a dit oui par son lien")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Passer le relais").click()
    expect(page.get_by_role("status")).to_contain_text("C'est parti")


def answered(base_url: str, link: str, consent_id: str) -> None:
    """Say yes as she does, by her link and her code."""
    with httpx.Client(base_url=base_url) as she:
        door = {"link": link, "code": {"kind": "digits", "value": "482910"}}
        session = she.post("/v1/person/session", json=door).json()["session"]
        said = she.post(
            f"/v1/person/consents/{consent_id}/answer",
            headers={"Relais-Person-Session": session},
            json={"agreed": True},
        )
        assert said.status_code == 200, said.text
