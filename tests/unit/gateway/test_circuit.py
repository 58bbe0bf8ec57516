"""An instance that fails is left alone, tried by one request at a time, and asked again once it answers."""

from hypothesis import given
from hypothesis import strategies as st

from relais_gateway.domain.circuit import OPEN_S, OPENS_AFTER, Circuit


def opened() -> Circuit:
    circuit = Circuit()
    said = []
    for _ in range(OPENS_AFTER):
        circuit.begin()
        said.append(circuit.failed(0.0))
    assert said == [False] * (OPENS_AFTER - 1) + [True]
    return circuit


def test_failures_in_a_row_open_it_and_an_answer_between_them_does_not() -> None:
    circuit = Circuit()
    for _ in range(OPENS_AFTER - 1):
        circuit.failed(0.0)
    assert circuit.lets(0.0)
    circuit.worked()
    for _ in range(OPENS_AFTER - 1):
        assert not circuit.failed(0.0)
    assert circuit.lets(0.0)


def test_open_it_lets_nothing_through_until_its_pause_is_over_then_one() -> None:
    circuit = opened()
    assert not circuit.lets(OPEN_S / 2)
    assert circuit.lets(OPEN_S)
    circuit.begin()
    assert not circuit.lets(OPEN_S)


def test_a_trial_that_works_closes_it_and_one_that_fails_begins_the_pause_anew() -> None:
    circuit = opened()
    circuit.begin()
    assert not circuit.failed(OPEN_S)
    assert not circuit.lets(OPEN_S * 1.5)
    assert circuit.lets(OPEN_S * 2)
    circuit.begin()
    circuit.worked()
    assert circuit.lets(OPEN_S * 2)
    circuit.begin()
    assert circuit.lets(OPEN_S * 2)


def test_what_began_before_it_opened_prolongs_nothing() -> None:
    circuit = opened()
    circuit.failed(OPEN_S / 2)
    assert circuit.lets(OPEN_S)


def test_a_trial_whose_caller_left_leaves_its_place_to_another() -> None:
    circuit = opened()
    circuit.begin()
    circuit.let_go()
    assert circuit.lets(OPEN_S)


@given(st.lists(st.tuples(st.sampled_from(["worked", "failed", "let_go"]), st.floats(0, 3))))
def test_it_never_stays_closed_to_everybody(steps: list[tuple[str, float]]) -> None:
    """Whatever happened, once every request under way has ended and the pause is over, one is let through."""
    circuit, now = Circuit(), 0.0
    for kind, later in steps:
        now += later
        if not circuit.lets(now):
            continue
        circuit.begin()
        if kind == "failed":
            circuit.failed(now)
        elif kind == "worked":
            circuit.worked()
        else:
            circuit.let_go()
    assert circuit.lets(now + OPEN_S)
