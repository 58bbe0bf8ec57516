"""The verbs of an organisation's own systems."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from relais_gateway import admin_store, store
from relais_gateway.actions import By
from relais_gateway.domain.scopes import Grant, granted
from relais_gateway.live import fingerprint
from relais_gateway.store import Connection, Row
from relais_shared.refusals import Fault, InvalidInput, NotFound


async def create(  # noqa: PLR0913 - what a system is
    connection: Connection, by: By, id_: UUID, secret: str, name: str, scopes: Sequence[str]
) -> None:
    """Make a system; only the hash of its secret is kept.

    Raises:
        InvalidInput: A scope is not granted to the organisation today.
    """
    await _granted(connection, by, scopes)
    wanted = sorted(set(scopes))
    await admin_store.add_client(connection, str(id_), by.organisation_id, name, fingerprint(secret), wanted)
    await _audit(connection, by, "client_created", str(id_), {"name": name, "scopes": wanted})


async def change(connection: Connection, by: By, client_id: str, name: str, scopes: Sequence[str]) -> None:
    """Name a system anew and say what it may ask for.

    Raises:
        NotFound: It is no open system of this organisation.
        InvalidInput: A scope is not granted to the organisation today.
    """
    await own(connection, by, client_id)
    await _granted(connection, by, scopes)
    wanted = sorted(set(scopes))
    await admin_store.change_client(connection, client_id, name, wanted)
    await _audit(connection, by, "client_changed", client_id, {"name": name, "scopes": wanted})


async def renew_secret(connection: Connection, by: By, client_id: str, secret: str) -> None:
    """Give a system a new secret in place of the old one.

    Raises:
        NotFound: It is no open system of this organisation.
    """
    await own(connection, by, client_id)
    await admin_store.set_client_secret(connection, client_id, fingerprint(secret))
    await _audit(connection, by, "client_secret_renewed", client_id)


async def close(connection: Connection, by: By, client_id: str) -> None:
    """Close a system.

    Raises:
        NotFound: It is no open system of this organisation.
    """
    await own(connection, by, client_id)
    await admin_store.close_client(connection, client_id)
    await _audit(connection, by, "client_closed", client_id)


async def own(connection: Connection, by: By, client_id: str) -> Row:
    """Answer an open system of an organisation.

    Raises:
        NotFound: It is none.
    """
    row = await admin_store.open_client(connection, client_id, by.organisation_id)
    if row is None:
        raise NotFound("There is no such system.")
    return row


async def _granted(connection: Connection, by: By, scopes: Sequence[str]) -> None:
    rows, agreement, control_unit = await admin_store.grants(connection, by.organisation_id, by.now.date())
    grants = [Grant(row["scope"], {}, row["ends_on"]) for row in rows]
    held = granted(grants, today=by.now.date(), agreement=agreement, control_unit=control_unit)
    faults = [
        Fault(f"/scopes/{place}", "Your organisation is not granted this.")
        for place, scope in enumerate(scopes)
        if scope not in held
    ]
    if faults:
        raise InvalidInput("A system may have only what its organisation is granted.", faults)


async def _audit(
    connection: Connection, by: By, action: str, client_id: str, facts: Mapping[str, Any] | None = None
) -> None:
    await store.audit(connection, by.now, by.actor, action, client_id, facts, organisation_id=by.organisation_id)
