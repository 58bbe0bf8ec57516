"""How well the directory is kept: by organisation, and entry by entry; for whoever runs Relais."""

from typing import Any

import pytest
from api.directory.owners import ADMIN, READ, WRITE, World, refusal

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/quality", "/stale"])
async def test_nobody_and_no_owner_sees_how_others_keep_theirs(world: World, path: str) -> None:
    nobody = await world.caller().ask("GET", path, headers={"Authorization": ""})
    assert refusal(nobody) == (401, "unauthenticated")
    assert refusal(await world.caller(READ, WRITE).ask("GET", path)) == (403, "scope-missing")
    for wrong in ({"older_than_days": 0}, {"limit": 101}):
        assert refusal(await world.caller(ADMIN).ask("GET", path, params=wrong)) == (422, "invalid-input")


async def every(world: World, path: str, **params: Any) -> list[dict[str, Any]]:
    """Answer the rows of all pages, two at a time."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await world.caller(ADMIN).read(path, limit=2, **params, **cursor)
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def test_organisations_with_most_stale_entries_come_first(world: World) -> None:
    owner, other = world.caller(name="Deux vieux"), world.caller(name="Un vieux")
    old = [await owner.publish(assured_at=day) for day in ("2020-01-01", "2021-01-01")]
    fresh = await owner.publish()
    await owner.publish(status="draft", assured_at="2020-01-01")
    await other.publish(assured_at="2020-06-01")
    await other.told("POST", f"/services/{fresh}/reports", {"field": "phone"})
    rows = await every(world, "/quality")
    assert [row["stale"] for row in rows] == sorted((row["stale"] for row in rows), reverse=True)
    by = {row["organisation_id"]: row for row in rows}
    assert len(by) == len(rows)
    mine = by[str(owner.id)]
    told = {name: mine[name] for name in ("organisation", "registered", "services", "stale", "open_reports")}
    assert told == {
        "organisation": "Deux vieux", "registered": False, "services": 3, "stale": 2, "open_reports": 1,
    }  # fmt: skip
    assert 0 < mine["quality"] <= 1
    entries = await every(world, "/stale", organisation_id=str(owner.id))
    assert [(one["id"], one["assured_on"]) for one in entries] == [(old[0], "2020-01-01"), (old[1], "2021-01-01")]
    assert {one["id"] for one in await every(world, "/stale")} >= set(old)
    # An entry that is confirmed leaves the list.
    await owner.told("POST", f"/services/{old[0]}/confirmations")
    assert [one["id"] for one in await every(world, "/stale", organisation_id=str(owner.id))] == [old[1]]
