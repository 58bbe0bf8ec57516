"""The municipality in memory is the nearest one, or none where that is not sure."""

from math import dist

from hypothesis import given
from hypothesis import strategies as st

from relais_directory.domain.geo import position
from relais_directory.gazetteer import read_places
from relais_directory.nearby import RINGS, SURE_WITHIN_M, Municipalities

ROWS = [(one.code, one.latitude, one.longitude) for one in read_places() if one.kind == "municipality"]
POINTS = [(code, position(latitude, longitude)) for code, latitude, longitude in ROWS]
KNOWN = Municipalities(ROWS)


@given(latitude=st.floats(48, 52.5), longitude=st.floats(1, 7.5))
def test_it_is_the_nearest_or_nobody(latitude: float, longitude: float) -> None:
    here = position(latitude, longitude)
    away, code = min((dist(here, at), code) for code, at in POINTS)
    assert KNOWN.nearest(latitude, longitude) == (code if away <= RINGS[-1] * SURE_WITHIN_M else None)


def test_far_from_everything_it_says_nothing() -> None:
    assert KNOWN.nearest(0, 0) is None
    assert KNOWN.nearest(-90, 180) is None


def test_it_says_whether_it_knows_any() -> None:
    assert KNOWN
    assert not Municipalities([])
