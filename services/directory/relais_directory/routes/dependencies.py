"""What the routes ask for: who may do what, and a transaction on the directory's own connection."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated
from uuid import UUID

import asyncpg
from fastapi import Depends, Request

from relais_shared.auth import Actor, requires
from relais_shared.db import DOWN
from relais_shared.refusals import ScopeMissing, Unavailable

MayRead = Annotated[Actor, requires("directory:read")]
"""Whoever may search and read."""
MayWrite = Annotated[Actor, requires("directory:write")]
"""Whoever may write entries of its own organisation."""
MayTell = Annotated[Actor, requires("directory:capacity", "directory:write")]
"""Whoever may tell the open places of its own organisation."""
Operator = Annotated[Actor, requires("platform:admin")]
"""Whoever looks after the whole directory."""
Owners = Annotated[Actor, requires("directory:write", "platform:admin")]
"""Owners for what is theirs, operators for everything."""


def reading(request: Request) -> AbstractAsyncContextManager[asyncpg.pool.PoolConnectionProxy]:
    """Open a connection to read with, for routes that ask for one late.

    Raises:
        Unavailable: The database does not answer.
    """
    return _of(request.app.state.pool)


def searching(request: Request) -> AbstractAsyncContextManager[asyncpg.pool.PoolConnectionProxy]:
    """Open a connection to search with: one that plans a search once (`app.SEARCHING`).

    Raises:
        Unavailable: The database does not answer.
    """
    return _of(request.app.state.searching)


@asynccontextmanager
async def _of(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
    try:
        async with pool.acquire() as connection:
            yield connection
    except DOWN as fault:
        raise Unavailable("The database does not answer. Try again.") from fault


async def _reading(request: Request) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
    async with reading(request) as connection:
        yield connection


async def _writing(request: Request) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
    async with changing(request) as connection:
        yield connection


@asynccontextmanager
async def changing(request: Request) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
    """Open a transaction, for routes that ask for one late; it is committed when the block ends well.

    Raises:
        Unavailable: The database does not answer.
    """
    try:
        async with request.app.state.pool.acquire() as connection, connection.transaction():
            yield connection
    except DOWN as fault:
        raise Unavailable("The database does not answer. Nothing was stored; try again.") from fault


Reading = Annotated[asyncpg.pool.PoolConnectionProxy, Depends(_reading, scope="function")]
"""A connection to read with."""
Writing = Annotated[asyncpg.pool.PoolConnectionProxy, Depends(_writing, scope="function")]
"""A connection in a transaction, committed before the answer leaves: a lost commit is no success."""


def organisation_of(actor: Actor) -> UUID:
    """Answer the organisation that an actor acts for.

    Raises:
        ScopeMissing: It acts for none.
    """
    if actor.organisation_id is None:
        raise ScopeMissing("This is done in the name of an organisation.")
    return actor.organisation_id
