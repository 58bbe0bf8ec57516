"""At a counter: a colleague who is signed in opens her page with her, by her card and code, apart from their own."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from relais_gateway.web.api import ApiProblem
from relais_gateway.web.person.door import code_of, let_in
from relais_gateway.web.person.session import HER
from relais_gateway.web.person.words import PICTURES
from relais_gateway.web.session import AsVisitor, OurForm, SignedIn, text
from relais_gateway.web.site import PageRoute, show

router = APIRouter(route_class=PageRoute, include_in_schema=False)

NOT_FOUND, INVALID = 404, 422


@router.get("/guichet")
async def counter(request: Request, _visitor: SignedIn) -> Response:
    """Ask for her card and her code, which she types herself."""
    return show(request, "person/counter.html", pictures=PICTURES, refused=False)


@router.post("/guichet")
async def open_with_her(request: Request, api: AsVisitor, form: OurForm) -> Response:
    """Open her page for a quarter of an hour; she is told of it, and whatever is wrong reads alike."""
    link, code = text(form, "link"), code_of(form)
    if link and code is not None:
        try:
            return let_in(request, HER, (await api.post("/v1/assisted_sessions", {"link": link, "code": code})).body)
        except ApiProblem as problem:
            if problem.status not in {NOT_FOUND, INVALID}:
                raise
    return show(request, "person/counter.html", INVALID, pictures=PICTURES, refused=True)
