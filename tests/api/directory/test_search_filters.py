"""Filters, facets and pages: each filter narrows as the records say, each facet counts what its filter would find."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import product
from math import dist
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import httpx
import pytest
from api.directory.conftest import reading
from geographiclib.geodesic import Geodesic

from relais_directory import actions, importing, upkeep_store, writing
from relais_directory.data import themes
from relais_directory.domain.days import day_of
from relais_directory.domain.geo import position
from relais_directory.records import CapacityRecord
from relais_directory.writing import Author
from relais_local.databases import Access
from relais_shared.auth import Keyring

pytestmark = pytest.mark.anyio

Record = dict[str, Any]
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
"""A Tuesday."""


async def page(reader: httpx.AsyncClient, **params: Any) -> dict[str, Any]:
    """Answer one page of a search."""
    answer = await reader.get("/v1/directory/search", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def walked(reader: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    """Answer every item of a search, page by page."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        found = await page(reader, **params, **cursor)
        items += found["items"]
        if found["next_cursor"] is None:
            return items
        cursor = {"cursor": found["next_cursor"]}


def names(items: list[dict[str, Any]]) -> set[str]:
    """Answer the record ids of cards."""
    return {one["source"]["record_id"] for one in items}


# ── filters, against what the records say ──────────────────────────────────────────────────────────────────────────


def _theme(record: Record, wanted: str) -> bool:
    return any(slug == wanted or themes()[slug].parent == wanted for slug in record["themes"])


def _audience(record: Record, wanted: str) -> bool:
    told = record.get("audiences", [])
    return not told or "everyone" in told or wanted in told


def _held(told: dict[str, Any] | None) -> bool:
    """Say whether an open place was told within sixty days."""
    if not told or not told["available"]:
        return False
    return day_of(datetime.now(UTC)) - datetime.fromisoformat(told["updated_at"]).date() <= timedelta(days=60)


FILTERS: Mapping[str, tuple[list[str], Callable[[Record, str], bool]]] = {
    "theme": (["childcare", "mobility--bike", "support--housing"], _theme),
    "audience": (["families", "young", "jobseekers"], _audience),
    "mode": (["on_site", "remote", "at_home"], lambda record, wanted: wanted in record["modes"]),
    "language": (["nl", "ar", "en"], lambda record, wanted: wanted in record.get("languages", [])),
    "reception": (
        ["private_room", "children_welcome", "may_come_accompanied", "calm"],
        lambda record, wanted: bool((record.get("reception") or {}).get(wanted)),
    ),
    "free": (["true"], lambda record, _wanted: bool(record.get("free"))),
    "wheelchair": (
        ["true"],
        lambda record, _wanted: any(
            one.get("wheelchair") and not one.get("confidential") for one in record["locations"]
        ),
    ),
    "has_capacity": (["true"], lambda record, _wanted: _held(record.get("capacity"))),
}


@pytest.fixture(name="records", scope="module")
def _records(territory_file: Path) -> list[Record]:
    found: list[Record] = json.loads(territory_file.read_text())
    return found


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, (values, _) in FILTERS.items() for value in values]
)
async def test_each_filter_finds_what_the_records_say(
    reader: httpx.AsyncClient, records: list[Record], name: str, value: str
) -> None:
    fits = FILTERS[name][1]
    wanted = {one["record_id"] for one in records if fits(one, value)}
    found = names(await walked(reader, **{name: value, "limit": 100}))
    assert found == wanted
    assert 0 < len(wanted) < len(records)


@pytest.mark.parametrize("base", [{}, {"postcode": "6000", "radius_km": 12}, {"q": "crèche", "postcode": "6000"}])
async def test_every_pair_of_filters_narrows(reader: httpx.AsyncClient, base: dict[str, Any]) -> None:
    chosen = {name: values[0] for name, (values, _fits) in FILTERS.items()}
    alone = {name: names(await walked(reader, **base, **{name: value}, limit=100)) for name, value in chosen.items()}
    everything = names(await walked(reader, **base, limit=100))
    assert all(found <= everything for found in alone.values())
    for one, other in product(alone, alone):
        if one < other:
            both = names(await walked(reader, **base, **{one: chosen[one], other: chosen[other]}, limit=100))
            # A place filter may be met by another place than the nearest, so both are met by one: never more.
            assert both <= alone[one] & alone[other]


