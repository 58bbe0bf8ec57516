"""Guessing is slowed down, at each step of signing in, by whom it is about."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

import asyncpg

from relais_gateway import store

TRIES: Final = 10
"""Failed tries of one step for one account within `TRIES_WITHIN`, before it has to wait."""
TRIES_WITHIN: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Tries:
    """The tries of the last minutes, by keyed hashes of whom they were about.

    Attributes:
        pool: Of the gateway's database.
        secret: Hides which e-mails were tried.
    """

    pool: asyncpg.Pool
    secret: bytes

    async def take_of_email(self, email: str, now: datetime) -> int | None:
        """Take a try of a password; answer its number, nothing where there were too many."""
        return await self._take(b"attempt:" + email.encode(), now)

    async def take_of_code(self, account_id: UUID, now: datetime) -> int | None:
        """Take a try of a second step; answer its number, nothing where there were too many."""
        return await self._take(b"code:" + account_id.bytes, now)

    async def _take(self, about: bytes, now: datetime) -> int | None:
        # Noted before it is judged, each by itself: a thousand at once count each other.
        who = hmac.digest(self.secret, about, sha256)
        async with self.pool.acquire() as connection:
            number = await store.note_attempt(connection, who, now)
            tries = await store.failed_attempts(connection, who, now - TRIES_WITHIN)
        return number if tries <= TRIES else None
