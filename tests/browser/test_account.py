"""One's own account in a real browser: by keyboard, without a script, in another language, in both schemes."""

import hmac
import re
import time
from base64 import b32decode
from hashlib import sha1

from browser.desks import Desk, Hire, Open, turn
from browser.sound import faults_of, violations
from playwright.sync_api import expect


def code(key: str, ahead: int = 0) -> str:
    """Answer what an app shows now, or some half minutes ahead."""
    mac = hmac.digest(b32decode(key.replace(" ", "")), (int(time.time()) // 30 + ahead).to_bytes(8, "big"), sha1)
    at = mac[-1] & 15
    return f"{(int.from_bytes(mac[at : at + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


def sound(desk: Desk) -> None:
    """Expect of the page shown what every page keeps."""
    assert faults_of(desk.page, desk.page.request.get(desk.page.url).text()) == []


def test_an_app_is_set_up_and_asked_for(open_desk: Open, hire: Hire) -> None:
    """Each page on the way is sound on a desk and on a telephone; the telephone's code opens, a recovery code too."""
    desk = open_desk(hire())
    desk.sign_in()
    page = desk.page
    page.get_by_role("link", name="Mon compte").click()
    expect(page.get_by_role("heading", name="Mon compte")).to_be_visible()
    page.get_by_role("button", name="Mettre en place une application").click()
    page.get_by_text("Le dessin ne passe pas ?").click()
    key = page.locator("details code").inner_text()
    expect(page.get_by_role("img", name="Dessin à photographier")).to_be_visible()
    sound(desk)
    page.get_by_label("Code à six chiffres").fill("000000")
    page.get_by_role("button", name="C'est le bon code").click()
    expect(page.get_by_role("alert")).to_contain_text("Ce code ne va pas")
    assert violations(page) == []
    page.get_by_label("Code à six chiffres").fill(code(key))
    turn(page, page.get_by_role("button", name="C'est le bon code"))
    codes = page.locator("ol code").all_inner_texts()
    assert len(codes) == 10
    assert violations(page) == []
    page.get_by_role("link", name="Je les ai gardés").click()
    expect(page.get_by_text("Il vous reste 10 codes de secours.")).to_be_visible()
    sound(desk)

    page.get_by_role("button", name="Se déconnecter").click()
    page.get_by_label("Adresse e-mail").fill(desk.account["email"])
    page.get_by_label("Mot de passe").fill(desk.account["password"])
    page.get_by_role("button", name="Se connecter").click()
    expect(page.get_by_role("heading", name="Votre code")).to_be_visible()
    sound(desk)
    page.get_by_label("Code").fill("111111")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Ce code ne va pas")
    page.get_by_label("Code").fill(codes[0])
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Se déconnecter")).to_be_visible()
    assert desk.faults == []
    # Neither key nor code stands in an address, where histories and logs keep it.
    telling = [key.replace(" ", ""), *codes, desk.account["password"]]
    assert not [url for url in desk.sent if any(each in url for each in telling)]


def test_without_a_script_one_sees_to_everything(open_desk: Open, hire: Hire) -> None:
    """Two browsers of one person: what one ends is ended in the other."""
    account = hire()
    phone = open_desk(account, java_script_enabled=False, viewport={"width": 360, "height": 740}, locale="nl-BE")
    page = phone.page
    page.goto(phone.base_url)
    page.get_by_label("E-mailadres").fill(account["email"])
    page.get_by_label("Wachtwoord").fill(account["password"])
    page.get_by_role("button", name="Aanmelden").click()
    page.get_by_role("link", name="Mijn account").click()
    expect(page.get_by_text("Dit toestel")).to_be_visible()

    desk = open_desk(account)
    desk.sign_in()
    desk.page.goto(f"{desk.base_url}/compte")
    wanted = "quatre chats sous la pluie"
    for label, text in (
        ("Mot de passe actuel", account["password"]),
        ("Nouveau mot de passe", wanted),
        ("Le nouveau", "autre"),
    ):
        desk.page.get_by_label(label).fill(text)
    desk.page.get_by_role("button", name="Changer").click()
    fault = desk.page.get_by_text("Les deux ne sont pas pareils")
    expect(fault).to_be_visible()
    assert violations(desk.page) == []
    for label, text in (
        ("Mot de passe actuel", account["password"]),
        ("Nouveau mot de passe", wanted),
        ("Le nouveau", wanted),
    ):
        desk.page.get_by_label(label).fill(text)
    desk.page.get_by_role("button", name="Changer").click()
    expect(desk.page.get_by_role("status")).to_contain_text("Votre mot de passe est changé")

    page.reload()
    page.get_by_label("E-mailadres").fill(account["email"])
    page.get_by_label("Wachtwoord").fill(wanted)
    page.get_by_role("button", name="Aanmelden").click()
    expect(page).to_have_url(re.compile("/compte$"))
    page.get_by_role("button", name="Afmelden: ").click()
    expect(page.get_by_role("status")).to_contain_text("afgemeld")
    desk.page.reload()
    expect(desk.page.get_by_role("heading", name="Se connecter")).to_be_visible()
    page.get_by_role("button", name="Een app instellen").click()
    key = page.locator("details code").text_content() or ""
    page.get_by_label("Code van zes cijfers").fill(code(key))
    page.get_by_role("button", name="Dit is de juiste code").click()
    expect(page.get_by_role("heading", name="Uw noodcodes")).to_be_visible()
