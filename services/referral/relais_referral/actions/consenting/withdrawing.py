"""The sharing stopped at her word, of all or of a part, in every state."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store, views
from relais_referral.actions.common import Asked, event, locked, moved, stands
from relais_referral.actions.consenting.records import UNKNOWN, copy_of, one_of, put_in_force, state_of, tell
from relais_referral.actions.stepping import ask_about_copy, leave_conference, take
from relais_referral.domain.consent import Purpose, Status
from relais_referral.domain.handshake import Action, Party
from relais_referral.models.consents import ConsentRecord, ConsentState
from relais_referral.models.referrals import Referral
from relais_referral.schemas.consents import ConsentView
from relais_referral.schemas.steps import Withdrawal
from relais_shared.refusals import NotFound


async def withdraw_consent(tx: AsyncSession, asked: Asked, consent_id: UUID, body: Withdrawal) -> ConsentView:
    """Stop the sharing at her word, from now on: of all, or of a purpose or category alone.

    Of all: the referral is withdrawn in the same transaction. Of a part: a narrower record takes the place of this
    one, and its id is answered. A consent that no longer holds stays as it stands: stopping twice is no fault.
    Of a case conference: that structure leaves it, and reads nothing of it any more.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    await store.callers.begin(tx, asked.caller)
    conference_id = await store.conferences.of_consent(tx, consent_id)
    if conference_id is not None:
        return await _withdraw_from_conference(tx, asked, conference_id, consent_id, body)
    id_ = await store.consents.referral_of(tx, consent_id)
    try:
        referral, parties, _ = await locked(tx, asked, id_)
    except NotFound:
        # Whoever takes part in a conference alone is told what everybody is told: not even that there is one.
        raise NotFound(UNKNOWN) from None
    record, state = await one_of(tx, id_, consent_id)
    if views.neutral(referral, parties):
        return await _withdraw_unseen(tx, asked, referral, record, body)
    if state.status not in {Status.GIVEN, Status.REQUESTED}:
        return views.consent_view(record, state, asked.now)
    purposes, categories = _left(record, body)
    if not _is_part(body, purposes, categories):
        await take(tx, asked, id_, Action.WITHDRAW, body, None)
    elif state.status == Status.GIVEN and (purposes, categories) != (record.purposes, record.data_categories):
        record, state = await _narrow(tx, asked, referral, record, purposes, categories)
        moved(referral, asked, by=Party.SENDER if Party.SENDER in parties else None)
    return views.consent_view(record, state, asked.now)


async def _withdraw_unseen(
    tx: AsyncSession, asked: Asked, referral: Referral, record: ConsentRecord, body: Withdrawal
) -> ConsentView:
    """Stop the sharing, or a part of it, through a sender that may sanction.

    It reads neither how an agreement stands nor what took its place: so it stops what stands now, whichever it names,
    and what was stopped before is answered and written as if it were stopped by this.
    """
    every = {one.id: (one, state) for one, state in await store.consents.of_referral(tx, referral.id, lock=True)}
    last, state = every[record.id]
    while state.superseded_by is not None and state.superseded_by in every:
        last, state = every[state.superseded_by]
    purposes, categories = _left(last, body)
    if not _is_part(body, purposes, categories):
        await take(tx, asked, referral.id, Action.WITHDRAW, body, None)
        return views.consent_view(record, state, asked.now, plain=True, told=Status.WITHDRAWN)
    if (purposes, categories) == (last.purposes, last.data_categories):
        return views.consent_view(last, state, asked.now, plain=True)
    if state.status == Status.GIVEN:
        last, state = await _narrow(tx, asked, referral, last, purposes, categories)
    else:
        narrower = copy_of(last, purposes, categories, asked)
        tx.add(narrower)
        await tx.flush()  # Its state refers to it.
        state.superseded_by = narrower.id
        last, state = narrower, state_of(narrower, Status(state.status), asked)
        tx.add(state)
        event(tx, referral, asked, "consent.withdrawn", consent_id=str(narrower.id))
    moved(referral, asked, by=Party.SENDER)
    return views.consent_view(last, state, asked.now, plain=True)


def _left(record: ConsentRecord, body: Withdrawal) -> tuple[list[str], list[str]]:
    """Answer the purposes and the categories that a withdrawal leaves."""
    return (
        [name for name in record.purposes if name not in set(body.purposes)],
        [name for name in record.data_categories if name not in set(body.data_categories)],
    )


def _is_part(body: Withdrawal, purposes: list[str], categories: list[str]) -> bool:
    """Answer whether a withdrawal leaves something that can be handed over under."""
    return bool(body.purposes or body.data_categories) and Purpose.REFERRAL in purposes and bool(categories)


async def _narrow(  # noqa: PLR0913 - of which agreement, what is left
    tx: AsyncSession,
    asked: Asked,
    referral: Referral,
    record: ConsentRecord,
    purposes: list[str],
    categories: list[str],
) -> tuple[ConsentRecord, ConsentState]:
    """Put what is left of an agreement in its place; the recipient answers what becomes of its own copy."""
    record = copy_of(record, purposes, categories, asked)
    state = await put_in_force(tx, record, asked)
    event(tx, referral, asked, "consent.narrowed", consent_id=str(record.id))
    await ask_about_copy(tx, referral, asked, "consent.narrowed")
    return record, state


async def _withdraw_from_conference(
    tx: AsyncSession, asked: Asked, conference_id: UUID, consent_id: UUID, body: Withdrawal
) -> ConsentView:
    """Stop a structure's part in a case conference, through whoever else takes part in it, or a part of what it reads.

    Raises:
        NotFound: Absent, or the caller has no place in that conference.
    """
    try:
        place = await store.conferences.find(tx, conference_id, asked.caller, lock="writing")
    except NotFound:
        raise NotFound(UNKNOWN) from None
    record, state = await one_of(tx, place.referral.id, consent_id)
    sides = place.parties or asked.caller.access_id is not None
    if not sides and (record.recipient_id != asked.actor.organisation_id or state.status != Status.GIVEN):
        # Whoever only takes part answers for itself; she, and the two sides at her word, stop everybody.
        raise NotFound(UNKNOWN)
    categories = [name for name in record.data_categories if name not in set(body.data_categories)]
    if body.data_categories and not body.purposes:
        if state.status == Status.GIVEN and categories != record.data_categories:
            record = copy_of(record, record.purposes, categories, asked)
            state = await put_in_force(tx, record, asked)
            tell(tx, place.referral, record, "narrowed", asked)
    elif state.status in {Status.GIVEN, Status.REQUESTED}:
        stands(state, Status.WITHDRAWN, asked.now)
        state.withdrawal_method = body.method
        await leave_conference(tx, place.referral, record, "left", asked)
    view = views.consent_view(record, state, asked.now)
    return view if sides else view.model_copy(update={"referral_id": None})
