"""DPoP (RFC 9449): that whoever shows a token, or asks for one, holds the key that it is bound to."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

import asyncpg
from opentelemetry.instrumentation.utils import suppress_instrumentation

from relais_gateway import token_store
from relais_gateway.domain.refusals import InvalidProof
from relais_gateway.domain.tokens import LEEWAY_S, judge_proof
from relais_gateway.jwts import BANKING, Malformed, PublicKey, public_key, read
from relais_shared.db import DOWN
from relais_shared.refusals import Unavailable

HEADER: Final = b"dpop"
TYPES: Final[frozenset[str | None]] = frozenset({"dpop+jwt"})
NONCE_EVERY_S: Final = 60
"""A nonce is given out for a minute and taken for another: whoever calls on always has one, from the last answer."""
CHALLENGE: Final = f'DPoP algs="{" ".join(BANKING)}"'
"""What a 401 says of DPoP."""
KNOWN: Final = 1_000
"""Keys of proofs remembered by their header, which is the same in each proof of one program."""


def sealed(text: str) -> str:
    """Answer the fingerprint by which proofs name a token: SHA-256, base64url without padding."""
    return urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Asked:
    """The request that a proof is for.

    Attributes:
        method: As the caller sent it.
        path: Decoded.
        token: The access token shown, if any.
        jkt: The key that it is bound to.
    """

    method: str
    path: str
    token: str | None = None
    jkt: str | None = None


class Proofs:
    """Judges proofs, the same in every process: nonces come from the clock and a secret, replays from the database.

    Args:
        secret: The gateway's, which all its processes share.
        public_url: As outside sees us.
        pool: Of the gateway's database.
    """

    def __init__(self, secret: bytes, public_url: str, pool: asyncpg.Pool) -> None:
        self._secret = hmac.digest(secret, b"dpop-nonces", sha256)
        self._base = public_url.rstrip("/")
        self._pool = pool
        self._keys: dict[str, PublicKey] = {}

    def nonce(self, now: datetime, back: int = 0) -> str:
        """Answer the nonce of now, or one of `back` turns ago."""
        turn = int(now.timestamp()) // NONCE_EVERY_S - back
        return urlsafe_b64encode(hmac.digest(self._secret, b"%d" % turn, sha256)[:18]).decode()

    def _fresh(self, nonce: str, now: datetime) -> bool:
        taken = (self.nonce(now), self.nonce(now, 1))
        return any(hmac.compare_digest(nonce.encode(), one.encode()) for one in taken)

    async def judge(self, proof: str, asked: Asked, now: datetime) -> str:
        """Answer the thumbprint of the key that made a proof, which is good for this request alone.

        Raises:
            InvalidProof: It is none, of another request or key, or was shown before; `stale` if it wants our nonce.
            Unavailable: Nobody can say whether it was shown before.
        """
        try:
            key, claims = read(proof, self._key_of(proof), types=TYPES, allowed=BANKING)
        except Malformed:
            raise InvalidProof("This is no DPoP proof that we take (RFC 9449, section 4).") from None
        if asked.jkt is not None and key.thumbprint != asked.jkt:
            raise InvalidProof("The proof is of another key than the token.")
        jti, until = judge_proof(
            claims,
            method=asked.method,
            # Written as an address again: what was decoded once is not decoded twice, nor cut where a path holds a "?".
            url=self._base + quote(asked.path),
            ath=sealed(asked.token) if asked.token is not None else None,
            fresh=lambda nonce: self._fresh(nonce, now),
            now=int(now.timestamp()),
        )
        self._remember(proof, key)
        if not await once(self._pool, f"proof {key.thumbprint} {jti}", until):
            raise InvalidProof("This proof was shown before. Make a new one for each request.")
        return key.thumbprint

    def _key_of(self, proof: str) -> Any:  # noqa: ANN401 - what `read` takes
        def find(header: Mapping[str, Any]) -> PublicKey:
            return self._keys.get(proof.partition(".")[0]) or public_key(header["jwk"])

        return find

    def _remember(self, proof: str, key: PublicKey) -> None:
        # Only the keys of proofs that fitted: what strangers send does not push out what partners use.
        if len(self._keys) >= KNOWN:
            self._keys.clear()
        self._keys[proof.partition(".")[0]] = key


async def once(pool: asyncpg.Pool, what: str, until: int) -> bool:
    """Take something that may be shown once; answer whether this was the first time.

    Args:
        pool: Of the gateway's database.
        what: Names it; only its fingerprint is kept.
        until: Unix seconds after which it is refused for its age.

    Raises:
        Unavailable: The database does not answer.
    """
    expires = datetime.fromtimestamp(until, UTC) + timedelta(seconds=2 * LEEWAY_S)
    try:
        with suppress_instrumentation():
            async with pool.acquire(timeout=1) as connection:
                return await token_store.take_once(connection, sha256(what.encode()).digest(), expires)
    except DOWN as fault:
        raise Unavailable("Whether this was shown before cannot be looked up now.") from fault
