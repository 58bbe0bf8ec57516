"""What she agreed to, as it is kept: a record never changes, a narrower one takes its place."""

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store
from relais_referral.actions.common import Asked, event, locked, stands
from relais_referral.domain.consent import Status
from relais_referral.models.consents import ConsentRecord, ConsentState
from relais_referral.models.referrals import Referral
from relais_shared.refusals import NotFound
from relais_shared.registry import Organisation

SCHEMA_VERSION: Final = "relais-consent-1"
"""The version of our consent records; the receipt maps them to ISO/IEC TS 27560."""

UNKNOWN: Final = "There is no such consent, or it is not yours to know of."

BY_LINK: Final = {
    "method": "private_link",
    "expressed_by": "her_tap",
    # Only her own session answers; where she was assisted, the state's history says so.
    "seen_alone": "yes",
    "interpreter": "none",
}
"""How an agreement is asked for by her own link."""

COLUMNS: Final = frozenset({"purposes", "data_categories", "given_at", "valid_until"})
"""What stands in columns of its own, not in the record's other facts."""


def controller(id_: UUID, name: str, organisation: Organisation | None) -> dict[str, Any]:
    """Answer who answers for the data, as a record keeps it."""
    return {**(organisation.controller if organisation else {}), "organisation_id": str(id_), "name": name}


def copy_of(
    record: ConsentRecord,
    purposes: Iterable[str],
    categories: Iterable[str],
    asked: Asked,
    **facts: str,
) -> ConsentRecord:
    """Answer a new record with other purposes or categories: a record never changes."""
    return ConsentRecord(
        id=uuid4(),
        referral_id=record.referral_id,
        conference_id=record.conference_id,
        recipient_id=record.recipient_id,
        service_id=record.service_id,
        purposes=list(purposes),
        data_categories=list(categories),
        valid_until=record.valid_until,
        given_at=record.given_at or asked.now,
        recorded_at=asked.now,
        record={**record.record, **facts},
    )


async def put_in_force(tx: AsyncSession, record: ConsentRecord, asked: Asked) -> ConsentState:
    """Store a record as given; what was in force before, or asked for, is superseded."""
    await supersede(tx, record, asked)
    tx.add(record)
    await tx.flush()  # Its state refers to it, and the one before it must be superseded first.
    state = state_of(record, Status.GIVEN, asked)
    tx.add(state)
    return state


async def put_asked_for(tx: AsyncSession, record: ConsentRecord, asked: Asked) -> ConsentState:
    """Store a record as asked for; what was asked for before, and not answered, is superseded."""
    await supersede(tx, record, asked, frozenset({Status.REQUESTED}))
    tx.add(record)
    await tx.flush()  # Its state refers to it.
    state = state_of(record, Status.REQUESTED, asked)
    tx.add(state)
    return state


async def supersede(
    tx: AsyncSession,
    by: ConsentRecord,
    asked: Asked,
    which: frozenset[Status] = frozenset({Status.GIVEN, Status.REQUESTED}),
) -> None:
    """Let a record take the place of those for the same recipient, in the same conference where it is for one."""
    rows = await store.consents.of_referral(tx, by.referral_id, conference_id=by.conference_id, lock=True)
    for record, state in rows:
        if state.status in which and record.id != by.id and record.recipient_id == by.recipient_id:
            stands(state, Status.SUPERSEDED, asked.now)
            state.superseded_by = by.id
    await tx.flush()


def state_of(record: ConsentRecord, status: Status, asked: Asked) -> ConsentState:
    """Answer how a new record stands, not stored yet."""
    state = ConsentState(
        consent_id=record.id,
        referral_id=record.referral_id,
        conference_id=record.conference_id,
        status=status,
        changed_at=asked.now,
        valid_until=record.valid_until,
        history=[],
    )
    stands(state, status, asked.now)
    return state


async def hers(tx: AsyncSession, asked: Asked, consent_id: UUID) -> tuple[Referral, ConsentRecord, ConsentState]:
    """Answer one of her agreements, locked, with the hand-over and how it stands.

    Raises:
        NotFound: Absent, or not the caller's.
    """
    await store.callers.begin(tx, asked.caller)
    id_ = await store.consents.referral_of(tx, consent_id)
    referral, _parties, _ = await locked(tx, asked, id_)
    return referral, *(await one_of(tx, id_, consent_id))


async def one_of(tx: AsyncSession, referral_id: UUID, consent_id: UUID) -> tuple[ConsentRecord, ConsentState]:
    """Answer one agreement of a hand-over, a conference's included, locked.

    Raises:
        NotFound: It has none of that id.
    """
    for record, state in await store.consents.of_referral(tx, referral_id, conference_id="every", lock=True):
        if record.id == consent_id:
            return record, state
    raise NotFound(UNKNOWN)


def tell(tx: AsyncSession, referral: Referral, record: ConsentRecord, what: str, asked: Asked) -> None:
    """Write what became of an agreement; of one for a case conference neither side reads it among its events."""
    type_ = f"consent.{what}" if record.conference_id is None else f"conference.consent_{what}"
    event(tx, referral, asked, type_, consent_id=str(record.id))
