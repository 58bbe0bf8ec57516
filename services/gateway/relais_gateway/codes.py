"""Second steps that are typed: the code of an app (TOTP, RFC 6238) and recovery codes."""

import hmac
import os
import secrets
from base64 import b32encode
from datetime import datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

PERIOD_S: Final = 30
DIGITS: Final = 6
SECRET_BYTES: Final = 20
"""With SHA-1, these are what every app knows (RFC 6238 asks for as many bytes as the hash has)."""
NONCE_BYTES: Final = 12
AROUND: Final = (0, -1, 1)
"""Periods that are tried: people type slowly, and telephones run a little ahead."""
ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's: no letter that looks like a digit."""
GROUPS: Final = (4, 4, 4)
"""Letters of a recovery code: 60 bits, which no throttled guess meets."""
RECOVERY_CODES: Final = 10
LOOKALIKES: Final = str.maketrans("oil", "011", " -\t")


class Codes:
    """Makes and judges codes.

    Args:
        secret: The gateway's secret: seals what apps share with us, and keys the hashes of recovery codes, so that a
            copy of the database alone tells neither.
    """

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(hmac.digest(secret, b"totp", sha256))
        self._key = hmac.digest(secret, b"recovery-codes", sha256)

    def new(self, account_id: UUID) -> bytes:
        """Draw what an app is to share with us; answer it sealed."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, os.urandom(SECRET_BYTES), account_id.bytes)

    def written(self, account_id: UUID, sealed: bytes) -> str:
        """Answer what an app shares with us, as one types it: base32 in groups of four."""
        text = b32encode(self._opened(account_id, sealed)).decode()
        return " ".join(text[at : at + 4] for at in range(0, len(text), 4))

    def address(self, account_id: UUID, sealed: bytes, email: str) -> str:
        """Answer the `otpauth:` address that an app reads from a drawing."""
        return self._totp(account_id, sealed).get_provisioning_uri(email, "Relais")

    def period(self, account_id: UUID, sealed: bytes, typed: str, now: datetime) -> int | None:
        """Answer the number of the period whose code was typed; nothing where it is none of those around now."""
        totp = self._totp(account_id, sealed)
        current = int(now.timestamp()) // PERIOD_S
        fitting = [
            current + step
            for step in AROUND
            if hmac.compare_digest(totp.generate((current + step) * PERIOD_S), plain(typed).encode())
        ]
        return fitting[0] if fitting else None

    def recovery(self) -> list[str]:
        """Draw recovery codes; each helps once."""
        return [
            "-".join("".join(secrets.choice(ALPHABET) for _ in range(length)) for length in GROUPS)
            for _ in range(RECOVERY_CODES)
        ]

    def hash(self, account_id: UUID, typed: str) -> bytes:
        """Answer what is kept of a recovery code, however its letters and hyphens are typed."""
        return hmac.digest(self._key, account_id.bytes + plain(typed).encode(), sha256)

    def _opened(self, account_id: UUID, sealed: bytes) -> bytes:
        return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], account_id.bytes)

    def _totp(self, account_id: UUID, sealed: bytes) -> TOTP:
        # SHA-1 stands in the standard, and HMAC does not suffer from what is known against it.
        return TOTP(self._opened(account_id, sealed), DIGITS, SHA1(), PERIOD_S)  # noqa: S303 - see above


def plain(typed: str) -> str:
    """Answer a code without what people add or mistake: blanks, hyphens, capitals, o for 0, i and l for 1."""
    return typed.casefold().translate(LOOKALIKES)


def from_app(typed: str) -> bool:
    """Answer whether a code has the form of an app's; any other is a recovery code."""
    digits = plain(typed)
    return len(digits) == DIGITS and digits.isascii() and digits.isdigit()
