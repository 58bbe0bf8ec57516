"""Whoever connects to a busy server is taken soon, not after as many turns of its loop as others stand before."""

import asyncio
import socket

import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from relais_shared import service

CALLERS = 80


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    """Begin and end: nobody asks it anything."""
    assert scope["type"] == "lifespan"
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def _turns(server: uvicorn.Server, sockets: list[socket.socket] | None, address: tuple[str, int]) -> int:
    """Answer in how many turns of its loop a server takes callers that connect all at once."""
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup(sockets=sockets)
    callers = [socket.create_connection(address) for _ in range(CALLERS)]
    turns = 0
    while len(server.server_state.connections) < CALLERS:
        await asyncio.sleep(0)
        turns += 1
        assert turns < 10 * CALLERS
    for caller in callers:
        caller.close()
    await server.shutdown(sockets=sockets)
    return turns


def test_a_turn_takes_many_callers() -> None:
    """One handle alone takes one in a turn, which is what uvloop does: where that changes, this is not needed."""
    alone = service.server(_app, host="127.0.0.1", port=0)
    first = alone.config.bind_socket()
    assert uvloop.run(_turns(alone, [first], first.getsockname())) >= CALLERS

    several = service.server(_app, host="127.0.0.1", port=0)
    sockets = service.listening(several.config)
    assert uvloop.run(_turns(several, sockets, sockets[0].getsockname())) <= CALLERS // service.ACCEPTED_AT_ONCE + 3
