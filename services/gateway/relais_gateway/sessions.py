"""Counsellors and administrators in a browser: signing in, the session, and the token that its pages call with."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Final
from uuid import UUID

import asyncpg

from relais_gateway import passwords, sign_in_store, store
from relais_gateway.codes import Codes, from_app
from relais_gateway.domain.devices import ANYWHERE, Source
from relais_gateway.domain.refusals import InvalidScope
from relais_gateway.domain.scopes import narrowed
from relais_gateway.domain.second_steps import For, How, has_to_have_one
from relais_gateway.live import Live, fingerprint
from relais_gateway.signing import SigningKeys
from relais_gateway.store import Connection
from relais_gateway.tries import Tries
from relais_gateway.web.session import Halfway, Refused, Visitor

IDLE: Final = timedelta(minutes=30)
"""A session that nobody uses ends: counters are shared."""
WHOLE_DAY: Final = timedelta(hours=12)
"""No session outlives a working day."""
TOUCH_AFTER: Final = timedelta(minutes=1)
"""A session's use is noted once a minute at most."""
STEP_LIFE: Final = timedelta(minutes=10)
"""After the password, time to find the telephone or the paper with the recovery codes."""
AT_ONCE: Final = 2
"""Password hashes at once: each takes 64 MiB and a quarter of a second of one core."""
TOKEN_LIFE_S: Final = 60
"""A page's token lives for the page."""
CODE: Final = "code"
"""The purpose of a step that waits for a code."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """The gateway's sessions, as its pages ask for them.

    Attributes:
        pool: Of the gateway's database.
        live: Who may do what.
        keys: Sign the pages' tokens.
        codes: Judges what is typed in the second step.
        tries: Slows guessing down.
        hashing: Lets only so many hashes run at once.
        required: Who has to have a second step.
    """

    pool: asyncpg.Pool
    live: Live
    keys: SigningKeys
    codes: Codes
    tries: Tries
    hashing: asyncio.Semaphore
    required: For = For.NOBODY

    async def sign_in(
        self, email: str, password: str, now: datetime, device: str = "", source: Source = ANYWHERE
    ) -> str | Halfway | None:
        """Open a session and answer its secret, or who is halfway where a second step follows.

        Answers nothing where e-mail and password do not fit, or after too many tries from there.
        """
        email = email.strip().casefold()
        numbers = await self.tries.take_of_email(email, source, now)
        async with self.pool.acquire() as connection:
            account = await store.account_by_email(connection, email)
        # No connection waits while the hash is computed, and an unknown e-mail takes as long as a known one.
        fits = await self.password_fits(account["password_hash"] if account else None, password)
        if account is None or not fits or numbers is None:
            return None
        async with self.pool.acquire() as connection, connection.transaction():
            if not await sign_in_store.still_by(connection, account["id"], account["password_hash"]):
                # It was changed while the hash was computed: what the old one opened has just been ended.
                return None
            await store.forgive_attempts(connection, numbers)
            if not (await sign_in_store.factors(connection, account["id"]))["second_step"]:
                return await self.open(connection, account, How.PASSWORD, device, now)
            halfway = Halfway(token_urlsafe(32))
            await sign_in_store.open_step(connection, fingerprint(halfway.secret), account["id"], CODE, {}, now)
        return halfway

    async def second_step(self, halfway: str, typed: str, now: datetime, device: str = "") -> str | Refused:
        """Open the session of somebody halfway whose code fits; answer its secret, or what is wrong."""
        hash_ = fingerprint(halfway)
        async with self.pool.acquire() as connection:
            step = await sign_in_store.step(connection, hash_, CODE, now - STEP_LIFE)
            account = await sign_in_store.account(connection, step["account_id"]) if step else None
        if account is None:
            return Refused.ENDED
        numbers = await self.tries.take_of_code(account["id"], now)
        if numbers is None:
            return Refused.WRONG
        async with self.pool.acquire() as connection, connection.transaction():
            # One code opens one session, however many bring it at once: used up and opened in one transaction.
            how = How.APP if from_app(typed) else How.RECOVERY_CODE
            if not await self._used(connection, account["id"], typed, now):
                return Refused.WRONG
            if not await sign_in_store.end_step(connection, hash_):
                return Refused.ENDED
            await store.forgive_attempts(connection, numbers)
            return await self.open(connection, account, how, device, now)

    async def _used(self, connection: Connection, account_id: UUID, typed: str, now: datetime) -> bool:
        if not from_app(typed):
            return await sign_in_store.use_recovery_code(connection, account_id, self.codes.hash(account_id, typed))
        sealed = await sign_in_store.totp(connection, account_id, confirmed=True)
        period = self.codes.period(account_id, sealed, typed, now) if sealed else None
        return period is not None and await sign_in_store.use_period(connection, account_id, period)

    async def password_fits(self, hash_: str | None, password: str) -> bool:
        """Answer whether a password is the one kept, without more hashes at once than this machine bears."""
        async with self.hashing:
            return await asyncio.to_thread(passwords.fits, hash_, password)

    @staticmethod
    async def open(connection: Connection, account: asyncpg.Record, how: How, device: str, now: datetime) -> str:
        """Open a session of an account; answer its secret."""
        secret, id_ = token_urlsafe(32), account["id"]
        await store.open_session(connection, fingerprint(secret), id_, now, how=how, device=device)
        house = account["organisation_id"]
        await store.audit(connection, now, f"user:{id_}", "signed_in", str(id_), {"how": how}, organisation_id=house)
        return secret

    async def visitor(self, secret: str, now: datetime, *, prolong: bool = True) -> Visitor | None:
        """Answer whose session this is, with a token of their own; nothing where it has ended.

        Args:
            secret: The cookie's.
            now: The instant.
            prolong: False where a page looks by itself: an open page alone keeps no session alive.
        """
        hash_ = fingerprint(secret)
        async with self.pool.acquire() as connection:
            row = await store.session(connection, hash_, now - IDLE, now - WHOLE_DAY)
            if row is None:
                return None
            if prolong and now - row["seen_at"] > TOUCH_AFTER:
                await store.touch_session(connection, hash_, now)
        must_enrol = not row["second_step"] and has_to_have_one(self.required, row["roles"], How(row["how"]))
        # Until then it may do nothing but set one up: that holds at the API, whatever a page would let through.
        scopes = [] if must_enrol else await self._scopes(row["id"], row["organisation_id"], now)
        token = self.keys.issue(
            subject=f"user:{row['id']}",
            client_id="web",
            organisation_id=row["organisation_id"],
            scopes=scopes,
            now=now,
            life_s=TOKEN_LIFE_S,
        )
        member = (await self.live.now()).members.get(row["organisation_id"])
        return Visitor(
            name=row["name"],
            email=row["email"],
            function=row["function"],
            organisation_id=row["organisation_id"],
            organisation=row["organisation_name"],
            token=token,
            secret=secret,
            scopes=frozenset(scopes),
            practice=member is not None and member.practice,
            account_id=row["id"],
            session_id=row["session_id"],
            since=row["created_at"],
            must_enrol=must_enrol,
        )

    async def _scopes(self, account_id: UUID, organisation_id: UUID, now: datetime) -> list[str]:
        state = await self.live.now()
        member, account = state.members.get(organisation_id), state.accounts.get(account_id)
        try:
            return narrowed(None, account.scopes if account else (), member.held(now.date()) if member else ())
        except InvalidScope:
            return []  # The page then says that this organisation has no such right.

    async def speak(self, secret: str, language: str) -> None:
        """Note in which language the owner of a session reads; does nothing where there is no such session."""
        async with self.pool.acquire() as connection:
            await sign_in_store.write_language(connection, fingerprint(secret), language)

    async def sign_out(self, secret: str, now: datetime) -> None:
        """End a session."""
        del now
        async with self.pool.acquire() as connection:
            await store.end_session(connection, fingerprint(secret))
