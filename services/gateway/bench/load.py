"""Callers of every kind: wrk's steady ones, silent and trickling ones, followers of a stream, one with a large body."""

import asyncio
import re
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from relais_gateway.exchange import request_head

PAGE = 4096
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}

SCRIPT = """
local tokens, at = {}, 0
function init(args)
  at = tonumber(args[2])
  for line in io.lines(args[1]) do tokens[#tokens + 1] = "Bearer " .. line end
end
function request()
  at = at % #tokens + 1
  wrk.headers["Authorization"] = tokens[at]
  return wrk.format("GET")
end
"""
"""For wrk: a token of a file for each request, from a place on."""


@dataclass(frozen=True)
class Load:
    """What a server bore: requests a second, the median in milliseconds, CPU seconds for 10,000 requests."""

    rate: float
    p50_ms: float
    cpu_s: float


def put(  # noqa: PLR0913 - what is measured, and how
    url: str, pids: Sequence[int], clients: int, seconds: float, tokens: Path, place: int = 0
) -> Load:
    """Put a server under wrk's load, each request with the next token of a file.

    Args:
        url: What is asked for.
        pids: The processes whose CPU is counted.
        clients: Connections, each with one request under way.
        seconds: How long.
        tokens: One a line.
        place: After how many of them it begins.
    """
    script = tokens.with_name("tokens.lua")
    script.write_text(SCRIPT)
    before = cpu_s(pids)
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:.0f}s", "--latency", "-s", str(script), url, "--"]
    said = subprocess.run([*command, str(tokens), str(place)], capture_output=True, text=True, check=True).stdout
    used = cpu_s(pids) - before
    assert "Non-2xx" not in said, said
    assert "Socket errors" not in said, said
    ((count,), (per_s,)) = (re.findall(wanted, said) for wanted in (r"(\d+) requests in", r"Requests/sec:\s+([\d.]+)"))
    ((value, unit),) = re.findall(r"50%\s+([\d.]+)(us|ms|s)", said)
    return Load(float(per_s), float(value) * _UNITS_MS[unit], used / int(count) * 10_000)


def cpu_s(pids: Sequence[int]) -> float:
    """Answer the CPU seconds that processes used since they began, to the nanosecond that the scheduler counts."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


def memory_mb(pid: int) -> float:
    """Answer what a process holds in memory now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6


def peak_mb(pid: int) -> float:
    """Answer the most that a process ever held, since `forget_peak`."""
    (line,) = (one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def forget_peak(pid: int) -> None:
    """Let the peak begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@dataclass
class Slow:
    """Callers that send nothing, or a byte a second: how many were closed, and after how long at most."""

    closed: int = 0
    longest_s: float = 0.0


@asynccontextmanager
async def slow(port: int, count: int) -> AsyncIterator[Slow]:
    """Be `count` callers, half of them silent and half trickling; each comes again when it is closed."""
    told = Slow()

    async def caller(trickles: bool) -> None:  # noqa: FBT001 - one of two kinds
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            began = time.monotonic()
            with suppress(ConnectionError):
                if trickles:
                    writer.write(b"GET /healthz HTTP/1.1\r\nx: ")
                while True:
                    try:
                        async with asyncio.timeout(1):
                            await reader.read(1)
                        break
                    except TimeoutError:
                        writer.write(b"x" if trickles else b"")
            told.closed += 1
            told.longest_s = max(told.longest_s, time.monotonic() - began)
            writer.close()

    tasks = [asyncio.create_task(caller(number % 2 == 0)) for number in range(count)]
    try:
        yield told
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def following(port: int, path: str, token: str, count: int) -> AsyncIterator[None]:
    """Follow a stream by `count` connections until the block ends; each has had its first bytes when it begins."""
    head = request_head("GET", path.encode(), [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())])
    writers = []

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 12)
        writer.write(head)
        said = await reader.readuntil(b": up\n")
        assert b" 200 " in said, said
        writers.append(writer)

    at_once = 100
    for begin in range(0, count, at_once):
        await asyncio.gather(*(one() for _ in range(min(at_once, count - begin))))
    try:
        yield
    finally:
        for writer in writers:
            writer.close()


async def down(port: int, path: str, token: str) -> int:
    """Read a large answer to its end; answer its bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 18)
    head = [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())]
    writer.write(request_head("GET", path.encode(), head))
    said = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in said, said
    left = size = int(re.findall(rb"content-length: (\d+)", said)[0])
    while left:
        block = await reader.read(1 << 18)
        assert block
        left -= len(block)
    writer.close()
    return size


async def up(port: int, path: str, token: str, size: int) -> None:
    """Send a large body, no faster than it is taken."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    length = (b"content-length", b"%d" % size)
    head = [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode()), length]
    writer.write(request_head("POST", path.encode(), head))
    for _ in range(size >> 16):
        writer.write(b"x" * (1 << 16))
        await writer.drain()
    said = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in said, said
    writer.close()
