"""What the two sides say to each other: messages, documents, tasks, and whose a referral is."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral import store, views
from relais_referral.actions.common import (
    NO_NUMBER,
    Asked,
    disclose,
    event,
    locked,
    moved,
    open_pieces,
    opened_parts,
    refuse_texts,
    seal_of,
)
from relais_referral.directory import Wanted
from relais_referral.domain import documents
from relais_referral.domain.handshake import ENDED, WAITING, Party, State
from relais_referral.domain.refusals import ConsentMissing, IllegalAction
from relais_referral.domain.visibility import Category, Part
from relais_referral.models.conversation import Document, Message, Task
from relais_referral.models.referrals import Referral
from relais_referral.papers.calendar import Entry
from relais_referral.schemas.conversation import DocumentView, MeetingView, MessageView, TaskDone, TaskView
from relais_referral.schemas.drafts import Identity
from relais_referral.schemas.referrals import Assignment
from relais_shared import texts
from relais_shared.refusals import Fault, InvalidInput, NotFound

MOST_ENTRIES: Final = 200
"""Planned meetings in a feed: more than one team holds at a time, and few enough to open each."""
NO_TASK: Final = "There is no such task, or it is not yours to know of."
NO_DOCUMENT: Final = "There is no such document, or it is not yours to know of."


async def write_message(tx: AsyncSession, asked: Asked, id_: UUID, words: str) -> MessageView:
    """Write to the other side; before acceptance nothing that tells who she is.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: Nobody reads it: a draft, an ended referral, or the thread is not this side's.
        PersonalDataDetected: The text tells more than it may.
    """
    referral, parties, _ = await locked(tx, asked, id_)
    parts, _consent = await opened_parts(tx, referral, parties, asked)
    state = State(referral.state)
    if Part.MESSAGES not in parts or state in ENDED | {State.DRAFT} or referral.erased_at is not None:
        raise IllegalAction("There is nobody to write to now.", allowed_actions=[])
    early = state in WAITING
    await judge_words(tx, asked, referral, words, early=early)
    party = min(parties, key=list(Party).index)
    message = Message(
        id=uuid4(),
        referral_id=id_,
        at=asked.now,
        party=party,
        organisation_id=_organisation(referral, party),
        author=_author(referral, party, asked),
        early=early,
        content=b"",
    )
    message.content = seal_of(referral, asked).close(f"message.{message.id}", words)
    tx.add(message)
    event(tx, referral, asked, "message.written", message_id=str(message.id))
    moved(referral, asked, by=party)
    return _message(message, words)


async def judge_words(tx: AsyncSession, asked: Asked, referral: Referral, words: str, *, early: bool) -> None:
    """Refuse what tells who she is where it is read before acceptance, and a national number anywhere."""
    if early:
        identity = (await open_pieces(tx, referral, ["identity"], asked)).get("identity")
        names = Identity.model_validate(identity).names() if identity else []
        if what := texts.telling(words, names):
            refuse_texts([Fault("/words", f"This is read before anybody takes over and holds {what}: leave it out.")])
    elif texts.national_number(words):
        refuse_texts([Fault("/words", NO_NUMBER)])


async def read_messages(tx: AsyncSession, asked: Asked, id_: UUID) -> list[MessageView]:
    """Answer the thread as its reader may see it now; reading it is recorded.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    await store.callers.begin(tx, asked.caller)
    referral, parties = await store.referrals.lock(tx, id_, asked.caller, reading=True)
    parts, consent = await opened_parts(tx, referral, parties, asked)
    if Part.MESSAGES not in parts or referral.erased_at is not None:
        return []
    # Taken back to before acceptance, the recipient reads what was written for that time alone.
    early_only = parties == {Party.RECIPIENT} and State(referral.state) in WAITING
    rows = [row for row in await store.conversation.messages(tx, id_) if row.early or not early_only]
    if not rows:
        return []
    seal = seal_of(referral, asked)
    disclose(tx, referral, parties, ["messages"], consent, asked)
    return [_message(row, seal.open(f"message.{row.id}", bytes(row.content))) for row in rows]


def _message(row: Message, words: str) -> MessageView:
    return MessageView(
        id=row.id, at=row.at, party=row.party, organisation_id=row.organisation_id, author=row.author, words=words
    )


