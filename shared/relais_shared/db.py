"""PostgreSQL: one engine a service, one transaction a request, committed before the answer leaves."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import asyncpg
import orjson
from fastapi import Depends, Request
from opentelemetry.instrumentation.utils import suppress_instrumentation
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import SessionTransaction

from relais_shared import telemetry
from relais_shared.appending import Appending
from relais_shared.pool import FairPool
from relais_shared.refusals import Unavailable
from relais_shared.settings import ServiceSettings, SettingsProblem

CONNECT_TIMEOUT_S = 5
"""A database that does not answer in five seconds is down, and the caller is better told."""
CONNECT_AGAIN_S = 0.5
"""Where the listening connection broke, another is tried this soon; meanwhile everybody looks for themselves."""
STATEMENT_TIMEOUT_MS = 10_000
"""No statement of a request may hold a connection longer; imports and migrations set their own."""

DOWN: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,  # the connection, or the pool, is closed
    asyncpg.PostgresConnectionError,  # class 08
    asyncpg.InsufficientResourcesError,  # class 53: no room on the disk, no memory, no connection left
    asyncpg.OperatorInterventionError,  # class 57: it stops, starts, or ends what takes too long
    asyncpg.LockNotAvailableError,  # 55P03: another holds it for too long
    asyncpg.ReadOnlySQLTransactionError,  # 25006: it takes nothing, as a standby does
    asyncpg.TransactionRollbackError,  # class 40: two wanted the same at once
)
"""What a query raises while the database is away or has too much to do: the same succeeds a little later."""

_NOT_STORED = "The database does not answer. Nothing was stored; try again."
_UNKNOWN = (
    "The database went away while this was confirmed: it may be stored or not. Read it again, or repeat it with the "
    "same Idempotency-Key."
)
"""A connection lost in COMMIT does not tell which; whoever says "nothing was stored" then may be wrong."""


def async_url(dsn: str) -> str:
    """Answer a DSN as SQLAlchemy's asyncpg driver wants it."""
    return make_url(dsn).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


class Database:
    """A service's own database.

    Args:
        settings: Of the service: DSN and number of connections.
        options: Server settings of every connection, such as `{"jit": "off"}`.
    """

    def __init__(self, settings: ServiceSettings, **options: str) -> None:
        self._service = settings.service
        self.engine: AsyncEngine = create_async_engine(
            async_url(settings.dsn.get_secret_value()),
            pool_size=settings.database_connections,
            poolclass=FairPool,
            max_overflow=0,
            pool_timeout=CONNECT_TIMEOUT_S,
            pool_pre_ping=False,
            isolation_level="READ COMMITTED",
            # The values of a statement may be a person's words: they stay out of every error text.
            hide_parameters=True,
            json_deserializer=orjson.loads,
            connect_args={
                "timeout": CONNECT_TIMEOUT_S,
                "server_settings": {
                    "application_name": f"relais-{settings.service}",
                    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                    "idle_in_transaction_session_timeout": str(2 * STATEMENT_TIMEOUT_MS),
                    **options,
                },
            },
        )

        self._reading = self.engine.execution_options(postgresql_readonly=True)

    def session(self, *, read_only: bool = False) -> AsyncSession:
        """Open a session; no connection is taken before its first statement.

        Args:
            read_only: PostgreSQL itself then refuses a write.
        """
        engine = self._reading if read_only else self.engine
        return AsyncSession(engine, sync_session_class=Appending, expire_on_commit=False)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction outside of a request (commands, workers); commits when the block ends well."""
        async with self.session() as session, session.begin():
            yield session

    async def ping(self) -> bool:
        """Answer whether the database answers."""
        try:
            with suppress_instrumentation():
                async with self.engine.connect() as connection:
                    await connection.execute(text("select 1"))
        except (DBAPIError, OSError, TimeoutError):
            return False
        return True

    async def check_schema(self, migrations: Path) -> None:
        """Refuse to go on with a schema that is not the one this code was written for.

        Raises:
            SettingsProblem: The schema is older or newer; says what to run.
        """
        wanted = newest_of(migrations)
        async with self.engine.connect() as connection:
            there = await connection.scalar(text("select to_regclass('alembic_version')"))
            found = await connection.scalar(text("select version_num from alembic_version")) if there else None
        if found != wanted:
            raise SettingsProblem(
                f"The schema of {self._service} is at {found or 'nothing'}, this program needs {wanted}. "
                f"Run: python -m relais_{self._service} migrate"
            )

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


@event.listens_for(Appending, "after_begin")
def _after_begin(session: Appending, _transaction: SessionTransaction, connection: Connection) -> None:
    # A savepoint begins inside: it is part of what is told already.
    if _SPAN not in session.info:
        session.info[_SPAN] = telemetry.transaction(connection.engine.url.database)


@event.listens_for(Appending, "after_transaction_end")
def _after_transaction_end(session: Appending, transaction: SessionTransaction) -> None:
    if transaction.parent is None and (span := session.info.pop(_SPAN, None)) is not None:
        span.end()


_SPAN = "span"


class Bell:
    """Wakes whoever waits when PostgreSQL notifies of something; a connection of its own listens.

    A ring is a hint and no message: whoever waits looks for itself, and looks now and then without any.

    Args:
        dsn: Of the database.
        channels: What is listened to.
    """

    def __init__(self, dsn: str, *channels: str) -> None:
        self._dsn = make_url(dsn).set(drivername="postgresql").render_as_string(hide_password=False)
        self._channels = channels
        self._rung = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen; where the connection breaks, another is opened."""
        self._listening = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Listen no more."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    def ring(self) -> None:
        """Wake everybody who waits now."""
        self._rung.set()
        self._rung = asyncio.Event()

    def next(self) -> asyncio.Event:
        """Answer what the next ring sets. To be asked before looking, so that a ring in between is not lost."""
        return self._rung

    @staticmethod
    async def within(ring: asyncio.Event, seconds: float) -> bool:
        """Wait for a ring, at most so long; answer whether it came."""
        try:
            async with asyncio.timeout(seconds):
                await ring.wait()
        except TimeoutError:
            return False
        return True

    async def _listen(self) -> None:
        while True:
            try:
                connection = await asyncpg.connect(
                    self._dsn, timeout=CONNECT_TIMEOUT_S, server_settings={"application_name": "relais-bell"}
                )
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(CONNECT_AGAIN_S)
                continue
            ended = asyncio.Event()
            try:
                connection.add_termination_listener(partial(_set, ended))
                for channel in self._channels:
                    await connection.add_listener(channel, lambda *_: self.ring())
                # What was said while nobody listened is not said again.
                self.ring()
                await ended.wait()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                continue
            finally:
                with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await connection.close(timeout=1)


