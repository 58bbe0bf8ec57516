"""What the directory costs: search beside its SQL, SQL beside `select 1`, import beside COPY, capacity beside a commit.

`make bench-directory` takes 100,000 generated services; `--large 1000000` adds a million (some fifteen minutes more).
Every figure is a ratio of two sides measured in turn in one run; see docs/performance.md for how to read them.
"""

import argparse
import asyncio
import json
import os
import pickle
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import asyncpg
import uvicorn
from generate import CHARLEROI, COUNTRY, drawn, write
from joserfc.jwk import OKPKey
from starlette.datastructures import State

from relais_directory import search_store, store
from relais_directory.app import SEARCHING
from relais_directory.domain.geo import geodesic_m, position
from relais_directory.nearby import Municipalities
from relais_directory.openings import Openings
from relais_directory.routes import search
from relais_directory.schemas import SearchQuery
from relais_gateway.upstream import Instance
from relais_shared.auth import Actor, Keyring
from relais_shared.client import open_client
from relais_shared.protocol import DeadlineProtocol

sys.path.insert(0, str(Path(__file__).parents[3] / "tests"))

from support.measuring import Result, call, compare, rate, report
from support.stack import Stack, free_ports

QUERIES = 400
RADIUS_KM = 50
SEED = 7
THEMES = ("childcare", "mobility", "training", "support")
WORDS = ("crèche", "permis", "formation", "logement", "atelier numérique", "accompagnement emploi")
TABLES = ("organisation", "service", "service_at_location", "opening", "card", "search_entry", "vocabulary")
"""What an import of services writes, owners first."""

Points = Sequence[tuple[float, float]]


def bare(dsn: str, asked: dict[bytes, search_store.Asked]) -> Any:  # noqa: ANN401 - an ASGI app
    """Answer an ASGI app that runs the search's SQL and sends the rows' bodies, and does nothing else."""
    pool: list[asyncpg.Pool] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's callables
        if scope["type"] == "lifespan":
            await receive()
            pool.append(await asyncpg.create_pool(dsn, min_size=2, max_size=10, server_settings=SEARCHING))
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await pool[0].close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        async with pool[0].acquire() as connection:
            rows = await search_store.search(connection, asked[scope["query_string"]])
        body = b'{"items":[' + b",".join([row["body"] + b"}" for row in rows]) + b"]}"
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    return app


def serve_bare(dsn: str, asked: dict[bytes, search_store.Asked], port: int) -> None:
    """Serve the other side until terminated."""
    uvicorn.run(
        bare(dsn, asked), port=port, http=DeadlineProtocol, loop="uvloop", access_log=False, log_level="warning"
    )


