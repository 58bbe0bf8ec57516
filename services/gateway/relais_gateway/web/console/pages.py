"""The console's pages together, and its first one: what waits for the visitor."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from relais_gateway.web.console import accounts, deliveries, enrolment, imports, platform, services, traces, upkeep
from relais_gateway.web.console.desk import HOME, page, sections
from relais_gateway.web.session import SignedIn
from relais_gateway.web.site import FORBIDDEN, PageRoute, trouble

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get(HOME)
async def home(request: Request, visitor: SignedIn) -> Response:
    """Show the parts of the console that the visitor's scopes open."""
    if not sections(visitor):
        return trouble(request, FORBIDDEN)
    return page(request, "home.html")


# `/structures/nouvelle` before `/structures/{organisation_id}`.
for each in (services, upkeep, imports, accounts, deliveries, enrolment, platform, traces):
    router.include_router(each.router)
