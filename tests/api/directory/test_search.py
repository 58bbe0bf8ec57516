"""Search, on the demonstration territory."""

from typing import Any

import asyncpg
import httpx
import pytest
from geographiclib.geodesic import Geodesic

from relais_directory.domain.words import stem
from relais_directory.nearby import Municipalities
from relais_directory.routes.search import lexicon
from relais_shared.auth import Actor, Keyring

pytestmark = pytest.mark.anyio

CHARLEROI = (50.41136, 4.44448)


async def found(reader: httpx.AsyncClient, **params: Any) -> dict[str, Any]:
    """Answer a search that succeeds."""
    answer = await reader.get("/v1/directory/search", params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def walked(reader: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    """Answer every item of a search, page by page."""
    items: list[dict[str, Any]] = []
    page = await found(reader, **params)
    while True:
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        page = await found(reader, **params, cursor=page["next_cursor"])


async def test_nobody_and_those_without_the_scope_are_refused(reader: httpx.AsyncClient, gateway: Keyring) -> None:
    nobody = await reader.get("/v1/directory/search", headers={"Authorization": ""})
    assert (nobody.status_code, nobody.json()["type"]) == (401, "/problems/unauthenticated")
    other = gateway.sign("directory", Actor("client", "client:t", scopes=frozenset({"referral:send"})))
    missing = await reader.get("/v1/directory/search", headers={"Authorization": f"Bearer {other}"})
    assert (missing.status_code, missing.json()["type"]) == (403, "/problems/scope-missing")
    elsewhere = gateway.sign("referral", Actor("client", "client:t", scopes=frozenset({"directory:read"})))
    wrong = await reader.get("/v1/directory/search", headers={"Authorization": f"Bearer {elsewhere}"})
    assert wrong.status_code == 401


@pytest.mark.parametrize(
    ("params", "pointers"),
    [
        ({"radius_km": 101}, {"?radius_km"}),
        ({"radius_km": 0, "limit": 101, "theme": "nonsense"}, {"?radius_km", "?limit", "?theme"}),
        ({"near": "95,4"}, {"?near"}),
        ({"near": "50.4"}, {"?near"}),
        ({"postcode": "9999", "theme": "childcare"}, {"?postcode"}),
        ({"municipality": "be:99999"}, {"?municipality"}),
        ({"place": "nowhere at all"}, {"?place"}),
        ({"has_places": "true"}, {"?has_places"}),
        ({"cursor": "AAAA"}, {"?cursor"}),
        ({"q": "de la"}, {"?q"}),
        ({"organisation_id": "x"}, {"?organisation_id"}),
    ],
)
async def test_what_cannot_be_is_named(reader: httpx.AsyncClient, params: dict[str, Any], pointers: set[str]) -> None:
    answer = await reader.get("/v1/directory/search", params=params)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-input"), answer.text
    assert {error["pointer"] for error in answer.json()["errors"]} == pointers


@pytest.mark.parametrize(
    "place",
    [
        {"near": f"{CHARLEROI[0]},{CHARLEROI[1]}"},
        {"postcode": "6000"},
        {"municipality": "be:52011"},
        {"municipality": "52011"},
        {"place": "Charleroi"},
        {"place": "charleroi 6000"},
        {"place": "CHARLEROÏ"},
    ],
)
async def test_every_way_to_name_a_place_finds_what_is_near(reader: httpx.AsyncClient, place: dict[str, str]) -> None:
    body = await found(reader, theme="childcare", radius_km=10, limit=100, **place)
    known = [item["distance_m"] for item in body["items"] if item["distance_m"] is not None]
    assert len(known) > 40
    assert known == sorted(known)
    assert max(known) <= 10_000
    assert all(any(slug.startswith("childcare") for slug in item["service"]["themes"]) for item in body["items"])


async def test_distances_are_those_of_the_ellipsoid(reader: httpx.AsyncClient) -> None:
    items = await walked(reader, near=f"{CHARLEROI[0]},{CHARLEROI[1]}", radius_km=60, limit=100)
    for item in items:
        place = item["location"]
        if item["distance_m"] is not None:
            true = Geodesic.WGS84.Inverse(*CHARLEROI, place["latitude"], place["longitude"])["s12"]
            assert abs(item["distance_m"] - true) <= max(1, true * 1e-5)


async def test_a_walk_by_pages_shows_each_service_once(reader: httpx.AsyncClient) -> None:
    for params in (
        {"postcode": "6000", "radius_km": 20},
        {"postcode": "6000", "theme": ["childcare", "mobility"]},
        {"postcode": "6000", "q": "enfant", "radius_km": 50},
        {"postcode": "6000", "sort": "freshness"},
        {"theme": "training"},
        {},
    ):
        whole = await found(reader, limit=100, **params)
        by_sevens = await walked(reader, limit=7, **params)
        ids = [item["id"] for item in by_sevens]
        assert len(ids) == len(set(ids)) == whole["total"], params
        assert [item["id"] for item in whole["items"]] == ids[:100], params


async def test_a_parent_takes_its_children(reader: httpx.AsyncClient) -> None:
    whole = {item["id"] for item in await walked(reader, theme="childcare", limit=100)}
    nursery = {item["id"] for item in await walked(reader, theme="childcare--nursery", limit=100)}
    assert nursery
    assert nursery < whole


@pytest.mark.parametrize(
    ("q", "theme"),
    [
        ("crèche", "childcare"),
        ("CRECHES", "childcare"),
        ("nounou", "childcare"),
        ("garde d'enfants", "childcare"),
        ("kinderopvang", "childcare"),
        ("creshe", "childcare"),
        ("permis", "mobility"),
        ("bus", "mobility"),
        ("permis de conduire", "mobility"),
    ],
)
async def test_the_words_people_use_find_the_theme(reader: httpx.AsyncClient, q: str, theme: str) -> None:
    body = await found(reader, q=q, postcode="6000", limit=10)
    assert body["items"]
    first = body["items"][0]
    assert any(slug.startswith(theme) for slug in first["service"]["themes"]), first
    assert first["why"]["words"]
    assert any(slug.startswith(theme) for slug in first["why"]["themes"])


@pytest.mark.parametrize("more", [{}, {"postcode": "6000", "radius_km": 3}, {"postcode": "6041", "radius_km": 40}])
@pytest.mark.parametrize("theme", ["childcare", "mobility", None])
@pytest.mark.parametrize("q", ["crèche", "permis", "nounou permis", "bus", "accueil", "charleroi", "maison"])
async def test_words_leave_whom_a_card_means_or_says(
    reader: httpx.AsyncClient, dsn: str, q: str, theme: str | None, more: dict[str, Any]
) -> None:
    """Whatever way a search takes to them, they are those of the search without words whose card fits, read alone."""
    meaning = lexicon(None).meaning(q)
    groups = [[stem(word) for word in phrase.split()] for phrase in meaning.by] if meaning.themes else []
    groups += [list(meaning.words)] if meaning.words else []
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(
        "select service_id from card where document @@ $1::tsquery"
        " or themes && array(select id from taxonomy_term where code = any($2))",
        " | ".join(" & ".join(f"{word}:*" for word in group) for group in groups),
        list(meaning.themes),
    )
    await connection.close()
    here = more | ({"theme": theme} if theme else {}) | {"limit": 100}
    there = {one["id"] for one in await walked(reader, **here)}
    told = await walked(reader, **here, q=q)
    assert {one["id"] for one in told} == there & {str(row["service_id"]) for row in rows}
    assert len(told) == (await found(reader, **here, q=q))["total"]


async def test_a_mistyped_word_of_a_text_finds_its_neighbour(reader: httpx.AsyncClient) -> None:
    right = await found(reader, q="marmousets", limit=5)
    wrong = await found(reader, q="marmouzets", limit=5)
    assert right["items"]
    assert [item["id"] for item in right["items"]] == [item["id"] for item in wrong["items"]]
    assert wrong["items"][0]["why"]["words"] == ["marmouset"]


async def test_an_organisation_shows_its_own_alone(reader: httpx.AsyncClient) -> None:
    first = (await found(reader, postcode="6000", limit=1))["items"][0]["organisation"]
    items = await walked(reader, organisation_id=first["id"], limit=100)
    assert items
    assert {item["organisation"]["id"] for item in items} == {first["id"]}


async def test_who_comes_to_the_person_is_found_without_distance(reader: httpx.AsyncClient) -> None:
    items = await walked(reader, postcode="6000", radius_km=5, limit=100)
    coming = [item for item in items if item["distance_m"] is None and not item["location"]["confidential"]]
    assert coming
    assert all({"at_home", "remote"} & set(item["modes"]) for item in coming)
    assert all(item["location"]["type"] == "virtual" for item in coming)


async def test_a_confidential_place_tells_its_municipality_alone(reader: httpx.AsyncClient) -> None:
    items = [item for item in await walked(reader, limit=100) if item["location"]["confidential"]]
    assert items
    for item in items:
        place = item["location"]
        assert item["distance_m"] is None
        assert (place["latitude"], place["longitude"], place["address"]["street"]) == (None, None, None)
        assert place["address"]["municipality"]
        whole = (await reader.get(f"/v1/directory/services/{item['id']}")).json()
        hidden = next(place for place in whole["locations"] if place["confidential"])
        assert set(hidden) == {"id", "name", "confidential", "address"}
        assert hidden["address"]["street"] is None


async def test_a_service_is_read_whole(reader: httpx.AsyncClient) -> None:
    item = (await found(reader, postcode="6000", theme="childcare", limit=1))["items"][0]
    answer = await reader.get(f"/v1/directory/services/{item['id']}")
    body = answer.json()
    assert body["name"] == item["service"]["name"]
    assert body["organisation"]["id"] == item["organisation"]["id"]
    assert body["locations"][0]["opening_hours"]
    assert body["locations"][0]["week"]
    again = await reader.get(f"/v1/directory/services/{item['id']}", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    absent = await reader.get("/v1/directory/services/00000000-0000-4000-8000-000000000000")
    assert (absent.status_code, absent.json()["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize(
    ("q", "code"),
    [("charl", "be:52011"), ("Saint-Denis", "fr:"), ("6000", "be:52011"), ("CHÂTELET", "be:52012"), ("974", "fr:974")],
)
async def test_places_are_found_while_typing(reader: httpx.AsyncClient, q: str, code: str) -> None:
    answer = await reader.get("/v1/directory/places", params={"q": q})
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert any(item["code"].startswith(code) for item in items[:5]), items
    assert {"code", "name", "kind", "municipality", "postcodes", "latitude", "longitude"} <= set(items[0])


async def test_a_municipality_is_read_by_its_code(reader: httpx.AsyncClient) -> None:
    found = (await reader.get("/v1/directory/places/be:52011")).json()
    assert (found["name"], found["municipality"], found["province"]) == ("Charleroi", "Charleroi", "Hainaut")
    assert found["population"] > 100_000
    assert (await reader.get("/v1/directory/places/be:99999")).status_code == 404
    assert (await reader.get("/v1/directory/places/charleroi")).status_code == 422


async def test_themes_and_outlines_are_there(reader: httpx.AsyncClient) -> None:
    items = (await reader.get("/v1/directory/themes")).json()["items"]
    assert {"childcare", "mobility", "training", "support"} <= {item["slug"] for item in items}
    assert all({"fr", "nl", "de", "en"} <= set(item["labels"]) for item in items)
    assert (await reader.get("/v1/directory/outlines")).json()["type"] == "FeatureCollection"


async def test_places_that_came_after_the_start_are_known(reader: httpx.AsyncClient) -> None:
    """A first start answers before its gazetteer is loaded."""
    transport: Any = reader._transport  # noqa: SLF001 - the app behind the client
    state = transport.app.state
    state.municipalities = Municipalities([])
    await found(reader, near=f"{CHARLEROI[0]},{CHARLEROI[1]}", radius_km=5)
    assert state.municipalities.nearest(*CHARLEROI) == "be:52011"


async def test_what_is_wrong_is_said_in_our_words_alone(reader: httpx.AsyncClient) -> None:
    answer = await reader.get("/v1/directory/search", params={"near": "191,20"})
    told = [(fault["pointer"], fault["detail"]) for fault in answer.json()["errors"]]
    assert told == [("?near", "Latitude goes from -90 to 90, longitude from -180 to 180.")]
