"""The import: records into the directory, all or nothing, repeatable, with a reason for every refusal."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from math import dist
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID, uuid4, uuid5

import asyncpg
from pydantic import ValidationError

from relais_directory import hours, store
from relais_directory.data import themes
from relais_directory.domain.geo import geodesic_m, position
from relais_directory.domain.words import plain, stems
from relais_directory.formats import data_inclusion, mapping, reading
from relais_directory.formats.canonical import LocationRecord, Record, unstorable
from relais_directory.formats.reading import Row, UnreadableFile
from relais_directory.gazetteer import Place, read_places

BATCH: Final = 500
"""Records written at once: enough to make each statement worth its way, few enough to hold."""

NAMESPACE: Final = UUID("6f0f3a3e-6d3c-5b47-9c5e-3f2a3c1d9b10")
"""The root of our imported ids: the same source and record have the same id in every directory."""

FLAGGED_BEYOND_M: Final = 30_000
"""A point this far from its municipality's is told: the largest communes of our territories reach 20 km."""

REFUSED_BEYOND_M: Final = 150_000
"""A point this far away is wrong (a lost sign, swapped axes): its row is refused, never moved."""

AREA_DIGITS: Final = 3
"""Digits of a postcode that name its area: an overseas department by three, the others by two."""

TOLD: Final = 1_000
"""Refusals and remarks kept in the report; the rest is counted."""

REASON_LENGTH: Final = 200
"""Characters of a reason: enough for a sentence."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing about one row: refused, or taken with a flag."""

    line: int
    record: str | None
    field: str
    reason: str


@dataclass(slots=True)
class Report:
    """What came of an import."""

    source: str
    read: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    retired: int = 0
    refused: int = 0
    flagged: int = 0
    refusals: list[Remark] = field(default_factory=list)
    flags: list[Remark] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def refuse(self, remarks: Iterable[Remark]) -> None:
        """Note a row that was not taken, with every reason."""
        self.refused += 1
        for remark in map(_storable, remarks):
            self.reasons[f"{remark.field}: {remark.reason}"] += 1
            if len(self.refusals) < TOLD:
                self.refusals.append(remark)

    def flag(self, remark: Remark) -> None:
        """Note a row that was taken, with something to look at."""
        self.flagged += 1
        if len(self.flags) < TOLD:
            self.flags.append(remark)

    def summary(self) -> dict[str, int]:
        """Answer the counts."""
        names = ("read", "new", "changed", "unchanged", "retired", "refused", "flagged")
        return {name: getattr(self, name) for name in names}

    def as_json(self) -> dict[str, Any]:
        """Answer the report as JSON-able values."""
        return {
            "source": self.source,
            **self.summary(),
            "reasons": dict(self.reasons.most_common()),
            "refusals": [_remark(one) for one in self.refusals],
            "flags": [_remark(one) for one in self.flags],
        }


def _storable(one: Remark) -> Remark:
    """Answer a remark without the signs that PostgreSQL cannot keep: a faulty row has them in names too."""
    record, where = (
        text and text.encode(errors="replace").decode().replace("\0", "?") for text in (one.record, one.field)
    )
    return Remark(one.line, record, where or "row", one.reason)


def _remark(one: Remark) -> dict[str, Any]:
    return {"line": one.line, "record": one.record, "field": one.field, "reason": one.reason}


