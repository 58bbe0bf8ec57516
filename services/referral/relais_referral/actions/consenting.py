"""Her agreement: recorded, asked for by her link, narrowed, renewed, withdrawn; records never change."""

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store, store_conference, views
from relais_referral.actions.common import (
    ERASED,
    Asked,
    decided,
    event,
    locked,
    moved,
    open_pieces,
    open_task,
    refuse_numbers,
    refuse_texts,
    stands,
)
from relais_referral.actions.stepping import ask_about_copy, leave_conference, take
from relais_referral.domain.consent import BOUND_ONLY, Purpose, Secrecy, Status, given_in_time
from relais_referral.domain.handshake import Action, Party, Via
from relais_referral.domain.refusals import IllegalAction, RecipientNotBound, SensitiveBasisMissing
from relais_referral.models import ConsentRecord, ConsentState, OrganisationCopy, Referral
from relais_referral.notices import notice
from relais_referral.papers.receipt import ConsentFacts, Controller
from relais_referral.schemas import (
    ConsentAnswer,
    ConsentInput,
    ConsentRequest,
    ConsentTerms,
    ConsentView,
    Identity,
    Withdrawal,
)
from relais_shared import texts
from relais_shared.refusals import Fault, InvalidInput, NotFound
from relais_shared.registry import Organisation, known

SCHEMA_VERSION: Final = "relais-consent-1"
"""The version of our consent records; the receipt maps them to ISO/IEC TS 27560."""

UNKNOWN: Final = "There is no such consent, or it is not yours to know of."


async def record_consent(tx: AsyncSession, asked: Asked, id_: UUID, given: ConsentInput) -> ConsentView:
    """Record what she agreed to; the consent that was in force before is superseded.

    Raises:
        NotFound: Absent, or not the actor's as sender.
        IllegalAction: The referral has ended.
        InvalidInput: A purpose or a time cannot be so.
        PersonalDataDetected: A text of the record tells who she is.
        RecipientNotBound, SensitiveBasisMissing: The recipient or the theme needs more.
    """
    referral, parties, _ = await locked(tx, asked, id_)
    _judge_asking(referral, parties, asked)
    text = await judge_terms(tx, referral, given, asked, _purpose_faults(referral, given))
    judge_time(given, asked)
    facts = given.model_dump(mode="json", exclude={*COLUMNS, "notice_version"})
    record = await _new_record(tx, referral, given, facts | {"notice": text}, asked)
    record.given_at = given.given_at
    state = await put_in_force(tx, record, asked)
    moved(referral, asked, by=Party.SENDER)
    event(tx, referral, asked, "consent.given", consent_id=str(record.id))
    return views.consent_view(record, state, asked.now)


async def request_consent(tx: AsyncSession, asked: Asked, id_: UUID, wanted: ConsentRequest) -> ConsentView:
    """Ask for her agreement by her own link: only her own session turns it into given or refused.

    Raises:
        As `record_consent`.
    """
    referral, parties, _ = await locked(tx, asked, id_)
    _judge_asking(referral, parties, asked)
    text = await judge_terms(tx, referral, wanted, asked, _purpose_faults(referral, wanted))
    facts = wanted.model_dump(mode="json", exclude={*COLUMNS, "notice_version"}) | {"notice": text, **BY_LINK}
    record = await _new_record(tx, referral, wanted, facts, asked)
    state = await put_asked_for(tx, record, asked)
    moved(referral, asked, by=Party.SENDER)
    event(tx, referral, asked, "consent.requested", consent_id=str(record.id))
    return views.consent_view(record, state, asked.now)


def _judge_asking(referral: Referral, parties: frozenset[Party], asked: Asked) -> None:
    """Refuse to ask her where nobody is handed over any more: whoever may still cancel it may still ask.

    Raises:
        IllegalAction: The referral has ended.
        NotFound: What was written in it has been erased.
    """
    decided(referral, None, asked, Action.CANCEL, parties & {Party.SENDER})
    if referral.erased_at is not None:
        raise NotFound(ERASED)