def answering(port: int) -> None:
    """Wait until somebody listens on a port."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)


class Bench:
    """A directory of its own, filled, and what measures it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.dsn = (stack.home / "secrets" / "relais_directory_dsn").read_text().strip()
        self.owner = (stack.home / "secrets" / "relais_directory_owner_dsn").read_text().strip()
        self.owner = self.owner.replace("postgresql+asyncpg", "postgresql")
        password = (stack.home / "secrets" / "relais_postgres_password").read_text().strip()
        self.admin = f"postgresql://postgres:{password}@{self.owner.rpartition('@')[2]}"
        self.results: list[Result] = []
        key = OKPKey.import_key(json.loads((stack.home / "keys" / "gateway.jwk").read_text()))
        self.keyring = Keyring("gateway", key, {})
        self.points: Points = drawn().points

    def token(self, *scopes: str, organisation: UUID | None = None) -> str:
        """Answer an assertion of the gateway's for a caller with these scopes."""
        actor = Actor("client", "client:bench", organisation_id=organisation, scopes=frozenset(scopes))
        return self.keyring.sign("directory", actor)

    # ── import ─────────────────────────────────────────────────────────────────────────────────────────────────

    def imported(self, file: Path, source: str, *, gently: bool = False) -> tuple[float, float]:
        """Import a file by the command; answer seconds and peak memory in MB."""
        command = [str(Path(sys.executable).with_name("relais")), "import", str(file), "--source", source]
        began = time.perf_counter()
        process = subprocess.Popen(
            ["nice", "-n", "10", *command] if gently else command,
            env={**os.environ, "RELAIS_HOME": str(self.stack.home)},
            stderr=subprocess.DEVNULL,
        )
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return time.perf_counter() - began, usage.ru_maxrss / 1024

    async def copied(self, folder: Path) -> float:
        """Copy the same rows into tables of the same kind; answer the seconds that COPY takes."""
        connection = await asyncpg.connect(self.owner)
        await connection.execute("set statement_timeout = 0; drop schema if exists bench cascade; create schema bench")
        seconds = 0.0
        for name in TABLES:
            await connection.execute(f"create table bench.{name} (like public.{name} including all)")
            file = folder / f"{name}.copy"
            await connection.copy_from_query(f"select * from public.{name}", output=file, format="binary")  # noqa: S608 - our own names
            began = time.perf_counter()
            await connection.copy_to_table(name, source=file, schema_name="bench", format="binary")
            seconds += time.perf_counter() - began
            file.unlink()
        await connection.execute("drop schema bench cascade")
        await connection.close()
        return seconds

    # ── search ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def questions(self, limit: int, points: Points, *, words: bool = False) -> dict[bytes, search_store.Asked]:
        """Answer the queries of both sides: the address of ours, and what it asks of the store."""
        chance = random.Random(SEED)  # noqa: S311 - the same queries in every run, no secret
        connection = await asyncpg.connect(self.dsn)
        # What the route's own reading of a query needs: both sides then run the same SQL, themes that words mean too.
        state = State(
            {
                "settings": SimpleNamespace(country="be", words=None),
                "municipalities": Municipalities(await store.municipalities(connection)),
                "terms": {row["code"]: row["id"] for row in await store.terms(connection)},
                "openings": Openings(),
            }
        )
        found = {}
        for latitude, longitude in chance.choices(points, k=QUERIES):
            asked = {"near": f"{latitude:.5f},{longitude:.5f}", "theme": chance.choice(THEMES), "radius_km": RADIUS_KM}
            asked |= {"limit": limit} | ({"q": chance.choice(WORDS)} if words else {})
            query = SearchQuery.model_validate(asked | {"theme": [asked["theme"]]})
            meant, _why, _where = await search.prepared(connection, state, query, datetime.now(UTC))
            found[urlencode(asked).encode()] = replace(meant, limit=limit + 1)
        await connection.close()
        return found

    @asynccontextmanager
    async def other_side(self, asked: dict[bytes, search_store.Asked]) -> AsyncIterator[int]:
        """Serve the same SQL by a bare ASGI app in a process of its own, as ours has."""
        (port,) = free_ports(1)
        questions = self.stack.home / "questions.pickle"
        questions.write_bytes(pickle.dumps((self.dsn, asked)))
        other = await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__).parent), "--bare", str(questions), "--port", str(port)
        )
        await asyncio.to_thread(answering, port)
        try:
            yield port
        finally:
            other.terminate()
            await other.wait()

    @asynccontextmanager
    async def untraced(self) -> AsyncIterator[int]:
        """Serve the directory once more, without traces."""
        (port,) = free_ports(1)
        environment = {
            **os.environ,
            "RELAIS_HOME": str(self.stack.home),
            "RELAIS_DIRECTORY_PORT": str(port),
            "RELAIS_DIRECTORY_GATEWAY_URL": self.stack.base_url,
            "OTEL_SDK_DISABLED": "true",
        }
        mine = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "relais_directory", "serve", env=environment, stderr=subprocess.DEVNULL
        )
        await asyncio.to_thread(answering, port)
        try:
            yield port
        finally:
            mine.terminate()
            await mine.wait()

    async def against_bare(self, name: str, port: int, asked: dict[bytes, search_store.Asked], target: float) -> None:
        """Measure the whole route against the same SQL."""
        addresses = [b"/v1/directory/search?" + query for query in asked]
        headers = [(b"authorization", f"Bearer {self.token('directory:read')}".encode())]
        async with self.other_side(asked) as other:

            async def ours() -> float:
                return await rate(f"http://127.0.0.1:{port}", addresses, headers)

            async def theirs() -> float:
                return await rate(f"http://127.0.0.1:{other}", addresses, [])

            self.results.append(await compare(name, ours, theirs, target))

    async def searches(self) -> None:
        """Measure search with and without traces, words, in the city and in the country, at 10 and 50."""
        city = [one for one in self.points if _km(one, CHARLEROI) < 10]
        country = [one for one in self.points if _km(one, COUNTRY) < 25]
        traced = self.stack.ports["directory"]
        every = self.points
        for limit, whole, at_100 in ((10, 0.6, 0.35), (50, 0.75, 0.5)):
            asked = await self.questions(limit, every)
            await self.against_bare(f"search, limit {limit}, traced / bare ASGI, same SQL", traced, asked, at_100)
            async with self.untraced() as port:
                await self.against_bare(f"search, limit {limit} / bare ASGI, same SQL", port, asked, whole)
        for name, points in (("city", city), ("country", country)):
            asked = await self.questions(10, points)
            await self.against_bare(f"search, {name}, limit 10, traced / bare ASGI, same SQL", traced, asked, 0.35)
        asked = await self.questions(10, every, words=True)
        await self.against_bare("search, words, limit 10, traced / bare ASGI, same SQL", traced, asked, 0.35)
        async with self.untraced() as port:
            await self.against_bare("search, words, limit 10 / bare ASGI, same SQL", port, asked, 0.6)

    async def latencies(self, count: int = QUERIES) -> list[float]:
        """Answer the seconds of searches, one after the other, sorted."""
        asked = await self.questions(10, self.points)
        token = self.token("directory:read")
        found = []
        async with open_client(f"http://127.0.0.1:{self.stack.ports['directory']}") as client:
            client.headers["Authorization"] = f"Bearer {token}"
            for query in [*list(asked)[:20], *list(asked)[:count]]:
                began = time.perf_counter()
                answer = await client.get(f"/v1/directory/search?{query.decode()}")
                found.append(time.perf_counter() - began)
                assert answer.status_code == 200
        return sorted(found[20:])

    async def statement(self) -> None:
        """Measure the SQL of one search against `select 1` on one connection."""
        asked = list((await self.questions(10, self.points)).values())
        connection = await asyncpg.connect(self.dsn, server_settings=SEARCHING)
        ours, theirs = [], []
        for one in [*asked[:20], *asked]:
            began = time.perf_counter()
            await search_store.search(connection, one)
            ours.append(time.perf_counter() - began)
            began = time.perf_counter()
            await connection.fetchval("select 1")
            theirs.append(time.perf_counter() - began)
        await connection.close()
        self.at_most("SQL of one search, p50 / select 1", _ms(_p50(ours[20:])), _ms(_p50(theirs[20:])), 20, "ms")

    # ── capacity ───────────────────────────────────────────────────────────────────────────────────────────────

    async def capacity(self) -> None:
        """Measure from telling open places to seeing them in search, against a bare commit."""
        await self.settled()
        async with self.untraced() as port:
            ours, commit = await self.told_and_seen(port)
        self.at_most("capacity told and seen, p50 / bare commit + 5 ms / 3", ours, commit + 5 / 3, 3, "ms")
        ours, commit = await self.told_and_seen(self.stack.ports["directory"])
        self.at_most("capacity told and seen, traced, p50 / bare commit + 5 ms / 3", ours, commit + 5 / 3, None, "ms")

    async def settled(self) -> None:
        """Let PostgreSQL do what an import left it: its checkpoint, and what vacuums by itself, within two minutes."""
        connection = await asyncpg.connect(self.admin)
        await connection.execute("checkpoint")
        busy = "select count(*) from pg_stat_activity where backend_type = 'autovacuum worker'"
        for _ in range(120):
            if not await connection.fetchval(busy):
                break
            await asyncio.sleep(1)
        await connection.close()

    async def told_and_seen(self, port: int) -> tuple[float, float]:
        """Answer the ms of telling open places and seeing them in search, and of a bare commit, in turn: the p50."""
        connection = await asyncpg.connect(self.owner)
        row = await connection.fetchrow(
            "select s.id, s.organisation_id from service s join card c on c.service_id = s.id"
            " where c.position is not null order by s.id limit 1"
        )
        assert row is not None
        await connection.execute("create table if not exists bench_commit (id int primary key, n int)")
        await connection.execute("insert into bench_commit values (1, 0) on conflict do nothing")
        token = self.token("directory:read", "directory:capacity", organisation=row["organisation_id"])
        ours, theirs = [], []
        find = f"/v1/directory/search?organisation_id={row['organisation_id']}&has_capacity=true&limit=100".encode()
        tell = f"/v1/directory/services/{row['id']}/capacity".encode()
        headers = [(b"authorization", f"Bearer {token}".encode())]
        directory = Instance("directory", f"http://127.0.0.1:{port}")
        for number in range(60):
            said = json.dumps({"available": number + 1}).encode()
            began = time.perf_counter()
            await call(directory, "PUT", tell, [*headers, (b"content-type", b"application/json")], said)
            page = await call(directory, "GET", find, headers)
            ours.append(time.perf_counter() - began)
            seen = [one for one in json.loads(page)["items"] if one["id"] == str(row["id"])]
            assert seen[0]["capacity"]["available"] == number + 1
            began = time.perf_counter()
            await connection.execute("update bench_commit set n = n + 1 where id = 1")
            theirs.append(time.perf_counter() - began)
        directory.close()
        await connection.execute("drop table bench_commit")
        await connection.close()
        return _ms(_p50(ours)), _ms(_p50(theirs))

    def at_most(self, name: str, ours: float, theirs: float, target: float | None, unit: str) -> None:
        """Note a ratio that shall not be above its target; None: it has none."""
        ratio = ours / theirs
        holds = target is None or ratio <= target
        self.results.append(Result(name, round(ours, 2), round(theirs, 2), round(ratio, 2), target, holds, unit, 1))

    def at_least(self, name: str, ours: float, theirs: float, target: float, unit: str) -> None:
        """Note a ratio that shall not be below its target."""
        ratio = ours / theirs
        self.results.append(Result(name, round(ours), round(theirs), round(ratio, 2), target, ratio >= target, unit, 1))


