"""Rows out of files, one at a time: JSON, JSON Lines, CSV, workbooks, packed or not; memory does not grow with them."""

import codecs
import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from io import TextIOWrapper
from json import JSONDecodeError, JSONDecoder
from pathlib import Path
from typing import Any, BinaryIO, Final

import python_calamine

from relais_directory.formats import archives
from relais_directory.formats.refused import UnreadableFile

__all__ = ["Described", "Row", "UnreadableFile", "described", "rows"]

CHUNK: Final = 1 << 16
"""Characters read at a time."""
LONGEST: Final = 8 << 20
"""Characters of one record or line: the largest real ones have some thousands."""
WORKBOOK: Final = 256 << 20
"""Bytes that a workbook may unpack to: it is read whole, and a million rows have a tenth of this."""
KINDS: Final = {
    ".json": "json", ".geojson": "json", ".jsonl": "lines", ".ndjson": "lines", ".csv": "csv", ".tsv": "csv",
    ".txt": "csv", ".xlsx": "workbook", ".xlsm": "workbook", ".xlsb": "workbook", ".xls": "workbook",
    ".ods": "workbook",
}  # fmt: skip
"""Formats by the ending of a file's name."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file, the line where it begins (from 1), and the sheet of a workbook."""

    line: int
    values: Any
    sheet: str | None = None
    faults: tuple[tuple[str, str], ...] = ()
    """What is wrong with it already as a row: where, and why."""


