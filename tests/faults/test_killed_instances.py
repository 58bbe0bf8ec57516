"""Two directories behind one door, killed in turn under load: no GET fails, and what comes back is asked again."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from api.gateway.world import Door, opened
from opentelemetry.instrumentation.utils import suppress_instrumentation
from support import children
from support.stack import free_ports

from relais_gateway.upstream import Instance
from relais_local.databases import Access

pytestmark = pytest.mark.anyio

SEARCH = "/v1/directory/search?near=50.41,4.44&radius_km=20&limit=10"
CALLERS = 6
PAUSE_S = 0.02
"""Between two calls of one caller: the machine has other work."""
MORE = 60
"""Answers waited for between two events."""


@dataclass
class Directory:
    """One process of the directory."""

    port: int
    dsn: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it answers a little later."""
        environment = os.environ | {
            "RELAIS_DIRECTORY_PORT": str(self.port),
            "RELAIS_DIRECTORY_DSN": self.dsn,
            # Nobody listens on port 9: it needs no registry to search.
            "RELAIS_DIRECTORY_GATEWAY_URL": "http://127.0.0.1:9",
        }
        command = [sys.executable, "-m", "relais_directory", "serve"]
        self.process = children.start(command, env=environment, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        """Kill it as `kill -9` does, and see it gone."""
        assert self.process is not None
        self.process.kill()
        assert self.process.wait() == -signal.SIGKILL
        self.process = None


@asynccontextmanager
async def directories(access: Access) -> AsyncIterator[tuple[Directory, Directory]]:
    """Run two directories on one database."""
    first, second = (Directory(port, access.dsn) for port in free_ports(2))
    try:
        for one in (first, second):
            one.start()
        yield first, second
    finally:
        for one in (first, second):
            if one.process is not None:
                one.kill()


@asynccontextmanager
async def load(door: Door) -> AsyncIterator[list[int]]:
    """Search all the time by a few callers; answer the list of statuses that grows."""
    statuses: list[int] = []
    over = asyncio.Event()
    headers = await door.bearer()

    async def caller() -> None:
        async with httpx.AsyncClient(base_url=door.base_url, headers=headers, timeout=30) as client:
            while not over.is_set():
                statuses.append((await client.get(SEARCH)).status_code)
                await asyncio.sleep(PAUSE_S)

    with suppress_instrumentation():
        callers = [asyncio.create_task(caller()) for _ in range(CALLERS)]
        try:
            yield statuses
        finally:
            over.set()
            await asyncio.gather(*callers)


async def more(statuses: list[int]) -> None:
    """Wait until some more answers have come."""
    wanted = len(statuses) + MORE
    while len(statuses) < wanted:  # noqa: ASYNC110 - a list tells nobody
        await asyncio.sleep(0.01)


async def asked(instance: Instance, *, again: bool) -> None:
    """Wait until the door asks an instance, or has ejected it."""
    while (instance.ready and instance.idle > 0) is not again:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.05)


async def test_no_get_fails_while_one_of_two_directories_dies(
    home: Path, fresh_database: Callable[[str], Access]
) -> None:
    del home
    async with directories(fresh_database("directory")) as (first, second):
        urls = ",".join(f"http://127.0.0.1:{one.port}" for one in (first, second))
        async with opened(fresh_database("gateway"), directory_url=urls) as door, asyncio.timeout(300):
            instances: list[Instance] = door.state.door._upstreams["directory"].instances  # noqa: SLF001 - who is asked
            async with load(door) as statuses:
                for one in instances:
                    await asked(one, again=True)
                # Both are up: from here on nothing may fail.
                statuses.clear()
                await more(statuses)
                first.kill()
                await asked(instances[0], again=False)
                await more(statuses)
                first.start()
                await asked(instances[0], again=True)
                second.kill()
                await asked(instances[1], again=False)
                await more(statuses)
            assert set(statuses) == {200}
