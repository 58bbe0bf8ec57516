"""The gazetteer: complete, consistent, plausible, and the same bytes for the same reader."""

from __future__ import annotations

from collections import Counter

import pytest

from relais_directory.gazetteer import VERSION, Place, read_outlines, read_places


@pytest.fixture(scope="module")
def places() -> dict[str, Place]:
    """Every place by its code."""
    return {place.code: place for place in read_places()}


def test_every_municipality_is_there(places: dict[str, Place]) -> None:
    """The 565 Belgian municipalities of 2025 and the communes of all French départements."""
    kinds = Counter((place.country, place.kind) for place in places.values())

    assert kinds["be", "municipality"] == 565
    assert kinds["fr", "municipality"] > 34_900
    assert kinds["fr", "district"] == 45
    assert len({code[3:6] for code in places if code.startswith("fr:97")} & {"971", "972", "973", "974", "976"}) == 5


def test_codes_are_unique_and_sorted() -> None:
    """A loader may stop at the first code it knows: they come once each, in order."""
    codes = [place.code for place in read_places()]

    assert codes == sorted(set(codes))


def test_a_part_names_its_municipality(places: dict[str, Place]) -> None:
    """Every locality and district has a municipality for parent, and no postcode that its parent has not."""
    for place in places.values():
        if place.kind == "municipality":
            assert not place.parent
        else:
            parent = places[place.parent]
            assert parent.kind == "municipality"
            assert parent.country == place.country
            assert set(place.postcodes) <= set(parent.postcodes)


def test_points_lie_in_their_country(places: dict[str, Place]) -> None:
    """No place is at 0,0 or on another continent than its code says."""
    for place in places.values():
        if place.country == "be":
            assert 49.4 < place.latitude < 51.6
            assert 2.5 < place.longitude < 6.5
        elif place.code[3:5] not in {"97", "98"}:
            assert 41.2 < place.latitude < 51.2
            assert -5.3 < place.longitude < 9.8
        elif place.code[3:6] == "974":
            assert -21.5 < place.latitude < -20.8
            assert 55.1 < place.longitude < 55.9


@pytest.mark.parametrize(
    ("code", "name", "postcode", "point"),
    [
        ("be:52011", "Charleroi", "6000", (50.411, 4.444)),
        ("be:52011/gilly", "Gilly", "6060", (50.424, 4.479)),
        ("be:52011/jumet", "Jumet", "6040", (50.442, 4.437)),
        ("be:52011/marcinelle", "Marcinelle", "6001", (50.392, 4.444)),
        ("be:52012", "Châtelet", "6200", (50.403, 4.528)),
        ("be:62063", "Liège", "4000", (50.634, 5.567)),
        ("fr:97411", "Saint-Denis", "97400", (-20.882, 55.450)),
        ("fr:97415", "Saint-Paul", "97460", (-21.010, 55.271)),
        ("fr:59350", "Lille", "59000", (50.633, 3.059)),
    ],
)
def test_known_places_stand_where_they_are(
    places: dict[str, Place], code: str, name: str, postcode: str, point: tuple[float, float]
) -> None:
    """Places that anyone can check on a map."""
    place = places[code]

    assert place.name == name
    assert postcode in place.postcodes
    assert place.precision == "exact"
    assert (place.latitude, place.longitude) == pytest.approx(point, abs=0.01)


def test_each_postcode_of_charleroi_leads_to_one_locality_or_two(places: dict[str, Place]) -> None:
    """A search by 6060 starts in Gilly, not in the middle of Charleroi."""
    carriers = Counter(
        postcode
        for place in places.values()
        if place.parent == "be:52011" and place.precision == "exact"
        for postcode in place.postcodes
    )

    assert set(carriers) == set(places["be:52011"].postcodes)
    assert max(carriers.values()) <= 2


def test_names_in_four_languages_where_there_are(places: dict[str, Place]) -> None:
    """Belgian municipalities have French and Dutch names, the German-speaking ones a German name too."""
    assert (places["be:62063"].name_fr, places["be:62063"].name_nl, places["be:62063"].name_de) == (
        "Liège",
        "Luik",
        "Lüttich",
    )
    assert places["be:63023"].name_de == "Eupen"
    assert all(p.name_fr and p.name_nl for p in places.values() if p.country == "be" and p.kind == "municipality")


def test_the_version_is_of_the_content() -> None:
    """A loader compares it with the one it stored."""
    assert len(VERSION) == 16
    assert int(VERSION, 16) >= 0


def test_outlines_are_closed_rings_of_known_municipalities(places: dict[str, Place]) -> None:
    """Each outline is GeoJSON that a map can draw, longitude first, in Belgium."""
    features = read_outlines()["features"]

    assert {code for feature in features for code in feature["properties"]["municipalities"]} == {
        place.code for place in places.values() if place.country == "be" and place.kind == "municipality"
    }
    for feature in features:
        for polygon in feature["geometry"]["coordinates"]:
            for ring in polygon:
                assert ring[0] == ring[-1]
                assert len(ring) >= 4
                assert all(2.5 < x < 6.5 and 49.4 < y < 51.6 for x, y in ring)
