"""Every query of the referral app, and the order in which rows are locked: referral, then consent state."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Select,
    String,
    any_,
    bindparam,
    cast,
    exists,
    false,
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
from sqlalchemy.orm import Session
from sqlmodel import col

from relais_referral.domain import chain
from relais_referral.domain.consent import Consent, Purpose, Status, held_back
from relais_referral.domain.handshake import ENDED, WAITING, Party, State
from relais_referral.domain.visibility import Category, shown_state
from relais_referral.models.access import AccessReferral
from relais_referral.models.consents import ConsentRecord, ConsentState
from relais_referral.models.conversation import Document, Message, Task
from relais_referral.models.guests import Guest
from relais_referral.models.referrals import Referral, SealedPart
from relais_referral.models.shared import OrganisationCopy
from relais_referral.models.trail import Disclosure, EventRow
from relais_shared.appending import append
from relais_shared.auth import Actor
from relais_shared.reading import Reading
from relais_shared.refusals import NotFound
from relais_shared.registry import known
from relais_shared.telemetry import traceresponse

UNKNOWN = "There is no such referral, or it is not yours to know of."


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: an organisation's client or user, she herself by her access, a guest, or the worker.

    Attributes:
        actor: Vouched for by the gateway; anonymous for her and for a guest.
        access_id: Her access, where she asks.
        guest_id: The guest, where one asks.
        working: The worker asks: it sees every referral.
    """

    actor: Actor
    access_id: UUID | None = None
    guest_id: UUID | None = None
    working: bool = False

    @property
    def name(self) -> str:
        """How events and disclosures call it."""
        if self.access_id is not None:
            return "person"
        if self.guest_id is not None:
            return f"guest:{self.guest_id}"
        return self.actor.id

    @property
    def owner(self) -> UUID | None:
        """Whose keys of repeated requests these are."""
        return self.access_id or self.guest_id or self.actor.organisation_id

    @property
    def comes_as(self) -> "As":
        """As what it asks; `owner` says who it is as that."""
        if self.working:
            return "worker"
        if self.access_id is not None:
            return "person"
        return "organisation" if self.guest_id is None else "guest"


As = Literal["worker", "person", "guest", "organisation"]
"""As what somebody asks for a referral."""


# Statements of a step are made once and carry their values as parameters: making one anew costs more than running it.
_BEGIN: Final = (
    "select set_config('relais.organisation', $1, true) || set_config('relais.access', $2, true)"
    " || set_config('relais.guest', $3, true) || set_config('relais.worker', $4, true)"
)


async def begin(tx: AsyncSession, caller: Caller) -> None:
    """Tell the database for whom this transaction asks; its row-level security then holds."""
    who = (
        str(caller.actor.organisation_id or ""),
        str(caller.access_id or ""),
        str(caller.guest_id or ""),
        "on" if caller.working else "",
    )
    # Many actions begin by it, one inside the other; once a transaction is enough.
    if (begun := tx.sync_session.get_transaction()) is None or tx.info.get("asks") != (begun, who):
        await tx.run_sync(_begin, who)


def _begin(session: Session, who: tuple[str, ...]) -> None:
    session.connection().exec_driver_sql(_BEGIN, who).close()
    session.info["asks"] = (session.get_transaction(), who)


def parties_of(referral: Referral, caller: Caller) -> frozenset[Party]:
    """Answer what a caller is in a referral, as far as its scopes go; both sides where it hands over to itself.

    Of an organisation's users, only those whom it concerns: its own, its team, or the one whose deputy they are.
    """
    if caller.access_id is not None:
        return frozenset({Party.PERSON})
    if caller.guest_id is not None:
        return frozenset({Party.RECIPIENT})
    actor, found = caller.actor, set()
    if (
        referral.sender_id == actor.organisation_id
        and "referral:send" in actor.scopes
        and concerns(actor, referral.sender_account_id, referral.sender_team_id)
    ):
        found.add(Party.SENDER)
    if (
        referral.recipient_id == actor.organisation_id
        and "referral:receive" in actor.scopes
        and referral.state != State.DRAFT
        and concerns(actor, referral.recipient_account_id, referral.recipient_team_id)
    ):
        found.add(Party.RECIPIENT)
    return frozenset(found)


def concerns(actor: Actor, account_id: UUID | None, team_id: str | None) -> bool:
    """Answer whether a referral of its side is an actor's: a client's always, a user's as design 5 says."""
    if actor.kind != "user" or (account_id is None and team_id is None):
        return True
    return (
        account_id == actor.user_id
        or account_id in actor.stands_for
        or (team_id is not None and team_id in {*actor.teams, *actor.leads})
    )


