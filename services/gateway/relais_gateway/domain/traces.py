"""A caller's trace as W3C Trace Context tells it: gone on with where it is well told, dropped where it is not."""

from collections.abc import Sequence
from typing import Final

MEMBERS: Final = 32
"""Members of `tracestate`, at most."""
CHARACTERS: Final = 512
"""Of `tracestate`, that are passed on at least (section 3.3.1.5)."""
LONG: Final = 128
"""A member that is longer goes first where not all can stay."""


def carried(parents: Sequence[str], states: Sequence[str]) -> dict[str, str]:
    """Answer what a caller's headers tell as one `traceparent` and one `tracestate`; nothing where there is no one.

    Args:
        parents: Every value of `traceparent`: two of them are none.
        states: Every value of `tracestate`, in order; the list may come in parts.
    """
    if len(parents) != 1:
        return {}
    state = trimmed([member for value in states for each in value.split(",") if (member := each.strip(" \t"))])
    return {"traceparent": parents[0]} | ({"tracestate": ",".join(state)} if state else {})


def trimmed(members: Sequence[str]) -> list[str]:
    """Answer as many members, whole and in order, as may be passed on: long ones go first, then the last."""
    kept = list(members)
    if not _fit(kept):
        kept = [member for member in kept if len(member) <= LONG]
    while not _fit(kept):
        kept.pop()
    return kept


def _fit(members: Sequence[str]) -> bool:
    return len(members) <= MEMBERS and sum(map(len, members)) + len(members) - 1 <= CHARACTERS
