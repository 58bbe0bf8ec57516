"""Counsellors are told by e-mail: gathered from the feed, judged at the moment of leaving, at least once."""

import asyncio
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store
from relais_referral.colleagues import Colleagues
from relais_referral.domain import letters, mail
from relais_referral.domain.handshake import Party
from relais_referral.domain.mail import Choice, Colleague, MailState, Mode
from relais_referral.domain.webhooks import WAITS
from relais_referral.mailing import Letter, Postman, Untaken
from relais_referral.models.mail import Mail, Mailbox
from relais_referral.models.referrals import Referral
from relais_referral.models.shared import OrganisationCopy
from relais_referral.rewrapping import WORKER
from relais_referral.settings import ReferralSettings
from relais_shared.auth import Actor
from relais_shared.clock import Clock, utc_now
from relais_shared.db import Database
from relais_shared.http import CursorCodec
from relais_shared.registry import known
from relais_shared.telemetry import get_logger

BATCH: Final = 200
"""Notices of one turn."""
LINES: Final = 50
"""Lines of one letter: a page; what is more follows in the next."""
LEASE: Final = timedelta(minutes=5)
"""How long a worker holds what it sends: longer than any server may take, so that only a dead one loses it."""


def mailbox_of(settings: ReferralSettings, address: str) -> bytes:
    """Answer what stands for an address in the database: a keyed hash, so that none is kept there."""
    return hmac.digest(settings.secret_bytes(), b"mailbox\n" + address.strip().casefold().encode(), sha256)


def stop_codec(settings: ReferralSettings) -> CursorCodec:
    """Answer what signs the links by which a mailbox is told no more."""
    return CursorCodec(settings.secret_bytes(), "mailbox")


@dataclass(frozen=True, slots=True)
class _Found:
    """A notice that may leave now: to whom, in which words."""

    address: str
    row: Mail
    what: str
    url: str
    language: str | None


