"""Opening hours, in the place's own time."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from relais_directory.hours import Opening, opening, parse, week, zone_of

WORKDAYS = "Mo-Fr 09:00-17:00; PH off"
BRUSSELS = "Europe/Brussels"


def at(text: str) -> datetime:
    """Answer an instant, given in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_it_is_open_until_it_closes() -> None:
    # Winter: Brussels is an hour ahead.
    assert opening(WORKDAYS, BRUSSELS, "BE", at("2026-03-02T08:00")) == Opening(open_now=True)
    assert opening(WORKDAYS, BRUSSELS, "BE", at("2026-03-02T15:59")) == Opening(open_now=True)
    closed = opening(WORKDAYS, BRUSSELS, "BE", at("2026-03-02T16:00"))
    assert closed == Opening(False, datetime(2026, 3, 3, 9, tzinfo=ZoneInfo(BRUSSELS)))
    assert closed.next_opening is not None
    assert closed.next_opening.utcoffset() is not None


def test_a_public_holiday_closes_in_its_country_alone() -> None:
    noon = at("2026-07-21T10:00")  # a Tuesday, Belgium's national day
    told = opening(WORKDAYS, BRUSSELS, "BE", noon)
    assert told == Opening(False, datetime(2026, 7, 22, 9, tzinfo=ZoneInfo(BRUSSELS)))
    assert opening(WORKDAYS, "Europe/Paris", "FR", noon).open_now is True


def test_each_place_has_its_own_time() -> None:
    morning = at("2026-03-02T06:00")
    zone = zone_of("fr:97411", "FR")
    assert zone == "Indian/Reunion"
    assert opening(WORKDAYS, zone, "FR", morning).open_now is True
    assert opening(WORKDAYS, zone_of("fr:59350", "FR"), "FR", morning).open_now is False


@pytest.mark.parametrize(
    ("code", "country", "zone"),
    [
        ("be:52011", "BE", BRUSSELS),
        (None, "fr", "Europe/Paris"),
        ("fr:97302", "FR", "America/Cayenne"),
        (None, "XX", "UTC"),
    ],
)
def test_the_time_zone_comes_from_place_or_country(code: str | None, country: str, zone: str) -> None:
    assert zone_of(code, country) == zone


def test_summer_time_begins_in_the_night() -> None:
    told = opening("Mo-Su 09:00-10:00", BRUSSELS, "BE", at("2026-03-28T12:00"))
    assert told.next_opening is not None
    assert told.next_opening.astimezone(UTC) == at("2026-03-29T07:00")


@pytest.mark.parametrize("text", ["Mo-Fr 25:99", "on appointment only (", "lundi au vendredi"])
def test_broken_text_opens_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="OpenStreetMap"):
        parse(text, BRUSSELS, "BE")
    assert opening(text, BRUSSELS, "BE", at("2026-03-02T10:00")) == Opening(None)
    assert week(text, BRUSSELS, "BE", at("2026-03-02T10:00")) == []


def test_a_country_without_known_holidays_is_no_accident() -> None:
    with pytest.raises(ValueError, match="holidays"):
        parse(WORKDAYS, "UTC", "XX")
    assert opening(WORKDAYS, "UTC", "XX", at("2026-03-02T10:00")) == Opening(None)


def test_who_tells_nothing_or_only_sometimes_is_unknown() -> None:
    assert opening(None, BRUSSELS, "BE", at("2026-03-02T10:00")) == Opening(None)
    assert opening("Mo-Fr 09:00-17:00 unknown", BRUSSELS, "BE", at("2026-03-02T10:00")) == Opening(None)


def test_a_week_has_each_opening_of_seven_days() -> None:
    spans = week("Mo-Fr 09:00-12:00,13:00-17:00; PH off", BRUSSELS, "BE", at("2026-07-20T12:00"))
    assert len(spans) == 8  # Monday to Friday, twice a day, without the holiday
    assert spans[0] == {"opens_at": "2026-07-20T09:00:00+02:00", "closes_at": "2026-07-20T12:00:00+02:00"}
    assert not any(span["opens_at"].startswith("2026-07-21") for span in spans)
