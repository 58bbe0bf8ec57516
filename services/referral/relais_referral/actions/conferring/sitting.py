"""Sitting at the table: a structure joins, leaves, and ends a case conference."""

from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral.actions.common import Asked, event, locked, plain, refuse_numbers, stands, texts_of
from relais_referral.actions.conferring.seats import may_confer, organisation_of, seat_of, tell
from relais_referral.actions.conferring.showing import read, shown_to
from relais_referral.actions.stepping import end_conference, leave_conference
from relais_referral.domain.conference import Act
from relais_referral.domain.consent import Status
from relais_referral.domain.handshake import Party, State
from relais_referral.domain.refusals import IllegalAction
from relais_referral.domain.visibility import OPEN
from relais_referral.models.conferences import Conference, ConferencePart
from relais_referral.schemas.conferences import ConferenceView
from relais_referral.schemas.drafts import Counsellor


async def open_conference(tx: AsyncSession, asked: Asked, referral_id: UUID, counsellor: Counsellor) -> ConferenceView:
    """Open a case conference about a hand-over; nobody takes part before she agreed to that structure.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: She is not taken over yet, or no more; or the caller may sanction.
    """
    referral, parties, _ = await locked(tx, asked, referral_id)
    organisation = await organisation_of(tx, asked.organisation_id)
    # The answer to a sender that may sanction is the same in every state.
    neutral = referral.sender_may_sanction and parties == {Party.SENDER}
    if neutral or organisation is None or not may_confer(organisation, referral):
        raise IllegalAction("Your structure takes part in no case conference.", allowed_actions=[])
    if State(referral.state) not in OPEN or referral.erased_at is not None:
        raise IllegalAction("A case conference is about somebody who was taken over.", allowed_actions=[])
    conference = Conference(
        id=uuid4(), referral_id=referral.id, opened_at=asked.now, opened_by=organisation.id, she_attends=False
    )
    tx.add(conference)
    await tx.flush()  # Its parts refer to it.
    part = ConferencePart(
        conference_id=conference.id, organisation_id=organisation.id, organisation=organisation.name,
        invited_at=asked.now,
    )  # fmt: skip
    _join(part, counsellor, asked)
    tx.add(part)
    event(tx, referral, asked, "conference.opened", conference_id=str(conference.id))
    await tx.flush()
    return await read(tx, asked, conference.id)


def _join(part: ConferencePart, counsellor: Counsellor, asked: Asked) -> None:
    refuse_numbers(texts_of(counsellor.model_dump(), "/counsellor"))
    part.counsellor, part.joined_at = plain(counsellor), asked.now
    part.account_id, part.team_id = asked.actor.user_id, next(iter(asked.actor.teams), None)


async def join(tx: AsyncSession, asked: Asked, id_: UUID, counsellor: Counsellor) -> ConferenceView:
    """Take part: a named colleague sits at the table, and reads from now on.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: A colleague takes part already.
    """
    seat = await seat_of(tx, asked, id_, lock="writing", act=Act.JOIN)
    _join(seat.own, counsellor, asked)
    tell(tx, asked, seat, "joined")
    await tx.flush()
    return await shown_to(tx, asked, await seat_of(tx, asked, id_, lock="writing"))


async def leave(tx: AsyncSession, asked: Asked, id_: UUID) -> None:
    """Leave: the structure reads nothing of it from now on, and her agreement for it ends.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    seat = await seat_of(tx, asked, id_, lock="writing", act=Act.LEAVE)
    last = None
    for record, state in seat.consents:
        if record.recipient_id == seat.own.organisation_id:
            last = last or record
            if state.status in {Status.GIVEN, Status.REQUESTED}:
                # She did not withdraw it: what it was given for is over.
                stands(state, Status.EXPIRED, asked.now)
    if last is not None:
        await leave_conference(tx, seat.referral, last, "left", asked)
        return
    tell(tx, asked, seat, "left")
    await tx.flush()  # Before it leaves, as `leave_conference` says.
    seat.own.left_at = asked.now


async def end(tx: AsyncSession, asked: Asked, id_: UUID) -> None:
    """End a conference: from now on no structure reads anything of it; she still does.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: Only she and the sides of the hand-over end it.
    """
    seat = await seat_of(tx, asked, id_, lock="writing", act=Act.END)
    await end_conference(tx, seat.referral, seat.conference, Status.EXPIRED, asked)
