"""Organisations and their systems call as often as they may, whichever process they ask, and nobody slows another."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx
import pytest
from api.gateway.test_clients import administering
from api.gateway.world import ORGANISATION, PLATFORM, Door, beside, opened

from relais_gateway import limiting
from relais_gateway.limiting import LOST_AFTER_S
from relais_local.databases import Access

pytestmark = pytest.mark.anyio

HOUSE = f"/v1/organisations/{ORGANISATION['id']}/limits"
ESSAI, OTHER = 0, 1
BURST, AT_ONCE = 20, 3
WITHIN_S = 20


@pytest.fixture(name="bound")
async def _bound(home: Any, fresh_database: Callable[[str], Access], anyio_backend: str) -> AsyncIterator[Door]:
    """Run a gateway whose organisations may little: twenty calls, then one a second; three at once."""
    del home, anyio_backend
    said = {"organisation_per_second": 1, "organisation_burst": BURST, "organisation_at_once": AT_ONCE}
    async with opened(fresh_database("gateway"), **said) as door:
        yield door


async def called(door: Door, headers: dict[str, str]) -> httpx.Response:
    return await door.ask("POST", "/v1/directory/echo", headers=headers)


def left(door: Door, id_: str) -> float:
    """Answer what a gateway believes to be left to an organisation's systems."""
    bucket = door.state.door.limiting._limits._buckets.get(f"organisation:{id_}")  # noqa: SLF001 - what it heard, and nothing else, is waited for
    return BURST if bucket is None else bucket.left


@asynccontextmanager
async def uploading(door: Door, headers: dict[str, str], calls: int) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """Begin calls whose bodies do not come to an end, and wait until the door counts them as under way."""
    before = door.under_way()
    async with AsyncExitStack() as stack:
        writers = []
        for _ in range(calls):
            _, writer = await asyncio.open_connection("127.0.0.1", int(door.base_url.rpartition(":")[2]))
            stack.callback(writer.close)
            head = f"POST /v1/directory/echo HTTP/1.1\r\nHost: x\r\nAuthorization: {headers['Authorization']}\r\n"
            writer.write(head.encode() + b"Content-Length: 3\r\n\r\na")
            writers.append(writer)
        async with asyncio.timeout(WITHIN_S):
            while door.under_way() < before + calls:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        yield writers


