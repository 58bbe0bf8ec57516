"""Search: cards by place, theme and words. Finished JSON passes through as bytes; docs/search.md explains the order."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import cache, lru_cache
from math import inf
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

import asyncpg
import orjson
from fastapi import Request, Response
from starlette.datastructures import State

from relais_directory import search_store, store
from relais_directory.cards import CLOSING, LONG_AGO, closed_or_not
from relais_directory.data import lookalikes
from relais_directory.data import words as spelt_words
from relais_directory.domain import freshness
from relais_directory.domain.areas import codes_of
from relais_directory.domain.days import day_of
from relais_directory.domain.geo import geodesic_m, position
from relais_directory.domain.words import Lexicon, Meaning, plain, stem
from relais_directory.nearby import Municipalities
from relais_directory.openings import Judge
from relais_directory.routes.dependencies import searching
from relais_directory.schemas import SearchPage, SearchQuery
from relais_shared import problems
from relais_shared.auth import Actor, requires
from relais_shared.clock import now_of
from relais_shared.http import CursorCodec, next_link, parameters_of, read_parameters
from relais_shared.refusals import Fault, InvalidInput, ScopeMissing, Unauthenticated, Unavailable
from relais_shared.service import Router

router = Router(prefix="/v1/directory", tags=["directory"])

NO_NEARER: Final = 0.5
"""Metres by which rounding may differ: an answer is cut at the radius itself."""


Why = tuple[str, list[str], str]
"""The words that led to the match as JSON, the themes asked for or said, and the filters as JSON."""


@cache
def lexicon(own: Path | None) -> Lexicon:
    """Answer the words that people use, by theme; with those of a territory's own file."""
    told = spelt_words(own)
    return Lexicon(
        {slug: [word for group in by.values() for word in group] for slug, by in told.items()}, lookalikes(own)
    )


@router.get(
    "/search",
    response_class=Response,
    responses={
        200: {"model": SearchPage, "description": "One page of cards, at most `limit`."},
        **problems.responses(InvalidInput, Unauthenticated, ScopeMissing, Unavailable),
    },
    openapi_extra={"parameters": parameters_of(SearchQuery)},
)
async def search(request: Request, _actor: Annotated[Actor, requires("directory:read")]) -> Response:
    """Find services near a place, for a need.

    One item for each service, at its nearest location. Services that come to the person there (at home, remote) are
    found too, with `distance_m: null`. Without a place there is no distance. Several values of one filter are
    alternatives, except of `reception`; several filters have to hold together.
    """
    # FastAPI's own reading of so many parameters costs more than finding the services.
    query = read_parameters(request, SearchQuery)
    async with searching(request) as connection:
        return await answer(request, connection, query, now_of(request))


