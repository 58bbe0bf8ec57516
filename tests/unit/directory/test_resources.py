"""Every file of other people's that is beside the checkout goes through: counts in are counts taken and refused."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from relais_directory import import_rows
from relais_directory.data import audiences_of, themes_of
from relais_directory.formats import gtfs, mapping, reading
from relais_directory.formats.gtfs import StopRow
from relais_directory.import_report import Options
from relais_directory.judging import Judged, judge, points
from relais_directory.records import OrganisationRecord

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"

SERVICES = {
    "resources/be_fwb_enseignement_hainaut_sud.csv": (152, 0),
    "resources/be_maisons_de_justice.json": (27, 0),
    "resources/be_sncb_facilities.csv": (690, 140),
    "resources/fr_974_data_inclusion_services.json": (2_705, 0),
    "resources/fr_974_data_inclusion_structures.json": (276, 0),
    "resources/fr_service_public_emploi.csv": (998, 2),
    "resources/lu_osm_amenities_2019.csv": (445, 0),
    "conformance/hsds-3.0/examples/service_list.json": (1, 0),
    "conformance/hsds-3.0/examples/organization_full.json": (1, 0),
    "conformance/hsds-3.0/examples/organization_list.json": (1, 0),
    # The example's own point has latitude 100: it is refused, and says where.
    "conformance/hsds-3.0/examples/service_full.json": (1, 1),
    "conformance/hsds-3.0/examples/service_at_location_full.json": (1, 1),
    "conformance/hsds-3.0/examples/service_at_location_list.json": (1, 1),
    "conformance/hsds-3.0/examples/tabular.json": (1, 1),
    "conformance/hsds-3.0/examples/csv": (1, 1),
    "conformance/ohana-csv": (23, 0),
}
"""Rows read and refused, by file."""

UNREADABLE = {
    "conformance/hsds-3.0/examples/base.json": "no JSON array of records",
    "conformance/hsds-3.0/examples/location.json": "places of HSDS alone",
    "conformance/hsds-3.0/examples/taxonomy.json": "taxonomies of HSDS alone",
    "conformance/hsds-3.0/examples/taxonomy_list.json": "taxonomies of HSDS alone",
    "conformance/hsds-3.0/examples/taxonomy_term.json": "taxonomy terms of HSDS alone",
    "conformance/hsds-3.0/examples/taxonomy_term_list.json": "taxonomy terms of HSDS alone",
}
"""What tells of no service, and the words that say so."""

STOPS = {
    "resources/be_tec_stops_2013.csv.gz": (32_059, 0, 0),
    "resources/be_sncb_stations.csv": (729, 0, 0),
    "resources/be_sncb_platforms.csv.gz": (3_053, 0, 1_485),
    "conformance/gtfs-stib-2022": (2_842, 246, 0),
}
"""Stops read, skipped and refused, by file."""


def beside(name: str) -> Path:
    """Answer a file beside the checkout, or skip."""
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not beside this checkout (../shared/data).")
    return DATA / name


@pytest.mark.parametrize("name", SERVICES)
def test_each_row_is_taken_or_refused_with_its_reason(name: str) -> None:
    counts: Counter[str] = Counter()
    for made in import_rows.made_of(beside(name), Options()):
        if made.record is None:
            continue
        judged = judge(made.record, made.row.line, points()) if isinstance(made.record, dict) else made.record
        counts["read"] += 1
        if isinstance(judged, Judged | OrganisationRecord):
            counts["taken"] += 1
            continue
        counts["refused"] += 1
        assert judged
        assert all(one.field and one.reason and one.line >= 1 for one in judged)
    assert counts["read"] == counts["taken"] + counts["refused"]
    assert (counts["read"], counts["refused"]) == SERVICES[name]


@pytest.mark.parametrize("name", STOPS)
def test_each_stop_is_taken_skipped_or_refused(name: str) -> None:
    found = list(gtfs.stops(beside(name)))
    skipped = sum(not isinstance(one, StopRow) and one.skipped for one in found)
    refused = sum(not isinstance(one, StopRow) and not one.skipped for one in found)
    assert (len(found), skipped, refused) == STOPS[name]
    assert all(one.name == one.name.strip() for one in found if isinstance(one, StopRow))


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_tells_of_no_service_says_so(name: str) -> None:
    with pytest.raises(reading.UnreadableFile, match=UNREADABLE[name]):
        list(import_rows.made_of(beside(name), Options()))


@pytest.mark.parametrize("folder", ["resources", "conformance/hsds-3.0/examples"])
def test_every_file_is_read_by_one_of_these(folder: str) -> None:
    """A file that is put beside the others has to be named here."""
    there = {f"{folder}/{one.name}" for one in beside(folder).iterdir()}
    assert there == {name for name in {*SERVICES, *STOPS, *UNREADABLE} if name.startswith(f"{folder}/")}


def test_each_shipped_mapping_is_the_one_that_its_file_is_read_by() -> None:
    chosen = [import_rows.chosen_mapping(beside(name), None) for name in SERVICES if name.startswith("resources/")]
    assert {one.name for one in chosen if one} == {one.name for one in mapping.shipped()}


@pytest.mark.parametrize(
    ("vocabulary", "read"), [("thematiques", themes_of), ("publics", audiences_of)], ids=["thematiques", "publics"]
)
def test_every_word_of_data_inclusion_is_one_of_ours(vocabulary: str, read: Callable[[list[str]], list[str]]) -> None:
    told = json.loads(beside(f"conformance/data-inclusion-v1/referentiels/{vocabulary}.json").read_text())
    assert len(told) > 10
    assert not [one["value"] for one in told if not read([one["value"]])]


def test_what_a_station_offers_is_told_and_nothing_more() -> None:
    rows = list(import_rows.made_of(beside("resources/be_sncb_facilities.csv"), Options()))
    aalst = next(one.record for one in rows if isinstance(one.record, dict) and one.record["name"] == "Gare : Aalst")
    assert aalst["keywords"][:2] == ["distributeur de billets", "parking gratuit"]
    assert aalst["themes"][0] == "mobility--public-transport"
    (place,) = aalst["locations"]
    assert [one["byday"] for one in place["schedules"]] == ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
    # Where nothing is told of steps, nothing is said of them.
    assert "wheelchair" not in place
    assert "schedules" not in next(one.record for one in rows if isinstance(one.record, dict))["locations"][0]
