"""Access tokens (RFC 9068): signed by keys that the database keeps sealed, and verified once a minute at most."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import digest
from typing import Any, Final
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey, RSAKey

from relais_gateway.jwts import LONGEST
from relais_shared.refusals import Unauthenticated

TYPE: Final = "at+jwt"
ALGORITHM: Final = "Ed25519"
"""RFC 9864's exact name for what was called EdDSA; the key says the same in `alg`."""
RSA: Final = "RS256"
"""For partners whose software verifies nothing else (RFC 9068, section 2.1)."""
ALGORITHMS: Final = (ALGORITHM, RSA)
RSA_BITS: Final = 2048
LEEWAY_S: Final = 30
"""Clocks may differ by this much."""
REMEMBERED_S: Final = 60
"""A verified token is remembered this long at most."""
CACHE: Final = 10_000
"""Tokens remembered; more than the callers of a minute."""
NONCE_BYTES: Final = 12
SIGNS_AFTER: Final = timedelta(seconds=5)
"""A new key signs from then on: by then every process of the gateway knows it."""
OVERLAP: Final = timedelta(minutes=20)
"""A key that was replaced verifies this much longer: longer than any token that it signed lives."""


def unknown() -> Unauthenticated:
    """Answer the refusal of a token; a new one each time, since an exception keeps every frame that it passed."""
    return Unauthenticated(
        "Show an access token that we issued and that is still valid.",
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says: who, of which organisation, with which scopes, since and until when (Unix seconds).

    Attributes:
        jti: Its id, by which it alone can be revoked.
        credential: The secret or key by which its client proved itself; it falls with that. None for our own pages'.
        jkt: Thumbprint of the key that it is bound to (RFC 9449); None where whoever bears it may use it.
        good_until: When it is to be verified anew (Unix seconds).
    """

    subject: str
    client_id: str
    organisation_id: UUID
    scopes: frozenset[str]
    issued: int
    expires: int
    jti: str
    credential: str | None = None
    jkt: str | None = None
    good_until: int = 0


@dataclass(frozen=True, slots=True)
class _Held:
    key: OKPKey | RSAKey
    alg: str
    made: datetime
    until: datetime | None

    def living(self, now: datetime) -> bool:
        return self.until is None or now < self.until


class SigningKeys:
    """The keys that sign access tokens: of each algorithm the newest signs, all that are not retired verify.

    Args:
        secret: The gateway's secret, under which private keys are sealed.
        issuer: `iss` and `aud` of our tokens: the public URL.
    """

    def __init__(self, secret: bytes, issuer: str) -> None:
        self._cipher = AESGCM(digest(secret, b"signing-keys", sha256))
        self._issuer = issuer
        self._keys: dict[str, _Held] = {}
        self._verified: dict[str, Claims] = {}

    def new(self, alg: str = ALGORITHM) -> tuple[str, dict[str, Any], bytes]:
        """Make a key; answer its id, its public half and its sealed private half."""
        key = OKPKey.generate_key("Ed25519") if alg == ALGORITHM else RSAKey.generate_key(RSA_BITS)
        kid = key.thumbprint()
        public = {**key.as_dict(private=False), "kid": kid, "alg": alg, "use": "sig"}
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, json.dumps(key.as_dict(private=True)).encode(), kid.encode())
        return kid, public, nonce + sealed

    def take(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take the keys that the database holds, oldest first; tokens verified by others are forgotten."""
        keys = {}
        for row in rows:
            before = self._keys.get(row["kid"])
            key = before.key if before else self._opened(row["kid"], bytes(row["sealed_private"]))
            alg = RSA if isinstance(key, RSAKey) else ALGORITHM
            keys[row["kid"]] = _Held(key, alg, row["created_at"], row["retired_at"])
        if keys != self._keys:
            self._keys = keys
            self._verified.clear()

    def _opened(self, kid: str, sealed: bytes) -> OKPKey | RSAKey:
        opened = json.loads(self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], kid.encode()))
        cls = RSAKey if opened["kty"] == "RSA" else OKPKey
        return cls.import_key({**opened, "kid": kid})

    def public(self, now: datetime) -> dict[str, Any]:
        """Answer the public key set (RFC 7517), what comes and what goes included."""
        return {
            "keys": [
                {**held.key.as_dict(private=False), "kid": kid, "alg": held.alg, "use": "sig"}
                for kid, held in self._keys.items()
                if held.living(now)
            ]
        }

    def _signer(self, alg: str, now: datetime) -> tuple[str, OKPKey | RSAKey]:
        """Answer the newest key that every process knows; the oldest where all are new, as in a first start."""
        living = [(kid, held) for kid, held in self._keys.items() if held.alg == alg and held.living(now)]
        known = [one for one in living if one[1].made + SIGNS_AFTER <= now]
        kid, held = known[-1] if known else living[0]
        return kid, held.key

    def issue(  # noqa: PLR0913 - what a token says
        self,
        *,
        subject: str,
        client_id: str,
        organisation_id: UUID,
        scopes: Iterable[str],
        now: datetime,
        life_s: int,
        credential: str | None = None,
        jkt: str | None = None,
        alg: str = ALGORITHM,
    ) -> str:
        """Answer a new access token."""
        kid, key = self._signer(alg, now)
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
            **({"credential": credential} if credential else {}),
            **({"cnf": {"jkt": jkt}} if jkt else {}),
        }
        return jwt.encode({"alg": alg, "typ": TYPE, "kid": kid}, claims, key, algorithms=[alg])

    def verify(self, token: str, now: datetime) -> Claims:
        """Answer what a token says.

        Raises:
            Unauthenticated: It is not ours, not for us, or not of now. The text does not say which.
        """
        instant = int(now.timestamp())
        known = self._verified.get(token)
        if known is None or known.good_until <= instant:
            if len(self._verified) >= CACHE:
                self._verified.clear()
            known = self._verified[token] = self._judge(token, now)
        if known.expires + LEEWAY_S < instant:
            raise unknown()
        return known

    def _judge(self, token: str, now: datetime) -> Claims:
        instant = int(now.timestamp())

        def chosen(guest: Any) -> OKPKey | RSAKey:  # noqa: ANN401 - joserfc's own protocol
            # The key is found by its id alone; a key or an address that the token brings along is not looked at.
            held = self._keys[guest.headers()["kid"]]
            if not held.living(now) or guest.headers()["alg"] != held.alg:
                raise unknown()
            return held.key

        try:
            if len(token) > LONGEST:
                raise unknown()
            found = jwt.decode(token, chosen, algorithms=ALGORITHMS)
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
                    int(claims["iat"]),
                    int(claims["exp"]),
                    claims["jti"],
                    claims.get("credential"),
                    claims["cnf"]["jkt"] if "cnf" in claims else None,
                    instant + REMEMBERED_S,
                )
        except (JoseError, KeyError, ValueError, TypeError, AttributeError):
            pass
        raise unknown()
