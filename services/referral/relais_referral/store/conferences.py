"""Every query about case conferences: no row-level security stands on them, so each names whose it asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral.domain.handshake import Party
from relais_referral.models.conferences import Conference, ConferencePart, Decision
from relais_referral.models.consents import ConsentRecord
from relais_referral.models.referrals import Referral
from relais_referral.store import callers, referrals
from relais_referral.store.callers import Caller
from relais_shared.refusals import NotFound

UNKNOWN = "There is no such case conference, or it is not yours to know of."

SCOPES = frozenset({"referral:send", "referral:receive"})
"""Whoever holds one of these may take part."""


@dataclass(frozen=True, slots=True)
class Place:
    """A conference with the hand-over that it is about.

    Attributes:
        conference: Changed only while the hand-over's row is locked.
        referral: The hand-over; locked where it was asked for so.
        parts: Every structure that was ever asked for, in the order in which that was.
        own: The caller's own structure in it; None where she asks.
        parties: What the caller is in the hand-over itself; nothing, for whoever only takes part.
    """

    conference: Conference
    referral: Referral
    parts: Sequence[ConferencePart]
    own: ConferencePart | None
    parties: frozenset[Party]


async def find(
    tx: AsyncSession, id_: UUID, caller: Caller, *, lock: Literal["no", "reading", "writing"] = "no"
) -> Place:
    """Answer a conference in which the caller has a place, ended ones to her alone.

    Args:
        tx: After `begin`.
        id_: The conference.
        caller: Who asks.
        lock: How the hand-over's row is locked; whatever is shown of hers is read under a lock.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    referral_id = await tx.scalar(select(col(Conference.referral_id)).where(col(Conference.id) == id_))
    query = select(Referral).where(col(Referral.id) == referral_id)
    if caller.access_id is not None:
        query = query.where(referrals.of_caller(caller))
    if lock != "no":
        query = referrals.in_turn(query, referrals.turn_of(referral_id), reading=lock == "reading")
    referral = await tx.scalar(query.execution_options(populate_existing=True))
    if referral is None or caller.guest_id is not None:
        raise NotFound(UNKNOWN)
    # Read after the lock was waited for: what another transaction did to them meanwhile counts.
    conference = await tx.get_one(Conference, id_, populate_existing=True)
    rows = await tx.scalars(
        select(ConferencePart)
        .where(col(ConferencePart.conference_id) == id_)
        .order_by(col(ConferencePart.invited_at), col(ConferencePart.organisation_id))
        .execution_options(populate_existing=True)
    )
    parts = rows.all()
    own = next((part for part in parts if _seats(part, caller)), None)
    if caller.access_id is None and (own is None or conference.ended_at is not None):
        raise NotFound(UNKNOWN)
    return Place(conference, referral, parts, own, callers.parties_of(referral, caller))


def _seats(part: ConferencePart, caller: Caller) -> bool:
    actor = caller.actor
    return (
        part.organisation_id == actor.organisation_id
        and part.left_at is None
        and bool(actor.scopes & SCOPES)
        and callers.concerns(actor, part.account_id, part.team_id)
    )


async def of_organisation(tx: AsyncSession, organisation_id: UUID, limit: int) -> Sequence[UUID]:
    """Answer the living conferences in which a structure has a place, the newest first."""
    rows = await tx.scalars(
        select(col(Conference.id))
        .join(ConferencePart, col(ConferencePart.conference_id) == col(Conference.id))
        .where(
            col(ConferencePart.organisation_id) == organisation_id,
            col(ConferencePart.left_at).is_(None),
            col(Conference.ended_at).is_(None),
        )
        .order_by(col(Conference.opened_at).desc(), col(Conference.id))
        .limit(limit)
    )
    return rows.all()


async def of_referral(tx: AsyncSession, referral_id: UUID) -> Sequence[Conference]:
    """Answer the conferences about a hand-over, ended ones too, in their order."""
    rows = await tx.scalars(
        select(Conference)
        .where(col(Conference.referral_id) == referral_id)
        .order_by(col(Conference.opened_at), col(Conference.id))
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def part(tx: AsyncSession, conference_id: UUID, organisation_id: UUID) -> ConferencePart | None:
    """Answer a structure's place in a conference, left ones too."""
    found: ConferencePart | None = await tx.get(ConferencePart, (conference_id, organisation_id))
    return found


async def of_consent(tx: AsyncSession, consent_id: UUID) -> UUID | None:
    """Answer the conference that a consent is for; None for a hand-over's own, and where there is none to know of."""
    found: UUID | None = await tx.scalar(
        select(col(ConsentRecord.conference_id)).where(col(ConsentRecord.id) == consent_id)
    )
    return found


async def decisions(tx: AsyncSession, conference_id: UUID) -> Sequence[Decision]:
    """Answer what a conference decided, in order."""
    rows = await tx.scalars(
        select(Decision)
        .where(col(Decision.conference_id) == conference_id)
        .order_by(col(Decision.at), col(Decision.id))
        .execution_options(populate_existing=True)
    )
    return rows.all()
