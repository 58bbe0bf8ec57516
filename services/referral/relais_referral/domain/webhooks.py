"""What becomes of a delivery after each attempt: the times of Standard Webhooks 1.0, and when an endpoint rests."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

WAITS: Final = tuple(
    timedelta(seconds=seconds) for seconds in (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""The wait before each attempt, after the one before: three days in all (Standard Webhooks 1.0)."""

JITTER: Final = 0.1
"""Each wait is longer or shorter by up to this part, so that many receivers do not come back at once."""

FAILING_FOR: Final = timedelta(days=3)
"""An endpoint that takes nothing for so long is disabled, and its owner told."""

LONGEST_RETRY_AFTER: Final = timedelta(hours=24)
"""A receiver may ask for no longer pause than the schedule's own longest."""

SLOW_DOWN: Final = frozenset({429, 502, 503, 504})
"""What asks for less at once; the endpoint rests, not this one delivery alone."""
REST: Final = timedelta(seconds=5)
"""How long it rests where it did not say how long."""

MANY_FAILURES: Final = 5
"""So many in a row, and the endpoint is taken for down."""
LONG_REST: Final = timedelta(seconds=60)
"""An endpoint that is down is tried once a minute at most, however many deliveries wait for it."""

GONE: Final = 410

OVERLAP: Final = timedelta(hours=24)
"""How long an old secret signs beside the new one, unless told otherwise."""


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"  # it will be tried, or tried again
    DELIVERED = "delivered"  # the receiver took it
    SET_ASIDE = "set_aside"  # nobody tries it any more until it is replayed
    WITHHELD = "withheld"  # when it was due, the organisation was not to know of it


class Disabled(StrEnum):
    """Why an endpoint is called no more."""

    BY_OWNER = "by_owner"
    GONE = "gone"  # it answered 410
    FAILING = "failing"  # it took nothing for three days


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt came to.

    Attributes:
        status: Of the answer; None where there was none.
        fault: One word for what went wrong besides: `timeout`, `connection`, `tls`, `address`.
        retry_after: The receiver's header, as it came.
    """

    status: int | None = None
    fault: str | None = None
    retry_after: str | None = None

    @property
    def taken(self) -> bool:
        """Any 2xx; a redirect is none."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - the class of success


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is done about a delivery and its endpoint.

    Attributes:
        next_at: When it is tried again, where it waits.
        rests_until: Before then nothing is sent to the endpoint.
        disabled: Why the endpoint is called no more from now on.
    """

    state: DeliveryState
    next_at: datetime | None = None
    rests_until: datetime | None = None
    disabled: Disabled | None = None


def judge(  # noqa: PLR0913 - what a verdict rests on, each by name
    outcome: Outcome,
    *,
    attempts: int,
    failures: int,
    failing_since: datetime | None,
    now: datetime,
    jitter: float,
) -> Verdict:
    """Decide what follows from an attempt.

    Args:
        outcome: What it came to.
        attempts: Of this delivery, this one included.
        failures: Of the endpoint in a row, this one included where it failed.
        failing_since: Since when the endpoint has taken nothing.
        now: The instant of the answer.
        jitter: Between -1 and 1, by chance.
    """
    if outcome.taken:
        return Verdict(DeliveryState.DELIVERED)
    if outcome.status == GONE:
        return Verdict(DeliveryState.SET_ASIDE, disabled=Disabled.GONE)
    if failing_since is not None and now - failing_since >= FAILING_FOR:
        return Verdict(DeliveryState.SET_ASIDE, disabled=Disabled.FAILING)
    asked = retry_after(outcome.retry_after, now)
    rests = None
    if outcome.status in SLOW_DOWN:
        rests = now + max(asked, REST)
    if failures >= MANY_FAILURES:
        rests = max(rests or now, now + LONG_REST)
    if attempts >= len(WAITS):
        return Verdict(DeliveryState.SET_ASIDE, rests_until=rests)
    wait = WAITS[attempts] * (1 + JITTER * jitter)
    return Verdict(DeliveryState.WAITING, now + max(wait, asked), rests)


def retry_after(header: str | None, now: datetime) -> timedelta:
    """Answer the pause that a receiver asked for, in seconds or until a date; none where it cannot be read."""
    if header is None:
        return timedelta(0)
    text = header.strip()
    if text.isascii() and text.isdigit():
        asked = timedelta(seconds=min(int(text[:9]), LONGEST_RETRY_AFTER.total_seconds()))
    else:
        try:
            until = parsedate_to_datetime(text)
        except ValueError:
            return timedelta(0)
        asked = (until if until.tzinfo else until.replace(tzinfo=UTC)) - now
    return min(max(asked, timedelta(0)), LONGEST_RETRY_AFTER)
