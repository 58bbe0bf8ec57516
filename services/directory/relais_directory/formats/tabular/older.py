"""Rows of HSDS 1 and 2 and of Ohana CSV as rows of HSDS 3.1."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final

from relais_directory.formats.schedules import MONTHS, clock

Values = dict[str, Any]
Made = Iterator[tuple[str, Values]]

YES: Final = frozenset({"true", "t", "yes", "y", "1"})
WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
DATES: Final = ("%Y-%m-%d", "%B %d, %Y", "%m/%d/%Y", "%m/%d/%y")
"""How older packages write days."""

EVERY_YEAR: Final = 1
"""The year of a day that comes back every year (Ohana writes January 01, 0001)."""


def modern(stem: str, table: str, given: Mapping[str, Any]) -> Made:
    """Answer a row as rows of HSDS 3.1; most are one already.

    Args:
        stem: Its file's name without ending, lower case.
        table: The table that the name means.
        given: The row, its empty cells left out.
    """
    values = dict(given)
    if change := _BY_TABLE.get(table):
        yield from change(stem, values)
    else:
        yield table, values


def _moved(values: Values, names: Mapping[str, str]) -> Values:
    """Give columns their newer names, where those are free."""
    for old, new in names.items():
        if old in values:
            told = values.pop(old)
            values.setdefault(new, told)
    return values


def _listed(told: object) -> list[str]:
    return [part.strip() for part in str(told or "").split(",") if part.strip()]


def _organization(_stem: str, values: Values) -> Made:
    for source in _listed(values.pop("funding_sources", None)):
        yield "funding", {"organization_id": values.get("id"), "source": source}
    if (founded := values.pop("date_incorporated", None)) and (day := day_of(founded)):
        values.setdefault("year_incorporated", str(day.year))
    # HSDS tells them of a service: they wait here for those of the organisation.
    _moved(values, {"url": "website", "accreditations": "_accreditations", "licenses": "_licenses"})
    yield "organization", values


def _program(_stem: str, values: Values) -> Made:
    if values.get("name"):
        values.setdefault("description", values["name"])
    yield "program", values


def _service(_stem: str, values: Values) -> Made:
    id_ = values.get("id")
    if "location_id" in values:
        yield "service_at_location", {"service_id": id_, "location_id": values.pop("location_id")}
    for column, table, member in (
        ("keywords", "keyword", "keyword"),
        ("languages", "language", "name"),
        ("required_documents", "required_document", "document"),
        ("service_areas", "service_area", "name"),
        ("funding_sources", "funding", "source"),
        ("accepted_payments", "payment_accepted", "payment"),
        ("taxonomy_ids", "attribute", "taxonomy_term_id"),
    ):
        for told in _listed(values.pop(column, None)):
            link = {"link_id": id_, "link_entity": "service"} if table == "attribute" else {"service_id": id_}
            yield table, {**link, member: told}
    for column in ("audience", "eligibility"):
        if (told := values.pop(column, None)) and str(told).lower() != "none":
            yield "eligibility", {"service_id": id_, "eligibility": told}
    yield "service", _moved(values, {"website": "url"})


def _location(_stem: str, values: Values) -> Made:
    id_ = values.get("id")
    virtual = str(values.pop("virtual", "")).lower() in YES
    values.setdefault("location_type", "virtual" if virtual else "physical")
    for told in _listed(values.pop("accessibility", None)):
        yield "accessibility", {"location_id": id_, "description": told.replace("_", " ")}
    for told in _listed(values.pop("languages", None)):
        yield "language", {"location_id": id_, "name": told}
    if email := values.pop("email", None):
        yield "contact", {"location_id": id_, "email": email}
    if short := values.pop("short_desc", None):
        longer = values.get("description")
        values["description"] = short if longer in {None, short} else f"{short}\n\n{longer}"
    yield "location", _moved(values, {"website": "url"})


def _phone(_stem: str, values: Values) -> Made:
    if prefix := values.pop("country_prefix", None):
        values["number"] = f"{prefix} {values.get('number', '')}".strip()
    about = [values.pop(column, None) for column in ("department", "vanity_number")]
    _moved(values, {"number_type": "type"})
    if told := [*filter(None, [values.get("description"), *about])]:
        values["description"] = ", ".join(map(str, told))
    if language := values.pop("language", None):
        yield "language", {"phone_id": values.get("id"), "name": language}
    yield "phone", values


def _address(stem: str, values: Values) -> Made:
    more = [values.pop(f"address_{number}", None) for number in (2, 3, 4)]
    if told := [*filter(None, more)]:
        values["address_2"] = ", ".join(map(str, told))
    values.setdefault("address_type", "postal" if stem.startswith(("postal", "mail")) else "physical")
    yield "address", values


def _schedule(_stem: str, values: Values) -> Made:
    if (weekday := values.pop("weekday", None)) is not None:
        values["freq"] = "WEEKLY"
        values["byday"] = _weekday(str(weekday))
    for column in ("opens_at", "closes_at"):
        if column in values:
            values[column] = _time(str(values[column]))
    yield "schedule", _moved(values, {"original_text": "description"})


def _time(told: str) -> str:
    return told if re.fullmatch(r"\d{2}:\d{2}.*", told) else clock(told) or told


def _weekday(told: str) -> str:
    """Answer the two letters of a weekday, told by its number (Monday is 1) or English name."""
    if told.isdigit() and 1 <= int(told) <= len(WEEKDAYS):
        return WEEKDAYS[int(told) - 1]
    return told[:2].upper() if told[:2].upper() in WEEKDAYS else told


def _holiday(_stem: str, values: Values) -> Made:
    for column in ("opens_at", "closes_at"):
        if column in values:
            values[column] = _time(str(values[column]))
    yield "holiday_schedule", values


def _attribute(stem: str, values: Values) -> Made:
    if "taxonomy" in stem and "taxonomy_id" in values and "taxonomy_term_id" not in values:
        values = _moved(values, {"taxonomy_id": "taxonomy_term_id", "taxonomy_detail": "value"})
    if "service_id" in values and "link_id" not in values:
        values |= {"link_id": values.pop("service_id"), "link_entity": "service"}
    yield "attribute", values


def _term(_stem: str, values: Values) -> Made:
    yield "taxonomy_term", _moved(values, {"term": "name", "vocabulary": "taxonomy"})


def _taxonomy(_stem: str, values: Values) -> Made:
    """Tell a list of terms, which older packages call a taxonomy, from a list of taxonomies."""
    if not {"taxonomy_id", "parent_id", "parent_name", "vocabulary"} & values.keys():
        yield "taxonomy", values
        return
    values.pop("parent_name", None)
    if code := values.pop("taxonomy_id", None):
        values |= {"id": values.get("id") or code, "code": code}
    yield "taxonomy_term", _moved(values, {"vocabulary": "taxonomy"})


def _renamed(table: str, names: Mapping[str, str]) -> Callable[[str, Values], Made]:
    def change(_stem: str, values: Values) -> Made:
        yield table, _moved(values, names)

    return change


_BY_TABLE: Final[Mapping[str, Callable[[str, Values], Made]]] = {
    "organization": _organization,
    "program": _program,
    "service": _service,
    "location": _location,
    "phone": _phone,
    "address": _address,
    "schedule": _schedule,
    "holiday_schedule": _holiday,
    "attribute": _attribute,
    "taxonomy_term": _term,
    "taxonomy": _taxonomy,
    "language": _renamed("language", {"language": "name"}),
    "accessibility": _renamed("accessibility", {"accessibility": "description"}),
    "service_area": _renamed("service_area", {"service_area": "name"}),
}


def day_of(told: object) -> date | None:
    """Answer a day as older packages write it; None where it is none."""
    for form in DATES:
        try:
            return datetime.strptime(str(told).strip(), form).date()  # noqa: DTZ007 - a day has no time zone
        except ValueError:
            continue
    return None


def holiday(row: Mapping[str, Any]) -> tuple[Values, str | None]:
    """Answer a holiday as an HSDS schedule, and as a rule of OpenStreetMap's opening hours where it can be one."""
    first, last = day_of(row.get("start_date")), day_of(row.get("end_date") or row.get("start_date"))
    opens, closes = row.get("opens_at"), row.get("closes_at")
    closed = str(row.get("closed", "")).lower() in YES or not (opens and closes)
    told = "Closed" if closed else f"Open {opens}-{closes}"
    if first is None or last is None:
        return {"description": f"{told}: {row.get('start_date')} - {row.get('end_date')}"}, None
    yearly = first.year == EVERY_YEAR
    days = " - ".join(dict.fromkeys(_written(day, yearly=yearly) for day in (first, last)))
    schedule: Values = {"description": f"{told}: {days}{', every year' if yearly else ''}"}
    if not yearly:
        schedule |= {"valid_from": first.isoformat(), "valid_to": last.isoformat()}
    if not closed:
        schedule |= {"opens_at": opens, "closes_at": closes}
    timed = re.fullmatch(r"\d{2}:\d{2}-\d{2}:\d{2}", f"{opens}-{closes}")
    if not closed and not timed:
        return schedule, None
    return schedule, f"{days.replace(' - ', '-')} {'off' if closed else f'{opens}-{closes}'}"


def _written(day: date, *, yearly: bool) -> str:
    return f"{'' if yearly else f'{day.year} '}{MONTHS[day.month - 1]} {day.day:02}"
