"""Municipalities in memory by their points: which one a place is in costs no question to the database."""

from collections.abc import Iterable
from math import dist, floor
from typing import Final

from relais_directory.domain.geo import position

CELLS_PER_DEGREE: Final = 10
"""Cells of a tenth of a degree hold some ten communes each."""

SURE_WITHIN_M: Final = 5_000
"""A point found so near is the nearest of its ring: a tenth of a degree of longitude is longer up to 63° north."""

RINGS: Final = (1, 2, 4)
"""Cells looked at around the point's own, and wider where none of them is near enough: 20 km in the end."""


class Municipalities:
    """The points of municipalities, by cell of a grid.

    Args:
        rows: Code, latitude, longitude of each.
    """

    def __init__(self, rows: Iterable[tuple[str, float, float]]) -> None:
        self._cells: dict[tuple[int, int], list[tuple[str, tuple[float, float, float]]]] = {}
        for code, latitude, longitude in rows:
            cell = self._cells.setdefault(_cell(latitude, longitude), [])
            cell.append((code, position(latitude, longitude)))

    def __bool__(self) -> bool:
        """Say whether any is known: a directory that starts for the first time has no gazetteer yet."""
        return bool(self._cells)

    def nearest(self, latitude: float, longitude: float) -> str | None:
        """Answer the municipality whose point is nearest; None where none is near enough to be sure of it."""
        row, column = _cell(latitude, longitude)
        here = position(latitude, longitude)
        for ring in RINGS:
            around = range(-ring, ring + 1)
            found = min(
                (
                    (dist(here, at), code)
                    for north in around
                    for east in around
                    for code, at in self._cells.get((row + north, column + east), ())
                ),
                default=None,
            )
            if found and found[0] <= ring * SURE_WITHIN_M:
                return found[1]
        return None


def _cell(latitude: float, longitude: float) -> tuple[int, int]:
    return floor(latitude * CELLS_PER_DEGREE), floor(longitude * CELLS_PER_DEGREE)
