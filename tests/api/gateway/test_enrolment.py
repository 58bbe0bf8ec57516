"""Whoever runs the platform enrols organisations and records what they signed; hand-overs hang on it, live."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from api.gateway.world import ORGANISATION, PLATFORM, Door
from support.days import today

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_day")]

ALL, HOUSE = "/v1/organisations", f"/v1/organisations/{ORGANISATION['id']}"
OWN = "/v1/organisation"
ESSAI, OPERATOR = 0, 1
SIGNED: dict[str, Any] = {
    "text_version": "2026-2", "signed_on": "2026-06-01", "parties": ["Essai", "Plateforme"],
    "secrecy": "discretion", "may_sanction": True,
    "controller": {"name": "Essai ASBL", "address": "1 rue", "contact": "accueil", "dpo": "dpo@essai.example"},
}  # fmt: skip


def days(count: int) -> str:
    """Answer a day from today."""
    return (today() + timedelta(days=count)).isoformat()


def match(answer: httpx.Response, headers: dict[str, str]) -> dict[str, str]:
    """Answer the headers of a change of what was read."""
    return {**headers, "If-Match": answer.headers["etag"]}


async def test_nobody_and_no_partner_enrols(door: Door) -> None:
    asked: list[tuple[str, str, Any]] = [
        ("POST", ALL, {"name": "X", "kind": "association"}),
        ("PATCH", HOUSE, {"active": False}),
        ("GET", f"{HOUSE}/agreements", None),
        ("POST", f"{HOUSE}/agreements", SIGNED),
        ("POST", f"{HOUSE}/agreements/{uuid4()}/end", {}),
        ("GET", OWN, None),
        ("PATCH", OWN, {"municipality": None}),
        ("GET", f"{OWN}/agreements", None),
        ("GET", f"{OWN}/audit", None),
    ]
    partner, operator = await door.bearer(ESSAI), await door.bearer(OPERATOR)
    for method, path, body in asked:
        assert (await door.ask(method, path, json=body)).status_code == 401, path
        assert (await door.ask(method, path, json=body, headers=partner)).status_code == 403, path
    for method, path, body in asked[1:5]:
        unknown = path.replace(ORGANISATION["id"], str(uuid4()))
        headers = {**operator, "If-Match": '"x"'}
        assert (await door.ask(method, unknown, json=body, headers=headers)).status_code == 404, path


async def test_an_organisation_is_enrolled_changed_and_closed(door: Door) -> None:
    operator, partner = await door.bearer(OPERATOR), await door.bearer(ESSAI)
    wanted = {"name": "Maison", "kind": "association", "municipality": "be:52011"}
    made = await door.ask("POST", ALL, json=wanted, headers=operator)
    assert made.status_code == 201, made.text
    place = made.headers["location"]
    found = await door.ask("GET", place, headers=operator)
    assert (found.json(), found.headers["etag"]) == (made.json(), made.headers["etag"])
    told = {name: found.json()[name] for name in ("active", "platform", "may_sanction", "secrecy", "grants")}
    assert told == {"active": True, "platform": False, "may_sanction": False, "secrecy": "none", "grants": []}

    bad = {"name": "maison", "kind": "Big", "municipality": "Paris", "platform": True, "launch_base": "javascript:1",
           "control_unit": 0}  # fmt: skip
    faults = (await door.ask("POST", ALL, json=bad, headers=operator)).json()["errors"]
    assert {one["pointer"] for one in faults} == {
        "/kind",
        "/municipality",
        "/platform",
        "/launch_base",
        "/control_unit",
    }
    for again in ({**wanted, "name": "MAISON"}, {"name": "Autre", "kind": "platform"}):
        assert (await door.ask("POST", ALL, json=again, headers=operator)).status_code == 422

    assert (await door.ask("PATCH", place, json={"name": "Foyer"}, headers=operator)).status_code == 428
    changed = await door.ask("PATCH", place, json={"name": "Foyer"}, headers=match(found, operator))
    assert (changed.status_code, changed.json()["name"]) == (200, "Foyer")
    stale = await door.ask("PATCH", place, json={"name": "Nid"}, headers=match(found, operator))
    assert (stale.status_code, stale.headers["etag"]) == (412, changed.headers["etag"])

    house = await door.ask("GET", HOUSE, headers=operator)
    closed = await door.ask("PATCH", HOUSE, json={"active": False}, headers=match(house, operator))
    assert closed.json()["active"] is False
    await door.known(lambda state: not state.members[UUID(ORGANISATION["id"])].active)
    assert (await door.ask("POST", "/v1/directory/echo", headers=partner)).status_code == 401
    opened = await door.ask("PATCH", HOUSE, json={"active": True}, headers=match(closed, operator))
    assert opened.json()["active"] is True
    await door.known(lambda state: state.members[UUID(ORGANISATION["id"])].active)
    assert (await door.ask("POST", "/v1/directory/echo", headers=partner)).status_code == 200

    page = (await door.ask("GET", "/v1/audit", params={"limit": 4}, headers=operator)).json()["items"]
    assert [(one["action"], one["facts"]) for one in page] == [
        ("organisation_changed", {"active": True}),
        ("organisation_changed", {"active": False}),
        ("organisation_changed", {"name": "Foyer"}),
        ("organisation_created", {**wanted, "control_unit": False, "practice": False, "answer_within_days": 2}),
    ]  # fmt: skip


async def test_two_who_enrol_the_same_at_the_same_moment_make_one(door: Door) -> None:
    operator = await door.bearer(OPERATOR)
    connection = await asyncpg.connect(door.dsn)
    try:
        # Whoever comes first has not committed when the second one looks.
        first = connection.transaction()
        await first.start()
        await connection.execute(
            "insert into organisation (id, name, kind, active, platform, may_sanction, control_unit, secrecy, practice,"
            " controller, answer_within_days) values ($1, 'Maison', 'association', true, false, false, false, 'none',"
            " false, '{}', 2)",
            UUID(int=7),
        )
        second = asyncio.create_task(
            door.ask("POST", ALL, json={"name": "MAISON", "kind": "association"}, headers=operator)
        )
        async with asyncio.timeout(20):
            while not await waiting(connection):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        await first.commit()
    finally:
        await connection.close()
    refused = await second
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"] == [
        {"pointer": "/name", "detail": f"/v1/organisations/{UUID(int=7)} bears this name."}
    ]
    # Opening one again whose name another has taken meanwhile is refused in the same way.
    foyer = {"name": "Foyer", "kind": "association"}
    made = await door.ask("POST", ALL, json=foyer, headers=operator)
    place = made.headers["location"]
    closed = await door.ask("PATCH", place, json={"active": False}, headers=match(made, operator))
    assert (await door.ask("POST", ALL, json=foyer, headers=operator)).status_code == 201
    again = await door.ask("PATCH", place, json={"active": True}, headers=match(closed, operator))
    assert (again.status_code, again.json()["errors"][0]["pointer"]) == (422, "/name")


async def waiting(connection: asyncpg.Connection) -> bool:
    """Say whether somebody waits in this database for another's transaction."""
    return bool(
        await connection.fetchval(
            "select exists (select from pg_stat_activity where datname = current_database()"
            " and wait_event_type = 'Lock' and wait_event = 'transactionid')"
        )
    )


