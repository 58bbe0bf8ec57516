"""Signing in by an outside provider: going there, and coming back."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from relais_gateway.outside_sign_in import OutsideSignIn
from relais_gateway.provider import Away
from relais_gateway.web.counted import Counted
from relais_gateway.web.languages import later
from relais_gateway.web.session import come_in, device, inside, keep
from relais_gateway.web.site import FORBIDDEN, NOT_FOUND, PageRoute, trouble
from relais_shared.clock import Now

router = APIRouter(route_class=PageRoute, include_in_schema=False)

ROUND_COOKIE: Final = "relais_outside"
"""Holds the secret of a round trip to the provider; sent along when one comes back, because that is a plain visit."""
BACK: Final = "/connexion/retour"
UNAVAILABLE: Final = 503
LONGEST: Final = 2_000
"""Characters of what comes back."""

UNKNOWN_HERE: Final = (
    later("Vous n'êtes pas entré·e"),
    later(
        "Soit cet essai a trop duré ou a déjà servi, soit votre fournisseur d'identité ne confirme aucune adresse "
        "qui a un compte ici. Recommencez depuis la page de connexion ; si cela revient, demandez à la personne "
        "qui administre "
        "Relais dans votre structure."
    ),
)
AWAY: Final = (
    later("Votre fournisseur d'identité ne répond pas"),
    later("Réessayez dans un instant, ou connectez-vous avec votre mot de passe si vous en avez un."),
)


def _outside(request: Request) -> OutsideSignIn:
    found: OutsideSignIn | None = getattr(request.app.state, "outside", None)
    if found is None:
        raise HTTPException(NOT_FOUND)
    return found


@router.get("/connexion/fournisseur")
async def leave(request: Request, _counted: Counted, now: Now, vers: str = "/") -> Response:
    """Send the browser to the provider: a link, not a form, because our pages send forms to nobody else."""
    try:
        secret, address = await _outside(request).begin(inside(vers), now)
    except Away:
        return trouble(request, UNAVAILABLE, said=AWAY)
    response = RedirectResponse(address, 303)
    keep(request, response, ROUND_COOKIE, secret)
    return response


@router.get(BACK)
async def come_back(request: Request, _counted: Counted, now: Now) -> Response:
    """Open a session for whom the provider names; every no is answered alike."""
    answer = {name: value for name, value in request.query_params.items() if len(value) <= LONGEST}
    try:
        found = await _outside(request).come_back(request.cookies.get(ROUND_COOKIE, ""), answer, now, device(request))
    except Away:
        response = trouble(request, UNAVAILABLE, said=AWAY)
    else:
        response = await come_in(request, *found) if found else trouble(request, FORBIDDEN, said=UNKNOWN_HERE)
    response.delete_cookie(ROUND_COOKIE, path="/")
    return response
