"""An outside provider of identities (OpenID Connect Core 1.0): where it asks, and whom its tokens name.

The code flow with PKCE (RFC 7636), `state` and `nonce`, and the issuer in the answer (RFC 9207): what RFC 9700 asks of
a client. The provider is one that this Relais's operator chose; what it says is judged all the same.
"""

import hmac
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from relais_gateway.jwts import ALGORITHMS, Malformed, PublicKey, public_key, read
from relais_shared.client import Client, TransportError
from relais_shared.telemetry import get_logger

LEEWAY_S: Final = 60
"""Clocks may differ by this much."""
OLDEST_S: Final = 600
"""An identity token is fetched right after it was made."""
REMEMBERED_S: Final = 3_600
"""The provider's document and keys are asked for again after an hour."""
KEYS_AGAIN_S: Final = 30
"""A token signed by a key that we do not know makes us ask again, but no more often than this."""
DISCOVERY: Final = "/.well-known/openid-configuration"
LONGEST: Final = 255
"""Characters of `sub` (Core, section 2) and more than an e-mail address has."""
TYPES: Final = frozenset({"jwt", None})
SCOPE: Final = "openid email"
OK: Final = 200


class Distrusted(Exception):  # noqa: N818 - a refusal is an answer
    """What the provider answered, or what a browser brought from it, is not to be trusted; one word says why."""


class Away(Exception):  # noqa: N818 - an answer to whoever waits
    """The provider does not answer, or not as a provider does."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the provider named: its own lasting name for somebody, and the e-mail that it verified, if it did."""

    issuer: str
    subject: str
    email: str | None


