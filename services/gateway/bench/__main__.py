"""What the door costs, beside nginx as a plain proxy, nginx with `auth_request`, and the service asked directly.

Everybody forwards to the same nginx, which serves the same 5 kB; the authoriser that nginx asks does the door's own
work of judging, in a FastAPI route (`authoriser.py`). Every figure is a ratio of two sides measured in turn.
`make bench-gateway` runs everything, some eight minutes; `--seconds 2` makes each turn shorter, `--only forward` (or
`search`, `slow`, `memory`, `overload`) runs a part.
"""

import argparse
import asyncio
import json
import secrets
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from joserfc.jwk import OKPKey

sys.path.insert(0, str(Path(__file__).parents[3] / "tests"))

import behind as streaming
import load
import others
import overload
from load import Load
from support.local import running
from support.measuring import CLIENTS, ROUNDS, SECONDS, Result, compare, rate, report
from support.stack import Stack, free_ports

from relais_gateway import actions, store
from relais_gateway.settings import GatewaySettings
from relais_gateway.signing import SigningKeys
from relais_gateway.upstream import AT_ONCE
from relais_local import databases
from relais_local.home import Home
from relais_shared.auth import Actor, Keyring

TARGETS = [
    f"/v1/directory/search?postcode={postcode}&theme={theme}&limit=10".encode()
    for postcode in (6000, 6030, 6040, 6060, 6200)
    for theme in ("childcare", "mobility", "training", "support")
]
TOKENS = 40_000
"""More than a process remembers (10,000) and than one run shows."""
SLOW = 500
"""Callers that are silent or trickle."""
WHOLE = frozenset({"search", "overload"})
"""Parts that are measured of a whole Relais, without nginx."""
ARRIVING_TURNS = 3
"""What calls arrive by themselves for is as long as so many turns: a percentile wants many of them."""
STREAMS = 1_000
"""Followers of a stream that says nothing but that it lives."""

ORGANISATION: dict[str, Any] = {
    "id": str(UUID(int=1)), "name": "Mesure", "kind": "association", "may_sanction": False, "control_unit": False,
    "secrecy": "professional", "practice": False, "agreement": None, "controller": {}, "scopes": ["directory:read"],
    "clients": [{"name": "mesure", "scopes": ["directory:read"]}], "users": [],
}  # fmt: skip


@dataclass
class Sides:
    """Everything that runs: ports and the processes whose CPU counts."""

    door: int
    door_pids: list[int]
    traced: int
    traced_pids: list[int]
    plain: int
    plain_pids: list[int]
    asking: int
    asking_pids: list[int]
    same: int
    same_pids: list[int]
    behind: int
    token: str
    known: Path
    unknown: Path


