"""Asking her for whom: what she agrees to for one structure in a case conference."""

from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store, views
from relais_referral.actions.common import Asked, in_force
from relais_referral.actions.conferring.seats import Seat, may_confer, organisation_of, seat_of
from relais_referral.actions.consenting import judging, records
from relais_referral.domain.conference import OF_CATEGORY, Act
from relais_referral.domain.consent import BOUND_ONLY, Purpose, Secrecy
from relais_referral.domain.refusals import ConsentMissing, RecipientNotBound
from relais_referral.models.conferences import ConferencePart
from relais_referral.models.consents import ConsentRecord
from relais_referral.schemas.conferences import ConferenceConsent, ConferenceRequest
from relais_referral.schemas.consents import ConsentTerms, ConsentView
from relais_shared.refusals import Fault, NotFound
from relais_shared.registry import Organisation

MOST_PARTS: Final = 20
"""Structures of one conference: more than ever sit around one table."""


async def record_consent(tx: AsyncSession, asked: Asked, id_: UUID, given: ConferenceConsent) -> ConsentView:
    """Record what she agreed to for one structure, which is thereby asked to the table.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: Only the sides of the hand-over ask her.
        ConsentMissing: Her agreement to the hand-over does not hold.
        InvalidInput: The structure cannot take part, or more is named than the hand-over's agreement.
        RecipientNotBound, SensitiveBasisMissing: The structure or the theme needs more.
    """
    seat = await seat_of(tx, asked, id_, lock="writing", act=Act.ASK)
    organisation, text = await _judged(tx, asked, seat, given)
    judging.judge_time(given, asked)
    facts = given.model_dump(mode="json", exclude=_APART) | {"notice": text}
    record = await _new_record(tx, asked, seat, organisation, given, facts)
    record.given_at = given.given_at
    state = await records.put_in_force(tx, record, asked)
    records.tell(tx, seat.referral, record, "given", asked)
    return views.consent_view(record, state, asked.now)


async def request_consent(tx: AsyncSession, asked: Asked, id_: UUID, wanted: ConferenceRequest) -> ConsentView:
    """Ask for her agreement by her own link; the structure learns of it when she has said yes.

    Raises:
        As `record_consent`.
    """
    seat = await seat_of(tx, asked, id_, lock="writing", act=Act.ASK)
    organisation, text = await _judged(tx, asked, seat, wanted)
    facts = wanted.model_dump(mode="json", exclude=_APART) | {"notice": text, **records.BY_LINK}
    record = await _new_record(tx, asked, seat, organisation, wanted, facts)
    state = await records.put_asked_for(tx, record, asked)
    records.tell(tx, seat.referral, record, "requested", asked)
    return views.consent_view(record, state, asked.now)


async def read_consent(tx: AsyncSession, asked: Asked, id_: UUID, consent_id: UUID) -> ConsentView:
    """Answer an agreement that the caller asked for, as it stands now.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    seat = await seat_of(tx, asked, id_, lock="reading", act=Act.ASK)
    for record, state in seat.consents:
        if record.id == consent_id:
            return views.consent_view(record, state, asked.now)
    raise NotFound(records.UNKNOWN)


_APART: Final = {*records.COLUMNS, "notice_version", "organisation_id"}
"""What a record keeps in columns of its own, or under another name."""


async def _judged(
    tx: AsyncSession, asked: Asked, seat: Seat, terms: ConferenceConsent | ConferenceRequest
) -> tuple[Organisation, dict[str, str]]:
    """Answer the structure that she is asked about and the notice, or refuse what cannot be.

    Raises:
        ConsentMissing, InvalidInput, RecipientNotBound, SensitiveBasisMissing: As `record_consent`.
    """
    handed = in_force(seat.referral, await store.consents.of_referral(tx, seat.referral.id))
    if handed is None or not handed.active(asked.now):
        raise ConsentMissing("Her agreement to the hand-over itself does not hold.", allowed_actions=sorted(seat.acts))
    found = []
    organisation = await organisation_of(tx, terms.organisation_id)
    if organisation is None or not may_confer(organisation, seat.referral):
        # One answer for every reason: what another structure is, is not for this one to try out.
        found.append(Fault("/organisation_id", "No structure of that id can take part in this conference."))
    elif len({part.organisation_id for part in seat.place.parts} | {organisation.id}) > MOST_PARTS:
        found.append(Fault("/organisation_id", f"More than {MOST_PARTS} structures are no conference."))
    if set(terms.purposes) != {Purpose.CASE_CONFERENCE}:
        found.append(Fault("/purposes", "This agreement is for the case conference alone."))
    if not set(terms.data_categories) <= handed.categories & set(OF_CATEGORY):
        names = ", ".join(sorted(handed.categories & set(OF_CATEGORY))) or "nothing"
        found.append(Fault("/data_categories", f"No more than she agreed to for the hand-over; here: {names}."))
    text = await judging.judge_terms(tx, seat.referral, terms, asked, found)
    if organisation is None:
        raise NotFound(store.conferences.UNKNOWN)
    unbound = sorted(BOUND_ONLY & set(terms.data_categories))
    if unbound and Secrecy(organisation.secrecy) is Secrecy.NONE:
        raise RecipientNotBound("Its staff is bound by no secrecy.", data_categories=unbound)
    judging.judge_basis(seat.referral, terms)
    return organisation, text


async def _new_record(  # noqa: PLR0913 - what an agreement is made of
    tx: AsyncSession, asked: Asked, seat: Seat, organisation: Organisation, terms: ConsentTerms, facts: dict[str, Any]
) -> ConsentRecord:
    """Answer the record, not stored yet; the structure gets its place, which shows it nothing before she agreed."""
    part = await store.conferences.part(tx, seat.conference.id, organisation.id)
    if part is None:
        tx.add(
            ConferencePart(
                conference_id=seat.conference.id, organisation_id=organisation.id, organisation=organisation.name,
                invited_at=asked.now,
            )
        )  # fmt: skip
    elif part.left_at is not None:
        part.invited_at, part.joined_at, part.left_at = asked.now, None, None
        part.counsellor = part.account_id = part.team_id = None
    opener = await organisation_of(tx, asked.organisation_id)
    return ConsentRecord(
        id=uuid4(),
        referral_id=seat.referral.id,
        conference_id=seat.conference.id,
        recipient_id=organisation.id,
        purposes=[str(Purpose.CASE_CONFERENCE)],
        data_categories=sorted(set(terms.data_categories)),
        valid_until=terms.valid_until,
        recorded_at=asked.now,
        record={
            "schema_version": records.SCHEMA_VERSION,
            "recipient": {"organisation_id": str(organisation.id), "name": organisation.name},
            "controllers": [
                records.controller(seat.own.organisation_id, seat.own.organisation, opener),
                records.controller(organisation.id, organisation.name, organisation),
            ],
            **facts,
        },
    )
