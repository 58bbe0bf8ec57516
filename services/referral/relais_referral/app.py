"""Assembly of the referral app."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from relais_referral.directory import Directory
from relais_referral.models import OrganisationCopy
from relais_referral.problems import TABLE
from relais_referral.routes import conferences, consents, conversation, guests, person, referrals, steps
from relais_referral.sealing import Sealer
from relais_referral.settings import ReferralSettings
from relais_shared import registry
from relais_shared.client import ASGITransport, open_client
from relais_shared.service import build_app

MIGRATIONS: Final = Path(__file__).with_name("migrations")

SCOPES: Final = {
    "referral:send": "open, propose and follow referrals as sender; record consent",
    "referral:receive": "take, answer and follow referrals as recipient",
}


def create_app(settings: ReferralSettings | None = None, *, directory: ASGITransport | None = None) -> FastAPI:
    """Assemble the referral app.

    Args:
        settings: Read from the environment where absent.
        directory: Another way to reach the directory (tests mount it).
    """
    settings = settings or ReferralSettings.load()

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        async with open_client(settings.gateway_url) as gateway, app.state.directory.client:
            pulling = asyncio.create_task(
                registry.keep_pulling(app.state.database, OrganisationCopy, gateway, app.state.keyring)
            )
            yield
            pulling.cancel()

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
            registry.router(OrganisationCopy),
        ],
        migrations=MIGRATIONS,
        opened=opened,
        upstreams=upstreams,
        scopes=SCOPES,
    )
    app.state.sealer = Sealer.load(settings.home)
    app.state.directory = Directory(open_client(settings.directory_url, transport=directory), app.state.keyring)
    return app
