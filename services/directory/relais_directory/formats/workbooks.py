"""Rows out of workbooks (xlsx, xlsm, xlsb, xls, ods), read in a process of its own, whose memory is bounded.

The library holds a sheet whole, and a file of a few kilobytes can ask for a sheet of 17 billion cells (one in the last
column of the last row), or for one cell a million times. What cannot be held ends that process and not ours.
"""

import resource
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
import python_calamine

from relais_directory.formats import archives
from relais_directory.formats.refused import UnreadableFile

UNPACKED: Final = 256 << 20
"""Bytes that a workbook may unpack to: half a million rows of ten columns have about as much."""
MEMORY: Final = 2 << 30
"""Bytes that reading one may take, all in all: twice what a workbook of that size takes."""
SECONDS: Final = 600
"""Of one processor; a workbook of that size takes half a minute."""
REFUSED: Final = 3
"""What the process ends with where the library says why it cannot read a file."""

Cells = tuple[str, int, list[str]]
"""A sheet's name, a row's number (from 1) and its cells as text, as a table has them."""


def rows(path: Path) -> Iterator[Cells]:
    """Read the rows of every sheet in which anything stands.

    Raises:
        UnreadableFile: It is no workbook, damaged, protected by a password, or too large.
    """
    for told in _told(path, "rows"):
        yield told[0], told[1], told[2]


def sheets(path: Path) -> list[str]:
    """Answer the names of the sheets.

    Raises:
        UnreadableFile: As for `rows`.
    """
    return next(_told(path, "sheets"))


def _told(path: Path, what: str) -> Iterator[Any]:
    """Answer what the other process says, line by line."""
    try:
        if path.suffix.lower() != ".xls":
            archives.check(path, UNPACKED)
        elif path.stat().st_size > UNPACKED:
            raise UnreadableFile(f"{path.name} is larger than {UNPACKED >> 20} MiB.")
    except OSError as fault:
        raise UnreadableFile(f"{path.name} cannot be read: {fault.strerror or fault}.") from None
    with subprocess.Popen(  # noqa: S603 - this module itself; the path is an argument, and no shell reads it
        [sys.executable, "-m", "relais_directory.formats.workbooks", what, str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        last: Any = None
        try:
            for line in child.stdout or ():
                last = orjson.loads(line)
                if "why" not in last:
                    yield last
        finally:
            # Whoever asked for the first row alone leaves here.
            child.kill()
    if child.returncode == REFUSED:
        raise UnreadableFile(f"{path.name} is no workbook that can be read: {last['why']}.")
    if child.returncode != 0:
        raise UnreadableFile(f"{path.name} is damaged, or needs over {MEMORY >> 30} GiB to be read: it is not.")


def _tell(what: str, path: str) -> int:
    """Write what is asked for, a line of JSON each; answer what to end with."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = sys.stdout.buffer
    try:
        book = python_calamine.CalamineWorkbook.from_path(path)
        if what == "sheets":
            out.write(orjson.dumps(book.sheet_names) + b"\n")
            return 0
        for name in book.sheet_names:
            for number, cells in enumerate(book.get_sheet_by_name(name).iter_rows(), 1):
                texts = [text_of(cell) for cell in cells]
                if any(texts):
                    out.write(orjson.dumps((name, number, texts)) + b"\n")
    except python_calamine.CalamineError as fault:
        out.write(orjson.dumps({"why": str(fault).rstrip(".")[:200]}) + b"\n")
        return REFUSED
    return 0


def text_of(value: Any) -> str:  # noqa: ANN401 - a cell of any type
    """Answer a cell as a table would have it: no point behind a whole number, no midnight behind a day."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    return str(value) if isinstance(value, timedelta) else str(value).strip()


if __name__ == "__main__":
    sys.exit(_tell(sys.argv[1], sys.argv[2]))
