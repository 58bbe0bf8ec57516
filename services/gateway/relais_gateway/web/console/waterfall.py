"""One trace as a waterfall: who called whom, when, how long; pure figures for the page to draw."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

WIDE: Final = 1_000
"""Units of the drawing, whatever the trace took."""
THINNEST: Final = 4
"""Units that the shortest span still takes, so that it can be seen."""
DEEPEST: Final = 9
"""Steps to the right; what is called deeper stays there."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One span as drawn.

    Attributes:
        depth: Calls between it and the one that came in, `DEEPEST` at most.
        starts_ms: After the trace began.
        x: Where its bar begins, of `WIDE`.
        width: Of its bar, of `WIDE`.
    """

    span: Mapping[str, Any]
    depth: int
    starts_ms: float
    x: float
    width: float


def bars(spans: Iterable[Mapping[str, Any]]) -> list[Bar]:
    """Answer spans as called, each under its caller; those whose caller is not known stand at the left.

    Args:
        spans: Of one trace, as the API tells them, in the order in which they began.
    """
    known = list(spans)
    if not known:
        return []
    starts = {each["span_id"]: datetime.fromisoformat(each["started_at"]) for each in known}
    began = min(starts.values())
    after = {id_: (at - began).total_seconds() * 1_000 for id_, at in starts.items()}
    whole = max(after[each["span_id"]] + each["duration_ms"] for each in known) or 1.0
    called: dict[str | None, list[Mapping[str, Any]]] = {}
    for each in known:
        parent = each["parent_span_id"] if each["parent_span_id"] in starts else None
        called.setdefault(parent, []).append(each)
    found: list[Bar] = []
    waiting = [(each, 0) for each in reversed(called.get(None, []))]
    while waiting:
        span, depth = waiting.pop()
        starts_ms = after[span["span_id"]]
        width = max(THINNEST, span["duration_ms"] / whole * WIDE)
        x = min(starts_ms / whole * WIDE, WIDE - THINNEST)
        found.append(Bar(span, min(depth, DEEPEST), round(starts_ms, 1), round(x, 1), round(min(width, WIDE - x), 1)))
        # Taken out, so that a circle of callers ends.
        waiting += [(each, depth + 1) for each in reversed(called.pop(span["span_id"], []))]
    return found


def share(duration_ms: float, longest_ms: float) -> int:
    """Answer how long a small bar is, of 100, beside the longest of its list."""
    return max(1, round(100 * duration_ms / longest_ms)) if longest_ms > 0 else 1
