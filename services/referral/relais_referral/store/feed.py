"""Every query of what leaves, as one organisation is told of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import case, delete, exists, false, func, null, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral.models.feed import FeedRow
from relais_referral.models.referrals import Referral
from relais_referral.models.trail import EventRow
from relais_referral.models.webhooks import Delivery
from relais_referral.store import callers
from relais_shared.auth import Actor

EVENTS_CHANNEL: Final = "relais_events"
"""Where the database says that a referral's event was written (a trigger of the table)."""
FEED_CHANNEL: Final = "relais_feed"
"""Where the sequencer says that positions were given."""


@dataclass(frozen=True, slots=True)
class Item:
    """An event as one organisation is told of it."""

    position: int
    id: UUID
    type: str
    at: datetime
    subject_id: UUID
    practice: bool
    sequence: int | None


def _as_told_to(actor: Actor) -> tuple[Any, Any, Any]:
    """Answer, for a row of the feed joined with its referral: whether it may be an actor's, its type, its sequence.

    The type is null where the actor is not to know of it at this moment.
    """
    as_sender, as_recipient = callers.sides(actor)
    own = actor.organisation_id
    ways: list[tuple[Any, Any, Any]] = []
    if "referral:receive" in actor.scopes:
        ways.append((as_recipient, col(FeedRow.recipient_type), col(FeedRow.recipient_sequence)))
    if "referral:send" in actor.scopes:
        ways.append((as_sender, col(FeedRow.sender_type), col(FeedRow.sender_sequence)))
    ways = [(way & type_.is_not(None), type_, sequence) for way, type_, sequence in ways]
    others: list[Any] = [false()]
    if "directory:read" in actor.scopes:
        others.append(col(FeedRow.organisation_id).is_(None))
    if "webhook:manage" in actor.scopes:
        others.append(col(FeedRow.organisation_id) == own)
    other = col(FeedRow.sender_id).is_(None) & or_(*others)
    type_ = case(*((way, type_) for way, type_, _ in ways), (other, col(FeedRow.type)), else_=null())
    sequence = case(*((way, sequence) for way, _, sequence in ways), else_=null()) if ways else null()
    near = or_(col(FeedRow.sender_id) == own, col(FeedRow.recipient_id) == own, col(FeedRow.sender_id).is_(None))
    return near, type_, sequence


async def told(  # noqa: PLR0913 - a page of one reader
    tx: AsyncSession,
    actor: Actor,
    *,
    after: int,
    limit: int,
    types: Sequence[str] = (),
    practice: bool = False,
) -> list[Item]:
    """Answer what an actor is told after a position, as far as it may know of it now, at most `limit`."""
    near, type_, sequence = _as_told_to(actor)
    query = (
        _items(type_, sequence)
        .where(near, col(FeedRow.position) > after, col(FeedRow.practice) == practice, type_.is_not(None))
        .order_by(col(FeedRow.position))
        .limit(limit)
    )
    if types:
        query = query.where(type_.in_(list(types)))
    return [Item(*row) for row in await tx.execute(query)]


async def told_now(tx: AsyncSession, actor: Actor, event_ids: Iterable[UUID]) -> dict[UUID, Item]:
    """Answer events as an actor may know of them at this moment: what it may not know of is missing."""
    _near, type_, sequence = _as_told_to(actor)
    query = _items(type_, sequence).where(col(FeedRow.id).in_(list(event_ids)), type_.is_not(None))
    return {item.id: item for item in (Item(*row) for row in await tx.execute(query))}


def _items(type_: Any, sequence: Any) -> Any:  # noqa: ANN401 - SQL expressions
    return select(
        col(FeedRow.position),
        col(FeedRow.id),
        type_.label("told_type"),
        col(FeedRow.at),
        col(FeedRow.subject_id),
        col(FeedRow.practice),
        sequence.label("told_sequence"),
    ).outerjoin(Referral, col(Referral.id) == col(FeedRow.referral_id))


async def position_of(tx: AsyncSession, event_id: UUID) -> int | None:
    """Answer the position of an event that the asking organisation may have been told of."""
    return await tx.scalar(select(col(FeedRow.position)).where(col(FeedRow.id) == event_id))


async def last_position(tx: AsyncSession) -> int:
    """Answer the newest position."""
    return await tx.scalar(select(func.max(FeedRow.position))) or 0


async def traces(tx: AsyncSession, event_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Answer the trace that each event happened in (`traceparent`), where there was one."""
    rows = await tx.execute(
        select(col(FeedRow.id), col(EventRow.traceparent))
        .join(
            EventRow,
            (col(EventRow.referral_id) == col(FeedRow.referral_id)) & (col(EventRow.number) == col(FeedRow.number)),
        )
        .where(col(FeedRow.id).in_(list(event_ids)), col(EventRow.traceparent).is_not(None))
    )
    return {id_: traceparent for id_, traceparent in rows if traceparent}


async def call_worker(tx: AsyncSession) -> None:
    """Wake whoever sends or follows, when this transaction commits."""
    await tx.execute(select(func.pg_notify(FEED_CHANNEL, "")))


async def forget(tx: AsyncSession, *, deliveries_before: datetime, feed_before: datetime) -> int:
    """Forget deliveries that have ended, and events of what is no referral's or of a referral that is erased."""
    gone = await tx.execute(
        delete(Delivery).where(col(Delivery.ended_at) <= deliveries_before).returning(col(Delivery.event_id))
    )
    count = len(gone.all())
    erased = exists().where(col(Referral.id) == col(FeedRow.referral_id), col(Referral.shredded_at) <= feed_before)
    old = await tx.execute(
        delete(FeedRow)
        .where(col(FeedRow.at) <= feed_before, or_(col(FeedRow.referral_id).is_(None), erased))
        .returning(col(FeedRow.id))
    )
    return count + len(old.all())
