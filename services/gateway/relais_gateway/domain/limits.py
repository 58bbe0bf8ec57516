"""How often callers may call and how many calls at once: buckets that fill again with time, in every process one."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import UUID

from relais_gateway.domain.refusals import TooManyCalls

MINUTE_S: Final = 60.0

BUCKETS: Final = 10_000
"""Callers remembered at once, about two megabytes; beyond it the one that called longest ago is forgotten."""

Key = str
"""Whose bucket, its kind before a colon."""


class Numbers(NamedTuple):
    """What somebody may, as the database keeps it: see `Policy`."""

    per_second: int
    burst: int
    at_once: int


@dataclass(frozen=True, slots=True)
class Policy:
    """One bound.

    Attributes:
        name: As RateLimit-Policy says it.
        per_second: Calls in the long run.
        burst: As many may come at once after a silence.
        at_once: Calls under way at the same time, in all processes together; None: any number.
    """

    name: str
    per_second: float
    burst: int
    at_once: int | None = None
    said: bytes = field(init=False, repr=False, compare=False)
    """Its items of RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10), made once: each answer says them."""

    def __post_init__(self) -> None:
        """Write it as it is said."""
        said = f'"{self.name}";q={self.burst};w={self.window_s}'
        if self.at_once is not None:
            said += f', "{self.name}-at-once";q={self.at_once};qu="concurrent-requests"'
        object.__setattr__(self, "said", said.encode())

    @classmethod
    def a_minute(cls, name: str, calls: int) -> "Policy":
        """Answer a bound of calls a minute, all of which may come at once."""
        return cls(name, calls / MINUTE_S, calls)

    @property
    def window_s(self) -> int:
        """The seconds after which a caller who was silent may make a whole burst again."""
        return math.ceil(self.burst / self.per_second)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is said of one organisation; where nothing is said, the settings count.

    Attributes:
        systems: Of its systems together.
        people: Of its people together, by the same numbers: systems gone wild close no desk.
        clients: Of single systems, by id.
    """

    systems: Policy | None
    people: Policy | None
    clients: Mapping[str, Policy]


def bounds(rows: Iterable[Mapping[str, Any]]) -> dict[UUID, Bounds]:
    """Answer what is said of organisations and their systems, as the database keeps it."""
    own: dict[UUID, tuple[Policy, Policy]] = {}
    clients: dict[UUID, dict[str, Policy]] = {}
    for row in rows:
        numbers = Numbers(row["per_second"], row["burst"], row["at_once"])
        if row["client_id"] is None:
            own[row["organisation_id"]] = (Policy("organisation", *numbers), Policy("people", *numbers))
        else:
            clients.setdefault(row["organisation_id"], {})[row["client_id"]] = Policy("client", *numbers)
    found = {id_: Bounds(systems, people, clients.pop(id_, {})) for id_, (systems, people) in own.items()}
    return found | {id_: Bounds(None, None, each) for id_, each in clients.items()}


@dataclass(slots=True)
class Bucket:
    """What is left to one caller.

    Attributes:
        left: Calls; below nothing where other processes let in what this one did not know of.
        at_s: When that was so.
        running: Calls under way in this process.
        elsewhere: Calls under way in the others, as far as they said.
        untold: Calls let in here of which the others were not told.
        told: What the others were last told of `running`.
    """

    policy: Policy
    left: float
    at_s: float
    running: int = 0
    elsewhere: int = 0
    untold: int = 0
    told: int = 0

    def fill(self, policy: Policy, now_s: float) -> None:
        """Let the time that passed fill it."""
        self.policy = policy
        self.left = min(float(policy.burst), self.left + (now_s - self.at_s) * policy.per_second)
        self.at_s = now_s

    @property
    def idle(self) -> bool:
        """Whether forgetting it would change nothing, once it is full."""
        return not (self.running or self.elsewhere or self.untold or self.told)

    def wait_s(self) -> int:
        """Answer the whole seconds until a call may be made; 0 where it may now."""
        if self.left < 1:
            return max(1, math.ceil((1 - self.left) / self.policy.per_second))
        full = self.policy.at_once is not None and self.running + self.elsewhere >= self.policy.at_once
        return 1 if full else 0


