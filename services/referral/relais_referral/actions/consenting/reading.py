"""What each reader may see of her agreements, and what their receipts say."""

from typing import Final
from uuid import UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store, views
from relais_referral.actions.common import Asked
from relais_referral.actions.consenting.records import UNKNOWN
from relais_referral.domain.consent import Status
from relais_referral.papers.receipt import ConsentFacts, Controller
from relais_referral.schemas.consents import ConsentView
from relais_shared.refusals import NotFound


async def read_consents(tx: AsyncSession, asked: Asked, id_: UUID) -> list[ConsentView]:
    """Answer the consents of a referral as its reader may see them, the newest first.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    await store.callers.begin(tx, asked.caller)
    referral, parties = await store.referrals.lock(tx, id_, asked.caller, reading=True)
    plain = views.neutral(referral, parties)
    rows = await store.consents.of_referral(tx, id_, reading=True)
    if plain:
        # What she narrowed or confirmed since is as little its to read as that she withdrew.
        others = {
            row.data["consent_id"]
            for row in await store.trail.events(tx, id_)
            if row.type in _OF_HER_OWN and row.organisation_id != asked.actor.organisation_id
        }
        rows = [(record, state) for record, state in rows if str(record.id) not in others]
    return [views.consent_view(record, state, asked.now, plain=plain) for record, state in rows]


_OF_HER_OWN: Final = frozenset({"consent.narrowed", "consent.confirmed"})
"""What puts a record of another's making in the place of the one that a sender wrote down."""


async def receipt_of(tx: AsyncSession, asked: Asked, consent_id: UUID) -> ConsentFacts:
    """Answer what the receipt of a consent says; a sender that may sanction reads in it what it recorded alone.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    await store.callers.begin(tx, asked.caller)
    conference_id = await store.conferences.of_consent(tx, consent_id)
    id_ = await store.consents.referral_of(tx, consent_id)
    try:
        if conference_id is not None:
            place = await store.conferences.find(tx, conference_id, asked.caller, lock="reading")
            referral, parties = place.referral, place.parties
        else:
            referral, parties = await store.referrals.lock(tx, id_, asked.caller, reading=True)
    except NotFound:
        raise NotFound(UNKNOWN) from None
    rows = await store.consents.of_referral(tx, id_, conference_id=conference_id, reading=True)
    found = next(((record, state) for record, state in rows if record.id == consent_id), None)
    if found is None:
        raise NotFound(UNKNOWN)
    record, state = found
    if not parties and (record.recipient_id != asked.actor.organisation_id or state.status != Status.GIVEN):
        # Whoever takes part in a conference alone reads what she agreed to for it, and for nobody else.
        raise NotFound(UNKNOWN)
    ran_out = state.status == Status.GIVEN and record.valid_until is not None and record.valid_until <= asked.now
    status, history = (Status.EXPIRED if ran_out else Status(state.status)), state.history
    if views.neutral(referral, parties):
        status, history = (Status.GIVEN if record.given_at else Status.REQUESTED), []
    more = {name: record.record[name] for name in _ON_RECEIPT}
    return ConsentFacts(
        record_id=str(record.id),
        # The same for every consent of this hand-over, and for nothing else.
        subject=f"urn:uuid:{uuid5(referral.id, 'person')}",
        purposes=record.purposes,
        data_categories=record.data_categories,
        controllers=[
            Controller.of(facts, role)
            for facts, role in zip(record.record["controllers"], ("sender", "recipient"), strict=False)
        ],
        recipient=record.record["recipient"]["name"],
        service=record.record["recipient"].get("service_name") or "",
        status=status,
        recorded_at=record.recorded_at,
        given_at=record.given_at,
        valid_until=record.valid_until,
        history=history,
        practice=referral.practice,
        **more,
    )


_ON_RECEIPT: Final = (
    "schema_version", "method", "expressed_by", "language", "notice", "collected_by", "given_by", "legal_basis",
    "article_9_basis", "seen_alone", "interpreter",
)  # fmt: skip
"""The record's other facts that its receipt says."""
