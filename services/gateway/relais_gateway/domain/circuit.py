"""When an instance of a service is left alone: after failures in a row, until one request has tried it again."""

from dataclasses import dataclass
from typing import Final

OPENS_AFTER: Final = 5
"""Failures in a row: one or two are a restart, five are an instance that is not there."""

OPEN_S: Final = 1.0
"""How long it is left alone: our restarts take about a second, and a trial a second burdens nobody."""


@dataclass(slots=True)
class Circuit:
    """Whether an instance is asked: closed (it is), open (it is not), half open (one request tries it).

    Every instant is in seconds of a clock that only goes forward.
    """

    failures: int = 0
    opened_at: float | None = None
    trying: bool = False

    def lets(self, now: float) -> bool:
        """Say whether a request may go there: any while closed, one at a time once the pause is over."""
        return self.opened_at is None or (not self.trying and now >= self.opened_at + OPEN_S)

    def begin(self) -> None:
        """Note that a request goes there: on an open circuit it is the trial."""
        self.trying = self.opened_at is not None

    def worked(self) -> None:
        """Note that a request was answered: the circuit closes."""
        self.failures, self.opened_at, self.trying = 0, None, False

    def failed(self, now: float) -> bool:
        """Note that a request was not answered; say whether the circuit opened by it."""
        self.failures += 1
        if self.opened_at is None:
            if self.failures < OPENS_AFTER:
                return False
            self.opened_at = now
            return True
        if self.trying:
            # The trial failed. What began before the circuit opened and fails after it prolongs nothing.
            self.opened_at, self.trying = now, False
        return False

    def let_go(self) -> None:
        """Note that a request ended without saying anything of the instance: its caller left."""
        self.trying = False
