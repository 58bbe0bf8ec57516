"""Every query of consents."""

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Literal
from uuid import UUID

from sqlalchemy import Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral.domain.consent import Consent, Purpose, Status, held_back
from relais_referral.domain.visibility import Category
from relais_referral.models.consents import ConsentRecord, ConsentState
from relais_referral.models.referrals import Referral
from relais_referral.store.referrals import Lock
from relais_shared.reading import Reading
from relais_shared.refusals import NotFound


async def of_referral(
    tx: AsyncSession,
    referral_id: UUID,
    *,
    conference_id: UUID | Literal["every"] | None = None,
    lock: bool = False,
    reading: bool = False,
) -> list[tuple[ConsentRecord, ConsentState]]:
    """Answer the consents of a hand-over, of a conference about it, or `every` one of both, the newest first.

    Their states are locked on demand, after the referral.
    """
    of = conference_id if conference_id == "every" else "conference" if conference_id else "referral"
    query = _consents(of, "update" if lock else "share" if reading else None)
    found = await query.objects(tx, referral=referral_id, conference=conference_id)
    return [(record, state) for record, state in found]


@cache
def _consents(of: Literal["every", "conference", "referral"], lock: Lock) -> Reading:
    query: Select[ConsentRecord, ConsentState] = (
        select(ConsentRecord, ConsentState)
        .join(ConsentState, col(ConsentState.consent_id) == col(ConsentRecord.id))
        .where(col(ConsentRecord.referral_id) == bindparam("referral"))
        .order_by(col(ConsentRecord.recorded_at).desc(), col(ConsentRecord.id))
    )
    if of == "conference":
        query = query.where(col(ConsentRecord.conference_id) == bindparam("conference"))
    if of == "referral":
        query = query.where(col(ConsentRecord.conference_id).is_(None))
    if lock is not None:
        query = query.with_for_update(of=ConsentState, read=lock == "share")
    return Reading(query)


async def given(tx: AsyncSession, referrals: Iterable[Referral]) -> dict[UUID, Consent]:
    """Answer the consents that were given and not ended, by referral; one may have run out."""
    by_id = {referral.id: referral for referral in referrals}
    rows = await tx.execute(
        select(ConsentRecord, ConsentState)
        .join(ConsentState, col(ConsentState.consent_id) == col(ConsentRecord.id))
        .where(
            col(ConsentState.referral_id).in_(list(by_id)),
            col(ConsentState.status) == Status.GIVEN,
            col(ConsentState.conference_id).is_(None),
        )
    )
    return {row[0].referral_id: consent_of(by_id[row[0].referral_id], row[0], row[1]) for row in rows}


def consent_of(referral: Referral, record: ConsentRecord, state: ConsentState) -> Consent:
    """Answer what the rules need of a consent; what she has yet to confirm alone is not in it."""
    return consent_from(
        referral,
        state.status,
        record.id,
        record.recipient_id,
        record.service_id,
        record.purposes,
        record.data_categories,
        record.valid_until,
        record.record["seen_alone"],
        record.record["interpreter"],
    )


def consent_from(  # noqa: PLR0913 - the columns that a consent is made of
    referral: Referral,
    status: str,
    id_: UUID,
    recipient_id: UUID,
    service_id: UUID | None,
    purposes: Iterable[str],
    categories: Iterable[str],
    valid_until: datetime | None,
    seen_alone: str,
    interpreter: str,
) -> Consent:
    """Answer what `consent_of` does, of the columns alone."""
    closed = held_back(sensitive=referral.sensitive, seen_alone=seen_alone, interpreter=interpreter)
    return Consent(
        id=id_,
        recipient_id=recipient_id,
        service_id=service_id,
        purposes=frozenset(Purpose(name) for name in purposes),
        categories=frozenset(Category(name) for name in categories) - closed,
        status=Status(status),
        valid_until=valid_until,
    )


async def referral_of(tx: AsyncSession, consent_id: UUID) -> UUID:
    """Answer which referral a consent is of.

    Raises:
        NotFound: Absent, or not the actor's to know of.
    """
    found = await tx.scalar(select(col(ConsentRecord.referral_id)).where(col(ConsentRecord.id) == consent_id))
    if found is None:
        raise NotFound("There is no such consent, or it is not yours to know of.")
    return found
