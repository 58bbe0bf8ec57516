"""What she herself reads and does, in a session of her own: nobody's word stands between her and her hand-overs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store, store_access, store_guests, views
from relais_referral.actions import conferring, consenting, conversing, drafting, previewing, stepping
from relais_referral.actions.accessing import Keys, Session, access_view, level_now, verified
from relais_referral.actions.common import (
    Asked,
    event,
    in_force,
    locked,
    moved,
    open_pieces,
    open_task,
    plain,
    read,
    refuse_numbers,
    seal_of,
    texts_of,
)
from relais_referral.directory import NamedService
from relais_referral.domain.access import Level
from relais_referral.domain.consent import Consent, Status, held_back
from relais_referral.domain.deadlines import day_of
from relais_referral.domain.handshake import ENDED, WAITING, Action, Party, State, allowed_actions
from relais_referral.domain.refusals import IllegalAction
from relais_referral.domain.retention import TAKEN_BACK
from relais_referral.domain.visibility import Category
from relais_referral.models import (
    Access,
    AccessReferral,
    ConsentRecord,
    ConsentState,
    Disclosure,
    EventRow,
    Guest,
    OrganisationCopy,
    Referral,
)
from relais_referral.papers.calendar import MODES, Entry
from relais_referral.papers.receipt import ConsentFacts
from relais_referral.schemas import (
    Confirmation,
    ConsentAnswer,
    ConsentView,
    DraftChange,
    MessageView,
    Need,
    OrganisationView,
    Pause,
    RecipientView,
    ReferralView,
    Withdrawal,
)
from relais_referral.schemas_conference import ConferenceMessageView
from relais_referral.schemas_person import (
    AccessView,
    AddedWords,
    Card,
    CopyView,
    Correction,
    Erased,
    HandoverView,
    HiddenLine,
    LocalCopy,
    PartialWithdrawal,
    PathwayView,
    PlaceView,
    Preview,
    Reading,
    Sharing,
    StepView,
    StopView,
    Waiting,
    WholeCopy,
    WholeView,
)
from relais_shared.refusals import Fault, InvalidInput, NotFound, ScopeMissing
from relais_shared.registry import known

MOST_LINES: Final = 20
"""Lines of need in all: the ten that a counsellor may write, and as many of hers."""

CHANGED_NEEDS: Final = "person.changed_needs"
"""Adding a line, hiding one and showing it again are told alike: the other side must not learn that one is hidden."""

CONFIRMABLE: Final = frozenset({State.ACCEPTED, State.MEETING_PLANNED})
"""Where her word that she was met is waited for."""

_HER: Final = frozenset({Party.PERSON})
_THEM: Final = frozenset({Party.RECIPIENT})


async def pathway(tx: AsyncSession, asked: Asked, session: Session) -> PathwayView:
    """Answer her hand-overs in order, as far as her link shows them."""
    await store.begin(tx, asked.caller)
    rows = await store_access.linked(tx, session.access_id)
    items = [await _stands(tx, asked, session, referral) for referral in rows]
    return PathwayView(
        items=items,
        level=session.level,
        discreet=session.discreet,
        language=session.language,
        expires_at=session.expires_at,
        assisted_by=session.assisted_by,
    )


async def stands(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> HandoverView:
    """Answer where one hand-over stands.

    Raises:
        NotFound: Absent, or not hers.
    """
    await store.begin(tx, asked.caller)
    referral, _ = await store.lock_referral(tx, id_, asked.caller, reading=True)
    return await _stands(tx, asked, session, referral)


async def _stands(tx: AsyncSession, asked: Asked, session: Session, referral: Referral) -> HandoverView:
    if referral.erased_at is not None:
        return HandoverView(id=referral.id, erased=_erased(referral))
    rows = await store.consents(tx, referral.id)
    consent = in_force(referral, rows)
    rows = [*rows, *await conferring.consents_for_her(tx, referral.id)]
    pieces = await open_pieces(tx, referral, ("meeting", "meeting_options"), asked)
    waits = _waits(referral, rows)
    shown: dict[str, Any] = {
        "state": referral.state,
        "created_at": referral.created_at,
        "steps": [_step(referral, row) for row in await store.events(tx, referral.id)],
        "meeting": pieces.get("meeting"),
        "meeting_options": pieces.get("meeting_options"),
        "allowed_actions": allowed_actions(views.standing(referral, consent, asked.now), _HER),
        "waits": [one for one in waits if one.consent_id is None],
    }
    if referral.paused_at is not None:
        shown["paused"] = {"since": referral.paused_at, "until": referral.paused_until}
    if session.level is Level.FULL:
        access = await tx.get(Access, session.access_id)
        shown |= {
            "waits": waits,
            "short_code": referral.short_code,
            "practice": referral.practice,
            "sender": OrganisationView(organisation_id=referral.sender_id, name=referral.sender_name),
            "recipient": RecipientView(
                organisation_id=referral.recipient_id,
                name=referral.recipient_name,
                service_id=referral.service_id,
                service_name=referral.service_name,
            ),
            "counsellor": referral.sender_counsellor,
            "recipient_counsellor": referral.recipient_counsellor,
            "confirmations": referral.confirmations,
            "shared": [_sharing(referral, *row) for row in rows if _holds(*row, asked)],
            "joined": access is not None and access.referral_id != referral.id,
        }
    return HandoverView(id=referral.id, **shown)


def _erased(referral: Referral) -> Erased:
    assert referral.erased_at is not None  # noqa: S101 - asked for erased referrals alone
    return Erased(erased_at=referral.erased_at, restore_until=referral.erased_at + TAKEN_BACK)


def _step(referral: Referral, row: EventRow) -> StepView:
    by: Literal["person", "sender", "recipient", "participant", "system"] = "system"
    if row.actor == "person":
        by = "person"
    elif row.organisation_id == referral.sender_id:
        by = "sender"
    elif row.organisation_id == referral.recipient_id:
        by = "recipient"
    elif row.organisation_id is not None:
        by = "participant"
    return StepView(at=row.at, type=row.type, by=by)


def _held(referral: Referral, record: ConsentRecord) -> frozenset[Category]:
    closed = held_back(
        sensitive=referral.sensitive,
        seen_alone=record.record["seen_alone"],
        interpreter=record.record["interpreter"],
    )
    return closed & {Category(name) for name in record.data_categories}


def _holds(record: ConsentRecord, state: ConsentState, asked: Asked) -> bool:
    return state.status == Status.GIVEN and (record.valid_until is None or asked.now < record.valid_until)


def _sharing(referral: Referral, record: ConsentRecord, state: ConsentState) -> Sharing:
    closed = {str(category) for category in _held(referral, record)}
    return Sharing(
        consent_id=record.id,
        organisation=record.record["recipient"]["name"],
        service=record.record["recipient"].get("service_name"),
        categories=[name for name in record.data_categories if name not in closed],
        held_back=sorted(closed),
        purposes=record.purposes,
        since=state.changed_at,
        until=record.valid_until,
    )


def _waits(referral: Referral, rows: Sequence[tuple[ConsentRecord, ConsentState]]) -> list[Waiting]:
    found = [
        Waiting(kind="consent_requested", consent_id=record.id)
        for record, state in rows
        if state.status == Status.REQUESTED
    ]
    found += [
        Waiting(kind="confirm_alone", consent_id=record.id)
        for record, state in rows
        if state.status == Status.GIVEN and _held(referral, record)
    ]
    if State(referral.state) in CONFIRMABLE and Party.PERSON not in referral.confirmations:
        found.append(Waiting(kind="confirm_handover"))
    return found


async def whole(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> WholeView:
    """Answer a hand-over whole: what is written of her, said about her, agreed to, and read by the other side.

    Raises:
        NotFound: Absent, not hers, or erased.
        ScopeMissing: Her link shows steps alone.
    """
    referral = await _opened(tx, asked, session, id_)
    messages = await conversing.read_messages(tx, asked, id_)
    return WholeView(
        stands=await _stands(tx, asked, session, referral),
        referral=(await read(tx, asked, id_)).view,
        consents=await consenting.read_consents(tx, asked, id_),
        messages=messages,
        documents=await conversing.list_documents(tx, asked, id_),
        conferences=await conferring.for_her(tx, asked, id_),
        local_copies=await _local_copies(tx, asked, referral),
        previews=await _previews(tx, asked, session, referral, None, agreed_first=True),
    )


async def _opened(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> Referral:
    """Answer a referral of hers whose content she may read now, held until the transaction ends."""
    _whole_only(session)
    await store.begin(tx, asked.caller)
    referral, _ = await store.lock_referral(tx, id_, asked.caller, reading=True)
    if referral.erased_at is not None:
        raise NotFound(store.UNKNOWN)
    return referral


def _whole_only(session: Session) -> None:
    """Refuse what a link that shows steps alone does not open.

    Raises:
        ScopeMissing: It shows steps alone.
    """
    if session.level is not Level.FULL:
        raise ScopeMissing("This link shows the steps alone. Any counter opens the rest, with your card and code.")


async def _local_copies(tx: AsyncSession, asked: Asked, referral: Referral) -> list[LocalCopy]:
    tasks = [task for task in await store.tasks(tx, referral.id) if task.kind == "local_copy"]
    bases = await conversing.bases_of(tx, asked, referral, tasks)
    return [
        LocalCopy(
            asked_at=task.opened_at,
            answered_at=task.done_at,
            answer=(task.answer or {}).get("local_copy"),
            basis=bases.get(task.id),
        )
        for task in tasks
    ]


async def previews(
    tx: AsyncSession, asked: Asked, session: Session, id_: UUID, categories: frozenset[Category] | None
) -> list[Preview]:
    """Answer exactly what the other side reads, before somebody takes over and after.

    Args:
        tx: Writing: what is opened is held until it ends.
        asked: She herself.
        session: Hers.
        id_: The referral.
        categories: As if she agreed to these; what she was asked, or else agreed to, where None.

    Raises:
        NotFound: Absent, not hers, or erased.
        ScopeMissing: Her link shows steps alone.
    """
    referral = await _opened(tx, asked, session, id_)
    return await _previews(tx, asked, session, referral, categories)


async def _previews(  # noqa: PLR0913 - who looks at what, and under which agreement
    tx: AsyncSession,
    asked: Asked,
    session: Session,
    referral: Referral,
    categories: frozenset[Category] | None,
    *,
    agreed_first: bool = False,
) -> list[Preview]:
    rows = await store.consents(tx, referral.id)
    now_given = in_force(referral, rows)
    # A question that waits for her answer changes nothing of what they read meanwhile.
    supposed = None if agreed_first and now_given else _supposed(referral, rows, session, categories)
    return await previewing.stages(tx, asked, referral, supposed or now_given, real=supposed is None)


def _supposed(
    referral: Referral,
    rows: Sequence[tuple[ConsentRecord, ConsentState]],
    session: Session,
    categories: frozenset[Category] | None,
) -> Consent | None:
    """Answer the agreement that she is asked for or tries out, as if it were given."""
    requested = next((record for record, state in rows if state.status == Status.REQUESTED), None)
    if categories is None and requested is None:
        return None
    if categories is None and requested is not None:
        categories = frozenset(Category(name) for name in requested.data_categories)
    # What she answers at a counter is not answered alone.
    alone = "no" if session.assisted else "yes"
    return previewing.supposed(referral, categories or frozenset(), alone, requested.id if requested else None)


async def readings(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> list[Reading]:
    """Answer who read what of hers: one line for each structure and day, the newest first.

    Raises:
        NotFound: Absent, not hers, or erased.
        ScopeMissing: Her link shows steps alone.
    """
    referral = await _opened(tx, asked, session, id_)
    return await _readings(tx, referral)


async def _readings(tx: AsyncSession, referral: Referral) -> list[Reading]:
    guests = {f"guest:{guest.id}": guest for guest in await store_guests.of_referral(tx, referral.id)}
    lines: dict[tuple[Any, UUID | None], list[Disclosure]] = {}
    for row in await store.disclosures(tx, referral.id):
        lines.setdefault((day_of(row.at), row.organisation_id), []).append(row)
    found = []
    for (day, organisation_id), rows in lines.items():
        organisation = await _name(tx, referral, organisation_id)
        who = [_reader(referral, row, guests) for row in rows]
        # Of several who read on one day, her named counsellor is told before a colleague.
        name, function = next((one for one in who if one[0]), next((one for one in who if one[1]), (None, None)))
        copied = any(row.actor.startswith("client:") and not row.on_behalf_of for row in rows)
        found.append(
            Reading(
                day=day,
                organisation=organisation,
                function=function,
                name=name,
                categories=sorted({category for row in rows for category in row.categories}),
                copied_into=organisation if copied else None,
            )
        )
    return found


async def _name(tx: AsyncSession, referral: Referral, organisation_id: UUID | None) -> str:
    sides = {referral.recipient_id: referral.recipient_name, referral.sender_id: referral.sender_name}
    if organisation_id in sides:
        return sides[organisation_id]
    organisation = await known(tx, OrganisationCopy, organisation_id) if organisation_id else None
    return organisation.name if organisation else ""


def _reader(referral: Referral, row: Disclosure, guests: Mapping[str, Guest]) -> tuple[str | None, str | None]:
    """Answer a reader's name, where it is her named counsellor, and function."""
    if row.organisation_id not in {referral.sender_id, referral.recipient_id}:
        # Whoever only takes part in a case conference; its colleague is named there.
        return None, None
    # A side that hands over to itself reads as recipient what her consent opens, the rest as sender.
    as_sender = row.organisation_id == referral.sender_id and (
        row.consent_id is None or referral.sender_id != referral.recipient_id
    )
    counsellor = (referral.sender_counsellor if as_sender else referral.recipient_counsellor) or {}
    account = referral.sender_account_id if as_sender else referral.recipient_account_id
    name, function = counsellor.get("name"), counsellor.get("function")
    guest = guests.get(row.actor)
    if guest is not None:
        return (guest.name if guest.name == name else None), guest.function
    said = (row.on_behalf_of or "").casefold()
    theirs = {str(counsellor[key]).casefold() for key in ("name", "email") if counsellor.get(key)}
    if (account is not None and row.actor == f"user:{account}") or said in theirs:
        return name, function
    return None, None


