"""Every query of what happened and of who looked."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import exists, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral.domain import chain
from relais_referral.models.consents import ConsentRecord
from relais_referral.models.referrals import Referral
from relais_referral.models.trail import Disclosure, EventRow
from relais_shared.appending import append
from relais_shared.telemetry import traceresponse


def add_event(  # noqa: PLR0913 - all that an event says
    tx: AsyncSession,
    referral: Referral,
    type_: str,
    *,
    actor: str,
    organisation_id: UUID | None,
    at: datetime,
    data: dict[str, Any] | None = None,
) -> None:
    """Write the next event of a referral, chained to the one before; the referral's row remembers the end."""
    draft = chain.Event(
        referral_id=referral.id,
        number=referral.event_count + 1,
        at=at,
        type=type_,
        actor=actor,
        organisation_id=organisation_id,
        data=data or {},
        previous=bytes(referral.event_head),
        hash=b"",
    )
    hash_ = chain.digest(draft)
    append(
        tx,
        EventRow,
        referral_id=draft.referral_id,
        number=draft.number,
        at=at,
        type=type_,
        actor=actor,
        organisation_id=organisation_id,
        data=dict(draft.data),
        previous=draft.previous,
        hash=hash_,
        traceparent=traceresponse(),
    )
    referral.event_count, referral.event_head = draft.number, hash_


async def events(tx: AsyncSession, referral_id: UUID) -> Sequence[EventRow]:
    """Answer the events of a referral in their order."""
    found = await tx.scalars(
        select(EventRow).where(col(EventRow.referral_id) == referral_id).order_by(col(EventRow.number))
    )
    return found.all()


async def disclosures(tx: AsyncSession, referral_id: UUID, *, reader: UUID | None = None) -> Sequence[Disclosure]:
    """Answer the disclosures of a referral, the newest first.

    Args:
        tx: After `begin`.
        referral_id: The referral.
        reader: The organisation that asks: of the readings in a case conference it is told its own. All where she
            asks.
    """
    query = select(Disclosure).where(col(Disclosure.referral_id) == referral_id)
    if reader is not None:
        elsewhere = exists().where(
            col(ConsentRecord.id) == col(Disclosure.consent_id), col(ConsentRecord.conference_id).is_not(None)
        )
        query = query.where(or_(not_(elsewhere), col(Disclosure.organisation_id) == reader))
    found = await tx.scalars(query.order_by(col(Disclosure.at).desc(), col(Disclosure.id)))
    return found.all()


async def shown_to(tx: AsyncSession, referral_id: UUID, organisation_id: UUID) -> bool:
    """Answer whether anything of hers was ever shown to an organisation under her consent."""
    return bool(
        await tx.scalar(
            select(
                exists().where(
                    col(Disclosure.referral_id) == referral_id,
                    col(Disclosure.organisation_id) == organisation_id,
                    col(Disclosure.consent_id).is_not(None),
                )
            )
        )
    )
