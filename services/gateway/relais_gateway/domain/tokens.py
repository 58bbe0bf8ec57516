"""What is believed of a client's assertion (RFC 7523) and of a DPoP proof (RFC 9449), once their signatures fit."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from relais_gateway.domain.refusals import InvalidClient, InvalidProof

LEEWAY_S: Final = 30
"""Clocks may differ by this much, in both directions."""
ASSERTION_LIFE_S: Final = 300
"""A client's assertion ends within five minutes: it is made for one request."""
PROOF_LIFE_S: Final = 60
"""A proof is made for the request that it comes with."""
LONGEST_ID: Final = 256
"""Characters of a `jti`."""
PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}

JTI: Final = re.compile(r"[\x21-\x7e]+")
"""What an id is made of: printable and without blanks."""


def judge_assertion(
    claims: Mapping[str, Any], *, client_id: str, audiences: Collection[str], lists: bool, now: int
) -> tuple[str, int]:
    """Judge what a client says of itself (RFC 7523, section 3).

    Args:
        claims: As signed by a key of the client.
        client_id: Whose key it was.
        audiences: What we may be called.
        lists: Whether `aud` may be a list, of one; FAPI 2.0 allows it not.
        now: Unix seconds.

    Returns:
        The id under which it is taken once, and when it ends (Unix seconds).

    Raises:
        InvalidClient: It is not for us, not of now, or lives too long.
    """
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise InvalidClient("iss and sub of the assertion are both the client's id.")
    audience = claims.get("aud")
    if lists and isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if not isinstance(audience, str) or audience not in audiences:
        raise InvalidClient("aud of the assertion is the issuer that our metadata name, alone.")
    expires = _instant(claims, "exp")
    if expires is None or expires + LEEWAY_S < now:
        raise InvalidClient("exp of the assertion has passed, or is missing.")
    if expires > now + ASSERTION_LIFE_S + LEEWAY_S:
        raise InvalidClient(f"The assertion lives longer than {ASSERTION_LIFE_S} seconds.")
    for name in ("iat", "nbf"):
        if name in claims and ((instant := _instant(claims, name)) is None or instant > now + LEEWAY_S):
            raise InvalidClient(f"{name} of the assertion is in the future. Is your clock right?")
    return _id(claims, InvalidClient), expires


def judge_proof(  # noqa: PLR0913 - what a proof is held against
    claims: Mapping[str, Any],
    *,
    method: str,
    url: str,
    ath: str | None,
    fresh: Callable[[str], bool],
    now: int,
) -> tuple[str, int]:
    """Judge what a DPoP proof says (RFC 9449, section 4.3).

    Args:
        claims: As signed by the key in its own header.
        method: Of the request that it came with.
        url: That this request asked for, as outside sees it.
        ath: Fingerprint of the token shown with it; none where a token is asked for.
        fresh: Says whether a nonce is one of ours and of now.
        now: Unix seconds.

    Returns:
        The id under which it is taken once, and when it ends (Unix seconds).

    Raises:
        InvalidProof: It is of another request, another token, another time. `stale` where only the nonce is wanting.
    """
    if claims.get("htm") != method:
        raise InvalidProof("htm of the proof is not the method of this request.")
    asked = claims.get("htu")
    if not isinstance(asked, str) or comparable(asked) != comparable(url):
        raise InvalidProof("htu of the proof is not the address of this request, without query.")
    made = _instant(claims, "iat")
    if made is None or abs(now - made) > PROOF_LIFE_S or made > now + LEEWAY_S:
        raise InvalidProof("iat of the proof is not of now. Is your clock right?")
    if ath is not None and claims.get("ath") != ath:
        raise InvalidProof("ath of the proof is not the fingerprint of this token.")
    found = _id(claims, InvalidProof)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not fresh(nonce):
        raise InvalidProof("Make the proof again with the nonce in DPoP-Nonce.", stale=True)
    return found, made + PROOF_LIFE_S


def comparable(url: str) -> tuple[str, str, int | None, str] | None:
    """Answer an address as addresses compare: without query, its port said, its path read (RFC 3986, section 6.2)."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return None
    if not parts.hostname or parts.username is not None:
        return None
    return parts.scheme, parts.hostname, port, unquote(parts.path) or "/"


def _instant(claims: Mapping[str, Any], name: str) -> int | None:
    found = claims.get(name)
    # A boolean is a number to Python, and infinity to JSON's readers; neither is a time.
    if isinstance(found, bool) or not isinstance(found, int | float) or not abs(found) < 1 << 53:
        return None
    return int(found)


def _id(claims: Mapping[str, Any], refusal: type[InvalidClient | InvalidProof]) -> str:
    found = claims.get("jti")
    if not isinstance(found, str) or len(found) > LONGEST_ID or not JTI.fullmatch(found):
        raise refusal(f"jti is missing, or is not of 1 to {LONGEST_ID} printable characters.")
    return found
