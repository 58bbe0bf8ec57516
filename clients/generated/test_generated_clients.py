"""Clients that public generators make of the API's description compile, and hand one person over.

Run by `make check-generated-clients`, not by `make test`: the generators come from the registries of packages, and
bring versions that do not go with ours.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from support.stack import Stack

HERE = Path(__file__).parent
GENERATOR = "openapi-python-client==0.29.1"
NOT_REQUIRED = ["--default-non-nullable=false"]
"""What has a default need not be sent: openapi-typescript takes it for required unless told."""
STATES = ["draft", "proposed", "accepted", "meeting_planned", "meeting_planned", "handed_over", "closed", "withdrawn"]


def run(*command: str, cwd: Path, stack: Stack | None = None) -> str:
    """Run a command and answer what it said; fail with it where it fails."""
    environment = {**os.environ} | ({"RELAIS_DEMO_FILE": str(stack.home / "demo.json")} if stack else {})
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(name="description", scope="module")
def _description(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("description") / "openapi.json"
    found.write_bytes(httpx.get(f"{stack.base_url}/openapi.json").raise_for_status().content)
    return found


def test_python(stack: Stack, description: Path, tmp_path: Path) -> None:
    generate = ["generate", "--path", str(description), "--output-path", "relais_api", "--meta", "none"]
    uv = [sys.executable, "-m", "uv", "tool", "run", "--isolated", "--from", GENERATOR]
    run(*uv, "openapi-python-client", *generate, cwd=tmp_path)
    shutil.copy(HERE / "hand_over.py", tmp_path)
    run(sys.executable, "-m", "compileall", "-q", "relais_api", cwd=tmp_path)
    run(sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "hand_over.py", cwd=tmp_path)
    assert run(sys.executable, "hand_over.py", cwd=tmp_path, stack=stack).split() == STATES


@pytest.mark.skipif(shutil.which("npm") is None, reason="TypeScript needs Node.js with npm, which is not here.")
def test_typescript(stack: Stack, description: Path, tmp_path: Path) -> None:
    shutil.copytree(HERE / "typescript", tmp_path / "ts", ignore=shutil.ignore_patterns("node_modules"))
    run("npm", "ci", "--no-audit", "--no-fund", cwd=tmp_path / "ts")
    run(
        "npx",
        "--no-install",
        "openapi-typescript",
        str(description),
        "-o",
        "relais.d.ts",
        *NOT_REQUIRED,
        cwd=tmp_path / "ts",
    )
    run("npx", "--no-install", "tsc", cwd=tmp_path / "ts")
    assert run("node", "hand_over.js", cwd=tmp_path / "ts", stack=stack).split() == STATES