class Points:
    """The gazetteer in memory: the point of a municipality, by code or by postcode and name."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._by_code: dict[str, Place] = {}
        self._by_name: dict[tuple[str, str], list[Place]] = {}
        self._by_postcode: dict[tuple[str, str], list[Place]] = {}
        for place in places:
            self._by_code[place.code] = place
            names = {place.name, place.name_fr, place.name_nl, place.name_de, *place.other_names} - {""}
            for name in {plain(name) for name in names}:
                self._by_name.setdefault((place.country, name), []).append(place)
            for postcode in place.postcodes if place.kind == "municipality" else ():
                self._by_postcode.setdefault((place.country, postcode), []).append(place)

    @classmethod
    def load(cls) -> Self:
        """Read the gazetteer that comes with the directory."""
        return cls(read_places())

    def municipality(self, location: LocationRecord) -> Place | None:
        """Answer the municipality (or locality) that a location declares, where the gazetteer knows it."""
        address = location.address
        if address.municipality_code and address.municipality_code in self._by_code:
            return self._by_code[address.municipality_code]
        country, postcode = address.country.lower(), address.postcode or ""
        namesakes = self._by_name.get((country, plain(address.municipality or "")), [])
        if not postcode:
            return namesakes[0] if len(namesakes) == 1 else None
        for size in (len(postcode), AREA_DIGITS, AREA_DIGITS - 1):
            # There are many Saint-Pierre: the postcode, or at least its area, says which one is meant.
            near = [one for one in namesakes if any(code[:size] == postcode[:size] for code in one.postcodes)]
            if near:
                return near[0]
        # The name is spelt in a way we do not know; never a namesake at the other end of the country.
        alone = self._by_postcode.get((country, postcode), [])
        return alone[0] if len(alone) == 1 else None

    def parent(self, place: Place) -> Place:
        """Answer the municipality of a place; itself, where it is one."""
        return self._by_code.get(place.parent, place)


@dataclass(frozen=True, slots=True)
class Judged:
    """A record that can be taken, with the municipality of each location and what to look at."""

    record: Record
    places: tuple[Place | None, ...]
    flags: tuple[Remark, ...]
    hash: bytes


def canonical(
    rows: Iterator[Row], chosen: "mapping.Mapping_ | None", structures: Mapping[str, Any], report: Report
) -> Iterator[tuple[Row, dict[str, Any] | list[Remark], str | None]]:
    """Answer each row, its canonical record not yet judged (or why it cannot be read), and its record's id, if told.

    Args:
        rows: Of the file.
        chosen: The mapping; None for data.inclusion v1 and for records that are canonical already.
        structures: data.inclusion's structures by id, where they came in a file of their own.
        report: Counts the rows.
    """
    for row in rows:
        report.read += 1
        values = row.values
        name = record_id(values, chosen)
        made: dict[str, Any] | list[Remark]
        try:
            if not isinstance(values, dict):
                raise mapping.FaultyValue("row: not an object")  # noqa: TRY301 - one way to refuse a row
            if chosen is not None:
                made = chosen.apply(values)
            elif values.keys() >= data_inclusion.KEYS:
                beside = values.get("structure") or structures.get(str(values["structure_id"]))
                structure = beside if isinstance(beside, dict) else None
                made = data_inclusion.record(values, structure)
            else:
                made = values
        except mapping.FaultyValue as fault:
            column, _, reason = str(fault).rpartition(": ")
            made = [Remark(row.line, name, column, reason)]
        except ValidationError as fault:
            made = _faults(row.line, name, fault)
        yield row, made, name


def record_id(values: Any, chosen: "mapping.Mapping_ | None") -> str | None:  # noqa: ANN401 - a row of any shape
    """Answer the id that a row tells for its record, also where the rest of the row cannot be read."""
    told = None
    if isinstance(values, dict):
        with suppress(mapping.FaultyValue):
            told = chosen.id_of(values) if chosen else values.get("record_id", values.get("id"))
    return told.strip() or None if isinstance(told, str) else None


def judge(  # noqa: C901, PLR0912 - every reason in one pass, so that each is told
    made: Mapping[str, Any], line: int, points: Points
) -> Judged | list[Remark]:
    """Answer a record that can be taken, or every reason why it cannot."""
    name = str(made.get("record_id"))[:100] if made.get("record_id") else None
    if where := unstorable(made):
        return [Remark(line, name, where, "Holds a sign or number that cannot be stored.")]
    try:
        record = Record.model_validate(made)
    except ValidationError as fault:
        return _faults(line, name, fault)
    refused, flags, places = [], [], []
    for number, location in enumerate(record.locations):
        at = f"locations.{number}"
        place = points.municipality(location)
        places.append(place)
        if location.opening_hours is not None:
            zone = hours.zone_of(place.code if place else None, location.address.country)
            try:
                hours.parse(location.opening_hours, zone, location.address.country)
            except ValueError as fault:
                refused.append(Remark(line, name, f"{at}.opening_hours", str(fault)))
        if (location.latitude is None) != (location.longitude is None):
            refused.append(Remark(line, name, f"{at}.latitude", "A point needs latitude and longitude."))
        elif location.latitude is None or location.longitude is None:
            if place is None and record.modes == ["on_site"]:
                refused.append(Remark(line, name, at, "Neither a point nor a municipality that the gazetteer knows."))
            elif place is not None:
                flags.append(Remark(line, name, at, "No point: placed at the centre of its municipality."))
        elif place is not None:
            away = _away(location.latitude, location.longitude, place)
            if away > REFUSED_BEYOND_M:
                told = f"The point lies {away / 1000:.0f} km from its municipality."
                refused.append(Remark(line, name, at, told))
            elif away > FLAGGED_BEYOND_M:
                told = f"The point lies {away / 1000:.0f} km from its municipality: to be looked at."
                flags.append(Remark(line, name, at, told))
        if location.confidential and place is None and record.modes == ["on_site"]:
            # Its point is never indexed, and there is no centre to index instead.
            refused.append(Remark(line, name, at, "Confidential, in no municipality that the gazetteer knows."))
    if not record.locations and record.modes == ["on_site"]:
        refused.append(Remark(line, name, "locations", "Given on site, and no site is told."))
    if not record.themes:
        flags.append(Remark(line, name, "themes", "No theme that we know: found by place and words alone."))
    if refused:
        return refused
    said = record.model_dump_json(exclude_defaults=True)
    return Judged(record, tuple(places), tuple(flags), sha256(said.encode()).digest())


def _away(latitude: float, longitude: float, place: Place) -> float:
    return geodesic_m(dist(position(latitude, longitude), position(place.latitude, place.longitude)))


def _faults(line: int, record: str | None, fault: ValidationError) -> list[Remark]:
    return [
        Remark(line, record, ".".join(str(step) for step in one["loc"]) or "row", _cut(one["msg"]))
        for one in fault.errors(include_input=False, include_url=False)
    ]


def _cut(reason: str) -> str:
    # An unknown term is answered with every known one: the beginning says enough.
    return reason if len(reason) <= REASON_LENGTH else f"{reason[:REASON_LENGTH]}…"


def chosen_mapping(path: Path, name: str | None) -> "mapping.Mapping_ | None":
    """Answer the mapping to read a file with: the named one, the one that fits, or none where none is needed.

    Raises:
        UnreadableFile: No mapping fits, or the file cannot be read.
    """
    if name == "canonical":
        return None
    if name is not None:
        return mapping.named(name)
    first = next(reading.rows(path), None)
    if first is None or not isinstance(first.values, dict):
        raise UnreadableFile(f"{path.name} holds no record.")
    columns = frozenset(first.values)
    if columns >= data_inclusion.KEYS or {"record_id", "organisation", "name"} <= columns:
        return None
    found = mapping.fitting(columns)
    if found is None:
        known = ", ".join(each.name for each in mapping.shipped())
        raise UnreadableFile(f"No mapping fits the columns of {path.name}: name one (--mapping). Shipped: {known}.")
    return found


async def run(  # noqa: PLR0913 - an import is made of these
    connection: asyncpg.Connection,
    path: Path,
    *,
    mapping_name: str | None = None,
    source: str | None = None,
    structures: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Import a file in one transaction: an unreadable one leaves the directory as it was.

    Args:
        connection: To the directory's database.
        path: The file.
        mapping_name: `canonical`, a shipped mapping or a path; chosen by the columns where absent.
        source: The name of the source, whose other entries are retired.
        structures: data.inclusion's structures by id.
        progress: Told the bytes read.

    Raises:
        UnreadableFile: Says where and why.
    """
    started = datetime.now(UTC)
    chosen = chosen_mapping(path, mapping_name)
    report = Report(source or (chosen.source if chosen else path.stem))
    points = Points.load()
    async with connection.transaction():
        await connection.execute("set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0")
        # Two imports of one source would retire each other's entries.
        await connection.execute("select pg_advisory_xact_lock(hashtext($1))", f"import:{report.source}")
        await connection.execute("create temporary table seen (id uuid primary key) on commit drop")
        batch: dict[UUID, tuple[int, Judged]] = {}
        still_there: set[UUID] = set()
        for row, made, name in canonical(reading.rows(path, progress), chosen, structures or {}, report):
            judged = judge(made, row.line, points) if isinstance(made, dict) else made
            if isinstance(judged, list):
                report.refuse(judged)
                if name:
                    still_there.add(service_id(report.source, name))
                continue
            id_ = service_id(report.source, judged.record.record_id)
            if id_ in batch:
                report.refuse([Remark(row.line, judged.record.record_id, "record_id", "Twice in this file.")])
                continue
            batch[id_] = (row.line, judged)
            if len(batch) >= BATCH:
                await _write(connection, batch, points, report)
                batch.clear()
        await _write(connection, batch, points, report)
        # A refused row has not left its source: what was known of it stays.
        await connection.execute("insert into seen select unnest($1::uuid[]) on conflict do nothing", list(still_there))
        if report.read > report.refused:
            report.retired = await _retire(connection, report.source)
        await connection.execute(
            "insert into import_run values ($1, $2, $3, $4, $5, $6)",
            uuid4(),
            report.source,
            path.name,
            started,
            datetime.now(UTC),
            json.dumps(report.as_json()),
        )
    await connection.execute("analyze card, search_entry")
    return report


