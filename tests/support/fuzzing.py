"""Who calls while schemathesis tries the API, and on what: systems that the stack offers, and ids that are there."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import httpx
import schemathesis

OF_THE_PLATFORM = {"platform:admin", "trace:read"}


@cache
def given() -> dict[str, Any]:
    """Answer what a test offers: `base_url`, `clients`, and perhaps `ids` to try things on and `proven`, who proves."""
    found: dict[str, Any] = json.loads(Path(os.environ["RELAIS_FUZZED"]).read_text(encoding="utf-8"))
    return found


def scopes_of(case: Any) -> set[str]:
    """Answer the scopes of an operation; none where it is open to all."""
    ways = case.operation.definition.raw.get("security") or []
    return {name for way in ways for names in way.values() for name in names}


def caller_of(case: Any, _context: Any) -> str:
    """Answer a scope of the demonstration's system that calls this operation; empty for nobody."""
    scopes = scopes_of(case)
    if not scopes:
        return ""
    return "platform:admin" if scopes & OF_THE_PLATFORM else "org:admin"


def token_for(scope: str) -> str:
    """Answer a token of the first system that holds a scope."""
    client = next(one for one in given()["clients"] if scope in one["scopes"])
    answer = httpx.post(
        f"{given()['base_url']}/oauth2/token",
        data={"grant_type": "client_credentials"},
        auth=(client["client_id"], client["client_secret"]),
    )
    token: str = answer.raise_for_status().json()["access_token"]
    return token


@schemathesis.auth(refresh_interval=60, cache_by_key=caller_of)
class Tokens:
    """Gets tokens by client credentials, and shows them."""

    def get(self, case: Any, context: Any) -> str | None:
        """Answer a token for an operation."""
        scope = caller_of(case, context)
        return token_for(scope) if scope else None

    def set(self, case: Any, data: str | None, _context: Any) -> None:
        """Show it."""
        if data is not None:
            case.headers["Authorization"] = f"Bearer {data}"


ENOUGH_SAID = frozenset(
    {
        "PUT /v1/organisation/answer_time",
        "PUT /v1/organisation/clients/{client_id}/limits",
        "PUT /v1/organisation/teams/{team_id}/members/{account_id}",
        "PUT /v1/organisations/{organisation_id}/grants/{scope}",
        "PUT /v1/organisations/{organisation_id}/limits",
    }
)
"""Operations with a body of which the schema says everything."""
CLOSED = ("boolean", "integer")
NOT_TAKEN = frozenset({400, 406, 412, 413, 415, 422, 428})


def says_everything(operation: Any) -> bool:
    """Answer whether whatever fits the schema has to be taken: nothing is asked for but ids and closed values.

    Elsewhere there are rules that no schema says: a place, a theme or a colleague has to exist, a day is to come, a
    cursor was given out, one time is before another, a version is the last one, a key was not used for something else,
    words hold no line break or telephone number.
    """
    raw = operation.definition.raw
    if "requestBody" in raw and operation.label not in ENOUGH_SAID:
        return False
    asked = [one for one in raw.get("parameters", ()) if one["in"] != "path"]
    return all("enum" in one["schema"] or one["schema"].get("type") in CLOSED for one in asked)


@schemathesis.check
def what_fits_is_taken(_context: Any, response: Any, case: Any) -> None:
    """In place of schemathesis' own check, which takes every schema for all the rules there are."""
    if case.meta.generation.mode.is_positive and says_everything(case.operation):
        assert response.status_code not in NOT_TAKEN, f"{case.operation.label}: {response.status_code} {response.text}"


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Put what is there in the place of what was made up, where that was meant to fit: a path, a version, a proof."""
    right = {where.value: part.mode.is_positive for where, part in case.meta.components.items()}
    if right.get("path", True):
        for name, value in dict(case.path_parameters or {}).items():
            # One of a few, or what was made up: by the value alone, so that the same case is the same call.
            choices = [*given().get("ids", {}).get(name, ()), value]
            case.path_parameters[name] = choices[crc32(str(value).encode()) % len(choices)]
    if case.path.startswith("/oauth2/") and (proven := given().get("proven")):
        case.headers.setdefault("Authorization", httpx.BasicAuth(*proven)._auth_header)  # noqa: SLF001 - it has no other way
    if right.get("header", True) and "If-Match" in (case.headers or {}) and case.method == "PATCH":
        place = case.operation.base_url.rstrip("/") + case.formatted_path
        now = httpx.get(place, headers={"Authorization": case.headers.get("Authorization", "")})
        case.headers["If-Match"] = now.headers.get("etag", case.headers["If-Match"])
