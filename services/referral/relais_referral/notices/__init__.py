"""The notices that are read aloud before a person answers: versioned, in several languages, never changed."""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice in one language; `sha256` is the fingerprint of its exact text (hex)."""

    version: str
    language: str
    title: str
    text: str
    sha256: str


@cache
def notice(version: str, language: str) -> Notice | None:
    """Answer a notice, or nothing where there is none such; a regional tag falls back to its language."""
    base = language.split("-", maxsplit=1)[0].lower()
    # Only names that we ship: a version is never a path.
    shipped = {each.name: each for each in files(__name__).iterdir()}
    file = shipped.get(f"{version}.{base}.txt")
    if file is None:
        return None
    raw = file.read_bytes()
    title, _, text = raw.decode().partition("\n")
    return Notice(version, base, title.strip(), text.strip(), sha256(raw).hexdigest())
