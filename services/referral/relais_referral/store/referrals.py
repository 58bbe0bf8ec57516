"""Every query of referrals themselves, and the order in which rows are locked: referral, then consent state."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Select,
    String,
    bindparam,
    cast,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral.domain.handshake import ENDED, WAITING, Party, State
from relais_referral.domain.visibility import shown_state
from relais_referral.models.access import AccessReferral
from relais_referral.models.guests import Guest
from relais_referral.models.referrals import Referral
from relais_referral.models.shared import OrganisationCopy
from relais_referral.store.callers import As, Caller, parties_of, ways
from relais_shared.auth import Actor
from relais_shared.reading import Reading
from relais_shared.refusals import NotFound
from relais_shared.registry import known

UNKNOWN = "There is no such referral, or it is not yours to know of."


async def lock(
    tx: AsyncSession, id_: UUID, caller: Caller, *, reading: bool = False
) -> tuple[Referral, frozenset[Party]]:
    """Lock a referral of the caller's and answer it with what the caller is in it.

    Args:
        tx: After `begin`.
        id_: The referral.
        caller: Who asks.
        reading: Others may read at the same time, but nobody changes it until this transaction ends. A change that
            waits goes before the readings that came after it.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    query = _referral(caller.comes_as, "share" if reading else "update")
    found = await query.objects(tx, id=id_, who=caller.owner, turn=turn_of(id_))
    return theirs(found, caller)


def theirs(found: Sequence[tuple[Any, ...]], caller: Caller) -> tuple[Referral, frozenset[Party]]:
    """Answer the referral of the first row with what the caller is in it."""
    referral: Referral | None = found[0][0] if found else None
    parties = parties_of(referral, caller) if referral else frozenset()
    if referral is None or not (parties or caller.working):
        raise NotFound(UNKNOWN)
    return referral, parties


def turn_of(id_: UUID | None) -> int:
    """Answer the number under which whoever locks a referral queues."""
    return int.from_bytes(id_.bytes[:8], signed=True) if id_ else 0


def in_turn(query: Select[Referral], turn: Any, *, reading: bool) -> Select[Referral]:  # noqa: ANN401 - a number or the parameter that will be one
    """Let a query lock the referral that it finds, whoever comes first being first.

    A row alone does not keep the order: FOR SHARE joins those who read already, past a FOR UPDATE that waits, and
    whoever reads without a pause would keep her withdrawal waiting for ever. An advisory lock does. Row-level
    security judges before it is taken: nobody waits for what is not theirs, nor learns from waiting that it exists.
    """
    lock = func.pg_advisory_xact_lock_shared if reading else func.pg_advisory_xact_lock
    return query.where(lock(turn).is_not(None)).with_for_update(read=reading)


async def find(tx: AsyncSession, id_: UUID, caller: Caller) -> tuple[Referral, frozenset[Party]]:
    """Answer a referral of the caller's without locking it: nothing sealed may be shown from it.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    found = await _referral(caller.comes_as, None).objects(tx, id=id_, who=caller.owner)
    referral: Referral | None = found[0][0] if found else None
    parties = parties_of(referral, caller) if referral else frozenset()
    if referral is None or not parties:
        raise NotFound(UNKNOWN)
    return referral, parties


Lock = Literal["share", "update"] | None
"""How rows are locked: against change alone, against everybody, not at all."""


def of_caller(caller: Caller) -> Any:  # noqa: ANN401 - an SQL expression
    """Answer which referrals are a caller's; behind this stands the same rule as row-level security."""
    return of(caller.comes_as, caller.owner)


def of(comes_as: As, who: Any) -> Any:  # noqa: ANN401 - an id or the parameter that will be one; an SQL expression
    """Answer which referrals are those of whoever comes as this, under this id."""
    if comes_as == "worker":
        return true()
    if comes_as == "person":
        return col(Referral.id).in_(select(col(AccessReferral.referral_id)).where(col(AccessReferral.access_id) == who))
    if comes_as == "guest":
        return col(Referral.id).in_(
            select(col(Guest.referral_id)).where(col(Guest.id) == who, col(Guest.ended_at).is_(None))
        )
    return or_(col(Referral.sender_id) == who, col(Referral.recipient_id) == who)


