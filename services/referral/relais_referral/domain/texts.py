"""What a text may not hold: what tells who she is before acceptance, and a national number anywhere (design 5)."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_EMAIL: Final = re.compile(r"[^\s@<>()]+@[^\s@<>()]+\.[^\s@<>()]+")
_PHONE: Final = re.compile(r"(?<![\w/])(?:\+|00)?\d(?:[\s./()\-]?\d){7,14}(?!\w)")
"""Eight digits or more with the usual separators: the shortest Belgian numbers have nine."""
_DATE: Final = re.compile(r"^\d{1,4}[./\-]\d{1,2}[./\-]\d{1,4}$")
_NISS: Final = re.compile(r"(?<!\d)\d{2}[.\s]?\d{2}[.\s]?\d{2}[\s\-]?\d{3}[.\s]?\d{2}(?!\d)")
_NIR: Final = re.compile(
    r"(?<!\w)[1-478]\s?\d{2}\s?\d{2}\s?(?:\d{2}|2[AB])\s?\d{3}\s?\d{3}(?:\s?\d{2})?(?!\w)", re.IGNORECASE
)
_SHORTEST_NAME: Final = 3
"""Shorter names ("Li", "Bo") are also common syllables: refusing them would refuse plain French."""


def national_number(text: str) -> bool:
    """Answer whether a text holds a Belgian or French national number whose check digits are right."""
    return any(_niss(found[0]) for found in _NISS.finditer(text)) or any(
        _nir(found[0]) for found in _NIR.finditer(text)
    )


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
    if _EMAIL.search(text):
        return "an e-mail address"
    if any(not _DATE.match(found[0]) for found in _PHONE.finditer(text)):
        return "a phone number"
    words = set(_words(text))
    hers = {word for name in names for word in _words(name) if len(word) >= _SHORTEST_NAME}
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
    signs = re.sub(r"\s", "", found).upper()
    if len(signs) < 15:  # noqa: PLR2004 - thirteen signs and two check digits
        return False
    # The departments of Corsica count as 19 and 18 (INSEE).
    body = signs[:13].replace("2A", "19").replace("2B", "18")
    return body.isdigit() and 97 - int(body) % 97 == int(signs[13:15])
