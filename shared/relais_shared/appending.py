"""Rows that are only ever added: those of one transaction go to the database together, in one statement.

The row that a step changed may go with them.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import BindParameter, Insert, Update, bindparam, event, insert, inspect, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.util import await_only
from sqlmodel import SQLModel

from relais_shared.driver import Statement, driver_of

TOGETHER: Final = 8
"""Rows of one statement at most: each other number of rows is another statement, to be made and kept."""
STATEMENTS: Final = 256
"""Statements kept, by their tables and columns: a step of the handshake has a handful."""

Row = tuple[type[SQLModel], dict[str, Any]]
Shape = tuple[tuple[type[SQLModel], tuple[str, ...]], ...]


class Appending(Session):
    """A session that also writes what `append` gave it, wherever it writes what changed."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as SQLAlchemy has them
        super().__init__(*args, **options)
        self.appended: list[Row] = []
        self.changed: Row | None = None

    def clean(self) -> bool:
        """Say whether nothing waits to be written."""
        return not self.appended and self.changed is None and self._is_clean()

    def flush(self, objects: Any = None) -> None:  # noqa: ANN401 - as SQLAlchemy has it
        """Write what was appended, then what changed: row-level security may let it add nothing afterwards."""
        rows, self.appended = sorted(self.appended, key=_table), []
        changed, self.changed = self.changed, None
        while rows or changed:
            some, rows = rows[:TOGETHER], rows[TOGETHER:]
            values = {f"{name}_{place}": value for place, (_, row) in enumerate(some) for name, value in row.items()}
            last, changed = (None, changed) if rows else (changed, None)
            if last is not None:
                values |= {f"{name}_changed": value for name, value in last[1].items()}
            statement = _statement(_shape(some), _shape([last]) if last else None)
            with driver_of(self, statement) as driver:
                done = await_only(driver.execute(statement.sql, *statement.values(values)))
            if last is not None and done != "UPDATE 1":
                raise StaleDataError(f"A row of {last[0].__name__} that was to change is not there.")
        super().flush(objects)


def append(tx: AsyncSession, table: type[SQLModel], **values: Any) -> None:  # noqa: ANN401 - of any column
    """Add a row that this transaction neither changes nor takes back.

    As an object of the session it would be looked through for what became of it, and sent by a statement of its own:
    that was a quarter of what a step of the handshake cost.

    Args:
        tx: Of `Database`.
        table: Where it goes; the rows that it refers to are written already.
        values: By column; without those that the database fills by itself.
    """
    assert isinstance(tx.sync_session, Appending)  # noqa: S101 - another session would lose the row
    tx.sync_session.appended.append((table, values))


def leave(tx: AsyncSession, row: SQLModel) -> None:
    """Take a row out of the session, and write what changed of it with the rows that are appended.

    Of everything that a step changes this is the one row in most of them, and its own statement was a round trip more.
    Where anything else changed too, all is left to the session, which knows in which order.

    Args:
        tx: Of `Database`.
        row: Of the session, locked by this transaction; it reads as before, but nothing is to change it any more.
    """
    session = tx.sync_session
    assert isinstance(session, Appending)  # noqa: S101 - another session would lose the change
    if session.new or session.deleted or session.changed is not None or list(session.dirty) != [row]:
        return
    state = inspect(row)
    names = [*(str(column.key) for column in state.mapper.primary_key), *state.committed_state]
    session.changed = (type(row), {name: getattr(row, name) for name in names})
    session.expunge(row)


@event.listens_for(Appending, "before_commit")
def _before_commit(session: Appending) -> None:
    session.flush()  # SQLAlchemy does so only where an object changed.


@event.listens_for(Appending, "after_soft_rollback")
def _after_rollback(session: Appending, _transaction: object) -> None:
    session.appended.clear()
    session.changed = None


def _table(row: Row) -> str:
    return row[0].__name__


def _shape(rows: Sequence[Row]) -> Shape:
    return tuple((table, tuple(values)) for table, values in rows)


@lru_cache(STATEMENTS)
def _statement(added: Shape, changed: Shape | None) -> Statement:
    """Answer the statement that adds one row for each table and columns, and changes one."""
    every: list[Insert | Update] = [
        insert(table).values({name: bindparam(f"{name}_{place}") for name in names})
        for place, (table, names) in enumerate(added)
    ]
    for table, names in changed or ():
        keys = {str(column.key) for column in inspect(table).primary_key}
        values: dict[str, BindParameter[Any]] = {name: bindparam(f"{name}_changed") for name in names}
        row = update(table).values({name: value for name, value in values.items() if name not in keys})
        every.append(row.where(*(getattr(table, name) == values[name] for name in keys)))
    *first, last = every
    return Statement(last.add_cte(*(one.cte(f"row_{place}") for place, one in enumerate(first))))
