"""With her at a counter: her card is made and printed, or her page is opened by it, apart from the counter's own."""

from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from relais_gateway.web.api import ApiProblem
from relais_gateway.web.languages import LANGUAGES
from relais_gateway.web.person.door import code_of, let_in
from relais_gateway.web.person.session import HER
from relais_gateway.web.person.words import PICTURES
from relais_gateway.web.service import PARTNER
from relais_gateway.web.session import AsVisitor, OurForm, SignedIn, text
from relais_gateway.web.site import FORBIDDEN, PageRoute, show, trouble

router = APIRouter(route_class=PageRoute, include_in_schema=False)

NOT_FOUND, INVALID = 404, 422
LEVELS: Final = ("full", "steps", "none")
"""What her link may show, as she chooses."""


@router.get("/cartes/{referral_id}")
async def choose_card(request: Request, referral_id: UUID, api: AsVisitor) -> Response:
    """Ask how she wants her card: her code, what it shows, whether it is discreet, in which language."""
    await api.get(f"/v1/referrals/{referral_id}/access")
    return show(request, "person/card.html", pictures=PICTURES, chosen={}, refused=False)


@router.post("/cartes/{referral_id}")
async def print_card(request: Request, referral_id: UUID, api: AsVisitor, form: OurForm) -> Response:
    """Make her card and print it: the link stands on this paper alone, and her code nowhere."""
    code, level, spoken = code_of(form), text(form, "level"), text(form, "language")
    chosen = {"level": level, "discreet": bool(text(form, "discreet")), "language": spoken}
    if code is None or level not in LEVELS or spoken not in LANGUAGES:
        return show(request, "person/card.html", INVALID, pictures=PICTURES, chosen=chosen, refused=True)
    made = (await api.post(f"/v1/referrals/{referral_id}/access", {"code": code, **chosen})).body
    paper = await api.paper("/v1/cards", {"link": made["link"], "language": spoken})
    headers = {"Content-Disposition": 'attachment; filename="carte.pdf"'}
    return Response(paper, media_type="application/pdf", headers=headers)


@router.get("/guichet")
async def counter(request: Request, visitor: SignedIn) -> Response:
    """Ask for her card and her code, which she types herself, where her page can be opened."""
    if not visitor.scopes & PARTNER:
        return trouble(request, FORBIDDEN)
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
