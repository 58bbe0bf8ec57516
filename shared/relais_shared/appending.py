"""Rows that are only ever added: those of one transaction go to the database together, in one statement."""

from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Insert, bindparam, event, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlmodel import SQLModel

TOGETHER: Final = 8
"""Rows of one statement at most: each other number of rows is another statement, to be made and kept."""
STATEMENTS: Final = 256
"""Statements kept, by their tables and columns: a step of the handshake has a handful."""

Row = tuple[type[SQLModel], dict[str, Any]]


class Appending(Session):
    """A session that also writes what `append` gave it, wherever it writes what changed."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as SQLAlchemy has them
        super().__init__(*args, **options)
        self.appended: list[Row] = []

    def clean(self) -> bool:
        """Say whether nothing waits to be written."""
        return not self.appended and self._is_clean()

    def flush(self, objects: Any = None) -> None:  # noqa: ANN401 - as SQLAlchemy has it
        """Write what was appended, then what changed: row-level security may let it add nothing afterwards."""
        rows, self.appended = sorted(self.appended, key=_table), []
        while rows:
            some, rows = rows[:TOGETHER], rows[TOGETHER:]
            shape = tuple((table, tuple(values)) for table, values in some)
            values = {f"{name}_{place}": value for place, (_, row) in enumerate(some) for name, value in row.items()}
            self.connection().execute(_statement(shape), values)
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


@event.listens_for(Appending, "before_commit")
def _before_commit(session: Appending) -> None:
    session.flush()  # SQLAlchemy does so only where an object changed.


@event.listens_for(Appending, "after_soft_rollback")
def _after_rollback(session: Appending, _transaction: object) -> None:
    session.appended.clear()


def _table(row: Row) -> str:
    return row[0].__name__


@lru_cache(STATEMENTS)
def _statement(shape: tuple[tuple[type[SQLModel], tuple[str, ...]], ...]) -> Insert:
    """Answer the statement that adds one row for each table and columns."""
    *first, last = (
        insert(table).values({name: bindparam(f"{name}_{place}") for name in names})
        for place, (table, names) in enumerate(shape)
    )
    return last.add_cte(*(one.cte(f"row_{place}") for place, one in enumerate(first)))
