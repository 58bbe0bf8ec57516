"""The guest's door: invited by the sender, let in by link and code, the recipient from then on."""

from dataclasses import replace
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Header, Request, Response

from relais_referral.actions import common, conversing, guesting
from relais_referral.actions.accessing import NOT_OPEN, Keys
from relais_referral.actions.common import Asked
from relais_referral.actions.guesting import Visit
from relais_referral.domain import refusals
from relais_referral.domain.handshake import Action
from relais_referral.notices import undertaking
from relais_referral.problems import TABLE
from relais_referral.routes import files
from relais_referral.routes.dependencies import WRITING, MaySend, Step, TheService, asked, told, versioned
from relais_referral.routes.person import Door, Private
from relais_referral.schemas.consents import NoticeView
from relais_referral.schemas.conversation import (
    DocumentPage,
    DocumentView,
    MeetingView,
    MessagePage,
    MessageView,
    NewMessage,
    TaskDone,
    TaskPage,
    TaskView,
)
from relais_referral.schemas.guests import GuestCard, GuestSessionView, Invitation
from relais_referral.schemas.referrals import ReferralView
from relais_referral.schemas.steps import Acceptance, Closing, Confirmation, Decline, Meeting, Pause, Taken, Withdrawal
from relais_shared import problems
from relais_shared.auth import ANONYMOUS, Actor, Guard, actor_of, public
from relais_shared.clock import Now, clock_of, now_of
from relais_shared.db import WriteTx, apart
from relais_shared.http import IfMatchHeader, version_in
from relais_shared.idempotency import KeyHeader, key_in
from relais_shared.refusals import (
    InvalidInput,
    MalformedRequest,
    NotFound,
    StaleVersion,
    Unauthenticated,
    Unavailable,
    VersionRequired,
)
from relais_shared.service import Router

HEADER: Final = "Relais-Guest-Session"
"""Where a guest's session travels: never in an address."""


def _keys(request: Request) -> Keys:
    return Keys(request.app.state.settings.secret_bytes(), "guest")


class _Guest(Guard):
    """A guest's session, judged before the body is read."""

    async def __call__(self, request: Request) -> Actor:
        actor_of(request)
        if "relais.guest" not in request.scope:
            given = request.headers.getlist(HEADER)
            async with apart(request) as tx:
                request.scope["relais.guest"] = await guesting.use_session(
                    tx, given[0] if len(given) == 1 else "", _keys(request), now_of(request)
                )
        return ANONYMOUS


async def _visit(
    request: Request,
    _shown: Annotated[str | None, Header(alias=HEADER, description="From `POST /v1/guest/session`.")] = None,
) -> Visit:
    found: Visit = request.scope["relais.guest"]
    return found


OfGuest = Annotated[Visit, Depends(_visit)]
"""A guest's session."""


async def _as_guest(request: Request, visit: OfGuest, now: Now) -> Asked:
    return replace(visit.asked(now, request.app.state.sealer), clock=clock_of(request))


AsGuest = Annotated[Asked, Depends(_as_guest)]
"""The guest, asking now."""


async def _step(
    request: Request, visit: OfGuest, idempotency_key: KeyHeader = None, if_match: IfMatchHeader = None
) -> Step:
    key = await key_in(request, idempotency_key)
    return Step(request, visit.referral_id, now_of(request), key, version_in(if_match))


async def _step_at_once(request: Request, visit: OfGuest, idempotency_key: KeyHeader = None) -> Step:
    return Step(request, visit.referral_id, now_of(request), await key_in(request, idempotency_key), None)


AStep = Annotated[Step, Depends(_step)]
"""A step of the referral that the guest was invited to, on the version that was read."""
AStepAtOnce = Annotated[Step, Depends(_step_at_once)]
"""A step that needs no reading first."""

door = Router(prefix="/v1", tags=["guests"])
door.route_class = Private
router = Router(prefix="/v1/guest/referral", tags=["guests"], dependencies=[Depends(_Guest())])
router.route_class = Private

_OPEN: Any = {
    "openapi_extra": public("a guest shows the link and code of an invitation"),
    "dependencies": [Depends(Door())],
    "responses": problems.responses(
        MalformedRequest, Unauthenticated, NotFound, InvalidInput, refusals.PersonalDataDetected, table=TABLE
    ),
}
INVITING: Any = WRITING | problems.responses(Unavailable, table=TABLE)
"""What an invitation may be refused with."""
_SESSION: Any = {
    "openapi_extra": public("a guest shows her session"),
    "responses": problems.responses(
        MalformedRequest,
        Unauthenticated,
        NotFound,
        refusals.IllegalAction,
        refusals.NotYourTurn,
        refusals.ConsentMissing,
        StaleVersion,
        VersionRequired,
        InvalidInput,
        refusals.PersonalDataDetected,
        table=TABLE,
    ),
}
_STEPS: Any = {"response_model": ReferralView, **_SESSION}


