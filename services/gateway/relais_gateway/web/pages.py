"""Every page, by the group that it belongs to."""

from fastapi import APIRouter

from relais_gateway.web import entrance, inbox, passing, searching, styleguide, threads
from relais_gateway.web.console import pages as console

router = APIRouter(include_in_schema=False)
# The order matters where a name could be read as an id: `/relais/nouveau` before `/relais/{referral_id}`.
for each in (entrance, styleguide, searching, passing, inbox, threads, console):
    router.include_router(each.router)
