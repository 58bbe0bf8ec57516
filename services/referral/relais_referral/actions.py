"""The verbs of a hand-over, one transaction each: lock, decide, write, and show what may be shown."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store, views
from relais_referral.directory import NamedService, Theme
from relais_referral.domain import chain
from relais_referral.domain.consent import BOUND_ONLY, Consent, Purpose, Secrecy, Status, given_in_time
from relais_referral.domain.handshake import Action, Party, State, Transition, decide
from relais_referral.domain.refusals import (
    AgreementMissing,
    IllegalAction,
    NotYourTurn,
    PersonalDataDetected,
    RecipientNotBound,
    SensitiveBasisMissing,
)
from relais_referral.domain.visibility import shown_state
from relais_referral.models import ConsentRecord, ConsentState, Disclosure, OrganisationCopy, Referral
from relais_referral.notices import notice
from relais_referral.schemas import (
    Acceptance,
    Closing,
    Confirmation,
    ConsentInput,
    ConsentView,
    Decline,
    Draft,
    DraftChange,
    Identity,
    Meeting,
    Propose,
    ReferralView,
    Taken,
    Withdrawal,
)
from relais_referral.sealing import Seal, Sealer, Wrapped
from relais_shared import texts
from relais_shared.auth import Actor
from relais_shared.refusals import Fault, InvalidInput, NotFound, StaleVersion
from relais_shared.registry import Organisation, known
from relais_shared.telemetry import current_trace_id

SCHEMA_VERSION: Final = "relais-consent-1"
"""The version of our consent records; the receipt maps them to ISO/IEC TS 27560."""

SHORT_CODE_SIGNS: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""No 0, O, 1 or I: the code is said on the telephone."""

SHORT_CODE_LENGTH: Final = 8
"""A million million codes: two referrals hardly ever meet, and the database refuses the second."""

PIECES: Final = ("goal_words", "resources", "concerned", "situation", "notes", "constraints")
"""The free parts of a draft, each sealed on its own."""


