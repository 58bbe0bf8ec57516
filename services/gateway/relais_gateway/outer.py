"""What stands before the gateway and what it says behind it: trusted proxies, and `Forwarded` (RFC 7239)."""

from typing import Final
from urllib.parse import urlsplit

from starlette.types import Scope

from relais_gateway.domain.forwarded import caller, forwarded, x_forwarded_for
from relais_gateway.settings import GatewaySettings

READERS: Final = {"forwarded": forwarded, "x-forwarded-for": x_forwarded_for}


class Outer:
    """The side toward the world.

    Args:
        settings: Name the proxies that are ours, the header that they write, and our public address.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._trusted = tuple(settings.proxies)
        self._name = settings.proxy_header.encode()
        self._read = READERS[settings.proxy_header]
        outside = urlsplit(settings.public_url)
        self.word = (b"forwarded", f'by=_relais;for=_hidden;host="{outside.netloc}";proto={outside.scheme}'.encode())
        """What our services are told: where the outside reached us, and of the caller's address nothing."""

    def seen(self, scope: Scope) -> Scope:
        """Answer the scope with the address that called, where a proxy of ours stands before us."""
        if not self._trusted or not scope.get("client"):
            return scope
        values = [value.decode("latin-1") for name, value in scope["headers"] if name == self._name]
        if not values:
            return scope
        peer, port = scope["client"]
        found = caller(peer, self._read(values), self._trusted)
        return scope if found == peer else {**scope, "client": (found, port)}
