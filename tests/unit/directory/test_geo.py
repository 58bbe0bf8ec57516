"""Distances: the one that the index sorts by is the one along the ground."""

from math import dist

import pytest
from geographiclib.geodesic import Geodesic
from hypothesis import given
from hypothesis import strategies as st

from relais_directory.domain.geo import chord_m, geodesic_m, position

NEAR_M = 100_000
"""The widest search."""
OFF_M = 0.02
"""Metres of error up to there, anywhere on earth, in any direction; the worst is 0.012, at the equator."""
OFF_RELATIVE = 2e-7
"""The same as a part of the distance; nearer is better, the error grows with its cube."""

LATITUDES = st.floats(-90, 90)
LONGITUDES = st.floats(-180, 180)
BEARINGS = st.floats(0, 360)


def told(latitude: float, longitude: float, bearing: float, metres: float) -> float:
    """Answer what we say is the way to a point that lies this far away."""
    there = Geodesic.WGS84.Direct(latitude, longitude, bearing, metres)
    return geodesic_m(dist(position(latitude, longitude), position(there["lat2"], there["lon2"])))


@given(LATITUDES, LONGITUDES, BEARINGS, st.floats(0, NEAR_M))
def test_a_distance_is_the_geodesic(latitude: float, longitude: float, bearing: float, metres: float) -> None:
    off = abs(told(latitude, longitude, bearing, metres) - metres)
    assert off <= OFF_M
    # Below a kilometre it is the reference's own rounding that is left.
    assert off <= max(metres * OFF_RELATIVE, 1e-6)


@given(st.floats(0, 20_000_000))
def test_chord_and_ground_are_each_others_inverse(metres: float) -> None:
    assert geodesic_m(chord_m(metres)) == pytest.approx(metres, rel=1e-9, abs=1e-6)
    assert chord_m(metres) <= metres + 1e-9


@given(LATITUDES, LONGITUDES)
def test_a_position_lies_on_the_ellipsoid(latitude: float, longitude: float) -> None:
    x, y, z = position(latitude, longitude)
    equator, pole = 6_378_137.0, 6_356_752.314245
    assert (x**2 + y**2) / equator**2 + z**2 / pole**2 == pytest.approx(1, abs=1e-12)


def test_the_other_side_of_the_earth_has_a_distance() -> None:
    assert geodesic_m(dist(position(0, 0), position(0, 180))) == pytest.approx(20_015_000, rel=1e-3)