async def answer(
    tx: AsyncSession, asked: Asked, session: Session, consent_id: UUID, given: ConsentAnswer
) -> ConsentView:
    """Say yes or no to what she was asked; saying the same again changes nothing.

    Raises:
        NotFound: Absent, or not hers.
        ScopeMissing: Her link shows steps alone: what she would agree to stands elsewhere.
        IllegalAction: It was answered otherwise already.
        InvalidInput: More than was asked for.
    """
    _whole_only(session)
    _referral, record, state, last, stands_now = await _asked_of_her(tx, asked, consent_id)
    if given.agreed:
        # Where she agreed to less than was asked, the narrower record stands for the answer.
        record, state = last, stands_now
    if state.status == (Status.GIVEN if given.agreed else Status.REFUSED):
        return views.consent_view(record, state, asked.now)
    return await consenting.answer_request(tx, asked, consent_id, given, assisted=session.assisted)


async def _asked_of_her(
    tx: AsyncSession, asked: Asked, consent_id: UUID
) -> tuple[Referral, ConsentRecord, ConsentState, ConsentRecord, ConsentState]:
    """Lock a consent of hers with its referral; answer it, and what took its place.

    Locked for a change from the start: two taps at once would otherwise each wait for the other.
    """
    await store.begin(tx, asked.caller)
    referral, _parties, _ = await locked(tx, asked, await store.referral_of_consent(tx, consent_id))
    every = await store.consents(tx, referral.id, conference_id="every", lock=True)
    rows = {record.id: (record, state) for record, state in every}
    if consent_id not in rows:
        raise NotFound(consenting.UNKNOWN)
    last = rows[consent_id]
    while last[1].superseded_by in rows and last[1].superseded_by is not None:
        last = rows[last[1].superseded_by]
    return referral, *rows[consent_id], *last


