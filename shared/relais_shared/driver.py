"""The driver's own connection under a session's transaction, for statements that are made once and asked often."""

from collections.abc import Iterator, Mapping
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
        statement: Its values are parameters.
    """

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - what defines tables is no statement of a session's
        self.sql = str(compiled)
        self._places = [
            (name, compiled.binds[name].type.dialect_impl(_DIALECT).bind_processor(_DIALECT))
            for name in compiled.positiontup or ()
        ]

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        """Answer values by parameter as the driver takes them; others than the statement's are passed over."""
        return [given[name] if as_sent is None else as_sent(given[name]) for name, as_sent in self._places]


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
