"""Deadlines that follow each other on one connection."""

import asyncio
from collections.abc import Callable


class Deadline:
    """What is late when its time is over, by one timer of the loop.

    A timer for each would be set and taken back several times in every request, for 3 µs each. Here an earlier one
    stays, and looks when it comes whether anything is late.

    Args:
        loop: Whose clock counts.
    """

    __slots__ = ("_at", "_late", "_looks_at", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._at = self._looks_at = 0.0
        self._late: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def within(self, seconds: float, late: Callable[[], None]) -> None:
        """Wait anew, instead of for what was waited for before.

        Args:
            seconds: How long.
            late: Called then.
        """
        self._at, self._late = self._loop.time() + seconds, late
        if self._timer is None or self._at < self._looks_at:
            self._look_at(self._at)

    def over(self) -> None:
        """Wait no longer: it came."""
        self._late = None

    @property
    def runs(self) -> bool:
        """Whether anything is waited for."""
        return self._late is not None

    def close(self) -> None:
        """Wait for nothing ever again."""
        self._late = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at(self, instant: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._looks_at = instant
        self._timer = self._loop.call_at(instant, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._late is None:
            return
        if self._loop.time() < self._at:
            self._look_at(self._at)
            return
        late, self._late = self._late, None
        late()
