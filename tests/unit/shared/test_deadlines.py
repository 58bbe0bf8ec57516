"""Deadlines that follow each other, by a clock that only the test moves."""

from collections.abc import Callable
from typing import Any

from relais_shared.deadlines import Deadline


class Loop:
    """A loop whose time stands until `go`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        """Answer the instant."""
        return self.now

    def call_at(self, instant: float, callback: Callable[[], None]) -> "Timer":
        """Set a timer."""
        self.timers.append(Timer(instant, callback))
        return self.timers[-1]

    def go(self, to: float) -> None:
        """Go on to an instant, through every timer before it."""
        while due := [one for one in self.timers if not one.gone and one.instant <= to]:
            first = min(due, key=lambda one: one.instant)
            self.now, first.gone = max(self.now, first.instant), True
            first.callback()
        self.now = to


class Timer:
    """One timer of it."""

    def __init__(self, instant: float, callback: Callable[[], None]) -> None:
        self.instant, self.callback, self.gone = instant, callback, False

    def cancel(self) -> None:
        """Take it back."""
        self.gone = True


def started() -> tuple[Any, Deadline, list[str]]:
    loop: Any = Loop()
    return loop, Deadline(loop), []


def test_who_does_not_come_is_late_once_at_the_last_deadline() -> None:
    loop, deadline, late = started()
    deadline.within(5, lambda: late.append("head"))
    loop.go(4)
    deadline.within(10, lambda: late.append("body"))
    loop.go(13.9)
    assert (late, deadline.runs) == ([], True)
    loop.go(14)
    assert (late, deadline.runs) == (["body"], False)
    loop.go(100)
    assert late == ["body"]


def test_an_earlier_deadline_is_looked_at_earlier() -> None:
    loop, deadline, late = started()
    deadline.within(75, lambda: late.append("idle"))
    loop.go(1)
    deadline.within(5, lambda: late.append("head"))
    loop.go(6)
    assert late == ["head"]


def test_who_came_is_never_late_and_a_thousand_requests_take_one_timer() -> None:
    loop, deadline, late = started()
    for _ in range(1_000):
        deadline.within(5, lambda: late.append("head"))
        deadline.over()
    assert len(loop.timers) == 1
    loop.go(100)
    assert late == []
    deadline.within(5, lambda: late.append("head"))
    deadline.close()
    assert loop.timers[-1].gone
    loop.go(200)
    assert (late, len(loop.timers)) == ([], 2)
