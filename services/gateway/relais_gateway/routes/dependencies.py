"""What several routes ask for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import Request

from relais_gateway import store
from relais_shared.db import DOWN
from relais_shared.refusals import Unavailable

PRINTED: Final = r"^[^\x00-\x1f\x7f]*$"
"""A text of one line; the database holds no zero byte."""


@asynccontextmanager
async def transaction(request: Request) -> AsyncIterator[store.Connection]:
    """Open a transaction; it is committed when the block ends well, before the answer leaves.

    Raises:
        Unavailable: The database does not answer; whatever else it says is a fault of ours, and no refusal.
    """
    try:
        async with request.app.state.pool.acquire() as connection, connection.transaction():
            yield connection
    except ValueError:
        raise  # asyncpg's word for an argument that fits no column is one of its InterfaceErrors too.
    except DOWN as fault:
        raise Unavailable("The database does not answer. Nothing was stored; try again.") from fault
