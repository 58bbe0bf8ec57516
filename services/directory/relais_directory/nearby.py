"""Municipalities in memory by their points: which one a place is in costs no question to the database."""

from collections.abc import Iterable
from math import dist, floor
from typing import Final

from relais_directory.domain.geo import position

CELLS_PER_DEGREE: Final = 10
"""Cells of a tenth of a degree hold some ten communes each."""

SURE_WITHIN_M: Final = 5_000
"""A point found within this distance is the nearest: a tenth of a degree of longitude is longer up to 63° north."""


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

    def nearest(self, latitude: float, longitude: float) -> str | None:
        """Answer the municipality whose point is nearest; None where none is near enough to be sure of it."""
        row, column = _cell(latitude, longitude)
        here = position(latitude, longitude)
        found = min(
            (
                (dist(here, at), code)
                for north in (-1, 0, 1)
                for east in (-1, 0, 1)
                for code, at in self._cells.get((row + north, column + east), ())
            ),
            default=None,
        )
        return found[1] if found and found[0] <= SURE_WITHIN_M else None


def _cell(latitude: float, longitude: float) -> tuple[int, int]:
    return floor(latitude * CELLS_PER_DEGREE), floor(longitude * CELLS_PER_DEGREE)
