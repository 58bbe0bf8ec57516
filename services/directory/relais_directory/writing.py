"""The one way into the directory: documents, their history, and the cards that search finds, in one transaction.

Imports write batches, the API writes one; both are compared with what stands, so that the same content twice is one
version.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from relais_directory.cards import LONG_AGO, CardRow, Hours, Owner, Site, cards, facts, sites
from relais_directory.domain import quality
from relais_directory.domain.days import day_of
from relais_directory.gazetteer import Place
from relais_directory.judging import digest, document, judge_places, points
from relais_directory.records import CapacityRecord, OrganisationProfile, Part, ServiceRecord
from relais_directory.store import Connection, Row, nearest_stops

APART: Final = frozenset({"capacity", "assured_at", "assured_by"})
"""Parts of a record that change without a new version of it: they stand beside the document."""


Places = tuple[Place | None, ...]
"""The municipality of each place of a record, where the gazetteer knows it."""


class Outcome(StrEnum):
    """What became of a document."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    """Its organisation keeps it itself: an import leaves it as it is."""


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation to be written; `owned` where it says so itself."""

    id: UUID
    source: str
    record_id: str
    profile: OrganisationProfile
    owned: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """A service to be written, its places judged; `owned` where its organisation says so itself."""

    id: UUID
    organisation_id: UUID
    organisation: str
    source: str
    record_id: str
    record: ServiceRecord
    places: Places
    owned: bool = False


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes, and when."""

    name: str
    now: datetime


async def write_organisations(
    connection: Connection, organisations: Sequence[Organisation], author: Author
) -> dict[UUID, Outcome]:
    """Write organisations; one that keeps itself is left alone by imports. A new name reaches every card."""
    known = {
        row["id"]: row
        for row in await connection.fetch(
            "select id, source, name, record::text as record, content_hash, owned from organisation"
            " where id = any($1::uuid[])",
            [one.id for one in organisations],
        )
    }
    found: dict[UUID, Outcome] = {}
    rows, history, renamed = [], [], []
    for one in organisations:
        text = document(one.profile)
        there = known.get(one.id)
        found[one.id] = _judged(there, digest(text), owned=one.owned)
        if there is not None and there["source"] != one.source and not one.owned:
            # Two sources know it: what the first one tells stands, or each import would undo the other's.
            found[one.id] = Outcome.KEPT
        if found[one.id] in {Outcome.KEPT, Outcome.UNCHANGED}:
            continue
        rows.append((one.id, one.source, one.record_id, one.profile.name, text, digest(text), one.owned, author.now))
        if there is not None:
            history += _history(one.id, "organization", json.loads(there["record"]), json.loads(text), author)
            if there["name"] != one.profile.name:
                renamed.append(one.id)
    if rows:
        await connection.execute(
            """
            insert into organisation (id, source, record_id, name, record, content_hash, version, owned, updated_at)
            select id, source, record_id, name, record::jsonb, hash, 1, owned, at
            from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bool[],
                $8::timestamptz[]) g (id, source, record_id, name, record, hash, owned, at)
            on conflict (id) do update set name = excluded.name, record = excluded.record,
                content_hash = excluded.content_hash,
                version = organisation.version + (organisation.record is distinct from excluded.record)::int,
                owned = organisation.owned or excluded.owned, updated_at = excluded.updated_at
            """,
            *map(list, zip(*rows, strict=True)),
        )
        await _keep_history(connection, history)
    if renamed:
        ids = await connection.fetch("select id from service where organisation_id = any($1::uuid[])", renamed)
        await rebuild(connection, [row["id"] for row in ids])
    return found


async def write_services(  # noqa: C901 - one look at each: known, changed, its history, its row
    connection: Connection, services: Sequence[Service], author: Author, terms: Mapping[str, int]
) -> dict[UUID, Outcome]:
    """Write services, their history, places, capacity and cards; answer what became of each.

    Args:
        connection: In a transaction; the organisations are there.
        services: Each once.
        author: Stands in the history.
        terms: Ids of themes and audiences.
    """
    known = {
        row["id"]: row
        for row in await connection.fetch(
            "select id, organisation_id, record::text as record, content_hash, owned, retired_at, assured_on,"
            " assured_by, merged_into from service where id = any($1::uuid[])",
            [one.id for one in services],
        )
    }
    found: dict[UUID, Outcome] = {}
    placed: list[Service] = []
    told: list[tuple[UUID, CapacityRecord]] = []
    beside: list[UUID] = []
    rows, history = [], []
    today = day_of(author.now)
    for one in services:
        there = known.get(one.id)
        hash_ = digest(document(one.record))
        found[one.id] = _judged(there, hash_, owned=one.owned, retired=one.record.status == "retired")
        if found[one.id] is Outcome.UNCHANGED and there is not None and there["organisation_id"] != one.organisation_id:
            # The same service, of an organisation that came to be known by its registry id.
            found[one.id] = Outcome.CHANGED
        if found[one.id] in {Outcome.KEPT, Outcome.UNCHANGED}:
            continue
        kept = one.record.model_dump_json(exclude_defaults=True, exclude={*APART, *_AROUND})
        if there is not None or one.owned:
            # Of an entry that an import made, its source is the history until then.
            before = json.loads(there["record"]) if there is not None else None
            history += _history(one.id, "service", before, json.loads(kept), author)
        assured = (one.record.assured_at, one.record.assured_by)
        if there is not None and (there["assured_on"] or LONG_AGO) > (assured[0] or LONG_AGO):
            # A counsellor confirmed it after its source did.
            assured = (there["assured_on"], there["assured_by"])
        if there is None or there["merged_into"] is None:
            shown = one.record
            if assured != (shown.assured_at, shown.assured_by):
                shown = shown.model_copy(update={"assured_at": assured[0], "assured_by": assured[1]})
            placed.append(replace(one, record=shown))
        if one.record.capacity:
            # Told by a clock that goes ahead, it would silence all that is told before that hour.
            at = min(one.record.capacity.updated_at, author.now)
            told.append((one.id, one.record.capacity.model_copy(update={"updated_at": at})))
            if there is not None and json.loads(there["record"]) == json.loads(kept):
                beside.append(one.id)
        rows.append(
            (
                one.id, one.organisation_id, one.source, one.record_id, one.record.name, one.record.status, kept,
                hash_, quality.score(facts(one.record, assured[0]), today), assured[0], assured[1], one.owned,
                one.record.updated_at or author.now,
                author.now if one.record.status == "retired" else None,
            )
        )  # fmt: skip
    if not rows:
        return found
    await connection.execute(UPSERT_SERVICES, *map(list, zip(*rows, strict=True)))
    await _keep_history(connection, history)
    if told:
        before = await _capacities(connection, beside) if beside else {}
        taken = await set_capacities(connection, told, author.name)
        if beside:
            # What is new of them is their capacity, perhaps of an hour that is past: they changed here today.
            after = await _capacities(connection, beside)
            moved = [id_ for id_ in taken if id_ in after and before.get(id_) != after[id_]]
            await connection.execute("update service set updated_at = now() where id = any($1::uuid[])", moved)
    await _place(connection, placed, terms)
    return found


_AROUND: Final = {"record_id", "organisation", "id"}
"""Parts of an imported record that say which one it is, not what it says."""

UPSERT_SERVICES: Final = """
    insert into service (id, organisation_id, source, record_id, name, status, record, content_hash, version, quality,
        assured_on, assured_by, owned, created_at, updated_at, retired_at, changed_in)
    select id, organisation_id, source, record_id, name, status, record::jsonb, hash, 1, quality, assured_on,
        assured_by, owned, now(), updated_at, retired_at, pg_current_xact_id()::text::bigint
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[],
        $9::float8[], $10::date[], $11::text[], $12::bool[], $13::timestamptz[], $14::timestamptz[])
        g (id, organisation_id, source, record_id, name, status, record, hash, quality, assured_on, assured_by, owned,
            updated_at, retired_at)
    on conflict (id) do update set organisation_id = excluded.organisation_id, name = excluded.name,
        status = excluded.status, record = excluded.record, content_hash = excluded.content_hash,
        version = service.version + (service.record is distinct from excluded.record)::int,
        quality = excluded.quality, assured_on = excluded.assured_on, assured_by = excluded.assured_by,
        owned = service.owned or excluded.owned, retired_at = excluded.retired_at, changed_in = excluded.changed_in,
        updated_at = case when service.record is distinct from excluded.record then excluded.updated_at
            when service.assured_on is distinct from excluded.assured_on
                or service.assured_by is distinct from excluded.assured_by then excluded.created_at
            else service.updated_at end,
        created_at = case when service.status = 'draft' then excluded.created_at else service.created_at end
