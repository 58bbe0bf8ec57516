"""Every query of e-mail: which notices wait, what left in which letter, what was chosen for a mailbox."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral.domain.mail import Choice, MailState
from relais_referral.models.mail import Mail, Mailbox
from relais_referral.models.referrals import Referral

UNKNOWN: Final = b""
"""The mailbox of a notice whose addressees are not found yet."""

_TURN: Final = 7_236_414
"""The advisory lock of whoever gathers: a mark that went back would make notices of the same events twice."""


async def take_turn(tx: AsyncSession) -> bool:
    """Take the turn to gather until this transaction ends; answer whether it was free."""
    return bool(await tx.scalar(select(func.pg_try_advisory_xact_lock(_TURN))))


_GATHER: Final = text(
    """
    insert into mail (event_id, party, mailbox, referral_id, organisation_id, at, state, attempts, next_at)
    select f.id, side.party, '', f.referral_id, side.organisation_id, f.at, 'waiting', 0, cast(:now as timestamptz)
    from feed f
    join event e on e.referral_id = f.referral_id and e.number = f.number
    cross join lateral (values
        ('sender', f.sender_id, f.sender_type), ('recipient', f.recipient_id, f.recipient_type)
    ) as side (party, organisation_id, type)
    where f.position > :after and f.position <= :upto and not f.practice and side.type = any(:types)
        and e.organisation_id is distinct from side.organisation_id
    on conflict do nothing
    """
)


async def gather(tx: AsyncSession, *, after: int, upto: int, types: Sequence[str], now: datetime) -> None:
    """Make notices of the events between two positions, for each side that did not cause them; never of rehearsals."""
    await tx.execute(_GATHER, {"after": after, "upto": upto, "types": list(types), "now": now})


async def due(tx: AsyncSession, now: datetime, limit: int) -> list[tuple[Mail, Referral]]:
    """Answer notices that may leave now, locked, with their referrals; what another worker holds is left to it."""
    rows = await tx.execute(
        select(Mail, Referral)
        .join(Referral, col(Referral.id) == col(Mail.referral_id))
        .where(
            col(Mail.state) == MailState.WAITING,
            col(Mail.next_at) <= now,
            or_(col(Mail.leased_until).is_(None), col(Mail.leased_until) <= now),
        )
        .order_by(col(Mail.at), col(Mail.event_id))
        .limit(limit)
        .with_for_update(of=Mail, skip_locked=True)
    )
    return [(row[0], row[1]) for row in rows]


async def mailboxes_of(tx: AsyncSession, row: Mail) -> set[bytes]:
    """Answer the mailboxes that are told, or were, of what a notice tells its side of."""
    found = await tx.scalars(
        select(col(Mail.mailbox)).where(col(Mail.event_id) == row.event_id, col(Mail.party) == row.party)
    )
    return {bytes(one) for one in found}


async def of_letter(tx: AsyncSession, letter: UUID) -> Sequence[Mail]:
    """Answer, locked, the notices that left in a letter."""
    return (await tx.scalars(select(Mail).where(col(Mail.letter) == letter).with_for_update())).all()


async def mailboxes(tx: AsyncSession, hashes: Iterable[bytes]) -> dict[bytes, Mailbox]:
    """Answer what was chosen for mailboxes; those of which nothing is known are not there."""
    rows = await tx.scalars(select(Mailbox).where(col(Mailbox.hash).in_(list(hashes))))
    return {bytes(row.hash): row for row in rows}


async def choose(tx: AsyncSession, hash_: bytes, choice: Choice, bounced_at: datetime | None = None) -> None:
    """Keep what was chosen for a mailbox; with a choice it is tried again after a bounce."""
    row = insert(Mailbox).values(
        hash=hash_,
        mode=choice.mode,
        quiet_from=choice.quiet_from,
        quiet_until=choice.quiet_until,
        bounced_at=bounced_at,
    )
    names = ("mode", "quiet_from", "quiet_until", "bounced_at")
    await tx.execute(
        row.on_conflict_do_update(index_elements=["hash"], set_={name: row.excluded[name] for name in names})
    )


async def note_bounce(tx: AsyncSession, hash_: bytes, now: datetime) -> None:
    """Keep that a mailbox gives back what it is sent, beside what was chosen for it."""
    usual = Choice()
    row = insert(Mailbox).values(
        hash=hash_, mode=usual.mode, quiet_from=usual.quiet_from, quiet_until=usual.quiet_until, bounced_at=now
    )
    await tx.execute(row.on_conflict_do_update(index_elements=["hash"], set_={"bounced_at": now}))


async def release(tx: AsyncSession, hash_: bytes, now: datetime) -> None:
    """Let what waits for a mailbox be judged anew: another choice was made for it."""
    await tx.execute(
        update(Mail).where(col(Mail.mailbox) == hash_, col(Mail.state) == MailState.WAITING).values(next_at=now)
    )


async def forget(tx: AsyncSession, before: datetime) -> int:
    """Forget notices that came before an instant."""
    gone = await tx.execute(delete(Mail).where(col(Mail.at) < before).returning(col(Mail.event_id)))
    return len(gone.all())


KEPT: Final = timedelta(days=30)
"""As long as a letter may still come back, with room."""
