"""Two processes of the gateway before the same services: what is taken away ends in both, what is allowed is shared."""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.stack import UP_WITHIN_S, Stack, free_ports

WITHIN_S = 1.0
"""What is promised: a right that was taken away opens nothing a second later."""
WORKERS, PAUSE_S = 8, 0.016
"""Callers of each process, each with a call under way or a moment's rest: some 500 calls a second of both."""
SEARCH = "/v1/directory/search?q=Exercice&limit=1"
BURST = 60


@contextmanager
def a_second_gateway(stack: Stack) -> Iterator[str]:
    """Run another process of the gateway with the first one's settings, on ports of its own; answer where."""
    port, otlp_port = free_ports(2)
    (first,) = stack.pids_of("gateway")
    lines = Path(f"/proc/{first}/environ").read_bytes().split(b"\0")
    environment = dict(line.decode().split("=", 1) for line in lines if b"=" in line)
    environment |= {"RELAIS_GATEWAY_PORT": str(port), "RELAIS_GATEWAY_OTLP_PORT": str(otlp_port)}
    with (stack.home / "second.out").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "relais_gateway", "serve"], env=environment, stdout=output, stderr=output
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + UP_WITHIN_S
        while not _ready(url):
            said = (stack.home / "second.out").read_text()
            assert process.poll() is None, said
            assert time.monotonic() < until, said
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").is_success
    except httpx.TransportError:
        return False


@pytest.fixture(name="both", scope="module")
def _both(stack: Stack) -> Iterator[list[str]]:
    with a_second_gateway(stack) as second:
        yield [stack.base_url, second]


@dataclass
class Load:
    """Calls on and on, to one process; when each began, and what came."""

    url: str
    token: str
    calls: list[tuple[float, int]] = field(default_factory=list)
    stop: bool = False

    async def run(self) -> None:
        """Call until told to stop."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30) as client:
            await asyncio.gather(*(self._worker(client) for _ in range(WORKERS)))

    async def _worker(self, client: httpx.AsyncClient) -> None:
        while not self.stop:
            began = time.monotonic()
            self.calls.append((began, (await client.get(SEARCH)).status_code))
            await asyncio.sleep(PAUSE_S)

    def answered(self, status: int, after: float) -> int:
        """Answer how many calls that began after an instant came to a status."""
        return sum(began > after and found == status for began, found in self.calls)


def test_a_right_taken_away_under_load_opens_nothing_a_second_later_in_any_process(
    stack: Stack, both: list[str]
) -> None:
    client = stack.clients("directory:read", "referral:send")[0]
    operator = stack.clients("platform:admin")[0]
    grant = f"/v1/organisations/{client['organisation_id']}/grants/directory:read"
    token = stack.token(client, "directory:read")

    async def removed_under_load() -> tuple[list[Load], float]:
        loads = [Load(url, token) for url in both]
        running = [asyncio.create_task(load.run()) for load in loads]
        with_rights = {"Authorization": f"Bearer {stack.token(operator)}"}
        async with httpx.AsyncClient(base_url=both[0], headers=with_rights, timeout=30) as api:
            try:
                async with asyncio.timeout(60):
                    while min(load.answered(200, 0) for load in loads) < 100:  # noqa: ASYNC110 - they tell nobody
                        await asyncio.sleep(0.05)
                    assert (await api.delete(grant)).status_code == 204
                    # It is committed: what the answer took on its way is given to the door.
                    removed = time.monotonic()
                    while min(load.answered(403, removed + WITHIN_S) for load in loads) < 100:  # noqa: ASYNC110 - the same
                        await asyncio.sleep(0.05)
            finally:
                for load in loads:
                    load.stop = True
                await asyncio.gather(*running)
                assert (await api.put(grant, json={})).status_code == 204
                await asyncio.to_thread(stack.wait_until_granted, client, "directory:read")
        return loads, removed

    loads, removed = asyncio.run(removed_under_load())
    for load in loads:
        assert load.answered(200, removed + WITHIN_S) == 0, load.url
        assert {status for _, status in load.calls} == {200, 403}, load.url


def test_what_one_process_let_in_is_gone_in_the_other(stack: Stack, both: list[str]) -> None:
    client = stack.clients("directory:read", "referral:send")[0]
    limits = f"/v1/organisations/{client['organisation_id']}/limits"
    headers = {"Authorization": f"Bearer {stack.token(client, 'directory:read')}"}
    with stack.api(stack.clients("platform:admin")[0]) as operator, _calling(both, headers) as (first, second):
        few = {"per_second": 1, "burst": BURST, "at_once": 10}
        assert operator.put(limits, json=few).status_code == 204
        try:
            until = time.monotonic() + UP_WITHIN_S
            while not all(f"q={BURST};" in api.get(SEARCH).headers["ratelimit-policy"] for api in (first, second)):
                assert time.monotonic() < until
                time.sleep(0.05)
            while (said := first.get(SEARCH)).status_code == 200:
                pass
            assert (said.status_code, said.json()["violated_policies"]) == (429, ["organisation"])
            # The other hears of it five times a second; by its own calls alone it would come to that after thirty.
            asked = 0
            while (answer := second.get(SEARCH)).status_code == 200 and _left(answer) > BURST / 2:
                asked += 1
                assert asked < BURST / 4
                time.sleep(0.2)
        finally:
            assert operator.delete(limits).status_code == 204


@contextmanager
def _calling(urls: list[str], headers: dict[str, Any]) -> Iterator[list[httpx.Client]]:
    clients = [httpx.Client(base_url=url, headers=headers, timeout=30) for url in urls]
    try:
        yield clients
    finally:
        for one in clients:
            one.close()


def _left(answer: httpx.Response) -> int:
    found = re.search(r";r=(\d+)", answer.headers["ratelimit"])
    assert found, answer.headers
    return int(found[1])
