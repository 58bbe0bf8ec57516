"""Every query of the directory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final
from uuid import UUID

import asyncpg

from relais_directory.domain.geo import chord_m

COUNT_UP_TO: Final = 1_000
"""Counting stops here: an exact total of a large city costs more than the search (design 4)."""

LONG_AGO: Final = date(2000, 1, 1)
"""The freshness of what nobody ever assured."""

NO_PLACE: Final = UUID(int=0)
"""The location of a card that stands for a service which comes to the person."""

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
Position = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Where:
    """Around which point to search, how far, and which codes of areas cover it."""

    position: Position
    radius_m: float
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a search asks for, made ready.

    Attributes:
        where: The place, if any.
        themes: Ids of the wanted themes; none means any. Their children are in the index already.
        said: Ids of the themes that the words mean.
        words: The other words, as stems.
        organisation_id: Only services of this one.
        sort: relevance, distance or freshness.
        after: The position behind which the page begins, as the last page's last row told it.
        limit: Rows of the page, at most.
        today: The day that freshness is judged on; the same on every page.
        phrases: What named the themes of `said`, as stems: a service may bear the word and another theme.
    """

    where: Where | None
    themes: tuple[int, ...]
    said: tuple[int, ...]
    words: tuple[str, ...]
    organisation_id: UUID | None
    sort: str
    after: tuple[float, UUID] | None
    limit: int
    today: date
    phrases: tuple[str, ...] = ()


@dataclass(slots=True)
class _Query:
    """An SQL text under construction, and the values that stand in it as numbered parameters."""

    values: list[Any] = field(default_factory=list)

    def bind(self, value: Any, cast: str) -> str:  # noqa: ANN401 - a parameter of any type
        self.values.append(value)
        return f"${len(self.values)}::{cast}"


async def search(connection: Connection, asked: Asked) -> Sequence[asyncpg.Record]:
    """Answer one page of cards, one for each service, at its nearest place.

    Each row holds: key (what it is sorted by, rising), chord (metres, null where there is no distance), total (of
    services, at most one more than `COUNT_UP_TO`), and the card's columns.
    """
    query = _Query()
    by_words = bool(asked.words or asked.said)
    if asked.sort == "distance" and asked.where is not None:
        key = "coalesce(f.chord, 'infinity')"
    elif asked.sort == "relevance" and by_words:
        key = f"-({_score(query, asked)})"
    elif asked.sort == "relevance" and asked.where is not None:
        key = "coalesce(f.chord, 'infinity')"
    else:
        key = "-(c.freshness - date '2000-01-01')::float8"
    # Sorted by distance, each branch stops at the page's end; sorted otherwise, all that fits is looked at.
    walks = key.startswith("coalesce")
    found = _found(query, asked, walks=walks)
    more = ""
    if asked.after is not None:
        place = query.bind(asked.after[0], "float8"), query.bind(asked.after[1], "uuid")
        more = f"where (k.key, k.service_id) > ({place[0]}, {place[1]})"
    limit = query.bind(asked.limit, "int")
    text = f"""
        with k as (
            select {key} as key, f.chord, f.service_id, f.card_id
            from (select distinct on (service_id) * from ({found}) a order by service_id, chord nulls last) f
            join card c on c.id = f.card_id
        ), page as (
            select * from k {more} order by key, service_id limit {limit}
        )
        select page.key, page.chord, page.service_id, ({_count(query, asked)}) as total,
            c.id, c.body, c.hours, c.time_zone, c.country, c.confidential, c.freshness, c.assured_by, c.themes,
            c.has_email, c.organisation_id,
            case when c.can_receive <> 'relais' or (o.facts -> 'scopes') ? 'referral:receive' and
                (o.facts -> 'active')::bool then c.can_receive
                when c.has_email then 'guest' else 'phone_only' end as can_receive
        from page
        join card c on c.id = page.card_id
        left join registered_organisation o on o.id = c.organisation_id
        order by page.key, page.service_id
    """  # noqa: S608 - built of our own words; every value is a parameter
    return await connection.fetch(text, *query.values)


def _found(query: _Query, asked: Asked, *, walks: bool) -> str:
    """Answer the candidates: (card_id, service_id, chord), each service at most once in a branch."""
    branches = [_branch(query, asked, theme, walks=walks) for theme in (asked.themes or (0,))]
    if asked.where is not None:
        branches.append(_coming(query, asked))
    return " union all ".join(branches)


