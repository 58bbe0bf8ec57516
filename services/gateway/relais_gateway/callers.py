"""Who calls, by the token that is shown: borne by anybody (RFC 6750), or bound to a key (RFC 9449)."""

from datetime import datetime
from typing import Final

from starlette.types import Message, Scope, Send

from relais_gateway.domain.refusals import InvalidProof
from relais_gateway.live import Client, State
from relais_gateway.proofs import CHALLENGE, HEADER, Asked, Proofs
from relais_gateway.signing import Claims, SigningKeys, unknown
from relais_shared.clock import utc_now
from relais_shared.refusals import Unauthenticated

ASKED: Final = "relais.method"
"""In a scope: the method that the caller asked by, where the door asks by another."""
SAID: Final = "relais.said"
"""In a scope: what the headers say that the door itself looks at, by their names; read once for all."""
TOKEN: Final = b"authorization"
ON_BEHALF_OF: Final = b"relais-on-behalf-of"
"""By it a partner's system names the human that it acts for; it goes on inside the assertion alone."""
LOOKED_AT: Final = frozenset({TOKEN, HEADER, ON_BEHALF_OF, b"traceparent", b"tracestate"})


def said(scope: Scope) -> dict[bytes, list[bytes]]:
    """Answer what a request's headers say that the door itself looks at."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        if name in LOOKED_AT:
            found.setdefault(name, []).append(value)
    return found


class Callers:
    """Tell who calls.

    Args:
        keys: Verify access tokens.
    """

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys
        self.proofs: Proofs | None = None

    def telling(self, scope: Scope, send: Send) -> Send:
        """Answer a `send` that gives whoever shows proofs the nonce for the next one (RFC 9449, section 8.2)."""
        proofs = self.proofs
        if proofs is None or HEADER not in scope[SAID]:
            return send

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                nonce = (b"dpop-nonce", proofs.nonce(utc_now()).encode())
                message = {**message, "headers": [*message["headers"], nonce]}
            await send(message)

        return told

    async def who(self, scope: Scope, now: datetime, *, again: bool = False) -> Claims:
        """Answer what the caller's token says.

        Args:
            scope: The request.
            now: The instant.
            again: It was let in before: its proof, which is good for once, is not asked for again.

        Raises:
            Unauthenticated: No token of ours, or no proof of the key that it is bound to.
            Unavailable: Nobody can say whether the proof was shown before.
        """
        given = scope[SAID].get(TOKEN)
        if not given:
            raise Unauthenticated("Show an access token.", headers={"WWW-Authenticate": f"Bearer, {CHALLENGE}"})
        kind, _, shown = given[0].partition(b" ")
        scheme = kind.lower()
        if len(given) > 1 or scheme not in {b"bearer", b"dpop"} or not shown:
            raise unknown()
        token = shown.decode("latin-1")
        if scheme == b"bearer":
            claims = self._keys.verify(token, now)
            if claims.jkt is not None:
                # Whoever found a bound token has no use of it (RFC 9449, section 7.2).
                raise unknown()
            return claims
        try:
            claims = self._keys.verify(token, now)
        except Unauthenticated:
            raise _no("invalid_token", "Show an access token that we issued and that is still valid.") from None
        if claims.jkt is None:
            raise _no("invalid_token", "This token is not bound to a key: show it as Bearer.")
        if not again:
            await self._proven(scope, now, token, claims.jkt)
        return claims

    async def _proven(self, scope: Scope, now: datetime, token: str, jkt: str) -> None:
        proofs = scope[SAID].get(HEADER, ())
        if len(proofs) != 1 or self.proofs is None:
            raise _no("invalid_dpop_proof", "Show one proof with each request (RFC 9449, section 7).")
        try:
            asked = Asked(scope.get(ASKED, scope["method"]), scope["path"], token, jkt)
            await self.proofs.judge(proofs[0].decode("latin-1"), asked, now)
        except InvalidProof as refusal:
            raise _no("use_dpop_nonce" if refusal.facts else "invalid_dpop_proof", refusal.detail) from None


def fits(client: Client, claims: Claims, state: State) -> bool:
    """Say whether a token of a client is still one: its secret or key is there, and it is bound if it has to be."""
    return (
        claims.organisation_id == client.organisation_id
        and claims.credential in client.credentials
        and (claims.jkt is not None or not client.dpop_required)
        and claims.jti not in state.revoked
    )


def _no(error: str, detail: str) -> Unauthenticated:
    return Unauthenticated(detail, headers={"WWW-Authenticate": CHALLENGE.replace("DPoP ", f'DPoP error="{error}", ')})
