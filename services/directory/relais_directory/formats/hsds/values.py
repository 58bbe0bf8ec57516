"""What stands in HSDS documents, read with care: nothing there has to be what the standard says."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from relais_directory.formats import naming
from relais_directory.formats.hsds.terms import (
    AUDIENCES,
    OWN,
    THEMES,
)
from relais_directory.formats.schedules import clock

NUMBERS: Final = frozenset(
    {
        "latitude", "longitude", "extension", "timezone", "count", "interval", "amount", "minimum_age", "maximum_age",
        "year_incorporated", "available", "maximum",
    }
)  # fmt: skip
"""Members that hold a number; a number anywhere else (a postcode, an identifier) is a text."""

DATES: Final = frozenset({"assured_date", "valid_from", "valid_to", "dtstart", "until"})
"""Members that hold a day; many write a moment there."""


def parted(given: Any) -> tuple[list[tuple[str, Any]], list[Any]]:  # noqa: ANN401 - whatever stood there
    """Answer the attributes of our taxonomy `relais` as code and value, and the others."""
    own, others = [], []
    for attribute in list_of(given):
        taxonomy, code, value = of_ours(attribute)
        if taxonomy == OWN:
            own.append((code, value))
        else:
            others.append(attribute)
    return own, others


def of_ours(attribute: Any) -> tuple[str, str, Any]:  # noqa: ANN401 - whatever stood there
    """Answer the taxonomy of ours that an attribute is of (empty: none), its code, and its value."""
    term = attribute.get("taxonomy_term") if isinstance(attribute, Mapping) else None
    if not isinstance(term, Mapping):
        return "", "", None
    detail = term.get("taxonomy_detail")
    taxonomy = term.get("taxonomy") or (detail.get("name") if isinstance(detail, Mapping) else None)
    if not isinstance(taxonomy, str) or taxonomy not in {THEMES, AUDIENCES, OWN}:
        return "", "", None
    return taxonomy, str(term.get("code")), attribute.get("value")


def parsed(value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Answer what a JSON text says; the text itself, for the judgement to refuse, where it is none."""
    try:
        return json.loads(value)
    except (TypeError, ValueError, RecursionError):
        return value


def together(first: list[Any], second: list[Any]) -> list[Any]:
    """Answer two lists of parts as one, each part once: publishers repeat a place's phone for the service there."""
    kept: list[Any] = []
    for part in (*first, *second):
        id_ = part.get("id") if isinstance(part, Mapping) else None
        if part not in kept and not (id_ and any(isinstance(one, Mapping) and one.get("id") == id_ for one in kept)):
            kept.append(part)
    return kept


def told(value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Answer a value without blanks around it; None where it is empty."""
    if isinstance(value, str):
        value = value.strip()
    return None if value in ("", None, [], {}) else value


def scalar(name: str, value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Answer a plain member in the spelling of the record; what cannot be read stays, for the judgement to refuse."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if name in NUMBERS else str(value)
    if not isinstance(value, str):
        return value
    if name in DATES and value[10:11] in {"T", " "}:
        return value[:10]
    return _SPELT[name](value) or value if name in _SPELT else value


def _time(text: str) -> str | None:
    return text if re.fullmatch(r"\d{2}:\d{2}.*", text) else clock(text)


_SPELT: Final[Mapping[str, Callable[[str], str | None]]] = {
    "opens_at": _time,
    "closes_at": _time,
    "freq": str.upper,
    "wkst": str.upper,
    "byday": str.upper,
    "country": naming.country,
}
"""How members that others spell in many ways are read; None where they cannot be."""


def list_of(value: Any) -> list[Any]:  # noqa: ANN401 - JSON of any shape
    """Answer a list; an empty one where it is none."""
    return value if isinstance(value, list) else []


def uuid_of(value: Any) -> UUID | None:  # noqa: ANN401 - JSON of any shape
    """Answer a UUID; None where it is none."""
    try:
        return value if isinstance(value, UUID) else UUID(value)
    except (ValueError, TypeError, AttributeError):
        return None
