"""The services' documents are merged in one order, whichever service starts first: partners' classes are called so."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import pytest
from fastapi import FastAPI

from relais_gateway.callers import Callers
from relais_gateway.forwarder import Door
from relais_gateway.limiting import Limiting
from relais_gateway.outer import Outer
from relais_gateway.upstream import Upstream
from relais_shared.auth import Keyring

pytestmark = pytest.mark.anyio

NAMES = ("directory", "referral")


@pytest.mark.parametrize("first", NAMES)
async def test_who_starts_first_names_nothing_else(first: str) -> None:
    up = {first}

    async def document(name: str) -> Mapping[str, Any] | None:
        return {"openapi": "3.1.0", "paths": {}} if name in up else None

    # Nobody asks it for anything: only what reads documents is needed.
    nobody = (cast("Keyring", None), cast("Callers", None))
    upstreams = {name: Upstream(name, ["http://127.0.0.1:1"]) for name in NAMES}
    door = Door(FastAPI(), *nobody, upstreams, document, cast("Limiting", None), cast("Outer", None))
    reading = [asyncio.create_task(door.keep_reading(name)) for name in NAMES]
    try:
        await _read(door, up)
        up.update(NAMES)
        await _read(door, up)
    finally:
        for one in reading:
            one.cancel()
            with suppress(asyncio.CancelledError):
                await one
    assert tuple(door.documents) == NAMES


async def _read(door: Door, up: set[str]) -> None:
    async with asyncio.timeout(15):
        while set(door.documents) != up:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
