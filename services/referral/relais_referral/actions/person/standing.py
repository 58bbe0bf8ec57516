"""Where her hand-overs stand: with whom, what is shared, what waits for her."""

from collections.abc import Sequence
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store, views
from relais_referral.actions.accessing import Session
from relais_referral.actions.common import Asked, in_force, open_pieces
from relais_referral.actions.conferring import hers
from relais_referral.domain.access import Level
from relais_referral.domain.consent import Status, held_back
from relais_referral.domain.handshake import Party, State, allowed_actions
from relais_referral.domain.retention import TAKEN_BACK
from relais_referral.domain.visibility import Category
from relais_referral.models.access import Access
from relais_referral.models.consents import ConsentRecord, ConsentState
from relais_referral.models.referrals import Referral
from relais_referral.models.trail import EventRow
from relais_referral.schemas.common import OrganisationView
from relais_referral.schemas.person import Erased, HandoverView, PathwayView, Sharing, StepView, Waiting
from relais_referral.schemas.referrals import RecipientView

CONFIRMABLE: Final = frozenset({State.ACCEPTED, State.MEETING_PLANNED})
"""Where her word that she was met is waited for."""

_HER: Final = frozenset({Party.PERSON})


async def pathway(tx: AsyncSession, asked: Asked, session: Session) -> PathwayView:
    """Answer her hand-overs in order, as far as her link shows them."""
    await store.callers.begin(tx, asked.caller)
    rows = await store.access.linked(tx, session.access_id)
    items = [await standing_of(tx, asked, session, referral) for referral in rows]
    return PathwayView(
        items=items,
        level=session.level,
        discreet=session.discreet,
        language=session.language,
        expires_at=session.expires_at,
        assisted_by=session.assisted_by,
    )


async def stands(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> HandoverView:
    """Answer where one hand-over stands.

    Raises:
        NotFound: Absent, or not hers.
    """
    await store.callers.begin(tx, asked.caller)
    referral, _ = await store.referrals.lock(tx, id_, asked.caller, reading=True)
    return await standing_of(tx, asked, session, referral)


async def standing_of(tx: AsyncSession, asked: Asked, session: Session, referral: Referral) -> HandoverView:
    """Answer where a hand-over stands whose row is held, as far as her link shows it."""
    if referral.erased_at is not None:
        return HandoverView(id=referral.id, erased=erased_of(referral))
    rows = await store.consents.of_referral(tx, referral.id)
    consent = in_force(referral, rows)
    rows = [*rows, *await hers.consents_for_her(tx, referral.id)]
    pieces = await open_pieces(tx, referral, ("meeting", "meeting_options"), asked)
    waits = _waits(referral, rows)
    shown: dict[str, Any] = {
        "state": referral.state,
        "created_at": referral.created_at,
        "steps": [_step(referral, row) for row in await store.trail.events(tx, referral.id)],
        "meeting": pieces.get("meeting"),
        "meeting_options": pieces.get("meeting_options"),
        "allowed_actions": allowed_actions(views.standing(referral, consent, asked.now), _HER),
        "waits": [one for one in waits if one.consent_id is None],
    }
    if referral.paused_at is not None:
        shown["paused"] = {"since": referral.paused_at, "until": referral.paused_until}
    if session.level is Level.FULL:
        access = await tx.get(Access, session.access_id)
        shown |= {
            "waits": waits,
            "short_code": referral.short_code,
            "practice": referral.practice,
            "sender": OrganisationView(organisation_id=referral.sender_id, name=referral.sender_name),
            "recipient": RecipientView(
                organisation_id=referral.recipient_id,
                name=referral.recipient_name,
                service_id=referral.service_id,
                service_name=referral.service_name,
            ),
            "counsellor": referral.sender_counsellor,
            "recipient_counsellor": referral.recipient_counsellor,
            "confirmations": referral.confirmations,
            "shared": [_sharing(referral, *row) for row in rows if _holds(*row, asked)],
            "joined": access is not None and access.referral_id != referral.id,
        }
    return HandoverView(id=referral.id, **shown)


def erased_of(referral: Referral) -> Erased:
    """Answer all that is left to see of what she had erased."""
    assert referral.erased_at is not None  # noqa: S101 - asked for erased referrals alone
    return Erased(erased_at=referral.erased_at, restore_until=referral.erased_at + TAKEN_BACK)


def _step(referral: Referral, row: EventRow) -> StepView:
    by: Literal["person", "sender", "recipient", "participant", "system"] = "system"
    if row.actor == "person":
        by = "person"
    elif row.organisation_id == referral.sender_id:
        by = "sender"
    elif row.organisation_id == referral.recipient_id:
        by = "recipient"
    elif row.organisation_id is not None:
        by = "participant"
    return StepView(at=row.at, type=row.type, by=by)


def held(referral: Referral, record: ConsentRecord) -> frozenset[Category]:
    """Answer what an agreement names that stays closed until she has confirmed it alone."""
    closed = held_back(
        sensitive=referral.sensitive,
        seen_alone=record.record["seen_alone"],
        interpreter=record.record["interpreter"],
    )
    return closed & {Category(name) for name in record.data_categories}


def _holds(record: ConsentRecord, state: ConsentState, asked: Asked) -> bool:
    return state.status == Status.GIVEN and (record.valid_until is None or asked.now < record.valid_until)


def _sharing(referral: Referral, record: ConsentRecord, state: ConsentState) -> Sharing:
    closed = {str(category) for category in held(referral, record)}
    return Sharing(
        consent_id=record.id,
        organisation=record.record["recipient"]["name"],
        service=record.record["recipient"].get("service_name"),
        categories=[name for name in record.data_categories if name not in closed],
        held_back=sorted(closed),
        purposes=record.purposes,
        since=state.changed_at,
        until=record.valid_until,
    )


def _waits(referral: Referral, rows: Sequence[tuple[ConsentRecord, ConsentState]]) -> list[Waiting]:
    found = [
        Waiting(kind="consent_requested", consent_id=record.id)
        for record, state in rows
        if state.status == Status.REQUESTED
    ]
    found += [
        Waiting(kind="confirm_alone", consent_id=record.id)
        for record, state in rows
        if state.status == Status.GIVEN and held(referral, record)
    ]
    if State(referral.state) in CONFIRMABLE and Party.PERSON not in referral.confirmations:
        found.append(Waiting(kind="confirm_handover"))
    return found
