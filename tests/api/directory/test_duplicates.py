"""Two entries that may be one service: proposed with reasons, merged by hand, undone exactly."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from api.directory.owners import ADMIN, OWNER, READ, WRITE, Caller, World, faults, refusal, service
from support.rows import tables

from relais_directory import importing
from relais_directory.writing import Author

pytestmark = pytest.mark.anyio

ADMINISTERED = [
    ("POST", "/duplicates/search", None),
    ("GET", "/duplicates", None),
    ("POST", f"/duplicates/{uuid4()}/merge", {"keep": str(uuid4())}),
    ("POST", f"/duplicates/{uuid4()}/undo", None),
    ("POST", f"/duplicates/{uuid4()}/apart", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ADMINISTERED)
async def test_nobody_and_no_reader_looks_after_duplicates(
    world: World, method: str, path: str, body: dict[str, Any] | None
) -> None:
    nobody = await world.caller().ask(method, path, body, headers={"Authorization": ""})
    assert refusal(nobody) == (401, "unauthenticated")
    assert refusal(await world.caller(READ).ask(method, path, body)) == (403, "scope-missing")
    if len(path.split("/")) > 3:
        for caller in (world.caller(ADMIN), world.caller(READ, WRITE)):
            assert refusal(await caller.ask(method, path, body)) == (404, "not-found")
    else:
        assert refusal(await world.caller(READ, WRITE).ask(method, path, body)) == (403, "scope-missing")


class Sources:
    """Two sources of one territory of their own, far from every other test's."""

    number = 0

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.key = uuid4().hex[:12]
        Sources.number += 1
        self.digits = f"{int(self.key[:6], 16) % 1_000_000:06d}"
        self.latitude = 49.9 + Sources.number / 100
        self.operator = world.caller(ADMIN)
        self.reader = world.caller(READ)

    def record(self, **changes: Any) -> dict[str, Any]:
        """Answer a record at this test's own place, with a name of its own."""
        place = {
            "address": {
                "street": f"Rue {self.key} 3", "postcode": "6000", "municipality": "Charleroi", "country": "BE",
            },
            "latitude": self.latitude, "longitude": 4.6, "opening_hours": "Mo-Fr 08:00-18:00",
        }  # fmt: skip
        about = {"record_id": "o", "name": f"Asbl {self.key}"}
        made = service(
            name=f"Halte-garderie {self.key}", record_id="r", locations=[place],
            phones=[{"number": f"0470 {self.digits}"}], organisation=about,
        )  # fmt: skip
        return {name: value for name, value in {**made, **changes}.items() if value is not None}

    async def take(self, source: str, *records: dict[str, Any]) -> importing.Report:
        """Import records as a source."""
        file = self.folder / f"{source}.json"
        file.write_text(json.dumps(records))
        connection = await asyncpg.connect(self.world.access.dsn)
        try:
            options = importing.Options(source=f"{source}-{self.key}")
            return await importing.run(connection, file, options, Author("test", datetime.now(UTC)))
        finally:
            await connection.close()

    async def look(self) -> int:
        """Look for duplicates everywhere; answer how many were proposed."""
        found, params = 0, {}
        while True:
            answer = (await self.operator.told("POST", "/duplicates/search", params=params)).json()
            found += answer["proposed"]
            if answer["next_cursor"] is None:
                return found
            params = {"cursor": answer["next_cursor"]}

    async def pairs(self, state: str = "proposed") -> list[dict[str, Any]]:
        """Answer this test's pairs in a state."""
        every = await self.every_pair(state)
        return [one for one in every if any(self.key in entry["source"] for entry in one["entries"])]

    async def every_pair(self, state: str = "proposed") -> list[dict[str, Any]]:
        """Answer all pairs in a state, page by page: the likeliest first."""
        items: list[dict[str, Any]] = []
        params: dict[str, Any] = {"state": state, "limit": 100}
        while True:
            page = await self.operator.read("/duplicates", **params)
            items += page["items"]
            if page["next_cursor"] is None:
                assert [one["score"] for one in items] == sorted((one["score"] for one in items), reverse=True)
                assert len({one["id"] for one in items}) == len(items)
                return items
            params["cursor"] = page["next_cursor"]

    async def pair(self) -> tuple[str, str, str]:
        """Answer the one proposed pair: its id, and the entries of the first and second source."""
        await self.look()
        (one,) = await self.pairs()
        by = {entry["source"].partition("-")[0]: entry["id"] for entry in one["entries"]}
        return one["id"], by["a"], by["b"]

    def bearer(self) -> dict[str, str]:
        """Answer the header of a reader, for other paths than our own API's."""
        return {"Authorization": f"Bearer {self.world.gateway.sign('directory', self.reader.actor)}"}

    async def cards(self) -> list[dict[str, Any]]:
        """Answer what search finds at this test's place."""
        page = await self.reader.read("/search", near=f"{self.latitude},4.6", radius_km=0.5)
        cards: list[dict[str, Any]] = page["items"]
        return cards


