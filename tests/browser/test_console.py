"""The console: Samuel keeps his organisation's entries, Cordélia runs the platform; nobody sees what is not theirs."""

import json
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from browser.desks import Desk, Open, turn
from browser.sound import grammar, violations
from playwright.sync_api import expect
from support.stack import OWN_THEME, Stack

from relais_gateway.web.console.desk import SECTIONS

OPENED: dict[str, set[str]] = {
    "counsellor": set(),
    "manager": {"services", "signalements", "verifications", "doublons", "imports"},
    "administrator": {"comptes", "livraisons"},
    "operator": {
        "signalements",
        "doublons",
        "imports",
        "qualite",
        "structures",
        "peut-il",
        "traces",
        "sante",
        "journal",
    },
}
"""What each kind of visitor finds in the console, said once more than in the code."""
TO_READERS = {"signalements"}
"""Not in the menu of whoever only reads the directory, but the API tells them what they reported themselves."""


@pytest.fixture(name="people", scope="module")
def _people(stack: Stack) -> dict[str, dict[str, Any]]:
    """Answer who signs in: two of one organisation, one who only counsels, and who runs the platform."""
    owners = stack.clients("directory:write", "org:admin", "webhook:manage")
    house = owners[0]["organisation_id"]
    first, second = [each for each in stack.demo["counsellors"] if each["organisation_id"] == house]
    writers = {each["organisation_id"] for each in stack.clients("directory:write")}
    plain = next(each for each in stack.demo["counsellors"] if each["organisation_id"] not in writers)
    return {
        "counsellor": plain, "manager": second, "administrator": first, "operator": stack.demo["administrator"],
    }  # fmt: skip


def own(stack: Stack, people: dict[str, dict[str, Any]], number: int = 0) -> dict[str, Any]:
    """Answer a published service of the data manager's organisation, by its number in the list."""
    with client_of(stack, people) as api:
        items = api.get("/v1/directory/own/services", params={"status": "active", "limit": 50}).json()["items"]
    found: dict[str, Any] = items[number]
    return found


def client_of(stack: Stack, people: dict[str, dict[str, Any]]) -> Any:
    """Answer the API as the software of the data manager's organisation."""
    house = people["manager"]["organisation_id"]
    return stack.api(next(each for each in stack.clients("directory:write") if each["organisation_id"] == house))


def signed_in(open_desk: Open, account: dict[str, Any], **options: Any) -> Desk:
    desk = open_desk(account, **options)
    desk.sign_in()
    return desk


def go(desk: Desk, path: str) -> int:
    """Open a page of the console, and answer its status."""
    answer = desk.page.goto(f"{desk.base_url}/gestion{path}")
    assert answer is not None
    return answer.status


@pytest.mark.parametrize("who", list(OPENED))
def test_each_visitor_finds_what_the_scopes_open_and_nothing_else(
    open_desk: Open, people: dict[str, dict[str, Any]], who: str
) -> None:
    """Every part as every kind of visitor: what the menu shows opens, what it does not show is refused."""
    desk = signed_in(open_desk, people[who])
    assert bool(desk.page.get_by_role("link", name="Gestion").count()) == bool(OPENED[who])
    assert go(desk, "") == (200 if OPENED[who] else 403)
    shown = desk.page.get_by_role("navigation", name="Gestion").get_by_role("link")
    assert {str(each.get_attribute("href")).rpartition("/")[2] for each in shown.all()} == OPENED[who]
    for section in SECTIONS:
        open_to_her = section.path in OPENED[who] | (TO_READERS if who != "operator" else set())
        assert (section.path, go(desk, f"/{section.path}")) == (section.path, 200 if open_to_her else 403)
    assert desk.faults == []


# The data manager ------------------------------------------------------------------------------------


