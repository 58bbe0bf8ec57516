"""The door on a real socket, between real callers and a real service: who passes, and what passes with them."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from api.gateway.world import BIG, ORGANISATION, PUBLIC_PER_MINUTE, Door, EchoSettings, echo, serving
from fastapi import Request
from opentelemetry.instrumentation.utils import suppress_instrumentation

from relais_gateway.web.session import door as inside
from relais_shared.problems import MEDIA_TYPE

pytestmark = pytest.mark.anyio


async def test_nobody_passes_and_nothing_of_theirs_is_read(door: Door) -> None:
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}):
        answer = await door.ask("POST", "/v1/directory/echo", content=b"x" * 100, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert len(answer.json()["trace_id"]) == 32


async def test_what_declares_no_scope_is_not_served(door: Door) -> None:
    headers = await door.bearer()
    assert (await door.ask("GET", "/v1/directory/undeclared", headers=headers)).status_code == 404
    assert (await door.ask("GET", "/v1/directory/nothing", headers=headers)).status_code == 404
    assert (await door.ask("GET", "/internal/registry", headers=headers)).status_code == 401
    wrong = await door.ask("DELETE", "/v1/directory/echo", headers=headers)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("page", ["/", "/docs", "/openapi.json", "/healthz"])
async def test_a_page_tells_whoever_asks_by_head_what_it_would_say(door: Door, page: str) -> None:
    whole, head = await door.ask("GET", page), await door.ask("HEAD", page)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    assert head.headers.get("content-type") == whole.headers.get("content-type")


async def test_the_reference_shows_names_as_code_and_no_sign_of_its_source(door: Door) -> None:
    page = (await door.ask("GET", "/docs")).text
    assert "<code>Idempotency-Key</code>" in page
    assert "`" not in page


async def test_what_is_open_to_all_reaches_the_service_as_nobody(door: Door, capfd: pytest.CaptureFixture[str]) -> None:
    """A token changes nothing there; the person's and the guest's own secrets go on."""
    sessions = {"Relais-Person-Session": "p-secret", "Relais-Guest-Session": "g-secret", "Cookie": "relais_session=x"}
    for authorization in ({}, {"Authorization": "Bearer x"}, await door.bearer()):
        answer = await door.ask("POST", "/v1/directory/open/7", json={}, headers={**sessions, **authorization})
        assert answer.status_code == 200, answer.text
        told, headers = answer.json(), dict(answer.json()["headers"])
        who = {name: told["actor"][name] for name in ("kind", "sub", "org", "scope", "user", "issuer")}
        assert who == {
            "kind": "anonymous", "sub": "anonymous", "org": None, "scope": "", "user": None, "issuer": "gateway",
        }  # fmt: skip
        assert (headers["relais-person-session"], headers["relais-guest-session"]) == ("p-secret", "g-secret")
        assert "cookie" not in headers
        # Where we were reached, and nothing of who reached us.
        assert headers["forwarded"] == 'by=_relais;for=_hidden;host="relais.example";proto=http'
        assert not {name for name in headers if "x-forwarded" in name or "addr" in name}
    assert "-secret" not in "".join(capfd.readouterr())
    # A service's health is not for outside: the gateway's own answers.
    assert (await door.ask("GET", "/healthz")).json() != "the service's own"


async def test_what_asks_for_a_scope_is_never_open_to_all(door: Door) -> None:
    assert (await door.ask("GET", "/v1/directory/both")).status_code == 401
    assert (await door.ask("GET", "/v1/directory/both", headers=await door.bearer())).status_code == 200


async def test_one_address_calls_what_is_open_to_all_only_so_often(door: Door) -> None:
    answers = [await door.ask("POST", "/v1/directory/open/7") for _ in range(PUBLIC_PER_MINUTE * 3 // 2)]
    statuses = [answer.status_code for answer in answers]
    assert statuses[:PUBLIC_PER_MINUTE] == [200] * PUBLIC_PER_MINUTE
    # Time gives some back meanwhile: not each of the rest is refused.
    refused = next(answer for answer in answers if answer.status_code != 200)
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/too-many-requests")
    assert 1 <= int(refused.headers["retry-after"]) <= 60 // PUBLIC_PER_MINUTE
    # Who shows a token is not bound by it.
    assert (await door.ask("POST", "/v1/directory/echo", headers=await door.bearer())).status_code == 200


async def test_what_a_page_calls_counts_for_the_browser_before_it(door: Door) -> None:
    """Our pages enter by the same door, in this process: they are no way around the bound, and share it with nobody."""

    async def page(request: Request) -> int:
        return (await inside(request).post("/v1/directory/open/7")).status_code

    door.state.door._app.add_api_route("/page", page)  # noqa: SLF001 - a page of the gateway's own, for this test

    async def from_elsewhere(method: str, path: str) -> httpx.Response:
        transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
        with suppress_instrumentation():
            async with httpx.AsyncClient(base_url=door.base_url, transport=transport) as client:
                return await client.request(method, path)

    shown = [(await from_elsewhere("GET", "/page")).json() for _ in range(PUBLIC_PER_MINUTE * 3 // 2)]
    assert shown[:PUBLIC_PER_MINUTE] == [200] * PUBLIC_PER_MINUTE
    assert 429 in shown
    assert (await door.ask("GET", "/page")).json() == 200
    assert (await door.ask("POST", "/v1/directory/open/7")).status_code == 200


async def test_a_token_of_less_opens_less(door: Door) -> None:
    headers = await door.bearer(scope="referral:send")
    answer = await door.ask("POST", "/v1/directory/echo", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/scope-missing")
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert answer.json()["scopes"] == ["directory:read"]


async def test_a_token_ends_when_it_says(door: Door) -> None:
    headers = await door.bearer()
    assert (await door.ask("POST", "/v1/directory/echo", headers=headers)).status_code == 200
    door.state.clock = lambda: datetime.now(UTC) + timedelta(seconds=700)
    late = await door.ask("POST", "/v1/directory/echo", headers=headers)
    assert (late.status_code, late.json()["type"]) == (401, "/problems/unauthenticated")


@pytest.mark.parametrize(
    ("statement", "status"),
    [
        ("delete from scope_grant where scope = 'directory:read'", 403),
        ("update scope_grant set ends_on = current_date - 1 where scope = 'directory:read'", 403),
        ("update client set scopes = '{referral:send}'", 403),
        ("update client set active = false", 401),
        ("update organisation set active = false", 401),
    ],
)
async def test_what_is_withdrawn_stops_working_with_tokens_already_issued(
    door: Door, statement: str, status: int
) -> None:
    headers = await door.bearer()
    assert (await door.ask("POST", "/v1/directory/echo", headers=headers)).status_code == 200
    await door.change(statement)
    # Every look within the promised second is a chance; after it there is none left.
    deadline = asyncio.get_running_loop().time() + 1
    seen = 200
    while seen == 200 and asyncio.get_running_loop().time() < deadline:
        seen = (await door.ask("POST", "/v1/directory/echo", headers=headers)).status_code
    assert (await door.ask("POST", "/v1/directory/echo", headers=headers)).status_code == status


async def test_what_ends_with_a_day_ends_at_its_midnight(door: Door) -> None:
    """Also for whom was let in a second before, by the same token."""
    keys, bearer = door.state.keys, await door.bearer()
    like = keys.verify(bearer["Authorization"].removeprefix("Bearer "), datetime.now(UTC))
    midnight = datetime.combine(datetime.now(UTC).date() + timedelta(days=2), datetime.min.time(), UTC)
    last = midnight - timedelta(seconds=1)
    await door.change("update scope_grant set ends_on = $1 where scope = 'directory:read'", last.date())
    await door.known(lambda state: any(one.ends_on for one in state.members[like.organisation_id].grants))
    token = keys.issue(
        subject=like.subject,
        client_id=like.client_id,
        organisation_id=like.organisation_id,
        scopes=like.scopes,
        now=last,
        life_s=60,
        credential=like.credential,
    )
    for now, status in ((last, 200), (midnight, 403)):
        door.state.clock = lambda now=now: now
        answer = await door.ask("POST", "/v1/directory/echo", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status, answer.text


async def test_only_our_own_words_reach_the_service(door: Door) -> None:
    headers = await door.bearer()
    known = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    forged = {
        "X-Relais-Organisation": "other", "Forwarded": "for=1.2.3.4", "X-Forwarded-For": "1.2.3.4",
        "Cookie": "relais_session=x", "baggage": "a=b", "Connection": "X-Secret", "X-Secret": "1", "TE": "trailers",
        "X-Kept": "yes", "traceparent": known,
    }  # fmt: skip
    answer = await door.ask(
        "POST", "/v1/directory/echo?q=a%20b&q=%C3%A9", content=b"x" * 5_000, headers={**headers, **forged}
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    there = {name for name, _ in body["headers"]}
    assert not there & {"x-relais-organisation", "x-forwarded-for", "cookie", "baggage", "x-secret", "te"}
    assert [value for name, value in body["headers"] if name == "forwarded"] == [
        'by=_relais;for=_hidden;host="relais.example";proto=http'
    ]
    assert dict(body["headers"])["x-kept"] == "yes"
    assert (body["size"], body["query"]) == (5_000, "q=a%20b&q=%C3%A9")
    assert body["actor"]["org"] == ORGANISATION["id"]
    assert body["actor"]["issuer"] == "gateway"
    assert headers["Authorization"] not in json.dumps(body)
    # A partner's trace goes on through us; each answer says it.
    assert dict(body["headers"])["traceparent"].split("-")[1] == known.split("-")[1]
    assert answer.headers["traceresponse"].split("-")[1] == known.split("-")[1]
    nobody = await door.ask("POST", "/v1/directory/echo", headers={"traceparent": known})
    assert nobody.headers["traceresponse"].split("-")[1] != known.split("-")[1]


async def test_a_partners_trace_goes_on_as_it_came(door: Door) -> None:
    """With its own flag and what others keep in it; what is not well told, or from nobody we know, begins anew."""
    headers = await door.bearer()
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    for flag in ("00", "01"):
        told = {"traceparent": f"00-{trace}-{span}-{flag}", "tracestate": "b=2,a=1", "baggage": "c=3"}
        answer = await door.ask("POST", "/v1/directory/echo", headers={**headers, **told})
        passed = dict(answer.json()["headers"])
        version, trace_id, parent_id, flags = passed["traceparent"].split("-")
        assert (version, trace_id, flags, passed["tracestate"]) == ("00", trace, flag, "b=2,a=1")
        assert parent_id != span
        # The gateway's own operations carry it too, and so do its refusals.
        own = await door.ask("GET", "/v1/organisations", headers={**headers, **told})
        assert (own.status_code, own.headers["traceresponse"].split("-")[1]) == (403, trace)
    for parents in ([f"ff-{trace}-{span}-01"], [f"00-{trace}-{'0' * 16}-01"], [f"00-{trace}-{span}-01"] * 2):
        lines = [*headers.items(), *(("traceparent", parent) for parent in parents), ("tracestate", "a=1")]
        answer = await door.ask("POST", "/v1/directory/echo", headers=lines)
        passed = dict(answer.json()["headers"])
        assert passed["traceparent"].split("-")[1] != trace, parents
        assert "tracestate" not in passed


async def test_a_large_answer_streams_and_a_large_body_is_refused(door: Door) -> None:
    headers = await door.bearer()
    answer = await door.ask("GET", "/v1/directory/big", headers=headers)
    assert (answer.status_code, len(answer.content)) == (200, BIG)

    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * (1 << 16)

    operator = {**await door.bearer(1), "Content-Type": "application/json"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for path, told in (("/v1/directory/echo", headers), ("/v1/decisions", operator), ("/oauth2/token", form)):
        for content in (b"x" * (2 << 20), blocks()):
            refused = await door.ask("POST", path, content=content, headers=told)
            assert (refused.status_code, refused.headers["content-type"]) == (413, MEDIA_TYPE), path
            assert refused.json()["type"] == "/problems/body-too-large"


async def test_two_ways_to_say_where_a_body_ends_are_refused(door: Door) -> None:
    token = (await door.bearer())["Authorization"].encode()
    port = int(door.base_url.rpartition(":")[2])
    for lines in (
        [b"Content-Length: 3", b"Content-Length: 4"],
        [b"Content-Length: 3", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked, identity"],
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = [b"POST /v1/directory/echo HTTP/1.1", b"Host: x", b"Authorization: " + token, *lines]
        writer.write(b"\r\n".join(head) + b"\r\n\r\nabc")
        status = await reader.readline()
        assert b" 400 " in status, (lines, status)
        writer.close()


async def test_a_service_that_is_down_is_said_so_and_comes_back(door: Door) -> None:
    headers = await door.bearer()
    assert (await door.ask("GET", "/v1/directory/big", headers=headers)).status_code == 200
    door.service.should_exit = True
    while any(socket.is_serving() for socket in door.service.servers):  # noqa: ASYNC110 - the same
        await asyncio.sleep(0.02)
    answer = await door.ask("GET", "/v1/directory/big", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    assert answer.headers["retry-after"] == "1"
    async with serving(echo(EchoSettings.load()), door.echo_port):
        assert (await door.ask("GET", "/v1/directory/big", headers=headers)).status_code == 200