@pytest.fixture(name="sources")
def _sources(world: World, tmp_path: Path) -> Sources:
    return Sources(world, tmp_path)


async def test_one_service_of_two_sources_is_proposed_with_reasons_and_nothing_is_merged(sources: Sources) -> None:
    assert (await sources.take("a", sources.record(email="a@example.org"))).new == 1
    other = sources.record(name=f"La halte garderie {sources.key}", phones=[{"number": f"+32 470 {sources.digits}"}])
    assert (await sources.take("b", other)).new == 1
    before = await asyncio.to_thread(tables, sources.world.access.owner_dsn)
    assert await sources.look() >= 1
    after = await asyncio.to_thread(tables, sources.world.access.owner_dsn)
    assert {name for name in after if after[name] != before[name]} == {"duplicate"}
    (pair,) = await sources.pairs()
    assert {one["what"] for one in pair["reasons"]} == {"name", "place", "phone", "street", "organisation", "themes"}
    assert 0.6 <= pair["score"] <= 1
    assert {card["id"] for card in await sources.cards()} == {entry["id"] for entry in pair["entries"]}
    # Looked for again, it is proposed once.
    await sources.look()
    assert len(await sources.pairs()) == 1


async def test_an_owner_decides_on_pairs_of_its_own_entries_and_no_others(sources: Sources) -> None:
    owner = sources.world.caller(name=f"Asbl {sources.key}")
    about = {"record_id": "o", "id": str(owner.id), "name": f"Asbl {sources.key}"}
    await sources.take("a", sources.record(organisation=about), sources.record(record_id="s", phones=None))
    await sources.take("b", sources.record(organisation=about))
    await sources.look()
    own = (await owner.read("/own/duplicates"))["items"]
    (pair,) = [one for one in own if any(sources.key in entry["source"] for entry in one["entries"])]
    assert {entry["organisation_id"] for entry in pair["entries"]} == {str(owner.id)}
    mixed = [one["id"] for one in await sources.pairs() if one["id"] != pair["id"]]
    keep = {"keep": pair["entries"][0]["id"]}
    for id_ in mixed:
        for path, body in (("merge", keep), ("apart", None), ("undo", None)):
            assert refusal(await owner.ask("POST", f"/duplicates/{id_}/{path}", body)) == (404, "not-found")
    other = sources.world.caller()
    assert (await other.read("/own/duplicates"))["items"] == []
    assert refusal(await other.ask("POST", f"/duplicates/{pair['id']}/merge", keep)) == (404, "not-found")
    # A grant for other themes reaches neither entry.
    limits = {WRITE: {"themes": ["mobility"]}}
    narrow = sources.world.caller(*OWNER, limits=limits, organisation_id=owner.id)
    assert refusal(await narrow.ask("POST", f"/duplicates/{pair['id']}/merge", keep)) == (403, "scope-missing")
    await owner.told("POST", f"/duplicates/{pair['id']}/merge", keep)
    assert refusal(await narrow.ask("POST", f"/duplicates/{pair['id']}/undo")) == (403, "scope-missing")
    assert (await owner.read("/own/duplicates", state="merged"))["items"][0]["kept_id"] == keep["keep"]
    await owner.told("POST", f"/duplicates/{pair['id']}/undo")
    await owner.told("POST", f"/duplicates/{pair['id']}/apart")
    assert (await owner.read("/own/duplicates"))["items"] == []


async def test_what_is_of_one_source_or_another_name_is_not_proposed(sources: Sources) -> None:
    twice = sources.record(record_id="r2")
    other = sources.record(name="Consultation pour nourrissons", record_id="r3")
    await sources.take("a", sources.record(), twice)
    await sources.take("b", other)
    await sources.look()
    assert await sources.pairs() == []


