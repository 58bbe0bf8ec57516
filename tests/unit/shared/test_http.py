"""Cursors are ours alone, and of one list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_shared.http import CursorCodec
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


def test_a_cursor_of_another_list_or_service_is_refused() -> None:
    cursor = CODEC.encode([1])
    for other in (CursorCodec(b"s" * 32, "places"), CursorCodec(b"t" * 32, "search")):
        with pytest.raises(InvalidInput):
            other.decode(cursor)
