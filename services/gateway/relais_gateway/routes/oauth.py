"""The authorisation server: tokens for clients, given up or looked into (RFC 6749, 7009, 7662, 9449)."""

from collections.abc import Awaitable, Mapping
from typing import Final
from urllib.parse import parse_qsl

from fastapi import Request, Response
from starlette.responses import JSONResponse

from relais_gateway import token_actions
from relais_gateway.callers import fits
from relais_gateway.clients import authenticated
from relais_gateway.domain.refusals import InvalidClient, InvalidProof, InvalidScope
from relais_gateway.domain.scopes import narrowed
from relais_gateway.live import Client, State
from relais_gateway.problems import NO_STORE, oauth_error, oauth_not_now
from relais_gateway.proofs import Asked
from relais_gateway.routes import oauth_documents as documents
from relais_gateway.signing import Claims
from relais_shared.auth import public
from relais_shared.clock import Now
from relais_shared.refusals import MalformedRequest, Refusal, Unauthenticated, Unavailable
from relais_shared.service import Router

router = Router(tags=["tokens"])

FORM: Final = "application/x-www-form-urlencoded"
LONGEST: Final = 8_192
"""Bytes of a request: a few parameters, the longest an assertion or a token."""
OWN_CREDENTIAL: Final = "the client's own secret or key opens it"


