"""The way in: the files that pages are dressed with, signing in and out, the language, how these pages can be used."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from relais_gateway.web import known, languages
from relais_gateway.web.assets import assets
from relais_gateway.web.counted import Counted
from relais_gateway.web.session import (
    COOKIE,
    STEP_COOKIE,
    Halfway,
    MaybeVisitor,
    OurForm,
    Refused,
    SignedIn,
    come_in,
    device,
    inside,
    keep,
    sessions,
    text,
)
from relais_gateway.web.site import NOT_FOUND, PageRoute, go, show, trouble
from relais_shared.clock import Now

router = APIRouter(route_class=PageRoute, include_in_schema=False)

KEPT: Final = "public, max-age=31536000, immutable"
"""For files whose address changes with their content."""
INVALID = 422
CODE_LENGTH: Final = 100
"""Far more than any code has, however it is typed."""


@router.get("/static/{name:path}")
async def static(request: Request, name: str) -> Response:
    """Answer a file that pages are dressed with."""
    found = assets().get(name)
    if found is None:
        return trouble(request, NOT_FOUND)
    headers = {"Vary": "Accept-Encoding", "Cache-Control": KEPT, "ETag": f'"{found.mark}"'}
    if "v" not in request.query_params:
        # The font is named by the stylesheet, whose own address changes when it names another.
        headers["Cache-Control"] = "public, max-age=86400"
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    if found.squeezed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(found.squeezed, headers=headers, media_type=found.kind)
    return Response(found.body, headers=headers, media_type=found.kind)


@router.get("/favicon.ico")
async def favicon() -> Response:
    """Send browsers that ask by the old name to our sign."""
    return RedirectResponse("/static/favicon.svg", 308)


def provider_name(request: Request) -> str:
    """Answer how people know the outside provider; empty where there is none."""
    settings = request.app.state.settings
    return str(settings.provider_name) if settings.provider_issuer else ""


@router.get("/connexion")
async def sign_in_page(request: Request, visitor: MaybeVisitor, vers: str = "/") -> Response:
    """Ask who it is."""
    if visitor is not None:
        return go(inside(vers))
    return show(request, "sign_in.html", vers=inside(vers), email="", refused=False, provider=provider_name(request))


@router.post("/connexion")
async def sign_in(request: Request, _counted: Counted, form: OurForm, now: Now) -> Response:
    """Open a session; a wrong e-mail and a wrong password are answered alike."""
    email, onward = text(form, "email"), inside(text(form, "vers") or "/")
    # A password is taken as typed: blanks may be part of it.
    password, source = str(form.get("password", "")), known.source(request, email)
    found = await sessions(request).sign_in(email, password, now, device(request), source)
    if found is None:
        return show(
            request, "sign_in.html", INVALID, vers=onward, email=email, refused=True, provider=provider_name(request)
        )
    if isinstance(found, Halfway):
        response: Response = go("/connexion/code", vers=onward)
        keep(request, response, STEP_COOKIE, found.secret)
    else:
        response = await come_in(request, found, onward)
    known.remember(request, response, email)
    return response


@router.get("/connexion/code")
async def second_step_page(request: Request, visitor: MaybeVisitor, vers: str = "/") -> Response:
    """Ask for the code of the second step."""
    if visitor is not None:
        return go(inside(vers))
    if STEP_COOKIE not in request.cookies:
        return go("/connexion", vers=inside(vers))
    return show(request, "account/second_step.html", vers=inside(vers), refused=False)


@router.post("/connexion/code")
async def second_step(request: Request, _counted: Counted, form: OurForm, now: Now) -> Response:
    """Open a session for whoever has the code too; a wrong one and one too many are answered alike."""
    onward = inside(text(form, "vers") or "/")
    halfway = request.cookies.get(STEP_COOKIE, "")
    found = await sessions(request).second_step(halfway, text(form, "code")[:CODE_LENGTH], now, device(request))
    if found is Refused.WRONG:
        return show(request, "account/second_step.html", INVALID, vers=onward, refused=True)
    if found is Refused.ENDED:
        response: Response = go("/connexion", vers=onward)
        response.delete_cookie(STEP_COOKIE, path="/")
        return response
    return await come_in(request, found, onward)


@router.post("/deconnexion")
async def sign_out(request: Request, _form: OurForm, now: Now) -> Response:
    """End the session, here and on the server."""
    secret = request.cookies.get(COOKIE)
    if secret:
        await sessions(request).sign_out(secret, now)
    response = go("/connexion")
    response.delete_cookie(COOKIE, path="/")
    return response


@router.post("/langue")
async def speak(request: Request, form: OurForm) -> Response:
    """Speak another language from now on, in this browser."""
    response = go(inside(text(form, "vers") or "/"))
    chosen = text(form, "langue")
    keep(request, response, languages.COOKIE, chosen)
    if (secret := request.cookies.get(COOKIE)) and chosen in languages.LANGUAGES:
        await sessions(request).speak(secret, chosen)  # Her letters speak it too.
    return response


@router.get("/accessibilite")
async def accessibility(request: Request, _visitor: MaybeVisitor) -> Response:
    """Say how these pages can be used, and what is not proven yet."""
    return show(request, "accessibility.html")


@router.get("/")
async def first(visitor: SignedIn) -> Response:
    """Begin where the work begins: with the search, or with the console for whoever may not search."""
    return go("/gestion" if visitor.looks_after and "directory:read" not in visitor.scopes else "/recherche")
