"""Who signs in: invited by a one-time link, changed and closed by an administrator, of whom one always stays."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from api.gateway.house import ADMIN, BEA, CID, HOUSE, STRANGER, House, housed
from api.gateway.world import ORGANISATION, PLATFORM, Door
from pydantic import SecretStr
from typer.testing import CliRunner

from relais_gateway import account_actions, account_store, cli
from relais_gateway.actions import By
from relais_gateway.domain.refusals import LastAdministrator
from relais_gateway.settings import GatewaySettings
from relais_local.databases import Access

pytestmark = pytest.mark.anyio

USERS, INVITATIONS = "/v1/organisation/users", "/v1/organisation/invitations"
LEA: dict[str, Any] = {"email": "Lea@Maison.example", "name": "Léa", "function": "accueil", "roles": ["counsellor"]}
PASSWORD = "trois tasses de thé vert"
OPERATOR = 1


@pytest.fixture(name="house")
async def _house(door: Door) -> House:
    return await housed(door)


async def secret_of(house: House, who: dict[str, Any] | None = None) -> str:
    """Invite somebody as the administrator, and answer what stands behind the link's `#`."""
    made = await house.ask(ADMIN, "POST", INVITATIONS, json=who or LEA)
    assert made.status_code == 201, made.text
    page, _, secret = made.json()["link"].partition("#")
    assert page == "http://relais.example/invitation"
    return str(secret)


async def accept(house: House, secret: str, password: str = PASSWORD, **more: str) -> Any:
    """Accept an invitation, as nobody we know yet."""
    body = {"secret": secret, "password": password, **more}
    return await house.door.ask("POST", "/v1/invitations/accept", json=body)


async def test_only_an_administrator_sees_to_accounts_and_only_at_home(house: House) -> None:
    bea = house.ids[BEA]
    invited = await house.ask(ADMIN, "POST", INVITATIONS, json=LEA)
    away = f"/v1/organisations/{HOUSE['id']}"
    own: list[tuple[str, str, Any]] = [
        ("GET", USERS, None),
        ("GET", INVITATIONS, None),
        ("POST", INVITATIONS, LEA),
        ("GET", f"{USERS}/{bea}", None),
        ("PATCH", f"{USERS}/{bea}", {"active": False}),
        ("DELETE", f"{INVITATIONS}/{invited.json()['id']}", None),
    ]
    platform: list[tuple[str, str, Any]] = [
        ("GET", f"{away}/users", None), ("GET", f"{away}/invitations", None), ("POST", f"{away}/invitations", LEA),
    ]  # fmt: skip
    written = await house.audited()
    for method, path, body in own + platform:
        assert (await house.door.ask(method, path, json=body)).status_code == 401, (method, path)
        assert (await house.ask(BEA, method, path, json=body)).status_code == 403, (method, path)
    for method, path, body in platform:
        assert (await house.ask(ADMIN, method, path, json=body)).status_code == 403, (method, path)
    await house.door.change("insert into scope_grant values ($1, 'org:admin', '{}', null)", UUID(ORGANISATION["id"]))
    await house.door.change("update account set roles = '{administrator,counsellor}' where email = $1", STRANGER)
    await house.door.known(lambda state: "org:admin" in state.accounts[house.ids[STRANGER]].scopes)
    await house.door.known(lambda state: "org:admin" in {g.scope for g in state.members[UUID(int=1)].grants})
    for method, path, body in own[3:]:
        foreign = await house.ask(STRANGER, method, path, json=body)
        assert (foreign.status_code, foreign.json()["type"]) == (404, "/problems/not-found"), (method, path)
    assert [one["email"] for one in (await house.ask(STRANGER, "GET", USERS)).json()["items"]] == [STRANGER]
    assert (await house.ask(STRANGER, "GET", INVITATIONS)).json() == {"items": []}
    assert await house.audited() == written
    operator = await house.door.bearer(OPERATOR)
    for path in ("users", "invitations"):
        gone = await house.door.ask("GET", f"/v1/organisations/{uuid4()}/{path}", headers=operator)
        assert gone.status_code == 404
    listed = await house.door.ask("GET", f"{away}/users", headers=operator)
    assert {one["email"] for one in listed.json()["items"]} == {ADMIN, BEA, CID}