@door.post("/referrals/{referral_id}/guest", status_code=201, response_model=Invitation, responses=INVITING)
async def invite_guest(
    request: Request,
    response: Response,
    referral_id: UUID,
    actor: MaySend,
    service: TheService,
    tx: WriteTx,
    now: Now,
) -> Invitation:
    """Invite the service of a hand-over that takes guests; an earlier invitation ends at once.

    Send the link to the address that is answered, and say the code on the telephone: never both the same way.
    """
    public_url, who = request.app.state.settings.public_url, asked(request, actor, now)
    made = await guesting.invite(tx, who, referral_id, service, _keys(request), public_url)
    await versioned(response, tx, who, referral_id)
    return made


@door.get("/guest/undertaking/{version}/{language}", response_model=NoticeView, **_OPEN)
async def read_undertaking(version: str, language: str) -> NoticeView:
    """Answer the text that a guest undertakes to keep to; the version now is `2026-1`."""
    found = undertaking(version, language)
    if found is None:
        raise NotFound("There is no such text in that language.")
    return NoticeView.model_validate(found, from_attributes=True)


@door.post("/guest/session", status_code=201, response_model=GuestSessionView, **_OPEN)
async def open_guest_session(request: Request, card: GuestCard, now: Now) -> GuestSessionView:
    """Come in as a guest, for an hour; the first time with your name and the undertaking of secrecy.

    A link opens once: keep `next_link` for the next time, with the same code. A wrong link, a wrong code, an invitation
    that rests after five wrong tries or has ended: all answer alike.
    """
    public_url = request.app.state.settings.public_url
    # A wrong try stays counted though the request is refused.
    async with apart(request) as tx:
        found = await guesting.open_session(tx, card, _keys(request), request.app.state.sealer, now, public_url)
    if found is None:
        raise Unauthenticated(NOT_OPEN)
    return found


@door.delete("/guest/session", status_code=204, **_OPEN)
async def end_guest_session(request: Request, tx: WriteTx) -> None:
    """Leave; without a session, or with an old one, it answers the same."""
    for token in request.headers.getlist(HEADER):
        await guesting.end_session(tx, token, _keys(request))


@router.get("", **_STEPS)
async def read_as_guest(visit: OfGuest, guest: AsGuest, tx: WriteTx) -> Response:
    """Read the hand-over as its recipient may see it now; what is opened of hers is recorded."""
    return told(await common.read(tx, guest, visit.referral_id))


@router.post("/receive", **_STEPS)
async def receive_as_guest(step: AStep, visit: OfGuest, guest: AsGuest, body: Taken | None = None) -> Response:
    """Take it in hand, in your own name."""
    return await step.take_as(guest, Action.RECEIVE, body or Taken.model_validate(_own(visit)))


@router.post("/accept", **_STEPS)
async def accept_as_guest(step: AStep, visit: OfGuest, guest: AsGuest, body: Acceptance | None = None) -> Response:
    """Take her over, in your own name unless another colleague is named."""
    return await step.take_as(guest, Action.ACCEPT, body or Acceptance.model_validate(_own(visit)))


@router.post("/decline", **_STEPS)
async def decline_as_guest(step: AStep, guest: AsGuest, body: Decline) -> Response:
    """Decline, with a reason that judges nobody."""
    return await step.take_as(guest, Action.DECLINE, body)


@router.post("/release", **_STEPS)
async def release_as_guest(step: AStep, guest: AsGuest, body: Decline) -> Response:
    """Give an accepted hand-over back."""
    return await step.take_as(guest, Action.RELEASE, body)


@router.post("/plan_meeting", **_STEPS)
async def plan_as_guest(step: AStep, guest: AsGuest, body: Meeting) -> Response:
    """Say how and when she will be met."""
    return await step.take_as(guest, Action.PLAN_MEETING, body)


@router.post("/replan", **_STEPS)
async def replan_as_guest(step: AStep, guest: AsGuest, body: Meeting) -> Response:
    """Put another meeting in the place of the planned one."""
    return await step.take_as(guest, Action.REPLAN, body)


@router.post("/confirm_handover", **_STEPS)
async def confirm_as_guest(step: AStep, guest: AsGuest, body: Confirmation | None = None) -> Response:
    """Say that she was met."""
    return await step.take_as(guest, Action.CONFIRM_HANDOVER, body or Confirmation())


