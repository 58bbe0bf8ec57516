"""Every query of the HSDS API: services, places and organisations by the parameters of the standard."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg

from relais_directory.data import themes
from relais_directory.domain.geo import chord_m
from relais_directory.formats import hsds
from relais_directory.store import Connection, Position

Kind = Literal["services", "places", "organisations"]

LISTED: Final = "s.status in ('active', 'temporarily_closed', 'inactive') and s.merged_into is null"
"""What lists show: a retired service answers on its own id alone, a draft nowhere."""

CHANGED: Final = """greatest(s.updated_at, s.created_at, p.updated_at, (
    select h.at from history h where h.resource_id = s.id order by h.id desc limit 1), (
    select max(m.at) from remark m where m.service_id = s.id and m.kind = 'confirmed'))"""
"""When a service's document changed here: what its source says of it may be older than its arrival."""

OWN_TEXT: Final = r"""regexp_replace(normalize(lower(concat_ws(' ', o.name, r.facts ->> 'name',
    o.record ->> 'alternate_name', o.record ->> 'description')), NFKD), '[\u0300-\u036f]', '', 'g')"""
"""What an organisation says of itself, without accents and case."""

METRES_AROUND: Final = 1.0
"""Rounding of the box in which a distance is measured."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a text asks for: stems to be found in a service's card, or themes that it means.

    Attributes:
        query: Of PostgreSQL's full text search; empty where only themes are meant.
        themes: Their ids.
        stems: Each to begin a word of an organisation.
    """

    query: str
    themes: tuple[int, ...]
    stems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Around:
    """Where a postcode is, which codes of areas cover it, and how far around it is asked for (None: only there)."""

    position: Position
    codes: tuple[str, ...]
    municipalities: tuple[str, ...]
    metres: float | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a list is asked for; all conditions together."""

    words: Words | None = None
    term_id: UUID | None = None
    taxonomy_id: UUID | None = None
    organisation_id: UUID | None = None
    modified_after: datetime | None = None
    around: Around | None = None


@dataclass(slots=True)
class _Query:
    """An SQL text under construction, and the values that stand in it as numbered parameters."""

    values: list[Any] = field(default_factory=list)

    def bind(self, value: Any, cast: str) -> str:  # noqa: ANN401 - a parameter of any type
        self.values.append(value)
        return f"${len(self.values)}::{cast}"


_ORGANISATION: Final = (
    "o.id as organisation_id, o.record::text as organisation_record, coalesce(r.facts ->> 'name', o.name)"
    " as organisation_name"
)
_SERVICE: Final = f"""s.id as service_id, s.source,
    case when s.merged_into is null then s.status else 'retired' end as status,
    s.record::text as record, s.assured_on, s.assured_by,
    {CHANGED} as changed_at, p.available, p.maximum, p.unit, p.waiting_days, p.description as capacity_description,
    p.updated_at as capacity_at, {_ORGANISATION}"""
_SERVICE_TABLES: Final = """service s join organisation o on o.id = s.organisation_id
    left join registered_organisation r on r.id = o.id left join service_capacity p on p.service_id = s.id"""

COLUMNS: Final[dict[Kind, str]] = {
    "services": f"s.id, {_SERVICE}",
    "places": f"l.id, l.number, {_SERVICE}",
    "organisations": f"o.id, {_ORGANISATION}",
}
TABLES: Final[dict[Kind, str]] = {
    "services": _SERVICE_TABLES,
    "places": f"service_at_location l join service s on s.id = l.service_id"
    f" {_SERVICE_TABLES.removeprefix('service s')}",
    "organisations": "organisation o left join registered_organisation r on r.id = o.id",
}
IDS: Final[dict[Kind, str]] = {"services": "s.id", "places": "l.id", "organisations": "o.id"}


async def count(connection: Connection, kind: Kind, asked: Asked) -> int:
    """Answer how many fit."""
    query = _Query()
    joins, where, _rank = _fitting(query, kind, asked)
    found: int = await connection.fetchval(
        f"select count(*) from {TABLES[kind]} {joins} where {where}",
        *query.values,
    )
    return found


async def page(connection: Connection, kind: Kind, asked: Asked, offset: int, limit: int) -> Sequence[asyncpg.Record]:
    """Answer one page: what fits the words best first, else by id."""
    query = _Query()
    joins, where, rank = _fitting(query, kind, asked)
    order = f"{rank} desc, {IDS[kind]}" if rank else IDS[kind]
    return await connection.fetch(
        f"select {COLUMNS[kind]} from {TABLES[kind]} {joins} where {where} order by {order}"
        f" offset {query.bind(offset, 'bigint')} limit {query.bind(limit, 'int')}",
        *query.values,
    )


async def after(  # noqa: PLR0913 - what is listed, and from where
    connection: Connection, kind: Kind, asked: Asked, id_: UUID | None, limit: int, *, minimal: bool = False
) -> Sequence[asyncpg.Record]:
    """Answer those behind an id, by id: a stream takes them by the hundred, and holds no connection in between."""
    query = _Query()
    joins, where, _rank = _fitting(query, kind, asked)
    more = f"and {IDS[kind]} > {query.bind(id_, 'uuid')}" if id_ else ""
    columns = f"s.id, {CHANGED} as changed_at" if minimal else COLUMNS[kind]
    return await connection.fetch(
        f"select {columns} from {TABLES[kind]} {joins} where {where} {more} order by {IDS[kind]}"
        f" limit {query.bind(limit, 'int')}",
        *query.values,
    )


async def one(connection: Connection, kind: Kind, id_: UUID) -> asyncpg.Record | None:
    """Answer one by its id: a retired service too, a draft never."""
    shown = "" if kind == "organisations" else "and s.status <> 'draft'"
    return await connection.fetchrow(
        f"select {COLUMNS[kind]} from {TABLES[kind]} where {IDS[kind]} = $1 {shown}",
        id_,
    )


async def services_of(connection: Connection, ids: Sequence[UUID]) -> Sequence[asyncpg.Record]:
    """Answer the services of some organisations, by id."""
    return await connection.fetch(
        f"select {COLUMNS['services']} from {TABLES['services']}"
        f" where s.organisation_id = any($1::uuid[]) and {LISTED} order by s.id",
        list(ids),
    )


async def history(connection: Connection, id_: UUID, limit: int) -> Sequence[asyncpg.Record]:
    """Answer the latest changes of a resource, the latest first."""
    return await connection.fetch(
        """
        select id, resource_id, resource_type, at, action, field_name, previous_value::text as previous_value,
            replacement_value::text as replacement_value, updated_by
        from history where resource_id = $1 order by id desc limit $2
        """,
        id_,
        limit,
    )


def _fitting(query: _Query, kind: Kind, asked: Asked) -> tuple[str, str, str]:
    """Answer the joins, the conditions and the rank of what is asked for."""
    if kind == "organisations":
        return "", " and ".join(["true", *_organisation_conditions(query, asked)]), ""
    joins, rank = "", ""
    conditions = [LISTED, *_conditions(query, asked)]
    if asked.words is not None:
        joins = f"join ({_found(query, asked.words)}) w on w.service_id = s.id"
        rank = "w.rank"
    if kind == "places" and asked.around is not None:
        conditions += _around(query, asked.around)
    return joins, " and ".join(conditions), rank


def _found(query: _Query, words: Words) -> str:
    """Answer the services whose cards hold the words, or bear the themes that they mean."""
    parts, score = [], "0"
    if words.themes:
        parts.append(f"c.themes && {query.bind(list(words.themes), 'smallint[]')}")
        score = f"({parts[0]})::int"
    if words.query:
        text = query.bind(words.query, "tsquery")
        parts.append(f"c.document @@ {text}")
        score += f" + ts_rank(c.document, {text}, 32)"
    return f"select c.service_id, max({score}) as rank from card c where {' or '.join(parts)} group by c.service_id"


def _conditions(query: _Query, asked: Asked) -> list[str]:
    """Answer the conditions on a service."""
    found = []
    if asked.term_id is not None:
        found.append(_term(query, asked.term_id))
    if asked.taxonomy_id is not None:
        found.append(_taxonomy(query, asked.taxonomy_id))
    if asked.organisation_id is not None:
        found.append(f"s.organisation_id = {query.bind(asked.organisation_id, 'uuid')}")
    if asked.modified_after is not None:
        moment = query.bind(asked.modified_after, "timestamptz")
        found.append(
            f"(s.updated_at >= {moment} or s.created_at >= {moment} or p.updated_at >= {moment}"
            f" or s.id in (select h.resource_id from history h where h.at >= {moment})"
            # A confirmation is a new `assured_date`.
            f" or s.id in (select m.service_id from remark m where m.at >= {moment} and m.kind = 'confirmed'))"
        )
    return found


def _organisation_conditions(query: _Query, asked: Asked) -> list[str]:
    """Answer the conditions on an organisation; it bears the terms that its services bear."""
    found = []
    if asked.words is not None:
        # Stems are of letters and digits alone: nothing of a pattern's grammar can stand in them.
        patterns = query.bind([rf"\m{stem}" for stem in asked.words.stems], "text[]")
        found.append(f"{OWN_TEXT} ~ all({patterns})")
    for id_, condition in ((asked.term_id, _term), (asked.taxonomy_id, _taxonomy)):
        if id_ is not None:
            found.append(
                f"(exists (select from service s where s.organisation_id = o.id and {LISTED}"
                f" and {condition(query, id_)}) or {_foreign(query, 'o.record', condition is _term, id_)})"
            )
    return found


def _term(query: _Query, id_: UUID) -> str:
    """Answer the condition that a service bears a term; a theme takes its children."""
    taxonomy, code = hsds.term_ids().get(str(id_), ("", ""))
    if taxonomy == hsds.THEMES:
        codes = [slug for slug, theme in themes().items() if code in {slug, theme.parent}]
        return f"s.record -> 'themes' ?| {query.bind(codes, 'text[]')}"
    if taxonomy == hsds.AUDIENCES:
        return f"s.record -> 'audiences' ? {query.bind(code, 'text')}"
    if taxonomy == hsds.OWN:
        # Every attribute says where it came from; the others stand for a field of the record.
        return "true" if code == "source" else f"s.record ? {query.bind(code, 'text')}"
    return _foreign(query, "s.record", True, id_)


def _taxonomy(query: _Query, id_: UUID) -> str:
    """Answer the condition that a service bears any term of a taxonomy."""
    name = next((one["name"] for one in hsds.taxonomies() if one["id"] == str(id_)), "")
    if name == hsds.OWN:
        return "true"
    if name:
        return f"s.record ? {query.bind(name.removeprefix('relais:'), 'text')}"
    return _foreign(query, "s.record", False, id_)


def _foreign(query: _Query, record: str, of_term: bool, id_: UUID) -> str:  # noqa: FBT001 - term or taxonomy
    """Answer the condition that a record bears a term, or any of a taxonomy, that is not ours."""
    terms: list[dict[str, Any]] = [{"id": str(id_)}]
    if not of_term:
        terms = [{"taxonomy_id": str(id_)}, {"taxonomy_detail": {"id": str(id_)}}]
    texts = [json.dumps([{"taxonomy_term": term}]) for term in terms]
    return "(" + " or ".join(f"{record} -> 'attributes' @> {query.bind(text, 'jsonb')}" for text in texts) + ")"


def _around(query: _Query, around: Around) -> list[str]:
    """Answer the conditions on a place: the service is for a postcode, and given at it or within reach of it.

    A service that tells no area is for the postcode where it is given there; with a distance, wherever it is.
    """
    covered = f"s.record -> 'service_area' ?| {query.bind(list(around.codes), 'text[]')}"
    if around.metres is None:
        there = f"l.municipality_code = any({query.bind(list(around.municipalities), 'text[]')})"
        return [f"(case when s.record ? 'service_area' then {covered} else {there} end)"]
    reach = chord_m(around.metres)
    conditions = [f"(not s.record ? 'service_area' or {covered})"]
    axes = []
    for axis, centre in enumerate(around.position, 1):
        low = query.bind(centre - reach - METRES_AROUND, "float8")
        high = query.bind(centre + reach + METRES_AROUND, "float8")
        conditions.append(f"l.position[{axis}] between {low} and {high}")
        axes.append(f"(l.position[{axis}] - {query.bind(centre, 'float8')}) ^ 2")
    return [*conditions, f"sqrt({' + '.join(axes)}) <= {query.bind(reach, 'float8')}"]