async def test_a_number_alone_finds_the_double_of_another_place(sources: Sources) -> None:
    far = sources.record()["locations"][0] | {"latitude": 50.2}
    await sources.take("a", sources.record())
    await sources.take("b", sources.record(locations=[far]))
    await sources.look()
    (pair,) = await sources.pairs()
    assert "place" not in {one["what"] for one in pair["reasons"]}
    assert "phone" in {one["what"] for one in pair["reasons"]}


async def test_a_confidential_place_takes_no_part(sources: Sources) -> None:
    """Two shelters of one town stand at its centre; a double of a shelter's own street betrays it to nobody."""
    place = sources.record()["locations"][0]
    secret = {**place, "confidential": True, "phones": [{"number": "0499 12 34 56"}]}
    plain = {"phones": None, "organisation": {"record_id": "o", "name": "Une autre"}, "themes": ["support--housing"]}
    await sources.take("a", sources.record(locations=[secret], **plain))
    await sources.take(
        "b",
        sources.record(locations=[secret], record_id="s", **plain),
        sources.record(**{**plain, "locations": [place]}),
    )
    await sources.look()
    for pair in await sources.pairs():
        told = {one["what"] for one in pair["reasons"]}
        assert not told & {"place", "street", "phone"}, pair


async def test_organisations_that_both_write_here_are_compared(world: World, sources: Sources) -> None:
    one, other = world.caller(name=f"A {sources.key}"), world.caller(name=f"B {sources.key}")
    record = {name: value for name, value in sources.record().items() if name not in {"record_id", "organisation"}}
    ids = {await one.publish(**record), await other.publish(**record)}
    await one.publish(**record)
    await sources.look()
    pairs = [{entry["id"] for entry in one["entries"]} for one in await sources.every_pair()]
    assert ids in pairs
    assert len([pair for pair in pairs if pair & ids]) == 2


async def state_of(sources: Sources, *ids: str) -> list[Any]:
    """Answer everything that is told of entries, and what search finds."""
    found: list[Any] = [await sources.cards()]
    for id_ in ids:
        page = await sources.reader.read(f"/services/{id_}")
        rows = await sources.world.rows(
            "select record::text, name, status, owned, source, record_id, organisation_id, assured_on, assured_by,"
            " merged_into, quality from service where id = $1::text::uuid",
            id_,
        )
        found += [{**page, "updated_at": None}, *map(tuple, rows)]
    return found


@pytest.mark.parametrize("take", [[], ["description", "fees"], ["name", "email", "languages", "phones"]])
async def test_a_merge_is_undone_exactly(sources: Sources, take: list[str]) -> None:
    await sources.take("a", sources.record(description="Courte."))
    fuller = sources.record(
        description="Plus longue.", fees="2 €", languages=["fr"], email="b@example.org", name=f"Halte {sources.key}"
    )
    await sources.take("b", fuller)
    id_, kept, left = await sources.pair()
    before = await state_of(sources, kept, left)
    await sources.operator.told("POST", f"/duplicates/{id_}/merge", {"keep": kept, "take": take})
    (card,) = await sources.cards()
    assert card["id"] == kept
    page = await sources.reader.read(f"/services/{left}")
    assert page["merged_into"] == kept
    merged = await sources.reader.read(f"/services/{kept}")
    for name in take:
        expected = page[name]
        assert merged[name] == expected, name
    history = (await sources.operator.read(f"/services/{left}/history"))["items"]
    assert [(one["field_name"], one["replacement_value"]) for one in history] == [("merged_into", kept)]
    # While it is merged, no import brings it back, nor undoes what was taken.
    await sources.take("b", {**fuller, "wait_time": "Deux mois."})
    await sources.take("b", fuller)
    await sources.take("a", sources.record(description="Courte."))
    assert [card["id"] for card in await sources.cards()] == [kept]
    assert (await sources.reader.read(f"/services/{kept}")) == {**merged, "updated_at": ANY}
    again = await sources.operator.ask("POST", f"/duplicates/{id_}/merge", {"keep": kept})
    assert refusal(again) == (409, "not-now")
    await sources.operator.told("POST", f"/duplicates/{id_}/undo")
    assert await state_of(sources, kept, left) == before
    assert [one["id"] for one in await sources.pairs()] == [id_]
    assert refusal(await sources.operator.ask("POST", f"/duplicates/{id_}/undo")) == (409, "not-now")


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]  # equal to everything, it is no key


ANY = _Any()


