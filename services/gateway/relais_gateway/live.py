"""Who may do what, now: the registry in memory, never more than a second behind the database, or closed."""

import asyncio
import time
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import orjson
from opentelemetry.instrumentation.utils import suppress_instrumentation

from relais_gateway import store, token_store
from relais_gateway.domain.limits import Bounds, bounds
from relais_gateway.domain.scopes import OF_ROLE, Agreement, Grant, granted
from relais_gateway.jwts import PublicKey, key_set
from relais_gateway.signing import ALGORITHM, SigningKeys
from relais_shared.db import DOWN
from relais_shared.refusals import Unavailable
from relais_shared.registry import Organisation, Snapshot
from relais_shared.telemetry import get_logger

ZONE: Final = ZoneInfo("Europe/Brussels")
"""Absences are noted by the clocks on the wall."""
LOOK_EVERY_S: Final = 0.3
"""How often the version is looked at; what was withdrawn stops working well within a second."""

BLIND_AFTER_S: Final = 1.0
"""Longer than this without a word from the database, nobody is let in on what we remember (design 3)."""

BEGIN_WITHIN_S: Final = 20.0
"""A gateway that starts lets nobody in yet: on a busy machine it waits for its first look."""

BLIND: Final = "Who may do what cannot be looked up now. Nobody is let in on memory."


SECRET: Final = "client_secret_basic"  # noqa: S105 - the name of a method
KEY: Final = "private_key_jwt"
METHODS: Final = (SECRET, KEY)
"""How clients prove themselves."""


@dataclass(frozen=True, slots=True)
class Client:
    """A partner's system.

    Attributes:
        methods: By which it may prove itself.
        secret_hash: Of its secret, where it has one.
        keys: Its public keys.
        credentials: What its tokens may have been got by: a token falls with the secret or key that got it.
        dpop_required: Its tokens are bound to a key (RFC 9449).
        token_life_s: Of its tokens; as the settings say where None.
        token_alg: By which its tokens are signed.
        fapi: Held to FAPI 2.0.
    """

    id: str
    organisation_id: UUID
    secret_hash: bytes | None
    scopes: frozenset[str]
    methods: frozenset[str] = frozenset({SECRET})
    keys: tuple[PublicKey, ...] = ()
    credentials: frozenset[str] = frozenset()
    dpop_required: bool = False
    token_life_s: int | None = None
    token_alg: str = ALGORITHM
    fapi: bool = False

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Client":
        """Answer a client as the database keeps it."""
        methods = frozenset(row["auth_methods"])
        secret = bytes(row["secret_hash"]) if row["secret_hash"] is not None and SECRET in methods else None
        keys = key_set(row["jwks"]) if KEY in methods else ()
        credentials = {key.thumbprint for key in keys} | ({credential_of(secret)} if secret else set())
        return cls(
            id=row["id"],
            organisation_id=row["organisation_id"],
            secret_hash=secret,
            scopes=frozenset(row["scopes"]),
            methods=methods,
            keys=keys,
            credentials=frozenset(credentials),
            dpop_required=row["dpop_required"],
            token_life_s=row["token_life_s"],
            token_alg=row["token_alg"],
            fapi=row["fapi"],
        )


@dataclass(frozen=True, slots=True)
class Absence:
    """The days, both included, on which somebody is away; the last one may not be known."""

    account_id: UUID
    begins_on: date
    ends_on: date | None

    def on(self, day: date) -> bool:
        """Say whether it covers a day (in UTC, as the days of grants)."""
        return self.begins_on <= day and (self.ends_on is None or day <= self.ends_on)


@dataclass(frozen=True, slots=True)
class Account:
    """A person who signs in; what the roles let them ask for, and their place among colleagues."""

    id: UUID
    organisation_id: UUID
    name: str = field(repr=False)
    scopes: frozenset[str]
    teams: tuple[str, ...] = ()
    leads: tuple[str, ...] = ()
    deputy_in: tuple[Absence, ...] = ()

    def stands_for(self, today: date) -> tuple[UUID, ...]:
        """Answer the colleagues whose deputy this person is on a day."""
        return tuple(one.account_id for one in self.deputy_in if one.on(today))


