"""What every verb does: lock, decide, write the event, and show what may be shown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store, views
from relais_referral.domain.consent import Consent, Status
from relais_referral.domain.handshake import Action, Party, State, Transition, decide
from relais_referral.domain.refusals import IllegalAction, NotYourTurn, PersonalDataDetected
from relais_referral.domain.visibility import Part, shown_state
from relais_referral.models.consents import ConsentRecord, ConsentState
from relais_referral.models.conversation import Task
from relais_referral.models.referrals import Referral
from relais_referral.models.trail import Disclosure
from relais_referral.schemas.referrals import ReferralView
from relais_referral.sealing import Seal, Sealer, Wrapped
from relais_referral.store.callers import Caller
from relais_referral.store.holding import Held
from relais_shared import texts
from relais_shared.appending import append
from relais_shared.auth import Actor
from relais_shared.clock import Clock
from relais_shared.refusals import Fault, NotFound, StaleVersion
from relais_shared.telemetry import current_trace_id

ERASED: Final = "What was written here has been erased."
NO_NUMBER: Final = "A national number is never needed here: leave it out."


@dataclass(slots=True)
class Asked:
    """Who asks for something, and when.

    Attributes:
        caller: Vouched for by the gateway, or by her own or a guest's session.
        now: The instant of the request, aware UTC; once a lock was waited for, the instant at which it was given.
        sealer: The keys that open what is sealed.
        clock: Tells the present instant; none where one instant stands for the whole work.
    """

    caller: Caller
    now: datetime
    sealer: Sealer
    clock: Clock | None = None

    def got_lock(self) -> None:
        """Move on to the present instant, at which a lock was given.

        What was waited for happened before: with the instant of its arrival a request would stand in the record
        before it, and a reading seem to come after the withdrawal that waited for it.
        """
        if self.clock is not None:
            self.now = max(self.now, self.clock())

    @property
    def actor(self) -> Actor:
        """Whom the gateway vouches for."""
        return self.caller.actor

    @property
    def organisation_id(self) -> UUID:
        """The organisation that asks."""
        if self.actor.organisation_id is None:
            raise NotFound(store.referrals.UNKNOWN)
        return self.actor.organisation_id


@dataclass(frozen=True, slots=True)
class Shown:
    """A representation and the version that its reader knows it by."""

    view: ReferralView
    version: int

    @property
    def id(self) -> UUID:
        """The referral's."""
        return self.view.id


async def locked(
    tx: AsyncSession, asked: Asked, id_: UUID, version: str | None = None
) -> tuple[Referral, frozenset[Party], Consent | None]:
    """Lock a referral for a change and judge the version that was read; answer also the consent in force.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        StaleVersion: It changed since.
    """
    held = await hold(tx, asked, id_, version)
    return held.referral, held.parties, held.consent


async def hold(tx: AsyncSession, asked: Asked, id_: UUID, version: str | None = None) -> Held:
    """Lock a referral for a change, judge the version that was read, and answer all that stands under the lock.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        StaleVersion: It changed since.
    """
    held = await store.holding.hold(tx, id_, asked.caller)
    if version is not None and version != str(views.version(held.referral, held.parties)):
        raise StaleVersion("It changed since you read it: read it again, then decide again.")
    asked.got_lock()
    return held


def in_force(referral: Referral, rows: Iterable[tuple[ConsentRecord, ConsentState]]) -> Consent | None:
    """Answer the consent that was given and not ended; it may have run out."""
    return next(
        (store.consents.consent_of(referral, record, state) for record, state in rows if state.status == Status.GIVEN),
        None,
    )


