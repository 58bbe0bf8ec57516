"""Her own way in: her card made, renewed and ended; her session opened with link and code.

Link, code and session are kept as keyed hashes (HMAC-SHA-256 under the service's secret): a copy of the database alone
tells none of them and lets nobody try codes. The code is no password to be kept slow: without the link's 128 bits it
opens nothing, and with the link a few tries are all there are.

Whoever makes a card could open it. So a recipient makes one only once it reads who she is, the card of a sender that
may sanction opens at another structure's counter alone, and every opening is told to her.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store, views
from relais_referral.actions.common import Asked, event, locked, open_pieces
from relais_referral.domain.access import Level, Way, lives_until, rests_until
from relais_referral.domain.consent import Consent
from relais_referral.domain.handshake import Party
from relais_referral.domain.refusals import IllegalAction
from relais_referral.domain.visibility import Part
from relais_referral.models.access import Access, AccessOpening, AccessReferral, PersonSession
from relais_referral.models.guests import Guest
from relais_referral.models.referrals import Referral
from relais_referral.models.shared import OrganisationCopy
from relais_referral.schemas.person import AccessMade, AccessView, Card, Code, NewAccess, OpeningView, SessionView
from relais_referral.sealing import Sealer
from relais_referral.store.callers import Caller
from relais_shared.auth import ANONYMOUS
from relais_shared.refusals import NotFound, Unauthenticated
from relais_shared.registry import known

LINK_BYTES: Final = 16
"""128 random bits: nobody meets a link by trying (design 6)."""
SESSION_BYTES: Final = 32
"""256 random bits."""
NOBODY: Final = UUID(int=0)
"""Whose code is compared where a link is nobody's: the work is the same."""

NOT_OPEN: Final = "This link and this code open nothing now."
"""The one answer to a wrong link, a wrong code, and a link that rests, was ended or shows nothing."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Makes the keyed hashes under which links, codes and sessions are kept, hers or a guest's."""

    secret: bytes
    whose: str = "person"

    def link(self, link: str) -> bytes:
        """Answer what is kept of a link, whole or what stands behind its `#`."""
        return self._hash("link", link.rpartition("#")[2])

    def code(self, access_id: UUID, code: Code) -> bytes:
        """Answer what is kept of a code; the same code of another card is kept otherwise."""
        text = code.value if isinstance(code.value, str) else "-".join(str(one) for one in code.value)
        return self.text(access_id, f"{code.kind}|{text}")

    def text(self, id_: UUID, text: str) -> bytes:
        """Answer what is kept of a code that is a text."""
        return self._hash("code", f"{id_}|{text}")

    def session(self, token: str) -> bytes:
        """Answer what is kept of a session."""
        return self._hash("session", token)

    def _hash(self, what: str, text: str) -> bytes:
        return hmac.digest(self.secret, f"{self.whose}:{what}|{text}".encode(), sha256)


@dataclass(frozen=True, slots=True)
class Session:
    """Her session while it lives.

    Attributes:
        access_id: Whose.
        level: What it shows; at a counter everything.
        discreet: As she asked for.
        language: Hers.
        expires_at: When it ends, unless it is used again.
        assisted: At a counter: somebody stands beside her.
        assisted_by: The structure of that counter.
    """

    access_id: UUID
    level: Level
    discreet: bool
    language: str
    expires_at: datetime
    assisted: bool = False
    assisted_by: str | None = None

    def asked(self, now: datetime, sealer: Sealer) -> Asked:
        """Answer how she asks: as herself, whoever's counter she stands at."""
        return Asked(Caller(ANONYMOUS, access_id=self.access_id), now, sealer)


