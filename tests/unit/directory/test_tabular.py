"""Packages of tables: read as nested documents, whatever their version; faults told by row; and written."""

import csv
import json
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import HealthCheck, given, settings
from support.hsds import CONFORMANCE, a_record, an_organisation, faults, published, shapes

from relais_directory.formats import hsds, tabular
from relais_directory.formats.reading import UnreadableFile
from relais_directory.formats.tabular import opening
from relais_directory.formats.tabular.tables import ALL, table_of
from relais_directory.judging import Judged, Points, document, judge
from relais_directory.records import OrganisationProfile, OrganisationRecord, Record, ServiceRecord
from relais_local.territory import generate

ORGANIZATION = {"id": "o1", "name": "The Pantry", "description": "A pantry."}
SERVICE = {"id": "s1", "organization_id": "o1", "name": "Parcels", "status": "active"}
Tables = Mapping[str, Sequence[Mapping[str, Any]]]


@pytest.fixture(scope="module", name="points")
def _points() -> Points:
    return Points.load()


def folder(path: Path, tables: Tables) -> Path:
    """Write tables as CSV files into a folder."""
    path.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        columns = list(dict.fromkeys(column for row in rows for column in row))
        with (path / name).open("w", encoding="utf-8", newline="") as text:
            writer = csv.DictWriter(text, columns)
            writer.writeheader()
            writer.writerows(rows)
    return path


