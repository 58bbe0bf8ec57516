"""Every query of the referral app, and the order in which rows are locked: referral, then consent state."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, String, cast, false, func, not_, or_, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral.domain import chain
from relais_referral.domain.consent import Consent, Purpose, Status
from relais_referral.domain.handshake import Party, State
from relais_referral.domain.visibility import Category, shown_state
from relais_referral.models import (
    ConsentRecord,
    ConsentState,
    Disclosure,
    EventRow,
    OrganisationCopy,
    Referral,
    SealedPart,
)
from relais_shared.auth import Actor
from relais_shared.refusals import NotFound
from relais_shared.registry import known

UNKNOWN = "There is no such referral, or it is not yours to know of."


async def begin(tx: AsyncSession, actor: Actor) -> None:
    """Tell the database for which organisation this transaction asks; its row-level security then holds."""
    await tx.execute(select(func.set_config("relais.organisation", str(actor.organisation_id or ""), True)))


def parties_of(referral: Referral, actor: Actor) -> frozenset[Party]:
    """Answer what an actor is in a referral, as far as its scopes go; both where it hands over to itself."""
    found = set()
    if referral.sender_id == actor.organisation_id and "referral:send" in actor.scopes:
        found.add(Party.SENDER)
    if (
        referral.recipient_id == actor.organisation_id
        and "referral:receive" in actor.scopes
        and referral.state != State.DRAFT
    ):
        found.add(Party.RECIPIENT)
    return frozenset(found)


async def lock_referral(
    tx: AsyncSession, id_: UUID, actor: Actor, *, reading: bool = False
) -> tuple[Referral, frozenset[Party]]:
    """Lock a referral of the actor's and answer it with what the actor is in it.

    Args:
        tx: After `begin`.
        id_: The referral.
        actor: Who asks.
        reading: Others may read at the same time, but nobody changes it until this transaction ends.

    Raises:
        NotFound: Absent, or not the actor's to know of.
    """
    query = select(Referral).where(col(Referral.id) == id_, _of(actor)).with_for_update(read=reading)
    referral = await tx.scalar(query.execution_options(populate_existing=True))
    parties = parties_of(referral, actor) if referral else frozenset()
    if referral is None or not parties:
        raise NotFound(UNKNOWN)
    return referral, parties


def _of(actor: Actor) -> Any:  # noqa: ANN401 - an SQL expression
    # Behind this stands the same rule as row-level security.
    return or_(col(Referral.sender_id) == actor.organisation_id, col(Referral.recipient_id) == actor.organisation_id)


async def consents(
    tx: AsyncSession, referral_id: UUID, *, lock: bool = False, reading: bool = False
) -> list[tuple[ConsentRecord, ConsentState]]:
    """Answer the consents of a referral, the newest first; their states locked on demand, after the referral."""
    query: Select[ConsentRecord, ConsentState] = (
        select(ConsentRecord, ConsentState)
        .join(ConsentState, col(ConsentState.consent_id) == col(ConsentRecord.id))
        .where(col(ConsentRecord.referral_id) == referral_id)
        .order_by(col(ConsentRecord.recorded_at).desc(), col(ConsentRecord.id))
    )
    if lock or reading:
        query = query.with_for_update(of=ConsentState, read=reading)
    rows = await tx.execute(query.execution_options(populate_existing=True))
    return [(row[0], row[1]) for row in rows]


async def given(tx: AsyncSession, referral_ids: Iterable[UUID]) -> dict[UUID, Consent]:
    """Answer the consents that were given and not ended, by referral; one may have run out."""
    rows = await tx.execute(
        select(ConsentRecord, ConsentState)
        .join(ConsentState, col(ConsentState.consent_id) == col(ConsentRecord.id))
        .where(col(ConsentState.referral_id).in_(list(referral_ids)), col(ConsentState.status) == Status.GIVEN)
    )
    return {row[0].referral_id: consent_of(row[0], row[1]) for row in rows}


def consent_of(record: ConsentRecord, state: ConsentState) -> Consent:
    """Answer what the rules need of a consent."""
    return Consent(
        id=record.id,
        recipient_id=record.recipient_id,
        service_id=record.service_id,
        purposes=frozenset(Purpose(name) for name in record.purposes),
        categories=frozenset(Category(name) for name in record.data_categories),
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
    rows = await tx.execute(
        select(col(SealedPart.part), col(SealedPart.content)).where(
            col(SealedPart.referral_id) == referral_id,
            col(SealedPart.part).in_(wanted),
        )
    )
    return {row[0]: row[1] for row in rows}


async def seal(tx: AsyncSession, referral_id: UUID, part: str, content: bytes | None) -> None:
    """Keep a sealed part in place of what was there; None removes it."""
    row = await tx.get(SealedPart, (referral_id, part))
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
    tx.add(
        EventRow(
            referral_id=draft.referral_id,
            number=draft.number,
            at=at,
            type=type_,
            actor=actor,
            organisation_id=organisation_id,
            data=dict(draft.data),
            previous=draft.previous,
            hash=hash_,
        )
    )
    referral.event_count, referral.event_head = draft.number, hash_


async def events(tx: AsyncSession, referral_id: UUID) -> Sequence[EventRow]:
    """Answer the events of a referral in their order."""
    found = await tx.scalars(
        select(EventRow).where(col(EventRow.referral_id) == referral_id).order_by(col(EventRow.number))
    )
    return found.all()


async def disclosures(tx: AsyncSession, referral_id: UUID) -> Sequence[Disclosure]:
    """Answer the disclosures of a referral, the newest first."""
    found = await tx.scalars(
        select(Disclosure)
        .where(col(Disclosure.referral_id) == referral_id)
        .order_by(col(Disclosure.at).desc(), col(Disclosure.id))
    )
    return found.all()


async def page(  # noqa: PLR0913 - the filters of the list
    tx: AsyncSession,
    actor: Actor,
    *,
    role: Party | None,
    states: Sequence[str],
    themes: Sequence[str],
    updated_since: datetime | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> tuple[list[Referral], tuple[datetime, UUID] | None]:
    """Answer referrals of the actor's, the last changed first, at most `limit`, after a position.

    Nothing sealed is touched. The order is by the instant of the last change, then id, both falling. A sender that
    may sanction reads neither from a filter nor from the order what it does not read in the referral itself.

    Returns:
        The referrals, and the position of the last where more follow.
    """
    as_sender = col(Referral.sender_id) == actor.organisation_id
    as_recipient = (col(Referral.recipient_id) == actor.organisation_id) & (col(Referral.state) != State.DRAFT)
    ways = []
    # The rows that are read as a sender that may sanction reads them, and in no other way.
    neutral: Any = false()
    if "referral:send" in actor.scopes and role is not Party.RECIPIENT:
        ways.append(as_sender)
        neutral = as_sender & col(Referral.sender_may_sanction)
    if "referral:receive" in actor.scopes and role is not Party.SENDER:
        ways.append(as_recipient)
        neutral = neutral & not_(as_recipient)
    if not ways:
        return [], None
    own = await known(tx, OrganisationCopy, actor.organisation_id) if actor.organisation_id else None
    sanctions = own is not None and own.may_sanction
    changed = col(Referral.noticed_at) if sanctions else col(Referral.updated_at)
    query = select(Referral).where(or_(*ways))
    if states:
        query = query.where(_in_states(states, neutral))
    if themes:
        query = query.where(col(Referral.themes).op("&&")(cast(list(themes), ARRAY(String))))
    if updated_since is not None:
        query = query.where(changed >= updated_since)
    if before is not None:
        query = query.where(tuple_(changed, col(Referral.id)) < before)
    query = query.order_by(changed.desc(), col(Referral.id).desc()).limit(limit + 1)
    rows = list((await tx.scalars(query)).all())
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], (last.noticed_at if sanctions else last.updated_at, last.id)


def _in_states(states: Sequence[str], neutral: Any) -> Any:  # noqa: ANN401 - SQL expressions
    """Answer the filter by state; a neutral row is found under every state that reads the same."""
    asked = {shown_state(State(state), neutral=True) for state in states}
    alike = [state for state in State if shown_state(state, neutral=True) in asked]
    return or_(not_(neutral) & col(Referral.state).in_(states), neutral & col(Referral.state).in_(alike))
