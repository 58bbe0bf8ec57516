"""A stream passes the door as it is told, and ends with the right to read it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest
from api.gateway.world import ORGANISATION, Door

pytestmark = pytest.mark.anyio

ID = UUID(ORGANISATION["id"])


@asynccontextmanager
async def reading(door: Door) -> AsyncIterator[AsyncIterator[str]]:
    """Open the stream and answer its lines."""
    client = httpx.AsyncClient(base_url=door.base_url, headers=await door.bearer(), timeout=20)
    async with client, client.stream("GET", "/v1/directory/stream") as answer:
        assert answer.status_code == 200
        yield answer.aiter_lines()


async def _without_the_scopes(door: Door) -> None:
    await door.change("delete from scope_grant where organisation_id = $1", ID)


async def _without_one_scope(door: Door) -> None:
    """What it still holds opens the operation; what it is told then is another thing, so it comes anew."""
    await door.change("delete from scope_grant where organisation_id = $1 and scope = 'referral:send'", ID)


async def _switched_off(door: Door) -> None:
    await door.change("update organisation set active = false where id = $1", ID)


async def _token_over(door: Door) -> None:
    late = datetime.now(UTC) + timedelta(hours=1)
    door.state.clock = lambda: late


@pytest.mark.parametrize("end", [_without_the_scopes, _without_one_scope, _switched_off, _token_over])
async def test_a_stream_is_cut_when_its_right_goes(door: Door, end: Callable[[Door], Awaitable[None]]) -> None:
    async with reading(door) as lines:
        for _ in range(4):
            assert await anext(lines) in {"data: beat", ""}
        # It goes on for longer than the door needs to look: nobody is cut without a reason.
        began = time.monotonic()
        while time.monotonic() < began + 1:
            await anext(lines)
        await end(door)
        # Ended properly: what was told is whole, and the stream would otherwise never end.
        async with asyncio.timeout(15):
            rest = [line async for line in lines]
    assert set(rest) <= {"data: beat", ""}


async def test_what_head_asks_of_a_stream_ends_with_its_head(door: Door) -> None:
    """The connection takes the next request at once, and nothing is read of the stream behind it."""
    host, port = door.base_url.removeprefix("http://").split(":")
    bearer = (await door.bearer())["Authorization"]
    said = f"HTTP/1.1\r\nHost: {host}\r\nAuthorization: {bearer}\r\n"
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(f"HEAD /v1/directory/stream {said}\r\n".encode())
        async with asyncio.timeout(15):
            head = await reader.readuntil(b"\r\n\r\n")
        assert (b"200 OK" in head, b"text/event-stream" in head) == (True, True)
        writer.write(f"GET /healthz {said}Connection: close\r\n\r\n".encode())
        async with asyncio.timeout(15):
            assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
    finally:
        writer.close()
        await writer.wait_closed()
