"""Where things are: positions on the WGS 84 ellipsoid, and how far they are from each other."""

from collections.abc import Sequence
from math import asin, atan2, cos, degrees, hypot, radians, sin, sqrt
from typing import Final

SEMI_MAJOR_M: Final = 6_378_137.0
"""The ellipsoid's equatorial radius (WGS 84)."""
ECCENTRICITY_SQUARED: Final = 6.694379990141316e-3
"""The ellipsoid's first eccentricity, squared (WGS 84)."""
MEAN_RADIUS_M: Final = 6_371_008.8
"""The radius of the sphere that bends like the ellipsoid on average (IUGG)."""


def position(latitude: float, longitude: float) -> tuple[float, float, float]:
    """Answer the earth-centred position of a point, in metres; what the index keeps.

    Args:
        latitude: Degrees, north positive.
        longitude: Degrees, east positive.
    """
    phi, lam = radians(latitude), radians(longitude)
    normal = SEMI_MAJOR_M / sqrt(1 - ECCENTRICITY_SQUARED * sin(phi) ** 2)
    return (
        normal * cos(phi) * cos(lam),
        normal * cos(phi) * sin(lam),
        normal * (1 - ECCENTRICITY_SQUARED) * sin(phi),
    )


def latitude_longitude(position_m: Sequence[float]) -> tuple[float, float]:
    """Answer latitude and longitude of an earth-centred position on the ellipsoid, in degrees, seven decimals."""
    x, y, z = position_m
    # On the ellipsoid itself the normal's angle follows from the position without iterating.
    latitude = atan2(z, (1 - ECCENTRICITY_SQUARED) * hypot(x, y))
    return round(degrees(latitude), 7), round(degrees(atan2(y, x)), 7)


def geodesic_m(chord_m: float) -> float:
    """Answer the distance along the ground of two positions this straight distance apart, in metres.

    Up to 200 km the straight line differs from the WGS 84 geodesic by the bend of the earth, which varies so
    little with place and direction that the mean radius is right to a few centimetres; a test holds that against
    a reference. Thus the distance that the index sorts by is the distance that we tell.
    """
    return 2 * MEAN_RADIUS_M * asin(min(1.0, chord_m / (2 * MEAN_RADIUS_M)))


def chord_m(geodesic: float) -> float:
    """Answer the straight distance of two positions this far apart along the ground, in metres."""
    return 2 * MEAN_RADIUS_M * sin(geodesic / (2 * MEAN_RADIUS_M))