def test_places_told_in_one_click_are_seen_in_search(
    open_desk: Open, people: dict[str, dict[str, Any]], stack: Stack
) -> None:
    """On a phone, without a script, then with the keyboard alone."""
    service = own(stack, people, 1)
    phone = signed_in(open_desk, people["manager"], java_script_enabled=False, viewport={"width": 360, "height": 740})
    go(phone, "/services?etat=active")
    phone.page.get_by_role("button", name=f"Complet : {service['name']}").click()
    expect(phone.page.get_by_role("status")).to_contain_text("Les places sont dites")
    desk = signed_in(open_desk, people["manager"])
    go(desk, "/services?etat=active")
    more = desk.page.get_by_role("button", name=f"Une place de plus : {service['name']}")
    more.focus()
    desk.page.keyboard.press("Enter")
    expect(desk.page.get_by_role("status")).to_contain_text("Les places sont dites")
    with stack.api(stack.clients("directory:read")[0]) as api:
        told = api.get(f"/v1/directory/services/{service['id']}").json()
    assert told["capacity"]["available"] == 1
    confirm = desk.page.get_by_role("button", name=f"Tout est juste : {service['name']}")
    confirm.focus()
    desk.page.keyboard.press("Enter")
    expect(desk.page.get_by_role("status")).to_contain_text("confirmée aujourd'hui")
    # The column turns round by keyboard, and says so.
    heading = desk.page.get_by_role("columnheader", name="Places libres")
    heading.get_by_role("button").focus()
    desk.page.keyboard.press("Enter")
    expect(heading).to_have_attribute("aria-sort", "ascending")
    desk.page.keyboard.press("Enter")
    expect(heading).to_have_attribute("aria-sort", "descending")


def test_a_sheet_names_every_fault_beside_its_field_and_keeps_what_was_typed(
    open_desk: Open, people: dict[str, dict[str, Any]], stack: Stack
) -> None:
    service = own(stack, people, 2)
    desk = signed_in(open_desk, people["manager"])
    go(desk, f"/services/{service['id']}")
    name = desk.page.get_by_label("Nom", exact=True)
    hours = desk.page.get_by_role("textbox", name="Heures d'ouverture")
    otherwise = desk.page.locator("summary", has_text="Écrire ces heures autrement").first
    otherwise.click()
    before = hours.input_value()
    name.fill("Un nouveau nom")
    hours.fill("tous les jours")
    desk.page.get_by_label("Code postal").fill("!")
    desk.page.get_by_role("button", name="Enregistrer").click()
    expect(desk.page.get_by_role("alert")).to_contain_text("Rien n'est enregistré")
    expect(desk.page.get_by_label("Code postal")).to_have_attribute("aria-invalid", "true")
    expect(name).to_have_value("Un nouveau nom")
    go(desk, f"/services/{service['id']}")
    otherwise.click()
    hours.fill("tous les jours")
    desk.page.get_by_role("button", name="Enregistrer").click()
    expect(hours).to_have_accessible_description(re.compile("Ces heures ne se lisent pas"))
    hours.fill(before)
    name.fill("Un nouveau nom")
    desk.page.get_by_role("button", name="Enregistrer").click()
    expect(desk.page.get_by_role("status")).to_contain_text("C'est enregistré")
    expect(desk.page.get_by_role("heading", level=1)).to_have_text("Un nouveau nom")
    # Closed for a while, open again.
    desk.page.locator("summary", has_text="Fermer pour un temps").click()
    desk.page.get_by_label("Premier jour").fill("2030-01-05")
    desk.page.get_by_label("Dernier jour").fill("2030-01-02")
    desk.page.get_by_role("button", name="Fermer pour un temps").click()
    expect(desk.page.get_by_label("Dernier jour")).to_have_attribute("aria-invalid", "true")
    desk.page.get_by_label("Premier jour").fill("2030-01-05")
    desk.page.get_by_label("Dernier jour").fill("2030-01-09")
    desk.page.get_by_role("button", name="Fermer pour un temps").click()
    expect(desk.page.get_by_role("status")).to_contain_text("C'est enregistré")
    turn(desk.page, desk.page.get_by_role("button", name="Rouvrir"))
    name.fill(service["name"])
    desk.page.get_by_role("button", name="Enregistrer").click()
    expect(desk.page.get_by_role("heading", level=1)).to_have_text(service["name"])


