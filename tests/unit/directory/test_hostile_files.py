"""Bad input of every kind ends in a reason, in bounded memory, never in a crash."""

import gzip
import io
import json
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relais_directory.formats import archives, gtfs, reading
from relais_directory.formats.reading import UnreadableFile, rows

MEBI = 1 << 20


@contextmanager
def within(mebibytes: float) -> Iterator[None]:
    """Hold the memory that a block takes at its peak against a bound."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < mebibytes * MEBI, f"{peak / MEBI:.1f} MiB"


def row(number: int) -> str:
    """Answer one record as JSON."""
    return json.dumps({"record_id": str(number), "name": "x" * 900, "organisation": {"record_id": "o", "name": "O"}})


def test_broken_json_in_the_middle_of_a_large_file(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    with file.open("w") as out:
        out.write("[\n")
        for number in range(60_000):
            out.write((row(number) if number != 30_000 else '{"record_id": oops}') + ",\n")
    assert file.stat().st_size > 55 * MEBI
    with within(40), pytest.raises(UnreadableFile, match="Line 30002: broken JSON"):
        for _ in rows(file):
            pass


@pytest.mark.parametrize(
    ("name", "before"), [("a.jsonl", b'{"a": 1}\n"'), ("a.json", b'[{"a": 1},\n"'), ("a.csv", b"a,b\n1,")]
)
def test_an_endless_line_is_never_held(tmp_path: Path, name: str, before: bytes) -> None:
    file = tmp_path / name
    with file.open("wb") as out:
        out.write(before)
        for _ in range(200):
            out.write(b"x" * MEBI)
    # At most two times the longest record, as text of one byte a sign and its copy.
    with within(60), pytest.raises(UnreadableFile, match=r"Line 2|longer"):
        list(rows(file))


def test_a_packed_bomb_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "a.csv.gz"
    with gzip.open(file, "wb", compresslevel=9) as out:
        out.write(b"a,b\n")
        for _ in range(400):
            out.write(b"1,2\n" * (MEBI // 4))
    assert file.stat().st_size < 2 * MEBI
    with within(40), pytest.raises(UnreadableFile, match="unpacks to far more"):
        for _ in rows(file):
            pass


def zipped(file: Path, **entries: bytes) -> Path:
    """Write a zip file."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("_", "."), content)
    return file


@pytest.mark.parametrize("name", ["a.xlsx", "a.ods", "feed.zip"])
def test_a_zip_bomb_is_not_opened(tmp_path: Path, name: str) -> None:
    file = zipped(tmp_path / name, stops_txt=b"0" * (300 * MEBI))
    assert file.stat().st_size < MEBI
    with within(40), pytest.raises(UnreadableFile, match="it is not opened"):
        list(gtfs.stops(file) if name == "feed.zip" else rows(file))


def test_a_zip_that_lies_about_its_size_is_read_no_further(tmp_path: Path) -> None:
    file = zipped(tmp_path / "feed.zip", stops_txt=b"stop_id,stop_name,stop_lat,stop_lon\n" + b"1,a,50,4\n" * 1_000)
    content = bytearray(file.read_bytes())
    real, said = (9_036).to_bytes(4, "little"), (100).to_bytes(4, "little")
    assert content.count(real) == 2
    file.write_bytes(bytes(content).replace(real, said))
    with pytest.raises(UnreadableFile):
        list(gtfs.stops(file))


def test_a_damaged_archive_says_so(tmp_path: Path) -> None:
    file = zipped(tmp_path / "feed.zip", stops_txt=bytes(number * number % 251 for number in range(5_000)))
    content = bytearray(file.read_bytes())
    content[200:400] = bytes(200)
    file.write_bytes(content)
    with pytest.raises(UnreadableFile):
        list(gtfs.stops(file))
    (tmp_path / "b.zip").write_bytes(b"PK nothing")
    with pytest.raises(UnreadableFile, match="no zip file"):
        list(gtfs.stops(tmp_path / "b.zip"))
    with pytest.raises(UnreadableFile, match=r"holds no stops\.txt"):
        list(gtfs.stops(zipped(tmp_path / "c.zip", other_txt=b"a")))


