"""What a machine can check of WCAG 2.2 A and AA, by axe-core, on the counsellor's pages in both colour schemes."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser.desks import Cast, Open

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_breaks_a_rule_that_a_machine_can_check(open_desk: Open, cast: Cast, scheme: str) -> None:
    desk = open_desk(cast.sender, color_scheme=scheme)
    desk.sign_in()
    service = cast.service["service"]["id"]
    for path in (
        "/recherche?place=6000+Charleroi&theme=mobility",
        "/recherche?place=nulle-part-du-tout",
        "/relais",
        f"/services/{service}",
        f"/relais/nouveau?service={service}",
        "/danger",
        "/accessibilite",
        "/styleguide",
        "/relais/00000000-0000-4000-8000-000000000000",
    ):
        desk.page.goto(desk.base_url + path)
        found = Axe().run(desk.page, options=RULES).response["violations"]
        assert [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found] == [], path
