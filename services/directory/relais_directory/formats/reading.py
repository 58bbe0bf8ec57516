"""Rows out of files, one at a time: JSON, JSON Lines, CSV; memory does not grow with the file."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from json import JSONDecodeError, JSONDecoder
from pathlib import Path
from typing import Any, BinaryIO, Final

CHUNK: Final = 1 << 16
"""Characters read at a time."""
LONGEST: Final = 8 << 20
"""Characters of one record or line: the largest real ones have some thousands."""


class UnreadableFile(Exception):  # noqa: N818 - an answer to whoever imports
    """The file cannot be read to its end; says where and why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file and the line where it begins (from 1)."""

    line: int
    values: Any
    sheet: str | None = None
    """Of a workbook."""


def rows(path: Path, progress: Callable[[int], None] | None = None) -> Iterator[Row]:
    """Read the rows of a file; the ending of its name tells the format (.json, .jsonl, .csv).

    Args:
        path: The file, UTF-8 with or without a byte order mark.
        progress: Told the bytes read so far, now and then.

    Raises:
        UnreadableFile: It is not what its name says, or breaks off.
    """
    reader = {".json": _json, ".jsonl": _lines, ".ndjson": _lines, ".csv": _csv}.get(path.suffix.lower())
    if reader is None:
        raise UnreadableFile(f"{path.name}: the name must end in .json, .jsonl or .csv.")
    try:
        with path.open("rb") as raw:
            counted = _Counted(raw, progress)
            with TextIOWrapper(counted, encoding="utf-8-sig", newline="") as text:
                yield from reader(text)
    except UnicodeDecodeError as fault:
        raise UnreadableFile(f"{path.name} is not UTF-8 (byte {fault.start} of a block).") from None
    except OSError as fault:
        raise UnreadableFile(f"{path.name} cannot be read: {fault.strerror}.") from None


class _Counted:
    """A binary file that says how far it was read."""

    def __init__(self, raw: BinaryIO, progress: Callable[[int], None] | None) -> None:
        self._raw = raw
        self._progress = progress
        self._done = 0

    def read1(self, size: int = -1) -> bytes:
        block = self._raw.read(size)
        self._done += len(block)
        if self._progress is not None:
            self._progress(self._done)
        return block

    read = read1

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the file has
        return getattr(self._raw, name)


def _json(text: TextIOWrapper) -> Iterator[Row]:  # noqa: C901 - one loop over one buffer
    """Read the objects of a JSON array, or of the first array inside an object."""
    decoder, buffer, line = JSONDecoder(), "", 1
    ended = False

    def more() -> None:
        nonlocal buffer, ended
        block = text.read(CHUNK)
        ended = not block
        buffer += block
        if len(buffer) > LONGEST:
            raise UnreadableFile(f"Line {line}: broken JSON, or a record of over {LONGEST >> 20} million characters.")

    def drop(count: int) -> None:
        nonlocal buffer, line
        line += buffer.count("\n", 0, count)
        buffer = buffer[count:]

    while "[" not in buffer:
        more()
        if ended:
            raise UnreadableFile("The file holds no JSON array of records.")
    wrapped = bool(buffer[: buffer.index("[")].strip())
    drop(buffer.index("[") + 1)
    while True:
        drop(len(buffer) - len(buffer.lstrip(" \t\r\n,")))
        if buffer.startswith("]"):
            break
        try:
            value, end = decoder.raw_decode(buffer) if buffer else (None, 0)
        except JSONDecodeError as fault:
            if ended:
                raise UnreadableFile(f"Line {line + fault.lineno - 1}: broken JSON ({fault.msg}).") from None
            end = 0
        except (ValueError, RecursionError):
            raise UnreadableFile(f"Line {line}: JSON nested too deep, or with an endless number.") from None
        # A number or word at the very end may go on in the next block; an object is whole at its brace.
        if end == 0 or (end == len(buffer) and not ended and not isinstance(value, dict | list)):
            if ended:
                raise UnreadableFile(f"Line {line}: the file breaks off inside the array.")
            more()
            continue
        yield Row(line, value)
        drop(end)
    # Behind the array stands the rest of its object or nothing; a second array, or a cut, would be records lost.
    drop(1)
    last = "]"
    while True:
        last = (buffer.rstrip() or last)[-1]
        if (buffer.strip() and not wrapped) or (ended and wrapped and last != "}"):
            raise UnreadableFile(f"Line {line}: the file goes on, or breaks off, behind its array.")
        if ended:
            return
        drop(len(buffer))
        more()


def _lines(text: TextIOWrapper) -> Iterator[Row]:
    number = 0
    while line := text.readline(LONGEST):
        number += 1
        if len(line) == LONGEST:
            raise UnreadableFile(f"Line {number} is longer than {LONGEST >> 20} million characters.")
        if line.strip():
            try:
                yield Row(number, json.loads(line))
            except JSONDecodeError as fault:
                raise UnreadableFile(f"Line {number}: broken JSON ({fault.msg}).") from None
            except (ValueError, RecursionError):
                raise UnreadableFile(f"Line {number}: JSON nested too deep, or with an endless number.") from None


def _csv(text: TextIOWrapper) -> Iterator[Row]:
    sample = text.read(CHUNK)
    text.seek(0)
    head = sample.partition("\n")[0]
    delimiter = max(";,\t|", key=head.count)
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        names = next(reader, [])
        begins = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(names):
                # Fewer cells are a file that breaks off: what followed would be taken for gone.
                more = "more" if len(cells) > len(names) else "fewer"
                raise UnreadableFile(f"Line {begins}: {more} cells than the header names.")
            if cells:
                yield Row(begins, dict(zip(names, cells, strict=True)))
            begins = reader.line_num + 1
    except csv.Error as fault:
        raise UnreadableFile(f"Line {reader.line_num}: broken CSV ({fault}).") from None
