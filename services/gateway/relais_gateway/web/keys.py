"""Passkeys on the pages: making one, signing in by one, taking one away; the one part that needs a script."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from relais_gateway.domain.keys import Unfit
from relais_gateway.own_keys import OwnKeys
from relais_gateway.web.account import HOME, INVALID
from relais_gateway.web.counted import Counted
from relais_gateway.web.entrance import provider_name
from relais_gateway.web.languages import _
from relais_gateway.web.session import JustIn, OurForm, come_in, device, inside, keep, text
from relais_gateway.web.site import PageRoute, go, show
from relais_shared.clock import Now

router = APIRouter(route_class=PageRoute, include_in_schema=False)

KEY_COOKIE: Final = "relais_key"
"""Holds the secret of which a key is asked to sign a part."""
LONGEST_NAME: Final = 60


def _keys(request: Request) -> OwnKeys:
    found: OwnKeys = request.app.state.own_keys
    return found


def _asked(request: Request, secret: str, options: str) -> Response:
    response = Response(options, media_type="application/json")
    keep(request, response, KEY_COOKIE, secret)
    return response


@router.post("/connexion/cle/options")
async def to_show(request: Request, _counted: Counted, _form: OurForm, now: Now) -> Response:
    """Answer what a browser asks a key for; the same to everybody."""
    return _asked(request, *await _keys(request).to_show(now))


@router.post("/connexion/cle")
async def sign_in(request: Request, _counted: Counted, form: OurForm, now: Now) -> Response:
    """Open a session for the owner of a key; every no is answered alike."""
    onward = inside(text(form, "vers") or "/")
    secret = request.cookies.get(KEY_COOKIE, "")
    found = await _keys(request).sign_in(secret, text(form, "answer"), now, device(request))
    if found is None:
        facts = {"vers": onward, "email": "", "refused": False, "key_refused": True}
        response: Response = show(request, "sign_in.html", INVALID, provider=provider_name(request), **facts)
    else:
        response = await come_in(request, found, onward)
    response.delete_cookie(KEY_COOKIE, path="/")
    return response


@router.get(f"{HOME}/cle")
async def key_page(request: Request, who: JustIn) -> Response:
    """Say what a passkey is, and ask for its name."""
    del who
    return show(request, "account/key.html", refused=False)


@router.post(f"{HOME}/cle/options")
async def to_make(request: Request, who: JustIn, _form: OurForm, now: Now) -> Response:
    """Answer how a browser makes a key."""
    return _asked(request, *await _keys(request).to_make(who, now))


@router.post(f"{HOME}/cle")
async def add(request: Request, who: JustIn, form: OurForm, now: Now) -> Response:
    """Keep a key, and show the recovery codes this once where it is the first second step."""
    secret = request.cookies.get(KEY_COOKIE, "")
    name = text(form, "name")[:LONGEST_NAME] or device(request) or _("Clé d'accès")
    try:
        codes = await _keys(request).add(who, secret, text(form, "answer"), name, now)
    except Unfit:
        return show(request, "account/key.html", INVALID, refused=True)
    response: Response = show(request, "account/codes.html", codes=codes) if codes else go(HOME, fait="cle")
    response.delete_cookie(KEY_COOKIE, path="/")
    return response


@router.post(f"{HOME}/cle/retirer")
async def remove(request: Request, who: JustIn, form: OurForm, now: Now) -> Response:
    """Take a key away."""
    await _keys(request).remove(who, text(form, "key"), now)
    return go(HOME, fait="cle_retiree")