def test_hours_and_languages_are_told_without_any_code(
    open_desk: Open, people: dict[str, dict[str, Any]], stack: Stack
) -> None:
    """By a new sheet, without a script: a week of clock times, languages by name, the territory's own theme."""
    desk, name = signed_in(open_desk, people["manager"], java_script_enabled=False), f"Permanence {uuid4().hex[:6]}"
    go(desk, "/services/nouveau")
    page = desk.page
    page.get_by_label("Nom", exact=True).fill(name)
    page.get_by_label("Sur place").check()
    page.locator("summary", has_text="Mobilité").click()
    page.get_by_label(OWN_THEME["labels"]["fr"]).check()
    page.get_by_label("arabe").check()
    page.get_by_label("Code postal").fill("6000")
    page.get_by_label("Commune", exact=True).fill("Charleroi")
    week = page.get_by_role("group", name="Heures d'ouverture")
    for day in ("Lundi", "Mardi"):
        for which, start, end in (("première", "09:00", "12:00"), ("seconde", "13:00", "17:00")):
            week.get_by_label(f"{day}, {which} ouverture, de").fill(start)
            week.get_by_label(f"{day}, {which} ouverture, à").fill(end)
    week.get_by_label("Mercredi, première ouverture, de").fill("09:00")
    week.get_by_label("Fermé les jours fériés").check()
    page.get_by_role("button", name="Garder comme brouillon").click()
    half = week.get_by_role("group", name="Mercredi")
    expect(half).to_have_accessible_description(re.compile("Chaque ouverture a un début et une fin"))
    expect(week.get_by_label("Lundi, seconde ouverture, à")).to_have_value("17:00")
    half.get_by_label("première ouverture, de").fill("")
    page.get_by_role("button", name="Garder comme brouillon").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    with client_of(stack, people) as api:
        record = api.get(f"/v1/directory/services/{page.url.rpartition('/')[2].partition('?')[0]}/record").json()
    assert record["locations"][0]["opening_hours"] == "Mo-Tu 09:00-12:00,13:00-17:00; PH off"
    assert [one["code"] for one in record["languages"]] == ["ar"]
    assert record["themes"] == [OWN_THEME["slug"]]
    page.locator("summary", has_text="Supprimer ce brouillon").click()
    page.get_by_role("button", name="Supprimer ce brouillon").click()


def test_a_report_is_answered(open_desk: Open, people: dict[str, dict[str, Any]], stack: Stack) -> None:
    service, words = own(stack, people, 3), f"Le numéro a changé ({uuid4().hex[:6]})."
    with stack.api(stack.clients("directory:read")[-1]) as api:
        path = f"/v1/directory/services/{service['id']}/reports"
        assert api.post(path, json={"field": "phone", "text": words}).status_code == 201
    desk = signed_in(open_desk, people["manager"])
    go(desk, "/services?etat=active")
    row = desk.page.locator(f"#s-{service['id']}")
    # Others may have found faults there before.
    row.get_by_role("link", name="signalement").click()
    report = desk.page.get_by_role("article").filter(has_text=words)
    expect(report.get_by_role("heading")).to_have_text(f"Le téléphone : {service['name']}")
    report.get_by_label("Votre réponse").fill("Merci.")
    report.get_by_role("button", name="C'est corrigé").click()
    expect(desk.page.get_by_role("status")).to_contain_text("Votre réponse est partie")
    expect(report).to_have_count(0)
    desk.page.get_by_role("link", name="Avec réponse").click()
    expect(report).to_contain_text("Merci.")