def packed(path: Path, source: Path, inside: str = "") -> Path:
    """Pack a folder."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in source.iterdir():
            archive.write(file, f"{inside}{file.name}")
    return path


def read(path: Path) -> tuple[list[dict[str, Any]], list[tuple[str, int, str, str, bool]]]:
    """Answer the documents of a package, and what is told of its rows."""
    found, told = [], []
    for row in tabular.documents(path):
        if isinstance(row.values, tabular.Told):
            told.append((str(row.sheet), row.line, *row.values))
        else:
            found.append(row.values)
    return found, told


def taken(path: Path, points: Points) -> tuple[Counter[str], list[Any]]:
    """Answer what comes of a package: how many of each, and the records."""
    counts: Counter[str] = Counter()
    records = []
    for row in tabular.documents(path):
        if isinstance(row.values, tabular.Told):
            counts["refused" if row.values.refused else "told"] += 1
            continue
        is_service = "organization" in row.values
        made = hsds.record(row.values, country="US") if is_service else hsds.organisation(row.values)
        judged = judge(made, row.line, points)
        if isinstance(judged, list):
            counts["refused"] += 1
        else:
            counts["service" if is_service else "organisation"] += 1
            records.append(judged.record if isinstance(judged, Judged) else judged)
    return counts, records


@pytest.mark.parametrize("name", ["csv", "tabular.json"])
def test_the_published_package_is_read_whole(name: str, points: Points) -> None:
    published("hsds-3.0/examples/tabular.json")
    path = CONFORMANCE / "hsds-3.0" / "examples" / name
    assert tabular.is_package(path)
    (service,), told = read(path)
    # Its point is at latitude 100, and its attribute hangs on nothing.
    assert [(file, column) for file, _line, column, _reason, _refused in told if column] == [
        ("locations.csv", "organization_id"),
        ("contacts.csv", "organization_id"),
        ("contacts.csv", "service_at_location_id"),
        ("taxonomy_terms.csv", "taxonomy_id"),
        ("attributes.csv", "link_id"),
    ]
    made = hsds.record(service)
    assert [made.where(one.field) for one in judge(made, 2, points)] == [  # type: ignore[union-attr]  # a refusal
        "service_at_locations.0.location.latitude"
    ]
    service["service_at_locations"][0]["location"]["latitude"] = "51.5"
    judged = judge(hsds.record(service), 2, points)
    assert isinstance(judged, Judged)
    nested = published("hsds-3.0/examples/service_full.json")
    nested["service_at_locations"][0]["location"]["latitude"] = 51.5
    other = Record.model_validate(dict(hsds.record(nested)))
    ours, theirs = (json.loads(document(record)) for record in (judged.record, other))
    # The nested example has an attribute more, its contact at the place too, and a programme of its organisation.
    for record in (ours, theirs):
        record.pop("attributes", None)
        record["locations"][0].pop("contacts")
    assert ours == theirs


def test_the_sample_of_ohana_is_read_whole(points: Points) -> None:
    published("hsds-3.0/examples/base.json")
    path = CONFORMANCE / "ohana-csv"
    with (path / "services.csv").open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    counts, records = taken(path, points)
    assert counts == {"service": len(rows), "told": 7}
    assert len(records) == len(rows) == 23
    by_name = {record.name: record for record in records}
    (record,) = (record for record in records if record.record_id == "22")
    place = record.locations[0]
    assert (record.organisation.name, record.organisation.year_incorporated) == ("Example Agency", 1970)
    assert (place.address.street, place.address.country) == ("2013 Avenue of the fellows", "US")
    assert [one.type for one in place.other_addresses] == ["postal"]
    assert place.opening_hours == (
        "Mo 08:00-12:00,14:00-16:00; We 10:00-15:00; Jan 01 off; 2015 Dec 24 10:00-16:00; Jun 01-Sep 01 off"
    )
    assert place.wheelchair is True
    assert [one.number for one in place.phones] == ["650 372-6200", "650 627-8244", "800 372-6200", "650 372-6200"]
    assert [one.code for one in record.languages] == ["es"]
    assert record.keywords == ["Salud", "Medicina"]
    assert [one.taxonomy_term.code for one in record.attributes if one.taxonomy_term] == [
        "105", "108", "108-05", "108-05-01", "111", "111-05",
    ]  # fmt: skip
    assert record.accreditations == "BBB, State Board of Education"
    assert by_name["Service with blank fields"].status == "retired"
    assert by_name["Service with blank fields"].modes == ["remote"]
    assert sum(bool(record.themes) for record in records) >= 20


def test_the_first_version_becomes_the_third(tmp_path: Path, points: Points) -> None:
    path = folder(
        tmp_path / "one",
        {
            "organizations.csv": [{"id": "1", "name": "O", "description": "D", "url": "https://o.example"}],
            "programs.csv": [{"id": "1", "organization_id": "1", "name": "P"}],
            "services.csv": [
                {"id": "1", "organization_id": "1", "program_id": "1", "name": "S", "status": "active",
                 "fees": "5 euros"}
            ],
            "locations.csv": [{"id": "1", "organization_id": "1", "name": "L", "latitude": 50.41, "longitude": 4.44}],
            "services_at_location.csv": [{"id": "1", "service_id": "1", "location_id": "1"}],
            "physical_addresses.csv": [
                {"id": "1", "location_id": "1", "address_1": "Rue 1", "address_2": "B", "address_3": "C",
                 "city": "Charleroi", "state_province": "Hainaut", "postal_code": "6000", "country": "BE"}
            ],
            "postal_addresses.csv": [
                {"id": "1", "location_id": "1", "attention": "A", "address_1": "BP 1", "city": "Charleroi",
                 "state_province": "Hainaut", "postal_code": "6000", "country": "BE"}
            ],
            "phones.csv": [{"id": "1", "service_id": "1", "number": "1", "language": "French"}],
            "contacts.csv": [{"id": "1", "service_id": "1", "name": "N"}],
            "regular_schedules.csv": [
                {"id": "1", "service_id": "1", "weekday": "1", "opens_at": "09:00", "closes_at": "5pm"},
                {"id": "2", "service_id": "1", "weekday": "Wednesday", "opens_at": "9am", "closes_at": "12:00"},
            ],
            "holiday_schedules.csv": [
                {"id": "1", "service_id": "1", "closed": "TRUE", "start_date": "2026-12-24", "end_date": "2027-01-03"}
            ],
            "eligibility.csv": [{"id": "1", "service_id": "1", "eligibility": "Everybody"}],
            "payments_accepted.csv": [{"id": "1", "service_id": "1", "payment": "Cash"}],
            "languages.csv": [{"id": "1", "service_id": "1", "language": "French"}],
            "accessibility_for_disabilities.csv": [
                {"id": "1", "location_id": "1", "accessibility": "Wheelchair access", "details": "Ramp"}
            ],
            "service_areas.csv": [{"id": "1", "service_id": "1", "service_area": "Hainaut"}],
            "required_documents.csv": [{"id": "1", "service_id": "1", "document": "Passport"}],
            "funding.csv": [{"id": "1", "organization_id": "1", "source": "Region"}],
            "taxonomy.csv": [
                {"id": "10", "name": "Food", "parent_id": "", "parent_name": "", "vocabulary": "OE"},
                {"id": "11", "name": "Meals", "parent_id": "10", "parent_name": "Food", "vocabulary": "OE"},
            ],
            "services_taxonomy.csv": [{"id": "1", "service_id": "1", "taxonomy_id": "11", "taxonomy_detail": "Hot"}],
            "metadata.csv": [{"id": "1"}],
        },
    )  # fmt: skip
    (service,), told = read(path)
    assert [(file, line) for file, line, *_more in told] == [("metadata.csv", 1)]
    judged = judge(hsds.record(service), 2, points)
    assert isinstance(judged, Judged)
    record, place = judged.record, judged.record.locations[0]
    assert (record.record_id, record.organisation.website) == ("1", "https://o.example")
    assert record.program
    assert (record.program.name, record.eligibility_description) == ("P", "Everybody")
    assert record.fees == "5 euros\nAccepted payments: Cash"
    assert (place.address.street, place.address.address_2) == ("Rue 1", "B, C")
    assert [(one.street, one.type) for one in place.other_addresses] == [("BP 1", "postal")]
    assert place.opening_hours == "Mo 09:00-17:00; We 09:00-12:00; 2026 Dec 24-2027 Jan 03 off"
    assert place.wheelchair is True
    assert [one.code for one in record.languages] == ["fr"]
    assert [one.code for one in record.phones[0].languages] == ["fr"]
    assert (record.contacts[0].name, record.required_documents[0].document) == ("N", "Passport")
    assert (record.other_areas[0].name, record.organisation.funding[0].source) == ("Hainaut", "Region")
    (attribute,) = record.attributes
    assert attribute.taxonomy_term
    assert (attribute.value, attribute.taxonomy_term.name, attribute.taxonomy_term.taxonomy) == ("Hot", "Meals", "OE")
    assert record.themes == ["support--food-clothing"]


def test_the_second_version_becomes_the_third(tmp_path: Path) -> None:
    path = folder(
        tmp_path / "two",
        {
            "organization.csv": [ORGANIZATION],
            "service.csv": [SERVICE],
            "location.csv": [{"id": "l1", "name": "L"}],
            "service_at_location.csv": [{"id": "x", "service_id": "s1", "location_id": "l1"}],
            "physical_address.csv": [{"id": "a", "location_id": "l1", "address_1": "R", "city": "C", "country": "BE"}],
            "schedule.csv": [
                {"id": "h", "service_at_location_id": "x", "freq": "WEEKLY", "byday": "MO", "opens_at": "09:00",
                 "closes_at": "17:00"}
            ],
            "taxonomy_term.csv": [{"id": "t", "term": "Food", "description": "D", "taxonomy": "OE"}],
            "service_attribute.csv": [{"id": "q", "service_id": "s1", "taxonomy_term_id": "t"}],
            "other_attribute.csv": [{"id": "r", "link_id": "l1", "link_type": "location", "taxonomy_term_id": "t"}],
        },
    )  # fmt: skip
    (service,), told = read(path)
    assert told == []
    record = Record.model_validate(dict(hsds.record(service)))
    assert record.locations[0].opening_hours == "Mo 09:00-17:00"
    assert [one.taxonomy_term.name for one in record.attributes if one.taxonomy_term] == ["Food"]
    assert len(record.locations[0].attributes) == 1


def test_what_hangs_on_nothing_or_stands_twice_is_told_by_its_row(tmp_path: Path) -> None:
    path = folder(
        tmp_path / "faulty",
        {
            "organizations.csv": [
                ORGANIZATION,
                {"id": "o2", "name": "A", "description": "A", "parent_organization_id": "o3"},
                {"id": "o3", "name": "B", "description": "B", "parent_organization_id": "o2"},
                {"id": "o4", "name": "C", "description": "C", "parent_organization_id": "o4"},
                {"id": "o5", "name": "D", "description": "D", "parent_organization_id": "o2"},
                {"id": "", "name": "E", "description": "E"},
            ],
            "services.csv": [
                SERVICE,
                SERVICE | {"name": "Again"},
                SERVICE | {"id": "s2", "organization_id": "o9"},
                SERVICE | {"id": "s3", "organization_id": ""},
                SERVICE | {"id": "s4", "program_id": "p9"},
            ],
            "phones.csv": [
                {"id": "1", "service_id": "s1", "number": "1"},
                {"id": "2", "service_id": "s9", "number": "2"},
                {"id": "3", "service_id": "", "number": "3"},
            ],
            "locations.csv": [{"id": "l1", "name": "Nobody comes"}],
            "service_at_location.csv": [{"id": "x", "service_id": "s1", "location_id": "l9"}],
            "taxonomy_terms.csv": [
                {"id": "t1", "name": "T", "description": "T", "parent_id": "t2"},
                {"id": "t2", "name": "T", "description": "T", "parent_id": "t1"},
            ],
            "attributes.csv": [{"id": "a", "link_id": "s9", "taxonomy_term_id": "t1"}],
            "services_colours.csv": [{"id": "1"}],
        },
    )
    found, told = read(path)
    assert [one["id"] for one in found] == ["s1", "s4", "o2", "o3", "o4", "o5"]
    assert sorted((file, line, column, refused) for file, line, column, _reason, refused in told) == [
        ("attributes.csv", 2, "link_id", False),
        ("locations.csv", 2, "id", False),
        ("organizations.csv", 3, "parent_organization_id", False),
        ("organizations.csv", 5, "parent_organization_id", False),
        ("organizations.csv", 7, "id", True),
        ("phones.csv", 3, "service_id", False),
        ("phones.csv", 4, "location_id", False),
        ("service_at_location.csv", 2, "location_id", False),
        ("services.csv", 3, "id", True),
        ("services.csv", 4, "organization_id", True),
        ("services.csv", 5, "organization_id", True),
        ("services.csv", 6, "program_id", False),
        ("services_colours.csv", 1, "", False),
        ("taxonomy_terms.csv", 2, "parent_id", False),
    ]
    # A loop is cut at its first row; whoever stands below it stands below it still.
    assert [one.get("parent_organization_id") for one in found[2:]] == [None, "o2", None, "o2"]
    assert len(found[0]["phones"]) == 1


def test_a_column_that_nobody_knows_is_told_once(tmp_path: Path) -> None:
    path = folder(tmp_path / "p", {"organizations.csv": [ORGANIZATION | {"colour": "blue"}] * 1, "services.csv": [
        SERVICE | {"id": f"s{number}", "colour": "red"} for number in range(3)
    ]})  # fmt: skip
    found, told = read(path)
    assert len(found) == 3
    assert [(file, line, column) for file, line, column, *_more in told] == [
        ("organizations.csv", 1, "colour"),
        ("services.csv", 1, "colour"),
    ]


@pytest.mark.parametrize("inside", ["", "package/"])
def test_a_zip_is_read_as_the_folder_in_it(tmp_path: Path, inside: str) -> None:
    tables = {"organizations.csv": [ORGANIZATION], "services.csv": [SERVICE]}
    source = folder(tmp_path / "source", tables)
    seen: list[int] = []
    path = packed(tmp_path / "package.zip", source, inside)
    assert tabular.is_package(path)
    rows = list(tabular.documents(path, seen.append))
    assert [row.values["id"] for row in rows] == ["s1"]
    assert seen == sorted(seen)
    assert seen[-1] <= path.stat().st_size


def test_a_description_names_the_files(tmp_path: Path) -> None:
    source = folder(tmp_path / "source", {"a.csv": [ORGANIZATION], "b.csv": [SERVICE]})
    resources = [{"name": "organization", "path": "a.csv"}, {"name": "service", "path": ["b.csv"]}]
    (source / "datapackage.json").write_text(json.dumps({"resources": resources}))
    for path in (source, packed(tmp_path / "p.zip", source, "deep/inside/")):
        assert tabular.is_package(path)
        found, told = read(path)
        assert ([one["id"] for one in found], told) == (["s1"], [])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_encodings_and_separators_are_found(tmp_path: Path, encoding: str, delimiter: str) -> None:
    for name, row in (("organizations.csv", ORGANIZATION), ("services.csv", SERVICE | {"name": "Crèche"})):
        text = "\r\n".join(delimiter.join(map(str, cells)) for cells in (row.keys(), row.values()))
        (tmp_path / name).write_bytes(text.encode(encoding))
    (service,), told = read(tmp_path)
    assert service["name"] == "Crèche"
    assert [reason for *_row, reason, _refused in told] == (
        ["Not UTF-8: read as Windows-1252."] if encoding == "cp1252" else []
    )


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("services.csv", "w") as file:
        for _block in range(64):
            file.write(b" " * (1 << 20))


def liar(path: Path) -> None:
    """A zip that tells a small size for what is large."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("services.csv", "id\n" + "1\n" * 5_000)
    data = path.read_bytes()
    path.write_bytes(data.replace((10_003).to_bytes(4, "little"), (5).to_bytes(4, "little")))


