"""The search for duplicates: pairs of different sources that may be one service, proposed with their reasons."""

from datetime import datetime
from uuid import UUID

import orjson

from relais_directory import duplicates_store
from relais_directory.domain.duplicates import PROPOSED_FROM, SAME_PLACE_M, Entry, compare, digits
from relais_directory.domain.geo import geodesic_m
from relais_directory.store import Connection, Row

AT_ONCE = 2_000
"""Entries looked at in one call: a few seconds, also in a directory of a hundred thousand."""


async def run(connection: Connection, now: datetime, after: UUID | None = None) -> tuple[int, UUID | None]:
    """Compare some entries with all others; answer how many pairs were proposed, and behind which entry to go on.

    Pairs on which somebody decided, and those that wait for it, are left as they are. Nothing is merged.
    """
    ids = await duplicates_store.slice_of(connection, after, AT_ONCE)
    pairs = await duplicates_store.near_pairs(connection, ids, SAME_PLACE_M)
    entries = await duplicates_store.compared(
        connection, list({row[side] for row in pairs for side in ("one", "other")})
    )
    known = {id_: _entry(row) for id_, row in entries.items()}
    proposed = 0
    for row in pairs:
        chord = row["distance_m"]
        distance = None if chord is None else geodesic_m(chord)
        score, reasons = compare(known[row["one"]], known[row["other"]], distance)
        if score >= PROPOSED_FROM:
            await duplicates_store.propose(connection, row["one"], row["other"], score, reasons, now)
            proposed += 1
    return proposed, ids[-1] if len(ids) == AT_ONCE else None


def _entry(row: Row) -> Entry:
    record = orjson.loads(row["record"])
    # A confidential place would tell itself by being compared.
    places = [place for place in record.get("locations", ()) if not place.get("confidential")]
    numbers = [*record.get("phones", ()), *(phone for place in places for phone in place.get("phones", ()))]
    return Entry(
        row["name"],
        row["organisation"],
        frozenset(digits(phone["number"]) for phone in numbers),
        record.get("email"),
        frozenset(place["address"]["street"] for place in places if place["address"].get("street")),
        frozenset(record.get("themes", ())),
    )
