"""The event log of a referral is a hash chain: what was changed, removed or reordered shows."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

START: Final = bytes(32)
"""What stands before the first event."""

_SAID: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a referral; it holds no personal data."""

    referral_id: UUID
    number: int
    at: datetime
    type: str
    actor: str
    organisation_id: UUID | None
    data: Mapping[str, Any]
    previous: bytes
    hash: bytes


def digest(event: Event) -> bytes:
    """Answer the hash of an event: SHA-256 over the hash before it and all that it says (docs/proof.md)."""
    said = _SAID.encode(
        [
            str(event.referral_id),
            event.number,
            event.at.timestamp(),
            event.type,
            event.actor,
            str(event.organisation_id),
            dict(event.data),
        ]
    )
    return sha256(event.previous + said.encode()).digest()


def first_fault(events: Iterable[Event], *, head: bytes, count: int) -> str | None:
    """Answer the first thing wrong with a referral's events, naming the first bad one, or nothing.

    Args:
        events: All of one referral, by number.
        head: The hash of the last event, as the referral's own row remembers it: a cut end shows too.
        count: How many events there are, as that row remembers.
    """
    before, last = START, 0
    for number, event in enumerate(events, start=1):
        if number > count:
            return f"event {event.number} was added, the referral remembers {count}"
        if event.number != number:
            return f"event {number} is missing"
        if event.previous != before:
            return f"event {number} does not follow the one before it"
        if event.hash != digest(event):
            return f"event {number} was changed"
        before, last = event.hash, number
    if last < count:
        return f"event {last + 1} is missing, and whatever came after it"
    return None if before == head else f"event {last} is not the one that the referral remembers as its last"
