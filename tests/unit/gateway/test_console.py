"""What the console draws, exports and writes, without a server: pure functions."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from starlette.datastructures import FormData

from relais_gateway.domain.scopes import MEANINGS
from relais_gateway.web.api import ApiProblem
from relais_gateway.web.console import arrows, week
from relais_gateway.web.console.desk import SECTIONS, cell, faults_by_field, table
from relais_gateway.web.console.sheet import FAULTS, POINTERS, Sheet
from relais_gateway.web.console.waterfall import DEEPEST, WIDE, bars, share
from relais_gateway.web.console.words import milliseconds, size
from relais_gateway.web.session import LOOKING_AFTER

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def span(id_: str, parent: str | None, at_ms: float, duration_ms: float) -> dict[str, Any]:
    return {
        "span_id": id_, "parent_span_id": parent, "duration_ms": duration_ms,
        "started_at": (NOON + timedelta(milliseconds=at_ms)).isoformat(),
    }  # fmt: skip


def test_each_call_stands_under_its_caller_where_and_as_long_as_it_was() -> None:
    drawn = bars([span("a", None, 0, 100), span("b", "a", 10, 50), span("d", "a", 70, 20), span("c", "b", 20, 10)])
    assert [(bar.span["span_id"], bar.depth, bar.x, bar.width) for bar in drawn] == [
        ("a", 0, 0, 1000), ("b", 1, 100, 500), ("c", 2, 200, 100), ("d", 1, 700, 200),
    ]  # fmt: skip


def test_a_caller_that_is_not_known_or_calls_itself_hides_nobody() -> None:
    assert [bar.depth for bar in bars([span("a", "elsewhere", 0, 1), span("b", "a", 0, 1)])] == [0, 1]
    assert bars([]) == []
    # Of a circle nobody came in first; it is drawn nowhere rather than for ever.
    assert bars([span("a", "b", 0, 1), span("b", "a", 0, 1)]) == []


@given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e5)), min_size=1, max_size=30))
def test_every_bar_is_on_the_sheet(times: list[tuple[float, float]]) -> None:
    chain = [span(str(number), str(number - 1), *time) for number, time in enumerate(times)]
    drawn = bars(chain)
    assert len(drawn) == len(chain)
    assert all(bar.x >= 0 and bar.width > 0 and bar.x + bar.width <= WIDE + 0.2 for bar in drawn)
    assert max(bar.depth for bar in drawn) <= DEEPEST


def test_small_bars_and_figures_are_read_at_a_glance() -> None:
    assert [share(*each) for each in ((50, 100), (0, 100), (0, 0), (100, 100))] == [50, 1, 1, 100]
    assert [milliseconds(each) for each in (0.42, 12.3, 1_340)] == ["0,4\xa0ms", "12\xa0ms", "1,3\xa0s"]
    assert [size(each) for each in (10, 20_480, 3 << 20)] == ["1\xa0ko", "20\xa0ko", "3,0\xa0Mo"]


@given(st.lists(st.lists(st.one_of(st.text(), st.integers(), st.floats(allow_nan=False)), min_size=1), max_size=5))
def test_no_cell_of_an_exported_list_is_a_formula(lines: list[list[Any]]) -> None:
    for line in csv.reader(io.StringIO(table([["header"], *lines]))):
        for value in line:
            try:
                float(value)
            except ValueError:
                assert not value.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize("written", ["=1+1", "+32 71", "-2+3", "@SUM(A1)", "\t=1", "  =1"])
def test_a_formula_is_told_as_text_and_a_number_stays_one(written: str) -> None:
    assert cell(written) == f"'{written}"
    assert (cell(-3), cell(None), cell("Crèche")) == (-3, None, "Crèche")


def test_each_part_is_opened_by_scopes_that_exist_and_that_the_menu_knows() -> None:
    opened = frozenset[str]().union(*(each.scopes for each in SECTIONS))
    assert opened <= set(MEANINGS)
    assert opened <= LOOKING_AFTER
    assert len({each.path for each in SECTIONS}) == len(SECTIONS)


RECORD: dict[str, Any] = {
    "name": "Crèche", "themes": ["childcare--nursery"], "modes": ["on_site"], "free": False,
    "phones": [{"number": "071 1"}, {"number": "071 2"}], "conditions": [{"kind": "age", "text": "0 à 3 ans"}],
    "locations": [
        {"address": {"street": "Rue A 1", "postcode": "6000", "municipality": "Charleroi", "country": "BE",
                     "municipality_code": "be:52011"}, "latitude": 50.41, "longitude": 4.44},
        {"address": {"municipality": "Namur", "country": "BE"}},
    ],
    "relay_contact": {"name": "Accueil", "hours": "Mo-Fr 09:00-12:00"},
}  # fmt: skip


def filled(**changes: Any) -> FormData:
    """Answer the form of the record's sheet as it was shown, with changes."""
    values = {**Sheet.of(RECORD).values, **changes}
    pairs = [
        (name, each) for name, value in values.items() for each in (value if isinstance(value, list) else [str(value)])
    ]
    return FormData(pairs)