def locked(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("services.csv", "id\n")
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + at] |= 1
    path.write_bytes(data)


def crowd(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("services.csv", "id\n")
        for number in range(opening.MOST_FILES):
            archive.writestr(f"{number}.txt", "")


def broken(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("services.csv", "id,name\n" + "\n".join(f"{one},{one * 7919}" for one in range(5_000)))
    data = bytearray(path.read_bytes())
    data[200:260] = bytes(60)
    path.write_bytes(data)


@pytest.mark.parametrize("make", [bomb, liar, locked, crowd, broken])
def test_a_zip_that_cannot_be_is_refused(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "p.zip")
    with pytest.raises(UnreadableFile):
        list(tabular.documents(tmp_path / "p.zip"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id,name\n1,a,b\n", "more cells"),
        ("id,name\n1\n", "fewer cells"),
        ('id,name\n1,"a\n', "broken CSV"),
        ("id,id\n1,2\n", "two of one name"),
        ("id,name\n1," + "x" * (9 << 20) + "\n", "longer than"),
    ],
)
def test_a_table_that_breaks_off_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "services.csv").write_text(text)
    with pytest.raises(UnreadableFile, match=reason):
        list(tabular.documents(tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        '{"services.csv": [',
        '{"services.csv": [1]}',
        '{"services.csv": [{"id": "1"}]',
        '{"services.csv": {}}',
        '{"services.csv": [{"id": ' + "[" * 100_000,
        '{"services.csv": [{"id": "' + "x" * (9 << 20),
        '{"services.csv": [{"id": nothing}]}',
    ],
)
def test_json_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(UnreadableFile):
        list(tabular.documents(path))


def test_a_description_that_is_none_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, {"services.csv": [SERVICE]})
    (tmp_path / "datapackage.json").write_text('{"resources": [3]}')
    with pytest.raises(UnreadableFile):
        list(tabular.documents(tmp_path))