async def add_document(  # noqa: PLR0913 - the document, by whom, for what
    tx: AsyncSession, asked: Asked, id_: UUID, title: str, media_type: str, content: bytes
) -> DocumentView:
    """Keep a small document, sealed; the other side reads it under her consent to `documents`, after acceptance.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: The referral has ended.
        ConsentMissing: The recipient may add nothing that her consent does not open to it.
        InvalidInput: It is too large, or not what it says.
        PersonalDataDetected: Its title holds a national number.
    """
    referral, parties, _ = await locked(tx, asked, id_)
    parts, _consent = await opened_parts(tx, referral, parties, asked)
    # To a sender that may sanction, closed is one ending among others.
    over = ENDED | {State.CLOSED} if views.neutral(referral, parties) else ENDED
    if State(referral.state) in over or referral.erased_at is not None:
        raise IllegalAction("Nothing is added to what has ended.", allowed_actions=[])
    if Part.DOCUMENTS not in parts:
        raise ConsentMissing("Her consent does not open documents here.", allowed_actions=[])
    if found := documents.fault(media_type, content):
        raise InvalidInput("This document cannot be taken.", [Fault("", found)])
    if texts.national_number(title):
        refuse_texts([Fault("?title", NO_NUMBER)])
    party = min(parties, key=list(Party).index)
    seal = seal_of(referral, asked)
    new = uuid4()
    tx.add(
        Document(
            id=new,
            referral_id=id_,
            at=asked.now,
            party=party,
            organisation_id=_organisation(referral, party),
            media_type=media_type,
            size=len(content),
            about=seal.close(f"document.{new}.about", {"title": title}),
            content=seal.close_bytes(f"document.{new}", content),
        )
    )
    event(tx, referral, asked, "document.added", document_id=str(new))
    moved(referral, asked, by=party)
    return DocumentView(
        id=new,
        at=asked.now,
        party=party,
        organisation_id=_organisation(referral, party),
        media_type=media_type,
        size=len(content),
        title=title,
    )


async def list_documents(tx: AsyncSession, asked: Asked, id_: UUID) -> list[DocumentView]:
    """Answer the documents that the reader may see now; their titles are hers too.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    await store.callers.begin(tx, asked.caller)
    referral, parties = await store.referrals.lock(tx, id_, asked.caller, reading=True)
    parts, consent = await opened_parts(tx, referral, parties, asked)
    rows = await store.conversation.documents(tx, id_) if Part.DOCUMENTS in parts and referral.erased_at is None else []
    if not rows:
        return []
    seal = seal_of(referral, asked)
    disclose(tx, referral, parties, [str(Category.DOCUMENTS)], consent, asked)
    return [
        DocumentView(
            id=row.id,
            at=row.at,
            party=row.party,
            organisation_id=row.organisation_id,
            media_type=row.media_type,
            size=row.size,
            title=seal.open(f"document.{row.id}.about", bytes(row.about))["title"],
        )
        for row in rows
    ]


async def read_document(tx: AsyncSession, asked: Asked, id_: UUID, document_id: UUID) -> tuple[str, bytes]:
    """Answer a document's media type and content, and record the reading.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    await store.callers.begin(tx, asked.caller)
    referral, parties = await store.referrals.lock(tx, id_, asked.caller, reading=True)
    parts, consent = await opened_parts(tx, referral, parties, asked)
    row = await tx.get(Document, document_id)
    if row is None or row.referral_id != id_ or Part.DOCUMENTS not in parts:
        raise NotFound(NO_DOCUMENT)
    content = seal_of(referral, asked).open_bytes(f"document.{row.id}", bytes(row.content))
    disclose(tx, referral, parties, [str(Category.DOCUMENTS)], consent, asked)
    return row.media_type, content


async def remove_document(tx: AsyncSession, asked: Asked, id_: UUID, document_id: UUID) -> None:
    """Remove a document that this side added.

    Raises:
        NotFound: Absent, or the other side's.
    """
    referral, parties, _ = await locked(tx, asked, id_)
    row = await tx.get(Document, document_id)
    gone = views.past_term(referral, parties, asked.now)
    if row is None or row.referral_id != id_ or Party(row.party) not in parties or gone:
        raise NotFound(NO_DOCUMENT)
    await tx.delete(row)
    event(tx, referral, asked, "document.removed", document_id=str(document_id))
    moved(referral, asked, by=Party(row.party))