async def make_access(  # noqa: PLR0913 - the link, by whom, for which hand-over, where it opens
    tx: AsyncSession, asked: Asked, id_: UUID, wanted: NewAccess, keys: Keys, public_url: str
) -> AccessMade:
    """Make or renew her link; the one before ends with its sessions.

    The new link shows this hand-over alone: what she had joined from other cards she joins again, so that nobody who
    makes her a card gains another structure's hand-over with it.

    Raises:
        NotFound: Absent, not the caller's to know of, or erased.
        IllegalAction: The recipient does not read who she is yet.
    """
    referral, parties, consent = await locked(tx, asked, id_)
    if referral.erased_at is not None or views.past_term(referral, parties, asked.now):
        raise NotFound(store.referrals.UNKNOWN)
    _judge_maker(referral, parties, consent, asked)
    sanctioning = _sanctioning(referral, parties)
    level = Level.NONE if sanctioning or await _overheard(tx, [referral], asked) else wanted.level
    party = Party.SENDER if Party.SENDER in parties else Party.RECIPIENT
    await store.access.end(tx, id_, asked.now, made_by=party if sanctioning else None)
    token = secrets.token_urlsafe(LINK_BYTES)
    access = Access(
        id=uuid4(),
        referral_id=id_,
        party=party,
        link_hash=keys.link(token),
        code_kind=wanted.code.kind,
        code_hash=b"",
        level=level,
        discreet=wanted.discreet,
        language=wanted.language,
        made_at=asked.now,
        made_by=asked.caller.name,
    )
    access.code_hash = keys.code(access.id, wanted.code)
    tx.add(access)
    await tx.flush()  # What it shows refers to it.
    tx.add(AccessReferral(access_id=access.id, referral_id=id_, linked_at=asked.now))
    event(tx, referral, asked, "access.made")
    return AccessMade(
        id=access.id,
        link=hers_at(public_url) + token,
        level=level,
        forced=level is not wanted.level,
        discreet=access.discreet,
        language=access.language,
        made_at=access.made_at,
    )


def hers_at(public_url: str) -> str:
    """Answer with what every link of hers begins; what follows the `#` travels in no request and no log."""
    return f"{public_url.rstrip('/')}/p#"


def _judge_maker(referral: Referral, parties: frozenset[Party], consent: Consent | None, asked: Asked) -> None:
    """Refuse a side that is not her counsellor's: one that does not read who she is.

    Raises:
        IllegalAction: The recipient does not read who she is yet, or not any more.
    """
    if Party.SENDER not in parties and Part.IDENTITY not in views.parts_for(referral, parties, consent, asked.now):
        raise IllegalAction("Her card is made by whoever reads who she is: take her over first.", allowed_actions=[])


def _sanctioning(referral: Referral, parties: frozenset[Party]) -> bool:
    """Answer whether the card would be made by a side that may sanction her."""
    return referral.sender_may_sanction and Party.RECIPIENT not in parties


async def _overheard(tx: AsyncSession, referrals: list[Referral], asked: Asked) -> bool:
    """Answer whether others answer her telephone: then her link shows nothing, wherever it was sent."""
    for referral in referrals:
        contact = (await open_pieces(tx, referral, ["contact"], asked)).get("contact") or {}
        if contact.get("safety", {}).get("shared_phone"):
            return True
    return False


async def list_accesses(tx: AsyncSession, asked: Asked, id_: UUID) -> list[AccessView]:
    """Answer her links of a hand-over; a sender that may sanction does not read when they were opened.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: As when one is made.
    """
    referral, parties, consent = await locked(tx, asked, id_)
    _judge_maker(referral, parties, consent, asked)
    plain = _sanctioning(referral, parties)
    rows = [row for row in await store.access.of_referral(tx, id_) if not plain or row.party == Party.SENDER]
    opened = await store.access.openings(tx, [row.id for row in rows])
    return [access_view(row, [one for one in opened if one.access_id == row.id], plain=plain) for row in rows]


def access_view(row: Access, opened: list[AccessOpening], *, plain: bool = False) -> AccessView:
    """Represent a link of hers."""
    return AccessView(
        id=row.id,
        level=Level(row.level),
        discreet=row.discreet,
        language=row.language,
        made_at=row.made_at,
        ended_at=None if plain else row.ended_at,
        openings=None
        if plain
        else [OpeningView(at=one.at, way=Way(one.way), organisation=one.organisation) for one in opened],
    )


async def end_access(tx: AsyncSession, asked: Asked, id_: UUID) -> None:
    """End her links of a hand-over with their sessions, at once; ending twice is no fault.

    A sender that may sanction ends its own cards alone: it cannot take away the one that the other side made her.

    Raises:
        NotFound: Absent, or not the caller's to know of.
        IllegalAction: As when one is made.
    """
    referral, parties, consent = await locked(tx, asked, id_)
    _judge_maker(referral, parties, consent, asked)
    await store.access.end(tx, id_, asked.now, made_by=Party.SENDER if _sanctioning(referral, parties) else None)
    event(tx, referral, asked, "access.ended")


async def open_session(tx: AsyncSession, card: Card, keys: Keys, sealer: Sealer, now: datetime) -> SessionView | None:
    """Open her session with link and code; nothing where they open nothing now.

    The transaction is committed also where nothing opens: a wrong try stays counted.
    """
    access = await verified(tx, card, keys, now)
    if access is None or await level_now(tx, access, sealer, now) is Level.NONE:
        return None
    return await _opened(tx, access, keys, now, AccessOpening(id=uuid4(), access_id=access.id, at=now, way=Way.LINK))


