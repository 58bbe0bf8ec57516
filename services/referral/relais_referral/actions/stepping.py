"""The steps of the handshake: one table decides, one transaction writes."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral import store
from relais_referral.actions.common import (
    Asked,
    Holding,
    Shown,
    decided,
    event,
    hold,
    moved,
    open_task,
    plain,
    refuse_numbers,
    seal_of,
    show,
    stands,
    texts_of,
)
from relais_referral.domain import deadlines
from relais_referral.domain.consent import Status
from relais_referral.domain.handshake import (
    ENDED,
    UNDOABLE,
    WAITING,
    Action,
    Party,
    State,
    Transition,
    Via,
)
from relais_referral.domain.visibility import shown_state
from relais_referral.models.conferences import Conference
from relais_referral.models.consents import ConsentRecord
from relais_referral.models.conversation import Task
from relais_referral.models.referrals import Referral
from relais_referral.models.shared import OrganisationCopy
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
from relais_referral.sealing import Seal
from relais_shared.appending import leave
from relais_shared.refusals import Fault, InvalidInput
from relais_shared.registry import known

Body = (
    Propose
    | PhoneAgreement
    | Taken
    | Acceptance
    | Decline
    | Meeting
    | Confirmation
    | Closing
    | Pause
    | Withdrawal
    | None
)

TOLD: Final = frozenset(
    {
        Action.ACCEPT,
        Action.DECLINE,
        Action.RELEASE,
        Action.PLAN_MEETING,
        Action.REPLAN,
        Action.UNDO,
        Action.REOPEN,
    }
)
"""The recipient's steps that concern her: her counsellor tells her, in the way that is safe for her."""

LEFT_BEHIND: Final = {
    Action.ACCEPT: "meeting_options",
    Action.DECLINE: "decline",
    Action.RELEASE: "decline",
    Action.CLOSE: "outcome",
}
"""The sealed piece that a step brought along, and that goes when the step is taken back."""


async def take(  # noqa: PLR0913 - one step: what, by whom, on which version
    tx: AsyncSession, asked: Asked, id_: UUID, action: Action, body: Body, version: str | None
) -> Shown:
    """Take one step of the handshake, and show what its actor then sees.

    Args:
        tx: Writing.
        asked: By whom, when.
        id_: The referral.
        action: Which step.
        body: What the step brings along.
        version: The ETag that was read; None for withdrawing and for her own steps, which never need one.

    Raises:
        NotFound, StaleVersion: As everywhere.
        IllegalAction, NotYourTurn, ConsentMissing: The table says no.
        PersonalDataDetected: A text of the step holds a national number.
        InvalidInput: Something that this step needs is missing.
    """
    referral, parties, holding = await _stepped(tx, asked, id_, action, body, version)
    shown = await show(tx, referral, parties, asked, holding=holding)
    leave(tx, referral)
    return shown


async def step(  # noqa: PLR0913 - as `take`
    tx: AsyncSession, asked: Asked, id_: UUID, action: Action, body: Body, version: str | None
) -> tuple[Referral, frozenset[Party]]:
    """Take one step as `take` does; show nothing."""
    referral, parties, _holding = await _stepped(tx, asked, id_, action, body, version)
    return referral, parties


async def _stepped(  # noqa: PLR0913 - as `take`
    tx: AsyncSession, asked: Asked, id_: UUID, action: Action, body: Body, version: str | None
) -> tuple[Referral, frozenset[Party], Holding]:
    """Take one step; answer also what is known after it, all of it locked."""
    held = await hold(tx, asked, id_, version)
    referral, parties = held.referral, held.parties
    consent = held.consent
    taken = decided(referral, consent, asked, action, parties)
    judge(body, asked)
    if action is Action.ACCEPT and body is None:
        body = _as_phoned(referral)
    before = shown_state(State(referral.state), neutral=True)
    slip = referral.undo
    if action is Action.UNDO:
        await _take_back(tx, referral)
    seals = bool(_sealed_of(body))
    await _bring(tx, referral, taken, body, seal_of(referral, asked) if seals else None, asked)
    if action is Action.PROPOSE or (action is Action.REOPEN and taken.target in WAITING):
        # What is taken up again is waited for anew: nobody is late from the first minute.
        recipient = await known(tx, OrganisationCopy, referral.recipient_id)
        days = recipient.answer_within_days if recipient else DAYS_OF_A_GUEST
        referral.due_at = deadlines.answer_due(asked.now, urgency=referral.urgency, working_days=days)
        referral.overdue_told = False
    if action is Action.WITHDRAW:
        await end_consents(tx, referral, body.method if isinstance(body, Withdrawal) else "counsellor", asked)
        consent = None
    _mark(referral, taken, body, asked)
    moved(
        referral,
        asked,
        noticed=before != shown_state(taken.target, neutral=True),
        by=taken.by,
    )
    event(tx, referral, asked, taken.event, state=taken.target)
    if action is Action.UNDO and slip is not None:
        await _drop_telling(tx, referral, asked)
    if action in TOLD and taken.by is Party.RECIPIENT:
        open_task(tx, referral, asked, Party.SENDER, "tell_person", taken.event)
    return referral, parties, Holding(consent, None if seals or action is Action.UNDO else held.sealed)


