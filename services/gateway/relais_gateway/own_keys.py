"""Passkeys of an account: made, shown to sign in, and taken away."""

import asyncio
import binascii
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Final

import asyncpg

from relais_gateway import sign_in_store
from relais_gateway.domain.keys import Unfit
from relais_gateway.domain.second_steps import How
from relais_gateway.live import fingerprint
from relais_gateway.own_account import OwnAccount, Who
from relais_shared.refusals import NotFound

if TYPE_CHECKING:
    from relais_gateway.passkeys import Passkeys

STEP_LIFE: Final = timedelta(minutes=5)
"""Longer than a browser waits for a key."""
MAKE: Final = "make_key"
SHOW: Final = "show_key"
"""The purposes of a step that waits for a key."""
KEYS: Final = 10
"""Keys of one account: a telephone, a computer, and some on a ring."""


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """The verbs of passkeys.

    Attributes:
        pool: Of the gateway's database.
        own: The account that they are part of.
        public_url: Where our pages are: keys open there alone.
    """

    pool: asyncpg.Pool
    own: OwnAccount
    public_url: str

    async def _passkeys(self) -> "Passkeys":
        # The library takes a fifth of a second to import: at the first key, beside the loop, and not at each start.
        module = await asyncio.to_thread(import_module, "relais_gateway.passkeys")
        found: Passkeys = module.Passkeys.of(self.public_url)
        return found

    async def to_make(self, who: Who, now: datetime) -> tuple[str, str]:
        """Begin to make a key; answer the secret that the browser keeps meanwhile, and what it is asked for (JSON).

        Raises:
            NotFound: The account has as many as it may.
        """
        secret = token_urlsafe(32)
        async with self.pool.acquire() as connection:
            known = [bytes(each["id"]) for each in await sign_in_store.keys_of(connection, who.account_id)]
            if len(known) >= KEYS:
                raise NotFound("There are as many keys as there may be.")
            await sign_in_store.open_step(connection, fingerprint(secret), who.account_id, MAKE, {}, now)
        return secret, (await self._passkeys()).to_make(who.account_id, who.email, who.name, known, secret)

    async def add(self, who: Who, secret: str, answer: str, name: str, now: datetime) -> list[str]:
        """Keep a key that a browser made; answer the recovery codes where it is the first second step, or nothing.

        Every other session of the account ends: they were opened without it.

        Raises:
            Unfit: It was not asked for by this browser a moment ago, is known already, or does not fit.
        """
        hash_ = fingerprint(secret)
        made = (await self._passkeys()).made(answer, secret)
        async with self.own.change(who, "passkey_added", now) as connection:
            step = await sign_in_store.step(connection, hash_, MAKE, now - STEP_LIFE)
            if step is None or step["account_id"] != who.account_id:
                raise Unfit("This key was not asked for.")
            before = await sign_in_store.factors(connection, who.account_id)
            ended = await sign_in_store.end_step(connection, hash_)
            if not ended or not await sign_in_store.add_key(connection, who.account_id, made, name, now):
                raise Unfit("This key was not asked for.")
            await sign_in_store.end_other_sessions(connection, who.account_id, who.session_id)
            return [] if before["second_step"] else await self.own.new_codes(connection, who)

    async def remove(self, who: Who, written: str, now: datetime) -> None:
        """Take a key away; with the last second step the recovery codes go too.

        Raises:
            NotFound: It is none of this account's.
        """
        try:
            id_ = urlsafe_b64decode(written + "=" * (-len(written) % 4))
        except (binascii.Error, ValueError):
            raise NotFound("There is no such key.") from None
        async with self.own.change(who, "passkey_removed", now) as connection:
            if not await sign_in_store.remove_key(connection, who.account_id, id_):
                raise NotFound("There is no such key.")
            await self.own.tidy(connection, who)

    async def to_show(self, now: datetime) -> tuple[str, str]:
        """Begin to sign in by a key; answer the secret that the browser keeps meanwhile, and what it is asked for."""
        secret = token_urlsafe(32)
        async with self.pool.acquire() as connection:
            await sign_in_store.open_step(connection, fingerprint(secret), None, SHOW, {}, now)
        return secret, (await self._passkeys()).to_show(secret)

    async def sign_in(self, secret: str, answer: str, now: datetime, device: str) -> str | None:
        """Open a session for the owner of a key; answer its secret, or nothing: why is not told.

        The challenge is used up by the first answer, right or wrong.
        """
        hash_, passkeys = fingerprint(secret), await self._passkeys()
        try:
            id_, handle = passkeys.shown(answer)
            async with self.pool.acquire() as connection:
                step = await sign_in_store.step(connection, hash_, SHOW, now - STEP_LIFE)
                if step is None or not await sign_in_store.end_step(connection, hash_):
                    return None
                key = await sign_in_store.key(connection, id_)
            if key is None or handle not in {None, key["account_id"].bytes}:
                return None
            count = passkeys.proven(answer, secret, bytes(key["public_key"]), key["sign_count"])
        except Unfit:
            return None
        async with self.pool.acquire() as connection, connection.transaction():
            account = await sign_in_store.account(connection, key["account_id"])
            # Two who show copies of one key at once: the count lets one of them in.
            if account is None or not await sign_in_store.use_key(connection, id_, count, now):
                return None
            return await self.own.at.open(connection, account, How.PASSKEY, device, now)
