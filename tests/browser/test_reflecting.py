"""After closing each side ticks what held, without a script too; neither reads what the other ticked."""

from datetime import UTC, datetime

import pytest
from browser.desks import Cast, Open
from browser.sound import grammar
from playwright.sync_api import expect
from support.stack import Stack, if_match, key


@pytest.fixture(name="closed", scope="module")
def _closed(stack: Stack, cast: Cast) -> str:
    """Hand somebody over who agrees to be counted, and close it; answer its id."""
    clients = {one["organisation_id"]: one for one in stack.clients("referral:send", "referral:receive")}
    sides = (cast.sender["organisation_id"], cast.recipient["organisation_id"])
    with stack.api(clients[sides[0]]) as ana, stack.api(clients[sides[1]]) as ben:
        made = ana.post(
            "/v1/referrals",
            headers=key(),
            json={
                "recipient": {"organisation_id": sides[1], "service_id": cast.service["service"]["id"]},
                "counsellor": {"name": "Ana Lopes"},
                "person": {
                    "identity": {"called": "Ondine-Bilan"},
                    "contact": {"phone": "0478 55 66 77"},
                    "area": {"municipality": "be:52011"},
                    "languages": ["fr"],
                },
                "needs": [{"theme": "childcare"}],
            },
        ).raise_for_status()
        place = f"/v1/referrals/{made.json()['id']}"
        ana.post(
            f"{place}/consents",
            headers=key(),
            json={
                "purposes": ["referral", "statistics"],
                "data_categories": ["identity", "contact", "needs"],
                "method": "in_person_oral",
                "language": "fr",
                "notice_version": "2026-1",
                "collected_by": "Ana Lopes",
                "given_at": datetime.now(UTC).isoformat(),
            },
        ).raise_for_status()
        for by, action, body in (
            (ana, "propose", {}),
            (ben, "accept", {"counsellor": {"name": "Ben Noel"}}),
            (ana, "confirm_handover", {}),
            (ben, "confirm_handover", {}),
            (ben, "close", {"outcome": "completed"}),
        ):
            by.post(f"{place}/{action}", headers=if_match(by.get(place)), json=body).raise_for_status()
    return str(made.json()["id"])


def test_each_side_ticks_its_own(open_desk: Open, cast: Cast, closed: str) -> None:
    ana = open_desk(cast.sender, java_script_enabled=False, viewport={"width": 360, "height": 740})
    ana.sign_in()
    ana.page.goto(f"{ana.base_url}/relais/{closed}")
    ana.page.get_by_role("link", name="Noter ce qui a tenu").click()
    pace = ana.page.get_by_label("Tout est allé à son rythme.")
    expect(ana.page.get_by_role("checkbox")).to_have_count(20)
    expect(ana.page.get_by_role("checkbox", checked=True)).to_have_count(0)
    pace.check()
    ana.page.get_by_role("button", name="Enregistrer").click()
    expect(ana.page.get_by_text("C'est noté pour votre structure.")).to_be_visible()
    expect(pace).to_be_checked()
    expect(ana.page.get_by_role("checkbox", checked=True)).to_have_count(1)
    assert grammar(ana.page.content()) == []
    assert ana.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")

    ben = open_desk(cast.recipient)
    ben.sign_in()
    ben.page.goto(f"{ben.base_url}/qualite/{closed}")
    expect(ben.page.get_by_role("checkbox")).to_have_count(20)
    expect(ben.page.get_by_role("checkbox", checked=True)).to_have_count(0)
    # Read in another tongue, noted in the first: the same statement.
    ben.page.get_by_role("button", name="Nederlands").click()
    ben.page.get_by_label("Alles ging op haar tempo.").check()
    ben.page.get_by_label("Niets werd haar twee keer gevraagd.").check()
    ben.page.locator("main form button.main").click()
    expect(ben.page.get_by_role("checkbox", checked=True)).to_have_count(2)
    ana.page.reload()
    expect(ana.page.get_by_role("checkbox", checked=True)).to_have_count(1)


def test_nothing_is_asked_of_what_is_not_there(open_desk: Open, cast: Cast) -> None:
    desk = open_desk(cast.stranger)
    desk.sign_in()
    desk.page.goto(f"{desk.base_url}/qualite/00000000-0000-4000-8000-000000000000")
    expect(desk.page.get_by_role("checkbox")).to_have_count(0)
    expect(desk.page.get_by_role("heading", level=1)).to_have_text("Cette page n'est pas là")