# ── the sides ──────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Sides]:
    """Run the door (once without traces, once with all of them) and the others, all before the same service."""
    home = Home(folder / "home")
    async with running(home) as cluster, AsyncExitStack() as stack:
        access = (await databases.provision(home, cluster.admin_dsn(), ours=True))["gateway"]
        behind_port, _ = stack.enter_context(others.behind(folder / "behind"))
        (stream_port,) = free_ports(1)
        program = [sys.executable, str(Path(streaming.__file__)), str(stream_port)]
        stack.enter_context(others.process(program, {}, f"http://127.0.0.1:{stream_port}/readyz"))
        common = {
            "RELAIS_HOME": str(home.folder),
            "RELAIS_PUBLIC_URL": "http://localhost",
            "RELAIS_TELEMETRY_TOKEN": secrets.token_hex(),
            # One client bears the whole load, and is not held back.
            "RELAIS_GATEWAY_ORGANISATION_PER_SECOND": "1000000",
            "RELAIS_GATEWAY_ORGANISATION_BURST": "1000000",
            "RELAIS_GATEWAY_ORGANISATION_AT_ONCE": "10000",
            "RELAIS_GATEWAY_SERVICE_AT_ONCE": "10000",
            "RELAIS_GATEWAY_DIRECTORY_URL": f"http://127.0.0.1:{behind_port}",
            "RELAIS_GATEWAY_REFERRAL_URL": f"http://127.0.0.1:{stream_port}",
        }
        await _run([sys.executable, "-m", "relais_gateway", "migrate"], common)
        settings = GatewaySettings.load(dsn=access.dsn, home=home.folder, RELAIS_PUBLIC_URL=common["RELAIS_PUBLIC_URL"])
        connection = await asyncpg.connect(access.dsn)
        now = datetime.now(UTC)
        demo = await actions.demonstrate(
            connection, [ORGANISATION], actions.Kept({}, {}), common["RELAIS_PUBLIC_URL"], now
        )
        door = [sys.executable, "-m", "relais_gateway", "serve"]
        silent = {"OTEL_SDK_DISABLED": "true"}
        found = {}
        for name, command, more in (
            ("door", door, silent),
            ("traced", door, {}),
            ("authoriser", [sys.executable, str(Path(__file__).with_name("authoriser.py"))], silent),
        ):
            port, otlp = free_ports(2)
            ports = {"RELAIS_GATEWAY_PORT": str(port), "RELAIS_GATEWAY_OTLP_PORT": str(otlp)}
            to = {} if more else {"RELAIS_TELEMETRY_URL": f"http://127.0.0.1:{otlp}"}
            url = f"http://127.0.0.1:{port}/healthz"
            made = stack.enter_context(others.process(command, common | ports | more | to, url))
            found[name] = (port, [made.pid])
        token = await _first_token(found["door"][0], demo["clients"][0])
        known, unknown = folder / "known", folder / "unknown"
        known.write_text(token + "\n")
        unknown.write_text("\n".join(await _tokens(connection, settings, token)) + "\n")
        await connection.close()
        plain, plain_pid = stack.enter_context(others.plain(folder / "plain", behind_port))
        authoriser, authoriser_pids = found["authoriser"]
        asking, asking_pid = stack.enter_context(others.asking(folder / "asking", behind_port, authoriser, "/asked"))
        same, same_pid = stack.enter_context(others.asking(folder / "same", behind_port, authoriser, ""))
        for port in (found["door"][0], found["traced"][0], asking, same):
            await _forwards(port, token)
        yield Sides(
            *found["door"],
            *found["traced"],
            plain,
            [plain_pid],
            asking,
            [asking_pid, *authoriser_pids],
            same,
            [same_pid, *authoriser_pids],
            behind_port,
            token,
            known,
            unknown,
        )


async def _run(command: list[str], environment: dict[str, str]) -> None:
    made = await asyncio.create_subprocess_exec(*command, env={"PATH": others._path(), **environment})  # noqa: SLF001
    assert await made.wait() == 0, command


async def _first_token(port: int, client: dict[str, Any]) -> str:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as asking:
        pair = (client["client_id"], client["client_secret"])
        answer = await asking.post("/oauth2/token", data={"grant_type": "client_credentials"}, auth=pair)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token


async def _tokens(connection: asyncpg.Connection, settings: GatewaySettings, like: str) -> list[str]:
    """Answer many tokens as one that the door made, signed by its key: nobody asks for forty thousand."""
    keys = SigningKeys(settings.secret_bytes(), settings.public_url)
    keys.take((await store.everything(connection))["keys"])
    now = datetime.now(UTC)
    claims = keys.verify(like, now)
    return [
        keys.issue(
            subject=claims.subject,
            client_id=claims.client_id,
            organisation_id=claims.organisation_id,
            scopes=claims.scopes,
            now=now,
            life_s=3_600,
            credential=claims.credential,
        )
        for _ in range(TOKENS)
    ]


async def _forwards(port: int, token: str) -> None:
    """Wait until a side forwards: it reads the services' documents when it starts."""
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client, asyncio.timeout(60):
        while (await client.get(_url(port))).status_code != 200:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.1)


# ── forwarding ─────────────────────────────────────────────────────────────────────────────────────────────────


