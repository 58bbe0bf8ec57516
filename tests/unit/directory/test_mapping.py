"""Mapping files: how somebody's columns become a record; faults name the column and never the value."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relais_directory.formats.mapping import FaultyValue, Mapping_, fitting, named, postgres_list, shipped
from relais_directory.formats.reading import UnreadableFile


def made(spec: str, row: dict[str, Any]) -> Any:
    """Answer what one part of a mapping makes of a row; None where nothing."""
    mapping = Mapping_.parse("test", f'source = "s"\n[record]\nit = {spec}')
    return mapping.apply(row).get("it")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{}", []),
        ("{a}", ["a"]),
        ("{a,b c, d }", ["a", "b c", "d"]),
        ('{"a, b","c"}', ["a, b", "c"]),
        (r'{"say \"hi\"","back\\slash"}', ['say "hi"', "back\\slash"]),
        ('{NULL,a,"NULL"}', ["a", "NULL"]),
        ('{"}{",b}', ["}{", "b"]),
        ('{""}', [""]),
    ],
)
def test_a_list_of_postgresql_is_read(text: str, values: list[str]) -> None:
    assert postgres_list(text) == values


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_what_postgresql_quotes_comes_back(values: list[str]) -> None:
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    assert postgres_list("{" + ",".join(f'"{value}"' for value in quoted) + "}") == values


@pytest.mark.parametrize("text", ["", "a,b", "{a", "a}", '{"a}', '{"a"b}', '{"a\\"}'])
def test_a_broken_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"list|quote"):
        postgres_list(text)


@pytest.mark.parametrize(
    ("spec", "row", "value"),
    [
        ('{ column = "a" }', {"a": "  b "}, "b"),
        ('{ column = "a" }', {"a": " "}, None),
        ('{ column = "a", optional = true }', {}, None),
        ('{ column = "a", default = "z" }', {"a": None}, "z"),
        ('{ constant = "z" }', {}, "z"),
        ('{ columns = ["a", "b"] }', {"a": "1", "b": "2"}, "1 2"),
        ('{ columns = ["a", "b", "c"], join = ", " }', {"a": "1", "b": " ", "c": "3"}, "1, 3"),
        ('{ template = "{a} ({b})" }', {"a": "x", "b": None}, "x ()"),
        ('{ column = "a", steps = ["decimal_comma"] }', {"a": "55,4465"}, 55.4465),
        ('{ column = "a", steps = ["decimal_comma", "south"] }', {"a": "20,88"}, -20.88),
        ('{ column = "a", steps = ["south"] }', {"a": "-20.88"}, -20.88),
        ('{ column = "a", steps = ["west"] }', {"a": 61.5}, -61.5),
        ('{ column = "a", steps = ["number"], multiply = 0.001 }', {"a": "1500"}, 1.5),
        ('{ column = "a", steps = ["yes_no"] }', {"a": "Oui"}, True),
        ('{ column = "a", steps = ["yes_no"] }', {"a": "nee"}, False),
        ('{ column = "a", steps = ["upper"] }', {"a": "fr"}, "FR"),
        ('{ column = "a", steps = ["lower"], prefix = "be:" }', {"a": "X1"}, "be:x1"),
        ('{ column = "a", steps = ["titled"] }', {"a": "SAINT-DENIS"}, "Saint-Denis"),
        ('{ column = "a", steps = ["titled"] }', {"a": "L'Étang-Salé"}, "L'Étang-Salé"),
        ('{ column = "a", steps = ["comma_list"] }', {"a": "b, ,c"}, ["b", "c"]),
        ('{ column = "a", map = { x = "y" }, otherwise = "?" }', {"a": "x"}, "y"),
        ('{ column = "a", map = { x = "y" }, otherwise = "?" }', {"a": "z"}, "?"),
        ('{ column = "a", map = { x = "y" } }', {"a": "z"}, None),
        ('{ column = "a", steps = ["comma_list"], map_each = { x = "y", z = "y" } }', {"a": "x,z,w"}, ["y"]),
        ('{ column = "a", steps = ["comma_list"], has = "free" }', {"a": "free,paid"}, True),
        ('{ column = "a", steps = ["comma_list"], has = "free" }', {"a": "paid"}, False),
        (
            '{ column = "a", steps = ["comma_list"], map_each = { x = "y", z = "w" }, join = " ; " }',
            {"a": "x,z"},
            "y ; w",
        ),
        ('{ column = "a", steps = ["postgres_list", "free"] }', {"a": "{gratuit}"}, True),
        ('{ column = "a", steps = ["postgres_list", "free"] }', {"a": "{payant,gratuit-sous-conditions}"}, False),
        ('{ column = "a", steps = ["postgres_list", "free"] }', {"a": "{gratuit-sous-conditions}"}, None),
        ('{ column = "a", steps = ["free"] }', {"a": "payant"}, False),
        ('{ column = "a.b" }', {"a": {"b": " 1 "}}, "1"),
        ('{ column = "a.b" }', {"a": None}, None),
        ('{ column = "a.b" }', {"a.b": "2", "a": {"b": "1"}}, "2"),
        ('{ template = "{a.b}-{c}" }', {"a": {"b": 1}, "c": "{a}"}, "1-{a}"),
        ('{ first = ["a", "b.c", "d"] }', {"a": "", "b": {"c": "x"}, "d": "y"}, "x"),
        ('{ column = "a", else = { column = "b", map = { x = "y" } } }', {"a": "", "b": "x"}, "y"),
        (
            '{ each = "a", when = { k = 1 }, make = { v = { column = "v" } } }',
            {"a": [{"k": 1, "v": 2}, {"k": 0}, 3]},
            [{"v": 2}],
        ),
        ('[{ number = { column = "a" }, type = { constant = "fax" } }]', {"a": ""}, None),
        ('[{ number = { column = "a" }, type = { constant = "fax" } }]', {"a": "1"}, [{"number": "1", "type": "fax"}]),
        ('["x", { constant = "y" }, { column = "a" }]', {"a": ""}, ["x", "y"]),
        ('{ column = "a", cut = 3 }', {"a": "abcdef"}, "abc"),
        ('{ column = "a", steps = ["postgres_list", "themes"] }', {"a": "{mobilite}"}, ["mobility"]),
        ('{ column = "a", steps = ["postgres_list", "themes"] }', {"a": "{nothing-known}"}, None),
        ('[{ column = "a" }, { column = "b" }]', {"a": "1", "b": ""}, ["1"]),
        ('{ inner = { column = "a" }, other = { column = "b" } }', {"a": "1", "b": ""}, {"inner": "1"}),
        ('{ inner = { column = "a" } }', {"a": ""}, None),
    ],
)
def test_each_word_of_a_mapping_does_what_it_says(spec: str, row: dict[str, Any], value: Any) -> None:
    assert made(spec, row) == value


SECRET = "0470 12 34 56"


@pytest.mark.parametrize(
    ("spec", "row", "column"),
    [
        ('{ column = "Lat", steps = ["decimal_comma"] }', {"Lat": SECRET}, "Lat"),
        ('{ column = "Lat", steps = ["number"] }', {"Lat": [SECRET]}, "Lat"),
        ('{ column = "Lat", steps = ["south"] }', {"Lat": SECRET}, "Lat"),
        ('{ column = "Lat", multiply = 2 }', {"Lat": SECRET}, "Lat"),
        ('{ column = "List", steps = ["postgres_list"] }', {"List": SECRET}, "List"),
        ('{ column = "Free", steps = ["yes_no"] }', {"Free": SECRET}, "Free"),
        ('{ column = "List", map_each = { a = "b" } }', {"List": 1}, "List"),
        ('{ column = "List", steps = ["themes"] }', {"List": [[SECRET]]}, "List"),
        ('{ column = "Absent" }', {"Lat": SECRET}, "Absent"),
        ('{ template = "{Absent}" }', {"Lat": SECRET}, "{Absent}"),
        ('{ template = "{Lat.real}" }', {"Lat": SECRET}, "{Lat.real}"),
        ('{ template = "{Lat:>9999999999}" }', {"Lat": SECRET}, "{Lat:>9999999999}"),
        ('{ template = "{Lat[0]}" }', {"Lat": SECRET}, "{Lat[0]}"),
        ('{ each = "Lat", make = { column = "x" } }', {"Lat": SECRET}, "Lat"),
        ('{ each = 5, make = { column = "x" } }', {"Lat": SECRET}, "mapping"),
        ('{ each = "List" }', {"List": [{"a": SECRET}]}, "mapping"),
        ('{ column = ["Lat"] }', {"Lat": SECRET}, "['Lat']"),
    ],
)
def test_a_fault_names_the_column_and_never_the_value(spec: str, row: dict[str, Any], column: str) -> None:
    with pytest.raises(FaultyValue) as fault:
        made(spec, row)
    assert str(fault.value).startswith(f"{column}: ")
    assert SECRET not in str(fault.value)


def test_every_column_that_cannot_be_read_is_named_once() -> None:
    number, yes = {"column": "a", "steps": ["number"]}, {"column": "b", "steps": ["yes_no"]}
    record = {"latitude": number, "name": {"column": "c"}, "locations": [{"longitude": number, "wheelchair": yes}]}
    with pytest.raises(FaultyValue) as fault:
        Mapping_("test", "s", frozenset(), record).apply({"a": SECRET, "b": SECRET, "c": "Crèche"})
    assert fault.value.args == ("a: not a number", "b: neither yes nor no")


WORDS = (
    "column", "columns", "first", "template", "constant", "each", "when", "make", "steps", "multiply", "map",
    "otherwise", "map_each", "has", "prefix", "cut", "default", "else", "join", "optional", "x",
)  # fmt: skip
TREE = st.recursive(
    st.sampled_from(["a", "b", "a.b", "{a}", "", "themes", "number"]) | st.integers(-2, 2) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300)
@given(spec=TREE, row=st.dictionaries(st.sampled_from(["a", "b", "a.b"]), TREE | st.none() | st.text(max_size=4)))
def test_a_mapping_of_any_shape_makes_a_record_or_a_fault(spec: Any, row: dict[str, Any]) -> None:
    mapping = Mapping_("test", "s", frozenset(), {"record_id": spec})
    for what in (mapping.apply, mapping.id_of):
        with suppress(FaultyValue):
            what(row)


def test_the_id_is_told_also_where_the_rest_is_broken() -> None:
    mapping = Mapping_.parse("test", 'source = "s"\n[record]\nrecord_id = { column = "a" }\nname = { column = "b" }')
    assert mapping.id_of({"a": "1"}) == "1"
    with pytest.raises(FaultyValue, match=r"^b: "):
        mapping.apply({"a": "1"})


@pytest.mark.parametrize(
    "text",
    [
        "source =",
        'source = "s"',
        "[record]",
        "source = 1\n[record]",
        'source = "s"\nrecord = "x"',
        'source = "s"\nmatch = 5\n[record]',
        "a = " + "[" * 100_000,
        'source = "s"\n[record]\nit = { column = "a", steps = ["uper"] }',
    ],
)
def test_a_mapping_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(UnreadableFile, match=r"mine\.toml"):
        named(str(tmp_path / "mine.toml"))


def test_a_mapping_is_utf_8(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes('source = "é"'.encode("latin-1"))
    with pytest.raises(UnreadableFile, match="not UTF-8"):
        named(str(tmp_path / "mine.toml"))


def test_the_shipped_ones_are_found_by_name_or_by_their_columns() -> None:
    for mapping in shipped():
        assert named(mapping.name) == mapping
        assert fitting(mapping.match | {"another"}) == mapping
    assert fitting(frozenset({"a"})) is None
    with pytest.raises(UnreadableFile, match="Shipped: "):
        named("nobody's")
