"""Every page, by the group that it belongs to."""

from fastapi import APIRouter

from relais_gateway.web import (
    account,
    danger,
    entrance,
    exchanges,
    inbox,
    invited,
    keys,
    live,
    passing,
    provider,
    reaching,
    reflecting,
    searching,
    service,
    styleguide,
    threads,
)
from relais_gateway.web.console import pages as console
from relais_gateway.web.person import counter, deeds, door, guest, page

router = APIRouter(include_in_schema=False)
# The order matters where a name could be read as an id or a step: `/relais/nouveau` before `/relais/{referral_id}`.
for each in (entrance, account, invited, keys, provider, danger, styleguide, searching, service, passing, reaching):
    router.include_router(each.router)
for ours in (live, inbox, exchanges, threads, console):
    router.include_router(ours.router)
for mine in (door, page, deeds, counter, guest):
    router.include_router(mine.router)
router.include_router(reflecting.router)
