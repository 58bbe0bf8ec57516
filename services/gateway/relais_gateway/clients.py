"""Clients that prove who they are at the authorisation server: by a secret, or by a key of their own (RFC 7523)."""

import hmac
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote_plus

import asyncpg

from relais_gateway.domain.refusals import InvalidClient
from relais_gateway.domain.tokens import judge_assertion
from relais_gateway.jwts import ALGORITHMS, BANKING, Malformed, PublicKey, read, unverified
from relais_gateway.live import KEY, SECRET, Client, State, credential_of, fingerprint
from relais_gateway.proofs import once
from relais_shared.refusals import MalformedRequest

ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TYPES: Final[frozenset[str | None]] = frozenset({None, "jwt", "client-authentication+jwt"})
NOBODY: Final = fingerprint("no client has this secret")


async def authenticated(  # noqa: PLR0913 - what a client shows, and what it is held against
    shown: Sequence[str],
    form: Mapping[str, str],
    state: State,
    audiences: Sequence[str],
    pool: asyncpg.Pool,
    now: datetime,
) -> tuple[Client, str]:
    """Answer the client that proves itself, and by which of its credentials.

    Args:
        shown: Every `Authorization` header.
        form: The parameters of the request.
        state: Who may do what, now.
        audiences: What we may be called, the issuer first.
        pool: Of the gateway's database.
        now: The instant.

    Raises:
        InvalidClient: It does not.
        MalformedRequest: It shows two things at once, or half of one.
        Unavailable: Nobody can say whether an assertion was shown before.
    """
    assertion = form.get("client_assertion")
    if (assertion is None) != ("client_assertion_type" not in form) or (assertion is not None and shown):
        raise MalformedRequest("Prove who you are in one way: HTTP Basic, or client_assertion with its type.")
    if "client_secret" in form:
        raise MalformedRequest("The secret belongs in the Authorization header (HTTP Basic), not in the body.")
    if assertion is None:
        client, credential = _by_secret(shown, state.clients)
    else:
        if form["client_assertion_type"] != ASSERTION:
            raise MalformedRequest(f"client_assertion_type is {ASSERTION}.")
        client, credential = await _by_key(assertion, state.clients, audiences, pool, now)
    if form.get("client_id", client.id) != client.id:
        raise MalformedRequest("client_id names another client than the one that proves itself.")
    return client, credential


def _by_secret(shown: Sequence[str], clients: Mapping[str, Client]) -> tuple[Client, str]:
    """Answer the client whose id and secret were shown (RFC 6749, section 2.3.1), if they fit."""
    kind, _, coded = shown[0].partition(" ") if len(shown) == 1 else ("", "", "")
    try:
        id_, colon, secret = b64decode(coded, validate=True).decode().partition(":")
    except (NotBase64, UnicodeDecodeError, ValueError):
        raise _nobody() from None
    client = clients.get(unquote_plus(id_))
    kept = client.secret_hash if client and SECRET in client.methods else None
    # An unknown client is compared too, so that it answers like a wrong secret.
    fits = hmac.compare_digest(kept or NOBODY, fingerprint(unquote_plus(secret)))
    if kind.lower() != "basic" or not colon or client is None or kept is None or not fits:
        raise _nobody()
    return client, credential_of(kept)


async def _by_key(
    assertion: str, clients: Mapping[str, Client], audiences: Sequence[str], pool: asyncpg.Pool, now: datetime
) -> tuple[Client, str]:
    client, key, claims = _read(assertion, clients)
    audiences = audiences[:1] if client.fapi else audiences
    jti, until = judge_assertion(
        claims, client_id=client.id, audiences=audiences, lists=not client.fapi, now=int(now.timestamp())
    )
    if not await once(pool, f"assertion {client.id} {jti}", until):
        raise InvalidClient("This assertion was shown before. Make a new one for each request.")
    return client, key.thumbprint


def _read(assertion: str, clients: Mapping[str, Client]) -> tuple[Client, PublicKey, dict[str, Any]]:
    """Answer the client whose key signed an assertion, by what the assertion says of itself until that is proven."""
    client = clients.get(_said(assertion))
    if client is None or KEY not in client.methods:
        raise _nobody()

    def find(header: Mapping[str, Any]) -> PublicKey:
        kid = header.get("kid")
        fitting = [
            key for key in client.keys if (kid is None or key.kid == kid) and header.get("alg") in key.algorithms
        ]
        if len(fitting) != 1:
            # Several keys of one kind and no `kid`: nobody guesses.
            raise Malformed
        return fitting[0]

    try:
        key, claims = read(assertion, find, types=TYPES, allowed=BANKING if client.fapi else ALGORITHMS)
    except Malformed:
        raise _nobody() from None
    return client, key, claims


def _said(assertion: str) -> str:
    """Answer whose an assertion says it is; nothing is believed of it yet."""
    try:
        claims = unverified(assertion)
    except Malformed:
        raise _nobody() from None
    said = claims.get("sub")
    return said if isinstance(said, str) else ""


def _nobody() -> InvalidClient:
    # The same words whatever was wrong: an unknown id answers like a wrong secret or a foreign signature.
    return InvalidClient("No client proves itself by this.")
