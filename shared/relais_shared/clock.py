"""The one place where time comes in, so that a test can move it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Answer the present instant, aware, in UTC."""
    return datetime.now(UTC)


def now_of(request: Request) -> datetime:
    """Answer the instant of a request, for a route that takes nothing but the request."""
    return clock_of(request)()


def clock_of(request: Request) -> Clock:
    """Answer what tells the time: for what must know it later than at the beginning of a request."""
    clock: Clock = getattr(request.app.state, "clock", utc_now)
    return clock


# A plain function would be called in a thread, which costs more than the answer.
async def _now(request: Request) -> datetime:
    return now_of(request)


Now = Annotated[datetime, Depends(_now)]
"""The instant of the request, aware UTC; `app.state.clock` replaces it in tests."""
