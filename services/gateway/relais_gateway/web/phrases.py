"""What pages say of facts: dates, distances, opening, capacity, in the language that the page at hand speaks."""

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_timedelta, get_day_names
from babel.numbers import format_decimal

from relais_gateway.web.languages import FRENCH, _, language, later, ngettext
from relais_gateway.web.vocabulary import LANGUAGES, RECEPTION, STATES, THEMES

ZONE: Final = ZoneInfo("Europe/Brussels")
"""Where the counters stand; France keeps the same time."""
NO_BREAK = "\u00a0"
WEEK = 7
ISO_DATE = 10
"""Characters of a date without a time."""


def area_said(person: Mapping[str, Any] | None) -> str:
    """Answer where somebody lives, as far as her reader is told: 6000 Charleroi."""
    area = (person or {}).get("area") or {}
    postcode = area.get("postcode")
    name = area.get("name") or ("" if postcode else area.get("municipality"))
    return " ".join(part for part in (postcode, name) if part)


def moment(text: str | None) -> datetime | None:
    """Answer an instant from the API as local time, or nothing."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(ZONE)


def clock_time(at: datetime) -> str:
    """Answer the time of day: 9 h, 16 h 30; in other languages 9:00, 16:30."""
    if language() != FRENCH:
        return f"{at.hour}:{at.minute:02d}"
    minutes = f"{NO_BREAK}{at.minute:02d}" if at.minute else ""
    return f"{at.hour}{NO_BREAK}h{minutes}"


def day(at: date, today: date) -> str:
    """Answer a day as one says it: aujourd'hui, hier, mardi, mardi 3 novembre."""
    apart = (at - today).days
    near = {0: _("aujourd'hui"), -1: _("hier"), 1: _("demain")}
    if apart in near:
        return near[apart]
    if -WEEK < apart < WEEK:
        return format_date(at, "EEEE", locale=language())
    return dated(at, "EEEE d MMMM" if at.year == today.year else "d MMMM y")


def dated(at: date, pattern: str, locale: str | None = None) -> str:
    """Answer a date as a pattern of CLDR writes it, with the ordinals of people: 1er novembre; Sonntag, 2. November."""
    if language() == FRENCH and at.day == 1:
        pattern = pattern.replace("d MMM", "d'er' MMM")
    elif language() == "de":
        pattern = pattern.replace("EEEE d", "EEEE, d").replace("d MMM", "d. MMM")
    return format_date(at, pattern, locale=locale or language())


def weekday(at: date) -> str:
    """Answer a day of the coming week by its name alone: mardi."""
    return format_date(at, "EEEE", locale=language())


def when(text: str | None, now: datetime) -> str:
    """Answer an instant with its day and time: mardi à 16 h 30."""
    at = moment(text)
    if at is None:
        return ""
    said = {"day": day(at.date(), now.astimezone(ZONE).date()), "time": clock_time(at)}
    return _("%(day)s à %(time)s") % said


def exact(text: str | None) -> str:
    """Answer an instant in full, for a date that is to be kept: mardi 3 novembre 2026 à 16 h 30."""
    at = moment(text)
    if at is None:
        return ""
    said = {"day": dated(at, "EEEE d MMMM y"), "time": clock_time(at)}
    return _("%(day)s à %(time)s") % said


WAITING: Final = frozenset({"draft", "proposed", "received"})


def standing(state: str, text: str | None, now: datetime) -> str:
    """Answer where things stand: En attente de réponse depuis mardi; Relais pris mardi."""
    at, today = moment(text), now.astimezone(ZONE).date()
    if at is None:
        return STATES[state]
    if state not in WAITING:
        return f"{STATES[state]}, {day(at.date(), today)}"
    since = clock_time(at) if at.date() == today else day(at.date(), today)
    return _("%(state)s depuis %(since)s") % {"state": STATES[state], "since": since}