@router.post("/close", **_STEPS)
async def close_as_guest(step: AStep, guest: AsGuest, body: Closing) -> Response:
    """End the work."""
    return await step.take_as(guest, Action.CLOSE, body)


@router.post("/undo", **_STEPS)
async def undo_as_guest(step: AStep, guest: AsGuest) -> Response:
    """Take your last step back, within 15 minutes."""
    return await step.take_as(guest, Action.UNDO)


@router.post("/reopen", **_STEPS)
async def reopen_as_guest(step: AStep, guest: AsGuest) -> Response:
    """Take up again what you declined or closed."""
    return await step.take_as(guest, Action.REOPEN)


@router.post("/pause", **_STEPS)
async def pause_as_guest(step: AStep, guest: AsGuest, body: Pause | None = None) -> Response:
    """Let it rest."""
    return await step.take_as(guest, Action.PAUSE, body or Pause())


@router.post("/resume", **_STEPS)
async def resume_as_guest(step: AStep, guest: AsGuest) -> Response:
    """End the rest."""
    return await step.take_as(guest, Action.RESUME)


@router.post("/withdraw", **_STEPS)
async def withdraw_as_guest(step: AStepAtOnce, guest: AsGuest, body: Withdrawal | None = None) -> Response:
    """Stop everything at her word, in every state; needs no reading first."""
    return await step.take_as(guest, Action.WITHDRAW, body or Withdrawal())


@router.get("/messages", response_model=MessagePage, **_SESSION)
async def list_messages_as_guest(visit: OfGuest, guest: AsGuest, tx: WriteTx) -> MessagePage:
    """Read the thread with the sender."""
    return MessagePage(items=await conversing.read_messages(tx, guest, visit.referral_id))


@router.post("/messages", status_code=201, response_model=MessageView, **_SESSION)
async def write_message_as_guest(
    response: Response, body: NewMessage, visit: OfGuest, guest: AsGuest, tx: WriteTx
) -> MessageView:
    """Write to the sender."""
    written = await conversing.write_message(tx, guest, visit.referral_id, body.words)
    await versioned(response, tx, guest, visit.referral_id)
    return written


@router.get("/documents", response_model=DocumentPage, **_SESSION)
async def list_documents_as_guest(visit: OfGuest, guest: AsGuest, tx: WriteTx) -> DocumentPage:
    """List the documents that her consent opens."""
    return DocumentPage(items=await conversing.list_documents(tx, guest, visit.referral_id))


@router.post(
    "/documents",
    status_code=201,
    response_model=DocumentView,
    responses=_SESSION["responses"],
    openapi_extra={**_SESSION["openapi_extra"], **files.A_DOCUMENT},
)
async def add_document_as_guest(
    request: Request, response: Response, visit: OfGuest, guest: AsGuest, tx: WriteTx
) -> DocumentView:
    """Add a small document: its bytes as the body, its name in `Content-Disposition`."""
    added = await conversing.add_document(tx, guest, visit.referral_id, *(await files.brought(request)))
    await versioned(response, tx, guest, visit.referral_id)
    return added


@router.get("/documents/{document_id}", response_class=Response, **_SESSION)
async def read_document_as_guest(document_id: UUID, visit: OfGuest, guest: AsGuest, tx: WriteTx) -> Response:
    """Fetch a document to keep in a file."""
    return files.to_keep(document_id, *(await conversing.read_document(tx, guest, visit.referral_id, document_id)))


@router.get("/meetings", response_model=MeetingView, response_model_exclude_none=True, **_SESSION)
async def read_meetings_as_guest(visit: OfGuest, guest: AsGuest, tx: WriteTx) -> MeetingView:
    """Read the meeting that stands."""
    _referral, view = await conversing.read_meetings(tx, guest, visit.referral_id)
    return view


@router.get("/tasks", response_model=TaskPage, response_model_exclude_none=True, **_SESSION)
async def list_tasks_as_guest(visit: OfGuest, guest: AsGuest, tx: WriteTx) -> TaskPage:
    """List what waits for you, such as saying what becomes of your own copy."""
    return TaskPage(items=await conversing.tasks_of(tx, guest, visit.referral_id))


@router.post("/tasks/{task_id}/done", response_model=TaskView, response_model_exclude_none=True, **_SESSION)
async def finish_task_as_guest(task_id: UUID, guest: AsGuest, tx: WriteTx, body: TaskDone | None = None) -> TaskView:
    """Say that a task is done."""
    return await conversing.finish_task(tx, guest, task_id, body or TaskDone())


def _own(visit: Visit) -> dict[str, Any]:
    """Answer a guest as the counsellor who takes over."""
    return {"counsellor": {"name": visit.name, "function": visit.function}}
