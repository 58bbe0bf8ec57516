"""Case conferences: opened by a side of a hand-over, for those structures alone that she agreed to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store, store_conference, views
from relais_referral.actions import consenting, drafting
from relais_referral.actions.common import (
    Asked,
    Shown,
    disclose,
    event,
    in_force,
    locked,
    open_pieces,
    plain,
    refuse_numbers,
    seal_of,
    stands,
    texts_of,
)
from relais_referral.actions.stepping import end_conference, leave_conference
from relais_referral.directory import NamedService, Theme
from relais_referral.domain.conference import OF_CATEGORY, THREAD, Act, Piece, allowed, readable
from relais_referral.domain.consent import BOUND_ONLY, Consent, Purpose, Secrecy, Status
from relais_referral.domain.handshake import Party, State
from relais_referral.domain.refusals import ConsentMissing, IllegalAction, RecipientNotBound
from relais_referral.domain.visibility import OPEN
from relais_referral.models import (
    Conference,
    ConferencePart,
    ConsentRecord,
    ConsentState,
    Decision,
    Message,
    OrganisationCopy,
    Referral,
)
from relais_referral.papers.calendar import Entry, calendar
from relais_referral.schemas import ConsentTerms, ConsentView, Counsellor, Draft
from relais_referral.schemas_conference import (
    ConferenceConsent,
    ConferenceMeeting,
    ConferenceMessageView,
    ConferencePartView,
    ConferenceRequest,
    ConferenceView,
    DecisionView,
    NewDecision,
)
from relais_shared.refusals import Fault, InvalidInput, NotFound
from relais_shared.registry import Organisation, known

SEALED_UNDER: Final[Mapping[Piece, tuple[str, ...]]] = {
    Piece.IDENTITY: ("identity",),
    Piece.NEEDS: ("needs", "goal_words", "resources"),
    Piece.SITUATION: ("situation",),
}
"""Which sealed pieces of the hand-over a piece of the conference needs."""

MOST_PARTS: Final = 20
"""Structures of one conference: more than ever sit around one table."""

NOT_NOW: Final = "This cannot be done now."

_READER: Final = frozenset({Party.RECIPIENT})
"""As what a structure reads here: by her agreement alone, whatever it is in the hand-over."""

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

    place: store_conference.Place
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


async def _seat(tx: AsyncSession, asked: Asked, id_: UUID, *, lock: Lock, act: Act | None = None) -> Seat:
    """Answer the caller's seat, her agreements read under the lock of the hand-over.

    Raises:
        NotFound: Absent, ended, or nothing that she agreed that the caller knows of.
        IllegalAction: The act is not the caller's now.
    """
    await store.begin(tx, asked.caller)
    place = await store_conference.find(tx, id_, asked.caller, lock=lock)
    own = place.own
    if own is None or not _may_confer(await _organisation(tx, asked.organisation_id), place.referral):
        raise NotFound(store_conference.UNKNOWN)
    write, look = lock == "writing", lock == "reading"
    handed = in_force(place.referral, await store.consents(tx, place.referral.id, lock=write, reading=look))
    consents = await store.consents(tx, place.referral.id, conference_id=id_, lock=write, reading=look)
    consent = _given(place.referral, consents, own.organisation_id, asked)
    pieces = readable(
        State(place.referral.state),
        agreed=consent.categories if consent else None,
        handed=handed.categories if handed and handed.active(asked.now) else None,
        joined=own.joined_at is not None,
        opener=place.conference.opened_by == own.organisation_id,
    )
    if Piece.FRAME not in pieces or place.referral.erased_at is not None:
        raise NotFound(store_conference.UNKNOWN)
    acts = allowed(pieces, joined=own.joined_at is not None, side=bool(place.parties))
    if act is not None and act not in acts:
        raise IllegalAction(NOT_NOW, allowed_actions=sorted(acts))
    return Seat(place, own, consent, pieces, acts, consents)


def _given(referral: Referral, rows: Consents, organisation_id: UUID, asked: Asked) -> Consent | None:
    """Answer her agreement for a structure in a conference, where it holds now."""
    for record, state in rows:
        if record.recipient_id == organisation_id and state.status == Status.GIVEN:
            consent = store.consent_of(referral, record, state)
            if consent.active(asked.now) and Purpose.CASE_CONFERENCE in consent.purposes:
                return consent
    return None


async def _organisation(tx: AsyncSession, id_: UUID) -> Organisation | None:
    return await known(tx, OrganisationCopy, id_)


def _may_confer(organisation: Organisation | None, referral: Referral) -> bool:
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
        and bool(store_conference.SCOPES & set(organisation.scopes))
        and organisation.practice == referral.practice
    )


async def open_conference(tx: AsyncSession, asked: Asked, referral_id: UUID, counsellor: Counsellor) -> ConferenceView:
    """Open a case conference about a hand-over; nobody takes part before she agreed to that structure.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: She is not taken over yet, or no more; or the caller may sanction.
    """
    referral, parties, _ = await locked(tx, asked, referral_id)
    organisation = await _organisation(tx, asked.organisation_id)
    # The answer to a sender that may sanction is the same in every state.
    neutral = referral.sender_may_sanction and parties == {Party.SENDER}
    if neutral or organisation is None or not _may_confer(organisation, referral):
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


async def record_consent(tx: AsyncSession, asked: Asked, id_: UUID, given: ConferenceConsent) -> ConsentView:
    """Record what she agreed to for one structure, which is thereby asked to the table.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: Only the sides of the hand-over ask her.
        ConsentMissing: Her agreement to the hand-over does not hold.
        InvalidInput: The structure cannot take part, or more is named than the hand-over's agreement.
        RecipientNotBound, SensitiveBasisMissing: The structure or the theme needs more.
    """
    seat = await _seat(tx, asked, id_, lock="writing", act=Act.ASK)
    organisation, text = await _judged(tx, asked, seat, given)
    consenting.judge_time(given, asked)
    facts = given.model_dump(mode="json", exclude=_APART) | {"notice": text}
    record = await _new_record(tx, asked, seat, organisation, given, facts)
    record.given_at = given.given_at
    state = await consenting.put_in_force(tx, record, asked)
    consenting.tell(tx, seat.referral, record, "given", asked)
    return views.consent_view(record, state, asked.now)


async def request_consent(tx: AsyncSession, asked: Asked, id_: UUID, wanted: ConferenceRequest) -> ConsentView:
    """Ask for her agreement by her own link; the structure learns of it when she has said yes.

    Raises:
        As `record_consent`.
    """
    seat = await _seat(tx, asked, id_, lock="writing", act=Act.ASK)
    organisation, text = await _judged(tx, asked, seat, wanted)
    facts = wanted.model_dump(mode="json", exclude=_APART) | {"notice": text, **consenting.BY_LINK}
    record = await _new_record(tx, asked, seat, organisation, wanted, facts)
    state = await consenting.put_asked_for(tx, record, asked)
    consenting.tell(tx, seat.referral, record, "requested", asked)
    return views.consent_view(record, state, asked.now)


async def read_consent(tx: AsyncSession, asked: Asked, id_: UUID, consent_id: UUID) -> ConsentView:
    """Answer an agreement that the caller asked for, as it stands now.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    seat = await _seat(tx, asked, id_, lock="reading", act=Act.ASK)
    for record, state in seat.consents:
        if record.id == consent_id:
            return views.consent_view(record, state, asked.now)
    raise NotFound(consenting.UNKNOWN)


