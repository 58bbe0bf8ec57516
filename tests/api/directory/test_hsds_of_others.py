"""The HSDS API over what others published: all of it, valid against both versions' schemas."""

from pathlib import Path

import pytest
from api.directory.test_hsds import LISTS, everything, streamed
from api.directory.test_import import Directory, _directory  # noqa: F401 - the fixture and its parts
from support.hsds import faults, shapes

pytestmark = pytest.mark.anyio

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
FILES = (
    "conformance/ohana-csv",
    "conformance/hsds-3.0/examples/service_list.json",
    "conformance/hsds-3.0/examples/organization_full.json",
    "resources/be_fwb_enseignement_hainaut_sud.csv",
    "resources/be_maisons_de_justice.json",
    "resources/be_sncb_facilities.csv",
    "resources/fr_service_public_emploi.csv",
    "resources/lu_osm_amenities_2019.csv",
    "resources/fr_974_data_inclusion_services.json",
)


async def test_what_others_published_leaves_as_both_schemas_say(directory: Directory) -> None:
    for name in FILES:
        if not (DATA / name).exists():
            pytest.skip(f"{name} is not beside this checkout (../shared/data).")
        report = await directory.imported(DATA / name)
        assert report.read == report.new + report.changed + report.unchanged + report.kept + report.refused
    for path, entity in LISTS.items():
        whole = await streamed(directory.client, path, full="true") if "service" in path else []
        listed = await everything(directory.client, path)
        assert listed
        assert faults([*whole, *listed], shapes(entity)) == []
