"""Referrals: open, list, read, and every step of the handshake."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from relais_referral import actions, store, views
from relais_referral.domain import refusals
from relais_referral.domain.handshake import Action, Party, State
from relais_referral.models import Idempotency
from relais_referral.problems import TABLE
from relais_referral.routes.dependencies import AStep, Either, FromDirectory, MayReceive, MaySend, asked, told
from relais_referral.schemas import (
    Acceptance,
    Closing,
    Confirmation,
    Decline,
    DisclosurePage,
    Draft,
    DraftChange,
    EventPage,
    Meeting,
    Propose,
    ReferralPage,
    ReferralView,
    Slug,
    Taken,
    Withdrawal,
)
from relais_shared import idempotency, problems
from relais_shared.clock import Now
from relais_shared.db import ReadTx, WriteTx
from relais_shared.http import CursorCodec, IfMatch, next_link
from relais_shared.idempotency import Replay, RequiredKey, recall, remember
from relais_shared.refusals import (
    InvalidInput,
    MalformedRequest,
    NotFound,
    ScopeMissing,
    StaleVersion,
    Unauthenticated,
    Unavailable,
    VersionRequired,
)
from relais_shared.service import Router

router = Router(prefix="/v1/referrals", tags=["referrals"])

_READING = problems.responses(Unauthenticated, ScopeMissing, NotFound, InvalidInput, table=TABLE)
_STEP = problems.responses(
    MalformedRequest,
    Unauthenticated,
    ScopeMissing,
    NotFound,
    refusals.IllegalAction,
    refusals.NotYourTurn,
    refusals.ConsentMissing,
    idempotency.StillRunning,
    StaleVersion,
    VersionRequired,
    InvalidInput,
    idempotency.KeyReused,
    refusals.PersonalDataDetected,
    table=TABLE,
)


@router.post(
    "",
    status_code=201,
    response_model=ReferralView,
    response_model_exclude_unset=True,
    responses=problems.responses(
        idempotency.KeyMissing,
        MalformedRequest,
        Unauthenticated,
        ScopeMissing,
        refusals.AgreementMissing,
        idempotency.StillRunning,
        InvalidInput,
        idempotency.KeyReused,
        refusals.PersonalDataDetected,
        Unavailable,
        table=TABLE,
    ),
)
async def create_referral(
    request: Request,
    response: Response,
    draft: Draft,
    actor: MaySend,
    key: RequiredKey,
    directory: FromDirectory,
    tx: WriteTx,
    now: Now,
) -> ReferralView:
    """Open a referral as a draft, which you alone can see.

    Nothing goes to the other side before her agreement is recorded and you propose. The texts that are read before
    acceptance may hold neither her names nor a phone number, an e-mail address or a national number.
    """
    # The directory is asked before the transaction opens: no connection waits for another service.
    service = await directory.service(draft.recipient.service_id)
    themes = await directory.themes(now)
    who = asked(request, actor, now)
    await store.begin(tx, actor)
    done = await recall(tx, Idempotency, key, who.organisation_id, now)
    if done is not None:
        shown = await actions.read(tx, who, done.resource_id)
    else:
        shown = await actions.open_draft(tx, who, draft, service, themes)
        remember(tx, Idempotency, key, who.organisation_id, now, done=Replay(201, shown.view.id))
    response.headers["Location"] = f"/v1/referrals/{shown.view.id}"
    return told(response, shown)


class ListQuery(BaseModel):
    """The filters of the list."""

    model_config = ConfigDict(extra="forbid")

    role: Literal[Party.SENDER, Party.RECIPIENT] | None = Field(
        default=None, description="As `sender` or as `recipient`; both where absent."
    )
    state: list[State] = Field(default=[], description="Repeat for several.")
    theme: list[Slug] = Field(default=[], description="Repeat for several.")
    updated_since: AwareDatetime | None = None
    limit: int = Field(default=50, ge=1, le=100)
    cursor: str | None = None


@router.get("", response_model=ReferralPage, response_model_exclude_unset=True, responses=_READING)
async def list_referrals(
    request: Request,
    response: Response,
    actor: Either,
    query: Annotated[ListQuery, Query()],
    tx: ReadTx,
    now: Now,
) -> ReferralPage:
    """List your referrals, the last changed first.

    A list never opens what is sealed: short code, themes, area and state. Opening one referral is what counts as a
    reading.
    """
    codec = CursorCodec(request.app.state.settings.secret_bytes(), "referrals")
    before = None
    if query.cursor is not None:
        at, id_ = codec.decode(query.cursor)
        before = (datetime.fromisoformat(at), UUID(id_))
    await store.begin(tx, actor)
    rows, after = await store.page(
        tx,
        actor,
        role=query.role,
        states=query.state,
        themes=query.theme,
        updated_since=query.updated_since,
        before=before,
        limit=query.limit,
    )
    consents = await store.given(tx, [referral.id for referral in rows])
    items = []
    for referral in rows:
        parties = store.parties_of(referral, actor)
        if query.role is not None:
            parties &= {query.role}
        consent = consents.get(referral.id)
        parts = views.parts_for(referral, parties, consent, now)
        items.append(views.referral_view(referral, parties, parts, {}, consent, now))
    if after is None:
        return ReferralPage(items=items)
    cursor = codec.encode([after[0].isoformat(), str(after[1])])
    response.headers["Link"] = next_link(request, cursor)
    return ReferralPage(items=items, next_cursor=cursor)


@router.get("/{referral_id}", response_model=ReferralView, response_model_exclude_unset=True, responses=_READING)
async def read_referral(
    request: Request, response: Response, referral_id: UUID, actor: Either, tx: WriteTx, now: Now
) -> ReferralView:
    """Read a referral as you may see it now; what is opened of hers is recorded, and she can see that.

    Her consent is checked at this very moment: after a withdrawal nothing of hers is here.
    """
    return told(response, await actions.read(tx, asked(request, actor, now), referral_id))


@router.patch(
    "/{referral_id}",
    response_model=ReferralView,
    response_model_exclude_unset=True,
    responses=_STEP,
)
async def change_referral(
    request: Request,
    response: Response,
    referral_id: UUID,
    change: DraftChange,
    actor: MaySend,
    version: IfMatch,
    directory: FromDirectory,
    tx: WriteTx,
    now: Now,
) -> ReferralView:
    """Change a draft; a part that is given takes the place of the whole part."""
    themes = await directory.themes(now) if change.needs else {}
    shown = await actions.change_draft(tx, asked(request, actor, now), referral_id, change, version, themes)
    return told(response, shown)


_STEPS: Any = {
    "response_model": ReferralView,
    "response_model_exclude_unset": True,
    "responses": _STEP,
    "tags": ["handshake"],
}


@router.post("/{referral_id}/propose", **_STEPS)
async def propose_referral(step: AStep, actor: MaySend, version: IfMatch, body: Propose | None = None) -> ReferralView:
    """Propose the person to the recipient, who then reads the need, without name or contact."""
    return await step.take(Action.PROPOSE, actor, body, version=version)


@router.post("/{referral_id}/receive", **_STEPS)
async def receive_referral(step: AStep, actor: MayReceive, version: IfMatch, body: Taken) -> ReferralView:
    """Take a proposal in hand: a named counsellor looks at it."""
    return await step.take(Action.RECEIVE, actor, body, version=version)


@router.post("/{referral_id}/accept", **_STEPS)
async def accept_referral(step: AStep, actor: MayReceive, version: IfMatch, body: Acceptance) -> ReferralView:
    """Take a referral over: a named counsellor answers for it, and reads what she consented to."""
    return await step.take(Action.ACCEPT, actor, body, version=version)


@router.post("/{referral_id}/decline", **_STEPS)
async def decline_referral(step: AStep, actor: MayReceive, version: IfMatch, body: Decline) -> ReferralView:
    """Decline a proposal, with a reason that judges nobody."""
    return await step.take(Action.DECLINE, actor, body, version=version)


@router.post("/{referral_id}/release", **_STEPS)
async def release_referral(step: AStep, actor: MayReceive, version: IfMatch, body: Decline) -> ReferralView:
    """Give an accepted referral back, with a reason that judges nobody."""
    return await step.take(Action.RELEASE, actor, body, version=version)


@router.post("/{referral_id}/plan_meeting", **_STEPS)
async def plan_meeting(step: AStep, actor: Either, version: IfMatch, body: Meeting) -> ReferralView:
    """Say how and when she will be met, as agreed with her; three-way by default."""
    return await step.take(Action.PLAN_MEETING, actor, body, version=version)


@router.post("/{referral_id}/replan", **_STEPS)
async def replan_meeting(step: AStep, actor: Either, version: IfMatch, body: Meeting) -> ReferralView:
    """Put another meeting in the place of the planned one; nobody is asked why."""
    return await step.take(Action.REPLAN, actor, body, version=version)


@router.post("/{referral_id}/confirm_handover", **_STEPS)
async def confirm_handover(
    step: AStep, actor: Either, version: IfMatch, body: Confirmation | None = None
) -> ReferralView:
    """Say that she was met; the second side's word makes it handed over."""
    return await step.take(Action.CONFIRM_HANDOVER, actor, body or Confirmation(), version=version)


