"""A structure's place in a case conference, and what it reads and may do there now."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store
from relais_referral.actions.common import Asked, event, in_force
from relais_referral.domain.conference import Act, Piece, allowed, readable
from relais_referral.domain.consent import Consent, Purpose, Status
from relais_referral.domain.handshake import State
from relais_referral.domain.refusals import IllegalAction
from relais_referral.models.conferences import Conference, ConferencePart
from relais_referral.models.consents import ConsentRecord, ConsentState
from relais_referral.models.referrals import Referral
from relais_referral.models.shared import OrganisationCopy
from relais_shared.refusals import NotFound
from relais_shared.registry import Organisation, known

NOT_NOW: Final = "This cannot be done now."

Lock = Literal["no", "reading", "writing"]

Consents = Sequence[tuple[ConsentRecord, ConsentState]]


@dataclass(frozen=True, slots=True)
class Seat:
    """A structure's place in a conference, and what it reads and may do there now.

    Attributes:
        place: The conference and the hand-over.
        own: The structure's part.
        consent: Her agreement for it, while it holds.
        pieces: What it reads.
        acts: What it may do.
        consents: Every agreement for the conference.
    """

    place: store.conferences.Place
    own: ConferencePart
    consent: Consent | None
    pieces: frozenset[Piece]
    acts: frozenset[Act]
    consents: Consents

    @property
    def referral(self) -> Referral:
        """The hand-over that it is about."""
        return self.place.referral

    @property
    def conference(self) -> Conference:
        """The conference."""
        return self.place.conference


async def seat_of(tx: AsyncSession, asked: Asked, id_: UUID, *, lock: Lock, act: Act | None = None) -> Seat:
    """Answer the caller's seat, her agreements read under the lock of the hand-over.

    Raises:
        NotFound: Absent, ended, or nothing that she agreed that the caller knows of.
        IllegalAction: The act is not the caller's now.
    """
    await store.callers.begin(tx, asked.caller)
    place = await store.conferences.find(tx, id_, asked.caller, lock=lock)
    own = place.own
    if own is None or not may_confer(await organisation_of(tx, asked.organisation_id), place.referral):
        raise NotFound(store.conferences.UNKNOWN)
    write, look = lock == "writing", lock == "reading"
    handed = in_force(place.referral, await store.consents.of_referral(tx, place.referral.id, lock=write, reading=look))
    consents = await store.consents.of_referral(tx, place.referral.id, conference_id=id_, lock=write, reading=look)
    consent = given_to(place.referral, consents, own.organisation_id, asked)
    pieces = readable(
        State(place.referral.state),
        agreed=consent.categories if consent else None,
        handed=handed.categories if handed and handed.active(asked.now) else None,
        joined=own.joined_at is not None,
        opener=place.conference.opened_by == own.organisation_id,
    )
    if Piece.FRAME not in pieces or place.referral.erased_at is not None:
        raise NotFound(store.conferences.UNKNOWN)
    acts = allowed(pieces, joined=own.joined_at is not None, side=bool(place.parties))
    if act is not None and act not in acts:
        raise IllegalAction(NOT_NOW, allowed_actions=sorted(acts))
    return Seat(place, own, consent, pieces, acts, consents)


def given_to(referral: Referral, rows: Consents, organisation_id: UUID, asked: Asked) -> Consent | None:
    """Answer her agreement for a structure in a conference, where it holds now."""
    for record, state in rows:
        if record.recipient_id == organisation_id and state.status == Status.GIVEN:
            consent = store.consents.consent_of(referral, record, state)
            if consent.active(asked.now) and Purpose.CASE_CONFERENCE in consent.purposes:
                return consent
    return None


async def organisation_of(tx: AsyncSession, id_: UUID) -> Organisation | None:
    """Answer an organisation as the registry knows it now."""
    return await known(tx, OrganisationCopy, id_)


def may_confer(organisation: Organisation | None, referral: Referral) -> bool:
    """Answer whether a structure may sit in a conference about this hand-over.

    Whoever can sanction her, or only controls, never does, on whichever side it stands: the thread, the meeting and
    the decisions are what it may not learn of her (design 5, no sanction).
    """
    return (
        organisation is not None
        and organisation.active
        and organisation.agreement
        and not organisation.may_sanction
        and not organisation.control_unit
        and bool(store.conferences.SCOPES & set(organisation.scopes))
        and organisation.practice == referral.practice
    )


def tell(tx: AsyncSession, asked: Asked, seat: Seat, what: str) -> None:
    """Write what happened at the table."""
    event(tx, seat.referral, asked, f"conference.{what}", conference_id=str(seat.conference.id))
