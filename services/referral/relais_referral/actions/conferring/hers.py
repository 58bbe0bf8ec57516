"""She herself at the table: she reads all of it, writes, ends it, and sends a structure away."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store, views
from relais_referral.actions.common import Asked, event, stands
from relais_referral.actions.conferring.seats import Consents
from relais_referral.actions.conferring.showing import content_of, outline, part_view
from relais_referral.actions.conferring.speaking import say
from relais_referral.actions.stepping import end_conference, leave_conference
from relais_referral.domain.conference import THREAD
from relais_referral.domain.consent import Status
from relais_referral.domain.refusals import IllegalAction
from relais_referral.schemas.conferences import ConferenceMessageView, ConferenceView
from relais_shared.refusals import NotFound


async def for_her(tx: AsyncSession, asked: Asked, referral_id: UUID) -> list[ConferenceView]:
    """Answer every conference about a hand-over of hers, ended ones too, whole: what she reads is no disclosure.

    Raises:
        NotFound: Absent, or not hers.
    """
    found = []
    for conference in await store.conferences.of_referral(tx, referral_id):
        place = await store.conferences.find(tx, conference.id, asked.caller, lock="reading")
        consents = await store.consents.of_referral(tx, referral_id, conference_id=conference.id, reading=True)
        view = ConferenceView(
            **outline(place, place.parts),
            referral_id=referral_id,
            ended_at=place.conference.ended_at,
            organisations=[part_view(part, consents) for part in place.parts],
            consents=[views.consent_view(record, state, asked.now) for record, state in consents],
            allowed_actions=[] if place.conference.ended_at else ["attend", "end", "write"],
        )
        found.append(view.model_copy(update=await content_of(tx, asked, place, THREAD, None)))
    return found


async def consents_for_her(tx: AsyncSession, referral_id: UUID) -> Consents:
    """Answer every agreement for a conference about a hand-over of hers."""
    rows = await store.consents.of_referral(tx, referral_id, conference_id="every")
    return [(record, state) for record, state in rows if record.conference_id is not None]


async def _hers(tx: AsyncSession, asked: Asked, id_: UUID) -> store.conferences.Place:
    """Lock a living conference of hers.

    Raises:
        NotFound: Absent, or not hers.
        IllegalAction: It has ended.
    """
    await store.callers.begin(tx, asked.caller)
    place = await store.conferences.find(tx, id_, asked.caller, lock="writing")
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
    return say(tx, asked, await _hers(tx, asked, id_), words, author="person")


async def end_as_her(tx: AsyncSession, asked: Asked, id_: UUID, method: str) -> None:
    """End a conference at her word; ending it twice is no fault.

    Raises:
        NotFound: Absent, or not hers.
    """
    await store.callers.begin(tx, asked.caller)
    place = await store.conferences.find(tx, id_, asked.caller, lock="writing")
    await end_conference(tx, place.referral, place.conference, Status.WITHDRAWN, asked, method=method)


async def send_away(tx: AsyncSession, asked: Asked, id_: UUID, organisation_id: UUID, method: str) -> None:
    """Stop one structure's part at her word; it reads nothing of it from now on. Twice is no fault.

    Raises:
        NotFound: Absent, not hers, or that structure was never asked for.
    """
    await store.callers.begin(tx, asked.caller)
    place = await store.conferences.find(tx, id_, asked.caller, lock="writing")
    part = next((one for one in place.parts if one.organisation_id == organisation_id), None)
    if part is None:
        raise NotFound(store.conferences.UNKNOWN)
    last = None
    for record, state in await store.consents.of_referral(tx, place.referral.id, conference_id=id_, lock=True):
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