def _branch(query: _Query, asked: Asked, theme: int, *, walks: bool) -> str:
    """Answer the candidates of one theme (0 is any), walking the index outwards from the place."""
    wanted = query.bind(theme, "smallint")
    filters = _filters(query, asked)
    join = "join card c on c.id = e.card_id" if filters else ""
    if asked.where is None:
        return f"""(
            select e.card_id, e.service_id, null::float8 as chord from search_entry e {join}
            where e.theme = {wanted} and e.lead {filters}
        )"""  # noqa: S608 - built of our own words; every value is a parameter
    point = f"cube({query.bind(list(asked.where.position), 'float8[]')})"
    reach = query.bind(chord_m(asked.where.radius_m), "float8")
    order = ""
    if walks:
        after = ""
        if asked.after is not None:
            # The walk still passes what earlier pages showed, but hands nothing of it on.
            place = query.bind(asked.after[0], "float8"), query.bind(asked.after[1], "uuid")
            after = f"and (e.position <-> {point}, e.service_id) > ({place[0]}, {place[1]})"
        limit = query.bind(asked.limit, "int")
        order = f"{after} order by e.position <-> {point}, e.service_id limit {limit}"
    return f"""(
        select e.card_id, e.service_id, e.position <-> {point} as chord from search_entry e {join}
        where {_near(point, reach, wanted)} {filters} {order}
    )"""  # noqa: S608 - built of our own words; every value is a parameter


def _near(point: str, reach: str, theme: str) -> str:
    """Answer the condition: within reach, and no nearer place of the same service."""
    return f"""
        e.theme = {theme} and e.position <@ cube_enlarge({point}, {reach}, 3) and e.position <-> {point} <= {reach}
        and (e.alone or not exists (
            select from search_entry n where n.theme = e.theme and n.service_id = e.service_id
            and (n.position <-> {point}, n.card_id) < (e.position <-> {point}, e.card_id)
        ))
    """


def _coming(query: _Query, asked: Asked) -> str:
    """Answer the services that come to the person there, and have no place within reach."""
    assert asked.where is not None  # noqa: S101 - asked for with a place alone
    point = f"cube({query.bind(list(asked.where.position), 'float8[]')})"
    reach = query.bind(chord_m(asked.where.radius_m), "float8")
    codes = query.bind(list(asked.where.codes), "varchar[]")
    theme = f"and c.themes && {query.bind(list(asked.themes), 'smallint[]')}" if asked.themes else ""
    return f"""(
        select c.id, c.service_id, null::float8 from card c
        where c.position is null and c.areas && {codes} {theme} {_filters(query, asked)}
        and not exists (
            select from search_entry e where e.service_id = c.service_id and e.theme = 0
            and e.position <-> {point} <= {reach}
        )
    )"""  # noqa: S608 - built of our own words; every value is a parameter


def _filters(query: _Query, asked: Asked) -> str:
    """Answer the conditions on a card beside place and theme."""
    found = ""
    if asked.organisation_id is not None:
        found += f" and c.organisation_id = {query.bind(asked.organisation_id, 'uuid')}"
    if asked.said:
        found += (
            f" and (c.themes && {query.bind(list(asked.said), 'smallint[]')} or c.document @@ {_words(query, asked)})"
        )
    elif asked.words:
        found += f" and c.document @@ {_words(query, asked)}"
    return found


def _words(query: _Query, asked: Asked) -> str:
    # Stems are of letters and digits alone: nothing of the query's grammar can stand in them.
    groups = [phrase.split() for phrase in asked.phrases]
    texts = [" & ".join(f"{word}:*" for word in group) for group in groups]
    if asked.words:
        texts.append(" & ".join(word if word.startswith("(") else f"{word}:*" for word in asked.words))
    return query.bind(" | ".join(texts), "tsquery")


def _score(query: _Query, asked: Asked) -> str:
    """Answer relevance from 0 to 1: half words, a third nearness, the rest freshness (docs/search.md)."""
    parts = ["0"]
    if asked.said:
        parts.append(f"0.5 * (c.themes && {query.bind(list(asked.said), 'smallint[]')})::int")
    if asked.words or asked.phrases:
        parts.append(f"ts_rank(c.document, {_words(query, asked)}, 32)")
    said = f"least(1, {' + '.join(parts)})"
    fresh = f"exp(-greatest(0, {query.bind(asked.today, 'date')} - c.freshness) * ln(2) / 180)"
    if asked.where is None:
        return f"0.75 * {said} + 0.25 * {fresh}"
    reach = query.bind(asked.where.radius_m, "float8")
    return f"0.5 * {said} + 0.35 * (1 - least(1, coalesce(f.chord, {reach}) / {reach})) + 0.15 * {fresh}"


