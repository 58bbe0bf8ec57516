"""What every page keeps: the rules of WCAG that a machine can check, in both schemes, and the grammar of HTML."""

from pathlib import Path
from typing import Any, Final

import axe_playwright_python
import html5lib
from playwright.sync_api import Page

AXE: Final = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
RUN: Final = """() => axe.run(document, {
    runOnly: {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    resultTypes: ["violations"],
})"""


def violations(page: Page) -> list[str]:
    """Answer what axe-core finds wrong with the page shown, in light and in dark."""
    found: list[str] = []
    for scheme in ("light", "dark"):
        # A colour that fades in would be looked at halfway.
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        page.evaluate(AXE)
        result: dict[str, Any] = page.evaluate(RUN)
        found += [f"{scheme} {one['id']}: {one['nodes'][0]['html'][:200]}" for one in result["violations"]]
    return found


def grammar(html: str) -> list[str]:
    """Answer what the parser of the HTML standard finds wrong with a page."""
    parser = html5lib.HTMLParser(strict=False)
    parser.parse(html)
    return [f"{place}: {name} {facts}" for place, name, facts in parser.errors]
