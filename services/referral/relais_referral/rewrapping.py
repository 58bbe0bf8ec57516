"""Wrapping keys turn over: what lives is wrapped anew, what was erased can never be opened again."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral import store
from relais_referral.models.access import Access, AccessReferral
from relais_referral.models.conferences import Conference, ConferencePart, Decision
from relais_referral.models.conversation import Document, Message
from relais_referral.models.guests import Guest
from relais_referral.models.referrals import Referral, SealedPart
from relais_referral.sealing import KeyFile, Sealer, Wrapped
from relais_referral.store.callers import Caller
from relais_shared.auth import system
from relais_shared.db import Database

WORKER: Final = Caller(system("referral"), working=True)
"""The referral app at work for itself: it sees every referral."""

BATCH: Final = 500
"""Rows of one transaction: few enough that nobody waits for them."""

EVERY: Final = timedelta(days=30)
"""A wrapping key lives a month at most (design 6)."""

AT_ONCE: Final = 4
"""Keys of age that turn over in one round: the whole file within some rounds, never all rows at once."""

SETTLED: Final = timedelta(seconds=60)
"""From a key's retirement to its end: longer than any request that might still wrap under it."""


def due(file: KeyFile, now: datetime) -> list[str]:
    """Answer the keys whose month is over, the oldest first, as many as one round takes."""
    old = [(key.made, key_id) for key_id, key in file.held().items() if key.retiring is None]
    return [key_id for made, key_id in sorted(old) if made <= (now - EVERY).date()][:AT_ONCE]


async def turn_over(database: Database, sealer: Sealer, key_ids: Iterable[str], now: datetime) -> int:
    """Retire keys, wrap anew what lives under retiring ones, and destroy those under which nothing is left.

    Killed anywhere, the next round goes on where it stood: what is retiring stands in the file.

    Args:
        database: The referral app's.
        sealer: With the key file.
        key_ids: Keys that turn over now; those that were retiring before go on besides.
        now: The instant of the round.

    Returns:
        How many referrals were wrapped anew.
    """
    sealer.file.retire(key_ids, now)
    retiring = [key_id for key_id, key in sealer.file.held().items() if key.retiring is not None]
    if not retiring:
        return 0
    count = 0
    while moved := await _rewrap(database, sealer, retiring):
        count += moved
    ended = [key_id for key_id in retiring if _settled(sealer.file, key_id, now)]
    left = await _rows_under(database, ended)
    sealer.file.destroy(key_id for key_id in ended if key_id not in left)
    return count


def _settled(file: KeyFile, key_id: str, now: datetime) -> bool:
    # Whoever turned keys over at the same time may have destroyed it already.
    held = file.held().get(key_id)
    return held is not None and held.retiring is not None and held.retiring + SETTLED <= now


async def _rewrap(database: Database, sealer: Sealer, key_ids: Iterable[str]) -> int:
    async with database.write() as tx:
        await store.callers.begin(tx, WORKER)
        rows = (
            await tx.execute(
                select(col(Referral.id), col(Referral.key_id), col(Referral.wrapped_key))
                .where(col(Referral.key_id).in_(list(key_ids)))
                .limit(BATCH)
                # Whoever reads or changes one now is not waited for: it is met again in the next batch.
                .with_for_update(skip_locked=True)
            )
        ).all()
        for id_, key_id, wrapped in rows:
            anew = sealer.anew(id_, Wrapped(str(key_id), bytes(wrapped or b"")))
            await tx.execute(
                update(Referral)
                .where(col(Referral.id) == id_)
                .values(key_id=anew.key_id, wrapped_key=anew.wrapped)
                .execution_options(synchronize_session=False)
            )
        return len(rows)


async def _rows_under(database: Database, key_ids: Iterable[str]) -> dict[str, int]:
    async with database.write() as tx:
        await store.callers.begin(tx, WORKER)
        rows = await tx.execute(
            select(col(Referral.key_id), func.count())
            .where(col(Referral.key_id).in_(list(key_ids)))
            .group_by(col(Referral.key_id))
        )
        return {str(key_id): number for key_id, number in rows}


async def rows_by_key(database: Database) -> dict[str, int]:
    """Answer how many referrals live under each wrapping key."""
    async with database.write() as tx:
        await store.callers.begin(tx, WORKER)
        rows = await tx.execute(
            select(col(Referral.key_id), func.count())
            .where(col(Referral.key_id).is_not(None))
            .group_by(col(Referral.key_id))
        )
        return {str(key_id): number for key_id, number in rows}


async def shred(tx: AsyncSession, sealer: Sealer, referral: Referral, now: datetime) -> None:
    """Destroy what is hers in a referral: its key first, then every sealed row, and what else tells of people.

    The wrapping key retires before the row changes: whatever happens after, an older copy of the database opens
    nothing of it once the round is over.

    Args:
        tx: Writing, as the worker.
        sealer: With the key file.
        referral: Locked by the caller.
        now: The instant.
    """
    if referral.key_id is not None:
        sealer.file.retire([referral.key_id], now)
    referral.erased_at = referral.erased_at or now
    referral.shredded_at, referral.key_id, referral.wrapped_key = now, None, None
    referral.sender_counsellor, referral.recipient_counsellor, referral.phoned = {}, None, None
    referral.postcode = None
    referral.languages = []
    for table in (SealedPart, Message, Document, Decision):
        await tx.execute(delete(table).where(col(table.referral_id) == referral.id))
    await tx.execute(
        update(Guest)
        .where(col(Guest.referral_id) == referral.id)
        .values(address="", name=None, function=None, ended_at=func.coalesce(col(Guest.ended_at), now))
    )
    about = select(col(Conference.id)).where(col(Conference.referral_id) == referral.id)
    await tx.execute(update(ConferencePart).where(col(ConferencePart.conference_id).in_(about)).values(counsellor=None))
    await tx.execute(
        update(Conference)
        .where(col(Conference.referral_id) == referral.id, col(Conference.ended_at).is_(None))
        .values(ended_at=now, ended_by=WORKER.name)
    )
    # Her access ends with the last referral that it shows.
    hers = await tx.scalars(
        delete(AccessReferral)
        .where(col(AccessReferral.referral_id) == referral.id)
        .returning(col(AccessReferral.access_id))
    )
    await tx.execute(
        update(Access)
        .where(
            col(Access.id).in_(hers.all()),
            col(Access.ended_at).is_(None),
            ~exists().where(col(AccessReferral.access_id) == col(Access.id)),
        )
        .values(ended_at=now)
    )