class _No(Refusal):
    """Another error of RFC 6749."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(detail)
        self.error = error


ERRORS: Final = (
    (InvalidClient, "invalid_client"),
    (InvalidProof, "invalid_dpop_proof"),
    (InvalidScope, "invalid_scope"),
    (Refusal, "invalid_request"),
)


@router.post(
    "/oauth2/token",
    openapi_extra={**public(OWN_CREDENTIAL), **documents.TOKEN},
    responses=documents.REFUSALS,
    response_class=JSONResponse,
)
async def token(request: Request, now: Now) -> Response:
    """Issue an access token to a client that shows its secret, or signs with its key.

    The scopes are what was asked, cut to what the client may have, cut to what its organisation is granted. With a
    `DPoP` proof the token is bound to the key of the proof.
    """
    return await _answered(_token(request, now))


async def _token(request: Request, now: Now) -> Response:
    form, client, credential, state = await _known(request, now)
    if (wanted := form.get("grant_type")) != "client_credentials":
        error = "unsupported_grant_type" if wanted else "invalid_request"
        raise _No(error, "grant_type is client_credentials.")
    member = state.members.get(client.organisation_id)
    scopes = narrowed(form.get("scope"), client.scopes, member.held(now.date()) if member else ())
    jkt = await _bound(request, client, now)
    life_s = client.token_life_s or request.app.state.settings.token_life_s
    signed = request.app.state.keys.issue(
        subject=f"client:{client.id}",
        client_id=client.id,
        organisation_id=client.organisation_id,
        scopes=scopes,
        now=now,
        life_s=life_s,
        credential=credential,
        jkt=jkt,
        alg=client.token_alg,
    )
    kind = "DPoP" if jkt else "Bearer"
    body = {"access_token": signed, "token_type": kind, "expires_in": life_s, "scope": " ".join(scopes)}
    return JSONResponse(body, headers=NO_STORE)


@router.post(
    "/oauth2/revoke",
    openapi_extra={**public(OWN_CREDENTIAL), **documents.REVOCATION},
    responses=documents.REFUSALS,
    response_class=Response,
)
async def revoke(request: Request, now: Now) -> Response:
    """Revoke one of the client's own tokens, everywhere within a second (RFC 7009).

    A token that has ended, was revoked before or is none is answered like one that was revoked just now.
    """
    return await _answered(_revoke(request, now))


async def _revoke(request: Request, now: Now) -> Response:
    form, client, _, _ = await _known(request, now)
    claims = _shown(request, form, now)
    if claims is not None and claims.client_id != client.id:
        raise _No("unauthorized_client", "The token was issued to another client.")
    if claims is not None:
        async with request.app.state.pool.acquire() as connection:
            await token_actions.revoke(connection, claims)
    return Response(status_code=200, headers=NO_STORE)


@router.post(
    "/oauth2/introspect",
    openapi_extra={**public(OWN_CREDENTIAL), **documents.INTROSPECTION},
    responses=documents.REFUSALS,
    response_class=JSONResponse,
)
async def introspect(request: Request, now: Now) -> Response:
    """Say whether one of the client's own tokens works now, and for what (RFC 7662).

    The scopes are those that hold at this moment. A token of anybody else is as inactive as one that never was.
    """
    return await _answered(_introspect(request, now))


async def _introspect(request: Request, now: Now) -> Response:
    form, client, _, state = await _known(request, now)
    claims = _shown(request, form, now)
    member = state.members.get(client.organisation_id)
    held = member.held(now.date()).keys() if member else frozenset[str]()
    if claims is None or claims.client_id != client.id or not fits(client, claims, state) or not held:
        return JSONResponse({"active": False}, headers=NO_STORE)
    issuer = request.app.state.settings.public_url
    body = {
        "active": True,
        "scope": " ".join(sorted(claims.scopes & client.scopes & held)),
        "client_id": client.id,
        "token_type": "DPoP" if claims.jkt else "Bearer",
        "exp": claims.expires,
        "iat": claims.issued,
        "sub": claims.subject,
        "aud": issuer,
        "iss": issuer,
        "jti": claims.jti,
        "org": str(client.organisation_id),
        **({"cnf": {"jkt": claims.jkt}} if claims.jkt else {}),
    }
    return JSONResponse(body, headers=NO_STORE)


async def _known(request: Request, now: Now) -> tuple[dict[str, str], Client, str, State]:
    """Answer the parameters of a request, its client with the credential that it showed, and the state of now."""
    app = request.app.state
    form = await _form(request)
    if form is None:
        raise MalformedRequest(f"Send {FORM}, each parameter once.")
    state = await app.live.now()
    base = app.settings.public_url.rstrip("/")
    audiences = (app.settings.public_url, f"{base}/oauth2/token", f"{base}{request.url.path}")
    shown = request.headers.getlist("authorization")
    client, credential = await authenticated(shown, form, state, audiences, app.pool, now)
    return form, client, credential, state


async def _bound(request: Request, client: Client, now: Now) -> str | None:
    """Answer the thumbprint of the key that the token is to be bound to; nothing where none is shown or needed."""
    proofs = request.headers.getlist("dpop")
    if not proofs and not client.dpop_required:
        return None
    if len(proofs) != 1:
        raise InvalidProof("Show one DPoP proof: the tokens of this client are bound to a key.")
    asked = Asked(request.method, request.url.path)
    found: str = await request.app.state.proofs.judge(proofs[0], asked, now)
    return found


def _shown(request: Request, form: Mapping[str, str], now: Now) -> Claims | None:
    """Answer what the token in question says; nothing where it is none of ours, or none any more."""
    if not form.get("token"):
        raise MalformedRequest("token is missing.")
    try:
        claims: Claims = request.app.state.keys.verify(form["token"], now)
    except Unauthenticated:
        return None
    return claims


async def _form(request: Request) -> dict[str, str] | None:
    """Answer the parameters of a request; nothing where it is none: repeated, too long, of another type."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return None
    body = await request.body()
    if len(body) > LONGEST:
        return None
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=20)
    except (UnicodeDecodeError, ValueError):
        return None
    form = dict(pairs)
    if len(form) != len(pairs):
        return None
    # A parameter without a value counts as left out (RFC 6749, section 3.2).
    return {name: value for name, value in pairs if value or name == "scope"}


async def _answered(work: Awaitable[Response]) -> Response:
    """Answer what came of a request, its refusal as RFC 6749, section 5.2, says it."""
    try:
        return await work
    except (_No, InvalidClient, InvalidProof, InvalidScope, MalformedRequest) as refusal:
        error = next(error for kind, error in ERRORS if isinstance(refusal, kind))
        if isinstance(refusal, _No):
            error = refusal.error
        elif isinstance(refusal, InvalidProof) and refusal.facts:
            error = "use_dpop_nonce"
        challenged = error == "invalid_client"
        challenge = {"WWW-Authenticate": 'Basic realm="relais"'} if challenged else {}
        return oauth_error(error, refusal.detail, 401 if challenged else 400, challenge)
    except Unavailable as refusal:
        answer = oauth_not_now(refusal)
        assert answer is not None  # noqa: S101 - it says so of every such refusal
        return answer
