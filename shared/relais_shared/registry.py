"""The services' copy of the gateway's one registry of organisations."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from opentelemetry.instrumentation.utils import suppress_instrumentation
from pydantic import BaseModel
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, SQLModel

from relais_shared.auth import Actor, Keyring, from_service, system
from relais_shared.client import Client, TransportError
from relais_shared.db import Database, WriteTx
from relais_shared.service import Router
from relais_shared.telemetry import get_logger

PULL_EVERY_S = 60
"""A push may be lost; a minute later the pull has made it good (design 2)."""

PULL_AGAIN_S = 1
"""While the first copy is not there, the gateway may still be starting: ask again soon."""

WHOLE_BYTES = 64 << 20
"""A whole registry comes at once, at some 700 bytes an organisation: room for those of a country."""


class Organisation(BaseModel):
    """An organisation as the gateway's registry tells it to the services."""

    id: UUID
    name: str
    active: bool = True
    scopes: list[str] = []
    may_sanction: bool = False
    control_unit: bool = False
    secrecy: Literal["professional", "discretion", "none"] = "none"
    agreement: bool = False
    practice: bool = False
    controller: dict[str, Any] = {}
    answer_within_days: int = 2
    """Working days that it usually takes to answer, 1 to 30."""
    launch_base: str | None = None
    """Where its own tool opens: an http(s) address without a query."""


class Snapshot(BaseModel):
    """The whole registry at one version; versions only grow."""

    version: int
    organisations: list[Organisation]


class OrganisationCopyColumns(SQLModel):
    """One organisation as last heard from the gateway."""

    id: UUID = Field(primary_key=True)
    version: int
    facts: dict[str, Any] = Field(sa_type=JSONB)


async def known(tx: AsyncSession, table: type[OrganisationCopyColumns], id_: UUID) -> Organisation | None:
    """Answer an organisation of the registry, or nothing where it is not (or no longer) there."""
    row = await tx.get(table, id_)
    return Organisation.model_validate(row.facts) if row else None


async def apply(tx: AsyncSession, table: type[OrganisationCopyColumns], snapshot: Snapshot) -> bool:
    """Take a snapshot over; answer whether it was newer than what was there."""
    await tx.execute(select(func.pg_advisory_xact_lock(7_236_412)))
    held = await tx.scalar(select(func.max(table.version))) or 0
    if snapshot.version <= held:
        return False
    await tx.execute(delete(table))
    tx.add_all(
        table(id=each.id, version=snapshot.version, facts=each.model_dump(mode="json"))
        for each in snapshot.organisations
    )
    return True


def router(table: type[OrganisationCopyColumns]) -> Router:
    """Answer the route by which the gateway pushes its registry."""
    routes = Router(include_in_schema=False)

    @routes.put("/internal/registry", max_body_size=WHOLE_BYTES)
    async def take(
        snapshot: Snapshot, _caller: Annotated[Actor, from_service("gateway")], tx: WriteTx
    ) -> Mapping[str, bool]:
        """Take the registry over, unless what is held is as new."""
        return {"taken": await apply(tx, table, snapshot)}

    return routes


async def pull(database: Database, table: type[OrganisationCopyColumns], gateway: Client, keyring: Keyring) -> None:
    """Ask the gateway for its registry and take it over."""
    token = keyring.sign("gateway", system(keyring.service))
    answer = await gateway.get("/internal/registry", headers={"Authorization": f"Bearer {token}"})
    answer.raise_for_status()
    snapshot = Snapshot.model_validate_json(answer.content)
    async with database.write() as tx:
        await apply(tx, table, snapshot)


async def keep_pulling(
    database: Database, table: type[OrganisationCopyColumns], gateway: Client, keyring: Keyring
) -> None:
    """Pull at start and every minute, for as long as the service runs."""
    reached = False
    while True:
        try:
            # Nobody asked for this: it would fill the traces with itself.
            with suppress_instrumentation():
                await pull(database, table, gateway, keyring)
            reached = True
        except (TransportError, OSError, ValueError) as fault:
            get_logger().info("registry not pulled", fault=type(fault).__name__)
        except Exception as fault:  # noqa: BLE001 - a bad answer of one minute must not end the pulling of the next
            get_logger().warning("registry not taken", exc_info=fault)
        await asyncio.sleep(PULL_EVERY_S if reached else PULL_AGAIN_S)