def test_an_archive_of_too_many_files_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "ENTRIES", 3)
    file = zipped(tmp_path / "a.zip", **{f"f{number}_txt": b"" for number in range(4)})
    with pytest.raises(UnreadableFile, match="holds 4 files"), archives.opened(file):
        pass


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_table_in_any_usual_encoding_is_read_and_said(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "a.csv"
    # The first accent stands far behind the first block.
    file.write_bytes(("Nom;Ville\n" + "plain;text\n" * 20_000 + "Crèche;Thuin\n").encode(encoding))
    told = reading.described(file)
    assert told.encoding == {"utf-8-sig": "utf-8"}.get(encoding, encoding)
    assert told.delimiter == ";"
    *_, last = rows(file)
    assert last.values == {"Nom": "Crèche", "Ville": "Thuin"}


def test_a_workbook_is_read_sheet_by_sheet(tmp_path: Path) -> None:
    file = tmp_path / "a.xlsx"
    file.write_bytes(workbook({"Services": [["Nom", "Places"], ["Crèche", 12], ["", ""], ["Vélo", 3.5]], "Vide": []}))
    found = [(one.sheet, one.line, one.values) for one in rows(file)]
    assert found == [
        ("Services", 2, {"Nom": "Crèche", "Places": "12"}),
        ("Services", 4, {"Nom": "Vélo", "Places": "3.5"}),
    ]
    assert reading.described(file).sheets == ["Services", "Vide"]


def workbook(sheets: dict[str, list[list[str | float]]]) -> bytes:
    """Answer a small workbook (Office Open XML), written by hand: what is read is not what a library of ours wrote."""

    def cell(value: str | float) -> str:
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return f"<c><v>{value}</v></c>"

    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(
            "[Content_Types].xml",
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/></Types>',
        )
        package = "http://schemas.openxmlformats.org/package/2006/relationships"
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}"><Relationship Id="r" Type="{kind}/officeDocument"'
            ' Target="xl/workbook.xml"/></Relationships>',
        )
        names = "".join(
            f'<sheet name="{name}" sheetId="{number}" r:id="r{number}"/>' for number, name in enumerate(sheets, 1)
        )
        archive.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="{kind}"><sheets>{names}</sheets></workbook>'
        )
        links = "".join(
            f'<Relationship Id="r{number}" Type="{kind}/worksheet" Target="worksheets/s{number}.xml"/>'
            for number in range(1, len(sheets) + 1)
        )
        archive.writestr("xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{package}">{links}</Relationships>')
        for number, content in enumerate(sheets.values(), 1):
            lines = "".join(f"<row>{''.join(map(cell, line))}</row>" for line in content)
            archive.writestr(
                f"xl/worksheets/s{number}.xml", f'<worksheet xmlns="{main}"><sheetData>{lines}</sheetData></worksheet>'
            )
    return out.getvalue()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=150)
@given(
    content=st.binary(max_size=400), name=st.sampled_from(["a.json", "a.jsonl", "a.csv", "a.csv.gz", "a.xlsx", "a.xls"])
)
def test_any_bytes_are_rows_or_a_reason(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    try:
        found = list(rows(tmp_path / name))
    except UnreadableFile:
        return
    assert all(one.line >= 1 for one in found)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("1,,50,4", "stop_name"),
        ("1,a,91,4", "stop_lat"),
        ("1,a,x,4", "stop_lat"),
        ("1,a,0,0", "stop_lat"),
        (",a,50,4", "stop_id"),
        ("1,a,nan,4", "stop_lat"),
    ],
)
def test_a_faulty_stop_is_told(tmp_path: Path, line: str, field: str) -> None:
    (tmp_path / "stops.txt").write_text(
        f"stop_id,stop_name,stop_lat,stop_lon\n{line}\n2,GARE  DU NORD,50,4\n2,x,50,4\n"
    )
    first, second, third = gtfs.stops(tmp_path)
    assert isinstance(first, gtfs.Fault)
    assert first.field == field
    assert isinstance(second, gtfs.StopRow)
    assert second.name == "Gare Du Nord"
    assert isinstance(third, gtfs.Fault)