async def answer_request(
    tx: AsyncSession, asked: Asked, consent_id: UUID, answer: ConsentAnswer, *, assisted: bool
) -> ConsentView:
    """Turn what was asked for into given or refused, by her own session; she may agree to less than was asked.

    Args:
        tx: Writing.
        asked: She herself.
        consent_id: What was asked for.
        answer: Yes or no, and to what.
        assisted: At a counter: then somebody stood by.

    Raises:
        NotFound: Absent, or not hers.
        IllegalAction: It was answered already.
        InvalidInput: More than was asked for, or until an instant that is past.
    """
    referral, record, state = await _hers(tx, asked, consent_id)
    if state.status != Status.REQUESTED:
        raise IllegalAction("This was answered already.", allowed_actions=[])
    if not answer.agreed:
        stands(state, Status.REFUSED, asked.now, assisted=assisted)
        if record.conference_id is not None:
            await leave_conference(tx, referral, record, "refused", asked)
            return views.consent_view(record, state, asked.now)
        event(tx, referral, asked, "consent.refused", consent_id=str(record.id))
        open_task(tx, referral, asked, Party.SENDER, "refused", "consent.refused")
        moved(referral, asked, by=None)
        return views.consent_view(record, state, asked.now)
    purposes = set(answer.purposes if answer.purposes is not None else record.purposes)
    categories = set(answer.data_categories if answer.data_categories is not None else record.data_categories)
    _judge_less(record, purposes, categories)
    if answer.valid_until is not None and answer.valid_until <= asked.now:
        raise InvalidInput("This cannot be agreed to so.", [Fault("/valid_until", "This is past already.")])
    same = purposes == set(record.purposes) and categories == set(record.data_categories) and not assisted
    if same and answer.valid_until is None:
        await _supersede(tx, record, asked)
        stands(state, Status.GIVEN, asked.now)
    else:
        facts = {"seen_alone": "no" if assisted else "yes"}
        record = _copy(record, sorted(purposes), sorted(categories), asked, **facts)
        record.valid_until = answer.valid_until or record.valid_until
        stands(state, Status.SUPERSEDED, asked.now)
        state.superseded_by = record.id
        state = await put_in_force(tx, record, asked)
    tell(tx, referral, record, "given", asked)
    if record.conference_id is not None:
        return views.consent_view(record, state, asked.now)
    # The sender asked, so it may know that she answered: it then proposes.
    moved(referral, asked, noticed=True, by=None)
    return views.consent_view(record, state, asked.now)


async def confirm_alone(tx: AsyncSession, asked: Asked, consent_id: UUID) -> ConsentView:
    """Confirm alone, by her own session, what she had said while somebody stood by.

    Raises:
        NotFound: Absent, or not hers.
        IllegalAction: It is not in force.
    """
    referral, record, state = await _hers(tx, asked, consent_id)
    if state.status != Status.GIVEN:
        raise IllegalAction("Only an agreement that holds can be confirmed.", allowed_actions=[])
    alone = _copy(record, record.purposes, record.data_categories, asked, seen_alone="yes", interpreter="none")
    now_standing = await put_in_force(tx, alone, asked)
    tell(tx, referral, alone, "confirmed", asked)
    if alone.conference_id is None:
        moved(referral, asked, by=None)
    return views.consent_view(alone, now_standing, asked.now)


