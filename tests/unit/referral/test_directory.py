"""What the referral app asks the directory, and what it remembers of it."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest

from relais_referral.directory import HOMES_KEPT_FOR, Directory
from relais_shared.auth import Keyring
from relais_shared.client import Client

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
KNOWN = {"name": "Herstappe", "province": "Limbourg", "population": 79}


class Asked:
    """A directory of one municipality, which counts what it is asked."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def get(self, path: str, **_options: Any) -> httpx.Response:
        """Answer a municipality."""
        self.paths.append(path)
        return httpx.Response(200, json=KNOWN) if path.endswith("be%3A73028") else httpx.Response(404, json={})

    def sign(self, *_asked: object) -> str:
        """Vouch for anything."""
        return "token"


async def test_a_municipality_is_asked_for_once_in_a_while() -> None:
    """Every draft needs hers; one that is not known may be told a moment later."""
    asked = Asked()
    directory = Directory(cast("Client", asked), cast("Keyring", asked))
    for seconds in (0, 1, HOMES_KEPT_FOR.total_seconds() - 1):
        home = await directory.home("be:73028", NOON + timedelta(seconds=seconds))
        assert home is not None
        assert (home.name, home.wide) == ("Herstappe", "Limbourg")
    assert len(asked.paths) == 1
    await directory.home("be:73028", NOON + HOMES_KEPT_FOR)
    assert len(asked.paths) == 2
    for _ in range(2):
        assert await directory.home("be:1", NOON) is None
    assert len(asked.paths) == 4
