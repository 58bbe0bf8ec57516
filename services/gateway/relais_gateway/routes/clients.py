"""An organisation's own systems: its administrator makes them, narrows them, changes their secret, closes them."""

from typing import Annotated
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from relais_gateway import admin_store, client_actions
from relais_gateway.routes.admin import ClientList, ClientView
from relais_gateway.routes.dependencies import transaction
from relais_gateway.routes.organisation import by
from relais_shared import problems
from relais_shared.auth import Actor, requires
from relais_shared.clock import Now
from relais_shared.refusals import InvalidInput, NotFound, ScopeMissing, Unauthenticated, Unavailable
from relais_shared.service import Router

router = Router(prefix="/v1/organisation/clients", tags=["organisation"])

Administrator = Annotated[Actor, requires("org:admin")]

_READS = problems.responses(Unauthenticated, ScopeMissing, Unavailable)
_MAKES = problems.responses(Unauthenticated, ScopeMissing, InvalidInput, Unavailable)
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
async def create_own_client(request: Request, actor: Administrator, body: ClientWanted, now: Now) -> ClientMade:
    """Make a system; its secret is shown in this answer alone."""
    async with transaction(request) as connection:
        id_, secret = await client_actions.create(connection, by(actor, now), body.name, body.scopes)
    return ClientMade(id=id_, name=body.name, scopes=sorted(set(body.scopes)), active=True, client_secret=secret)


@router.put("/{client_id}", status_code=204, responses=_CHANGES)
async def change_own_client(
    request: Request, actor: Administrator, client_id: UUID, body: ClientWanted, now: Now
) -> None:
    """Name a system anew and say what it may ask for; what is taken away ends within a second, tokens included."""
    async with transaction(request) as connection:
        await client_actions.change(connection, by(actor, now), str(client_id), body.name, body.scopes)


@router.post("/{client_id}/secret", responses=_CHANGES)
async def renew_own_secret(request: Request, actor: Administrator, client_id: UUID, now: Now) -> ClientMade:
    """Give a system a new secret, shown in this answer alone; the old one opens nothing from then on."""
    async with transaction(request) as connection:
        row, secret = await client_actions.renew_secret(connection, by(actor, now), str(client_id))
    return ClientMade(**dict(row), client_secret=secret)


@router.delete("/{client_id}", status_code=204, responses=_CHANGES)
async def close_own_client(request: Request, actor: Administrator, client_id: UUID, now: Now) -> None:
    """Close a system for good; its tokens stop working within a second."""
    async with transaction(request) as connection:
        await client_actions.close(connection, by(actor, now), str(client_id))
