"""What a step of the handshake costs beside its rows, written by bare asyncpg in one transaction over HTTP.

`make bench-referral` walks fewer hand-overs on a slower machine; `--large 1000000` compares 1,000 referrals with a
million generated ones, and takes as long as it takes to copy them. Every figure is a ratio of sides measured in turn
in one run; see docs/performance.md.
"""

import argparse
import asyncio
import json
import os
import pickle
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from bare import WORKING, Remap, Script, remap_of, script_of, serve, write
from generate import fill
from joserfc.jwk import OKPKey
from walk import Caller, Parties, Seen, secret_of, seen, steps

from relais_referral.domain import chain
from relais_referral.sealing import Sealer, Wrapped
from relais_shared.auth import Actor, Keyring
from relais_shared.client import open_client

sys.path.insert(0, str(Path(__file__).parents[3] / "tests"))

from support.measuring import ROUNDS, Result, report
from support.stack import Stack, free_ports

CLIENTS = {1: 20, 8: 80, 32: 160}
"""Callers at once, and how many hand-overs they walk together in one turn: some seconds of each side."""
STEPS_WITHIN_S = 150.0
"""For all turns of the steps together: on a slow machine each turn walks fewer hand-overs, at least one a caller."""
ACCEPT = "accept"
TARGETS = {"ours": 0.4, "traced": 0.3}
"""Of an accept, beside its bare rows."""
SMALL = 1_000
"""Referrals that the growth is measured from."""
GROWN_BY = 8
"""Callers at once while the growth is measured."""
GROWN = 40
"""Hand-overs that they walk in one turn of it."""
SETTLE_S = 2.0
"""Spans leave within a second or two: what one turn left behind is not charged to the next."""
SCOPES = frozenset({"referral:send", "referral:receive"})


@dataclass
class Turns:
    """What one side took in all its turns: by step, the rates, the seconds of calls, and the CPU of its process."""

    rates: list[list[float]] = field(default_factory=list)
    seconds: list[list[float]] = field(default_factory=list)
    cpu: list[list[float]] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Side:
    """One server that is measured."""

    url: str
    pid: int
    parties: Parties | None


async def turn(side: Side, taken: Sequence[Seen], clients: int, count: int) -> Turns:
    """Walk so many hand-overs step by step, all of one step before the next; answer what each step took."""
    caller = Caller(side.url, side.parties, taken)
    ids = [""] * count
    found = Turns()
    spent = 0.0
    for number in range(len(taken)):
        places = iter(range(count))
        seconds: list[float] = []
        cpu, began = cpu_of(side.pid), time.perf_counter()
        await asyncio.gather(*(_work(caller, number, ids, places, seconds) for _ in range(clients)))
        took = time.perf_counter() - began
        spent += took
        found.rates.append([count / took])
        found.seconds.append(seconds)
        found.cpu.append([(cpu_of(side.pid) - cpu) / count])
    found.whole.append(count * len(taken) / spent)
    caller.close()
    return found


async def _work(caller: Caller, number: int, ids: list[str], places: Iterator[int], seconds: list[float]) -> None:
    for place in places:
        took, ids[place] = await caller.take(number, ids[place])
        seconds.append(took)


def cpu_of(pid: int) -> float:
    """Answer the CPU seconds that a process has used, by the scheduler's own fine clock."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e9


def gathered(turns: Sequence[Turns]) -> Turns:
    """Answer the turns of one side as one."""
    found = Turns()
    for name in ("rates", "seconds", "cpu"):
        by_step = zip(*(getattr(one, name) for one in turns), strict=True)
        setattr(found, name, [[value for part in parts for value in part] for parts in by_step])
    found.whole = [value for one in turns for value in one.whole]
    return found


def answering(port: int) -> None:
    """Wait until somebody listens on a port."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise TimeoutError(f"Nobody listens on port {port}.")


