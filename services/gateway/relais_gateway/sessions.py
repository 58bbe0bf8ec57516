"""Counsellors and administrators in a browser: signing in, the session, and the token that its pages call with."""

import asyncio
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from secrets import token_urlsafe
from typing import Final
from uuid import UUID

import asyncpg

from relais_gateway import passwords, store
from relais_gateway.domain.refusals import InvalidScope
from relais_gateway.domain.scopes import narrowed
from relais_gateway.live import Live, fingerprint
from relais_gateway.signing import SigningKeys
from relais_gateway.web.session import Visitor

IDLE: Final = timedelta(minutes=30)
"""A session that nobody uses ends: counters are shared."""
WHOLE_DAY: Final = timedelta(hours=12)
"""No session outlives a working day."""
TOUCH_AFTER: Final = timedelta(minutes=1)
"""A session's use is noted once a minute at most."""
TRIES: Final = 10
"""Failed sign-ins for one e-mail within `TRIES_WITHIN`, before it has to wait."""
TRIES_WITHIN: Final = timedelta(minutes=15)
AT_ONCE: Final = 2
"""Password hashes at once: each takes 64 MiB and a quarter of a second of one core."""
TOKEN_LIFE_S: Final = 60
"""A page's token lives for the page."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """The gateway's sessions, as its pages ask for them.

    Attributes:
        pool: Of the gateway's database.
        live: Who may do what.
        keys: Sign the pages' tokens.
        secret: Hides which e-mails were tried.
        hashing: Lets only so many hashes run at once.
    """

    pool: asyncpg.Pool
    live: Live
    keys: SigningKeys
    secret: bytes
    hashing: asyncio.Semaphore

    async def sign_in(self, email: str, password: str, now: datetime) -> str | None:
        """Open a session and answer its secret; nothing where e-mail and password do not fit, or too many tries."""
        email = email.strip().casefold()
        who = hmac.digest(self.secret, b"attempt:" + email.encode(), sha256)
        async with self.pool.acquire() as connection:
            tries = await store.failed_attempts(connection, who, now - TRIES_WITHIN)
            account = await store.account_by_email(connection, email)
        # No connection waits while the hash is computed, and an unknown e-mail takes as long as a known one.
        fits = await self._fits(account["password_hash"] if account else None, password)
        async with self.pool.acquire() as connection:
            if account is None or not fits or tries >= TRIES:
                await store.note_attempt(connection, who, now)
                return None
            secret = token_urlsafe(32)
            await store.open_session(connection, fingerprint(secret), account["id"], now)
            await store.audit(
                connection,
                now,
                f"user:{account['id']}",
                "signed_in",
                str(account["id"]),
                organisation_id=account["organisation_id"],
            )
        return secret

    async def _fits(self, hash_: str | None, password: str) -> bool:
        async with self.hashing:
            return await asyncio.to_thread(passwords.fits, hash_, password)

    async def visitor(self, secret: str, now: datetime) -> Visitor | None:
        """Answer whose session this is, with a token of their own; nothing where it has ended."""
        hash_ = fingerprint(secret)
        async with self.pool.acquire() as connection:
            row = await store.session(connection, hash_, now - IDLE, now - WHOLE_DAY)
            if row is None:
                return None
            if now - row["seen_at"] > TOUCH_AFTER:
                await store.touch_session(connection, hash_, now)
        scopes = await self._scopes(row["id"], row["organisation_id"], now)
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
        )

    async def _scopes(self, account_id: UUID, organisation_id: UUID, now: datetime) -> list[str]:
        state = await self.live.now()
        member, account = state.members.get(organisation_id), state.accounts.get(account_id)
        try:
            return narrowed(None, account.scopes if account else (), member.held(now.date()) if member else ())
        except InvalidScope:
            return []  # The page then says that this organisation has no such right.

    async def sign_out(self, secret: str, now: datetime) -> None:
        """End a session."""
        del now
        async with self.pool.acquire() as connection:
            await store.end_session(connection, fingerprint(secret))
