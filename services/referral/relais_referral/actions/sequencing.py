"""Events get their positions after commit, in one order for everybody; nothing that commits late is skipped."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store
from relais_referral.directory import Changes, Directory
from relais_referral.domain.events import Public, Told, directory_change, told
from relais_referral.models.feed import FeedRow
from relais_referral.models.referrals import Referral
from relais_referral.rewrapping import WORKER
from relais_referral.store.sequencing import Unplaced
from relais_shared.clock import Clock
from relais_shared.db import Database
from relais_shared.refusals import Unavailable

BATCH: Final = 500
"""Events of one turn: a burst is placed in some turns, and no other sequencer waits long."""

MARK_LAGS: Final = 1_000
"""Transactions that are looked through again and again before the mark moves though no event was found."""

DELIVERIES_KEPT: Final = timedelta(days=30)
"""How long a delivery stays in its endpoint's log, and can be replayed, once it has ended."""
FEED_KEPT: Final = timedelta(days=90)
"""How long a follower may be away and still miss nothing of the directory; of a referral, as long as it lives."""


async def sequence(database: Database, now: datetime) -> int:
    """Give positions to the events that were committed since; answer how many.

    Nothing happens where another holds the turn: it will find the same events.
    """
    count = 0
    while True:
        async with database.write() as tx:
            await store.callers.begin(tx, WORKER)
            if not await store.sequencing.take_turn(tx):
                return count
            found = await _place_events(tx, now)
        count += found
        if found < BATCH:
            return count


async def _place_events(tx: AsyncSession, now: datetime) -> int:
    # What may still commit is asked first: whatever ends between the two questions is seen by the second.
    horizon = await store.sequencing.horizon(tx)
    held = await store.sequencing.sequencing(tx, "events")
    mark = held.mark if held else 0
    if mark > horizon.ahead:
        mark = 0  # The database was restored elsewhere, where transactions count anew.
    found = await store.sequencing.unplaced(tx, mark, BATCH)
    if found:
        await store.sequencing.place(tx, await _rows(tx, found), now)
    # Where nothing was found, a mark that lags a little costs less than writing it.
    stands = held is not None and mark == held.mark and horizon.settled - mark < MARK_LAGS
    if len(found) < BATCH and (found or not stands):
        await store.sequencing.remember_mark(tx, "events", mark=horizon.settled)
    return len(found)


async def _rows(tx: AsyncSession, found: Sequence[Unplaced]) -> list[FeedRow]:
    """Answer the rows of the feed for events, in the order of time, those of one referral by number."""
    referrals, chains = await store.sequencing.chains(tx, {one.referral_id for one in found})
    public: dict[tuple[UUID, int], Public] = {}
    for id_, chain in chains.items():
        referral = referrals[id_]
        for event in told(chain, sender_id=referral.sender_id, may_sanction=referral.sender_may_sanction):
            public[(id_, event.number)] = event
    latest: dict[UUID, datetime] = {}
    order = []
    for one in found:  # By referral and number: an instant that runs backwards must not turn the order around.
        latest[one.referral_id] = max(one.at, latest.get(one.referral_id, one.at))
        order.append((latest[one.referral_id], one.referral_id, one.number, one))
    return [_row(referrals[one.referral_id], one, public[(one.referral_id, one.number)]) for *_, one in sorted(order)]


def _row(referral: Referral, one: Unplaced, public: Public) -> FeedRow:
    return FeedRow(
        id=uuid4(),
        at=one.at,
        subject_id=referral.id,
        practice=referral.practice,
        referral_id=referral.id,
        number=one.number,
        sender_id=referral.sender_id,
        recipient_id=referral.recipient_id,
        **_side("sender", public.sender),
        **_side("recipient", public.recipient),
    )


def _side(name: str, one: Told | None) -> dict[str, Any]:
    return {f"{name}_type": one.type, f"{name}_sequence": one.sequence} if one else {}


async def follow_directory(database: Database, directory: Directory, now: datetime) -> int:
    """Draw the directory's changes in; answer of how many services was told.

    The first time there is nothing to compare with: what stands there is learnt, and told to nobody.

    Raises:
        Unavailable: The directory does not answer; the next round goes on.
    """
    async with database.write() as tx:
        held = await store.sequencing.sequencing(tx, "directory")
    cursor, learnt = (held.cursor, bool(held.mark)) if held else (None, False)
    count = 0
    while True:
        try:
            page = await directory.changes(cursor)
        except ValueError:
            if cursor is None:
                raise Unavailable("The directory answers what cannot be read.") from None
            # It was restored from an older copy: begin anew, and tell what differs from what was told before.
            cursor = None
            continue
        async with database.write() as tx:
            await store.callers.begin(tx, WORKER)
            if not await store.sequencing.take_turn(tx):
                return count
            count += await _take_changes(tx, page, now, tell=learnt)
            cursor = page.next_cursor or cursor
            learnt = learnt or not page.more
            await store.sequencing.remember_mark(tx, "directory", mark=int(learnt), cursor=cursor)
        if not page.more:
            return count


async def _take_changes(tx: AsyncSession, page: Changes, now: datetime, *, tell: bool) -> int:
    if not page.items:
        return 0
    rows = []
    if tell:
        seen = await store.sequencing.services_seen(tx, [one.id for one in page.items])
        for one in page.items:
            row = seen.get(one.id)
            before = (row.version, row.gone, row.capacity_at) if row else None
            type_ = directory_change(before, (one.version, one.gone, one.capacity_at))
            rows.append(FeedRow(id=uuid4(), at=now, subject_id=one.id, type=type_))
        await store.sequencing.place(tx, rows, now)
    await store.sequencing.see_services(
        tx,
        [
            {"service_id": one.id, "version": one.version, "gone": one.gone, "capacity_at": one.capacity_at}
            for one in page.items
        ],
    )
    return len(rows)


async def forget_events(database: Database, sealer: object, clock: Clock) -> int:
    """Forget deliveries, letters and events past their time."""
    del sealer
    now = clock()
    async with database.write() as tx:
        await store.callers.begin(tx, WORKER)
        letters = await store.mail.forget(tx, now - store.mail.KEPT)
        return letters + await store.feed.forget(
            tx, deliveries_before=now - DELIVERIES_KEPT, feed_before=now - FEED_KEPT
        )