async def test_a_filter_is_set_or_left_out(reader: httpx.AsyncClient) -> None:
    for name in ("free", "wheelchair", "has_capacity"):
        answer = await reader.get("/v1/directory/search", params={name: "false"})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == f"?{name}"
    answer = await reader.get("/v1/directory/search?free=true&free=true&audience=nobody&open_at=soon&mode=x")
    told = {one["pointer"].partition(".")[0] for one in answer.json()["errors"]}
    assert told == {"?free", "?audience", "?open_at", "?mode"}


# ── facets ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "base",
    [
        {},
        {"postcode": "6000", "radius_km": 10},
        {"postcode": "6000", "radius_km": 20, "theme": "childcare"},
        {"q": "vélo", "postcode": "6000", "radius_km": 30},
        {"free": "true", "language": "nl"},
        {"wheelchair": "true", "mode": "on_site", "postcode": "6000"},
    ],
)
async def test_a_facet_counts_what_its_filter_finds(reader: httpx.AsyncClient, base: dict[str, Any]) -> None:
    every = [
        "theme",
        "audience",
        "mode",
        "language",
        "reception",
        "free",
        "wheelchair",
        "has_capacity",
        "organisation_id",
    ]
    facets = (await page(reader, **base, facets=every, limit=1))["facets"]
    assert set(facets) == set(every)
    checked = 0
    for name, counts in facets.items():
        for value, count in list(counts.items())[:12]:
            # The facet's own filter gives way; `reception` is a filter whose values add up.
            params = {key: told for key, told in base.items() if key != name} | {name: value, "limit": 1}
            assert (await page(reader, **params))["total"] == count, (name, value)
            checked += 1
    assert checked > 20


# ── distance ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_nothing_lies_outside_the_radius_and_distances_are_geodesic(
    reader: httpx.AsyncClient, records: list[Record]
) -> None:
    chance = Random(5)  # noqa: S311 - the same points in every run
    places = {one["record_id"]: [at for at in one["locations"] if not at.get("confidential")] for one in records}
    for _ in range(40):
        latitude, longitude = chance.uniform(50.2, 50.6), chance.uniform(4.1, 4.8)
        radius = chance.choice([0.5, 2, 7.5, 15, 40])
        items = await walked(reader, near=f"{latitude:.6f},{longitude:.6f}", radius_km=radius, limit=100)
        away = [one["distance_m"] for one in items if one["distance_m"] is not None]
        assert away == sorted(away)
        inside = set()
        for id_, there in places.items():
            told = [
                Geodesic.WGS84.Inverse(round(latitude, 6), round(longitude, 6), at["latitude"], at["longitude"])["s12"]
                for at in there
            ]
            if told and min(told) <= radius * 1000 - 1:
                inside.add(id_)
            card = next((one for one in items if one["source"]["record_id"] == id_), None)
            if card is not None and card["distance_m"] is not None:
                assert card["distance_m"] <= radius * 1000
                assert abs(card["distance_m"] - min(told)) <= 1.5
        assert inside <= names(items)


# ── a small directory of a test's own ──────────────────────────────────────────────────────────────────────────────


class Small:
    """A directory with a few records, a connection to change it, and a client to search it."""

    def __init__(self, connection: asyncpg.Connection, client: httpx.AsyncClient, folder: Path) -> None:
        self.connection = connection
        self.client = client
        self._folder = folder

    async def take(self, records: list[Record], source: str) -> importing.Report:
        """Import records as the whole of a source."""
        file = self._folder / f"{source}.json"
        file.write_text(json.dumps(records))
        options = importing.Options(mapping="canonical", source=source)
        report = await importing.run(self.connection, file, options, Author("test", datetime.now(UTC)))
        assert report.refused == 0, report.refusals
        return report


@pytest.fixture(name="small", scope="module")
async def _small(
    home: Path, fresh_database: Callable[[str], Access], gateway: Keyring, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Small]:
    del home
    access = await asyncio.to_thread(fresh_database, "directory")
    connection = await asyncpg.connect(access.dsn)
    await actions.load_vocabularies(connection)
    await actions.load_gazetteer(connection)
    async with reading(access.dsn, gateway) as client:
        yield Small(connection, client, tmp_path_factory.mktemp("small"))
    await connection.close()


def record(number: int | str, latitude: float = 50.41, longitude: float = 4.44, **changes: Any) -> Record:
    """Answer a canonical record."""
    place: Record = {"address": {"country": "BE"}, "latitude": latitude, "longitude": longitude, "record_id": "1"}
    place |= changes.pop("place", {})
    return {
        "record_id": f"r{number}",
        "organisation": {"record_id": "o", "name": "Les Essais"},
        "name": f"Service {number}",
        "themes": ["mobility--bike"],
        "modes": ["on_site"],
        "locations": [place],
    } | changes


