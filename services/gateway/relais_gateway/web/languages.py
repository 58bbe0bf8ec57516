"""In which language a page speaks: French stands in the templates, the others in catalogues beside them.

Templates and Python mark a text with `_("…")` or `ngettext("…", "…", n)`; the French text is its own key, as gettext
has it. Every `catalogues/<language>/*.po` is read at first use and compiled in memory: nothing compiled is kept
beside its source.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Final

from babel import negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from fastapi import Request

LANGUAGES: Final = {"fr": "Français", "nl": "Nederlands", "de": "Deutsch", "en": "English"}
"""Each language by its code, named in itself. French first: it is what the pages are written in."""
FRENCH: Final = "fr"
COOKIE: Final = "relais_language"
"""Holds the language chosen on a page, and nothing else."""

_spoken: ContextVar[str] = ContextVar("spoken", default=FRENCH)


def language() -> str:
    """Answer the code of the language that the page at hand speaks."""
    return _spoken.get()


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Speak a language of `LANGUAGES` for a while; any other is spoken in French."""
    before = _spoken.set(code if code in LANGUAGES else FRENCH)
    try:
        yield
    finally:
        _spoken.reset(before)


def wanted(request: Request) -> str:
    """Answer the language that a browser asks for: the one chosen here, else the first of its own that we speak."""
    chosen = request.cookies.get(COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    # RFC 9110, 12.5.4: `nl-BE, nl;q=0.9, fr;q=0.5`. Browsers send them in order, which saves weighing them.
    asked = [part.partition(";")[0].strip() for part in request.headers.get("accept-language", "").split(",")[:20]]
    return negotiate_locale([each for each in asked if each], list(LANGUAGES), sep="-") or FRENCH


def _(text: str) -> str:
    """Answer a French text in the language spoken; in French where it has no translation."""
    return _catalogue(_spoken.get()).ugettext(text)


def ngettext(one: str, many: str, count: int) -> str:
    """Answer the form that fits a number, in the language spoken."""
    spoken = _spoken.get()
    if spoken == FRENCH:
        # Nought is singular in French; gettext's own rule without a catalogue is English's.
        return one if abs(count) < 2 else many  # noqa: PLR2004 - the rule is said in the line above
    return _catalogue(spoken).ungettext(one, many, count)


def later(text: str) -> str:
    """Mark a text of a constant, so that it is translated; `_` says it when a page is made."""
    return text


@cache
def _catalogue(code: str) -> NullTranslations:
    """Answer every text of a language; French has none, because it is what stands in the pages."""
    found = NullTranslations()
    if code != FRENCH:
        folder = files("relais_gateway.web") / "catalogues" / code
        for each in sorted((one for one in folder.iterdir() if one.name.endswith(".po")), key=lambda one: one.name):
            compiled = BytesIO()
            write_mo(compiled, read_po(BytesIO(each.read_bytes()), locale=code))
            compiled.seek(0)
            area = Translations(compiled)
            found = found.merge(area) if isinstance(found, Translations) else area
    return found