def service_id(source: str, record: str) -> UUID:
    """Answer the id of an imported service by its source and record id: the same in every run."""
    # A faulty row's id may hold half of a surrogate pair, which no text that was stored can equal.
    return uuid5(NAMESPACE, f"{source}|service|{record}".encode(errors="replace").decode())


async def _retire(connection: asyncpg.Connection, source: str) -> int:
    """Retire the entries of a source that were not seen in this run; answer how many."""
    gone = await connection.fetch(
        """
        update service set retired_at = now(), status = 'inactive' where source = $1 and retired_at is null
        and not exists (select from seen where seen.id = service.id) returning id
        """,
        source,
    )
    await store.refresh(connection, [row["id"] for row in gone])
    return len(gone)


async def _write(
    connection: asyncpg.Connection, batch: dict[UUID, tuple[int, Judged]], points: Points, report: Report
) -> None:
    """Write one batch: what is new or changed is written anew with all that hangs on it."""
    rows = await connection.fetch(
        "insert into seen select unnest($1::uuid[]) on conflict do nothing returning id", list(batch)
    )
    for id_ in set(batch) - {row["id"] for row in rows}:
        line, judged = batch.pop(id_)
        report.refuse([Remark(line, judged.record.record_id, "record_id", "Twice in this file.")])
    known = {
        row["id"]: row
        for row in await connection.fetch(
            "select id, content_hash, retired_at from service where id = any($1::uuid[])", list(batch)
        )
    }
    changed: dict[UUID, Judged] = {}
    for id_, (_line, judged) in batch.items():
        for flag in judged.flags:
            report.flag(flag)
        there = known.get(id_)
        if there and bytes(there["content_hash"]) == judged.hash and there["retired_at"] is None:
            report.unchanged += 1
        else:
            report.changed += there is not None
            report.new += there is None
            changed[id_] = judged
    if not changed:
        return
    await _remove(connection, list(changed))
    tables = _Tables(report.source, points)
    for id_, judged in changed.items():
        tables.add(id_, judged)
    await tables.write(connection)
    await store.refresh(connection, list(changed))


