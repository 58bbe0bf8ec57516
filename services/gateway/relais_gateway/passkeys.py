"""Passkeys (WebAuthn, level 3): what a browser is asked for, and whether what it answers fits.

The library takes a fifth of a second to import: `own_keys` does so when somebody first uses a key.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import webauthn
from webauthn.helpers import base64url_to_bytes, parse_authentication_credential_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from relais_gateway.domain.keys import Made, Unfit

TIMEOUT_MS: Final = 120_000
"""Time to find a key, or a finger."""
LONGEST: Final = 16_000
"""Characters of an answer: keys of every kind take a tenth of it."""
CREDENTIAL_BYTES: Final = 1_023
"""Of a key's id, at most (section 4)."""

MALFORMED: Final = (WebAuthnException, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)
"""What the library raises for an answer that is none: its own refusals, and what odd bytes make of its readers."""


@dataclass(frozen=True, slots=True)
class Passkeys:
    """Asks browsers for keys, and judges their answers.

    Attributes:
        origin: Where our pages are: scheme, host and port.
    """

    origin: str

    @classmethod
    def of(cls, public_url: str) -> "Passkeys":
        """Answer those of a Relais by its address."""
        parts = urlsplit(public_url)
        return cls(f"{parts.scheme}://{parts.netloc}")

    @property
    def _host(self) -> str:
        return urlsplit(self.origin).hostname or ""

    @staticmethod
    def challenge(secret: str) -> bytes:
        """Answer what a key signs, by the secret that one browser holds."""
        return hmac.digest(secret.encode(), b"passkey", sha256)

    def to_make(self, account_id: UUID, email: str, name: str, known: Iterable[bytes], secret: str) -> str:
        """Answer, as JSON, how a browser makes a key that knows whose it is, and asks its owner each time."""
        return webauthn.options_to_json(
            webauthn.generate_registration_options(
                rp_id=self._host,
                rp_name="Relais",
                user_id=account_id.bytes,
                user_name=email,
                user_display_name=name,
                challenge=self.challenge(secret),
                timeout=TIMEOUT_MS,
                authenticator_selection=AuthenticatorSelectionCriteria(
                    resident_key=ResidentKeyRequirement.REQUIRED,
                    require_resident_key=True,
                    user_verification=UserVerificationRequirement.REQUIRED,
                ),
                exclude_credentials=[PublicKeyCredentialDescriptor(id=each) for each in known],
            )
        )

    def made(self, answer: str, secret: str) -> Made:
        """Answer the key that a browser made.

        Raises:
            Unfit: It was not asked for, is for other pages, or did not ask its owner.
        """
        try:
            found = webauthn.verify_registration_response(
                credential=answer[:LONGEST],
                expected_challenge=self.challenge(secret),
                expected_rp_id=self._host,
                expected_origin=self.origin,
                require_user_verification=True,
            )
        except MALFORMED:
            raise _unfit() from None
        if len(found.credential_id) > CREDENTIAL_BYTES:
            raise _unfit()
        return Made(found.credential_id, found.credential_public_key, found.sign_count)

    def to_show(self, secret: str) -> str:
        """Answer, as JSON, how a browser shows a key: any of ours, so that nobody is told who has one."""
        return webauthn.options_to_json(
            webauthn.generate_authentication_options(
                rp_id=self._host,
                challenge=self.challenge(secret),
                timeout=TIMEOUT_MS,
                user_verification=UserVerificationRequirement.REQUIRED,
            )
        )

    @staticmethod
    def shown(answer: str) -> tuple[bytes, bytes | None]:
        """Answer which key a browser says that it shows, and whose; nothing is proven yet.

        Raises:
            Unfit: It is no such answer.
        """
        try:
            found = parse_authentication_credential_json(answer[:LONGEST])
            return base64url_to_bytes(found.id), found.response.user_handle
        except MALFORMED:
            raise _unfit() from None

    def proven(self, answer: str, secret: str, public: bytes, count: int) -> int:
        """Answer how often a key signed by its own count, once it is proven that it was shown.

        Raises:
            Unfit: The signature does not fit, its owner was not asked, or the count ran back, as a copied key's does.
        """
        try:
            return webauthn.verify_authentication_response(
                credential=answer[:LONGEST],
                expected_challenge=self.challenge(secret),
                expected_rp_id=self._host,
                expected_origin=self.origin,
                credential_public_key=public,
                credential_current_sign_count=count,
                require_user_verification=True,
            ).new_sign_count
        except MALFORMED:
            raise _unfit() from None


def _unfit() -> Unfit:
    return Unfit("This key opens nothing here.")
