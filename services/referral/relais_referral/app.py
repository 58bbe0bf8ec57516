"""Assembly of the referral app."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI

from relais_referral import criteria
from relais_referral.colleagues import Colleagues
from relais_referral.directory import Directory
from relais_referral.models.shared import OrganisationCopy
from relais_referral.problems import TABLE
from relais_referral.routes import (
    conferences,
    consents,
    conversation,
    events,
    fhir,
    figures,
    guests,
    mailboxes,
    person,
    referrals,
    reflections,
    steps,
    webhooks,
)
from relais_referral.sealing import Sealer
from relais_referral.settings import MIGRATIONS, ReferralSettings
from relais_referral.store.feed import FEED_CHANNEL
from relais_shared import registry
from relais_shared.client import ASGITransport, Outside, Resolve, open_client, resolve
from relais_shared.db import Bell
from relais_shared.service import build_app

SCOPES: Final = {
    "referral:send": "open, propose and follow referrals as sender; record consent",
    "referral:receive": "take, answer and follow referrals as recipient",
    "directory:read": "search and read the directory, export it",
    "webhook:manage": "register its endpoints, see and replay deliveries",
    "referral:stats": "read aggregates, never of fewer than 5 persons",
}


def create_app(
    settings: ReferralSettings | None = None,
    *,
    directory: ASGITransport | None = None,
    resolving: Resolve | None = None,
) -> FastAPI:
    """Assemble the referral app.

    Args:
        settings: Read from the environment where absent.
        directory: Another way to reach the directory (tests mount it).
        resolving: Another way to resolve the hosts of receivers.
    """
    settings = settings or ReferralSettings.load()

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        async with open_client(settings.gateway_url) as gateway, app.state.directory.client:
            app.state.colleagues = Colleagues(gateway, app.state.keyring)
            pulling = asyncio.create_task(
                registry.keep_pulling(app.state.database, OrganisationCopy, gateway, app.state.keyring)
            )
            app.state.bell.start()
            yield
            pulling.cancel()
            await app.state.bell.stop()
            await app.state.outside.close()

    async def upstreams(app: FastAPI) -> Mapping[str, bool]:
        return {"directory": await app.state.directory.answers()}

    app = build_app(
        settings,
        title="Relais referral",
        description="One person handed over to one service: with her agreement, closed on both sides.",
        table=TABLE,
        routers=[
            referrals.router,
            steps.router,
            consents.router,
            conversation.router,
            conferences.router,
            person.door,
            person.router,
            guests.door,
            guests.router,
            events.router,
            webhooks.router,
            mailboxes.router,
            fhir.router,
            mailboxes.door,
            figures.router,
            reflections.router,
            registry.router(OrganisationCopy),
        ],
        migrations=MIGRATIONS,
        opened=opened,
        upstreams=upstreams,
        scopes=SCOPES,
    )
    app.state.sealer = Sealer.load(settings.home)
    app.state.criteria = criteria.read(settings.criteria_file)
    app.state.streams = Counter()
    app.state.bell = Bell(settings.dsn.get_secret_value(), FEED_CHANNEL)
    app.state.outside = Outside(resolving or resolve)
    app.state.directory = Directory(open_client(settings.directory_url, transport=directory), app.state.keyring)
    return app