async def confirm_alone(tx: AsyncSession, asked: Asked, session: Session, consent_id: UUID) -> ConsentView:
    """Confirm alone what she had said while somebody stood by.

    Raises:
        NotFound: Absent, or not hers.
        ScopeMissing: Her link shows steps alone.
        IllegalAction: Somebody stands by now too, or the agreement does not hold.
    """
    _whole_only(session)
    if session.assisted:
        raise IllegalAction("At a counter you are not alone: open your own link for this.", allowed_actions=[])
    referral, _record, _state, record, state = await _asked_of_her(tx, asked, consent_id)
    if state.status == Status.GIVEN and record.record["seen_alone"] == "yes" and not _held(referral, record):
        return views.consent_view(record, state, asked.now)
    return await consenting.confirm_alone(tx, asked, record.id)


async def receipt(tx: AsyncSession, asked: Asked, session: Session, consent_id: UUID) -> ConsentFacts:
    """Answer what the receipt of a consent of hers says.

    Raises:
        NotFound: Absent, not hers, or erased.
        ScopeMissing: Her link shows steps alone.
    """
    await store.begin(tx, asked.caller)
    await _opened(tx, asked, session, await store.referral_of_consent(tx, consent_id))
    return await consenting.receipt_of(tx, asked, consent_id)


