"""What makes something makes it once: a call that comes again with its key is answered as the first time."""

import asyncio
from typing import Any

import asyncpg
import pytest
from api.gateway.house import ADMIN, BEA, HOUSE, House, housed
from api.gateway.world import Door

pytestmark = pytest.mark.anyio

PLACE = f"/v1/organisations/{HOUSE['id']}"
LEA: dict[str, Any] = {"email": "lea@maison.example", "name": "Léa", "function": "accueil"}
AGREEMENT: dict[str, Any] = {
    "text_version": "2026-2", "signed_on": "2026-01-15", "parties": ["Maison", "Plateforme"],
    "secrecy": "professional", "may_sanction": False,
    "controller": {"name": "Maison", "address": "1 rue du Pont", "contact": "accueil", "dpo": "dpo"},
}  # fmt: skip
OPERATOR = 1
KEY = {"Idempotency-Key": '"once"'}


@pytest.fixture(name="house")
async def _house(door: Door) -> House:
    return await housed(door)


async def counted(house: House) -> list[int]:
    """Answer how many there are of what these calls make, and of what was written down."""
    tables = ("organisation", "agreement", "client", "invitation", "team", "signing_key", "audit")
    connection = await asyncpg.connect(house.door.dsn)
    try:
        return [await connection.fetchval(f"select count(*) from {table}") for table in tables]  # noqa: S608 - words of ours
    finally:
        await connection.close()


async def test_each_call_that_makes_something_makes_it_once(house: House) -> None:
    operator, admin = await house.door.bearer(OPERATOR), await house.bearer(ADMIN)
    agreements = (await house.door.ask("GET", f"{PLACE}/agreements", headers=operator)).json()["items"]
    client = house.clients[1]["client_id"]
    calls: list[tuple[dict[str, str], str, Any]] = [
        (operator, "/v1/organisations", {"name": "Neuve", "kind": "association"}),
        (operator, f"{PLACE}/agreements", AGREEMENT),
        (operator, f"{PLACE}/invitations", LEA),
        (operator, "/v1/platform/signing_keys", None),
        (admin, "/v1/organisation/invitations", {**LEA, "email": "lea2@maison.example"}),
        (admin, "/v1/organisation/clients", {"name": "Agenda", "scopes": ["directory:read"]}),
        (admin, f"/v1/organisation/clients/{client}/secret", None),
        (admin, "/v1/organisation/teams", {"name": "Accueil"}),
    ]
    assert agreements
    for who, path, body in calls:
        first = await house.door.ask("POST", path, json=body, headers=who | KEY)
        assert first.is_success, (path, first.text)
        made = await counted(house)
        again = await house.door.ask("POST", path, json=body, headers=who | KEY)
        assert (again.status_code, again.json()) == (first.status_code, first.json()), path
        assert again.headers.get("location") == first.headers.get("location"), path
        assert await counted(house) == made, path
        other = {**body, "name": "Autre"} if isinstance(body, dict) and "name" in body else {**(body or {}), "x": 1}
        refused = await house.door.ask("POST", path, json=other, headers=who | KEY)
        assert (refused.status_code, refused.json()["type"]) in {
            (422, "/problems/idempotency-key-reused"),
            (422, "/problems/invalid-input"),
        }, (path, refused.text)
        wrong = await house.door.ask("POST", path, json=body, headers=who | {"Idempotency-Key": "é".encode()})
        assert wrong.status_code == 400, (path, wrong.text)
    (living,) = [one for one in (await house.door.ask("GET", f"{PLACE}/agreements", headers=operator)).json()["items"]
                 if one["in_force"]]  # fmt: skip
    for status in (200, 200):
        ended = await house.door.ask("POST", f"{PLACE}/agreements/{living['id']}/end", json={}, headers=operator | KEY)
        assert (ended.status_code, ended.json()["in_force"]) == (status, False), ended.text


async def test_what_was_handed_out_works_and_without_a_key_each_is_another(house: House) -> None:
    wanted = {"name": "Agenda", "scopes": ["directory:read"]}
    admin = await house.bearer(ADMIN)

    async def made(**headers: str) -> dict[str, Any]:
        answer = await house.door.ask("POST", "/v1/organisation/clients", json=wanted, headers=admin | headers)
        found: dict[str, Any] = answer.json()
        return found

    first, again = await made(**KEY), await made(**KEY)
    others = [await made(), await made(), await made(**{"Idempotency-Key": "another"})]
    assert first == again
    assert len({one["client_secret"] for one in (first, *others)}) == 4
    await house.door.known(lambda state: first["id"] in state.clients)
    got = await house.door.ask(
        "POST",
        "/oauth2/token",
        data={"grant_type": "client_credentials"},
        auth=(again["id"], again["client_secret"]),
    )
    assert got.status_code == 200, got.text
    # What is closed meanwhile is not shown as if it were open.
    closed = await house.door.ask("DELETE", f"/v1/organisation/clients/{first['id']}", headers=admin)
    assert closed.status_code == 204
    assert (
        await house.door.ask("POST", "/v1/organisation/clients", json=wanted, headers=admin | KEY)
    ).status_code == 404


async def test_a_key_is_its_organisations_and_of_a_day(house: House) -> None:
    team = {"name": "Accueil"}
    teams = "/v1/organisation/teams"
    admin = await house.bearer(ADMIN)
    first = (await house.door.ask("POST", teams, json=team, headers=admin | KEY)).json()
    # Whoever may not make one learns nothing by a key, and what is refused is not kept under it.
    bea = await house.bearer(BEA)
    assert (await house.door.ask("POST", teams, json=team, headers=bea | KEY)).status_code == 403
    later = {"Idempotency-Key": "later"}
    assert (await house.door.ask("POST", teams, json=team, headers=admin | later)).status_code == 422
    answer = await house.door.ask("POST", teams, json={"name": "Accompagnement"}, headers=admin | later)
    assert answer.status_code == 201
    operator = await house.door.bearer(OPERATOR)
    made = await house.door.ask(
        "POST", "/v1/organisations", json={"name": "Neuve", "kind": "association"}, headers=operator | KEY
    )
    assert made.status_code == 201
    await house.door.change("update idempotency set created_at = created_at - interval '25 hours'")
    again = await house.door.ask("POST", teams, json={"name": "Neuf"}, headers=admin | KEY)
    assert again.status_code == 201
    assert again.json()["id"] != first["id"]


async def test_of_many_at_once_one_makes_it(house: House) -> None:
    wanted = {"name": "Agenda", "scopes": ["directory:read"]}
    admin = await house.bearer(ADMIN)
    answers = await asyncio.gather(
        *(house.door.ask("POST", "/v1/organisation/clients", json=wanted, headers=admin | KEY) for _ in range(12))
    )
    assert {one.status_code for one in answers} <= {201, 409}
    assert len({one.json()["id"] for one in answers if one.status_code == 201}) == 1
    assert all(int(one.headers["retry-after"]) for one in answers if one.status_code == 409)
