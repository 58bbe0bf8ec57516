"""What a search costs beside its SQL: the whole route against a bare ASGI app that runs the same statement.

`--services N` sets how many services are generated around the places of the gazetteer and imported.
"""

import argparse
import asyncio
import json
import os
import pickle
import random
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import uvicorn
from joserfc.jwk import OKPKey

from relais_directory import store
from relais_directory.app import READING
from relais_directory.domain.geo import position
from relais_directory.gazetteer import Place, read_places
from relais_shared.auth import Actor, Keyring
from relais_shared.service import DeadlineProtocol

sys.path.insert(0, str(Path(__file__).parents[3] / "tests"))

from support.measuring import compare, rate, report
from support.stack import Stack, free_ports

THEMES = ["childcare--nursery", "childcare--childminder", "mobility--bike", "training--digital", "support--housing"]
QUERIES = 400
RADIUS_KM = 50
SEED = 7


def generated(file: Path, count: int) -> list[Place]:
    """Write `count` records around real places, the same for the same count; answer the places asked for."""
    chance = random.Random(SEED)  # noqa: S311 - the same data in every run, no secret
    towns = [place for place in read_places() if place.kind == "municipality" and place.precision == "exact"]
    weights = [max(place.population, 100) for place in towns]
    with file.open("w") as out:
        for number, town in enumerate(chance.choices(towns, weights, k=count)):
            record = {
                "record_id": str(number),
                "organisation": {"record_id": str(number % 500), "name": f"Structure {number % 500} (généré)"},
                "name": f"Service généré {number}",
                "description": "Un service généré pour mesurer la recherche, autour d'un lieu réel.",
                "themes": [chance.choice(THEMES)],
                "modes": ["on_site"],
                "locations": [
                    {
                        "record_id": "1",
                        "address": {"municipality_code": town.code, "country": town.country.upper()},
                        "latitude": town.latitude + chance.uniform(-0.03, 0.03),
                        "longitude": town.longitude + chance.uniform(-0.03, 0.03),
                        "opening_hours": "Mo-Fr 08:00-18:00; PH off",
                    }
                ],
            }
            out.write(json.dumps(record) + "\n")
    return chance.choices(towns, weights, k=QUERIES)


def bare(dsn: str, asked: dict[bytes, store.Asked]) -> Any:  # noqa: ANN401 - an ASGI app
    """Answer an ASGI app that runs the search's SQL and sends the rows' bodies, and does nothing else."""
    pool: list[asyncpg.Pool] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's callables
        if scope["type"] == "lifespan":
            await receive()
            pool.append(await asyncpg.create_pool(dsn, min_size=2, max_size=10, server_settings=READING))
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await pool[0].close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        async with pool[0].acquire() as connection:
            rows = await store.search(connection, asked[scope["query_string"]])
        body = b'{"items":[' + b",".join(row["body"].encode() + b"}" for row in rows) + b"]}"
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    return app


def serve_bare(dsn: str, asked: dict[bytes, store.Asked], port: int) -> None:
    """Serve the other side until terminated."""
    uvicorn.run(
        bare(dsn, asked), port=port, http=DeadlineProtocol, loop="uvloop", access_log=False, log_level="warning"
    )


def answering(port: int) -> None:
    """Wait until somebody listens on a port."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)


def prepared(towns: list[Place], terms: dict[str, int], limit: int) -> dict[bytes, store.Asked]:
    """Answer the queries of both sides: the address of ours, and what it asks of the store."""
    chance = random.Random(SEED)  # noqa: S311 - as above
    found = {}
    for town in towns:
        theme = chance.choice(["childcare", "mobility", "training", "support"])
        near = f"{town.latitude:.5f},{town.longitude:.5f}"
        query = f"near={near}&theme={theme}&radius_km={RADIUS_KM}&limit={limit}".encode()
        at = position(*map(float, near.split(",")))
        where = store.Where(at, RADIUS_KM * 1000, ("*", town.code))
        found[query] = store.Asked(
            where, (terms[theme],), (), (), None, "distance", None, limit + 1, datetime.now(UTC).date()
        )
    return found


async def measured(stack: Stack, towns: list[Place]) -> None:
    """Measure at 10 and 50 items."""
    dsn = (stack.home / "secrets" / "relais_directory_dsn").read_text().strip()
    connection = await asyncpg.connect(dsn)
    terms = {row["code"]: row["id"] for row in await store.terms(connection, "themes")}
    await connection.close()
    key = OKPKey.import_key(json.loads((stack.home / "keys" / "gateway.jwk").read_text()))
    keyring = Keyring("gateway", key, {})
    actor = Actor("client", "client:bench", scopes=frozenset({"directory:read"}))
    results = []
    for limit, target in ((10, 0.35), (50, 0.5)):
        asked = prepared(towns, terms, limit)
        addresses = [b"/v1/directory/search?" + query for query in asked]
        (port,) = free_ports(1)
        # The other side has a process of its own, as ours has.
        questions = stack.home / "questions.pickle"
        questions.write_bytes(pickle.dumps((dsn, asked)))
        other = await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__).parent), "--bare", str(questions), "--port", str(port)
        )
        await asyncio.to_thread(answering, port)

        async def ours(addresses: list[bytes] = addresses) -> float:
            headers = [(b"authorization", f"Bearer {keyring.sign('directory', actor)}".encode())]
            return await rate(f"http://127.0.0.1:{stack.ports['directory']}", addresses, headers)

        async def theirs(addresses: list[bytes] = addresses, port: int = port) -> float:
            return await rate(f"http://127.0.0.1:{port}", addresses, [])

        name = f"search, theme and radius, limit {limit} (traced) / bare ASGI, same SQL"
        results.append(await compare(name, ours, theirs, target))
        other.terminate()
        await other.wait()
    report("directory", results)


def main() -> None:
    """Start a directory of its own, fill it, measure it."""
    options = argparse.ArgumentParser()
    options.add_argument("--services", type=int, default=20_000)
    options.add_argument("--bare", type=Path, help="Serve the other side: these questions ...")
    options.add_argument("--port", type=int, help="... on this port.")
    given = options.parse_args()
    if given.bare:
        dsn, asked = pickle.loads(given.bare.read_bytes())  # noqa: S301 - written by ourselves a moment ago
        serve_bare(dsn, asked, given.port)
        return
    count = given.services
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack.start(Path(folder) / "home")
        try:
            file = Path(folder) / "generated.jsonl"
            towns = generated(file, count)
            print(f"importing {count} generated services")
            subprocess.run(  # noqa: S603 - our own command
                [str(Path(sys.executable).with_name("relais")), "import", str(file)],
                env={**os.environ, "RELAIS_HOME": str(stack.home)},
                check=True,
            )
            asyncio.run(measured(stack, towns))
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