class Mailer:
    """Gathers what is to be told, sends what is due, and writes what it came to.

    Args:
        database: The referral app's.
        settings: The server, our address, the secret.
        colleagues: Who signs in where, who is away, asked of the gateway.
        clock: Answers the present instant.
    """

    def __init__(
        self, database: Database, settings: ReferralSettings, colleagues: Colleagues, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._settings = settings
        self._colleagues = colleagues
        self._clock = clock
        self._postman = Postman(settings)
        self._zone = ZoneInfo(settings.smtp_timezone)

    async def round(self) -> int:
        """Do all that is due now; answer how many letters left. Nothing where no server is set."""
        if not self._postman.works:
            return 0
        await self._gather()
        colleagues = await self._colleagues.now(self._clock())
        sent = 0
        while letters := await self._claim(colleagues):
            for letter, rows in letters:
                sent += await self._send(letter, rows)
        return sent

    async def _gather(self) -> None:
        """Make notices of what happened since the last look; what happened before the first one is nobody's news."""
        async with self._database.write() as tx:
            await store.callers.begin(tx, WORKER)
            if not await store.mail.take_turn(tx):
                return
            held = await store.sequencing.sequencing(tx, "mail")
            last = await store.feed.last_position(tx)
            if held is not None:
                await store.mail.gather(tx, after=held.mark, upto=last, types=letters.TYPES, now=self._clock())
            if held is None or held.mark != last:
                await store.sequencing.remember_mark(tx, "mail", mark=last)

    async def _claim(self, colleagues: Sequence[Colleague]) -> list[tuple[Letter, list[Mail]]]:
        now = self._clock()
        async with self._database.write() as tx:
            await store.callers.begin(tx, WORKER)
            found: list[_Found] = []
            for row, referral in await store.mail.due(tx, now, BATCH):
                found += await self._judge(tx, row, referral, colleagues, now)
            ready: list[tuple[Letter, list[Mail]]] = []
            for address in dict.fromkeys(one.address for one in found):
                ours = [one for one in found if one.address == address][:LINES]
                letter = uuid4()
                for one in ours:
                    one.row.letter, one.row.leased_until = letter, now + LEASE
                lines = [(one.what, one.url) for one in ours]
                made = self._letter(letter, address, lines, ours[0].language)
                ready.append((made, [one.row for one in ours]))
            return ready

    def _letter(self, id_: UUID, address: str, lines: list[tuple[str, str]], language: str | None) -> Letter:
        token = stop_codec(self._settings).encode(mailbox_of(self._settings, address).hex())
        base = self._settings.public_url.rstrip("/")
        return Letter(id_.hex, address, lines, f"{base}/v1/mailboxes/stop?token={token}", language)

    async def _judge(
        self, tx: AsyncSession, row: Mail, referral: Referral, colleagues: Sequence[Colleague], now: datetime
    ) -> list[_Found]:
        """Answer to whom a notice goes now, if to anybody; the first time its addressees are found, a row for each."""
        organisation = await known(tx, OrganisationCopy, row.organisation_id)
        party = Party(row.party)
        scope = "referral:send" if party is Party.SENDER else "referral:receive"
        if organisation is None or not organisation.active or scope not in organisation.scopes:
            _end(row, MailState.DROPPED)
            return []
        actor = Actor("client", "mail", row.organisation_id, scopes=frozenset({scope}))
        told = (await store.feed.told_now(tx, actor, [row.event_id])).get(row.event_id)
        if told is None or told.type not in letters.TYPES or referral.erased_at is not None:
            _end(row, MailState.DROPPED)
            return []
        addresses = self._addresses(referral, party, row.organisation_id, colleagues, now)
        boxes = {mailbox_of(self._settings, address): address for address in addresses}
        if bytes(row.mailbox) in boxes:
            rows = {boxes[bytes(row.mailbox)]: row}
        else:
            # Found for the first time; or while it waited the referral became another's, or she came back.
            there = await store.mail.mailboxes_of(tx, row)
            rows = {address: _copy(row, hash_) for hash_, address in boxes.items() if hash_ not in there}
            tx.add_all(rows.values())
            await tx.delete(row)
            await tx.flush()
        chosen = await store.mail.mailboxes(tx, [bytes(one.mailbox) for one in rows.values()])
        ready = []
        for address, one in rows.items():
            if self._may_leave(one, chosen.get(bytes(one.mailbox)), now):
                spoken = addresses[address]
                what = f"{referral.short_code} {letters.words_of(spoken).told[told.type]}"
                # Where the structure works in a tool of its own, the link opens it there.
                own = f"{organisation.launch_base}?referral={referral.id}" if organisation.launch_base else None
                url = own or f"{self._settings.public_url.rstrip('/')}/relais/{referral.id}"
                ready.append(_Found(address, one, what, url, spoken))
        return ready

    def _addresses(
        self, referral: Referral, party: Party, organisation_id: UUID, colleagues: Sequence[Colleague], now: datetime
    ) -> dict[str, str | None]:
        """Answer the addresses of one side, each with its reader's language.

        Its colleagues who sign in, else the counsellor that it named, of whom no language is known.
        """
        sender = party is Party.SENDER
        account = referral.sender_account_id if sender else referral.recipient_account_id
        team = referral.sender_team_id if sender else referral.recipient_team_id
        named = (referral.sender_counsellor if sender else referral.recipient_counsellor) or {}
        if account is None and team is None and named.get("email"):
            # Its own software opened or took it, and said whose it is.
            return {str(named["email"]): None}
        of_organisation = [one for one in colleagues if one.organisation_id == organisation_id]
        today = now.astimezone(self._zone).date()
        return {one.email: one.language for one in mail.addressees(of_organisation, account, team, today)}

    def _may_leave(self, row: Mail, box: Mailbox | None, now: datetime) -> bool:
        choice = choice_of(box)
        if choice.mode is Mode.NEVER or (box is not None and box.bounced_at is not None):
            _end(row, MailState.DROPPED)
            return False
        # A digest is due from the notice's own instant: what was judged once leaves when its time has come.
        at = mail.due(choice, row.at if choice.mode is Mode.DAILY else now, self._zone)
        if at > now:
            row.next_at = at
            return False
        return True

    async def _send(self, letter: Letter, rows: Sequence[Mail]) -> int:
        try:
            await asyncio.to_thread(self._postman.send, letter)
        except Untaken as no:
            await self._settle(letter, taken=False, permanent=no.permanent)
            return 0
        await self._settle(letter, taken=True, permanent=False)
        return int(bool(rows))

    async def _settle(self, letter: Letter, *, taken: bool, permanent: bool) -> None:
        now = self._clock()
        async with self._database.write() as tx:
            await store.callers.begin(tx, WORKER)
            for row in await store.mail.of_letter(tx, UUID(letter.id)):
                row.leased_until = None
                row.attempts += 1
                if taken:
                    _end(row, MailState.SENT)
                elif permanent:
                    _end(row, MailState.BOUNCED)
                elif row.attempts >= len(WAITS):
                    _end(row, MailState.FAILED)
                else:
                    row.next_at = now + max(WAITS[row.attempts], timedelta(seconds=30))
            if permanent:
                await store.mail.note_bounce(tx, mailbox_of(self._settings, letter.to), now)
                get_logger().warning("mailbox refused", letter=letter.id)


async def bounce(database: Database, settings: ReferralSettings, address: str, now: datetime) -> bool:
    """Take what came back to an address of ours as final: its mailbox gets nothing more until a new choice is made.

    Returns:
        Whether the address was one of ours, of a letter that we still know.
    """
    named = Postman(settings).bounced(address)
    if named is None:
        return False
    async with database.write() as tx:
        await store.callers.begin(tx, WORKER)
        rows = await store.mail.of_letter(tx, UUID(named))
        for row in rows:
            _end(row, MailState.BOUNCED)
            await store.mail.note_bounce(tx, bytes(row.mailbox), now)
        return bool(rows)


def choice_of(box: Mailbox | None) -> Choice:
    """Answer what was chosen for a mailbox, or what holds where nothing was."""
    return Choice(Mode(box.mode), box.quiet_from, box.quiet_until) if box is not None else Choice()


async def stop(tx: AsyncSession, hash_: bytes, now: datetime) -> None:
    """Tell a mailbox no more; whoever holds a letter's link may say so, and learns nothing by it."""
    await store.callers.begin(tx, WORKER)
    box = (await store.mail.mailboxes(tx, [hash_])).get(hash_)
    before = choice_of(box)
    await store.mail.choose(
        tx,
        hash_,
        Choice(Mode.NEVER, before.quiet_from, before.quiet_until),
        box.bounced_at if box is not None else None,
    )
    await store.mail.release(tx, hash_, now)


def _copy(row: Mail, mailbox: bytes) -> Mail:
    return Mail(
        event_id=row.event_id,
        party=row.party,
        mailbox=mailbox,
        referral_id=row.referral_id,
        organisation_id=row.organisation_id,
        at=row.at,
        state=MailState.WAITING,
        next_at=row.next_at,
    )


def _end(row: Mail, state: MailState) -> None:
    row.state, row.next_at, row.leased_until = state, None, None
