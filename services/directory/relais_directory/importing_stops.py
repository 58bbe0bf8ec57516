"""The import of public transport's stops, and what they change: every place learns its nearest ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from relais_directory import store
from relais_directory.domain.geo import position
from relais_directory.formats import gtfs

TOLD = 1_000
"""Refusals kept in the report; the rest is counted."""


@dataclass(slots=True)
class Report:
    """What came of it: read = taken + skipped + refused."""

    source: str
    read: int = 0
    taken: int = 0
    skipped: int = 0
    refused: int = 0
    gone: int = 0
    places: int = 0
    """Places whose nearest stops changed."""
    refusals: list[Mapping[str, Any]] = field(default_factory=list)


async def run(connection: asyncpg.Connection, path: Path, source: str, kind: str | None = None) -> Report:
    """Import the stops of a feed; those that it no longer holds are gone. All of it, or nothing.

    Args:
        connection: To the directory's database, in no transaction.
        path: A GTFS feed (folder, zip, stops.txt) or a table of stops.
        source: Under which name they stand.
        kind: bus, tram, train, metro, where all of them are one.

    Raises:
        UnreadableFile: It cannot be read; nothing was changed.
    """
    report = Report(source)
    rows = []
    for one in gtfs.stops(path):
        report.read += 1
        if isinstance(one, gtfs.StopRow):
            report.taken += 1
            at = list(position(one.latitude, one.longitude))
            rows.append((one.stop_id, one.name, one.kind or kind, one.latitude, one.longitude, at))
        elif one.skipped:
            report.skipped += 1
        else:
            report.refused += 1
            if len(report.refusals) < TOLD:
                report.refusals.append(
                    {"line": one.line, "record": one.stop_id, "field": one.field, "reason": one.reason}
                )
    if not rows:
        # An empty table, or one with a column renamed: no sign that the last bus has gone.
        return report
    async with connection.transaction():
        await connection.execute("set local statement_timeout = 0")
        report.gone = await store.put_stops(connection, source, rows)
        report.places = await store.renew_stops(connection)
    return report