_APART: Final = {*consenting.COLUMNS, "notice_version", "organisation_id"}
"""What a record keeps in columns of its own, or under another name."""


async def _judged(
    tx: AsyncSession, asked: Asked, seat: Seat, terms: ConferenceConsent | ConferenceRequest
) -> tuple[Organisation, dict[str, str]]:
    """Answer the structure that she is asked about and the notice, or refuse what cannot be.

    Raises:
        ConsentMissing, InvalidInput, RecipientNotBound, SensitiveBasisMissing: As `record_consent`.
    """
    handed = in_force(seat.referral, await store.consents(tx, seat.referral.id))
    if handed is None or not handed.active(asked.now):
        raise ConsentMissing("Her agreement to the hand-over itself does not hold.", allowed_actions=sorted(seat.acts))
    found = []
    organisation = await _organisation(tx, terms.organisation_id)
    if organisation is None or not _may_confer(organisation, seat.referral):
        # One answer for every reason: what another structure is, is not for this one to try out.
        found.append(Fault("/organisation_id", "No structure of that id can take part in this conference."))
    elif len({part.organisation_id for part in seat.place.parts} | {organisation.id}) > MOST_PARTS:
        found.append(Fault("/organisation_id", f"More than {MOST_PARTS} structures are no conference."))
    if set(terms.purposes) != {Purpose.CASE_CONFERENCE}:
        found.append(Fault("/purposes", "This agreement is for the case conference alone."))
    if not set(terms.data_categories) <= handed.categories & set(OF_CATEGORY):
        names = ", ".join(sorted(handed.categories & set(OF_CATEGORY))) or "nothing"
        found.append(Fault("/data_categories", f"No more than she agreed to for the hand-over; here: {names}."))
    text = await consenting.judge_terms(tx, seat.referral, terms, asked, found)
    if organisation is None:
        raise NotFound(store_conference.UNKNOWN)
    unbound = sorted(BOUND_ONLY & set(terms.data_categories))
    if unbound and Secrecy(organisation.secrecy) is Secrecy.NONE:
        raise RecipientNotBound("Its staff is bound by no secrecy.", data_categories=unbound)
    consenting.judge_basis(seat.referral, terms)
    return organisation, text