def test_what_is_no_package_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"id": 1}]')
    (tmp_path / "b.zip").write_bytes(b"PK no zip")
    (tmp_path / "c.json").write_text('{"services": []}')
    (tmp_path / "d.csv").write_text("id\n")
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
    for path in (*tmp_path.iterdir(), tmp_path, tmp_path / "absent.zip"):
        assert not tabular.is_package(path), path.name


def test_the_parts_of_one_thing_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relais_directory.formats.tabular.joining.MOST_PARTS", 5)
    monkeypatch.setattr("relais_directory.formats.tabular.joining.MOST_PARTS_OF_ALL", 7)
    phones = [{"id": str(number), "service_id": "s1", "number": str(number)} for number in range(8)]
    languages = [{"id": str(number), "phone_id": "0", "name": "French"} for number in range(4)]
    tables = {"organizations.csv": [ORGANIZATION], "services.csv": [SERVICE], "phones.csv": phones}
    (service,), told = read(folder(tmp_path / "p", {**tables, "languages.csv": languages}))
    assert len(service["phones"]) == 5
    assert "languages" not in service["phones"][0]
    assert [(file, line) for file, line, *_more in told] == [("phones.csv", 7), ("languages.csv", 2)]


def test_every_table_is_known_by_its_file_and_in_the_singular() -> None:
    for name, table in ALL.items():
        if table.file:
            assert table_of(table.file.removesuffix(".csv")) == table_of(name) == name
    assert table_of("services_at_location") == "service_at_location"
    assert table_of("accessibility_for_disabilities") == "accessibility"
    assert table_of("colours") is None


