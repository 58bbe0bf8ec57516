"""How often one address may call what is open to all: a bucket of calls that fills again with time."""

import math
from dataclasses import dataclass, field
from typing import Final

MINUTE_S: Final = 60.0

ADDRESSES: Final = 10_000
"""Addresses remembered at once, about a megabyte; beyond it the one that called longest ago is forgotten."""


@dataclass(slots=True)
class Calls:
    """The calls that each address has left.

    Args:
        per_minute: As many may come at once after a minute's silence, and as many a minute in the long run.
    """

    per_minute: int
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, address: str, now_s: float) -> int:
        """Take one call of an address; answer 0, or the whole seconds to wait where none is left.

        Args:
            address: Who calls.
            now_s: Seconds of a clock that only goes forward.
        """
        # Taken out and put in again, the addresses stand in the order of their last call.
        left, at_s = self._left.pop(address, (float(self.per_minute), now_s))
        left = min(float(self.per_minute), left + (now_s - at_s) * self.per_minute / MINUTE_S)
        if len(self._left) >= ADDRESSES:
            del self._left[next(iter(self._left))]
        allowed = left >= 1
        self._left[address] = (left - 1 if allowed else left, now_s)
        return 0 if allowed else max(1, math.ceil((1 - left) * MINUTE_S / self.per_minute))