async def _new_record(  # noqa: PLR0913 - what an agreement is made of
    tx: AsyncSession, asked: Asked, seat: Seat, organisation: Organisation, terms: ConsentTerms, facts: dict[str, Any]
) -> ConsentRecord:
    """Answer the record, not stored yet; the structure gets its place, which shows it nothing before she agreed."""
    part = await store_conference.part(tx, seat.conference.id, organisation.id)
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
    opener = await _organisation(tx, asked.organisation_id)
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
            "schema_version": consenting.SCHEMA_VERSION,
            "recipient": {"organisation_id": str(organisation.id), "name": organisation.name},
            "controllers": [
                consenting.controller(seat.own.organisation_id, seat.own.organisation, opener),
                consenting.controller(organisation.id, organisation.name, organisation),
            ],
            **facts,
        },
    )


async def list_conferences(tx: AsyncSession, asked: Asked, limit: int) -> list[ConferenceView]:
    """Answer the living conferences in which the caller has a place, the newest first; nothing of hers is opened."""
    await store.begin(tx, asked.caller)
    found = []
    for id_ in await store_conference.of_organisation(tx, asked.organisation_id, limit):
        try:
            seat = await _seat(tx, asked, id_, lock="no")
        except NotFound:
            # Asked to the table, and not agreed to by her, or a colleague's.
            continue
        found.append(_frame(seat, asked))
    return found


async def read(tx: AsyncSession, asked: Asked, id_: UUID) -> ConferenceView:
    """Answer a conference as the caller may see it now; what is opened of hers is recorded with it.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    return await _shown(tx, asked, await _seat(tx, asked, id_, lock="reading"))


async def _shown(tx: AsyncSession, asked: Asked, seat: Seat) -> ConferenceView:
    """Represent a conference for the structure whose seat it is, and record what of hers was opened."""
    await tx.flush()
    fields = await _content(tx, asked, seat.place, seat.pieces, seat.own.organisation_id)
    opened = {
        str(piece)
        for piece in seat.pieces - {Piece.FRAME}
        if any(fields.get(name) for name in SEALED_UNDER.get(piece, (str(piece),)))
    }
    disclose(tx, seat.referral, _READER, sorted(opened), seat.consent, asked)
    return _frame(seat, asked).model_copy(update=fields)


async def _content(
    tx: AsyncSession, asked: Asked, place: store_conference.Place, pieces: frozenset[Piece], reader: UUID | None
) -> dict[str, Any]:
    """Answer what stands in a conference, opened, by the view's fields.

    Args:
        tx: The hand-over locked.
        asked: Who reads.
        place: The conference.
        pieces: What its reader may read.
        reader: The structure that reads; None where she does.
    """
    referral = place.referral
    names = [name for piece in pieces for name in SEALED_UNDER.get(piece, ())]
    if Piece.MEETING in pieces:
        names.append(_meeting(place.conference.id))
    # A line that she hid from the other side is hidden from every structure here.
    found = views.seen(await open_pieces(tx, referral, names, asked), _READER)
    meeting = found.pop(_meeting(place.conference.id), None)
    if meeting is not None:
        found["meeting"] = meeting["says"]
    messages = await store.messages(tx, referral.id, place.conference.id) if Piece.MESSAGES in pieces else []
    decisions = await store_conference.decisions(tx, place.conference.id) if Piece.DECISIONS in pieces else []
    if messages or decisions:
        seal, structures = seal_of(referral, asked), {part.organisation_id: part.organisation for part in place.parts}
        found["messages"] = [
            _message(row, seal.open(f"message.{row.id}", bytes(row.content)), structures) for row in messages
        ]
        found["decisions"] = [
            _decision(row, seal.open(f"decision.{row.id}", bytes(row.content)), structures, reader) for row in decisions
        ]
    return found


def _meeting(conference_id: UUID) -> str:
    """Answer under which name a conference's meeting is sealed."""
    return f"conference.{conference_id}.meeting"