"""
"""`created_at` is when the directory had it, or its draft was published: saved searches tell of what came since.

A new assurance of the same content is a change of today, however old the day that it names.
"""


def _judged(there: asyncpg.Record | None, hash_: bytes, *, owned: bool, retired: bool = False) -> Outcome:
    if there is None:
        return Outcome.NEW
    if there["owned"] and not owned:
        return Outcome.KEPT
    gone = "retired_at" in there and there["retired_at"] is not None
    same = bytes(there["content_hash"]) == hash_ and there["owned"] == owned
    return Outcome.UNCHANGED if same and gone == retired else Outcome.CHANGED


def _history(
    id_: UUID, kind: str, before: Mapping[str, Any] | None, after: Mapping[str, Any], author: Author
) -> list[tuple[Any, ...]]:
    """Answer one row for each field that changed (HSDS metadata); of a new record, for each that it tells."""
    action, told = "create" if before is None else "update", before or {}
    # What is at its default does not stand in a document, but it was so.
    usual = _DEFAULTS if before is not None and kind == "service" else {}
    return [
        (
            id_, kind, author.now, action, name, _value(told.get(name, usual.get(name))),
            _value(after.get(name, usual.get(name))), author.name,
        )
        for name in dict.fromkeys((*told, *after))
        if told.get(name) != after.get(name)
    ]  # fmt: skip


_DEFAULTS: Final = {"status": "active", "can_receive": "phone_only"}
"""Fields of a service that say something even where nobody said anything."""


def _value(value: Any) -> str | None:  # noqa: ANN401 - JSON of any shape
    return None if value is None else json.dumps(value)


async def _keep_history(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        await connection.copy_records_to_table(
            "history",
            records=rows,
            columns=[
                "resource_id", "resource_type", "at", "action", "field_name", "previous_value", "replacement_value",
                "updated_by",
            ],
        )  # fmt: skip


async def retire(connection: Connection, ids: Sequence[UUID], author: Author) -> int:
    """Retire services: out of search, on record for ever; answer how many were not retired yet."""
    rows = await connection.fetch(
        """
        with old as (select id, status from service where id = any($1::uuid[]) and status <> 'retired' for update)
        update service s set status = 'retired', retired_at = $2, updated_at = $2, version = s.version + 1,
            record = s.record || '{"status": "retired"}', changed_in = pg_current_xact_id()::text::bigint
        from old where old.id = s.id returning s.id, old.status
        """,
        list(ids),
        author.now,
    )
    await _keep_history(
        connection,
        [
            (
                row["id"],
                "service",
                author.now,
                "delete",
                "status",
                json.dumps(row["status"]),
                '"retired"',
                author.name,
            )
            for row in rows
        ],
    )
    await connection.execute("delete from card where service_id = any($1::uuid[])", [row["id"] for row in rows])
    return len(rows)


async def set_capacities(
    connection: Connection, told: Iterable[tuple[UUID, CapacityRecord]], by: str | None
) -> list[UUID]:
    """Keep what owners told of their open places, unless something later was told; answer whose was taken.

    Search shows it and the change feed tells of it, though no document changed.
    """
    rows = [
        (id_, one.available, one.maximum, one.unit, one.waiting_days, one.description, one.updated_at, by)
        for id_, one in told
    ]
    # In one statement: each takes as long as what it does.
    taken = await connection.fetch(
        """
        with taken as (
            insert into service_capacity
                (service_id, available, maximum, unit, waiting_days, description, updated_at, updated_by)
            select * from unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::int[], $6::text[],
                $7::timestamptz[], $8::text[])
            on conflict (service_id) do update set available = excluded.available, maximum = excluded.maximum,
                unit = excluded.unit, waiting_days = excluded.waiting_days, description = excluded.description,
                updated_at = excluded.updated_at, updated_by = excluded.updated_by
            where service_capacity.updated_at <= excluded.updated_at
            returning service_id, available, waiting_days, updated_at
        ), shown as (
            update card c set available = t.available, waiting_days = t.waiting_days, capacity_at = t.updated_at
            from taken t where c.service_id = t.service_id
        ), changed as (
            update service s set changed_in = pg_current_xact_id()::text::bigint
            from taken t where s.id = t.service_id and s.changed_in <> pg_current_xact_id()::text::bigint
        )
        select service_id from taken
        """,
        *map(list, zip(*rows, strict=True)),
    )
    return [row["service_id"] for row in taken]


async def _capacities(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, tuple[Any, ...]]:
    """Answer what was told of the open places of services."""
    rows = await connection.fetch(
        "select service_id, available, maximum, unit, waiting_days, description, updated_at from service_capacity"
        " where service_id = any($1::uuid[])",
        list(ids),
    )
    return {row["service_id"]: tuple(row)[1:] for row in rows}


async def rebuild(connection: Connection, ids: Sequence[UUID]) -> None:
    """Make the cards of services anew from their documents; merged and retired ones have none."""
    rows = await connection.fetch(
        """
        select s.id, s.organisation_id, o.name as organisation, s.source, s.record_id, s.record::text as record,
            s.assured_on, s.assured_by, s.owned
        from service s join organisation o on o.id = s.organisation_id
        where s.id = any($1::uuid[]) and s.merged_into is null
        """,
        list(ids),
    )
    await connection.execute("delete from card where service_id = any($1::uuid[])", list(ids))
    there = []
    for row in rows:
        record = read(row)
        places, _refused, _flags = judge_places(record, points())
        there.append(
            Service(
                row["id"], row["organisation_id"], row["organisation"], row["source"], row["record_id"], record, places
            )
        )
    terms = {row["code"]: row["id"] for row in await connection.fetch("select code, id from taxonomy_term")}
    await _place(connection, there, terms)


def read(row: Row) -> ServiceRecord:
    """Answer the record of a service's row (`record` as text), with what stands beside it."""
    record = ServiceRecord.model_validate_json(row["record"])
    record.assured_at, record.assured_by = row["assured_on"], row["assured_by"]
    return record


