"""What she reads of a hand-over: whole, as the other side does, who read it, and all of it as a copy."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store
from relais_referral.actions import conversing, previewing
from relais_referral.actions.accessing import Session, access_view
from relais_referral.actions.common import Asked, in_force, read
from relais_referral.actions.conferring import hers
from relais_referral.actions.consenting import reading
from relais_referral.actions.person.opening import opened, whole_only
from relais_referral.actions.person.standing import erased_of, standing_of
from relais_referral.directory import NamedService
from relais_referral.domain.consent import Consent, Status
from relais_referral.domain.deadlines import day_of
from relais_referral.domain.visibility import Category
from relais_referral.models.access import Access
from relais_referral.models.consents import ConsentRecord, ConsentState
from relais_referral.models.guests import Guest
from relais_referral.models.referrals import Referral
from relais_referral.models.shared import OrganisationCopy
from relais_referral.models.trail import Disclosure
from relais_referral.papers.calendar import MODES, Entry
from relais_referral.papers.receipt import ConsentFacts
from relais_referral.schemas.person import (
    AccessView,
    CopyView,
    LocalCopy,
    PlaceView,
    Preview,
    Reading,
    StopView,
    WholeCopy,
    WholeView,
)
from relais_shared.registry import known


async def whole(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> WholeView:
    """Answer a hand-over whole: what is written of her, said about her, agreed to, and read by the other side.

    Raises:
        NotFound: Absent, not hers, or erased.
        ScopeMissing: Her link shows steps alone.
    """
    referral = await opened(tx, asked, session, id_)
    messages = await conversing.read_messages(tx, asked, id_)
    return WholeView(
        stands=await standing_of(tx, asked, session, referral),
        referral=(await read(tx, asked, id_)).view,
        consents=await reading.read_consents(tx, asked, id_),
        messages=messages,
        documents=await conversing.list_documents(tx, asked, id_),
        conferences=await hers.for_her(tx, asked, id_),
        local_copies=await _local_copies(tx, asked, referral),
        previews=await _previews(tx, asked, session, referral, None, agreed_first=True),
    )


async def _local_copies(tx: AsyncSession, asked: Asked, referral: Referral) -> list[LocalCopy]:
    tasks = [task for task in await store.conversation.tasks(tx, referral.id) if task.kind == "local_copy"]
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
    referral = await opened(tx, asked, session, id_)
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
    rows = await store.consents.of_referral(tx, referral.id)
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
    referral = await opened(tx, asked, session, id_)
    return await _readings(tx, referral)


async def _readings(tx: AsyncSession, referral: Referral) -> list[Reading]:
    guests = {f"guest:{guest.id}": guest for guest in await store.guests.of_referral(tx, referral.id)}
    lines: dict[tuple[Any, UUID | None], list[Disclosure]] = {}
    for row in await store.trail.disclosures(tx, referral.id):
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


async def receipt(tx: AsyncSession, asked: Asked, session: Session, consent_id: UUID) -> ConsentFacts:
    """Answer what the receipt of a consent of hers says.

    Raises:
        NotFound: Absent, not hers, or erased.
        ScopeMissing: Her link shows steps alone.
    """
    await store.callers.begin(tx, asked.caller)
    await opened(tx, asked, session, await store.consents.referral_of(tx, consent_id))
    return await reading.receipt_of(tx, asked, consent_id)


async def read_document(
    tx: AsyncSession, asked: Asked, session: Session, id_: UUID, document_id: UUID
) -> tuple[str, bytes]:
    """Answer a document's media type and content.

    Raises:
        ScopeMissing: Her link shows steps alone.
        NotFound: Absent, not hers, or erased.
    """
    await opened(tx, asked, session, id_)
    return await conversing.read_document(tx, asked, id_, document_id)


async def service_of(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> UUID | None:
    """Answer the service of a hand-over whose places she may be shown; nothing where her card is discreet.

    Raises:
        ScopeMissing: Her link shows steps alone.
        NotFound: Absent, not hers, or erased.
    """
    referral = await opened(tx, asked, session, id_)
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


async def copy(tx: AsyncSession, asked: Asked, session: Session) -> CopyView:
    """Answer a copy of everything that stands here of her.

    Raises:
        ScopeMissing: Her link shows steps alone.
    """
    whole_only(session)
    await store.callers.begin(tx, asked.caller)
    items = []
    for referral in await store.access.linked(tx, session.access_id):
        if referral.erased_at is not None:
            items.append(WholeCopy(erased=erased_of(referral)))
            continue
        found = await whole(tx, asked, session, referral.id)
        items.append(WholeCopy(whole=found, readings=await _readings(tx, referral)))
    return CopyView(made_at=asked.now, access=await own_access(tx, session), items=items)


async def own_access(tx: AsyncSession, session: Session) -> AccessView:
    """Answer her own link, with every opening and the counters where she was assisted."""
    access = await tx.get(Access, session.access_id)
    assert access is not None  # noqa: S101 - the session is of it
    return access_view(access, list(await store.access.openings(tx, [access.id])))
