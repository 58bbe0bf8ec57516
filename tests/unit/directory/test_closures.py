"""A closure is judged on the day of reading: it begins and ends by itself, in status, notice and hours."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_directory import hours
from relais_directory.domain.closures import closed_on, hours_with, notice, status_on

DAYS = st.dates(date(2020, 1, 1), date(2035, 12, 31))


@given(st.none() | DAYS, st.none() | DAYS, DAYS)
def test_closed_from_the_first_day_to_the_last_both_included(first: date | None, last: date | None, day: date) -> None:
    inside = (first is None or day >= first) and (last is None or day <= last)
    assert closed_on("temporarily_closed", first, last, day) is inside
    assert status_on("temporarily_closed", first, last, day) == ("temporarily_closed" if inside else "active")
    for status in ("draft", "active", "inactive", "retired"):
        assert not closed_on(status, first, last, day)
        assert status_on(status, first, last, day) == status
        assert notice(status, first, last, day) is None


@given(st.none() | DAYS, st.integers(0, 400), DAYS)
def test_the_hours_tell_the_same_as_the_status(first: date | None, days: int, day: date) -> None:
    last = first + timedelta(days=days) if first else None
    told = hours_with("24/7", "temporarily_closed", first, last)
    noon = datetime(day.year, day.month, day.day, 11, tzinfo=UTC)
    open_then = hours.opening(told, "Europe/Brussels", "BE", noon).open_now
    assert open_then is not closed_on("temporarily_closed", first, last, day)


def test_hours_that_nobody_told_stay_untold() -> None:
    assert hours_with(None, "temporarily_closed", date(2026, 1, 1), None) is None
    assert hours_with("24/7", "active", None, None) == "24/7"
    assert hours_with("24/7", "temporarily_closed", None, date(2026, 1, 5)) is not None


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        (None, None, "Fermé temporairement."),
        (None, date(2026, 3, 5), "Fermé temporairement jusqu'au 05/03/2026."),
        (date(2026, 2, 1), None, "Fermé temporairement."),
        (date(2026, 3, 2), None, "Fermeture à partir du 02/03/2026."),
        (date(2026, 3, 2), date(2026, 3, 5), "Fermeture du 02/03/2026 au 05/03/2026."),
        (None, date(2026, 2, 28), None),
    ],
)
def test_a_closure_is_told_before_and_while_it_lasts(first: date | None, last: date | None, told: str | None) -> None:
    assert notice("temporarily_closed", first, last, date(2026, 3, 1)) == told