HOURS = {
    "weekdays": "Mo-Fr 08:00-12:00,13:00-17:00; PH off",
    "night": "Mo-Su 22:00-06:00",
    "summer": "Jul-Aug Mo-Su 10:00-18:00",
    "closed-once": "Mo-Fr 08:00-17:00; 2026 Nov 24 off",
    "none": None,
}


@pytest.mark.parametrize(
    ("at", "there"),
    [
        ("2026-11-24T09:00", {"weekdays"}),
        ("2026-11-24T12:30", set()),
        ("2026-11-25T09:00", {"weekdays", "closed-once"}),
        ("2026-11-11T09:00", {"closed-once"}),  # a public holiday in Belgium
        ("2026-11-24T23:30", {"night"}),
        ("2026-11-25T05:59", {"night"}),
        ("2026-08-15T11:00", {"summer"}),
        ("2026-11-24T08:30:00+01:00", {"weekdays"}),
        ("2026-11-24T08:30:00Z", {"weekdays"}),
        ("2026-11-24T06:30:00Z", set()),
        # The night the clocks go back: half past two comes twice, and both times it is night.
        ("2026-10-25T02:30:00+02:00", {"night"}),
        ("2026-10-25T02:30:00+01:00", {"night"}),
    ],
)
async def test_open_at_is_the_places_own_time(small: Small, at: str, there: set[str]) -> None:
    rows = [record(name, place={"opening_hours": hours} if hours else {}) for name, hours in HOURS.items()]
    await small.take(rows, "hours")
    found = await walked(small.client, open_at=at, near="50.41,4.44", radius_km=1, q="Service")
    assert {one["service"]["name"].removeprefix("Service ") for one in found} & set(HOURS) == there


async def test_open_at_without_an_offset_is_each_places_own_clock(small: Small) -> None:
    reunion = {"address": {"country": "FR", "municipality_code": "fr:97411"}, "opening_hours": "Mo-Fr 08:00-12:00"}
    rows = [
        record("belgian-morning", place={"opening_hours": "Mo-Fr 08:00-12:00"}),
        record("reunion-morning", -20.88, 55.45, place=reunion),
    ]
    await small.take(rows, "zones")
    both = names(await walked(small.client, open_at="2026-11-24T09:00", q="morning"))
    assert both == {"rbelgian-morning", "rreunion-morning"}
    # Nine in Brussels is noon in La Réunion.
    assert names(await walked(small.client, open_at="2026-11-24T09:00:00+01:00", q="morning")) == {"rbelgian-morning"}


async def test_a_farther_place_is_found_where_only_it_fits(small: Small) -> None:
    """The nearest place has a step, no stop and is closed; the farther one has none of these faults."""
    near = {
        "record_id": "near",
        "address": {"country": "BE"},
        "latitude": 50.30,
        "longitude": 4.30,
        "wheelchair": False,
    }
    far = near | {"record_id": "far", "longitude": 4.32, "wheelchair": True, "opening_hours": "24/7"}
    await small.connection.execute(
        "insert into stop (source, stop_id, name, latitude, longitude, position)"
        " values ('t', '1', 'Gare', 50.3001, 4.32, cube($1::float8[])) on conflict do nothing",
        list(position(50.3001, 4.32)),
    )
    await small.take([record("two", locations=[near, far])], "two")
    at = {"near": "50.30,4.30", "radius_km": 5, "q": "Service"}
    (plain,) = [one for one in await walked(small.client, **at) if one["source"]["record_id"] == "rtwo"]
    assert plain["distance_m"] == 0
    for params in ({"wheelchair": "true"}, {"open_at": "2026-11-24T03:00"}, {"reachable_by_transport_m": 400}):
        (found,) = await walked(small.client, **at, **params)
        assert found["distance_m"] > 1_000, params
        assert (await page(small.client, **at, **params))["total"] == 1
    assert found["nearest_stops"][0]["name"] == "Gare"
    assert 10 < found["nearest_stops"][0]["walk_m"] < 20
    # Where a stop is, the service itself tells; nobody walks from the middle of a municipality.
    await small.connection.execute(
        "insert into stop (source, stop_id, name, latitude, longitude, position)"
        " select 't', '2', 'Hôtel de Ville', 50.41, 4.44, cube(position) from place where code = 'be:52011'"
    )
    vague = {"record_id": "vague", "address": {"country": "BE", "municipality_code": "be:52011"}}
    await small.take([record("two", locations=[near, far, vague])], "two")
    told = (await small.client.get(f"/v1/directory/services/{found['service']['id']}")).json()["locations"]
    assert [one["nearest_stops"][0]["name"] if one["nearest_stops"] else None for one in told] == [None, "Gare", None]
    assert (told[1]["nearest_stops"][0]["latitude"], told[1]["nearest_stops"][0]["longitude"]) == (50.3001, 4.32)


