"""The one module that imports httpx: clients toward our own services and the outside."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from relais_shared.outside import ForbiddenAddress, Target, pinned

Client = httpx.AsyncClient
ASGITransport = httpx.ASGITransport
TransportError = httpx.TransportError
Response = httpx.Response

TIMEOUT_S = 2.0
"""What a sibling may take to answer before the caller is told to try again (reliability promise C5)."""

OUTSIDE_WITHIN_S: Final = 20.0
"""A receiver outside has this long for everything, its name's resolution included (Standard Webhooks: 15 to 30 s)."""

READ_AT_MOST: Final = 64 << 10
"""Bytes of a receiver's answer that are read, and thrown away: enough to end an honest answer in peace."""


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
        base_url=base_url, timeout=timeout_s, follow_redirects=False, trust_env=False, transport=transport
    )


Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Answers the IP addresses of a host."""


async def resolve(host: str, port: int) -> list[str]:
    """Answer the IP addresses of a host, as the system resolves it.

    Raises:
        ForbiddenAddress: It has none.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ForbiddenAddress("This host has no address.") from None
    return [str(one[4][0]) for one in found]


class Unreached(Exception):  # noqa: N818 - an answer to the sender
    """The receiver did not answer; the text is one word for the log: `timeout`, `tls`, `connection`, `address`."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What is kept of a receiver's answer: never its body."""

    status: int
    retry_after: str | None


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
        self._within_s = within_s
        self._client = httpx.AsyncClient(
            timeout=within_s,
            follow_redirects=False,
            trust_env=False,
            verify=verify or True,
            # A connection is for one host's name; a kept one could be taken for another at the same address.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def check(self, wanted: Target) -> str:
        """Answer the address that a target leads to now.

        Raises:
            ForbiddenAddress: It does not lead to the open network.
        """
        return pinned(wanted, await self._resolve(wanted.host, wanted.port))

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
                async with self._asked(wanted, await self.check(wanted), body, headers, before_sending) as answer:
                    size = 0
                    async for block in answer.aiter_raw():
                        size += len(block)
                        if size >= READ_AT_MOST:
                            break
                    return Answered(answer.status_code, answer.headers.get("retry-after"))
        except (TimeoutError, httpx.TimeoutException):
            raise Unreached("timeout") from None
        except (httpx.TransportError, httpx.InvalidURL, OSError) as fault:
            cause = str(fault)
            raise Unreached("tls" if "CERTIFICATE" in cause or "SSL" in cause else "connection") from None

    @asynccontextmanager
    async def _asked(
        self,
        wanted: Target,
        address: str,
        body: bytes,
        headers: Mapping[str, str],
        before_sending: Callable[[], Awaitable[None]] | None,
    ) -> AsyncIterator[httpx.Response]:
        async def traced(event: str, _info: Mapping[str, Any]) -> None:
            if event == "http11.send_request_headers.started" and before_sending is not None:
                await before_sending()

        usual = {"http": 80, "https": 443}[wanted.scheme]
        host = f"[{wanted.host}]" if ":" in wanted.host else wanted.host
        request = self._client.build_request(
            "POST",
            httpx.URL(scheme=wanted.scheme, host=address, port=wanted.port, raw_path=wanted.path.encode()),
            content=body,
            headers={
                "User-Agent": "Relais",
                "Accept-Encoding": "identity",
                **headers,
                "Host": host if wanted.port == usual else f"{host}:{wanted.port}",
            },
            # TLS asks for, and checks, the name; the connection goes to the address that was judged.
            extensions={"sni_hostname": wanted.host, "trace": traced},
        )
        answer = await self._client.send(request, stream=True)
        try:
            yield answer
        finally:
            await answer.aclose()

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()
