"""An organisation with people in it, who ask as they would from their pages."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from api.gateway.world import ORGANISATION, PUBLIC_URL, Door

from relais_gateway import actions

HOUSE: dict[str, Any] = {
    **ORGANISATION, "id": str(UUID(int=3)), "name": "Maison",
    "scopes": ["directory:read", "referral:send", "org:admin"],
    "clients": [{"name": "maison", "scopes": ["directory:read", "org:admin"]},
                {"name": "simple", "scopes": ["directory:read", "referral:send"]}],
    "users": [
        {"name": "Zoé Admin", "email": "zoe@maison.example", "function": "direction", "roles": ["administrator"]},
        {"name": "Bea Marin", "email": "bea@maison.example", "function": "accueil", "roles": ["counsellor"]},
        {"name": "Cid Noël", "email": "cid@maison.example", "function": "accueil", "roles": ["counsellor"]},
    ],
}  # fmt: skip
ADMIN, BEA, CID = "zoe@maison.example", "bea@maison.example", "cid@maison.example"
STRANGER = "ana@essai.example"


@dataclass
class House:
    """The door, with an organisation that has an administrator and two counsellors."""

    door: Door
    ids: dict[str, UUID]
    passwords: dict[str, str]
    clients: list[dict[str, Any]]
    secrets: dict[str, str] = field(default_factory=dict)

    async def ask(self, email: str, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask as somebody signed in, with the token that her pages would use."""
        return await self.door.ask(method, path, headers=await self.bearer(email), **options)

    async def bearer(self, email: str) -> dict[str, str]:
        """Answer the header of a page's token."""
        now = datetime.now(UTC)
        sessions = self.door.state.sessions
        if email not in self.secrets:
            self.secrets[email] = await sessions.sign_in(email, self.passwords[email], now)
        visitor = await sessions.visitor(self.secrets[email], now)
        return {"Authorization": f"Bearer {visitor.token}"}

    async def client(self, place: int) -> dict[str, str]:
        """Answer the header of a token of one of the organisation's systems."""
        one = self.clients[place]
        answer = await self.door.ask(
            "POST",
            "/oauth2/token",
            data={"grant_type": "client_credentials"},
            auth=(one["client_id"], one["client_secret"]),
        )
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    async def told(self, headers: dict[str, str], **wanted: Any) -> dict[str, Any]:
        """Answer what a service is told of a caller, as soon as it is told what is wanted, within the second."""
        deadline = asyncio.get_running_loop().time() + 1
        while True:
            last = asyncio.get_running_loop().time() > deadline
            answer = await self.door.ask("POST", "/v1/directory/echo", headers=headers)
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()["actor"]
            if last or all(found[name] == value for name, value in wanted.items()):
                return found

    async def audited(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Answer what was written down since the demonstration was loaded: who, what, with which facts."""
        connection = await asyncpg.connect(self.door.dsn)
        rows = await connection.fetch(
            "select * from audit where action not in ('demonstration_loaded', 'signed_in') order by id"
        )
        await connection.close()
        return [(row["actor"], row["action"], json.loads(row["facts"])) for row in rows]

    async def team(self, name: str = "Accueil") -> str:
        """Answer the id of a new team."""
        answer = await self.ask(ADMIN, "POST", "/v1/organisation/teams", json={"name": name})
        assert answer.status_code == 201, answer.text
        id_: str = answer.json()["id"]
        return id_


async def housed(door: Door) -> House:
    """Put the organisation behind the door, and answer how its people ask."""
    connection = await asyncpg.connect(door.dsn)
    made = await actions.demonstrate(connection, [HOUSE], actions.Kept({}, {}), PUBLIC_URL, datetime.now(UTC))
    ids = {row["email"]: row["id"] for row in await connection.fetch("select id, email from account")}
    await connection.close()
    await door.known(lambda state: UUID(HOUSE["id"]) in state.members)
    people = [*made["counsellors"], made["administrator"], *door.demo["counsellors"]]
    return House(door, ids, {one["email"]: one["password"] for one in people}, made["clients"])
