"""Two processes of the gateway before the same services: what is taken away ends in both, what is allowed is shared.

`RELAIS_PER_SECOND=500` also asks that so many calls a second were really answered: a busy machine answers fewer.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from support import children
from support.load import ENOUGH, Seen, Told
from support.stack import UP_WITHIN_S, Stack, free_ports

WITHIN_S = 1.0
"""What is promised: a right that was taken away opens nothing a second later."""
PER_SECOND = int(os.environ.get("RELAIS_PER_SECOND", "500"))
"""Calls of both together that are offered."""
CHEAP = "/hsds/"
"""What HSDS asks of a server first: it says what it is, without its database."""
SEARCH = "/v1/directory/search?q=Exercice&limit=1"
BURST = 60


@contextmanager
def another_gateway(stack: Stack) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run another process of the gateway with the first one's settings, on ports of its own; answer where, and it."""
    port, otlp_port = free_ports(2)
    urls = {name: f"http://127.0.0.1:{number}" for name, number in stack.ports.items()}
    environment = {
        **stack.environment,
        "RELAIS_TELEMETRY_URL": urls["gateway_otlp"],
        "RELAIS_GATEWAY_DIRECTORY_URL": urls["directory"],
        "RELAIS_GATEWAY_REFERRAL_URL": urls["referral"],
        "RELAIS_GATEWAY_PORT": str(port),
        "RELAIS_GATEWAY_OTLP_PORT": str(otlp_port),
    }
    said_in = stack.home / f"gateway-{port}.out"
    with said_in.open("wb") as output:
        command = [sys.executable, "-m", "relais_gateway", "serve"]
        process = children.start(command, env=environment, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + UP_WITHIN_S
        while not _ready(url):
            said = said_in.read_text()
            assert process.poll() is None, said
            assert time.monotonic() < until, said
            time.sleep(0.05)
        yield url, process
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
    with another_gateway(stack) as (second, _):
        yield [stack.base_url, second]


def test_a_right_taken_away_under_load_opens_nothing_a_second_later_in_any_process(
    stack: Stack, both: list[str]
) -> None:
    client = stack.clients("directory:read", "referral:send")[0]
    grant = f"/v1/organisations/{client['organisation_id']}/grants/directory:read"
    told = Told(both, CHEAP, stack.token(client, "directory:read"), PER_SECOND, WITHIN_S)
    load = children.start(
        [sys.executable, "-m", "support.load"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert load.stdin
    assert load.stdout
    with stack.api(stack.clients("platform:admin")[0]) as operator:
        try:
            load.stdin.write(json.dumps(asdict(told)) + "\n")
            load.stdin.flush()
            assert load.stdout.readline() == "going\n"
            assert operator.delete(grant).status_code == 204
            # It is committed: what the answer took on its way is given to the door.
            load.stdin.write(f"{time.monotonic()}\n")
            load.stdin.close()
            seen = Seen(**json.loads(load.stdout.read()))
        finally:
            load.kill()
            load.wait()
            load.stdout.close()
            assert operator.put(grant, json={}).status_code == 204
            stack.wait_until_granted(client, "directory:read")
    assert seen.late == [0, 0], seen
    assert seen.statuses == [200, 403], seen
    assert min(seen.refused) >= ENOUGH, seen
    if "RELAIS_PER_SECOND" in os.environ:
        assert min(seen.before, seen.after) >= PER_SECOND, seen


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
                time.sleep(1)
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


def test_a_gateway_that_ends_answers_what_it_has_begun_and_holds_no_stream(stack: Stack) -> None:
    client = stack.clients("directory:read", "referral:send")[0]
    token, body = stack.token(client), b'{"recipient": 7}'
    head = f"POST /v1/referrals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: {uuid4()}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    following = f"GET /v1/events/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    with another_gateway(stack) as (url, process):
        place = (urlsplit(url).hostname, urlsplit(url).port)
        with (
            socket.create_connection(place, timeout=60) as begun,
            socket.create_connection(place, timeout=60) as stream,
        ):
            stream.sendall(following.encode())
            assert stream.recv(65536).startswith(b"HTTP/1.1 200 ")
            begun.sendall(head.encode())
            # Now the service waits for its body.
            assert begun.recv(65536).startswith(b"HTTP/1.1 100 ")
            process.terminate()
            # Whoever follows is let go at once, while the other is still waited for.
            assert _rest(stream) is not None
            assert process.poll() is None
            begun.sendall(body)
            answer = _rest(begun)
            assert answer.startswith(b"HTTP/1.1 422 ")
            assert b"connection: close" in answer
            assert b'"/recipient"' in answer
        assert process.wait(timeout=60) == -signal.SIGTERM  # uvicorn gives the signal on when all is done.


def _rest(connection: socket.socket) -> bytes:
    """Answer everything that comes until the other side closes."""
    return b"".join(iter(lambda: connection.recv(65536), b""))
