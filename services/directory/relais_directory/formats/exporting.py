"""The directory out of the house: HSDS, data.inclusion, CSV, GeoJSON, one service after the other.

What is for professionals alone (relay contacts) and what is confidential (a shelter's street and point) leaves in no
format.
"""

import csv
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from io import StringIO
from typing import Any, Final

import orjson

from relais_directory.domain.geo import latitude_longitude
from relais_directory.formats import data_inclusion, hsds
from relais_directory.judging import shown
from relais_directory.records import CapacityRecord, OrganisationProfile, ServiceRecord

MEDIA: Final[Mapping[str, str]] = {
    "hsds": "application/json",
    "hsds-ndjson": "application/x-ndjson",
    "data-inclusion": "application/json",
    "csv": "text/csv; charset=utf-8",
    "geojson": "application/geo+json",
    "canonical": "application/x-ndjson",
}
"""The formats and their media types."""

COLUMNS: Final = (
    "id", "source", "record_id", "name", "organisation", "organisation_id", "status", "description", "themes",
    "audiences", "modes", "languages", "free", "fees", "conditions", "phone", "email", "website", "location",
    "street", "postcode", "municipality", "municipality_code", "country", "latitude", "longitude", "opening_hours",
    "wheelchair", "nearest_stop", "service_area", "available", "waiting_days", "capacity_at", "assured_at",
    "assured_by", "updated_at",
)  # fmt: skip
"""Columns of the table: one row for each place of a service, one for a service without a place."""

Row = Mapping[str, Any]
"""A service's row as `store.exported` answers it."""


def public(record: ServiceRecord) -> ServiceRecord:
    """Answer a record without what only professionals may see, its confidential places as their municipalities."""
    # Whoever knows when people come and go finds a confidential place by waiting for them.
    schedules = [] if any(one.confidential for one in record.locations) else record.schedules
    places = [shown(one) for one in record.locations]
    return record.model_copy(update={"relay_contact": None, "locations": places, "schedules": schedules})


async def written(rows: AsyncGenerator[Row, None], kind: str) -> AsyncIterator[bytes]:
    """Answer an export, piece by piece.

    Args:
        rows: Services with their organisations.
        kind: One of `MEDIA`.
    """
    before, between, after, each = _WRITERS[kind]
    # Whoever stops listening gives the connection back at once, not when the garbage is collected.
    async with aclosing(rows):
        yield before
        first = True
        async for row in rows:
            for piece in each(row):
                if not first:
                    yield between
                first = False
                yield piece
        yield after


def record_of(row: Row) -> ServiceRecord:
    """Answer the public record of a row, with what stands beside it."""
    record = ServiceRecord.model_validate_json(row["record_text"])
    record.assured_at, record.assured_by = row["assured_on"], row["assured_by"]
    if row["capacity_at"] is not None:
        record.capacity = CapacityRecord(
            available=row["available"],
            maximum=row["maximum"],
            unit=row["unit"],
            waiting_days=row["waiting_days"],
            description=row["capacity_description"],
            updated_at=row["capacity_at"],
        )
    return public(record)


def _dumped(value: Any) -> bytes:  # noqa: ANN401 - JSON-able, ids as the driver has them
    return orjson.dumps(value, default=str)


def _profile(row: Row) -> OrganisationProfile:
    return OrganisationProfile.model_validate_json(row["organisation_record"])


def _hsds(row: Row) -> Iterator[bytes]:
    document = hsds.service(
        record_of(row),
        id=row["id"],
        organisation=_profile(row),
        organisation_id=row["organisation_id"],
        source=row["source"],
        last_modified=row["updated_at"].isoformat(),
    )
    yield _dumped(document)


def _data_inclusion(row: Row) -> Iterator[bytes]:
    made = data_inclusion.service(
        record_of(row),
        id_=row["id"],
        source=row["source"],
        organisation=_profile(row),
        organisation_id=row["organisation_id"],
        changed_on=row["updated_at"].date(),
    )
    if made is not None:
        yield _dumped(made)