def forwarding(sides: Sides, seconds: float) -> list[Result]:
    """Measure every side in turn, with 16 callers and with one."""
    place = 0

    def unknown() -> Load:
        nonlocal place
        found = load.put(_url(sides.door), sides.door_pids, CLIENTS, seconds, sides.unknown, place)
        place += TOKENS // (ROUNDS + 1)
        return found

    def of(port: int, pids: list[int], clients: int = CLIENTS) -> Callable[[], Load]:
        return lambda: load.put(_url(port), pids, clients, seconds, sides.known)

    turns = {
        "door": of(sides.door, sides.door_pids),
        "asking": of(sides.asking, sides.asking_pids),
        "same": of(sides.same, sides.same_pids),
        "traced": of(sides.traced, sides.traced_pids),
        "plain": of(sides.plain, sides.plain_pids),
        "unknown": unknown,
        "door alone": of(sides.door, sides.door_pids, 1),
        "asking alone": of(sides.asking, sides.asking_pids, 1),
        "traced alone": of(sides.traced, sides.traced_pids, 1),
        "behind alone": of(sides.behind, [], 1),
    }
    rounds = [{name: turn() for name, turn in turns.items()} for _ in range(ROUNDS + 1)][1:]

    def rates(name: str, ours: str, theirs: str, target: float | None) -> Result:
        return _compared(name, [(one[ours].rate, one[theirs].rate) for one in rounds], target, "req/s")

    def added(name: str, ours: str, target: float) -> Result:
        own = "behind alone"
        pairs = [(one[ours].p50_ms - one[own].p50_ms, one["asking alone"].p50_ms - one[own].p50_ms) for one in rounds]
        return _compared(name, pairs, target, "ms", at_most=True)

    cpu = [(one["door"].cpu_s, one["asking"].cpu_s) for one in rounds]
    same_cpu = [(one["door"].cpu_s, one["same"].cpu_s) for one in rounds]
    traced_cpu = [(one["traced"].cpu_s, one["asking"].cpu_s) for one in rounds]
    return [
        rates("forward / nginx with auth_request", "door", "asking", 2.0),
        _compared("CPU of it / nginx with auth_request", cpu, 0.4, "s per 10,000", at_most=True),
        rates("forward, traced / nginx with auth_request", "traced", "asking", 1.0),
        _compared("CPU of it, traced / nginx with auth_request", traced_cpu, None, "s per 10,000", at_most=True),
        rates("unknown token each time / nginx with auth_request, known", "unknown", "asking", 0.7),
        rates("forward / nginx as a plain proxy", "door", "plain", 0.35),
        rates("forward / nginx with auth_request, the door's own program authorising", "door", "same", None),
        _compared("CPU of it / the same", same_cpu, None, "s per 10,000", at_most=True),
        added("added p50, one caller / nginx with auth_request", "door alone", 0.8),
        added("added p50, traced, one caller / nginx with auth_request", "traced alone", 1.5),
    ]


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}{others.THING}"


def _compared(
    name: str, pairs: list[tuple[float, float]], target: float | None, unit: str, *, at_most: bool = False
) -> Result:
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    holds = target is None or (ratio <= target if at_most else ratio >= target)
    return Result(name, round(ours, 3), round(theirs, 3), round(ratio, 2), target, holds, unit, len(pairs))


# ── callers that are slow, many or large ───────────────────────────────────────────────────────────────────────


async def among_slow(sides: Sides, seconds: float) -> list[Result]:
    """Measure the others' calls while 500 callers are silent or trickle, and how soon those are closed."""
    pairs, longest, closed = [], 0.0, 0
    for _ in range(ROUNDS + 1):
        turn = (_url(sides.door), sides.door_pids, CLIENTS, seconds, sides.known)
        alone = await asyncio.to_thread(load.put, *turn)
        async with load.slow(sides.door, SLOW) as told:
            await asyncio.sleep(1)
            pairs.append(((await asyncio.to_thread(load.put, *turn)).rate, alone.rate))
            # Until each of the first has been closed once.
            async with asyncio.timeout(30):
                while told.closed < SLOW:  # noqa: ASYNC110 - they are counted only
                    await asyncio.sleep(0.1)
        longest, closed = max(longest, told.longest_s), closed + told.closed
    return [
        _compared(f"with {SLOW} silent or trickling callers / without", pairs[1:], 0.8, "req/s"),
        Result("such a caller is closed / its 5 s", round(longest, 1), 5.0, round(longest / 5, 2), 1.4,
               longest / 5 <= 1.4, "s at most", closed),
    ]  # fmt: skip


