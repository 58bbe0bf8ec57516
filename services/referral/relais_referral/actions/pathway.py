"""Her pathway, as far as she lets others see it: the outline of the hand-overs that she linked."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store
from relais_referral.actions.common import Asked, disclose, in_force
from relais_referral.domain.consent import Purpose
from relais_referral.domain.handshake import Party, State
from relais_referral.domain.visibility import pathway_open
from relais_referral.models.referrals import Referral
from relais_referral.models.shared import OrganisationCopy
from relais_referral.schemas.referrals import PathwayOutline, PathwayStage
from relais_shared.registry import known


async def outline(tx: AsyncSession, asked: Asked, referral_id: UUID) -> PathwayOutline:
    """Answer in outline the hand-overs that she linked to this one, where she agreed to show them; recorded.

    Empty without that agreement, where nothing is linked, and always for whoever may sanction: the three read alike.
    The reading is written at the hand-over that it is made from: at the others it would tell their two sides that
    there is one more.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    await store.callers.begin(tx, asked.caller)
    referral, parties = await store.referrals.lock(tx, referral_id, asked.caller, reading=True)
    consent = in_force(referral, await store.consents.of_referral(tx, referral_id, reading=True))
    own = await known(tx, OrganisationCopy, asked.organisation_id)
    agreed = (
        consent is not None
        and consent.covers(referral.recipient_id, referral.service_id, at=asked.now)
        and Purpose.PATHWAY_SHARING in consent.purposes
    )
    open_ = any(
        pathway_open(
            party,
            State(referral.state),
            agreed=agreed,
            may_sanction=own is None or own.may_sanction or (party is Party.SENDER and referral.sender_may_sanction),
            erased=referral.erased_at is not None,
        )
        for party in parties
    )
    rows = await store.access.linked_by_her(tx, referral) if open_ else []
    disclose(tx, referral, frozenset({Party.RECIPIENT}), ["pathway"] if rows else [], consent, asked)
    return PathwayOutline(items=[_stage(row) for row in rows])


def _stage(row: Referral) -> PathwayStage:
    # A structure's name says as much as the theme: of a sensitive one that it is there, and where it stands.
    named = {} if row.sensitive else {"sender": row.sender_name, "recipient": row.recipient_name}
    return PathwayStage(
        state=row.state,
        created_at=row.created_at,
        state_at=row.state_at,
        themes=None if row.sensitive else row.themes,
        **named,
    )
