"""What is done without anybody asking: agreements that run out, answers overdue, data past their term."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, delete, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral import auditing, rewrapping, store
from relais_referral.actions.common import Asked, event, moved, open_task, stands
from relais_referral.actions.counting import count_months
from relais_referral.actions.reflecting import count_quarters
from relais_referral.actions.sequencing import forget_events
from relais_referral.actions.stepping import ask_about_copy, leave_conference
from relais_referral.domain import retention
from relais_referral.domain.consent import WARNED_BEFORE, Status
from relais_referral.domain.deadlines import day_of
from relais_referral.domain.handshake import ENDED, WAITING, Party, State
from relais_referral.models.access import PersonSession
from relais_referral.models.consents import ConsentState
from relais_referral.models.conversation import Task
from relais_referral.models.guests import GuestSession
from relais_referral.models.referrals import Referral
from relais_referral.models.shared import Idempotency, OrganisationCopy
from relais_referral.models.trail import EventRow
from relais_referral.rewrapping import BATCH, WORKER
from relais_referral.sealing import Sealer
from relais_shared.clock import Clock
from relais_shared.db import Database

OPEN: Final = [str(state) for state in State if state not in ENDED | {State.CLOSED}]


async def _each(
    database: Database,
    sealer: Sealer,
    clock: Clock,
    which: Any,  # noqa: ANN401 - an SQL condition over referrals
    work: Callable[[AsyncSession, Asked, Referral], Awaitable[bool]],
) -> int:
    """Do a work on every referral that a condition finds, one transaction each; answer on how many it was done.

    Whoever is at one now is not waited for, and what another worker did meanwhile is not done again: the condition
    is asked once more under the lock. What one round leaves, the next one finds. The work is dated when the lock was
    given: since the round began others may have taken steps, which the record must not show after it.
    """
    async with database.write() as tx:
        await store.callers.begin(tx, WORKER)
        ids: Sequence[UUID] = (await tx.scalars(select(col(Referral.id)).where(which).limit(BATCH))).all()
    done = 0
    for id_ in ids:
        async with database.write() as tx:
            await store.callers.begin(tx, WORKER)
            query = select(Referral).where(col(Referral.id) == id_, which).with_for_update(skip_locked=True)
            referral = await tx.scalar(query)
            if referral is not None:
                done += await work(tx, Asked(WORKER, clock(), sealer, clock), referral)
    return done


async def expire_consents(database: Database, sealer: Sealer, clock: Clock) -> int:
    """End the agreements whose time has run out: nothing is read under them any more; both sides see it.

    One for a case conference ends that structure's part in it, and is nothing to the two sides.
    """

    async def expire(tx: AsyncSession, asked: Asked, referral: Referral) -> bool:
        ended = left = False
        for record, state in await store.consents.of_referral(tx, referral.id, conference_id="every", lock=True):
            if state.status != Status.GIVEN or state.valid_until is None or state.valid_until > asked.now:
                continue
            stands(state, Status.EXPIRED, asked.now)
            if record.conference_id is not None:
                await leave_conference(tx, referral, record, "left", asked)
                left = True
            else:
                event(tx, referral, asked, "consent.expired", consent_id=str(state.consent_id))
                ended = True
        if ended:
            await ask_about_copy(tx, referral, asked, "consent.expired")
            open_task(tx, referral, asked, Party.SENDER, "consent_expired", "consent.expired")
            moved(referral, asked, by=None)
        return ended or left

    now = clock()
    return await _each(database, sealer, clock, _running_out(now), expire)


async def warn_of_expiry(database: Database, sealer: Sealer, clock: Clock) -> int:
    """Tell both sides, once, that an agreement runs out within two weeks."""

    async def warn(tx: AsyncSession, asked: Asked, referral: Referral) -> bool:
        warned = False
        for _record, state in await store.consents.of_referral(tx, referral.id, lock=True):
            soon = state.valid_until is not None and state.valid_until <= asked.now + WARNED_BEFORE
            if state.status == Status.GIVEN and soon and state.warned_at is None:
                state.warned_at, warned = asked.now, True
        if warned:
            for party in (Party.SENDER, Party.RECIPIENT):
                open_task(tx, referral, asked, party, "consent_expiring", "consent.expiring")
            event(tx, referral, asked, "consent.expiring")
        return warned

    now = clock()
    # A conference shows those who take part until when; it is not the two sides' to be told of.
    own = col(ConsentState.conference_id).is_(None)
    which = _running_out(now + WARNED_BEFORE, col(ConsentState.warned_at).is_(None), own)
    return await _each(database, sealer, clock, which & (col(Referral.state) != State.DRAFT), warn)


def _running_out(before: datetime, *more: Any) -> Any:  # noqa: ANN401 - SQL conditions
    return exists().where(
        col(ConsentState.referral_id) == col(Referral.id),
        col(ConsentState.status) == Status.GIVEN,
        col(ConsentState.valid_until) <= before,
        *more,
    )


async def tell_overdue(database: Database, sealer: Sealer, clock: Clock) -> int:
    """Tell both sides, once, that an answer is overdue; what was wanted today goes to the recipient's desk."""

    async def tell(tx: AsyncSession, asked: Asked, referral: Referral) -> bool:
        referral.overdue_told = True
        if referral.urgency == "today":
            referral.recipient_account_id = referral.recipient_team_id = None
        for party in (Party.SENDER, Party.RECIPIENT):
            open_task(tx, referral, asked, party, "overdue", "referral.overdue")
        event(tx, referral, asked, "referral.overdue")
        moved(referral, asked, by=None)
        return True

    now = clock()
    which = and_(
        col(Referral.state).in_([str(state) for state in WAITING]),
        col(Referral.due_at) <= now,
        col(Referral.paused_at).is_(None),
        ~col(Referral.overdue_told),
    )
    return await _each(database, sealer, clock, which, tell)