async def withdraw_consent(tx: AsyncSession, asked: Asked, consent_id: UUID, body: Withdrawal) -> ConsentView:
    """Stop the sharing at her word, from now on: of all, or of a purpose or category alone.

    Of all: the referral is withdrawn in the same transaction. Of a part: a narrower record takes the place of this
    one, and its id is answered. A consent that no longer holds stays as it stands: stopping twice is no fault.
    Of a case conference: that structure leaves it, and reads nothing of it any more.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    await store.begin(tx, asked.caller)
    conference_id = await store_conference.of_consent(tx, consent_id)
    if conference_id is not None:
        return await _withdraw_from_conference(tx, asked, conference_id, consent_id, body)
    id_ = await store.referral_of_consent(tx, consent_id)
    try:
        referral, parties, _ = await locked(tx, asked, id_)
    except NotFound:
        # Whoever takes part in a conference alone is told what everybody is told: not even that there is one.
        raise NotFound(UNKNOWN) from None
    record, state = await _one(tx, id_, consent_id)
    if views.neutral(referral, parties):
        return await _withdraw_unseen(tx, asked, referral, record, body)
    if state.status not in {Status.GIVEN, Status.REQUESTED}:
        return views.consent_view(record, state, asked.now)
    purposes, categories = _left(record, body)
    if not _is_part(body, purposes, categories):
        await take(tx, asked, id_, Action.WITHDRAW, body, None)
    elif state.status == Status.GIVEN and (purposes, categories) != (record.purposes, record.data_categories):
        record, state = await _narrow(tx, asked, referral, record, purposes, categories)
        moved(referral, asked, by=Party.SENDER if Party.SENDER in parties else None)
    return views.consent_view(record, state, asked.now)


async def _withdraw_unseen(
    tx: AsyncSession, asked: Asked, referral: Referral, record: ConsentRecord, body: Withdrawal
) -> ConsentView:
    """Stop the sharing, or a part of it, through a sender that may sanction.

    It reads neither how an agreement stands nor what took its place: so it stops what stands now, whichever it names,
    and what was stopped before is answered and written as if it were stopped by this.
    """
    every = {one.id: (one, state) for one, state in await store.consents(tx, referral.id, lock=True)}
    last, state = every[record.id]
    while state.superseded_by is not None and state.superseded_by in every:
        last, state = every[state.superseded_by]
    purposes, categories = _left(last, body)
    if not _is_part(body, purposes, categories):
        await take(tx, asked, referral.id, Action.WITHDRAW, body, None)
        return views.consent_view(record, state, asked.now, plain=True, told=Status.WITHDRAWN)
    if (purposes, categories) == (last.purposes, last.data_categories):
        return views.consent_view(last, state, asked.now, plain=True)
    if state.status == Status.GIVEN:
        last, state = await _narrow(tx, asked, referral, last, purposes, categories)
    else:
        narrower = _copy(last, purposes, categories, asked)
        tx.add(narrower)
        await tx.flush()  # Its state refers to it.
        state.superseded_by = narrower.id
        last, state = narrower, _state(narrower, Status(state.status), asked)
        tx.add(state)
        event(tx, referral, asked, "consent.withdrawn", consent_id=str(narrower.id))
    moved(referral, asked, by=Party.SENDER)
    return views.consent_view(last, state, asked.now, plain=True)


def _left(record: ConsentRecord, body: Withdrawal) -> tuple[list[str], list[str]]:
    """Answer the purposes and the categories that a withdrawal leaves."""
    return (
        [name for name in record.purposes if name not in set(body.purposes)],
        [name for name in record.data_categories if name not in set(body.data_categories)],
    )


def _is_part(body: Withdrawal, purposes: list[str], categories: list[str]) -> bool:
    """Answer whether a withdrawal leaves something that can be handed over under."""
    return bool(body.purposes or body.data_categories) and Purpose.REFERRAL in purposes and bool(categories)


async def _narrow(  # noqa: PLR0913 - of which agreement, what is left
    tx: AsyncSession,
    asked: Asked,
    referral: Referral,
    record: ConsentRecord,
    purposes: list[str],
    categories: list[str],
) -> tuple[ConsentRecord, ConsentState]:
    """Put what is left of an agreement in its place; the recipient answers what becomes of its own copy."""
    record = _copy(record, purposes, categories, asked)
    state = await put_in_force(tx, record, asked)
    event(tx, referral, asked, "consent.narrowed", consent_id=str(record.id))
    await ask_about_copy(tx, referral, asked, "consent.narrowed")
    return record, state


async def _withdraw_from_conference(
    tx: AsyncSession, asked: Asked, conference_id: UUID, consent_id: UUID, body: Withdrawal
) -> ConsentView:
    """Stop a structure's part in a case conference, through whoever else takes part in it, or a part of what it reads.

    Raises:
        NotFound: Absent, or the caller has no place in that conference.
    """
    try:
        place = await store_conference.find(tx, conference_id, asked.caller, lock="writing")
    except NotFound:
        raise NotFound(UNKNOWN) from None
    record, state = await _one(tx, place.referral.id, consent_id)
    sides = place.parties or asked.caller.access_id is not None
    if not sides and (record.recipient_id != asked.actor.organisation_id or state.status != Status.GIVEN):
        # Whoever only takes part answers for itself; she, and the two sides at her word, stop everybody.
        raise NotFound(UNKNOWN)
    categories = [name for name in record.data_categories if name not in set(body.data_categories)]
    if body.data_categories and not body.purposes:
        if state.status == Status.GIVEN and categories != record.data_categories:
            record = _copy(record, record.purposes, categories, asked)
            state = await put_in_force(tx, record, asked)
            tell(tx, place.referral, record, "narrowed", asked)
    elif state.status in {Status.GIVEN, Status.REQUESTED}:
        stands(state, Status.WITHDRAWN, asked.now)
        state.withdrawal_method = body.method
        await leave_conference(tx, place.referral, record, "left", asked)
    view = views.consent_view(record, state, asked.now)
    return view if sides else view.model_copy(update={"referral_id": None})


def tell(tx: AsyncSession, referral: Referral, record: ConsentRecord, what: str, asked: Asked) -> None:
    """Write what became of an agreement; of one for a case conference neither side reads it among its events."""
    type_ = f"consent.{what}" if record.conference_id is None else f"conference.consent_{what}"
    event(tx, referral, asked, type_, consent_id=str(record.id))


async def read_consents(tx: AsyncSession, asked: Asked, id_: UUID) -> list[ConsentView]:
    """Answer the consents of a referral as its reader may see them, the newest first.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    await store.begin(tx, asked.caller)
    referral, parties = await store.lock_referral(tx, id_, asked.caller, reading=True)
    plain = views.neutral(referral, parties)
    rows = await store.consents(tx, id_, reading=True)
    if plain:
        # What she narrowed or confirmed since is as little its to read as that she withdrew.
        others = {
            row.data["consent_id"]
            for row in await store.events(tx, id_)
            if row.type in _OF_HER_OWN and row.organisation_id != asked.actor.organisation_id
        }
        rows = [(record, state) for record, state in rows if str(record.id) not in others]
    return [views.consent_view(record, state, asked.now, plain=plain) for record, state in rows]


