"""Who came through a proxy before us: RFC 7239, and the header that was there before it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_PAIR: Final = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))\s*')
_PORT: Final = re.compile(r":(?:\d{1,5}|_[A-Za-z0-9._-]+)$")


def caller(peer: str, hops: Sequence[str], trusted: Iterable[Network]) -> str:
    """Answer the address that called: the last one that no proxy of ours could have made up.

    Args:
        peer: Whose connection it is.
        hops: The addresses that the proxies named, the nearest last.
        trusted: The networks of our own proxies; what anybody else says of itself is not believed.
    """
    networks = tuple(trusted)
    found = peer
    for hop in reversed(hops):
        if not _within(found, networks):
            return found
        if _address(hop) is None:
            # Hidden or unknown (RFC 7239, section 6): the proxy that says so is all that is known.
            return found
        found = str(_address(hop))
    return found


def forwarded(values: Iterable[str]) -> list[str]:
    """Answer the `for` of each element of `Forwarded`, in order; empty text where an element has none.

    What cannot be read ends the list from the left: only what stands right of it is believed.
    """
    hops: list[str] = []
    for element in _elements(",".join(values)):
        pairs = _pairs(element)
        if pairs is None:
            hops.clear()
        else:
            hops.append(pairs.get("for", ""))
    return hops


def x_forwarded_for(values: Iterable[str]) -> list[str]:
    """Answer the addresses of `X-Forwarded-For`, in order."""
    return [each.strip() for each in ",".join(values).split(",")]


def _within(text: str, networks: Iterable[Network]) -> bool:
    address = _address(text)
    return address is not None and any(address in network for network in networks)


def _address(text: str) -> Address | None:
    """Answer a node as an address, its port left away; an IPv4 one that is written as IPv6 is IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = _PORT.sub("", text)
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def _elements(text: str) -> Iterator[str]:
    start, quoted, escaped = 0, False, False
    for place, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            yield text[start:place]
            start = place + 1
    yield text[start:]


def _pairs(element: str) -> dict[str, str] | None:
    """Answer the parameters of an element by their names in small letters; None where it is not one."""
    found: dict[str, str] = {}
    place = 0
    while place < len(element):
        pair = _PAIR.match(element, place)
        if pair is None or pair[1].lower() in found:
            return None
        found[pair[1].lower()] = re.sub(r"\\(.)", r"\1", pair[2]) if pair[2] is not None else pair[3]
        place = pair.end()
        if place < len(element):
            if element[place] != ";":
                return None
            place += 1
    return found
