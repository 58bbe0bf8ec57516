"""How a receiver knows that it was us: the secrets of an endpoint, and signatures as Standard Webhooks 1.0 says."""

import hmac
import os
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SECRET_BYTES: Final = 32
"""Standard Webhooks asks for 24 to 64."""
NONCE_BYTES: Final = 12
"""The nonce of AES-GCM."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The two keys by which one endpoint is written to: a shared secret, and a key of ours alone."""

    shared: bytes
    private: bytes

    @classmethod
    def new(cls) -> "Pair":
        """Make new ones."""
        return cls(os.urandom(SECRET_BYTES), os.urandom(SECRET_BYTES))

    @property
    def secret(self) -> str:
        """What the receiver checks `v1` with; shown to it once."""
        return f"whsec_{b64encode(self.shared).decode()}"

    @property
    def public_key(self) -> str:
        """What the receiver checks `v1a` with; no secret."""
        return f"whpk_{b64encode(self._key().public_key().public_bytes_raw()).decode()}"

    def signatures(self, signed: bytes) -> list[str]:
        """Answer both signatures of a content."""
        return [
            f"v1,{b64encode(hmac.digest(self.shared, signed, sha256)).decode()}",
            f"v1a,{b64encode(self._key().sign(signed)).decode()}",
        ]

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.private)


@dataclass(frozen=True, slots=True)
class Secrets:
    """The keys of an endpoint: those of now, and for some time those before them."""

    current: Pair
    previous: Pair | None = None
    previous_until: datetime | None = None

    def rotated(self, now: datetime, overlap: timedelta) -> "Secrets":
        """Answer new keys; the present ones sign beside them until the overlap ends."""
        return Secrets(Pair.new(), self.current, now + overlap) if overlap else Secrets(Pair.new())

    def held(self, now: datetime) -> list[Pair]:
        """Answer the pairs that sign at an instant, the present one first."""
        before = self.previous is not None and self.previous_until is not None and now < self.previous_until
        return [self.current, self.previous] if before and self.previous else [self.current]

    def headers(self, event_id: UUID, body: bytes, now: datetime) -> dict[str, str]:
        """Answer the headers of one attempt: the id is of the event, the time and signatures of the attempt."""
        at = int(now.timestamp())
        signed = f"{event_id}.{at}.".encode() + body
        signatures = [one for pair in self.held(now) for one in pair.signatures(signed)]
        return {
            "webhook-id": str(event_id),
            "webhook-timestamp": str(at),
            "webhook-signature": " ".join(signatures),
        }


class SecretBox:
    """Seals the secrets of endpoints for the database.

    Args:
        secret: The service's own.
    """

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(hmac.digest(secret, b"webhook-secrets", sha256))

    def close(self, endpoint_id: UUID, secrets: Secrets) -> bytes:
        """Seal an endpoint's secrets; they open for this endpoint alone."""
        said = {
            "current": _written(secrets.current),
            "previous": _written(secrets.previous) if secrets.previous else None,
            "until": secrets.previous_until.isoformat() if secrets.previous_until else None,
        }
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, orjson.dumps(said), endpoint_id.bytes)

    def open(self, endpoint_id: UUID, sealed: bytes) -> Secrets:
        """Open what `close` sealed.

        Raises:
            InvalidTag: It was sealed for another endpoint, or under another secret of the service.
        """
        said = orjson.loads(self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], endpoint_id.bytes))
        return Secrets(
            _read(said["current"]),
            _read(said["previous"]) if said["previous"] else None,
            datetime.fromisoformat(said["until"]) if said["until"] else None,
        )


def _written(pair: Pair) -> dict[str, str]:
    return {"shared": pair.shared.hex(), "private": pair.private.hex()}


def _read(said: dict[str, Any]) -> Pair:
    return Pair(bytes.fromhex(said["shared"]), bytes.fromhex(said["private"]))