_OF_HER_OWN: Final = frozenset({"consent.narrowed", "consent.confirmed"})
"""What puts a record of another's making in the place of the one that a sender wrote down."""


async def receipt_of(tx: AsyncSession, asked: Asked, consent_id: UUID) -> ConsentFacts:
    """Answer what the receipt of a consent says; a sender that may sanction reads in it what it recorded alone.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    await store.begin(tx, asked.caller)
    conference_id = await store_conference.of_consent(tx, consent_id)
    id_ = await store.referral_of_consent(tx, consent_id)
    try:
        if conference_id is not None:
            place = await store_conference.find(tx, conference_id, asked.caller, lock="reading")
            referral, parties = place.referral, place.parties
        else:
            referral, parties = await store.lock_referral(tx, id_, asked.caller, reading=True)
    except NotFound:
        raise NotFound(UNKNOWN) from None
    rows = await store.consents(tx, id_, conference_id=conference_id, reading=True)
    found = next(((record, state) for record, state in rows if record.id == consent_id), None)
    if found is None:
        raise NotFound(UNKNOWN)
    record, state = found
    if not parties and (record.recipient_id != asked.actor.organisation_id or state.status != Status.GIVEN):
        # Whoever takes part in a conference alone reads what she agreed to for it, and for nobody else.
        raise NotFound(UNKNOWN)
    ran_out = state.status == Status.GIVEN and record.valid_until is not None and record.valid_until <= asked.now
    status, history = (Status.EXPIRED if ran_out else Status(state.status)), state.history
    if views.neutral(referral, parties):
        status, history = (Status.GIVEN if record.given_at else Status.REQUESTED), []
    more = {name: record.record[name] for name in _ON_RECEIPT}
    return ConsentFacts(
        record_id=str(record.id),
        # The same for every consent of this hand-over, and for nothing else.
        subject=f"urn:uuid:{uuid5(referral.id, 'person')}",
        purposes=record.purposes,
        data_categories=record.data_categories,
        controllers=[
            Controller.of(facts, role)
            for facts, role in zip(record.record["controllers"], ("sender", "recipient"), strict=False)
        ],
        recipient=record.record["recipient"]["name"],
        service=record.record["recipient"].get("service_name") or "",
        status=status,
        recorded_at=record.recorded_at,
        given_at=record.given_at,
        valid_until=record.valid_until,
        history=history,
        practice=referral.practice,
        **more,
    )


_ON_RECEIPT: Final = (
    "schema_version", "method", "expressed_by", "language", "notice", "collected_by", "given_by", "legal_basis",
    "article_9_basis", "seen_alone", "interpreter",
)  # fmt: skip
"""The record's other facts that its receipt says."""

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