async def open_assisted(tx: AsyncSession, asked: Asked, card: Card, keys: Keys) -> SessionView | None:
    """Open her session at a counter; what stands on no telephone of hers may be read there.

    A structure that may sanction assists nobody: it would read what it must not.
    """
    counter = await known(tx, OrganisationCopy, asked.organisation_id)
    access = await verified(tx, card, keys, asked.now)
    if access is None or counter is None or not counter.active or counter.may_sanction:
        return None
    opening = AccessOpening(
        id=uuid4(),
        access_id=access.id,
        at=asked.now,
        way=Way.ASSISTED,
        organisation_id=counter.id,
        organisation=counter.name,
    )
    return await _opened(tx, access, keys, asked.now, opening)


async def verified(tx: AsyncSession, card: Card, keys: Keys, now: datetime) -> Access | None:
    """Answer the access that link and code open, or nothing; a wrong try is counted."""
    access = await store.access.by_link(tx, keys.link(card.link))
    id_ = access.id if access else NOBODY
    lives = access is not None and access.ended_at is None
    opens, tries, until = tried(access, keys.code(id_, card.code), now, lives=lives)
    await store.access.count_try(tx, id_, tries, until)
    return access if opens else None


def tried(
    row: Access | Guest | None, code_hash: bytes, now: datetime, *, lives: bool
) -> tuple[bool, int, datetime | None]:
    """Judge a code that was tried with a link: whether it opens, the wrong tries in a row, until when the link rests.

    Whatever is wrong, the same is computed, and is to be written: the time it takes tells no more than the answer does.
    """
    right = hmac.compare_digest(bytes(row.code_hash) if row else bytes(32), code_hash)
    tries, until = (row.tries, row.locked_until) if row else (0, None)
    stands = lives and (until is None or until <= now)
    if stands:
        # While it rests nothing is counted: hammering must not keep anybody out any longer.
        tries = 0 if right else tries + 1
        until = None if right else rests_until(tries, now)
    return stands and right, tries, until


async def level_now(tx: AsyncSession, access: Access, sealer: Sealer, now: datetime) -> Level:
    """Answer what a link shows now: what was safe when it was made may not be any more."""
    asked = Asked(Caller(ANONYMOUS, access_id=access.id), now, sealer)
    await store.callers.begin(tx, asked.caller)
    unsafe = await _overheard(tx, list(await store.access.linked(tx, access.id)), asked)
    return Level.NONE if unsafe else Level(access.level)


async def _opened(tx: AsyncSession, access: Access, keys: Keys, now: datetime, opening: AccessOpening) -> SessionView:
    token = secrets.token_urlsafe(SESSION_BYTES)
    way = Way(opening.way)
    expires_at = lives_until(now, now, way)
    await store.access.forget_old_sessions(tx, access.id, now)
    tx.add(opening)
    tx.add(
        PersonSession(
            token_hash=keys.session(token),
            access_id=access.id,
            opened_at=now,
            expires_at=expires_at,
            assisted_by=opening.organisation_id,
            assisted_name=opening.organisation,
        )
    )
    return SessionView(
        session=token,
        expires_at=expires_at,
        level=Level.FULL if way is Way.ASSISTED else Level(access.level),
        discreet=access.discreet,
        language=access.language,
    )


async def use_session(tx: AsyncSession, token: str, keys: Keys, now: datetime) -> Session:
    """Answer a session that lives, and prolong it by this use.

    Raises:
        Unauthenticated: There is none, it has run out, or her link was ended.
    """
    found = await store.access.session(tx, keys.session(token), now)
    if found is None:
        raise Unauthenticated("Open your link again.")
    row, access = found
    assisted = row.assisted_by is not None
    expires_at = lives_until(row.opened_at, now, Way.ASSISTED if assisted else Way.LINK)
    await store.access.prolong(tx, row.token_hash, expires_at)
    return Session(
        access_id=access.id,
        level=Level.FULL if assisted else Level(access.level),
        discreet=access.discreet,
        language=access.language,
        expires_at=expires_at,
        assisted=assisted,
        assisted_by=row.assisted_name,
    )


async def end_session(tx: AsyncSession, token: str, keys: Keys) -> None:
    """Forget a session; whoever shows none, or an old one, is answered the same."""
    await store.access.end_session(tx, keys.session(token))
