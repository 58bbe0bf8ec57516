"""What was prepared already, so that a kept installation starts without asking every service again.

A service's commands (`migrate`, first data) may run any number of times, but a start waits for each.
"""

import hashlib
import importlib.util
import json
from pathlib import Path

import asyncpg

from relais_local.home import Home
from relais_shared import documents
from relais_shared.keys import write_private


async def state_of(service: str, owner_dsn: str, *, demo: bool) -> str | None:
    """Answer a text that is the same as long as a service's code, schema and wish for a demonstration are.

    None when that cannot be known: the database has no schema yet, or does not answer.
    """
    try:
        owner = await asyncpg.connect(owner_dsn)
        try:
            schema = await owner.fetchval("SELECT version_num FROM alembic_version")
        finally:
            await owner.close()
    except (OSError, asyncpg.PostgresError):
        return None
    packages = (f"relais_{service}", "relais_shared", *(["relais_local"] if demo else []))
    folders = [folder for package in packages for folder in _folder(package)]
    parts = [str(schema), str(demo), *documents.state_of(*folders)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _folder(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    return [] if spec is None or spec.origin is None else [Path(spec.origin).parent]


class Prepared:
    """The note in the home about what state each service was prepared in."""

    def __init__(self, home: Home) -> None:
        self._path = home.folder / "prepared.json"

    def holds(self, service: str, state: str | None) -> bool:
        """Answer whether a service was prepared in this very state."""
        return state is not None and self._read().get(service) == state

    def knows(self, service: str) -> bool:
        """Answer whether a service was ever prepared here, in whatever state."""
        return self._read().get(service) is not None

    def keep(self, service: str, state: str | None) -> None:
        """Remember that a service is prepared in this state."""
        write_private(self._path, json.dumps(self._read() | {service: state}, indent=1))

    def _read(self) -> dict[str, str | None]:
        try:
            known: dict[str, str | None] = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return known