@dataclass(frozen=True, slots=True)
class Asking:
    """What one round trip to the provider is bound by; all of it follows from the secret that one browser holds."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def of(cls, secret: str) -> "Asking":
        """Answer what belongs to a secret: who sees one part of it learns no other."""
        parts = (
            urlsafe_b64encode(hmac.digest(secret.encode(), part, sha256)).decode().rstrip("=")
            for part in (b"state", b"nonce", b"verifier")
        )
        return cls(*parts)

    @property
    def challenge(self) -> str:
        """The verifier as the provider is told it beforehand (`S256`)."""
        return urlsafe_b64encode(sha256(self.verifier.encode()).digest()).decode().rstrip("=")


class Provider:
    """The provider, as the settings name it.

    Args:
        issuer: Its name, to the letter.
        client_id: Ours there.
        client_secret: Ours there; none where it knows us by PKCE alone.
        redirect_uri: Where it sends browsers back.
        client: Asks it.
    """

    def __init__(
        self, issuer: str, client_id: str, client_secret: str | None, redirect_uri: str, client: Client
    ) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._client = client
        self._document: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, list[PublicKey]] | None = None

    async def close(self) -> None:
        """Close the connections to it."""
        await self._client.aclose()

    async def address(self, asking: Asking) -> str:
        """Answer where a browser is sent to say who it is.

        Raises:
            Away: The provider does not answer.
        """
        document = await self._described()
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._client_id,
                "redirect_uri": self._redirect_uri,
                "scope": SCOPE,
                "state": asking.state,
                "nonce": asking.nonce,
                "code_challenge": asking.challenge,
                "code_challenge_method": "S256",
            }
        )
        endpoint = str(document["authorization_endpoint"])
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{query}"

    async def identity(self, answer: Mapping[str, str], asking: Asking, now: datetime) -> Identity:
        """Answer whom the provider names in exchange for what a browser brought back.

        Args:
            answer: The query that the browser came back with.
            asking: What it went with.
            now: The instant, aware.

        Raises:
            Distrusted: It was not asked for by this browser, comes from another provider, or is no token for us.
            Away: The provider does not answer.
        """
        if not hmac.compare_digest(answer.get("state", "").encode(), asking.state.encode()):
            raise Distrusted("state")
        document = await self._described()
        # RFC 9207: an answer that names another provider was meant for another one's client.
        named = answer.get("iss")
        if named != self._issuer and (
            named is not None or document.get("authorization_response_iss_parameter_supported")
        ):
            raise Distrusted("issuer")
        if "error" in answer or not answer.get("code"):
            raise Distrusted("refused")
        tokens = await self._exchanged(document, answer["code"], asking.verifier)
        claims = await self._judged(tokens.get("id_token"), asking.nonce, now)
        subject = str(claims["sub"])
        if not {"email", "email_verified"} <= claims.keys():
            claims = await self._told(document, tokens.get("access_token"), subject)
        return Identity(self._issuer, subject, _verified(claims))

    async def _exchanged(self, document: Mapping[str, Any], code: str, verifier: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        headers = {"Accept": "application/json"}
        if self._client_secret is None:
            form["client_id"] = self._client_id
        elif "client_secret_basic" in document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
            # RFC 6749, 2.3.1: both are encoded as in a form first.
            shown = f"{quote(self._client_id, safe='')}:{quote(self._client_secret, safe='')}"
            headers["Authorization"] = f"Basic {b64encode(shown.encode()).decode()}"
        else:
            form |= {"client_id": self._client_id, "client_secret": self._client_secret}
        try:
            answer = await self._client.post(str(document["token_endpoint"]), data=form, headers=headers)
            tokens = answer.json()
        except (TransportError, ValueError):
            raise Away from None
        if answer.status_code != OK or not isinstance(tokens, dict):
            # A code that was used, made up or meant for another client.
            raise Distrusted("code")
        return tokens

    async def _told(self, document: Mapping[str, Any], token: object, subject: str) -> dict[str, Any]:
        """Answer what the provider says of somebody when asked apart (Core, 5.3); nothing where it says nothing.

        Many a provider keeps the e-mail out of its identity tokens. Whoever came in before needs none.
        """
        address = document.get("userinfo_endpoint")
        if not isinstance(token, str) or not self._trusted(address):
            return {}
        headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
        try:
            answer = await self._client.get(str(address), headers=headers)
            told = answer.json()
        except (TransportError, ValueError):
            return {}
        # Core, 5.3.2: of somebody else it says nothing to us.
        ours = answer.status_code == OK and isinstance(told, dict) and told.get("sub") == subject
        return told if ours else {}

    async def _judged(self, token: object, nonce: str, now: datetime) -> dict[str, Any]:
        """Judge an identity token (Core, 3.1.3.7); answer what it claims, of a subject that has a name."""
        if not isinstance(token, str):
            raise Distrusted("token")
        try:
            claims = self._read(token, await self._signers(again=False))
        except KeyError:
            try:
                claims = self._read(token, await self._signers(again=True))
            except KeyError:
                raise Distrusted("key") from None
        self._for_us(claims)
        _of_now(claims, int(now.timestamp()))
        given = claims.get("nonce")
        if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
            raise Distrusted("nonce")
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 1 <= len(subject) <= LONGEST:
            raise Distrusted("subject")
        return claims

    def _for_us(self, claims: Mapping[str, Any]) -> None:
        if claims.get("iss") != self._issuer:
            raise Distrusted("issuer")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        party = claims.get("azp", self._client_id if len(audiences) == 1 else None)
        if self._client_id not in audiences or party != self._client_id:
            raise Distrusted("audience")

    @staticmethod
    def _read(token: str, keys: list[PublicKey]) -> dict[str, Any]:
        """Answer what a token claims whose signature fits.

        Raises:
            KeyError: By a key that we do not know.
            Distrusted: It does not fit.
        """
        missing = False

        def find(header: Mapping[str, Any]) -> PublicKey:
            nonlocal missing
            kid = header.get("kid")
            # Without a name it can only be the one key there is.
            fitting = [key for key in keys if key.kid == kid] if kid is not None else keys
            if len(fitting) != 1:
                missing = True
                raise KeyError(kid)
            return fitting[0]

        try:
            return read(token, find, types=TYPES, allowed=ALGORITHMS)[1]
        except Malformed:
            if missing:
                raise KeyError("kid") from None
            raise Distrusted("signature") from None

    async def _described(self) -> dict[str, Any]:
        """Answer the provider's own description, of the last hour."""
        if self._document is None or time.monotonic() - self._document[0] > REMEMBERED_S:
            found = await self._fetched(self._issuer.rstrip("/") + DISCOVERY)
            # Discovery, 4.3: it calls itself what we were told, or it is somebody else.
            wanted = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            if found.get("issuer") != self._issuer or not all(self._trusted(found.get(name)) for name in wanted):
                get_logger().warning("sign-in provider is not what it is said to be")
                raise Away
            self._document = (time.monotonic(), found)
        return self._document[1]

    async def _signers(self, *, again: bool) -> list[PublicKey]:
        held = self._keys
        age = time.monotonic() - held[0] if held else None
        if held is None or age is None or age > (KEYS_AGAIN_S if again else REMEMBERED_S):
            found = await self._fetched(str((await self._described())["jwks_uri"]))
            keys = []
            for jwk in found.get("keys") or ():
                try:
                    keys.append(public_key(jwk))
                except (Malformed, AttributeError):
                    continue  # For encrypting, or of a kind that we do not take: it signs nothing for us.
            self._keys = held = (time.monotonic(), keys)
        return held[1]

    async def _fetched(self, address: str) -> dict[str, Any]:
        try:
            answer = await self._client.get(address, headers={"Accept": "application/json"})
            found = answer.json()
        except (TransportError, ValueError):
            raise Away from None
        if answer.status_code != OK or not isinstance(found, dict):
            raise Away
        return found

    def _trusted(self, address: object) -> bool:
        """Answer whether an address is as safe as the issuer's own: in the clear only where that is on this machine."""
        if not isinstance(address, str):
            return False
        scheme = urlsplit(address).scheme
        return scheme == "https" or (scheme == "http" and urlsplit(self._issuer).scheme == "http")


def _verified(claims: Mapping[str, Any]) -> str | None:
    """Answer the e-mail that the provider verified itself: true, and not anything that looks like it."""
    email = claims.get("email")
    fits = isinstance(email, str) and len(email) <= LONGEST and claims.get("email_verified") is True
    return str(email).strip().casefold() if fits else None


def _of_now(claims: Mapping[str, Any], instant: int) -> None:
    said = [claims.get("iat"), claims.get("exp"), claims.get("nbf", instant)]
    # A truth value is a number to Python, and nothing to a clock.
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in said):
        raise Distrusted("time")
    issued, expires, begins = (float(one) for one in said if one is not None)
    fresh = instant - OLDEST_S <= issued <= instant + LEEWAY_S
    if not fresh or expires + LEEWAY_S < instant or begins - LEEWAY_S > instant:
        raise Distrusted("time")
