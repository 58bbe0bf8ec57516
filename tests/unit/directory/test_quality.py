"""The quality score: the mean of criteria that an owner can make better."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_directory.domain.quality import FRESH_DAYS, STALE_DAYS, Facts, criteria, score

TODAY = date(2026, 11, 23)
WHOLE = Facts(
    on_site=True, address=True, phone=True, email=True, link=True, relay=True, changed_on=TODAY, themes=True,
    audiences=True, description=300, free=True, fees=False,
)  # fmt: skip
EMPTY = Facts(
    on_site=True, address=False, phone=False, email=False, link=False, relay=False, changed_on=None, themes=False,
    audiences=False, description=0, free=None, fees=False,
)  # fmt: skip

FACTS = st.builds(
    Facts,
    on_site=st.booleans(),
    address=st.booleans(),
    phone=st.booleans(),
    email=st.booleans(),
    link=st.booleans(),
    relay=st.booleans(),
    changed_on=st.none() | st.dates(date(2000, 1, 1), TODAY + timedelta(days=900)),
    themes=st.booleans(),
    audiences=st.booleans(),
    description=st.integers(0, 20_000),
    free=st.none() | st.booleans(),
    fees=st.booleans(),
)


def test_all_that_can_be_told_is_one_and_nothing_is_next_to_nothing() -> None:
    assert score(WHOLE, TODAY) == 1.0
    # That one can go there is the half of a way in.
    assert score(EMPTY, TODAY) == round(0.5 / 8, 2)


@pytest.mark.parametrize(
    ("changes", "criterion", "value"),
    [
        ({"phone": False, "email": False, "link": False}, "contact", 0.0),
        ({"phone": False, "email": False}, "contact", 1.0),
        ({"relay": False}, "ways_in", 0.5),
        ({"changed_on": TODAY - timedelta(days=FRESH_DAYS)}, "updated", 1.0),
        ({"changed_on": TODAY - timedelta(days=STALE_DAYS)}, "updated", 0.0),
        ({"changed_on": TODAY + timedelta(days=9)}, "updated", 1.0),
        ({"changed_on": None}, "updated", 0.0),
        ({"themes": False}, "themes", 0.0),
        ({"audiences": False}, "audiences", 0.0),
        ({"description": 49}, "description", 0.0),
        ({"description": 50}, "description", 0.5),
        ({"description": 199}, "description", 0.5),
        ({"description": 200}, "description", 1.0),
        ({"description": 2_000}, "description", 0.5),
        ({"free": None}, "fees", 0.0),
        ({"free": False}, "fees", 0.5),
        ({"free": False, "fees": True}, "fees", 1.0),
        ({"address": False}, "address", 0.0),
    ],
)
def test_each_criterion_counts_what_it_says(changes: dict[str, object], criterion: str, value: float) -> None:
    assert criteria(replace(WHOLE, **changes), TODAY)[criterion] == value  # type: ignore[arg-type]  # fields of Facts
    others = {name for name, told in criteria(replace(WHOLE, **changes), TODAY).items() if told < 1}  # type: ignore[arg-type]  # the same
    assert others <= {criterion, "ways_in"}


def test_what_comes_to_the_person_needs_no_address() -> None:
    assert "address" not in criteria(replace(WHOLE, on_site=False), TODAY)
    assert score(replace(WHOLE, on_site=False, address=False), TODAY) == 1.0


@given(FACTS)
def test_the_score_is_the_mean_of_what_applies(facts: Facts) -> None:
    told = criteria(facts, TODAY)
    assert all(0 <= value <= 1 for value in told.values())
    assert score(facts, TODAY) == round(sum(told.values()) / len(told), 2)


@given(FACTS, st.sampled_from(["phone", "email", "link", "relay", "themes", "audiences", "address"]))
def test_telling_more_never_makes_it_worse(facts: Facts, name: str) -> None:
    poorer, richer = replace(facts, **{name: False}), replace(facts, **{name: True})
    assert score(richer, TODAY) >= score(poorer, TODAY)


@given(FACTS, st.integers(0, 2_000))
def test_it_never_rises_by_waiting(facts: Facts, days: int) -> None:
    assert score(facts, TODAY + timedelta(days=days)) <= score(facts, TODAY)
