"""An organisation's administrator keeps its own systems, within what it is granted, and nobody else's."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from api.gateway.world import ORGANISATION, PLATFORM, Door

pytestmark = pytest.mark.anyio

PATH = "/v1/organisation/clients"
WANTED: dict[str, Any] = {"name": "Agenda", "scopes": ["directory:read"]}
ESSAI, OTHER = 0, 1


async def administering(door: Door) -> None:
    """Let both organisations administer themselves."""
    for id_ in (ORGANISATION["id"], PLATFORM["id"]):
        await door.change("insert into scope_grant values ($1, 'org:admin', '{}', null)", UUID(id_))
        await door.change(
            "update client set scopes = scopes || '{org:admin}'::varchar[] where organisation_id = $1", UUID(id_)
        )
    await door.known(
        lambda state: sum("org:admin" in one.scopes for one in state.clients.values()) == len(door.demo["clients"])
    )


async def signed(door: Door, id_: str, secret: str) -> httpx.Response:
    """Ask for a token as a system."""
    return await door.ask("POST", "/oauth2/token", data={"grant_type": "client_credentials"}, auth=(id_, secret))


async def test_nobody_else_touches_the_systems_of_an_organisation(door: Door) -> None:
    one = f"{PATH}/{door.demo['clients'][ESSAI]['client_id']}"
    asked = [
        ("GET", PATH, None), ("POST", PATH, WANTED), ("PUT", one, WANTED), ("POST", f"{one}/secret", None),
        ("DELETE", one, None),
    ]  # fmt: skip
    without = await door.bearer(ESSAI)
    for method, path, body in asked:
        assert (await door.ask(method, path, json=body)).status_code == 401, (method, path)
        assert (await door.ask(method, path, json=body, headers=without)).status_code == 403, (method, path)
    await administering(door)
    other = await door.bearer(OTHER)
    for method, path, body in asked[2:]:
        assert (await door.ask(method, path, json=body, headers=other)).status_code == 404, (method, path)
    names = [each["name"] for each in (await door.ask("GET", PATH, headers=other)).json()["items"]]
    assert names == ["plateforme"]


async def test_a_system_lives_from_its_first_secret_to_its_end(door: Door) -> None:
    await administering(door)
    admin = await door.bearer(ESSAI)
    made = await door.ask("POST", PATH, json=WANTED, headers=admin)
    assert made.status_code == 201, made.text
    id_, first = made.json()["id"], made.json()["client_secret"]
    assert first not in (await door.ask("GET", PATH, headers=admin)).text
    await door.known(lambda state: id_ in state.clients)
    token = (await signed(door, id_, first)).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await door.ask("POST", "/v1/directory/echo", headers=bearer)).status_code == 200
    renewed = (await door.ask("POST", f"{PATH}/{id_}/secret", headers=admin)).json()
    assert renewed["client_secret"] != first
    before = door.state.live
    version = (await before.now()).version
    await door.known(lambda state: state.clients[id_].scopes == {"directory:read"} and state.version >= version)
    narrowed = await door.ask("PUT", f"{PATH}/{id_}", json={"name": "Agenda", "scopes": []}, headers=admin)
    assert narrowed.status_code == 204
    await door.known(lambda state: not state.clients[id_].scopes)
    assert (await signed(door, id_, first)).status_code == 401
    assert (await door.ask("POST", "/v1/directory/echo", headers=bearer)).status_code in {401, 403}
    assert (await door.ask("DELETE", f"{PATH}/{id_}", headers=admin)).status_code == 204
    await door.known(lambda state: id_ not in state.clients)
    assert (await signed(door, id_, renewed["client_secret"])).status_code == 401
    assert (await door.ask("DELETE", f"{PATH}/{id_}", headers=admin)).status_code == 404


async def test_only_what_is_granted_is_given_and_every_fault_is_named(door: Door) -> None:
    await administering(door)
    admin = await door.bearer(ESSAI)
    scopes = ["platform:admin", "directory:read", "person:self"]
    for method, path in (("POST", PATH), ("PUT", f"{PATH}/{door.demo['clients'][ESSAI]['client_id']}")):
        refused = await door.ask(method, path, json={"name": "Trop", "scopes": scopes}, headers=admin)
        assert refused.status_code == 422, refused.text
        assert [fault["pointer"] for fault in refused.json()["errors"]] == ["/scopes/0", "/scopes/2"]
    gone = await door.ask("PUT", f"{PATH}/{uuid4()}", json=WANTED, headers=admin)
    assert gone.status_code == 404
