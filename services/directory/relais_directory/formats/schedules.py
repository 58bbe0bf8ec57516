"""Weekly hours both ways: schedules as HSDS tells them (RFC 5545 rules), and OpenStreetMap's opening hours."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

CLOSED: Final = re.compile(r"closed\b|ferm[ée]|gesloten\b|geschlossen\b", re.IGNORECASE)
"""How a schedule without times says that nobody is there."""

_CLOCK: Final = re.compile(
    r"(\d{1,2})(?:[:.h](\d{2})(?::\d{2}(?:\.\d+)?)?)?\s*([ap])?\.?m?\.?([+-]\d{2}:?\d{2})?", re.ASCII
)
_OPEN: Final = re.compile(r"\d{2}:\d{2}-\d{2}:\d{2}(?:\s*,\s*\d{2}:\d{2}-\d{2}:\d{2})*")
_WEEKDAY: Final = "(?:Mo|Tu|We|Th|Fr|Sa|Su)"
_RULE: Final = re.compile(
    rf"(?:(?P<days>{_WEEKDAY}(?:-{_WEEKDAY})?(?:\s*,\s*{_WEEKDAY}(?:-{_WEEKDAY})?)*)(?:\s+|$))?"
    rf"(?P<times>{_OPEN.pattern}|off|closed)?"
)
_HOLIDAYS: Final = re.compile(r"(?:PH|SH)(?:\s*,\s*(?:PH|SH))*\s+(?:off|closed)")

Span = tuple[str, str]
Period = tuple[date | None, date | None]


def clock(text: str) -> str | None:
    """Answer a time of day as `HH:MM`: of `9am`, `4:00 PM`, `08:30:00`, `9h30`; None where it is no local time.

    An offset other than that of UTC is the place's own, and says nothing more.
    """
    found = _CLOCK.fullmatch(text.strip().lower())
    if found is None:
        return None
    hour, minute, half = int(found[1]), int(found[2] or 0), found[3]
    if half is None and found[2] is None:
        return None
    if half is not None:
        if not 1 <= hour <= 12:  # noqa: PLR2004 - the hours of a clock with two halves
            return None
        hour = hour % 12 + (12 if half == "p" else 0)
    if minute > 59 or hour * 60 + minute > 24 * 60:  # noqa: PLR2004 - an hour's last minute
        return None
    return f"{hour:02}:{minute:02}"


def opening_hours(schedules: Iterable[Mapping[str, Any]]) -> str | None:
    """Answer the opening hours that schedules add up to; None where one of them is more than a weekly rule.

    A schedule may be bounded by days (`valid_from`, `valid_to`, `dtstart`, `until`), or say without times that it is
    closed between two days. Half of the hours would be wrong hours, so one schedule that cannot be told spoils all.
    """
    open_: dict[Period, dict[str, list[Span]]] = {}
    closed: list[Period] = []
    for schedule in schedules:
        period = _period(schedule)
        if period is None:
            return None
        if _says_closed(schedule):
            if period == (None, None) or schedule.get("byday"):
                return None
            closed.append(period)
            continue
        rule = _weekly(schedule)
        if rule is None:
            return None
        days, span = rule
        week = open_.setdefault(period, {})
        for day in days:
            week.setdefault(day, []).append(span)
    if not open_:
        return None
    bounded = [period for period in open_ if period != (None, None)]
    if any(_overlap(one, other) for number, one in enumerate(bounded) for other in bounded[:number]):
        return None
    busy = {day for week in open_.values() for day in week}
    open_ = {period: _until_midnight(week, busy) for period, week in open_.items()}
    always = open_.get((None, None), {})
    rules = _rules("", always)
    for period in sorted(bounded, key=str):
        # The later rule replaces the earlier on its days: it repeats what is open anyway.
        week = {day: [*always.get(day, []), *spans] for day, spans in open_[period].items()}
        rules += _rules(f"{_between(period)} ", week)
    rules += [f"{_between(period)} off" for period in sorted(closed, key=str)]
    return "; ".join(rules)


def schedules(text: str) -> list[dict[str, Any]]:
    """Answer opening hours as HSDS schedules, one for each span of a week's days.

    Hours that no week tells (months, school holidays, "by appointment") become one schedule that describes them.
    """
    week: dict[str, list[Span]] = {}
    for rule in (part.strip() for part in text.split(";")):
        if not rule or _HOLIDAYS.fullmatch(rule):
            continue
        found = _RULE.fullmatch("Mo-Su 00:00-24:00" if rule == "24/7" else rule)
        if found is None or found["times"] is None:
            return [{"description": text}]
        spans: list[Span] = []
        if found["times"] not in {"off", "closed"}:
            for span in found["times"].split(","):
                opens, _, closes = span.strip().partition("-")
                spans.append((opens, _next_day(closes)))
        for day in _days(found["days"]):
            week[day] = spans
    by_span: dict[Span, list[str]] = {}
    for day in DAYS:
        for span in week.get(day, ()):
            by_span.setdefault(span, []).append(day)
    if not by_span:
        return [{"description": text}]
    return [
        {"freq": "WEEKLY", "byday": ",".join(days), "description": text, "opens_at": opens, "closes_at": closes}
        for (opens, closes), days in by_span.items()
    ]


def _until_midnight(week: Mapping[str, Sequence[Span]], busy: set[str]) -> dict[str, list[Span]]:
    """Answer a week whose spans over midnight are cut there, where the next day has a rule that would replace them."""
    cut: dict[str, list[Span]] = {day: [] for day in week}
    for day, spans in week.items():
        after = DAYS[(DAYS.index(day) + 1) % 7]
        for opens, closes in spans:
            if closes < opens and after in busy:
                cut[day].append((opens, "24:00"))
                cut.setdefault(after, []).append(("00:00", closes))
            else:
                cut[day].append((opens, closes))
    return cut


def _says_closed(schedule: Mapping[str, Any]) -> bool:
    timed = schedule.get("opens_at") or schedule.get("closes_at")
    return not timed and bool(CLOSED.match(str(schedule.get("description") or "")))


def _weekly(schedule: Mapping[str, Any]) -> tuple[list[str], Span] | None:
    """Answer the days and the span of a schedule that is a weekly rule."""
    if schedule.get("freq") not in {None, "WEEKLY"} or str(schedule.get("interval") or 1) not in {"1", "1.0"}:
        return None
    if any(schedule.get(name) for name in ("count", "byweekno", "bymonthday", "byyearday")):
        return None
    days = [day.strip().upper() for day in str(schedule.get("byday") or "").split(",") if day.strip()]
    if not days and (begins := _day(schedule.get("dtstart"))) and schedule.get("freq"):
        # A weekly rule that names no day is on the weekday of its first one (RFC 5545).
        days = [DAYS[begins.weekday()]]
    opens, closes = (clock(str(schedule.get(name) or "")) for name in ("opens_at", "closes_at"))
    if not days or not set(days) <= set(DAYS) or opens is None or closes is None or opens == "24:00":
        return None
    closes = "24:00" if closes == "00:00" else closes
    return (days, (opens, closes)) if opens != closes else None


def _period(schedule: Mapping[str, Any]) -> Period | None:
    """Answer the first and last day of a schedule, None for each that is open; None alone where one is no day."""
    found: list[list[date]] = [[], []]
    for end, names in enumerate((("valid_from", "dtstart"), ("valid_to", "until"))):
        for name in names:
            if schedule.get(name):
                day = _day(schedule[name])
                if day is None:
                    return None
                found[end].append(day)
    first, last = max(found[0], default=None), min(found[1], default=None)
    return (first, last) if first is None or last is None or first <= last else None


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None


def _overlap(one: Period, other: Period) -> bool:
    return (one[0] or date.min) <= (other[1] or date.max) and (other[0] or date.min) <= (one[1] or date.max)


def _between(period: Period) -> str:
    first, last = period
    if first is not None and last is not None and first == last:
        return _said(first)
    begins = _said(first) if first else "1900 Jan 01"
    return f"{begins}-{_said(last)}" if last else f"{begins}+"


def _said(day: date) -> str:
    return f"{day.year} {MONTHS[day.month - 1]} {day.day:02}"


def _rules(prefix: str, week: Mapping[str, Sequence[Span]]) -> list[str]:
    by_times: dict[tuple[Span, ...], list[str]] = {}
    for day in DAYS:
        if day in week:
            by_times.setdefault(tuple(sorted(set(week[day]))), []).append(day)
    return [
        f"{prefix}{_runs(days)} {','.join(f'{opens}-{closes}' for opens, closes in spans)}"
        for spans, days in by_times.items()
    ]


def _runs(days: Sequence[str]) -> str:
    """Answer weekdays as OpenStreetMap writes them: `Mo-We,Fr`."""
    runs: list[list[int]] = []
    for place in (DAYS.index(day) for day in days):
        if runs and place == runs[-1][-1] + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    names = [day.capitalize() for day in DAYS]
    return ",".join(
        names[run[0]] if len(run) == 1 else f"{names[run[0]]}{'-' if len(run) > 2 else ','}{names[run[-1]]}"  # noqa: PLR2004 - two days are no run
        for run in runs
    )


def _days(text: str | None) -> list[str]:
    if text is None:
        return list(DAYS)
    found: list[str] = []
    for part in text.split(","):
        first, _, last = part.strip().upper().partition("-")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        # `Sa-Mo` goes over the end of the week.
        found += [DAYS[(begin + step) % 7] for step in range((end - begin) % 7 + 1)]
    return found


def _next_day(closes: str) -> str:
    """Answer a time after midnight (`26:00`) as it stands on a clock."""
    hour, _, minute = closes.partition(":")
    return closes if int(hour) <= 24 else f"{int(hour) - 24:02}:{minute}"  # noqa: PLR2004 - hours of a day
