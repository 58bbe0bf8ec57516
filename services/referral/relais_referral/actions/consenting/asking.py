"""Her agreement recorded, asked for by her link, answered and confirmed."""

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import views
from relais_referral.actions.common import ERASED, Asked, decided, event, locked, moved, open_task, stands
from relais_referral.actions.consenting.judging import (
    bound,
    judge_basis,
    judge_less,
    judge_terms,
    judge_time,
    purpose_faults,
)
from relais_referral.actions.consenting.records import (
    BY_LINK,
    COLUMNS,
    SCHEMA_VERSION,
    controller,
    copy_of,
    hers,
    put_asked_for,
    put_in_force,
    supersede,
    tell,
)
from relais_referral.actions.stepping import leave_conference
from relais_referral.domain.consent import BOUND_ONLY, Status
from relais_referral.domain.handshake import Action, Party
from relais_referral.domain.refusals import IllegalAction, RecipientNotBound
from relais_referral.models.consents import ConsentRecord
from relais_referral.models.referrals import Referral
from relais_referral.models.shared import OrganisationCopy
from relais_referral.schemas.consents import ConsentAnswer, ConsentInput, ConsentRequest, ConsentTerms, ConsentView
from relais_shared.refusals import Fault, InvalidInput, NotFound
from relais_shared.registry import known


async def record_consent(tx: AsyncSession, asked: Asked, id_: UUID, given: ConsentInput) -> ConsentView:
    """Record what she agreed to; the consent that was in force before is superseded.

    Raises:
        NotFound: Absent, or not the actor's as sender.
        IllegalAction: The referral has ended.
        InvalidInput: A purpose or a time cannot be so.
        PersonalDataDetected: A text of the record tells who she is.
        RecipientNotBound, SensitiveBasisMissing: The recipient or the theme needs more.
    """
    referral, parties, _ = await locked(tx, asked, id_)
    _judge_asking(referral, parties, asked)
    text = await judge_terms(tx, referral, given, asked, purpose_faults(referral, given))
    judge_time(given, asked)
    facts = given.model_dump(mode="json", exclude={*COLUMNS, "notice_version"})
    record = await _new_record(tx, referral, given, facts | {"notice": text}, asked)
    record.given_at = given.given_at
    state = await put_in_force(tx, record, asked)
    moved(referral, asked, by=Party.SENDER)
    event(tx, referral, asked, "consent.given", consent_id=str(record.id))
    return views.consent_view(record, state, asked.now)


async def request_consent(tx: AsyncSession, asked: Asked, id_: UUID, wanted: ConsentRequest) -> ConsentView:
    """Ask for her agreement by her own link: only her own session turns it into given or refused.

    Raises:
        As `record_consent`.
    """
    referral, parties, _ = await locked(tx, asked, id_)
    _judge_asking(referral, parties, asked)
    text = await judge_terms(tx, referral, wanted, asked, purpose_faults(referral, wanted))
    facts = wanted.model_dump(mode="json", exclude={*COLUMNS, "notice_version"}) | {"notice": text, **BY_LINK}
    record = await _new_record(tx, referral, wanted, facts, asked)
    state = await put_asked_for(tx, record, asked)
    moved(referral, asked, by=Party.SENDER)
    event(tx, referral, asked, "consent.requested", consent_id=str(record.id))
    return views.consent_view(record, state, asked.now)


def _judge_asking(referral: Referral, parties: frozenset[Party], asked: Asked) -> None:
    """Refuse to ask her where nobody is handed over any more: whoever may still cancel it may still ask.

    Raises:
        IllegalAction: The referral has ended.
        NotFound: What was written in it has been erased.
    """
    decided(referral, None, asked, Action.CANCEL, parties & {Party.SENDER})
    if referral.erased_at is not None:
        raise NotFound(ERASED)


