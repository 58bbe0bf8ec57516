"""Search: cards by place, theme and words. Finished JSON passes through as bytes; docs/search.md explains the order."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import cache
from math import inf
from typing import Annotated, Any, Final
from uuid import UUID

import asyncpg
import orjson
from fastapi import Query, Request, Response

from relais_directory import hours, store
from relais_directory.data import words as spelt_words
from relais_directory.domain import freshness
from relais_directory.domain.geo import geodesic_m, position
from relais_directory.domain.words import Lexicon, Meaning, plain, stem
from relais_directory.schemas import SearchPage, SearchQuery
from relais_shared import problems
from relais_shared.auth import Actor, requires
from relais_shared.clock import Now
from relais_shared.http import CursorCodec, next_link
from relais_shared.refusals import Fault, InvalidInput, ScopeMissing, Unauthenticated, Unavailable
from relais_shared.service import Router

router = Router(prefix="/v1/directory", tags=["directory"])

NO_NEARER: Final = 0.5
"""Metres by which rounding may differ: an answer is cut at the radius itself."""


@cache
def lexicon() -> Lexicon:
    """Answer the words that people use, by theme."""
    return Lexicon({slug: [word for group in told.values() for word in group] for slug, told in spelt_words().items()})


@router.get(
    "/search",
    response_class=Response,
    responses={
        200: {"model": SearchPage, "description": "One page of cards, at most `limit`."},
        **problems.responses(InvalidInput, Unauthenticated, ScopeMissing, Unavailable),
    },
)
async def search(
    request: Request,
    query: Annotated[SearchQuery, Query()],
    _actor: Annotated[Actor, requires("directory:read")],
    now: Now,
) -> Response:
    """Find services near a place, for a need.

    One item for each service, at its nearest location. Services that come to the person there (at home, remote) are
    found too, with `distance_m: null`. Without a place there is no distance.
    """
    # A cursor goes on with the search that it came from, and with no other.
    same = query.model_dump_json(exclude={"cursor", "limit"})
    codec = CursorCodec(request.app.state.settings.secret_bytes(), f"search:{same}")
    after, today = _position(codec, query.cursor, now)
    async with request.app.state.pool.acquire() as connection:
        where = await _where(connection, query, request.app.state.settings.country)
        meaning = lexicon().meaning(query.q) if query.q else Meaning()
        words, meant = await _words(connection, meaning)
        ids = request.app.state.terms
        said = tuple(sorted({ids[slug] for slug in meaning.themes if slug in ids}))
        if query.q and not words and not said:
            # Only small words, or signs: nothing can be found by them, and everything would be no answer.
            raise InvalidInput("Nothing to look for.", [Fault("?q", "Give a word that says what is needed.")])
        sort = query.sort or ("relevance" if query.q else "distance" if where else "freshness")
        asked = store.Asked(
            where=where,
            themes=tuple(ids[slug] for slug in query.theme),
            said=said,
            words=words,
            organisation_id=query.organisation_id,
            sort=sort,
            after=after,
            limit=query.limit + 1,
            today=today,
            phrases=tuple(" ".join(map(stem, phrase.split())) for phrase in meaning.by) if said else (),
        )
        rows = await store.search(connection, asked)
    shown, more = rows[: query.limit], rows[query.limit :]
    why = _why(query, meaning, meant)
    items = b",".join(_card(row, where, today, now, why, request.app.state.slugs) for row in shown)
    total = rows[0]["total"] if rows else 0
    cursor, headers = None, {"Cache-Control": "no-store"}
    if more:
        last = shown[-1]
        key = None if last["key"] == inf else last["key"]
        cursor = codec.encode([key, str(last["service_id"]), today.isoformat()])
        headers["Link"] = next_link(request, cursor)
    tail = {
        "total": min(total, store.COUNT_UP_TO),
        "total_is_exact": total <= store.COUNT_UP_TO,
        "next_cursor": cursor,
    }
    body = b'{"items":[' + items + b"]," + orjson.dumps(tail)[1:]
    return Response(body, media_type="application/json", headers=headers)


def _position(codec: CursorCodec, cursor: str | None, now: datetime) -> tuple[tuple[float, UUID] | None, date]:
    if cursor is None:
        return None, now.astimezone(UTC).date()
    key, id_, day = codec.decode(cursor)
    return (inf if key is None else float(key), UUID(id_)), date.fromisoformat(day)


async def _where(connection: asyncpg.Connection, query: SearchQuery, country: str) -> store.Where | None:
    """Answer the point that a query names, and the codes of the areas around it.

    Raises:
        InvalidInput: The gazetteer has no such place.
    """
    if query.near is not None:
        latitude, longitude = map(float, query.near.split(","))
        at = position(latitude, longitude)
        home = await store.nearest_municipality(connection, at)
        return store.Where(at, query.radius_km * 1000, _codes(home["code"] if home else None))
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


def _at(query: SearchQuery, rows: Sequence[asyncpg.Record], name: str) -> store.Where:
    if not rows:
        raise InvalidInput("This place is not known.", [Fault(f"?{name}", "The gazetteer has no such place.")])
    latitude = sum(row["latitude"] for row in rows) / len(rows)
    longitude = sum(row["longitude"] for row in rows) / len(rows)
    codes = {row["parent"] or row["code"] for row in rows}
    return store.Where(position(latitude, longitude), query.radius_km * 1000, _codes(*codes))


def _codes(*municipalities: str | None) -> tuple[str, ...]:
    """Answer the codes by which a service area may cover a municipality: its own, its département's, everywhere."""
    found = {"*"}
    for code in municipalities:
        if code:
            found.add(code)
            if code.startswith("fr:"):
                found.add(code[:6] if code[3:5] in {"97", "98"} else code[:5])
    return tuple(sorted(found))


