"""What a hot path reads: a query made once, asked of the transaction's own connection."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import asyncpg
from sqlalchemy import Select, inspect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.attributes import set_committed_value

from relais_shared.appending import Appending
from relais_shared.driver import Statement, driver_of


class Reading:
    """A query whose rows are read past SQLAlchemy's session; what they become is the session's as ever.

    Finding out each time what is asked, and how its answer is read, was three tenths of what a step of the handshake
    took (`docs/decisions/0032`).

    Args:
        query: Of whole tables, or of columns. Its values are parameters.
    """

    def __init__(self, query: Select[*tuple[Any, ...]]) -> None:
        self.statement = Statement(query)
        entities = [one["entity"] for one in query.column_descriptions if one["entity"] is not None]
        mappers = {entity.__table__: inspect(entity) for entity in entities}
        self._parts: list[_Part | _Value] = []
        for table, columns in groupby(query.selected_columns, key=lambda column: column.table):
            names = [str(column.key) for column in columns]
            self._parts += [_Part(mappers[table], names)] if table in mappers else [_Value()] * len(names)

    async def rows(self, tx: AsyncSession, **values: Any) -> Sequence[asyncpg.Record]:  # noqa: ANN401 - of any column
        """Answer the rows as they are. What waits to be written is not written first.

        Args:
            tx: Its transaction has begun.
            values: By parameter; others than the query's are passed over.

        Raises:
            DBAPIError: As SQLAlchemy has it.
        """
        with driver_of(tx.sync_session, self.statement) as driver:
            return await driver.fetch(self.statement.sql, *self.statement.values(values))

    async def objects(self, tx: AsyncSession, **values: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - of any column
        """Answer the rows as objects of the session, which change with it; those it knows already are read anew.

        Where a table was joined and had no such row, there is None; a column of no table is answered as it is.

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
        """Take the next columns of a row, and answer the session's object of them; None where the row had none."""
        values = dict(zip(self._names, places, strict=False))
        if values[self._key[0]] is None:
            return None
        key = self._mapper.identity_key_from_primary_key(tuple(values[name] for name in self._key))
        known = session.identity_map.get(key)
        if known is not None:
            for name, value in values.items():
                set_committed_value(known, name, value)
            return known
        made = self._mapper.class_manager.new_instance()
        made.__dict__.update(values)
        # What `make_transient_to_detached` does of a row that is read whole.
        inspect(made).key = key
        session.add(made)
        return made


class _Value:
    """A column that belongs to no object."""

    def object(self, _session: Session, places: Iterator[Any]) -> Any:  # noqa: ANN401 - of any column
        """Take the next column of a row."""
        return next(places)