DAYS_OF_A_GUEST: Final = 2
"""Working days in which a service without an account usually answers; nobody declared another."""


def _as_phoned(referral: Referral) -> Acceptance:
    """Answer the acceptance that was agreed by telephone: one tap is enough."""
    if referral.phoned is None:
        raise InvalidInput("Say who takes over.", [Fault("/counsellor", "Name the colleague who takes over.")])
    return Acceptance.model_validate({"counsellor": {"name": referral.phoned["colleague"]}})


async def _bring(  # noqa: PLR0913 - what a step brings, and where it goes
    tx: AsyncSession, referral: Referral, taken: Transition, body: Body, seal: Seal | None, asked: Asked
) -> None:
    """Write what a step brings along."""
    if isinstance(body, Propose) and body.counsellor is not None:
        referral.sender_counsellor = plain(body.counsellor)
    if isinstance(body, PhoneAgreement):
        referral.phoned = plain(body)
    if isinstance(body, Taken):
        referral.recipient_counsellor = plain(body.counsellor)
        if asked.actor.kind == "user":
            referral.recipient_account_id = asked.actor.user_id
            referral.recipient_team_id = next(iter(asked.actor.teams), None)
    if isinstance(body, Decline):
        referral.decline_reason = body.reason
    if isinstance(body, Closing):
        referral.outcome = body.outcome
    if isinstance(body, Confirmation):
        day = (body.on or deadlines.day_of(asked.now)).isoformat()
        referral.confirmations = {**referral.confirmations, str(taken.by): {"on": day, "mode": body.mode}}
    for part, value in _sealed_of(body).items():
        if seal is not None:
            await store.sealed.seal(tx, referral.id, part, seal.close(part, value))


def _sealed_of(body: Body) -> dict[str, Any]:
    if isinstance(body, Acceptance) and body.meeting_options:
        return {"meeting_options": [plain(option) for option in body.meeting_options]}
    if isinstance(body, Decline):
        return {"decline": plain(body)}
    if isinstance(body, Meeting):
        return {"meeting": plain(body)}
    if isinstance(body, Closing):
        return {"outcome": plain(body)}
    return {}


def _mark(referral: Referral, taken: Transition, body: Body, asked: Asked) -> None:
    """Set the marks that follow from a step."""
    if taken.action is Action.PAUSE:
        referral.paused_at = asked.now
        referral.paused_until = body.until if isinstance(body, Pause) else None
    if taken.action is Action.RESUME:
        referral.paused_at = referral.paused_until = None
    if taken.action in {Action.PAUSE, Action.RESUME}:
        return
    referral.undo = None
    if taken.action in UNDOABLE:
        referral.undo = {
            "action": str(taken.action),
            "by": str(taken.by),
            "source": str(taken.source),
            "at": asked.now.isoformat(),
            "state_at": referral.state_at.isoformat(),
        }
    if taken.target != taken.source:
        referral.state, referral.state_at = taken.target, asked.now
        referral.idle_asked_at = None
        if taken.target in ENDED | {State.CLOSED}:
            referral.paused_at = referral.paused_until = None
    if taken.action is Action.REOPEN:
        referral.decline_reason = referral.outcome = None


async def _take_back(tx: AsyncSession, referral: Referral) -> None:
    """Remove what the step brought along that is taken back."""
    action = Action(referral.undo["action"]) if referral.undo else None
    if action is None:
        return
    await store.sealed.seal(tx, referral.id, LEFT_BEHIND[action], None)
    if action is Action.ACCEPT and referral.undo and referral.undo["source"] == State.PROPOSED:
        referral.recipient_counsellor = None
        referral.recipient_account_id = referral.recipient_team_id = None
    if action in {Action.DECLINE, Action.RELEASE}:
        referral.decline_reason = None
    if action is Action.CLOSE:
        referral.outcome = None


