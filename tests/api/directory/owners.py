"""A directory that owners write: organisations with rights of their own, on a database with the gazetteer alone."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
from fastapi import FastAPI

from relais_directory import actions
from relais_directory.app import create_app
from relais_directory.settings import DirectorySettings
from relais_local.databases import Access
from relais_shared.auth import Actor, Keyring
from relais_shared.client import ASGITransport, open_client

READ, WRITE, CAPACITY, ADMIN, SEND = (
    "directory:read", "directory:write", "directory:capacity", "platform:admin", "referral:send",
)  # fmt: skip
OWNER = frozenset({READ, WRITE})

CHARLEROI, GILLY, NAMUR = "be:52011", "Gilly", "be:92094"
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


def service(**changes: Any) -> dict[str, Any]:
    """Answer a small whole service in Charleroi, with changes (none: taken away)."""
    made: dict[str, Any] = {
        "name": "Halte-accueil des Essais",
        "description": "Accueil d'enfants de trois mois à trois ans, quelques heures par semaine.",
        "themes": ["childcare--occasional"],
        "modes": ["on_site"],
        "locations": [
            {
                "address": {
                    "street": "Rue des Essais 1",
                    "postcode": "6000",
                    "municipality": "Charleroi",
                    "municipality_code": CHARLEROI,
                    "country": "BE",
                },
                "latitude": 50.4113,
                "longitude": 4.4445,
                "opening_hours": "Mo-Fr 08:00-18:00",
            }
        ],
        "phones": [{"number": "071 00 00 00"}],
    }
    return {name: value for name, value in {**made, **changes}.items() if value is not None}


@dataclass(frozen=True)
class World:
    """The directory, its callers, and a clock that tests set forward (`later`); it starts at a Monday's noon."""

    app: FastAPI
    access: Access
    gateway: Keyring
    client: httpx.AsyncClient
    lag: list[timedelta] = field(default_factory=list)

    def now(self) -> datetime:
        """Answer the time of this world."""
        return datetime.now(UTC) + sum(self.lag, timedelta())

    @asynccontextmanager
    async def later(self, **lag: float) -> AsyncIterator[None]:
        """Be some days or hours later, for the length of a block."""
        self.lag.append(timedelta(**lag))
        try:
            yield
        finally:
            self.lag.pop()

    def caller(
        self,
        *scopes: str,
        name: str = "Structure d'essai",
        limits: Mapping[str, Mapping[str, Any]] | None = None,
        organisation_id: UUID | None = None,
    ) -> "Caller":
        """Answer a client of an organisation that nobody else has."""
        id_ = organisation_id or uuid4()
        actor = Actor("client", f"client:{id_}", id_, name, frozenset(scopes or OWNER), limits=limits or {})
        return Caller(self, actor)

    def nameless(self, *scopes: str) -> "Caller":
        """Answer a caller that acts for no organisation."""
        return Caller(self, Actor("client", "client:none", scopes=frozenset(scopes)))

    async def rows(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """Answer rows of the database, as its owner sees them."""
        connection = await asyncpg.connect(self.access.owner_dsn)
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    async def settled(self) -> None:
        """Wait until the feed may tell of all that was changed: until nothing older is under way on this server.

        Its own housekeeping is, now and then, in any of its databases.
        """
        open_ = "select count(*) from service where changed_in >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
        while (await self.rows(open_))[0][0]:  # noqa: ASYNC110 - transactions tell nobody that they ended
            await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Caller:
    """Somebody who asks the directory."""

    world: World
    actor: Actor

    @property
    def id(self) -> UUID:
        """The organisation's id."""
        assert self.actor.organisation_id is not None
        return self.actor.organisation_id

    def but(self, *scopes: str) -> "Caller":
        """Answer the same organisation with other scopes."""
        return self.world.caller(*scopes, name=self.actor.organisation, organisation_id=self.id)

    async def ask(
        self, method: str, path: str, json: Any = None, *, version: str | None = None, **options: Any
    ) -> httpx.Response:
        """Ask, with an ETag as If-Match where one is given."""
        token = self.world.gateway.sign("directory", self.actor)
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        if version is not None:
            headers["If-Match"] = version
        if json is not None:
            options["json"] = json
        return await self.world.client.request(method, f"/v1/directory{path}", headers=headers, **options)

    async def read(self, path: str, **params: Any) -> Any:
        """Answer what a reading that succeeds tells."""
        answer = await self.ask("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def told(self, method: str, path: str, json: Any = None, **options: Any) -> httpx.Response:
        """Answer an asking that succeeds."""
        answer = await self.ask(method, path, json, **options)
        assert answer.is_success, answer.text
        return answer

    async def publish(self, **changes: Any) -> str:
        """Publish a service and answer its id."""
        answer = await self.told("POST", "/services", service(**changes))
        return answer.headers["Location"].rpartition("/")[2]

    async def version(self, id_: str) -> str:
        """Answer the ETag of a service's record."""
        return (await self.told("GET", f"/services/{id_}/record")).headers["ETag"]

    async def change(self, id_: str, **changes: Any) -> httpx.Response:
        """Change some members of a record; answer the answer."""
        return await self.told(
            "PATCH", f"/services/{id_}/record", changes, version=await self.version(id_), headers=MERGE_PATCH
        )

    async def found(self, **params: Any) -> dict[str, dict[str, Any]]:
        """Answer the cards of the organisation's own services by id, in the order of the search."""
        page = await self.read("/search", organisation_id=str(self.id), **params)
        return {card["id"]: card for card in page["items"]}


def faults(answer: httpx.Response) -> set[str]:
    """Answer the pointers of what a refusal names."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return {fault["pointer"] for fault in answer.json()["errors"]}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Answer the status and kind of a refusal."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


@asynccontextmanager
async def open_world(access: Access, gateway: Keyring) -> AsyncIterator[World]:
    """Open the directory on a database, for the length of a block."""
    connection = await asyncpg.connect(access.dsn)
    await actions.load_vocabularies(connection)
    await actions.load_gazetteer(connection)
    await connection.close()
    app = create_app(DirectorySettings.load(dsn=access.dsn))
    async with (
        app.router.lifespan_context(app),
        open_client("http://directory", transport=ASGITransport(app=app)) as client,
    ):
        world = World(app, access, gateway, client)
        app.state.clock = world.now
        yield world
