"""Stops of public transport: from a GTFS feed (folder, zip, stops.txt), or from a list that names its columns so."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Final

from relais_directory.formats import archives, reading
from relais_directory.formats.reading import Row, UnreadableFile

NAMES: Final = {
    "stop_id": ("stop_id", "stop_index", "uri", "id"),
    "name": ("stop_name", "name", "nom"),
    "latitude": ("stop_lat", "lat", "latitude"),
    "longitude": ("stop_lon", "lon", "longitude", "lng", "long"),
    "place": ("location_type",),
    "parent": ("parent_station", "parent_stop"),
}
"""How GTFS, and lists that are none, call what is read."""

SKIPPED: Final = {"2": "an entrance", "3": "a point inside a station", "4": "a boarding area"}
"""Kinds of points (GTFS location_type) where nobody waits for a bus."""


KINDS: Final = {
    "0": "tram", "1": "metro", "2": "train", "3": "bus", "5": "tram", "11": "bus", "12": "train",
    "1xx": "train", "2xx": "bus", "4xx": "metro", "7xx": "bus", "8xx": "bus", "9xx": "tram",
}  # fmt: skip
"""What a route is, by its GTFS route_type, or by the hundred of the extended ones; ferries and cable cars are none."""

FIRST: Final = ("train", "metro", "tram", "bus")
"""Of several kinds that serve a stop the one that it is known for."""


@dataclass(frozen=True, slots=True)
class StopRow:
    """One stop; the point in degrees, WGS 84; `kind` where routes tell it, `parent` the id of its station."""

    line: int
    stop_id: str
    name: str
    latitude: float
    longitude: float
    kind: str | None = None
    parent: str | None = None


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
    kinds = _kinds(path)
    seen: set[str] = set()
    for row in _rows(path, "stops.txt"):
        found = _stop(row, kinds)
        if isinstance(found, StopRow):
            if found.stop_id in seen:
                found = Fault(row.line, found.stop_id, _columns(row.values)["stop_id"], "Twice in this file.")
            else:
                seen.add(found.stop_id)
        yield found


def _kinds(path: Path) -> Mapping[str, str]:
    """Answer what serves each stop, and each station by its stops; of "" what serves all, where it is one kind.

    Only a whole feed tells it: routes have trips, and trips call at stops.
    """
    if not _holds(path, "routes.txt"):
        return {}
    routes = {_told(row, "route_id"): _kind(_told(row, "route_type")) for row in _rows(path, "routes.txt")}
    if len(set(routes.values())) == 1:
        (alone,) = set(routes.values())
        return {"": alone} if alone else {}
    if not (_holds(path, "trips.txt") and _holds(path, "stop_times.txt")):
        return {}
    trips = {_told(row, "trip_id"): routes.get(_told(row, "route_id")) for row in _rows(path, "trips.txt")}
    found: dict[str, str] = {}

    def serve(stop: str, kind: str | None) -> None:
        if stop and kind and (stop not in found or FIRST.index(kind) < FIRST.index(found[stop])):
            found[stop] = kind

    for row in _rows(path, "stop_times.txt"):
        serve(_told(row, "stop_id"), trips.get(_told(row, "trip_id")))
    for row in _rows(path, "stops.txt"):
        serve(_told(row, "parent_station"), found.get(_told(row, "stop_id")))
    return found


def _kind(route_type: str) -> str | None:
    return KINDS.get(route_type) or KINDS.get(f"{route_type[:1]}xx" if len(route_type) == 3 else "")  # noqa: PLR2004 - the extended ones have three digits


def _told(row: Row, column: str) -> str:
    return str(row.values.get(column) or "").strip()


def _holds(path: Path, name: str) -> bool:
    if path.suffix.lower() != ".zip":
        return path.is_dir() and (path / name).is_file()
    with archives.opened(path) as archive:
        return any(one.rpartition("/")[2] == name for one in archive.namelist())


def _rows(path: Path, name: str) -> Iterator[Row]:
    """Answer the rows of a feed's table, or of the file where it is none."""
    if path.is_dir():
        path = path / name
    if path.suffix.lower() != ".zip":
        yield from reading.rows(path)
        return
    with archives.opened(path) as archive:
        inside = next((one for one in archive.namelist() if one.rpartition("/")[2] == name), None)
        if inside is None:
            raise UnreadableFile(f"{path.name} holds no {name}.")
        # GTFS is UTF-8, and its cells are parted by commas.
        with TextIOWrapper(archives.entry(archive, inside), encoding="utf-8-sig", newline="") as text:
            try:
                yield from reading.table(text, ",")
            except (UnicodeDecodeError, UnreadableFile) as fault:
                raise UnreadableFile(f"{name} in {path.name}: {fault}") from None


def _columns(values: Mapping[str, object]) -> Mapping[str, str]:
    """Answer how a list calls what is read, or how GTFS would."""
    there = {str(name).strip().lower(): str(name) for name in values}
    return {
        name: next((there[one] for one in ways if values.get(there.get(one, "")) not in (None, "")), ways[0])
        for name, ways in NAMES.items()
    }


def _stop(row: Row, kinds: Mapping[str, str]) -> StopRow | Fault:  # noqa: PLR0911 - one answer for each reason
    if not isinstance(row.values, dict):
        raise UnreadableFile("A list of stops is a table.")
    columns = _columns(row.values)
    told = {name: _told(row, column) for name, column in columns.items()}
    id_ = told["stop_id"] or None
    if id_ is None:
        return Fault(row.line, None, columns["stop_id"], "No id.")
    if told["place"] in SKIPPED:
        return Fault(row.line, id_, columns["place"], f"{SKIPPED[told['place']].capitalize()}, no stop.", skipped=True)
    if not told["name"]:
        return Fault(row.line, id_, columns["name"], "No name.")
    point = {}
    for name, limit in (("latitude", 90), ("longitude", 180)):
        try:
            point[name] = float(told[name])
        except ValueError:
            return Fault(row.line, id_, columns[name], "Not a number." if told[name] else "No point.")
        if not abs(point[name]) <= limit:
            return Fault(row.line, id_, columns[name], "A point that is not on earth.")
    if not any(point.values()):
        return Fault(row.line, id_, columns["latitude"], "A point in the sea off Africa: none was told.")
    kind = kinds.get(id_) or kinds.get("")
    return StopRow(row.line, id_, _name(told["name"]), **point, kind=kind, parent=told["parent"] or None)


def _name(told: str) -> str:
    """Answer a name as people read it: feeds shout."""
    told = " ".join(told.split())
    return told.title() if told == told.upper() else told
