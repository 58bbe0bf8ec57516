"""What search asks of the database: one statement for a page of cards, its facets, and what it takes for granted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from relais_directory.domain import freshness
from relais_directory.domain.areas import EVERYWHERE
from relais_directory.domain.days import ZONE
from relais_directory.domain.geo import chord_m
from relais_directory.store import Connection, Position

COUNT_UP_TO: Final = 1_000
"""Counting stops here: an exact total of a large city costs more than the search (design 4)."""

WALK_UP_TO: Final = 10_000
"""Services that the pages of a search by relevance or freshness lead through: nobody reads further."""

WALK_MINUTES: Final = 30
"""As long as somebody may take for all pages of a search."""

CAPACITY_HELD_DAYS: Final = 60
"""What was told longer ago is not counted on: two months are a term's change of places."""

CAPACITY_HALF_LIFE_DAYS: Final = 14
"""After two weeks what was told of open places is worth half in the order."""


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
        audiences: Ids; a service for everybody is for each of them.
        modes: on_site, remote, at_home; one of them.
        languages: One of them.
        reception: Facts of the reception, all of them.
        residence: Codes of the areas where the person lives; None where nobody asked.
        wheelchair: Only places for wheelchairs.
        free: Only what costs nothing.
        has_capacity: Only where a place was told to be open, lately.
        stop_m: Only places with a stop at most so many metres away.
        open_ids: Only places with one of these opening hours; None where nobody asked.
        reachable_ids: Hours of relay contacts who can be reached now: they come a little earlier.
        every_place: Not only the nearest place of a service.
        only: The services of this page in order, from a kept search.
        since: Only services that came later.
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
    audiences: tuple[int, ...] = ()
    modes: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    reception: tuple[str, ...] = ()
    residence: tuple[str, ...] | None = None
    wheelchair: bool = False
    free: bool = False
    has_capacity: bool = False
    stop_m: int | None = None
    open_ids: tuple[int, ...] | None = None
    reachable_ids: tuple[int, ...] = ()
    every_place: bool = False
    only: tuple[UUID, ...] | None = None
    since: datetime | None = None

    @property
    def walks(self) -> bool:
        """Say whether pages follow the distance, which nothing changes but a move; else their order is kept."""
        return self.sort == "distance" and self.where is not None and self.only is None

    @property
    def of_places(self) -> bool:
        """Say whether a filter tells the places of one service apart: then the nearest may not be the one."""
        return self.every_place or self.wheelchair or self.stop_m is not None or self.open_ids is not None


@dataclass(slots=True)
class _Query:
    """An SQL text under construction, and the values that stand in it as numbered parameters."""

    values: list[Any] = field(default_factory=list)

    def bind(self, value: Any, cast: str) -> str:  # noqa: ANN401 - a parameter of any type
        self.values.append(value)
        return f"${len(self.values)}::{cast}"


