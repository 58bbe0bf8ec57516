"""The authorisation server: tokens for clients, its metadata, its keys (RFC 6749, 8414, 7517, 9068)."""

import hmac
from base64 import b64decode
from binascii import Error as NotBase64
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

from fastapi import Request, Response
from starlette.responses import JSONResponse

from relais_gateway.domain.refusals import InvalidScope
from relais_gateway.domain.scopes import MEANINGS, narrowed
from relais_gateway.live import Client, fingerprint
from relais_shared.auth import public
from relais_shared.clock import Now
from relais_shared.service import Router
from relais_shared.telemetry import current_trace_id

router = Router(tags=["tokens"])

FORM: Final = "application/x-www-form-urlencoded"
LONGEST: Final = 8_192
"""Bytes of a token request: a few parameters, the longest a list of scopes."""
NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
NOBODY: Final = fingerprint("no client has this secret")

_ERROR: Final[Any] = {
    "description": "RFC 6749, section 5.2, with the trace id.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["error", "trace_id"],
                "properties": {"error": {"type": "string"}, "trace_id": {"type": "string"}},
            },
            "example": {"error": "invalid_client", "trace_id": "4f2a…"},
        }
    },
}


@router.post(
    "/oauth2/token",
    openapi_extra={
        **public("the client's own secret opens it"),
        "requestBody": {
            "required": True,
            "content": {
                FORM: {
                    "schema": {
                        "type": "object",
                        "required": ["grant_type"],
                        "properties": {
                            "grant_type": {"type": "string", "const": "client_credentials"},
                            "scope": {
                                "type": "string",
                                "description": "Parted by blanks; all that you may, where absent.",
                            },
                        },
                    },
                    "example": {"grant_type": "client_credentials", "scope": "directory:read referral:send"},
                }
            },
        },
        "responses": {
            "200": {
                "description": "An access token (RFC 9068).",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["access_token", "token_type", "expires_in", "scope"],
                            "properties": {
                                "access_token": {"type": "string"},
                                "token_type": {"type": "string", "const": "Bearer"},
                                "expires_in": {"type": "integer", "description": "Seconds."},
                                "scope": {"type": "string"},
                            },
                        },
                        "example": {
                            "access_token": "eyJ…",
                            "token_type": "Bearer",
                            "expires_in": 600,
                            "scope": "directory:read referral:send",
                        },
                    }
                },
            }
        },
    },
    responses={400: _ERROR, 401: _ERROR, 413: _ERROR},
    response_class=JSONResponse,
)
async def token(request: Request, now: Now) -> Response:
    """Issue an access token to a client that shows its secret in HTTP Basic.

    The scopes are what was asked, cut to what the client may have, cut to what its organisation is granted.
    """
    state = await request.app.state.live.now()
    client = _client(request, state.clients)
    if client is None:
        return _no("invalid_client", 401, {"WWW-Authenticate": 'Basic realm="relais"'})
    form = await _form(request)
    if form is None:
        return _no("invalid_request", 400)
    if form["grant_type"] != "client_credentials":
        return _no("unsupported_grant_type", 400)
    member = state.members.get(client.organisation_id)
    try:
        scopes = narrowed(form.get("scope"), client.scopes, member.held(now.date()) if member else ())
    except InvalidScope:
        return _no("invalid_scope", 400)
    life_s = request.app.state.settings.token_life_s
    signed = request.app.state.keys.issue(
        subject=f"client:{client.id}",
        client_id=client.id,
        organisation_id=client.organisation_id,
        scopes=scopes,
        now=now,
        life_s=life_s,
    )
    body = {"access_token": signed, "token_type": "Bearer", "expires_in": life_s, "scope": " ".join(scopes)}
    return JSONResponse(body, headers=NO_STORE)


def _client(request: Request, clients: dict[str, Client]) -> Client | None:
    """Answer the client whose id and secret were shown (RFC 6749, section 2.3.1), if they fit."""
    shown = request.headers.getlist("authorization")
    kind, _, coded = shown[0].partition(" ") if len(shown) == 1 else ("", "", "")
    try:
        id_, colon, secret = b64decode(coded, validate=True).decode().partition(":")
    except (NotBase64, UnicodeDecodeError, ValueError):
        return None
    client = clients.get(unquote_plus(id_))
    # An unknown client is compared too, so that it answers like a wrong secret.
    known = hmac.compare_digest(client.secret_hash if client else NOBODY, fingerprint(unquote_plus(secret)))
    return client if kind.lower() == "basic" and colon and client and known else None


async def _form(request: Request) -> dict[str, str] | None:
    """Answer the parameters of a token request; nothing where it is none: repeated, empty, of another type."""
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
    # A parameter without a value counts as left out; one that stands twice counts as no request at all.
    return form if len(form) == len(pairs) and form.get("grant_type") else None


def _no(error: str, status: int, headers: dict[str, str] | None = None) -> Response:
    body = {"error": error, "trace_id": current_trace_id()}
    return JSONResponse(body, status, headers={**NO_STORE, **(headers or {})})


@router.get("/.well-known/oauth-authorization-server", openapi_extra=public("clients find the server by it"))
async def metadata(request: Request) -> dict[str, Any]:
    """Answer the authorisation server's metadata (RFC 8414)."""
    base = request.app.state.settings.public_url.rstrip("/")
    return {
        "issuer": request.app.state.settings.public_url,
        "token_endpoint": f"{base}/oauth2/token",
        "jwks_uri": f"{base}/.well-known/jwks.json",
        "scopes_supported": list(MEANINGS),
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "service_documentation": f"{base}/docs",
    }


@router.get("/.well-known/jwks.json", openapi_extra=public("the keys are public"))
async def jwks(request: Request) -> dict[str, Any]:
    """Answer the public keys that verify our access tokens (RFC 7517)."""
    await request.app.state.live.now()
    found: dict[str, Any] = request.app.state.keys.public()
    return found
