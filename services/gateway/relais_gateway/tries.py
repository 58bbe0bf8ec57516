"""Guessing is slowed down, at each step of signing in, by whom it is about and where it comes from."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

import asyncpg

from relais_gateway import store
from relais_gateway.domain.devices import Source

TRIES: Final = 10
"""Failed tries of one step for one account from one place within `TRIES_WITHIN`, before it has to wait."""
TRIES_ANYWHERE: Final = 100
"""Failed tries of one account's password from all places where it was never opened: many may guess together. Ten places
have to, before anybody else waits; a browser in which it was opened before never does."""
TRIES_WITHIN: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Tries:
    """The tries of the last minutes, by keyed hashes of whom they were about and where they came from.

    Attributes:
        pool: Of the gateway's database.
        secret: Hides which e-mails were tried.
    """

    pool: asyncpg.Pool
    secret: bytes

    async def take_of_email(self, email: str, source: Source, now: datetime) -> Sequence[int] | None:
        """Take a try of a password; answer its numbers, nothing where there were too many."""
        here = await self._take(b"attempt:" + email.encode() + b"\0" + source.name.encode(), TRIES, now)
        if here is None or source.known:
            return here
        # One place alone never fills this count: what it tries in vain beyond its own is not added.
        anywhere = await self._take(b"anywhere:" + email.encode(), TRIES_ANYWHERE, now)
        return None if anywhere is None else (*here, *anywhere)

    async def take_of_code(self, account_id: UUID, now: datetime) -> Sequence[int] | None:
        """Take a try of a second step; answer its numbers, nothing where there were too many.

        Wherever it comes from: whoever gets so far has the password, and a code is short.
        """
        return await self._take(b"code:" + account_id.bytes, TRIES, now)

    async def _take(self, about: bytes, most: int, now: datetime) -> Sequence[int] | None:
        # Noted before it is judged, each by itself: a thousand at once count each other.
        who = hmac.digest(self.secret, about, sha256)
        async with self.pool.acquire() as connection:
            number = await store.note_attempt(connection, who, now)
            tries = await store.failed_attempts(connection, who, now - TRIES_WITHIN)
        return (number,) if tries <= most else None