def test_a_sheet_that_nobody_touched_changes_nothing() -> None:
    assert Sheet.typed(filled(), RECORD).changes() == {}


def test_what_changed_is_written_and_what_the_sheet_does_not_show_stays() -> None:
    written = Sheet.typed(filled(name="Crèche Lune", phone="071 9", free="", alert="Fermé lundi"), RECORD)
    assert written.changes() == {
        "name": "Crèche Lune", "free": None, "alert": "Fermé lundi",
        "phones": [{"number": "071 9"}, {"number": "071 2"}],
    }  # fmt: skip
    assert Sheet.typed(filled(phone=""), RECORD).changes() == {"phones": [{"number": "071 2"}]}
    assert Sheet.typed(filled(relay_name="", relay_hours=""), RECORD).changes() == {"relay_contact": None}


def test_an_address_that_changed_keeps_neither_its_point_nor_its_code() -> None:
    (first, second) = Sheet.typed(filled(street="Rue B 2"), RECORD).changes()["locations"]
    address = {"street": "Rue B 2", "postcode": "6000", "municipality": "Charleroi", "country": "BE"}
    assert first == {"address": address}
    assert second == RECORD["locations"][1]
    moved = Sheet.typed(filled(street="Rue B 2", latitude="50,5", longitude="4,5"), RECORD).changes()["locations"][0]
    assert moved == {"address": address, "latitude": 50.5, "longitude": 4.5}
    hours = Sheet.typed(filled(opening_hours="Mo 09:00-12:00"), RECORD).changes()["locations"][0]
    assert hours == {**RECORD["locations"][0], "opening_hours": "Mo 09:00-12:00"}


def hours_of(name: str, **told: str) -> dict[str, str]:
    return {f"{name}_{each}": value for each, value in told.items()}


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Mo-Fr 09:00-12:00,13:00-17:00; PH off", None),
        ("Mo-Fr 08:00-18:00; Sa 09:00-12:00", None),
        ("Mo,We 09:00-12:00; PH closed", "Mo 09:00-12:00; We 09:00-12:00; PH off"),
        ("Mo-Su 18:00-24:00", None),
        ("Sa-Mo 10:00-12:00, 13:00-14:00", "Mo 10:00-12:00,13:00-14:00; Sa-Su 10:00-12:00,13:00-14:00"),
        ("Mo-Fr 09:00-17:00; We off", "Mo-Tu 09:00-17:00; Th-Fr 09:00-17:00"),
    ],
)
def test_plain_hours_are_a_week_of_fields_and_back(text: str, same: str | None) -> None:
    assert week.text_of(week.week_of(text)) == (same or text)


@pytest.mark.parametrize(
    "text",
    [
        "", "24/7", "Mo-Fr", "tous les jours", "Jul-Aug off", "Mo-Fr 22:00-02:00", "Mo 09:00-10:00,09:30-11:00",
        "PH off; Mo-Fr 09:00-17:00", "PH 10:00-12:00", "Mo 09:00-10:00,11:00-12:00,13:00-14:00", "Mo 29:00-30:00",
        'Mo-Fr 09:00-12:00 "sur rendez-vous"', "Mo-Fr 09:00-12:00; Dec 25 off",
    ],
)  # fmt: skip
def test_hours_that_say_more_than_a_week_have_none(text: str) -> None:
    assert not any(week.week_of(text).values())


TIMES = st.times().map(lambda at: f"{at:%H:%M}")


@given(st.dictionaries(st.sampled_from(week.FIELDS[:-1]), st.one_of(st.just(""), TIMES)), st.sampled_from(["", "off"]))
def test_what_a_week_writes_it_reads_again(told: dict[str, str], holidays: str) -> None:
    fields = {**dict.fromkeys(week.FIELDS, ""), **told, "holidays": holidays}
    try:
        text = week.text_of(fields)
    except week.Unclear:
        assume(False)
    assert week.text_of(week.week_of(text)) == text


