"""The inbox: what waits for us, what is with us, what we passed on."""

import asyncio
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from relais_gateway.web.session import AsVisitor
from relais_gateway.web.site import PageRoute, show

router = APIRouter(route_class=PageRoute, include_in_schema=False)

LIST: Final = 50
"""Lines of each part of the inbox."""
PARTS: Final = (
    ("recipient", ("proposed", "received")),
    ("recipient", ("accepted", "meeting_planned", "handed_over")),
    ("sender", ("draft", "proposed", "received", "accepted", "meeting_planned", "handed_over")),
    ("recipient", ("closed", "declined", "cancelled", "withdrawn")),
    ("sender", ("closed", "declined", "cancelled", "withdrawn")),
)
"""The parts of the inbox: as which side, in which states."""


@router.get("/relais")
async def inbox(request: Request, api: AsVisitor) -> Response:
    """Show what waits for us, what is with us, and what we passed on."""
    parts = await asyncio.gather(
        *(api.get("/v1/referrals", {"role": role, "state": list(states), "limit": LIST}) for role, states in PARTS)
    )
    to_take, with_us, passed, ended_here, ended_there = [
        [each for each in part.body["items"] if each["state"] in {*states, "ended"}]
        for part, (_, states) in zip(parts, PARTS, strict=True)
    ]
    ended = sorted(ended_here + ended_there, key=lambda each: str(each["updated_at"]), reverse=True)
    return show(
        request,
        "inbox.html",
        to_take=to_take,
        with_us=with_us,
        passed=passed,
        ended=ended[:LIST],
        longer=any(part.body.get("next_cursor") for part in parts),
    )