async def _new_record(
    tx: AsyncSession, referral: Referral, terms: ConsentTerms, facts: dict[str, Any], asked: Asked
) -> ConsentRecord:
    """Answer the record of an agreement to these terms, judged against recipient and theme; not stored yet.

    Raises:
        RecipientNotBound, SensitiveBasisMissing: The recipient or the theme needs more.
    """
    recipient = await known(tx, OrganisationCopy, referral.recipient_id)
    sender = await known(tx, OrganisationCopy, referral.sender_id)
    if BOUND_ONLY & set(terms.data_categories) and not bound(referral, recipient):
        raise RecipientNotBound(
            "Its staff is bound by no secrecy: situation, notes and documents do not go there.",
            data_categories=sorted(BOUND_ONLY & set(terms.data_categories)),
        )
    judge_basis(referral, terms)
    return ConsentRecord(
        id=uuid4(),
        referral_id=referral.id,
        recipient_id=referral.recipient_id,
        service_id=referral.service_id,
        purposes=sorted(set(terms.purposes)),
        data_categories=sorted(set(terms.data_categories)),
        valid_until=terms.valid_until,
        recorded_at=asked.now,
        record={
            "schema_version": SCHEMA_VERSION,
            "recipient": {
                "organisation_id": str(referral.recipient_id),
                "name": referral.recipient_name,
                "service_id": str(referral.service_id),
                "service_name": referral.service_name,
            },
            "controllers": [
                controller(referral.sender_id, referral.sender_name, sender),
                controller(referral.recipient_id, referral.recipient_name, recipient),
            ],
            **facts,
        },
    )


async def answer_request(
    tx: AsyncSession, asked: Asked, consent_id: UUID, answer: ConsentAnswer, *, assisted: bool
) -> ConsentView:
    """Turn what was asked for into given or refused, by her own session; she may agree to less than was asked.

    Args:
        tx: Writing.
        asked: She herself.
        consent_id: What was asked for.
        answer: Yes or no, and to what.
        assisted: At a counter: then somebody stood by.

    Raises:
        NotFound: Absent, or not hers.
        IllegalAction: It was answered already.
        InvalidInput: More than was asked for, or until an instant that is past.
    """
    referral, record, state = await hers(tx, asked, consent_id)
    if state.status != Status.REQUESTED:
        raise IllegalAction("This was answered already.", allowed_actions=[])
    if not answer.agreed:
        stands(state, Status.REFUSED, asked.now, assisted=assisted)
        if record.conference_id is not None:
            await leave_conference(tx, referral, record, "refused", asked)
            return views.consent_view(record, state, asked.now)
        event(tx, referral, asked, "consent.refused", consent_id=str(record.id))
        open_task(tx, referral, asked, Party.SENDER, "refused", "consent.refused")
        moved(referral, asked, by=None)
        return views.consent_view(record, state, asked.now)
    purposes = set(answer.purposes if answer.purposes is not None else record.purposes)
    categories = set(answer.data_categories if answer.data_categories is not None else record.data_categories)
    judge_less(record, purposes, categories)
    if answer.valid_until is not None and answer.valid_until <= asked.now:
        raise InvalidInput("This cannot be agreed to so.", [Fault("/valid_until", "This is past already.")])
    same = purposes == set(record.purposes) and categories == set(record.data_categories) and not assisted
    if same and answer.valid_until is None:
        await supersede(tx, record, asked)
        stands(state, Status.GIVEN, asked.now)
    else:
        facts = {"seen_alone": "no" if assisted else "yes"}
        record = copy_of(record, sorted(purposes), sorted(categories), asked, **facts)
        record.valid_until = answer.valid_until or record.valid_until
        stands(state, Status.SUPERSEDED, asked.now)
        state.superseded_by = record.id
        state = await put_in_force(tx, record, asked)
    tell(tx, referral, record, "given", asked)
    if record.conference_id is not None:
        return views.consent_view(record, state, asked.now)
    # The sender asked, so it may know that she answered: it then proposes.
    moved(referral, asked, noticed=True, by=None)
    return views.consent_view(record, state, asked.now)


async def confirm_alone(tx: AsyncSession, asked: Asked, consent_id: UUID) -> ConsentView:
    """Confirm alone, by her own session, what she had said while somebody stood by.

    Raises:
        NotFound: Absent, or not hers.
        IllegalAction: It is not in force.
    """
    referral, record, state = await hers(tx, asked, consent_id)
    if state.status != Status.GIVEN:
        raise IllegalAction("Only an agreement that holds can be confirmed.", allowed_actions=[])
    alone = copy_of(record, record.purposes, record.data_categories, asked, seen_alone="yes", interpreter="none")
    now_standing = await put_in_force(tx, alone, asked)
    tell(tx, referral, alone, "confirmed", asked)
    if alone.conference_id is None:
        moved(referral, asked, by=None)
    return views.consent_view(alone, now_standing, asked.now)