async def _place(connection: Connection, services: Sequence[Service], terms: Mapping[str, int]) -> None:
    """Write where services are given, and their cards."""
    indexed: list[tuple[UUID, Site]] = []
    made: list[CardRow] = []
    for one in services:
        there = sites(one.id, one.record, one.places, points())
        indexed += [(one.id, site) for site in there]
        owner = Owner(one.id, one.organisation_id, one.organisation, one.source, one.record_id)
        made += cards(owner, one.record, one.places, there)
    ids = [one.id for one in services]
    await connection.execute("delete from service_at_location where service_id = any($1::uuid[])", ids)
    await connection.copy_records_to_table(
        "service_at_location",
        records=[
            (
                site.id, service, site.location_id, site.number, list(site.position) if site.position else None,
                site.municipality_code, site.confidential,
            )
            for service, site in indexed
        ],
        columns=["id", "service_id", "location_id", "number", "position", "municipality_code", "confidential"],
    )  # fmt: skip
    await connection.execute("delete from card where service_id = any($1::uuid[])", ids)
    await _put(connection, made, terms)


ARRIVING: Final = """
    create temporary table if not exists arriving (
        service_id uuid, location_id uuid, organisation_id uuid, position float8[], lead bool, areas text[],
        themes smallint[], audiences smallint[], modes text[], languages text[], reception text[], wheelchair bool,
        free bool, confidential bool, freshness date, assured_by text, opening_id int, relay_opening_id int,
        has_email bool, can_receive text, a text, b text, c text, d text, body text
    ) on commit delete rows
"""
"""Cards on their way: what COPY can bring, before the index's own types are made of it."""