async def test_who_is_invited_chooses_her_password_once(house: House) -> None:
    first = await secret_of(house)
    secret = await secret_of(house)
    (shown,) = (await house.ask(ADMIN, "GET", INVITATIONS)).json()["items"]
    assert (shown["email"], shown["roles"]) == ("lea@maison.example", ["counsellor"])
    assert secret not in str(shown)
    looked = await house.door.ask("POST", "/v1/invitations/open", json={"secret": secret})
    assert (looked.status_code, looked.json()["organisation"], looked.json()["name"]) == (200, "Maison", "Léa")
    # The second invitation took the place of the first.
    assert (await house.door.ask("POST", "/v1/invitations/open", json={"secret": first})).status_code == 404
    for weak in ("trop peu", "lea@maison.example", "aaaaaaaaaaaaaaaa"):
        refused = await accept(house, secret, weak)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/password"), weak
        assert weak not in refused.text
    tries = await asyncio.gather(*(accept(house, secret, name="Léa Dupont") for _ in range(3)))
    assert sorted(one.status_code for one in tries) == [201, 404, 404]
    assert (await accept(house, secret)).status_code == 404
    (lea,) = [one for one in (await house.ask(ADMIN, "GET", USERS)).json()["items"] if one["name"] == "Léa Dupont"]
    assert (lea["email"], lea["roles"], lea["active"]) == ("lea@maison.example", ["counsellor"], True)
    house.passwords[lea["email"]] = PASSWORD
    assert (await house.told(await house.bearer(lea["email"])))["name"] == "Léa Dupont"
    again = await house.ask(ADMIN, "POST", INVITATIONS, json=LEA)
    assert (again.status_code, again.json()["errors"][0]["pointer"]) == (422, "/email")
    said = [(who, what, facts) for who, what, facts in await house.audited() if what != "grant_written"]
    assert [(what, facts.get("roles")) for _who, what, facts in said] == [
        ("invitation_made", ["counsellor"]), ("invitation_made", ["counsellor"]), ("account_created", ["counsellor"]),
    ]  # fmt: skip
    assert "lea" not in str(said).casefold()


async def test_of_many_invitations_at_once_one_opens(house: House) -> None:
    secrets = await asyncio.gather(*(secret_of(house) for _ in range(5)))
    tries = await asyncio.gather(
        *(house.door.ask("POST", "/v1/invitations/open", json={"secret": secret}) for secret in secrets)
    )
    assert sorted(one.status_code for one in tries) == [200, 404, 404, 404, 404]
    gone = f"/v1/organisations/{uuid4()}/invitations"
    operator = await house.door.bearer(OPERATOR)
    assert (await house.door.ask("POST", gone, json=LEA, headers=operator)).status_code == 404


async def test_a_link_ends_by_withdrawal_by_time_and_with_its_organisation(house: House) -> None:
    async def opens(secret: str) -> int:
        return (await house.door.ask("POST", "/v1/invitations/open", json={"secret": secret})).status_code

    secret = await secret_of(house)
    (one,) = (await house.ask(ADMIN, "GET", INVITATIONS)).json()["items"]
    assert (await house.ask(ADMIN, "DELETE", f"{INVITATIONS}/{one['id']}")).status_code == 204
    assert (await house.ask(ADMIN, "DELETE", f"{INVITATIONS}/{one['id']}")).status_code == 404
    assert await opens(secret) == 404
    secret = await secret_of(house)
    house.door.state.clock = lambda: datetime.now(UTC) + account_actions.INVITATION_LIVES + timedelta(minutes=1)
    assert await opens(secret) == 404
    house.door.state.clock = lambda: datetime.now(UTC)
    assert await opens(secret) == 200
    await house.door.change("update organisation set active = false where id = $1", UUID(HOUSE["id"]))
    assert await opens(secret) == 404
    assert await opens("x" * 43) == 404
    # Seen closed before it is opened again: on a busy machine the closing would be seen afterwards.
    await house.door.known(lambda state: not state.members[UUID(HOUSE["id"])].active)
    # Of an account elsewhere only who holds the link is told.
    await house.door.change("update organisation set active = true where id = $1", UUID(HOUSE["id"]))
    await house.door.known(lambda state: state.members[UUID(HOUSE["id"])].active)
    other = await secret_of(house, {**LEA, "email": STRANGER})
    taken = await accept(house, other)
    assert (taken.status_code, STRANGER in taken.text) == (422, False)


