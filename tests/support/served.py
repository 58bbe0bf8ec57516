"""The referral app and its worker as processes that can be killed, on a PostgreSQL that can be killed too."""

import asyncio
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx
import orjson
import uvicorn
from api.referral.world import BOTH, STRUCTURES, Asserted, Directory, Structure
from joserfc.jwk import OKPKey

from relais_local import databases
from relais_local.databases import Access
from relais_local.home import Home
from relais_local.postgres import Cluster
from relais_local.processes import die_with_parent
from relais_shared.auth import Actor, Keyring, system
from relais_shared.client import Client, open_client
from support.local import running
from support.stack import free_ports

LOOK_EVERY_S = 0.03
"""How often a starting process is asked whether it answers."""
UP_WITHIN_S = 60


@dataclass
class Served:
    """A running referral app with all that it needs.

    Processes are made by a server that has read our code already (`multiprocessing`'s forkserver): a hundred
    restarts then take seconds, and what is killed is a whole process all the same.
    """

    home: Home
    cluster: Cluster
    access: Access
    port: int
    environment: dict[str, str]
    gateway: Keyring
    processes: dict[str, BaseProcess] = field(default_factory=dict)
    clients: list[Client] = field(default_factory=list)
    anybody: Client | None = None

    def as_(self, structure: Structure) -> Client:
        """Answer a client that acts for a structure with both scopes, over a real connection."""
        actor = Actor("client", f"client:{structure.name.lower()}", structure.id, structure.name, BOTH)
        return self._client(Asserted(self.gateway, actor))

    def _client(self, auth: httpx.Auth | None) -> Client:
        client = open_client(f"http://127.0.0.1:{self.port}", timeout_s=30)
        client.auth = auth  # type: ignore[assignment]  # None is taken, and means nobody
        self.clients.append(client)
        return client

    def begin(self, command: str) -> None:
        """Start `serve` or `work`, and wait for nothing."""
        making = multiprocessing.get_context("forkserver")
        making.set_forkserver_preload(["relais_referral.app", "relais_referral.worker", "support.served"])
        log = str(self.home.logs / f"referral-{command}.log")
        self.processes[command] = making.Process(target=_run, args=(command, self.environment, log))
        self.processes[command].start()

    async def answers(self) -> None:
        """Wait until the app answers."""
        if self.anybody is None:
            self.anybody = self._client(None)
        async with asyncio.timeout(UP_WITHIN_S):
            while True:
                try:
                    await self.anybody.get("/healthz")
                except httpx.TransportError:
                    said = self.home.last_words("referral-serve", 20)
                    assert self.processes["serve"].is_alive(), said
                    await asyncio.sleep(LOOK_EVERY_S)
                else:
                    return

    def kill(self, command: str) -> None:
        """Kill a process as `kill -9` does, and see it gone."""
        process = self.processes.pop(command)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL

    async def tell_registry(self) -> None:
        """Push the registry as the gateway does."""
        snapshot = {"version": 1, "organisations": [one.organisation() for one in STRUCTURES]}
        answer = await self._client(Asserted(self.gateway, system("gateway"))).put("/internal/registry", json=snapshot)
        assert answer.json() == {"taken": True}, answer.text

    def command(self, *arguments: str) -> str:
        """Run a command of the referral app to its end, and answer what it said; `audit` is one of `relais`."""
        ours: list[str | Path] = [sys.executable, "-m", "relais_referral"]
        done = subprocess.run(
            [*([Path(sys.executable).with_name("relais")] if arguments[0] == "audit" else ours), *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}:\n{done.stdout}{done.stderr}"
        return done.stdout


def _run(command: str, environment: dict[str, str], log: str) -> None:
    """Be the process: as `python -m relais_referral <command>`, with its words in a file."""
    # Its parent is the server that made it, which ends with the test.
    die_with_parent(os.getppid(), signal.SIGKILL)()
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    for name in [name for name in os.environ if name.startswith(("RELAIS_", "OTEL_"))]:
        del os.environ[name]
    os.environ.update(environment)
    from relais_referral.cli import app  # noqa: PLC0415 - read by the forkserver, not by whoever imports this

    app([command])


@asynccontextmanager
async def served(home: Home) -> AsyncIterator[Served]:
    """Run the referral app on a PostgreSQL of its own whose every commit waits for the disk."""
    async with running(home, careful=True) as cluster, _directory() as directory_url:
        access = (await databases.provision(home, cluster.admin_dsn(), ours=True))["referral"]
        (port,) = free_ports(1)
        environment = {
            "RELAIS_HOME": str(home.folder),
            "RELAIS_REFERRAL_PORT": str(port),
            "RELAIS_REFERRAL_DIRECTORY_URL": directory_url,
            # Nobody listens on port 9: the registry is pushed here, never pulled.
            "RELAIS_REFERRAL_GATEWAY_URL": "http://127.0.0.1:9",
        }
        private = OKPKey.import_key(orjson.loads((home.keys / "gateway.jwk").read_bytes()))
        found = Served(home, cluster, access, port, environment, Keyring("gateway", private, {}))
        await asyncio.to_thread(found.command, "migrate")
        try:
            found.begin("serve")
            await found.answers()
            await found.tell_registry()
            yield found
        finally:
            for client in found.clients:
                await client.aclose()
            for command in list(found.processes):
                found.kill(command)


@asynccontextmanager
async def _directory() -> AsyncIterator[str]:
    """Answer where a directory of our few services listens."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config: dict[str, Any] = {"lifespan": "off", "log_config": None, "access_log": False}
        server = uvicorn.Server(uvicorn.Config(Directory(), **config))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