async def test_whoever_comes_is_found_by_words_that_mean_what_they_do(small: Small) -> None:
    """Neither says the word: what they do is known by their theme alone."""
    comes: Record = {"themes": ["childcare"], "modes": ["remote"], "locations": []}
    rows = [record("anywhere", **comes), record("around", **comes, service_area=["be:52011"])]
    await small.take(rows, "coming")
    for theme, there in (("childcare", {"ranywhere", "raround"}), ("mobility--bike", set())):
        found = names(await walked(small.client, q="nounou", postcode="6000", radius_km=1, theme=theme))
        assert found & {"ranywhere", "raround"} == there
    found = names(await walked(small.client, q="nounou", postcode="6000", radius_km=1))
    assert found >= {"ranywhere", "raround"}


async def test_who_lives_where_counts_apart_from_the_place(small: Small) -> None:
    rows = [
        record("for-all"),
        record("for-charleroi", service_area=["be:52011"]),
        record("for-reunion", service_area=["fr:974"]),
    ]
    await small.take(rows, "areas")
    here = {"near": "50.41,4.44", "radius_km": 1, "q": "Service"}
    lives = {
        "52011": {"rfor-all", "rfor-charleroi"},
        "fr:97411": {"rfor-all", "rfor-reunion"},
        "be:92094": {"rfor-all"},
    }
    for code, wanted in lives.items():
        found = names(await walked(small.client, **here, residence=code))
        assert found & {"rfor-all", "rfor-charleroi", "rfor-reunion"} == wanted


# ── order ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_each_part_of_relevance_moves_the_order(small: Small) -> None:
    """Two services alike but for one thing: the better one comes first."""
    today = datetime.now(UTC)
    told = {"available": 3, "updated_at": (today - timedelta(days=1)).isoformat()}
    full = told | {"available": 0}
    old = told | {"updated_at": (today - timedelta(days=200)).isoformat()}
    assured = {"assured_at": today.date().isoformat()}
    pairs = {
        "nearness": ({}, {"latitude": 50.47}),
        "words": ({"name": "Zinzolin zinzolin"}, {"description": "Un zinzolin parmi d'autres."}),
        "freshness": (assured, {"assured_at": "2024-01-01"}),
        "capacity": ({"capacity": told}, {"capacity": full}),
        "capacity-fades": ({"capacity": told}, {"capacity": old}),
        "receives": ({"can_receive": "guest"}, {"can_receive": "phone_only"}),
    }
    for name, (better, worse) in pairs.items():
        rows = [
            record(f"{name}-{which}", **({"keywords": ["zinzolin"]} | changes))
            for which, changes in (("worse", worse), ("better", better))
        ]
        await small.take(rows, "order")
        found = await walked(small.client, near="50.41,4.44", radius_km=20, q="zinzolin", limit=1)
        assert [one["source"]["record_id"] for one in found] == [f"r{name}-better", f"r{name}-worse"], name


# ── pages ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sort", ["distance", "relevance", "freshness"])
@pytest.mark.parametrize("limit", [1, 3, 7])
async def test_a_walk_is_whole_while_others_write(small: Small, sort: str, limit: int) -> None:
    """Confirmations, capacities, edits, new and retired entries between the pages: none twice, none missing."""
    stay = [record(f"stay-{number}", 50.41 + number / 1_000, name=f"Pérenne {number}") for number in range(24)]
    leave = [record(f"leave-{number}", 50.411 + number / 1_000, name=f"Pérenne parti {number}") for number in range(5)]
    await small.take(stay, "stay")
    await small.take(leave, "leave")
    chance = Random(limit)  # noqa: S311 - the same changes in every run
    params = {"near": "50.41,4.44", "radius_km": 20, "q": "Pérenne", "sort": sort, "limit": limit}
    seen: list[str] = []
    cursor: dict[str, str] = {}
    turn = 0
    while True:
        found = await page(small.client, **params, **cursor)
        seen += [one["source"]["record_id"] for one in found["items"]]
        if found["next_cursor"] is None:
            break
        cursor = {"cursor": found["next_cursor"]}
        turn += 1
        id_ = importing.service_id("stay", f"rstay-{chance.randrange(24)}")
        now = datetime.now(UTC)
        async with small.connection.transaction():
            if turn % 3 == 0:
                await upkeep_store.confirm(
                    small.connection, id_, now.date() - timedelta(days=chance.randrange(300)), "x"
                )
            elif turn % 3 == 1:
                told = CapacityRecord(available=chance.randrange(5), updated_at=now)
                await writing.set_capacities(small.connection, [(id_, told)], "x")
            else:
                await writing.rebuild(small.connection, [id_])
        if turn == 2:
            await small.take(leave[:2], "leave")
            await small.take([record(f"new-{limit}-{sort}", 50.42, name="Pérenne nouveau")], "new")
    assert len(seen) == len(set(seen))
    assert {one for one in seen if one.startswith("rstay-")} == {one["record_id"] for one in stay}


