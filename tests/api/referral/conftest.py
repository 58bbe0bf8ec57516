"""The referral app on a real database, for the whole session or for one test alone."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from api.referral.table import Table, accepted
from api.referral.world import RECIPIENT, SENDER, Handover, World, Worlds, opened

from relais_local.databases import Access


@pytest.fixture(scope="session", name="world")
async def _world(home: Path, databases: Any, anyio_backend: str) -> Worlds:
    """Run the app on the session's database; other tests' rows are there too."""
    del home, anyio_backend
    async with opened(databases["referral"]) as world:
        yield world


@pytest.fixture(name="fresh")
async def _fresh(home: Path, fresh_database: Callable[[str], Access], anyio_backend: str) -> Worlds:
    """Run the app on a database of this test's own."""
    del home, anyio_backend
    async with opened(fresh_database("referral")) as world:
        yield world


@pytest.fixture(name="handover")
def _handover(world: World) -> Handover:
    """Answer a hand-over from one structure to another, not yet opened."""
    return world.between(SENDER, RECIPIENT)


@pytest.fixture(name="clock")
def _clock(world: World) -> Iterator[list[datetime]]:
    """Answer a clock of one instant that a test moves."""
    at = [datetime.now(UTC)]
    world.app.state.clock = lambda: at[0]
    yield at
    del world.app.state.clock


@pytest.fixture(name="table")
async def _table(world: World) -> Table:
    """Open a conference about a hand-over that was accepted; she agreed to nobody yet."""
    return await Table(world, await accepted(world)).open()
