"""What the other side would read: asked of the one table and the one view that it will be asked of then."""

from typing import Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store, views
from relais_referral.actions import conversing
from relais_referral.actions.common import Asked, open_pieces
from relais_referral.domain.consent import Consent, Purpose, Status, held_back
from relais_referral.domain.handshake import ENDED, WAITING, Party, State
from relais_referral.domain.refusals import IllegalAction
from relais_referral.domain.visibility import Category, Part
from relais_referral.models.referrals import Referral
from relais_referral.schemas.person import Preview
from relais_shared.refusals import NotFound

_THEM: Final = frozenset({Party.RECIPIENT})


async def of_draft(
    tx: AsyncSession, asked: Asked, id_: UUID, categories: frozenset[Category], seen_alone: str
) -> list[Preview]:
    """Answer what the other side would read of a draft, as if she agreed to these categories.

    Its sender wrote all of it: that it looks at its own words shows nothing, and is no disclosure.

    Raises:
        NotFound: Absent, or not this sender's.
        IllegalAction: It is no draft any more: what they read then is theirs, and hers, to see.
    """
    await store.callers.begin(tx, asked.caller)
    referral, parties = await store.referrals.lock(tx, id_, asked.caller, reading=True)
    if Party.SENDER not in parties:
        raise NotFound(store.referrals.UNKNOWN)
    if referral.state != State.DRAFT or referral.erased_at is not None:
        raise IllegalAction("Only a draft is tried out.", allowed_actions=[])
    return await stages(tx, asked, referral, supposed(referral, categories, seen_alone), real=False)


def supposed(
    referral: Referral, categories: frozenset[Category], seen_alone: str, consent_id: UUID | None = None
) -> Consent:
    """Answer an agreement to these categories, as if it were given."""
    closed = held_back(sensitive=referral.sensitive, seen_alone=seen_alone, interpreter="none")
    return Consent(
        id=consent_id or referral.id,
        recipient_id=referral.recipient_id,
        service_id=referral.service_id,
        purposes=frozenset({Purpose.REFERRAL}),
        categories=categories - closed,
        status=Status.GIVEN,
    )


async def stages(
    tx: AsyncSession, asked: Asked, referral: Referral, consent: Consent | None, *, real: bool
) -> list[Preview]:
    """Answer what they read before somebody takes over and after; once it has ended, what is left.

    Args:
        tx: What is opened is held until it ends.
        asked: By whom, when.
        referral: Held by the caller.
        consent: Under which.
        real: The consent is the one in force, so one of the stages is what they read now.
    """
    state = State(referral.state)
    if state in ENDED:
        return [await _stage(tx, asked, referral, "ended", state, consent, now=True)]
    waiting = state if state in WAITING else State.PROPOSED
    over = state if state not in WAITING | {State.DRAFT} else State.ACCEPTED
    return [
        await _stage(tx, asked, referral, "proposed", waiting, consent, now=real and state is waiting),
        await _stage(tx, asked, referral, "accepted", over, consent, now=real and state is over),
    ]


async def _stage(  # noqa: PLR0913 - the stage, and what holds then
    tx: AsyncSession,
    asked: Asked,
    referral: Referral,
    stage: Literal["proposed", "accepted", "ended"],
    state: State,
    consent: Consent | None,
    *,
    now: bool,
) -> Preview:
    then = Referral(**{name: getattr(referral, name) for name in Referral.model_fields})
    then.state = state
    parts = views.parts_for(then, _THEM, consent, asked.now)
    # The references of the other side's own software are not hers to read.
    names = [name for name in views.pieces_of(parts, _THEM) if not name.startswith("external_ids")]
    pieces = views.seen(await open_pieces(tx, referral, names, asked), _THEM)
    return Preview(
        stage=stage,
        now=now,
        reads=views.referral_view(then, _THEM, parts, pieces, consent, asked.now),
        documents=await conversing.list_documents(tx, asked, referral.id) if Part.DOCUMENTS in parts else [],
    )
