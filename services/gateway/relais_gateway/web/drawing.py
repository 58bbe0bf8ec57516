"""Maps as drawings: places projected on a small sheet, without tiles and without a script."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import cos, hypot, radians
from typing import Any, Final

WIDTH, HEIGHT = 540, 520
"""Units of the drawing; it scales to the column it stands in."""
MARGIN = 34
"""Units kept free around the places, so that no mark is cut."""
KM_PER_DEGREE = 111.2
"""Along a meridian; a drawing of some tens of kilometres needs no more."""
NARROWEST_KM = 1.2
"""Half the width shown at least: one place alone still needs its surroundings."""
APART = 25.0
"""Units between two marks, so that both can be read and pressed."""
ROUNDS = 60
"""Of pushing marks apart: twenty at one spot need about forty."""
LONGEST_NAME = 18
"""Characters of a name that still fit between its neighbours."""
EDGE_ACROSS, EDGE_DOWN = 60, 24
"""Units from the rim within which a name would be cut."""
RINGS_KM: Final = (1, 2, 5, 10, 20, 50, 100)

NARROWEST_WALK_KM = 0.12
"""The same for a walk: a stop before the door still stands beside it."""
APART_ON_A_WALK = 64.0
"""Units between two marks of a walk: they are large, and drawn on a small sheet."""
METRES_A_MINUTE = 70
"""A slow walk, with a child by the hand."""
DETOUR = 1.3
"""Metres to walk for each metre as the crow flies, as the directory reckons it."""
RINGS_MINUTES: Final = (2, 3, 5, 10, 15)

Position = tuple[float, float]
"""Latitude, longitude."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One place on the sheet: the number of its card, and where."""

    number: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Outline:
    """One outline as it came: its name, its rings (longitude first), and the corners that hold them all."""

    name: str
    rings: tuple[tuple[Sequence[float], ...], ...]
    south_west: Position
    north_east: Position


@dataclass(frozen=True, slots=True)
class Land:
    """One outline as an SVG path, with its name where there is room for it."""

    path: str
    name: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """All that the map shows; `ring` is the radius of the circle of `ring_km` around the point searched from."""

    lands: tuple[Land, ...]
    marks: tuple[Mark, ...]
    here: tuple[float, float] | None
    ring: float
    ring_km: int


@dataclass(frozen=True, slots=True)
class Walk:
    """The last steps to a place: the stops around it, and the circle that one walks to within `minutes`.

    Of the sheet only what lies between `top` and `bottom` holds a mark or the place.
    """

    marks: tuple[Mark, ...]
    here: tuple[float, float]
    ring: float
    minutes: int
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class _Sheet:
    middle: Position
    units_per_km: float

    def put(self, latitude: float, longitude: float) -> tuple[float, float]:
        east = (longitude - self.middle[1]) * KM_PER_DEGREE * cos(radians(self.middle[0]))
        north = (latitude - self.middle[0]) * KM_PER_DEGREE
        return WIDTH / 2 + east * self.units_per_km, HEIGHT / 2 - north * self.units_per_km


def outlines_of(features: Iterable[Mapping[str, Any]]) -> tuple[Outline, ...]:
    """Answer GeoJSON features (polygons, longitude first) ready to be drawn; done once for all."""
    found = []
    for feature in features:
        geometry = feature.get("geometry") or {}
        shapes = geometry.get("coordinates") or []
        if geometry.get("type") == "Polygon":
            shapes = [shapes]
        rings = tuple(tuple(ring) for shape in shapes for ring in shape)
        points = [point for ring in rings for point in ring]
        if points:
            east_west, north_south = [point[0] for point in points], [point[1] for point in points]
            # The names of several municipalities stand in one; the first is the one people know.
            name = str((feature.get("properties") or {}).get("name") or "").partition(",")[0]
            south_west, north_east = (min(north_south), min(east_west)), (max(north_south), max(east_west))
            found.append(Outline(name, rings, south_west, north_east))
    return tuple(found)


def draw(outlines: Iterable[Outline], places: Mapping[int, Position], here: Position | None) -> Drawing | None:
    """Draw places by number; nothing where there is neither a place nor a point to look from.

    Args:
        outlines: Lines to find one's way by.
        places: Where each numbered card is.
        here: The point searched from.
    """
    shown = [*places.values(), *([here] if here else [])]
    if not shown:
        return None
    sheet = _sheet(shown, here, NARROWEST_KM)
    ring_km = next((km for km in RINGS_KM if km * sheet.units_per_km >= HEIGHT / 7), RINGS_KM[-1])
    marks = _apart(
        [Mark(number, *sheet.put(*place)) for number, place in places.items()],
        keep_off=sheet.put(*here) if here else None,
    )
    return Drawing(
        lands=tuple(_lands(outlines, sheet)),
        marks=marks,
        here=_rounded(sheet.put(*here)) if here else None,
        ring=round(ring_km * sheet.units_per_km, 1),
        ring_km=ring_km,
    )