def test_an_import_is_watched_and_the_double_that_it_brought_is_merged(  # noqa: PLR0915 - one story, told whole
    open_desk: Open, people: dict[str, dict[str, Any]], stack: Stack, tmp_path: Path
) -> None:
    service, manager = own(stack, people, 4), people["manager"]
    with client_of(stack, people) as api:
        record = api.get(f"/v1/directory/services/{service['id']}/record").json()
    house = {"record_id": "o", "id": manager["organisation_id"], "name": manager["organisation"]}
    place = {"address": {"municipality_code": "be:52011", "country": "BE"}, "latitude": 50.41, "longitude": 4.44}
    kept = {name: record[name] for name in ("name", "themes", "modes", "phones", "locations") if name in record}
    rows = [
        {**kept, "record_id": "double", "organisation": house},
        *(
            {"record_id": f"{number}", "organisation": house, "name": f"Atelier {number}", "modes": ["on_site"],
             "locations": [place if number else {**place, "latitude": 200}]}
            for number in range(4)
        ),
    ]  # fmt: skip
    file = tmp_path / "ateliers.jsonl"
    # Large enough to go in several blocks.
    file.write_text("\n".join(json.dumps(row) + " " * 200_000 for row in rows))
    desk = signed_in(open_desk, manager)
    go(desk, "/imports")
    desk.page.get_by_label("Fichier", exact=True).set_input_files(file)
    desk.page.get_by_label("Source").fill("Ateliers !")
    desk.page.get_by_role("button", name="Importer").click()
    expect(desk.page.get_by_role("status").filter(has_text="minuscules")).to_be_visible()
    desk.page.get_by_label("Source").fill("ateliers")
    desk.page.get_by_role("button", name="Importer").click()
    expect(desk.page.get_by_role("heading", level=1)).to_have_text("ateliers.jsonl")
    # It runs beside everything else that the machine does.
    expect(desk.page.get_by_role("status")).to_contain_text("Terminé", timeout=90_000)
    expect(desk.page.get_by_role("listitem").filter(has_text="refusées")).to_contain_text("1")
    refused = desk.page.get_by_role("region", name="Lignes refusées").first
    expect(refused.get_by_role("row").last).to_contain_text("latitude")
    with desk.page.expect_download() as saved:
        desk.page.get_by_role("link", name="Exporter (CSV)").first.click()
    assert saved.value.path().read_text("utf-8-sig").splitlines()[0] == "Ligne,Fiche,Champ,Raison,Refusée"

    # What was refused is put right in the file; the same list sent again brings it, and nothing twice.
    file.write_text(file.read_text().replace('"latitude": 200', '"latitude": 50.41'))
    go(desk, "/imports")
    desk.page.get_by_label("Fichier", exact=True).set_input_files(file)
    desk.page.get_by_label("Source").fill("ateliers")
    desk.page.get_by_role("button", name="Importer").click()
    expect(desk.page.get_by_role("status")).to_contain_text("Terminé", timeout=90_000)
    for count, said in ((1, "nouvelles"), (0, "refusées")):
        expect(desk.page.get_by_role("listitem").filter(has_text=said)).to_contain_text(str(count))
    expect(desk.page.get_by_role("heading", name="Lignes refusées")).to_have_count(0)
    go(desk, "/services")
    expect(desk.page.get_by_role("row").filter(has_text="Atelier 0")).to_contain_text(re.compile(r"\d+ %"))

    # The operator looks for doubles everywhere; the pair of one owner is that owner's to decide.
    operator = signed_in(open_desk, people["operator"])
    go(operator, "/doublons")
    operator.page.get_by_role("button", name="Chercher des doublons maintenant").click()
    expect(operator.page.get_by_role("status")).to_contain_text("finie")
    go(desk, "/doublons")
    pair = desk.page.get_by_role("region", name=service["name"]).first
    keep = pair.locator(f"button[value='{service['id']}']")
    pair.get_by_role("button", name="Garder celle-ci").and_(keep).click()
    expect(desk.page.get_by_role("status")).to_contain_text("Une seule fiche reste")
    with client_of(stack, people) as api:
        merged = api.get("/v1/directory/own/duplicates", params={"state": "merged"}).json()["items"]
    assert service["id"] in {one["kept_id"] for one in merged}
    desk.page.get_by_role("link", name="Fusionnés").click()
    expect(pair).to_contain_text("gardée")
    pair.get_by_role("button", name="Défaire").click()
    expect(desk.page.get_by_role("status")).to_contain_text("C'est défait")


