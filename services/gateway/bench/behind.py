"""A service behind the door that streams: events without end, a large download, an upload that it drops."""

import asyncio
import json
import sys
from typing import Any

LARGE = 100 << 20
"""Bytes of a large body."""
BLOCK = 1 << 16
LINE = b'{"id":"00000000-0000-4000-8000-000000000000","text":"une ligne"}\n'
STREAM, DOWN, UP = "/v1/referrals/stream", "/v1/referrals/down", "/v1/referrals/up"

_SAID = {"security": [{"oauth2": ["directory:read"]}]}
DOCUMENT: dict[str, Any] = {
    "paths": {STREAM: {"get": _SAID}, DOWN: {"get": _SAID}, UP: {"post": {**_SAID, "x-relais-body-max": 2 * LARGE}}}
}
OF_ALL = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection of the door's."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await _answer(head, reader, writer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _answer(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    path = head.split(b" ", 2)[1].decode()
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    left = int(lengths[0].partition(b":")[2]) if lengths else 0
    if path == STREAM:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"5\r\n: up\n\r\n")
            await writer.drain()
            await asyncio.sleep(15)
    if path == DOWN:
        writer.write(OF_ALL % (b"application/x-ndjson", LARGE))
        block = (LINE * (BLOCK // len(LINE) + 1))[:BLOCK]
        for _ in range(LARGE // BLOCK):
            writer.write(block)
            await writer.drain()
        return
    size = left
    while left:
        left -= len(await reader.read(min(left, BLOCK)))
    said = json.dumps(DOCUMENT if path == "/openapi.json" else {"size": size}).encode()
    writer.write(OF_ALL % (b"application/json", len(said)) + said)


async def main(port: int) -> None:
    """Serve until terminated."""
    async with await asyncio.start_server(serve, "127.0.0.1", port, limit=2 * BLOCK, backlog=1024) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