async def search(connection: Connection, asked: Asked) -> Sequence[asyncpg.Record]:
    """Answer one page of cards, one for each service, at its nearest place.

    Each row holds, in the order that `routes.search` reads them: key (what it is sorted by, rising), chord (metres,
    null where there is no distance), service_id, total (of services, at most one more than `COUNT_UP_TO`), ids (the
    first row alone: the services of all pages in order, unless they are walked by distance), and the card's columns,
    its body as bytes: nobody reads them on their way.
    """
    query = _Query()
    # Sorted by distance, each branch stops at the page's end; sorted otherwise, all that fits is looked at.
    walks = asked.walks
    more = ""
    # What stands on the card is read for the page alone, unless it makes the order.
    of_card = False
    if asked.only is not None:
        key = f"array_position({query.bind(list(asked.only), 'uuid[]')}, f.service_id)::float8"
    elif asked.sort == "distance" and asked.where is not None:
        key = "coalesce(f.chord, 'infinity')"
    elif asked.sort == "relevance":
        key, of_card = f"-({_score(query, asked)})", True
    else:
        key, of_card = "-(c.freshness - date '2000-01-01')::float8", True
    near, coming = _found(query, asked, walks=walks and not asked.of_places)
    if walks and asked.after is not None:
        place = query.bind(asked.after[0], "float8"), query.bind(asked.after[1], "uuid")
        more = f"where (k.key, k.service_id) > ({place[0]}, {place[1]})"
    limit = query.bind(asked.limit, "int")
    found = " union all ".join((*near, *coming))
    first = _meant(query, asked)
    if walks and coming and not asked.of_places:
        # What comes stands behind what is near: where that fills the page, nobody looks further.
        first += f"near as materialized ({' union all '.join(near)}),"
        full = f"(select count(distinct service_id) from near) >= {limit}"
        found = " union all ".join(
            ("select * from near", *(f"select * from {one} b where not {full}" for one in coming))
        )
    ordered, total, ids = "k", _count(query, asked) if walks else "", "null::uuid[]"
    if not walks:
        # Everything was looked at: counting it and keeping its order costs nothing more.
        ordered = f"(select * from k order by key, service_id limit {WALK_UP_TO})"
        total = "select count(*) from ordered"
        if asked.only is None:
            ids = """case when row_number() over (order by page.key, page.service_id) = 1
                then (select array_agg(service_id order by key, service_id) from ordered) end"""
    text = f"""
        with {first} k as (
            select {key} as key, f.chord, f.service_id, f.card_id
            from (select distinct on (service_id) * from ({found}) a order by service_id, chord nulls last) f
            {"join card c on c.id = f.card_id" if of_card else ""}
        ), ordered as {"not" if walks else ""} materialized (
            select * from {ordered} o
        ), page as (
            select * from ordered k {more} order by key, service_id limit {limit}
        )
        select page.key, page.chord, page.service_id, ({total}) as total, {ids} as ids,
            convert_to(c.body, 'UTF8') as body, c.opening_id, c.relay_opening_id, c.confidential, c.freshness,
            c.assured_by, c.themes, c.available, c.waiting_days, c.capacity_at, c.stops,
            case when c.can_receive <> 'relais' or (o.facts -> 'scopes') ? 'referral:receive' and
                (o.facts -> 'active')::bool then c.can_receive
                when c.has_email then 'guest' else 'phone_only' end as can_receive
        from page
        join card c on c.id = page.card_id
        left join registered_organisation o on o.id = c.organisation_id
        order by page.key, page.service_id
    """
    return await connection.fetch(text, *query.values)


async def keep_walk(connection: Connection, ids: Sequence[UUID]) -> UUID:
    """Keep the order of a search for its next pages: what is written meanwhile moves nothing in it."""
    return UUID(
        str(
            await connection.fetchval(
                f"""
                with old as (delete from search_walk where at < now() - interval '{WALK_MINUTES} minutes')
                insert into search_walk (ids) values ($1::uuid[]) returning id
                """,
                list(ids),
            )
        )
    )


async def walk(connection: Connection, id_: UUID, offset: int, limit: int) -> tuple[int, list[UUID]] | None:
    """Answer how many services a kept search found, and those of one page in order; None where it is forgotten."""
    row = await connection.fetchrow(
        "select cardinality(ids) as total, ids[$2::int : $3::int] as ids from search_walk where id = $1",
        id_,
        offset + 1,
        offset + limit,
    )
    return (row["total"], list(row["ids"])) if row else None


def _found(query: _Query, asked: Asked, *, walks: bool) -> tuple[list[str], list[str]]:
    """Answer selects of (card_id, service_id, chord), each service once in each: of what is near, of what comes."""
    near = [_branch(query, asked, theme, walks=walks) for theme in (asked.themes or (0,))]
    coming: list[str] = []
    if asked.where is not None:
        coming = [one for theme in (asked.themes or (0,)) for one in _coming(query, asked, theme, walks=walks)]
    return near, coming


