"""The driver's own connection under a session's transaction, for statements that are made once and asked often."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import asyncpg
from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler

ENDED = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InternalClientError,  # what a connection says that is being closed
)
"""What says that a connection serves nobody any more."""

_DIALECT = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own


class Statement:
    """A statement of SQLAlchemy's as the driver takes it: its text, and its values in their places.

    Args:
        statement: What changes from one time to the next is a parameter; other values stand as they were given.
    """

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - what defines tables is no statement of a session's
        self.sql = str(compiled)
        self._places = [
            (name, compiled.binds[name].type.dialect_impl(_DIALECT).bind_processor(_DIALECT))
            for name in compiled.positiontup or ()
        ]
        self._constants = {
            name: bind.value for name, bind in compiled.binds.items() if not bind.required and bind.value is not None
        }

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        """Answer values by parameter as the driver takes them; others than the statement's are passed over."""
        given = {**self._constants, **given} if self._constants else given
        return [given[name] if as_sent is None else as_sent(given[name]) for name, as_sent in self._places]


def begun_by(session: Session, sql: str, values: Sequence[Any]) -> None:
    """Begin a session's transaction, where it has not begun, and ask a statement whose answer is nobody's.

    By the cursor that SQLAlchemy itself would take: what it finds out around it costs more than the statement.

    Args:
        session: Of `Database`.
        sql: As the driver takes it, `$1` in the place of the first value.
        values: In their places.

    Raises:
        DBAPIError: As SQLAlchemy has it.
    """
    connection = session.connection()
    lent = connection.connection
    try:
        cursor = lent.cursor()
        cursor.execute(sql, values)
        cursor.close()
    except connection.dialect.loaded_dbapi.Error as fault:
        driver = lent.driver_connection
        # What could not even begin would be taken for begun by the next (asyncpg's savepoints).
        lost = driver is None or not driver.is_in_transaction() or isinstance(fault.__cause__, ENDED)
        if lost:
            connection.invalidate(fault)
        raise DBAPIError(sql, None, fault, hide_parameters=True, connection_invalidated=lost) from fault
    except BaseException as fault:
        # Cancelled meanwhile: nobody knows whether it has begun, and the next would find itself inside of it.
        connection.invalidate(fault)
        raise


@contextmanager
def driver_of(session: Session, statement: Statement) -> Iterator[asyncpg.Connection]:
    """Answer the connection of a session's transaction, to ask a statement.

    Raises:
        DBAPIError: As SQLAlchemy has it, for what the driver raises inside.
    """
    connection = session.connection()
    driver = connection.connection.driver_connection
    assert isinstance(driver, asyncpg.Connection)  # noqa: S101 - `Database` has no other
    assert driver.is_in_transaction()  # noqa: S101 - what is locked outside of one is free at once
    try:
        yield driver
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as fault:
        # What a server that ends says comes before the connection is closed.
        lost = driver.is_closed() or isinstance(fault, ENDED)
        if lost:
            connection.invalidate(fault)
        raise DBAPIError(statement.sql, None, fault, hide_parameters=True, connection_invalidated=lost) from fault