def _count(query: _Query, asked: Asked) -> str:
    """Answer how many services fit, at most one more than `COUNT_UP_TO`."""
    enough = COUNT_UP_TO + 1
    parts = []
    for theme in asked.themes or (0,):
        wanted = query.bind(theme, "smallint")
        filters = _filters(query, asked)
        join = "join card c on c.id = e.card_id" if filters else ""
        fits = f"e.theme = {wanted} and e.lead"
        if asked.where is not None:
            point = f"cube({query.bind(list(asked.where.position), 'float8[]')})"
            fits = _near(point, query.bind(chord_m(asked.where.radius_m), "float8"), wanted)
        parts.append(
            f"(select e.service_id from search_entry e {join} where {fits} {filters} limit {enough})"  # noqa: S608 - built of our own words; every value is a parameter
        )
    if asked.where is not None:
        parts.append(
            f"(select service_id from ({_coming(query, asked)}) x (card_id, service_id, chord) limit {enough})"  # noqa: S608 - the same
        )
    if len(parts) == 1:
        return f"select count(*) from {parts[0]} n"  # noqa: S608 - the same
    return f"select count(*) from (select distinct service_id from ({' union all '.join(parts)}) n limit {enough}) m"  # noqa: S608 - the same


LIKE_ENOUGH: Final = 0.4
"""Trigram likeness from which a word of the directory is taken for a mistyped one."""


async def neighbours(connection: Connection, words: Sequence[str]) -> dict[str, list[str]]:
    """Answer, for each word that begins no word of the directory, the words there that are most like it."""
    rows = await connection.fetch(
        """
        select w.word, array(
            select v.word from vocabulary v where v.word % w.word and similarity(v.word, w.word) >= $2
            order by similarity(v.word, w.word) desc, v.word limit 3
        ) as near
        from unnest($1::text[]) w (word)
        where not exists (select from vocabulary v where v.word like w.word || '%')
        """,
        list(words),
        LIKE_ENOUGH,
    )
    return {row["word"]: list(row["near"]) for row in rows}


async def places(connection: Connection, text: str, postcode: str, limit: int, home: str) -> Sequence[asyncpg.Record]:
    """Answer places by the beginning of a name (plain), of a word of it, or of a postcode.

    The best match first, then those of the home country, then the best known.
    """
    return await connection.fetch(
        """
        select p.*, m.name as municipality_name,
            case when p.names like '%|' || $1 || '|%' then 0
                 when p.names like '%|' || $1 || '%' then 1
                 when $2 <> '' and $2 = any(p.postcodes) then 0
                 when $2 <> '' then 1 else 2 end as rank
        from place p left join place m on m.code = p.parent
        where ($1 <> '' and (p.names like '%|' || $1 || '%' or p.names like '% ' || $1 || '%'))
            or ($2 <> '' and exists (select from unnest(p.postcodes) c where c like $2 || '%'))
        order by rank, p.country <> $4, p.kind = 'locality', p.population desc, p.name, p.code
        limit $3
        """,
        text,
        postcode,
        limit,
        home,
    )


async def place_by_code(connection: Connection, code: str) -> asyncpg.Record | None:
    """Answer a place by its code."""
    return await connection.fetchrow("select * from place where code = $1", code)


async def places_of_postcode(connection: Connection, country: str, postcode: str) -> Sequence[asyncpg.Record]:
    """Answer the places that carry a postcode: its localities, else its municipalities."""
    rows = await connection.fetch(
        "select * from place where postcodes @> array[$2]::varchar[] and country = $1", country, postcode
    )
    return [row for row in rows if row["kind"] == "locality"] or rows


async def nearest_municipality(connection: Connection, position: Position) -> asyncpg.Record | None:
    """Answer the municipality whose point is nearest."""
    return await connection.fetchrow(
        """
        select * from place where kind = 'municipality' order by position <-> cube($1::float8[]) limit 1
        """,
        list(position),
    )


