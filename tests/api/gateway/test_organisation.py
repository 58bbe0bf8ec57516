"""Inside an organisation: its administrator arranges teams and absences, and the door tells the services at once."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from api.gateway.house import ADMIN, BEA, CID, HOUSE, STRANGER, House, housed
from api.gateway.world import ORGANISATION, Door
from joserfc.jwk import OKPKey
from support.days import BRUSSELS, today

from relais_gateway import actions
from relais_shared.auth import Keyring, system

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_day")]


@pytest.fixture(name="house")
async def _house(door: Door) -> House:
    return await housed(door)


async def test_only_an_administrator_changes_anything_and_only_at_home(house: House) -> None:
    team, bea = await house.team(), house.ids[BEA]
    absence = {"deputy_id": str(house.ids[CID]), "from": today().isoformat()}
    changes: list[tuple[str, str, Any]] = [
        ("POST", "/v1/organisation/teams", {"name": "Autre"}),
        ("PATCH", f"/v1/organisation/teams/{team}", {"name": "Autre"}),
        ("DELETE", f"/v1/organisation/teams/{team}", None),
        ("PUT", f"/v1/organisation/teams/{team}/members/{bea}", {}),
        ("DELETE", f"/v1/organisation/teams/{team}/members/{bea}", None),
        ("PUT", f"/v1/organisation/accounts/{bea}/absence", absence),
        ("DELETE", f"/v1/organisation/accounts/{bea}/absence", None),
        ("PUT", "/v1/organisation/answer_time", {"working_days": 5}),
    ]
    written = await house.audited()
    for method, path, body in changes:
        assert (await house.door.ask(method, path, json=body)).status_code == 401, (method, path)
        assert (await house.ask(BEA, method, path, json=body)).status_code == 403, (method, path)
        simple = await house.door.ask(method, path, json=body, headers=await house.client(1))
        assert simple.status_code == 403, (method, path)
    # Another organisation's administrator is told that there is nothing.
    await house.door.change("insert into scope_grant values ($1, 'org:admin', '{}', null)", UUID(ORGANISATION["id"]))
    await house.door.change("update account set roles = '{administrator,counsellor}' where email = $1", STRANGER)
    await house.door.known(lambda state: "org:admin" in state.accounts[house.ids[STRANGER]].scopes)
    ana = await house.bearer(STRANGER)
    for method, path, body in changes[1:-1]:
        foreign = await house.door.ask(method, path, json=body, headers=ana)
        assert (foreign.status_code, foreign.json()["type"]) == (404, "/problems/not-found"), (method, path)
    assert await house.audited() == written
    seen = await house.door.ask("GET", "/v1/organisation/accounts", headers=ana)
    assert [one["name"] for one in seen.json()["items"]] == ["Ana Lopes"]
    assert (await house.door.ask("GET", "/v1/organisation/teams", headers=ana)).json() == {"items": []}


async def test_teams_and_leads_reach_the_services_within_a_second(house: House) -> None:
    bea, team, other = await house.bearer(BEA), await house.team(), await house.team("Mobilité")
    base = "/v1/organisation/teams"
    before = await house.told(bea)
    assert (before["name"], before["teams"], before["leads"]) == ("Bea Marin", [], [])
    for other_than_json in (0, "yes"):
        body = {"lead": other_than_json}
        put = await house.ask(ADMIN, "PUT", f"{base}/{team}/members/{house.ids[BEA]}", json=body)
        assert put.status_code == 422
    for id_, lead in ((team, True), (other, False)):
        put = await house.ask(ADMIN, "PUT", f"{base}/{id_}/members/{house.ids[BEA]}", json={"lead": lead})
        assert put.status_code == 204, put.text
    now = await house.told(bea, teams=sorted([team, other]))
    assert (now["teams"], now["leads"]) == (sorted([team, other]), [team])
    assert (await house.told(await house.bearer(CID)))["teams"] == []

    twice = await house.ask(ADMIN, "PATCH", f"{base}/{other}", json={"name": "Accueil"})
    assert (twice.status_code, twice.json()["errors"][0]["pointer"]) == (422, "/name")
    assert (await house.ask(ADMIN, "POST", base, json={"name": " Accueil "})).status_code == 422
    assert (await house.ask(ADMIN, "POST", base, json={"name": "a\x00b"})).status_code == 422
    assert (await house.ask(ADMIN, "PATCH", f"{base}/{other}", json={"name": "Trajets"})).status_code == 204
    listed = (await house.ask(BEA, "GET", base)).json()["items"]
    member = {"account_id": str(house.ids[BEA]), "lead": True}
    assert listed == [
        {"id": team, "name": "Accueil", "members": [member]},
        {"id": other, "name": "Trajets", "members": [{**member, "lead": False}]},
    ]
    assert (await house.ask(ADMIN, "DELETE", f"{base}/{other}/members/{house.ids[BEA]}")).status_code == 204
    assert (await house.told(bea, teams=[team]))["teams"] == [team]
    assert (await house.ask(ADMIN, "DELETE", f"{base}/{team}")).status_code == 204
    gone = await house.told(bea, teams=[])
    assert (gone["teams"], gone["leads"]) == ([], [])
    assert [action for _, action, _ in await house.audited()] == [
        "team_created", "team_created", "team_member_written", "team_member_written", "team_renamed",
        "team_member_removed", "team_removed",
    ]  # fmt: skip
    assert {actor for actor, _, _ in await house.audited()} == {f"user:{house.ids[ADMIN]}"}


async def test_nobody_of_elsewhere_joins_a_team_or_stands_in(house: House) -> None:
    team, stranger, bea = await house.team(), house.ids[STRANGER], house.ids[BEA]
    for who in (stranger, uuid4()):
        path = f"/v1/organisation/teams/{team}/members/{who}"
        assert (await house.ask(ADMIN, "PUT", path, json={})).status_code == 404
    for deputy in (stranger, uuid4(), bea):
        body = {"deputy_id": str(deputy), "from": today().isoformat()}
        for email, path in ((ADMIN, f"/v1/organisation/accounts/{bea}/absence"), (BEA, "/v1/me/absence")):
            refused = await house.ask(email, "PUT", path, json=body)
            assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/deputy_id")
    # Nor by hand.
    for organisation in (UUID(HOUSE["id"]), UUID(ORGANISATION["id"])):
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await house.door.change(
                "insert into team_member values ($1, $2, $3, false)", UUID(team), stranger, organisation
            )
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await house.door.change(
                "insert into absence values ($1, $2, $3, current_date, null)", bea, organisation, stranger
            )


async def test_a_deputy_stands_for_the_absent_while_they_are_absent(house: House) -> None:
    day = today(BRUSSELS)
    bea, cid, cids = house.ids[BEA], house.ids[CID], await house.bearer(CID)
    body = {
        "deputy_id": str(cid),
        "from": day.isoformat(),
        "until": (day + timedelta(days=7)).isoformat(),
    }
    noted = await house.ask(BEA, "PUT", "/v1/me/absence", json=body)
    assert (noted.status_code, noted.json()) == (200, body)
    assert (await house.told(cids, stands_for=[str(bea)]))["stands_for"] == [str(bea)]
    assert (await house.told(await house.bearer(BEA)))["stands_for"] == []

    def of_bea(answer: httpx.Response) -> dict[str, Any]:
        found: dict[str, Any] = next(one for one in answer.json()["items"] if one["id"] == str(bea))
        return found

    accounts = "/v1/organisation/accounts"
    as_cid, as_admin, as_bea = [of_bea(await house.ask(who, "GET", accounts)) for who in (CID, ADMIN, BEA)]
    assert as_cid == {
        "id": str(bea), "name": "Bea Marin", "function": "accueil", "email": None, "teams": [], "absent": True,
        "deputy": str(cid), "absence": None,
    }  # fmt: skip
    assert (as_admin["email"], as_admin["absence"], as_bea["email"], as_bea["absence"]) == (BEA, body, None, body)

    # What has not begun, or is over, lends nobody's eyes.
    for shift in (1, -9):
        days = {
            "from": str(day + timedelta(days=shift)),
            "until": str(day + timedelta(days=shift + 1)),
        }
        changed = await house.ask(ADMIN, "PUT", f"{accounts}/{bea}/absence", json={**body, **days})
        assert changed.status_code == 200, changed.text
        assert (await house.told(cids, stands_for=[]))["stands_for"] == []
        row = of_bea(await house.ask(CID, "GET", accounts))
        assert (row["absent"], row["deputy"]) == (False, None)
    backwards = await house.ask(BEA, "PUT", "/v1/me/absence", json={**body, "until": str(day - timedelta(days=1))})
    assert (backwards.status_code, backwards.json()["errors"][0]["pointer"]) == (422, "/until")

    endless = {"deputy_id": str(cid), "from": day.isoformat()}
    assert (await house.ask(BEA, "PUT", "/v1/me/absence", json=endless)).json() == {**endless, "until": None}
    assert (await house.told(cids, stands_for=[str(bea)]))["stands_for"] == [str(bea)]
    for _ in range(2):
        assert (await house.ask(BEA, "DELETE", "/v1/me/absence")).status_code == 204
    assert (await house.told(cids, stands_for=[]))["stands_for"] == []
    assert [action for _, action, _ in await house.audited()] == ["absence_written"] * 4 + ["absence_removed"]
    system = await house.door.ask("PUT", "/v1/me/absence", json=endless, headers=await house.client(0))
    assert system.status_code == 404


async def test_a_system_names_the_human_it_acts_for_and_a_session_does_not(house: House) -> None:
    system, person = await house.client(1), await house.bearer(BEA)

    async def said(headers: dict[str, str], reference: str | bytes) -> httpx.Response:
        given = {**headers, "Relais-On-Behalf-Of": reference}
        return await house.door.ask("POST", "/v1/directory/echo", headers=given)

    for reference in ("u-12", "x" * 100, "Zoé"):
        answer = await said(system, reference.encode())
        assert answer.status_code == 200, answer.text
        assert answer.json()["actor"]["obo"] == reference
        assert "relais-on-behalf-of" not in dict(answer.json()["headers"])
    assert (await house.told(system))["obo"] is None
    for wrong in (b"", b"x" * 101, b"a\tb", b"Zo\xe9", b"\xe2\x80\xa8"):
        refused = await said(system, wrong)
        assert (refused.status_code, refused.json()["type"]) == (400, "/problems/malformed-request"), wrong
        assert wrong.decode("latin-1") not in refused.json()["detail"] or not wrong
        ignored = await said(person, wrong)
        assert (ignored.status_code, ignored.json()["actor"]["obo"]) == (200, None)


async def test_how_soon_an_organisation_answers_is_its_own_word(house: House) -> None:
    path = "/v1/organisation/answer_time"
    for days in (0, 31, "soon", None):
        assert (await house.ask(ADMIN, "PUT", path, json={"working_days": days})).status_code == 422
    assert (await house.ask(ADMIN, "PUT", path, json={"working_days": 5})).json() == {"working_days": 5}
    await house.door.known(lambda state: b'"answer_within_days":5' in state.snapshot)
    told = {one.name: one for one in house.door.state.live.snapshot().organisations}
    assert {name: one.answer_within_days for name, one in told.items()} == {"Essai": 2, "Plateforme": 2, "Maison": 5}
    assert told["Maison"].launch_base is None
    # What the operator writes again leaves it alone, unless it says otherwise.
    connection = await asyncpg.connect(house.door.dsn)
    launched = {**HOUSE, "launch_base": "https://outil.example/ouvrir"}
    await actions.put_organisation(connection, launched, datetime.now(UTC))
    row = await connection.fetchrow("select * from organisation where name = 'Maison'")
    assert (row["answer_within_days"], row["launch_base"]) == (5, "https://outil.example/ouvrir")
    await actions.put_organisation(connection, {**HOUSE, "answer_within_days": 3}, datetime.now(UTC))
    row = await connection.fetchrow("select * from organisation where name = 'Maison'")
    assert (row["answer_within_days"], row["launch_base"]) == (3, None)
    for wrong in ({"launch_base": "javascript:alert(1)"}, {"answer_within_days": 31}):
        with pytest.raises(asyncpg.CheckViolationError):
            await actions.put_organisation(connection, {**HOUSE, **wrong}, datetime.now(UTC))
    await connection.close()
    assert ("answer_time_written", {"working_days": 5}) in [(what, facts) for _, what, facts in await house.audited()]


async def test_only_the_referral_app_is_told_who_signs_in_where_and_who_is_away(house: House, home: Path) -> None:
    given = {"deputy_id": str(house.ids[CID]), "from": today().isoformat()}
    noted = await house.ask(ADMIN, "PUT", f"/v1/organisation/accounts/{house.ids[BEA]}/absence", json=given)
    assert noted.is_success, noted.text
    place = "/internal/colleagues"
    assert (await house.door.ask("GET", place, headers=await house.client(0))).status_code == 401
    told: dict[str, dict[str, Any]] = {}
    for service, status in (("directory", 401), ("referral", 200)):
        key = OKPKey.import_key(json.loads((home / "keys" / f"{service}.jwk").read_text()))
        token = Keyring(service, key, {}).sign("gateway", system(service))
        answer = await house.door.ask("GET", place, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status, answer.text
        told |= {one["email"]: one for one in answer.json().get("items", ())}
    assert (told[BEA]["deputy_id"], told[BEA]["begins_on"]) == (str(house.ids[CID]), today().isoformat())
    assert (told[BEA]["receives"], told[ADMIN]["receives"]) == (True, False)
    assert told[BEA]["language"] is None
