"""The texts that are read before somebody answers: versioned, in several languages, never changed.

Notices are read aloud to a person before she agrees; undertakings are read by a guest before anything is opened.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable


@dataclass(frozen=True, slots=True)
class Notice:
    """One text in one language; `sha256` is the fingerprint of its exact bytes (hex)."""

    version: str
    language: str
    title: str
    text: str
    sha256: str


@cache
def notice(version: str, language: str) -> Notice | None:
    """Answer a notice, or nothing where there is none such; a regional tag falls back to its language."""
    return _shipped(files(__name__), version, language)


@cache
def undertaking(version: str, language: str) -> Notice | None:
    """Answer what a guest undertakes to keep to, or nothing where there is no such text."""
    return _shipped(files(__name__).joinpath("undertakings"), version, language)


def _shipped(folder: Traversable, version: str, language: str) -> Notice | None:
    base = language.split("-", maxsplit=1)[0].lower()
    # Only names that we ship: a version is never a path.
    shipped = {each.name: each for each in folder.iterdir()}
    file = shipped.get(f"{version}.{base}.txt")
    if file is None:
        return None
    raw = file.read_bytes()
    title, _, text = raw.decode().partition("\n")
    return Notice(version, base, title.strip(), text.strip(), sha256(raw).hexdigest())