async def end_pauses(database: Database, sealer: Sealer, clock: Clock) -> int:
    """End the pauses whose day has passed."""

    async def end(tx: AsyncSession, asked: Asked, referral: Referral) -> bool:
        referral.paused_at = referral.paused_until = None
        event(tx, referral, asked, "referral.resumed", state=referral.state)
        moved(referral, asked, by=None)
        return True

    now = clock()
    which = and_(col(Referral.paused_at).is_not(None), col(Referral.paused_until) < day_of(now))
    return await _each(database, sealer, clock, which, end)


async def heed_marking(database: Database, sealer: Sealer, clock: Clock) -> int:
    """Let a sender that was marked `may_sanction` since read no more of what it had begun than of what it begins."""

    async def narrow(tx: AsyncSession, asked: Asked, referral: Referral) -> bool:
        referral.sender_may_sanction = True
        # No version that it knew its fuller view by may stand for the one that it has now.
        referral.version += 1
        referral.neutral_version = referral.version
        await tx.execute(
            update(Task)
            .where(
                col(Task.referral_id) == referral.id,
                col(Task.party) == str(Party.SENDER),
                col(Task.done_at).is_(None),
                col(Task.dropped_at).is_(None),
            )
            .values(dropped_at=asked.now)
        )
        return True

    marked = select(col(OrganisationCopy.id)).where(col(OrganisationCopy.facts)["may_sanction"].as_boolean())
    which = ~col(Referral.sender_may_sanction) & col(Referral.sender_id).in_(marked)
    done = 0
    while count := await _each(database, sealer, clock, which, narrow):
        done += count
    return done


async def ask_about_idle(database: Database, sealer: Sealer, clock: Clock) -> int:
    """Ask the sender of what nobody touched for a year whether it goes on."""

    async def ask(tx: AsyncSession, asked: Asked, referral: Referral) -> bool:
        referral.idle_asked_at = asked.now
        # Where it may sanction, the recipient is asked: the sender reads nothing of how things stand.
        party = Party.RECIPIENT if referral.sender_may_sanction else Party.SENDER
        open_task(tx, referral, asked, party, "idle", "referral.idle")
        event(tx, referral, asked, "referral.idle")
        return True

    now = clock()
    which = and_(
        col(Referral.state).in_(OPEN),
        col(Referral.created_at) <= now - retention.IDLE,
        ~_touched_since(now - retention.IDLE),
        col(Referral.idle_asked_at).is_(None),
        col(Referral.erased_at).is_(None),
    )
    return await _each(database, sealer, clock, which, ask)


