"""How often organisations and their systems may call, where it is not what the settings say."""

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from relais_gateway import admin_store, limits_store, store
from relais_gateway.actions import By
from relais_gateway.domain.limits import Numbers
from relais_gateway.routes.dependencies import transaction
from relais_gateway.routes.organisation import by
from relais_gateway.settings import GatewaySettings
from relais_shared import problems
from relais_shared.auth import Actor, requires
from relais_shared.clock import Now
from relais_shared.refusals import InvalidInput, NotFound, ScopeMissing, Unauthenticated, Unavailable
from relais_shared.service import Router

router = Router(prefix="/v1")

Operator = Annotated[Actor, requires("platform:admin")]
Administrator = Annotated[Actor, requires("org:admin")]

_READS = problems.responses(Unauthenticated, ScopeMissing, Unavailable)
_CHANGES = problems.responses(Unauthenticated, ScopeMissing, NotFound, InvalidInput, Unavailable)

MOST = 100_000


class CallLimits(BaseModel):
    """How often somebody may call."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"per_second": 20, "burst": 40, "at_once": 8}}
    )

    per_second: int = Field(ge=1, le=MOST, description="Calls a second in the long run.")
    burst: int = Field(ge=1, le=MOST, description="As many may come at once after a silence.")
    at_once: int = Field(ge=1, le=MOST, description="Calls under way at the same time.")

    @property
    def numbers(self) -> Numbers:
        """As the store takes them."""
        return Numbers(self.per_second, self.burst, self.at_once)


class ClientLimits(CallLimits):
    """How often one system may call."""

    model_config = ConfigDict(json_schema_extra={})  # What is sent is no example of what is answered.

    client_id: str


class OrganisationLimits(BaseModel):
    """How often an organisation may call, its people and its systems each as often."""

    usual: bool = Field(description="Nothing else is said: as often as any organisation.")
    organisation: CallLimits
    clients: list[ClientLimits] = Field(description="Its systems that may less than all of them together.")


@router.get("/organisations/{organisation_id}/limits", tags=["platform"], responses=_CHANGES)
async def read_limits(request: Request, _actor: Operator, organisation_id: UUID) -> OrganisationLimits:
    """Read how often an organisation may call."""
    async with transaction(request) as connection:
        await _exists(connection, organisation_id)
        return await _said(connection, organisation_id, request.app.state.settings)


@router.put("/organisations/{organisation_id}/limits", tags=["platform"], status_code=204, responses=_CHANGES)
async def put_limits(request: Request, actor: Operator, organisation_id: UUID, body: CallLimits, now: Now) -> None:
    """Say how often an organisation may call; it counts within a second."""
    async with transaction(request) as connection:
        await _exists(connection, organisation_id)
        subject = str(organisation_id)
        await limits_store.keep_for_organisation(connection, organisation_id, body.numbers)
        await store.audit(
            connection, now, actor.id, "limits_written", subject, body.model_dump(), organisation_id=organisation_id
        )


@router.delete("/organisations/{organisation_id}/limits", tags=["platform"], status_code=204, responses=_CHANGES)
async def remove_limits(request: Request, actor: Operator, organisation_id: UUID, now: Now) -> None:
    """Let an organisation call as often as any other."""
    async with transaction(request) as connection:
        await _exists(connection, organisation_id)
        if not await limits_store.forget_for_organisation(connection, organisation_id):
            raise NotFound("Nothing else was said of this organisation.")
        subject = str(organisation_id)
        await store.audit(connection, now, actor.id, "limits_removed", subject, organisation_id=organisation_id)


@router.get("/organisation/limits", tags=["organisation"], responses=_READS)
async def read_own_limits(request: Request, actor: Administrator, now: Now) -> OrganisationLimits:
    """Read how often your organisation and each of its systems may call."""
    async with transaction(request) as connection:
        return await _said(connection, by(actor, now).organisation_id, request.app.state.settings)


@router.put("/organisation/clients/{client_id}/limits", tags=["organisation"], status_code=204, responses=_CHANGES)
async def put_own_client_limits(
    request: Request, actor: Administrator, client_id: UUID, body: CallLimits, now: Now
) -> None:
    """Say how often one of your systems may call, so that it leaves room for the others; it counts within a second.

    All of them together never call more often than your organisation may.
    """
    async with transaction(request) as connection:
        whose = by(actor, now)
        await _own(connection, whose, client_id)
        await limits_store.keep_for_client(connection, str(client_id), body.numbers)
        await _note(connection, whose, "limits_written", client_id, body.model_dump())


@router.delete("/organisation/clients/{client_id}/limits", tags=["organisation"], status_code=204, responses=_CHANGES)
async def remove_own_client_limits(request: Request, actor: Administrator, client_id: UUID, now: Now) -> None:
    """Let one of your systems call as often as all of them together."""
    async with transaction(request) as connection:
        whose = by(actor, now)
        await _own(connection, whose, client_id)
        if not await limits_store.forget_for_client(connection, str(client_id)):
            raise NotFound("Nothing else was said of this system.")
        await _note(connection, whose, "limits_removed", client_id)


async def _exists(connection: store.Connection, organisation_id: UUID) -> None:
    if not await admin_store.organisations(connection, organisation_id):
        raise NotFound("There is no such organisation.")


async def _own(connection: store.Connection, whose: By, client_id: UUID) -> None:
    if await admin_store.open_client(connection, str(client_id), whose.organisation_id) is None:
        raise NotFound("There is no such system.")


async def _note(
    connection: store.Connection, whose: By, action: str, client_id: UUID, facts: Mapping[str, int] | None = None
) -> None:
    id_ = whose.organisation_id
    await store.audit(connection, whose.now, whose.actor, action, str(client_id), facts, organisation_id=id_)


async def _said(connection: store.Connection, organisation_id: UUID, settings: GatewaySettings) -> OrganisationLimits:
    rows = await limits_store.said(connection, organisation_id)
    own = next((row for row in rows if row["client_id"] is None), None)
    usual = Numbers(settings.organisation_per_second, settings.organisation_burst, settings.organisation_at_once)
    numbers = Numbers(own["per_second"], own["burst"], own["at_once"]) if own else usual
    return OrganisationLimits(
        usual=own is None,
        organisation=CallLimits(**numbers._asdict()),
        clients=[
            ClientLimits(**{name: row[name] for name in ClientLimits.model_fields})
            for row in rows
            if row["client_id"] is not None
        ],
    )
