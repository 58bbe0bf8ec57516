"""A browser without scripts before the gateway's pages: cookies, forms, and the proof that each form carries."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape
from secrets import token_hex
from uuid import UUID

import asyncpg
import httpx
from api.gateway.world import ORGANISATION, Door
from opentelemetry.instrumentation.utils import suppress_instrumentation

from relais_gateway import actions

PROOF = re.compile(r'name="proof" value="([^"]+)"')
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"


@dataclass
class Person:
    """Somebody with an account of her own, whom no other test knows."""

    id: UUID
    email: str
    password: str
    name: str = "Dina Peeters"


@dataclass
class Town:
    """The door, its people, and a clock that only goes where it is told."""

    door: Door
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.door.state.clock = lambda: self.now

    def later(self, **time: float) -> None:
        """Let time pass."""
        self.now += timedelta(**time)

    async def person(self, *roles: str) -> Person:
        """Answer somebody new, with the first association's counsellors unless told."""
        email, password = f"dina-{token_hex(4)}@essai.example", token_hex(12)
        connection = await asyncpg.connect(self.door.dsn)
        id_ = await actions.put_account(
            connection,
            organisation_id=UUID(ORGANISATION["id"]),
            email=email,
            name="Dina Peeters",
            function="accueil",
            roles=list(roles) or ["counsellor"],
            password=password,
        )
        await connection.close()
        await self.door.known(lambda state: id_ in state.accounts)
        return Person(id_, email, password)

    @asynccontextmanager
    async def browser(self, agent: str = FIREFOX) -> AsyncIterator["Browser"]:
        """Open a browser of its own."""
        async with httpx.AsyncClient(base_url=self.door.base_url, timeout=30, headers={"User-Agent": agent}) as client:
            yield Browser(client)

    @asynccontextmanager
    async def at_home(self, person: Person, agent: str = FIREFOX) -> AsyncIterator["Browser"]:
        """Open a browser in which somebody signed in with her password alone."""
        async with self.browser(agent) as browser:
            answer = await browser.sign_in(person)
            assert "relais_session" in browser.client.cookies, answer.status_code
            yield browser


@dataclass
class Browser:
    """A browser: what it was shown last tells which proof its next form carries."""

    client: httpx.AsyncClient
    shown: str = ""

    async def look(self, path: str) -> httpx.Response:
        """Open a page."""
        with suppress_instrumentation():
            answer = await self.client.get(path)
        self.shown = answer.text
        return answer

    async def send(self, path: str, **fields: str) -> httpx.Response:
        """Send a form of the page shown last."""
        found = PROOF.search(self.shown)
        assert found is not None, self.shown
        with suppress_instrumentation():
            answer = await self.client.post(path, data={"proof": unescape(found[1]), **fields})
        if answer.headers.get("content-type", "").startswith("text/html"):
            self.shown = answer.text
        return answer

    async def sign_in(self, person: Person, password: str | None = None) -> httpx.Response:
        """Fill the form at the door."""
        await self.look("/connexion")
        return await self.send("/connexion", email=person.email, password=password or person.password)
