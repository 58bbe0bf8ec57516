"""Owners write: whole records, their versions and history, and who sees what of them."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from api.directory.owners import CAPACITY, MERGE_PATCH, NAMUR, OWNER, READ, SEND, WRITE, World, faults, refusal, service
from support.breaking import WORD, fails

from relais_directory import importing
from relais_directory.domain.days import day_of
from relais_directory.writing import Author

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_day")]

WRITES = [
    ("POST", "/services", {}),
    ("GET", "/own/services", {}),
    ("GET", "/services/{id}/record", {}),
    ("PUT", "/services/{id}/record", {"version": '"1"'}),
    ("PATCH", "/services/{id}/record", {"version": '"1"'}),
    ("DELETE", "/services/{id}", {"version": '"1"'}),
    ("GET", "/services/{id}/history", {}),
    ("GET", "/own/organisation", {}),
    ("PUT", "/own/organisation", {"version": '"0"'}),
]


@pytest.mark.parametrize(("method", "path", "options"), WRITES)
async def test_nobody_and_those_who_only_read_are_refused(
    world: World, method: str, path: str, options: dict[str, Any]
) -> None:
    body = None if method in {"GET", "DELETE"} else service()
    place = path.format(id=uuid4())
    nobody = await world.caller().ask(method, place, body, headers={"Authorization": ""}, **options)
    assert refusal(nobody) == (401, "unauthenticated")
    # Who tells open places finds the services to tell them of.
    scopes = {READ, CAPACITY, SEND} - ({CAPACITY} if path == "/own/services" else set())
    reader = await world.caller(*sorted(scopes)).ask(method, place, body, **options)
    assert refusal(reader) == (403, "scope-missing")


async def test_who_acts_for_no_organisation_writes_nothing(world: World) -> None:
    answer = await world.nameless(WRITE).ask("POST", "/services", service())
    assert refusal(answer) == (403, "scope-missing")


@pytest.mark.parametrize(("method", "path", "options"), [one for one in WRITES if "{id}" in one[1]])
async def test_anothers_service_answers_like_one_that_is_not_there(
    world: World, method: str, path: str, options: dict[str, Any]
) -> None:
    body = None if method in {"GET", "DELETE"} else service()
    id_ = await world.caller().publish()
    other = world.caller()
    theirs = await other.ask(method, path.format(id=id_), body, **options)
    absent = await other.ask(method, path.format(id=uuid4()), body, **options)
    assert refusal(theirs) == refusal(absent) == (404, "not-found")
    assert theirs.json()["detail"] == absent.json()["detail"]


async def test_what_an_owner_publishes_is_found_at_once_as_it_wrote_it(world: World) -> None:
    owner = world.caller(name="Crèche des Essais")
    answer = await owner.told("POST", "/services", service(themes=["childcare--nursery"], email="essai@example.org"))
    assert answer.status_code == 201
    assert answer.headers["ETag"] == '"1"'
    id_ = answer.headers["Location"].rpartition("/")[2]
    written = answer.json()
    assert written["assured_at"] == day_of(world.now()).isoformat()
    assert written["assured_by"] == "Crèche des Essais"
    read = await owner.told("GET", f"/services/{id_}/record")
    assert read.json() == written
    assert read.headers["ETag"] == '"1"'
    card = (await owner.found(near="50.4113,4.4445", theme="childcare"))[id_]
    assert card["organisation"]["name"] == "Crèche des Essais"
    assert card["freshness"]["score"] == 1.0
    assert card["service"]["phone"] == "071 00 00 00"
    page = await world.caller(READ).read(f"/services/{id_}")
    assert (page["name"], page["source"]["name"]) == (written["name"], "relais")


@pytest.mark.parametrize("hours", [None, "Mo-Fr 09:00-12:00"])
@pytest.mark.parametrize("closed", [False, True])
async def test_a_card_is_whole_with_a_relay_contact_of_any_kind(
    world: World, hours: str | None, *, closed: bool
) -> None:
    owner = world.caller()
    contact = {"name": "null", "phone": "071 00 00 01", **({"hours": hours} if hours else {})}
    id_ = await owner.publish(relay_contact=contact, status="temporarily_closed" if closed else "active")
    other = await owner.publish(status="temporarily_closed" if closed else "active")
    cards = await owner.found()
    assert (cards[id_]["relay_contact"]["name"], cards[id_]["relay_contact"]["hours"]) == ("null", hours)
    assert (cards[id_]["relay_contact"]["reachable_now"] is None) == (hours is None)
    assert cards[other]["relay_contact"] is None


async def test_every_fault_is_named_by_its_pointer(world: World) -> None:
    place = service()["locations"][0]
    broken = service(
        name="  ",
        themes=["childcare", "nonsense"],
        modes=["by_magic"],
        locations=[{**place, "latitude": 200, "address": {**place["address"], "country": "Belgium"}}],
        phones=[{"number": ""}],
        surprise=1,
    )
    answer = await world.caller().ask("POST", "/services", broken)
    assert refusal(answer) == (422, "invalid-input")
    assert faults(answer) == {
        "/name", "/themes", "/modes/0", "/locations/0/latitude", "/locations/0/address/country", "/phones/0/number",
        "/surprise",
    }  # fmt: skip
    assert "nonsense" not in answer.text


async def test_what_only_the_whole_shows_is_named_too(world: World) -> None:
    place = service()["locations"][0]
    tomorrow = (day_of(world.now()) + timedelta(days=1)).isoformat()
    answer = await world.caller().ask(
        "POST",
        "/services",
        service(
            locations=[{**place, "latitude": 43.3, "longitude": 5.4}, {**place, "opening_hours": "Mo-Fr 25:00"}],
            minimum_age=6,
            maximum_age=3,
            assured_at=tomorrow,
            capacity={"available": 1, "updated_at": f"{tomorrow}T00:00:00Z"},
        ),
    )
    assert refusal(answer) == (422, "invalid-input")
    assert faults(answer) == {
        "/locations/0", "/locations/1/opening_hours", "/maximum_age", "/assured_at", "/capacity/updated_at",
    }  # fmt: skip


async def test_the_id_of_a_place_is_of_one_service_alone(world: World) -> None:
    owner = world.caller()
    place = service()["locations"][0] | {"at_id": str(uuid4())}
    first = await owner.publish(locations=[place])
    await owner.change(first, fees="5 euros")
    again = await owner.ask("POST", "/services", service(locations=[place]))
    assert (again.status_code, faults(again)) == (422, {"/locations/0/at_id"})
    second = await owner.publish()
    changed = await owner.ask(
        "PATCH", f"/services/{second}/record", {"locations": [place]}, version=await owner.version(second),
        headers=MERGE_PATCH,
    )  # fmt: skip
    assert (changed.status_code, faults(changed)) == (422, {"/locations/0/at_id"})


@pytest.mark.parametrize("bad", ["Nul\0", "half \ud83d"])
async def test_signs_that_cannot_be_stored_are_refused_by_name(world: World, bad: str) -> None:
    body = json.dumps(service(description=bad)).encode()
    answer = await world.caller().ask("POST", "/services", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert faults(answer) == {"/description"}


async def test_a_change_needs_the_version_that_was_read(world: World) -> None:
    owner = world.caller()
    id_ = await owner.publish()
    for method, path in (("PUT", "record"), ("PATCH", "record"), ("DELETE", "")):
        body = None if method == "DELETE" else service()
        place = f"/services/{id_}/{path}".rstrip("/")
        assert refusal(await owner.ask(method, place, body)) == (428, "version-required")
        assert refusal(await owner.ask(method, place, body, version="1")) == (400, "malformed-request")
        stale = await owner.ask(method, place, body, version='"7"')
        assert refusal(stale) == (412, "stale-version")
        assert stale.headers["ETag"] == '"1"'
    assert await owner.version(id_) == '"1"'


async def test_of_two_who_write_at_once_one_is_told_so(world: World) -> None:
    owner = world.caller()
    id_ = await owner.publish()
    answers = await asyncio.gather(
        *(owner.ask("PUT", f"/services/{id_}/record", service(name=name), version='"1"') for name in ("un", "deux"))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    assert await owner.version(id_) == '"2"'


async def test_the_same_content_twice_is_one_version(world: World) -> None:
    owner = world.caller()
    id_ = await owner.publish()
    again = await owner.told("PUT", f"/services/{id_}/record", service(), version='"1"')
    assert again.headers["ETag"] == '"1"'
    async with world.later(days=3):
        # Said again on another day it is fresher, and the same version.
        again = await owner.told("PUT", f"/services/{id_}/record", service(), version='"1"')
        assert again.headers["ETag"] == '"1"'
        assert again.json()["assured_at"] == day_of(world.now()).isoformat()
        changed = await owner.told("PUT", f"/services/{id_}/record", service(name="Autre nom"), version='"1"')
        assert changed.headers["ETag"] == '"2"'
    assert len((await owner.read(f"/services/{id_}/history"))["items"]) == len(service()) + 1


async def test_who_writes_assures_in_its_own_name_unless_it_says_when(world: World) -> None:
    owner = world.caller(name="Maison des Essais")
    id_ = await owner.publish(assured_at="2024-02-01", assured_by="Le ministère")
    record = await owner.read(f"/services/{id_}/record")
    assert (record["assured_at"], record["assured_by"]) == ("2024-02-01", "Maison des Essais")
    card = (await owner.found())[id_]
    assert card["freshness"]["assured_at"] == "2024-02-01"
    changed = (await owner.change(id_, name="Halte")).json()
    assert changed["assured_at"] == day_of(world.now()).isoformat()


async def test_a_patch_takes_away_and_replaces_and_says_what_it_breaks(world: World) -> None:
    owner = world.caller()
    id_ = await owner.publish(fees="2 € par heure", languages=["fr", "nl"])
    changed = await owner.change(id_, fees=None, languages=["de"], reception={"calm": True})
    assert changed.headers["ETag"] == '"2"'
    record = changed.json()
    assert "fees" not in record
    assert record["languages"] == [{"code": "de"}]
    assert record["reception"] == {"calm": True}
    place = f"/services/{id_}/record"
    broken = await owner.ask("PATCH", place, {"name": None, "modes": []}, version='"2"', headers=MERGE_PATCH)
    assert (refusal(broken), faults(broken)) == ((422, "invalid-input"), {"/name", "/modes"})
    no_object = await owner.ask("PATCH", place, ["name"], version='"2"', headers=MERGE_PATCH)
    assert (refusal(no_object), faults(no_object)) == ((422, "invalid-input"), {""})
    no_json = await owner.ask("PATCH", place, version='"2"', content=b"{", headers=MERGE_PATCH)
    assert refusal(no_json) == (400, "malformed-request")
    assert await owner.version(id_) == '"2"'


async def test_nobody_else_sees_a_draft_anywhere(world: World) -> None:
    owner = world.caller()
    others = world.caller(READ, SEND)
    id_ = await owner.publish(status="draft")
    absent = str(uuid4())
    for method, path, body in [
        ("GET", "/services/{}", None),
        ("POST", "/services/{}/conditions/check", {}),
        ("POST", "/services/{}/confirmations", None),
        ("POST", "/services/{}/reports", {"field": "name"}),
        ("POST", "/services/{}/tips", {"text": "Sonner deux fois."}),
        ("GET", "/services/{}/tips", None),
        ("GET", "/services/{}/history", None),
    ]:
        caller = world.caller() if path.endswith("history") else others
        drafted = await caller.ask(method, path.format(id_), body)
        missing = await caller.ask(method, path.format(absent), body)
        assert refusal(drafted) == refusal(missing) == (404, "not-found"), path
        assert drafted.json()["detail"] == missing.json()["detail"]
    assert await owner.found() == {}
    assert id_ not in {one["id"] for one in await feed(world)}
    assert [one["status"] for one in (await owner.read("/own/services"))["items"]] == ["draft"]
    # Published, it is there; deleted before that, it never was.
    await owner.change(id_, status="active")
    assert list(await owner.found()) == [id_]
    second = await owner.publish(status="draft")
    await owner.told("DELETE", f"/services/{second}", version='"1"')
    assert refusal(await owner.ask("GET", f"/services/{second}/record")) == (404, "not-found")
    assert refusal(await owner.ask("GET", f"/services/{second}/history")) == (404, "not-found")
    assert second not in {one["id"] for one in await feed(world)}


async def feed(world: World) -> list[dict[str, Any]]:
    """Answer the whole change feed."""
    await world.settled()
    reader = world.caller(READ)
    items: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": 1000}
    while True:
        page = await reader.read("/changes", **params)
        items += page["items"]
        if not page["more"]:
            return items
        params["since"] = page["next_cursor"]


async def test_a_service_lives_from_draft_to_retired(world: World) -> None:
    owner, reader = world.caller(), world.caller(READ)
    id_ = await owner.publish(status="draft")
    refused = await owner.ask("PUT", f"/services/{id_}/record", service(status="retired"), version='"1"')
    assert faults(refused) == {"/status"}
    await owner.change(id_, status="active")
    today = day_of(world.now()).isoformat()
    await owner.change(id_, status="temporarily_closed", closed_from=today, closed_until=today)
    assert (await owner.found())[id_]["status"] == "temporarily_closed"
    undated = await owner.ask("PATCH", f"/services/{id_}/record", {"status": "active"}, version='"3"')
    assert faults(undated)
    await owner.change(id_, status="active", closed_from=None, closed_until=None)
    again = await owner.ask("PATCH", f"/services/{id_}/record", {"status": "draft"}, version='"4"')
    assert faults(again) == {"/status"}
    await owner.change(id_, status="inactive")
    assert await owner.found() == {}
    assert (await reader.read(f"/services/{id_}"))["status"] == "inactive"
    await owner.told("DELETE", f"/services/{id_}", version='"5"')
    assert (await reader.read(f"/services/{id_}"))["status"] == "inactive"
    assert {one["id"]: (one["gone"], one["status"]) for one in await feed(world)}[id_] == (True, "retired")
    # By mistake: it can come back.
    await owner.change(id_, status="active")
    assert list(await owner.found()) == [id_]
    states = [
        (one["previous_value"], one["replacement_value"])
        for one in reversed((await owner.read(f"/services/{id_}/history", limit=100))["items"])
        if one["field_name"] == "status"
    ]
    assert states == [
        (None, "draft"), ("draft", "active"), ("active", "temporarily_closed"), ("temporarily_closed", "active"),
        ("active", "inactive"), ("inactive", "retired"), ("retired", "active"),
    ]  # fmt: skip


async def test_a_closure_shows_while_it_lasts_and_ends_by_itself(world: World) -> None:
    owner, reader = world.caller(), world.caller(READ)
    day = day_of(world.now())
    first, last = (day.fromordinal(day.toordinal() + days) for days in (10, 20))
    id_ = await owner.publish(
        status="temporarily_closed",
        closed_from=first.isoformat(),
        closed_until=last.isoformat(),
        locations=[{**service()["locations"][0], "opening_hours": "24/7"}],
    )

    async def seen() -> tuple[str, str | None, bool | None, bool]:
        card, page = (await owner.found())[id_], await reader.read(f"/services/{id_}")
        assert (card["status"], card["alert"]) == (page["status"], page["alert"])
        assert card["opening"]["open_now"] == page["locations"][0]["opening"]["open_now"]
        return card["status"], card["alert"], card["opening"]["open_now"], card["can_receive"] == "phone_only"

    assert await seen() == ("active", f"Fermeture du {first:%d/%m/%Y} au {last:%d/%m/%Y}.", True, True)
    async with world.later(days=15):
        assert await seen() == ("temporarily_closed", f"Fermé temporairement jusqu'au {last:%d/%m/%Y}.", False, True)
    async with world.later(days=22):
        assert await seen() == ("active", None, True, True)
    # Whoever asks for a day of the closure does not find it; the day after, it is open.
    assert await owner.found(open_at=f"{day.fromordinal(day.toordinal() + 15)}T10:00") == {}
    assert list(await owner.found(open_at=f"{day.fromordinal(day.toordinal() + 22)}T10:00")) == [id_]
    # The owner's own words go before ours.
    await owner.change(id_, alert="Travaux à l'étage.")
    assert (await owner.found())[id_]["alert"] == "Travaux à l'étage."


async def test_history_tells_of_each_field_before_after_who_and_when(world: World) -> None:
    owner = world.caller()
    id_ = await owner.publish(fees="2 €")
    await owner.change(id_, fees="3 €", free=False)
    whole: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await owner.read(f"/services/{id_}/history", limit=3, **cursor)
        whole += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len(whole) == len(service()) + 1 + 2
    latest = {one["field_name"]: one for one in whole[:2]}
    assert (latest["fees"]["previous_value"], latest["fees"]["replacement_value"]) == ("2 €", "3 €")
    assert (latest["free"]["previous_value"], latest["free"]["replacement_value"]) == (None, False)
    assert {one["updated_by"] for one in whole} == {owner.actor.id}
    assert {one["action"] for one in whole} == {"create", "update"}
    assert datetime.fromisoformat(whole[0]["at"]).tzinfo is not None
    operator = world.caller("platform:admin")
    assert (await operator.read(f"/services/{id_}/history"))["items"] == (
        (await owner.read(f"/services/{id_}/history"))["items"]
    )


async def test_the_operator_reads_no_confidential_address_in_a_history_and_no_draft(world: World) -> None:
    owner, operator = world.caller(), world.caller("platform:admin")
    place = service()["locations"][0]
    id_ = await owner.publish(locations=[place | {"confidential": True}], schedules=[{"opens_at": "08:17"}])
    await owner.change(id_, schedules=[{"opens_at": "08:18"}])
    path = f"/services/{id_}/history"
    own, seen = await owner.read(path), await operator.read(path)
    assert not [word for word in ("Rue des Essais", "08:17", "08:18") if word not in json.dumps(own)]
    assert [one["field_name"] for one in seen["items"]] == [one["field_name"] for one in own["items"]]
    assert not [word for word in ("Rue des Essais", "6000", "50.41", "08:1") if word in json.dumps(seen)]
    # Told to everybody since, it is told here too; what it was before is not.
    await owner.change(id_, locations=[place | {"address": place["address"] | {"street": "Place Neuve 2"}}])
    await owner.change(id_, locations=[place | {"address": place["address"] | {"street": "Place Neuve 3"}}])
    seen = json.dumps(await operator.read(path))
    assert ("Place Neuve 3" in seen, "Rue des Essais" in seen) == (True, False)
    draft = await owner.publish(status="draft")
    assert refusal(await operator.ask("GET", f"/services/{draft}/history")) == (404, "not-found")


async def taken(world: World, folder: Path, records: list[dict[str, Any]], source: str) -> importing.Report:
    """Import records as a source."""
    file = folder / "a.json"
    file.write_text(json.dumps(records))
    connection = await asyncpg.connect(world.access.dsn)
    try:
        return await importing.run(
            connection, file, importing.Options(source=source), Author("test", datetime.now(UTC))
        )
    finally:
        await connection.close()


async def test_imports_leave_alone_what_its_organisation_keeps(world: World, tmp_path: Path) -> None:
    owner = world.caller(name="Kept")
    about = {"id": str(owner.id), "record_id": "o", "name": "Kept"}
    source = f"s-{owner.id}"
    records = [service(name=name, record_id=name, organisation=about) for name in ("one", "two", "three", "four")]
    assert (await taken(world, tmp_path, records, source)).new == 4
    ids = {one["name"]: one["id"] for one in (await owner.read("/own/services"))["items"]}
    await owner.change(ids["one"], description="De sa main.")
    # Written as it stands, it is its own too.
    same = (await owner.told("GET", f"/services/{ids['two']}/record")).json()
    assert (await owner.told("PUT", f"/services/{ids['two']}/record", same, version='"1"')).headers["ETag"] == '"1"'
    # Retired by its owner, it does not come back either.
    await owner.told("DELETE", f"/services/{ids['four']}", version='"1"')
    report = await taken(world, tmp_path, [{**one, "description": "De la source."} for one in records], source)
    assert (report.kept, report.changed) == (3, 1)
    assert ids["four"] not in await owner.found()
    # The source drops them all but one: only what it keeps itself is retired with it.
    report = await taken(world, tmp_path, [service(name="new", record_id="new", organisation=about)], source)
    assert report.retired == 1
    there = {card["service"]["name"]: card["service"]["description"] for card in (await owner.found()).values()}
    assert there.keys() == {"one", "two", "new"}
    assert there["one"] == "De sa main."


async def test_an_organisation_tells_of_itself_and_its_new_name_stands_on_every_card(world: World) -> None:
    owner, reader = world.caller(name="Ancien nom"), world.caller(READ)
    assert refusal(await owner.ask("GET", "/own/organisation")) == (404, "not-found")
    profile = {"name": "Premier nom", "description": "Qui nous sommes.", "website": "https://example.org"}
    assert refusal(await owner.ask("PUT", "/own/organisation", profile)) == (428, "version-required")
    assert refusal(await owner.ask("PUT", "/own/organisation", profile, version='"3"')) == (412, "stale-version")
    made = await owner.told("PUT", "/own/organisation", profile, version='"0"')
    assert (made.json(), made.headers["ETag"]) == (profile, '"1"')
    ids = {await owner.publish(), await owner.publish()}
    assert {card["organisation"]["name"] for card in (await owner.found()).values()} == {"Premier nom"}
    renamed = await owner.told("PUT", "/own/organisation", {**profile, "name": "Nouveau nom"}, version='"1"')
    assert renamed.headers["ETag"] == '"2"'
    cards = await owner.found()
    assert cards.keys() == ids
    assert {card["organisation"]["name"] for card in cards.values()} == {"Nouveau nom"}
    assert list(await owner.found(q="Nouveau nom"))
    view = await reader.read(f"/organisations/{owner.id}")
    assert (view["name"], view["services"], view["description"]) == ("Nouveau nom", 2, "Qui nous sommes.")
    assert (await reader.read(f"/services/{ids.pop()}"))["organisation"]["name"] == "Nouveau nom"
    stale = await owner.ask("PUT", "/own/organisation", profile, version='"1"')
    assert refusal(stale) == (412, "stale-version")
    own_parent = {**profile, "parent_organisation_id": str(owner.id)}
    assert faults(await owner.ask("PUT", "/own/organisation", own_parent, version='"2"')) == {"/parent_organisation_id"}
    body = json.dumps({**profile, "name": "Nul\0"}).encode()
    nul = await owner.ask(
        "PUT", "/own/organisation", version='"2"', content=body, headers={"Content-Type": "application/json"}
    )
    assert faults(nul) == {"/name"}
    assert refusal(await reader.ask("GET", f"/organisations/{uuid4()}")) == (404, "not-found")


async def test_a_grant_with_limits_reaches_no_further(world: World) -> None:
    limits = {WRITE: {"themes": ["childcare"], "municipalities": ["be:52011"]}}
    owner = world.caller(limits=limits)
    free = world.caller(*OWNER, organisation_id=owner.id)
    inside = await owner.publish(themes=["childcare--nursery"])
    namur = {**service()["locations"][0], "latitude": 50.467, "longitude": 4.867}
    namur["address"] = {**namur["address"], "municipality": "Namur", "municipality_code": NAMUR, "postcode": "5000"}
    beyond = service(themes=["childcare", "mobility"], locations=[*service()["locations"], namur], service_area=[NAMUR])
    answer = await owner.ask("POST", "/services", beyond)
    assert refusal(answer) == (403, "scope-missing")
    assert faults(answer) == {"/themes/1", "/locations/1", "/service_area/0"}
    answer = await owner.ask("PUT", f"/services/{inside}/record", beyond, version='"1"')
    assert faults(answer) == {"/themes/1", "/locations/1", "/service_area/0"}
    everywhere = await owner.ask("POST", "/services", service(modes=["at_home"], locations=None))
    assert faults(everywhere) == {"/service_area"}
    assert faults(await owner.ask("POST", "/services", service(themes=None))) == {"/themes"}
    # What stands beyond is not drawn inside, nor retired, nor told of.
    outside = await free.publish(themes=["mobility"])
    for method, path, body in [
        ("PUT", f"/services/{outside}/record", service()),
        ("DELETE", f"/services/{outside}", None),
        ("PUT", f"/services/{outside}/capacity", {"available": 1}),
    ]:
        version = None if path.endswith("capacity") else '"1"'
        assert refusal(await owner.ask(method, path, body, version=version)) == (403, "scope-missing")
    assert (await owner.ask("PUT", f"/services/{inside}/capacity", {"available": 1})).status_code == 200
    other = world.caller(WRITE, CAPACITY, limits=limits, organisation_id=owner.id)
    assert (await other.ask("PUT", f"/services/{outside}/capacity", {"available": 1})).status_code == 200


async def test_an_owner_lists_its_services_with_what_each_needs(world: World) -> None:
    owner = world.caller()
    ids = [await owner.publish(name=f"n{number}") for number in range(3)]
    await world.caller(READ).told("POST", f"/services/{ids[0]}/reports", {"field": "phone"})
    await owner.change(ids[1], status="inactive")
    await owner.told("PUT", f"/services/{ids[2]}/capacity", {"available": 2, "waiting_days": 4})
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await owner.read("/own/services", limit=2, **cursor)
        items += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    known = {one["id"]: one for one in items}
    assert len(items) == len(known) == 3
    assert known[ids[0]]["open_reports"] == 1
    assert known[ids[2]]["criteria"]["audiences"] == 0
    assert known[ids[0]]["capacity"] is None
    assert {"available": 2, "waiting_days": 4}.items() <= known[ids[2]]["capacity"].items()
    assert 0 < known[ids[2]]["quality"] < 1
    assert [one["id"] for one in (await owner.read("/own/services", status="inactive"))["items"]] == [ids[1]]
    assert (await owner.read("/own/services", stale_days=30))["items"] == []
    async with world.later(days=31):
        assert len((await owner.read("/own/services", stale_days=30))["items"]) == 3
    assert (await world.caller().read("/own/services"))["items"] == []


async def test_waiting_is_advised_only_where_it_helps(world: World) -> None:
    """A database that is full, read-only or busy is a 503 that stored nothing; anything else is a fault of ours."""
    owner = world.caller()
    try:
        for code in ("53100", "53300", "55P03", "57014", "25006", "40001", "P0001"):
            await world.rows(fails("service", code, f"new.organisation_id = '{owner.id}'"))
            if code == "P0001":
                with pytest.raises(asyncpg.RaiseError, match=WORD):
                    await owner.ask("POST", "/services", service())
                continue
            answer = await owner.ask("POST", "/services", service())
            assert refusal(answer) == (503, "unavailable"), code
            assert answer.headers["retry-after"]
            assert WORD not in answer.text
    finally:
        await world.rows("drop trigger if exists fails on service")
