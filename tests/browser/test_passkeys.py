"""Passkeys in a real Chromium with its own virtual authenticator: made, used by keyboard alone, refused, removed."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browser.desks import Desk, Hire, Open
from browser.sound import grammar, violations
from playwright.sync_api import CDPSession, expect

Device = Callable[[Desk], tuple[CDPSession, str]]


@pytest.fixture(name="device")
def _device() -> Iterator[Device]:
    """Answer a factory of authenticators inside a browser: one that knows its owner, and asks her."""
    sessions = []

    def given(desk: Desk) -> tuple[CDPSession, str]:
        session = desk.page.context.new_cdp_session(desk.page)
        sessions.append(session)
        session.send("WebAuthn.enable")
        made = session.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2",
                    "transport": "internal",
                    "hasResidentKey": True,
                    "hasUserVerification": True,
                    "isUserVerified": True,
                    "automaticPresenceSimulation": True,
                }
            },
        )
        return session, made["authenticatorId"]

    yield given
    for session in sessions:
        session.detach()


def keys_of(session: CDPSession, id_: str) -> list[dict[str, Any]]:
    """Answer what the authenticator holds."""
    found: list[dict[str, Any]] = session.send("WebAuthn.getCredentials", {"authenticatorId": id_})["credentials"]
    return found


def password(desk: Desk) -> None:
    page = desk.page
    page.get_by_label("Adresse e-mail").fill(desk.account["email"])
    page.get_by_label("Mot de passe").fill(desk.account["password"])
    page.get_by_role("button", name="Se connecter", exact=True).click()


def test_a_key_is_made_and_opens_without_a_password(open_desk: Open, hire: Hire, device: Device) -> None:
    desk = open_desk(hire())
    session, authenticator = device(desk)
    desk.sign_in()
    page = desk.page
    page.goto(f"{desk.base_url}/compte")
    page.get_by_role("link", name="Ajouter une clé d'accès").click()
    expect(page.get_by_role("heading", name="Une clé d'accès")).to_be_visible()
    assert grammar(page.request.get(page.url).text()) == []
    assert violations(page) == []

    # Its owner is not known to the device: no key, and it may be tried again on the same page.
    session.send("WebAuthn.setUserVerified", {"authenticatorId": authenticator, "isUserVerified": False})
    page.get_by_label("Nom de la clé").fill("Mon portable")
    page.get_by_role("button", name="Faire la clé").click()
    expect(page.get_by_role("alert")).to_contain_text("Aucune clé n'a été faite")
    assert violations(page) == []
    session.send("WebAuthn.setUserVerified", {"authenticatorId": authenticator, "isUserVerified": True})
    page.get_by_role("button", name="Faire la clé").click()
    expect(page.get_by_role("heading", name="Vos codes de secours")).to_be_visible()
    (key,) = keys_of(session, authenticator)
    assert (key["isResidentCredential"], key["rpId"]) == (True, "localhost")
    page.get_by_role("link", name="Je les ai gardés").click()
    expect(page.get_by_text("Mon portable")).to_be_visible()
    assert grammar(page.request.get(page.url).text()) == []
    assert violations(page) == []

    page.get_by_role("button", name="Se déconnecter").click()
    expect(page.get_by_role("button", name="Utiliser une clé d'accès")).to_be_visible()
    assert grammar(page.request.get(page.url).text()) == []
    assert violations(page) == []
    # By keyboard alone.
    page.get_by_role("button", name="Utiliser une clé d'accès").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Se déconnecter")).to_be_visible()

    # After the password too: the key is the second step.
    page.get_by_role("button", name="Se déconnecter").click()
    password(desk)
    expect(page.get_by_role("heading", name="Votre code")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Utiliser une clé d'accès").click()
    expect(page.get_by_role("button", name="Se déconnecter")).to_be_visible()
    assert keys_of(session, authenticator)[0]["signCount"] >= 2

    page.goto(f"{desk.base_url}/compte")
    page.get_by_role("button", name="Retirer cette clé : Mon portable").click()
    expect(page.get_by_role("status")).to_contain_text("La clé d'accès est retirée")
    page.get_by_role("button", name="Se déconnecter").click()
    page.get_by_role("button", name="Utiliser une clé d'accès").click()
    expect(page.get_by_role("alert")).to_contain_text("n'ouvre rien ici")
    assert violations(page) == []
    password(desk)
    expect(page.get_by_role("button", name="Se déconnecter")).to_be_visible()
    assert desk.faults == []


def test_without_a_script_no_key_is_offered_and_the_rest_works(open_desk: Open, hire: Hire) -> None:
    desk = open_desk(hire(), java_script_enabled=False)
    desk.page.goto(desk.base_url)
    expect(desk.page.get_by_role("button", name="Utiliser une clé d'accès")).to_be_hidden()
    desk.sign_in()
    desk.page.goto(f"{desk.base_url}/compte/cle")
    expect(desk.page.get_by_text("Une clé d'accès demande JavaScript")).to_be_visible()
    expect(desk.page.get_by_role("button", name="Faire la clé")).to_be_hidden()
