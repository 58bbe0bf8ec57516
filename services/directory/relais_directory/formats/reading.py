"""Rows out of files, one at a time: JSON, JSON Lines, CSV, workbooks, packed or not; memory does not grow with them."""

import codecs
import csv
import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from relais_directory.formats import archives, json_records, workbooks
from relais_directory.formats.refused import UnreadableFile

__all__ = ["Described", "Row", "UnreadableFile", "described", "rows", "table"]

CHUNK: Final = 1 << 16
"""Bytes or characters read at a time."""
LONGEST: Final = 8 << 20
"""Characters of one record or line: the largest real ones have some thousands."""
SAMPLE: Final = 20
"""Rows by which the separator of a table is told."""
ENCODINGS: Final = {"utf-8-sig": "UTF-8", "utf-16": "UTF-16", "cp1252": "Windows-1252"}
"""How a text may be written: what Python calls it, and what people do."""
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
        progress: Told the bytes of the file read so far, now and then; of a packed one the packed bytes.

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
            stream = _unpacked(_Counted(raw, progress), path, packed=packed)
            if kind == "csv":
                with TextIOWrapper(stream, encoding=encoding, newline="") as text:
                    yield from table(text, _delimiter_of(path, encoding, packed=packed))
                return
            found = _utf_8(stream, encoding)
            told = (
                json_records.lines(found, LONGEST) if kind == "lines" else json_records.records(found, CHUNK, LONGEST)
            )
            for one in told:
                yield Row(one.line, one.values, None, one.faults)
    except OSError as fault:
        raise UnreadableFile(f"{path.name} cannot be read: {fault.strerror or fault}.") from None


def described(path: Path) -> Described:
    """Answer what is known of a file before its rows are read: the report states it.

    Raises:
        UnreadableFile: Nothing can be known of it.
    """
    kind, packed = _kind(path)
    if kind == "workbook":
        return Described("workbook", sheets=workbooks.sheets(path))
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
    with path.open("rb") as raw:
        begins = _unpacked(raw, path, packed=packed).read(4)
    if begins.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise UnreadableFile(f"{path.name} is UTF-32; UTF-8 is read, and UTF-16.")
    if begins.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        wanted = ["utf-16"]
    else:
        # The one other encoding is what spreadsheets of this part of the world write.
        wanted = ["utf-8-sig", "cp1252"] if kind == "csv" else ["utf-8-sig"]
    faulty = None
    for encoding in wanted:
        line = _faulty_line(path, encoding, packed=packed)
        if line is None:
            return encoding
        faulty = faulty or line
    names = " nor ".join(ENCODINGS[encoding] for encoding in wanted)
    raise UnreadableFile(f"Line {faulty}: {path.name} is not {names} here.")


def _faulty_line(path: Path, encoding: str, *, packed: bool) -> int | None:
    """Answer the first line of a text that is not in an encoding, to a few; None where all of it is.

    Raises:
        UnreadableFile: It holds a NUL, which no text does.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    with path.open("rb") as raw:
        stream = _unpacked(raw, path, packed=packed)
        while True:
            block = stream.read(CHUNK)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as fault:
                return line + fault.object[: fault.start].count(b"\n")
            if "\0" in text:
                line += text.count("\n", 0, text.index("\0"))
                raise UnreadableFile(f"Line {line} holds a NUL: no text, or UTF-16 without its mark.")
            if not block:
                return None
            line += text.count("\n")


def _utf_8(stream: BinaryIO, encoding: str) -> BinaryIO:
    """Answer a text as UTF-8 without its mark."""
    if encoding == "utf-16":
        return cast("BinaryIO", io.BufferedReader(_Recoded(stream, encoding)))
    buffered = io.BufferedReader(cast("io.RawIOBase", stream), CHUNK)
    if buffered.peek(3)[:3] == codecs.BOM_UTF8:
        buffered.read(3)
    return cast("BinaryIO", buffered)


class _Recoded(io.RawIOBase):
    """A text as UTF-8, whatever it was."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        super().__init__()
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._left = b""

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # a buffer of any kind
        """Read the next bytes."""
        while not self._left and (block := self._stream.read(CHUNK)):
            self._left = self._decoder.decode(block).encode()
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