def _branch(query: _Query, asked: Asked, theme: int, *, walks: bool) -> str:
    """Answer the candidates of one theme (0 is any), walking the index outwards from the place."""
    wanted = query.bind(theme, "smallint")
    filters = _spoken(asked) + _filters(query, asked)
    join = "join card c on c.id = e.card_id" if " c." in filters else ""
    if asked.where is None:
        return f"""(
            select e.card_id, e.service_id, null::float8 as chord from search_entry e {join}
            where e.theme = {wanted} {"" if asked.of_places else "and e.lead"} {filters}
        )"""
    point = _point(query, asked.where)
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
        where {_near(point, reach, wanted, asked)} {filters} {order}
    )"""


def _point(query: _Query, where: Where) -> str:
    """Answer the point; made once for a statement, not for each row that is measured from it."""
    return f"(select cube({query.bind(list(where.position), 'float8[]')}))"


def _ball(point: str, reach: str) -> str:
    """Answer what the index is asked for: a box around what is within reach; made once, as the point is."""
    return f"(select cube_enlarge({point}, {reach}, 3))"


def _near(point: str, reach: str, theme: str, asked: Asked) -> str:
    """Answer the condition: within reach, and no nearer place of the same service, where places are all alike.

    A select with a limit is asked for each row; `not exists` would be hashed over the whole table for a common theme.
    """
    within = f"""
        e.theme = {theme} and e.position <@ {_ball(point, reach)} and e.position <-> {point} <= {reach}
    """
    if asked.of_places:
        return within
    return f"""{within}
        and (e.alone or (
            select true from card n where n.service_id = e.service_id
            and (n.position <-> {point}, n.id) < (e.position <-> {point}, e.card_id) limit 1
        ) is null)
    """


def _coming(query: _Query, asked: Asked, theme: int, *, walks: bool, apart: bool = False) -> list[str]:
    """Answer the services of one theme that come to the person there.

    Two selects: those that come everywhere stand in an index in their order, those of some areas are few.

    Walked, or `apart`, they leave out what has a place within reach. Whoever unites all selects by service anyhow and
    takes the nearest place does without: it costs a look for each service that comes.
    """
    assert asked.where is not None  # noqa: S101 - asked for with a place alone
    codes = query.bind([code for code in asked.where.codes if code != EVERYWHERE], "varchar[]")
    wanted = query.bind(theme, "smallint")
    filters = _filters(query, asked)
    absent = ""
    # Where a filter tells places apart, what has a place that does not fit does not come instead.
    if walks or apart or asked.of_places:
        point = _point(query, asked.where)
        reach = query.bind(chord_m(asked.where.radius_m), "float8")
        absent = f"""
            and (e.alone or (
                select true from card n where n.service_id = e.service_id and n.position <-> {point} <= {reach} limit 1
            ) is null)
        """
    order = ""
    if walks:
        # They come behind everything that has a distance.
        after = ""
        if asked.after is not None:
            place = query.bind(asked.after[0], "float8"), query.bind(asked.after[1], "uuid")
            after = f"and ('infinity'::float8, e.service_id) > ({place[0]}, {place[1]})"
        order = f"{after} order by e.service_id limit {query.bind(asked.limit, 'int')}"
    join = "join card c on c.id = e.card_id" if " c." in filters else ""
    own = ""
    if asked.said:
        # Few, and their cards are at hand.
        own = f" and (c.themes && {query.bind(list(asked.said), 'smallint[]')} or c.document @@ {_words(query, asked)})"
    elif asked.words:
        own = _spoken(asked)
    return [
        f"""(
            select e.card_id, e.service_id, null::float8 as chord from search_entry e {join}
            where e.theme = {wanted} and e.everywhere {_spoken(asked, coming=True)} {absent} {filters} {order}
        )""",
        f"""(
            select e.card_id, e.service_id, null::float8 as chord
            from card c join search_entry e on e.card_id = c.id and e.theme = {wanted}
            where c.position is null and c.areas && {codes} {own} {absent} {filters} {order}
        )""",
    ]


def _spoken(asked: Asked, *, coming: bool = False) -> str:
    """Answer the condition that a card is one of those that the words mean."""
    if not asked.said and not asked.words:
        return ""
    # `is true` keeps them a table of hashes that each row is looked up in, whatever the planner would make of it.
    return f" and (e.card_id in (select card_id from {'meant_coming' if coming and asked.said else 'meant'})) is true"


def _filters(query: _Query, asked: Asked) -> str:  # noqa: C901, PLR0912 - one line for each filter
    """Answer the conditions on a card beside place and theme."""
    found = ""
    if asked.organisation_id is not None:
        found += f" and c.organisation_id = {query.bind(asked.organisation_id, 'uuid')}"
    if asked.audiences:
        # A service for everybody is never hidden: it names no audience.
        found += f" and (c.audiences = '{{}}' or c.audiences && {query.bind(list(asked.audiences), 'smallint[]')})"
    for column, wanted in (("modes", asked.modes), ("languages", asked.languages)):
        if wanted:
            found += f" and c.{column} && {query.bind(list(wanted), 'varchar[]')}"
    if asked.reception:
        found += f" and c.reception @> {query.bind(list(asked.reception), 'varchar[]')}"
    if asked.residence is not None:
        found += f" and c.areas && {query.bind(list(asked.residence), 'varchar[]')}"
    if asked.wheelchair:
        found += " and c.wheelchair"
    if asked.free:
        found += " and c.free"
    if asked.has_capacity:
        found += f" and c.available > 0 and c.capacity_at >= {_held(query, asked)}"
    if asked.stop_m is not None:
        found += f" and c.stop_m <= {query.bind(asked.stop_m, 'int')}"
    if asked.open_ids is not None:
        found += f" and c.opening_id = any({query.bind(list(asked.open_ids), 'int[]')})"
    if asked.since is not None:
        newer = query.bind(asked.since, "timestamptz")
        found += f" and exists (select from service s where s.id = c.service_id and s.created_at >= {newer})"
    if asked.only is not None:
        found += f" and e.service_id = any({query.bind(list(asked.only), 'uuid[]')})"
    return found


def _held(query: _Query, asked: Asked) -> str:
    """Answer from which instant on what was told of open places is counted on: from the beginning of a day."""
    first = asked.today - timedelta(days=CAPACITY_HELD_DAYS)
    return query.bind(datetime.combine(first, time.min, ZONE), "timestamptz")


def _meant(query: _Query, asked: Asked) -> str:
    """Answer the beginning of a statement: the cards that the words mean, found once by their indexes.

    Asked card by card around a place, reading the cards is nearly all of what a search costs: there are tens of
    thousands, and few of them fit. A theme's are asked for no farther than the search reaches, or they come.
    """
    if not asked.said and not asked.words:
        return ""
    wanted = f" and themes && {query.bind(list(asked.themes), 'smallint[]')}" if asked.themes else ""
    worded = f"select id as card_id from card where document @@ {_words(query, asked)}{wanted}"
    if not asked.said:
        return f"meant as materialized ({worded}),"
    of_theme = [f"select card_id from search_entry where theme = {query.bind(one, 'smallint')}" for one in asked.said]
    near, comes = of_theme, []
    if asked.where is not None:
        ball = _ball(_point(query, asked.where), query.bind(chord_m(asked.where.radius_m), "float8"))
        near = [f"{one} and position <@ {ball}" for one in of_theme]
        comes = [f"{one} and everywhere" for one in of_theme]
    return f"""
        worded as materialized ({worded}),
        meant as materialized ({" union all ".join(("select card_id from worded", *near))}),
        meant_coming as materialized ({" union all ".join(("select card_id from worded", *comes))}),
    """


def _words(query: _Query, asked: Asked) -> str:
    # Stems are of letters and digits alone: nothing of the query's grammar can stand in them.
    groups = [phrase.split() for phrase in asked.phrases]
    texts = [" & ".join(f"{word}:*" for word in group) for group in groups]
    if asked.words:
        texts.append(" & ".join(word if word.startswith("(") else f"{word}:*" for word in asked.words))
    return query.bind(" | ".join(texts), "tsquery")


def _score(query: _Query, asked: Asked) -> str:
    """Answer relevance from 0 to 1; docs/search.md explains the weights, a test holds them."""
    parts = ["0"]
    if asked.said:
        parts.append(f"0.5 * (c.themes && {query.bind(list(asked.said), 'smallint[]')})::int")
    if asked.words or asked.phrases:
        parts.append(f"ts_rank(c.document, {_words(query, asked)}, 32)")
    today = query.bind(asked.today, "date")
    age = f"greatest(0, {today} - (c.capacity_at at time zone '{ZONE.key}')::date)"
    terms = {
        "words": f"least(1, {' + '.join(parts)})",
        "near": "0.5",
        "fresh": f"exp(-greatest(0, {today} - c.freshness) * ln(2) / {freshness.HALF_LIFE_DAYS})",
        # Told lately, an open place lifts and a full house sinks; told long ago or never, neither.
        "capacity": f"coalesce(0.3 + case when c.available > 0 then 0.7 when c.available = 0 then -0.3 else 0 end"
        f" * exp(-{age} * ln(2) / {CAPACITY_HALF_LIFE_DAYS}), 0.3)",
        "receives": "case c.can_receive when 'relais' then 0.6 when 'guest' then 0.3 else 0 end"
        f" + 0.4 * coalesce(c.relay_opening_id = any({query.bind(list(asked.reachable_ids), 'int[]')}), false)::int",
    }
    weights = dict(WEIGHTS)
    if len(parts) == 1:
        del weights["words"]
    if asked.where is None:
        del weights["near"]
    else:
        reach = query.bind(asked.where.radius_m, "float8")
        # What comes to the person is neither near nor far.
        terms["near"] = f"coalesce(1 - least(1, f.chord / {reach}), 0.5)"
    whole = sum(weights.values())
    return " + ".join(f"{weight / whole:.6f} * ({terms[name]})" for name, weight in weights.items())


WEIGHTS: Final = {"words": 0.45, "near": 0.30, "fresh": 0.10, "capacity": 0.10, "receives": 0.05}
"""What relevance is made of; what a search does not ask for leaves its weight to the others."""


def _count(query: _Query, asked: Asked) -> str:
    """Answer how many services fit, at most one more than `COUNT_UP_TO`."""
    enough = COUNT_UP_TO + 1
    near, coming = _fitting(query, asked, f"limit {enough}" if not asked.of_places else "", apart=True)
    if len(near) == 1 and not asked.of_places:
        # Of one theme each service stands in one branch; where enough are near, nobody looks at what comes.
        there = f"select count(*) as services from {near[0]} n"
        if not coming:
            return there
        come = " + ".join(f"(select count(*) from {one} n)" for one in coming)
        return f"select case when t.services >= {enough} then {enough} else t.services + {come} end from ({there}) t"
    union = " union all ".join((*near, *coming))
    return f"select count(*) from (select distinct service_id from ({union}) n limit {enough}) m"


def _fitting(query: _Query, asked: Asked, limit: str, *, apart: bool) -> tuple[list[str], list[str]]:
    """Answer the selects of (card_id, service_id) that fit: of what stands near, of what comes; for each theme."""
    near, coming = [], []
    for theme in asked.themes or (0,):
        wanted = query.bind(theme, "smallint")
        filters = _spoken(asked) + _filters(query, asked)
        join = "join card c on c.id = e.card_id" if " c." in filters else ""
        fits = f"e.theme = {wanted}" + ("" if asked.of_places else " and e.lead")
        if asked.where is not None:
            point = _point(query, asked.where)
            fits = _near(point, query.bind(chord_m(asked.where.radius_m), "float8"), wanted, asked)
            coming += [
                f"(select card_id, service_id from {one} x {limit})"
                for one in _coming(query, asked, theme, walks=False, apart=apart)
            ]
        near.append(f"(select e.card_id, e.service_id from search_entry e {join} where {fits} {filters} {limit})")
    return near, coming


FACETS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "theme": ("unnest(c.themes)", {"themes": ()}),
    "audience": ("unnest(c.audiences || case when c.audiences = '{}' then 0::smallint end)", {"audiences": ()}),
    "mode": ("unnest(c.modes)", {"modes": ()}),
    "language": ("unnest(c.languages)", {"languages": ()}),
    "reception": ("unnest(c.reception)", {}),
    "free": ("nullif(c.free, false)", {"free": False}),
    "wheelchair": ("nullif(c.wheelchair, false)", {"wheelchair": False, "every_place": True}),
    "has_capacity": ("nullif(c.available > 0 and c.capacity_at >= {held}, false)", {"has_capacity": False}),
    "organisation_id": ("c.organisation_id", {"organisation_id": None}),
}
"""Each facet: where its values stand on a card, and what is not asked for while they are counted."""

FACET_VALUES: Final = 100
"""Values told of one facet, the most frequent ones."""


async def facet(connection: Connection, asked: Asked, name: str) -> dict[str, int]:
    """Answer how many services each value of a facet would find, all other filters as they are.

    The count of a value is the total of the same search with that value alone in the place of the facet's filter.
    """
    values, without = FACETS[name]
    asked = replace(asked, **without)
    query = _Query()
    if name == "has_capacity":
        values = values.format(held=_held(query, asked))
    near, coming = _fitting(query, asked, "", apart=False)
    rows = await connection.fetch(
        f"""
        with {_meant(query, asked)} f as ({" union all ".join((*near, *coming))})
        select v.value::text as value, count(distinct f.service_id) as services
        from f join card c on c.id = f.card_id
        cross join lateral (select {values} as value) v
        where v.value is not null group by v.value order by services desc, value limit {FACET_VALUES}
        """,
        *query.values,
    )
    return {row["value"]: row["services"] for row in rows}


async def openings_around(connection: Connection, asked: Asked) -> list[int]:
    """Answer the ids of all opening hours that places have which fit otherwise."""
    query = _Query()
    near, coming = _fitting(query, replace(asked, open_ids=None, every_place=True), "", apart=False)
    rows = await connection.fetch(
        f"with {_meant(query, asked)} f as ({' union all '.join((*near, *coming))})"
        " select distinct c.opening_id from f join card c on c.id = f.card_id where c.opening_id is not null",
        *query.values,
    )
    return [row["opening_id"] for row in rows]


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
