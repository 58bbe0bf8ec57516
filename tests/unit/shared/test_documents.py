"""A kept document is of the code as it is, or it is not used."""

import os
from pathlib import Path

import pytest

from relais_shared import documents

DOCUMENT = {"openapi": "3.1.0", "paths": {"/é": {}}}


@pytest.fixture(name="package")
def _package(tmp_path: Path) -> Path:
    (tmp_path / "routes.py").write_text("one = 1\n")
    return tmp_path


def test_it_is_answered_while_the_code_stays(package: Path) -> None:
    assert documents.kept(package) is None
    documents.keep(package, DOCUMENT)
    assert documents.kept(package) == DOCUMENT
    assert [path.name for path in (package / "__pycache__").iterdir()] == ["openapi.json"]


def test_code_that_changed_has_none(package: Path) -> None:
    documents.keep(package, DOCUMENT)
    file = package / "routes.py"
    file.write_text("two = 2\n")
    os.utime(file, ns=(1, 1))
    assert documents.kept(package) is None
    documents.keep(package, DOCUMENT)
    (package / "more.py").touch()
    assert documents.kept(package) is None


@pytest.mark.parametrize("rubbish", [b"", b"{}", b"[]", b"\xff", b'{"of": 1}'])
def test_what_cannot_be_read_is_none(package: Path, rubbish: bytes) -> None:
    documents.keep(package, DOCUMENT)
    (package / "__pycache__" / "openapi.json").write_bytes(rubbish)
    assert documents.kept(package) is None


def test_a_place_that_nobody_may_write_is_left_alone(package: Path) -> None:
    (package / "__pycache__").write_text("no folder")
    documents.keep(package, DOCUMENT)
    assert documents.kept(package) is None
