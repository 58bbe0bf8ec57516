"""Limits as the door asks for them, shared by every process of the gateway (`docs/decisions/0023`)."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address
from secrets import token_hex
from typing import Final

import asyncpg
import orjson
from opentelemetry.instrumentation.utils import suppress_instrumentation

from relais_gateway import store
from relais_gateway.domain.limits import Entry, Key, Limits, Policy, Word
from relais_gateway.live import State
from relais_gateway.settings import GatewaySettings
from relais_gateway.signing import Claims
from relais_shared.telemetry import get_logger

CHANNEL: Final = "relais_calls"
TELL_EVERY_S: Final = 0.2
"""How often the processes tell each other whom they let in; what each does not know of meanwhile is the error."""
LOST_AFTER_S: Final = 2.0
"""A process whose calls go on says so each time; one that is silent for so long is gone, and its calls with it."""
AGAIN_AFTER_S: Final = 1.0
"""Before the database is asked again for a connection."""
FORGET_EVERY_S: Final = 60.0
ON_A_PAGE: Final = 100
"""Buckets in one notification: PostgreSQL takes fewer than 8,000 bytes, and a key has at most fifty."""
PAGES: Final = 20
"""Notifications at a time; the buckets that were told last come first the next time."""


class Limiting:
    """Who may call how often.

    Args:
        settings: Hold what is allowed where nothing else is said.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._dsn = settings.dsn.get_secret_value()
        self._secret = settings.secret_bytes()
        bounds = (settings.organisation_per_second, settings.organisation_burst, settings.organisation_at_once)
        self._systems = Policy("organisation", *bounds)
        self._people = Policy("people", *bounds)
        self._address = Policy.a_minute("address", settings.public_per_minute)
        self._own = Policy.a_minute("own", settings.own_per_minute)
        self._limits = Limits()
        self._me = token_hex(8)
        self._heard: dict[str, float] = {}

    # ── the door asks ──────────────────────────────────────────────────────────────────────────────────────────

    def asked(self, claims: Claims, state: State) -> list[tuple[Key, Policy]]:
        """Answer the buckets that a call of somebody known is taken from, each with its bound in a state.

        An organisation's people have a bucket beside that of its systems: one of those gone wild closes no desk.
        """
        own = state.limits.get(claims.organisation_id)
        if claims.subject.startswith("user:"):
            return [(f"people:{claims.organisation_id}", (own and own.people) or self._people)]
        asked = [(f"organisation:{claims.organisation_id}", (own and own.systems) or self._systems)]
        if own and claims.client_id in own.clients:
            asked.append((claims.subject, own.clients[claims.client_id]))
        return asked

    def known(self, asked: Sequence[tuple[Key, Policy]]) -> Entry:
        """Let in a call of somebody known.

        Args:
            asked: As `asked` answered.

        Raises:
            TooManyCalls: Its organisation or its system has nothing left.
        """
        return self._limits.enter(asked, time.monotonic())

    def anybody(self, peer: str) -> Entry:
        """Let in a call that is open to all.

        Raises:
            TooManyCalls: Its address called too often.
        """
        return self._limits.enter([("address:" + self.network(peer), self._address)], time.monotonic())

    def own(self, peer: str) -> Entry:
        """Let in a call of what the gateway itself opens to all: tokens, keys, metadata.

        Raises:
            TooManyCalls: Its address called too often.
        """
        return self._limits.enter([("own:" + self.network(peer), self._own)], time.monotonic())

    def network(self, peer: str) -> str:
        """Answer an address as no process tells another who came; an IPv6 network (64 bits) is one caller."""
        if ":" in peer:
            with suppress(ValueError):
                found = ip_address(peer)
                if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
                    peer = found.packed[:8].hex()
        return blake2b(peer.encode(), key=self._secret, digest_size=9).hexdigest()

    # ── the processes tell each other ──────────────────────────────────────────────────────────────────────────

    async def keep_sharing(self) -> None:
        """Tell the other processes and hear them, for as long as the gateway runs.

        Without the database each counts for itself: it then lets nobody known in anyway (`live.py`).
        """
        while True:
            try:
                await self._share()
            except store.FAULTS as fault:
                get_logger().warning("calls are counted alone", fault=type(fault).__name__)
            for peer in list(self._heard):
                self._lose(peer)
            await asyncio.sleep(AGAIN_AFTER_S)

    async def _share(self) -> None:
        forget_at = time.monotonic() + FORGET_EVERY_S
        with suppress_instrumentation():
            connection = await asyncpg.connect(
                self._dsn, server_settings={"application_name": "relais-gateway-calls"}, timeout=AGAIN_AFTER_S
            )
            try:
                await connection.add_listener(CHANNEL, self._take)
                while not connection.is_closed():
                    await self._tell(connection)
                    now_s = time.monotonic()
                    for peer in [peer for peer, at_s in self._heard.items() if at_s < now_s - LOST_AFTER_S]:
                        self._lose(peer)
                    if now_s > forget_at:
                        self._limits.forget(now_s)
                        forget_at = now_s + FORGET_EVERY_S
                    await asyncio.sleep(TELL_EVERY_S)
            finally:
                connection.terminate()

    async def _tell(self, connection: asyncpg.Connection) -> None:
        words = [(key, word.let_in, word.running) for key, word in self._limits.tell(ON_A_PAGE * PAGES).items()]
        pages = [
            orjson.dumps({"from": self._me, "words": words[start : start + ON_A_PAGE]}).decode()
            for start in range(0, len(words), ON_A_PAGE)
        ]
        if pages:
            await connection.execute("select pg_notify($1, page) from unnest($2::text[]) page", CHANNEL, pages)

    def _take(self, _connection: object, _pid: int, _channel: str, page: object) -> None:
        told = orjson.loads(str(page))
        if told["from"] == self._me:
            return
        now_s = time.monotonic()
        self._heard[told["from"]] = now_s
        policies = {"organisation": self._systems, "address": self._address, "own": self._own}
        for key, let_in, running in told["words"]:
            policy = policies.get(key.partition(":")[0], self._people)
            self._limits.hear(told["from"], {key: Word(let_in, running)}, policy, now_s)

    def _lose(self, peer: str) -> None:
        del self._heard[peer]
        self._limits.lost(peer)
