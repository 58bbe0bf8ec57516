"""Cursors are ours alone, and of one list; a link leads on with the same question."""

from urllib.parse import parse_qsl

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from relais_shared.http import CursorCodec, next_link
from relais_shared.refusals import InvalidInput

CODEC = CursorCodec(b"s" * 32, "search")
POSITIONS = st.lists(st.one_of(st.integers(-(2**53), 2**53), st.text(), st.none()), max_size=4)


@given(POSITIONS)
def test_a_cursor_holds_its_position(position: list[object]) -> None:
    assert CODEC.decode(CODEC.encode(position)) == position


@given(POSITIONS, st.data())
def test_a_changed_cursor_is_refused(position: list[object], data: st.DataObject) -> None:
    cursor = CODEC.encode(position)
    # The last character may hold padding bits, which base64 ignores: change another.
    place = data.draw(st.integers(0, len(cursor) - 2))
    letter = data.draw(st.sampled_from("ABCabc012-_").filter(lambda other: other != cursor[place]))
    with pytest.raises(InvalidInput):
        CODEC.decode(cursor[:place] + letter + cursor[place + 1 :])


@pytest.mark.parametrize("cursor", ["", "é", "=", "a b", "AAAA"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput):
        CODEC.decode(cursor)


def test_a_refused_cursor_is_named_as_it_was_sent() -> None:
    with pytest.raises(InvalidInput) as refused:
        CODEC.decode("hier", "since")
    assert [fault.pointer for fault in refused.value.faults] == ["?since"]


def test_a_cursor_of_another_list_or_service_is_refused() -> None:
    cursor = CODEC.encode([1])
    for other in (CursorCodec(b"s" * 32, "places"), CursorCodec(b"t" * 32, "search")):
        with pytest.raises(InvalidInput):
            other.decode(cursor)


@given(
    st.lists(st.tuples(st.sampled_from(["q", "theme", "cursor", "%63ursor", "é"]), st.text('aé<>&="+% ,', max_size=6)))
)
def test_a_link_leads_on_with_the_same_question(asked: list[tuple[str, str]]) -> None:
    raw = "&".join(f"{name}={value}" for name, value in asked).encode("latin-1")
    link = next_link(Request({"type": "http", "path": "/v1/a b", "query_string": raw}), "abc-_")
    address, _, rest = link[1:].partition(">")
    assert rest == '; rel="next"'
    path, _, query = address.partition("?")
    same = [one for one in parse_qsl(raw.decode("latin-1"), keep_blank_values=True) if one[0] != "cursor"]
    assert (path, parse_qsl(query, keep_blank_values=True)) == ("/v1/a%20b", [*same, ("cursor", "abc-_")])
