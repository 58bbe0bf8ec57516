"""Whether a consent holds, for whom, and until when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_referral.domain.consent import CLOCKS_DIFFER_BY, RECORDED_WITHIN, Consent, Purpose, Status, given_in_time
from relais_referral.domain.visibility import Category
from relais_referral.notices import _shipped, notice, undertaking

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TO, SERVICE, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)
GIVEN = Consent(
    id=UUID(int=9),
    recipient_id=TO,
    service_id=SERVICE,
    purposes=frozenset({Purpose.REFERRAL}),
    categories=frozenset({Category.IDENTITY, Category.NEEDS}),
    status=Status.GIVEN,
)


def test_it_opens_its_categories_to_its_recipient_alone() -> None:
    assert GIVEN.opens(TO, SERVICE, at=NOON) == GIVEN.categories
    assert GIVEN.opens(OTHER, SERVICE, at=NOON) == frozenset()
    assert GIVEN.opens(TO, OTHER, at=NOON) == frozenset()


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.GIVEN])
def test_what_is_not_given_opens_nothing(status: Status) -> None:
    assert not replace(GIVEN, status=status).active(NOON)
    assert replace(GIVEN, status=status).opens(TO, SERVICE, at=NOON) == frozenset()


@given(st.frozensets(st.sampled_from(Purpose)))
def test_only_the_purpose_referral_hands_over(purposes: frozenset[Purpose]) -> None:
    assert replace(GIVEN, purposes=purposes).covers(TO, SERVICE, at=NOON) == (Purpose.REFERRAL in purposes)


@given(st.timedeltas(min_value=timedelta(days=-400), max_value=timedelta(days=400)))
def test_it_ends_at_its_instant(moved: timedelta) -> None:
    ending = replace(GIVEN, valid_until=NOON)
    assert ending.covers(TO, SERVICE, at=NOON + moved) == (moved < timedelta())


@pytest.mark.parametrize(
    ("ago", "written", "taken"),
    [
        (timedelta(), False, True),
        (RECORDED_WITHIN, False, True),
        (RECORDED_WITHIN + timedelta(seconds=1), False, False),
        (timedelta(days=300), True, True),
        (-CLOCKS_DIFFER_BY, False, True),
        (-CLOCKS_DIFFER_BY - timedelta(seconds=1), False, False),
        (-CLOCKS_DIFFER_BY - timedelta(seconds=1), True, False),
    ],
)
def test_it_is_recorded_within_a_day_unless_written(ago: timedelta, *, written: bool, taken: bool) -> None:
    assert given_in_time(NOON - ago, NOON, written=written) is taken


def test_what_is_asked_for_and_not_there_is_not_kept() -> None:
    """Anybody may ask for a text: only what we ship stays in memory."""
    assert notice("2026-1", "fr-BE") is notice("2026-1", "fr") is not None
    assert undertaking("2026-1", "nl") is not None
    held = _shipped.cache_info().currsize
    assert [notice(f"20{n}", "fr") or undertaking("2026-1", f"x{n}") for n in range(50)] == [None] * 50
    assert _shipped.cache_info().currsize == held
    assert notice("../__init__", "py") is None