async def read(tx: AsyncSession, asked: Asked, id_: UUID) -> Shown:
    """Show a referral as its reader may see it now; what is opened of hers is recorded with it.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    held = await store.holding.hold(tx, id_, asked.caller, reading=True)
    asked.got_lock()
    return await show(tx, held.referral, held.parties, asked, holding=Holding(held.consent, held.sealed))


async def service_of(tx: AsyncSession, asked: Asked, id_: UUID) -> UUID:
    """Answer which service a hand-over names; nothing sealed is touched.

    Raises:
        NotFound: Absent, or not the caller's to know of.
    """
    await store.callers.begin(tx, asked.caller)
    referral, _ = await store.referrals.find(tx, id_, asked.caller)
    return referral.service_id


async def opened_parts(
    tx: AsyncSession, referral: Referral, parties: frozenset[Party], asked: Asked
) -> tuple[frozenset[Part], Consent | None]:
    """Answer what these parties read now, the consent's state locked until the transaction ends."""
    consent = in_force(referral, await store.consents.of_referral(tx, referral.id, reading=True))
    asked.got_lock()
    return views.parts_for(referral, parties, consent, asked.now), consent


@dataclass(frozen=True, slots=True)
class Holding:
    """What this transaction knows already under the locks that it holds.

    Attributes:
        consent: The consent in force; None: there is none.
        sealed: Every sealed part as it stands; None: to be read.
    """

    consent: Consent | None
    sealed: Mapping[str, bytes] | None


async def show(
    tx: AsyncSession, referral: Referral, parties: frozenset[Party], asked: Asked, *, holding: Holding | None = None
) -> Shown:
    """Represent a locked referral, and record what of hers was opened.

    Args:
        tx: Writing.
        referral: Locked.
        parties: What the reader is in it.
        asked: By whom, when.
        holding: What was found and locked before; it is read and locked here where absent.
    """
    if holding is None:
        parts, consent = await opened_parts(tx, referral, parties, asked)
    else:
        consent = holding.consent
        parts = views.parts_for(referral, parties, consent, asked.now)
    kept = holding.sealed if holding else None
    pieces = views.seen(await open_pieces(tx, referral, views.pieces_of(parts, parties), asked, kept), parties)
    disclose(tx, referral, parties, views.categories(parts, pieces), consent, asked)
    view = views.referral_view(referral, parties, parts, pieces, consent, asked.now)
    return Shown(views.with_assigned(view, referral, parties), views.version(referral, parties))


async def open_pieces(
    tx: AsyncSession,
    referral: Referral,
    names: Iterable[str],
    asked: Asked,
    sealed: Mapping[str, bytes] | None = None,
) -> dict[str, Any]:
    """Answer sealed pieces of a referral, opened; nothing once it is erased.

    Args:
        tx: Reading.
        referral: Whose key opens them.
        names: Of the pieces.
        asked: With which keys.
        sealed: Every piece, where they were read already.
    """
    if referral.erased_at is not None:
        return {}
    if sealed is None:
        kept = await store.sealed.parts(tx, referral.id, names)
    else:
        kept = {name: sealed[name] for name in names if name in sealed}
    if not kept:
        return {}
    seal = seal_of(referral, asked)
    return {name: seal.open(name, content) for name, content in kept.items()}


def disclose(  # noqa: PLR0913 - all that a disclosure says
    tx: AsyncSession,
    referral: Referral,
    parties: frozenset[Party],
    categories: list[str],
    consent: Consent | None,
    asked: Asked,
) -> None:
    """Record that something of hers was shown; what she reads herself is no disclosure."""
    if not categories or parties == {Party.PERSON}:
        return
    append(
        tx,
        Disclosure,
        id=uuid4(),
        referral_id=referral.id,
        at=asked.now,
        actor=asked.caller.name,
        on_behalf_of=asked.actor.on_behalf_of,
        organisation_id=referral.recipient_id if asked.caller.guest_id else asked.organisation_id,
        categories=categories,
        # The sender reads what it wrote itself: no consent opens that to it.
        consent_id=consent.id if consent and Party.RECIPIENT in parties else None,
        trace_id=current_trace_id(),
    )


def decided(
    referral: Referral, consent: Consent | None, asked: Asked, action: Action, parties: frozenset[Party]
) -> Transition:
    """Ask the table; a sender that may sanction reads from its "no" nothing of what became of her."""
    try:
        return decide(views.standing(referral, consent, asked.now), action, parties=parties)
    except (IllegalAction, NotYourTurn) as refusal:
        if not views.neutral(referral, parties):
            raise
        raise IllegalAction("This cannot be done now.", allowed_actions=refusal.facts["allowed_actions"]) from None