@router.post("/{referral_id}/close", **_STEPS)
async def close_referral(step: AStep, actor: MayReceive, version: IfMatch, body: Closing) -> ReferralView:
    """End the work, with an outcome that judges nobody; the sender learns it under the purpose `feedback`."""
    return await step.take(Action.CLOSE, actor, body, version=version)


@router.post("/{referral_id}/cancel", **_STEPS)
async def cancel_referral(step: AStep, actor: MaySend, version: IfMatch) -> ReferralView:
    """Stop a referral of yours before it is closed; nobody is asked why."""
    return await step.take(Action.CANCEL, actor, version=version)


@router.post("/{referral_id}/withdraw", **_STEPS)
async def withdraw_referral(step: AStep, actor: Either, body: Withdrawal | None = None) -> ReferralView:
    """Stop everything at her word, in every state; needs no reading first."""
    return await step.take(Action.WITHDRAW, actor, body or Withdrawal(), version=None)


@router.get("/{referral_id}/disclosures", response_model=DisclosurePage, responses=_READING)
async def list_disclosures(response: Response, referral_id: UUID, actor: Either, tx: WriteTx) -> DisclosurePage:
    """List who looked at what is hers, the newest first."""
    response.headers["Cache-Control"] = "no-store"
    await store.begin(tx, actor)
    referral, parties = await store.lock_referral(tx, referral_id, actor, reading=True)
    rows = await store.disclosures(tx, referral_id)
    if views.neutral(referral, parties):
        rows = [row for row in rows if row.organisation_id == actor.organisation_id]
    return DisclosurePage(items=[views.disclosure_view(row) for row in rows])


@router.get("/{referral_id}/events", response_model=EventPage, responses=_READING)
async def list_events(response: Response, referral_id: UUID, actor: Either, tx: WriteTx) -> EventPage:
    """List what happened, in order; no personal data."""
    response.headers["Cache-Control"] = "no-store"
    await store.begin(tx, actor)
    referral, parties = await store.lock_referral(tx, referral_id, actor, reading=True)
    rows = list(await store.events(tx, referral_id))
    plain = views.neutral(referral, parties)
    return EventPage(items=views.event_views(rows, actor.organisation_id, plain=plain))
