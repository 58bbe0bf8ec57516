"""The daily head: one hash over the ends of all event chains, chained to the day before and signed."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from typing import Any, Final, Self
from uuid import UUID

START: Final = bytes(32)
"""What stands before the first day."""

SETTLED: Final = timedelta(minutes=10)
"""A day is over ten minutes after midnight (UTC): no transaction that began in it is still open then."""


@dataclass(frozen=True, slots=True)
class End:
    """The last event of one referral's chain within a day."""

    referral_id: UUID
    number: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """What stands for every chain at the end of a day.

    Attributes:
        day: In UTC.
        referrals: Chains that grew on that day.
        events: By how many events in all.
        previous: The hash of the head before.
        hash: Of this one.
        key_id: Which key signed.
        signature: Ed25519, over the hash.
    """

    day: date
    referrals: int
    events: int
    previous: bytes
    hash: bytes
    key_id: str = ""
    signature: bytes = b""

    @property
    def upto(self) -> datetime:
        """The instant at which the day ended: its events happened before."""
        return end_of(self.day)

    def told(self) -> dict[str, Any]:
        """Answer it as it is handed to others, bytes as hexadecimal digits."""
        return {
            "day": self.day.isoformat(),
            "referrals": self.referrals,
            "events": self.events,
            "previous": self.previous.hex(),
            "hash": self.hash.hex(),
            "key_id": self.key_id,
            "signature": self.signature.hex(),
        }

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """Answer the head that `told` told of."""
        return cls(
            day=date.fromisoformat(told["day"]),
            referrals=int(told["referrals"]),
            events=int(told["events"]),
            previous=bytes.fromhex(told["previous"]),
            hash=bytes.fromhex(told["hash"]),
            key_id=str(told["key_id"]),
            signature=bytes.fromhex(told["signature"]),
        )


def end_of(day: date) -> datetime:
    """Answer the instant at which a day ends, in UTC."""
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def head_of(day: date, ends: Iterable[End], *, events: int, previous: bytes) -> Head:
    """Answer the head of a day, not yet signed: SHA-256 over what stands before it and every end of the day.

    Args:
        day: In UTC.
        ends: The ends of the chains that grew on it, by referral id.
        events: How many events happened on it.
        previous: The hash of the head before; `START` for the first.
    """
    mark, count = sha256(previous + day.isoformat().encode()), 0
    for end in ends:
        line = [str(end.referral_id), end.number, end.hash.hex()]
        mark.update(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        count += 1
    mark.update(str(events).encode())
    return Head(day, count, events, previous, mark.digest())


def days_due(last: date | None, first: date | None, now: datetime) -> list[date]:
    """Answer the days that are over and have no head yet, in order, days without events included.

    Args:
        last: The day of the newest head.
        first: The day of the very first event.
        now: The present instant.
    """
    begin = last + timedelta(days=1) if last else first
    if begin is None:
        return []
    end = (now - SETTLED).astimezone(UTC).date()
    return [begin + timedelta(days=number) for number in range((end - begin).days)]