class Bench:
    """A Relais of its own, one hand-over walked in it, and what measures the rest against its rows."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.dsn = secret_of(stack.home, "relais_referral_dsn")
        self.owner = secret_of(stack.home, "relais_referral_owner_dsn")
        password = (stack.home / "secrets" / "relais_postgres_password").read_text().strip()
        self.admin = f"postgresql://postgres:{password}@{self.dsn.rpartition('@')[2]}"
        key = OKPKey.import_key(json.loads((stack.home / "keys" / "gateway.jwk").read_text()))
        self.keyring = Keyring("gateway", key, {})
        self.results: list[Result] = []
        self.table: list[str] = []
        self.taken: list[Seen] = []
        self.remap = Remap(uuid4(), frozenset())
        self.scripts: list[Script] = []
        self.parties = self._parties()

    def _parties(self) -> Parties:
        sender, recipient = self.stack.clients("directory:read", "referral:send", "referral:receive")[:2]
        actors = [
            Actor("client", f"client:{one['client_id']}", UUID(one["organisation_id"]), one["organisation"], SCOPES)
            for one in (sender, recipient)
        ]
        return Parties(self.keyring, *actors)

    async def prepare(self) -> None:
        """Walk one hand-over for real: its calls and rows are the pattern of all others."""
        recipient = self.parties.recipient.organisation_id
        assert recipient is not None
        reader = Actor("client", "client:bench", scopes=frozenset({"directory:read"}))
        token = self.keyring.sign("directory", reader)
        async with open_client(f"http://127.0.0.1:{self.stack.ports['directory']}") as client:
            answer = await client.get(
                "/v1/directory/search",
                params={"organisation_id": str(recipient), "limit": 100},
                headers={"Authorization": f"Bearer {token}"},
            )
        service = next(one for one in answer.json()["items"] if one["can_receive"] == "relais")
        walk = steps(recipient, UUID(service["service"]["id"]), "childcare")
        url = f"http://127.0.0.1:{self.stack.ports['referral']}"
        walked, self.taken = await seen(url, self.parties, walk, self.admin)
        self.remap = remap_of(walked, self.taken)
        self.scripts = [script_of(one) for one in self.taken]

    @asynccontextmanager
    async def served(self, *, traced: bool, dsn: str | None = None) -> AsyncIterator[Side]:
        """Serve the referral app once more, with traces or without, on another database where told."""
        (port,) = free_ports(1)
        environment = {
            **os.environ,
            "RELAIS_HOME": str(self.stack.home),
            "RELAIS_REFERRAL_PORT": str(port),
            "RELAIS_REFERRAL_GATEWAY_URL": self.stack.base_url,
            "RELAIS_REFERRAL_DIRECTORY_URL": f"http://127.0.0.1:{self.stack.ports['directory']}",
            "RELAIS_TELEMETRY_URL": f"http://127.0.0.1:{self.stack.ports['gateway_otlp']}",
        }
        if not traced:
            environment["OTEL_SDK_DISABLED"] = "true"
        if dsn is not None:
            environment["RELAIS_REFERRAL_DSN"] = dsn
        command = [sys.executable, "-m", "relais_referral", "serve"]
        async with self._running(command, port, environment) as pid:
            yield Side(f"http://127.0.0.1:{port}", pid, self.parties)

    @asynccontextmanager
    async def other_side(self) -> AsyncIterator[Side]:
        """Serve the bare rows from a process of its own, as ours has."""
        (port,) = free_ports(1)
        questions = self.stack.home / "scripts.pickle"
        questions.write_bytes(pickle.dumps((self.dsn, self.scripts, self.remap)))
        command = [sys.executable, str(Path(__file__).parent), "--bare", str(questions), "--port", str(port)]
        async with self._running(command, port, dict(os.environ)) as pid:
            yield Side(f"http://127.0.0.1:{port}", pid, None)

    @asynccontextmanager
    async def _running(self, command: Sequence[str], port: int, environment: dict[str, str]) -> AsyncIterator[int]:
        with (self.stack.home / "bench.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
        try:
            await asyncio.to_thread(answering, port)
            yield process.pid
        finally:
            process.terminate()
            await process.wait()

    # ── steps ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def steps(self) -> dict[int, dict[str, Turns]]:
        """Measure every step on all sides, in turn; answer the turns by number of clients."""
        found = {}
        async with self.served(traced=False) as ours, self.served(traced=True) as traced, self.other_side() as bare:
            sides = {"ours": ours, "traced": traced, "bare": bare}
            began = time.perf_counter()
            for side in sides.values():
                await turn(side, self.taken, 8, 40)
            wanted = (time.perf_counter() - began) / 40 * ROUNDS * sum(CLIENTS.values())
            share = min(1.0, STEPS_WITHIN_S / wanted)
            for clients, most in CLIENTS.items():
                count = max(clients, 3, int(most * share))
                turns: dict[str, list[Turns]] = {name: [] for name in sides}
                for _ in range(ROUNDS):
                    for name, side in sides.items():
                        turns[name].append(await turn(side, self.taken, clients, count))
                        await asyncio.sleep(SETTLE_S)
                found[clients] = {name: gathered(each) for name, each in turns.items()}
                self._note(clients, found[clients])
        return found

    def _note(self, clients: int, sides: dict[str, Turns]) -> None:
        many = f"{clients} client{'s' if clients > 1 else ''}"
        bare = sides["bare"]
        self.table += ["", f"{many:20}  (each: plain, traced, bare rows)", _HEAD]
        for name in ("ours", "traced"):
            side = sides[name]
            of = "" if name == "ours" else ", traced"
            for number, one in enumerate(self.taken):
                target = TARGETS[name] if one.step.name == ACCEPT else None
                title = f"{one.step.name}{of}, {many}"
                self.add(f"{title} / bare rows", side.rates[number], bare.rates[number], "steps/s", target)
                for word, share in (("p50", 0.5), ("p95", 0.95)):
                    pair = [_at(each.seconds[number], share) * 1000 for each in (side, bare)]
                    self.add(f"{title}, {word} / bare rows", pair[:1], pair[1:], "ms", None)
                cpu = [statistics.median(each.cpu[number]) * 1000 for each in (side, bare)]
                self.add(f"{title}, CPU of the process / bare rows", cpu[:1], cpu[1:], "ms", None)
            self.add(f"whole walk{of}, {many} / bare rows", side.whole, bare.whole, "steps/s", None)
        for number, one in enumerate(self.taken):
            self.table.append(_line(one.step.name, [sides[name] for name in ("ours", "traced", "bare")], number))

    def add(self, name: str, ours: Sequence[float], theirs: Sequence[float], unit: str, target: float | None) -> None:
        """Note a ratio: the median of the rounds' own."""
        ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
        medians = [round(statistics.median(side), 3) for side in (ours, theirs)]
        holds = target is None or ratio >= target
        self.results.append(Result(name, *medians, round(ratio, 3), target, holds, unit, len(ours)))

    # ── what a step holds ──────────────────────────────────────────────────────────────────────────────────────

    async def parts(self, accept_s: float) -> None:
        """Measure sealing, the chain and the outbox's row of one accept by themselves, beside the whole step."""
        number = next(place for place, one in enumerate(self.taken) if one.step.name == ACCEPT)
        after = self.taken[number].after
        (referral,) = after["referral"].values()
        sealed = {row["part"]: row["content"] for row in after["sealed_part"].values()}
        opened = [name for name in sealed if not name.startswith("external_ids")]
        sealer = Sealer.load(self.stack.home)

        def unseal() -> None:
            seal = sealer.open(referral["id"], Wrapped(referral["key_id"], referral["wrapped_key"]))
            for name in opened:
                seal.open(name, sealed[name])

        row = max(after["event"].values(), key=lambda each: each["number"])
        kept = {each.name: row[each.name] for each in fields(chain.Event)}
        event = chain.Event(**{**kept, "data": json.loads(row["data"])})
        connection = await asyncpg.connect(self.dsn, server_settings=WORKING)
        script = self.scripts[number]
        without = Script([one for one in script.statements if one.table != "event"], b"", 200)
        took: dict[str, list[float]] = {"with": [], "without": []}
        for word, each in [("without", without), ("with", script)] * 100:
            id_ = uuid4()
            for place in range(number):
                await write(connection, self.scripts[place], self.remap, id_, place)
            began = time.perf_counter()
            await write(connection, each, self.remap, id_, number)
            took[word].append(time.perf_counter() - began)
        await connection.close()
        outbox = max(statistics.median(took["with"]) - statistics.median(took["without"]), 0.0)
        whole = accept_s * 1e6
        self.table += ["", f"{'one accept':24}{'µs':>10}{'of it':>10}", f"{'the whole step, p50':24}{whole:>10.0f}"]
        for name, seconds in (
            (f"sealing ({len(opened)} pieces)", each_takes(unseal)),
            ("event chain (a hash)", each_takes(lambda: chain.digest(event))),
            ("outbox (the event row)", outbox),
        ):
            self.table.append(f"{name:24}{seconds * 1e6:>10.0f}{seconds / accept_s:>10.1%}")
            self.add(f"{name} / one accept, 1 client", [seconds * 1e6], [whole], "µs", None)

    # ── growth ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def growth(self, large: int) -> None:
        """Measure the walk among few and among many referrals: two databases on one server, in turn."""
        sides = {}
        async with AsyncExitStack() as opened:
            for count in (SMALL, large):
                name = f"relais_referral_{count}"
                dsns = await self._database(name)
                seconds = await fill(dsns[0], self.remap, self.taken, count)
                said = f"{count} generated referrals copied in {seconds:.0f} s"
                print(said)
                self.table += ["", said]
                sides[count] = await opened.enter_async_context(self.served(traced=False, dsn=dsns[1]))
            turns: dict[int, list[Turns]] = {count: [] for count in sides}
            for round_ in range(ROUNDS + 1):
                for count, side in sides.items():
                    one = await turn(side, self.taken, GROWN_BY, GROWN)
                    # The first turn warms up.
                    turns[count] += [one] if round_ else []
        few, many = (gathered(each) for each in turns.values())
        name = f"steps/s among {large} referrals / among {SMALL}"
        self.add(name, many.whole, few.whole, "steps/s", 0.75)
        number = next(place for place, one in enumerate(self.taken) if one.step.name == ACCEPT)
        self.add(f"accept among {large} / among {SMALL}", many.rates[number], few.rates[number], "steps/s", 0.75)

    async def _database(self, name: str) -> tuple[str, str]:
        """Make another database of the referral app; answer how the administrator and the app reach it."""
        admin = await asyncpg.connect(self.admin)
        await admin.execute(f"create database {name} template template0 owner relais_referral_owner")
        await admin.close()
        superuser, dsn, owner = (f"{one.rpartition('/')[0]}/{name}" for one in (self.admin, self.dsn, self.owner))
        environment = {**os.environ, "RELAIS_HOME": str(self.stack.home), "RELAIS_REFERRAL_OWNER_DSN": owner}
        migrate = [sys.executable, "-m", "relais_referral", "migrate"]
        await asyncio.to_thread(subprocess.run, migrate, env=environment, check=True, stdout=subprocess.DEVNULL)
        return superuser, dsn


