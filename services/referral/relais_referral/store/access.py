"""Every query about her links and sessions; no row-level security stands there, so each names whose it asks for."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral.domain.handshake import State
from relais_referral.models.access import Access, AccessOpening, AccessReferral, PersonSession
from relais_referral.models.referrals import Referral

UNSHARED = (str(State.DRAFT), str(State.WITHDRAWN))
"""A draft is its sender's alone, and what she stopped she does not go on showing."""


async def by_link(tx: AsyncSession, link_hash: bytes) -> Access | None:
    """Answer the access of a link, ended ones too, its row locked so that tries are counted one by one."""
    found = await tx.scalar(select(Access).where(col(Access.link_hash) == link_hash).with_for_update())
    return found if isinstance(found, Access) else None


async def count_try(tx: AsyncSession, access_id: UUID, tries: int, locked_until: datetime | None) -> None:
    """Keep how many wrong tries there were and until when the link rests."""
    values = {"tries": tries, "locked_until": locked_until}
    await tx.execute(update(Access).where(col(Access.id) == access_id).values(values))


async def of_referral(tx: AsyncSession, referral_id: UUID) -> Sequence[Access]:
    """Answer the links that were made for a referral, the newest first."""
    rows = await tx.scalars(
        select(Access)
        .where(col(Access.referral_id) == referral_id)
        .order_by(col(Access.made_at).desc(), col(Access.id))
    )
    return rows.all()


async def openings(tx: AsyncSession, access_ids: Sequence[UUID]) -> Sequence[AccessOpening]:
    """Answer the openings of links, the newest first."""
    rows = await tx.scalars(
        select(AccessOpening)
        .where(col(AccessOpening.access_id).in_(access_ids))
        .order_by(col(AccessOpening.at).desc(), col(AccessOpening.id))
    )
    return rows.all()


async def end(tx: AsyncSession, referral_id: UUID, now: datetime, *, made_by: str | None = None) -> None:
    """End the links of a referral with their sessions, and part it from the cards that it was joined to.

    Args:
        tx: Writing, the referral's row locked.
        referral_id: The referral.
        now: The instant.
        made_by: Only the links that this side made; nothing is parted then.
    """
    living = [
        access
        for access in await of_referral(tx, referral_id)
        if access.ended_at is None and made_by in {None, access.party}
    ]
    for access in living:
        access.ended_at = now
    ids = [access.id for access in living]
    await tx.execute(delete(PersonSession).where(col(PersonSession.access_id).in_(ids)))
    if made_by is None:
        await tx.execute(
            delete(AccessReferral).where(
                col(AccessReferral.referral_id) == referral_id, col(AccessReferral.access_id).not_in(ids)
            )
        )


async def session(tx: AsyncSession, token_hash: bytes, now: datetime) -> tuple[PersonSession, Access] | None:
    """Answer a session that lives, with its access that was not ended."""
    row = (
        await tx.execute(
            select(PersonSession, Access)
            .join(Access, col(Access.id) == col(PersonSession.access_id))
            .where(
                col(PersonSession.token_hash) == token_hash,
                col(PersonSession.expires_at) > now,
                col(Access.ended_at).is_(None),
            )
        )
    ).first()
    return (row[0], row[1]) if row else None


async def prolong(tx: AsyncSession, token_hash: bytes, expires_at: datetime) -> None:
    """Keep until when a session lives; one that was ended meanwhile stays ended."""
    await tx.execute(
        update(PersonSession).where(col(PersonSession.token_hash) == token_hash).values(expires_at=expires_at)
    )


async def end_session(tx: AsyncSession, token_hash: bytes) -> None:
    """Forget a session, where there is one."""
    await tx.execute(delete(PersonSession).where(col(PersonSession.token_hash) == token_hash))


async def forget_old_sessions(tx: AsyncSession, access_id: UUID, now: datetime) -> None:
    """Forget the sessions of an access that have run out."""
    await tx.execute(
        delete(PersonSession).where(col(PersonSession.access_id) == access_id, col(PersonSession.expires_at) <= now)
    )


async def linked(tx: AsyncSession, access_id: UUID) -> Sequence[Referral]:
    """Answer the referrals that an access shows, in the order in which they were opened."""
    rows = await tx.scalars(
        select(Referral)
        .join(AccessReferral, col(AccessReferral.referral_id) == col(Referral.id))
        .where(col(AccessReferral.access_id) == access_id)
        .order_by(col(Referral.created_at), col(Referral.id))
    )
    return rows.all()


async def linked_by_her(tx: AsyncSession, referral: Referral) -> Sequence[Referral]:
    """Answer the other hand-overs that stand on a card of hers with this one, in the order in which they were opened.

    Row-level security shows an organisation its own rows alone; these she opened to it. So her cards are shown to the
    database for this one look, and taken back before it returns.
    """
    cards = await tx.scalars(
        select(col(AccessReferral.access_id))
        .join(Access, col(Access.id) == col(AccessReferral.access_id))
        .where(col(AccessReferral.referral_id) == referral.id, col(Access.ended_at).is_(None))
    )
    found: dict[UUID, Referral] = {}
    for access_id in cards.all():
        await tx.execute(select(func.set_config("relais.access", str(access_id), True)))
        rows = await tx.scalars(
            select(Referral)
            .join(AccessReferral, col(AccessReferral.referral_id) == col(Referral.id))
            .where(
                col(AccessReferral.access_id) == access_id,
                col(Referral.id) != referral.id,
                col(Referral.practice) == referral.practice,
                col(Referral.erased_at).is_(None),
                col(Referral.state).not_in(UNSHARED),
            )
        )
        found |= {row.id: row for row in rows}
    await tx.execute(select(func.set_config("relais.access", "", True)))
    return sorted(found.values(), key=lambda row: (row.created_at, row.id))


async def linked_ids(tx: AsyncSession, access_id: UUID) -> set[UUID]:
    """Answer which referrals an access shows, whoever asks."""
    rows = await tx.scalars(select(col(AccessReferral.referral_id)).where(col(AccessReferral.access_id) == access_id))
    return set(rows.all())


async def part(tx: AsyncSession, access_id: UUID, referral_id: UUID) -> None:
    """Take a referral from what an access shows."""
    await tx.execute(
        delete(AccessReferral).where(
            col(AccessReferral.access_id) == access_id, col(AccessReferral.referral_id) == referral_id
        )
    )