_NO_NUMBER: Final = "A national number is never needed here: leave it out."


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for something, and when.

    Attributes:
        actor: Vouched for by the gateway.
        now: The instant of the request, aware UTC.
        sealer: The keys that open what is sealed.
    """

    actor: Actor
    now: datetime
    sealer: Sealer

    @property
    def organisation_id(self) -> UUID:
        """The organisation that asks; every caller of a referral has one."""
        if self.actor.organisation_id is None:
            raise NotFound(store.UNKNOWN)
        return self.actor.organisation_id


@dataclass(frozen=True, slots=True)
class Shown:
    """A representation and the version that its reader knows it by."""

    view: ReferralView
    version: int


async def open_draft(
    tx: AsyncSession,
    asked: Asked,
    draft: Draft,
    service: NamedService | None,
    themes: Mapping[str, Theme],
) -> Shown:
    """Open a referral as a draft that the sender alone knows of.

    Args:
        tx: Writing.
        asked: By whom, when.
        draft: What the sender wrote.
        service: The service that it names, as the directory knows it; None where it does not.
        themes: The directory's themes.

    Raises:
        InvalidInput: The service or a theme is not there, or cannot be received by Relais.
        PersonalDataDetected: A text tells more than it may.
        AgreementMissing: The sender has no agreement on record.
    """
    await store.begin(tx, asked.actor)
    sender = await known(tx, OrganisationCopy, asked.organisation_id)
    if sender is None or not sender.active or not sender.agreement:
        raise AgreementMissing("Your organisation needs a signed agreement on record before it hands anyone over.")
    recipient = await known(tx, OrganisationCopy, draft.recipient.organisation_id)
    found = _service_faults(draft, service, recipient, sender) + _theme_faults(draft.needs, themes)
    if found or service is None or recipient is None:
        raise InvalidInput("This hand-over cannot be opened.", found)
    _judge_texts(draft.person.identity, draft)
    referral_id = uuid4()
    wrapped, seal = asked.sealer.new(referral_id)
    referral = Referral(
        id=referral_id,
        short_code="".join(secrets.choice(SHORT_CODE_SIGNS) for _ in range(SHORT_CODE_LENGTH)),
        state=State.DRAFT,
        version=1,
        neutral_version=1,
        sender_id=sender.id,
        sender_name=sender.name,
        sender_may_sanction=sender.may_sanction,
        recipient_id=recipient.id,
        recipient_name=recipient.name,
        service_id=service.id,
        service_name=service.name,
        relay_contact_id=draft.recipient.relay_contact_id,
        practice=sender.practice,
        sensitive=service.sensitive or any(themes[need.theme].sensitive for need in draft.needs),
        themes=[],
        languages=[],
        municipality="",
        urgency=draft.urgency,
        via=service.can_receive,
        state_at=asked.now,
        sender_counsellor=_plain(draft.counsellor),
        confirmations={},
        key_id=wrapped.key_id,
        wrapped_key=wrapped.wrapped,
        event_head=chain.START,
        created_at=asked.now,
        updated_at=asked.now,
        noticed_at=asked.now,
    )
    _write_person(referral, draft)
    tx.add(referral)
    await tx.flush()  # The sealed parts refer to the row.
    for part, value in _pieces(draft).items():
        await store.seal(tx, referral_id, part, seal.close(part, value))
    _event(tx, referral, asked, "referral.drafted")
    return await _show(tx, referral, frozenset({Party.SENDER}), asked)


def _service_faults(  # noqa: PLR0911 - the first fault is the one to mend first
    draft: Draft, service: NamedService | None, recipient: Organisation | None, sender: Organisation
) -> list[Fault]:
    to_service, to_organisation = "/recipient/service_id", "/recipient/organisation_id"
    if service is None or service.status != "active":
        return [Fault(to_service, "The directory has no such service, or it is not given now.")]
    if service.organisation.id != draft.recipient.organisation_id:
        return [Fault(to_service, "This service is not of that organisation.")]
    if recipient is None or not recipient.active or "referral:receive" not in recipient.scopes:
        return [Fault(to_organisation, "This organisation has no account here yet: call it, or print its sheet.")]
    if not recipient.agreement:
        return [Fault(to_organisation, "This organisation has no agreement on record yet.")]
    if service.can_receive != "relais":
        return [Fault(to_service, "This service does not take hand-overs by Relais: call it, or print its sheet.")]
    if recipient.practice != sender.practice:
        return [Fault(to_organisation, "Practice and real organisations do not hand over to each other.")]
    return []


def _theme_faults(needs: Iterable[Any], themes: Mapping[str, Theme]) -> list[Fault]:
    return [
        Fault(f"/needs/{place}/theme", "The directory has no such theme.")
        for place, need in enumerate(needs)
        if need.theme not in themes
    ]


def _judge_texts(identity: Identity, written: Draft | DraftChange) -> None:
    """Refuse what tells who she is where it is read before acceptance, and a national number anywhere.

    Raises:
        PersonalDataDetected: Names every text at fault, never what it holds.
    """
    names = identity.names()
    early = {f"/needs/{place}/words": need.words for place, need in enumerate(written.needs or [])}
    early |= {"/goal_words": written.goal_words}
    for name in ("resources", "constraints"):
        early |= {f"/{name}/{place}": text for place, text in enumerate(getattr(written, name) or [])}
    early |= {f"/concerned/{place}/relation": one.relation for place, one in enumerate(written.concerned or [])}
    late: dict[str, object] = {"/notes": written.notes}
    late |= {f"/situation/{key}": value for key, value in (written.situation or {}).items()}
    found = [
        Fault(pointer, f"This is read before anybody takes over and holds {what}: leave it out.")
        for pointer, text in early.items()
        if text and (what := texts.telling(text, names))
    ]
    found += [
        Fault(pointer, _NO_NUMBER)
        for pointer, text in late.items()
        if isinstance(text, str) and texts.national_number(text)
    ]
    if any(texts.national_number(key) for key in written.situation or {}):
        # The key itself is not repeated: it is what may not be here.
        found.append(Fault("/situation", _NO_NUMBER))
    _refuse_texts(found)


def _write_person(referral: Referral, written: Draft | DraftChange) -> None:
    if written.needs is not None:
        referral.themes = list(dict.fromkeys(need.theme for need in written.needs))
    if written.person is not None:
        referral.languages = written.person.languages
        referral.municipality = written.person.area.municipality
        referral.postcode = written.person.area.postcode


def _pieces(written: Draft | DraftChange) -> dict[str, Any]:
    """Answer what is hers in a draft, by sealed piece; only what was given."""
    found: dict[str, Any] = {}
    if written.person is not None:
        found |= {"identity": _plain(written.person.identity), "contact": _plain(written.person.contact)}
    if written.needs is not None:
        found["needs"] = [_plain(need) for need in written.needs]
    for name in PIECES:
        value = getattr(written, name)
        if value:
            found[name] = [_plain(one) for one in value] if name == "concerned" else value
    return found


async def change_draft(  # noqa: PLR0913 - the change, by whom, on which version, among which themes
    tx: AsyncSession, asked: Asked, id_: UUID, change: DraftChange, version: str, themes: Mapping[str, Theme]
) -> Shown:
    """Change a draft; what is given takes the place of what was there.

    Raises:
        NotFound, StaleVersion: As everywhere.
        IllegalAction: It is no draft any more.
        InvalidInput, PersonalDataDetected: As when it was opened.
    """
    referral, parties, _ = await _locked(tx, asked, id_, version)
    if referral.state != State.DRAFT:
        # The step that only a draft's sender may take says why not.
        _decide(referral, None, asked, Action.PROPOSE, parties)
    if found := _theme_faults(change.needs or [], themes):
        raise InvalidInput("This draft cannot be changed so.", found)
    seal = _seal(referral, asked)
    # A name and a text are judged together, whichever was written first.
    kept = await store.sealed(tx, id_, DraftChange.model_fields.keys() | {"identity"})
    before = {name: seal.open(name, content) for name, content in kept.items()}
    identity = change.person.identity if change.person else Identity.model_validate(before.pop("identity"))
    before = {name: value for name, value in before.items() if name in DraftChange.model_fields}
    _judge_texts(identity, DraftChange.model_validate(before | change.model_dump(exclude_unset=True)))
    for part, value in _pieces(change).items():
        await store.seal(tx, id_, part, seal.close(part, value))
    for name in change.model_fields_set & set(PIECES):
        if not getattr(change, name):
            await store.seal(tx, id_, name, None)
    _write_person(referral, change)
    if change.needs is not None:
        referral.sensitive = referral.sensitive or any(themes[need.theme].sensitive for need in change.needs)
    if change.counsellor is not None:
        referral.sender_counsellor = _plain(change.counsellor)
    if change.urgency is not None:
        referral.urgency = change.urgency
    _moved(referral, asked)
    _event(tx, referral, asked, "referral.changed")
    return await _show(tx, referral, parties, asked)


Body = Propose | Taken | Acceptance | Decline | Meeting | Confirmation | Closing | Withdrawal | None


async def take(  # noqa: PLR0913 - one step: what, by whom, on which version
    tx: AsyncSession, asked: Asked, id_: UUID, action: Action, body: Body, version: str | None
) -> Shown:
    """Take one step of the handshake.

    Args:
        tx: Writing.
        asked: By whom, when.
        id_: The referral.
        action: Which step.
        body: What the step brings along.
        version: The ETag that was read; None for withdrawing, which never needs one.

    Raises:
        NotFound, StaleVersion: As everywhere.
        IllegalAction, NotYourTurn, ConsentMissing: The table says no.
        PersonalDataDetected: A text of the step holds a national number.
    """
    referral, parties, consent = await _locked(tx, asked, id_, version)
    step = _decide(referral, consent, asked, action, parties)
    _judge_step(body)
    seal = _seal(referral, asked)
    await _bring(tx, referral, step.by, body, seal, asked)
    if action is Action.WITHDRAW:
        await _end_consents(tx, referral, body, asked)
    before = shown_state(State(referral.state), neutral=True)
    if step.target != referral.state:
        referral.state, referral.state_at = step.target, asked.now
    _moved(referral, asked, noticed=before != shown_state(step.target, neutral=True), by=step.by)
    _event(tx, referral, asked, step.event, state=step.target)
    return await _show(tx, referral, parties, asked)


async def _bring(  # noqa: PLR0913 - what a step brings, and where it goes
    tx: AsyncSession, referral: Referral, by: Party, body: Body, seal: Seal, asked: Asked
) -> None:
    """Write what a step brings along."""
    if isinstance(body, Propose) and body.counsellor is not None:
        referral.sender_counsellor = _plain(body.counsellor)
    if isinstance(body, Taken):
        referral.recipient_counsellor = _plain(body.counsellor)
    if isinstance(body, Acceptance) and body.meeting_options:
        options = [_plain(option) for option in body.meeting_options]
        await store.seal(tx, referral.id, "meeting_options", seal.close("meeting_options", options))
    if isinstance(body, Decline):
        referral.decline_reason = body.reason
        await store.seal(tx, referral.id, "decline", seal.close("decline", _plain(body)))
    if isinstance(body, Meeting):
        await store.seal(tx, referral.id, "meeting", seal.close("meeting", _plain(body)))
    if isinstance(body, Confirmation):
        day = (body.on or asked.now.date()).isoformat()
        referral.confirmations = {**referral.confirmations, str(by): {"on": day, "mode": body.mode}}
    if isinstance(body, Closing):
        referral.outcome = body.outcome
        await store.seal(tx, referral.id, "outcome", seal.close("outcome", _plain(body)))


async def record_consent(tx: AsyncSession, asked: Asked, id_: UUID, given: ConsentInput) -> ConsentView:
    """Record what she agreed to; the consent that was in force before is superseded.

    Raises:
        NotFound: Absent, or not the actor's as sender.
        IllegalAction: The referral has ended.
        InvalidInput: A purpose or a time cannot be so.
        RecipientNotBound, SensitiveBasisMissing: The recipient or the theme needs more.
    """
    referral, parties, _ = await _locked(tx, asked, id_, None)
    # Whoever may still cancel it may still ask her.
    _decide(referral, None, asked, Action.CANCEL, parties & {Party.SENDER})
    text = _judge_consent(referral, given, asked.now)
    recipient = await known(tx, OrganisationCopy, referral.recipient_id)
    sender = await known(tx, OrganisationCopy, referral.sender_id)
    if recipient is None or (Secrecy(recipient.secrecy) is Secrecy.NONE and BOUND_ONLY & set(given.data_categories)):
        raise RecipientNotBound(
            "Its staff is bound by no secrecy: situation, notes and documents do not go there.",
            data_categories=sorted(BOUND_ONLY & set(given.data_categories)),
        )
    if referral.sensitive and not given.article_9_basis:
        raise SensitiveBasisMissing("This theme is sensitive: say on which basis, in article_9_basis.")
    record = ConsentRecord(
        id=uuid4(),
        referral_id=id_,
        recipient_id=referral.recipient_id,
        service_id=referral.service_id,
        purposes=sorted(set(given.purposes)),
        data_categories=sorted(set(given.data_categories)),
        valid_until=given.valid_until,
        given_at=given.given_at,
        recorded_at=asked.now,
        record={
            "schema_version": SCHEMA_VERSION,
            "recipient": {
                "organisation_id": str(referral.recipient_id),
                "name": referral.recipient_name,
                "service_id": str(referral.service_id),
                "service_name": referral.service_name,
            },
            "notice": text,
            **given.model_dump(
                mode="json",
                exclude={"purposes", "data_categories", "given_at", "valid_until", "notice_version"},
            ),
        },
    )
    record.record |= {"legal_basis": {str(name): text for name, text in given.legal_basis.items()}}
    controllers = [one.controller for one in (sender, recipient) if one is not None]
    for earlier, state in await store.consents(tx, id_, lock=True):
        if state.status == Status.GIVEN:
            _stands(state, Status.SUPERSEDED, asked.now)
            state.superseded_by = record.id
            del earlier
    tx.add(record)
    await tx.flush()  # Its state refers to it, and the one before it must be superseded first.
    state = ConsentState(
        consent_id=record.id,
        referral_id=id_,
        status=Status.GIVEN,
        changed_at=asked.now,
        valid_until=record.valid_until,
        history=[],
    )
    _stands(state, Status.GIVEN, asked.now)
    tx.add(state)
    _moved(referral, asked, by=Party.SENDER)
    _event(tx, referral, asked, "consent.given", consent_id=str(record.id), controllers=len(controllers))
    return views.consent_view(record, state, asked.now)


def _judge_consent(referral: Referral, given: ConsentInput, now: datetime) -> dict[str, str]:
    """Answer the notice that was read, or refuse what cannot be.

    Raises:
        InvalidInput: Every fault is named.
    """
    found = []
    text = notice(given.notice_version, given.language)
    if text is None:
        # A person may decide in a language that we have no text in; then an interpreter read ours.
        text = notice(given.notice_version, "fr") if given.interpreter != "none" else None
        if text is None:
            found.append(Fault("/notice_version", "No such notice in that language: name an interpreter, or another."))
    if Purpose.REFERRAL not in given.purposes:
        found.append(Fault("/purposes", "Without the purpose referral nothing can be handed over."))
    if referral.sender_may_sanction and Purpose.FEEDBACK in given.purposes:
        found.append(Fault("/purposes", "An organisation that may sanction is not offered feedback."))
    if not given_in_time(given.given_at, now, written=given.method == "in_person_written"):
        found.append(Fault("/given_at", "Not in the future, and unless written at most 24 hours ago: ask her again."))
    if given.valid_until is not None and given.valid_until <= now:
        found.append(Fault("/valid_until", "This is past already."))
    if found or text is None:
        raise InvalidInput("This agreement cannot be recorded so.", found)
    return {"version": text.version, "language": text.language, "sha256": text.sha256}


async def withdraw_consent(tx: AsyncSession, asked: Asked, consent_id: UUID, body: Withdrawal) -> ConsentView:
    """Stop the sharing at her word, from now on; the referral is withdrawn in the same transaction.

    A consent that no longer holds stays as it stands: stopping twice is no fault.

    Raises:
        NotFound: Absent, or not the actor's to know of.
    """
    await store.begin(tx, asked.actor)
    id_ = await store.referral_of_consent(tx, consent_id)
    referral, parties, _ = await _locked(tx, asked, id_, None)
    there = {record.id: (record, state) for record, state in await store.consents(tx, id_, lock=True)}
    record, state = there[consent_id]
    plain = views.neutral(referral, parties)
    # A sender that may sanction shall not learn from the answer that she had stopped it before.
    if state.status == Status.GIVEN or (plain and state.status == Status.WITHDRAWN):
        await take(tx, asked, id_, Action.WITHDRAW, body, None)
    told = Status.WITHDRAWN if state.status == Status.WITHDRAWN else None
    return views.consent_view(record, state, asked.now, plain=plain, told=told)


async def _end_consents(tx: AsyncSession, referral: Referral, body: Body, asked: Asked) -> None:
    for record, state in await store.consents(tx, referral.id, lock=True):
        if state.status == Status.GIVEN:
            _stands(state, Status.WITHDRAWN, asked.now)
            state.withdrawal_method = body.method if isinstance(body, Withdrawal) else "counsellor"
            _event(tx, referral, asked, "consent.withdrawn", consent_id=str(record.id))


async def read(tx: AsyncSession, asked: Asked, id_: UUID) -> Shown:
    """Show a referral as its reader may see it now; what is opened of hers is recorded with it.

    Raises:
        NotFound: Absent, or not the actor's to know of.
    """
    await store.begin(tx, asked.actor)
    referral, parties = await store.lock_referral(tx, id_, asked.actor, reading=True)
    return await _show(tx, referral, parties, asked)


async def _locked(
    tx: AsyncSession, asked: Asked, id_: UUID, version: str | None
) -> tuple[Referral, frozenset[Party], Consent | None]:
    """Lock a referral for a change and judge the version that was read."""
    await store.begin(tx, asked.actor)
    referral, parties = await store.lock_referral(tx, id_, asked.actor)
    if version is not None and version != str(views.version(referral, parties)):
        raise StaleVersion("It changed since you read it: read it again, then decide again.")
    rows = await store.consents(tx, id_, lock=True)
    return referral, parties, _in_force(rows)


def _in_force(rows: list[tuple[ConsentRecord, ConsentState]]) -> Consent | None:
    return next((store.consent_of(record, state) for record, state in rows if state.status == Status.GIVEN), None)


async def _show(tx: AsyncSession, referral: Referral, parties: frozenset[Party], asked: Asked) -> Shown:
    """Represent a locked referral, and record what of hers was opened."""
    await tx.flush()
    consent = _in_force(await store.consents(tx, referral.id, reading=True))
    parts = views.parts_for(referral, parties, consent, asked.now)
    names = [name for part in parts for name in views.SEALED_UNDER.get(part, ())]
    kept = await store.sealed(tx, referral.id, names)
    pieces: dict[str, Any] = {}
    if kept:
        seal = _seal(referral, asked)
        pieces = {name: seal.open(name, content) for name, content in kept.items()}
    opened = views.categories(parts, pieces)
    if opened:
        tx.add(
            Disclosure(
                id=uuid4(),
                referral_id=referral.id,
                at=asked.now,
                actor=asked.actor.id,
                on_behalf_of=asked.actor.on_behalf_of,
                organisation_id=asked.organisation_id,
                categories=opened,
                # The sender reads what it wrote itself: no consent opens that to it.
                consent_id=consent.id if consent and Party.RECIPIENT in parties else None,
                trace_id=current_trace_id(),
            )
        )
    view = views.referral_view(referral, parties, parts, pieces, consent, asked.now)
    return Shown(view, views.version(referral, parties))


def _decide(
    referral: Referral, consent: Consent | None, asked: Asked, action: Action, parties: frozenset[Party]
) -> Transition:
    """Ask the table; a sender that may sanction reads from its "no" nothing of what became of her."""
    try:
        return decide(views.standing(referral, consent, asked.now), action, parties=parties)
    except (IllegalAction, NotYourTurn) as refusal:
        if not views.neutral(referral, parties):
            raise
        raise IllegalAction("This cannot be done now.", allowed_actions=refusal.facts["allowed_actions"]) from None


def _judge_step(body: Body) -> None:
    """Refuse a national number in the texts of a step.

    Raises:
        PersonalDataDetected: Names every text at fault, never what it holds.
    """
    written: dict[str, str | None] = {}
    if isinstance(body, Decline | Closing):
        written = {"/words": body.words}
    if isinstance(body, Meeting):
        written = {"/place": body.place}
    if isinstance(body, Acceptance):
        written = {f"/meeting_options/{at}/place": one.place for at, one in enumerate(body.meeting_options)}
    _refuse_texts([Fault(place, _NO_NUMBER) for place, text in written.items() if texts.national_number(text or "")])


def _refuse_texts(found: list[Fault]) -> None:
    if found:
        raise PersonalDataDetected(
            "Some texts tell more than they may.",
            errors=[{"pointer": fault.pointer, "detail": fault.detail} for fault in found],
        )


def _seal(referral: Referral, asked: Asked) -> Seal:
    if referral.key_id is None or referral.wrapped_key is None:
        raise NotFound(store.UNKNOWN)  # Its key is gone: nothing of it can be opened any more.
    return asked.sealer.open(referral.id, Wrapped(referral.key_id, bytes(referral.wrapped_key)))


def _moved(referral: Referral, asked: Asked, *, noticed: bool = False, by: Party | None = Party.SENDER) -> None:
    """Move the versions: everybody's, and a sanctioning sender's where it acted or may notice."""
    referral.version += 1
    referral.updated_at = asked.now
    if noticed or by is Party.SENDER:
        referral.neutral_version += 1
        referral.noticed_at = asked.now


def _stands(state: ConsentState, status: Status, now: datetime) -> None:
    state.status, state.changed_at = status, now
    state.history = [*state.history, {"status": str(status), "at": now.isoformat()}]


def _event(tx: AsyncSession, referral: Referral, asked: Asked, type_: str, **data: Any) -> None:  # noqa: ANN401 - JSON-able facts
    store.add_event(
        tx,
        referral,
        type_,
        actor=asked.actor.id,
        organisation_id=asked.actor.organisation_id,
        at=asked.now,
        data=data,
    )


def _plain(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_none=True)


async def read_consents(tx: AsyncSession, asked: Asked, id_: UUID) -> list[ConsentView]:
    """Answer the consents of a referral as its reader may see them, the newest first.

    Raises:
        NotFound: Absent, or not the actor's to know of.
    """
    await store.begin(tx, asked.actor)
    referral, parties = await store.lock_referral(tx, id_, asked.actor, reading=True)
    plain = views.neutral(referral, parties)
    rows = await store.consents(tx, id_, reading=True)
    return [views.consent_view(record, state, asked.now, plain=plain) for record, state in rows]
