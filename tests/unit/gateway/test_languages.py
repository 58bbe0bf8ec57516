"""The catalogues: each text of the pages stands in each language, says its placeholders, and none is left over."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po
from starlette.requests import Request

import relais_gateway.web
from relais_gateway.web.languages import FRENCH, LANGUAGES, _, language, ngettext, speaking, wanted

WEB = Path(relais_gateway.web.__file__).parent
OTHERS = [each for each in LANGUAGES if each != FRENCH]
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "later": None}

Key = str | tuple[str, str]


def texts() -> Iterator[tuple[Key, str]]:
    """Answer every text marked in templates and Python, and where it stands."""
    for kind, pattern in (("jinja2.ext:babel_extract", "templates/**/*.html"), ("python", "**/*.py")):
        for path in sorted(WEB.glob(pattern)):
            options = {"trimmed": "true", "silent": "false", "newstyle_gettext": "true"} if "jinja2" in kind else {}
            with path.open("rb") as file:
                for line, message, _comments, _context in extract(kind, file, KEYWORDS, options=options):
                    yield message, f"{path.relative_to(WEB)}:{line}"


def catalogues(code: str) -> list[Catalog]:
    found = sorted((WEB / "catalogues" / code).glob("*.po"))
    return [read_po(BytesIO(path.read_bytes()), locale=code) for path in found]


def first(key: Key) -> str:
    return key if isinstance(key, str) else key[0]


@pytest.mark.parametrize("code", OTHERS)
def test_every_text_is_translated_and_none_is_left_over(code: str) -> None:
    """Failing, it lists the texts: what is missing is added to the catalogue of its area."""
    marked = {first(key): where for key, where in texts() if first(key)}
    said: dict[str, Catalog] = {}
    for catalogue in catalogues(code):
        for message in catalogue:
            if not message.id:
                continue
            assert first(message.id) not in said, f"twice: {first(message.id)}"
            said[first(message.id)] = catalogue
            strings = [message.string] if isinstance(message.string, str) else list(message.string)
            assert all(strings), f"empty: {first(message.id)}"
            assert not message.fuzzy, f"not looked at: {first(message.id)}"
            assert not [str(fault) for fault in message.check(catalogue)], first(message.id)

    missing = [f"{where}: {text}" for text, where in marked.items() if text not in said]
    assert not missing, f"{len(missing)} texts are not in {code}:\n" + "\n".join(missing)
    assert not said.keys() - marked.keys(), "nothing says these any more"


@pytest.mark.parametrize(
    ("code", "said"), [("fr", "Aller au contenu"), ("nl", "Naar de inhoud"), ("xx", "Aller au contenu")]
)
def test_a_text_is_said_in_the_language_spoken(code: str, said: str) -> None:
    with speaking(code):
        assert _("Aller au contenu") == said
    assert language() == FRENCH


def test_nought_is_singular_in_french() -> None:
    assert ngettext("%(num)s lieu", "%(num)s lieux", 0) == "%(num)s lieu"


@pytest.mark.parametrize(
    ("asked", "cookie", "answer"),
    [
        ("nl-BE,nl;q=0.9,fr;q=0.5", "", "nl"),
        ("it-IT,de;q=0.9", "", "de"),
        ("it", "", "fr"),
        ("", "", "fr"),
        ("nl", "en", "en"),
        ("nl", "klingon", "nl"),
        (";;,,-,q=", "", "fr"),
    ],
)
def test_the_browser_is_heard_and_a_choice_made_here_comes_first(asked: str, cookie: str, answer: str) -> None:
    headers = [(b"accept-language", asked.encode()), (b"cookie", f"relais_language={cookie}".encode())]
    assert wanted(Request({"type": "http", "headers": headers})) == answer