async def _new_record(
    tx: AsyncSession, referral: Referral, terms: ConsentTerms, facts: dict[str, Any], asked: Asked
) -> ConsentRecord:
    """Answer the record of an agreement to these terms, judged against recipient and theme; not stored yet.

    Raises:
        RecipientNotBound, SensitiveBasisMissing: The recipient or the theme needs more.
    """
    recipient = await known(tx, OrganisationCopy, referral.recipient_id)
    sender = await known(tx, OrganisationCopy, referral.sender_id)
    if BOUND_ONLY & set(terms.data_categories) and not _bound(referral, recipient):
        raise RecipientNotBound(
            "Its staff is bound by no secrecy: situation, notes and documents do not go there.",
            data_categories=sorted(BOUND_ONLY & set(terms.data_categories)),
        )
    judge_basis(referral, terms)
    return ConsentRecord(
        id=uuid4(),
        referral_id=referral.id,
        recipient_id=referral.recipient_id,
        service_id=referral.service_id,
        purposes=sorted(set(terms.purposes)),
        data_categories=sorted(set(terms.data_categories)),
        valid_until=terms.valid_until,
        recorded_at=asked.now,
        record={
            "schema_version": SCHEMA_VERSION,
            "recipient": {
                "organisation_id": str(referral.recipient_id),
                "name": referral.recipient_name,
                "service_id": str(referral.service_id),
                "service_name": referral.service_name,
            },
            "controllers": [
                controller(referral.sender_id, referral.sender_name, sender),
                controller(referral.recipient_id, referral.recipient_name, recipient),
            ],
            **facts,
        },
    )


def _bound(referral: Referral, recipient: Organisation | None) -> bool:
    """Answer whether the recipient's staff keeps secrets: a guest undertakes to before anything is opened."""
    if referral.via == Via.GUEST:
        return True
    if referral.via == Via.PHONE_ONLY or recipient is None:
        return False
    return Secrecy(recipient.secrecy) is not Secrecy.NONE


def controller(id_: UUID, name: str, organisation: Organisation | None) -> dict[str, Any]:
    """Answer who answers for the data, as a record keeps it."""
    return {**(organisation.controller if organisation else {}), "organisation_id": str(id_), "name": name}


def judge_basis(referral: Referral, terms: ConsentTerms) -> None:
    """Refuse an agreement about a sensitive theme without its basis.

    Raises:
        SensitiveBasisMissing: It names none.
    """
    if referral.sensitive and not terms.article_9_basis:
        raise SensitiveBasisMissing("This theme is sensitive: say on which basis, in article_9_basis.")


def judge_time(given: ConsentInput, asked: Asked) -> None:
    """Refuse an agreement that was not given just now.

    Raises:
        InvalidInput: It is of the future, or older than may be recorded.
    """
    if not given_in_time(given.given_at, asked.now, written=given.method == "in_person_written"):
        fault = Fault("/given_at", "Not in the future, and unless written at most 24 hours ago: ask her again.")
        raise InvalidInput("This agreement cannot be recorded so.", [fault])


def _purpose_faults(referral: Referral, terms: ConsentTerms) -> list[Fault]:
    found = []
    if Purpose.REFERRAL not in terms.purposes:
        found.append(Fault("/purposes", "Without the purpose referral nothing can be handed over."))
    if referral.sender_may_sanction and Purpose.FEEDBACK in terms.purposes:
        found.append(Fault("/purposes", "An organisation that may sanction is not offered feedback."))
    return found


async def judge_terms(
    tx: AsyncSession, referral: Referral, terms: ConsentTerms, asked: Asked, more: Iterable[Fault]
) -> dict[str, str]:
    """Answer the notice that was read, or refuse what cannot be.

    Args:
        tx: The hand-over locked.
        referral: The hand-over.
        terms: To what she is asked to agree.
        asked: Who asks, when.
        more: What was found wrong already.

    Raises:
        InvalidInput: Every fault is named.
        PersonalDataDetected: A text of the record tells who she is.
    """
    await _judge_texts(tx, referral, terms, asked)
    found = []
    text = notice(terms.notice_version, terms.language)
    if text is None and isinstance(terms, ConsentInput) and terms.interpreter != "none":
        # A person may decide in a language that we have no text in; then an interpreter read ours.
        text = notice(terms.notice_version, "fr")
    if text is None:
        found.append(Fault("/notice_version", "No such notice in that language: name an interpreter, or another."))
    found += more
    if terms.valid_until is not None and terms.valid_until <= asked.now:
        found.append(Fault("/valid_until", "This is past already."))
    if found or text is None:
        raise InvalidInput("This agreement cannot be recorded so.", found)
    return {"version": text.version, "language": text.language, "sha256": text.sha256}


