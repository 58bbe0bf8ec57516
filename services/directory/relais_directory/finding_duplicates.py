"""The search for duplicates: pairs of different sources that may be one service, proposed with their reasons."""

from datetime import datetime

import orjson

from relais_directory import upkeep_store
from relais_directory.domain.duplicates import PROPOSED_FROM, SAME_PLACE_M, Entry, compare, digits
from relais_directory.domain.geo import geodesic_m
from relais_directory.store import Connection, Row

AT_ONCE = 20_000
"""Pairs looked at in one run; the next run goes on with others."""


async def run(connection: Connection, now: datetime) -> int:
    """Look for pairs on which nobody decided yet; answer how many were proposed."""
    pairs = await upkeep_store.near_pairs(connection, SAME_PLACE_M, AT_ONCE)
    entries = await upkeep_store.compared(connection, list({row[side] for row in pairs for side in ("one", "other")}))
    known = {id_: _entry(row) for id_, row in entries.items()}
    proposed = 0
    for row in pairs:
        chord = row["distance_m"]
        distance = None if chord is None else geodesic_m(chord)
        score, reasons = compare(known[row["one"]], known[row["other"]], distance)
        if score >= PROPOSED_FROM:
            await upkeep_store.propose(connection, row["one"], row["other"], score, reasons, now)
            proposed += 1
    return proposed


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
        places[0]["address"].get("street") if places else None,
        frozenset(record.get("themes", ())),
    )
