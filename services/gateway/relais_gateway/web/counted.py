"""Visits of nobody known that cost us something are counted by their address, as its calls are."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from relais_gateway.domain.refusals import TooManyCalls
from relais_gateway.limiting import Limiting
from relais_gateway.web.site import BUSY


async def _counted(request: Request) -> AsyncIterator[None]:
    limiting: Limiting = request.app.state.door.limiting
    try:
        entry = limiting.own(request.client.host if request.client else "")
    except TooManyCalls as refusal:
        given = refusal.facts.get("headers")
        raise HTTPException(BUSY, headers=given if isinstance(given, dict) else None) from None
    try:
        yield
    finally:
        entry.over()


Counted = Annotated[None, Depends(_counted)]
"""A visit that its address has left; else it is told to wait."""
