"""Who calls while schemathesis tries the API: the demonstration's systems, each where its scopes reach."""

import json
import os
from pathlib import Path
from typing import Any

import httpx
import schemathesis

OF_THE_PLATFORM = {"platform:admin", "trace:read"}


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


@schemathesis.auth(refresh_interval=60, cache_by_key=caller_of)
class Tokens:
    """Gets tokens by client credentials, and shows them."""

    def get(self, case: Any, context: Any) -> str | None:
        """Answer a token for an operation."""
        scope = caller_of(case, context)
        if not scope:
            return None
        demo = json.loads(Path(os.environ["RELAIS_FUZZED"]).read_text(encoding="utf-8"))
        client = next(one for one in demo["clients"] if scope in one["scopes"])
        answer = httpx.post(
            f"{demo['base_url']}/oauth2/token",
            data={"grant_type": "client_credentials"},
            auth=(client["client_id"], client["client_secret"]),
        )
        token: str = answer.raise_for_status().json()["access_token"]
        return token

    def set(self, case: Any, data: str | None, _context: Any) -> None:
        """Show it."""
        if data is not None:
            case.headers["Authorization"] = f"Bearer {data}"
