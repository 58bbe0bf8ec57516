"""Assembly of the gateway: its own app, the door in front of it, the receiver of traces beside it."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from itertools import chain
from typing import Any, Final

import asyncpg
import uvicorn
from fastapi import FastAPI
from opentelemetry.instrumentation.utils import suppress_instrumentation

from relais_gateway import (
    account_store,
    problems,
    repeat_store,
    sessions,
    sign_in_store,
    store,
    token_actions,
    token_store,
)
from relais_gateway.callers import Callers
from relais_gateway.codes import Codes
from relais_gateway.domain.scopes import MEANINGS
from relais_gateway.forwarder import Door
from relais_gateway.limiting import Limiting
from relais_gateway.live import Live
from relais_gateway.outer import Outer
from relais_gateway.outside_sign_in import OutsideSignIn
from relais_gateway.own_account import OwnAccount
from relais_gateway.own_keys import OwnKeys
from relais_gateway.proofs import Proofs
from relais_gateway.provider import Provider
from relais_gateway.receiver import create_receiver
from relais_gateway.routes import (
    accounts,
    admin,
    enrolment,
    fhir,
    internal,
    invitations,
    metadata,
    oauth,
    organisation,
    own_organisation,
    reference,
    traces,
)
from relais_gateway.routes import keys as key_routes
from relais_gateway.routes.clients import router as own_clients
from relais_gateway.routes.limits import router as limit_routes
from relais_gateway.settings import MIGRATIONS, GatewaySettings
from relais_gateway.signing import SigningKeys
from relais_gateway.tries import TRIES_WITHIN, Tries
from relais_gateway.upstream import Upstream
from relais_gateway.web import pages, site
from relais_gateway.web.provider import BACK
from relais_shared import service
from relais_shared.auth import system
from relais_shared.client import Client, TransportError, open_client
from relais_shared.clock import utc_now
from relais_shared.idempotency import KEPT_FOR
from relais_shared.registry import Snapshot
from relais_shared.telemetry import get_logger, tell_statements

FORGET_EVERY_S: Final = 3_600
"""How often old spans, sessions and sign-in attempts are removed."""
FORGET_AFTER_S: Final = 60
"""From a start to the first time: a start has other work."""
FORGET_TOKENS_EVERY_S: Final = 60
"""How often assertions, proofs and revoked tokens that have ended are removed: they are many and live minutes."""

INVITATIONS_KEPT: Final = timedelta(days=30)
"""How long an invitation that is over stays to be looked at; the audit log holds what was done for good."""
OUTSIDE_S: Final = 5.0
"""The provider of identities may take this long; somebody waits before a page."""

PUSH_AGAIN_S: Final = (0.5, 2.0, 8.0)
"""Pauses before a push is tried again; a service that misses them all pulls within a minute."""


class _Beside(uvicorn.Server):
    """A second server in this process; the first one alone hears the signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the first server."""
        yield


def create_app(settings: GatewaySettings | None = None) -> Door:  # noqa: C901, PLR0915 - the parts, put together once
    """Assemble the gateway.

    Args:
        settings: Read from the environment where absent.

    Returns:
        The door; its `state` and `router` are those of the FastAPI app behind it.
    """
    settings = settings or GatewaySettings.load()
    keys = SigningKeys(settings.secret_bytes(), settings.public_url)
    upstreams = {name: Upstream(name, urls, settings.service_at_once) for name, urls in settings.upstreams.items()}
    callers = Callers(keys)
    clients: dict[str, list[Client]] = {}
    provider = _provider(settings)

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        clients.update({name: [open_client(url) for url in urls] for name, urls in settings.upstreams.items()})
        tasks: list[asyncio.Task[None]] = []
        async with asyncpg.create_pool(
            settings.dsn.get_secret_value(),
            min_size=2,
            max_size=settings.database_connections,
            init=tell_statements,
            server_settings={"application_name": "relais-gateway", "statement_timeout": "10000"},
        ) as pool:
            app.state.pool = pool
            app.state.proofs = callers.proofs = Proofs(settings.secret_bytes(), settings.public_url, pool)
            async with pool.acquire() as connection:
                await token_actions.ensure_keys(connection, keys, utc_now())
            app.state.live = door.live = Live(pool, keys, push)
            codes, tries = Codes(settings.secret_bytes()), Tries(pool, settings.secret_bytes())
            app.state.sessions = sessions.Sessions(
                pool, door.live, keys, codes, tries, asyncio.Semaphore(sessions.AT_ONCE), settings.second_step_for
            )
            app.state.own_account = OwnAccount(pool, app.state.sessions)
            app.state.own_keys = OwnKeys(pool, app.state.own_account, settings.public_url)
            if provider is not None:
                app.state.provider, app.state.outside = provider, OutsideSignIn(pool, provider, app.state.sessions)
            await door.live.begin()
            door.lay_out()
            receiver = _receiver(settings, pool)
            tasks += [asyncio.create_task(door.keep_reading(name)) for name in upstreams]
            tasks += [asyncio.create_task(one.keep_checking()) for one in upstreams.values()]
            tasks += [
                asyncio.create_task(door.live.keep_looking()),
                asyncio.create_task(door.limiting.keep_sharing()),
                asyncio.create_task(_keep_forgetting(pool, settings.traces_kept_days)),
                asyncio.create_task(_keep_forgetting_tokens(pool)),
            ]
            receiving = asyncio.create_task(receiver.serve())
            try:
                yield
            finally:
                receiver.should_exit = True
                await receiving
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await door.live.close()
                for upstream in upstreams.values():
                    upstream.close()
                for client in chain.from_iterable(clients.values()):
                    await client.aclose()
                if provider is not None:
                    await provider.close()

    async def document(name: str) -> Mapping[str, Any] | None:
        for client in clients[name]:
            with suppress(TransportError, ValueError), suppress_instrumentation():
                answer = await client.get("/openapi.json")
                if answer.is_success:
                    found: Mapping[str, Any] = answer.json()
                    return found
        return None

    async def push(snapshot: Snapshot) -> None:
        await asyncio.gather(*(push_to(name, snapshot) for name in clients))

    async def push_to(name: str, snapshot: Snapshot) -> None:
        for pause in PUSH_AGAIN_S:
            for client in clients[name]:
                # One of its instances is enough: they share the copy in their database.
                if await pushed(name, client, snapshot):
                    return
            await asyncio.sleep(pause)

    async def pushed(name: str, client: Client, snapshot: Snapshot) -> bool:
        token = app.state.keyring.sign(name, system("gateway"))
        try:
            with suppress_instrumentation():
                answer = await client.put(
                    "/internal/registry",
                    content=snapshot.model_dump_json(),
                    headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
                )
        except TransportError:
            get_logger().info("registry not pushed", service=name)
            return False
        if not answer.is_success:
            get_logger().warning("registry refused", service=name, status=answer.status_code)
        return answer.is_success

    async def ready(client: Client) -> bool:
        try:
            with suppress_instrumentation():
                return (await client.get("/readyz")).is_success
        except TransportError:
            return False

    async def answering(_app: FastAPI) -> Mapping[str, bool]:
        found = {}
        for name, each in clients.items():
            found[name] = name in door.documents and any(await asyncio.gather(*map(ready, each)))
        return found

    app = service.build_app(
        settings,
        title="Relais gateway",
        description="The only door: tokens, scopes, traces.",
        table=problems.TABLE,
        routers=[
            oauth.router,
            metadata.router,
            key_routes.router,
            own_clients,
            limit_routes,
            organisation.router,
            own_organisation.router,
            accounts.router,
            invitations.router,
            admin.router,
            enrolment.router,
            traces.router,
            internal.router,
            reference.router,
            fhir.router,
            reference.pages,
            pages.router,
        ],
        migrations=MIGRATIONS,
        opened=opened,
        upstreams=answering,
        scopes=MEANINGS,
        inside=False,
    )
    site.install(app)
    door = Door(app, app.state.keyring, callers, upstreams, document, Limiting(settings), Outer(settings))
    app.state.keys = keys
    app.state.door = door
    app.state.clock = utc_now  # Where there is none, each request looks for it in vain.
    return door


def _provider(settings: GatewaySettings) -> Provider | None:
    if settings.provider_issuer is None:
        return None
    secret = settings.provider_client_secret
    return Provider(
        settings.provider_issuer,
        settings.provider_client_id,
        secret.get_secret_value() if secret else None,
        settings.public_url.rstrip("/") + BACK,
        open_client("", timeout_s=OUTSIDE_S),
    )


def _receiver(settings: GatewaySettings, pool: asyncpg.Pool) -> uvicorn.Server:
    token = settings.telemetry_token.get_secret_value() if settings.telemetry_token else ""
    made = service.server(create_receiver(pool, token), host="127.0.0.1", port=settings.otlp_port)
    return _Beside(made.config)


async def _keep_forgetting(pool: asyncpg.Pool, days: int) -> None:
    await asyncio.sleep(FORGET_AFTER_S)
    while True:
        await forget(pool, days)
        await asyncio.sleep(FORGET_EVERY_S)


async def forget(pool: asyncpg.Pool, days: int) -> None:
    """Remove what has ended, and the spans that are older than some days."""
    now = utc_now()
    for step, before in (
        (store.forget_visits, (now - sessions.WHOLE_DAY, now - sessions.IDLE, now - TRIES_WITHIN)),
        (sign_in_store.forget_steps, (now - sessions.STEP_LIFE,)),
        (account_store.forget_invitations, (now - INVITATIONS_KEPT,)),
        (repeat_store.forget, (now - KEPT_FOR,)),
        # Last: there may be millions.
        (store.forget_spans, (now - timedelta(days=days),)),
    ):
        # Each by itself: what one of them cannot do now keeps no other from its work.
        try:
            with suppress_instrumentation():
                async with pool.acquire() as connection:
                    await step(connection, *before)
        except store.FAULTS as fault:
            get_logger().warning("not forgotten", what=step.__name__, fault=type(fault).__name__)


async def _keep_forgetting_tokens(pool: asyncpg.Pool) -> None:
    while True:
        try:
            with suppress_instrumentation():
                async with pool.acquire() as connection:
                    await token_store.forget_tokens(connection, utc_now())
        except store.FAULTS as fault:
            get_logger().warning("no token forgotten", fault=type(fault).__name__)
        await asyncio.sleep(FORGET_TOKENS_EVERY_S)