@cache
def _referral(comes_as: As, lock: Lock) -> Reading:
    query = select(Referral).where(col(Referral.id) == bindparam("id"), of(comes_as, bindparam("who")))
    if lock is not None:
        query = in_turn(query, bindparam("turn", type_=BigInteger()), reading=lock == "share")
    return Reading(query)


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of the list; what is absent does not narrow."""

    id: UUID | None = None
    role: Party | None = None
    states: Sequence[str] = ()
    themes: Sequence[str] = ()
    updated_since: datetime | None = None
    account_id: UUID | None = None
    team_id: str | None = None
    overdue_at: datetime | None = None


async def page(
    tx: AsyncSession,
    actor: Actor,
    filters: Filters,
    *,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> tuple[list[Referral], tuple[datetime, UUID] | None]:
    """Answer referrals of the actor's, the last changed first, at most `limit`, after a position.

    Nothing sealed is touched. The order is by the instant of the last change, then id, both falling. A sender that
    may sanction reads neither from a filter nor from the order what it does not read in the referral itself.

    Returns:
        The referrals, and the position of the last where more follow.
    """
    mine, neutral = ways(actor, filters.role)
    own = await known(tx, OrganisationCopy, actor.organisation_id) if actor.organisation_id else None
    sanctions = own is not None and own.may_sanction
    changed = col(Referral.noticed_at) if sanctions else col(Referral.updated_at)
    query = select(Referral).where(mine)
    if filters.id is not None:
        query = query.where(col(Referral.id) == filters.id)
    if filters.states:
        query = query.where(_in_states(filters.states, neutral))
    if filters.themes:
        # A sensitive theme stands in no list, so no list can be searched for it.
        query = query.where(
            col(Referral.themes).op("&&")(cast(list(filters.themes), ARRAY(String))), not_(col(Referral.sensitive))
        )
    if filters.updated_since is not None:
        query = query.where(changed >= filters.updated_since)
    if filters.account_id is not None:
        query = query.where(
            or_(
                (col(Referral.sender_id) == actor.organisation_id)
                & (col(Referral.sender_account_id) == filters.account_id),
                (col(Referral.recipient_id) == actor.organisation_id)
                & (col(Referral.recipient_account_id) == filters.account_id),
            )
        )
    if filters.team_id is not None:
        query = query.where(
            or_(
                (col(Referral.sender_id) == actor.organisation_id) & (col(Referral.sender_team_id) == filters.team_id),
                (col(Referral.recipient_id) == actor.organisation_id)
                & (col(Referral.recipient_team_id) == filters.team_id),
            )
        )
    if filters.overdue_at is not None:
        query = query.where(_overdue(filters.overdue_at, neutral))
    if before is not None:
        query = query.where(tuple_(changed, col(Referral.id)) < before)
    query = query.order_by(changed.desc(), col(Referral.id).desc()).limit(limit + 1)
    rows = list((await tx.scalars(query)).all())
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], (last.noticed_at if sanctions else last.updated_at, last.id)


def _overdue(now: datetime, neutral: Any) -> Any:  # noqa: ANN401 - SQL expressions
    # Whether she paused is nothing that a sender that may sanction could read.
    return (
        col(Referral.state).in_([str(state) for state in WAITING])
        & (col(Referral.due_at) <= now)
        & or_(neutral, col(Referral.paused_at).is_(None))
    )


async def counts(tx: AsyncSession, actor: Actor, now: datetime) -> dict[str, dict[str, int]]:
    """Answer how many referrals wait where, by role: by state as its reader reads it, and the overdue ones."""
    found: dict[str, dict[str, int]] = {}
    for role in (Party.SENDER, Party.RECIPIENT):
        mine, neutral = ways(actor, role)
        rows = await tx.execute(
            select(
                col(Referral.state),
                neutral.label("plain"),
                func.count(),
                func.count().filter(_overdue(now, neutral)),
            )
            .where(mine, col(Referral.state).not_in([str(state) for state in ENDED | {State.CLOSED}]))
            .group_by(col(Referral.state), literal_column("plain"))
        )
        here: dict[str, int] = {}
        for state, plain, number, late in rows:
            name = shown_state(State(state), neutral=plain)
            here[name] = here.get(name, 0) + number
            here["overdue"] = here.get("overdue", 0) + late
        if here:
            found[str(role)] = here
    return found


def _in_states(states: Sequence[str], neutral: Any) -> Any:  # noqa: ANN401 - SQL expressions
    """Answer the filter by state; a neutral row is found under every state that reads the same."""
    asked = {shown_state(State(state), neutral=True) for state in states}
    alike = [state for state in State if shown_state(state, neutral=True) in asked]
    return or_(not_(neutral) & col(Referral.state).in_(states), neutral & col(Referral.state).in_(alike))
