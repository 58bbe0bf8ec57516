"""Where nobody answers on the screen yet: a guest is invited, or the sender telephones from a sheet."""

from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from relais_gateway.web import phrases
from relais_gateway.web.api import Api, ApiProblem, Json
from relais_gateway.web.session import AsVisitor, OurForm
from relais_gateway.web.site import PageRoute, go, show
from relais_shared.clock import Now

router = APIRouter(route_class=PageRoute, include_in_schema=False)

CONFLICT, INVALID = 409, 422
GUEST: Final = "guest"
PHONE_ONLY: Final = "phone_only"
PAGES: Final = {GUEST: ("inviter", "to_invite"), PHONE_ONLY: ("telephone", "to_call")}
"""By how the other side receives: the page that leads on, and what it says first."""
WAITING: Final = frozenset({"proposed", "received"})


async def _referral(api: Api, referral_id: UUID, via: str) -> tuple[Json, str] | None:
    """Answer a referral with its version where it is one to lead on from here, and nobody has answered yet."""
    read = await api.get(f"/v1/referrals/{referral_id}")
    fits = read.body.get("via") == via and read.body["state"] in WAITING
    return (read.body, read.version) if fits else None


async def _service(api: Api, referral: Json) -> Json:
    return (await api.get(f"/v1/directory/services/{referral['recipient']['service_id']}")).body


@router.get("/relais/{referral_id}/inviter")
async def ask_to_invite(request: Request, referral_id: UUID, api: AsVisitor) -> Response:
    """Say how a structure without an account comes in, before anybody is invited."""
    found = await _referral(api, referral_id, GUEST)
    if found is None:
        return go(f"/relais/{referral_id}")
    return show(request, "relay_invite.html", referral=found[0], service=await _service(api, found[0]), invited=None)


@router.post("/relais/{referral_id}/inviter")
async def invite(request: Request, referral_id: UUID, api: AsVisitor, _form: OurForm) -> Response:
    """Invite the structure; link and code stand on this answer alone, and go two different ways."""
    found = await _referral(api, referral_id, GUEST)
    if found is None:
        return go(f"/relais/{referral_id}")
    referral, service = found[0], await _service(api, found[0])
    try:
        invited = (await api.post(f"/v1/referrals/{referral_id}/guest", None)).body
    except ApiProblem as problem:
        if problem.status not in {CONFLICT, INVALID}:
            raise
        # The directory knows no address of that service: it can still be called.
        return show(request, "relay_invite.html", INVALID, referral=referral, service=service, invited=None, lost=True)
    return show(request, "relay_invite.html", referral=referral, service=service, invited=invited)


@router.get("/relais/{referral_id}/telephone")
async def call(request: Request, referral_id: UUID, api: AsVisitor, now: Now) -> Response:
    """Lead through the telephone call: whom to call, the sheet of what may be said, what came of it."""
    found = await _referral(api, referral_id, PHONE_ONLY)
    if found is None:
        return go(f"/relais/{referral_id}")
    referral, version = found
    today = now.astimezone(phrases.ZONE).date().isoformat()
    service = await _service(api, referral)
    return show(request, "relay_call.html", referral=referral, version=version, service=service, today=today)


@router.get("/relais/{referral_id}/fiche")
async def call_sheet(referral_id: UUID, api: AsVisitor) -> Response:
    """Give the sheet to print: whom to call, and what she agreed may be said; opening it is recorded."""
    content, kind = await api.file(f"/v1/referrals/{referral_id}/call_sheet?form=pdf")
    return Response(content, media_type=kind, headers={"Content-Disposition": 'inline; filename="fiche.pdf"'})
