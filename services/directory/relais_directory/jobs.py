"""Imports that the API was asked for: one after the other, each in a process of its own, taken up again if killed."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import Final

import asyncpg
from opentelemetry.instrumentation.utils import suppress_instrumentation

from relais_directory import import_store
from relais_directory.settings import DirectorySettings
from relais_shared.telemetry import get_logger

LOOK_EVERY_S: Final = 1.0
"""How often somebody looks for a job that waits."""

ATTEMPTS: Final = 5
"""A job that was taken up so often without coming to its end never will."""

STOP_WITHIN_S: Final = 5
"""A stopping directory waits so long for the batch under way; what was not written is written by the next run."""


async def keep_running(pool: asyncpg.Pool, settings: DirectorySettings) -> None:
    """Run the jobs that wait, for as long as the directory lives; an import never holds up a search."""
    while True:
        try:
            # Nobody asked for this look: it would fill the traces with itself.
            with suppress_instrumentation():
                async with pool.acquire() as connection:
                    id_ = await import_store.next_job(connection, ATTEMPTS)
            if id_ is not None:
                await _run(str(id_), settings)
                continue
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as fault:
            get_logger().warning("cannot look for imports", fault=type(fault).__name__)
        await asyncio.sleep(LOOK_EVERY_S)


async def _run(id_: str, settings: DirectorySettings) -> None:
    """Run one job in a process of its own; it goes when we go."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "relais_directory",
        "run-job",
        id_,
        # Of the directory that asks, wherever its settings came from.
        env={
            **os.environ,
            "RELAIS_HOME": str(settings.home),
            "RELAIS_DIRECTORY_DSN": settings.dsn.get_secret_value(),
            **({"RELAIS_DIRECTORY_THEMES": str(settings.themes)} if settings.themes else {}),
        },
    )
    try:
        code = await process.wait()
        if code:
            get_logger().warning("an import ended early", job=id_, code=code)
            await asyncio.sleep(LOOK_EVERY_S)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
            if process.returncode is None:
                process.kill()