async def withdraw_consent(
    tx: AsyncSession, asked: Asked, session: Session, consent_id: UUID, what: PartialWithdrawal
) -> ConsentView:
    """Stop the sharing, all or a part of it, from now on.

    Raises:
        NotFound: Absent, or not hers.
    """
    body = Withdrawal(method=_method(session), purposes=what.purposes, data_categories=what.data_categories)
    return await consenting.withdraw_consent(tx, asked, consent_id, body)


async def attend_conference(tx: AsyncSession, asked: Asked, id_: UUID, attends: bool) -> None:  # noqa: FBT001 - the body's one word
    """Say that she takes part in a case conference herself, or not any more.

    Raises:
        NotFound, IllegalAction: Absent, not hers, or ended.
    """
    await conferring.attend(tx, asked, id_, attends=attends)


async def write_in_conference(
    tx: AsyncSession, asked: Asked, session: Session, id_: UUID, words: str
) -> ConferenceMessageView:
    """Write to all who take part in a case conference.

    Raises:
        ScopeMissing: Her link shows steps alone.
        NotFound, IllegalAction, PersonalDataDetected: As everybody's messages there.
    """
    _whole_only(session)
    return await conferring.write_as_her(tx, asked, id_, words)


async def end_conference(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> None:
    """End a case conference; twice is no fault.

    Raises:
        NotFound: Absent, or not hers.
    """
    await conferring.end_as_her(tx, asked, id_, _method(session))


async def send_away(tx: AsyncSession, asked: Asked, session: Session, id_: UUID, organisation_id: UUID) -> None:
    """Stop one structure's part in a case conference; twice is no fault.

    Raises:
        NotFound: Absent, not hers, or never asked for.
    """
    await conferring.send_away(tx, asked, id_, organisation_id, _method(session))


def _method(session: Session) -> Literal["in_person", "private_link"]:
    return "in_person" if session.assisted else "private_link"


async def withdraw(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> None:
    """Stop a hand-over with everything shared for it; stopping twice changes nothing.

    Raises:
        NotFound: Absent, or not hers.
    """
    referral, _parties, _ = await locked(tx, asked, id_)
    if referral.state != State.WITHDRAWN:
        await stepping.step(tx, asked, id_, Action.WITHDRAW, Withdrawal(method=_method(session)), None)


async def withdraw_all(tx: AsyncSession, asked: Asked, session: Session) -> None:
    """Stop everything that this card shows.

    Always in the order of the ids, so that two taps at once wait for each other and not in a circle.
    """
    for id_ in sorted(await store_access.linked_ids(tx, session.access_id)):
        await withdraw(tx, asked, session, id_)


async def pause(tx: AsyncSession, asked: Asked, id_: UUID, body: Pause) -> None:
    """Let it rest; once it rests, another day may take the place of the first.

    Raises:
        NotFound, IllegalAction: As every step.
        InvalidInput: The day is past.
    """
    referral, _parties, _ = await locked(tx, asked, id_)
    if referral.paused_at is None:
        await stepping.step(tx, asked, id_, Action.PAUSE, body, None)
    elif referral.paused_until != body.until:
        stepping.judge(body, asked)
        referral.paused_until = body.until
        moved(referral, asked, by=Party.PERSON)
        event(tx, referral, asked, "referral.paused", state=referral.state)


async def resume(tx: AsyncSession, asked: Asked, id_: UUID) -> None:
    """End the rest; where nothing rests, nothing changes.

    Raises:
        NotFound: As every step.
    """
    referral, _parties, _ = await locked(tx, asked, id_)
    if referral.paused_at is not None:
        await stepping.step(tx, asked, id_, Action.RESUME, None, None)


async def confirm_handover(tx: AsyncSession, asked: Asked, id_: UUID, body: Confirmation) -> None:
    """Say that she was met; saying it again changes nothing.

    Raises:
        NotFound, IllegalAction: As every step.
    """
    referral, _parties, _ = await locked(tx, asked, id_)
    if Party.PERSON not in referral.confirmations:
        await stepping.step(tx, asked, id_, Action.CONFIRM_HANDOVER, body, None)


async def correct(tx: AsyncSession, asked: Asked, session: Session, id_: UUID, body: Correction) -> ReferralView:
    """Correct who she is and how she is reached; both sides are told that it changed, not what.

    Raises:
        NotFound: Absent, not hers, or erased.
        ScopeMissing: Her link shows steps alone.
        PersonalDataDetected: A national number; or a text that is read before acceptance holds her new name.
    """
    referral = await _changed(tx, asked, session, id_)
    seal = seal_of(referral, asked)
    if body.identity is not None:
        refuse_numbers(texts_of(body.identity.model_dump(), "/identity"))
        if State(referral.state) in WAITING | {State.DRAFT}:
            written = await open_pieces(tx, referral, DraftChange.model_fields.keys(), asked)
            # A line that she hid is not read: hiding it is how she gives a name that somebody wrote there.
            written["needs"] = [{**one, "words": None} if _hidden(one) else one for one in written["needs"]]
            drafting.judge_texts(body.identity, DraftChange.model_validate(written))
    if body.contact is not None:
        refuse_numbers(texts_of(body.contact.model_dump(), "/contact"))
    before = await open_pieces(tx, referral, ("identity", "contact"), asked)
    after = {name: plain(part) for name in ("identity", "contact") if (part := getattr(body, name)) is not None}
    if any(before.get(name) != value for name, value in after.items()):
        for name, value in after.items():
            await store.seal(tx, id_, name, seal.close(name, value))
        _tell(tx, referral, asked, "person.corrected")
    return (await read(tx, asked, id_)).view


async def _changed(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> Referral:
    """Lock a referral of hers whose content she changes."""
    _whole_only(session)
    referral, _parties, _ = await locked(tx, asked, id_)
    if referral.erased_at is not None:
        raise NotFound(store.UNKNOWN)
    return referral


def _tell(tx: AsyncSession, referral: Referral, asked: Asked, type_: str) -> None:
    """Write that she changed something, and have both sides look at it again."""
    # What the sender wrote reads otherwise now, so its version moves whoever it is; why is not said.
    moved(referral, asked, noticed=True, by=Party.PERSON)
    event(tx, referral, asked, type_)
    if State(referral.state) in ENDED:
        return
    open_task(tx, referral, asked, Party.SENDER, "corrected", type_)
    if referral.state != State.DRAFT:
        open_task(tx, referral, asked, Party.RECIPIENT, "corrected", type_)


async def add_words(tx: AsyncSession, asked: Asked, session: Session, id_: UUID, body: AddedWords) -> ReferralView:
    """Add words of hers to a need; the same words twice stand there once.

    They are judged as text that is read before acceptance, whenever she writes them: what was taken over may be given
    back, and then others read it again without knowing who she is.

    Raises:
        NotFound: Absent, not hers, or erased.
        ScopeMissing: Her link shows steps alone.
        InvalidInput: A theme that this hand-over is not about, or too many lines.
        PersonalDataDetected: They tell who she is.
    """
    referral = await _changed(tx, asked, session, id_)
    if body.theme not in referral.themes:
        fault = Fault("/theme", "This hand-over is not about that theme.")
        raise InvalidInput("These words cannot be added.", [fault])
    await conversing.judge_words(tx, asked, referral, body.words, early=True)
    pieces = await open_pieces(tx, referral, ("needs",), asked)
    lines = pieces.get("needs") or []
    line = plain(Need(theme=body.theme, words=body.words, said_by="person"))
    if not any(_same(one, body.theme, body.words) for one in lines):
        if len(lines) >= MOST_LINES:
            raise InvalidInput("These words cannot be added.", [Fault("/words", "There are too many lines already.")])
        await store.seal(tx, id_, "needs", seal_of(referral, asked).close("needs", [*lines, line]))
        _tell(tx, referral, asked, CHANGED_NEEDS)
    return (await read(tx, asked, id_)).view


def _hidden(line: Mapping[str, Any]) -> bool:
    return "recipient" in line.get("hidden_from", ())


def _same(line: Mapping[str, Any], theme: str, words: str | None) -> bool:
    return (line.get("theme"), line.get("words")) == (theme, words)


async def hide_line(tx: AsyncSession, asked: Asked, session: Session, id_: UUID, body: HiddenLine) -> ReferralView:
    """Hide a line of the needs from the other side, or show it again.

    The line is named by what it says: a number would mean another one as soon as somebody changes the list.

    Raises:
        NotFound: Absent, not hers, or erased.
        ScopeMissing: Her link shows steps alone.
        InvalidInput: There is no such line.
        PersonalDataDetected: It tells who she is, and would be read again.
    """
    referral = await _changed(tx, asked, session, id_)
    lines = (await open_pieces(tx, referral, ("needs",), asked)).get("needs") or []
    if not any(_same(one, body.theme, body.words) for one in lines):
        raise InvalidInput("There is no such line.", [Fault("/words", "Write the line as it stands there.")])
    if not body.hidden and body.words is not None:
        await conversing.judge_words(tx, asked, referral, body.words, early=True)
    hidden = ["recipient"] if body.hidden else []
    after = [{**one, "hidden_from": hidden} if _same(one, body.theme, body.words) else one for one in lines]
    if after != lines:
        await store.seal(tx, id_, "needs", seal_of(referral, asked).close("needs", after))
        _tell(tx, referral, asked, CHANGED_NEEDS)
    return (await read(tx, asked, id_)).view


async def write_message(tx: AsyncSession, asked: Asked, session: Session, id_: UUID, words: str) -> MessageView:
    """Write to both sides, in their thread.

    Raises:
        ScopeMissing: Her link shows steps alone.
        NotFound, IllegalAction, PersonalDataDetected: As everybody's messages.
    """
    _whole_only(session)
    return await conversing.write_message(tx, asked, id_, words)


async def read_document(
    tx: AsyncSession, asked: Asked, session: Session, id_: UUID, document_id: UUID
) -> tuple[str, bytes]:
    """Answer a document's media type and content.

    Raises:
        ScopeMissing: Her link shows steps alone.
        NotFound: Absent, not hers, or erased.
    """
    await _opened(tx, asked, session, id_)
    return await conversing.read_document(tx, asked, id_, document_id)


async def service_of(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> UUID | None:
    """Answer the service of a hand-over whose places she may be shown; nothing where her card is discreet.

    Raises:
        ScopeMissing: Her link shows steps alone.
        NotFound: Absent, not hers, or erased.
    """
    referral = await _opened(tx, asked, session, id_)
    return None if session.discreet else referral.service_id


def places(service: NamedService | None) -> list[PlaceView]:
    """Answer where a service receives; a confidential place is told by voice, never here."""
    return [
        PlaceView(
            name=site.name,
            street=site.address.street,
            postcode=site.address.postcode,
            municipality=site.address.municipality,
            latitude=site.latitude if site.precision == "exact" else None,
            longitude=site.longitude if site.precision == "exact" else None,
            stops=[StopView(**stop.model_dump()) for stop in site.nearest_stops],
        )
        for site in (service.locations if service else ())
        if not site.confidential
    ]


async def calendar_entries(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> list[Entry]:
    """Answer her meeting for her own calendar: in her language, without the code of the hand-over and not where.

    Raises:
        NotFound: Absent, or not hers.
    """
    language = session.language.partition("-")[0].lower()
    spoken = language if language in MODES else "fr"
    found = await conversing.entries(tx, asked, id_)
    return [replace(entry, short_code="", language=spoken) for entry in found]


async def join(tx: AsyncSession, asked: Asked, session: Session, card: Card, keys: Keys) -> bool:
    """Join the hand-overs of another card of hers to this one; answer whether that card and its code opened.

    Only she does this, and nothing else ever brings the hand-overs of two structures together. No event tells of it:
    either side would learn of the other. A card that shows nothing joins nothing.

    Raises:
        ScopeMissing: Her link shows steps alone.
    """
    _whole_only(session)
    other = await verified(tx, card, keys, asked.now)
    if other is None or await level_now(tx, other, asked.sealer, asked.now) is Level.NONE:
        return False
    have = await store_access.linked_ids(tx, session.access_id)
    for id_ in await store_access.linked_ids(tx, other.id) - have:
        tx.add(AccessReferral(access_id=session.access_id, referral_id=id_, linked_at=asked.now))
    return True


async def part(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> None:
    """Take a joined hand-over from this card; the card's own stays, and parting twice is no fault.

    Raises:
        IllegalAction: It is the hand-over that this card was made for.
    """
    await store.begin(tx, asked.caller)
    access = await tx.get(Access, session.access_id)
    if access is not None and access.referral_id == id_:
        raise IllegalAction("This card was made for it: your counsellor can end the card.", allowed_actions=[])
    await store_access.part(tx, session.access_id, id_)


async def copy(tx: AsyncSession, asked: Asked, session: Session) -> CopyView:
    """Answer a copy of everything that stands here of her.

    Raises:
        ScopeMissing: Her link shows steps alone.
    """
    _whole_only(session)
    await store.begin(tx, asked.caller)
    items = []
    for referral in await store_access.linked(tx, session.access_id):
        if referral.erased_at is not None:
            items.append(WholeCopy(erased=_erased(referral)))
            continue
        found = await whole(tx, asked, session, referral.id)
        items.append(WholeCopy(whole=found, readings=await _readings(tx, referral)))
    return CopyView(made_at=asked.now, access=await own_access(tx, session), items=items)


async def own_access(tx: AsyncSession, session: Session) -> AccessView:
    """Answer her own link, with every opening and the counters where she was assisted."""
    access = await tx.get(Access, session.access_id)
    assert access is not None  # noqa: S101 - the session is of it
    return access_view(access, list(await store_access.openings(tx, [access.id])))


async def erase(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> Erased:
    """Close every access to what stands here of her, at once; its key is destroyed 72 hours later.

    Nobody reads it from now on, she neither; what is shared ends, and the other side answers for its own copy.

    Raises:
        NotFound: Absent, or not hers.
    """
    referral, _parties, _ = await locked(tx, asked, id_)
    if referral.erased_at is not None:
        return _erased(referral)
    if State(referral.state) in ENDED:
        await stepping.end_consents(tx, referral, _method(session), asked)
    else:
        await stepping.step(tx, asked, id_, Action.WITHDRAW, Withdrawal(method=_method(session)), None)
    referral.erased_at = asked.now
    await store_guests.end(tx, id_, asked.now)
    # What its side wrote is closed to it too, so every sender reads another version.
    moved(referral, asked, noticed=True, by=Party.PERSON)
    event(tx, referral, asked, "referral.erased")
    return _erased(referral)


async def restore(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> None:
    """Take an erasure back, in person: what was shared stays stopped.

    Raises:
        NotFound: Absent, or not hers.
        IllegalAction: Not at a counter, not erased, or too late.
    """
    referral, _parties, _ = await locked(tx, asked, id_)
    if not session.assisted:
        raise IllegalAction("This is taken back in person, at a counter with your card and code.", allowed_actions=[])
    late = referral.erased_at is None or asked.now >= referral.erased_at + TAKEN_BACK
    if late or referral.shredded_at is not None:
        raise IllegalAction("There is nothing that could be taken back.", allowed_actions=[])
    referral.erased_at = None
    moved(referral, asked, noticed=True, by=Party.PERSON)
    event(tx, referral, asked, "referral.restored")