async def erase_past_term(database: Database, sealer: Sealer, clock: Clock) -> int:
    """Destroy what is hers where its term has passed (domain/retention), and what she had erased 72 hours ago."""

    async def erase(tx: AsyncSession, asked: Asked, referral: Referral) -> bool:
        await rewrapping.shred(tx, sealer, referral, asked.now)
        # No version moves: a sender that may sanction would read from it which ending it was.
        event(tx, referral, asked, "referral.erased")
        return True

    now = clock()
    agreed = _has_consent(Status.GIVEN, Status.WITHDRAWN, Status.EXPIRED, Status.SUPERSEDED)
    draft = col(Referral.state) == State.DRAFT
    ended = col(Referral.state).in_([str(state) for state in ENDED])
    which = and_(
        col(Referral.shredded_at).is_(None),
        or_(
            col(Referral.erased_at) <= now - retention.TAKEN_BACK,
            and_(col(Referral.practice), col(Referral.created_at) <= now - retention.PRACTICE),
            and_(draft, ~agreed, _has_consent(Status.REFUSED)),
            and_(draft, ~agreed, col(Referral.created_at) <= now - retention.DRAFT),
            and_(ended, ~agreed),
            and_(ended, col(Referral.state_at) <= now - retention.ENDED_FOR),
            and_(col(Referral.state) == State.CLOSED, col(Referral.state_at) <= now - retention.CLOSED_FOR),
            and_(
                col(Referral.state).in_(OPEN),
                col(Referral.idle_asked_at) <= now - retention.ASKED,
                ~_touched_since(col(Referral.idle_asked_at)),
            ),
        ),
    )
    done = 0
    while count := await _each(database, sealer, clock, which, erase):
        done += count
    return done


def _touched_since(instant: Any) -> Any:  # noqa: ANN401 - SQL expressions
    """Answer whether anybody did anything with a referral since; what we do ourselves does not count."""
    return exists().where(
        col(EventRow.referral_id) == col(Referral.id),
        col(EventRow.at) > instant,
        col(EventRow.actor) != WORKER.name,
    )


def _has_consent(*statuses: Status) -> Any:  # noqa: ANN401 - an SQL condition
    return exists().where(
        col(ConsentState.referral_id) == col(Referral.id),
        col(ConsentState.status).in_([str(status) for status in statuses]),
        col(ConsentState.conference_id).is_(None),
    )


async def turn_keys_over(database: Database, sealer: Sealer, clock: Clock) -> int:
    """Let wrapping keys of age turn over, and finish what an erasure or an earlier round began."""
    now = clock()
    return await rewrapping.turn_over(database, sealer, rewrapping.due(sealer.file, now), now)


async def forget_requests(database: Database, sealer: Sealer, clock: Clock) -> int:
    """Forget the keys of repeated requests and the sessions that have ended."""
    del sealer
    now = clock()
    async with database.write() as tx:
        gone = await tx.execute(
            delete(Idempotency)
            .where(col(Idempotency.created_at) <= now - retention.REPEATED)
            .returning(col(Idempotency.key))
        )
        for table in (PersonSession, GuestSession):
            await tx.execute(delete(table).where(col(table.expires_at) <= now))
        return len(gone.all())


async def sign_days(database: Database, sealer: Sealer, clock: Clock) -> int:
    """Write the signed head of every day that is over."""
    now = clock()
    key, key_id = auditing.signing_key(sealer.home)
    async with database.write() as tx:
        await store.callers.begin(tx, WORKER)
        return len(await auditing.write_heads(tx, key, key_id, now))


Job = Callable[[Database, Sealer, Clock], Awaitable[int]]

JOBS: Final[tuple[Job, ...]] = (
    heed_marking,
    expire_consents,
    warn_of_expiry,
    tell_overdue,
    end_pauses,
    ask_about_idle,
    erase_past_term,
    turn_keys_over,
    forget_requests,
    sign_days,
    forget_events,
    count_months,
    count_quarters,
)
"""All that the worker does in a round, in this order."""
