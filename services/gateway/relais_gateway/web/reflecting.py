"""After closing: what held, as one side saw it; read by nobody else."""

from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from relais_gateway.web.api import ApiProblem
from relais_gateway.web.languages import FRENCH, language
from relais_gateway.web.session import AsVisitor, OurForm, SignedIn, text, texts
from relais_gateway.web.site import PageRoute, go, show

router = APIRouter(route_class=PageRoute, include_in_schema=False)

STALE, CONFLICT, INVALID = 412, 409, 422
SAID: Final = {STALE: "changed", CONFLICT: "not_now", INVALID: "changed"}
"""What is said where a note could not be kept; a list that another took the place of is read again."""


@router.get("/qualite/{referral_id}")
async def ask_what_held(request: Request, referral_id: UUID, api: AsVisitor, visitor: SignedIn) -> Response:
    """Show the statements with what one's own side ticked; the hand-over itself is not opened for it."""
    del visitor
    read = await api.get(f"/v1/referrals/{referral_id}/reflection")
    listed = (await api.get("/v1/reflections/criteria")).body
    spoken = language()
    statements = [(one["code"], one["text"].get(spoken) or one["text"][FRENCH]) for one in listed["criteria"]]
    return show(
        request,
        "thread/quality.html",
        referral_id=referral_id,
        note=read.body,
        noted=read.version,
        criteria=listed["version"],
        statements=statements,
    )


@router.post("/qualite/{referral_id}")
async def note_what_held(referral_id: UUID, api: AsVisitor, visitor: SignedIn, form: OurForm) -> Response:
    """Keep what was ticked, then show it again."""
    del visitor
    page = f"/qualite/{referral_id}"
    body = {"criteria": text(form, "criteria"), "held": texts(form, "held")}
    try:
        await api.put(f"/v1/referrals/{referral_id}/reflection", body, version=text(form, "noted"))
    except ApiProblem as problem:
        if problem.status not in SAID:
            raise
        return go(page, fait=SAID[problem.status])
    return go(page)
