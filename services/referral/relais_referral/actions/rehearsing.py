"""The sandbox's structures answer: by the same steps, on the same record, as anybody else's."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from relais_referral import store
from relais_referral.actions import stepping
from relais_referral.actions.common import Asked, open_pieces
from relais_referral.domain import rehearsal
from relais_referral.domain.handshake import Action, Party, State
from relais_referral.domain.rehearsal import Move, Way
from relais_referral.models.referrals import Referral
from relais_referral.rewrapping import BATCH, WORKER
from relais_referral.schemas.steps import Acceptance, Closing, Confirmation, Decline, DeclineReason, Meeting, Taken
from relais_referral.sealing import Sealer
from relais_referral.store.callers import Caller
from relais_shared.auth import Actor
from relais_shared.clock import Clock
from relais_shared.db import Database
from relais_shared.refusals import Refusal

MOVED: Final = [State.PROPOSED, State.RECEIVED, State.ACCEPTED, State.MEETING_PLANNED, State.HANDED_OVER]
"""Where the other side may have a step to take."""


async def rehearse(database: Database, sealer: Sealer, clock: Clock) -> int:
    """Take the next step of every rehearsal that waits for the sandbox; answer how many were taken.

    A step that she or the sender forestalled (a withdrawal, an agreement that ended) is simply not taken.
    """
    async with database.write() as tx:
        await store.callers.begin(tx, WORKER)
        ids: Sequence[UUID] = (await tx.scalars(select(col(Referral.id)).where(_waits(clock())).limit(BATCH))).all()
    done = 0
    for id_ in ids:
        try:
            async with database.write() as tx:
                done += await _move(tx, sealer, clock, id_)
        except Refusal:
            continue
    return done


def _waits(now: datetime) -> Any:  # noqa: ANN401 - an SQL expression
    return and_(
        col(Referral.practice),
        col(Referral.service_id).in_(list(rehearsal.SERVICES)),
        col(Referral.state).in_([str(state) for state in MOVED]),
        col(Referral.updated_at) <= now - rehearsal.PACE,
        col(Referral.updated_at) > now - rehearsal.ATTENDED_FOR,
        col(Referral.paused_at).is_(None),
        col(Referral.erased_at).is_(None),
    )


async def _move(tx: AsyncSession, sealer: Sealer, clock: Clock, id_: UUID) -> bool:
    """Take one step, as a client of the recipient would."""
    await store.callers.begin(tx, WORKER)
    # In turn, as every step: holding the row while it waits for its turn, it would block whoever reads, and they it.
    query = select(Referral).where(col(Referral.id) == id_, _waits(clock()))
    referral = await tx.scalar(store.referrals.in_turn(query, store.referrals.turn_of(id_), reading=False))
    if referral is None:
        return False
    recipient = Actor(
        "client",
        "client:sandbox",
        referral.recipient_id,
        referral.recipient_name,
        frozenset({"referral:receive"}),
    )
    asked = Asked(Caller(recipient), clock(), sealer, clock)
    confirmed = frozenset(Party(name) for name in referral.confirmations)
    move = rehearsal.next_move(await _way(tx, referral, asked), State(referral.state), confirmed)
    if move is None:
        return False
    await stepping.step(tx, asked, id_, move.action, _body(move), None)
    return True


async def _way(tx: AsyncSession, referral: Referral, asked: Asked) -> Way:
    """Answer how a rehearsal is answered: as its service does, or as the name says that the person was given."""
    way = rehearsal.SERVICES[referral.service_id]
    if way is not None:
        return way
    # A person who does not exist: nobody reads her name, and it is recorded nowhere.
    identity = (await open_pieces(tx, referral, ["identity"], asked)).get("identity", {})
    names = (str(name).casefold() for name in identity.values())
    return next((rehearsal.PERSONS[name] for name in names if name in rehearsal.PERSONS), Way.ACCEPTS)


def _body(move: Move) -> stepping.Body:
    if move.action in {Action.DECLINE, Action.RELEASE}:
        return Decline(reason=DeclineReason(move.reason or "other"), words="Réponse d'exercice.")
    if move.action is Action.CLOSE:
        return Closing.model_validate({"outcome": "under_way"})
    bodies: dict[Action, stepping.Body] = {
        Action.RECEIVE: Taken.model_validate({"counsellor": rehearsal.COUNSELLOR}),
        Action.ACCEPT: Acceptance.model_validate({"counsellor": rehearsal.COUNSELLOR}),
        Action.PLAN_MEETING: Meeting(to_be_agreed=True),
        Action.CONFIRM_HANDOVER: Confirmation(),
    }
    return bodies[move.action]
