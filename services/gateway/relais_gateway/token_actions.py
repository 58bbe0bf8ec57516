"""The verbs of tokens: signing keys made, replaced and withdrawn; a token revoked; how a client proves itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from relais_gateway import store, token_store
from relais_gateway.domain.refusals import LastKey
from relais_gateway.jwts import registered
from relais_gateway.live import KEY, METHODS, SECRET
from relais_gateway.signing import ALGORITHM, ALGORITHMS, LEEWAY_S, OVERLAP, Claims, SigningKeys
from relais_gateway.store import Connection
from relais_shared.refusals import Fault, InvalidInput, NotFound


async def ensure_keys(connection: Connection, keys: SigningKeys, now: datetime) -> None:
    """Make the first signing key of each algorithm, unless there is one."""
    async with connection.transaction():
        await token_store.lock_keys(connection)
        there = {row["alg"] for row in await token_store.all_keys(connection) if row["retired_at"] is None}
        for alg in ALGORITHMS:
            if alg not in there:
                await token_store.add_key(connection, *keys.new(alg), now)


async def rotate_keys(connection: Connection, keys: SigningKeys, actor: str, now: datetime) -> list[str]:
    """Make a new signing key of each algorithm; the old ones verify until every token that they signed has ended.

    Returns:
        The ids of the keys that end by it.
    """
    async with connection.transaction():
        await token_store.lock_keys(connection)
        ending = await token_store.retire_keys(connection, now + OVERLAP)
        for alg in ALGORITHMS:
            kid, public, sealed = keys.new(alg)
            await token_store.add_key(connection, kid, public, sealed, now)
            await store.audit(connection, now, actor, "signing_key_made", kid, {"alg": alg})
        return ending


async def withdraw_key(connection: Connection, kid: str, actor: str, now: datetime) -> None:
    """Let a signing key verify nothing from now on, in every process within a second; its tokens end with it.

    Raises:
        NotFound: There is no such key, or it verifies nothing any more.
        LastKey: Nothing else signs for its algorithm: replace it first.
    """
    async with connection.transaction():
        await token_store.lock_keys(connection)
        living = [
            row for row in await token_store.all_keys(connection) if not row["retired_at"] or row["retired_at"] > now
        ]
        found = next((row for row in living if row["kid"] == kid), None)
        if found is None:
            raise NotFound("There is no such key in use.")
        if not any(row["kid"] != kid and row["alg"] == found["alg"] and row["retired_at"] is None for row in living):
            raise LastKey("Nothing else signs. Make a new key first, then withdraw this one.")
        await token_store.withdraw_key(connection, kid, now)
        await store.audit(connection, now, actor, "signing_key_withdrawn", kid)


async def revoke(connection: Connection, claims: Claims) -> None:
    """Revoke one token of a client, everywhere within a second."""
    ends = datetime.fromtimestamp(claims.expires, UTC) + timedelta(seconds=2 * LEEWAY_S)
    await token_store.revoke(connection, claims.jti, ends)


@dataclass(frozen=True, slots=True)
class Authentication:
    """How a client proves itself and what its tokens are.

    Attributes:
        methods: Of `METHODS`; none and it gets no token.
        jwks: Its public keys (RFC 7517).
        dpop_required: Its tokens are bound to a key of its own.
        token_life_s: 60 to 900; as the settings say where None.
        token_alg: Of `ALGORITHMS`.
        fapi: Held to FAPI 2.0.
    """

    methods: Sequence[str] = (SECRET,)
    jwks: Sequence[Mapping[str, Any]] = ()
    dpop_required: bool = False
    token_life_s: int | None = None
    token_alg: str = ALGORITHM
    fapi: bool = False


async def set_authentication(  # noqa: PLR0913 - whose, by whom, how
    connection: Connection,
    client_id: str,
    wanted: Authentication,
    *,
    organisation_id: UUID | None,
    actor: str,
    now: datetime,
) -> None:
    """Note how a client proves itself. Tokens got by a secret or key that is no longer allowed end within a second.

    Args:
        connection: Of the gateway's database.
        client_id: Whose.
        wanted: In place of what was noted.
        organisation_id: The client is of this one, or else unknown; any where None.
        actor: Who changes it.
        now: The instant.

    Raises:
        NotFound: There is no such client.
        InvalidInput: It would contradict itself; every fault is named.
    """
    jwks = registered(wanted.jwks)
    faults = []
    if KEY in wanted.methods and not jwks:
        faults.append(Fault("/jwks/keys", f"{KEY} needs a public key."))
    if wanted.fapi and list(wanted.methods) != [KEY]:
        faults.append(Fault("/methods", f"FAPI 2.0 allows {KEY} alone."))
    if wanted.fapi and not wanted.dpop_required:
        faults.append(Fault("/dpop_required", "FAPI 2.0 binds every token to a key."))
    if wanted.fapi and wanted.token_alg != ALGORITHM:
        faults.append(Fault("/token_alg", f"FAPI 2.0 does not allow {wanted.token_alg}."))
    if faults:
        raise InvalidInput("A client cannot prove itself so.", faults)
    async with connection.transaction():
        row = await token_store.client(connection, client_id, organisation_id)
        if row is None:
            raise NotFound("There is no such client.")
        if SECRET in wanted.methods and row["secret_hash"] is None:
            raise InvalidInput("It has no secret.", [Fault("/methods", "Give it a secret first.")])
        await token_store.set_client_authentication(
            connection,
            client_id,
            methods=[one for one in METHODS if one in wanted.methods],
            jwks=jwks,
            dpop_required=wanted.dpop_required,
            token_life_s=wanted.token_life_s,
            token_alg=wanted.token_alg,
            fapi=wanted.fapi,
        )
        facts = {"methods": list(wanted.methods), "kids": [one["kid"] for one in jwks], "fapi": wanted.fapi}
        await store.audit(
            connection,
            now,
            actor,
            "client_authentication_written",
            client_id,
            facts,
            organisation_id=row["organisation_id"],
        )