class _Counted(io.RawIOBase):
    """A file that says how far it was read."""

    def __init__(self, raw: BinaryIO, progress: Callable[[int], None] | None) -> None:
        super().__init__()
        self._raw = raw
        self._progress = progress
        self._done = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def tell(self) -> int:
        """Answer how far it was read."""
        return self._done

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # a buffer of any kind
        """Read the next bytes."""
        block = self._raw.read(len(buffer))
        buffer[: len(block)] = block
        self._done += len(block)
        if self._progress is not None:
            self._progress(self._done)
        return len(block)


class _Lines:
    """The lines of a text, none of them endless, nor the rows that are made of them."""

    def __init__(self, text: TextIOWrapper) -> None:
        self._text = text
        self._number = 0
        self._row = 0

    def __iter__(self) -> Iterator[str]:
        """Answer the lines."""
        while line := self._text.readline(LONGEST):
            self._number += 1
            self._row += len(line)
            if self._row >= LONGEST:
                raise UnreadableFile(f"Line {self._number}: a row longer than {LONGEST >> 20} million characters.")
            yield line

    def row_ends(self) -> None:
        """Note that a row was read whole."""
        self._row = 0


def _delimiter_of(path: Path, encoding: str, *, packed: bool) -> str:
    """Answer what parts the cells of a table."""
    with path.open("rb") as raw, TextIOWrapper(_unpacked(raw, path, packed=packed), encoding, newline="") as text:
        return delimiter_of(text.read(CHUNK))


def delimiter_of(sample: str) -> str:
    """Answer the sign that parts the first rows into as many cells as the header has, outside of quotes.

    Of signs that do so equally well the one that makes more cells.
    """

    def fitting(delimiter: str) -> tuple[float, int]:
        widths: list[int] = []
        with suppress(csv.Error):
            told = csv.reader(io.StringIO(sample), delimiter=delimiter)
            widths.extend(len(row) for row in islice(told, SAMPLE) if row)
        # What was cut off may end within a row.
        widths = widths[:-1] if len(sample) >= CHUNK and 1 < len(widths) < SAMPLE else widths
        if not widths or widths[0] == 1:
            return 0, 1
        return widths.count(widths[0]) / len(widths), widths[0]

    return max(",;\t|", key=fitting)


def table(text: TextIOWrapper, delimiter: str) -> Iterator[Row]:
    """Read the rows of a table whose first row names the columns; columns without a name are passed over.

    Raises:
        UnreadableFile: A row has not as many cells as the header, or is endless; two columns have one name.
    """
    lines = _Lines(text)
    csv.field_size_limit(LONGEST)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        _only_once(names, "Line 1")
        whole = all(names)
        begins = reader.line_num + 1
        for cells in reader:
            lines.row_ends()
            if cells and len(cells) != len(names):
                # Fewer cells are a file that breaks off: what followed would be taken for gone.
                more = "more" if len(cells) > len(names) else "fewer"
                raise UnreadableFile(f"Line {begins}: {more} cells than the header names.")
            if cells:
                values = dict(zip(names, cells, strict=True))
                yield Row(begins, values if whole else {name: value for name, value in values.items() if name})
            begins = reader.line_num + 1
    except csv.Error as fault:
        raise UnreadableFile(f"Line {reader.line_num}: broken CSV ({fault}).") from None


def _only_once(names: list[str], where: str) -> None:
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        raise UnreadableFile(f"{where}: two columns have one name ({twice[:50]}).")


def _workbook(path: Path, progress: Callable[[int], None] | None) -> Iterator[Row]:
    """Read the rows of every sheet that has a header; cells become text, as in a table."""
    of_sheet, names = None, list[str]()
    for sheet, line, cells in workbooks.rows(path):
        if sheet != of_sheet:
            of_sheet, names = sheet, cells
            _only_once(names, f"Sheet {sheet}, line {line}")
            continue
        yield Row(line, {name: cell for name, cell in zip(names, cells, strict=True) if name}, sheet)
    if progress:
        progress(path.stat().st_size)