# The operator ----------------------------------------------------------------------------------------


def test_a_trace_is_found_by_the_code_of_an_answer_and_read_as_a_waterfall(
    open_desk: Open, people: dict[str, dict[str, Any]], stack: Stack
) -> None:
    with stack.api(stack.clients("directory:read")[0]) as api:
        answer = api.get("/v1/directory/search", params={"postcode": "6000", "limit": 1})
    code = answer.headers["traceresponse"].split("-")[1]
    with stack.api(stack.clients("trace:read")[0]) as api:
        while len(api.get(f"/v1/traces/{code}").json().get("spans", ())) < 3:
            pass  # The spans of each service arrive in their own time.
    desk = signed_in(open_desk, people["operator"])
    go(desk, "/traces")
    desk.page.get_by_label("Code de trace").fill(answer.headers["traceresponse"])
    desk.page.get_by_role("button", name="Ouvrir").click()
    expect(desk.page.get_by_role("heading", level=1)).to_have_text("Une demande, d'un service à l'autre")
    steps = desk.page.get_by_role("region", name="Étapes de la demande").get_by_role("row")
    expect(steps.nth(1)).to_contain_text("GET /v1/directory/search")
    assert {"Portail", "Annuaire"} <= {row.get_by_role("cell").first.inner_text() for row in steps.all()[1:]}
    desk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desk.page.get_by_role("button", name="Copier le lien").click()
    expect(desk.page.get_by_role("status").filter(has_text="Copié")).to_be_visible()
    copied = desk.page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{desk.base_url}/gestion/traces/{code}"

    # The same call is part of the map: which process called which, how often, how long it took.
    go(desk, "/traces")
    desk.page.get_by_role("link", name="Qui appelle qui").click()
    line = desk.page.get_by_role("row").filter(has=desk.page.get_by_role("cell", name="Portail", exact=True))
    line = line.filter(has=desk.page.get_by_role("rowheader", name="Annuaire", exact=True))
    expect(line.get_by_role("cell").nth(2)).to_have_text(re.compile(r"[1-9]"))
    expect(line).to_contain_text("ms")
    drawn = desk.page.locator(".arrows")
    assert {"Dehors", "Portail", "Annuaire"} <= set(drawn.locator("g text").all_text_contents())
    assert drawn.locator("line").count() == desk.page.locator("tbody tr").count()
    with desk.page.expect_download() as saved:
        desk.page.get_by_role("link", name="Exporter (CSV)").click()
    assert saved.value.path().read_text("utf-8-sig").startswith("Qui appelle,Qui est appelé,Appels,Par seconde")


