"""Connections go to whoever has waited longest, and none is lost on the way."""

import asyncio
from collections.abc import Mapping

import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from relais_local.databases import Access
from relais_shared.db import async_url
from relais_shared.pool import FairPool

pytestmark = pytest.mark.anyio


def one_connection(databases: Mapping[str, Access], timeout: float = 30) -> AsyncEngine:
    """Answer an engine whose pool holds one connection."""
    return create_async_engine(
        async_url(databases["referral"].dsn), poolclass=FairPool, pool_size=1, max_overflow=0, pool_timeout=timeout
    )


async def turns() -> None:
    """Let everybody who can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_whoever_waits_is_served_before_whoever_has_just_come(databases: Mapping[str, Access]) -> None:
    engine = one_connection(databases)
    order: list[str] = []

    async def ask(name: str) -> None:
        async with engine.connect() as connection:
            order.append(name)
            await connection.execute(text("select 1"))

    held = await engine.connect()
    waiting = []
    for name in ("first", "second"):
        waiting.append(asyncio.create_task(ask(name)))
        await turns()
    await held.close()
    # The connection is free in this very turn, before either of those who wait has run.
    await ask("late")
    await asyncio.gather(*waiting)
    assert order == ["first", "second", "late"]
    await engine.dispose()


async def test_a_connection_given_to_someone_who_left_is_passed_on(databases: Mapping[str, Access]) -> None:
    engine = one_connection(databases)
    held = await engine.connect()
    leaves, stays = (asyncio.create_task(engine.connect().start()) for _ in range(2))
    await turns()
    await held.close()
    leaves.cancel()
    connection = await stays
    assert leaves.cancelled()
    assert await connection.scalar(text("select 1")) == 1
    await connection.close()
    await engine.dispose()


async def test_whoever_waited_too_long_is_refused_and_keeps_nothing(databases: Mapping[str, Access]) -> None:
    engine = one_connection(databases, timeout=0.05)
    held = await engine.connect()
    with pytest.raises(NoConnection):
        await engine.connect()
    await held.close()
    async with engine.connect() as connection:
        assert await connection.scalar(text("select 1")) == 1
    await engine.dispose()
