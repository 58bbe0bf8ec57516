"""The verbs of the registry: enrol an organisation, change it, record and end its agreements, grant it scopes."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date
from hashlib import sha256
from typing import Any
from uuid import UUID

import asyncpg

from relais_gateway import account_store, admin_store, organisation_store, store
from relais_gateway.actions import By
from relais_gateway.administration import keeping_administrators
from relais_gateway.domain.refusals import AgreementMissing
from relais_gateway.domain.scopes import Agreement
from relais_gateway.organisation_store import CHANGEABLE, Signed, iso
from relais_gateway.store import Connection, Row
from relais_shared.refusals import Fault, InvalidInput, NotFound, StaleVersion


def version_of(row: Row) -> str:
    """Answer the version of an organisation: it moves with every change of what can be changed, and with no other."""
    facts = [str(row[name]) for name in sorted(CHANGEABLE)]
    return sha256(json.dumps(facts).encode()).hexdigest()[:20]


async def create(connection: Connection, by: By, wanted: Mapping[str, Any]) -> None:
    """Enrol an organisation under the id that `by` names.

    Raises:
        InvalidInput: An open organisation bears the name.
    """
    async with _named_once(connection, wanted["name"], by.organisation_id):
        await organisation_store.add_organisation(connection, by.organisation_id, **wanted)
    facts = {name: value for name, value in wanted.items() if value is not None}
    await _audit(connection, by, "organisation_created", facts)


async def change(connection: Connection, by: By, changes: Mapping[str, Any], version: str) -> Row:
    """Change some of what an organisation is; answer its row.

    Args:
        connection: In a transaction.
        by: Who, and which organisation.
        changes: By column, all of `CHANGEABLE`; one that changes nothing is none.
        version: As it was read.

    Raises:
        NotFound: There is no such organisation.
        StaleVersion: It changed since.
        InvalidInput: An open organisation bears the name.
        LastAdministrator: It was to be closed, and nobody else runs the platform.
    """
    async with keeping_administrators(connection, by):
        return await _change(connection, by, changes, version)


async def _change(connection: Connection, by: By, changes: Mapping[str, Any], version: str) -> Row:
    row = await _one(connection, by)
    if version != version_of(row):
        raise StaleVersion("It changed since you read it.", headers={"ETag": f'"{version_of(row)}"'})
    held = dict(row) | {"controller": json.loads(row["controller"])}
    changed = {name: value for name, value in changes.items() if held[name] != value}
    if not changed:
        return row
    named = changed.get("name", row["name"]) if "name" in changed or changed.get("active") else None
    async with _named_once(connection, named, by.organisation_id):
        await organisation_store.change_organisation(connection, by.organisation_id, changed)
    if changed.get("active") is False:
        await account_store.end_sessions_of(connection, by.organisation_id)
    await _audit(connection, by, "organisation_changed", told(changed))
    return await _one(connection, by)


async def record_agreement(connection: Connection, by: By, id_: UUID, signed: Signed) -> None:
    """Put a signed agreement on record, in place of the one that lived.

    The organisation is from then on what it declared in signing: its secrecy, whether it may sanction, its controller.

    Raises:
        NotFound: There is no such organisation.
        InvalidInput: It is signed later than today, or was over by then; or its only mission is control.
    """
    row = await _one(connection, by)
    today, faults = by.now.date(), []
    if signed.signed_on > today:
        faults.append(Fault("/signed_on", "It is signed today or earlier."))
    if signed.ends_on is not None and signed.ends_on < max(today, signed.signed_on):
        faults.append(Fault("/ends_on", "It ends today or later."))
    if row["control_unit"]:
        faults.append(Fault("", "A unit whose only mission is control takes no part in hand-overs."))
    if faults:
        raise InvalidInput("This agreement cannot be recorded.", faults)
    await organisation_store.record_agreement(connection, id_, by.organisation_id, signed, by.now)
    await _audit(connection, by, "agreement_recorded", {"agreement_id": str(id_), **signed.told()})


async def end_agreement(connection: Connection, by: By, id_: UUID, ends_on: date | None) -> None:
    """Let an agreement end now, or say its last day; the scopes of hand-overs end with it, tokens included.

    Raises:
        NotFound: It is none of this organisation.
        InvalidInput: It has ended already, or the day is past.
    """
    row = await organisation_store.agreement(connection, id_, by.organisation_id)
    if row is None:
        raise NotFound("There is no such agreement.")
    if row["ended_at"] is not None:
        raise InvalidInput("This agreement has ended already.", [Fault("", "It has ended already.")])
    if ends_on is None:
        await organisation_store.end_agreements(connection, by.organisation_id, by.now)
    elif ends_on < by.now.date():
        raise InvalidInput("This day is past.", [Fault("/ends_on", "Say today or later; say no day to end it now.")])
    else:
        await organisation_store.set_agreement_end(connection, id_, ends_on)
    facts = {"agreement_id": str(id_), "ends_on": iso(ends_on)}
    await _audit(connection, by, "agreement_ended" if ends_on is None else "agreement_end_written", facts)


async def put_grant(
    connection: Connection, by: By, scope: str, limits: Mapping[str, Any], ends_on: date | None
) -> None:
    """Grant a scope, in place of what was granted of it.

    Raises:
        NotFound: There is no such organisation.
        AgreementMissing: It is a scope of hand-overs, and no agreement is in force.
        InvalidInput: It is a scope of hand-overs, and the organisation's only mission is control.
        LastAdministrator: The right to run the platform was to be over, and nobody else holds it.
    """
    async with keeping_administrators(connection, by):
        row = await _one(connection, by)
        if scope.startswith("referral:"):
            await _may_hand_over(connection, by, row)
        await admin_store.put_grant(connection, by.organisation_id, scope, limits, ends_on)
    facts = {"scope": scope, **limits, **({"ends_on": iso(ends_on)} if ends_on else {})}
    await _audit(connection, by, "grant_written", facts)


async def _may_hand_over(connection: Connection, by: By, row: Row) -> None:
    if row["control_unit"]:
        why = "A control unit holds no scope of hand-overs."
        raise InvalidInput("This scope cannot be granted.", [Fault("/scope", why)])
    signed = await organisation_store.living_agreement(connection, by.organisation_id)
    if signed is None or not Agreement(signed.signed_on, signed.ends_on).holds(by.now.date()):
        raise AgreementMissing("No signed agreement is in force: record it first, then grant this scope.")


async def remove_grant(connection: Connection, by: By, scope: str) -> None:
    """Take a grant away.

    Raises:
        NotFound: There was none.
        LastAdministrator: It is the right to run the platform, and nobody else holds it.
    """
    async with keeping_administrators(connection, by):
        if not await admin_store.remove_grant(connection, by.organisation_id, scope):
            raise NotFound("There is no such grant.")
    await _audit(connection, by, "grant_removed", {"scope": scope})


def told(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Answer changes as the audit log holds them: who answers for data is told as changed, not how to reach them."""
    return {name: True if name == "controller" else value for name, value in facts.items()}


async def _one(connection: Connection, by: By) -> Row:
    row = await organisation_store.organisation(connection, by.organisation_id)
    if row is None:
        raise NotFound("There is no such organisation.")
    return row


@asynccontextmanager
async def _named_once(connection: Connection, name: str | None, id_: UUID) -> AsyncIterator[None]:
    """See that no other open organisation bears a name, be it enrolled at this very moment; None: nothing is named."""
    await _free(connection, name, id_)
    try:
        async with connection.transaction():
            yield
    except asyncpg.UniqueViolationError:
        # Whoever came first has committed: it is found now.
        await _free(connection, name, id_)
        raise


async def _free(connection: Connection, name: str | None, id_: UUID) -> None:
    other = name and await organisation_store.named(connection, name, id_)
    if other:
        fault = Fault("/name", f"/v1/organisations/{other} bears this name.")
        raise InvalidInput("There is such an organisation already.", [fault])


async def _audit(connection: Connection, by: By, action: str, facts: Mapping[str, Any]) -> None:
    id_ = by.organisation_id
    await store.audit(connection, by.now, by.actor, action, str(id_), facts, organisation_id=id_)
