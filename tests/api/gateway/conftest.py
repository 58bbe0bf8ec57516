"""The gateway on a real database and real sockets."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from api.gateway.world import Door, opened

from relais_local.databases import Access


@pytest.fixture(name="door")
async def _door(home: Path, fresh_database: Callable[[str], Access], anyio_backend: str) -> AsyncIterator[Door]:
    """Run the gateway on a database of this test's own."""
    del home, anyio_backend
    async with opened(fresh_database("gateway")) as door:
        yield door
