"""The other side: the same rows of each step, written by bare asyncpg in one transaction, over HTTP."""

import pickle
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import uvicorn
from walk import TABLES, Seen

from relais_shared.protocol import DeadlineProtocol

Value = Any
WORKING = {"relais.worker": "on"}
"""Row-level security holds for this role too: it asks once for each connection, not for each transaction."""
CONNECTIONS = 10
"""As many as the service has."""


@dataclass(frozen=True)
class Statement:
    """One statement of a step, and the values of its rows as they were written for real."""

    table: str
    sql: str
    rows: list[tuple[Value, ...]]


@dataclass(frozen=True)
class Script:
    """A step as the other side does it.

    Attributes:
        statements: In the order of the tables.
        answer: What the service answered: as many bytes are sent.
        status: With which status.
    """

    statements: list[Statement]
    answer: bytes
    status: int


@dataclass(frozen=True)
class Remap:
    """Turns the rows of the referral that was walked into those of another one.

    Attributes:
        walked: The referral.
        own: Every id that was made for it: each becomes another for each new referral.
    """

    walked: UUID
    own: frozenset[UUID]

    def toward(self, new: UUID) -> Callable[[Value], Value]:
        """Answer the function that turns one value."""
        mask = self.walked.int ^ new.int
        own = self.own

        def turn(value: Value) -> Value:
            return UUID(int=value.int ^ mask) if isinstance(value, UUID) and value in own else value

        return turn


def script_of(seen: Seen) -> Script:
    """Answer what a step wrote as statements: changed columns of old rows, new rows whole."""
    statements: dict[tuple[str, str], Statement] = {}
    for table, was, row in seen.written():
        if was is None:
            names = list(row)
            places = ", ".join(f"${place}" for place in range(1, len(names) + 1))
            sql = f"insert into {table} ({', '.join(names)}) values ({places})"  # noqa: S608 - our own names
        else:
            keys = TABLES[table]
            names = [name for name in row if row[name] != was[name]]
            changed = ", ".join(f"{name} = ${place}" for place, name in enumerate(names, start=1))
            found = " and ".join(f"{name} = ${place}" for place, name in enumerate(keys, start=len(names) + 1))
            sql = f"update {table} set {changed} where {found}"  # noqa: S608 - our own names
            names += keys
        kept = statements.setdefault((table, sql), Statement(table, sql, []))
        kept.rows.append(tuple(_Code(row[name]) if name in {"short_code", "key"} else row[name] for name in names))
    return Script(list(statements.values()), seen.answer, seen.step.status)


class _Code(str):
    """A text that must be another one for each referral."""

    __slots__ = ()

    def of(self, new: UUID, number: int) -> str:
        """Answer it for a step of a new referral, as long as it was."""
        return f"{urlsafe_b64encode(new.bytes)[number:].decode()}{new.hex}"[: len(self)]


def remap_of(walked: UUID, seen: Sequence[Seen]) -> Remap:
    """Answer how rows are turned: the ids of what belongs to the referral alone are its own."""
    own = {walked}
    for table in TABLES:
        if table != "idempotency":
            own |= {value for key in seen[-1].after[table] for value in key if isinstance(value, UUID)}
    return Remap(walked, frozenset(own))


async def write(connection: asyncpg.Connection, script: Script, remap: Remap, new: UUID, number: int) -> None:
    """Write the rows of a step for a referral, in one transaction."""
    turn = remap.toward(new)
    async with connection.transaction():
        for statement in script.statements:
            rows = [
                tuple(value.of(new, number) if isinstance(value, _Code) else turn(value) for value in row)
                for row in statement.rows
            ]
            if len(rows) == 1:
                await connection.execute(statement.sql, *rows[0])
            else:
                await connection.executemany(statement.sql, rows)


def app_of(dsn: str, scripts: Sequence[Script], remap: Remap) -> Any:  # noqa: ANN401 - an ASGI app
    """Answer an ASGI app that reads a body, writes the rows of `/STEP/REFERRAL`, answers, and does nothing else."""
    pool: list[asyncpg.Pool] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's callables
        if scope["type"] == "lifespan":
            await receive()
            pool.append(await asyncpg.create_pool(dsn, min_size=2, max_size=CONNECTIONS, server_settings=WORKING))
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await pool[0].close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        while (await receive()).get("more_body"):
            pass
        _, number, id_ = scope["path"].split("/")
        script = scripts[int(number)]
        async with pool[0].acquire() as connection:
            await write(connection, script, remap, UUID(id_), int(number))
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(script.answer)).encode())]
        await send({"type": "http.response.start", "status": script.status, "headers": head})
        await send({"type": "http.response.body", "body": script.answer})

    return app


def serve(questions: Path, port: int) -> None:
    """Serve the other side until terminated."""
    dsn, scripts, remap = pickle.loads(questions.read_bytes())  # noqa: S301 - written by ourselves a moment ago
    uvicorn.run(
        app_of(dsn, scripts, remap),
        port=port, http=DeadlineProtocol, loop="uvloop", access_log=False, log_level="warning",
    )  # fmt: skip
