"""Weekly hours: schedules that add up to opening hours, and opening hours as schedules."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_directory import hours
from relais_directory.formats.schedules import DAYS, clock, opening_hours, schedules

WEEKLY = {"freq": "WEEKLY", "opens_at": "09:00", "closes_at": "17:00"}


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("08:00", "08:00"),
        ("8:05", "08:05"),
        ("08:30:00", "08:30"),
        ("9am", "09:00"),
        ("12am", "00:00"),
        ("12 pm", "12:00"),
        ("4:00 PM", "16:00"),
        ("3 p.m.", "15:00"),
        ("9h30", "09:30"),
        ("24:00", "24:00"),
        ("10:00+01:00", "10:00"),
        ("10:00Z", None),
        ("9", None),
        ("25:00", None),
        ("13pm", None),
        ("10:75", None),
        ("noon", None),
    ],
)
def test_times_of_day_are_read(text: str, time: str | None) -> None:
    assert clock(text) == time


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ([WEEKLY | {"byday": "MO,TU,WE,TH,FR"}], "Mo-Fr 09:00-17:00"),
        ([WEEKLY | {"byday": "SA"}, WEEKLY | {"byday": "MO,TU"}], "Mo,Tu,Sa 09:00-17:00"),
        (
            [WEEKLY | {"byday": "MO", "closes_at": "12:00"}, WEEKLY | {"byday": "MO", "opens_at": "13:00"}],
            "Mo 09:00-12:00,13:00-17:00",
        ),
        ([WEEKLY | {"byday": "FR", "opens_at": "22:00", "closes_at": "02:00"}], "Fr 22:00-02:00"),
        ([WEEKLY | {"byday": "FR", "opens_at": "00:00", "closes_at": "00:00"}], "Fr 00:00-24:00"),
        ([WEEKLY | {"dtstart": "2026-11-16"}], "2026 Nov 16+ Mo 09:00-17:00"),
        (
            [
                WEEKLY | {"byday": "MO,TU"},
                WEEKLY | {"byday": "MO", "opens_at": "18:00", "closes_at": "20:00", "valid_from": "2026-07-01",
                          "valid_to": "2026-08-31"},
            ],
            "Mo,Tu 09:00-17:00; 2026 Jul 01-2026 Aug 31 Mo 09:00-17:00,18:00-20:00",
        ),
        (
            [
                WEEKLY | {"byday": "MO,TU"},
                {"description": "Closed: Christmas", "valid_from": "2026-12-25", "valid_to": "2026-12-25"},
            ],
            "Mo,Tu 09:00-17:00; 2026 Dec 25 off",
        ),
        ([WEEKLY | {"byday": "MO", "until": "2026-12-31"}], "1900 Jan 01-2026 Dec 31 Mo 09:00-17:00"),
        ([], None),
        ([{"description": "By appointment"}], None),
        ([WEEKLY | {"byday": "MO"}, {"description": "By appointment"}], None),
        ([WEEKLY | {"byday": "1MO", "freq": "MONTHLY"}], None),
        ([WEEKLY | {"byday": "MO", "interval": 2}], None),
        ([WEEKLY | {"byday": "MO", "count": 4}], None),
        ([WEEKLY], None),
        ([{"opens_at": "09:00", "closes_at": "17:00"}], None),
        ([WEEKLY | {"byday": "MO", "opens_at": "09:00Z"}], None),
        ([WEEKLY | {"byday": "MO", "closes_at": "09:00"}], None),
        ([WEEKLY | {"byday": "MO", "valid_from": "2026-02-01", "valid_to": "2026-01-01"}], None),
        ([WEEKLY | {"byday": "MO", "valid_from": "sometime"}], None),
        ([{"description": "closed"}], None),
        (
            [
                WEEKLY | {"byday": "MO", "valid_from": "2026-01-01", "valid_to": "2026-06-30"},
                WEEKLY | {"byday": "TU", "valid_from": "2026-05-01"},
            ],
            None,
        ),
    ],
)  # fmt: skip
def test_weekly_schedules_become_opening_hours(told: list[dict[str, Any]], text: str | None) -> None:
    assert opening_hours(told) == text
    if text is not None:
        assert hours.parse(text, "Europe/Brussels", "BE")


TIMES = st.integers(0, 47).map(lambda half: f"{half // 2:02}:{half % 2 * 30:02}")
A_RULE = st.fixed_dictionaries(
    {
        "freq": st.just("WEEKLY"),
        "byday": st.lists(st.sampled_from(DAYS), min_size=1, unique=True).map(",".join),
        "opens_at": TIMES,
        "closes_at": TIMES,
    }
)


@given(st.lists(A_RULE, min_size=1, max_size=4))
def test_hours_and_schedules_say_the_same(told: list[dict[str, Any]]) -> None:
    """A place is open at an instant exactly if a schedule says so, in whichever of the two it is written."""
    text = opening_hours(told)
    if text is None:
        assert any(one["opens_at"] == one["closes_at"] != "00:00" for one in told)
        return
    again = opening_hours(schedules(text))
    monday = datetime(2026, 11, 16, tzinfo=UTC)
    for step in range(0, 7 * 48, 5):
        at = monday + timedelta(minutes=30 * step + 10)
        assert hours.opening(text, "UTC", "BE", at).open_now == any(_open(one, at) for one in told), (text, at)
        assert again is not None
        assert hours.opening(again, "UTC", "BE", at).open_now == hours.opening(text, "UTC", "BE", at).open_now


def _open(schedule: dict[str, Any], at: datetime) -> bool:
    opens, closes = schedule["opens_at"], schedule["closes_at"]
    closes = "24:00" if closes == "00:00" else closes
    now, today, yesterday = f"{at:%H:%M}", DAYS[at.weekday()], DAYS[at.weekday() - 1]
    days = schedule["byday"].split(",")
    if opens < closes:
        return today in days and opens <= now < closes
    return (today in days and now >= opens) or (yesterday in days and now < closes)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("24/7", [("MO,TU,WE,TH,FR,SA,SU", "00:00", "24:00")]),
        ("Sa-Mo 10:00-11:00", [("MO,SA,SU", "10:00", "11:00")]),
        ("Mo-Fr 09:00-17:00; We off; PH off", [("MO,TU,TH,FR", "09:00", "17:00")]),
        ("Fr 20:00-26:00", [("FR", "20:00", "02:00")]),
        ("10:00-11:00", [("MO,TU,WE,TH,FR,SA,SU", "10:00", "11:00")]),
        ("Jan-Mar Mo 09:00-17:00", [(None, None, None)]),
        ('Mo 09:00-17:00 "by appointment"', [(None, None, None)]),
        ("Mo off", [(None, None, None)]),
    ],
)  # fmt: skip
def test_opening_hours_become_schedules(text: str, told: list[tuple[str | None, ...]]) -> None:
    made = schedules(text)
    assert [(one.get("byday"), one.get("opens_at"), one.get("closes_at")) for one in made] == told
    assert {one["description"] for one in made} == {text}
