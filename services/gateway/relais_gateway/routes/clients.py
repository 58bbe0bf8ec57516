"""An organisation's own systems: its administrator makes them, narrows them, changes their secret, closes them."""

from typing import Annotated
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from relais_gateway import admin_store, client_actions, repeating
from relais_gateway.problems import TABLE
from relais_gateway.routes.admin import ClientList, ClientView
from relais_gateway.routes.dependencies import transaction
from relais_gateway.routes.organisation import by
from relais_shared import problems
from relais_shared.auth import Actor, requires
from relais_shared.clock import Now
from relais_shared.idempotency import OptionalKey
from relais_shared.refusals import InvalidInput, NotFound, ScopeMissing, Unauthenticated, Unavailable
from relais_shared.service import Router

router = Router(prefix="/v1/organisation/clients", tags=["organisation"])

Administrator = Annotated[Actor, requires("org:admin")]

_READS = problems.responses(Unauthenticated, ScopeMissing, Unavailable)
_MAKES = problems.responses(Unauthenticated, ScopeMissing, InvalidInput, *repeating.REFUSALS, Unavailable, table=TABLE)
_RENEWS = problems.responses(
    Unauthenticated, ScopeMissing, NotFound, InvalidInput, *repeating.REFUSALS, Unavailable, table=TABLE
)
_CHANGES = problems.responses(Unauthenticated, ScopeMissing, NotFound, InvalidInput, Unavailable)


class ClientWanted(BaseModel):
    """What a system is called, and what it may ask for."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"name": "Agenda", "scopes": ["directory:read"]}}
    )

    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
    scopes: list[str] = Field(max_length=20, description="Of what your organisation is granted today.")


class ClientMade(ClientView):
    """A system with its new secret, which is shown this once."""

    client_secret: str


@router.get("", responses=_READS)
async def list_own_clients(request: Request, actor: Administrator, now: Now) -> ClientList:
    """List the systems of your organisation, the closed ones too."""
    async with transaction(request) as connection:
        rows = await admin_store.clients(connection, by(actor, now).organisation_id)
    return ClientList(items=[ClientView(**dict(row)) for row in rows])


@router.post("", status_code=201, responses=_MAKES)
async def create_own_client(
    request: Request, actor: Administrator, body: ClientWanted, key: OptionalKey, now: Now
) -> ClientMade:
    """Make a system; its secret is shown in this answer alone (and to a repeat with its key)."""
    async with transaction(request) as connection:
        call = await repeating.begin(connection, key, actor, 201, now)
        secret = _secret(request, call)
        if not call.repeated:
            await client_actions.create(connection, by(actor, now), call.id, secret, body.name, body.scopes)
        row = await client_actions.own(connection, by(actor, now), str(call.id))
    return ClientMade(**dict(row), client_secret=secret)


@router.put("/{client_id}", status_code=204, responses=_CHANGES)
async def change_own_client(
    request: Request, actor: Administrator, client_id: UUID, body: ClientWanted, now: Now
) -> None:
    """Name a system anew and say what it may ask for; what is taken away ends within a second, tokens included."""
    async with transaction(request) as connection:
        await client_actions.change(connection, by(actor, now), str(client_id), body.name, body.scopes)


@router.post("/{client_id}/secret", responses=_RENEWS)
async def renew_own_secret(
    request: Request, actor: Administrator, client_id: UUID, key: OptionalKey, now: Now
) -> ClientMade:
    """Give a system a new secret, shown in this answer alone (and to a repeat with its key).

    The old one opens nothing from then on.
    """
    async with transaction(request) as connection:
        call = await repeating.begin(connection, key, actor, 200, now)
        secret = _secret(request, call)
        if not call.repeated:
            await client_actions.renew_secret(connection, by(actor, now), str(client_id), secret)
        row = await client_actions.own(connection, by(actor, now), str(client_id))
    return ClientMade(**dict(row), client_secret=secret)


@router.delete("/{client_id}", status_code=204, responses=_CHANGES)
async def close_own_client(request: Request, actor: Administrator, client_id: UUID, now: Now) -> None:
    """Close a system for good; its tokens stop working within a second."""
    async with transaction(request) as connection:
        await client_actions.close(connection, by(actor, now), str(client_id))


def _secret(request: Request, call: repeating.Call) -> str:
    return f"rel_live_{call.secret(request.app.state.settings.secret_bytes())}"