async def read_meetings(tx: AsyncSession, asked: Asked, id_: UUID) -> tuple[Referral, MeetingView]:
    """Answer the meeting that stands, with the times that were offered; reading them is recorded.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    await store.callers.begin(tx, asked.caller)
    referral, parties = await store.referrals.lock(tx, id_, asked.caller, reading=True)
    parts, consent = await opened_parts(tx, referral, parties, asked)
    names = ["meeting", "meeting_options"] if Part.MEETING in parts else []
    pieces = await open_pieces(tx, referral, names, asked)
    disclose(tx, referral, parties, ["meeting"] if pieces else [], consent, asked)
    return referral, MeetingView(meeting=pieces.get("meeting"), options=pieces.get("meeting_options", []))


async def entries(tx: AsyncSession, asked: Asked, id_: UUID) -> list[Entry]:
    """Answer the meeting that stands as a calendar shows it, where its time is agreed; the reading is recorded.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    referral, view = await read_meetings(tx, asked, id_)
    starts_at = (view.meeting or {}).get("starts_at")
    if view.meeting is None or starts_at is None:
        return []
    # Not where: a calendar is shared with others, and the place may be her home or one that nobody may know of.
    return [
        Entry(
            referral_id=str(referral.id),
            short_code=referral.short_code,
            starts_at=datetime.fromisoformat(starts_at),
            mode=view.meeting["mode"],
            sequence=referral.version,
            stamped_at=referral.updated_at,
            practice=referral.practice,
        )
    ]


async def all_entries(tx: AsyncSession, asked: Asked) -> list[Entry]:
    """Answer the meetings that stand of the caller's side, the hand-overs that changed last first; as `entries`."""
    await store.callers.begin(tx, asked.caller)
    filters = store.referrals.Filters(states=[State.MEETING_PLANNED])
    rows, _ = await store.referrals.page(tx, asked.actor, filters, before=None, limit=MOST_ENTRIES)
    # Always in one order, so that two feeds at once never wait for each other's rows.
    found = [entry for id_ in sorted(row.id for row in rows) for entry in await entries(tx, asked, id_)]
    return sorted(found, key=lambda entry: entry.starts_at)


async def list_tasks(
    tx: AsyncSession, asked: Asked, after: tuple[datetime, UUID] | None, limit: int
) -> tuple[list[TaskView], tuple[datetime, UUID] | None]:
    """Answer what waits for the caller's side, as `store.conversation.open_tasks` does; nothing sealed is touched."""
    await store.callers.begin(tx, asked.caller)
    rows, more = await store.conversation.open_tasks(tx, asked.actor, after=after, limit=limit)
    return [task_view(task, referral) for task, referral in rows], more


async def finish_task(tx: AsyncSession, asked: Asked, task_id: UUID, done: TaskDone) -> TaskView:
    """Say that a task is done; what became of a local copy is told to her. What was said first stands.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        InvalidInput: A local copy is erased or kept, and a kept one on some basis.
    """
    await store.callers.begin(tx, asked.caller)
    referral_id = await tx.scalar(select(col(Task.referral_id)).where(col(Task.id) == task_id))
    if referral_id is None:
        raise NotFound(NO_TASK)
    referral, parties, _ = await locked(tx, asked, referral_id)
    task = await tx.get(Task, task_id)
    if task is None or Party(task.party) not in parties:
        raise NotFound(NO_TASK)
    if (task.kind == "local_copy") != (done.local_copy is not None):
        raise InvalidInput(
            "This task cannot be finished so.",
            [Fault("/local_copy", "Say erased or kept for a task local_copy, and for no other.")],
        )
    if texts.national_number(done.basis or ""):
        refuse_texts([Fault("/basis", NO_NUMBER)])
    if task.done_at is None:
        task.done_at, task.done_by = asked.now, asked.caller.name
        task.answer = done.model_dump(mode="json", exclude={"basis"}, exclude_none=True)
        if done.basis is not None and referral.erased_at is None:
            # A sentence about her perhaps: it is kept with what is hers, and goes with it.
            await store.sealed.seal(
                tx, referral.id, _basis(task), seal_of(referral, asked).close(_basis(task), done.basis)
            )
        event(tx, referral, asked, "task.done", kind=task.kind)
    return task_view(task, referral, (await bases_of(tx, asked, referral, [task])).get(task.id))


