"""How far a consumer of events came, kept where it outlives the program."""

import os
from pathlib import Path
from typing import Protocol


class Bookmark(Protocol):
    """Keeps one cursor. Best where your copy of the referrals is, in the same transaction."""

    def load(self) -> str | None:
        """Answer the cursor that was saved last; None before the first."""

    def save(self, cursor: str) -> None:
        """Keep a cursor: everything before it was taken."""


class FileBookmark:
    """Keeps the cursor in a file of its own; a crash leaves the old one or the new one.

    Args:
        path: The file; its folder is there.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)

    def load(self) -> str | None:
        """Answer the cursor that was saved last; None before the first."""
        try:
            return self._path.read_text(encoding="ascii").strip() or None
        except FileNotFoundError:
            return None

    def save(self, cursor: str) -> None:
        """Keep a cursor: everything before it was taken."""
        beside = self._path.with_name(f"{self._path.name}.new")
        with beside.open("w", encoding="ascii") as file:
            file.write(cursor)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
