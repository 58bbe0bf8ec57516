"""Access tokens (RFC 9068): signed by keys that the database keeps sealed, and verified once a minute at most."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from hmac import digest
from typing import Any, Final
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from relais_shared.refusals import Unauthenticated

TYPE: Final = "at+jwt"
ALGORITHM: Final = "Ed25519"
"""RFC 9864's exact name for what was called EdDSA; the key says the same in `alg`."""
LEEWAY_S: Final = 30
"""Clocks may differ by this much."""
REMEMBERED_S: Final = 60
"""A verified token is remembered this long at most."""
CACHE: Final = 10_000
"""Tokens remembered; more than the callers of a minute."""
NONCE_BYTES: Final = 12


def unknown() -> Unauthenticated:
    """Answer the refusal of a token; a new one each time, since an exception keeps every frame that it passed."""
    return Unauthenticated(
        "Show an access token that we issued and that is still valid.",
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says: who, of which organisation, with which scopes, until when (Unix seconds)."""

    subject: str
    client_id: str
    organisation_id: UUID
    scopes: frozenset[str]
    expires: int


class SigningKeys:
    """The keys that sign access tokens, the newest signs, all that are not retired verify.

    Args:
        secret: The gateway's secret, under which private keys are sealed.
        issuer: `iss` and `aud` of our tokens: the public URL.
    """

    def __init__(self, secret: bytes, issuer: str) -> None:
        self._cipher = AESGCM(digest(secret, b"signing-keys", sha256))
        self._issuer = issuer
        self._keys: dict[str, OKPKey] = {}
        self._verified: dict[str, tuple[int, Claims]] = {}

    def new(self) -> tuple[str, dict[str, Any], bytes]:
        """Make a key; answer its id, its public half and its sealed private half."""
        key = OKPKey.generate_key("Ed25519")
        kid = key.thumbprint()
        public = {**key.as_dict(private=False), "kid": kid, "alg": ALGORITHM, "use": "sig"}
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, json.dumps(key.as_dict(private=True)).encode(), kid.encode())
        return kid, public, nonce + sealed

    def take(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take the keys that the database holds, oldest first; tokens verified by others are forgotten."""
        keys = {}
        for row in rows:
            sealed = bytes(row["sealed_private"])
            opened = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], row["kid"].encode())
            keys[row["kid"]] = OKPKey.import_key({**json.loads(opened), "kid": row["kid"]})
        if set(keys) != set(self._keys):
            self._keys = keys
            self._verified.clear()

    def public(self) -> dict[str, Any]:
        """Answer the public key set (RFC 7517)."""
        return {
            "keys": [
                {**key.as_dict(private=False), "kid": kid, "alg": ALGORITHM, "use": "sig"}
                for kid, key in self._keys.items()
            ]
        }

    def issue(  # noqa: PLR0913 - what a token says
        self, *, subject: str, client_id: str, organisation_id: UUID, scopes: Iterable[str], now: datetime, life_s: int
    ) -> str:
        """Answer a new access token."""
        kid, key = next(reversed(self._keys.items()))
        instant = int(now.timestamp())
        claims = {
            "iss": self._issuer,
            "aud": self._issuer,
            "sub": subject,
            "client_id": client_id,
            "org": str(organisation_id),
            "scope": " ".join(sorted(scopes)),
            "iat": instant,
            "exp": instant + life_s,
            "jti": str(uuid4()),
        }
        return jwt.encode({"alg": ALGORITHM, "typ": TYPE, "kid": kid}, claims, key, algorithms=[ALGORITHM])

    def verify(self, token: str, now: datetime) -> Claims:
        """Answer what a token says.

        Raises:
            Unauthenticated: It is not ours, not for us, or not of now. The text does not say which.
        """
        instant = int(now.timestamp())
        known = self._verified.get(token)
        if known is None or known[0] <= instant:
            if len(self._verified) >= CACHE:
                self._verified.clear()
            known = (instant + REMEMBERED_S, self._judge(token, instant))
            self._verified[token] = known
        if known[1].expires + LEEWAY_S < instant:
            raise unknown()
        return known[1]

    def _judge(self, token: str, instant: int) -> Claims:
        try:
            # The key is found by its id alone; a key or an address that the token brings along is not looked at.
            found = jwt.decode(token, lambda guest: self._keys[guest.headers()["kid"]], algorithms=[ALGORITHM])
            claims = found.claims
            if (
                found.header.get("typ") in {TYPE, f"application/{TYPE}"}
                and "crit" not in found.header
                and claims["iss"] == self._issuer
                and claims["aud"] == self._issuer
                and claims["iat"] - LEEWAY_S <= instant
                and claims.get("nbf", instant) - LEEWAY_S <= instant
            ):
                return Claims(
                    claims["sub"],
                    claims["client_id"],
                    UUID(claims["org"]),
                    frozenset(claims["scope"].split()),
                    int(claims["exp"]),
                )
        except (JoseError, KeyError, ValueError, TypeError, AttributeError):
            pass
        raise unknown()