def _basis(task: Task) -> str:
    """Answer the name of the sealed part that says on what basis a copy is kept."""
    return f"basis.{task.id}"


async def bases_of(tx: AsyncSession, asked: Asked, referral: Referral, tasks: Iterable[Task]) -> dict[UUID, str]:
    """Answer on what basis copies are kept, by task; a task without one is absent."""
    done = [task for task in tasks if task.done_at is not None and task.kind == "local_copy"]
    found = await open_pieces(tx, referral, [_basis(task) for task in done], asked)
    return {task.id: found[_basis(task)] for task in done if _basis(task) in found}


def task_view(task: Task, referral: Referral, basis: str | None = None) -> TaskView:
    """Represent a task, with the basis on which a copy is kept."""
    return TaskView(
        id=task.id,
        referral_id=task.referral_id,
        short_code=referral.short_code,
        party=task.party,
        kind=task.kind,
        reason=task.reason,
        opened_at=task.opened_at,
        done_at=task.done_at,
        answer={**task.answer, "basis": basis} if task.answer and basis else task.answer,
    )


async def assign(tx: AsyncSession, asked: Asked, id_: UUID, to: Assignment) -> int:
    """Give a referral to a colleague, a team, or back to the desk, inside the caller's own organisation.

    Answers the new version: whoever gave it away may know of it no more.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    referral, parties, _ = await locked(tx, asked, id_)
    if Party.SENDER in parties:
        referral.sender_account_id, referral.sender_team_id = to.account_id, to.team_id
    if Party.RECIPIENT in parties:
        referral.recipient_account_id, referral.recipient_team_id = to.account_id, to.team_id
    event(tx, referral, asked, "referral.assigned")
    moved(referral, asked, by=min(parties, key=list(Party).index))
    return views.version(referral, parties)


def _organisation(referral: Referral, party: Party) -> UUID | None:
    own = {Party.SENDER: referral.sender_id, Party.RECIPIENT: referral.recipient_id}
    return own.get(party)


def _author(referral: Referral, party: Party, asked: Asked) -> str:
    """Answer who writes, as the other side calls them: the human behind a software where it says so."""
    if party is Party.PERSON:
        return "person"
    counsellor = referral.sender_counsellor if party is Party.SENDER else referral.recipient_counsellor
    return asked.actor.on_behalf_of or asked.actor.name or str((counsellor or {}).get("name", "")) or str(party)


async def tasks_of(tx: AsyncSession, asked: Asked, id_: UUID) -> list[TaskView]:
    """Answer the tasks of one referral that are the caller's side's.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    await store.callers.begin(tx, asked.caller)
    referral, parties = await store.referrals.lock(tx, id_, asked.caller, reading=True)
    if views.neutral(referral, parties):
        return []
    # What was still to be told of a step that was taken back is nobody's task any more.
    tasks = [
        task
        for task in await store.conversation.tasks(tx, id_)
        if Party(task.party) in parties and task.dropped_at is None
    ]
    bases = await bases_of(tx, asked, referral, tasks)
    return [task_view(task, referral, bases.get(task.id)) for task in tasks]


async def wanted(tx: AsyncSession, asked: Asked, id_: UUID) -> Wanted:
    """Answer what another service would have to offer: theme, area, and what was suggested when it was declined.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    await store.callers.begin(tx, asked.caller)
    referral, parties = await store.referrals.find(tx, id_, asked.caller)
    if Party.SENDER not in parties:
        raise NotFound(store.referrals.UNKNOWN)
    suggested: list[str] = []
    if not views.neutral(referral, parties):
        decline = (await open_pieces(tx, referral, ["decline"], asked)).get("decline") or {}
        suggested = decline.get("suggested_service_ids", [])
    return Wanted(tuple(referral.themes), referral.municipality, referral.service_id, tuple(suggested))
