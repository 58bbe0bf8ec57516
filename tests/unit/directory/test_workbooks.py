"""Workbooks: every sheet, cells as a table has them, and none that takes the memory or the process with it."""

import zipfile
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from relais_directory.formats import reading, workbooks
from relais_directory.formats.reading import UnreadableFile, rows

OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def xlsx(file: Path, **sheets: str) -> Path:
    """Write a workbook whose sheets hold some XML."""
    names = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(sheets, 1))
    links = "".join(
        f'<Relationship Id="r{n}" Type="{OFFICE}/worksheet" Target="worksheets/s{n}.xml"/>'
        for n in range(1, len(sheets) + 1)
    )
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/></Types>',
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}">'
            f'<Relationship Id="r" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{names}</sheets></workbook>'
        )
        archive.writestr("xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{PACKAGE}">{links}</Relationships>')
        for n, content in enumerate(sheets.values(), 1):
            archive.writestr(
                f"xl/worksheets/s{n}.xml", f'<worksheet xmlns="{MAIN}"><sheetData>{content}</sheetData></worksheet>'
            )
    return file


def ods(file: Path, table: str) -> Path:
    """Write an OpenDocument workbook of one sheet."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet", zipfile.ZIP_STORED)
        space = "urn:oasis:names:tc:opendocument:xmlns"
        archive.writestr(
            "content.xml",
            f'<office:document-content xmlns:office="{space}:office:1.0" xmlns:table="{space}:table:1.0"'
            f' xmlns:text="{space}:text:1.0"><office:body><office:spreadsheet>{table}</office:spreadsheet>'
            "</office:body></office:document-content>",
        )
        archive.writestr(
            "META-INF/manifest.xml", f'<manifest:manifest xmlns:manifest="{space}:manifest:1.0"></manifest:manifest>'
        )
    return file


def text(place: str, value: str) -> str:
    """Answer a cell with a text."""
    return f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'


def test_rows_know_their_sheet_and_the_number_that_people_see(tmp_path: Path) -> None:
    file = xlsx(
        tmp_path / "a.xlsx",
        Un=f'<row r="3">{text("B3", "Nom")}{text("C3", "Libre")}{text("E3", "Fin")}</row>'
        f'<row r="5">{text("B5", " Vélo ")}<c r="C5" t="b"><v>1</v></c><c r="D5"><v>9</v></c></row>'
        '<row r="9"><c r="B9" t="e"><v>#REF!</v></c><c r="C9"><v>1234.0</v></c><c r="E9"><v>0.5</v></c></row>',
        Vide="",
        Deux=f'<row r="1">{text("A1", "Autre")}</row><row r="2">{text("A2", "x")}</row>',
    )
    assert [(one.sheet, one.line, one.values) for one in rows(file)] == [
        ("Un", 5, {"Nom": "Vélo", "Libre": "true", "Fin": ""}),
        ("Un", 9, {"Nom": "", "Libre": "1234", "Fin": "0.5"}),
        ("Deux", 2, {"Autre": "x"}),
    ]
    told = reading.described(file)
    assert (told.format, told.sheets) == ("workbook", ["Un", "Vide", "Deux"])
    # Whoever wants the first row alone leaves no process behind.
    assert next(rows(file)).line == 5


def test_an_opendocument_is_read_too(tmp_path: Path) -> None:
    def cell(value: str) -> str:
        return f'<table:table-cell office:value-type="string"><text:p>{value}</text:p></table:table-cell>'

    content = "".join(f"<table:table-row>{cell(a)}{cell(b)}</table:table-row>" for a, b in (("a", "b"), ("é", "2")))
    file = ods(tmp_path / "a.ods", f'<table:table table:name="S">{content}</table:table>')
    assert [(one.sheet, one.line, one.values) for one in rows(file)] == [("S", 2, {"a": "é", "b": "2"})]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (True, "true"),
        (False, "false"),
        (1234.0, "1234"),
        (-0.25, "-0.25"),
        (7, "7"),
        ("  06 00 ", "06 00"),
        (date(2026, 3, 2), "2026-03-02"),
        (datetime(2026, 3, 2), "2026-03-02"),  # noqa: DTZ001 - a workbook knows no time zone
        (datetime(2026, 3, 2, 8, 30), "2026-03-02T08:30:00"),  # noqa: DTZ001 - as above
        (time(8, 30), "08:30:00"),
        (timedelta(hours=8, minutes=30), "8:30:00"),
    ],
)
def test_a_cell_is_what_a_table_would_hold(value: Any, told: str) -> None:
    assert workbooks.text_of(value) == told


SPARSE = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'
ENDLESS = (
    '<table:table table:name="S"><table:table-row table:number-rows-repeated="1048576"><table:table-cell'
    ' table:number-columns-repeated="16384" office:value-type="float" office:value="1"/></table:table-row>'
    "</table:table>"
)


@pytest.mark.parametrize("name", ["sparse.xlsx", "repeated.ods"])
def test_a_few_bytes_that_ask_for_billions_of_cells_end_their_own_process(tmp_path: Path, name: str) -> None:
    file = xlsx(tmp_path / name, A=SPARSE) if name == "sparse.xlsx" else ods(tmp_path / name, ENDLESS)
    assert file.stat().st_size < 2_000
    with pytest.raises(UnreadableFile, match=r"needs over 2 GiB|Cell limit exceeded"):
        list(rows(file))


def test_a_workbook_whose_parts_are_longer_than_it_says_is_not_opened(tmp_path: Path) -> None:
    file = xlsx(tmp_path / "a.xlsx", A=f'<row r="1">{text("A1", "x" * 5_000)}</row>')
    with zipfile.ZipFile(file) as archive:
        size = archive.getinfo("xl/worksheets/s1.xml").file_size
    content = file.read_bytes()
    real, said = size.to_bytes(4, "little"), (100).to_bytes(4, "little")
    assert content.count(real) == 2
    file.write_bytes(content.replace(real, said))
    with pytest.raises(UnreadableFile, match=r"damaged|no zip file"):
        list(rows(file))


def test_two_columns_of_one_name_and_a_protected_book_are_told(tmp_path: Path) -> None:
    file = xlsx(tmp_path / "a.xlsx", A=f'<row r="2">{text("A2", "a")}{text("B2", "a")}</row>')
    with pytest.raises(UnreadableFile, match="Sheet A, line 2: two columns"):
        list(rows(file))
    (tmp_path / "b.xlsx").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(1_000))
    with pytest.raises(UnreadableFile, match="no zip file"):
        list(rows(tmp_path / "b.xlsx"))
    with pytest.raises(UnreadableFile, match="cannot be read"):
        list(rows(tmp_path / "absent.xlsx"))
