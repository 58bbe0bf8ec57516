"""What she agrees to, confirms alone and stops, in a hand-over and in the conferences about it."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store, views
from relais_referral.actions.accessing import Session
from relais_referral.actions.common import Asked, locked
from relais_referral.actions.conferring import hers
from relais_referral.actions.consenting import asking, records, withdrawing
from relais_referral.actions.person.opening import method, whole_only
from relais_referral.actions.person.standing import held
from relais_referral.domain.consent import Status
from relais_referral.domain.refusals import IllegalAction
from relais_referral.models.consents import ConsentRecord, ConsentState
from relais_referral.models.referrals import Referral
from relais_referral.schemas.conferences import ConferenceMessageView
from relais_referral.schemas.consents import ConsentAnswer, ConsentView
from relais_referral.schemas.person import PartialWithdrawal
from relais_referral.schemas.steps import Withdrawal
from relais_shared.refusals import NotFound


async def answer(
    tx: AsyncSession, asked: Asked, session: Session, consent_id: UUID, given: ConsentAnswer
) -> ConsentView:
    """Say yes or no to what she was asked; saying the same again changes nothing.

    Raises:
        NotFound: Absent, or not hers.
        ScopeMissing: Her link shows steps alone: what she would agree to stands elsewhere.
        IllegalAction: It was answered otherwise already.
        InvalidInput: More than was asked for.
    """
    whole_only(session)
    _referral, record, state, last, stands_now = await _asked_of_her(tx, asked, consent_id)
    if given.agreed:
        # Where she agreed to less than was asked, the narrower record stands for the answer.
        record, state = last, stands_now
    if state.status == (Status.GIVEN if given.agreed else Status.REFUSED):
        return views.consent_view(record, state, asked.now)
    return await asking.answer_request(tx, asked, consent_id, given, assisted=session.assisted)


async def _asked_of_her(
    tx: AsyncSession, asked: Asked, consent_id: UUID
) -> tuple[Referral, ConsentRecord, ConsentState, ConsentRecord, ConsentState]:
    """Lock a consent of hers with its referral; answer it, and what took its place.

    Locked for a change from the start: two taps at once would otherwise each wait for the other.
    """
    await store.callers.begin(tx, asked.caller)
    referral, _parties, _ = await locked(tx, asked, await store.consents.referral_of(tx, consent_id))
    every = await store.consents.of_referral(tx, referral.id, conference_id="every", lock=True)
    rows = {record.id: (record, state) for record, state in every}
    if consent_id not in rows:
        raise NotFound(records.UNKNOWN)
    last = rows[consent_id]
    while last[1].superseded_by in rows and last[1].superseded_by is not None:
        last = rows[last[1].superseded_by]
    return referral, *rows[consent_id], *last


async def confirm_alone(tx: AsyncSession, asked: Asked, session: Session, consent_id: UUID) -> ConsentView:
    """Confirm alone what she had said while somebody stood by.

    Raises:
        NotFound: Absent, or not hers.
        ScopeMissing: Her link shows steps alone.
        IllegalAction: Somebody stands by now too, or the agreement does not hold.
    """
    whole_only(session)
    if session.assisted:
        raise IllegalAction("At a counter you are not alone: open your own link for this.", allowed_actions=[])
    referral, _record, _state, record, state = await _asked_of_her(tx, asked, consent_id)
    if state.status == Status.GIVEN and record.record["seen_alone"] == "yes" and not held(referral, record):
        return views.consent_view(record, state, asked.now)
    return await asking.confirm_alone(tx, asked, record.id)


async def withdraw_consent(
    tx: AsyncSession, asked: Asked, session: Session, consent_id: UUID, what: PartialWithdrawal
) -> ConsentView:
    """Stop the sharing, all or a part of it, from now on.

    Raises:
        NotFound: Absent, or not hers.
    """
    body = Withdrawal(method=method(session), purposes=what.purposes, data_categories=what.data_categories)
    return await withdrawing.withdraw_consent(tx, asked, consent_id, body)


async def attend_conference(tx: AsyncSession, asked: Asked, id_: UUID, attends: bool) -> None:  # noqa: FBT001 - the body's one word
    """Say that she takes part in a case conference herself, or not any more.

    Raises:
        NotFound, IllegalAction: Absent, not hers, or ended.
    """
    await hers.attend(tx, asked, id_, attends=attends)


async def write_in_conference(
    tx: AsyncSession, asked: Asked, session: Session, id_: UUID, words: str
) -> ConferenceMessageView:
    """Write to all who take part in a case conference.

    Raises:
        ScopeMissing: Her link shows steps alone.
        NotFound, IllegalAction, PersonalDataDetected: As everybody's messages there.
    """
    whole_only(session)
    return await hers.write_as_her(tx, asked, id_, words)


async def end_conference(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> None:
    """End a case conference; twice is no fault.

    Raises:
        NotFound: Absent, or not hers.
    """
    await hers.end_as_her(tx, asked, id_, method(session))


async def send_away(tx: AsyncSession, asked: Asked, session: Session, id_: UUID, organisation_id: UUID) -> None:
    """Stop one structure's part in a case conference; twice is no fault.

    Raises:
        NotFound: Absent, not hers, or never asked for.
    """
    await hers.send_away(tx, asked, id_, organisation_id, method(session))
