"""The texts that are read before somebody answers: versioned, in several languages, never changed.

Notices are read aloud to a person before she agrees; undertakings are read by a guest before anything is opened.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final


@dataclass(frozen=True, slots=True)
class Notice:
    """One text in one language; `sha256` is the fingerprint of its exact bytes (hex)."""

    version: str
    language: str
    title: str
    text: str
    sha256: str


_NOTICES: Final = ""
_UNDERTAKINGS: Final = "undertakings"


def notice(version: str, language: str) -> Notice | None:
    """Answer a notice, or nothing where there is none such; a regional tag falls back to its language."""
    return _found(_NOTICES, version, language)


def undertaking(version: str, language: str) -> Notice | None:
    """Answer what a guest undertakes to keep to, or nothing where there is no such text."""
    return _found(_UNDERTAKINGS, version, language)


def _found(folder: str, version: str, language: str) -> Notice | None:
    return _shipped(folder).get((version, language.split("-", maxsplit=1)[0].lower()))


# What we ship is kept, never what was asked for: anybody may ask, for as many versions as he can think of.
@cache
def _shipped(folder: str) -> Mapping[tuple[str, str], Notice]:
    """Answer the texts of a folder by version and language."""
    found = {}
    for file in files(__name__).joinpath(folder).iterdir():
        if file.name.endswith(".txt"):
            version, _, language = file.name.removesuffix(".txt").rpartition(".")
            raw = file.read_bytes()
            title, _, text = raw.decode().partition("\n")
            fingerprint = sha256(raw).hexdigest()
            found[(version, language)] = Notice(version, language, title.strip(), text.strip(), fingerprint)
    return found
