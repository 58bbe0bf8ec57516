"""Every step of the handshake."""

from typing import Any
from uuid import UUID

from fastapi import Request, Response

from relais_referral.actions import drafting
from relais_referral.domain.handshake import Action
from relais_referral.routes.dependencies import (
    STEP,
    AStep,
    AStepAtOnce,
    Either,
    FromDirectory,
    MayReceive,
    MaySend,
    asked,
    drafted,
    told,
)
from relais_referral.schemas.drafts import Redirection
from relais_referral.schemas.referrals import ReferralView
from relais_referral.schemas.steps import (
    Acceptance,
    Closing,
    Confirmation,
    Decline,
    Meeting,
    Pause,
    PhoneAgreement,
    Propose,
    Taken,
    Withdrawal,
)
from relais_shared.clock import Now
from relais_shared.db import WriteTx
from relais_shared.http import IfMatch
from relais_shared.idempotency import RequiredKey
from relais_shared.service import Router

router = Router(prefix="/v1/referrals", tags=["handshake"])

_STEPS: Any = {
    "response_model": ReferralView,
    "responses": STEP,
}


@router.post("/{referral_id}/propose", **_STEPS)
async def propose_referral(step: AStep, actor: MaySend, body: Propose | None = None) -> Response:
    """Propose the person to the recipient, who then reads the need, without name or contact."""
    return await step.take(Action.PROPOSE, actor, body)


@router.post("/{referral_id}/agree_by_phone", **_STEPS)
async def agree_by_phone(step: AStep, actor: MaySend, body: PhoneAgreement) -> Response:
    """Note who said yes on the telephone: she or he then accepts in one tap, and only then identity opens."""
    return await step.take(Action.AGREE_BY_PHONE, actor, body)


@router.post("/{referral_id}/receive", **_STEPS)
async def receive_referral(step: AStep, actor: MayReceive, body: Taken) -> Response:
    """Take a proposal in hand: a named counsellor looks at it."""
    return await step.take(Action.RECEIVE, actor, body)


@router.post("/{referral_id}/accept", **_STEPS)
async def accept_referral(step: AStep, actor: MayReceive, body: Acceptance | None = None) -> Response:
    """Take a referral over: a named counsellor answers for it, and reads what she consented to.

    What was agreed by telephone needs no body: the colleague named there takes over.
    """
    return await step.take(Action.ACCEPT, actor, body)


@router.post("/{referral_id}/decline", **_STEPS)
async def decline_referral(step: AStep, actor: Either, body: Decline) -> Response:
    """Decline a proposal, with a reason that judges nobody; by telephone, the sender notes what it was told."""
    return await step.take(Action.DECLINE, actor, body)


@router.post("/{referral_id}/release", **_STEPS)
async def release_referral(step: AStep, actor: MayReceive, body: Decline) -> Response:
    """Give an accepted referral back, with a reason that judges nobody."""
    return await step.take(Action.RELEASE, actor, body)


@router.post("/{referral_id}/plan_meeting", **_STEPS)
async def plan_meeting(step: AStep, actor: Either, body: Meeting) -> Response:
    """Say how and when she will be met, as agreed with her; three-way by default."""
    return await step.take(Action.PLAN_MEETING, actor, body)


@router.post("/{referral_id}/replan", **_STEPS)
async def replan_meeting(step: AStep, actor: Either, body: Meeting) -> Response:
    """Put another meeting in the place of the planned one; nobody is asked why."""
    return await step.take(Action.REPLAN, actor, body)


@router.post("/{referral_id}/confirm_handover", **_STEPS)
async def confirm_handover(step: AStep, actor: Either, body: Confirmation | None = None) -> Response:
    """Say that she was met; the second side's word makes it handed over."""
    return await step.take(Action.CONFIRM_HANDOVER, actor, body or Confirmation())


@router.post("/{referral_id}/close", **_STEPS)
async def close_referral(step: AStep, actor: Either, body: Closing) -> Response:
    """End the work, with an outcome that judges nobody; the sender learns it under the purpose `feedback`."""
    return await step.take(Action.CLOSE, actor, body)


@router.post("/{referral_id}/undo", **_STEPS)
async def undo_step(step: AStep, actor: Either) -> Response:
    """Take back your accept, decline, release or close, within 15 minutes and before the other side acts."""
    return await step.take(Action.UNDO, actor)


@router.post("/{referral_id}/reopen", **_STEPS)
async def reopen_referral(step: AStep, actor: MayReceive) -> Response:
    """Take up again what you declined or closed; the other side is told."""
    return await step.take(Action.REOPEN, actor)


@router.post("/{referral_id}/pause", **_STEPS)
async def pause_referral(step: AStep, actor: Either, body: Pause | None = None) -> Response:
    """Let it rest, at her pace: nobody is reminded while it stands."""
    return await step.take(Action.PAUSE, actor, body or Pause())


@router.post("/{referral_id}/resume", **_STEPS)
async def resume_referral(step: AStep, actor: Either) -> Response:
    """End the rest."""
    return await step.take(Action.RESUME, actor)


@router.post("/{referral_id}/cancel", **_STEPS)
async def cancel_referral(step: AStep, actor: MaySend) -> Response:
    """Stop a referral of yours before it is closed; nobody is asked why."""
    return await step.take(Action.CANCEL, actor)


@router.post("/{referral_id}/withdraw", **_STEPS)
async def withdraw_referral(step: AStepAtOnce, actor: Either, body: Withdrawal | None = None) -> Response:
    """Stop everything at her word, in every state; needs no reading first."""
    return await step.take(Action.WITHDRAW, actor, body or Withdrawal())


@router.post("/{referral_id}/redirect", status_code=201, **_STEPS)
async def redirect_referral(
    request: Request,
    referral_id: UUID,
    body: Redirection,
    actor: MaySend,
    version: IfMatch,
    key: RequiredKey,
    directory: FromDirectory,
    tx: WriteTx,
    now: Now,
) -> Response:
    """Open a linked draft toward another service after this one was declined; her agreement is asked anew."""
    service = await directory.service(body.recipient.service_id)
    who = asked(request, actor, now)
    shown = await drafted(tx, who, key, lambda: drafting.redirect(tx, who, referral_id, body, version, service))
    return told(shown, made=True)
