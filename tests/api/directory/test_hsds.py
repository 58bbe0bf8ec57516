"""The HSDS API on the demonstration territory: every path, every parameter, every answer against both schemas."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid5

import asyncpg
import httpx
import pytest
from api.directory.conftest import reading
from support.hsds import faults, page_shapes, shapes

from relais_directory import actions, writing
from relais_directory.formats import hsds
from relais_directory.judging import judge_places, points
from relais_directory.records import CapacityRecord, OrganisationProfile, ServiceRecord
from relais_local.databases import Access
from relais_shared.auth import Actor, Keyring

pytestmark = pytest.mark.anyio

LISTS = {
    "services": "service",
    "service_at_locations": "service_at_location",
    "organizations": "organization",
    "taxonomies": "taxonomy",
    "taxonomy_terms": "taxonomy_term",
}
"""Each list, and what its items are."""

PAGE = {"total_items", "total_pages", "page_number", "size", "first_page", "last_page", "empty", "contents"}


async def asked(reader: httpx.AsyncClient, path: str, **params: Any) -> dict[str, Any]:
    """Answer a page that is one by both versions' schemas."""
    answer = await reader.get(f"/hsds/{path}", params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert set(body) == PAGE
    assert faults([body], page_shapes()) == []
    assert body["size"] == len(body["contents"])
    assert body["empty"] == (not body["contents"])
    return body


async def everything(reader: httpx.AsyncClient, path: str, **params: Any) -> list[dict[str, Any]]:
    """Answer all items of a list, page by page."""
    items: list[dict[str, Any]] = []
    page = await asked(reader, path, per_page=100, **params)
    while True:
        items += page["contents"]
        assert page["first_page"] == (page["page_number"] == 1)
        assert page["last_page"] == (page["page_number"] >= page["total_pages"])
        if page["last_page"]:
            assert len(items) == page["total_items"]
            return items
        page = await asked(reader, path, per_page=100, page=page["page_number"] + 1, **params)


async def streamed(reader: httpx.AsyncClient, path: str, **params: Any) -> list[dict[str, Any]]:
    answer = await reader.get(f"/hsds/{path}", params={"format": "ndjson", **params})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


@pytest.fixture(scope="module", name="services")
async def _services(reader: httpx.AsyncClient) -> list[dict[str, Any]]:
    return await streamed(reader, "services", full="true")


@pytest.fixture(scope="module", name="places")
async def _places(reader: httpx.AsyncClient) -> list[dict[str, Any]]:
    return await streamed(reader, "service_at_locations", full="true")


def terms_of(service: dict[str, Any], taxonomy: str) -> set[str]:
    return {
        one["taxonomy_term"]["code"] for one in service["attributes"] if one["taxonomy_term"]["taxonomy"] == taxonomy
    }


@pytest.mark.parametrize("path", ["", "services", "services/x", "taxonomies", "organizations", "taxonomy_terms/x"])
async def test_nobody_and_those_without_the_scope_are_refused(
    reader: httpx.AsyncClient, gateway: Keyring, path: str
) -> None:
    nobody = await reader.get(f"/hsds/{path}", headers={"Authorization": ""})
    assert (nobody.status_code, nobody.json()["type"]) == (401, "/problems/unauthenticated")
    other = gateway.sign("directory", Actor("client", "client:t", scopes=frozenset({"referral:send"})))
    missing = await reader.get(f"/hsds/{path}", headers={"Authorization": f"Bearer {other}"})
    assert (missing.status_code, missing.json()["type"]) == (403, "/problems/scope-missing")


@pytest.mark.parametrize(
    ("path", "params", "pointers"),
    [
        ("services", {"page": 0, "per_page": 501}, {"?page", "?per_page"}),
        ("services", {"format": "xml", "full": "perhaps"}, {"?format", "?full"}),
        ("services", {"colour": "blue", "postcode": "6000"}, {"?colour", "?postcode"}),
        ("services", {"modified_after": "yesterday"}, {"?modified_after"}),
        ("services", {"taxonomy_term_id": "x", "taxonomy_id": "y"}, {"?taxonomy_term_id", "?taxonomy_id"}),
        ("services", {"organization_id": "x"}, {"?organization_id"}),
        ("services", {"search": "de la"}, {"?search"}),
        ("services", {"search": ""}, {"?search"}),
        ("organizations", {"search": "!!", "format": "json"}, {"?search"}),
        ("organizations", {"minimal": "true"}, {"?minimal"}),
        ("service_at_locations", {"proximity": 100}, {"?proximity"}),
        ("service_at_locations", {"postcode": "9999"}, {"?postcode"}),
        ("service_at_locations", {"postcode": "6000", "proximity": -1}, {"?proximity"}),
        ("service_at_locations", {"postcode": "no postcode at all"}, {"?postcode"}),
        ("taxonomies", {"full": "true"}, {"?full"}),
        ("taxonomy_terms", {"parent_id": "x", "top_only": 7}, {"?parent_id", "?top_only"}),
        ("taxonomy_terms", {"search": "?"}, {"?search"}),
        (f"organizations/{hsds.NAMESPACE}", {"full_service": "x"}, {"?full_service"}),
    ],
)
async def test_what_cannot_be_is_named(
    reader: httpx.AsyncClient, path: str, params: dict[str, Any], pointers: set[str]
) -> None:
    answer = await reader.get(f"/hsds/{path}", params=params)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-input"), answer.text
    assert {error["pointer"] for error in answer.json()["errors"]} == pointers
    if path in LISTS:
        posted = await reader.post(f"/hsds/{path}", params=params)
        assert {error["pointer"] for error in posted.json()["errors"]} == pointers


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("id_", ["00000000-0000-4000-8000-000000000000", "no-uuid"])
async def test_what_nobody_has_is_not_found(reader: httpx.AsyncClient, path: str, id_: str) -> None:
    answer = await reader.get(f"/hsds/{path}/{id_}")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize("path", ["/hsds", "/hsds/"])
async def test_the_base_says_what_this_is(reader: httpx.AsyncClient, path: str) -> None:
    about = (await reader.get(path)).json()
    assert about["version"] == "3.1"
    assert all(urlsplit(about[name]).scheme for name in ("profile", "openapi_url"))


async def test_every_service_is_valid_and_answers_alone(
    reader: httpx.AsyncClient, services: list[dict[str, Any]]
) -> None:
    assert len(services) == 507
    assert faults(services, shapes("service")) == []
    listed = await everything(reader, "services")
    assert ids(listed) == ids(services) == sorted(ids(services))
    assert faults(listed, shapes("service")) == []
    assert not any(isinstance(value, list) for one in listed for value in one.values())
    assert await everything(reader, "services", full="true") == services
    for service in services:
        alone = (await reader.get(f"/hsds/services/{service['id']}")).json()
        assert {name: alone[name] for name in service} == service
        assert faults([alone], shapes("service")) == []


async def test_every_place_is_valid_and_answers_alone(
    reader: httpx.AsyncClient, places: list[dict[str, Any]], services: list[dict[str, Any]]
) -> None:
    assert {place["id"] for place in places} == {
        place["id"] for service in services for place in service.get("service_at_locations", ())
    }
    assert faults(places, shapes("service_at_location")) == []
    assert faults([place["service"] for place in places], shapes("service")) == []
    listed = await everything(reader, "service_at_locations")
    assert ids(listed) == ids(places)
    assert faults(listed, shapes("service_at_location")) == []
    for place in places:
        assert (await reader.get(f"/hsds/service_at_locations/{place['id']}")).json() == place


async def test_every_organisation_is_valid_and_answers_alone(
    reader: httpx.AsyncClient, services: list[dict[str, Any]]
) -> None:
    listed = await everything(reader, "organizations")
    assert {service["organization"]["id"] for service in services} <= set(ids(listed))
    assert faults(listed, shapes("organization")) == []
    full = await everything(reader, "organizations", full="true")
    assert faults(full, shapes("organization")) == []
    whole = await everything(reader, "organizations", full="true", full_service="true")
    assert sum(len(one["services"]) for one in whole) == len(services)
    for short, long in zip(full, whole, strict=True):
        assert set().union(*short["services"]) <= {"id", "name", "status", "last_modified"}
        assert faults([*short["services"], *long["services"]], shapes("service")) == []
        assert (await reader.get(f"/hsds/organizations/{short['id']}")).json() == short
        answer = await reader.get(f"/hsds/organizations/{short['id']}", params={"full_service": "true"})
        assert answer.json() == long
    assert await streamed(reader, "organizations", full="true", full_service="true") == whole


@pytest.mark.parametrize("path", ["taxonomies", "taxonomy_terms"])
async def test_every_taxonomy_and_term_is_valid_and_answers_alone(reader: httpx.AsyncClient, path: str) -> None:
    listed = await everything(reader, path)
    assert faults(listed, shapes(LISTS[path])) == []
    assert await streamed(reader, path) == listed
    for one in listed:
        assert (await reader.get(f"/hsds/{path}/{one['id']}")).json() == one


async def test_each_term_that_a_service_bears_is_there(
    reader: httpx.AsyncClient, services: list[dict[str, Any]]
) -> None:
    known = set(ids(await everything(reader, "taxonomy_terms")))
    assert {one["taxonomy_term_id"] for service in services for one in service["attributes"]} <= known


async def test_terms_are_listed_by_taxonomy_parent_and_top(reader: httpx.AsyncClient) -> None:
    (themes,) = (await asked(reader, "taxonomies", search="themes"))["contents"]
    listed = await everything(reader, "taxonomy_terms", taxonomy_id=themes["id"])
    assert {one["taxonomy"] for one in listed} == {"relais:themes"}
    top = await everything(reader, "taxonomy_terms", taxonomy_id=themes["id"], top_only="true")
    assert {one["code"] for one in top} == {"childcare", "mobility", "training", "support"}
    childcare = next(one for one in top if one["code"] == "childcare")
    below = await everything(reader, "taxonomy_terms", parent_id=childcare["id"])
    assert {one["code"].partition("--")[0] for one in below} == {"childcare"}
    (nursery,) = (await asked(reader, "taxonomy_terms", search="creche"))["contents"]
    assert nursery["code"] == "childcare--nursery"


async def test_pages_are_told_to_their_end(reader: httpx.AsyncClient) -> None:
    first = await asked(reader, "services", per_page=500)
    assert (first["total_items"], first["total_pages"], first["first_page"], first["last_page"]) == (
        507,
        2,
        True,
        False,
    )
    last = await asked(reader, "services", per_page=500, page=2)
    assert (last["size"], last["first_page"], last["last_page"], last["empty"]) == (7, False, True, False)
    beyond = await asked(reader, "services", per_page=500, page=3)
    assert (beyond["size"], beyond["last_page"], beyond["empty"], beyond["total_items"]) == (0, True, True, 507)
    none = await asked(reader, "services", organization_id="00000000-0000-4000-8000-000000000000")
    assert (none["total_items"], none["total_pages"], none["empty"], none["first_page"]) == (0, 0, True, True)


async def test_minimal_is_ids_and_changes_in_one_page(
    reader: httpx.AsyncClient, services: list[dict[str, Any]]
) -> None:
    page = await asked(reader, "services", minimal="true")
    assert page["contents"] == [{"id": one["id"], "last_modified": one["last_modified"]} for one in services]
    assert (page["total_items"], page["total_pages"], page["last_page"]) == (507, 1, True)
    paged = await asked(reader, "services", minimal="true", per_page=10, page=2)
    assert paged["contents"] == page["contents"][10:20]
    assert await streamed(reader, "services", minimal="true") == page["contents"]
    nothing = await asked(reader, "services", minimal="true", modified_after="2190-01-01")
    assert (nothing["empty"], nothing["total_items"]) == (True, 0)


@pytest.mark.parametrize("path", ["services", "service_at_locations"])
async def test_terms_narrow_and_a_parent_takes_its_children(
    reader: httpx.AsyncClient, services: list[dict[str, Any]], path: str
) -> None:
    terms = {(one["taxonomy"], one["code"]): one for one in await everything(reader, "taxonomy_terms")}

    def bearing(taxonomy: str, prefix: str) -> set[str]:
        return {
            one["id"]
            for one in services
            if any(code == prefix or code.startswith(f"{prefix}--") for code in terms_of(one, taxonomy))
        }

    for taxonomy, code in [
        ("relais:themes", "childcare"),
        ("relais:themes", "childcare--nursery"),
        ("relais:audiences", "families"),
        ("relais", "conditions"),
        ("relais", "free"),
        ("relais", "source"),
    ]:
        found = await everything(reader, path, taxonomy_term_id=terms[taxonomy, code]["id"])
        expected = bearing(taxonomy, code)
        assert expected
        if path == "services":
            assert set(ids(found)) == expected, code
        else:
            assert {one["service_id"] for one in found} <= expected
    for name in ("relais:themes", "relais:audiences", "relais"):
        taxonomy_id = next(one["id"] for one in hsds.taxonomies() if one["name"] == name)
        found = await everything(reader, path, taxonomy_id=taxonomy_id)
        expected = {one["id"] for one in services if terms_of(one, name)}
        assert {one.get("service_id", one["id"]) for one in found} <= expected
        assert path != "services" or set(ids(found)) == expected
    assert (await asked(reader, path, taxonomy_term_id=str(hsds.NAMESPACE)))["empty"]
    assert (await asked(reader, path, taxonomy_id=str(hsds.NAMESPACE)))["empty"]


async def test_organisations_bear_the_terms_of_their_services(
    reader: httpx.AsyncClient, services: list[dict[str, Any]]
) -> None:
    term = next(one for one in hsds.taxonomy_terms() if one["code"] == "childcare--nursery")
    found = await everything(reader, "organizations", taxonomy_term_id=term["id"])
    assert set(ids(found)) == {
        one["organization"]["id"] for one in services if "childcare--nursery" in terms_of(one, "relais:themes")
    }
    all_ = await everything(reader, "organizations", taxonomy_id=term["taxonomy_id"])
    assert set(ids(all_)) == {one["organization"]["id"] for one in services if terms_of(one, "relais:themes")}
    assert (await asked(reader, "organizations", taxonomy_id=str(hsds.NAMESPACE)))["empty"]


async def test_services_and_places_of_one_organisation(
    reader: httpx.AsyncClient, services: list[dict[str, Any]], places: list[dict[str, Any]]
) -> None:
    owner = services[0]["organization"]["id"]
    found = await everything(reader, "services", organization_id=owner)
    assert ids(found) == [one["id"] for one in services if one["organization"]["id"] == owner]
    there = await everything(reader, "service_at_locations", organization_id=owner)
    assert ids(there) == [one["id"] for one in places if one["service"]["organization"]["id"] == owner]


@pytest.mark.parametrize("path", ["services", "service_at_locations"])
async def test_what_changed_since_is_told(reader: httpx.AsyncClient, path: str, services: list[dict[str, Any]]) -> None:
    moments = sorted(one["last_modified"] for one in services)
    middle = moments[len(moments) // 2]
    found = await everything(reader, path, modified_after=middle)
    assert all(one.get("service", one)["last_modified"] >= middle for one in found)
    if path == "services":
        assert len(found) == sum(moment >= middle for moment in moments)
    assert (await asked(reader, path, modified_after="2190-01-01T00:00:00+01:00"))["empty"]
    assert not (await asked(reader, path, modified_after="2000-01-01"))["empty"]


@pytest.mark.parametrize("text", ["crèche", "creche", "créche", "nounou", "permis de conduire"])
async def test_words_find_services_and_their_places(reader: httpx.AsyncClient, text: str) -> None:
    page = await asked(reader, "services", search=text, full="true")
    ours = (await reader.get("/v1/directory/search", params={"q": text})).json()
    assert page["total_items"] == ours["total"] > 0
    assert set(ids(await streamed(reader, "services", search=text))) == set(
        ids(await everything(reader, "services", search=text))
    )
    places = await everything(reader, "service_at_locations", search=text)
    assert {one["service_id"] for one in places} <= set(ids(await everything(reader, "services", search=text)))


async def test_the_best_match_stands_first(reader: httpx.AsyncClient) -> None:
    first = (await asked(reader, "services", search="crèche", per_page=5, full="true"))["contents"]
    assert all("childcare--nursery" in terms_of(one, "relais:themes") for one in first)


async def test_words_find_organisations_by_what_they_say_of_themselves(reader: httpx.AsyncClient) -> None:
    (one,) = (await asked(reader, "organizations", search="TOURNEBISE"))["contents"]
    assert one["name"].startswith("Tournebise")
    assert ids((await asked(reader, "organizations", search="creches tournebise"))["contents"]) == [one["id"]]
    assert (await asked(reader, "organizations", search="zzzz"))["empty"]


async def test_a_postcode_finds_what_is_for_its_people(reader: httpx.AsyncClient, places: list[dict[str, Any]]) -> None:
    def area(place: dict[str, Any]) -> set[str]:
        return {one["uri"] for one in place["service"].get("service_areas", ()) if one.get("uri")}

    def municipality(place: dict[str, Any]) -> str:
        own = {one["taxonomy_term"]["code"]: one["value"] for one in place["location"]["addresses"][0]["attributes"]}
        return str(own["municipality_code"])

    found = await everything(reader, "service_at_locations", postcode="6000")
    assert ids(found) == [
        one["id"] for one in places if ("be:52011" in area(one) if area(one) else municipality(one) == "be:52011")
    ]
    assert ids(await everything(reader, "service_at_locations", postcode="be:6000")) == ids(found)
    assert (await reader.get("/hsds/service_at_locations", params={"postcode": "fr:6000"})).status_code == 422


async def test_a_distance_around_a_postcode_narrows(reader: httpx.AsyncClient, places: list[dict[str, Any]]) -> None:
    from geographiclib.geodesic import Geodesic  # noqa: PLC0415 - a reference that this test alone needs

    middle = (await reader.get("/v1/directory/places", params={"q": "6000"})).json()["items"]
    near = [one for one in middle if one["kind"] == "locality" and "6000" in one["postcodes"]]
    latitude = sum(one["latitude"] for one in near) / len(near)
    longitude = sum(one["longitude"] for one in near) / len(near)
    before: set[str] = set()
    for metres in (500, 2_000, 10_000, 50_000):
        found = await everything(reader, "service_at_locations", postcode="6000", proximity=metres)
        assert before <= set(ids(found))
        before = set(ids(found))
        for place in places:
            where = place["location"]
            if "latitude" not in where:
                continue
            away = Geodesic.WGS84.Inverse(latitude, longitude, where["latitude"], where["longitude"])["s12"]
            area = {one.get("uri") for one in place["service"].get("service_areas", ())}
            inside = away <= metres and (not area or "be:52011" in area)
            assert abs(away - metres) < 1 or inside == (place["id"] in before), (place["id"], away)
    assert before


@pytest.mark.parametrize("path", LISTS)
async def test_a_list_may_be_asked_for_in_a_body(reader: httpx.AsyncClient, path: str) -> None:
    plain = await asked(reader, path, per_page=3)
    assert (await reader.post(f"/hsds/{path}")).json()["total_items"] == plain["total_items"]
    for request in ({"json": {"per_page": 3}}, {"params": {"per_page": 3}}):
        assert (await reader.post(f"/hsds/{path}", **request)).json() == plain  # type: ignore[arg-type]  # either of both
    both = await reader.post(f"/hsds/{path}", params={"page": 2}, json={"per_page": 3})
    assert both.json() == await asked(reader, path, per_page=3, page=2)
    twice = await reader.post(f"/hsds/{path}", params={"page": 2}, json={"page": 3})
    assert [error["pointer"] for error in twice.json()["errors"]] == ["/page"]
    wrong = await reader.post(f"/hsds/{path}", json={"page": 0, "colour": "blue", "search": ["x"]})
    assert {error["pointer"] for error in wrong.json()["errors"]} == {"/page", "/colour", "/search"}
    broken = await reader.post(f"/hsds/{path}", content=b"{", headers={"Content-Type": "application/json"})
    assert broken.status_code == 400
    lines = await reader.post(f"/hsds/{path}", json={"format": "ndjson"})
    assert len(lines.text.splitlines()) == plain["total_items"]


async def test_a_postcode_in_a_body_is_a_postcode(reader: httpx.AsyncClient) -> None:
    plain = await asked(reader, "service_at_locations", postcode="6000", proximity=1000, search="crèche", full="true")
    body = {"postcode": "6000", "proximity": 1000, "search": "crèche", "full": True}
    assert (await reader.post("/hsds/service_at_locations", json=body)).json() == plain
    assert plain["total_items"] > 0


async def test_no_contact_for_professionals_and_nothing_confidential_is_told(
    dsn: str, services: list[dict[str, Any]], places: list[dict[str, Any]]
) -> None:
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch("select id, record::text as record from service")
    await connection.close()
    told = json.dumps([services, places], ensure_ascii=False)
    by_id = {one["id"]: one for one in services}
    secret = 0
    for row in rows:
        record = json.loads(row["record"])
        if contact := record.get("relay_contact"):
            for name in ("name", "email"):
                assert json.dumps(contact[name], ensure_ascii=False) not in told
        for number, place in enumerate(record.get("locations", ())):
            if place.get("confidential"):
                secret += 1
                shown = by_id[str(row["id"])]["service_at_locations"][number]
                text = json.dumps(shown, ensure_ascii=False)
                assert place["address"].get("street", "Rue") not in text
                assert place["address"]["postcode"] not in text
                assert place["name"] not in text
                assert not {"latitude", "longitude", "phones", "schedules", "accessibility"} & set(shown["location"])
                assert "schedules" not in shown
    assert secret == 5


async def test_an_answer_is_not_sent_twice(reader: httpx.AsyncClient, services: list[dict[str, Any]]) -> None:
    answer = await reader.get(f"/hsds/services/{services[0]['id']}")
    again = await reader.get(f"/hsds/services/{services[0]['id']}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


TERM = "00000000-0000-4000-8000-00000000000a"
TAXONOMY = "00000000-0000-4000-8000-00000000000b"
OWNER, EMPTY = UUID(int=1), UUID(int=2)
NOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
"""After the directory came to have them, which it notes by the clock of its database."""

VARIED: dict[str, dict[str, Any]] = {
    "draft": {"status": "draft"},
    "retired": {"status": "retired"},
    "inactive": {"status": "inactive"},
    "closed": {"status": "temporarily_closed", "closed_until": "2026-12-31"},
    "merged": {},
    "foreign": {
        "attributes": [
            {
                "link_type": "x",
                "taxonomy_term": {
                    "id": TERM,
                    "name": "Food",
                    "description": "Food",
                    "taxonomy": "Open Eligibility",
                    "taxonomy_detail": {"id": TAXONOMY, "name": "Open Eligibility", "description": "?"},
                },
            }
        ]
    },
    "changed": {
        "updated_at": "2020-01-01T00:00:00Z",
        "relay_contact": {"name": "TELLING"},
        "locations": [
            {
                "confidential": True,
                "address": {"street": "TELLING", "municipality": "Charleroi", "postcode": "6000", "country": "BE"},
            }
        ],
    },
}
"""Services in every state that the demonstration does not show."""


def after(hours: int) -> str:
    return f"{NOON + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"


def id_of(name: str) -> str:
    return str(uuid5(OWNER, name))


@pytest.fixture(scope="module", name="varied")
async def _varied(
    home: object, fresh_database: Callable[[str], Access], gateway: Keyring
) -> AsyncIterator[httpx.AsyncClient]:
    """Answer a directory with one service in each state, one changed twice, one merged away."""
    del home
    access = await asyncio.to_thread(fresh_database, "directory")
    connection = await asyncpg.connect(access.dsn)
    try:
        await _fill(connection)
    finally:
        await connection.close()
    async with reading(access.dsn, gateway) as client:
        yield client


async def _fill(connection: asyncpg.Connection) -> None:
    await actions.load_vocabularies(connection)
    await actions.load_gazetteer(connection)
    terms = {row["code"]: row["id"] for row in await connection.fetch("select code, id from taxonomy_term")}

    async def write(name: str, at: datetime, more: dict[str, Any] | None = None) -> None:
        values = {"name": f"Service {name}", "modes": ["remote"], **VARIED[name], **(more or {})}
        record = ServiceRecord.model_validate(values)
        places, _refused, _flags = judge_places(record, points())
        one = writing.Service(UUID(id_of(name)), OWNER, "Œuvre d'Été", "test", name, record, places)
        await writing.write_services(connection, [one], writing.Author("client:test", at), terms)

    async with connection.transaction():
        for id_, name in ((OWNER, "Œuvre d'Été"), (EMPTY, "Nobody's")):
            profile = OrganisationProfile(name=name, website="www.example.org")
            owner = writing.Organisation(id_, "test", name, profile)
            await writing.write_organisations(connection, [owner], writing.Author("client:test", NOON))
        for name in VARIED:
            await write(name, NOON)
        await write(
            "changed", NOON + timedelta(hours=1), {"name": "A new name", "relay_contact": {"name": "TELLING TOO"}}
        )
        place = VARIED["changed"]["locations"][0]["address"] | {"street": "TELLING AS WELL"}
        await write("changed", NOON + timedelta(hours=2), {"locations": [{"confidential": True, "address": place}]})
        await connection.execute(
            "update service set merged_into = $2 where id = $1", UUID(id_of("merged")), UUID(id_of("closed"))
        )
        capacity = CapacityRecord(available=3, unit="bed", updated_at=NOON + timedelta(hours=3))
        await writing.set_capacities(connection, [(UUID(id_of("closed")), capacity)], "client:test")


async def test_lists_show_what_is_there_and_ids_what_was(varied: httpx.AsyncClient) -> None:
    listed = await everything(varied, "services")
    assert {one["id"]: one["status"] for one in listed} == {
        id_of("inactive"): "inactive",
        id_of("closed"): "temporarily closed",
        id_of("foreign"): "active",
        id_of("changed"): "active",
    }
    whole = await streamed(varied, "services", full="true")
    assert faults([*listed, *whole], shapes("service")) == []
    retired = (await varied.get(f"/hsds/services/{id_of('retired')}")).json()
    assert (retired["status"], faults([retired], shapes("service"))) == ("defunct", [])
    assert (await varied.get(f"/hsds/services/{id_of('draft')}")).status_code == 404
    (owner, empty) = await everything(varied, "organizations", full="true")
    assert set(ids(owner["services"])) == set(ids(listed))
    assert (empty["services"], empty["name"]) == ([], "Nobody's")
    assert "website" not in empty
    assert faults([owner, empty], shapes("organization")) == []


async def test_terms_of_others_narrow_too(varied: httpx.AsyncClient) -> None:
    for path, expected in (("services", id_of("foreign")), ("organizations", str(OWNER))):
        for name, value in (("taxonomy_term_id", TERM), ("taxonomy_id", TAXONOMY)):
            assert ids((await asked(varied, path, **{name: value}))["contents"]) == [expected]


async def test_a_change_here_is_a_change_whatever_its_source_says(varied: httpx.AsyncClient) -> None:
    changed = (await varied.get(f"/hsds/services/{id_of('changed')}")).json()
    assert changed["last_modified"] == after(2)
    closed = (await varied.get(f"/hsds/services/{id_of('closed')}")).json()
    assert (closed["last_modified"], closed["capacities"][0]["unit"]["name"]) == (after(3), "bed")
    for hours, expected in ((1, {"changed", "closed"}), (2, {"changed", "closed"}), (3, {"closed"}), (4, set())):
        page = await asked(varied, "services", modified_after=after(hours).removesuffix("Z"))
        assert set(ids(page["contents"])) == {id_of(name) for name in expected}, hours


async def test_the_history_of_a_service_tells_no_contact_and_no_place(varied: httpx.AsyncClient) -> None:
    answer = await varied.get(f"/hsds/services/{id_of('changed')}")
    assert "TELLING" not in answer.text
    told = {one["field_name"]: one for one in answer.json()["metadata"]}
    assert told["name"]["previous_value"] == "Service changed"
    assert told["service_at_locations"]["replacement_value"] == "-"
    assert faults([answer.json()], shapes("service")) == []


async def test_organisations_are_found_without_accents(varied: httpx.AsyncClient) -> None:
    assert ids((await asked(varied, "organizations", search="ete"))["contents"]) == [str(OWNER)]


async def test_a_service_that_left_the_place_is_gone_from_it(varied: httpx.AsyncClient) -> None:
    (place,) = await everything(varied, "service_at_locations")
    assert place["service_id"] == id_of("changed")
    assert (await varied.get(f"/hsds/service_at_locations/{place['id']}")).json()["id"] == place["id"]
    assert ids(await everything(varied, "service_at_locations", postcode="6000", proximity=50_000)) == [place["id"]]
