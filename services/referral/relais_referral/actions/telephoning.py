"""Hand-overs by telephone: what stands on the sheet from which the sender calls."""

from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import views
from relais_referral.actions.common import Asked, disclose, locked, open_pieces
from relais_referral.directory import NamedService
from relais_referral.domain.handshake import Party, State, Via
from relais_referral.domain.refusals import IllegalAction
from relais_referral.domain.visibility import OF_CATEGORY, Part
from relais_referral.papers.sheet import CallFacts

ON_SHEET: Final = frozenset({Part.NEEDS, Part.IDENTITY, Part.CONTACT})
"""What may be said on the telephone, each under its own yes; her situation and notes are told to nobody that way."""


async def call_sheet(tx: AsyncSession, asked: Asked, id_: UUID, service: NamedService | None) -> CallFacts:
    """Answer what the sender says on the telephone: the need, and of her what she agreed to, checked now.

    A sender that may sanction reads from its sheet neither what she agreed to nor what she stopped: it says the need
    and the municipality alone.

    Args:
        tx: Writing: what is opened is recorded.
        asked: The sender.
        id_: The referral.
        service: As the directory knows it now; None where it is gone.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: It is no hand-over by telephone, or nobody is to be called now.
    """
    referral, parties, consent = await locked(tx, asked, id_)
    calling = referral.via == Via.PHONE_ONLY and Party.SENDER in parties and State(referral.state) is State.PROPOSED
    if not calling or referral.erased_at is not None:
        raise IllegalAction("Nobody is to be called for this hand-over now.", allowed_actions=[])
    opened = frozenset[str]()
    if consent is not None and not views.neutral(referral, parties):
        opened = frozenset(consent.opens(referral.recipient_id, referral.service_id, at=asked.now))
    parts = {part for category, part in OF_CATEGORY.items() if category in opened and part in ON_SHEET}
    parts |= {Part.CONSTRAINTS} if opened else set()
    # What is printed is said to the other side.
    other = frozenset({Party.RECIPIENT})
    pieces = views.seen(await open_pieces(tx, referral, [str(part) for part in parts], asked), other)
    disclose(tx, referral, parties, views.categories(frozenset(parts), pieces), consent, asked)
    return CallFacts(
        structure=referral.recipient_name,
        service=referral.service_name,
        short_code=referral.short_code,
        phones=service.numbers if service else (),
        contact=service.relay_contact.name if service and service.relay_contact else "",
        area=referral.wide_area or referral.area_name or referral.municipality,
        languages=referral.languages,
        pieces=pieces,
        consented=opened,
        practice=referral.practice,
    )
