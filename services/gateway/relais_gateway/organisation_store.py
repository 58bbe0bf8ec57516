"""Queries about organisations and the agreements that they signed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from relais_gateway.store import Connection, Row

CHANGEABLE: Final = frozenset(
    {"name", "kind", "municipality", "active", "control_unit", "controller", "launch_base", "answer_within_days"}
)
"""Columns of an organisation that are changed by themselves; what it declared in signing changes with an agreement."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What an organisation signed, and what it declared in doing so."""

    text_version: str
    signed_on: date
    ends_on: date | None
    parties: Sequence[str]
    secrecy: str
    may_sanction: bool
    controller: Mapping[str, Any]

    @classmethod
    def of(cls, row: Row) -> "Signed":
        """Answer an agreement as the database keeps it."""
        told = {name: row[name] for name in cls.__slots__}
        return cls(**{**told, "controller": json.loads(row["controller"])})

    def told(self) -> dict[str, Any]:
        """Answer it as JSON, for the audit log; never the details by which the controller is reached."""
        facts = {name: value for name, value in asdict(self).items() if name not in {"controller", "parties"}}
        return {**facts, "signed_on": self.signed_on.isoformat(), "ends_on": iso(self.ends_on)}


def iso(day: date | None) -> str | None:
    """Answer a day as JSON tells it."""
    return day.isoformat() if day else None


async def add_organisation(  # noqa: PLR0913 - what an organisation begins with
    connection: Connection,
    id_: UUID,
    *,
    name: str,
    kind: str,
    municipality: str | None,
    control_unit: bool,
    practice: bool,
    answer_within_days: int,
    launch_base: str | None,
) -> None:
    """Keep a new organisation, which has declared nothing yet."""
    await connection.execute(
        """
        insert into organisation (id, name, kind, municipality, active, platform, may_sanction, control_unit, secrecy,
            practice, controller, answer_within_days, launch_base)
        values ($1, $2, $3, $4, true, false, false, $5, 'none', $6, '{}', $7, $8)
        """,
        id_,
        name,
        kind,
        municipality,
        control_unit,
        practice,
        answer_within_days,
        launch_base,
    )


async def organisation(connection: Connection, id_: UUID) -> Row | None:
    """Answer an organisation, locked until the transaction ends."""
    return await connection.fetchrow("select * from organisation where id = $1 for no key update", id_)


async def enrolled(connection: Connection, id_: UUID) -> bool:
    """Answer whether there is such an organisation; nobody waits for who asks only that."""
    return bool(await connection.fetchval("select exists (select from organisation where id = $1)", id_))


async def named(connection: Connection, name: str, other_than: UUID) -> UUID | None:
    """Answer which other open organisation bears a name, whatever its case."""
    found: UUID | None = await connection.fetchval(
        "select id from organisation where lower(name) = lower($1) and active and id <> $2", name, other_than
    )
    return found


async def change_organisation(connection: Connection, id_: UUID, changes: Mapping[str, Any]) -> None:
    """Change some columns of an organisation, all of them in `CHANGEABLE`."""
    assert changes.keys() <= CHANGEABLE, changes.keys()  # noqa: S101 - names stand in the statement
    names = list(changes)
    written = ", ".join(f"{name} = ${place}" for place, name in enumerate(names, start=2))
    values = [json.dumps(changes[name]) if name == "controller" else changes[name] for name in names]
    await connection.execute(f"update organisation set {written} where id = $1", id_, *values)  # noqa: S608 - names of ours


async def agreements(connection: Connection, organisation_id: UUID) -> Sequence[asyncpg.Record]:
    """Answer every agreement that an organisation signed, the latest recorded first."""
    return await connection.fetch(
        "select * from agreement where organisation_id = $1 order by recorded_at desc, id", organisation_id
    )


async def agreement(connection: Connection, id_: UUID, organisation_id: UUID) -> Row | None:
    """Answer an agreement of an organisation, locked until the transaction ends."""
    return await connection.fetchrow(
        "select * from agreement where id = $1 and organisation_id = $2 for no key update", id_, organisation_id
    )


async def living_agreement(connection: Connection, organisation_id: UUID) -> Signed | None:
    """Answer the agreement of an organisation that nobody ended before its term."""
    row = await connection.fetchrow(
        "select * from agreement where organisation_id = $1 and ended_at is null", organisation_id
    )
    return Signed.of(row) if row else None


async def record_agreement(
    connection: Connection, id_: UUID, organisation_id: UUID, signed: Signed, now: datetime
) -> None:
    """Keep a signed agreement in place of the one that lived; the organisation is what it declared in signing."""
    await end_agreements(connection, organisation_id, now)
    controller = json.dumps(dict(signed.controller))
    await connection.execute(
        """
        insert into agreement (id, organisation_id, text_version, signed_on, ends_on, parties, secrecy, may_sanction,
            controller, recorded_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        id_,
        organisation_id,
        signed.text_version,
        signed.signed_on,
        signed.ends_on,
        list(signed.parties),
        signed.secrecy,
        signed.may_sanction,
        controller,
        now,
    )
    await connection.execute(
        "update organisation set secrecy = $2, may_sanction = $3, controller = $4 where id = $1",
        organisation_id,
        signed.secrecy,
        signed.may_sanction,
        controller,
    )


async def end_agreements(connection: Connection, organisation_id: UUID, now: datetime) -> None:
    """End whatever agreement of an organisation lives."""
    await connection.execute(
        "update agreement set ended_at = $2 where organisation_id = $1 and ended_at is null", organisation_id, now
    )


async def set_agreement_end(connection: Connection, id_: UUID, ends_on: date) -> None:
    """Say the last day of an agreement."""
    await connection.execute("update agreement set ends_on = $2 where id = $1", id_, ends_on)
