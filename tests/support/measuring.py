"""Benches: both sides in turn in one session, medians of ratios, written where others find them."""

import asyncio
import json
import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from relais_gateway.exchange import Header, request_head
from relais_gateway.upstream import Instance

CLIENTS = 16
"""Callers at once, each with one request under way."""
SECONDS = 4.0
"""Of one side in one round."""
ROUNDS = 3
"""Each side's turns; the first of all warms up and is not counted."""


@dataclass(frozen=True)
class Result:
    """One line of a bench: both sides, and what the ratio should be; no target where it is only to be known."""

    name: str
    ours: float
    theirs: float
    ratio: float
    target: float | None
    holds: bool
    unit: str
    rounds: int


async def call(server: Instance, method: str, target: bytes, headers: Sequence[Header], body: bytes = b"") -> bytes:
    """Answer the body of one answer, which must be 200; the caller costs as little as the gateway's own does."""
    length = [(b"content-length", str(len(body)).encode())] if body else []
    head = request_head(method, target, [(b"host", server.authority), *headers, *length])
    exchange = await server.take()
    exchange.begin(head + body)
    await exchange.head()
    answer = b"".join([block async for block in exchange.body()])
    assert exchange.status == 200, (exchange.status, target, answer)
    server.give_back(exchange)
    return answer


async def rate(url: str, targets: Sequence[bytes], headers: Sequence[Header], seconds: float = SECONDS) -> float:
    """Answer requests a second of a server under `CLIENTS` keep-alive callers; each answer must be 200."""
    server = Instance("bench", url)
    until = time.perf_counter() + seconds
    done = 0

    async def calls(number: int) -> None:
        nonlocal done
        place = number
        while time.perf_counter() < until:
            assert await call(server, "GET", targets[place % len(targets)], headers)
            place += CLIENTS
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(calls(number) for number in range(CLIENTS)))
    server.close()
    return done / (time.perf_counter() - began)


async def compare(
    name: str, ours: Callable[[], Awaitable[float]], theirs: Callable[[], Awaitable[float]], target: float
) -> Result:
    """Measure both sides in turn, and answer the median of each and of the rounds' ratios."""
    await ours()
    await theirs()
    pairs = [(await ours(), await theirs()) for _ in range(ROUNDS)]
    ratio = statistics.median(one / other for one, other in pairs)
    medians = [statistics.median(side) for side in zip(*pairs, strict=True)]
    return Result(name, round(medians[0]), round(medians[1]), round(ratio, 2), target, ratio >= target, "req/s", ROUNDS)


def report(name: str, results: Sequence[Result]) -> None:
    """Print what has a target as a table, and write everything to `var/bench/NAME.json`."""
    folder = Path("var") / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "machine": platform.machine()}
    written = [asdict(result) | {"machine": machine} for result in results]
    (folder / f"{name}.json").write_text(json.dumps(written, indent=1) + "\n")
    judged = [result for result in results if result.target is not None]
    width = max((len(result.name) for result in judged), default=0)
    for one in judged:
        word = "holds" if one.holds else "falls short"
        print(  # noqa: T201 - a bench prints its table
            f"{one.name:{width}}  {one.ours:>7.0f} against {one.theirs:>7.0f} {one.unit}  "
            f"ratio {one.ratio:.2f}, target {one.target:.2f}: {word}"
        )