async def memory(sides: Sides) -> list[Result]:
    """Measure what the door's process holds while 1,000 follow a stream, and while 100 MB go each way."""
    (pid,) = sides.door_pids
    results = []
    quiet = load.memory_mb(pid)
    began = load.cpu_s([pid])
    async with load.following(sides.door, streaming.STREAM, sides.token, STREAMS):
        await asyncio.sleep(5)
        cpu = load.cpu_s([pid])
        await asyncio.sleep(5)
        held, used = load.memory_mb(pid) - quiet, (load.cpu_s([pid]) - cpu) / 5
    print(f"{STREAMS} streams took {cpu - began:.1f} s of CPU to open and {used:.2f} of a core to hold")
    results.append(_bounded(f"memory for {STREAMS} idle streams / before", held, quiet, 100))
    size = streaming.LARGE
    for name, turn in (
        ("100 MB down", lambda: load.down(sides.door, streaming.DOWN, sides.token)),
        ("100 MB up", lambda: load.up(sides.door, streaming.UP, sides.token, size)),
    ):
        await _warm(turn)
        load.forget_peak(pid)
        quiet = load.memory_mb(pid)
        await turn()
        results.append(_bounded(f"memory added by {name} / before", load.peak_mb(pid) - quiet, quiet, 16))
    return results


async def _warm(turn: Callable[[], Awaitable[Any]]) -> None:
    """Take a turn that does not count; again while a busy machine cannot: a thousand streams just ended."""
    for _ in range(20):
        with suppress(AssertionError, ConnectionError):
            await turn()
            return
        await asyncio.sleep(0.5)
    raise SystemExit("The door does not pass a large body on.")


def _bounded(name: str, added: float, before: float, most: float) -> Result:
    """Answer a row of memory, whose target is megabytes and not a ratio."""
    target = round(most / before, 2)
    ratio = round(added / before, 2)
    return Result(name, round(added, 1), round(before, 1), ratio, target, added <= most, "MB", 1)


# ── a whole Relais ───────────────────────────────────────────────────────────────────────────────────────────────


async def searching(stack: Stack) -> list[Result]:
    """Measure with a token that the gateway knows, and with an assertion that the directory knows."""
    client = stack.clients("directory:read")[0]
    outside = [(b"authorization", f"Bearer {stack.token(client)}".encode())]
    key = OKPKey.import_key(json.loads((stack.home / "keys" / "gateway.jwk").read_text()))
    keyring = Keyring("gateway", key, {})
    actor = Actor("client", "client:bench", scopes=frozenset({"directory:read"}))

    async def through() -> float:
        return await rate(stack.base_url, TARGETS, outside)

    async def direct() -> float:
        # An assertion lives a minute: each round shows a fresh one.
        inside = [(b"authorization", f"Bearer {keyring.sign('directory', actor)}".encode())]
        return await rate(f"http://127.0.0.1:{stack.ports['directory']}", TARGETS, inside)

    return [await compare("search through the gateway / direct (traced)", through, direct, 0.5)]


def whole(folder: Path, wanted: set[str], seconds: float, results: list[Result]) -> None:
    """Start a whole Relais of its own, measure what is wanted of it, add it to the results."""
    # What nobody changes stands as it is delivered; how often one organisation may call is said where it matters.
    stack = Stack.start(folder / "whole", RELAIS_GATEWAY_SERVICE_AT_ONCE=str(AT_ONCE))
    try:
        if "search" in wanted:
            results += asyncio.run(searching(stack))
        if "overload" in wanted:
            results += asyncio.run(overload.measured(stack, TARGETS, ARRIVING_TURNS * seconds))
    finally:
        stack.stop()


async def beside(folder: Path, wanted: set[str], seconds: float, results: list[Result]) -> None:
    """Run the sides, measure what is wanted, add it to the results."""
    async with opened(folder) as sides:
        if "forward" in wanted:
            results += await asyncio.to_thread(forwarding, sides, seconds)
        if "slow" in wanted:
            results += await among_slow(sides, seconds)
        if "memory" in wanted:
            results += await memory(sides)


def main() -> None:
    """Measure everything, or the part that is asked for."""
    parts = ("forward", "slow", "memory", "search", "overload")
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=SECONDS, help="of one side in one round")
    arguments.add_argument("--only", action="append", choices=parts, help="a part; may stand several times")
    told = arguments.parse_args()
    wanted = set(told.only or parts)
    results: list[Result] = []
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)
            if wanted - WHOLE and others.nginx_there():
                asyncio.run(beside(folder, wanted, told.seconds, results))
            if wanted & WHOLE:
                whole(folder, wanted, told.seconds, results)
    finally:
        # What was measured before something broke is told all the same.
        report("gateway", results)


if __name__ == "__main__":
    main()