def _message(row: Message, words: str, structures: Mapping[UUID, str]) -> ConferenceMessageView:
    return ConferenceMessageView(
        id=row.id,
        at=row.at,
        organisation_id=row.organisation_id,
        organisation=structures.get(row.organisation_id) if row.organisation_id else None,
        author=row.author,
        words=words,
    )


def _decision(
    row: Decision, content: Mapping[str, Any], structures: Mapping[UUID, str], reader: UUID | None
) -> DecisionView:
    own = {"draft_id": row.draft_id, "drafted": row.draft_id is not None} if reader == row.drafted_by else {}
    if reader is None:
        own = {"drafted": row.draft_id is not None}
    return DecisionView(
        id=row.id,
        at=row.at,
        organisation_id=row.organisation_id,
        decided_by=[structures[UUID(id_)] for id_ in content["decided_by"]],
        with_her=content["with_her"],
        words=content["words"],
        **own,
    )


def _frame(seat: Seat, asked: Asked) -> ConferenceView:
    """Represent what a structure knows of a conference before anything of hers is opened.

    Of the others it reads those alone to whom she agreed; whoever opened it also what it asked her.
    """
    opener = seat.conference.opened_by == seat.own.organisation_id
    shown = [
        part
        for part in seat.place.parts
        if part.left_at is None
        and (opener or _given(seat.referral, seat.consents, part.organisation_id, asked) is not None)
    ]
    more: dict[str, Any] = {"referral_id": seat.referral.id} if seat.place.parties else {}
    if seat.consent is not None:
        more |= {"data_categories": sorted(seat.consent.categories), "valid_until": seat.consent.valid_until}
    return ConferenceView(
        **_outline(seat.place, shown),
        organisations=[_part(part, seat.consents if opener else ()) for part in shown],
        allowed_actions=sorted(seat.acts),
        **more,
    )


def _outline(place: store_conference.Place, shown: Sequence[ConferencePart]) -> dict[str, Any]:
    opened_by = place.conference.opened_by
    return {
        "id": place.conference.id,
        "practice": place.referral.practice,
        "opened_at": place.conference.opened_at,
        "opened_by": next((part.organisation for part in shown if part.organisation_id == opened_by), None),
        "she_attends": place.conference.she_attends,
    }


def _part(part: ConferencePart, consents: Consents) -> ConferencePartView:
    """Represent a structure; with how her newest agreement for it stands, where the reader is told."""
    status = next((state.status for record, state in consents if record.recipient_id == part.organisation_id), None)
    return ConferencePartView(
        organisation_id=part.organisation_id,
        name=part.organisation,
        counsellor=part.counsellor,
        joined_at=part.joined_at,
        left_at=part.left_at,
        status=status,
    )


async def join(tx: AsyncSession, asked: Asked, id_: UUID, counsellor: Counsellor) -> ConferenceView:
    """Take part: a named colleague sits at the table, and reads from now on.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: A colleague takes part already.
    """
    seat = await _seat(tx, asked, id_, lock="writing", act=Act.JOIN)
    _join(seat.own, counsellor, asked)
    _tell(tx, asked, seat, "joined")
    await tx.flush()
    return await _shown(tx, asked, await _seat(tx, asked, id_, lock="writing"))