async def test_a_cursor_goes_on_with_its_own_search_alone(small: Small) -> None:
    await small.take([record(number, name=f"Feuillet {number}") for number in range(5)], "pages")
    for sort in ("distance", "freshness"):
        params = {"near": "50.41,4.44", "q": "Feuillet", "sort": sort, "limit": 2}
        cursor = (await page(small.client, **params))["next_cursor"]
        for changed in ({"q": "Service"}, {"sort": "relevance"}, {"radius_km": 9}, {"free": "true"}):
            answer = await small.client.get("/v1/directory/search", params={**params, **changed, "cursor": cursor})
            assert answer.status_code == 422, changed
        forged = await small.client.get("/v1/directory/search", params={**params, "cursor": cursor[:-2] + "AA"})
        assert forged.status_code == 422
        # Another limit is the same search.
        assert (await page(small.client, **{**params, "limit": 50}, cursor=cursor))["next_cursor"] is None
    await small.connection.execute("delete from search_walk")
    answer = await small.client.get("/v1/directory/search", params={**params, "cursor": cursor})
    assert answer.status_code == 422
    assert "search again" in answer.json()["errors"][0]["detail"]


# ── confidential places ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_thousand_searches_do_not_tell_two_confidential_addresses_apart(small: Small) -> None:
    """Two shelters at two ends of Charleroi, alike in all that is told: no search finds one without the other."""
    secret = {
        "address": {"country": "BE", "municipality_code": "be:52011", "municipality": "Charleroi"},
        "confidential": True,
    }
    ends = [(50.38, 4.40, "Rue du Nord 1"), (50.45, 4.50, "Rue du Sud 2")]
    rows = [
        record(
            f"refuge-{number}",
            name="Refuge zéphyr",
            themes=["support--violence"],
            locations=[
                secret
                | {"latitude": latitude, "longitude": longitude, "record_id": "1", "wheelchair": bool(number)}
                | {
                    "opening_hours": ["Mo 08:00-09:00", "24/7"][number],
                    "name": f"Maison {number}",
                    "nearest_stop": str(number),
                }
                | {"address": secret["address"] | {"street": street, "postcode": f"60{number + 1}0"}}
            ],
        )
        for number, (latitude, longitude, street) in enumerate(ends)
    ]
    await small.take(rows, "secret")
    for latitude, longitude, _street in ends:
        await small.connection.execute(
            "insert into stop (source, stop_id, name, latitude, longitude, position)"
            " values ('t', $1, 'Arrêt', $2, $3, cube($4::float8[])) on conflict do nothing",
            str(latitude), latitude, longitude, list(position(latitude, longitude)),
        )  # fmt: skip
    chance = Random(11)  # noqa: S311 - the same searches in every run
    found_some = found_none = 0
    for turn in range(1_000):
        latitude, longitude = chance.choice(ends)[:2]
        near = f"{latitude + chance.uniform(-0.1, 0.1):.5f},{longitude + chance.uniform(-0.1, 0.1):.5f}"
        params: dict[str, Any] = {
            "near": near,
            "radius_km": chance.choice([0.3, 1, 3, 5, 9, 20]),
            "theme": "support--violence",
        }
        if turn % 2:
            params |= chance.choice(
                [
                    {"wheelchair": "true"}, {"open_at": "2026-11-24T03:00"}, {"reachable_by_transport_m": 300},
                    {"q": "refuge"}, {"q": "Maison 1"}, {"q": "rue du nord"}, {"sort": "freshness"},
                    {"sort": "relevance"},
                    {"postcode": chance.choice(["6010", "6020", "6000"]), "near": None},
                ]
            )  # fmt: skip
        params = {name: value for name, value in params.items() if value is not None}
        body = await page(small.client, **params, facets=["wheelchair", "mode", "language"])
        cards = [one for one in body["items"] if one["source"]["name"] == "secret"]
        assert len(cards) in {0, 2}, params
        found_some += len(cards) == 2
        found_none += not cards
        if cards:
            assert blind(cards[0]) == blind(cards[1])
            assert not any(one["distance_m"] for one in cards)
    assert found_some > 200
    assert found_none > 200
    pages = [
        (await small.client.get(f"/v1/directory/services/{importing.service_id('secret', f'rrefuge-{number}')}")).json()
        for number in range(2)
    ]
    assert blind(pages[0]) == blind(pages[1])
    for text in (json.dumps(pages), json.dumps(body)):
        assert "Rue du" not in text
        assert "Maison" not in text
        assert "Arrêt" not in text


