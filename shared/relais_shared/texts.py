"""What a text may not hold: what tells who she is before acceptance, and a national number anywhere (design 5)."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_EMAIL: Final = re.compile(r"[^\s@<>()]+@[^\s@<>()]+\.[^\s@<>()]+")
_BETWEEN: Final = r"[\s./()\-\u2010-\u2015]{0,3}"
"""What people write between the digits of a number, dashes of every kind included."""
_PHONE: Final = re.compile(rf"(?<!\d)\d(?:{_BETWEEN}\d){{7,14}}(?!\d)")
"""Eight digits or more with the usual separators: the shortest Belgian numbers have nine with their zero."""
_YEAR: Final = r"(?:19|20)\d{2}"
_CLOCK: Final = r"(?:[01]?\d|2[0-4])\.(?:00|15|30|45)"
_HARMLESS: Final = re.compile(
    rf"(?<!\d)(?:\d{{1,2}}[./\-]\d{{1,2}}[./\-]{_YEAR}|{_YEAR}-\d{{2}}-\d{{2}}"
    rf"|{_YEAR}(?:\s?[/\-\u2013]\s?{_YEAR})+|{_CLOCK}\s?[\-\u2013]\s?{_CLOCK})(?!\d)"
)
"""A day, some years ("2025-2026") or hours ("08.30-12.30"): as many digits as a telephone number has."""
# Each looks ahead, so that digits before a number cannot hide it.
_NISS: Final = re.compile(rf"(?<!\d)(?=(\d(?:{_BETWEEN}\d){{10}})(?!\d))")
_NIR: Final = re.compile(
    rf"(?<!\d)(?=([1-478](?:{_BETWEEN}\d){{4}}{_BETWEEN}\d{_BETWEEN}[\dAB](?:{_BETWEEN}\d){{8}})(?!\d))",
    re.IGNORECASE,
)
_NO_NAMES: Final = frozenset(
    {
        "mme",
        "mlle",
        "mrs",
        "madame",
        "mademoiselle",
        "monsieur",
        "mevrouw",
        "mijnheer",
        "meneer",
        "dhr",
        "mvr",
        "frau",
        "herr",
        "van",
        "von",
        "den",
        "der",
        "des",
        "del",
        "dos",
        "les",
        "ben",
        "bin",
        "ibn",
    }
)
"""Titles and particles that stand beside names, and in plain sentences too."""
_SHORTEST_NAME: Final = 3
"""Shorter names ("Li", "Bo") are also common syllables: refusing them would refuse plain French."""


def national_number(text: str) -> bool:
    """Answer whether a text holds a Belgian or French national number whose check digits are right."""
    return any(_niss(found[1]) for found in _NISS.finditer(text)) or any(
        _nir(found[1]) for found in _NIR.finditer(text)
    )


def email(text: str) -> bool:
    """Answer whether a text holds an e-mail address."""
    return _EMAIL.search(text) is not None


def phone(text: str) -> bool:
    """Answer whether a text holds a telephone number; days, years and hours are none."""
    return _PHONE.search(_HARMLESS.sub(" : ", text)) is not None


def telling(text: str, names: Iterable[str]) -> str | None:
    """Answer what in a text tells who she is or how she is reached, or nothing.

    Args:
        text: What will be read before acceptance.
        names: Her names, in any spelling.

    Returns:
        The kind of what was found; never the value.
    """
    if national_number(text):
        return "a national number"
    if email(text):
        return "an e-mail address"
    if phone(text):
        return "a phone number"
    words = set(_words(text))
    hers = {word for name in names for word in _words(name) if len(word) >= _SHORTEST_NAME and word not in _NO_NAMES}
    return "her name" if words & hers else None


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return re.findall(r"[^\W\d_]+", "".join(sign for sign in plain if not unicodedata.combining(sign)))


def _niss(found: str) -> bool:
    digits = re.sub(r"\D", "", found)
    body, check = digits[:9], int(digits[9:])
    # Born from 2000 on, a 2 stands before the nine digits.
    return any(97 - int(century + body) % 97 == check for century in ("", "2"))


def _nir(found: str) -> bool:
    signs = re.sub(r"[^\dAB]", "", found.upper())
    # The departments of Corsica count as 19 and 18 (INSEE).
    body = signs[:13].replace("2A", "19").replace("2B", "18")
    return body.isdigit() and 97 - int(body) % 97 == int(signs[13:15])
