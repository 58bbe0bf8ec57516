"""One plain paper, as a page to print and as an accessible PDF; values are text, never markup."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from importlib.resources import files
from typing import Final, Literal

import typst

LANGUAGES: Final = ("fr", "nl", "de", "en")
"""In which our own words exist; French where hers is another."""

MARKS: Final = {"fr": "Exercice", "nl": "Oefening", "de": "Übung", "en": "Exercise"}
"""What a paper of a rehearsal says across its pages."""

PDF_STANDARD: Final = "ua-1"
"""PDF/UA-1: tagged, with language and title, so that it can be read aloud."""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a paper: a heading, paragraphs, and rows of what and value."""

    title: str
    paragraphs: Sequence[str] = ()
    rows: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Paper:
    """A whole paper.

    Attributes:
        title: Said first, and in the window's title.
        language: Of our own words, one of `LANGUAGES`.
        sections: In their order.
        picture: An SVG drawing with what it shows in words, such as the QR code of a link.
        practice: Of a rehearsal: it says so across every page, so that nobody takes it for real.
    """

    title: str
    language: str
    sections: Sequence[Section] = field(default_factory=tuple)
    picture: tuple[str, str] | None = None
    practice: bool = False

    @property
    def mark(self) -> str:
        """What stands across every page; nothing on a real paper."""
        return MARKS[self.language] if self.practice else ""


def language_of(tag: str) -> str:
    """Answer in which of our languages somebody is addressed who chose a BCP 47 tag."""
    base = tag.split("-", maxsplit=1)[0].lower()
    return base if base in LANGUAGES else LANGUAGES[0]


STYLE: Final = (
    "body{font:1.05rem/1.5 system-ui,sans-serif;max-width:42rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}"
    "h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:1.6rem}"
    "dl{display:grid;grid-template-columns:minmax(8rem,14rem) 1fr;gap:.3rem 1rem}dt{font-weight:600}dd{margin:0}"
    "svg{width:45mm;height:45mm}@media print{body{margin:0;max-width:none}}"
    # A fixed box is printed on every page.
    ".mark{position:fixed;top:40%;left:0;right:0;margin:0;text-align:center;font-size:5rem;color:#0003;rotate:-30deg;"
    "pointer-events:none}"
)
"""Small enough to stand in the page: a printed paper must not wait for another file."""


def as_html(paper: Paper) -> str:
    """Answer a paper as one whole HTML page."""
    parts = [
        f'<!doctype html><html lang="{escape(paper.language)}"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        '<meta name="robots" content="noindex"><meta name="referrer" content="no-referrer">',
        f"<title>{escape(paper.title)}</title><style>{STYLE}</style></head><body><main>",
        f"<h1>{escape(paper.title)}</h1>",
    ]
    if paper.mark:
        parts.append(f'<p class="mark">{escape(paper.mark)}</p>')
    if paper.picture is not None:
        drawing, words = paper.picture
        parts.append(f'<figure role="img" aria-label="{escape(words)}">{drawing}</figure>')
    for section in paper.sections:
        parts.append(f"<section><h2>{escape(section.title)}</h2>")
        parts += [f"<p>{escape(text)}</p>" for text in section.paragraphs]
        if section.rows:
            rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in section.rows)
            parts.append(f"<dl>{rows}</dl>")
        parts.append("</section>")
    return "".join([*parts, "</main></body></html>"])


def as_pdf(paper: Paper) -> bytes:
    """Answer a paper as PDF/UA-1; where no font of the machine has a sign of it, as a plain PDF.

    Names are written in every script of the world, and the fonts that come along have Latin, Greek and Cyrillic
    alone. A machine that serves people who write otherwise has fonts for them (on Debian: `fonts-noto`).
    """
    facts = {
        "title": paper.title,
        "lang": paper.language,
        "sections": [
            {"title": one.title, "paragraphs": list(one.paragraphs), "rows": [list(row) for row in one.rows]}
            for one in paper.sections
        ],
        "mark": paper.mark,
        "picture": {"svg": paper.picture[0], "alt": paper.picture[1]} if paper.picture else None,
    }
    inputs = {"facts": json.dumps(facts)}
    try:
        return _compiled(inputs, PDF_STANDARD)
    except typst.TypstError:
        # The standard forbids a sign without a picture; a page with one box in it is better than none.
        return _compiled(inputs, None)


def _compiled(inputs: dict[str, str], standard: Literal["ua-1"] | None) -> bytes:
    made = typst.compile(_template(), sys_inputs=inputs, format="pdf", pdf_standards=standard)
    if not isinstance(made, bytes):
        raise TypeError("One PDF is one file.")
    return made


@cache
def _template() -> bytes:
    return files(__package__).joinpath("paper.typ").read_bytes()
