"""Freshness fades."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_directory.domain.freshness import HALF_LIFE_DAYS, UNKNOWN, score

TODAY = date(2026, 3, 2)
AGES = st.integers(0, 20 * 365)


def test_it_halves_with_each_half_life() -> None:
    ages = [score(TODAY - timedelta(HALF_LIFE_DAYS * count), TODAY) for count in range(4)]
    assert ages == pytest.approx([1, 0.5, 0.25, 0.125], abs=0.0051)


@given(AGES, AGES)
def test_the_younger_is_never_worth_less(one: int, other: int) -> None:
    young, old = (score(TODAY - timedelta(age), TODAY) for age in sorted((one, other)))
    assert 0 <= old <= young <= 1


def test_what_nobody_assured_is_worth_little_and_tomorrow_is_no_more_than_today() -> None:
    assert score(None, TODAY) == UNKNOWN
    assert score(TODAY + timedelta(30), TODAY) == 1