PUT: Final = """
    with made as (
        insert into card (service_id, location_id, organisation_id, position, lead, areas, themes, audiences, modes,
            languages, reception, wheelchair, free, confidential, freshness, assured_by, available, waiting_days,
            capacity_at, opening_id, relay_opening_id, stop_m, stops, has_email, can_receive, document, body)
        select n.service_id, n.location_id, n.organisation_id, cube(n.position), n.lead, n.areas, n.themes,
            n.audiences, n.modes, n.languages, n.reception, n.wheelchair, n.free, n.confidential, n.freshness,
            n.assured_by, p.available, p.waiting_days, p.updated_at, n.opening_id, n.relay_opening_id,
            near.stop_m, near.stops, n.has_email, n.can_receive,
            setweight(to_tsvector('simple', n.a), 'A') || setweight(to_tsvector('simple', n.b), 'B')
                || setweight(to_tsvector('simple', n.c), 'C') || setweight(to_tsvector('simple', n.d), 'D'),
            n.body
        from arriving n left join service_capacity p on p.service_id = n.service_id
        left join lateral (
            select min(s.walk_m) as stop_m, json_agg(json_build_object('name', s.name, 'kind', s.kind,
                'walk_m', s.walk_m) order by s.walk_m)::text as stops
            from ({near}) s
        ) near on n.position is not null and not n.confidential
        returning id, service_id, themes, position, lead, freshness, areas
    )
    insert into search_entry (theme, card_id, service_id, position, alone, everywhere, lead, freshness)
    select theme, made.id, made.service_id, made.position,
        count(made.position) over (partition by made.service_id, theme) = (made.position is not null)::int,
        made.position is null and made.areas = array['*']::varchar[], made.lead, made.freshness
    from made cross join lateral unnest(made.themes || 0::smallint) theme
"""