async def _remove(connection: asyncpg.Connection, ids: list[UUID]) -> None:
    for statement in (
        "delete from location where id in (select location_id from service_at_location where service_id = any($1))",
        "delete from contact where service_id = any($1)",
        "delete from phone where service_id = any($1)",
        "delete from language where service_id = any($1)",
        "delete from service_area where service_id = any($1)",
        "delete from service_capacity where service_id = any($1)",
        "delete from attribute where service_id = any($1)",
    ):
        await connection.execute(statement, ids)


class _Tables:
    """The rows of a batch, by table."""

    def __init__(self, source: str, points: Points) -> None:
        self._source = source
        self._points = points
        self._organisations: dict[UUID, tuple[Any, ...]] = {}
        self._services: list[tuple[Any, ...]] = []
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        self._terms: list[tuple[UUID, str]] = []

    def add(self, id_: UUID, judged: Judged) -> None:
        """Add the rows of one service."""
        record = judged.record
        organisation = record.organisation
        owner = organisation.id or uuid5(NAMESPACE, f"{self._source}|organisation|{organisation.record_id}")
        self._organisations[owner] = (
            owner, self._source, organisation.record_id, organisation.name, organisation.description,
            organisation.email, organisation.website,
        )  # fmt: skip
        self._services.append(
            (
                id_, owner, self._source, record.record_id, record.name, record.description, record.url,
                record.website, record.email, "active", record.alert, record.free, record.fees, list(record.modes),
                record.keywords, _json([one.model_dump() for one in record.conditions]), _json(record.reception),
                record.can_receive, record.assured_at, record.assured_by, record.updated_at, _texts(judged),
                judged.hash, None,
            )
        )  # fmt: skip
        if record.phone:
            self._row("phone", id_, "service", None, id_, None, record.phone)
        if record.relay_contact:
            contact = record.relay_contact
            contact_id = uuid5(id_, "relay")
            self._rows.setdefault("contact", []).append(
                (contact_id, id_, contact.name, contact.function, contact.email, contact.hours, True)
            )
            if contact.phone:
                self._row("phone", id_, "relay", None, id_, contact_id, contact.phone)
        for code in dict.fromkeys(record.languages):
            self._row("language", id_, code, id_, code)
        for code in dict.fromkeys(record.service_area):
            self._row("service_area", id_, code, id_, code)
        if record.capacity:
            told = record.capacity
            self._rows.setdefault("service_capacity", []).append(
                (id_, told.available, told.waiting_days, told.updated_at)
            )
        self._terms += [(id_, slug) for slug in (*record.themes, *record.audiences)]
        for location, place in zip(record.locations, judged.places, strict=True):
            self._location(id_, owner, location, place)

    def _row(self, table: str, id_: UUID, name: str, *values: Any) -> None:  # noqa: ANN401 - columns of any type
        self._rows.setdefault(table, []).append((uuid5(id_, f"{table}|{name}"), *values))

    def _location(self, id_: UUID, owner: UUID, location: LocationRecord, place: Place | None) -> None:
        address = location.address
        key = uuid5(id_, f"location|{location.record_id}")
        at_key = uuid5(key, "at")
        latitude, longitude = location.latitude, location.longitude
        exact = latitude is not None and longitude is not None
        if not exact and place is not None:
            latitude, longitude = place.latitude, place.longitude
        index = None
        if latitude is not None and longitude is not None:
            index = list(position(latitude, longitude))
        if location.confidential:
            # Found at the centre of its municipality and nowhere else; without one it is not found by place.
            centre = self._points.parent(place) if place else None
            index = list(position(centre.latitude, centre.longitude)) if centre else None
        self._rows.setdefault("location", []).append(
            (
                key, owner, location.name, "physical", latitude, longitude, index,
                "exact" if exact else "municipality", address.municipality_code or (place.code if place else None),
                location.confidential, location.nearest_stop,
            )
        )  # fmt: skip
        city = address.municipality or (place.name if place else None)
        self._rows.setdefault("address", []).append(
            (uuid5(key, "address"), key, address.street, city, address.postcode, address.country, "physical")
        )
        self._rows.setdefault("service_at_location", []).append((at_key, id_, key))
        if location.opening_hours:
            zone = hours.zone_of(place.code if place else None, address.country)
            self._rows.setdefault("schedule", []).append(
                (uuid5(at_key, "schedule"), at_key, location.opening_hours, zone)
            )
        if location.wheelchair is not None:
            told = "wheelchair" if location.wheelchair else "no wheelchair"
            self._rows.setdefault("accessibility", []).append(
                (uuid5(key, "wheelchair"), key, told, location.wheelchair)
            )

    async def write(self, connection: asyncpg.Connection) -> None:
        """Write the rows, owners first."""
        await connection.executemany(
            """
            insert into organisation (id, source, record_id, name, description, email, website)
            values ($1, $2, $3, $4, $5, $6, $7) on conflict (id) do update set name = excluded.name,
            description = excluded.description, email = excluded.email, website = excluded.website
            """,
            list(self._organisations.values()),
        )
        await connection.executemany(UPSERT_SERVICE, self._services)
        for table in (
            "contact", "phone", "language", "service_area", "service_capacity", "location", "address",
            "service_at_location", "schedule", "accessibility",
        ):  # fmt: skip
            if rows := self._rows.get(table):
                await connection.copy_records_to_table(table, records=rows, columns=COLUMNS[table])
        await connection.execute(
            "insert into attribute select s, t.id from unnest($1::uuid[], $2::text[]) g (s, code)"
            " join taxonomy_term t on t.code = g.code on conflict do nothing",
            [service for service, _slug in self._terms],
            [slug for _service, slug in self._terms],
        )