@dataclass(frozen=True, slots=True)
class Member:
    """An organisation and what it is granted; its agreement is the one that nobody ended before its term."""

    id: UUID
    name: str
    active: bool
    platform: bool
    agreement: Agreement | None
    control_unit: bool
    practice: bool
    grants: tuple[Grant, ...]

    def agreed(self, today: date) -> bool:
        """Say whether its agreement is in force."""
        return self.agreement is not None and self.agreement.holds(today)

    def held(self, today: date) -> dict[str, Grant]:
        """Answer the grants that hold today."""
        if not self.active:
            return {}
        return granted(self.grants, today=today, agreement=self.agreed(today), control_unit=self.control_unit)


@dataclass(frozen=True, slots=True)
class State:
    """Who may do what, at one version; and which tokens were revoked by themselves (until when each would live)."""

    version: int = 0
    day: date = date.min
    members: Mapping[UUID, Member] = field(default_factory=dict)
    clients: Mapping[str, Client] = field(default_factory=dict)
    accounts: Mapping[UUID, Account] = field(default_factory=dict)
    snapshot: bytes = b""
    revocations: int = 0
    revoked: Mapping[str, datetime] = field(default_factory=dict)
    limits: Mapping[UUID, Bounds] = field(default_factory=dict)


class Live:
    """The registry in memory.

    Args:
        pool: Of the gateway's database.
        keys: Take the signing keys.
        changed: Told the new snapshot when the services should know it.
    """

    def __init__(
        self, pool: asyncpg.Pool, keys: SigningKeys, changed: Callable[[Snapshot], Awaitable[None]] | None = None
    ) -> None:
        self._pool = pool
        self._keys = keys
        self._changed = changed
        self._state = State()
        self._heard = 0.0
        self._failed = 0.0
        self._looking = asyncio.Lock()
        self._pushes: set[asyncio.Task[None]] = set()

    def fresh(self) -> State | None:
        """Answer the state where it is at most a second old."""
        return None if time.monotonic() - self._heard > BLIND_AFTER_S else self._state

    async def now(self) -> State:
        """Answer the state, at most a second old.

        Raises:
            Unavailable: The database has not been heard from for a second, and does not answer now either.
        """
        if self.fresh() is None:
            await self.look()
        return self._state

    async def begin(self) -> None:
        """Look for the first time.

        Raises:
            Unavailable: The database does not answer.
        """
        async with self._looking:
            await self._look_within(BEGIN_WITHIN_S)

    async def look(self) -> None:
        """Look at the version, and read everything when it moved.

        Raises:
            Unavailable: The database does not answer.
        """
        wanted = time.monotonic()
        async with self._looking:
            if self._heard > wanted - LOOK_EVERY_S / 2:
                return
            if self._failed > wanted:
                raise Unavailable(BLIND)  # Another looked meanwhile: nobody waits in a row for the same no.
            await self._look_within(BLIND_AFTER_S)

    async def _look_within(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                with suppress_instrumentation():
                    await self._look()
        except store.FAULTS as fault:
            # Nobody is let on, whatever it is; what does not pass by itself is told with its stack.
            self._failed = time.monotonic()
            if not isinstance(fault, DOWN):
                get_logger().exception("registry not read")
            raise Unavailable(BLIND) from fault

    async def _look(self) -> None:
        async with self._pool.acquire() as connection:
            asked = time.monotonic()
            today = datetime.now(UTC).date()
            if today > self._state.day:
                await store.begin_day(connection, today)
            version, revocations = await token_store.moved(connection)
            if version != self._state.version or today > self._state.day:
                found = await store.everything(connection)
                self._keys.take(found["keys"])
                self._take(found, today)
            if revocations != self._state.revocations:
                await self._revoke(connection, revocations)
        self._heard = asked

    async def _revoke(self, connection: store.Connection, revocations: int) -> None:
        new = await token_store.revoked_since(connection, self._state.revocations)
        now = datetime.now(UTC)
        # What has ended is refused for that: only as many stay as one token's life sees revoked.
        living = {jti: until for jti, until in self._state.revoked.items() if until > now}
        self._state = replace(self._state, revocations=revocations, revoked=living | new)

    def _take(self, found: Mapping[str, Any], today: date) -> None:
        agreements = {
            row["organisation_id"]: Agreement(row["signed_on"], row["ends_on"]) for row in found["agreements"]
        }
        grants: dict[UUID, list[Grant]] = {}
        for row in found["grants"]:
            limits = orjson.loads(row["limits"])
            grants.setdefault(row["organisation_id"], []).append(Grant(row["scope"], limits, row["ends_on"]))
        members = {
            row["id"]: Member(
                row["id"],
                row["name"],
                row["active"],
                row["platform"],
                agreements.get(row["id"]),
                row["control_unit"],
                row["practice"],
                tuple(grants.get(row["id"], ())),
            )
            for row in found["organisations"]
        }
        told = _organisations(found["organisations"], members, today)
        before, self._state = (
            self._state,
            State(
                found["version"],
                today,
                members,
                {row["id"]: Client.of(row) for row in found["clients"]},
                _accounts(found),
                orjson.dumps([one.model_dump(mode="json") for one in told]),
                self._state.revocations,
                self._state.revoked,
                bounds(found["limits"]),
            ),
        )
        if self._changed is not None and before.snapshot != self._state.snapshot:
            push = asyncio.create_task(self._push(self._changed, self.snapshot()))
            self._pushes.add(push)
            push.add_done_callback(self._pushes.discard)

    async def _push(self, changed: Callable[[Snapshot], Awaitable[None]], snapshot: Snapshot) -> None:
        await changed(snapshot)

    def snapshot(self) -> Snapshot:
        """Answer the registry as the services keep it."""
        organisations = [Organisation.model_validate(one) for one in orjson.loads(self._state.snapshot or b"[]")]
        return Snapshot(version=self._state.version, organisations=organisations)

    async def close(self) -> None:
        """End the pushes under way: the services will pull."""
        for push in self._pushes:
            push.cancel()
        await asyncio.gather(*self._pushes, return_exceptions=True)

    async def keep_looking(self) -> None:
        """Look again and again, for as long as the gateway runs."""
        while True:
            try:
                await self.look()
            except Unavailable:
                get_logger().warning("registry not readable")
            await asyncio.sleep(LOOK_EVERY_S)


def _accounts(found: Mapping[str, Any]) -> dict[UUID, Account]:
    teams: dict[UUID, list[str]] = {}
    leads: dict[UUID, list[str]] = {}
    for row in found["members"]:
        teams.setdefault(row["account_id"], []).append(str(row["team_id"]))
        if row["lead"]:
            leads.setdefault(row["account_id"], []).append(str(row["team_id"]))
    deputies: dict[UUID, list[Absence]] = {}
    for row in found["absences"]:
        away = Absence(row["account_id"], row["begins_on"], row["ends_on"])
        deputies.setdefault(row["deputy_id"], []).append(away)
    return {
        row["id"]: Account(
            row["id"],
            row["organisation_id"],
            row["name"],
            frozenset[str]().union(*(OF_ROLE.get(role, frozenset()) for role in row["roles"])),
            tuple(teams.get(row["id"], ())),
            tuple(leads.get(row["id"], ())),
            tuple(deputies.get(row["id"], ())),
        )
        for row in found["accounts"]
    }


def _organisations(rows: Any, members: Mapping[UUID, Member], today: date) -> list[Organisation]:  # noqa: ANN401 - asyncpg's rows
    return [
        Organisation(
            id=row["id"],
            name=row["name"],
            active=row["active"],
            scopes=sorted(members[row["id"]].held(today)),
            may_sanction=row["may_sanction"],
            control_unit=row["control_unit"],
            secrecy=row["secrecy"],
            agreement=members[row["id"]].agreed(today),
            practice=row["practice"],
            controller=orjson.loads(row["controller"]),
            answer_within_days=row["answer_within_days"],
            launch_base=row["launch_base"],
        )
        for row in rows
    ]


def fingerprint(secret: str) -> bytes:
    """Answer what is kept of a secret of 256 random bits: guessing it back is beyond anybody."""
    return sha256(secret.encode()).digest()


def credential_of(secret_hash: bytes) -> str:
    """Answer how a token names the secret that got it: nothing by which the secret could be found."""
    return short(sha256(b"credential" + secret_hash).digest()[:15])


def short(data: bytes) -> str:
    """Answer bytes as text without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()
