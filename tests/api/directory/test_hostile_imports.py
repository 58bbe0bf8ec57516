"""Bad input of every kind ends in a report and an unchanged directory, in bounded memory; by the whole command."""

import asyncio
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from api.directory.test_import import Directory, _directory, service  # noqa: F401 - the fixture and its parts

pytestmark = pytest.mark.anyio

MEBI = 1 << 20
PEAK_MIB = 300
"""As much as an import of a million good rows may take."""


WATCHED = """
import re, runpy
from pathlib import Path
try:
    runpy.run_module("relais_directory", run_name="__main__")
finally:
    print(re.search("VmHWM:[^0-9]*([0-9]+)", Path("/proc/self/status").read_text())[1])
"""
"""Runs the command and tells its peak memory in KiB; what `wait4` tells is at least that of whoever started it."""


def import_of(file: Path, dsn: str) -> tuple[int, str, float]:
    """Import a file by the command; answer its exit code, what it said, and its peak memory in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, "import", str(file), "--source", "a"],
        env={**os.environ, "RELAIS_DIRECTORY_DSN": dsn, "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr, int(done.stdout.split()[-1]) / 1024


def broken_in_the_middle(file: Path) -> None:
    """Write over 100 MB of records, the middle one of them no JSON."""
    with file.open("w") as out:
        out.write("[\n")
        for number in range(100_001):
            row = json.dumps(service(number, description="x" * 800)) if number != 50_000 else '{"record_id": oops}'
            out.write(f"{row},\n")
        out.write("{}]")
    assert file.stat().st_size > 100 * MEBI


def endless_line(file: Path) -> None:
    """Write a line of 2 GB; its end, which nobody should come to, takes no room on the disk."""
    with file.open("wb") as out:
        out.write(json.dumps(service(2)).encode() + b'\n{"name": "' + b"x" * (20 * MEBI))
        out.truncate(2_048 * MEBI)


def bomb(file: Path) -> None:
    """Write a package of some hundred kilobytes that unpacks to 300 MB."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("organizations.csv", "id,name,description\n")
        with archive.open("services.csv", "w") as table:
            table.write(b"id,name,organization_id\n")
            for _ in range(300):
                table.write(b"0" * MEBI)
    assert file.stat().st_size < MEBI


def wrong_encoding(file: Path) -> None:
    """Write JSON in Latin-1."""
    file.write_bytes(json.dumps([service(2, name="Crèche")], ensure_ascii=False).encode("latin-1"))


def rows(*changes: dict[str, Any]) -> Callable[[Path], None]:
    """Answer what writes records that nobody can take."""
    return lambda file: file.write_text(json.dumps([service(n, **each) for n, each in enumerate(changes, 2)])) and None


PLACE = {"record_id": "1", "address": {"municipality_code": "be:52011", "country": "BE"}, "longitude": 4.444}

KNOWN = (("r1", "Service 1"), ("r9000", "Service 9000"))
"""What stands in the directory already; a file without it would rightly retire it."""

FILES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "broken JSON in the middle of 100 MB": ("a.json", broken_in_the_middle, "Line 50002: broken JSON"),
    "a line of 2 GB": ("a.jsonl", endless_line, "Line 2"),
    "a zip bomb": ("a.zip", bomb, "too large, unpacked"),
    "a wrong encoding": ("a.json", wrong_encoding, "is not UTF-8"),
    "latitude 200": (
        "a.json",
        rows({"locations": [PLACE | {"latitude": 200}]}, {"locations": [PLACE | {"latitude": -90.5}]}),
        "latitude",
    ),
    "dates of 1800": (
        "a.json",
        rows({"assured_at": "1800-01-01"}, {"status": "temporarily_closed", "closed_until": "1800-12-31"}),
        "assured_at",
    ),
    "an id that stands twice": (
        "a.json",
        rows(*({"record_id": id_, "name": name} for id_, name in (*KNOWN, ("r1", "Another")))),
        "1 refused",
    ),
}


async def test_no_hostile_file_changes_anything(directory: Directory) -> None:
    await directory.take([service(1), service(9_000)], source="a")
    before = await directory.everything()
    before.pop("import_job")
    for number, (kind, (name, write, reason)) in enumerate(FILES.items(), 2):
        file = directory.folder / f"hostile-{name}"
        await asyncio.to_thread(write, file)
        code, said, peak = await asyncio.to_thread(import_of, file, directory.access.dsn)
        file.unlink()
        after = await directory.everything()
        assert code == (0 if kind == "an id that stands twice" else 1), (kind, said)
        assert reason in said, kind
        assert peak < PEAK_MIB, kind
        # The attempt is on record; nothing else is.
        assert len(after.pop("import_job")) == number, kind
        assert after == before, kind
