"""The files that pages are dressed with: read once, named by their content, kept by browsers for a year."""

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

KINDS: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "woff2": "font/woff2",
}
SQUEEZED: Final = frozenset({"css", "js", "svg", "txt"})
"""A font is compressed already."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: its bytes (also compressed, where that helps), media type and mark (12 hex digits of SHA-256)."""

    body: bytes
    squeezed: bytes | None
    kind: str
    mark: str


@cache
def assets() -> dict[str, Asset]:
    """Answer every file below `static/` by its path there."""
    return dict(_read(files("relais_gateway.web") / "static", ""))


def _read(folder: Traversable, prefix: str) -> list[tuple[str, Asset]]:
    found: list[tuple[str, Asset]] = []
    for each in folder.iterdir():
        name = prefix + each.name
        if each.is_dir():
            found += _read(each, f"{name}/")
            continue
        ending = name.rpartition(".")[2]
        if ending in KINDS:
            body = each.read_bytes()
            squeezed = gzip.compress(body, mtime=0) if ending in SQUEEZED else None
            found.append((name, Asset(body, squeezed, KINDS[ending], sha256(body).hexdigest()[:12])))
    return found


def asset_url(name: str) -> str:
    """Answer the address of a file, which changes with its content."""
    return f"/static/{name}?v={assets()[name].mark}"