async def test_hand_overs_hang_on_an_agreement_in_force(door: Door) -> None:
    """Without one no scope of hand-overs is granted; when it ends, a token already issued opens nothing more."""
    operator, partner = await door.bearer(OPERATOR), await door.bearer(ESSAI)
    id_, grant = UUID(ORGANISATION["id"]), f"{HOUSE}/grants/referral:receive"
    (first,) = (await door.ask("GET", f"{HOUSE}/agreements", headers=operator)).json()["items"]
    assert (first["text_version"], first["in_force"], first["ended_at"]) == ("2026-1", True, None)

    made = await door.ask("POST", f"{HOUSE}/agreements", json=SIGNED, headers=operator)
    assert made.status_code == 201, made.text
    assert made.json() == {**SIGNED, "id": made.json()["id"], "ends_on": None, "ended_at": None, "in_force": True,
                           "recorded_at": made.json()["recorded_at"]}  # fmt: skip
    listed = (await door.ask("GET", f"{HOUSE}/agreements", headers=operator)).json()["items"]
    assert [(one["text_version"], one["in_force"]) for one in listed] == [("2026-2", True), ("2026-1", False)]
    house = (await door.ask("GET", HOUSE, headers=operator)).json()
    declared = {name: house[name] for name in ("secrecy", "may_sanction", "controller")}
    assert declared == {name: SIGNED[name] for name in declared}
    await door.known(lambda state: b'"secrecy":"discretion","agreement":true' in state.snapshot)

    # A stream that only `referral:send` opens, while the agreement is in force.
    await door.change("delete from scope_grant where organisation_id = $1 and scope = 'directory:read'", id_)
    await door.known(lambda state: len(state.members[id_].grants) == 1)
    async with (
        httpx.AsyncClient(base_url=door.base_url, timeout=30) as client,
        client.stream("GET", "/v1/directory/stream", headers=partner) as stream,
    ):
        assert stream.status_code == 200
        lines = stream.aiter_lines()
        await anext(lines)
        end = f"{HOUSE}/agreements/{made.json()['id']}/end"
        later = await door.ask("POST", end, json={"ends_on": days(3)}, headers=operator)
        assert (later.json()["ends_on"], later.json()["in_force"]) == (days(3), True)
        past = await door.ask("POST", end, json={"ends_on": days(-1)}, headers=operator)
        assert (past.status_code, past.json()["errors"][0]["pointer"]) == (422, "/ends_on")
        over = await door.ask("POST", end, json={}, headers=operator)
        assert (over.status_code, over.json()["in_force"]) == (200, False)
        # It would never end by itself.
        async with asyncio.timeout(15):
            assert {line async for line in lines} <= {"data: beat", ""}
    assert (await door.ask("GET", "/v1/directory/stream", headers=partner)).status_code == 403
    assert b'"agreement":false' in (await door.state.live.now()).snapshot
    assert (await door.ask("POST", end, json={}, headers=operator)).status_code == 422
    refused = await door.ask("PUT", grant, json={}, headers=operator)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/no-agreement")
    told = (await door.ask("GET", HOUSE, headers=operator)).json()
    assert (told["agreement"], {one["scope"]: one["holds"] for one in told["grants"]}) == (
        None, {"referral:send": False},
    )  # fmt: skip

    await door.ask("POST", f"{HOUSE}/agreements", json={**SIGNED, "ends_on": days(0)}, headers=operator)
    assert (await door.ask("PUT", grant, json={}, headers=operator)).status_code == 204
    page = (await door.ask("GET", "/v1/audit", params={"limit": 5}, headers=operator)).json()["items"]
    assert [one["action"] for one in page] == [
        "grant_written", "agreement_recorded", "agreement_ended", "agreement_end_written", "agreement_recorded",
    ]  # fmt: skip
    assert "dpo@" not in str(page)


