"""Every query about guests and their sessions; no row-level security stands there, so each names whose it asks for."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral.models.guests import Guest, GuestSession


async def of_referral(tx: AsyncSession, referral_id: UUID) -> Sequence[Guest]:
    """Answer the guests of a referral, ended ones too."""
    rows = await tx.scalars(select(Guest).where(col(Guest.referral_id) == referral_id))
    return rows.all()


async def of_link(tx: AsyncSession, link_hash: bytes) -> tuple[UUID, UUID] | None:
    """Answer the guest of a link and the referral, nothing locked."""
    row = (
        await tx.execute(select(col(Guest.id), col(Guest.referral_id)).where(col(Guest.link_hash) == link_hash))
    ).first()
    return (row[0], row[1]) if row else None


async def by_link(tx: AsyncSession, link_hash: bytes) -> Guest | None:
    """Answer the guest of a link, ended ones too, the row locked so that tries are counted one by one."""
    found = await tx.scalar(
        select(Guest)
        .where(col(Guest.link_hash) == link_hash)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found if isinstance(found, Guest) else None


async def count_try(tx: AsyncSession, guest_id: UUID, tries: int, locked_until: datetime | None) -> None:
    """Keep how many wrong tries there were and until when the link rests."""
    values = {"tries": tries, "locked_until": locked_until}
    await tx.execute(update(Guest).where(col(Guest.id) == guest_id).values(values))


async def end(tx: AsyncSession, referral_id: UUID, now: datetime) -> None:
    """End every invitation to a referral with its sessions, at once."""
    ended = await tx.scalars(
        update(Guest)
        .where(col(Guest.referral_id) == referral_id, col(Guest.ended_at).is_(None))
        .values(ended_at=now)
        .returning(col(Guest.id))
    )
    await tx.execute(delete(GuestSession).where(col(GuestSession.guest_id).in_(ended.all())))


async def open_session(tx: AsyncSession, session: GuestSession) -> None:
    """Keep a session in the place of the guest's earlier one."""
    await tx.execute(delete(GuestSession).where(col(GuestSession.guest_id) == session.guest_id))
    tx.add(session)


async def of_session(tx: AsyncSession, token_hash: bytes, now: datetime) -> Guest | None:
    """Answer the guest of a session that lives, whose invitation does too."""
    found = await tx.scalar(
        select(Guest)
        .join(GuestSession, col(GuestSession.guest_id) == col(Guest.id))
        .where(
            col(GuestSession.token_hash) == token_hash,
            col(GuestSession.expires_at) > now,
            col(Guest.ended_at).is_(None),
            col(Guest.expires_at) > now,
        )
    )
    return found if isinstance(found, Guest) else None


async def end_session(tx: AsyncSession, token_hash: bytes) -> None:
    """Forget a session, where there is one."""
    await tx.execute(delete(GuestSession).where(col(GuestSession.token_hash) == token_hash))
