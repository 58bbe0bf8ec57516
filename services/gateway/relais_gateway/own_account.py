"""What people change of their own account: the password, second steps, and which browsers are signed in."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

import asyncpg

from relais_gateway import passwords, sessions, sign_in_store, store
from relais_gateway.domain.choosing import weakness
from relais_gateway.domain.devices import Source
from relais_gateway.domain.refusals import Weak, WrongPassword
from relais_gateway.store import Connection
from relais_shared.refusals import NotFound

INSIDE: Final = Source("inside", known=True)
"""Whoever is signed in, in whichever browser."""


class Who(Protocol):
    """Whose account it is, by the session that asks."""

    @property
    def account_id(self) -> UUID:
        """The account."""

    @property
    def organisation_id(self) -> UUID:
        """Whose account it is too."""

    @property
    def session_id(self) -> UUID:
        """The session that asks, which stays."""

    @property
    def email(self) -> str:
        """By which the account signs in."""

    @property
    def name(self) -> str:
        """As colleagues see it."""


@dataclass(frozen=True, slots=True)
class Own:
    """An account as its owner sees it.

    Attributes:
        sessions: Living ones (id, device, created_at, seen_at), the last used first.
        app_since: When the app was confirmed that shows the codes; None where there is none.
        codes: Recovery codes left.
        passkeys: By which it is entered (id as text, name, created_at, used_at), the oldest first.
    """

    sessions: list[dict[str, Any]]
    app_since: datetime | None
    codes: int
    passkeys: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """The verbs of one's own account.

    Attributes:
        pool: Of the gateway's database.
        at: The sessions, with what judges passwords and codes.
    """

    pool: asyncpg.Pool
    at: sessions.Sessions

    async def look(self, who: Who, now: datetime) -> Own:
        """Answer the account as its owner sees it."""
        async with self.pool.acquire() as connection:
            living = await sign_in_store.sessions_of(
                connection, who.account_id, now - sessions.IDLE, now - sessions.WHOLE_DAY
            )
            factors = await sign_in_store.factors(connection, who.account_id)
            keys = await sign_in_store.keys_of(connection, who.account_id)
        named = [{**dict(each), "id": urlsafe_b64encode(each["id"]).decode().rstrip("=")} for each in keys]
        return Own([dict(each) for each in living], factors["totp_at"], factors["codes"], named)

    async def change_password(self, who: Who, current: str, wanted: str, now: datetime) -> None:
        """Give the account another password; every other session ends.

        Raises:
            WrongPassword: The current one does not fit, or there were too many tries.
            Weak: The new one cannot be taken.
        """
        # Whoever finds a browser left open guesses no more often than at the door; what strangers try there is not
        # counted here.
        numbers = await self.at.tries.take_of_email(who.email, INSIDE, now)
        async with self.pool.acquire() as connection:
            account = await sign_in_store.account(connection, who.account_id)
        fits = await self.at.password_fits(account["password_hash"] if account else None, current)
        if numbers is None or not fits:
            raise WrongPassword("This is not the current password.")
        if (why := weakness(wanted, email=who.email, name=who.name)) is not None:
            async with self.pool.acquire() as connection:
                await store.forgive_attempts(connection, numbers)
            raise Weak(why)
        async with self.at.hashing:
            hash_ = await asyncio.to_thread(passwords.CHOSEN.hash, wanted)
        async with self.change(who, "password_changed", now) as connection:
            await store.forgive_attempts(connection, numbers)
            await sign_in_store.write_password(connection, who.account_id, hash_)
            await sign_in_store.end_other_sessions(connection, who.account_id, who.session_id)

    async def end_session(self, who: Who, session_id: UUID, now: datetime) -> None:
        """End one session of the account; does nothing where it is none of its own."""
        async with self.change(who, "session_ended", now) as connection:
            await sign_in_store.end_session(connection, who.account_id, session_id)

    async def end_other_sessions(self, who: Who, now: datetime) -> None:
        """End every session of the account but this one."""
        async with self.change(who, "sessions_ended", now) as connection:
            await sign_in_store.end_other_sessions(connection, who.account_id, who.session_id)

    async def begin_app(self, who: Who, now: datetime) -> None:
        """Begin to set up an app; does nothing where one is in use."""
        async with self.pool.acquire() as connection:
            await sign_in_store.begin_totp(connection, who.account_id, self.at.codes.new(who.account_id), now)

    async def app_to_confirm(self, who: Who) -> tuple[str, str]:
        """Answer the address that the app reads from a drawing, and what it shares with us as one types it.

        Raises:
            NotFound: No app is being set up.
        """
        async with self.pool.acquire() as connection:
            sealed = await sign_in_store.totp(connection, who.account_id, confirmed=False)
        if sealed is None:
            raise NotFound("No app is being set up.")
        codes = self.at.codes
        return codes.address(who.account_id, sealed, who.email), codes.written(who.account_id, sealed)

    async def confirm_app(self, who: Who, typed: str, now: datetime) -> list[str] | None:
        """Put the app to use whose code fits; answer new recovery codes, nothing where the code is wrong.

        Every other session of the account ends: they were opened without it.

        Raises:
            NotFound: No app is being set up.
        """
        async with self.pool.acquire() as connection:
            sealed = await sign_in_store.totp(connection, who.account_id, confirmed=False)
        if sealed is None:
            raise NotFound("No app is being set up.")
        period = self.at.codes.period(who.account_id, sealed, typed, now)
        if period is None:
            return None
        async with self.change(who, "app_set_up", now) as connection:
            if not await sign_in_store.confirm_totp(connection, who.account_id, sealed, period, now):
                raise NotFound("Another app was set up meanwhile.")
            await sign_in_store.end_other_sessions(connection, who.account_id, who.session_id)
            return await self.new_codes(connection, who)

    async def remove_app(self, who: Who, now: datetime) -> None:
        """Remove the app; does nothing where there is none."""
        async with self.change(who, "app_removed", now) as connection:
            await sign_in_store.remove_totp(connection, who.account_id)
            await self.tidy(connection, who)

    @staticmethod
    async def tidy(connection: Connection, who: Who) -> None:
        """Remove the recovery codes where no second step is left that they would stand in for."""
        if not (await sign_in_store.factors(connection, who.account_id))["second_step"]:
            await sign_in_store.write_recovery_codes(connection, who.account_id, ())

    async def renew_codes(self, who: Who, now: datetime) -> list[str]:
        """Draw new recovery codes in place of all others; they are shown this once.

        Raises:
            NotFound: There is no second step that they would stand in for.
        """
        async with self.change(who, "recovery_codes_renewed", now) as connection:
            if not (await sign_in_store.factors(connection, who.account_id))["second_step"]:
                raise NotFound("There is no second step.")
            return await self.new_codes(connection, who)

    async def new_codes(self, connection: Connection, who: Who) -> list[str]:
        """Draw recovery codes in place of all others."""
        drawn = self.at.codes.recovery()
        hashes = [self.at.codes.hash(who.account_id, each) for each in drawn]
        await sign_in_store.write_recovery_codes(connection, who.account_id, hashes)
        return drawn

    @asynccontextmanager
    async def change(self, who: Who, action: str, now: datetime) -> AsyncIterator[Connection]:
        """Open a transaction in which an account changes, and write that down at its end."""
        async with self.pool.acquire() as connection, connection.transaction():
            yield connection
            id_, house = who.account_id, who.organisation_id
            await store.audit(connection, now, f"user:{id_}", action, str(id_), organisation_id=house)
