"""A case conference as its reader may see it; what is opened of hers is recorded."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store, views
from relais_referral.actions.common import Asked, disclose, open_pieces, seal_of
from relais_referral.actions.conferring.seats import Consents, Seat, given_to, seat_of
from relais_referral.domain.conference import Piece
from relais_referral.domain.handshake import Party
from relais_referral.models.conferences import ConferencePart, Decision
from relais_referral.models.conversation import Message
from relais_referral.schemas.conferences import ConferenceMessageView, ConferencePartView, ConferenceView, DecisionView
from relais_shared.refusals import NotFound

SEALED_UNDER: Final[Mapping[Piece, tuple[str, ...]]] = {
    Piece.IDENTITY: ("identity",),
    Piece.NEEDS: ("needs", "goal_words", "resources"),
    Piece.SITUATION: ("situation",),
}
"""Which sealed pieces of the hand-over a piece of the conference needs."""

READER: Final = frozenset({Party.RECIPIENT})
"""As what a structure reads here: by her agreement alone, whatever it is in the hand-over."""


async def list_conferences(tx: AsyncSession, asked: Asked, limit: int) -> list[ConferenceView]:
    """Answer the living conferences in which the caller has a place, the newest first; nothing of hers is opened."""
    await store.callers.begin(tx, asked.caller)
    found = []
    for id_ in await store.conferences.of_organisation(tx, asked.organisation_id, limit):
        try:
            seat = await seat_of(tx, asked, id_, lock="no")
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
    return await shown_to(tx, asked, await seat_of(tx, asked, id_, lock="reading"))


async def shown_to(tx: AsyncSession, asked: Asked, seat: Seat) -> ConferenceView:
    """Represent a conference for the structure whose seat it is, and record what of hers was opened."""
    await tx.flush()
    fields = await content_of(tx, asked, seat.place, seat.pieces, seat.own.organisation_id)
    opened = {
        str(piece)
        for piece in seat.pieces - {Piece.FRAME}
        if any(fields.get(name) for name in SEALED_UNDER.get(piece, (str(piece),)))
    }
    disclose(tx, seat.referral, READER, sorted(opened), seat.consent, asked)
    return _frame(seat, asked).model_copy(update=fields)


async def content_of(
    tx: AsyncSession, asked: Asked, place: store.conferences.Place, pieces: frozenset[Piece], reader: UUID | None
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
        names.append(meeting_part(place.conference.id))
    # A line that she hid from the other side is hidden from every structure here.
    found = views.seen(await open_pieces(tx, referral, names, asked), READER)
    meeting = found.pop(meeting_part(place.conference.id), None)
    if meeting is not None:
        found["meeting"] = meeting["says"]
    messages = (
        await store.conversation.messages(tx, referral.id, place.conference.id) if Piece.MESSAGES in pieces else []
    )
    decisions = await store.conferences.decisions(tx, place.conference.id) if Piece.DECISIONS in pieces else []
    if messages or decisions:
        seal, structures = seal_of(referral, asked), {part.organisation_id: part.organisation for part in place.parts}
        found["messages"] = [
            message_view(row, seal.open(f"message.{row.id}", bytes(row.content)), structures) for row in messages
        ]
        found["decisions"] = [
            decision_view(row, seal.open(f"decision.{row.id}", bytes(row.content)), structures, reader)
            for row in decisions
        ]
    return found


def meeting_part(conference_id: UUID) -> str:
    """Answer under which name a conference's meeting is sealed."""
    return f"conference.{conference_id}.meeting"


def message_view(row: Message, words: str, structures: Mapping[UUID, str]) -> ConferenceMessageView:
    """Represent a message, opened."""
    return ConferenceMessageView(
        id=row.id,
        at=row.at,
        organisation_id=row.organisation_id,
        organisation=structures.get(row.organisation_id) if row.organisation_id else None,
        author=row.author,
        words=words,
    )


def decision_view(
    row: Decision, content: Mapping[str, Any], structures: Mapping[UUID, str], reader: UUID | None
) -> DecisionView:
    """Represent a decision, opened; what became of it is its sender's to know, and hers."""
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
        and (opener or given_to(seat.referral, seat.consents, part.organisation_id, asked) is not None)
    ]
    more: dict[str, Any] = {"referral_id": seat.referral.id} if seat.place.parties else {}
    if seat.consent is not None:
        more |= {"data_categories": sorted(seat.consent.categories), "valid_until": seat.consent.valid_until}
    return ConferenceView(
        **outline(seat.place, shown),
        organisations=[part_view(part, seat.consents if opener else ()) for part in shown],
        allowed_actions=sorted(seat.acts),
        **more,
    )


def outline(place: store.conferences.Place, shown: Sequence[ConferencePart]) -> dict[str, Any]:
    """Answer what everybody reads of a conference who reads it at all."""
    opened_by = place.conference.opened_by
    return {
        "id": place.conference.id,
        "practice": place.referral.practice,
        "opened_at": place.conference.opened_at,
        "opened_by": next((part.organisation for part in shown if part.organisation_id == opened_by), None),
        "she_attends": place.conference.she_attends,
    }


def part_view(part: ConferencePart, consents: Consents) -> ConferencePartView:
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
