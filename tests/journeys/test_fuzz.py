"""The whole API is tried by its own document: no fault, no status and no body that the document does not name."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from support.stack import Stack

TRIED: Final = os.environ.get("RELAIS_EXAMPLES", "3")
"""Requests of each operation, right ones and wrong ones; `make fuzz` tries more."""

STREAM: Final = "/events/stream"
"""A stream does not end."""
RIGHTS: Final = "/oauth2/|/clients|/grants|/signing_keys|/agreements|/v1/organisations?/"
"""A regular expression: what ends somebody's tokens, systems or rights is tried last, on what is made for it."""

ALLOWED: Final = Path(__file__).parents[1] / "support" / "fuzzing.toml"
"""What schemathesis does not know of by itself."""

RULES_BEYOND: Final = "positive_data_acceptance"
"""The one check that is off: whatever fits a schema is taken. Most of ours have rules besides, so `what_fits_is_taken`
(support/fuzzing.py) asks it only of the operations whose schema says everything."""


@pytest.fixture(name="tried", scope="module")
def _tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run a Relais of its own: what is made by chance stands in no other test's way."""
    # Else most of what is open to all would be answered 429.
    home = tmp_path_factory.mktemp("fuzzed") / "home"
    running = Stack.start(home, RELAIS_GATEWAY_PUBLIC_PER_MINUTE="100000")
    try:
        yield running
    finally:
        assert running.stop() == 0


def fuzzed(stack: Stack, folder: Path, offered: Path, *chosen: str) -> None:
    """Let schemathesis try operations; fail with what it found."""
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("st")), "--config-file", str(ALLOWED)),
            *("run", f"{stack.base_url}/openapi.json"),
            *("--phases", "fuzzing", "--max-examples", TRIED, "--no-shrink", "--continue-on-failure", "--no-color"),
            *("--exclude-checks", RULES_BEYOND, "--request-timeout", "30", *chosen),
        ],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "SCHEMATHESIS_HOOKS": "support.fuzzing",
            "RELAIS_FUZZED": str(offered),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    # A body of a megabyte on one line would leave no room for what was wrong with it.
    said = "\n".join(line[:500] for line in done.stdout.splitlines())
    assert done.returncode == 0, said[-20_000:] + done.stderr[-2_000:]


def test_no_request_finds_what_the_document_does_not_name(tried: Stack, tmp_path: Path) -> None:
    fuzzed(tried, tmp_path, tried.home / "demo.json", "--exclude-path-regex", f"{STREAM}|{RIGHTS}")


def made_to_lose(stack: Stack) -> dict[str, Any]:
    """Make what may lose its rights (an organisation, systems, people, a key), and say who tries that."""
    admin = stack.clients("org:admin", "referral:send")[0]
    with stack.api(stack.clients("platform:admin")[0]) as platform, stack.api(admin) as own:

        def made(api: httpx.Client, path: str, body: Any = None) -> Any:
            return api.post(path, json=body).raise_for_status().json()

        signed = platform.get("/openapi.json").json()["components"]["schemas"]
        organisation = made(platform, "/v1/organisations", {"name": f"Essai {uuid4()}", "kind": "association"})["id"]
        place = f"/v1/organisations/{organisation}"
        agreement = made(platform, f"{place}/agreements", signed["AgreementWanted"]["example"])["id"]
        people = [made(own, "/v1/organisation/invitations", {"email": f"{uuid4()}@maison.example", "name": "Léa"})]
        people += [
            made(platform, f"{place}/invitations", {"email": f"{uuid4()}@maison.example", "name": "Léa"}),
        ]
        systems = [
            made(own, "/v1/organisation/clients", {"name": "Essai", "scopes": ["directory:read"]}) for _ in range(4)
        ]
        teams = [made(own, "/v1/organisation/teams", {"name": f"Essai {uuid4()}"})["id"] for _ in range(3)]
        accounts = [one["id"] for one in own.get("/v1/organisation/accounts").json()["items"]]
        keys = [one["kid"] for one in platform.get("/v1/platform/signing_keys").json()["items"]]
        made(platform, "/v1/platform/signing_keys")
    proven, *others = systems
    return {
        "base_url": stack.base_url,
        "clients": [stack.clients("platform:admin")[0], admin],
        "proven": [proven["id"], proven["client_secret"]],
        "ids": {
            "organisation_id": [organisation] * 3,
            "agreement_id": [agreement],
            "invitation_id": [one["id"] for one in people],
            "client_id": [one["id"] for one in others],
            "team_id": teams,
            "account_id": accounts,
            "scope": ["directory:read", "referral:send", "platform:admin"],
            "kid": keys[:1],
        },
    }


def test_no_request_about_rights_finds_what_the_document_does_not_name(tried: Stack, tmp_path: Path) -> None:
    offered = tmp_path / "offered.json"
    offered.write_text(json.dumps(made_to_lose(tried)), encoding="utf-8")
    fuzzed(tried, tmp_path, offered, "--include-path-regex", RIGHTS)
