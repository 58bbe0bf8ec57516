"""The one place where time comes in, so that a test can move it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Answer the present instant, aware, in UTC."""
    return datetime.now(UTC)


def _now(request: Request) -> datetime:
    clock: Clock = getattr(request.app.state, "clock", utc_now)
    return clock()


Now = Annotated[datetime, Depends(_now)]
"""The instant of the request, aware UTC; `app.state.clock` replaces it in tests."""