async def _drop_telling(tx: AsyncSession, referral: Referral, asked: Asked) -> None:
    """Drop what was still to be told of a step that was taken back."""
    await tx.execute(
        update(Task)
        .where(
            col(Task.referral_id) == referral.id,
            col(Task.kind) == "tell_person",
            col(Task.done_at).is_(None),
            col(Task.dropped_at).is_(None),
        )
        .values(dropped_at=asked.now)
    )


async def end_consents(tx: AsyncSession, referral: Referral, method: str, asked: Asked) -> None:
    """End every agreement of a hand-over at her word; the recipient answers what becomes of its own copy."""
    ended = False
    for record, state in await store.consents.of_referral(tx, referral.id, lock=True):
        if state.status in {Status.GIVEN, Status.REQUESTED}:
            ended = ended or state.status == Status.GIVEN
            stands(state, Status.WITHDRAWN, asked.now)
            state.withdrawal_method = method
            event(tx, referral, asked, "consent.withdrawn", consent_id=str(record.id))
    if ended:
        await ask_about_copy(tx, referral, asked, "consent.withdrawn")
    for conference in await store.conferences.of_referral(tx, referral.id):
        await end_conference(tx, referral, conference, Status.WITHDRAWN, asked, method=method)


async def end_conference(  # noqa: PLR0913 - the conference of a hand-over, how, by whom
    tx: AsyncSession,
    referral: Referral,
    conference: Conference,
    status: Status,
    asked: Asked,
    *,
    method: str | None = None,
) -> None:
    """End a case conference with every agreement for it: from now on no structure reads anything of it.

    Args:
        tx: Writing, the hand-over's row locked.
        referral: What it is about.
        conference: Ending it twice is no fault.
        status: `withdrawn` where she stopped it, `expired` where a structure ended it: then nobody asks her anything
            under that agreement any more.
        asked: By whom, when.
        method: How she said so.
    """
    if conference.ended_at is not None:
        return
    for _record, state in await store.consents.of_referral(tx, referral.id, conference_id=conference.id, lock=True):
        if state.status in {Status.GIVEN, Status.REQUESTED}:
            stands(state, status, asked.now)
            state.withdrawal_method = method
    event(tx, referral, asked, "conference.ended", conference_id=str(conference.id))
    # Before it ends: row-level security lets whoever only takes part write no more of the hand-over afterwards.
    await tx.flush()
    conference.ended_at, conference.ended_by = asked.now, asked.caller.name


async def leave_conference(
    tx: AsyncSession, referral: Referral, record: ConsentRecord, what: str, asked: Asked
) -> None:
    """Take a structure out of the case conference that an agreement was for: it reads nothing of it any more.

    Args:
        tx: Writing, the hand-over's row locked.
        referral: What the conference is about.
        record: The agreement that she refused, stopped, or that the structure gives back.
        what: The end of the event's type.
        asked: By whom, when.
    """
    event(tx, referral, asked, f"conference.{what}", consent_id=str(record.id))
    if record.recipient_id == referral.recipient_id:
        await ask_about_copy(tx, referral, asked, f"conference.{what}")
    # Before it leaves: row-level security lets it write no more of the hand-over afterwards.
    await tx.flush()
    if record.conference_id is None:
        return
    rows = await store.consents.of_referral(tx, referral.id, conference_id=record.conference_id, lock=True)
    # What she refused may have been asked in place of an agreement that still holds.
    if any(state.status == Status.GIVEN and other.recipient_id == record.recipient_id for other, state in rows):
        return
    part = await store.conferences.part(tx, record.conference_id, record.recipient_id)
    if part is not None:
        part.left_at = asked.now
        await tx.flush()


async def ask_about_copy(tx: AsyncSession, referral: Referral, asked: Asked, reason: str) -> None:
    """Ask the recipient what becomes of its own copy, where anything was ever shown to it."""
    if referral.via != Via.PHONE_ONLY and await store.trail.shown_to(tx, referral.id, referral.recipient_id):
        open_task(tx, referral, asked, Party.RECIPIENT, "local_copy", reason)


def judge(body: Body, asked: Asked) -> None:
    """Refuse a national number in the texts of a step, and a pause that would end before it began.

    Raises:
        PersonalDataDetected: Names every text at fault.
        InvalidInput: The day is past.
    """
    if body is not None:
        refuse_numbers(texts_of(body.model_dump()))
    if isinstance(body, Pause) and body.until is not None and body.until < deadlines.day_of(asked.now):
        raise InvalidInput("This pause cannot be.", [Fault("/until", "This day is past.")])
