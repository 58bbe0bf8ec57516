"""Every published operation against everybody who may not call it: made from the document, so none is left out.

The document that integrators read says who may; this holds the door to it, operation by operation.
"""

import asyncio
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import httpx
import jsonschema_rs
import pytest
from journeys.test_refused import decoded, forgeries
from support.stack import Stack, key

from relais_gateway.domain.routing import METHODS
from relais_gateway.domain.scopes import MEANINGS
from relais_gateway.signing import SigningKeys

SCOPES: Final = ("directory:read", "referral:send", "referral:receive")
"""What the demonstration's structures hold; a token of one of them opens nothing that asks for another."""

SHOWN: Final = (
    "",
    *(f"/{{referral_id}}/{step}" for step in ("receive", "accept", "decline", "plan_meeting", "close")),
    *(f"/{{referral_id}}/{step}" for step in ("consents", "consents/request", "messages", "redirect", "withdraw")),
)
"""The steps that a hand-over is made of, under `/v1/referrals`: whoever connects a system reads these first."""

NAMED_TWICE: Final = {"ReferralCard", "ReferralOrganisationView", "ReferralPage", "ReferralPlaceView"}
"""Shapes of the referral app that stand without its name too: another service has some of that name."""

WITHIN_S: Final = 60
"""Far more than the second within which a revoked token stops working: this machine may be busy."""


@dataclass(frozen=True, slots=True)
class Row:
    """One operation of the document: a path with an id of nobody's in each parameter."""

    method: str
    template: str
    path: str
    scopes: frozenset[str]
    public: str | None

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


@pytest.fixture(name="door", scope="module")
def _door(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.base_url, timeout=30) as client:
        yield client


@pytest.fixture(name="rows", scope="module")
def _rows(door: httpx.Client) -> list[Row]:
    found = []
    for template, methods in door.get("/openapi.json").raise_for_status().json()["paths"].items():
        path = "/".join(str(uuid4()) if part.startswith("{") else part for part in template.split("/"))
        for method, said in methods.items():
            if method in METHODS:
                ways = said.get("security", ())
                scopes = frozenset(scope for way in ways for names in way.values() for scope in names)
                found.append(Row(method.upper(), template, path, scopes, said.get("x-relais-public")))
    return found


@pytest.fixture(name="guarded", scope="module")
def _guarded(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.scopes]


@pytest.fixture(name="client", scope="module")
def _client(stack: Stack) -> dict[str, Any]:
    return stack.clients(*SCOPES)[0]


def ask(door: httpx.Client, row: Row, token: str | None = None) -> httpx.Response:
    """Call an operation with nothing in the body: who may not is refused before anything is read."""
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    return door.request(row.method, row.path, headers=headers | key())


def refused(answer: httpx.Response, status: int, type_: str, row: Row) -> None:
    """Hold that an answer is this problem, traceable, and the same whether or not the thing exists."""
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{type_}"), (str(row), answer.text)
    assert answer.headers["content-type"] == "application/problem+json", str(row)
    assert len(answer.json()["trace_id"]) == 32, str(row)


def test_each_operation_says_who_may(rows: list[Row]) -> None:
    assert len({str(row) for row in rows}) == len(rows) > 0
    for row in rows:
        assert bool(row.scopes) != bool(row.public), f"{row} says neither a scope nor why it is open to all, or both"
        assert row.scopes <= MEANINGS.keys(), str(row)


def test_each_operation_says_that_a_body_may_be_unreadable_or_too_large(door: httpx.Client) -> None:
    paths = door.get("/openapi.json").json()["paths"]
    told = {
        f"{method} {path}": operation["responses"].keys()
        for path, operations in paths.items()
        for method, operation in operations.items()
        if "requestBody" in operation
    }
    assert told
    assert {name for name, statuses in told.items() if not {"400", "413"} <= statuses} == set()


def test_each_operation_says_that_its_address_may_be_too_long_or_its_headers_too_large(door: httpx.Client) -> None:
    for path, operations in door.get("/openapi.json").json()["paths"].items():
        for method, operation in operations.items():
            asked = {parameter["in"] for parameter in operation.get("parameters", ())}
            said = {status for status in ("414", "431") if status in operation["responses"]}
            wanted = ({"414"} if asked & {"path", "query"} else set()) | ({"431"} if "header" in asked else set())
            assert said == wanted, f"{method} {path}"


def test_no_shape_of_one_service_renames_that_of_another(door: httpx.Client) -> None:
    """Partners' generated classes are called so."""
    names = door.get("/openapi.json").json()["components"]["schemas"]
    assert {name for name in names if name.removeprefix("Referral") in names.keys() - {name}} == NAMED_TWICE
    assert not any(name.removeprefix("Directory") in names.keys() - {name} for name in names)


def test_nobody_gets_in_anywhere(door: httpx.Client, guarded: list[Row]) -> None:
    for row in guarded:
        answer = ask(door, row)
        refused(answer, 401, "unauthenticated", row)
        assert answer.headers["www-authenticate"].startswith("Bearer"), str(row)