async def test_the_platform_invites_the_first_administrator(house: House) -> None:
    operator = await house.door.bearer(OPERATOR)
    wanted = {"name": "Neuve", "kind": "association"}
    place = (await house.door.ask("POST", "/v1/organisations", json=wanted, headers=operator)).headers["location"]
    await house.door.ask("PUT", f"{place}/grants/org:admin", json={}, headers=operator)
    who = {**LEA, "roles": ["administrator"]}
    made = await house.door.ask("POST", f"{place}/invitations", json=who, headers=operator)
    assert (await accept(house, made.json()["link"].partition("#")[2])).status_code == 201
    (listed,) = (await house.door.ask("GET", f"{place}/users", headers=operator)).json()["items"]
    assert listed["roles"] == ["administrator"]
    house.passwords["lea@maison.example"] = PASSWORD
    await house.door.known(lambda state: UUID(listed["id"]) in state.accounts)
    found = await house.ask("lea@maison.example", "GET", "/v1/organisation")
    assert found.json()["name"] == "Neuve"
    bad = {"email": "no", "name": "", "roles": ["king"], "x": 1}
    refused = await house.door.ask("POST", f"{place}/invitations", json=bad, headers=operator)
    assert {one["pointer"] for one in refused.json()["errors"]} == {"/email", "/name", "/roles/0", "/x"}
    # The platform changes anybody, where she is.
    changed = await house.door.ask("PATCH", f"{USERS}/{house.ids[CID]}", json={"name": "Cid"}, headers=operator)
    assert (changed.status_code, changed.json()["organisation_id"]) == (200, HOUSE["id"])


async def test_who_is_closed_is_out_within_a_second(house: House) -> None:
    """Her session, the token of her page and her standing in for a colleague: nothing of it counts any more."""
    bea, cid = house.ids[BEA], house.ids[CID]
    away = {"deputy_id": str(bea), "from": datetime.now(UTC).date().isoformat()}
    put = await house.ask(ADMIN, "PUT", f"/v1/organisation/accounts/{cid}/absence", json=away)
    assert put.is_success, put.text
    token = await house.bearer(BEA)
    assert (await house.told(token, stands_for=[str(cid)]))["stands_for"] == [str(cid)]
    closed = await house.ask(ADMIN, "PATCH", f"{USERS}/{bea}", json={"active": False})
    assert (closed.status_code, closed.json()["active"]) == (200, False)
    await house.door.known(lambda state: bea not in state.accounts)
    assert (await house.door.ask("POST", "/v1/directory/echo", headers=token)).status_code == 401
    sessions, now = house.door.state.sessions, datetime.now(UTC)
    assert await sessions.visitor(house.secrets[BEA], now) is None
    assert await sessions.sign_in(BEA, house.passwords[BEA], now) is None
    shown = {one["email"] for one in (await house.ask(ADMIN, "GET", USERS)).json()["items"]}
    all_ = {one["email"] for one in (await house.ask(ADMIN, "GET", f"{USERS}?closed=true")).json()["items"]}
    assert (shown, all_) == ({ADMIN, CID}, {ADMIN, CID, BEA})
    # Opened again she signs in; the session that ended stays ended.
    assert (await house.ask(ADMIN, "PATCH", f"{USERS}/{bea}", json={"active": True})).json()["active"]
    await house.door.known(lambda state: bea in state.accounts)
    assert await sessions.visitor(house.secrets.pop(BEA), now) is None
    told = await house.told(await house.bearer(BEA), stands_for=[str(cid)])
    assert told["stands_for"] == [str(cid)]


