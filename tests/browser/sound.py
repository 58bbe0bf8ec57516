"""What every page keeps: the rules of WCAG that a machine can check, in both schemes, and the grammar of HTML."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import axe_playwright_python
import html5lib
from playwright.sync_api import Page

AXE: Final = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
RUN: Final = """only => axe.run(document, {runOnly: only, resultTypes: ["violations"]})"""
ALL: Final = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
COLOURS: Final = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
"""What the other scheme can break: the two differ in nothing but colours, so the rest would be found twice."""
UNFOLD: Final = "for (const one of [...document.querySelectorAll('details')].slice(0, 20)) one.open = true"
"""Of the reference's hundreds, all made alike, the first ones stand for the others."""
LAID_FLAT: Final = """() => {
    for (const one of document.querySelectorAll("body, body *"))
        if (["sticky", "fixed"].includes(getComputedStyle(one).position)) one.style.position = "static";
}"""
"""What sticks to an edge lies over some line wherever one stands; that it hides no focus, the keyboard's tests see."""
CUT: Final = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
SMALL: Final = """() => [...document.querySelectorAll(
        "a.button, button, .chip, nav a, select, .choice, summary:not(table summary)")]
    .filter(each => each.checkVisibility() && each.getBoundingClientRect().height < 43.5)
    .map(each => each.outerHTML.slice(0, 120))"""
"""Targets that a thumb misses; the lines of a waterfall are read together, and stand as close as text does."""
BLANK: Final = """() => [...document.querySelectorAll("svg use")]
    .filter(each => each.checkVisibility() && !each.getBBox().width)
    .map(each => each.outerHTML)"""
"""Pictures that nobody drew: their name is in no set."""
DESK, PHONE = (1280, 800), (360, 740)
"""Pixels: width and height."""


class Seen(HTMLParser):
    """What a page is made of, as far as the policy and a reader's way through it care."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.addresses: list[str] = []
        self.languages: list[str | None] = []
        self.headings: list[int] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note inline code, every address, and each heading's level."""
        told = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in told):
            self.inline.append(tag)
        self.inline += [name for name in told if name == "style" or name.startswith("on")]
        self.addresses += [told[name] or "" for name in ("href", "src", "action", "formaction") if name in told]
        if tag == "html":
            self.languages.append(told.get("lang"))
        if tag[0] == "h" and tag[1:].isdigit():
            self.headings.append(int(tag[1:]))

    def faults(self) -> list[str]:
        """Answer what is inline or from elsewhere, and what a reader would stumble over."""
        found = [f"inline {each}" for each in self.inline]
        for address in self.addresses:
            parts = urlsplit(address)
            if parts.netloc or parts.scheme not in {"", "tel", "mailto", "geo"}:
                found.append(f"elsewhere {address}")
        if len(self.languages) != 1 or not self.languages[0]:
            found.append(f"languages {self.languages}")
        in_order = all(after - before <= 1 for before, after in zip(self.headings, self.headings[1:], strict=False))
        if self.headings.count(1) != 1 or not in_order:
            found.append(f"headings {self.headings}")
        return found


def violations(page: Page) -> list[str]:
    """Answer what axe-core finds wrong with the page shown, in light and in dark."""
    found: list[str] = []
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    schemes: tuple[tuple[Literal["light", "dark"], Any], ...] = (("light", ALL), ("dark", COLOURS))
    for scheme, rules in schemes:
        # A colour that fades in would be looked at halfway.
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        result: dict[str, Any] = page.evaluate(RUN, rules)
        found += [f"{scheme} {one['id']}: {one['nodes'][0]['html'][:200]}" for one in result["violations"]]
    return found


def grammar(html: str) -> list[str]:
    """Answer what the parser of the HTML standard finds wrong with a page."""
    parser = html5lib.HTMLParser(strict=False)
    parser.parse(html)
    return [f"{place}: {name} {facts}" for place, name, facts in parser.errors]


def faults_of(page: Page, html: str) -> list[str]:
    """Answer everything that is wrong with the page shown, everything in it unfolded.

    It is looked at on a desk and on a telephone, on each in light and in dark.

    Args:
        page: Shown; it is as wide as a telephone afterwards.
        html: As it came.
    """
    found = grammar(html) + Seen(html).faults()
    page.evaluate(UNFOLD)
    page.evaluate(LAID_FLAT)
    for width, height in (DESK, PHONE):
        page.set_viewport_size({"width": width, "height": height})
        found += [f"{width}: wider than that"] if page.evaluate(CUT) else []
        found += violations(page)
    found += [f"small: {each}" for each in page.evaluate(SMALL)]
    return found + [f"blank: {each}" for each in page.evaluate(BLANK)]