async def _judge_texts(tx: AsyncSession, referral: Referral, terms: ConsentTerms, asked: Asked) -> None:
    """Refuse what tells who she is in texts of the record: it is no sealed part, and outlives what is erased."""
    written = {f"/legal_basis/{purpose}": text for purpose, text in terms.legal_basis.items()}
    if terms.article_9_basis:
        written["/article_9_basis"] = terms.article_9_basis
    refuse_numbers({"/collected_by": terms.collected_by})
    if written:
        identity = (await open_pieces(tx, referral, ["identity"], asked)).get("identity")
        names = Identity.model_validate(identity).names() if identity else []
        refuse_texts(
            [
                Fault(pointer, f"This stays as proof when all else is erased, and holds {what}: leave it out.")
                for pointer, text in written.items()
                if (what := texts.telling(text, names))
            ]
        )


def _judge_less(record: ConsentRecord, purposes: Iterable[str], categories: Iterable[str]) -> None:
    found = []
    # A conference may be agreed to without anything of the hand-over: then its thread alone is read.
    conference = record.conference_id is not None
    needed = Purpose.CASE_CONFERENCE if conference else Purpose.REFERRAL
    if not set(purposes) <= set(record.purposes) or needed not in purposes:
        found.append(Fault("/purposes", f"Choose among what was asked for; without {needed}, refuse instead."))
    if not set(categories) <= set(record.data_categories) or not (categories or conference):
        found.append(Fault("/data_categories", "Choose among what was asked for, one at least."))
    if found:
        raise InvalidInput("This cannot be agreed to so.", found)


def _copy(
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


def _state(record: ConsentRecord, status: Status, asked: Asked) -> ConsentState:
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


async def put_in_force(tx: AsyncSession, record: ConsentRecord, asked: Asked) -> ConsentState:
    """Store a record as given; what was in force before, or asked for, is superseded."""
    await _supersede(tx, record, asked)
    tx.add(record)
    await tx.flush()  # Its state refers to it, and the one before it must be superseded first.
    state = _state(record, Status.GIVEN, asked)
    tx.add(state)
    return state


async def put_asked_for(tx: AsyncSession, record: ConsentRecord, asked: Asked) -> ConsentState:
    """Store a record as asked for; what was asked for before, and not answered, is superseded."""
    await _supersede(tx, record, asked, frozenset({Status.REQUESTED}))
    tx.add(record)
    await tx.flush()  # Its state refers to it.
    state = _state(record, Status.REQUESTED, asked)
    tx.add(state)
    return state


async def _supersede(
    tx: AsyncSession,
    by: ConsentRecord,
    asked: Asked,
    which: frozenset[Status] = frozenset({Status.GIVEN, Status.REQUESTED}),
) -> None:
    """Let a record take the place of those for the same recipient, in the same conference where it is for one."""
    rows = await store.consents(tx, by.referral_id, conference_id=by.conference_id, lock=True)
    for record, state in rows:
        if state.status in which and record.id != by.id and record.recipient_id == by.recipient_id:
            stands(state, Status.SUPERSEDED, asked.now)
            state.superseded_by = by.id
    await tx.flush()


async def _hers(tx: AsyncSession, asked: Asked, consent_id: UUID) -> tuple[Referral, ConsentRecord, ConsentState]:
    await store.begin(tx, asked.caller)
    id_ = await store.referral_of_consent(tx, consent_id)
    referral, _parties, _ = await locked(tx, asked, id_)
    return referral, *(await _one(tx, id_, consent_id))


async def _one(tx: AsyncSession, referral_id: UUID, consent_id: UUID) -> tuple[ConsentRecord, ConsentState]:
    for record, state in await store.consents(tx, referral_id, conference_id="every", lock=True):
        if record.id == consent_id:
            return record, state
    raise NotFound(UNKNOWN)