async def test_roles_change_what_a_session_may_at_once(house: House) -> None:
    bea = house.ids[BEA]
    roles = {"roles": ["administrator", "counsellor", "counsellor"]}
    changed = await house.ask(ADMIN, "PATCH", f"{USERS}/{bea}", json=roles)
    assert changed.json()["roles"] == ["administrator", "counsellor"]
    await house.door.known(lambda state: "org:admin" in state.accounts[bea].scopes)
    assert (await house.ask(BEA, "GET", USERS)).status_code == 200
    assert (await house.ask(ADMIN, "PATCH", f"{USERS}/{bea}", json={"roles": ["counsellor"]})).status_code == 200
    await house.door.known(lambda state: "org:admin" not in state.accounts[bea].scopes)
    assert (await house.ask(BEA, "GET", USERS)).status_code == 403
    for wrong in ({"roles": []}, {"roles": ["king"]}, {"email": "a@b.example"}, {"name": ""}):
        assert (await house.ask(ADMIN, "PATCH", f"{USERS}/{bea}", json=wrong)).status_code == 422, wrong
    said = [(what, facts) for _who, what, facts in await house.audited() if what == "account_changed"]
    assert [facts["roles"] for _what, facts in said] == [["administrator", "counsellor"], ["counsellor"]]


async def test_the_last_administrator_stays(house: House) -> None:
    place = f"{USERS}/{house.ids[ADMIN]}"
    operator = await house.door.bearer(OPERATOR)
    for change in ({"active": False}, {"roles": ["counsellor"]}):
        refused = await house.ask(ADMIN, "PATCH", place, json=change)
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/last-administrator"), change
        # Nor can the platform leave an organisation without.
        assert (await house.door.ask("PATCH", place, json=change, headers=operator)).status_code == 409, change
    assert (await house.ask(ADMIN, "PATCH", place, json={"name": "Zoé"})).status_code == 200
    assert (await house.ask(ADMIN, "PATCH", f"{USERS}/{house.ids[BEA]}", json={"active": False})).status_code == 200