def _canonical(row: Row) -> Iterator[bytes]:
    record = orjson.loads(record_of(row).model_dump_json(exclude_defaults=True))
    organisation = orjson.loads(_profile(row).model_dump_json(exclude_defaults=True))
    yield _dumped(
        {
            "record_id": row["record_id"],
            "id": row["id"],
            "organisation": {
                "id": row["organisation_id"],
                "record_id": row["organisation_record_id"],
                **organisation,
            },
            **record,
        }
    )


def _geojson(row: Row) -> Iterator[bytes]:
    record = record_of(row)
    for number, site in enumerate(row["sites"]):
        location = record.locations[site["number"]]
        if location.confidential or site["position"] is None:
            continue
        latitude, longitude = latitude_longitude(site["position"])
        yield _dumped(
            {
                "type": "Feature",
                "id": f"{row['id']}/{number}",
                "geometry": {"type": "Point", "coordinates": [longitude, latitude]},
                "properties": {
                    "service_id": row["id"],
                    "name": record.name,
                    "organisation": row["organisation_name"],
                    "themes": record.themes,
                    "status": record.status,
                    "municipality_code": site["municipality_code"],
                    "street": location.address.street,
                    "opening_hours": location.opening_hours,
                    "website": record.website,
                },
            }
        )


def _table(row: Row) -> Iterator[bytes]:
    record = record_of(row)
    base = {
        "id": row["id"],
        "source": row["source"],
        "record_id": row["record_id"],
        "name": record.name,
        "organisation": row["organisation_name"],
        "organisation_id": row["organisation_id"],
        "status": record.status,
        "description": record.description,
        "themes": _joined(record.themes),
        "audiences": _joined(record.audiences),
        "modes": _joined(record.modes),
        "languages": _joined(one.code or one.name or "" for one in record.languages),
        "free": record.free,
        "fees": record.fees,
        "conditions": " | ".join(one.text for one in record.conditions),
        "phone": _joined(one.number for one in record.phones),
        "email": record.email,
        "website": record.website,
        "service_area": _joined(record.service_area),
        "available": row["available"],
        "waiting_days": row["waiting_days"],
        "capacity_at": row["capacity_at"],
        "assured_at": row["assured_on"],
        "assured_by": row["assured_by"],
        "updated_at": row["updated_at"].isoformat(),
    }
    for location in record.locations or (None,):
        place = {}
        if location is not None:
            place = {
                "location": location.name,
                "street": location.address.street,
                "postcode": location.address.postcode,
                "municipality": location.address.municipality,
                "municipality_code": location.address.municipality_code,
                "country": location.address.country,
                "latitude": location.latitude,
                "longitude": location.longitude,
                "opening_hours": location.opening_hours,
                "wheelchair": location.wheelchair,
                "nearest_stop": location.nearest_stop,
            }
        yield _line([(base | place).get(name) for name in COLUMNS])


def _joined(values: Any) -> str:  # noqa: ANN401 - any iterable of texts
    return ";".join(values)


def _line(values: list[Any]) -> bytes:
    out = StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([_cell(value) for value in values])
    return out.getvalue().encode()


def _cell(value: Any) -> Any:  # noqa: ANN401 - a value of any type
    if isinstance(value, bool):
        return "true" if value else "false"
    # A spreadsheet would run it as a formula (OWASP, CSV injection).
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value


Writer = tuple[bytes, bytes, bytes, Callable[[Row], Iterator[bytes]]]

_WRITERS: Final[Mapping[str, Writer]] = {
    "hsds": (b"[", b",\n", b"]\n", _hsds),
    "hsds-ndjson": (b"", b"\n", b"\n", _hsds),
    "data-inclusion": (b"[", b",\n", b"]\n", _data_inclusion),
    "csv": (_line(list(COLUMNS)), b"", b"", _table),
    "geojson": (b'{"type":"FeatureCollection","features":[', b",\n", b"]}\n", _geojson),
    "canonical": (b"", b"\n", b"\n", _canonical),
}