def ago(text: str | None, now: datetime) -> str:
    """Answer how long ago: il y a 3 jours."""
    at = moment(text)
    if at is None:
        return ""
    if text and len(text) == ISO_DATE:
        # A day without an hour: hours would pretend to know more than was said.
        days = now.astimezone(ZONE).date() - date.fromisoformat(text)
        return {0: _("aujourd'hui"), 1: _("hier")}.get(days.days) or format_timedelta(
            -days, granularity="day", add_direction=True, locale=language(), threshold=1.4
        )
    apart = now - at
    if apart < timedelta(minutes=1):
        return _("à l'instant")
    return format_timedelta(-apart, add_direction=True, locale=language(), threshold=1.4)


def number(value: float) -> str:
    """Answer a number with the separators of the language spoken."""
    return format_decimal(value, locale=language())


def distance(metres: float | None) -> str:
    """Answer a distance: 400 m, 1,2 km, 14 km."""
    if metres is None:
        return ""
    if metres < 950:  # noqa: PLR2004 - from there on it reads better in kilometres
        return f"{max(round(metres, -1), 10):.0f}{NO_BREAK}m"
    kilometres = metres / 1000
    shown = round(kilometres, 1) if kilometres < 10 else round(kilometres)  # noqa: PLR2004 - 14 km needs no decimal
    return f"{number(shown)}{NO_BREAK}km"


def _counted(said: str, count: int) -> str:
    """Answer a number with its noun, held together on one line."""
    return (said % {"num": number(count)}).replace(" ", NO_BREAK, 1)


def places(count: int) -> str:
    """Answer a number of open places."""
    return _counted(ngettext("%(num)s place", "%(num)s places", count), count)


def days(count: int) -> str:
    """Answer a number of days."""
    return _counted(ngettext("%(num)s jour", "%(num)s jours", count), count)


def answers(count: int) -> str:
    """Answer a number of results."""
    return _counted(ngettext("%(num)s réponse", "%(num)s réponses", count), count)


def opening(facts: Mapping[str, Any] | None, now: datetime) -> tuple[bool | None, str]:
    """Answer whether it is open now, and the sentence that says it; nothing where nobody told the hours."""
    if not facts or facts.get("open_now") is None:
        return None, ""
    if facts["open_now"]:
        closes = moment(facts.get("closes_at"))
        return True, _("Ouvert jusqu'à %(time)s") % {"time": clock_time(closes)} if closes else _("Ouvert")
    opens = facts.get("next_opening")
    return False, _("Fermé, ouvre %(when)s") % {"when": when(opens, now)} if opens else _("Fermé")


def capacity(facts: Mapping[str, Any] | None, now: datetime) -> str:
    """Answer the open places with their age: 3 places (dit hier); or nothing."""
    if not facts:
        return ""
    said = []
    available = facts.get("available")
    if available is not None:
        said.append(_("Aucune place") if available == 0 else places(available))
    if facts.get("waiting_days"):
        said.append(_("attente de %(days)s") % {"days": days(facts["waiting_days"])})
    if not said:
        return ""
    at = moment(facts.get("updated_at"))
    told = _("(dit %(day)s)") % {"day": day(at.date(), now.astimezone(ZONE).date())} if at else ""
    return f"{', '.join(said)} {told}".strip()


def theme_root(slug: str) -> str:
    """Answer the family of a theme: childcare of childcare--nursery."""
    return slug.partition("--")[0]


def label(themes: Mapping[str, Mapping[str, Any]], slug: str) -> str:
    """Answer a theme by its label in the language spoken.

    Args:
        themes: The directory's themes by slug.
        slug: Of the theme; one that the directory does not know is called by its family.
    """
    labels = (themes.get(slug) or {}).get("labels") or {}
    return str(labels.get(language()) or labels.get(FRENCH) or THEMES.get(theme_root(slug), slug))


