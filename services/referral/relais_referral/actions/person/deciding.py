"""What she decides about a hand-over: rest, go on, stop, erase, join."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store
from relais_referral.actions import stepping
from relais_referral.actions.accessing import Keys, Session, level_now, verified
from relais_referral.actions.common import Asked, event, locked, moved
from relais_referral.actions.person.opening import method, whole_only
from relais_referral.actions.person.standing import erased_of
from relais_referral.domain.access import Level
from relais_referral.domain.handshake import ENDED, Action, Party, State
from relais_referral.domain.refusals import IllegalAction
from relais_referral.domain.retention import TAKEN_BACK
from relais_referral.models.access import Access, AccessReferral
from relais_referral.schemas.person import Card, Erased
from relais_referral.schemas.steps import Confirmation, Pause, Withdrawal


async def withdraw(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> None:
    """Stop a hand-over with everything shared for it; stopping twice changes nothing.

    Raises:
        NotFound: Absent, or not hers.
    """
    referral, _parties, _ = await locked(tx, asked, id_)
    if referral.state != State.WITHDRAWN:
        await stepping.step(tx, asked, id_, Action.WITHDRAW, Withdrawal(method=method(session)), None)


async def withdraw_all(tx: AsyncSession, asked: Asked, session: Session) -> None:
    """Stop everything that this card shows.

    Always in the order of the ids, so that two taps at once wait for each other and not in a circle.
    """
    for id_ in sorted(await store.access.linked_ids(tx, session.access_id)):
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


async def join(tx: AsyncSession, asked: Asked, session: Session, card: Card, keys: Keys) -> bool:
    """Join the hand-overs of another card of hers to this one; answer whether that card and its code opened.

    Only she does this, and nothing else ever brings the hand-overs of two structures together. No event tells of it:
    either side would learn of the other. A card that shows nothing joins nothing.

    Raises:
        ScopeMissing: Her link shows steps alone.
    """
    whole_only(session)
    other = await verified(tx, card, keys, asked.now)
    if other is None or await level_now(tx, other, asked.sealer, asked.now) is Level.NONE:
        return False
    have = await store.access.linked_ids(tx, session.access_id)
    for id_ in await store.access.linked_ids(tx, other.id) - have:
        tx.add(AccessReferral(access_id=session.access_id, referral_id=id_, linked_at=asked.now))
    return True


async def part(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> None:
    """Take a joined hand-over from this card; the card's own stays, and parting twice is no fault.

    Raises:
        IllegalAction: It is the hand-over that this card was made for.
    """
    await store.callers.begin(tx, asked.caller)
    access = await tx.get(Access, session.access_id)
    if access is not None and access.referral_id == id_:
        raise IllegalAction("This card was made for it: your counsellor can end the card.", allowed_actions=[])
    await store.access.part(tx, session.access_id, id_)


async def erase(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> Erased:
    """Close every access to what stands here of her, at once; its key is destroyed 72 hours later.

    Nobody reads it from now on, she neither; what is shared ends, and the other side answers for its own copy.

    Raises:
        NotFound: Absent, or not hers.
    """
    referral, _parties, _ = await locked(tx, asked, id_)
    if referral.erased_at is not None:
        return erased_of(referral)
    if State(referral.state) in ENDED:
        await stepping.end_consents(tx, referral, method(session), asked)
    else:
        await stepping.step(tx, asked, id_, Action.WITHDRAW, Withdrawal(method=method(session)), None)
    referral.erased_at = asked.now
    await store.guests.end(tx, id_, asked.now)
    # What its side wrote is closed to it too, so every sender reads another version.
    moved(referral, asked, noticed=True, by=Party.PERSON)
    event(tx, referral, asked, "referral.erased")
    return erased_of(referral)


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
