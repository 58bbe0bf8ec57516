"""Addresses that others give us to call: only what is public may be reached, so that nobody calls us inside (SSRF)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from relais_shared.refusals import Refusal

LONGEST: Final = 2_000
"""Characters of an address: what every receiver's server takes."""

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

_WITHIN: Final = frozenset(
    {"localhost", "local", "internal", "intranet", "lan", "home", "corp", "private", "localdomain", "arpa", "onion",
     "test", "example", "invalid"}
)  # fmt: skip
"""Last labels that no public name server answers for (RFC 6761, 6762, 8375, and what networks use inside)."""

_NOT_PUBLIC: Final = tuple(
    ip_network(one)
    for one in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; some clouds' metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # one cloud's own services, at a public address
        "169.254.0.0/16",  # link-local; most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address inside
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)

_GLOBAL_V6: Final = ip_network("2000::/3")
"""All that is given out of IPv6 for the open network; whatever else there is (mapped, local, multicast) is not."""


class ForbiddenAddress(Refusal):
    """Nothing may be sent to this address."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where something is sent: judged by its form, not yet resolved.

    Attributes:
        host: A name in lower case; an IP address only where loopback is allowed.
        path: With its query; never empty.
        loopback: It may, and must, lead to this very machine.
    """

    scheme: str
    host: str
    port: int
    path: str
    loopback: bool = False


def target(url: str, *, ports: Iterable[int], loopback: bool = False) -> Target:
    """Judge the form of an address.

    Args:
        url: As it was given.
        ports: That may be called.
        loopback: Also take `http` to this very machine, on any port (demonstration and development).

    Raises:
        ForbiddenAddress: Says what is wrong, never repeats the address.
    """
    if len(url) > LONGEST or not url.isascii() or not url.isprintable() or re.search(r"[\s\\<>\"^`{|}]", url):
        raise ForbiddenAddress(f"At most {LONGEST} printable ASCII characters; a name in another script as xn--...")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ForbiddenAddress("This is no address.") from None
    if "@" in parts.netloc or "%" in parts.netloc:
        raise ForbiddenAddress("Leave user, password and escapes out of the host.")
    if "#" in url:
        raise ForbiddenAddress("Leave the fragment out.")
    host = (parts.hostname or "").lower()
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if loopback and parts.scheme == "http" and host in {"localhost", "127.0.0.1", "::1"}:
        return Target("http", host, port or 80, path, loopback=True)
    if parts.scheme != "https" or not url[:8].lower().startswith("https://"):
        raise ForbiddenAddress("Only https is called.")
    port = 443 if port is None else port
    if port not in set(ports):
        raise ForbiddenAddress("This port is not called.")
    if not _public_name(host):
        raise ForbiddenAddress("Give the public name of a host: no IP address, no local name, no dot at its end.")
    return Target("https", host, port, path)


def _public_name(host: str) -> bool:
    labels = host.split(".")
    return (
        len(host) <= 253  # noqa: PLR2004 - RFC 1035
        and len(labels) > 1
        and all(_LABEL.fullmatch(label) for label in labels)
        and labels[-1] not in _WITHIN
        # What ends in a number is an IP address in one of its spellings: decimal, octal, hexadecimal, short.
        and re.fullmatch(r"[a-z]{2,63}|xn--[a-z0-9-]+", labels[-1]) is not None
    )


def public(address: str) -> bool:
    """Answer whether an IP address is one of the open network."""
    try:
        # A zone names an interface of this machine.
        found: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and (found.scope_id is not None or found not in _GLOBAL_V6):
        return False
    return not any(found.version == one.version and found in one for one in _NOT_PUBLIC)


def pinned(wanted: Target, addresses: Iterable[str]) -> str:
    """Answer the one address to connect to, out of what the host's name was resolved to.

    Raises:
        ForbiddenAddress: It has none, or any of them is not where the target may lead: a name that answers with both
            is no honest one.
    """
    found = list(addresses)
    if not found:
        raise ForbiddenAddress("This host has no address.")
    leads = _is_loopback if wanted.loopback else public
    if not all(leads(one) for one in found):
        raise ForbiddenAddress("This host does not lead to the open network.")
    return found[0]


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