def each_takes(work: Callable[[], Any], times: int = 2_000) -> float:
    """Answer the seconds of one of many calls, the median of five series."""
    series = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(times):
            work()
        series.append((time.perf_counter() - began) / times)
    return statistics.median(series)


_HEAD = f"{'':20}{'steps/s':^24}{'p50 ms':^24}{'p95 ms':^24}{'CPU ms of the process':^24}"


def _line(name: str, sides: Sequence[Turns], number: int) -> str:
    """Answer a line of the table: plain, traced and bare beside each other."""
    columns = [
        [f"{statistics.median(side.rates[number]):.0f}" for side in sides],
        [f"{_at(side.seconds[number], 0.5) * 1000:.1f}" for side in sides],
        [f"{_at(side.seconds[number], 0.95) * 1000:.1f}" for side in sides],
        [f"{statistics.median(side.cpu[number]) * 1000:.2f}" for side in sides],
    ]
    return f"{name:20}" + "".join("".join(f"{one:>8}" for one in column) for column in columns)


def _at(seconds: Sequence[float], share: float) -> float:
    """Answer the value below which a share of the calls stayed."""
    return sorted(seconds)[int(len(seconds) * share)]


async def measured(bench: Bench, large: int, *, only_growth: bool) -> None:
    """Walk once, measure the steps, their parts, and the growth."""
    await bench.prepare()
    try:
        if not only_growth:
            found = await bench.steps()
            number = next(place for place, one in enumerate(bench.taken) if one.step.name == ACCEPT)
            await bench.parts(_at(found[1]["ours"].seconds[number], 0.5))
        if large:
            await bench.growth(large)
    finally:
        # What was measured before it was stopped is told all the same.
        if bench.results:
            print("\n".join(bench.table) + "\n")
            report("referral", bench.results)


def main() -> None:
    """Start a Relais of its own, measure it."""
    options = argparse.ArgumentParser()
    options.add_argument("--large", type=int, default=20_000, help="Referrals that 1,000 are compared with; 0: none.")
    options.add_argument("--only-growth", action="store_true", help="Leave out the steps against their bare rows.")
    options.add_argument("--bare", type=Path, help="Serve the other side: these rows ...")
    options.add_argument("--port", type=int, help="... on this port.")
    given = options.parse_args()
    if given.bare:
        serve(given.bare, given.port)
        return
    # A bench that is told to end does so as by Ctrl-C: everything that it started ends with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack.start(Path(folder) / "home")
        try:
            asyncio.run(measured(Bench(stack), given.large, only_growth=given.only_growth))
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
