"""What is said at the table: messages, the meeting, decisions and what becomes of them."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store
from relais_referral.actions import drafting
from relais_referral.actions.common import (
    Asked,
    Shown,
    disclose,
    event,
    open_pieces,
    plain,
    refuse_numbers,
    seal_of,
    texts_of,
)
from relais_referral.actions.conferring.seats import given_to, seat_of, tell
from relais_referral.actions.conferring.showing import READER, decision_view, meeting_part, message_view, shown_to
from relais_referral.directory import Home, NamedService, Theme
from relais_referral.domain.conference import Act, Piece
from relais_referral.domain.handshake import Party
from relais_referral.domain.refusals import IllegalAction
from relais_referral.models.conferences import Decision
from relais_referral.models.conversation import Message
from relais_referral.models.referrals import Referral
from relais_referral.papers.calendar import Entry, calendar
from relais_referral.schemas.conferences import (
    ConferenceMeeting,
    ConferenceMessageView,
    ConferenceView,
    DecisionView,
    NewDecision,
)
from relais_referral.schemas.drafts import Draft
from relais_shared.refusals import Fault, InvalidInput, NotFound


async def write(tx: AsyncSession, asked: Asked, id_: UUID, words: str) -> ConferenceMessageView:
    """Write to all who take part, and to her.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: The caller does not take part, or nobody reads it now.
        PersonalDataDetected: A national number.
    """
    seat = await seat_of(tx, asked, id_, lock="writing", act=Act.WRITE)
    named = str((seat.own.counsellor or {}).get("name", ""))
    author = asked.actor.on_behalf_of or asked.actor.name or named
    return say(tx, asked, seat.place, words, author=author)


def say(
    tx: AsyncSession, asked: Asked, place: store.conferences.Place, words: str, *, author: str
) -> ConferenceMessageView:
    """Keep a message of whoever sits there, or of her."""
    refuse_numbers({"/words": words})
    own = place.own
    message = Message(
        id=uuid4(),
        referral_id=place.referral.id,
        conference_id=place.conference.id,
        at=asked.now,
        party="organisation" if own else Party.PERSON,
        organisation_id=own.organisation_id if own else None,
        author=author,
        early=False,
        content=b"",
    )
    message.content = seal_of(place.referral, asked).close(f"message.{message.id}", words)
    tx.add(message)
    event(tx, place.referral, asked, "conference.message", conference_id=str(place.conference.id))
    return message_view(message, words, {own.organisation_id: own.organisation} if own else {})


async def plan_meeting(tx: AsyncSession, asked: Asked, id_: UUID, meeting: ConferenceMeeting) -> ConferenceView:
    """Say when the conference meets, in place of what stood there; nobody is told why it moved.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: The caller does not take part.
        PersonalDataDetected: A national number.
    """
    refuse_numbers(texts_of(meeting.model_dump()))
    seat = await seat_of(tx, asked, id_, lock="writing", act=Act.PLAN_MEETING)
    name = meeting_part(id_)
    before = (await open_pieces(tx, seat.referral, [name], asked)).get(name)
    kept = {
        "says": plain(meeting),
        "sequence": before["sequence"] + 1 if before else 0,
        "changed_at": asked.now.isoformat(),
    }
    await store.sealed.seal(tx, seat.referral.id, name, seal_of(seat.referral, asked).close(name, kept))
    tell(tx, asked, seat, "meeting_planned")
    return await shown_to(tx, asked, seat)


async def meeting_file(tx: AsyncSession, asked: Asked, id_: UUID) -> bytes:
    """Answer the meeting as an iCalendar file that tells nothing of her; reading it is recorded.

    Raises:
        NotFound: Absent, not the caller's to know of, or no time stands yet.
    """
    seat = await seat_of(tx, asked, id_, lock="reading")
    name = meeting_part(id_)
    names = [name] if Piece.MEETING in seat.pieces else []
    kept = (await open_pieces(tx, seat.referral, names, asked)).get(name)
    meeting = ConferenceMeeting.model_validate(kept["says"]) if kept else None
    if kept is None or meeting is None or meeting.starts_at is None:
        raise NotFound("No meeting stands there yet.")
    disclose(tx, seat.referral, READER, [str(Piece.MEETING)], seat.consent, asked)
    # The hand-over's own short code is not for whoever takes part in the conference alone.
    entry = Entry(
        referral_id=str(id_),
        short_code=str(id_)[:8].upper(),
        starts_at=meeting.starts_at,
        mode=meeting.mode,
        sequence=kept["sequence"],
        stamped_at=datetime.fromisoformat(kept["changed_at"]),
        practice=seat.referral.practice,
    )
    return calendar([entry])


async def decide(tx: AsyncSession, asked: Asked, id_: UUID, decision: NewDecision) -> DecisionView:
    """Write down what was decided, and by which structures.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: The caller does not take part.
        InvalidInput: Somebody is named who does not take part.
        PersonalDataDetected: A national number.
    """
    refuse_numbers({"/words": decision.words})
    seat = await seat_of(tx, asked, id_, lock="writing", act=Act.DECIDE)
    here = [
        part.organisation_id
        for part in seat.place.parts
        if part.left_at is None
        and part.joined_at is not None
        and given_to(seat.referral, seat.consents, part.organisation_id, asked) is not None
    ]
    named = decision.organisations if decision.organisations is not None else here
    if not set(named) <= set(here):
        raise InvalidInput("Nobody decides who is not there.", [Fault("/organisations", "Name those who take part.")])
    content = {"words": decision.words, "decided_by": [str(one) for one in named], "with_her": decision.with_her}
    row = Decision(
        id=uuid4(),
        conference_id=id_,
        referral_id=seat.referral.id,
        at=asked.now,
        organisation_id=seat.own.organisation_id,
        content=b"",
    )
    row.content = seal_of(seat.referral, asked).close(f"decision.{row.id}", content)
    tx.add(row)
    tell(tx, asked, seat, "decided")
    structures = {part.organisation_id: part.organisation for part in seat.place.parts}
    return decision_view(row, content, structures, seat.own.organisation_id)


async def become_draft(  # noqa: PLR0913 - which decision of which conference, the draft, and what the directory knows
    tx: AsyncSession,
    asked: Asked,
    id_: UUID,
    decision_id: UUID,
    draft: Draft,
    service: NamedService | None,
    themes: Mapping[str, Theme],
    home: Home | None,
) -> Shown:
    """Turn a decision into a draft of the caller's own, which is then sent as any other: with her fresh agreement.

    Nothing is copied: the structure writes what it knows of her. The draft remembers the conference, for its sender.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: The caller does not take part, or the decision became a draft already.
        InvalidInput, PersonalDataDetected, AgreementMissing: As every draft.
    """
    seat = await seat_of(tx, asked, id_, lock="writing", act=Act.DRAFT)
    row = next((one for one in await store.conferences.decisions(tx, id_) if one.id == decision_id), None)
    if row is None:
        raise NotFound("There is no such decision, or it is not yours to know of.")
    if row.draft_id is not None:
        raise IllegalAction("This decision became a draft already.", allowed_actions=sorted(seat.acts))
    shown = await drafting.open_draft(tx, asked, draft, service, themes, home)
    new = await tx.get_one(Referral, shown.view.id)
    new.conference_id = id_
    row.draft_id, row.drafted_by = new.id, seat.own.organisation_id
    tell(tx, asked, seat, "drafted")
    shown.view.conference_id = id_
    return shown
