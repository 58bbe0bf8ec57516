"""Who calls whom as a drawing: processes in columns by how far in they are, an arrow for each pair; pure figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any, Final

BOX_WIDE, BOX_HIGH = 150, 46
"""Units of a process's box."""
ACROSS, DOWN = 270, 92
"""Units from one column, or row, to the next."""
MARGIN = 14
ASIDE = 13.0
"""Units that an arrow keeps to its left, so that the arrow back does not lie on it."""
ALONG: Final = 0.42
"""Where on an arrow its number stands: not in the middle, where arrows cross."""
OUTSIDE: Final = None
"""Who calls from outside."""


@dataclass(frozen=True, slots=True)
class Box:
    """One process as drawn, by its upper left corner; no name stands for outside."""

    name: str | None
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Arrow:
    """One pair that calls: the line of the table that tells of it, both ends, and where its number stands."""

    line: int
    wrong: bool
    start: tuple[float, float]
    end: tuple[float, float]
    at: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Picture:
    """The whole drawing."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    width: int
    height: int


def picture(calls: Sequence[Mapping[str, Any]]) -> Picture:
    """Answer calls as drawn, numbered from 1 as they come.

    Args:
        calls: `caller` (None where it came from outside), `service`, `errors`, as the API tells them.
    """
    columns = _columns(calls)
    rows: dict[int, int] = {}
    boxes = {}
    for name, column in columns.items():
        row = rows[column] = rows.get(column, -1) + 1
        boxes[name] = Box(name, MARGIN + column * ACROSS, MARGIN + row * DOWN)
    return Picture(
        boxes=tuple(boxes.values()),
        arrows=tuple(
            _arrow(line, bool(one["errors"]), boxes[one["caller"]], boxes[one["service"]])
            for line, one in enumerate(calls, start=1)
        ),
        width=2 * MARGIN + max(columns.values(), default=0) * ACROSS + BOX_WIDE,
        height=2 * MARGIN + max(rows.values(), default=0) * DOWN + BOX_HIGH,
    )


def _columns(calls: Sequence[Mapping[str, Any]]) -> dict[str | None, int]:
    """Answer each process's column: calls between it and outside; who is never called begins at the left."""
    called = {one["service"] for one in calls}
    first = sorted({one["caller"] for one in calls} - called, key=lambda name: (name is not OUTSIDE, name or ""))
    # Processes that only call each other have no beginning: then the first one told is it.
    found: dict[str | None, int] = dict.fromkeys(first or [one["caller"] for one in calls[:1]], 0)
    waiting = list(found)
    while waiting:
        caller = waiting.pop(0)
        for one in calls:
            if one["caller"] == caller and one["service"] not in found:
                found[one["service"]] = found[caller] + 1
                waiting.append(one["service"])
    for one in calls:
        for name in (one["caller"], one["service"]):
            found.setdefault(name, 0)
    return found


def _arrow(line: int, wrong: bool, caller: Box, service: Box) -> Arrow:  # noqa: FBT001 - called here alone
    (ax, ay), (bx, by) = _middle(caller), _middle(service)
    length = hypot(bx - ax, by - ay) or 1.0
    along = ((bx - ax) / length, (by - ay) / length)
    aside = (along[1] * ASIDE, -along[0] * ASIDE)
    start = _rim(ax + aside[0], ay + aside[1], along, caller)
    end = _rim(bx + aside[0], by + aside[1], (-along[0], -along[1]), service)
    at = (start[0] + (end[0] - start[0]) * ALONG, start[1] + (end[1] - start[1]) * ALONG)
    return Arrow(line, wrong, start, end, (round(at[0], 1), round(at[1], 1)))


def _middle(box: Box) -> tuple[float, float]:
    return box.x + BOX_WIDE / 2, box.y + BOX_HIGH / 2


def _rim(x: float, y: float, along: tuple[float, float], box: Box) -> tuple[float, float]:
    """Answer where a line from inside a box leaves it."""
    steps = []
    if along[0]:
        steps.append(((box.x + BOX_WIDE if along[0] > 0 else box.x) - x) / along[0])
    if along[1]:
        steps.append(((box.y + BOX_HIGH if along[1] > 0 else box.y) - y) / along[1])
    step = max(0.0, min(steps, default=0.0))
    return round(x + along[0] * step, 1), round(y + along[1] * step, 1)
