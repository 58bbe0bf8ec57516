"""The whole API is tried by its own document: no fault, no status and no body that the document does not name."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from support.stack import Stack

TRIED: Final = os.environ.get("RELAIS_EXAMPLES", "3")
"""Requests of each operation, right ones and wrong ones; `make fuzz` tries more."""

LEFT_OUT: Final = "|".join(
    (
        # A stream does not end.
        "/events/stream",
        # What ends the tokens, systems or rights of whoever tries: their own tests try them.
        *("/oauth2/", "/clients", "/grants", "/signing_keys", "/agreements", "/v1/organisations?/"),
    )
)
"""Addresses that are not tried here (a regular expression)."""

RULES_BEYOND: Final = "positive_data_acceptance"
"""The check that whatever fits the schema is taken: places, themes and cursors have to exist besides."""


@pytest.fixture(name="tried", scope="module")
def _tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run a Relais of its own: what is made by chance stands in no other test's way."""
    running = Stack.start(tmp_path_factory.mktemp("fuzzed") / "home")
    try:
        yield running
    finally:
        assert running.stop() == 0


def test_no_request_finds_what_the_document_does_not_name(tried: Stack, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("st")), "run", f"{tried.base_url}/openapi.json"),
            *("--phases", "fuzzing", "--max-examples", TRIED, "--no-shrink", "--continue-on-failure", "--no-color"),
            *("--exclude-path-regex", LEFT_OUT, "--exclude-checks", RULES_BEYOND, "--request-timeout", "30"),
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "SCHEMATHESIS_HOOKS": "support.fuzzing",
            "RELAIS_FUZZED": str(tried.home / "demo.json"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
