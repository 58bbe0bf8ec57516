"""Personal data are sealed under a key of their referral, itself wrapped by a key that is not in the database."""

import json
import os
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relais_shared.settings import SettingsProblem

NONCE_BYTES: Final = 12
"""The nonce of AES-GCM; random, since a referral's key seals few texts."""
KEY_BYTES: Final = 32
"""AES-256."""


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A referral's key as the database keeps it."""

    key_id: str
    wrapped: bytes


class Sealer:
    """Makes and opens the keys of referrals.

    Args:
        current: The id of the wrapping key for new referrals.
        keys: The wrapping keys by id; older ones stay until every living key was wrapped anew.
    """

    def __init__(self, current: str, keys: Mapping[str, bytes]) -> None:
        self._current = current
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}
        if current not in self._keys:
            raise SettingsProblem("The current wrapping key is not among the keys of keys/wrapping.json.")

    @classmethod
    def load(cls, home: Path) -> Self:
        """Read `keys/wrapping.json` below `RELAIS_HOME`.

        Raises:
            SettingsProblem: The file is absent or not as `relais up` writes it.
        """
        try:
            found = json.loads((home / "keys" / "wrapping.json").read_text())
            keys = {key_id: urlsafe_b64decode(text + "=" * (-len(text) % 4)) for key_id, text in found["keys"].items()}
            return cls(found["current"], keys)
        except (OSError, ValueError, KeyError) as fault:
            raise SettingsProblem(
                f"$RELAIS_HOME/keys/wrapping.json cannot be read ({type(fault).__name__}). `relais up` makes it."
            ) from None

    def new(self, referral_id: UUID) -> tuple[Wrapped, "Seal"]:
        """Make the key of a new referral."""
        key = os.urandom(KEY_BYTES)
        nonce = os.urandom(NONCE_BYTES)
        wrapped = nonce + self._keys[self._current].encrypt(nonce, key, _wrapping(referral_id, self._current))
        return Wrapped(self._current, wrapped), Seal(referral_id, key)

    def open(self, referral_id: UUID, kept: Wrapped) -> "Seal":
        """Open the key of a referral.

        Raises:
            InvalidTag: It was wrapped for another referral or by another key, or changed.
            KeyError: Its wrapping key is no longer there.
        """
        nonce, sealed = kept.wrapped[:NONCE_BYTES], kept.wrapped[NONCE_BYTES:]
        key = self._keys[kept.key_id].decrypt(nonce, sealed, _wrapping(referral_id, kept.key_id))
        return Seal(referral_id, key)


class Seal:
    """Seals and opens the parts of one referral; each is bound to its place, so none can stand for another."""

    def __init__(self, referral_id: UUID, key: bytes) -> None:
        self._id = referral_id
        self._cipher = AESGCM(key)

    def close(self, part: str, value: Any) -> bytes:  # noqa: ANN401 - any JSON-able value
        """Seal a JSON-able value."""
        return self.close_bytes(part, orjson.dumps(value))

    def open(self, part: str, sealed: bytes) -> Any:  # noqa: ANN401 - any JSON-able value
        """Open what `close` sealed for the same part."""
        return orjson.loads(self.open_bytes(part, sealed))

    def close_bytes(self, part: str, content: bytes) -> bytes:
        """Seal bytes as they are, such as a document's."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, self._place(part))

    def open_bytes(self, part: str, sealed: bytes) -> bytes:
        """Open what `close_bytes` sealed for the same part."""
        return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._place(part))

    def _place(self, part: str) -> bytes:
        return f"sealed_part|{self._id}|content|{part}".encode()


def _wrapping(referral_id: UUID, key_id: str) -> bytes:
    return f"referral|{referral_id}|wrapped_key|{key_id}".encode()
