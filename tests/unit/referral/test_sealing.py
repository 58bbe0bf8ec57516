"""Sealing: a part opens in its own place only."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from relais_referral.sealing import Sealer, Wrapped
from relais_shared.settings import SettingsProblem

ONE, OTHER = UUID(int=1), UUID(int=2)
SEALER = Sealer("b", {"a": bytes(32), "b": bytes([1] * 32)})
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(json_values)
def test_what_is_sealed_opens_as_it_was(value: Any) -> None:
    wrapped, seal = SEALER.new(ONE)
    assert SEALER.open(ONE, wrapped).open("notes", seal.close("notes", value)) == value


def test_a_part_opens_under_its_own_name_and_referral_only() -> None:
    wrapped, seal = SEALER.new(ONE)
    kept = seal.close("notes", "elle dort mal")
    assert b"dort" not in kept
    assert seal.close("notes", "elle dort mal") != kept
    with pytest.raises(InvalidTag):
        seal.open("needs", kept)
    other, other_seal = SEALER.new(OTHER)
    with pytest.raises(InvalidTag):
        other_seal.open("notes", kept)
    # Nor does a key that was moved to another row open anything there.
    with pytest.raises(InvalidTag):
        SEALER.open(OTHER, wrapped)
    with pytest.raises(InvalidTag):
        SEALER.open(ONE, other)
    with pytest.raises(InvalidTag):
        SEALER.open(ONE, Wrapped("a", wrapped.wrapped))


@given(st.integers(0, 200), st.integers(1, 255))
def test_every_changed_byte_shows(place: int, change: int) -> None:
    _, seal = SEALER.new(ONE)
    kept = bytearray(seal.close("notes", "elle dort mal depuis avril"))
    kept[place % len(kept)] ^= change
    with pytest.raises(InvalidTag):
        seal.open("notes", bytes(kept))


def test_a_key_that_is_gone_opens_nothing() -> None:
    wrapped, _ = SEALER.new(ONE)
    with pytest.raises(KeyError):
        Sealer("a", {"a": bytes(32)}).open(ONE, wrapped)


@pytest.mark.parametrize("text", [None, "rubbish", '{"current": "b"}', '{"current": "b", "keys": {"a": "AAAA"}}'])
def test_a_key_file_that_is_none_is_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "keys").mkdir()
        (tmp_path / "keys" / "wrapping.json").write_text(text)
    with pytest.raises(SettingsProblem, match=r"wrapping\.json"):
        Sealer.load(tmp_path)
