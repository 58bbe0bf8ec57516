"""A service's OpenAPI document is made once for its code and kept beside it, as Python keeps its bytecode.

Making it takes a second of a start; the gateway cannot route before it has read it.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

_MADE_BY: Final = ("fastapi", "pydantic")
"""What makes documents: another version of it may make another."""


def state_of(*folders: Path) -> Iterable[str]:
    """Answer a line for each file of some folders, with its size and time: whoever changes one of them changes this."""
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts and path.is_file()):
            yield f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}"


def kept(package: Path) -> dict[str, Any] | None:
    """Answer the document that was made of a package as it is now; none where it was made of another, or never."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        held = json.loads(_beside(package).read_bytes())
        if held["of"] == _stamp(package):
            document: dict[str, Any] = held["document"]
            return document
    return None


def keep(package: Path, document: dict[str, Any]) -> None:
    """Keep a document beside the package that it was made of, where that may be written."""
    beside = _beside(package)
    arriving = beside.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        beside.parent.mkdir(exist_ok=True)
        arriving.write_text(json.dumps({"of": _stamp(package), "document": document}), encoding="utf-8")
        arriving.replace(beside)


def _beside(package: Path) -> Path:
    return package / "__pycache__" / "openapi.json"


def _stamp(package: Path) -> str:
    lines = [*(f"{name} {version(name)}" for name in _MADE_BY), *state_of(package, Path(__file__).parent)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