SERVICE_COLUMNS: Final = (
    "id", "organisation_id", "source", "record_id", "name", "description", "url", "website", "email", "status",
    "alert", "free", "fees_description", "modes", "keywords", "conditions", "reception", "can_receive",
    "assured_date", "assurer", "last_modified", "texts", "content_hash", "retired_at",
)  # fmt: skip
UPSERT_SERVICE: Final = f"""
    insert into service ({", ".join(SERVICE_COLUMNS)})
    values ({", ".join(f"${number}" for number in range(1, len(SERVICE_COLUMNS) + 1))})
    on conflict (id) do update set {", ".join(f"{name} = excluded.{name}" for name in SERVICE_COLUMNS[1:])}
"""  # noqa: S608 - built of our own column names

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "contact": ("id", "service_id", "name", "title", "email", "hours", "relay"),
    "phone": ("id", "organisation_id", "service_id", "contact_id", "number"),
    "language": ("id", "service_id", "code"),
    "service_area": ("id", "service_id", "uri"),
    "service_capacity": ("service_id", "available", "waiting_days", "updated"),
    "location": (
        "id", "organisation_id", "name", "location_type", "latitude", "longitude", "position", "precision",
        "municipality_code", "confidential", "transportation",
    ),
    "address": ("id", "location_id", "address_1", "city", "postal_code", "country", "address_type"),
    "service_at_location": ("id", "service_id", "location_id"),
    "schedule": ("id", "service_at_location_id", "description", "time_zone"),
    "accessibility": ("id", "location_id", "description", "wheelchair"),
}  # fmt: skip


def _texts(judged: Judged) -> list[str]:
    """Answer the stems that a service is found by: its name, its themes, who and where, the rest."""
    record = judged.record
    labels = [label for slug in record.themes for label in themes()[slug].labels.values()]
    where = [record.organisation.name]
    where += [place.name for place in judged.places if place]
    where += [location.address.municipality or "" for location in record.locations]
    groups = (
        [record.name],
        [*labels, *record.keywords],
        where,
        [record.description or "", *(one.text for one in record.conditions)],
    )
    return [" ".join(word for text in texts for word in stems(text)) for texts in groups]


def _json(value: Any) -> str | None:  # noqa: ANN401 - JSON-able
    return json.dumps(value) if value else None