async def _words(connection: asyncpg.Connection, meaning: Meaning) -> tuple[tuple[str, ...], dict[str, str]]:
    """Answer the words to find in texts; a mistyped one with its neighbours, and what it was taken for."""
    if not meaning.words:
        return (), {}
    near = await store.neighbours(connection, meaning.words)
    words, meant = [], {}
    for word in meaning.words:
        if near.get(word):
            meant[word] = near[word][0]
            words.append("(" + " | ".join(near[word]) + ")")
        else:
            words.append(word)
    return tuple(words), meant


def _why(query: SearchQuery, meaning: Meaning, meant: dict[str, str]) -> dict[str, list[str]]:
    filters = [
        name
        for name in ("near", "postcode", "municipality", "place", "organisation_id")
        if getattr(query, name) is not None
    ]
    return {
        "words": [
            *meaning.by,
            *(meant.get(word, spelt) for word, spelt in zip(meaning.words, meaning.spelt, strict=True)),
        ],
        "themes": list(dict.fromkeys((*query.theme, *meaning.themes))),
        "filters": filters,
    }


def _card(
    row: asyncpg.Record,
    where: store.Where | None,
    today: date,
    now: datetime,
    why: dict[str, list[str]],
    slugs: dict[int, str],
) -> bytes:
    """Answer a card: the finished JSON, and what depends on the moment, the place and the question."""
    chord = row["chord"]
    distance = None
    if chord is not None and where is not None and not row["confidential"]:
        distance = round(min(geodesic_m(chord), where.radius_m + NO_NEARER))
    told = row["freshness"] if row["freshness"] != store.LONG_AGO else None
    here = hours.opening(row["hours"], row["time_zone"], row["country"], now)
    own = {slugs[id_] for id_ in row["themes"] if id_ in slugs}
    added = {
        "distance_m": distance,
        "opening": {"open_now": here.open_now, "next_opening": here.next_opening},
        "freshness": {
            "assured_at": told,
            "assured_by": row["assured_by"],
            "score": freshness.score(told, today),
        },
        "can_receive": row["can_receive"],
        "why": {**why, "themes": [slug for slug in why["themes"] if slug in own]},
    }
    finished: Any = row["body"]
    return bytes(finished.encode()) + b"," + orjson.dumps(added)[1:]
