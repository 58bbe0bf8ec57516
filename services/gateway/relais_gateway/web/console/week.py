"""Hours as a week of fields, from and to the form in which the directory keeps them (OpenStreetMap's opening_hours).

A week is plain: two openings a day at most, the same every week, and perhaps closed on public holidays. What says more
(seasons, nights, dates) has no week; it is read and written as it is.
"""

import re
from collections.abc import Mapping
from itertools import groupby
from typing import Final

DAYS: Final = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
HOLIDAYS: Final = "holidays"
"""The field that says `off` where public holidays are closed."""
FIELDS: Final = (*(f"{day}_{number}_{end}" for day in DAYS for number in (1, 2) for end in ("from", "to")), HOLIDAYS)
"""The fields of a week: clock times, empty where it is closed."""

_DAY: Final = "|".join(DAYS)
_DAYS: Final = rf"(?:{_DAY})(?:-(?:{_DAY}))?"
_SPAN: Final = r"\d\d:\d\d-\d\d:\d\d"
_RULE: Final = re.compile(rf"({_DAYS}(?:, ?{_DAYS})*) +({_SPAN}(?:, ?{_SPAN})?|off|closed)")
_HOLIDAYS_OFF: Final = re.compile(r"PH +(?:off|closed)")
_TIME: Final = re.compile(r"(\d\d?) ?(?:[:.hH] ?(\d\d)?)?(?::00)?")
_MIDNIGHT: Final = "24:00"


class Unclear(ValueError):  # noqa: N818 - a domain word
    """The times of a day make no openings."""

    def __init__(self, day: str) -> None:
        super().__init__(day)
        self.day = day


def week_of(text: str) -> dict[str, str]:
    """Answer the fields of hours that are a plain week; all empty where they are none, or say more."""
    empty = dict.fromkeys(FIELDS, "")
    rules = [part.strip() for part in text.split(";") if part.strip()]
    found = dict(empty)
    # Before other rules it would not hold for the days that they name.
    if rules and _HOLIDAYS_OFF.fullmatch(rules[-1]):
        found[HOLIDAYS] = "off"
        rules.pop()
    for rule in rules:
        told = _RULE.fullmatch(rule)
        if told is None:
            return empty
        spans = () if told[2] in {"off", "closed"} else re.split(", ?", told[2])
        for day in _days_of(told[1]):
            # A later rule for a day takes the place of an earlier one.
            found |= {f"{day}_{number}_{end}": "" for number in (1, 2) for end in ("from", "to")}
            for number, span in enumerate(spans, 1):
                start, end = span.split("-")
                found |= {f"{day}_{number}_from": start, f"{day}_{number}_to": "00:00" if end == _MIDNIGHT else end}
    try:
        text_of(found)
    except Unclear:
        # Openings through midnight, or hours that are none.
        return empty
    return found


def text_of(week: Mapping[str, str]) -> str:
    """Answer the hours that a week of fields says, days with the same openings together; empty where it says none.

    Raises:
        Unclear: A day has half an opening, one that ends before it begins, or two that overlap.
    """
    days = [(day, _openings(week, day)) for day in DAYS]
    rules = []
    for openings, same in groupby(days, key=lambda each: each[1]):
        names = [day for day, _openings in same]
        if openings:
            span = names[0] if len(names) == 1 else f"{names[0]}-{names[-1]}"
            rules.append(f"{span} {openings}")
    if rules and week[HOLIDAYS]:
        rules.append("PH off")
    return "; ".join(rules)


def _openings(week: Mapping[str, str], day: str) -> str:
    """Answer the openings of a day, `09:00-12:00,13:00-17:00`; empty where it is closed."""
    spans = []
    last = ""
    for number in (1, 2):
        start, end = (week[f"{day}_{number}_{which}"] for which in ("from", "to"))
        if not (start or end):
            continue
        start, end = _clock(start, day), _clock(end, day)
        end = _MIDNIGHT if end == "00:00" else end
        if not last <= start < end:
            raise Unclear(day)
        spans.append(f"{start}-{end}")
        last = end
    return ",".join(spans)


def _clock(written: str, day: str) -> str:
    """Answer a time as 09:30, however somebody writes it: 9:30, 9h30, 9 h."""
    told = _TIME.fullmatch(written)
    if told is None or int(told[1]) > 23 or int(told[2] or 0) > 59:  # noqa: PLR2004 - hours and minutes of a clock
        raise Unclear(day)
    return f"{int(told[1]):02}:{told[2] or '00'}"


def _days_of(names: str) -> list[str]:
    found = []
    for part in re.split(", ?", names):
        first, _dash, last = part.partition("-")
        start, end = DAYS.index(first), DAYS.index(last or first)
        found += [DAYS[place % 7] for place in range(start, end + (7 if end < start else 0) + 1)]
    return found