async def test_what_an_owner_wrote_since_survives_the_undoing(world: World, sources: Sources) -> None:
    owner = world.caller()
    record = {name: value for name, value in sources.record().items() if name not in {"record_id", "organisation"}}
    kept = await owner.publish(**{**record, "description": "À nous.", "fees": "1 €"})
    await sources.take("b", sources.record(description="De la source.", fees="9 €"))
    await sources.look()
    (pair,) = await sources.pairs()
    take = {"keep": kept, "take": ["description", "fees"]}
    await sources.operator.told("POST", f"/duplicates/{pair['id']}/merge", take)
    await owner.change(kept, description="Corrigée depuis.")
    await sources.operator.told("POST", f"/duplicates/{pair['id']}/undo")
    record = await owner.read(f"/services/{kept}/record")
    assert (record["description"], record["fees"]) == ("Corrigée depuis.", "1 €")


async def test_the_owner_of_what_was_merged_is_told_so(world: World, sources: Sources) -> None:
    owner: Caller = world.caller()
    record = {name: value for name, value in sources.record().items() if name not in {"record_id", "organisation"}}
    left = await owner.publish(**record)
    await sources.take("b", sources.record())
    await sources.look()
    (pair,) = await sources.pairs()
    (kept,) = {entry["id"] for entry in pair["entries"]} - {left}
    await sources.operator.told("POST", f"/duplicates/{pair['id']}/merge", {"keep": kept})
    version = await owner.version(left)
    for method, path, body in [
        ("PUT", f"/services/{left}/record", record), ("DELETE", f"/services/{left}", None),
    ]:  # fmt: skip
        answer = await owner.ask(method, path, body, version=version)
        assert refusal(answer) == (409, "not-now")
        assert answer.json()["merged_into"] == kept
    # Renamed, its owner's cards are made anew; the merged one stays away.
    await owner.told("PUT", "/own/organisation", {"name": f"Neuf {sources.key}"}, version='"1"')
    assert [card["id"] for card in await sources.cards()] == [kept]


async def test_what_stands_for_anothers_entry_stays_while_that_is_told(sources: Sources) -> None:
    """Else a service that its second source tells of every night would be found by nobody."""
    others = [sources.record(record_id=f"r-{name}", name=name) for name in ("Ludothèque", "Permis B")]
    await sources.take("a", sources.record(), *others[:1])
    await sources.take("b", sources.record(), *others[1:])
    pair, kept, left = await sources.pair()
    await sources.operator.told("POST", f"/duplicates/{pair}/merge", {"keep": kept})
    told = [await sources.world.client.get(f"/hsds/services/{id_}", headers=sources.bearer()) for id_ in (kept, left)]
    assert [answer.json()["status"] for answer in told] == ["active", "defunct"]
    assert (await sources.take("a", *others[:1])).retired == 0
    assert kept in {card["id"] for card in await sources.cards()}
    # Once nobody tells of it any more, it is gone.
    assert (await sources.take("b", *others[1:])).retired == 1
    assert (await sources.take("a", *others[:1])).retired == 1
    assert not {kept, left} & {card["id"] for card in await sources.cards()}


async def test_two_that_were_told_apart_stay_apart(sources: Sources) -> None:
    await sources.take("a", sources.record())
    await sources.take("b", sources.record())
    id_, kept, _left = await sources.pair()
    await sources.operator.told("POST", f"/duplicates/{id_}/apart")
    await sources.look()
    assert await sources.pairs() == []
    assert [one["id"] for one in await sources.pairs("apart")] == [id_]
    merge = await sources.operator.ask("POST", f"/duplicates/{id_}/merge", {"keep": kept})
    assert refusal(merge) == (409, "not-now")
    assert len(await sources.cards()) == 2
    await sources.operator.told("POST", f"/duplicates/{id_}/undo")
    assert [one["id"] for one in await sources.pairs()] == [id_]


async def test_a_merge_that_makes_no_sense_is_refused_by_name(sources: Sources) -> None:
    await sources.take("a", sources.record())
    await sources.take("b", sources.record())
    id_, kept, _left = await sources.pair()
    place = f"/duplicates/{id_}/merge"
    other = await sources.operator.ask("POST", place, {"keep": str(uuid4())})
    assert faults(other) == {"/keep"}
    for name in ("locations", "status", "closed_from", "capacity", "nonsense"):
        assert faults(await sources.operator.ask("POST", place, {"keep": kept, "take": [name]})) == {"/take"}
    assert len(await sources.cards()) == 2
