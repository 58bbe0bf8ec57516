"""When a delivery is tried again, and when an endpoint is given up."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_referral.domain.webhooks import WAITS, DeliveryState, Disabled, Outcome, Verdict, judge, retry_after

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
DOWN = Outcome(fault="connection")


def judged(outcome: Outcome, attempts: int = 1, jitter: float = 0.0, **more: object) -> Verdict:
    """Judge an attempt of an endpoint that began to fail just now."""
    usual = {"failures": 1, "failing_since": NOON, "now": NOON}
    return judge(outcome, attempts=attempts, jitter=jitter, **{**usual, **more})  # type: ignore[arg-type]


def test_the_times_are_those_of_the_standard() -> None:
    sums = [sum(WAITS[:count], timedelta(0)) for count in range(1, len(WAITS) + 1)]
    assert [str(one) for one in sums[:7]] == [
        "0:00:00", "0:00:05", "0:05:05", "0:35:05", "2:35:05", "7:35:05", "17:35:05"
    ]  # fmt: skip
    assert sums[-1] == timedelta(hours=75, minutes=35, seconds=5)


@given(st.integers(1, len(WAITS) - 1), st.floats(-1, 1))
def test_each_wait_is_a_tenth_longer_or_shorter_at_most(attempts: int, jitter: float) -> None:
    next_at = judged(DOWN, attempts, jitter).next_at
    assert next_at is not None
    assert WAITS[attempts] * 0.899 <= next_at - NOON <= WAITS[attempts] * 1.101


def test_after_the_last_attempt_it_is_set_aside() -> None:
    assert judged(DOWN, len(WAITS) - 1).state is DeliveryState.WAITING
    assert judged(DOWN, len(WAITS)).state is DeliveryState.SET_ASIDE


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_taken(status: int) -> None:
    assert judged(Outcome(status=status)) == Verdict(DeliveryState.DELIVERED)


@pytest.mark.parametrize("status", [100, 301, 302, 307, 308, 400, 401, 404, 500, 503])
def test_everything_else_fails_redirects_included(status: int) -> None:
    verdict = judged(Outcome(status=status))
    assert (verdict.state, verdict.disabled) == (DeliveryState.WAITING, None)


def test_gone_disables_at_once() -> None:
    assert judged(Outcome(status=410)) == Verdict(DeliveryState.SET_ASIDE, disabled=Disabled.GONE)


def test_three_days_without_one_taken_disable() -> None:
    since = NOON - timedelta(days=3)
    assert judged(DOWN, failing_since=since).disabled is Disabled.FAILING
    assert judged(DOWN, failing_since=since + timedelta(seconds=1)).disabled is None
    assert judged(Outcome(status=200), failing_since=since).disabled is None


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_who_asks_for_less_rests(status: int) -> None:
    assert judged(Outcome(status=status)).rests_until == NOON + timedelta(seconds=5)
    longer = judged(Outcome(status=status, retry_after="120"))
    assert longer.rests_until == longer.next_at == NOON + timedelta(seconds=120)


def test_an_endpoint_that_is_down_is_tried_once_a_minute() -> None:
    assert judged(DOWN, failures=4).rests_until is None
    assert judged(DOWN, failures=5).rests_until == NOON + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0), ("0", 0), ("30", 30), (" 30 ", 30), ("99999999999", 86_400), ("-5", 0), ("soon", 0), ("", 0),
        ("1.5", 0), ("٣", 0),
        (format_datetime(NOON + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOON - timedelta(seconds=90), usegmt=True), 0),
        (format_datetime(NOON + timedelta(days=9), usegmt=True), 86_400),
    ],
)  # fmt: skip
def test_a_pause_is_as_long_as_asked_but_no_longer_than_a_day(header: str | None, seconds: int) -> None:
    assert retry_after(header, NOON) == timedelta(seconds=seconds)


@given(st.text())
def test_no_header_breaks_us(header: str) -> None:
    assert timedelta(0) <= retry_after(header, NOON) <= timedelta(hours=24)
