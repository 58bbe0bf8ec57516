"""The whole of Relais, started as its users start it, for journeys, faults and the browser."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from support import children

UNBOUND = {"PER_SECOND": "100000", "BURST": "100000", "AT_ONCE": "1000"}
"""Many tests and benches call as one organisation from one address, as fast as they can."""
RENEWED_AFTER_S = 300
"""Half of the life of a token."""
UP_WITHIN_S = 120
"""A busy two-core machine that starts everything for the first time; normally it takes under ten."""


_PORTS = range(12_000, 32_000)
"""Below those that systems give to connections, and to whoever lets them choose: nobody else takes one by chance."""
_FIRST = random.SystemRandom().choice(_PORTS)
"""Each process begins elsewhere, and comes to the same one again only after all others."""
_TURN = cycle([*range(_FIRST, _PORTS.stop), *range(_PORTS.start, _FIRST)])


def free_ports(count: int) -> list[int]:
    """Answer ports that nobody listens on now, and that nobody of these tests will take before whoever they are for."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            port = next(_TURN)
            with suppress(OSError):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
                found.append(port)
    return found


@dataclass
class Stack:
    """A running Relais: its folder, its addresses, the process that watches over it, and what that one was told."""

    home: Path
    ports: dict[str, int]
    process: subprocess.Popen[bytes]
    environment: dict[str, str]

    @classmethod
    def start(cls, home: Path, ports: dict[str, int] | None = None, **more: str) -> "Stack":
        """Start `relais up` in `home`, with more settings where given, and wait until it says that it is ready."""
        if ports is None:
            names = ("gateway", "directory", "referral", "gateway_otlp")
            ports = dict(zip(names, free_ports(len(names)), strict=True))
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("RELAIS_", "OTEL_"))}
        environment |= {f"RELAIS_{name}_PORT".upper(): str(port) for name, port in ports.items()}
        environment |= {f"RELAIS_GATEWAY_ORGANISATION_{name}": value for name, value in UNBOUND.items()}
        environment |= {"RELAIS_GATEWAY_OWN_PER_MINUTE": "1000000", "RELAIS_GATEWAY_SERVICE_AT_ONCE": "1000"}
        environment |= {"RELAIS_HOME": str(home), "RELAIS_PUBLIC_URL": f"http://localhost:{ports['gateway']}"}
        environment |= more
        home.mkdir(parents=True, exist_ok=True)
        with (home / "up.out").open("wb") as output:
            process = children.start(
                [str(Path(sys.executable).with_name("relais")), "up"],
                orphaned=signal.SIGTERM,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        stack = cls(home, ports, process, environment)
        try:
            stack.wait_until_ready()
        except BaseException:
            # Nobody else knows of it yet.
            stack.stop()
            raise
        return stack

    @property
    def base_url(self) -> str:
        """Where the gateway answers."""
        return f"http://localhost:{self.ports['gateway']}"

    def wait_until_ready(self) -> None:
        """Wait until it says that it is ready, its first data included; fail with the output if it never does."""
        said = self.home / "up.out"
        until = time.monotonic() + UP_WITHIN_S
        while time.monotonic() < until and self.process.poll() is None:
            if f"Relais is ready: {self.base_url}" in said.read_text():
                return
            time.sleep(0.05)
        pytest.fail(f"Relais did not become ready:\n{said.read_text()}")

    def stop(self) -> int:
        """Stop it as Ctrl-C does, and answer its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    @property
    def demo(self) -> dict[str, Any]:
        """The demonstration accounts."""
        found: dict[str, Any] = json.loads((self.home / "demo.json").read_text())
        return found

    def clients(self, *scopes: str) -> list[dict[str, Any]]:
        """Answer the demonstration's clients that hold all of these scopes."""
        return [one for one in self.demo["clients"] if set(scopes) <= set(one["scopes"])]

    def pids_of(self, service: str) -> list[int]:
        """Answer the processes that serve `service` for this stack."""
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                # A title that a process gave itself is parted by blanks.
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").split()
                environment = (folder / "environ").read_bytes()
            except OSError:
                continue
            ours = f"RELAIS_HOME={self.home}".encode() in environment.split(b"\0")
            if ours and f"relais_{service}".encode() in command and b"serve" in command:
                found.append(int(folder.name))
        return found

    def token(self, client: dict[str, Any], scope: str | None = None) -> str:
        """Answer a fresh access token of a demonstration client."""
        pair = b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
        answer = httpx.post(
            f"{self.base_url}/oauth2/token",
            data={"grant_type": "client_credentials"} | ({"scope": scope} if scope else {}),
            headers={"Authorization": f"Basic {pair}"},
        )
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token

    def wait_until_granted(self, client: dict[str, Any], *scopes: str) -> None:
        """Wait until an organisation's rights that were given back count again: that takes up to a second."""
        until = time.monotonic() + UP_WITHIN_S
        while True:
            answer = httpx.post(
                f"{self.base_url}/oauth2/token",
                data={"grant_type": "client_credentials"},
                auth=(client["client_id"], client["client_secret"]),
            )
            if set(scopes) <= set(answer.json().get("scope", "").split()):
                return
            assert time.monotonic() < until, answer.text
            time.sleep(0.05)

    def api(self, client: dict[str, Any], scope: str | None = None) -> httpx.Client:
        """Answer an HTTP client that acts as a demonstration client; close it when done.

        Its token is renewed halfway through its ten minutes: on a busy machine the tests of a file take longer.
        """
        held, since = self.token(client, scope), time.monotonic()

        def renew(request: httpx.Request) -> None:
            nonlocal held, since
            if time.monotonic() - since > RENEWED_AFTER_S and request.headers.get("Authorization") == f"Bearer {held}":
                held, since = self.token(client, scope), time.monotonic()
                api.headers["Authorization"] = request.headers["Authorization"] = f"Bearer {held}"

        headers = {"Authorization": f"Bearer {held}"}
        api = httpx.Client(base_url=self.base_url, headers=headers, timeout=30, event_hooks={"request": [renew]})
        return api


def key() -> dict[str, str]:
    """Answer a header with a new Idempotency-Key."""
    return {"Idempotency-Key": f'"{uuid4()}"'}


def if_match(answer: httpx.Response) -> dict[str, str]:
    """Answer the header that says: as I read it here."""
    return {"If-Match": answer.headers["etag"]}


OWN_THEME = {
    "slug": "mobility--ferry",
    "parent": "mobility",
    "labels": {"fr": "Passeur d'eau", "nl": "Veerdienst", "de": "Personenfähre", "en": "River ferry"},
    "sensitive": False,
    "data_inclusion": ["mobilite--mobilite-douce-partagee-collective"],
    "from_data_inclusion": ["transport-fluvial"],
}
"""A theme that the territory of the session's stack has beside those that come along."""


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run the whole of Relais once for the session, with its demonstration territory and a theme of its own."""
    folder = tmp_path_factory.mktemp("stack")
    (folder / "themes.json").write_text(json.dumps({"themes": [OWN_THEME]}), encoding="utf-8")
    home = folder / "relais home"
    running = Stack.start(home, RELAIS_DIRECTORY_THEMES=str(folder / "themes.json"))
    try:
        yield running
    finally:
        assert running.stop() == 0
        shutil.rmtree(home, ignore_errors=True)
