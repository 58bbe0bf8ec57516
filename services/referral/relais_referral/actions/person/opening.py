"""What her session opens, and how what she changes is told."""

from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store
from relais_referral.actions.accessing import Session
from relais_referral.actions.common import Asked, event, locked, moved, open_task
from relais_referral.domain.access import Level
from relais_referral.domain.handshake import ENDED, Party, State
from relais_referral.models.referrals import Referral
from relais_shared.refusals import NotFound, ScopeMissing


async def opened(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> Referral:
    """Answer a referral of hers whose content she may read now, held until the transaction ends."""
    whole_only(session)
    await store.callers.begin(tx, asked.caller)
    referral, _ = await store.referrals.lock(tx, id_, asked.caller, reading=True)
    if referral.erased_at is not None:
        raise NotFound(store.referrals.UNKNOWN)
    return referral


def whole_only(session: Session) -> None:
    """Refuse what a link that shows steps alone does not open.

    Raises:
        ScopeMissing: It shows steps alone.
    """
    if session.level is not Level.FULL:
        raise ScopeMissing("This link shows the steps alone. Any counter opens the rest, with your card and code.")


def method(session: Session) -> Literal["in_person", "private_link"]:
    """Answer how she says it: at a counter, or by her own link."""
    return "in_person" if session.assisted else "private_link"


async def changed(tx: AsyncSession, asked: Asked, session: Session, id_: UUID) -> Referral:
    """Lock a referral of hers whose content she changes."""
    whole_only(session)
    referral, _parties, _ = await locked(tx, asked, id_)
    if referral.erased_at is not None:
        raise NotFound(store.referrals.UNKNOWN)
    return referral


def tell(tx: AsyncSession, referral: Referral, asked: Asked, type_: str) -> None:
    """Write that she changed something, and have both sides look at it again."""
    # What the sender wrote reads otherwise now, so its version moves whoever it is; why is not said.
    moved(referral, asked, noticed=True, by=Party.PERSON)
    event(tx, referral, asked, type_)
    if State(referral.state) in ENDED:
        return
    open_task(tx, referral, asked, Party.SENDER, "corrected", type_)
    if referral.state != State.DRAFT:
        open_task(tx, referral, asked, Party.RECIPIENT, "corrected", type_)
