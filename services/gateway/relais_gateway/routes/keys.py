"""Keys: those that sign access tokens, for the platform; how a client proves itself, for its organisation."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from relais_gateway import repeating, store, token_actions, token_store
from relais_gateway.domain.refusals import LastKey
from relais_gateway.problems import TABLE
from relais_gateway.routes.dependencies import transaction
from relais_shared import problems
from relais_shared.auth import Actor, requires
from relais_shared.clock import Now
from relais_shared.idempotency import OptionalKey
from relais_shared.refusals import InvalidInput, NotFound, ScopeMissing, Unauthenticated, Unavailable
from relais_shared.service import Router

router = Router(prefix="/v1", tags=["keys"])

Platform = Annotated[Actor, requires("platform:admin")]
MayEnrol = Annotated[Actor, requires("org:admin", "platform:admin")]

_READS = problems.responses(Unauthenticated, ScopeMissing, Unavailable)
_MAKES = problems.responses(Unauthenticated, ScopeMissing, InvalidInput, *repeating.REFUSALS, Unavailable, table=TABLE)
_CLIENT = problems.responses(Unauthenticated, ScopeMissing, NotFound, InvalidInput, Unavailable)
_CHANGES = problems.responses(Unauthenticated, ScopeMissing, NotFound, InvalidInput, Unavailable)
_WITHDRAWS = problems.responses(Unauthenticated, ScopeMissing, NotFound, LastKey, Unavailable, table=TABLE)


class SigningKeyView(BaseModel):
    """A key that signs access tokens, or did."""

    kid: str
    alg: str
    created_at: datetime
    verifies_until: datetime | None = Field(description="From then on it verifies nothing; not decided yet where null.")


class SigningKeyList(BaseModel):
    """The signing keys, the newest first."""

    items: list[SigningKeyView]


@router.get("/platform/signing_keys", responses=_READS)
async def list_signing_keys(request: Request, _actor: Platform) -> SigningKeyList:
    """List the keys that sign access tokens, and those that did."""
    async with request.app.state.pool.acquire() as connection:
        return await _signing_keys(connection)


@router.post("/platform/signing_keys", status_code=201, responses=_MAKES)
async def rotate_signing_keys(request: Request, actor: Platform, key: OptionalKey, now: Now) -> SigningKeyList:
    """Make new signing keys; every process signs with them within seconds.

    The old ones verify for another twenty minutes, in which every token that they signed ends: nobody notices.
    """
    async with transaction(request) as connection:
        call = await repeating.begin(connection, key, actor, 201, now)
        if not call.repeated:
            await token_actions.rotate_keys(connection, request.app.state.keys, actor.id, now)
        return await _signing_keys(connection)


@router.delete("/platform/signing_keys/{kid}", status_code=204, responses=_WITHDRAWS)
async def withdraw_signing_key(request: Request, kid: str, actor: Platform, now: Now) -> None:
    """Withdraw a signing key at once, as when others may know it: every token that it signed ends within a second."""
    async with request.app.state.pool.acquire() as connection:
        await token_actions.withdraw_key(connection, kid, actor.id, now)


async def _signing_keys(connection: store.Connection) -> SigningKeyList:
    rows = await token_store.all_keys(connection)
    return SigningKeyList(
        items=[
            SigningKeyView(
                kid=row["kid"], alg=row["alg"], created_at=row["created_at"], verifies_until=row["retired_at"]
            )
            for row in rows
        ]
    )


class KeySet(BaseModel):
    """Public keys (RFC 7517)."""

    model_config = ConfigDict(extra="forbid")

    keys: list[dict[str, Any]] = Field(
        default_factory=list,
        max_length=5,
        description="Public halves alone: Ed25519, P-256, or RSA of 2048 to 4096 bits. `kid` is made where absent.",
    )


class AuthenticationWanted(BaseModel):
    """How a client proves itself, and what its tokens are."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "methods": ["private_key_jwt"],
                "jwks": {
                    "keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]
                },
                "dpop_required": True,
                "token_life_s": 300,
                "fapi": True,
            }
        },
    )

    methods: list[Literal["client_secret_basic", "private_key_jwt"]] = Field(
        default=["client_secret_basic"], max_length=2, description="Those allowed; with none it gets no token."
    )
    jwks: KeySet = Field(default_factory=KeySet, description="Needed for `private_key_jwt`.")
    dpop_required: StrictBool = Field(
        default=False, description="Every token is bound to a key of the client (RFC 9449)."
    )
    token_life_s: int | None = Field(
        default=None, ge=60, le=900, description="Seconds that its tokens live; as everybody's where null."
    )
    token_alg: Literal["Ed25519", "RS256"] = Field(
        default="Ed25519", description="RS256 for those who verify tokens with software that knows nothing newer."
    )
    fapi: StrictBool = Field(
        default=False,
        description="Held to FAPI 2.0: `private_key_jwt` alone, DPoP required, no RS256, `aud` is our issuer alone.",
    )


class AuthenticationView(AuthenticationWanted):
    """How a client proves itself, and what its tokens are."""

    model_config = ConfigDict(json_schema_extra={})  # What is sent is no example of what is answered.

    client_id: str


@router.get("/organisation/clients/{client_id}/authentication", responses=_CLIENT)
async def read_client_authentication(request: Request, client_id: UUID, actor: MayEnrol) -> AuthenticationView:
    """Read how a client of the own organisation proves itself; the platform's administrators read any."""
    async with request.app.state.pool.acquire() as connection:
        return await _authentication(connection, client_id, actor)


@router.put("/organisation/clients/{client_id}/authentication", responses=_CHANGES)
async def write_client_authentication(
    request: Request, client_id: UUID, body: AuthenticationWanted, actor: MayEnrol, now: Now
) -> AuthenticationView:
    """Say how a client of the own organisation proves itself; the platform's administrators say it for any.

    Tokens got by a secret or key that is no longer allowed stop working within a second, everywhere.
    """
    wanted = token_actions.Authentication(
        body.methods, body.jwks.keys, body.dpop_required, body.token_life_s, body.token_alg, body.fapi
    )
    async with request.app.state.pool.acquire() as connection:
        await token_actions.set_authentication(
            connection, str(client_id), wanted, organisation_id=_within(actor), actor=actor.id, now=now
        )
        return await _authentication(connection, client_id, actor)


def _within(actor: Actor) -> UUID | None:
    return None if "platform:admin" in actor.scopes else actor.organisation_id


async def _authentication(connection: store.Connection, client_id: UUID, actor: Actor) -> AuthenticationView:
    row = await token_store.client(connection, str(client_id), _within(actor))
    if row is None:
        raise NotFound("There is no such client.")
    return AuthenticationView(
        client_id=row["id"],
        methods=row["auth_methods"],
        jwks=KeySet(keys=orjson.loads(row["jwks"])),
        dpop_required=row["dpop_required"],
        token_life_s=row["token_life_s"],
        token_alg=row["token_alg"],
        fapi=row["fapi"],
    )
