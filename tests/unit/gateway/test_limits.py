"""Every caller has a bound, processes share it, and remembering it has one too."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_gateway.domain.limits import BUCKETS, Entry, Key, Limits, Policy, bounds
from relais_gateway.domain.refusals import TooManyCalls

ID = f"organisation:{UUID(int=7)}"
MANY = 1_000


def refused(limits: Limits, key: Key, policy: Policy, now_s: float) -> dict[str, str]:
    """Ask, be refused, and answer the headers of the no."""
    with pytest.raises(TooManyCalls) as caught:
        limits.enter([(key, policy)], now_s)
    assert caught.value.facts["violated_policies"] == [policy.name]
    headers = caught.value.facts["headers"]
    assert isinstance(headers, dict)
    return headers


def tried(limits: Limits, key: Key, policy: Policy, now_s: float) -> Entry | None:
    try:
        return limits.enter([(key, policy)], now_s)
    except TooManyCalls:
        return None


def told(one: Limits, others: list[Limits], name: str, policy: Policy, now_s: float) -> None:
    """Let one process say what it let in, and the others hear it."""
    words = one.tell(MANY)
    for other in others:
        other.hear(name, words, policy, now_s)


def test_a_burst_may_come_at_once_and_no_more() -> None:
    limits, policy = Limits(), Policy.a_minute("address", 3)
    for _ in range(3):
        limits.enter([("a", policy)], 0.0)
    assert refused(limits, "a", policy, 0.0) == {
        "Retry-After": "20",
        "RateLimit-Policy": '"address";q=3;w=60',
        "RateLimit": '"address";r=0;t=20',
    }
    limits.enter([("b", policy)], 0.0)


def test_each_answer_says_the_bound_that_is_nearest() -> None:
    limits, wide, narrow = Limits(), Policy("organisation", 100, 200, 32), Policy("client", 5, 10, 4)
    entry = limits.enter([(ID, wide), ("client:x", narrow)], 0.0)
    assert dict(entry.headers()) == {
        b"ratelimit-policy": b'"organisation";q=200;w=2, "organisation-at-once";q=32;qu="concurrent-requests", '
        b'"client";q=10;w=2, "client-at-once";q=4;qu="concurrent-requests"',
        b"ratelimit": b'"client";r=9;t=1',
    }


def test_what_one_bound_refuses_is_taken_from_no_other() -> None:
    limits, wide, narrow = Limits(), Policy("organisation", 1, 10), Policy("client", 1, 1)
    limits.enter([(ID, wide), ("client:x", narrow)], 0.0)
    for _ in range(20):
        assert tried(limits, "client:x", narrow, 0.0) is None
    with pytest.raises(TooManyCalls):
        limits.enter([(ID, wide), ("client:x", narrow)], 0.0)
    assert sum(tried(limits, ID, wide, 0.0) is not None for _ in range(20)) == 9


def test_only_so_many_are_under_way_and_each_end_makes_room_once() -> None:
    limits, policy = Limits(), Policy("organisation", 1_000, 1_000, 2)
    first, _second = limits.enter([(ID, policy)], 0.0), limits.enter([(ID, policy)], 0.0)
    assert refused(limits, ID, policy, 0.0)["Retry-After"] == "1"
    first.over()
    first.over()
    assert tried(limits, ID, policy, 0.0) is not None
    assert tried(limits, ID, policy, 0.0) is None


@given(st.integers(1, 1_000), st.lists(st.floats(0, 30), max_size=200))
def test_no_pattern_of_calls_gets_more_than_the_rate(per_minute: int, pauses: list[float]) -> None:
    """Over any stretch: what may come at once, and the rate for the time that passed."""
    limits, policy, now, taken = Limits(), Policy.a_minute("address", per_minute), 0.0, 0
    for pause in pauses:
        now += pause
        taken += tried(limits, "a", policy, now) is not None
    assert taken <= per_minute + now * per_minute / 60 + 1e-6


@given(st.integers(1, 1_000), st.floats(0, 1e6))
def test_whoever_waits_as_told_is_let_in(per_minute: int, began: float) -> None:
    limits, policy = Limits(), Policy.a_minute("address", per_minute)
    while tried(limits, "a", policy, began) is not None:
        pass
    wait = int(refused(limits, "a", policy, began)["Retry-After"])
    # A millisecond more than told: sums of seconds round.
    assert tried(limits, "a", policy, began + wait + 0.001) is not None


@given(
    st.integers(2, 4),
    st.integers(1, 50),
    st.integers(1, 100),
    st.lists(st.lists(st.integers(0, 200), min_size=4, max_size=4), min_size=1, max_size=30),
)
def test_processes_together_let_in_no_more_than_decision_0023_says(
    processes: int, per_second: int, burst: int, rounds: list[list[int]]
) -> None:
    """Beyond the bound of one process: what the others let in before they heard of each other, and no more after."""
    policy, step = Policy("organisation", per_second, burst), 0.2
    all_ = [Limits() for _ in range(processes)]
    taken = 0
    for number, wanted in enumerate(rounds):
        now = number * step
        for limits, calls in zip(all_, wanted, strict=False):
            taken += sum(tried(limits, ID, policy, now) is not None for _ in range(calls))
        for name, limits in enumerate(all_):
            told(limits, [other for other in all_ if other is not limits], str(name), policy, now)
        assert taken <= burst + per_second * now + (processes - 1) * (burst + per_second * step) + 1e-6


def test_what_others_let_in_is_gone_here_too() -> None:
    here, there, policy = Limits(), Limits(), Policy("organisation", 1, 10)
    for _ in range(6):
        here.enter([(ID, policy)], 0.0)
    told(here, [there], "here", policy, 0.0)
    assert sum(tried(there, ID, policy, 0.0) is not None for _ in range(10)) == 4


def test_what_is_under_way_elsewhere_counts_until_it_ends_or_its_process_is_gone() -> None:
    here, there, policy = Limits(), Limits(), Policy("organisation", 1_000, 1_000, 3)
    entries = [here.enter([(ID, policy)], 0.0) for _ in range(3)]
    told(here, [there], "here", policy, 0.0)
    assert tried(there, ID, policy, 0.0) is None
    entries[0].over()
    told(here, [there], "here", policy, 0.0)
    assert tried(there, ID, policy, 0.0) is not None
    assert tried(there, ID, policy, 0.0) is None
    # Said again and again while it goes on, it is not counted again and again.
    told(here, [there], "here", policy, 0.0)
    there.lost("here")
    assert sum(tried(there, ID, policy, 0.0) is not None for _ in range(5)) == 2


def test_a_silent_process_says_nothing_and_what_was_said_is_not_said_again() -> None:
    limits, policy = Limits(), Policy("organisation", 10, 10)
    assert limits.tell(MANY) == {}
    limits.enter([(ID, policy)], 0.0).over()
    assert [(word.let_in, word.running) for word in limits.tell(MANY).values()] == [(1, 0)]
    assert limits.tell(MANY) == {}


def test_callers_without_end_are_not_remembered_without_end() -> None:
    limits, policy = Limits(), Policy.a_minute("address", 1)
    for number in range(BUCKETS + 10):
        limits.enter([(str(number), policy)], 0.0)
    assert tried(limits, str(BUCKETS + 9), policy, 0.0) is None
    assert tried(limits, "0", policy, 0.0) is not None
    assert len(limits._buckets) == BUCKETS  # noqa: SLF001 - what bounds the memory has no other face


def test_a_bucket_that_is_full_again_is_forgotten_and_one_in_use_is_not() -> None:
    limits, policy = Limits(), Policy.a_minute("address", 60)
    limits.enter([("done", policy)], 0.0).over()
    limits.enter([("under way", policy)], 0.0)
    limits.tell(MANY)
    limits.forget(0.5)
    assert set(limits._buckets) == {"done", "under way"}  # noqa: SLF001 - the same
    limits.forget(1.0)
    assert set(limits._buckets) == {"under way"}  # noqa: SLF001 - the same


def test_what_is_said_of_an_organisation_and_of_its_systems() -> None:
    numbers = {"per_second": 5, "burst": 10, "at_once": 2}
    found = bounds(
        [
            {"organisation_id": ID, "client_id": None, **numbers},
            {"organisation_id": UUID(int=8), "client_id": "x", **numbers},
        ]
    )
    assert (found[ID].systems, found[ID].people) == (Policy("organisation", 5, 10, 2), Policy("people", 5, 10, 2))
    assert (found[UUID(int=8)].systems, found[UUID(int=8)].clients) == (None, {"x": Policy("client", 5, 10, 2)})