async def test_what_cannot_be_signed_is_refused_by_name(door: Door) -> None:
    operator = await door.bearer(OPERATOR)
    place = f"{HOUSE}/agreements"
    bad = {**SIGNED, "parties": ["One"], "secrecy": "some", "controller": {"name": "X"}}
    faults = (await door.ask("POST", place, json=bad, headers=operator)).json()["errors"]
    assert {one["pointer"] for one in faults} == {
        "/parties", "/secrecy", "/controller/address", "/controller/contact", "/controller/dpo",
    }  # fmt: skip
    for wrong, pointer in (({"signed_on": days(1)}, "/signed_on"), ({"ends_on": days(-1)}, "/ends_on")):
        refused = await door.ask("POST", place, json={**SIGNED, **wrong}, headers=operator)
        assert [one["pointer"] for one in refused.json()["errors"]] == [pointer]
    await door.change("update organisation set control_unit = true where id = $1", UUID(ORGANISATION["id"]))
    assert (await door.ask("POST", place, json=SIGNED, headers=operator)).status_code == 422
    foreign = f"{ALL}/{PLATFORM['id']}/agreements"
    (one,) = (await door.ask("GET", place, headers=operator)).json()["items"]
    assert (await door.ask("POST", f"{foreign}/{one['id']}/end", json={}, headers=operator)).status_code == 404