async def leave(tx: AsyncSession, asked: Asked, id_: UUID) -> None:
    """Leave: the structure reads nothing of it from now on, and her agreement for it ends.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    seat = await _seat(tx, asked, id_, lock="writing", act=Act.LEAVE)
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
    _tell(tx, asked, seat, "left")
    await tx.flush()  # Before it leaves, as `leave_conference` says.
    seat.own.left_at = asked.now


async def end(tx: AsyncSession, asked: Asked, id_: UUID) -> None:
    """End a conference: from now on no structure reads anything of it; she still does.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: Only she and the sides of the hand-over end it.
    """
    seat = await _seat(tx, asked, id_, lock="writing", act=Act.END)
    await end_conference(tx, seat.referral, seat.conference, Status.EXPIRED, asked)


async def write(tx: AsyncSession, asked: Asked, id_: UUID, words: str) -> ConferenceMessageView:
    """Write to all who take part, and to her.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: The caller does not take part, or nobody reads it now.
        PersonalDataDetected: A national number.
    """
    seat = await _seat(tx, asked, id_, lock="writing", act=Act.WRITE)
    named = str((seat.own.counsellor or {}).get("name", ""))
    author = asked.actor.on_behalf_of or asked.actor.name or named
    return _say(tx, asked, seat.place, words, author=author)


def _say(
    tx: AsyncSession, asked: Asked, place: store_conference.Place, words: str, *, author: str
) -> ConferenceMessageView:
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
    return _message(message, words, {own.organisation_id: own.organisation} if own else {})


async def plan_meeting(tx: AsyncSession, asked: Asked, id_: UUID, meeting: ConferenceMeeting) -> ConferenceView:
    """Say when the conference meets, in place of what stood there; nobody is told why it moved.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: The caller does not take part.
        PersonalDataDetected: A national number.
    """
    refuse_numbers(texts_of(meeting.model_dump()))
    seat = await _seat(tx, asked, id_, lock="writing", act=Act.PLAN_MEETING)
    name = _meeting(id_)
    before = (await open_pieces(tx, seat.referral, [name], asked)).get(name)
    kept = {
        "says": plain(meeting),
        "sequence": before["sequence"] + 1 if before else 0,
        "changed_at": asked.now.isoformat(),
    }
    await store.seal(tx, seat.referral.id, name, seal_of(seat.referral, asked).close(name, kept))
    _tell(tx, asked, seat, "meeting_planned")
    return await _shown(tx, asked, seat)


async def meeting_file(tx: AsyncSession, asked: Asked, id_: UUID) -> bytes:
    """Answer the meeting as an iCalendar file that tells nothing of her; reading it is recorded.

    Raises:
        NotFound: Absent, not the caller's to know of, or no time stands yet.
    """
    seat = await _seat(tx, asked, id_, lock="reading")
    name = _meeting(id_)
    names = [name] if Piece.MEETING in seat.pieces else []
    kept = (await open_pieces(tx, seat.referral, names, asked)).get(name)
    meeting = ConferenceMeeting.model_validate(kept["says"]) if kept else None
    if kept is None or meeting is None or meeting.starts_at is None:
        raise NotFound("No meeting stands there yet.")
    disclose(tx, seat.referral, _READER, [str(Piece.MEETING)], seat.consent, asked)
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
    seat = await _seat(tx, asked, id_, lock="writing", act=Act.DECIDE)
    here = [
        part.organisation_id
        for part in seat.place.parts
        if part.left_at is None
        and part.joined_at is not None
        and _given(seat.referral, seat.consents, part.organisation_id, asked) is not None
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
    _tell(tx, asked, seat, "decided")
    structures = {part.organisation_id: part.organisation for part in seat.place.parts}
    return _decision(row, content, structures, seat.own.organisation_id)


async def become_draft(  # noqa: PLR0913 - which decision of which conference, the draft, and what the directory knows
    tx: AsyncSession,
    asked: Asked,
    id_: UUID,
    decision_id: UUID,
    draft: Draft,
    service: NamedService | None,
    themes: Mapping[str, Theme],
) -> Shown:
    """Turn a decision into a draft of the caller's own, which is then sent as any other: with her fresh agreement.

    Nothing is copied: the structure writes what it knows of her. The draft remembers the conference, for its sender.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: The caller does not take part, or the decision became a draft already.
        InvalidInput, PersonalDataDetected, AgreementMissing: As every draft.
    """
    seat = await _seat(tx, asked, id_, lock="writing", act=Act.DRAFT)
    row = next((one for one in await store_conference.decisions(tx, id_) if one.id == decision_id), None)
    if row is None:
        raise NotFound("There is no such decision, or it is not yours to know of.")
    if row.draft_id is not None:
        raise IllegalAction("This decision became a draft already.", allowed_actions=sorted(seat.acts))
    shown = await drafting.open_draft(tx, asked, draft, service, themes)
    new = await tx.get_one(Referral, shown.view.id)
    new.conference_id = id_
    row.draft_id, row.drafted_by = new.id, seat.own.organisation_id
    _tell(tx, asked, seat, "drafted")
    shown.view.conference_id = id_
    return shown


def _tell(tx: AsyncSession, asked: Asked, seat: Seat, what: str) -> None:
    event(tx, seat.referral, asked, f"conference.{what}", conference_id=str(seat.conference.id))


async def for_her(tx: AsyncSession, asked: Asked, referral_id: UUID) -> list[ConferenceView]:
    """Answer every conference about a hand-over of hers, ended ones too, whole: what she reads is no disclosure.

    Raises:
        NotFound: Absent, or not hers.
    """
    found = []
    for conference in await store_conference.of_referral(tx, referral_id):
        place = await store_conference.find(tx, conference.id, asked.caller, lock="reading")
        consents = await store.consents(tx, referral_id, conference_id=conference.id, reading=True)
        view = ConferenceView(
            **_outline(place, place.parts),
            referral_id=referral_id,
            ended_at=place.conference.ended_at,
            organisations=[_part(part, consents) for part in place.parts],
            consents=[views.consent_view(record, state, asked.now) for record, state in consents],
            allowed_actions=[] if place.conference.ended_at else ["attend", "end", "write"],
        )
        found.append(view.model_copy(update=await _content(tx, asked, place, THREAD, None)))
    return found


async def consents_for_her(tx: AsyncSession, referral_id: UUID) -> Consents:
    """Answer every agreement for a conference about a hand-over of hers."""
    rows = await store.consents(tx, referral_id, conference_id="every")
    return [(record, state) for record, state in rows if record.conference_id is not None]


async def _hers(tx: AsyncSession, asked: Asked, id_: UUID) -> store_conference.Place:
    """Lock a living conference of hers.

    Raises:
        NotFound: Absent, or not hers.
        IllegalAction: It has ended.
    """
    await store.begin(tx, asked.caller)
    place = await store_conference.find(tx, id_, asked.caller, lock="writing")
    if place.conference.ended_at is not None or place.referral.erased_at is not None:
        raise IllegalAction("This has ended.", allowed_actions=[])
    return place


async def attend(tx: AsyncSession, asked: Asked, id_: UUID, *, attends: bool) -> None:
    """Let her say that she takes part herself, or not any more; who takes part sees it.

    Raises:
        NotFound, IllegalAction: Absent, not hers, or ended.
    """
    place = await _hers(tx, asked, id_)
    if place.conference.she_attends != attends:
        place.conference.she_attends = attends
        event(tx, place.referral, asked, "conference.attended", conference_id=str(id_))


async def write_as_her(tx: AsyncSession, asked: Asked, id_: UUID, words: str) -> ConferenceMessageView:
    """Write to all who take part, as she herself.

    Raises:
        NotFound, IllegalAction: Absent, not hers, or ended.
        PersonalDataDetected: A national number.
    """
    return _say(tx, asked, await _hers(tx, asked, id_), words, author="person")


async def end_as_her(tx: AsyncSession, asked: Asked, id_: UUID, method: str) -> None:
    """End a conference at her word; ending it twice is no fault.

    Raises:
        NotFound: Absent, or not hers.
    """
    await store.begin(tx, asked.caller)
    place = await store_conference.find(tx, id_, asked.caller, lock="writing")
    await end_conference(tx, place.referral, place.conference, Status.WITHDRAWN, asked, method=method)


async def send_away(tx: AsyncSession, asked: Asked, id_: UUID, organisation_id: UUID, method: str) -> None:
    """Stop one structure's part at her word; it reads nothing of it from now on. Twice is no fault.

    Raises:
        NotFound: Absent, not hers, or that structure was never asked for.
    """
    await store.begin(tx, asked.caller)
    place = await store_conference.find(tx, id_, asked.caller, lock="writing")
    part = next((one for one in place.parts if one.organisation_id == organisation_id), None)
    if part is None:
        raise NotFound(store_conference.UNKNOWN)
    last = None
    for record, state in await store.consents(tx, place.referral.id, conference_id=id_, lock=True):
        if record.recipient_id == organisation_id:
            last = last or record
            if state.status in {Status.GIVEN, Status.REQUESTED}:
                stands(state, Status.WITHDRAWN, asked.now)
                state.withdrawal_method = method
    if part.left_at is not None:
        return
    if last is not None:
        await leave_conference(tx, place.referral, last, "left", asked)
    else:
        event(tx, place.referral, asked, "conference.left", conference_id=str(id_))
        part.left_at = asked.now