async def test_the_quarter_of_a_confidential_place_is_not_told(small: Small) -> None:
    """Whoever tells of a shelter may name the part of town: nothing that leaves does, and no word of it finds it."""
    quarters = [("6060", "Gilly"), ("6044", "Roux")]
    rows = [
        record(
            f"abri-{number}",
            name="Abri solstice",
            themes=["support--violence"],
            schedules=[{"freq": "WEEKLY", "byday": "MO", "opens_at": "08:17"}],
            place={
                "address": {"country": "BE", "postcode": postcode, "municipality": quarter},
                "confidential": True,
                "phones": [{"number": f"0499 33 44 5{number}"}],
            },
        )
        for number, (postcode, quarter) in enumerate(quarters)
    ]
    await small.take(rows, "quarters")
    ids = [str(importing.service_id("quarters", f"rabri-{number}")) for number in range(2)]
    body = await page(small.client, q="solstice", theme="support--violence")
    assert {one["id"] for one in body["items"]} == set(ids)
    assert blind(body["items"][0]) == blind(body["items"][1])
    assert body["items"][0]["location"]["address"]["municipality"] == "Charleroi"
    told = [json.dumps(body)]
    for path in ("/v1/directory/services", "/fhir/HealthcareService", "/hsds/services"):
        told += [(await small.client.get(f"{path}/{id_}")).text for id_ in ids]
    for kind in ("hsds", "csv", "canonical", "geojson", "data-inclusion"):
        params = {"source": "quarters", "format": kind}
        told.append((await small.client.get("/v1/directory/export", params=params)).text)
    for text in told:
        assert not [word for word in ("Gilly", "gilly", "Roux", "6060", "6044", "08:17", "0499") if word in text], text
    for _postcode, quarter in quarters:
        assert not set(ids) & {one["id"] for one in await walked(small.client, q=f"abri {quarter}")}
        assert not set(ids) & {one["id"] for one in await walked(small.client, q=quarter)}


async def test_a_place_in_a_quarter_is_in_its_municipality(small: Small) -> None:
    """Also where only the quarter was told: HSDS asks for the municipality of a postcode."""
    address = {"country": "BE", "postcode": "6060", "municipality": "Gilly"}
    await small.take([record("gilly", place={"address": address})], "gilly")
    params = {"postcode": "6060", "search": "gilly"}
    there = (await small.client.get("/hsds/service_at_locations", params=params)).json()["contents"]
    assert [one["service"]["name"] for one in there] == ["Service gilly"]
    view = (await small.client.get(f"/v1/directory/services/{there[0]['service_id']}")).json()
    told = view["locations"][0]["address"]
    assert (told["municipality"], told["municipality_code"]) == ("Gilly", "be:52011")


def blind(card: dict[str, Any]) -> str:
    """Answer a card without its ids and its record's name, and without the moment."""
    text = json.dumps(card, sort_keys=True)
    for value in (card["id"], *(one["id"] for one in _places(card) if one.get("id")), card["source"]["record_id"]):
        text = text.replace(value, "id")
    updated = card.get("updated_at")
    return text.replace(updated, "at") if updated else text


def _places(card: dict[str, Any]) -> list[dict[str, Any]]:
    return card["locations"] if "locations" in card else [card["location"]]


def test_the_two_ends_are_far_apart() -> None:
    """Else the test above would prove nothing."""
    assert dist(position(50.38, 4.40), position(50.45, 4.50)) > 10_000