IDS = UUID(int=7)


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=30)
@given(a_record(), an_organisation())
def test_a_written_package_comes_back(
    tmp_path_factory: pytest.TempPathFactory, record: dict[str, Any], organisation: dict[str, Any]
) -> None:
    kept = json.loads(document(ServiceRecord.model_validate(record)))
    owner = json.loads(document(OrganisationProfile.model_validate(organisation)))
    sent = hsds.service(
        kept,
        id=IDS,
        organisation=owner,
        organisation_id=uuid5(IDS, "o"),
        source="s",
        last_modified="2026-01-01T00:00:00Z",
    )
    alone = hsds.organisation_document(owner, id=uuid5(IDS, "alone"))
    target = tmp_path_factory.mktemp("p") / "package"
    assert tabular.write_package([sent, alone], target) == 2
    (service, other), told = read(target)
    # Only the taxonomy of a term that tells no more of it is missing.
    assert {column for _file, _line, column, _reason, _refused in told} <= {"taxonomy_id"}
    back = Record.model_validate(dict(hsds.record(service)))
    unshared = _without_shared(kept)
    assert _without_shared(json.loads(document(back))) == unshared
    assert OrganisationRecord.model_validate(hsds.organisation(other)["organisation"]).name == owner["name"]


def _without_shared(record: dict[str, Any]) -> dict[str, Any]:
    """Answer a record without terms: in a package two terms of one id are one."""
    if isinstance(record, dict):
        return {name: _without_shared(value) for name, value in record.items() if name != "taxonomy_term"}
    return [_without_shared(one) for one in record] if isinstance(record, list) else record


