"""The audit log is one hash chain: an entry that was changed, removed, added or moved shows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

START: Final = bytes(32)
"""What stands before the first entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One change: when, by whom, what, about what, inside which organisation; it holds no personal data."""

    number: int
    at: datetime
    actor: str
    action: str
    subject: str
    organisation_id: UUID | None
    facts: Mapping[str, Any]
    previous: bytes
    hash: bytes = b""


def digest(entry: Entry) -> bytes:
    """Answer the hash of an entry: SHA-256 over the hash before it and all that it says (docs/proof.md)."""
    said = json.dumps(
        [
            entry.number,
            entry.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            entry.actor,
            entry.action,
            entry.subject,
            str(entry.organisation_id) if entry.organisation_id else None,
            dict(entry.facts),
        ],
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return sha256(entry.previous + said.encode()).digest()


@dataclass
class Reading:
    """Reads the log from its first entry to its last, and collects what is wrong with it.

    Attributes:
        number: Of the entry read last.
        hash: Of that entry.
        faults: Everything that is not as it was written, each in one line.
    """

    number: int = 0
    hash: bytes = START
    faults: list[str] = field(default_factory=list)

    def take(self, entry: Entry) -> None:
        """Read the next entry, by number."""
        if entry.number != self.number + 1:
            self.faults.append(f"entry {self.number + 1} is missing")
        elif entry.previous != self.hash:
            self.faults.append(f"entry {entry.number} does not follow the one before it")
        if entry.hash != digest(entry):
            self.faults.append(f"entry {entry.number} was changed")
        self.number, self.hash = entry.number, entry.hash

    def end(self, number: int, hash_: bytes) -> None:
        """Compare the entry read last with the one that is remembered as the last: a cut end shows too."""
        if self.number < number:
            self.faults.append(f"entry {self.number + 1} is missing, and whatever came after it")
        elif self.number > number:
            self.faults.append(f"entry {number + 1} was added, {number} are remembered")
        elif self.hash != hash_:
            self.faults.append(f"entry {number} is not the one that is remembered as the last")
