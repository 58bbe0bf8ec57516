"""What is open to all has a bound for each address, and remembering them has one too."""

from hypothesis import given
from hypothesis import strategies as st

from relais_gateway.domain.limits import ADDRESSES, Calls


def test_a_minutes_calls_may_come_at_once_and_no_more() -> None:
    calls = Calls(3)
    assert [calls.take("a", 0.0) for _ in range(3)] == [0, 0, 0]
    assert calls.take("a", 0.0) == 20
    assert calls.take("b", 0.0) == 0


@given(st.integers(1, 1_000), st.lists(st.floats(0, 30), max_size=200))
def test_no_pattern_of_calls_gets_more_than_the_rate(per_minute: int, pauses: list[float]) -> None:
    """Over any stretch: what may come at once, and the rate for the time that passed."""
    calls, now, taken = Calls(per_minute), 0.0, 0
    for pause in pauses:
        now += pause
        taken += calls.take("a", now) == 0
    assert taken <= per_minute + now * per_minute / 60 + 1e-6


@given(st.integers(1, 1_000), st.floats(0, 1e6))
def test_whoever_waits_as_told_is_let_in(per_minute: int, began: float) -> None:
    calls = Calls(per_minute)
    while not (wait := calls.take("a", began)):
        pass
    # A millisecond more than told: sums of seconds round.
    assert calls.take("a", began + wait + 0.001) == 0


def test_addresses_without_end_are_not_remembered_without_end() -> None:
    calls = Calls(1)
    for number in range(ADDRESSES + 10):
        calls.take(str(number), 0.0)
    assert calls.take(str(ADDRESSES + 9), 0.0) > 0
    assert calls.take("0", 0.0) == 0
    assert len(calls._left) == ADDRESSES  # noqa: SLF001 - what bounds the memory has no other face
