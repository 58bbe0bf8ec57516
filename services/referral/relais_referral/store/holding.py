"""One referral, locked for what comes, with all that stands under its lock."""

from functools import cache
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral.domain.consent import Consent, Status
from relais_referral.domain.handshake import Party
from relais_referral.models.consents import ConsentRecord, ConsentState
from relais_referral.models.referrals import Referral, SealedPart
from relais_referral.store import callers, consents
from relais_referral.store.callers import As, Caller
from relais_referral.store.referrals import of, theirs, turn_of
from relais_shared.reading import Reading


class Held(NamedTuple):
    """All that stands under a referral's lock, as it stood when the lock was given.

    Attributes:
        referral: The row.
        parties: What the caller is in it.
        consent: Her agreement to the hand-over itself that was given and not ended; it may have run out.
        sealed: Every sealed part, still sealed.
    """

    referral: Referral
    parties: frozenset[Party]
    consent: Consent | None
    sealed: dict[str, bytes]


async def hold(tx: AsyncSession, id_: UUID, caller: Caller, *, reading: bool = False) -> Held:
    """Lock a referral of the caller's with her agreements to it, and answer all that stands under the lock.

    Args:
        tx: Writing. `begin` is part of it.
        id_: The referral.
        caller: Who asks.
        reading: As of `referrals.lock`.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    await callers.take_turn(tx, caller, id_, turn_of(id_), reading=reading)
    # A statement sees what stood when it began: this one begins when the lock was given.
    found = await _all_of(caller.comes_as).objects(tx, id=id_, who=caller.owner)
    referral, parties = theirs(found, caller)
    _, *given, names, contents = found[0]
    consent = consents.consent_from(referral, Status.GIVEN, *given) if given[0] else None
    return Held(referral, parties, consent, dict(zip(names or (), contents or (), strict=True)))


@cache
def _all_of(comes_as: As) -> Reading:
    # Its columns alone: nobody who holds a referral changes an agreement by what stands here.
    given = (
        select(
            col(ConsentRecord.id),
            col(ConsentRecord.recipient_id),
            col(ConsentRecord.service_id),
            col(ConsentRecord.purposes),
            col(ConsentRecord.data_categories),
            col(ConsentRecord.valid_until),
            col(ConsentRecord.record)["seen_alone"].astext.label("seen_alone"),
            col(ConsentRecord.record)["interpreter"].astext.label("interpreter"),
        )
        .join(ConsentState, col(ConsentState.consent_id) == col(ConsentRecord.id))
        .where(
            col(ConsentState.referral_id) == col(Referral.id),
            col(ConsentState.conference_id).is_(None),
            col(ConsentState.status) == Status.GIVEN,
        )
        .correlate(Referral)
        .lateral("given")
    )
    parts = (
        select(
            func.array_agg(col(SealedPart.part)).label("names"),
            func.array_agg(col(SealedPart.content)).label("contents"),
        )
        .where(col(SealedPart.referral_id) == col(Referral.id))
        .correlate(Referral)
        .lateral("sealed")
    )
    return Reading(
        select(Referral, *given.c, *parts.c)
        .select_from(Referral)
        .outerjoin(given, true())
        .join(parts, true())
        .where(col(Referral.id) == bindparam("id"), of(comes_as, bindparam("who")))
    )