def draw_walk(here: Position, stops: Mapping[int, Position]) -> Walk | None:
    """Draw the stops by number around the place that one walks to; nothing where none is known."""
    if not stops:
        return None
    sheet = _sheet([here, *stops.values()], here, NARROWEST_WALK_KM)
    middle = sheet.put(*here)
    rings = {each: each * METRES_A_MINUTE / DETOUR / 1000 * sheet.units_per_km for each in RINGS_MINUTES}
    minutes = max((each for each, radius in rings.items() if radius <= HEIGHT / 2 - MARGIN), default=RINGS_MINUTES[0])
    marks = _apart([Mark(number, *sheet.put(*stop)) for number, stop in stops.items()], middle, APART_ON_A_WALK)
    down = [middle[1] - APART_ON_A_WALK, middle[1] + MARGIN, *(mark.y for mark in marks)]
    top, bottom = max(0.0, min(down) - MARGIN), min(float(HEIGHT), max(down) + MARGIN)
    return Walk(marks, _rounded(middle), round(rings[minutes], 1), minutes, round(top, 1), round(bottom, 1))


def _sheet(shown: Sequence[Position], here: Position | None, narrowest_km: float) -> _Sheet:
    south, north = min(each[0] for each in shown), max(each[0] for each in shown)
    west, east = min(each[1] for each in shown), max(each[1] for each in shown)
    middle = here or ((south + north) / 2, (west + east) / 2)
    wide = max(abs(east - middle[1]), abs(west - middle[1])) * KM_PER_DEGREE * cos(radians(middle[0]))
    high = max(abs(north - middle[0]), abs(south - middle[0])) * KM_PER_DEGREE
    scale = min(
        (WIDTH / 2 - MARGIN) / max(wide, narrowest_km),
        (HEIGHT / 2 - MARGIN) / max(high, narrowest_km),
    )
    return _Sheet(middle, scale)


def _lands(outlines: Iterable[Outline], sheet: _Sheet) -> list[Land]:
    lands, named = [], set[str]()
    for outline in outlines:
        if not _touches([sheet.put(*outline.south_west), sheet.put(*outline.north_east)]):
            continue
        rings = [[sheet.put(point[1], point[0]) for point in ring] for ring in outline.rings]
        rings = [ring for ring in rings if _touches(ring)]
        if not rings:
            continue
        largest = max(rings, key=len)
        x = sum(point[0] for point in largest) / len(largest)
        y = sum(point[1] for point in largest) / len(largest)
        inside = EDGE_ACROSS < x < WIDTH - EDGE_ACROSS and EDGE_DOWN < y < HEIGHT - EDGE_DOWN
        room = inside and len(outline.name) <= LONGEST_NAME and outline.name not in named
        if room:
            named.add(outline.name)
        path = "".join(_path(ring) for ring in rings)
        lands.append(Land(path, outline.name if room else "", round(x), round(y)))
    return lands


def _touches(ring: Sequence[tuple[float, float]]) -> bool:
    across, down = [point[0] for point in ring], [point[1] for point in ring]
    return max(across) >= 0 and min(across) <= WIDTH and max(down) >= 0 and min(down) <= HEIGHT


def _path(ring: Sequence[tuple[float, float]]) -> str:
    """Answer a closed path in whole units; points that fall together are one."""
    steps: list[str] = []
    last: tuple[int, int] | None = None
    for point in ring:
        # What lies far off the sheet needs no detail: it is held to a frame around it.
        here = (
            round(min(max(point[0], -WIDTH), 2 * WIDTH)),
            round(min(max(point[1], -HEIGHT), 2 * HEIGHT)),
        )
        if here == last:
            continue
        steps.append(f"M{here[0]} {here[1]}" if last is None else f"l{here[0] - last[0]} {here[1] - last[1]}")
        last = here
    return "".join(steps) + "z"


def _apart(marks: Sequence[Mark], keep_off: tuple[float, float] | None, room: float = APART) -> tuple[Mark, ...]:
    """Answer marks moved just so far that none hides another, nor the point searched from.

    The same marks always move the same way.
    """
    rim = min(MARGIN, 0.64 * room)
    spots = [(mark.x, mark.y) for mark in marks]
    for _ in range(ROUNDS):
        moved = False
        for first in range(len(spots)):
            for second in range(first + 1, len(spots)):
                (ax, ay), (bx, by) = spots[first], spots[second]
                gap = hypot(bx - ax, by - ay)
                if gap >= room:
                    continue
                # Two marks on one spot part sideways, by their order.
                along = ((bx - ax) / gap, (by - ay) / gap) if gap > 0 else (1.0, 0.15 * (second - first))
                push = (room - gap) / 2 + 0.1
                spots[first] = (ax - along[0] * push, ay - along[1] * push)
                spots[second] = (bx + along[0] * push, by + along[1] * push)
                moved = True
        if keep_off is not None:
            spots = [_off(spot, keep_off, number, room) for number, spot in enumerate(spots)]
        # What was pushed over the rim comes back, and pushes in turn.
        spots = [(min(max(x, rim), WIDTH - rim), min(max(y, rim), HEIGHT - rim)) for x, y in spots]
        if not moved:
            break
    return tuple(Mark(mark.number, *_rounded(spot)) for mark, spot in zip(marks, spots, strict=True))


def _off(spot: tuple[float, float], point: tuple[float, float], number: int, room: float) -> tuple[float, float]:
    across, down = spot[0] - point[0], spot[1] - point[1]
    gap = hypot(across, down)
    if gap >= room:
        return spot
    along = (across / gap, down / gap) if gap > 0 else (1.0 - 2.0 * (number % 2), 0.0)
    return point[0] + along[0] * room, point[1] + along[1] * room


def _rounded(point: tuple[float, float]) -> tuple[float, float]:
    return round(point[0], 1), round(point[1], 1)
