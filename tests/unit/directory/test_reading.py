"""Reading: row by row, from any format, and never half a file in silence."""

import gzip
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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(records=st.lists(JSON, max_size=5), block=st.integers(1, 40), indent=st.sampled_from([None, 1]))
def test_an_array_is_the_same_however_its_blocks_fall(
    tmp_path: Path, records: list[Any], block: int, indent: int | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "CHUNK", block)
        assert [values for _line, values in read(tmp_path / "a.json", json.dumps(records, indent=indent))] == records
        objects = [one for one in records if isinstance(one, dict)]
        page = {"bbox": [1, 2], "links": {"self": [{"a": 1}]}, "items": objects, "total": 1}
        text = json.dumps(page, indent=indent)
        assert [values for _line, values in read(tmp_path / "a.json", text)] == objects


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    records=st.lists(st.dictionaries(st.sampled_from(["id", "b"]), JSON, min_size=1), max_size=6),
    block=st.integers(1, 90),
    between=st.sampled_from([",", ", ", " ,\n", "\n,{}, "]),
)
def test_records_that_hold_what_looks_like_a_record_are_told_apart(
    tmp_path: Path, records: list[dict[str, Any]], block: int, between: str
) -> None:
    """Where the next record begins is guessed by its first key: parts and texts may look like one."""
    nested = [{"id": ['},{"id":1', one, {"id": one}], **one, "z": [{"id": 1}, {"id": 2}]} for one in records]
    text = "[" + between.join(json.dumps(one, ensure_ascii=False) for one in nested) + "]"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "CHUNK", block)
        (tmp_path / "a.json").write_text(text)
        found = list(rows(tmp_path / "a.json"))
    assert [one.values for one in found if one.values != {}] == nested
    assert [one.faults for one in found] == [()] * len(found)
    lines = [one.line for one in found]
    assert lines == sorted(lines)
    assert lines[-1:] == ([text.count("\n") + 1] if found else [])


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_key_that_stands_twice_is_a_fault_of_its_record_alone(tmp_path: Path, name: str) -> None:
    lines = ['{"a": 1, "b": {"c": 1, "d": "\\":", "c": 2}, "a": 3}', '{"a" :"x\\": {", "b": [{"c": 1}, {"c": 2}]}']
    text = "[" + ",\n".join(lines) + "]" if name == "a.json" else "\n".join(lines)
    (tmp_path / name).write_text(text)
    first, second = rows(tmp_path / name)
    assert dict(first.faults) == {"c": "Twice in one object.", "a": "Twice in one object."}
    # The record's id can be told all the same.
    assert first.values["a"] == 3
    assert (second.line, second.faults) == (2, ())


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
        ("a.json", '[{"a": 1}]\n[{"a": 2}]', r"Line 2: the file goes on"),
        ("a.json", '[{"a": 1},\n]', r"Line 2: broken JSON \(a comma"),
        ("a.json", '[{"a": 1}\n{"a": 2}]', r"Line 2: broken JSON \(a comma"),
        ("a.json", '{"items": [{"a": 1}], "total', r"Line 1: broken JSON"),
        ("a.json", '{"items": [{"a": 1}],\n "total"', r"Line 2: the file breaks off behind its array"),
        ("a.json", '{"items": [{"a": 1}],\n "more": [{"a": 2}]}', r"Line 2: a second array of objects"),
        ("a.json", '{"items": [1, 2]}', "holds no JSON array"),
        ("a.json", '{"items"\n[{"a": 1}]}', "Line 2: broken JSON"),
        ("a.json", '{"a": 1}', "holds no JSON array"),
        ("a.json", "", "holds no JSON array"),
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.json", "[" + "1" * 5_000 + "]", "endless number"),
        ("a.jsonl", '{"a": 1}\n{"a": \n{"a": 3}\n', r"Line 2: broken JSON"),
        ("a.jsonl", "[" * 100_000 + "\n", "Line 1: JSON nested too deep"),
        ("a.csv", "a,b\n1,2\n3\n", r"Line 3: fewer cells"),
        ("a.csv", "a,b\n1,2\n3,4,5\n", r"Line 3: more cells"),
        ("a.csv", 'a,b\n1,"2\n', "broken CSV"),
        ("a.json", '[\n{"a": "é"}]'.encode("latin-1"), "Line 2: a.json is not UTF-8 here"),
        ("a.jsonl", '{"a": "é"}'.encode("latin-1"), "not UTF-8"),
        ("a.csv", b"a\n\xe9\x81\n", "Line 2: a.csv is not UTF-8 nor Windows-1252 here"),
        ("a.csv", "a\nb\n".encode("utf-16-le"), "Line 1 holds a NUL"),
        ("a.json", '["\0"]', "Line 1 holds a NUL"),
        ("a.csv", "a\nb\n".encode("utf-32"), "UTF-32"),
        ("a.csv", "a\nb\n".encode("utf-16") + b"\0", "not UTF-16"),
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


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("Nom, prénom;Adresse, rue;Code\nX;Rue 1;6000\nY;Rue 2;6001\n", ";"),
        ("a,b|c,d|e\n1|2|3\n", "|"),
        ('a;"b,c,d";e\n1;2;3\n', ";"),
        ("name\nx, y\n", ","),
        ("a;b\n", ";"),
        ("", ","),
    ],
)
def test_the_delimiter_is_told_by_several_rows(text: str, delimiter: str) -> None:
    assert reading.delimiter_of(text) == delimiter


def test_columns_without_a_name_are_passed_over(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", "a;;b;\n1;2;3;4\n") == [(2, {"a": "1", "b": "3"})]


def test_a_long_cell_spoils_no_file_and_an_endless_row_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((_line, values),) = read(tmp_path / "a.csv", "a,b\n" + "x" * 200_000 + ",1\n")
    assert len(values["a"]) == 200_000
    monkeypatch.setattr(reading, "LONGEST", 1_000)
    with pytest.raises(UnreadableFile, match="Line 11: a row longer"):
        read(tmp_path / "b.csv", 'a,b\n"' + ("x" * 99 + "\n") * 50 + '",1\n')
    assert len(read(tmp_path / "c.csv", "a,b\n" + "1,2\n" * 5_000)) == 5_000


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.json.gz", "a.csv.gz"])
def test_texts_in_utf_16_and_packed_ones_are_read(tmp_path: Path, name: str) -> None:
    text = {"json": '[{"a": "é€"}]', "jsonl": '{"a": "é€"}\n', "csv": "a\né€\n"}[name.split(".")[1]]
    content = text.encode("utf-16")
    assert read(tmp_path / name, gzip.compress(content) if name.endswith(".gz") else content)[0][1] == {"a": "é€"}
    told = reading.described(tmp_path / name)
    assert (told.encoding, told.packed) == ("utf-16", name.endswith(".gz"))


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


def test_progress_of_a_packed_file_counts_packed_bytes(tmp_path: Path) -> None:
    content = gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(30_000)))
    (tmp_path / "a.csv.gz").write_bytes(content)
    seen: list[int] = []
    assert len(list(rows(tmp_path / "a.csv.gz", seen.append))) == 30_000
    assert seen == sorted(seen)
    assert seen[-1] == len(content)
    assert len(set(seen)) > 1
