"""What docs/owners.md tells owners to type works as it stands."""

import asyncio
import os
import re
from pathlib import Path

import pytest
import uvicorn
from api.directory.owners import ADMIN, READ, SEND, World

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]


async def test_the_owners_page_runs(world: World) -> None:
    text = (ROOT / "docs" / "owners.md").read_text(encoding="utf-8")
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    callers = {"TOKEN": world.caller(), "PARTNER": world.caller(READ, SEND), "OPERATOR": world.caller(ADMIN)}
    tokens = {name: world.gateway.sign("directory", caller.actor) for name, caller in callers.items()}
    server = uvicorn.Server(uvicorn.Config(world.app, host="127.0.0.1", port=0, lifespan="off", log_level="error"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it by this alone
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    typed = await asyncio.create_subprocess_exec(
        "/bin/bash",
        "-c",
        script,
        cwd=ROOT,
        env={**os.environ, **tokens, "BASE": f"http://127.0.0.1:{port}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await typed.communicate()
    server.should_exit = True
    await serving
    lines = said.decode().splitlines()
    assert typed.returncode == 0, said.decode()
    assert "Halte-accueil" in lines[0]
    assert lines[1] == "2 € par heure"
    assert lines[3] == "3"
    assert lines[-1] == "inactive"