async def test_each_answer_says_what_is_left_and_the_last_one_when_to_come_back(
    bound: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await bound.bearer(ESSAI)
    # Time stands still: what it gives back is not what is counted here.
    now_s = time.monotonic()
    monkeypatch.setattr(limiting, "time", SimpleNamespace(monotonic=lambda: now_s))
    policy = f'"organisation";q={BURST};w={BURST}, "organisation-at-once";q={AT_ONCE};qu="concurrent-requests"'
    first = await called(bound, headers)
    assert first.headers["ratelimit-policy"] == policy
    assert first.headers["ratelimit"] == f'"organisation";r={BURST - 1};t=1'
    # What the gateway serves itself counts too, and so does what is refused.
    own = await bound.ask("GET", "/v1/organisations", headers=headers)
    assert (own.status_code, own.headers["ratelimit"][:20]) == (403, f'"organisation";r={BURST - 2};')
    nothing = await bound.ask("GET", "/v1/directory/nothing", headers=headers)
    assert (nothing.status_code, nothing.headers["ratelimit"][:20]) == (404, f'"organisation";r={BURST - 3};')
    statuses = [(await called(bound, headers)).status_code for _ in range(2 * BURST)]
    assert statuses[: BURST - 3] == [200] * (BURST - 3)
    assert statuses[BURST - 3 :] == [429] * (BURST + 3)
    refused = await called(bound, headers)
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-requests")
    assert refused.json()["violated_policies"] == ["organisation"]
    # It has a name like any other, and is recorded nowhere: there may be thousands.
    trace = refused.json()["trace_id"]
    assert int(trace, 16) != 0
    assert re.fullmatch(rf"00-{trace}-[0-9a-f]{{16}}-00", refused.headers["traceresponse"])
    assert (refused.headers["retry-after"], refused.headers["ratelimit"]) == ("1", '"organisation";r=0;t=1')
    assert refused.headers["ratelimit-policy"] == policy
    # Another organisation has not felt it, and whoever shows nothing is told who they are not, as before.
    assert (await called(bound, await bound.bearer(OTHER))).headers["ratelimit"] == f'"organisation";r={BURST - 1};t=1'
    assert "ratelimit" not in (await called(bound, {})).headers


async def test_two_processes_share_what_an_organisation_may(bound: Door) -> None:
    async with beside(bound) as second:
        headers = await bound.bearer(ESSAI)
        began = time.monotonic()
        for _ in range(BURST):
            assert (await called(bound, headers)).status_code == 200
        async with asyncio.timeout(WITHIN_S):
            while left(second, ORGANISATION["id"]) > BURST / 2:  # noqa: ASYNC110 - it hears of it by itself
                await asyncio.sleep(0.01)
            let_in = 0
            while (answer := await called(second, headers)).status_code == 200:
                let_in += 1
        assert answer.json()["violated_policies"] == ["organisation"]
        # What time gave back, and the few of which it had not heard when we asked it: not another burst.
        assert let_in <= time.monotonic() - began + BURST / 2


async def test_a_noisy_organisation_slows_no_other_in_any_process(bound: Door) -> None:
    noisy, quiet = await bound.bearer(ESSAI), await bound.bearer(OTHER)
    async with beside(bound) as second:
        async with uploading(bound, noisy, AT_ONCE) as writers:
            refused = await called(bound, noisy)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert "at once" in refused.json()["detail"]
            async with asyncio.timeout(WITHIN_S):
                while (await called(second, noisy)).status_code == 200:  # noqa: ASYNC110 - it hears of it by itself
                    await asyncio.sleep(0.05)
            for door in (bound, second):
                assert (await called(door, quiet)).status_code == 200
            # What ends makes room again, here at once and there when it hears of it.
            for writer in writers:
                writer.write(b"bc")
            async with asyncio.timeout(WITHIN_S):
                while bound.under_way():  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.01)
                assert (await called(bound, noisy)).status_code == 200
                while (await called(second, noisy)).status_code != 200:  # noqa: ASYNC110 - it hears of it by itself
                    await asyncio.sleep(0.2)
        async with uploading(second, quiet, AT_ONCE):
            async with asyncio.timeout(WITHIN_S):
                while (await called(bound, quiet)).status_code == 200:  # noqa: ASYNC110 - it hears of it by itself
                    await asyncio.sleep(0.05)
    # A process that is gone has no call under way any more, and nobody waits for it longer than a moment.
    async with asyncio.timeout(WITHIN_S + LOST_AFTER_S):
        while (await called(bound, quiet)).status_code != 200:  # noqa: ASYNC110 - it finds out by itself
            await asyncio.sleep(0.2)


async def test_a_stream_is_no_call_under_way(bound: Door) -> None:
    headers = await bound.bearer(ESSAI)
    async with AsyncExitStack() as stack:
        for _ in range(2 * AT_ONCE):
            client = await stack.enter_async_context(httpx.AsyncClient(base_url=bound.base_url, headers=headers))
            answer = await stack.enter_async_context(client.stream("GET", "/v1/directory/stream"))
            assert answer.status_code == 200
        assert (await called(bound, headers)).status_code == 200


