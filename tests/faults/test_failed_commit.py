"""A COMMIT that fails is no success: the answer says so, shows nothing, and nothing at all was stored."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest
from api.referral.world import (
    BEN,
    HERS,
    RECIPIENT,
    SENDER,
    Handover,
    World,
    a_consent,
    a_draft,
    key,
    opened,
    problem,
)
from support.rows import tables

from relais_local.databases import Access
from relais_shared.client import ASGITransport, Client

pytestmark = pytest.mark.anyio


@pytest.fixture(name="world", scope="module")
async def _world(home: Path, databases: object, fresh_database: Callable[[str], Access], anyio_backend: str):  # noqa: ANN202 - a generator fixture
    """Run the app on a database whose COMMITs can be made to fail; failures are answers, as outside."""
    del home, databases, anyio_backend
    async with opened(fresh_database("referral")) as world:
        yield world


def outside(client: Client, world: World) -> Client:
    """Let a client see a failure as the outside does: as an answer."""
    client._transport = ASGITransport(world.app, raise_app_exceptions=False)  # noqa: SLF001 - httpx has no other way to change it
    return client


@asynccontextmanager
async def failing(world: World, table: str, how: str) -> AsyncIterator[None]:
    """Let every COMMIT fail that added or changed a row of a table; all its statements succeed before."""
    owner = await asyncpg.connect(world.database.owner_dsn)
    try:
        await owner.execute(
            f"create function fail_late() returns trigger language plpgsql as"
            f" $$ begin {how}; return null; end $$;"
            f"create constraint trigger fails_late after insert or update on {table}"
            f" deferrable initially deferred for each row execute function fail_late()"
        )
        yield
    finally:
        await owner.execute(f"drop trigger fails_late on {table}; drop function fail_late()")
        await owner.close()


async def _create(handover: Handover) -> httpx.Response:
    return await handover.sender.post(
        "/v1/referrals", headers={"Idempotency-Key": handover.id}, json=a_draft(RECIPIENT)
    )


async def _agree(handover: Handover) -> httpx.Response:
    return await handover.sender.post(f"{handover.place}/consents", headers=key(), json=a_consent("needs"))


async def _read(handover: Handover) -> httpx.Response:
    return await handover.sender.get(handover.place)


async def _accept(handover: Handover) -> httpx.Response:
    headers = {"If-Match": '"3"'}
    return await handover.recipient.post(f"{handover.place}/accept", headers=headers, json=BEN)


async def _withdraw(handover: Handover) -> httpx.Response:
    return await handover.sender.post(f"{handover.place}/withdraw", json={})


Way = Callable[[Handover], Awaitable[httpx.Response]]
WAYS: dict[str, tuple[str, Way]] = {
    "create": ("idempotency", _create),
    "agree": ("consent_state", _agree),
    "read": ("disclosure", _read),
    "accept": ("event", _accept),
    "withdraw": ("event", _withdraw),
}
"""What is tried, and the table whose rows its COMMIT then refuses."""

FAILURES = {
    "a refusal": ("raise exception 'late'", 500, "internal", None),
    "a conflict": ("raise exception 'late' using errcode = '40001'", 503, "unavailable", "Nothing was stored"),
    "a lost connection": (
        "perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(60)",
        503,
        "unavailable",
        "it may be stored or not",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_said_and_nothing_is_done(world: World, way: str, failure: str) -> None:
    handover = await world.between(SENDER, RECIPIENT).proposed()
    outside(handover.sender, world), outside(handover.recipient, world)
    assert (await handover.recipient.get(handover.place)).headers["etag"] == '"3"'
    table, attempt = WAYS[way]
    how, status, kind, detail = FAILURES[failure]
    before = await asyncio.to_thread(tables, world.database.owner_dsn)
    async with failing(world, table, how):
        answer = await attempt(handover)
        assert problem(answer) == (status, kind)
        assert not [word for word in HERS if word in answer.text]
        assert detail is None or detail in answer.json()["detail"]
        assert ("retry-after" in answer.headers) == (status == 503)
    assert await asyncio.to_thread(tables, world.database.owner_dsn) == before
    # The same request, sent again, does its work.
    again = await attempt(handover)
    assert again.is_success, again.text