@dataclass(frozen=True, slots=True)
class Described:
    """What was found out about a file."""

    format: str
    packed: bool = False
    encoding: str | None = None
    delimiter: str | None = None
    sheets: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Answer what is known."""
        return {name: value for name, value in asdict(self).items() if value not in (None, [], False)}


def rows(path: Path, progress: Callable[[int], None] | None = None) -> Iterator[Row]:
    """Read the rows of a file; the ending of its name tells the format, and `.gz` behind it that it is packed.

    Args:
        path: The file.
        progress: Told the bytes of the file read so far, now and then.

    Raises:
        UnreadableFile: It is not what its name says, or breaks off.
    """
    kind, packed = _kind(path)
    if kind == "workbook":
        yield from _workbook(path, progress)
        return
    encoding = _encoding(path)
    try:
        with path.open("rb") as raw:
            counted = _Counted(raw, progress)
            with TextIOWrapper(_unpacked(counted, path, packed=packed), encoding=encoding, newline="") as text:
                if kind == "csv":
                    yield from _csv(text, _delimiter_of(path, encoding, packed=packed))
                else:
                    yield from (_json if kind == "json" else _lines)(text)
    except UnicodeDecodeError as fault:
        raise UnreadableFile(f"{path.name} is not {encoding} (byte {fault.start} of a block).") from None
    except OSError as fault:
        raise UnreadableFile(f"{path.name} cannot be read: {fault.strerror or fault}.") from None


def described(path: Path) -> Described:
    """Answer what is known of a file before its rows are read: the report states it.

    Raises:
        UnreadableFile: Nothing can be known of it.
    """
    kind, packed = _kind(path)
    if kind == "workbook":
        return Described("workbook", sheets=_book(path).sheet_names)
    encoding = _encoding(path)
    delimiter = _delimiter_of(path, encoding, packed=packed) if kind == "csv" else None
    return Described(kind, packed, encoding.removesuffix("-sig"), delimiter)


def _kind(path: Path) -> tuple[str, bool]:
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    packed = bool(suffixes) and suffixes[-1] == ".gz"
    suffix = suffixes[-2] if packed and len(suffixes) > 1 else suffixes[-1] if suffixes else ""
    kind = KINDS.get(suffix)
    if kind is None or (packed and kind == "workbook"):
        known = ", ".join(sorted(KINDS))
        raise UnreadableFile(f"{path.name}: the name must end in one of {known}; texts may have .gz behind it.")
    return kind, packed


def _unpacked(raw: Any, path: Path, *, packed: bool) -> Any:  # noqa: ANN401 - a binary stream of any kind
    return archives.unpacked(raw, path.name) if packed else raw


def _encoding(path: Path) -> str:
    """Answer how a text is written: UTF-8, UTF-16 with its mark, or (tables only) Windows-1252.

    The whole file is looked at: a table may hold its first accent in its last row.

    Raises:
        UnreadableFile: None of them, or it cannot be opened.
    """
    try:
        stat = path.stat()
        return _found_encoding(path, stat.st_size, stat.st_mtime_ns)
    except OSError as fault:
        raise UnreadableFile(f"{path.name} cannot be read: {fault.strerror or fault}.") from None


@lru_cache(maxsize=64)
def _found_encoding(path: Path, _size: int, _changed: int) -> str:
    kind, packed = _kind(path)
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as raw:
        stream = _unpacked(raw, path, packed=packed)
        block = stream.read(CHUNK)
        if block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        try:
            while block:
                decoder.decode(block)
                block = stream.read(CHUNK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            if kind == "csv":
                # The one other encoding that spreadsheets of this part of the world write.
                return "cp1252"
            raise UnreadableFile(f"{path.name} is not UTF-8, which JSON has to be.") from None
    return "utf-8-sig"


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


def _json(text: TextIOWrapper) -> Iterator[Row]:  # noqa: C901, PLR0912, PLR0915 - one loop over one buffer
    """Read the objects of a JSON array, or of the first array inside an object; or one object that has an id."""
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

    while "[" not in buffer and not ended:
        more()
    head = buffer.partition("[")[0]
    wrapped = bool(head.strip())
    if wrapped and '"id"' in head:
        # No page of records but one record, alone in its file.
        while not ended:
            more()
        try:
            yield Row(1, json.loads(buffer))
        except JSONDecodeError as fault:
            raise UnreadableFile(f"Line {fault.lineno}: broken JSON ({fault.msg}).") from None
        except (ValueError, RecursionError):
            raise UnreadableFile("Line 1: JSON nested too deep, or with an endless number.") from None
        return
    if "[" not in buffer:
        raise UnreadableFile("The file holds no JSON array of records.")
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


def _bounded(text: TextIOWrapper) -> Iterator[str]:
    """Answer the lines of a text, none of them endless."""
    number = 0
    while line := text.readline(LONGEST):
        number += 1
        if len(line) == LONGEST:
            raise UnreadableFile(f"Line {number} is longer than {LONGEST >> 20} million characters.")
        yield line


def _lines(text: TextIOWrapper) -> Iterator[Row]:
    for number, line in enumerate(_bounded(text), 1):
        if line.strip():
            try:
                yield Row(number, json.loads(line))
            except JSONDecodeError as fault:
                raise UnreadableFile(f"Line {number}: broken JSON ({fault.msg}).") from None
            except (ValueError, RecursionError):
                raise UnreadableFile(f"Line {number}: JSON nested too deep, or with an endless number.") from None


def _delimiter_of(path: Path, encoding: str, *, packed: bool) -> str:
    """Answer what parts the cells of a table: the sign that its header has most of, outside of quotes."""
    with path.open("rb") as raw, TextIOWrapper(_unpacked(raw, path, packed=packed), encoding=encoding) as text:
        sample = text.read(CHUNK)
    head, inside = "", False
    for sign in sample:
        inside ^= sign == '"'
        if sign == "\n" and not inside:
            break
        if not inside:
            head += sign
    return max(",;\t|", key=head.count)


def _csv(text: TextIOWrapper, delimiter: str) -> Iterator[Row]:
    reader = csv.reader(_bounded(text), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise UnreadableFile(f"Line 1: two columns have one name ({twice[:50]}).")
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


def _book(path: Path) -> "python_calamine.CalamineWorkbook":
    """Open a workbook, which is read whole: what it unpacks to is bounded first.

    Raises:
        UnreadableFile: It is none, or too large.
    """
    try:
        if path.suffix.lower() != ".xls":
            with archives.opened(path, WORKBOOK):
                pass
        elif path.stat().st_size > WORKBOOK:
            raise UnreadableFile(f"{path.name} is larger than {WORKBOOK >> 20} MiB.")
        return python_calamine.CalamineWorkbook.from_path(str(path))
    except OSError as fault:
        raise UnreadableFile(f"{path.name} cannot be read: {fault.strerror or fault}.") from None
    except python_calamine.CalamineError as fault:
        raise UnreadableFile(f"{path.name} is no workbook that can be read: {fault}.") from None


def _workbook(path: Path, progress: Callable[[int], None] | None) -> Iterator[Row]:
    """Read the rows of every sheet that has a header; cells become text, as in a table."""
    book = _book(path)
    size = path.stat().st_size
    for number, name in enumerate(book.sheet_names, 1):
        names: list[str] = []
        for line, cells in enumerate(book.get_sheet_by_name(name).to_python(skip_empty_area=False), 1):
            texts = [_cell(cell) for cell in cells]
            if not any(texts):
                continue
            if not names:
                names = texts
                if len(set(filter(None, names))) < len(list(filter(None, names))):
                    raise UnreadableFile(f"Sheet {name}: two columns have one name.")
                continue
            yield Row(line, {head: text for head, text in zip(names, texts, strict=False) if head}, name)
        if progress:
            progress(size * number // len(book.sheet_names))


def _cell(value: Any) -> str:  # noqa: ANN401 - a cell of any type
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return str(value).strip()
