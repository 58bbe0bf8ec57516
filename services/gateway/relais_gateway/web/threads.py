"""One thread between two structures: where it stands, what is said, and each step."""

import asyncio
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request
from starlette.responses import PlainTextResponse, Response

from relais_gateway.web import elsewhere, phrases, steps
from relais_gateway.web.api import Api, ApiProblem
from relais_gateway.web.live import TYPES
from relais_gateway.web.lookups import themes_of
from relais_gateway.web.session import AsVisitor, OurForm, SignedIn, Visitor, Watching, door, text
from relais_gateway.web.site import NOT_FOUND, PageRoute, go, show, trouble
from relais_shared.clock import Now

router = APIRouter(route_class=PageRoute, include_in_schema=False)

STALE, CONFLICT, INVALID = 412, 409, 422
DRAFT = "draft"


@router.get("/relais/{referral_id}")
async def thread(request: Request, api: AsVisitor, visitor: SignedIn, referral_id: UUID, now: Now) -> Response:
    """Show one thread between two structures: where it stands, what we may see, what can be done."""
    return await show_thread(request, api, visitor, referral_id, now)


@router.get("/relais/{referral_id}/pas")
async def steps_so_far(request: Request, visitor: Watching, referral_id: UUID) -> Response:
    """Answer how many steps were taken, for a page that learnt that something happened; it opens nothing of hers."""
    if visitor is None:
        return Response(status_code=401)
    found = await Api(door(request), visitor.token).get(f"/v1/referrals/{referral_id}/events")
    return PlainTextResponse(str(len(found.body["items"])))


@router.post("/relais/{referral_id}/{action}")
async def act(  # noqa: PLR0913 - who acts, on what, with which form
    request: Request,
    api: AsVisitor,
    visitor: SignedIn,
    referral_id: UUID,
    action: Annotated[str, Path(pattern="^[a-z_]+$")],
    form: OurForm,
    now: Now,
) -> Response:
    """Take one step, then show the thread again."""
    page = f"/relais/{referral_id}"
    step = steps.STEPS.get(action)
    if step is None:
        return trouble(request, NOT_FOUND)
    by = steps.Counsellor(visitor.name, visitor.email, visitor.function)
    body, faults = step(steps.FormFields(form), by)
    if not faults:
        # Withdrawing needs no reading first: stopping is never too late.
        version = None if action == "withdraw" else text(form, "version")
        try:
            await api.post(f"/v1/referrals/{referral_id}/{action}", body, version=version)
        except ApiProblem as problem:
            if problem.status == STALE:
                return go(page, fait="changed")
            if problem.status == CONFLICT:
                return go(page, fait="not_now")
            if problem.status != INVALID:
                raise
            faults = steps.faults_of(problem.faults)
        else:
            return go(page, fait=action)
    typed = steps.Typed(action, dict(form), faults, {name: steps.FormFields(form).all(name) for name in form})
    return await show_thread(request, api, visitor, referral_id, now, typed)


async def show_thread(  # noqa: PLR0913 - what the page is made of
    request: Request,
    api: Api,
    visitor: Visitor,
    referral_id: UUID,
    now: datetime,
    typed: steps.Typed | None = None,
) -> Response:
    """Show a thread, with what was typed where a step could not be taken."""
    path = f"/v1/referrals/{referral_id}"
    # The reading comes first: the list of who looked then tells of it too.
    read = await api.get(path)
    if read.body["state"] == DRAFT:
        # The relay page goes on with it; `launch_url` of the API leads here.
        said = request.query_params.get("fait")
        return go(f"/relais/{referral_id}/brouillon", **({"fait": said} if said else {}))
    referral = read.body
    sides = steps.sides(referral, visitor.organisation_id)
    names = ("events", "consents", "messages", "documents", "tasks")
    found, others, colleagues = await asyncio.gather(
        asyncio.gather(*(api.get(f"{path}/{name}") for name in names)),
        elsewhere.others(api, referral, sides, visitor.scopes),
        api.get("/v1/organisation/accounts"),
    )
    lists = {name: answer.body["items"] for name, answer in zip(names, found, strict=True)}
    looks = await api.get(f"{path}/disclosures")
    today = now.astimezone(phrases.ZONE).date()
    return show(
        request,
        "thread.html",
        INVALID if typed else 200,
        **lists | {"tasks": [each for each in lists["tasks"] if not each.get("done_at")]},
        referral=referral,
        version=read.version,
        sides=sides,
        main_action=steps.main_action(referral, sides),
        shown_events=steps.told(lists["events"]),
        others=others,
        colleagues=colleagues.body["items"],
        looks=steps.looks(looks.body["items"], referral),
        names=steps.names(referral),
        themes=await themes_of(request, api),
        typed=typed or steps.Typed("", {}, {}),
        area=phrases.area_said(referral.get("person")),
        today=today.isoformat(),
        today_date=today,
        news=TYPES,
    )
