"""Danger: what to do now, for anybody, without a session and without a trace; and out of the page at once."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from relais_gateway.web.session import COOKIE, MaybeVisitor, sessions
from relais_gateway.web.site import PageRoute, go, show
from relais_shared.clock import Now

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/danger")
async def danger(request: Request, _visitor: MaybeVisitor) -> Response:
    """Say whom to call and what to do first; nothing is asked, and nothing of it is kept."""
    return show(request, "danger.html")


@router.post("/danger/quitter")
async def leave(request: Request, now: Now) -> Response:
    """End the session and show a page that says nothing; no proof is asked: whoever wants to leave leaves."""
    secret = request.cookies.get(COOKIE)
    if secret:
        await sessions(request).sign_out(secret, now)
    response = go("/p/calendrier")
    response.delete_cookie(COOKIE, path="/")
    return response