def test_no_forged_token_gets_in_anywhere(
    stack: Stack, door: httpx.Client, guarded: list[Row], client: dict[str, Any]
) -> None:
    """An assertion for the inside, which is rightly signed for another audience, is among them."""
    made = forgeries(stack, stack.token(client))
    told = {name: made[name] for name in ("alg none", "another key", "changed claims", "an assertion for the inside")}
    for row in guarded:
        for token in told.values():
            refused(ask(door, row, token), 401, "unauthenticated", row)


def test_no_token_that_has_ended_gets_in_anywhere(
    stack: Stack, door: httpx.Client, guarded: list[Row], client: dict[str, Any]
) -> None:
    """Tokens that the gateway's own key signed: of yesterday, and for another audience."""
    tokens = asyncio.run(signed_by_its_key(stack, decoded(stack.token(client).split(".")[1])))
    for row in guarded:
        for token in tokens:
            refused(ask(door, row, token), 401, "unauthenticated", row)


def test_no_revoked_token_gets_in_anywhere(
    stack: Stack, door: httpx.Client, guarded: list[Row], client: dict[str, Any]
) -> None:
    token = stack.token(client)
    mine = next(row for row in guarded if row.template == "/v1/directory/places")
    assert ask(door, mine, token).status_code != 401
    credentials = (client["client_id"], client["client_secret"])
    door.post("/oauth2/revoke", data={"token": token}, auth=credentials).raise_for_status()
    until = time.monotonic() + WITHIN_S
    while ask(door, mine, token).status_code != 401:
        assert time.monotonic() < until, "a revoked token went on working"
    for row in guarded:
        refused(ask(door, row, token), 401, "unauthenticated", row)


async def signed_by_its_key(stack: Stack, claims: dict[str, Any]) -> list[str]:
    """Answer a token like a good one, but ended, and one for another audience, signed with the gateway's key."""
    read = {name: (stack.home / "secrets" / f"relais_gateway_{name}").read_text().strip() for name in ("dsn", "secret")}
    connection = await asyncpg.connect(read["dsn"].replace("+asyncpg", ""))
    rows = await connection.fetch("select * from signing_key order by created_at, kid")
    await connection.close()
    now = datetime.now(UTC)
    made = []
    for issuer, at in ((claims["iss"], now - timedelta(days=1)), ("https://another.example", now)):
        keys = SigningKeys(urlsafe_b64decode(read["secret"] + "="), issuer)
        keys.take(rows)
        made.append(
            keys.issue(
                subject=claims["sub"],
                client_id=claims["client_id"],
                organisation_id=UUID(claims["org"]),
                scopes=claims["scope"].split(),
                now=at,
                life_s=600,
                credential=claims.get("credential"),
            )
        )
    return made


def test_what_is_shown_to_integrators_is_taken(door: httpx.Client) -> None:
    """Every example of the document holds by the schema that it stands in."""
    document = door.get("/openapi.json").json()
    components, shown = document["components"], set()
    for name, schema in components["schemas"].items():
        examples = [*schema.get("examples", ()), *([schema["example"]] if "example" in schema else ())]
        whole = jsonschema_rs.validator_for(
            {"$ref": f"#/components/schemas/{name}", "components": components}, validate_formats=True
        )
        for example in examples:
            assert [fault.message for fault in whole.iter_errors(example)] == [], name
            shown.add(f"#/components/schemas/{name}")
    for step in SHOWN:
        body = document["paths"][f"/v1/referrals{step}"]["post"]["requestBody"]["content"]["application/json"]
        wanted = {way.get("$ref") for way in (body["schema"], *body["schema"].get("anyOf", ()))}
        assert wanted & shown, step


def test_a_token_without_the_scope_gets_in_nowhere(
    stack: Stack, door: httpx.Client, guarded: list[Row], client: dict[str, Any]
) -> None:
    tokens = {scope: stack.token(client, scope) for scope in SCOPES}
    # What any structure's scope opens (its events) does not open to who only looks after the platform.
    tokens["trace:read"] = stack.token(stack.clients("trace:read")[0], "trace:read")
    for row in guarded:
        missing = [token for scope, token in tokens.items() if scope not in row.scopes]
        assert missing, f"{row} is open to every scope: then no test can tell who may not"
        for token in missing:
            answer = ask(door, row, token)
            refused(answer, 403, "scope-missing", row)
            assert answer.json()["scopes"] == sorted(row.scopes), str(row)


def test_an_id_of_nobodys_tells_nothing(
    stack: Stack, door: httpx.Client, guarded: list[Row], client: dict[str, Any]
) -> None:
    """With the right scope, what one reads by an unknown id is absent: never a fault, never something of others."""
    tokens = {scope: stack.token(client, scope) for scope in SCOPES}
    asked = 0
    for row in guarded:
        opens = [tokens[scope] for scope in SCOPES if scope in row.scopes]
        if row.method == "GET" and "{" in row.template and opens:
            answer = ask(door, row, opens[0])
            asked += 1
            assert answer.status_code in {404, 422}, (str(row), answer.text)
            assert answer.headers["content-type"] in {"application/problem+json", "application/fhir+json"}, str(row)
    assert asked