def test_hours_are_written_by_the_week_or_by_the_line() -> None:
    filled_in = hours_of("opening_hours", Mo_1_from="9h", Mo_1_to="12:00", Tu_1_from="09:00", Tu_1_to="12:00")
    typed = Sheet.typed(filled(**filled_in, opening_hours_holidays="off"), RECORD)
    assert typed.faults == {}
    assert typed.changes()["locations"][0]["opening_hours"] == "Mo-Tu 09:00-12:00; PH off"

    closed = hours_of("relay_hours", Fr_1_from="", Fr_1_to="")
    assert Sheet.typed(filled(**closed), RECORD).changes()["relay_contact"]["hours"] == "Mo-Th 09:00-12:00"
    line = Sheet.typed(filled(relay_hours="Mo 09:00-12:00; Aug off"), RECORD)
    assert line.changes()["relay_contact"]["hours"] == "Mo 09:00-12:00; Aug off"
    assert line.faults == {}

    half = Sheet.typed(filled(opening_hours_Mo_1_from="09:00"), RECORD)
    assert set(half.faults) == {"opening_hours_Mo"}
    both = Sheet.typed(filled(**filled_in, opening_hours="24/7"), RECORD)
    assert set(both.faults) == {"opening_hours"}


def test_languages_are_chosen_by_name_and_what_was_known_of_them_stays() -> None:
    spoken = [{"code": "fr", "note": "toujours"}, {"name": "patois"}, {"code": "bg"}, {"code": "nl"}]
    record = {**RECORD, "languages": spoken}
    values = Sheet.of(record).values
    assert (values["languages"], values["other_languages"]) == (["fr", "nl"], "bg")
    pairs = [("languages", "ar"), ("languages", "fr"), ("other_languages", "bg, ku")]
    form = FormData([*((name, each) for name, each in filled().multi_items() if "languages" not in name), *pairs])
    kept = [{"code": "fr", "note": "toujours"}, {"name": "patois"}, {"code": "bg"}, {"code": "ar"}, {"code": "ku"}]
    assert Sheet.typed(form, record).changes() == {"languages": kept}


def test_every_fault_stands_beside_its_field_and_what_has_none_is_told_too() -> None:
    typed = Sheet.typed(filled(name=" ", modes=[], latitude="là"), RECORD)
    assert set(typed.faults) == {"name", "modes", "latitude"}
    pointers = ["/locations/0/opening_hours", "/locations/0/address/street", "/relay_contact/hours", "/programs/0"]
    problem = ApiProblem(422, {"errors": [{"pointer": each, "detail": "No."} for each in pointers]})
    told = Sheet.of(RECORD).refused(faults_by_field(problem, POINTERS)).faults
    assert set(told) == {"opening_hours", "street", "relay_hours", ""}
    assert told[""] == "programs/0 : No."
    assert set(POINTERS.values()) - {"free", "status"} <= set(FAULTS)


def test_who_calls_whom_is_drawn_from_outside_inwards() -> None:
    calls = [
        {"caller": None, "service": "gateway", "errors": 0},
        {"caller": "gateway", "service": "directory", "errors": 0},
        {"caller": "gateway", "service": "referral", "errors": 2},
        {"caller": "referral", "service": "directory", "errors": 0},
        {"caller": "directory", "service": "gateway", "errors": 0},
    ]
    drawn = arrows.picture(calls)
    at = {box.name: (box.x, box.y) for box in drawn.boxes}
    assert at[None][0] < at["gateway"][0] < at["directory"][0] == at["referral"][0]
    assert len(set(at.values())) == len(at) == 4
    assert [one.line for one in drawn.arrows] == [1, 2, 3, 4, 5]
    assert [one.line for one in drawn.arrows if one.wrong] == [3]
    ends = [end for one in drawn.arrows for end in (one.start, one.end)]
    assert all(0 <= x <= drawn.width and 0 <= y <= drawn.height for x, y in ends)
    # There and back are two lines, and no number stands on another.
    assert len({one.at for one in drawn.arrows}) == 5
    assert drawn.arrows[1].start != drawn.arrows[4].end
    assert arrows.picture([]).boxes == ()
    circle = [
        {"caller": "referral", "service": "worker", "errors": 0},
        {"caller": "worker", "service": "referral", "errors": 0},
    ]
    alone = arrows.picture(circle)
    assert len(alone.boxes) == 2