async def test_the_database_keeps_what_was_signed(door: Door) -> None:
    for statement in ("delete from agreement", "update agreement set text_version = '0'"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await door.change(statement)
    await door.change("update agreement set ended_at = null, ends_on = '2026-01-02'")
    with pytest.raises(asyncpg.CheckViolationError):
        await door.change(
            "insert into scope_grant values ($1, 'referral:receive', '{}', null)", UUID(ORGANISATION["id"])
        )


async def test_with_the_day_what_ended_holds_no_more_anywhere(door: Door) -> None:
    """No row changes at midnight: the version moves by itself, so that the services hear of it."""
    before = (await door.state.live.now()).version
    await door.change("update registry_version set day = day - 1")
    door.state.live._state = type(door.state.live._state)(version=before)  # noqa: SLF001 - yesterday's memory
    await door.known(lambda state: state.day == today())
    now = await door.state.live.now()
    assert (now.version, b'"agreement":true' in now.snapshot) == (before + 1, True)


async def test_an_organisation_changes_of_itself_what_is_its_own(door: Door) -> None:
    operator = await door.bearer(OPERATOR)
    await door.ask("PUT", f"{HOUSE}/grants/org:admin", json={}, headers=operator)
    await door.ask("POST", f"{HOUSE}/agreements", json=SIGNED, headers=operator)
    await door.change("update client set scopes = scopes || '{org:admin}'::varchar[]")
    id_ = UUID(ORGANISATION["id"])
    await door.known(lambda state: any("org:admin" in one.scopes for one in state.clients.values()))
    await door.known(lambda state: "org:admin" in {grant.scope for grant in state.members[id_].grants})
    admin = await door.bearer(ESSAI)
    found = await door.ask("GET", OWN, headers=admin)
    assert (found.json()["name"], found.json()["agreement"]["text_version"]) == ("Essai", "2026-2")
    change = {"controller": {"dpo": "Anne, au 1er étage"}, "answer_within_days": 4, "municipality": "be:52011"}
    assert (await door.ask("PATCH", OWN, json=change, headers=admin)).status_code == 428
    changed = await door.ask("PATCH", OWN, json=change, headers=match(found, admin))
    assert changed.status_code == 200, changed.text
    assert changed.json()["controller"] == {**SIGNED["controller"], "dpo": "Anne, au 1er étage"}
    assert (await door.ask("PATCH", OWN, json=change, headers=match(found, admin))).status_code == 412
    for others in ({"name": "Y"}, {"secrecy": "none"}, {"active": False}, {"controller": {"name": "Y"}}):
        refused = await door.ask("PATCH", OWN, json=others, headers=match(changed, admin))
        assert refused.status_code == 422, others
    own = (await door.ask("GET", f"{OWN}/agreements", headers=admin)).json()["items"]
    assert [one["text_version"] for one in own] == ["2026-2", "2026-1"]
    written = (await door.ask("GET", f"{OWN}/audit", headers=admin)).json()["items"]
    assert written[0]["facts"] == {"controller": True, "answer_within_days": 4, "municipality": "be:52011"}
    assert {one["organisation_id"] for one in written} == {ORGANISATION["id"]}
    assert [one["action"] for one in written] == ["organisation_changed", "agreement_recorded", "grant_written"]