async def answer(
    request: Request, connection: store.Connection, query: SearchQuery, now: datetime, since: datetime | None = None
) -> Response:
    """Answer one page of a search; with `since`, only of services that are newer.

    Raises:
        InvalidInput: No such place, nothing to look for, or not a cursor of this search.
    """
    state = request.app.state
    moment, after, kept = _position(_codec(state, query), query.cursor) if query.cursor else (now, None, None)
    asked, why, where = await prepared(connection, state, query, moment)
    asked = replace(asked, after=after, limit=query.limit + 1, since=since)
    offset, total = 0, None
    if kept is not None:
        id_, offset = kept
        there = await search_store.walk(connection, id_, offset, query.limit)
        if there is None:
            raise InvalidInput(
                "This search was forgotten.", [Fault("?cursor", "Its pages are kept for half an hour: search again.")]
            )
        total, ids = there
        asked = replace(asked, only=tuple(ids))
    rows = await search_store.search(connection, asked)
    openings = state.openings
    hours = {id_ for row in rows for id_ in (row["opening_id"], row["relay_opening_id"])}
    await openings.know(connection, hours - {None})
    shown = rows[: query.limit]
    cursor = None
    if kept is not None or (not asked.walks and len(rows) > query.limit):
        if kept is None:
            id_ = await search_store.keep_walk(connection, rows[0]["ids"])
            total = len(rows[0]["ids"])
        offset += query.limit
        if offset < (total or 0):
            cursor = _codec(state, query).encode(["kept", str(id_), offset, moment.isoformat()])
    elif len(rows) > query.limit:
        last = shown[-1]
        cursor = _codec(state, query).encode(
            ["after", None if last["key"] == inf else last["key"], str(last["service_id"]), moment.isoformat()]
        )
    if total is None:
        total = rows[0]["total"] if rows else 0
    words, themes, filters = why
    named = [(state.terms[slug], f'"{slug}"') for slug in themes if slug in state.terms]
    at = _Moment(where, now, day_of(now), openings.at(now), words, named, filters)
    items = [piece for row in shown for piece in _card(row, at)][:-1]
    tail: dict[str, Any] = {
        "total": min(total, search_store.COUNT_UP_TO),
        "total_is_exact": total <= search_store.COUNT_UP_TO,
    }
    if query.facets:
        tail["facets"] = await facets(connection, state, asked, query.facets)
    tail["next_cursor"] = cursor
    headers = {"Cache-Control": "no-store"}
    if cursor:
        headers["Link"] = next_link(request, cursor)
    # Joined once: a page is large enough that each copy of it would count.
    body = b"".join((b'{"items":[', *items, b"],", orjson.dumps(tail)[1:]))
    return Response(body, media_type="application/json", headers=headers)


async def prepared(
    connection: store.Connection, state: State, query: SearchQuery, moment: datetime
) -> tuple[search_store.Asked, Why, search_store.Where | None]:
    """Answer what a query asks of the store, which words, themes and filters it names, and its place.

    Raises:
        InvalidInput: No such place, or nothing to look for.
    """
    where = await _where(connection, query, state)
    meaning = lexicon(state.settings.words).meaning(query.q) if query.q else Meaning()
    words, meant = await _words(connection, meaning)
    ids = state.terms
    said = tuple(sorted({ids[slug] for slug in meaning.themes if slug in ids}))
    if query.q and not words and not said:
        # Only small words, or signs: nothing can be found by them, and everything would be no answer.
        raise InvalidInput("Nothing to look for.", [Fault("?q", "Give a word that says what is needed.")])
    sort = query.sort or ("relevance" if query.q else "distance" if where else "freshness")
    residence = None
    if query.residence is not None:
        code = query.residence if ":" in query.residence else f"{state.settings.country}:{query.residence}"
        residence = codes_of(code)
    asked = search_store.Asked(
        where=where,
        themes=tuple(ids[slug] for slug in query.theme),
        said=said,
        words=words,
        organisation_id=query.organisation_id,
        sort=sort,
        after=None,
        limit=query.limit,
        today=day_of(moment),
        phrases=tuple(" ".join(map(stem, phrase.split())) for phrase in meaning.by) if said else (),
        # Asking for everybody asks for nobody in particular.
        audiences=() if "everyone" in query.audience else tuple(ids[slug] for slug in query.audience),
        modes=tuple(query.mode),
        languages=tuple(query.language),
        reception=tuple(query.reception),
        residence=residence,
        wheelchair=query.wheelchair is not None,
        free=query.free is not None,
        has_capacity=query.has_capacity is not None,
        stop_m=query.reachable_by_transport_m,
    )
    if sort == "relevance":
        relays = await store.relay_openings(connection)
        await state.openings.know(connection, relays)
        asked = replace(asked, reachable_ids=state.openings.open_ones(relays, moment))
    if query.open_at is not None:
        around = await search_store.openings_around(connection, asked)
        await state.openings.know(connection, around)
        asked = replace(asked, open_ids=state.openings.open_ones(around, query.open_at))
    return asked, _why(query, meaning, meant), where


