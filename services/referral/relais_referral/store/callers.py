"""For whom a transaction asks, and which referrals concern them."""

from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import false, not_, or_, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlmodel import col

from relais_referral.domain.handshake import Party, State
from relais_referral.models.referrals import Referral
from relais_shared.auth import Actor
from relais_shared.driver import begun_by


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: an organisation's client or user, she herself by her access, a guest, or the worker.

    Attributes:
        actor: Vouched for by the gateway; anonymous for her and for a guest.
        access_id: Her access, where she asks.
        guest_id: The guest, where one asks.
        working: The worker asks: it sees every referral.
    """

    actor: Actor
    access_id: UUID | None = None
    guest_id: UUID | None = None
    working: bool = False

    @property
    def name(self) -> str:
        """How events and disclosures call it."""
        if self.access_id is not None:
            return "person"
        if self.guest_id is not None:
            return f"guest:{self.guest_id}"
        return self.actor.id

    @property
    def owner(self) -> UUID | None:
        """Whose keys of repeated requests these are."""
        return self.access_id or self.guest_id or self.actor.organisation_id

    @property
    def comes_as(self) -> "As":
        """As what it asks; `owner` says who it is as that."""
        if self.working:
            return "worker"
        if self.access_id is not None:
            return "person"
        return "organisation" if self.guest_id is None else "guest"


As = Literal["worker", "person", "guest", "organisation"]
"""As what somebody asks for a referral."""
# Statements of a step are made once and carry their values as parameters: making one anew costs more than running it.
_BEGIN: Final = (
    "select set_config('relais.organisation', $1, true) || set_config('relais.access', $2, true)"
    " || set_config('relais.guest', $3, true) || set_config('relais.worker', $4, true)"
)
_TAKE_TURN: Final = "select take_turn($1, $2, $3, $4, $5, $6, $7)"


async def begin(tx: AsyncSession, caller: Caller) -> None:
    """Tell the database for whom this transaction asks; its row-level security then holds."""
    who = _who(caller)
    # Many actions begin by it, one inside the other; once a transaction is enough.
    if (begun := tx.sync_session.get_transaction()) is None or tx.info.get("asks") != (begun, who):
        await tx.run_sync(_begin, who, _BEGIN, who)


async def take_turn(tx: AsyncSession, caller: Caller, referral_id: UUID, turn: int, *, reading: bool) -> None:
    """Do what `begin` does, and lock a referral and the states of her agreements to it, in that order.

    Where row-level security lets the caller know of none, nothing is locked.

    Args:
        tx: Writing.
        caller: Who asks.
        referral_id: Which one.
        turn: The number under which whoever locks it queues.
        reading: Others may read at the same time.
    """
    who = _who(caller)
    await tx.run_sync(_begin, who, _TAKE_TURN, (*who, referral_id, turn, reading))


def _who(caller: Caller) -> tuple[str, ...]:
    return (
        str(caller.actor.organisation_id or ""),
        str(caller.access_id or ""),
        str(caller.guest_id or ""),
        "on" if caller.working else "",
    )


def _begin(session: Session, who: tuple[str, ...], statement: str, values: tuple[Any, ...]) -> None:
    begun_by(session, statement, values)
    session.info["asks"] = (session.get_transaction(), who)


def parties_of(referral: Referral, caller: Caller) -> frozenset[Party]:
    """Answer what a caller is in a referral, as far as its scopes go; both sides where it hands over to itself.

    Of an organisation's users, only those whom it concerns: its own, its team, or the one whose deputy they are.
    """
    if caller.access_id is not None:
        return frozenset({Party.PERSON})
    if caller.guest_id is not None:
        return frozenset({Party.RECIPIENT})
    actor, found = caller.actor, set()
    if (
        referral.sender_id == actor.organisation_id
        and "referral:send" in actor.scopes
        and concerns(actor, referral.sender_account_id, referral.sender_team_id)
    ):
        found.add(Party.SENDER)
    if (
        referral.recipient_id == actor.organisation_id
        and "referral:receive" in actor.scopes
        and referral.state != State.DRAFT
        and concerns(actor, referral.recipient_account_id, referral.recipient_team_id)
    ):
        found.add(Party.RECIPIENT)
    return frozenset(found)


def concerns(actor: Actor, account_id: UUID | None, team_id: str | None) -> bool:
    """Answer whether a referral of its side is an actor's: a client's always, a user's as design 5 says."""
    if actor.kind != "user" or (account_id is None and team_id is None):
        return True
    return (
        account_id == actor.user_id
        or account_id in actor.stands_for
        or (team_id is not None and team_id in {*actor.teams, *actor.leads})
    )


def _concerning(actor: Actor, account_id: Any, team_id: Any) -> Any:  # noqa: ANN401 - SQL expressions
    """Answer the same as `concerns` for a query."""
    if actor.kind != "user":
        return true()
    accounts = [each for each in (actor.user_id, *actor.stands_for) if each is not None]
    teams = [*actor.teams, *actor.leads]
    return or_(account_id.is_(None) & team_id.is_(None), account_id.in_(accounts), team_id.in_(teams))


def sides(actor: Actor) -> tuple[Any, Any]:
    """Answer the conditions under which a row is an actor's as sender, and as recipient, whatever its scopes."""
    as_sender = (col(Referral.sender_id) == actor.organisation_id) & _concerning(
        actor, col(Referral.sender_account_id), col(Referral.sender_team_id)
    )
    as_recipient = (
        (col(Referral.recipient_id) == actor.organisation_id)
        & (col(Referral.state) != State.DRAFT)
        & _concerning(actor, col(Referral.recipient_account_id), col(Referral.recipient_team_id))
    )
    return as_sender, as_recipient


def ways(actor: Actor, role: Party | None) -> tuple[Any, Any]:
    """Answer the conditions under which a row is the actor's, and under which it is read neutrally."""
    as_sender, as_recipient = sides(actor)
    ways = []
    # The rows that are read as a sender that may sanction reads them, and in no other way.
    neutral: Any = false()
    if "referral:send" in actor.scopes and role is not Party.RECIPIENT:
        ways.append(as_sender)
        neutral = as_sender & col(Referral.sender_may_sanction)
    if "referral:receive" in actor.scopes and role is not Party.SENDER:
        ways.append(as_recipient)
        neutral = neutral & not_(as_recipient)
    return (or_(*ways) if ways else false()), neutral