def _concerning(actor: Actor, account_id: Any, team_id: Any) -> Any:  # noqa: ANN401 - SQL expressions
    """Answer the same as `concerns` for a query."""
    if actor.kind != "user":
        return true()
    accounts = [each for each in (actor.user_id, *actor.stands_for) if each is not None]
    teams = [*actor.teams, *actor.leads]
    return or_(account_id.is_(None) & team_id.is_(None), account_id.in_(accounts), team_id.in_(teams))


async def lock_referral(
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


async def find_referral(tx: AsyncSession, id_: UUID, caller: Caller) -> tuple[Referral, frozenset[Party]]:
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
    return _of(caller.comes_as, caller.owner)


def _of(comes_as: As, who: Any) -> Any:  # noqa: ANN401 - an id or the parameter that will be one; an SQL expression
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
    query = select(Referral).where(col(Referral.id) == bindparam("id"), _of(comes_as, bindparam("who")))
    if lock is not None:
        query = in_turn(query, bindparam("turn", type_=BigInteger()), reading=lock == "share")
    return Reading(query)


async def consents(
    tx: AsyncSession,
    referral_id: UUID,
    *,
    conference_id: UUID | Literal["every"] | None = None,
    lock: bool = False,
    reading: bool = False,
) -> list[tuple[ConsentRecord, ConsentState]]:
    """Answer the consents of a hand-over, of a conference about it, or `every` one of both, the newest first.

    Their states are locked on demand, after the referral.
    """
    of = conference_id if conference_id == "every" else "conference" if conference_id else "referral"
    query = _consents(of, "update" if lock else "share" if reading else None)
    found = await query.objects(tx, referral=referral_id, conference=conference_id)
    return [(record, state) for record, state in found]


@cache
def _consents(of: Literal["every", "conference", "referral"], lock: Lock) -> Reading:
    query: Select[ConsentRecord, ConsentState] = (
        select(ConsentRecord, ConsentState)
        .join(ConsentState, col(ConsentState.consent_id) == col(ConsentRecord.id))
        .where(col(ConsentRecord.referral_id) == bindparam("referral"))
        .order_by(col(ConsentRecord.recorded_at).desc(), col(ConsentRecord.id))
    )
    if of == "conference":
        query = query.where(col(ConsentRecord.conference_id) == bindparam("conference"))
    if of == "referral":
        query = query.where(col(ConsentRecord.conference_id).is_(None))
    if lock is not None:
        query = query.with_for_update(of=ConsentState, read=lock == "share")
    return Reading(query)


async def given(tx: AsyncSession, referrals: Iterable[Referral]) -> dict[UUID, Consent]:
    """Answer the consents that were given and not ended, by referral; one may have run out."""
    by_id = {referral.id: referral for referral in referrals}
    rows = await tx.execute(
        select(ConsentRecord, ConsentState)
        .join(ConsentState, col(ConsentState.consent_id) == col(ConsentRecord.id))
        .where(
            col(ConsentState.referral_id).in_(list(by_id)),
            col(ConsentState.status) == Status.GIVEN,
            col(ConsentState.conference_id).is_(None),
        )
    )
    return {row[0].referral_id: consent_of(by_id[row[0].referral_id], row[0], row[1]) for row in rows}


def consent_of(referral: Referral, record: ConsentRecord, state: ConsentState) -> Consent:
    """Answer what the rules need of a consent; what she has yet to confirm alone is not in it."""
    closed = held_back(
        sensitive=referral.sensitive,
        seen_alone=record.record["seen_alone"],
        interpreter=record.record["interpreter"],
    )
    return Consent(
        id=record.id,
        recipient_id=record.recipient_id,
        service_id=record.service_id,
        purposes=frozenset(Purpose(name) for name in record.purposes),
        categories=frozenset(Category(name) for name in record.data_categories) - closed,
        status=Status(state.status),
        valid_until=record.valid_until,
    )


async def referral_of_consent(tx: AsyncSession, consent_id: UUID) -> UUID:
    """Answer which referral a consent is of.

    Raises:
        NotFound: Absent, or not the actor's to know of.
    """
    found = await tx.scalar(select(col(ConsentRecord.referral_id)).where(col(ConsentRecord.id) == consent_id))
    if found is None:
        raise NotFound("There is no such consent, or it is not yours to know of.")
    return found


async def sealed(tx: AsyncSession, referral_id: UUID, parts: Iterable[str]) -> dict[str, bytes]:
    """Answer the sealed parts of a referral, still sealed."""
    wanted = list(parts)
    if not wanted:
        return {}
    if any(isinstance(each, SealedPart) for each in (*tx.new, *tx.dirty, *tx.deleted)):
        await tx.flush()
    # What else a step changed is written once, when its transaction ends.
    return {row[0]: row[1] for row in await _SEALED.rows(tx, referral=referral_id, parts=wanted)}


_SEALED: Final = Reading(
    select(col(SealedPart.part), col(SealedPart.content)).where(
        col(SealedPart.referral_id) == bindparam("referral"),
        col(SealedPart.part) == any_(bindparam("parts", type_=ARRAY(String))),
    )
)


async def seal(tx: AsyncSession, referral_id: UUID, part: str, content: bytes | None, *, new: bool = False) -> None:
    """Keep a sealed part in place of what was there; None removes it.

    Args:
        tx: Writing.
        referral_id: The referral.
        part: Which part.
        content: Sealed.
        new: The referral was made in this transaction: nothing can be there.
    """
    row = None if new else await tx.get(SealedPart, (referral_id, part))
    if content is None:
        if row is not None:
            await tx.delete(row)
    elif row is None:
        tx.add(SealedPart(referral_id=referral_id, part=part, content=content))
    else:
        row.content = content


def add_event(  # noqa: PLR0913 - all that an event says
    tx: AsyncSession,
    referral: Referral,
    type_: str,
    *,
    actor: str,
    organisation_id: UUID | None,
    at: datetime,
    data: dict[str, Any] | None = None,
) -> None:
    """Write the next event of a referral, chained to the one before; the referral's row remembers the end."""
    draft = chain.Event(
        referral_id=referral.id,
        number=referral.event_count + 1,
        at=at,
        type=type_,
        actor=actor,
        organisation_id=organisation_id,
        data=data or {},
        previous=bytes(referral.event_head),
        hash=b"",
    )
    hash_ = chain.digest(draft)
    append(
        tx,
        EventRow,
        referral_id=draft.referral_id,
        number=draft.number,
        at=at,
        type=type_,
        actor=actor,
        organisation_id=organisation_id,
        data=dict(draft.data),
        previous=draft.previous,
        hash=hash_,
        traceparent=traceresponse(),
    )
    referral.event_count, referral.event_head = draft.number, hash_


async def events(tx: AsyncSession, referral_id: UUID) -> Sequence[EventRow]:
    """Answer the events of a referral in their order."""
    found = await tx.scalars(
        select(EventRow).where(col(EventRow.referral_id) == referral_id).order_by(col(EventRow.number))
    )
    return found.all()


async def disclosures(tx: AsyncSession, referral_id: UUID, *, reader: UUID | None = None) -> Sequence[Disclosure]:
    """Answer the disclosures of a referral, the newest first.

    Args:
        tx: After `begin`.
        referral_id: The referral.
        reader: The organisation that asks: of the readings in a case conference it is told its own. All where she
            asks.
    """
    query = select(Disclosure).where(col(Disclosure.referral_id) == referral_id)
    if reader is not None:
        elsewhere = exists().where(
            col(ConsentRecord.id) == col(Disclosure.consent_id), col(ConsentRecord.conference_id).is_not(None)
        )
        query = query.where(or_(not_(elsewhere), col(Disclosure.organisation_id) == reader))
    found = await tx.scalars(query.order_by(col(Disclosure.at).desc(), col(Disclosure.id)))
    return found.all()


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


def sides(actor: Actor) -> tuple[Any, Any]:
    """Answer the conditions under which a row is an actor's as sender, and as recipient, whatever its scopes."""
    as_sender = (col(Referral.sender_id) == actor.organisation_id) & _concerning(
        actor, col(Referral.sender_account_id), col(Referral.sender_team_id)
    )
    as_recipient = (
        (col(Referral.recipient_id) == actor.organisation_id)
        & (col(Referral.state) != State.DRAFT)
        & _concerning(actor, col(Referral.recipient_account_id), col(Referral.recipient_team_id))
    )
    return as_sender, as_recipient


def _ways(actor: Actor, role: Party | None) -> tuple[Any, Any]:
    """Answer the conditions under which a row is the actor's, and under which it is read neutrally."""
    as_sender, as_recipient = sides(actor)
    ways = []
    # The rows that are read as a sender that may sanction reads them, and in no other way.
    neutral: Any = false()
    if "referral:send" in actor.scopes and role is not Party.RECIPIENT:
        ways.append(as_sender)
        neutral = as_sender & col(Referral.sender_may_sanction)
    if "referral:receive" in actor.scopes and role is not Party.SENDER:
        ways.append(as_recipient)
        neutral = neutral & not_(as_recipient)
    return (or_(*ways) if ways else false()), neutral


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
    mine, neutral = _ways(actor, filters.role)
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
        mine, neutral = _ways(actor, role)
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
        mine, _neutral = _ways(actor, role)
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


async def shown_to(tx: AsyncSession, referral_id: UUID, organisation_id: UUID) -> bool:
    """Answer whether anything of hers was ever shown to an organisation under her consent."""
    return bool(
        await tx.scalar(
            select(
                exists().where(
                    col(Disclosure.referral_id) == referral_id,
                    col(Disclosure.organisation_id) == organisation_id,
                    col(Disclosure.consent_id).is_not(None),
                )
            )
        )
    )
