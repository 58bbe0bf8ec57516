"""An authenticator of WebAuthn in software, by the standard's own layout, honest or not."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_bytes
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

PRESENT, VERIFIED, WITH_KEY = 1, 4, 64
"""Flags of the authenticator data (WebAuthn, section 6.1)."""


def text(block: bytes) -> str:
    """Answer bytes in base64url."""
    return urlsafe_b64encode(block).decode().rstrip("=")


def block(written: str) -> bytes:
    """Answer what base64url says."""
    return urlsafe_b64decode(written + "=" * (-len(written) % 4))


@dataclass
class Authenticator:
    """A device with one key.

    Attributes:
        origin: Of the page that its browser shows.
        flags: Which it raises: its owner was there, and showed that she is the one.
        count: How often it signed; None where it does not count.
    """

    origin: str
    flags: int = PRESENT | VERIFIED
    count: int | None = 0
    id: bytes = field(default_factory=lambda: token_bytes(32))
    key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))
    handle: bytes = b""

    def make(self, options: dict[str, Any], **client: Any) -> str:
        """Make its key for a site; answer what the browser sends."""
        self.handle = block(options["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cbor2.dumps(cose)
        data = self._data(options["rp"]["id"], WITH_KEY) + attested
        client_data = self._client("webauthn.create", options, client)
        made = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer({"clientDataJSON": text(client_data), "attestationObject": text(made)})

    def show(self, options: dict[str, Any], **client: Any) -> str:
        """Show its key; answer what the browser sends."""
        if self.count is not None:
            self.count += 1
        data = self._data(options["rpId"], 0)
        client_data = self._client("webauthn.get", options, client)
        signature = self.key.sign(data + sha256(client_data).digest(), ECDSA(SHA256()))
        return self._answer(
            {
                "clientDataJSON": text(client_data),
                "authenticatorData": text(data),
                "signature": text(signature),
                "userHandle": text(self.handle),
            }
        )

    def _data(self, host: str, more: int) -> bytes:
        return sha256(host.encode()).digest() + bytes([self.flags | more]) + (self.count or 0).to_bytes(4, "big")

    def _client(self, kind: str, options: dict[str, Any], more: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False, **more}
        return json.dumps(said).encode()

    def _answer(self, response: dict[str, Any]) -> str:
        id_ = text(self.id)
        return json.dumps({"id": id_, "rawId": id_, "type": "public-key", "response": response})
