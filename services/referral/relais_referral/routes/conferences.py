"""Case conferences: what she agreed that structures say to each other about her."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral.actions.common import Asked
from relais_referral.actions.conferring import asking, showing, sitting, speaking
from relais_referral.domain import refusals
from relais_referral.problems import TABLE
from relais_referral.routes.dependencies import (
    READING,
    WRITING,
    Either,
    FromDirectory,
    MaySend,
    asked,
    drafted,
    keep_nothing,
    once,
    told,
)
from relais_referral.schemas.conferences import (
    ConferenceConsent,
    ConferenceMeeting,
    ConferenceMessageView,
    ConferencePage,
    ConferenceRequest,
    ConferenceView,
    DecisionView,
    NewDecision,
)
from relais_referral.schemas.consents import ConsentView
from relais_referral.schemas.conversation import NewMessage
from relais_referral.schemas.drafts import Draft
from relais_referral.schemas.referrals import ReferralView
from relais_referral.schemas.steps import Taken
from relais_shared import idempotency, problems
from relais_shared.auth import Actor
from relais_shared.clock import Now
from relais_shared.db import WriteTx
from relais_shared.idempotency import RequiredKey
from relais_shared.refusals import InvalidInput, MalformedRequest, NotFound, ScopeMissing, Unauthenticated, Unavailable
from relais_shared.service import Router

router = Router(prefix="/v1", tags=["conferences"])

_KEYED: Any = problems.responses(
    idempotency.KeyMissing,
    MalformedRequest,
    Unauthenticated,
    ScopeMissing,
    refusals.AgreementMissing,
    NotFound,
    refusals.IllegalAction,
    refusals.ConsentMissing,
    refusals.RecipientNotBound,
    refusals.SensitiveBasisMissing,
    idempotency.StillRunning,
    InvalidInput,
    idempotency.KeyReused,
    refusals.PersonalDataDetected,
    Unavailable,
    table=TABLE,
)
"""What making something may be refused with."""


@router.post(
    "/referrals/{referral_id}/conferences",
    status_code=201,
    response_model=ConferenceView,
    response_model_exclude_none=True,
    responses=_KEYED,
)
async def open_conference(
    request: Request,
    response: Response,
    referral_id: UUID,
    body: Taken,
    actor: Either,
    key: RequiredKey,
    tx: WriteTx,
    now: Now,
) -> ConferenceView:
    """Open a case conference about somebody whom one side took over; then ask her for whom.

    Nobody takes part before she agreed to that structure, your own included.
    """
    keep_nothing(response)
    who = asked(request, actor, now)
    return await once(
        tx,
        who,
        key,
        lambda id_: showing.read(tx, who, id_),
        lambda: sitting.open_conference(tx, who, referral_id, body.counsellor),
    )


@router.get("/conferences", response_model=ConferencePage, response_model_exclude_none=True, responses=READING)
async def list_conferences(
    request: Request,
    response: Response,
    actor: Either,
    tx: WriteTx,
    now: Now,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> ConferencePage:
    """List the living case conferences in which you have a place; nothing of hers is opened."""
    keep_nothing(response)
    return ConferencePage(items=await showing.list_conferences(tx, asked(request, actor, now), limit))


@dataclass(frozen=True, slots=True)
class _At:
    """One conference, asked for now."""

    request: Request
    id: UUID
    tx: AsyncSession
    now: Any

    def by(self, actor: Actor) -> Asked:
        """Answer who asks."""
        return asked(self.request, actor, self.now)


def _at(request: Request, response: Response, conference_id: UUID, tx: WriteTx, now: Now) -> _At:
    keep_nothing(response)
    return _At(request, conference_id, tx, now)


At = Annotated[_At, Depends(_at, scope="function")]
"""A conference that stands or falls with its transaction; no answer about it is anybody's to keep."""


@router.get(
    "/conferences/{conference_id}", response_model=ConferenceView, response_model_exclude_none=True, responses=READING
)
async def read_conference(actor: Either, at: At) -> ConferenceView:
    """Read a case conference as far as her agreement for your structure goes; the reading is recorded."""
    return await showing.read(at.tx, at.by(actor), at.id)


@router.post(
    "/conferences/{conference_id}/consents",
    status_code=201,
    response_model=ConsentView,
    response_model_exclude_unset=True,
    responses=_KEYED,
)
async def record_conference_consent(given: ConferenceConsent, actor: Either, key: RequiredKey, at: At) -> ConsentView:
    """Record what she agreed to for one structure, which may then join; the sides of the hand-over alone ask her."""
    who = at.by(actor)
    return await once(
        at.tx,
        who,
        key,
        lambda id_: asking.read_consent(at.tx, who, at.id, id_),
        lambda: asking.record_consent(at.tx, who, at.id, given),
    )