def refuse_numbers(written: Mapping[str, str | None]) -> None:
    """Refuse a national number in texts, by pointer.

    Raises:
        PersonalDataDetected: Names every text at fault, never what it holds.
    """
    refuse_texts([Fault(place, NO_NUMBER) for place, text in written.items() if texts.national_number(text or "")])


NO_TEXTS: Final = frozenset({"phone", "email"})
"""What has a shape of its own."""


def texts_of(value: object, place: str = "") -> dict[str, str]:
    """Answer every text that stands in a value, by pointer; numbers too, which somebody may have typed as such."""
    if isinstance(value, str):
        return {place: value}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {place: str(value)}
    inside: Iterable[tuple[object, object]] = ()
    if isinstance(value, Mapping):
        inside = ((name, one) for name, one in value.items() if name not in NO_TEXTS)
    elif isinstance(value, list):
        inside = enumerate(value)
    found: dict[str, str] = {}
    for name, one in inside:
        found |= texts_of(one, f"{place}/{name}")
    return found


def refuse_texts(found: list[Fault]) -> None:
    """Refuse texts that tell more than they may, where any was found."""
    if found:
        raise PersonalDataDetected(
            "Some texts tell more than they may.",
            errors=[{"pointer": fault.pointer, "detail": fault.detail} for fault in found],
        )


def seal_of(referral: Referral, asked: Asked) -> Seal:
    """Open a referral's own key.

    Raises:
        NotFound: Its key is gone: nothing of it can be opened any more.
    """
    if referral.key_id is None or referral.wrapped_key is None or referral.erased_at is not None:
        raise NotFound(ERASED)
    try:
        return asked.sealer.open(referral.id, Wrapped(referral.key_id, bytes(referral.wrapped_key)))
    except KeyError:
        # The row comes from an older copy of the database: its wrapping key was destroyed since.
        raise NotFound(ERASED) from None


def moved(referral: Referral, asked: Asked, *, noticed: bool = False, by: Party | None = Party.SENDER) -> None:
    """Move the versions: everybody's, and a sanctioning sender's where it acted or may notice."""
    referral.version += 1
    referral.updated_at = asked.now
    if noticed or by is Party.SENDER:
        referral.neutral_version += 1
        ending = noticed and referral.state_at == asked.now
        if ending or shown_state(State(referral.state), neutral=True) != "ended":
            # From the end on its instant stands: what such a sender wrote goes for it a term later, whatever it does.
            referral.noticed_at = asked.now


def stands(state: ConsentState, status: Status, now: datetime, **more: Any) -> None:  # noqa: ANN401 - JSON-able facts
    """Move a consent to a status, its history kept."""
    state.status, state.changed_at = status, now
    state.history = [*state.history, {"status": str(status), "at": now.isoformat(), **more}]


def event(tx: AsyncSession, referral: Referral, asked: Asked, type_: str, **data: Any) -> None:  # noqa: ANN401 - JSON-able facts
    """Write the next event of a referral's chain."""
    store.trail.add_event(
        tx,
        referral,
        type_,
        actor=asked.caller.name,
        organisation_id=referral.recipient_id if asked.caller.guest_id else asked.actor.organisation_id,
        at=asked.now,
        data=data,
    )


def open_task(  # noqa: PLR0913 - all that a task says
    tx: AsyncSession, referral: Referral, asked: Asked, party: Party, kind: str, reason: str
) -> None:
    """Open a task for one side's professionals.

    A sender that may sanction gets none: what there is to tell would tell it what became of her.
    """
    if party is Party.SENDER and referral.sender_may_sanction:
        return
    append(tx, Task, id=uuid4(), referral_id=referral.id, party=party, kind=kind, reason=reason, opened_at=asked.now)


def plain(model: BaseModel) -> dict[str, Any]:
    """Answer a model as JSON-able facts, without what is absent."""
    return model.model_dump(mode="json", exclude_none=True)
