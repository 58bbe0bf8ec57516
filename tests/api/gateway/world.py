"""The gateway on real sockets: its database, a service behind it that tells what reached it, and its callers."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import httpx
import uvicorn
from fastapi import FastAPI, Request
from opentelemetry.instrumentation.utils import suppress_instrumentation
from starlette.responses import StreamingResponse
from support.stack import free_ports

from relais_gateway import actions, token_store
from relais_gateway.app import _Beside, create_app
from relais_gateway.live import State
from relais_gateway.settings import GatewaySettings
from relais_gateway.signing import ALGORITHMS, SigningKeys
from relais_local.databases import Access
from relais_shared import service
from relais_shared.auth import Actor, Keyring, actor_of, public, requires
from relais_shared.settings import ServiceSettings, SettingsConfigDict

ORGANISATION: dict[str, Any] = {
    "id": str(UUID(int=1)), "name": "Essai", "kind": "association", "may_sanction": False, "control_unit": False,
    "secrecy": "professional", "practice": False,
    "agreement": {"text_version": "2026-1", "signed_at": "2026-01-01", "parties": ["Essai"]},
    "controller": {}, "scopes": ["directory:read", "referral:send"],
    "clients": [{"name": "essai", "scopes": ["directory:read", "referral:send"]}],
    "users": [{"name": "Ana Lopes", "email": "ana@essai.example", "function": "accueil", "roles": ["counsellor"]}],
}  # fmt: skip
PLATFORM: dict[str, Any] = {
    **ORGANISATION, "id": str(UUID(int=2)), "name": "Plateforme", "kind": "platform", "agreement": None,
    "scopes": ["directory:read", "platform:admin", "trace:read"],
    "clients": [{"name": "plateforme", "scopes": ["directory:read", "platform:admin", "trace:read"]}], "users": [],
}  # fmt: skip
BIG = 8 << 20
PUBLIC_PER_MINUTE = 20
PUBLIC_URL = "http://relais.example"
OTLP_TOKEN = "what-our-own-services-show"
USUAL: dict[str, Any] = {
    "public_per_minute": PUBLIC_PER_MINUTE, "own_per_minute": 100_000,
    "organisation_per_second": 10_000, "organisation_burst": 10_000, "organisation_at_once": 1_000,
    "service_at_once": 1_000,
}  # fmt: skip
"""Tests of other things call as often as they like."""


class EchoSettings(ServiceSettings):
    """Settings of a service that stands for the directory."""

    model_config = SettingsConfigDict(env_prefix="RELAIS_DIRECTORY_", extra="ignore", populate_by_name=True)
    service = "directory"


def echo(settings: EchoSettings) -> FastAPI:
    """Answer a small service behind the door: it tells what reached it."""
    router = service.Router()

    @router.post("/v1/directory/echo")
    async def told(request: Request, actor: Annotated[Actor, requires("directory:read")]) -> dict[str, Any]:
        size = 0
        async for block in request.stream():
            size += len(block)
        request.app.state.whole += 1
        headers = [[name.decode(), value.decode("latin-1")] for name, value in request.headers.raw]
        query = request.url.query
        return {"headers": headers, "size": size, "query": query, "actor": actor.claims() | {"issuer": actor.issuer}}

    @router.get("/v1/directory/big")
    async def big(_actor: Annotated[Actor, requires("directory:read")]) -> StreamingResponse:
        async def blocks() -> AsyncIterator[bytes]:
            for _ in range(BIG >> 16):
                yield b"x" * (1 << 16)

        return StreamingResponse(blocks(), media_type="application/octet-stream")

    @router.get("/v1/directory/undeclared")
    async def undeclared() -> str:
        return "nobody said who may"

    @router.post("/v1/directory/open/{place}", openapi_extra=public("a test"))
    async def opened(request: Request, place: str) -> dict[str, Any]:
        actor = actor_of(request)
        headers = [[name.decode(), value.decode("latin-1")] for name, value in request.headers.raw]
        return {"headers": headers, "actor": actor.claims() | {"issuer": actor.issuer}, "place": place}

    @router.get("/healthz", openapi_extra=public("health"))
    async def healthz() -> str:
        return "the service's own"

    @router.get("/v1/directory/both", openapi_extra={"x-relais-public": "a mistake"})
    async def both(_actor: Annotated[Actor, requires("directory:read")]) -> str:
        return "guarded"

    app = FastAPI(openapi_url=None)
    app.state.whole = 0
    app.include_router(router)
    app.include_router(streams())
    app.state.keyring = Keyring.load(settings)
    app.add_api_route("/openapi.json", lambda: service.described(app, {}), include_in_schema=False)
    return app


def streams() -> service.Router:
    """Answer a route whose answer never ends by itself."""
    router = service.Router()

    @router.get("/v1/directory/stream")
    async def stream(_actor: Annotated[Actor, requires("directory:read", "referral:send")]) -> StreamingResponse:
        async def beats() -> AsyncIterator[bytes]:
            while True:
                yield b"data: beat\n\n"
                await asyncio.sleep(0.02)

        return StreamingResponse(beats(), media_type="text/event-stream")

    return router


@asynccontextmanager
async def serving(app: Any, port: int, **options: Any) -> AsyncIterator[uvicorn.Server]:
    """Serve an app on a port of ours until the block ends, or until its `should_exit` is set."""
    server = _Beside(service.server(app, host="127.0.0.1", port=port, **options).config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        assert not running.done(), running
        await asyncio.sleep(0.01)
    try:
        yield server
    finally:
        server.should_exit = True
        await running


@dataclass
class Door:
    """The running gateway, a client of it, and its database."""

    base_url: str
    demo: dict[str, Any]
    dsn: str
    otlp_url: str
    state: Any = field(repr=False)
    service: uvicorn.Server = field(repr=False)
    echo_port: int
    settings: GatewaySettings = field(repr=False)
    behind: Any = field(repr=False)

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask as anybody."""
        # The caller is outside: no span of this process goes along.
        with suppress_instrumentation():
            async with httpx.AsyncClient(base_url=self.base_url, timeout=30) as client:
                return await client.request(method, path, **options)

    def basic(self, place: int = 0) -> dict[str, str]:
        """Answer the header by which a client shows its secret: the first is the association's."""
        client = self.demo["clients"][place]
        pair = b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}

    async def token(self, place: int = 0, **form: str) -> httpx.Response:
        """Ask for a token."""
        form = {"grant_type": "client_credentials", **form}
        return await self.ask("POST", "/oauth2/token", data=form, headers=self.basic(place))

    async def bearer(self, place: int = 0, **form: str) -> dict[str, str]:
        """Answer the header of a fresh token."""
        answer = await self.token(place, **form)
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def seen(self) -> int:
        """Answer how many whole requests the echo was sent."""
        found: int = self.behind.whole
        return found

    def under_way(self) -> int:
        """Answer how many calls this gateway counts as under way."""
        return sum(one.running for one in self.state.door.limiting._limits._buckets.values())  # noqa: SLF001 - nobody else asks

    async def change(self, statement: str, *values: Any) -> None:
        """Change the database by hand."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(statement, *values)
        finally:
            await connection.close()

    async def known(self, holds: Callable[[State], bool]) -> None:
        """Wait until the door knows what was changed."""
        while not holds(await self.state.live.now()):  # noqa: ASYNC110 - the state tells nobody that it moved
            await asyncio.sleep(0.02)


@cache
def _signing_keys(secret: bytes) -> list[tuple[str, dict[str, Any], bytes]]:
    """Answer keys as a first start makes them; drawn once, since one of RSA takes a tenth of a second."""
    keys = SigningKeys(secret, PUBLIC_URL)
    return [keys.new(alg) for alg in ALGORITHMS]


@asynccontextmanager
async def opened(access: Access, **said: Any) -> AsyncIterator[Door]:
    """Run the gateway on a database, with a directory that echoes and a referral app that only answers.

    Args:
        access: To the database.
        said: Settings that are not as usual here.
    """
    ports = free_ports(4)
    urls = {"directory_url": f"http://127.0.0.1:{ports[1]}", "referral_url": f"http://127.0.0.1:{ports[2]}"}
    settings = GatewaySettings.load(
        dsn=access.dsn,
        port=ports[0],
        otlp_port=ports[3],
        RELAIS_PUBLIC_URL=PUBLIC_URL,
        RELAIS_TELEMETRY_TOKEN=OTLP_TOKEN,
        **{**urls, **USUAL, **said},
    )
    now = datetime.now(UTC)
    connection = await asyncpg.connect(access.dsn)
    demo = await actions.demonstrate(connection, [ORGANISATION, PLATFORM], actions.Kept({}, {}), PUBLIC_URL, now)
    for key in _signing_keys(settings.secret_bytes()):
        await token_store.add_key(connection, *key, now)
    await connection.close()
    app = create_app(settings)
    behind = echo(EchoSettings.load())
    head: dict[str, Any] = {"head_limit": settings.head_bytes}
    async with serving(behind, ports[1]) as served, serving(FastAPI(), ports[2]) as other:
        async with serving(app, ports[0], **head):
            base, otlp = f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[3]}"
            door = Door(base, demo, access.dsn, otlp, app.state, served, ports[1], settings, behind.state)
            while len(app.documents) < 2:  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0.02)
            yield door
        # Both at once, when the gateway has ended: what it still tells them must not meet a service that goes.
        served.should_exit = other.should_exit = True


@asynccontextmanager
async def beside(door: Door) -> AsyncIterator[Door]:
    """Run a second gateway on the same database, before the same services."""
    port, otlp_port = free_ports(2)
    app = create_app(door.settings.model_copy(update={"port": port, "otlp_port": otlp_port}))
    async with serving(app, port, head_limit=door.settings.head_bytes):
        while len(app.documents) < 2:  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.02)
        yield replace(door, base_url=f"http://127.0.0.1:{port}", state=app.state)