async def test_nor_does_whoever_runs_the_machine_take_the_last_administrator(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`relais users add` writes an account anew as the API would: in its own organisation, and never the last away."""
    monkeypatch.setattr(GatewaySettings, "load", lambda: house.door.settings)

    async def add(email: str, role: str, organisation: str = HOUSE["id"]) -> str:
        typed = ["add", email, "--name", "Zoé Admin", "--organisation", organisation, "--role", role]
        # The command runs a loop of its own.
        done = await asyncio.to_thread(CliRunner().invoke, cli.users, typed, env={"COLUMNS": "200"})
        assert (done.exit_code == 0) == (f"{email}: " in done.output), done.output
        return done.output

    written = await house.audited()
    assert "Nobody would administer" in await add(ADMIN, "counsellor")
    assert "another organisation" in await add(ADMIN, "administrator", ORGANISATION["id"])
    assert "adminstrator" in await add(ADMIN, "adminstrator"), "a role that there is not takes none away"
    assert "no such organisation" in await add("eva@maison.example", "counsellor", str(uuid4()))
    assert await house.audited() == written
    secret = await secret_of(house)
    assert (await accept(house, secret)).status_code == 201
    bearer = await house.door.state.sessions.sign_in(LEA["email"].casefold(), PASSWORD, datetime.now(UTC))
    assert LEA["email"] in await add(LEA["email"], "administrator")
    # With the password that she chose, her sessions ended too.
    assert await house.door.state.sessions.visitor(bearer, datetime.now(UTC)) is None
    assert ADMIN in await add(ADMIN, "counsellor")


async def test_the_last_who_runs_the_platform_stays(house: House) -> None:
    """Neither the account, nor its role, nor the organisation, nor its right goes while nobody else has it."""
    operator, id_ = await house.door.bearer(OPERATOR), PLATFORM["id"]
    place, grant = f"/v1/organisations/{id_}", f"/v1/organisations/{id_}/grants/platform:admin"
    who = {**LEA, "email": "ada@plateforme.example", "roles": ["administrator"]}
    made = await house.door.ask("POST", f"{place}/invitations", json=who, headers=operator)
    assert (await accept(house, made.json()["link"].partition("#")[2])).status_code == 201
    (ada,) = (await house.door.ask("GET", f"{place}/users", headers=operator)).json()["items"]
    whole = await house.door.ask("GET", place, headers=operator)
    version = {"If-Match": whole.headers["etag"]}
    yesterday, next_year = ((datetime.now(UTC).date() + timedelta(days=days)).isoformat() for days in (-1, 365))
    for method, path, body in (
        ("PATCH", f"{USERS}/{ada['id']}", {"active": False}),
        ("PATCH", f"{USERS}/{ada['id']}", {"roles": ["counsellor"]}),
        ("DELETE", grant, None),
        ("PUT", grant, {"ends_on": yesterday}),
        # That day would come by itself, and nobody be left to put it off.
        ("PUT", grant, {"ends_on": next_year}),
        ("PATCH", place, {"active": False}),
    ):
        refused = await house.door.ask(method, path, json=body, headers={**operator, **version})
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/last-administrator"), (path, body)
    # Once another organisation has both the right and an administrator, the first may go.
    other = f"/v1/organisations/{HOUSE['id']}/grants/platform:admin"
    assert (await house.door.ask("PUT", other, json={}, headers=operator)).status_code == 204
    assert (await house.door.ask("DELETE", grant, headers=operator)).status_code == 204


@pytest.mark.parametrize("change", [{"active": False}, {"roles": ["counsellor"]}])
async def test_two_who_remove_each_other_at_once_cannot_both(house: House, change: dict[str, Any]) -> None:
    """Several times, each on connections of their own: one of the two always stays."""
    zoe, bea = house.ids[ADMIN], house.ids[BEA]
    async with asyncpg.create_pool(house.door.dsn, min_size=4, max_size=4) as pool:

        async def remove(who: UUID) -> None:
            async with pool.acquire() as connection, connection.transaction():
                by = By("user:x", UUID(HOUSE["id"]), datetime.now(UTC))
                await account_actions.change(connection, by, who, change, UUID(HOUSE["id"]))

        for _round in range(6):
            await house.door.change(
                "update account set active = true, roles = '{administrator}' where id = any($1::uuid[])", [zoe, bea]
            )
            done = await asyncio.gather(remove(zoe), remove(bea), return_exceptions=True)
            assert sorted(type(one) for one in done if one is not None) == [LastAdministrator], done
            left = await pool.fetchval(
                "select count(*) from account where organisation_id = $1 and active and 'administrator' = any(roles)",
                UUID(HOUSE["id"]),
            )
            assert left == 1


async def test_who_changes_who_administers_waits_before_looking(house: House) -> None:
    """In the same organisation, and wherever the platform is run from; no lock that others happen to take is needed."""
    async with asyncpg.create_pool(house.door.dsn, min_size=2, max_size=2) as pool:
        async with pool.acquire() as first, first.transaction():
            await account_store.hold_administration(first, UUID(HOUSE["id"]))
            for same in (HOUSE["id"], PLATFORM["id"], ORGANISATION["id"]):
                async with pool.acquire() as second, second.transaction():
                    await second.execute("set local lock_timeout = '100ms'")
                    with pytest.raises(asyncpg.LockNotAvailableError):
                        await account_store.hold_administration(second, UUID(same))
        async with pool.acquire() as second, second.transaction():
            await account_store.hold_administration(second, UUID(HOUSE["id"]))


async def test_whoever_runs_the_machine_begins_and_only_once(
    fresh_database: Callable[[str], Access], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`relais users first` makes, on an empty installation, who enrols all others; then never again."""
    dsn = fresh_database("gateway").dsn
    monkeypatch.setattr(GatewaySettings, "load", lambda: SimpleNamespace(dsn=SecretStr(dsn)))

    async def first(email: str) -> str:
        typed = ["first", email, "--name", "Zoé Admin", "--organisation", "Coordination"]
        done = await asyncio.to_thread(CliRunner().invoke, cli.users, typed, env={"COLUMNS": "200"})
        assert (done.exit_code == 0) == (f"{email}: " in done.output), done.output
        return done.output

    assert "zoe@coordination.example: " in await first("zoe@coordination.example")
    assert "relais users list" in await first("eva@coordination.example")
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch("select email, roles from account")
    scopes = await connection.fetch(
        "select scope from scope_grant g join organisation o on o.id = g.organisation_id where o.platform"
    )
    await connection.close()
    assert [(row["email"], row["roles"]) for row in rows] == [("zoe@coordination.example", ["administrator"])]
    assert {row["scope"] for row in scopes} == {"platform:admin", "trace:read"}