@router.post(
    "/conferences/{conference_id}/consents/request",
    status_code=201,
    response_model=ConsentView,
    response_model_exclude_unset=True,
    responses=_KEYED,
)
async def request_conference_consent(wanted: ConferenceRequest, actor: Either, key: RequiredKey, at: At) -> ConsentView:
    """Ask for her agreement by her own link: only her own session turns it into given or refused."""
    who = at.by(actor)
    return await once(
        at.tx,
        who,
        key,
        lambda id_: asking.read_consent(at.tx, who, at.id, id_),
        lambda: asking.request_consent(at.tx, who, at.id, wanted),
    )


@router.post(
    "/conferences/{conference_id}/join",
    response_model=ConferenceView,
    response_model_exclude_none=True,
    responses=WRITING,
)
async def join_conference(body: Taken, actor: Either, at: At) -> ConferenceView:
    """Take part: a named colleague of yours sits at the table, and reads from now on."""
    return await sitting.join(at.tx, at.by(actor), at.id, body.counsellor)


@router.post("/conferences/{conference_id}/leave", status_code=204, responses=WRITING)
async def leave_conference(actor: Either, at: At) -> None:
    """Leave: you read nothing of it from now on."""
    await sitting.leave(at.tx, at.by(actor), at.id)


@router.post("/conferences/{conference_id}/end", status_code=204, responses=WRITING)
async def end_conference(actor: Either, at: At) -> None:
    """End it, as a side of the hand-over: nobody but she reads anything of it from now on."""
    await sitting.end(at.tx, at.by(actor), at.id)


@router.post(
    "/conferences/{conference_id}/messages",
    status_code=201,
    response_model=ConferenceMessageView,
    response_model_exclude_none=True,
    responses=WRITING,
)
async def write_in_conference(body: NewMessage, actor: Either, at: At) -> ConferenceMessageView:
    """Write to all who take part, and to her."""
    return await speaking.write(at.tx, at.by(actor), at.id, body.words)


@router.put(
    "/conferences/{conference_id}/meeting",
    response_model=ConferenceView,
    response_model_exclude_none=True,
    responses=WRITING,
)
async def plan_conference_meeting(body: ConferenceMeeting, actor: Either, at: At) -> ConferenceView:
    """Say when the conference meets; what stood there before is replaced, without a reason."""
    return await speaking.plan_meeting(at.tx, at.by(actor), at.id, body)


@router.get(
    "/conferences/{conference_id}/meeting.ics",
    response_class=Response,
    openapi_extra={"responses": {"200": {"content": {"text/calendar": {"schema": {"type": "string"}}}}}},
    responses=READING,
)
async def read_conference_meeting(actor: Either, at: At) -> Response:
    """Take the meeting into a calendar (iCalendar): when and in which way, and nothing of her."""
    content = await speaking.meeting_file(at.tx, at.by(actor), at.id)
    headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="relais.ics"'}
    return Response(content, media_type="text/calendar", headers=headers)


@router.post(
    "/conferences/{conference_id}/decisions",
    status_code=201,
    response_model=DecisionView,
    response_model_exclude_none=True,
    responses=WRITING,
)
async def decide_in_conference(body: NewDecision, actor: Either, at: At) -> DecisionView:
    """Write down what was decided, and by whom; she reads it."""
    return await speaking.decide(at.tx, at.by(actor), at.id, body)


@router.post(
    "/conferences/{conference_id}/decisions/{decision_id}/draft",
    status_code=201,
    response_model=ReferralView,
    responses=_KEYED,
)
async def draft_from_decision(
    conference_id: UUID,
    decision_id: UUID,
    draft: Draft,
    actor: MaySend,
    key: RequiredKey,
    directory: FromDirectory,
    request: Request,
    tx: WriteTx,
    now: Now,
) -> Response:
    """Turn a decision into a draft of your own, which you propose once she agreed to that recipient.

    Nothing is copied from the conference: you write what you know of her.
    """
    # The directory is asked before the transaction opens: no connection waits for another service.
    service = await directory.service(draft.recipient.service_id)
    themes = await directory.themes(now)
    home = await directory.home(draft.person.area.municipality, now)
    who = asked(request, actor, now)
    shown = await drafted(
        tx, who, key, lambda: speaking.become_draft(tx, who, conference_id, decision_id, draft, service, themes, home)
    )
    return told(shown, made=True)
