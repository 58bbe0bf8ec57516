"""A partner's receiver: a real server that checks every message with the public library, and can be out of order."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import time_machine
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks.webhooks import Webhook


@dataclass
class Moment:
    """A clock that tests move."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        """Answer where it stands."""
        return self.now


@dataclass(frozen=True)
class Message:
    """What a receiver took or refused."""

    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        """The event."""
        found: dict[str, Any] = orjson.loads(self.body)["data"]
        return found

    def verify(self, secrets: Sequence[str], at: datetime) -> Any:
        """Check it with the public library, as whoever holds one of these secrets at an instant."""
        with time_machine.travel(at, tick=False):
            for secret in secrets[:-1]:
                try:
                    return Webhook(secret).verify(self.body, self.headers)
                except Exception:  # noqa: BLE001, S112 - the next secret may be the one
                    continue
            return Webhook(secrets[-1]).verify(self.body, self.headers)

    def verify_key(self, public_key: str) -> None:
        """Check its Ed25519 signature."""
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        key = Ed25519PublicKey.from_public_bytes(b64decode(public_key.removeprefix("whpk_")))
        signatures = [
            one.removeprefix("v1a,") for one in self.headers["webhook-signature"].split() if one.startswith("v1a,")
        ]
        for signature in signatures[:-1]:
            try:
                key.verify(b64decode(signature), signed)
            except Exception:  # noqa: BLE001, S112 - the next signature may be the one
                continue
            return
        key.verify(b64decode(signatures[-1]), signed)


@dataclass
class Receiver:
    """Answers as it is told: `answers` first to last, then `usual`; an answer is a status or one of `HOW`."""

    moment: Moment
    port: int
    secrets: list[str] = field(default_factory=list)
    usual: int | str = 204
    answers: list[int | str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    taken: list[Message] = field(default_factory=list)
    asked: list[Message] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/in?tenant=7"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one message and answer; every message comes on a connection of its own."""
        try:
            # Whoever hangs up has said or heard enough.
            with suppress(ConnectionError, EOFError):
                await self._take(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        message = Message(headers, await reader.readexactly(int(headers["content-length"])))
        self.asked.append(message)
        self.paths.append(head[0].split(" ")[1])
        answer = self.answers.pop(0) if self.answers else self.usual
        if answer == "reset":
            writer.transport.abort()
            return
        if answer == "slow":
            await asyncio.sleep(60)
        status = answer if isinstance(answer, int) else 200
        if self.secrets:
            message.verify(self.secrets, self.moment.now)
        if 200 <= status < 300:
            self.taken.append(message)
        more = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        length = "" if answer == "endless" else "Content-Length: 0\r\n"
        writer.write(f"HTTP/1.1 {status} Told\r\n{length}{more}\r\n".encode())
        while answer == "endless":
            writer.write(b"x" * 8_192)
            await writer.drain()


@asynccontextmanager
async def receiving(moment: Moment) -> AsyncIterator[Receiver]:
    """Run a receiver on a port of its own."""
    receiver = Receiver(moment, 0)
    under_way: set[asyncio.Task[None]] = set()

    def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(receiver.serve(reader, writer))
        under_way.add(task)
        task.add_done_callback(under_way.discard)

    server = await asyncio.start_server(taken, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