async def terms(connection: Connection, taxonomy: str) -> Sequence[asyncpg.Record]:
    """Answer the terms of a taxonomy, parents first."""
    return await connection.fetch("select * from taxonomy_term where taxonomy = $1 order by id", taxonomy)


async def service(connection: Connection, id_: UUID) -> asyncpg.Record | None:
    """Answer all that is known of a service, with its organisation, places, contacts and terms."""
    return await connection.fetchrow(
        """
        select s.*, coalesce(r.facts ->> 'name', o.name) as organisation_name,
            o.description as organisation_description, o.website as organisation_website,
            o.email as organisation_email,
            case when s.can_receive <> 'relais' or (r.facts -> 'scopes') ? 'referral:receive' and
                (r.facts -> 'active')::bool then s.can_receive
                when s.email is not null then 'guest' else 'phone_only' end as receives,
            array(select l.code from language l where l.service_id = s.id order by l.code) as languages,
            array(select t.code from attribute a join taxonomy_term t on t.id = a.term_id
                where a.service_id = s.id and t.taxonomy = 'themes' order by t.id) as themes,
            exists (select from attribute a join taxonomy_term t on t.id = a.term_id
                where a.service_id = s.id and t.sensitive) as sensitive,
            array(select t.code from attribute a join taxonomy_term t on t.id = a.term_id
                where a.service_id = s.id and t.taxonomy = 'audiences' order by t.id) as audiences,
            array(select a.uri from service_area a where a.service_id = s.id order by a.uri) as area,
            (select p.number from phone p where p.service_id = s.id limit 1) as phone,
            (select jsonb_build_object('available', c.available, 'waiting_days', c.waiting_days,
                'updated_at', c.updated) from service_capacity c where c.service_id = s.id)::text as capacity,
            (select jsonb_build_object('id', c.id, 'name', c.name, 'function', c.title, 'email', c.email,
                'hours', c.hours, 'phone', (select p.number from phone p where p.contact_id = c.id limit 1))
                from contact c where c.service_id = s.id and c.relay limit 1)::text as relay_contact,
            (select jsonb_agg(jsonb_build_object('id', l.id, 'name', l.name, 'street', a.address_1,
                'postcode', a.postal_code, 'municipality', a.city, 'country', a.country,
                'municipality_code', l.municipality_code, 'latitude', l.latitude, 'longitude', l.longitude,
                'precision', l.precision, 'confidential', l.confidential, 'nearest_stop', l.transportation,
                'wheelchair', (select w.wheelchair from accessibility w where w.location_id = l.id limit 1),
                'hours', h.description, 'time_zone', h.time_zone) order by l.id)
                from service_at_location sal join location l on l.id = sal.location_id
                left join address a on a.location_id = l.id
                left join schedule h on h.service_at_location_id = sal.id
                where sal.service_id = s.id)::text as places
        from service s join organisation o on o.id = s.organisation_id
        left join registered_organisation r on r.id = o.id
        where s.id = $1
        """,
        id_,
    )


