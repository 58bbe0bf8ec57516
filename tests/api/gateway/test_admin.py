"""Whoever runs the platform sees who can do what, changes it, and learns why a call would fail."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from api.gateway.world import ORGANISATION, PLATFORM, Door, opened
from joserfc.jwk import OKPKey
from structlog.testing import capture_logs
from support.breaking import WORD, fails

from relais_local.databases import Access

pytestmark = pytest.mark.anyio

HOUSE = f"/v1/organisations/{ORGANISATION['id']}"
ESSAI, OPERATOR = 0, 1
ASKED: list[tuple[str, str, Any]] = [
    ("GET", "/v1/organisations", None),
    ("GET", HOUSE, None),
    ("GET", f"{HOUSE}/clients", None),
    ("PUT", f"{HOUSE}/grants/directory:write", {}),
    ("DELETE", f"{HOUSE}/grants/directory:read", None),
    ("POST", "/v1/decisions", {"client_id": "x", "path": "/"}),
    ("GET", "/v1/audit", None),
]


async def test_nobody_and_no_partner_administers(door: Door) -> None:
    partner = await door.bearer(ESSAI)
    for method, path, body in ASKED:
        assert (await door.ask(method, path, json=body)).status_code == 401, path
        assert (await door.ask(method, path, json=body, headers=partner)).status_code == 403, path
    operator = await door.bearer(OPERATOR)
    for method, path, body in ASKED:
        if ORGANISATION["id"] in path:
            gone = await door.ask(method, path.replace(ORGANISATION["id"], str(uuid4())), json=body, headers=operator)
            assert gone.status_code == 404, path


async def test_who_can_do_what_is_told_without_a_secret(door: Door) -> None:
    operator = await door.bearer(OPERATOR)
    items = (await door.ask("GET", "/v1/organisations", headers=operator)).json()["items"]
    assert [one["name"] for one in items] == sorted([ORGANISATION["name"], PLATFORM["name"]])
    assert (await door.ask("GET", HOUSE, headers=operator)).json() == items[0]
    assert {grant["scope"]: grant["holds"] for grant in items[0]["grants"]} == dict.fromkeys(
        ORGANISATION["scopes"], True
    )
    assert (items[0]["clients"], items[0]["accounts"], items[0]["agreement"]["text_version"]) == (1, 1, "2026-1")
    (client,) = (await door.ask("GET", f"{HOUSE}/clients", headers=operator)).json()["items"]
    assert client.keys() == {"id", "name", "scopes", "active"}
    await door.change("update agreement set ended_at = now()")
    again = (await door.ask("GET", HOUSE, headers=operator)).json()
    assert {grant["scope"]: grant["holds"] for grant in again["grants"]} == {
        "directory:read": True, "referral:send": False,
    }  # fmt: skip


async def test_a_grant_counts_at_once_for_tokens_already_issued_and_is_written_down(door: Door) -> None:
    partner, operator = await door.bearer(ESSAI), await door.bearer(OPERATOR)
    place = f"{HOUSE}/grants/directory:read"
    assert (await door.ask("DELETE", place, headers=operator)).status_code == 204
    assert (await door.ask("DELETE", place, headers=operator)).status_code == 404
    await door.known(lambda state: "directory:read" not in {g.scope for g in state.members[UUID(int=1)].grants})
    assert (await door.ask("POST", "/v1/directory/echo", headers=partner)).status_code == 403
    ends_on = (datetime.now(UTC).date() + timedelta(days=3)).isoformat()
    body = {"themes": ["childcare"], "ends_on": ends_on}
    assert (await door.ask("PUT", place, json=body, headers=operator)).status_code == 204
    await door.known(lambda state: "directory:read" in {g.scope for g in state.members[UUID(int=1)].grants})
    told = await door.ask("POST", "/v1/directory/echo", headers=partner)
    assert told.json()["actor"]["limits"] == {"directory:read": {"themes": ["childcare"]}}
    page = (await door.ask("GET", "/v1/audit", params={"subject": ORGANISATION["id"]}, headers=operator)).json()
    assert [(one["action"], one["facts"]) for one in page["items"]] == [
        ("grant_written", {"scope": "directory:read", **body}),
        ("grant_removed", {"scope": "directory:read"}),
    ]
    odd = await door.ask("GET", "/v1/audit", params={"subject": "a\0b"}, headers=operator)
    assert (odd.status_code, odd.json()["errors"][0]["pointer"]) == (422, "?subject")
    first = (await door.ask("GET", "/v1/audit", params={"limit": 1}, headers=operator)).json()
    then = {"limit": 1, "cursor": first["next_cursor"]}
    second = (await door.ask("GET", "/v1/audit", params=then, headers=operator)).json()
    assert [first["items"][0], second["items"][0]] == page["items"]


async def test_what_cannot_be_granted_is_refused_by_name(door: Door) -> None:
    operator = await door.bearer(OPERATOR)
    unknown = await door.ask("PUT", f"{HOUSE}/grants/person:self", json={}, headers=operator)
    assert unknown.status_code == 404
    platform = f"/v1/organisations/{PLATFORM['id']}/grants/referral:send"
    without = await door.ask("PUT", platform, json={}, headers=operator)
    assert (without.status_code, without.json()["type"]) == (403, "/problems/no-agreement")
    await door.change("update organisation set control_unit = true where id = $1", UUID(ORGANISATION["id"]))
    control = await door.ask("PUT", f"{HOUSE}/grants/referral:receive", json={}, headers=operator)
    assert (control.status_code, control.json()["errors"][0]["pointer"]) == (422, "/scope")
    bad = await door.ask(
        "PUT",
        f"{HOUSE}/grants/directory:read",
        json={"ends_on": "soon", "x": 1, "municipalities": ["Paris"]},
        headers=operator,
    )
    assert {fault["pointer"] for fault in bad.json()["errors"]} == {"/ends_on", "/x", "/municipalities/0"}


async def test_what_the_database_cannot_hold_is_refused(door: Door) -> None:
    """A zero byte is no text of PostgreSQL's: it is the caller's fault, and no fault of ours."""
    operator, client = await door.bearer(OPERATOR), door.demo["clients"][ESSAI]["client_id"]
    key = {**OKPKey.generate_key("Ed25519").as_dict(private=False), "kid": "a\0b"}
    house = await door.ask("GET", HOUSE, headers=operator)
    for method, path, status, options in (
        ("GET", "/v1/traces/a%00b", 404, {}),
        ("GET", "/v1/traces?service=a%00b", 422, {}),
        ("GET", "/v1/organisation/clients/a%00b/authentication", 422, {}),
        ("PUT", f"/v1/organisation/clients/{client}/authentication", 422, {"json": {"jwks": {"keys": [key]}}}),
        ("PATCH", HOUSE, 422, {"json": {"launch_base": "https://essai.example/\0"}}),
    ):
        headers = {**operator, "If-Match": house.headers["etag"]}
        answer = await door.ask(method, path, headers=headers, **options)
        assert answer.status_code == status, (path, answer.text)


async def test_a_dry_run_names_the_question_that_says_no(door: Door) -> None:
    operator = await door.bearer(OPERATOR)
    client = door.demo["clients"][ESSAI]["client_id"]

    async def asked(path: str = "/v1/directory/echo", method: str = "POST", who: str = client) -> dict[str, Any]:
        body = {"client_id": who, "method": method, "path": path}
        answer = await door.ask("POST", "/v1/decisions", json=body, headers=operator)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def no(**question: str) -> str:
        told = await asked(**question)
        assert not told["allowed"]
        assert [one["holds"] for one in told["checks"][:-1]] == [True] * (len(told["checks"]) - 1)
        last: str = told["checks"][-1]["check"]
        return last

    yes = await asked()
    assert (yes["allowed"], yes["operation"], yes["scopes"], yes["organisation"]) == (
        True, "POST /v1/directory/echo", ["directory:read"], "Essai",
    )  # fmt: skip
    assert (await asked(path=f"/v1/directory/open/{uuid4()}"))["allowed"]
    assert await no(path="/v1/nothing") == "operation"
    assert await no(method="GET") == "operation"
    assert await no(who="nobody") == "client"
    assert await no(path="/v1/organisations", method="GET") == "client_may"
    await door.change("update scope_grant set ends_on = '2020-01-01' where scope = 'directory:read'")
    await door.known(lambda state: "directory:read" not in state.members[UUID(int=1)].held(datetime.now(UTC).date()))
    assert await no() == "in_time"
    await door.change("delete from scope_grant where organisation_id = $1 and scope = 'directory:read'", UUID(int=1))
    await door.known(lambda state: "directory:read" not in {g.scope for g in state.members[UUID(int=1)].grants})
    assert await no() == "granted"
    await door.change("update organisation set active = false where id = $1", UUID(int=1))
    await door.known(lambda state: not state.members[UUID(int=1)].active)
    assert await no() == "organisation"


@pytest.fixture(name="breakable")
async def _breakable(
    home: Any, fresh_database: Callable[[str], Access], anyio_backend: str
) -> AsyncIterator[tuple[Door, asyncpg.Connection]]:
    """Run the gateway on a database whose owner is at hand, to break it."""
    del home, anyio_backend
    access = fresh_database("gateway")
    connection = await asyncpg.connect(access.owner_dsn)
    async with opened(access) as door:
        yield door, connection
    await connection.close()


async def test_waiting_is_advised_only_where_it_helps(
    breakable: tuple[Door, asyncpg.Connection], caplog: pytest.LogCaptureFixture
) -> None:
    """A database that is away, full, read-only or busy is a 503; anything else is a fault of ours, and in our log."""
    door, owner = breakable
    operator = await door.bearer(OPERATOR)
    limits = {"per_second": 20, "burst": 40, "at_once": 8}
    asked = {"53100": 503, "53300": 503, "57014": 503, "57P01": 503, "08006": 503, "25006": 503, "40001": 503}
    for code, status in {**asked, "P0001": 500, "42703": 500, "23514": 500, "22023": 500}.items():
        await owner.execute(fails("organisation_limit", code))
        caplog.clear()
        answer = await door.ask("PUT", f"{HOUSE}/limits", json=limits, headers=operator)
        kind = "/problems/unavailable" if status == 503 else "/problems/internal"
        assert (answer.status_code, answer.json()["type"]) == (status, kind), code
        assert ("retry-after" in answer.headers) == (status == 503)
        assert WORD not in answer.text
        logged = [record for record in caplog.records if record.exc_info]
        assert bool(logged) == (status == 500), code


async def test_a_registry_that_cannot_be_read_lets_nobody_in_and_is_told(
    breakable: tuple[Door, asyncpg.Connection],
) -> None:
    """Whatever is wrong with it, tokens are neither made nor taken; clients of OAuth are told in their own words."""
    door, owner = breakable
    partner = await door.bearer(ESSAI)
    await owner.execute("alter table scope_grant rename to gone")
    await owner.execute("update registry_version set version = version + 1")
    with capture_logs() as logged:
        async with asyncio.timeout(20):
            while (answer := await door.token()).status_code == 200:  # noqa: ASYNC110 - within a second
                await asyncio.sleep(0.05)
    assert "registry not read" in {one["event"] for one in logged if one.get("exc_info")}
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    refused = await door.ask("GET", "/v1/directory/big", headers=partner)
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/unavailable")
    await owner.execute("alter table gone rename to scope_grant")
    async with asyncio.timeout(20):
        while (await door.token()).status_code != 200:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.05)
