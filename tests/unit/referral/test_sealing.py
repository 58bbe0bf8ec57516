"""Sealing: a part opens in its own place only."""

import json
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from relais_referral.sealing import LIVING, KeyFile, Sealer, Wrapped
from relais_shared.settings import SettingsProblem

ONE, OTHER = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def a_sealer(folder: Path, name: str = "wrapping") -> Sealer:
    """Answer a sealer with keys of its own."""
    path = folder / f"{name}.json"
    path.write_text('{"keys": {}}')
    file = KeyFile(path)
    file.fill(NOW)
    return Sealer(file)


with TemporaryDirectory() as _folder:
    SEALER = a_sealer(Path(_folder))
    # What stands in memory is enough for what is tested with it: its file is gone with its folder.
    SEALER.file.held = dict(SEALER.file.held()).copy  # type: ignore[method-assign]
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
    another = next(key_id for key_id in SEALER.file.held() if key_id != wrapped.key_id)
    with pytest.raises(InvalidTag):
        SEALER.open(ONE, Wrapped(another, wrapped.wrapped))


@given(st.integers(0, 200), st.integers(1, 255))
def test_every_changed_byte_shows(place: int, change: int) -> None:
    _, seal = SEALER.new(ONE)
    kept = bytearray(seal.close("notes", "elle dort mal depuis avril"))
    kept[place % len(kept)] ^= change
    with pytest.raises(InvalidTag):
        seal.open("notes", bytes(kept))


def test_a_key_that_is_destroyed_opens_nothing_in_any_process(tmp_path: Path) -> None:
    sealer = a_sealer(tmp_path)
    elsewhere = Sealer(KeyFile(tmp_path / "wrapping.json"))
    wrapped, _ = sealer.new(ONE)
    elsewhere.open(ONE, wrapped)
    sealer.file.destroy([wrapped.key_id])
    for one in (sealer, elsewhere):
        with pytest.raises(KeyError):
            one.open(ONE, wrapped)


def test_a_retiring_key_opens_and_wraps_nothing_new(tmp_path: Path) -> None:
    sealer = a_sealer(tmp_path)
    wrapped, seal = sealer.new(ONE)
    kept = seal.close("notes", "elle dort mal")
    sealer.file.retire(sealer.file.held(), NOW)
    living = [key_id for key_id, key in sealer.file.held().items() if key.retiring is None]
    assert len(living) == LIVING
    assert len(sealer.file.held()) == 2 * LIVING
    assert sealer.open(ONE, wrapped).open("notes", kept) == "elle dort mal"
    anew = sealer.anew(ONE, wrapped)
    assert anew.key_id in living
    sealer.file.destroy([wrapped.key_id])
    assert sealer.open(ONE, anew).open("notes", kept) == "elle dort mal"
    assert {sealer.new(OTHER)[0].key_id for _ in range(200)} <= set(living)


def test_retiring_twice_keeps_the_first_instant(tmp_path: Path) -> None:
    file = a_sealer(tmp_path).file
    one = next(iter(file.held()))
    file.retire([one], NOW)
    file.retire([one], NOW + timedelta(days=1))
    assert file.held()[one].retiring == NOW


def test_the_file_of_an_older_installation_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    path = tmp_path / "keys" / "wrapping.json"
    path.write_text(json.dumps({"current": "a", "keys": {"a": urlsafe_b64encode(bytes(32)).decode()}}))
    sealer = Sealer.load(tmp_path)
    assert len(sealer.file.held()) == LIVING
    assert sealer.file.held()["a"].key == bytes(32)
    assert path.stat().st_mode & 0o777 == 0o600


def test_keys_are_made_once_whoever_starts(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "wrapping.json").write_text('{"keys": {}}')
    with ThreadPoolExecutor(8) as threads:
        sealers = list(threads.map(lambda _: Sealer.load(tmp_path), range(8)))
    assert len({tuple(sealer.file.held()) for sealer in sealers}) == 1
    assert len(sealers[0].file.held()) == LIVING


@pytest.mark.parametrize("text", [None, "rubbish", '{"current": "b"}', '{"keys": {"a": "AAAA"}}'])
def test_a_key_file_that_is_none_is_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "keys").mkdir()
        (tmp_path / "keys" / "wrapping.json").write_text(text)
    with pytest.raises(SettingsProblem, match=r"wrapping\.json"):
        Sealer.load(tmp_path)