@pytest.mark.parametrize("name", ["package", "package.zip"])
def test_the_demonstration_goes_through_a_package(tmp_path: Path, name: str) -> None:
    sent = []
    for row in generate.services(date(2026, 11, 16)):
        record = Record.model_validate(row)
        assert record.organisation.id
        sent.append(
            hsds.service(
                record,
                id=uuid5(IDS, record.record_id),
                organisation=record.organisation,
                organisation_id=record.organisation.id,
                source="demo",
                last_modified="2026-11-16T00:00:00Z",
            )
        )
    assert tabular.write_package(iter(sent), tmp_path / name) == 507
    found, told = read(tmp_path / name)
    assert told == []
    assert [one["id"] for one in found] == [one["id"] for one in sent]
    for before, after in zip(sent, found, strict=True):
        ours, theirs = (Record.model_validate(dict(hsds.record(one))) for one in (before, after))
        assert document(theirs) == document(ours)
        assert document(theirs.organisation) == document(ours.organisation)
    with pytest.raises(FileExistsError):
        tabular.write_package([], tmp_path / name)
    if name == "package":
        described = json.loads((tmp_path / name / "datapackage.json").read_text())
        for resource in described["resources"]:
            with (tmp_path / name / resource["path"]).open(encoding="utf-8", newline="") as text:
                assert next(csv.reader(text)) == [one["name"] for one in resource["schema"]["fields"]]
        columns = published("hsds-3.1-dev/schema/compiled/service_with_definitions.json")["definitions"]
        for resource in described["resources"]:
            known = columns.get(resource["name"], {"properties": None})["properties"]
            if known is not None:
                assert {one["name"] for one in resource["schema"]["fields"]} <= set(known), resource["name"]


def test_a_written_package_is_what_the_standard_shows(tmp_path: Path) -> None:
    example = published("hsds-3.0/examples/service_full.json")
    assert faults([example], shapes("service")) == []
    tabular.write_package([example], tmp_path / "p")
    theirs = CONFORMANCE / "hsds-3.0" / "examples" / "csv"
    for file in (tmp_path / "p").glob("*.csv"):
        with file.open(encoding="utf-8", newline="") as ours, (theirs / file.name).open(encoding="utf-8") as other:
            assert set(next(csv.reader(other))) <= set(next(csv.reader(ours))), file.name
