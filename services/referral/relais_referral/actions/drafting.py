"""Drafts: opened, changed, and opened again toward another service."""

import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store, views
from relais_referral.actions.common import (
    ERASED,
    NO_NUMBER,
    Asked,
    Shown,
    decided,
    event,
    locked,
    moved,
    open_pieces,
    plain,
    refuse_texts,
    seal_of,
    show,
    texts_of,
)
from relais_referral.directory import Home, NamedService, Theme
from relais_referral.domain import chain
from relais_referral.domain.handshake import Action, Party, State, Via
from relais_referral.domain.refusals import AgreementMissing
from relais_referral.models.referrals import Referral
from relais_referral.models.shared import OrganisationCopy
from relais_referral.schemas.drafts import Draft, DraftChange, Identity, Redirection, To
from relais_shared import texts
from relais_shared.refusals import Fault, InvalidInput, NotFound
from relais_shared.registry import Organisation, known

SHORT_CODE_SIGNS: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""No 0, O, 1 or I: the code is said on the telephone."""

SHORT_CODE_LENGTH: Final = 8
"""A million million codes: two referrals hardly ever meet, and the database refuses the second."""

PIECES: Final = ("goal_words", "resources", "concerned", "situation", "notes", "constraints")
"""The free parts of a draft, each sealed on its own."""

WRITTEN: Final = ("identity", "contact", "needs", *PIECES)
"""All that a sender writes of her: what a redirection takes along."""


async def open_draft(  # noqa: PLR0913 - the draft, by whom, and what the directory knows of it
    tx: AsyncSession,
    asked: Asked,
    draft: Draft,
    service: NamedService | None,
    themes: Mapping[str, Theme],
    home: Home | None,
) -> Shown:
    """Open a referral as a draft that the sender alone knows of.

    Args:
        tx: Writing.
        asked: By whom, when.
        draft: What the sender wrote.
        service: The service that it names, as the directory knows it; None where it does not.
        themes: The directory's themes.
        home: Her municipality, as the directory knows it; None where it does not.

    Raises:
        InvalidInput: The service or a theme is not there, or cannot be received by Relais.
        PersonalDataDetected: A text tells more than it may.
        AgreementMissing: The sender has no agreement on record.
    """
    await store.callers.begin(tx, asked.caller)
    sender = await _sender(tx, asked)
    service = await _receiving(tx, draft.recipient, service, sender, _theme_faults(draft.needs, themes))
    judge_texts(draft.person.identity, draft)
    pieces = _pieces(draft)
    if draft.external_ids:
        pieces["external_ids.sender"] = draft.external_ids
    referral = _new(asked, sender, service, draft.recipient)
    referral.sensitive = service.sensitive or any(themes[need.theme].sensitive for need in draft.needs)
    referral.urgency = draft.urgency
    referral.sender_counsellor = plain(draft.counsellor)
    _write_person(referral, draft, home)
    await _keep(tx, asked, referral, pieces)
    event(tx, referral, asked, "referral.drafted")
    return await show(tx, referral, frozenset({Party.SENDER}), asked)


async def redirect(  # noqa: PLR0913 - the change, by whom, on which version, toward what
    tx: AsyncSession, asked: Asked, id_: UUID, body: Redirection, version: str, service: NamedService | None
) -> Shown:
    """Open a new draft toward another service with what was written, after the first said no.

    The two are linked; her agreement is not taken along: it named another recipient.

    Raises:
        NotFound, StaleVersion: As everywhere.
        IllegalAction, NotYourTurn: It was not declined, or it is not the sender's.
        InvalidInput: The service cannot receive.
    """
    referral, parties, consent = await locked(tx, asked, id_, version)
    step = decided(referral, consent, asked, Action.REDIRECT, parties)
    sender = await _sender(tx, asked)
    service = await _receiving(tx, body.recipient, service, sender, [])
    pieces = await open_pieces(tx, referral, WRITTEN, asked)
    new = _new(asked, sender, service, body.recipient)
    new.redirected_from = referral.id
    new.sensitive = referral.sensitive or service.sensitive
    new.urgency = referral.urgency
    new.sender_counsellor = plain(body.counsellor) if body.counsellor else referral.sender_counsellor
    new.themes, new.languages = referral.themes, referral.languages
    new.municipality, new.postcode = referral.municipality, referral.postcode
    new.area_name, new.wide_area = referral.area_name, referral.wide_area
    await _keep(tx, asked, new, pieces)
    event(tx, new, asked, "referral.drafted")
    referral.redirected_to = new.id
    moved(referral, asked, by=step.by)
    event(tx, referral, asked, step.event)
    return await show(tx, new, frozenset({Party.SENDER}), asked)


async def _sender(tx: AsyncSession, asked: Asked) -> Organisation:
    sender = await known(tx, OrganisationCopy, asked.organisation_id)
    if sender is None or not sender.active or not sender.agreement:
        raise AgreementMissing("Your organisation needs a signed agreement on record before it hands anyone over.")
    return sender


async def _receiving(
    tx: AsyncSession, to: To, service: NamedService | None, sender: Organisation, found: list[Fault]
) -> NamedService:
    """Answer the service that a hand-over names, or refuse with every fault."""
    recipient = await known(tx, OrganisationCopy, to.organisation_id)
    found = _service_faults(to, service, recipient, sender) + found
    if found or service is None:
        raise InvalidInput("This hand-over cannot be opened.", found)
    return service


def _service_faults(  # noqa: PLR0911 - the first fault is the one to mend first
    to: To, service: NamedService | None, recipient: Organisation | None, sender: Organisation
) -> list[Fault]:
    to_service, to_organisation = "/recipient/service_id", "/recipient/organisation_id"
    if service is None or service.status != "active":
        return [Fault(to_service, "The directory has no such service, or it is not given now.")]
    if service.organisation.id != to.organisation_id:
        return [Fault(to_service, "This service is not of that organisation.")]
    if service.can_receive != Via.RELAIS:
        # Nobody there needs an account: a guest answers by a link, or the sender telephones.
        practising = sender.practice and service.can_receive == Via.GUEST
        return [Fault(to_service, "A rehearsal is sent to nobody outside.")] if practising else []
    if recipient is None or not recipient.active or "referral:receive" not in recipient.scopes:
        return [Fault(to_organisation, "This organisation has no account here yet: call it, or print its sheet.")]
    if not recipient.agreement:
        return [Fault(to_organisation, "This organisation has no agreement on record yet.")]
    if recipient.practice != sender.practice:
        return [Fault(to_organisation, "Practice and real organisations do not hand over to each other.")]
    return []


def _new(asked: Asked, sender: Organisation, service: NamedService, to: To) -> Referral:
    """Answer the row of a new draft; its key is made when its pieces are kept."""
    return Referral(
        id=uuid4(),
        short_code="".join(secrets.choice(SHORT_CODE_SIGNS) for _ in range(SHORT_CODE_LENGTH)),
        state=State.DRAFT,
        version=1,
        neutral_version=1,
        sender_id=sender.id,
        sender_name=sender.name,
        sender_may_sanction=sender.may_sanction,
        sender_account_id=asked.actor.user_id,
        sender_team_id=next(iter(asked.actor.teams), None),
        recipient_id=service.organisation.id,
        recipient_name=service.organisation.name,
        service_id=service.id,
        service_name=service.name,
        relay_contact_id=to.relay_contact_id,
        practice=sender.practice,
        sensitive=service.sensitive,
        themes=[],
        languages=[],
        municipality="",
        urgency="days",
        via=_way(sender, service),
        state_at=asked.now,
        sender_counsellor={},
        confirmations={},
        event_head=chain.START,
        created_at=asked.now,
        updated_at=asked.now,
        noticed_at=asked.now,
    )


def _way(sender: Organisation, service: NamedService) -> Via:
    """Answer how the other side receives; a sender that may sanction telephones where others invite a guest.

    The guest's link and code pass through the sender's hands, and would show it what became of her.
    """
    way = Via(service.can_receive)
    return Via.PHONE_ONLY if way is Via.GUEST and sender.may_sanction else way


async def _keep(tx: AsyncSession, asked: Asked, referral: Referral, pieces: Mapping[str, Any]) -> None:
    wrapped, seal = asked.sealer.new(referral.id)
    referral.key_id, referral.wrapped_key = wrapped.key_id, wrapped.wrapped
    tx.add(referral)
    await tx.flush()  # The sealed parts refer to the row.
    for part, value in pieces.items():
        await store.sealed.seal(tx, referral.id, part, seal.close(part, value), new=True)


def _theme_faults(needs: Iterable[Any], themes: Mapping[str, Theme]) -> list[Fault]:
    return [
        Fault(f"/needs/{place}/theme", "The directory has no such theme.")
        for place, need in enumerate(needs)
        if need.theme not in themes
    ]


_READ_LATER: Final = ("notes", "situation", "external_ids")
"""What may hold her name: it is read after acceptance, or by nobody else."""


def judge_texts(identity: Identity, written: Draft | DraftChange) -> None:
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
    late = texts_of({name: getattr(written, name, None) for name in _READ_LATER})
    if written.person is not None:
        late |= texts_of(written.person.model_dump(include={"identity", "contact"}), "/person")
    if written.counsellor is not None:
        late |= texts_of(written.counsellor.model_dump(), "/counsellor")
    found = [
        Fault(pointer, f"This is read before anybody takes over and holds {what}: leave it out.")
        for pointer, text in early.items()
        if text and (what := texts.telling(text, names))
    ]
    found += [Fault(pointer, NO_NUMBER) for pointer, text in late.items() if texts.national_number(text)]
    if any(texts.national_number(key) for key in written.situation or {}):
        # The key itself is not repeated: it is what may not be here.
        found.append(Fault("/situation", NO_NUMBER))
    refuse_texts(found)


def _write_person(referral: Referral, written: Draft | DraftChange, home: Home | None) -> None:
    if written.needs is not None:
        referral.themes = list(dict.fromkeys(need.theme for need in written.needs))
    if written.person is not None:
        referral.languages = written.person.languages
        referral.municipality = written.person.area.municipality
        referral.postcode = written.person.area.postcode
        referral.area_name, referral.wide_area = (home.name, home.wide) if home else (None, None)


def _pieces(written: Draft | DraftChange) -> dict[str, Any]:
    """Answer what is hers in a draft, by sealed piece; only what was given."""
    found: dict[str, Any] = {}
    if written.person is not None:
        found |= {"identity": plain(written.person.identity), "contact": plain(written.person.contact)}
    if written.needs is not None:
        found["needs"] = [plain(need) for need in written.needs]
    for name in PIECES:
        value = getattr(written, name)
        if value:
            found[name] = [plain(one) for one in value] if name == "concerned" else value
    return found


async def change_draft(  # noqa: PLR0913 - the change, by whom, on which version, and what the directory knows of it
    tx: AsyncSession,
    asked: Asked,
    id_: UUID,
    change: DraftChange,
    version: str,
    themes: Mapping[str, Theme],
    home: Home | None,
) -> Shown:
    """Change a draft; what is given takes the place of what was there.

    Raises:
        NotFound, StaleVersion: As everywhere.
        IllegalAction: It is no draft any more.
        InvalidInput, PersonalDataDetected: As when it was opened.
    """
    referral, parties, _ = await locked(tx, asked, id_, version)
    if referral.state != State.DRAFT:
        # The step that only a draft's sender may take says why not.
        decided(referral, None, asked, Action.PROPOSE, parties)
    if found := _theme_faults(change.needs or [], themes):
        raise InvalidInput("This draft cannot be changed so.", found)
    seal = seal_of(referral, asked)
    # A name and a text are judged together, whichever was written first.
    before = await open_pieces(tx, referral, DraftChange.model_fields.keys() | {"identity"}, asked)
    identity = change.person.identity if change.person else Identity.model_validate(before.pop("identity"))
    before = {name: value for name, value in before.items() if name in DraftChange.model_fields}
    judge_texts(identity, DraftChange.model_validate(before | change.model_dump(exclude_unset=True)))
    for part, value in _pieces(change).items():
        await store.sealed.seal(tx, id_, part, seal.close(part, value))
    for name in change.model_fields_set & set(PIECES):
        if not getattr(change, name):
            await store.sealed.seal(tx, id_, name, None)
    _write_person(referral, change, home)
    if change.needs is not None:
        referral.sensitive = referral.sensitive or any(themes[need.theme].sensitive for need in change.needs)
    if change.counsellor is not None:
        referral.sender_counsellor = plain(change.counsellor)
    if change.urgency is not None:
        referral.urgency = change.urgency
    moved(referral, asked)
    event(tx, referral, asked, "referral.changed")
    return await show(tx, referral, parties, asked)


async def keep_external_ids(tx: AsyncSession, asked: Asked, id_: UUID, ids: Mapping[str, str]) -> Shown:
    """Keep one side's own references, sealed; the other side never reads them.

    Raises:
        NotFound: Absent, erased, or not the caller's to know of.
        PersonalDataDetected: A reference is a national number.
    """
    referral, parties, _ = await locked(tx, asked, id_)
    refuse_texts([Fault(f"/{name}", NO_NUMBER) for name, text in ids.items() if texts.national_number(text)])
    if views.past_term(referral, parties, asked.now):
        raise NotFound(ERASED)
    seal = seal_of(referral, asked)
    for party in parties:
        name = f"external_ids.{party}"
        if (await open_pieces(tx, referral, [name], asked)).get(name, {}) != ids:
            await store.sealed.seal(tx, id_, name, seal.close(name, dict(ids)) if ids else None)
            moved(referral, asked, by=party)
    return await show(tx, referral, parties, asked)
