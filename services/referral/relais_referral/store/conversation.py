"""Every query of what the two sides tell and ask each other: tasks, messages, documents."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral.domain.handshake import Party
from relais_referral.models.conversation import Document, Message, Task
from relais_referral.models.referrals import Referral
from relais_referral.store.callers import ways
from relais_shared.auth import Actor


async def tasks(tx: AsyncSession, referral_id: UUID) -> Sequence[Task]:
    """Answer the tasks of a referral, the oldest first."""
    found = await tx.scalars(
        select(Task).where(col(Task.referral_id) == referral_id).order_by(col(Task.opened_at), col(Task.id))
    )
    return found.all()


async def open_tasks(
    tx: AsyncSession, actor: Actor, *, after: tuple[datetime, UUID] | None, limit: int
) -> tuple[list[tuple[Task, Referral]], tuple[datetime, UUID] | None]:
    """Answer tasks that wait for an actor's side, the oldest first, at most `limit`, after a position.

    Returns:
        The tasks with their referrals' rows, and the position of the last where more follow.
    """
    sides = []
    for role in (Party.SENDER, Party.RECIPIENT):
        mine, _neutral = ways(actor, role)
        sides.append(mine & (col(Task.party) == str(role)))
    query = (
        select(Task, Referral)
        .join(Referral, col(Referral.id) == col(Task.referral_id))
        .where(col(Task.done_at).is_(None), col(Task.dropped_at).is_(None), or_(*sides))
        .order_by(col(Task.opened_at), col(Task.id))
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(tuple_(col(Task.opened_at), col(Task.id)) > after)
    rows = [(row[0], row[1]) for row in await tx.execute(query)]
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1][0]
    return rows[:limit], (last.opened_at, last.id)


async def messages(tx: AsyncSession, referral_id: UUID, conference_id: UUID | None = None) -> Sequence[Message]:
    """Answer the messages of a referral's thread, or of a conference about it, in their order."""
    found = await tx.scalars(
        select(Message)
        .where(
            col(Message.referral_id) == referral_id,
            col(Message.conference_id) == conference_id if conference_id else col(Message.conference_id).is_(None),
        )
        .order_by(col(Message.at), col(Message.id))
    )
    return found.all()


async def documents(tx: AsyncSession, referral_id: UUID) -> Sequence[Any]:
    """Answer the documents of a referral without their content, in their order."""
    found = await tx.execute(
        select(
            col(Document.id),
            col(Document.at),
            col(Document.party),
            col(Document.organisation_id),
            col(Document.media_type),
            col(Document.size),
            col(Document.about),
        )
        .where(col(Document.referral_id) == referral_id)
        .order_by(col(Document.at), col(Document.id))
    )
    return found.all()
