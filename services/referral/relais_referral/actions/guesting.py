"""Guests: a named person of a service without an account, let in by a link and a code of a second channel.

The link goes to the service's own address as the directory knows it, the code is said on the telephone, and nothing is
read before the undertaking of secrecy. From then on a guest is the recipient: same table, same sight, same records.

A link opens once. Its answer holds the next one, so that whoever finds the e-mail later finds nothing in it.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store
from relais_referral.actions.accessing import LINK_BYTES, NOBODY, SESSION_BYTES, Keys, tried
from relais_referral.actions.common import Asked, event, locked, moved, refuse_numbers
from relais_referral.directory import NamedService
from relais_referral.domain.handshake import ENDED, Party, State, Via
from relais_referral.domain.refusals import IllegalAction
from relais_referral.models.guests import Guest, GuestSession
from relais_referral.models.referrals import Referral
from relais_referral.notices import undertaking
from relais_referral.schemas.guests import GuestCard, GuestSessionView, Invitation
from relais_referral.sealing import Sealer
from relais_referral.store.callers import Caller
from relais_shared.auth import ANONYMOUS
from relais_shared.refusals import Fault, InvalidInput, NotFound, Unauthenticated

OPENED_WITHIN: Final = timedelta(days=14)
"""An invitation that nobody opened for two weeks lies in a box that nobody reads."""
USED_FOR: Final = timedelta(days=90)
"""Once opened it serves the same person for the whole hand-over: she comes back to plan the meeting, and to close."""
SESSION_FOR: Final = timedelta(minutes=60)
"""A guest's session; after that the next link and the same code open another."""
CODES: Final = 1_000_000
"""Six digits: said and written down on the telephone without a mistake, and five tries are all there are at once."""

OVER: Final = frozenset({State.DRAFT, State.CLOSED}) | ENDED
"""Where nobody is invited: nobody knows of it yet, or there is nothing more to do."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A guest's session while it lives."""

    guest_id: UUID
    referral_id: UUID
    name: str
    function: str | None

    def asked(self, now: datetime, sealer: Sealer) -> Asked:
        """Answer how a guest asks."""
        return _asked(self.guest_id, now, sealer)


def _asked(guest_id: UUID, now: datetime, sealer: Sealer) -> Asked:
    return Asked(Caller(ANONYMOUS, guest_id=guest_id), now, sealer)


async def invite(  # noqa: PLR0913 - the invitation, by whom, to which service, where it opens
    tx: AsyncSession, asked: Asked, id_: UUID, service: NamedService | None, keys: Keys, public_url: str
) -> Invitation:
    """Invite the service that a hand-over names; an earlier invitation ends with its session.

    A sender that may sanction invites nobody: link and code pass through its hands, and would show it what became of
    her.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: It is no hand-over to a guest, or not under way.
        InvalidInput: The directory knows no address of that service.
    """
    referral, parties, _ = await locked(tx, asked, id_)
    fits = referral.via == Via.GUEST and Party.SENDER in parties and not referral.sender_may_sanction
    if not fits or State(referral.state) in OVER or referral.erased_at is not None:
        raise IllegalAction("Nobody is invited to this hand-over now.", allowed_actions=[])
    address = service.address if service else None
    if address is None:
        raise InvalidInput(
            "This service has no address.",
            [Fault("", "The directory knows no e-mail of this service: nobody can be invited there.")],
        )
    await store.guests.end(tx, id_, asked.now)
    link, code = secrets.token_urlsafe(LINK_BYTES), f"{secrets.randbelow(CODES):06d}"
    guest = Guest(
        id=uuid4(),
        referral_id=id_,
        link_hash=keys.link(link),
        address=address,
        code_hash=b"",
        made_at=asked.now,
        expires_at=asked.now + OPENED_WITHIN,
    )
    guest.code_hash = keys.text(guest.id, code)
    tx.add(guest)
    event(tx, referral, asked, "guest.invited", guest_id=str(guest.id))
    moved(referral, asked)
    return Invitation(
        id=guest.id, address=address, link=_whole(link, public_url), code=code, expires_at=guest.expires_at
    )


def _whole(link: str, public_url: str) -> str:
    # Behind the `#` it travels in no request, no `Referer` and no log.
    return f"{public_url.rstrip('/')}/g#{link}"