def _km(one: tuple[float, float], other: tuple[float, float]) -> float:
    first, second = position(*one), position(*other)
    return geodesic_m(sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) ** 0.5) / 1000


def _p50(found: Sequence[float]) -> float:
    return statistics.median(found)


def _p95(found: Sequence[float]) -> float:
    return sorted(found)[int(len(found) * 0.95)]


def _ms(seconds: float) -> float:
    return seconds * 1000


async def measured(bench: Bench, folder: Path, count: int, large: int, *, searches: bool) -> None:
    """Fill, measure, fill more, measure again."""
    file = folder / "generated.jsonl"
    write(file, count)
    print(f"importing {count} generated services ({'real' if drawn().real else 'gazetteer'} places)")
    seconds, memory = await asyncio.to_thread(bench.imported, file, "bench")
    copying = await bench.copied(folder)
    bench.at_least(f"import of {count} / COPY of the same rows", count / seconds, count / copying, 0.1, "rows/s")
    print(f"  {count / seconds:.0f} rows/s, peak memory {memory:.0f} MB; COPY {count / copying:.0f} rows/s")
    await bench.statement()
    await bench.capacity()
    if searches:
        await bench.searches()

    quiet = _p95(await bench.latencies())
    again = folder / "again.jsonl"
    write(again, count)
    running = asyncio.create_task(asyncio.to_thread(bench.imported, again, "bench2", gently=True))
    busy: list[float] = []
    while not running.done():
        busy += await bench.latencies(100)
    await running
    bench.at_most("search while importing, p95 / quiet p95", _ms(_p95(busy)), _ms(quiet), 3, "ms")

    if large:
        connection = await asyncpg.connect(bench.owner)
        await connection.execute("truncate service, organisation, opening, vocabulary cascade")
        await connection.close()
        file = folder / "large.jsonl"
        write(file, large)
        print(f"importing {large} generated services")
        seconds, more = await asyncio.to_thread(bench.imported, file, "large")
        copying = await bench.copied(folder)
        bench.at_least(f"import of {large} / COPY of the same rows", large / seconds, large / copying, 0.1, "rows/s")
        bench.at_most(f"peak memory of the import of {large} / of {count}", more, memory, 1.5, "MB")
        bench.at_most(f"p95 of search at {large} / at {count}", _ms(_p95(await bench.latencies())), _ms(quiet), 2, "ms")
    report("directory", bench.results)


def main() -> None:
    """Start a directory of its own, fill it, measure it."""
    options = argparse.ArgumentParser()
    options.add_argument("--services", type=int, default=100_000)
    options.add_argument("--large", type=int, default=0, help="Also measure with so many.")
    options.add_argument("--skip-searches", action="store_true", help="Leave out the search against its own SQL.")
    options.add_argument("--bare", type=Path, help="Serve the other side: these questions ...")
    options.add_argument("--port", type=int, help="... on this port.")
    given = options.parse_args()
    if given.bare:
        dsn, asked = pickle.loads(given.bare.read_bytes())  # noqa: S301 - written by ourselves a moment ago
        serve_bare(dsn, asked, given.port)
        return
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack.start(Path(folder) / "home")
        try:
            asyncio.run(
                measured(Bench(stack), Path(folder), given.services, given.large, searches=not given.skip_searches)
            )
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