async def test_limits_are_said_for_one_organisation_and_for_one_of_its_systems(door: Door) -> None:
    await administering(door)
    operator, admin = await door.bearer(OTHER), await door.bearer(ESSAI)
    client = door.demo["clients"][ESSAI]["client_id"]
    own = f"/v1/organisation/clients/{client}/limits"
    few, fewer = ({"per_second": 50, "burst": 60, "at_once": 5}, {"per_second": 2, "burst": 3, "at_once": 1})
    asked: list[tuple[str, str, Any]] = [
        ("GET", HOUSE, None), ("PUT", HOUSE, few), ("DELETE", HOUSE, None), ("GET", "/v1/organisation/limits", None),
        ("PUT", own, fewer), ("DELETE", own, None),
    ]  # fmt: skip
    for method, path, body in asked:
        assert (await door.ask(method, path, json=body)).status_code == 401, path
    for method, path, body in asked[:3]:
        assert (await door.ask(method, path, json=body, headers=admin)).status_code == 403, path
        nobodys = path.replace(ORGANISATION["id"], str(UUID(int=99)))
        assert (await door.ask(method, nobodys, json=body, headers=operator)).status_code == 404, path
    for method, path, body in asked[4:]:
        assert (await door.ask(method, path, json=body, headers=operator)).status_code == 404, path
    wrong = await door.ask("PUT", HOUSE, json={"per_second": 0, "burst": 1, "more": 1}, headers=operator)
    assert {fault["pointer"] for fault in wrong.json()["errors"]} == {"/per_second", "/at_once", "/more"}
    before = (await door.ask("GET", "/v1/organisation/limits", headers=admin)).json()
    assert (before["usual"], before["organisation"]["per_second"], before["clients"]) == (True, 10_000, [])

    assert (await door.ask("PUT", HOUSE, json=few, headers=operator)).status_code == 204
    assert (await door.ask("PUT", own, json=fewer, headers=admin)).status_code == 204
    said = {"usual": False, "organisation": few, "clients": [{**fewer, "client_id": client}]}
    assert (await door.ask("GET", HOUSE, headers=operator)).json() == said
    assert (await door.ask("GET", "/v1/organisation/limits", headers=admin)).json() == said
    await door.known(lambda state: bool(state.limits and state.limits[UUID(ORGANISATION["id"])].clients))
    answer = await called(door, admin)
    assert re.findall(r'"(\S+)";q=(\d+)', answer.headers["ratelimit-policy"]) == [
        ("organisation", "60"), ("organisation-at-once", "5"), ("client", "3"), ("client-at-once", "1"),
    ]  # fmt: skip
    # The question before counts too, where the door knew of the bound by then.
    assert re.match('"client";r=[12]', answer.headers["ratelimit"])
    for path, headers in ((HOUSE, operator), (own, admin)):
        while (gone := await door.ask("DELETE", path, headers=headers)).status_code == 429:  # noqa: ASYNC110 - time fills it
            await asyncio.sleep(0.2)
        assert gone.status_code == 204
    await door.known(lambda state: not state.limits)
    assert (await door.ask("DELETE", HOUSE, headers=operator)).status_code == 404
    audit = await door.ask("GET", f"/v1/audit?subject={ORGANISATION['id']}", headers=operator)
    assert [row["action"] for row in audit.json()["items"]][:2] == ["limits_removed", "limits_written"]
    assert audit.json()["items"][1]["facts"] == few
    assert PLATFORM["id"] not in (await door.ask("GET", HOUSE, headers=operator)).text


async def test_a_proxy_of_ours_names_who_called_and_nobody_else_does(
    home: Any, fresh_database: Callable[[str], Access]
) -> None:
    """Counted for what is open to all: the address that our proxy names, whatever else stands there."""
    del home

    async def asked(door: Door, named: str) -> int:
        return (await door.ask("POST", "/v1/directory/open/7", headers={"X-Forwarded-For": named})).status_code

    said = {"public_per_minute": 3}
    async with opened(fresh_database("gateway"), **said) as door:
        assert [await asked(door, f"203.0.113.{number}") for number in range(4)] == [200, 200, 200, 429]
    async with opened(fresh_database("gateway"), proxies=["127.0.0.0/8"], **said) as door:
        assert [await asked(door, "203.0.113.9") for _ in range(4)] == [200, 200, 200, 429]
        assert await asked(door, "203.0.113.10") == 200
        # What the caller wrote itself stands left of what the proxy adds.
        assert await asked(door, "198.51.100.1, 203.0.113.9") == 429
        # Two addresses of one IPv6 network are one caller.
        assert [await asked(door, f"2001:db8::{number}") for number in range(4)] == [200, 200, 200, 429]
        assert await asked(door, "2001:db8:0:1::1") == 200


async def test_a_client_that_asks_for_too_many_tokens_is_told_in_the_words_it_knows(
    home: Any, fresh_database: Callable[[str], Access], monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 6749's own clients read `error`, not a problem document; how long to wait stands where it always does."""
    del home
    now_s = time.monotonic()
    monkeypatch.setattr(limiting, "time", SimpleNamespace(monotonic=lambda: now_s))
    async with opened(fresh_database("gateway"), own_per_minute=1) as door:
        assert (await door.token()).status_code == 200
        for path in ("/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"):
            refused = await door.ask("POST", path, headers=door.basic())
            assert (refused.status_code, refused.headers["content-type"]) == (429, "application/json")
            assert set(refused.json()) == {"error", "error_description", "trace_id"}
            assert (refused.json()["error"], refused.headers["cache-control"]) == (
                "temporarily_unavailable",
                "no-store",
            )
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.headers["ratelimit"].startswith('"own";r=0;')
        # What is no conversation of OAuth's keeps the problem document.
        other = await door.ask("GET", "/.well-known/oauth-authorization-server")
        assert (other.status_code, other.json()["type"]) == (429, "/problems/too-many-requests")