def _set(event: asyncio.Event, _connection: object) -> None:
    event.set()


def newest_of(migrations: Path) -> str:
    """Answer the newest revision of a migrations folder: the one that no other follows.

    Read from the files: whoever serves has no need of Alembic, which takes as long to import as a database to ask.

    Raises:
        SettingsProblem: Two of them follow the same one: the code was put together wrongly.
    """
    said: list[dict[str, str]] = [
        dict(_REVISION.findall(file.read_text(encoding="utf-8"))) for file in (migrations / "versions").glob("*.py")
    ]
    newest = {one["revision"] for one in said} - {one.get("down_revision") for one in said}
    if len(newest) != 1:
        raise SettingsProblem(f"The migrations end in {len(newest)} places: {', '.join(sorted(newest))}.")
    return newest.pop()


_REVISION = re.compile(r'^(revision|down_revision) = "(\w+)"', re.MULTILINE)


async def _read(request: Request) -> AsyncIterator[AsyncSession]:
    async with _judged(request, read_only=True) as session:
        yield session


async def _write(request: Request) -> AsyncIterator[AsyncSession]:
    async with _judged(request, read_only=False) as session:
        yield session


@asynccontextmanager
async def _judged(request: Request, *, read_only: bool) -> AsyncIterator[AsyncSession]:
    database: Database = request.app.state.database
    confirming = False
    session = database.session(read_only=read_only)
    try:
        yield session
        confirming = not read_only
        await session.commit()
    except (InterfaceError, OSError, TimeoutError, NoConnection) as fault:
        raise Unavailable(_UNKNOWN if confirming else _NOT_STORED) from fault
    except DBAPIError as fault:
        if fault.connection_invalidated:
            raise Unavailable(_UNKNOWN if confirming else _NOT_STORED) from fault
        if isinstance(fault.orig, DOWN) or isinstance(getattr(fault.orig, "__cause__", None), DOWN):
            raise Unavailable("The database could not finish this. Nothing was stored; try again.") from fault
        raise
    finally:
        # Closing takes a task of its own, and what was committed holds nothing any more. What a lost connection says to
        # it adds nothing: the answer is decided already.
        if session.in_transaction():
            with suppress(DBAPIError):
                async with session:
                    pass


def apart(request: Request) -> AbstractAsyncContextManager[AsyncSession]:
    """Open a transaction beside the request's own, which stands though the request is then refused.

    For what a refusal must not undo, such as counting a wrong try; everything else is the request's one transaction.
    """
    return late(request)


def late(request: Request) -> AbstractAsyncContextManager[AsyncSession]:
    """Open the request's one transaction where its work begins; it is committed when the block ends well.

    As `WriteTx`, for routes that make their answer themselves, once what they did stands: FastAPI's way to open and
    close it costs as much as a statement.

    Raises:
        Unavailable: The database does not answer, or not any more.
    """
    return _judged(request, read_only=False)


ReadTx = Annotated[AsyncSession, Depends(_read, scope="function")]
"""A session whose transaction is READ ONLY in the database too."""
WriteTx = Annotated[AsyncSession, Depends(_write, scope="function")]
"""A session whose transaction is committed before the answer leaves: a lost commit is no success.

`scope="function"` says so; FastAPI's default would run the commit after the answer has left.
"""