async def _put(connection: Connection, rows: Sequence[CardRow], terms: Mapping[str, int]) -> None:
    """Write cards and their search entries."""
    if not rows:
        return
    opened = await _openings(connection, {one for row in rows for one in (row.opening, row.relay_opening) if one})
    await connection.execute(ARRIVING)
    await connection.copy_records_to_table(
        "arriving",
        records=[
            (
                row.service_id, row.location_id, row.organisation_id, list(row.position) if row.position else None,
                row.lead, row.areas, [terms[slug] for slug in row.themes],
                [terms[slug] for slug in row.audiences], row.modes, row.languages, row.reception, row.wheelchair,
                row.free, row.confidential, row.freshness, row.assured_by,
                opened[row.opening] if row.opening else None,
                opened[row.relay_opening] if row.relay_opening else None,
                row.has_email, row.can_receive, *row.texts, row.body,
            )
            for row in rows
        ],
    )  # fmt: skip
    await connection.execute(PUT.format(near=nearest_stops("cube(n.position)")))
    await connection.execute(
        """
        insert into vocabulary
        select distinct w from arriving n, unnest(string_to_array(concat_ws(' ', n.a, n.b, n.c, n.d), ' ')) w
        where length(w) between 3 and 40 on conflict do nothing
        """
    )
    await connection.execute("truncate arriving")


async def _openings(connection: Connection, wanted: set[Hours]) -> dict[Hours, int]:
    """Answer the ids of spelt hours, new ones kept."""
    if not wanted:
        return {}
    columns = [list(column) for column in zip(*sorted(wanted), strict=True)]
    await connection.execute(
        "insert into opening (text, zone, country) select * from unnest($1::text[], $2::text[], $3::text[])"
        " on conflict do nothing",
        *columns,
    )
    rows = await connection.fetch(
        "select o.id, o.text, o.zone, o.country from opening o"
        " join unnest($1::text[], $2::text[], $3::text[]) g (text, zone, country) using (text, zone, country)",
        *columns,
    )
    return {(row["text"], row["zone"], row["country"]): row["id"] for row in rows}


def merged(record: Part, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a record as JSON with a merge patch applied (RFC 7396): null takes a member away."""
    whole: dict[str, Any] = _patched(orjson.loads(record.model_dump_json(exclude_defaults=True)), changes)
    return whole


def _patched(target: Any, patch: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    if not isinstance(patch, Mapping):
        return patch
    found = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = _patched(found.get(name), value)
    return found
