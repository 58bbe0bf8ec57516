"""What others sign, read strictly: client assertions and DPoP proofs, and the public keys that they are signed by."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from relais_shared.refusals import Fault, InvalidInput

LONGEST: Final = 4_096
"""Characters of a token, a proof or an assertion; the longest honest one has an RSA key in its header: half of it."""
RSA_BITS: Final = (2048, 4096)
"""Shorter ones can be broken, longer ones keep us busy."""
RSA_EXPONENT: Final = "AQAB"
KEYS: Final = 5
"""Keys of one client: the one in use, the next one, and room for several machines."""
LONGEST_KID: Final = 200

OF_KIND: Final[Mapping[str, tuple[str, ...]]] = {
    "OKP": ("Ed25519", "EdDSA"),
    "EC": ("ES256",),
    "RSA": ("PS256", "RS256"),
}
"""Algorithms by the kind of the key: what a token says is held against it, so that no key is taken for another kind."""
ALGORITHMS: Final = tuple(alg for algs in OF_KIND.values() for alg in algs)
"""Those of client assertions."""
BANKING: Final = tuple(alg for alg in ALGORITHMS if alg != "RS256")
"""What FAPI 2.0 allows (its section 5.4.1), and all that a proof may be signed with."""
CURVES: Final = frozenset({"Ed25519", "P-256"})

Key = OKPKey | ECKey | RSAKey
_CLASSES: Final[Mapping[str, type[Key]]] = {"OKP": OKPKey, "EC": ECKey, "RSA": RSAKey}
_SECRET: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class Malformed(ValueError):  # noqa: N818 - a refusal is an answer, not an error
    """It is no JWT that we read, or its signature does not fit."""


class _Registry(JWSRegistry):
    max_header_length = LONGEST

    def get_alg(self, name: str) -> Any:  # noqa: ANN401 - joserfc exports no type of it
        """Answer an algorithm that is allowed.

        Without joserfc's warning of `EdDSA`: the name is deprecated (RFC 9864) and what most partners still say.
        """
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


class _OnceEach(json.JSONDecoder):
    """Refuses an object in which a name stands twice: two readers would take it for two different things."""

    def __init__(self) -> None:
        super().__init__(object_pairs_hook=_once_each, parse_constant=_no_constant)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed
    return found


def _no_constant(_name: str) -> Any:  # noqa: ANN401 - it never answers
    raise Malformed


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key that somebody else signs with.

    Attributes:
        thumbprint: RFC 7638: the key by itself, whatever it is called.
        algorithms: That it may sign with.
    """

    key: Key
    kid: str | None
    thumbprint: str
    algorithms: tuple[str, ...]


def read(
    token: str,
    find: Callable[[Mapping[str, Any]], PublicKey],
    *,
    types: frozenset[str | None],
    allowed: Iterable[str],
) -> tuple[PublicKey, dict[str, Any]]:
    """Answer the key that signed a JWT and the claims that it signed.

    Args:
        token: In compact form.
        find: Answers the key for a header; a `KeyError` where there is none.
        types: What `typ` may say, in small letters; None among them where it may be absent.
        allowed: Algorithms.

    Raises:
        Malformed: Anything about it is wrong.
    """
    if len(token) > LONGEST:
        raise Malformed
    used: list[PublicKey] = []

    def chosen(guest: Any) -> Key:  # noqa: ANN401 - joserfc's own protocol
        header = guest.headers()
        found = find(header)
        typ = header.get("typ")
        named = typ.lower().removeprefix("application/") if isinstance(typ, str) else typ
        if header["alg"] not in found.algorithms or "crit" in header or named not in types:
            raise Malformed
        used.append(found)
        return found.key

    algorithms = tuple(allowed)
    try:
        # joserfc keeps the last of two headers of one name; which it kept matters, so there is only one.
        _OnceEach().decode(_decoded(token.partition(".")[0]))
        claims = jwt.decode(token, chosen, algorithms, _Registry(algorithms=algorithms), _OnceEach).claims
    except (JoseError, KeyError, ValueError, TypeError, AttributeError, RecursionError):
        raise Malformed from None
    return used[0], claims


def unverified(token: str) -> dict[str, Any]:
    """Answer what a JWT claims before anything is proven: whom to ask for a key.

    Raises:
        Malformed: It is no JWT.
    """
    try:
        claims = _OnceEach().decode(_decoded(token[:LONGEST].split(".")[1]))
    except (IndexError, ValueError, RecursionError):
        raise Malformed from None
    if not isinstance(claims, dict):
        raise Malformed
    return claims


def _decoded(segment: str) -> str:
    return urlsafe_b64decode(segment.encode()).decode()


def public_key(jwk: Mapping[str, Any]) -> PublicKey:
    """Answer a public key as it came.

    Raises:
        Malformed: It is private, weak, of no kind that we take, or for something else than signing.
    """
    kind = jwk.get("kty")
    cls = _CLASSES.get(kind) if isinstance(kind, str) else None
    kid = jwk.get("kid")
    if cls is None or _SECRET & jwk.keys() or jwk.get("use", "sig") != "sig":
        raise Malformed
    if kid is not None and (not isinstance(kid, str) or not 1 <= len(kid) <= LONGEST_KID or not kid.isprintable()):
        raise Malformed
    if cls is RSAKey and jwk.get("e") != RSA_EXPONENT:
        raise Malformed
    if cls is not RSAKey and jwk.get("crv") not in CURVES:
        raise Malformed
    algorithms = OF_KIND[str(kind)]
    if (said := jwk.get("alg")) is not None:
        algorithms = tuple(alg for alg in algorithms if alg == said or {alg, said} == {"Ed25519", "EdDSA"})
    # Only the numbers themselves are taken along: what else a key says is not looked at.
    bare = {name: jwk[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in jwk}
    try:
        key = cls.import_key(bare)
        thumbprint = key.thumbprint()
        bits = key.public_key.key_size if isinstance(key, RSAKey) else None
    except (JoseError, KeyError, ValueError, TypeError, AttributeError):
        raise Malformed from None
    if not algorithms or (bits is not None and not RSA_BITS[0] <= bits <= RSA_BITS[1]):
        raise Malformed
    return PublicKey(key, kid, thumbprint, algorithms)


@lru_cache(maxsize=10_000)
def key_set(text: str) -> tuple[PublicKey, ...]:
    """Answer the keys of a client, as the database keeps them: a JSON list of what `registered` took."""
    return tuple(public_key(jwk) for jwk in json.loads(text))


def registered(keys: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Answer public keys as they are kept for a client: the numbers, `kid` and `alg`, nothing else.

    Raises:
        InvalidInput: One is private, weak, or of no kind that we take; two are called alike; or there are too many.
    """
    kept: list[dict[str, Any]] = []
    faults = []
    for place, jwk in enumerate(keys):
        try:
            found = public_key(jwk)
        except Malformed:
            faults.append(
                Fault(f"/jwks/keys/{place}", "Give a public key: Ed25519, P-256, or RSA of 2048 to 4096 bits, to sign.")
            )
            continue
        one: dict[str, Any] = {**found.key.as_dict(private=False), "kid": found.kid or found.thumbprint}
        if any(one["kid"] == other["kid"] for other in kept):
            faults.append(Fault(f"/jwks/keys/{place}/kid", "Another key is called so."))
        kept.append(one | ({"alg": jwk["alg"]} if "alg" in jwk else {}))
    if len(kept) + len(faults) > KEYS:
        faults.append(Fault("/jwks/keys", f"At most {KEYS} keys."))
    if faults:
        raise InvalidInput("These keys cannot be taken.", faults)
    return kept
