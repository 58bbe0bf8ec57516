"""Reading: row by row, from any format, and never half a file in silence."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relais_directory.formats import reading
from relais_directory.formats.reading import UnreadableFile, rows

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def read(path: Path, content: str | bytes) -> list[Any]:
    """Write a file and answer (line, values) of each of its rows."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [(row.line, row.values) for row in rows(path)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(JSON, max_size=5), block=st.integers(1, 40), indent=st.sampled_from([None, 1]))
def test_an_array_is_the_same_however_its_blocks_fall(
    tmp_path: Path, records: list[Any], block: int, indent: int | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "CHUNK", block)
        for text in (json.dumps(records, indent=indent), json.dumps({"items": records, "total": 1}, indent=indent)):
            assert [values for _line, values in read(tmp_path / "a.json", text)] == records


def test_rows_know_the_line_where_they_begin(tmp_path: Path) -> None:
    assert read(tmp_path / "a.json", '[\n{"a": 1},\n\n{\n"a": 2}\n]\n') == [(2, {"a": 1}), (4, {"a": 2})]
    assert read(tmp_path / "a.jsonl", '{"a": 1}\n\n{"a": 2}') == [(1, {"a": 1}), (3, {"a": 2})]
    assert read(tmp_path / "a.csv", 'a;b\n1;"x\ny"\n\n2;z\n') == [
        (2, {"a": "1", "b": "x\ny"}),
        (5, {"a": "2", "b": "z"}),
    ]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.ndjson", "a.csv", "a.JSON"])
def test_a_byte_order_mark_is_no_content(tmp_path: Path, name: str) -> None:
    text = {"json": '[{"a": "é"}]', "csv": "a\né\n"}.get(name.lower().rpartition(".")[2], '{"a": "é"}\n')
    assert [values for _line, values in read(tmp_path / name, b"\xef\xbb\xbf" + text.encode())] == [{"a": "é"}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_table_tells_its_own_delimiter(tmp_path: Path, delimiter: str) -> None:
    text = delimiter.join(["a", "b"]) + "\r\n" + delimiter.join(['"1, 2; ""3"""', "x"]) + "\r\n"
    assert read(tmp_path / "a.csv", text) == [(2, {"a": '1, 2; "3"', "b": "x"})]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", '[\n{"a": 1},\n{"a": oops},\n{"a": 3}\n]', r"Line 3: broken JSON"),
        ("a.json", '[\n{"a": 1},\n{"a":\n', r"Line \d: broken JSON"),
        ("a.json", '[\n{"a": 1},\n', r"Line 3: the file breaks off"),
        ("a.json", '[{"a": 1}]\n[{"a": 2}]', r"Line 1: the file goes on"),
        ("a.json", '{"items": [{"a": 1}], "total', r"breaks off, behind its array"),
        ("a.json", '{"a": 1}', "holds no JSON array"),
        ("a.json", "", "holds no JSON array"),
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.json", "[" + "1" * 5_000 + "]", "endless number"),
        ("a.jsonl", '{"a": 1}\n{"a": \n{"a": 3}\n', r"Line 2: broken JSON"),
        ("a.jsonl", "[" * 100_000 + "\n", "Line 1: JSON nested too deep"),
        ("a.csv", "a,b\n1,2\n3\n", r"Line 3: fewer cells"),
        ("a.csv", "a,b\n1,2\n3,4,5\n", r"Line 3: more cells"),
        ("a.csv", 'a,b\n1,"2\n', "broken CSV"),
        ("a.json", '[{"a": "é"}]'.encode("latin-1"), "not UTF-8"),
        ("a.jsonl", '{"a": "é"}'.encode("latin-1"), "not UTF-8"),
        ("a.csv", "a,b,a\n1,2,3\n", "two columns have one name"),
        ("a.xlsx", "", "no zip file"),
        ("a.xls", "nothing", "no workbook"),
        ("a.pdf", "", r"must end in one of \.csv"),
        ("a.csv.gz", "not packed", "damaged"),
    ],
)
def test_what_cannot_be_read_says_where_and_why(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    with pytest.raises(UnreadableFile, match=said):
        read(tmp_path / name, content)


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_an_endless_record_is_not_held(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK", 100)
    monkeypatch.setattr(reading, "LONGEST", 1_000)
    text = {"a.json": '[{"a": 1},\n"', "a.jsonl": '{"a": 1}\n"'}[name]
    with pytest.raises(UnreadableFile, match="Line 2"):
        read(tmp_path / name, text + "x" * 5_000)


def test_an_absent_file_is_told_and_progress_counts_bytes(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="cannot be read"):
        list(rows(tmp_path / "absent.json"))
    (tmp_path / "a.csv").write_text("a\n1\n")
    seen: list[int] = []
    assert len(list(rows(tmp_path / "a.csv", seen.append))) == 1
    assert max(seen) >= 4
