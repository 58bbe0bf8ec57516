"""What the authorisation server says of itself: metadata and keys (RFC 8414, 7517)."""

from typing import Any

from fastapi import Request

from relais_gateway.domain.scopes import MEANINGS
from relais_gateway.jwts import ALGORITHMS, BANKING
from relais_gateway.live import METHODS
from relais_shared import problems
from relais_shared.auth import public
from relais_shared.clock import Now
from relais_shared.refusals import Unavailable
from relais_shared.service import Router

router = Router(tags=["tokens"])


@router.get("/.well-known/oauth-authorization-server", openapi_extra=public("clients find the server by it"))
async def metadata(request: Request) -> dict[str, Any]:
    """Answer the authorisation server's metadata (RFC 8414)."""
    base = request.app.state.settings.public_url.rstrip("/")
    proves = {
        f"{place}_endpoint_auth_{what}_supported": list(values)
        for place in ("token", "revocation", "introspection")
        for what, values in (("methods", METHODS), ("signing_alg_values", ALGORITHMS))
    }
    return {
        "issuer": request.app.state.settings.public_url,
        "token_endpoint": f"{base}/oauth2/token",
        "revocation_endpoint": f"{base}/oauth2/revoke",
        "introspection_endpoint": f"{base}/oauth2/introspect",
        "jwks_uri": f"{base}/.well-known/jwks.json",
        "scopes_supported": list(MEANINGS),
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        **proves,
        "dpop_signing_alg_values_supported": list(BANKING),
        "service_documentation": f"{base}/docs",
    }


@router.get(
    "/.well-known/jwks.json", openapi_extra=public("the keys are public"), responses=problems.responses(Unavailable)
)
async def jwks(request: Request, now: Now) -> dict[str, Any]:
    """Answer the public keys that verify our access tokens (RFC 7517): for a while the old and the new together."""
    await request.app.state.live.now()
    found: dict[str, Any] = request.app.state.keys.public(now)
    return found