REFRESH: Final = """
    with s as (
        select s.*, o.name as organisation_name,
            array(select a.term_id from attribute a join taxonomy_term t on t.id = a.term_id
                where a.service_id = s.id and t.taxonomy = 'themes' order by a.term_id) as own_themes,
            array(select t.code from attribute a join taxonomy_term t on t.id = a.term_id
                where a.service_id = s.id and t.taxonomy = 'themes' order by t.id) as slugs,
            array(select a.uri from service_area a where a.service_id = s.id order by a.uri) as area,
            (select jsonb_build_object('available', c.available, 'waiting_days', c.waiting_days,
                'updated_at', to_char(c.updated at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
                from service_capacity c where c.service_id = s.id) as capacity,
            (select jsonb_build_object('id', c.id, 'name', c.name, 'function', c.title, 'email', c.email,
                'phone', (select p.number from phone p where p.contact_id = c.id limit 1), 'hours', c.hours)
                from contact c where c.service_id = s.id and c.relay limit 1) as relay
        from service s join organisation o on o.id = s.organisation_id
        where s.id = any($1::uuid[]) and s.retired_at is null and s.status in ('active', 'temporarily closed')
    ), made as (
        insert into card (service_id, location_id, organisation_id, position, lead, areas, themes, confidential,
            freshness, assured_by, hours, time_zone, country, has_email, can_receive, document, body)
        select s.id, at.location_id, s.organisation_id, cube(at.position),
            row_number() over (partition by s.id order by at.position is null, at.location_id) = 1,
            -- A service that comes, and tells no area, comes everywhere.
            case when at.position is not null then '{}' when s.area = '{}' then array['*']::varchar[]
                else s.area end,
            array(select distinct t.id from unnest(s.own_themes) own (id) join taxonomy_term u on u.id = own.id
                join taxonomy_term t on t.id = own.id or t.code = u.parent order by t.id),
            at.confidential, coalesce(s.assured_date, date '2000-01-01'), s.assurer, at.hours, at.time_zone,
            at.country, s.email is not null, s.can_receive,
            setweight(to_tsvector('simple', s.texts[1]), 'A') || setweight(to_tsvector('simple', s.texts[2]), 'B')
                || setweight(to_tsvector('simple', s.texts[3]), 'C')
                || setweight(to_tsvector('simple', s.texts[4]), 'D'),
            regexp_replace(jsonb_build_object(
                'id', s.id,
                'service', jsonb_build_object('id', s.id, 'name', s.name, 'themes', s.slugs,
                    'description', s.description),
                'organisation', jsonb_build_object('id', s.organisation_id, 'name', s.organisation_name),
                'location', jsonb_build_object(
                    'id', case when at.position is null then null else at.location_id end,
                    'type', case when at.position is null then 'virtual' else 'physical' end,
                    'name', at.location_name,
                    'address', jsonb_build_object('street', at.street, 'postcode', at.postcode,
                        'municipality', at.city, 'country', nullif(at.country, '')),
                    'latitude', at.latitude, 'longitude', at.longitude, 'precision', at.precision,
                    'confidential', at.confidential, 'nearest_stop', at.stop, 'wheelchair', at.wheelchair),
                'modes', s.modes, 'free', s.free, 'alert', s.alert, 'reception', s.reception,
                'capacity', s.capacity, 'relay_contact', s.relay,
                'source', jsonb_build_object('name', s.source, 'record_id', s.record_id, 'url', s.url)
            )::text, '}$', '')
        -- Each service looks for its own places: two whole lists joined would take the square of a batch.
        from s cross join lateral (
            select s.id as service_id, l.id as location_id, l.name as location_name, l.confidential, l.position,
                case when l.confidential then null else l.latitude end as latitude,
                case when l.confidential then null else l.longitude end as longitude,
                case when l.confidential then null else a.address_1 end as street,
                case when l.confidential then null else a.postal_code end as postcode,
                a.city, coalesce(a.country, '') as country, l.municipality_code,
                case when l.confidential then null else l.transportation end as stop,
                case when l.confidential then null else h.description end as hours,
                coalesce(h.time_zone, 'UTC') as time_zone,
                (select w.wheelchair from accessibility w where w.location_id = l.id limit 1) as wheelchair,
                l.precision
            from service_at_location sal join location l on l.id = sal.location_id
            left join address a on a.location_id = l.id
            left join schedule h on h.service_at_location_id = sal.id
            where sal.service_id = s.id and l.position is not null
            union all
            select s.id, '00000000-0000-0000-0000-000000000000'::uuid, null, false, null, null, null, null, null, null,
                '', null, null, null, 'UTC', null, null
            where s.modes && array['remote', 'at_home']::varchar[]
        ) at
        returning *
    )
    insert into search_entry (theme, card_id, service_id, position, alone, lead, freshness)
    select theme, made.id, made.service_id, made.position,
        count(made.position) over (partition by made.service_id, theme) = 1, made.lead, made.freshness
    from made cross join lateral unnest(made.themes || 0::smallint) theme
"""
"""Builds the cards and search entries of services from their tables, after those that stood were removed."""


async def refresh(connection: Connection, service_ids: Sequence[UUID]) -> None:
    """Build the cards and search entries of some services anew; a retired one has none."""
    await connection.execute("delete from card where service_id = any($1::uuid[])", list(service_ids))
    await connection.execute(REFRESH, list(service_ids))
    await connection.execute(
        """
        insert into vocabulary
        select distinct w from card c, unnest(tsvector_to_array(c.document)) w
        where c.service_id = any($1::uuid[]) and length(w) between 3 and 40
        on conflict do nothing
        """,
        list(service_ids),
    )
