"""Coming in by an outside provider: a round trip that one browser began, and the account that it leads to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Final

import asyncpg

from relais_gateway import sign_in_store, store
from relais_gateway.domain.second_steps import How
from relais_gateway.live import fingerprint
from relais_gateway.provider import Asking, Distrusted, Identity, Provider
from relais_gateway.sessions import Sessions
from relais_gateway.store import Connection
from relais_shared.telemetry import get_logger

ROUND_LIFE: Final = timedelta(minutes=10)
"""Time to say at the provider who one is."""
PROVIDER: Final = "provider"
"""The purpose of a step that waits for the provider."""


@dataclass(frozen=True, slots=True)
class OutsideSignIn:
    """The two halves of a round trip to the provider.

    Attributes:
        pool: Of the gateway's database.
        provider: Whom it asks.
        at: Opens the session.
    """

    pool: asyncpg.Pool
    provider: Provider
    at: Sessions

    async def begin(self, onward: str, now: datetime) -> tuple[str, str]:
        """Begin a round trip; answer the secret that the browser keeps meanwhile, and where it is sent.

        Raises:
            Away: The provider does not answer.
        """
        secret = token_urlsafe(32)
        address = await self.provider.address(Asking.of(secret))
        async with self.pool.acquire() as connection:
            facts = {"onward": onward}
            await sign_in_store.open_step(connection, fingerprint(secret), None, PROVIDER, facts, now)
        return secret, address

    async def come_back(
        self, secret: str, answer: Mapping[str, str], now: datetime, device: str
    ) -> tuple[str, str] | None:
        """Open a session for whom the provider names; answer its secret and where to go on to, or nothing.

        A round trip ends here, however it ends: what was brought back once helps nobody again.

        Raises:
            Away: The provider does not answer.
        """
        hash_ = fingerprint(secret)
        async with self.pool.acquire() as connection:
            step = await sign_in_store.step(connection, hash_, PROVIDER, now - ROUND_LIFE)
            if step is None or not await sign_in_store.end_step(connection, hash_):
                return None
        try:
            identity = await self.provider.identity(answer, Asking.of(secret), now)
        except Distrusted as why:
            get_logger().warning("sign-in by the provider refused", why=str(why))
            return None
        async with self.pool.acquire() as connection, connection.transaction():
            account = await self._account(connection, identity, now)
            if account is None:
                return None
            onward: str = sign_in_store.facts(step)["onward"]
            return await self.at.open(connection, account, How.PROVIDER, device, now), onward

    @staticmethod
    async def _account(connection: Connection, identity: Identity, now: datetime) -> asyncpg.Record | None:
        """Answer the account of an identity: bound before, or now by an e-mail that the provider verified."""
        known = await sign_in_store.bound(connection, identity.issuer, identity.subject)
        if known is not None:
            return await sign_in_store.account(connection, known)
        account = await store.account_by_email(connection, identity.email) if identity.email else None
        # An address may get another owner there: whoever was bound to the account first keeps it.
        if account is None or not await sign_in_store.bind(
            connection, identity.issuer, identity.subject, account["id"], now
        ):
            return None
        id_, house = account["id"], account["organisation_id"]
        await store.audit(connection, now, f"user:{id_}", "identity_bound", str(id_), organisation_id=house)
        return account