def why(item: Mapping[str, Any], typed: str) -> str:
    """Answer in words why a card is in the list.

    Args:
        item: The card.
        typed: What was searched for; a stem is shown as the word that somebody wrote.
    """
    said = item.get("why") or {}
    parts = []
    spelt = {_plain(word): word for word in typed.split()}
    shown = [
        next((word for plain, word in spelt.items() if plain.startswith(_plain(stem))), stem)
        for stem in said.get("words") or ()
    ]
    words = [_("« %(word)s »") % {"word": word} for word in dict.fromkeys(shown)]
    families = dict.fromkeys(theme_root(slug) for slug in said.get("themes") or ())
    labels = [within(THEMES[family]) for family in families if family in THEMES]
    if words:
        parts.append(", ".join(words) + (f" → {', '.join(labels)}" if labels else ""))
    elif labels:
        parts.append(", ".join(labels))
    return "; ".join(parts)


_SMALL_WORDS: Final = frozenset(
    {"am", "an", "auf", "aus", "bei", "das", "der", "die", "durch", "im", "in", "mit", "nach", "nur", "per", "über",
     "unsere", "unser", "vor", "von", "was", "wie", "zu", "zum", "zur", "ihr", "ihre"}
)  # fmt: skip
"""German words that begin a label and are no nouns."""


def within(said: str) -> str:
    """Answer words as they stand within a sentence: without their capital, but for a German noun's."""
    if language() == "de" and said.partition(" ")[0].lower() not in _SMALL_WORDS:
        return said
    return said[:1].lower() + said[1:]


def _plain(word: str) -> str:
    letters = unicodedata.normalize("NFKD", word.casefold())
    return "".join(sign for sign in letters if not unicodedata.combining(sign))


_CLOSED: Final = {
    "PH off": later("fermé les jours fériés"),
    "SH off": later("fermé pendant les vacances scolaires"),
    "PH,SH off": later("fermé les jours fériés et pendant les vacances scolaires"),
}
"""What is closed, as OpenStreetMap writes it."""
_DAYS: Final = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_DAY: Final = "|".join(_DAYS)
_RULE: Final = re.compile(
    rf"^(?P<days>(?:(?:{_DAY})(?:-(?:{_DAY}))?,?\s*)+)\s+(?P<times>(?:\d{{2}}:\d{{2}}-\d{{2}}:\d{{2}},?\s*)+)$"
)


def reception(facts: Mapping[str, Any]) -> list[str]:
    """Answer how one is received, one phrase each; what is not said is not there."""
    said = [text for key, text in RECEPTION.items() if facts.get(key)]
    spoken = [LANGUAGES.get(code, code) for code in facts.get("languages") or ()]
    return said + ([_("On y parle %(languages)s") % {"languages": ", ".join(spoken)}] if spoken else [])


def hours(written: str) -> list[str]:
    """Answer opening hours (OpenStreetMap's syntax) in words; a rarer rule stands as it is written."""
    said = []
    for rule in (part.strip() for part in written.split(";")):
        if rule in _CLOSED:
            said.append(_(_CLOSED[rule]))
            continue
        found = _RULE.match(rule)
        if found is None:
            said.append(rule)
            continue
        parts = ", ".join(_days_of(part.strip()) for part in found["days"].strip(", ").split(","))
        said.append(_("%(days)s : %(times)s") % {"days": parts, "times": ", ".join(map(_span, _times(found["times"])))})
    return [part[:1].upper() + part[1:] for part in said if part]


def _days_of(part: str) -> str:
    names = get_day_names("wide", locale=language())
    first, _to, last = part.partition("-")
    start = names[_DAYS.index(first)]
    return _("du %(first)s au %(last)s") % {"first": start, "last": names[_DAYS.index(last)]} if last else start


def _times(written: str) -> list[str]:
    return [span.strip() for span in written.split(",") if span.strip()]


def _span(written: str) -> str:
    start, _to, end = written.partition("-")
    return _("%(start)s à %(end)s") % {"start": _o_clock(start), "end": _o_clock(end)}


def _o_clock(written: str) -> str:
    hour, _colon, minute = written.partition(":")
    if language() != FRENCH:
        return f"{int(hour)}:{minute}"
    return f"{int(hour)}{NO_BREAK}h" + ("" if minute == "00" else f"{NO_BREAK}{minute}")