@dataclass(slots=True)
class Entry:
    """A call that was let in; it is under way until it is `over`."""

    buckets: Sequence[Bucket]
    under_way: bool = True

    @property
    def running(self) -> int:
        """How many calls whoever calls has under way in this process, this one among them."""
        return self.buckets[0].running

    def over(self) -> None:
        """Make room for another; a second time changes nothing."""
        if self.under_way:
            self.under_way = False
            for bucket in self.buckets:
                bucket.running -= 1

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Answer what the caller is told of its bounds, as header names and values."""
        return [(b"ratelimit-policy", policies(self.buckets)), (b"ratelimit", remaining(self.buckets))]


@dataclass(frozen=True, slots=True)
class Word:
    """What one process tells the others of a bucket: calls let in since it last said, and those under way."""

    let_in: int
    running: int


@dataclass(slots=True)
class Limits:
    """The buckets of this process, with what the others said of theirs.

    Args:
        most: Buckets remembered at once.
    """

    most: int = BUCKETS
    _buckets: dict[Key, Bucket] = field(default_factory=dict)
    _peers: dict[str, dict[Key, int]] = field(default_factory=dict)

    def enter(self, asked: Iterable[tuple[Key, Policy]], now_s: float) -> Entry:
        """Let a call in.

        Args:
            asked: The buckets that it is taken from, each with its bound.
            now_s: Seconds of a clock that only goes forward.

        Raises:
            TooManyCalls: One of them has nothing left; then none is taken from.
        """
        buckets = [self._bucket(key, policy, now_s) for key, policy in asked]
        for bucket in buckets:
            if wait_s := bucket.wait_s():
                raise TooManyCalls(
                    _advice(bucket),
                    violated_policies=[bucket.policy.name],
                    headers={
                        "Retry-After": str(wait_s),
                        "RateLimit-Policy": policies(buckets).decode(),
                        "RateLimit": f'"{bucket.policy.name}";r=0;t={wait_s}',
                    },
                )
        for bucket in buckets:
            bucket.left -= 1
            bucket.running += 1
            bucket.untold += 1
        return Entry(buckets)

    def _bucket(self, key: Key, policy: Policy, now_s: float) -> Bucket:
        # Taken out and put in again, the buckets stand in the order of their last call.
        bucket = self._buckets.pop(key, None)
        if bucket is None:
            bucket = Bucket(policy, float(policy.burst), now_s)
            if len(self._buckets) >= self.most:
                self._drop(next(iter(self._buckets)))
        else:
            bucket.fill(policy, now_s)
        self._buckets[key] = bucket
        return bucket

    def _drop(self, key: Key) -> None:
        del self._buckets[key]
        for told in self._peers.values():
            told.pop(key, None)

    # ── between processes ──────────────────────────────────────────────────────────────────────────────────────

    def tell(self, most: int) -> dict[Key, Word]:
        """Answer what the other processes do not know yet, at most so many buckets; what is left waits for the next.

        Calls that go on are said each time: a process that is not heard from any more has none.
        """
        found = {}
        for key, bucket in self._buckets.items():
            if bucket.untold or bucket.running or bucket.told:
                found[key] = Word(bucket.untold, bucket.running)
                bucket.untold, bucket.told = 0, bucket.running
                if len(found) == most:
                    break
        return found

    def hear(self, peer: str, words: Mapping[Key, Word], policy: Policy, now_s: float) -> None:
        """Take what another process let in from the buckets here too.

        Args:
            peer: Which process.
            words: What it says, by bucket.
            policy: The bound of a bucket that is not known here; its own takes its place at its next call.
            now_s: Seconds of this process's clock.
        """
        told = self._peers.setdefault(peer, {})
        for key, word in words.items():
            known = self._buckets.get(key)
            bucket = self._bucket(key, known.policy if known else policy, now_s)
            bucket.left -= word.let_in
            bucket.elsewhere += word.running - told.pop(key, 0)
            if word.running:
                told[key] = word.running

    def lost(self, peer: str) -> None:
        """Count nothing as under way in a process that is gone."""
        for key, running in self._peers.pop(peer, {}).items():
            if key in self._buckets:
                self._buckets[key].elsewhere -= running

    def forget(self, now_s: float) -> None:
        """Forget the buckets that are full again: a new one would be the same."""
        for key, bucket in list(self._buckets.items()):
            bucket.fill(bucket.policy, now_s)
            if bucket.idle and bucket.left >= bucket.policy.burst:
                self._drop(key)


def policies(buckets: Sequence[Bucket]) -> bytes:
    """Answer the value of `RateLimit-Policy`."""
    return buckets[0].policy.said if len(buckets) == 1 else b", ".join(bucket.policy.said for bucket in buckets)


def remaining(buckets: Sequence[Bucket]) -> bytes:
    """Answer the value of `RateLimit`: the bound nearest to its end, and the seconds until it is whole again."""
    least = buckets[0] if len(buckets) == 1 else min(buckets, key=lambda bucket: bucket.left / bucket.policy.burst)
    whole_s = math.ceil((least.policy.burst - least.left) / least.policy.per_second)
    return b'"%b";r=%d;t=%d' % (least.policy.name.encode(), max(0, int(least.left)), whole_s)


def _advice(bucket: Bucket) -> str:
    if bucket.left < 1:
        return "Wait as Retry-After says, then call again."
    return f"At most {bucket.policy.at_once} calls at once: wait until some are answered."
