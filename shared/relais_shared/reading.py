"""What a hot path reads: a query made once, asked of the transaction's own connection."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import asyncpg
from sqlalchemy import Select, inspect
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapper, Session, make_transient_to_detached
from sqlalchemy.orm.attributes import set_committed_value

from relais_shared.appending import Appending

ENDED = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InternalClientError,  # what a connection says that is being closed
)
"""What says that a connection serves nobody any more."""


class Reading:
    """A query whose rows are read past SQLAlchemy's session; what they become is the session's as ever.

    Finding out each time what is asked, and how its answer is read, was three tenths of what a step of the handshake
    took (`docs/decisions/0032`).

    Args:
        query: Of whole tables, or of columns. Its values are parameters.
    """

    def __init__(self, query: Select[*tuple[Any, ...]]) -> None:
        compiled = query.compile(dialect=dialect())  # type: ignore[no-untyped-call]  # SQLAlchemy's own
        self.sql, self._names = str(compiled), tuple(compiled.positiontup or ())
        mappers = {one["entity"].__table__: inspect(one["entity"]) for one in query.column_descriptions}
        columns = groupby(query.selected_columns, key=lambda column: column.table)
        self._parts = [_Part(mappers[table], [str(column.key) for column in some]) for table, some in columns]

    async def rows(self, tx: AsyncSession, **values: Any) -> Sequence[asyncpg.Record]:  # noqa: ANN401 - of any column
        """Answer the rows as they are. What waits to be written is not written first.

        Args:
            tx: Its transaction has begun.
            values: By parameter; others than the query's are passed over.

        Raises:
            DBAPIError: As SQLAlchemy has it.
        """
        connection = tx.sync_session.connection()
        driver = connection.connection.driver_connection
        assert isinstance(driver, asyncpg.Connection)  # noqa: S101 - `Database` has no other
        assert driver.is_in_transaction()  # noqa: S101 - what is locked outside of one is free at once
        try:
            return await driver.fetch(self.sql, *[values[name] for name in self._names])
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as fault:
            # What a server that ends says comes before the connection is closed.
            lost = driver.is_closed() or isinstance(fault, ENDED)
            if lost:
                connection.invalidate(fault)
            raise DBAPIError(self.sql, None, fault, hide_parameters=True, connection_invalidated=lost) from fault

    async def objects(self, tx: AsyncSession, **values: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - of any column
        """Answer the rows as objects of the session, which change with it; those it knows already are read anew.

        Args:
            tx: Of `Database`, its transaction has begun. What waits to be written is written first.
            values: By parameter; others than the query's are passed over.
        """
        session = tx.sync_session
        if not (isinstance(session, Appending) and session.clean()):
            await tx.flush()
        found = []
        for row in await self.rows(tx, **values):
            places = iter(row)
            found.append(tuple(part.object(session, places) for part in self._parts))
        return found


class _Part:
    """The columns of a row that make one object."""

    def __init__(self, mapper: Mapper[Any], names: Sequence[str]) -> None:
        self._mapper, self._names = mapper, names
        self._key = [mapper.get_property_by_column(column).key for column in mapper.primary_key]

    def object(self, session: Session, places: Iterator[Any]) -> Any:  # noqa: ANN401 - of the mapped class
        """Take the next columns of a row, and answer the session's object of them."""
        values = dict(zip(self._names, places, strict=False))
        key = self._mapper.identity_key_from_primary_key(tuple(values[name] for name in self._key))
        known = session.identity_map.get(key)
        if known is not None:
            for name, value in values.items():
                set_committed_value(known, name, value)
            return known
        made = self._mapper.class_manager.new_instance()
        made.__dict__.update(values)
        make_transient_to_detached(made)
        session.add(made)
        return made
