"""The documents of the HSDS API, made of the rows of its store."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson

from relais_directory import hsds_store, store
from relais_directory.formats import hsds

HISTORY: Final = 200
"""Changes told with one resource, the latest ones."""

Document = dict[str, Any]


def service(row: store.Row, *, full: bool) -> Document:
    """Answer the HSDS service of a row; its own state, assurance and capacity stand beside its record."""
    record = orjson.loads(row["record"])
    record["status"] = row["status"]
    if row["status"] != "temporarily_closed":
        record.pop("closed_from", None)
        record.pop("closed_until", None)
    record["assured_at"] = row["assured_on"] and row["assured_on"].isoformat()
    record["assured_by"] = row["assured_by"]
    record["capacity"] = None
    if row["capacity_at"] is not None:
        record["capacity"] = {
            "available": row["available"],
            "maximum": row["maximum"],
            "unit": row["unit"],
            "waiting_days": row["waiting_days"],
            "description": row["capacity_description"],
            "updated_at": _said(row["capacity_at"]),
        }
    return hsds.service(
        record,
        id=row["service_id"],
        organisation=_profile(row),
        organisation_id=row["organisation_id"],
        source=row["source"],
        last_modified=_said(row["changed_at"]),
        full=full,
    )


def minimal(row: store.Row) -> Document:
    """Answer which service a row is of, and when it changed."""
    return {"id": str(row["id"]), "last_modified": _said(row["changed_at"])}


def place(row: store.Row, *, full: bool) -> Document | None:
    """Answer a service at one of its locations; nothing where its record no longer has it."""
    document = service(row, full=True)
    there = document.get("service_at_locations", ())
    for number, entry in enumerate(there):
        if entry["id"] == str(row["id"]):
            return hsds.service_at_location(document, number, full=full)
    return None


def organization(row: store.Row, *, full: bool) -> Document:
    """Answer the HSDS organization of a row."""
    return hsds.organisation_document(_profile(row), id=row["organisation_id"], full=full)


def _profile(row: store.Row) -> Document:
    profile: Document = orjson.loads(row["organisation_record"])
    return profile | {"name": row["organisation_name"]}


async def with_services(
    connection: store.Connection, rows: Sequence[store.Row], *, full: bool, full_service: bool
) -> list[Document]:
    """Answer organisations with their services: in full, or by id, name and state."""
    found: dict[UUID, list[Document]] = {}
    for row in await hsds_store.services_of(connection, [row["id"] for row in rows]):
        whole = service(row, full=full_service)
        whole.pop("organization")
        if not full_service:
            whole = {name: whole[name] for name in ("id", "name", "status", "last_modified")}
        found.setdefault(row["organisation_id"], []).append(whole)
    return [organization(row, full=full) | {"services": found.get(row["id"], [])} for row in rows]


async def metadata(connection: store.Connection, id_: UUID) -> Document:
    """Answer the member `metadata` of a document: its latest changes, as far as they may be told."""
    rows = [dict(row) for row in await hsds_store.history(connection, id_, HISTORY)]
    for row in rows:
        for name in ("previous_value", "replacement_value"):
            row[name] = orjson.loads(row[name]) if row[name] is not None else None
    told = [one for row in rows if (one := hsds.metadata(row)) is not None]
    return {"metadata": told} if told else {}


def _said(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