async def facets(
    connection: store.Connection, state: State, asked: search_store.Asked, names: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Answer the counts of facets by the values that the search takes."""
    found = {}
    for name in dict.fromkeys(names):
        counts = await search_store.facet(connection, replace(asked, only=None), name)
        if name == "theme":
            counts = {state.slugs[int(id_)]: count for id_, count in counts.items()}
        elif name == "audience":
            everybody = counts.pop("0", 0)
            told = {state.slugs[int(id_)]: count for id_, count in counts.items()}
            # Whoever is asked for, what is for everybody is found too.
            counts = {slug: told.get(slug, 0) + everybody for slug in state.audiences if slug != "everyone"}
        found[name] = {value: count for value, count in counts.items() if count}
    return found


Kept = tuple[UUID, int]


def _codec(state: State, query: SearchQuery) -> CursorCodec:
    """Answer what makes cursors of this search: one goes on with the search that it came from, and with no other."""
    same = query.model_dump_json(exclude={"cursor", "limit"}, exclude_defaults=True)
    return CursorCodec(state.settings.secret_bytes(), f"search:{same}")


def _position(codec: CursorCodec, cursor: str) -> tuple[datetime, tuple[float, UUID] | None, Kept | None]:
    """Answer the moment that a walk began, and where its next page does."""
    way, *place, moment = codec.decode(cursor)
    began = datetime.fromisoformat(moment)
    if way == "kept":
        return began, None, (UUID(place[0]), place[1])
    return began, (inf if place[0] is None else float(place[0]), UUID(place[1])), None


async def _where(connection: store.Connection, query: SearchQuery, state: State) -> search_store.Where | None:
    """Answer the point that a query names, and the codes of the areas around it.

    Raises:
        InvalidInput: The gazetteer has no such place.
    """
    if query.near is not None:
        latitude, longitude = map(float, query.near.split(","))
        at = position(latitude, longitude)
        if not state.municipalities:
            state.municipalities = Municipalities(await store.municipalities(connection))
        home = state.municipalities.nearest(latitude, longitude)
        if home is None:
            row = await store.nearest_municipality(connection, at)
            home = row["code"] if row else None
        return search_store.Where(at, query.radius_km * 1000, codes_of(home))
    country = state.settings.country
    if query.municipality is not None:
        code = query.municipality if ":" in query.municipality else f"{country}:{query.municipality}"
        row = await store.place_by_code(connection, code)
        return _at(query, [row] if row else [], "municipality")
    if query.postcode is not None:
        found: Sequence[asyncpg.Record] = []
        for one in dict.fromkeys((country, "be", "fr")):
            found = found or await store.places_of_postcode(connection, one, query.postcode)
        return _at(query, found, "postcode")
    if query.place is not None:
        text = plain(query.place)
        code = next((word for word in text.split() if word.isdigit()), "")
        rest = " ".join(word for word in text.split() if word != code)
        rows = await store.places(connection, rest, code if not rest else "", 50, country)
        if code and rest:
            rows = [row for row in rows if code in row["postcodes"]] or rows
        return _at(query, rows[:1], "place")
    return None


def _at(query: SearchQuery, rows: Sequence[asyncpg.Record], name: str) -> search_store.Where:
    if not rows:
        raise InvalidInput("This place is not known.", [Fault(f"?{name}", "The gazetteer has no such place.")])
    latitude = sum(row["latitude"] for row in rows) / len(rows)
    longitude = sum(row["longitude"] for row in rows) / len(rows)
    codes = {row["parent"] or row["code"] for row in rows}
    return search_store.Where(position(latitude, longitude), query.radius_km * 1000, codes_of(*codes))


async def _words(connection: store.Connection, meaning: Meaning) -> tuple[tuple[str, ...], dict[str, str]]:
    """Answer the words to find in texts; a mistyped one with its neighbours, and what it was taken for."""
    if not meaning.words:
        return (), {}
    near = await search_store.neighbours(connection, meaning.words)
    words, meant = [], {}
    for word in meaning.words:
        if near.get(word):
            meant[word] = near[word][0]
            words.append("(" + " | ".join(near[word]) + ")")
        else:
            words.append(word)
    return tuple(words), meant


FILTERS: Final = (
    "near", "postcode", "municipality", "place", "audience", "mode", "language", "reception", "residence", "wheelchair",
    "free", "has_capacity", "open_at", "reachable_by_transport_m", "organisation_id",
)  # fmt: skip


def _why(query: SearchQuery, meaning: Meaning, meant: dict[str, str]) -> Why:
    words = [*meaning.by, *(meant.get(word, spelt) for word, spelt in zip(meaning.words, meaning.spelt, strict=True))]
    filters = [name for name in FILTERS if getattr(query, name)]
    themes = list(dict.fromkeys((*query.theme, *meaning.themes)))
    return orjson.dumps(words).decode(), themes, orjson.dumps(filters).decode()


class _Moment(NamedTuple):
    """What every card of an answer is read at."""

    where: search_store.Where | None
    now: datetime
    today: date
    judge: Judge
    words: str
    themes: list[tuple[int, str]]
    """Those of the question: id and slug in quotes."""
    filters: str


def _card(row: asyncpg.Record, at: _Moment) -> tuple[bytes, bytes, bytes]:
    """Answer a card in pieces: the finished JSON, what depends on the moment, the place and the question, a comma.

    Put together as bytes: an object and a serialiser for each card cost more than finding it.
    """
    (
        _key, chord, _id, _total, _ids, body, opening, relay_opening, confidential, assured_on, assured_by, themes,
        available, waiting_days, told_at, stops, can_receive,
    ) = row  # fmt: skip  # By its place: by its name each costs as much as what is made of it.
    if body.startswith(CLOSING):
        body = closed_or_not(body, at.today)
    relay = ""
    if not body.endswith(b"null"):
        # The card was left open in its relay contact.
        reachable = "null" if relay_opening is None else _JSON[at.judge(relay_opening)[0]]
        relay = f',"reachable_now":{reachable}}}'
    distance: int | str = "null"
    if chord is not None and at.where is not None and not confidential:
        distance = round(min(geodesic_m(chord), at.where.radius_m + NO_NEARER))
    capacity = "null" if told_at is None else _capacity(available, waiting_days, told_at, at.now)
    matched = ",".join([slug for id_, slug in at.themes if id_ in themes])
    day, score = _freshness(assured_on, at.today)
    moment = (
        f'{relay},"distance_m":{distance},"capacity":{capacity},'
        f'"freshness":{{"assured_at":{day},"assured_by":{_quoted(assured_by)},"score":{score}}},'
        f'"can_receive":"{can_receive}",'
        f'"nearest_stops":{stops or "[]"},"opening":{at.judge(opening)[1]},'
        f'"why":{{"words":{at.words},"themes":[{matched}],"filters":{at.filters}}}}}'
    )
    return body, moment.encode(), b","


_JSON: Final = {True: "true", False: "false", None: "null"}


def _capacity(available: int | None, waiting_days: int | None, told: datetime, now: datetime) -> str:
    """Answer what was told of open places."""
    waiting = "null" if waiting_days is None else waiting_days
    age = max(0, (now - told).days)
    # The database tells instants in UTC.
    return (
        f'{{"available":{available},"waiting_days":{waiting},"updated_at":"{told.isoformat()[:19]}Z",'
        f'"age_days":{age},"held":{_JSON[age <= search_store.CAPACITY_HELD_DAYS]}}}'
    )


@lru_cache(maxsize=10_000)
def _freshness(day: date, today: date) -> tuple[str, float]:
    """Answer the day of the assurance as JSON, and what it is worth today."""
    told = day if day != LONG_AGO else None
    return orjson.dumps(told).decode(), freshness.score(told, today)


@lru_cache(maxsize=10_000)
def _quoted(name: str | None) -> str:
    return orjson.dumps(name).decode()