async def open_session(  # noqa: PLR0913 - what is shown, and what judges it
    tx: AsyncSession, card: GuestCard, keys: Keys, sealer: Sealer, now: datetime, public_url: str
) -> GuestSessionView | None:
    """Open a guest's session; nothing where link and code open nothing now.

    The transaction is committed also where nothing opens: a wrong try stays counted.

    Raises:
        InvalidInput: The first time, without a name, function, or the undertaking of secrecy; the link still opens.
        PersonalDataDetected: A name or function holds a national number.
    """
    referral = await _locked(tx, card, keys, sealer, now)
    guest = await _verified(tx, card, keys, now)
    if guest is None or referral is None:
        return None
    if guest.undertaken_at is None:
        if State(referral.state) in ENDED:
            # Stopped before anybody came: there is nothing to come to.
            return None
        _undertake(tx, referral, guest, card, _asked(guest.id, now, sealer))
    token, link = secrets.token_urlsafe(SESSION_BYTES), secrets.token_urlsafe(LINK_BYTES)
    guest.link_hash = keys.link(link)
    session = GuestSession(
        token_hash=keys.session(token), guest_id=guest.id, opened_at=now, expires_at=now + SESSION_FOR
    )
    await store.guests.open_session(tx, session)
    return GuestSessionView(
        session=token,
        expires_at=session.expires_at,
        next_link=_whole(link, public_url),
        name=guest.name or "",
        referral_id=referral.id,
    )


async def _locked(tx: AsyncSession, card: GuestCard, keys: Keys, sealer: Sealer, now: datetime) -> Referral | None:
    """Lock the referral of a link, if it shows one; before the guest's row, as whoever ends the invitation does."""
    found = await store.guests.of_link(tx, keys.link(card.link))
    if found is None:
        return None
    guest_id, referral_id = found
    asked = _asked(guest_id, now, sealer)
    await store.callers.begin(tx, asked.caller)
    try:
        referral, _ = await store.referrals.lock(tx, referral_id, asked.caller)
    except NotFound:
        # The invitation has ended, and with it the guest's sight.
        return None
    return referral


def _undertake(tx: AsyncSession, referral: Referral, guest: Guest, card: GuestCard, asked: Asked) -> None:
    """Record who she is and that she keeps it secret, with the fingerprint of the text that she read."""
    given = {"/name": card.name, "/function": card.function, "/secrecy": card.secrecy, "/undertaking": card.undertaking}
    missing = [Fault(place, "Needed before anything is read.") for place, value in given.items() if not value]
    text = undertaking(card.undertaking or "", card.language)
    if missing or text is None:
        raise InvalidInput("Say who you are, and that you keep it secret.", missing)
    refuse_numbers({"/name": card.name, "/function": card.function})
    guest.name, guest.function, guest.secrecy = card.name, card.function, card.secrecy
    guest.opened_at = guest.undertaken_at = asked.now
    guest.expires_at = asked.now + USED_FOR
    facts = {"version": text.version, "language": text.language, "sha256": text.sha256}
    event(tx, referral, asked, "guest.undertook", **facts)
    moved(referral, asked, by=Party.RECIPIENT)


async def _verified(tx: AsyncSession, card: GuestCard, keys: Keys, now: datetime) -> Guest | None:
    """Answer the guest whom link and code let in, or nothing; a wrong try is counted."""
    guest = await store.guests.by_link(tx, keys.link(card.link))
    id_ = guest.id if guest else NOBODY
    lives = guest is not None and guest.ended_at is None and now < guest.expires_at
    opens, tries, until = tried(guest, keys.text(id_, card.code), now, lives=lives)
    await store.guests.count_try(tx, id_, tries, until)
    return guest if opens else None


async def use_session(tx: AsyncSession, token: str, keys: Keys, now: datetime) -> Visit:
    """Answer a guest's session that lives.

    Raises:
        Unauthenticated: There is none, it has run out, or the invitation ended.
    """
    guest = await store.guests.of_session(tx, keys.session(token), now)
    if guest is None:
        raise Unauthenticated("Open your link again.")
    return Visit(guest.id, guest.referral_id, guest.name or "", guest.function)


async def end_session(tx: AsyncSession, token: str, keys: Keys) -> None:
    """Forget a session; whoever shows none, or an old one, is answered the same."""
    await store.guests.end_session(tx, keys.session(token))