def test_why_a_partners_call_failed_is_found_and_mended(
    open_desk: Open, people: dict[str, dict[str, Any]], stack: Stack
) -> None:
    """From the code that the partner reads out, through trace and dry run, to the grant; then the call passes."""
    partner = next(each for each in stack.clients("directory:capacity") if "directory:write" not in each["scopes"])
    house, scope = partner["organisation_id"], "directory:capacity"
    operator = signed_in(open_desk, people["operator"])
    page = operator.page
    # Somebody took the right away: so the partner's call fails.
    go(operator, f"/structures/{house}")
    page.get_by_role("button", name=f"Retirer {scope}").click()
    expect(page.get_by_role("status")).to_contain_text("Le droit est retiré")
    try:
        with stack.api(partner) as api:
            while (answer := api.get("/v1/directory/own/services")).status_code == 200:
                pass  # A change counts within a second.
            assert answer.status_code == 403
            code = answer.json()["trace_id"]
        with stack.api(stack.clients("trace:read")[0]) as api:
            while api.get(f"/v1/traces/{code}").status_code != 200:
                pass  # Spans arrive in their own time.
        go(operator, "/traces")
        page.get_by_label("Code de trace").fill(code)
        page.get_by_role("button", name="Ouvrir").click()
        expect(page.get_by_role("term").filter(has_text="Structure")).to_be_visible()
        page.get_by_role("link", name="Pourquoi ce refus ?").click()
        page.get_by_label("Logiciel").select_option(partner["client_id"])
        page.get_by_role("button", name="Essayer").click()
        answered = page.get_by_role("region", name="Non, il ne passe pas")
        expect(answered).to_contain_text("Sa structure n'a pas reçu ce droit.")
        assert violations(page) == []
        assert grammar(page.request.get(page.url).text()) == []
    finally:
        go(operator, f"/peut-il?structure={house}&logiciel={partner['client_id']}&appel=GET /v1/directory/own/services")
        page.get_by_role("button", name=f"Donner {scope} à").click()
        expect(page.get_by_role("status")).to_contain_text("Le droit est donné")
    while not page.get_by_role("region", name="Oui, il passe").count():
        page.reload()  # A change counts within a second.
    with stack.api(partner) as api:
        while (answer := api.get("/v1/directory/own/services")).status_code == 403:
            pass
        assert answer.status_code == 200
    go(operator, "/journal")
    line = page.get_by_role("row").filter(has_text=house[:8]).filter(has_text=scope)
    expect(line.first).to_contain_text("Droit donné")
    go(operator, "/structures")
    expect(page.get_by_role("row").filter(has_text=partner["organisation"]).first).to_contain_text("oui")
    go(operator, "/traces?http_status=403")
    expect(page.locator(f"a[href$='{code}']")).to_be_visible()


def test_owners_of_stale_entries_are_asked_and_answer(open_desk: Open, people: dict[str, dict[str, Any]]) -> None:
    operator = signed_in(open_desk, people["operator"])
    go(operator, "/qualite?jours=90")
    name = f"Relecture {uuid4().hex[:6]}"
    operator.page.get_by_label("Nom de la campagne").fill(name)
    operator.page.get_by_label("Réponse attendue avant le").fill("2020-01-01")
    operator.page.get_by_role("button", name="Demander aux structures").click()
    expect(operator.page.get_by_label("Réponse attendue avant le")).to_have_attribute("aria-invalid", "true")
    operator.page.get_by_label("Sans confirmation depuis (jours)").fill("90")
    operator.page.get_by_label("Réponse attendue avant le").fill("2199-01-01")
    operator.page.get_by_role("button", name="Demander aux structures").click()
    expect(operator.page.get_by_role("status")).to_contain_text("La demande est partie")
    desk = signed_in(open_desk, people["manager"])
    go(desk, "/verifications")
    waiting = desk.page.get_by_role("listitem").filter(has_text=name)
    count = waiting.count()
    assert count
    waiting.first.get_by_role("button", name="Tout est juste").click()
    expect(desk.page.get_by_role("status")).to_contain_text("confirmée aujourd'hui")
    assert waiting.count() == count - 1
    go(operator, "/qualite")
    operator.page.get_by_role("button", name=f"Finir cette campagne : {name}").click()
    expect(operator.page.get_by_role("status")).to_contain_text("finie")


@pytest.mark.parametrize(
    ("locale", "said"), [("nl-BE", "Vrije plaatsen"), ("de-BE", "Freie Plätze"), ("en-GB", "Open places")]
)
def test_the_console_speaks_the_browsers_language(
    open_desk: Open, people: dict[str, dict[str, Any]], locale: str, said: str
) -> None:
    french = signed_in(open_desk, people["manager"])
    cookies = french.page.context.cookies()
    desk = open_desk(people["manager"], locale=locale)
    desk.page.context.add_cookies(cookies)  # type: ignore[arg-type]
    assert go(desk, "/services") == 200
    assert desk.page.evaluate("document.documentElement.lang") == locale[:2]
    expect(desk.page.get_by_role("columnheader", name=said)).to_be_visible()
