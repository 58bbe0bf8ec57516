"""The one module that imports httpx: clients toward our own services and the outside."""

import httpx

Client = httpx.AsyncClient
ASGITransport = httpx.ASGITransport
TransportError = httpx.TransportError
Response = httpx.Response

TIMEOUT_S = 2.0
"""What a sibling may take to answer before the caller is told to try again (reliability promise C5)."""


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
