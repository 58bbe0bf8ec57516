"""The one module that imports httpx: clients toward our own services and the outside."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final

import httpx

from relais_shared.lines import Answered, Broken, Lines, Place
from relais_shared.outside import ForbiddenAddress, Target, pinned

Client = httpx.AsyncClient
ASGITransport = httpx.ASGITransport
TransportError = httpx.TransportError
Response = httpx.Response

TIMEOUT_S = 2.0
"""What a sibling may take to answer before the caller is told to try again (reliability promise C5)."""

OUTSIDE_WITHIN_S: Final = 20.0
"""A receiver outside has this long for everything, its name's resolution included (Standard Webhooks: 15 to 30 s)."""

_RESOLVERS: Final = ThreadPoolExecutor(64, "resolver")
"""Names are resolved apart from all other work, each once at a time: a slow name server holds up its names alone."""


@cache
def _authorities() -> ssl.SSLContext:
    """Answer the public authorities of TLS; read once a process, since each time takes some 70 ms."""
    return httpx.create_ssl_context(trust_env=False)


def open_client(
    base_url: str, *, timeout_s: float = TIMEOUT_S, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """Open a pooled client; no redirect is followed and no proxy of the environment is used.

    Args:
        base_url: Where the service listens.
        timeout_s: For connecting, each read and each write.
        transport: Another way to reach it (tests mount siblings with `ASGITransport`).
    """
    return httpx.AsyncClient(
        base_url=base_url,
        timeout=timeout_s,
        follow_redirects=False,
        trust_env=False,
        verify=_authorities(),
        transport=transport,
    )


Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Answers the IP addresses of a host."""


async def resolve(host: str, port: int) -> list[str]:
    """Answer the IP addresses of a host, as the system resolves it.

    Raises:
        ForbiddenAddress: It has none.
    """

    def asked() -> list[Any]:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)

    try:
        found = await asyncio.get_running_loop().run_in_executor(_RESOLVERS, asked)
    except (OSError, UnicodeError):
        raise ForbiddenAddress("This host has no address.") from None
    return [str(one[4][0]) for one in found]


class Unreached(Exception):  # noqa: N818 - an answer to the sender
    """The receiver did not answer; the text is one word for the log: `timeout`, `tls`, `connection`, `address`."""


class Outside:
    """Sends to addresses that others gave us: to a public address only, resolved once and connected to as resolved.

    Args:
        resolving: Answers the addresses of a host.
        within_s: For one sending, everything included.
        verify: Whom TLS trusts; the public authorities unless told.
    """

    def __init__(
        self,
        resolving: Resolve = resolve,
        *,
        within_s: float = OUTSIDE_WITHIN_S,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        self._resolve = resolving
        self._resolving: dict[tuple[str, int], asyncio.Future[list[str]]] = {}
        self._within_s = within_s
        self._lines = Lines(verify or _authorities())

    async def check(self, wanted: Target) -> str:
        """Answer the address that a target leads to now.

        Raises:
            ForbiddenAddress: It does not lead to the open network.
        """
        name = (wanted.host, wanted.port)
        asked = self._resolving.get(name)
        if asked is None:
            asked = self._resolving[name] = asyncio.ensure_future(self._resolve(*name))
            asked.add_done_callback(lambda _: self._resolving.pop(name))
        # Whoever asks while it is asked for shares the answer; who gives up waiting leaves it to the others.
        return pinned(wanted, await asyncio.shield(asked))

    async def post(
        self,
        wanted: Target,
        body: bytes,
        headers: Mapping[str, str],
        *,
        before_sending: Callable[[], Awaitable[None]] | None = None,
    ) -> Answered:
        """Send a body; follow no redirect, read at most 64 KiB of the answer and keep none of it.

        Args:
            wanted: Where to.
            body: What.
            headers: Besides those of HTTP itself.
            before_sending: Asked when the connection stands and nothing has left yet; what it raises ends the sending.

        Raises:
            ForbiddenAddress: The host does not lead to the open network now.
            Unreached: No answer.
        """
        try:
            async with asyncio.timeout(self._within_s):
                # TLS asks for, and checks, the name; the connection goes to the address that was judged.
                address, secure = await self.check(wanted), wanted.scheme == "https"
                place = Place(address, wanted.port, wanted.host if secure else None)
                return await self._ask(place, _request(wanted, body, headers), before_sending)
        except TimeoutError:
            raise Unreached("timeout") from None
        except (OSError, Broken) as fault:
            raise Unreached("tls" if isinstance(fault, ssl.SSLError) else "connection") from None

    async def _ask(
        self, place: Place, request: bytes, before_sending: Callable[[], Awaitable[None]] | None
    ) -> Answered:
        while True:
            line = await self._lines.take(place)
            kept = line.kept
            try:
                if before_sending is not None:
                    await before_sending()
                answer = await line.ask(request)
            except Broken as broken:
                # A kept connection may have been closed as we took it. Should it have come after all, it comes twice.
                if kept and not broken.heard:
                    continue
                raise
            except BaseException:
                line.close()
                raise
            self._lines.keep(place, line)
            return answer

    async def close(self) -> None:
        """Close every connection."""
        self._lines.close()
        await asyncio.sleep(0)  # The loop lets go of what was ended in its next turn.


def _request(wanted: Target, body: bytes, headers: Mapping[str, str]) -> bytes:
    usual = {"http": 80, "https": 443}[wanted.scheme]
    host = f"[{wanted.host}]" if ":" in wanted.host else wanted.host
    said = {
        "Host": host if wanted.port == usual else f"{host}:{wanted.port}",
        "User-Agent": "Relais",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Content-Length": str(len(body)),
        **headers,
    }
    lines = [f"POST {wanted.path} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items()), "", ""]
    return "\r\n".join(lines).encode() + body
