"""Stops of public transport: from a GTFS feed (folder, zip, stops.txt), or from a list that names its columns so."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final, TextIO

from relais_directory.formats import archives, reading
from relais_directory.formats.reading import Row, UnreadableFile

NAMES: Final = {
    "stop_id": ("stop_id", "stop_index", "uri", "id"),
    "name": ("stop_name", "name", "nom"),
    "latitude": ("stop_lat", "lat", "latitude"),
    "longitude": ("stop_lon", "lon", "longitude", "lng", "long"),
    "kind": ("location_type",),
}
"""How GTFS, and lists that are none, call what is read."""

SKIPPED: Final = {"2": "an entrance", "3": "a point inside a station", "4": "a boarding area"}
"""Kinds of points (GTFS location_type) where nobody waits for a bus."""


@dataclass(frozen=True, slots=True)
class StopRow:
    """One stop; the point in degrees, WGS 84."""

    line: int
    stop_id: str
    name: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row is no stop; `skipped` where it never was to be one."""

    line: int
    stop_id: str | None
    field: str
    reason: str
    skipped: bool = False


def stops(path: Path) -> Iterator[StopRow | Fault]:
    """Answer the stops of a feed, each once, and why a row is none.

    Raises:
        UnreadableFile: It is no feed and no list of stops.
    """
    seen: set[str] = set()
    for row in _rows(path):
        found = _stop(row)
        if isinstance(found, StopRow):
            if found.stop_id in seen:
                found = Fault(row.line, found.stop_id, "stop_id", "Twice in this file.")
            else:
                seen.add(found.stop_id)
        yield found


def _rows(path: Path) -> Iterator[Row]:
    if path.is_dir():
        path = path / "stops.txt"
    if path.suffix.lower() == ".zip":
        with archives.opened(path) as archive:
            name = next((one for one in archive.namelist() if one.rpartition("/")[2] == "stops.txt"), None)
            if name is None:
                raise UnreadableFile(f"{path.name} holds no stops.txt.")
            with _text(archives.entry(archive, name)) as text:
                reader = csv.DictReader(text)
                for values in reader:
                    yield Row(reader.line_num, values)
        return
    yield from reading.rows(path)


@contextmanager
def _text(raw: Any) -> Iterator[TextIO]:  # noqa: ANN401 - a binary stream of any kind
    with TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
        try:
            yield text
        except (UnicodeDecodeError, csv.Error) as fault:
            raise UnreadableFile(f"stops.txt cannot be read: {fault}.") from None


def _stop(row: Row) -> StopRow | Fault:  # noqa: PLR0911 - one answer for each reason
    if not isinstance(row.values, dict):
        raise UnreadableFile("A list of stops is a table.")
    values = {str(name).strip().lower(): value for name, value in row.values.items()}
    told = {
        name: str(next((values[one] for one in ways if values.get(one) not in (None, "")), "")).strip()
        for name, ways in NAMES.items()
    }
    id_ = told["stop_id"] or None
    if id_ is None:
        return Fault(row.line, None, "stop_id", "No id.")
    if told["kind"] in SKIPPED:
        return Fault(row.line, id_, "location_type", f"{SKIPPED[told['kind']].capitalize()}, no stop.", skipped=True)
    if not told["name"]:
        return Fault(row.line, id_, "stop_name", "No name.")
    try:
        latitude, longitude = float(told["latitude"]), float(told["longitude"])
    except ValueError:
        return Fault(row.line, id_, "stop_lat", "No point.")
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):  # noqa: PLR2004 - the poles and the date line
        return Fault(row.line, id_, "stop_lat", "A point that is not on earth.")
    if latitude == 0 and longitude == 0:
        return Fault(row.line, id_, "stop_lat", "A point in the sea off Africa: none was told.")
    return StopRow(row.line, id_, _name(told["name"]), latitude, longitude)


def _name(told: str) -> str:
    """Answer a name as people read it: feeds shout."""
    told = " ".join(told.split())
    return told.title() if told == told.upper() else told
