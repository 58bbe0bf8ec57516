"""How far a grant reaches: the themes and municipalities within which an organisation may write (design 3)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from relais_directory.domain.areas import codes_of


def beyond(
    limits: Mapping[str, Any], themes: Sequence[str], areas: Sequence[tuple[str, str | None]]
) -> list[tuple[str, str]]:
    """Answer what of a service lies beyond the limits of a grant: a place in its record, and why; none: all within.

    Args:
        limits: `themes` (a parent takes its children) and `municipalities` (or whole départements, `fr:974`); each
            absent or empty where it is not limited.
        themes: Of the service.
        areas: Where in the record an area is told, and its code; none where it is not known, or everywhere.
    """
    found = []
    if allowed := frozenset(limits.get("themes") or ()):
        found += [
            (f"/themes/{number}", "Your grant does not reach this theme.")
            for number, slug in enumerate(themes)
            if not _covered(slug, allowed)
        ]
        if not themes:
            found.append(("/themes", "Your grant is for some themes: name one of them."))
    if allowed := frozenset(limits.get("municipalities") or ()):
        found += [
            (where, "Your grant does not reach this area.")
            for where, code in areas
            if not allowed & set(codes_of(code))
        ]
    return found


def _covered(slug: str, allowed: Collection[str]) -> bool:
    return slug in allowed or slug.partition("--")[0] in allowed
