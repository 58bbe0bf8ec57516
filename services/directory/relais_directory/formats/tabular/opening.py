"""The rows of a package, one after the other: of a folder, a zip, or one JSON file; none can fill the memory."""

import csv
import json
import zlib
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from json import JSONDecodeError, JSONDecoder
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, cast
from zipfile import BadZipFile, ZipFile, is_zipfile

from relais_directory.formats.reading import CHUNK, LONGEST, UnreadableFile
from relais_directory.formats.tabular.tables import OLDER, TABLES, table_of

MOST_FILES: Final = 1_000
"""Files of a package: HSDS has some thirty."""
MOST_BYTES: Final = 8 << 30
"""Bytes of a package, unpacked: a country's services take a tenth."""
MOST_RATIO: Final = 200
"""Bytes out of one packed byte: text gives ten, a bomb a thousand."""
RATIO_FROM: Final = 16 << 20
"""Bytes from which the ratio counts: a small file of blanks is no harm."""
COLUMNS: Final = 1_000
"""Cells of a row."""

DESCRIBED: Final = "datapackage.json"

Progress = Callable[[int], None] | None


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table: the file where it stands, and its line (from 1)."""

    file: str
    table: str | None
    number: int
    values: dict[str, Any]


def is_package(path: Path) -> bool:
    """Say whether a path is a package of tables: a folder or zip with services or organisations, or JSON of tables."""
    if path.is_dir():
        names = [file.name for file in path.iterdir()]
    elif path.suffix.lower() == ".zip" and is_zipfile(path):
        try:
            with ZipFile(path) as packed:
                names = [PurePosixPath(name).name for name in packed.namelist()[:MOST_FILES]]
        except (BadZipFile, OSError, ValueError):
            return False
    elif path.suffix.lower() == ".json" and path.is_file():
        return _is_tables(path)
    else:
        return False
    tables = {table_of(name.lower().removesuffix(".csv")) for name in names if name.lower().endswith(".csv")}
    return DESCRIBED in names or bool(tables & {"service", "organization"})


def _is_tables(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig") as text:
            head = text.read(1_000).lstrip().removeprefix("{").lstrip()
    except (UnicodeDecodeError, OSError):
        return False
    name, _, rest = head.removeprefix('"').partition('"')
    known = name.endswith(".csv") and table_of(name.removesuffix(".csv")) is not None
    return known and rest.lstrip().startswith(":") and rest.lstrip().removeprefix(":").lstrip().startswith("[")


def lines(path: Path, progress: Progress = None) -> Iterator[Line]:
    """Read every row of a package, table after table.

    Raises:
        UnreadableFile: Says where and why.
    """
    try:
        if path.is_dir():
            yield from _folder(path, progress)
        elif path.suffix.lower() == ".zip":
            yield from _zip(path, progress)
        else:
            yield from _json(path, progress)
    except (BadZipFile, zlib.error, EOFError, NotImplementedError) as fault:
        raise UnreadableFile(f"{path.name} cannot be unpacked: {fault}.") from None
    except RuntimeError as fault:
        # What zipfile raises for a file under a password.
        raise UnreadableFile(f"{path.name} cannot be unpacked: {str(fault)[:100]}.") from None
    except OSError as fault:
        raise UnreadableFile(f"{path.name} cannot be read: {fault.strerror}.") from None


def _folder(path: Path, progress: Progress) -> Iterator[Line]:
    files = {str(file.relative_to(path)): file for file in sorted(path.rglob("*")) if file.is_file()}
    described = files.get(DESCRIBED)
    done = 0
    for name, table in _tables(list(files), described.read_bytes() if described else None):
        before = done

        def told(read: int, before: int = before) -> None:
            if progress is not None:
                progress(before + read)

        yield from _csv(name, table, lambda name=name: files[name].open("rb"), told)  # type: ignore[misc]  # bound now
        done += files[name].stat().st_size


def _zip(path: Path, progress: Progress) -> Iterator[Line]:
    with ZipFile(path) as packed:
        infos = {info.filename: info for info in packed.infolist() if not info.is_dir()}
        if len(infos) > MOST_FILES:
            raise UnreadableFile(f"{path.name} holds more than {MOST_FILES} files.")
        # A package is often packed with the folder around it.
        described = next((name for name in sorted(infos, key=len) if PurePosixPath(name).name == DESCRIBED), None)
        text = None
        if described is not None:
            with packed.open(described) as raw:
                text = raw.read(LONGEST)
        done, whole = 0, 0
        for name, table in _tables(list(infos), text, str(PurePosixPath(described).parent) if described else "."):
            info = infos[name]
            share = info.compress_size / max(info.file_size, 1)
            limit = MOST_BYTES - whole
            if info.file_size > limit or (info.file_size > RATIO_FROM and share * MOST_RATIO < 1):
                raise UnreadableFile(f"{path.name}: {name} would be too large, unpacked.")
            before = done

            def told(read: int, before: int = before, share: float = share) -> None:
                if progress is not None:
                    progress(before + int(read * share))

            # No more is read of a file than the zip tells, so that a lie breaks off.
            yield from _csv(name, table, lambda name=name: cast("BinaryIO", packed.open(name)), told)  # type: ignore[misc]  # bound now
            done += info.compress_size
            whole += info.file_size


def _tables(names: list[str], described: bytes | None, beside: str = ".") -> Iterator[tuple[str, str | None]]:
    """Answer the CSV files of a package, owners first, each with its table, as its description or its name says."""
    told: dict[str, str] = {}
    if described is not None:
        try:
            resources = json.loads(described.decode("utf-8-sig"))["resources"]
            for resource in resources:
                paths = resource.get("path") if isinstance(resource.get("path"), list) else [resource.get("path")]
                for path in paths:
                    table = table_of(str(resource.get("name"))) or table_of(PurePosixPath(str(path)).stem)
                    if table is not None:
                        told[str(PurePosixPath(beside) / str(path))] = table
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise UnreadableFile(f"{DESCRIBED} is no description of a package.") from None
    found = [
        (name, told.get(name) or table_of(PurePosixPath(name).stem))
        for name in names
        if name.lower().endswith(".csv") and not PurePosixPath(name).name.startswith((".", "_"))
    ]
    order = [*TABLES, *OLDER]
    yield from sorted(found, key=lambda one: (order.index(one[1]) if one[1] in order else len(order), one[0]))


def _csv(name: str, table: str | None, opened: Callable[[], BinaryIO], told: Callable[[int], None]) -> Iterator[Line]:
    """Read a CSV file, in UTF-8, or else in what Windows writes."""
    with opened() as raw:
        encoding = _encoding(raw, told)
    with opened() as raw, TextIOWrapper(raw, encoding=encoding, newline="") as text:
        sample = text.readline(CHUNK)
        delimiter = max(",;\t|", key=sample.count)
    with opened() as raw, TextIOWrapper(raw, encoding=encoding, newline="") as text:
        counted = _Bounded(name, text)
        reader = csv.reader(counted, delimiter=delimiter, strict=True)
        try:
            header = [cell.strip() for cell in next(reader, [])]
            if len(header) > COLUMNS or len(set(header)) < len(header):
                raise UnreadableFile(f"{name}: too many columns, or two of one name.")
            begins = counted.number + 1
            for cells in reader:
                if cells and any(cell.strip() for cell in cells):
                    yield Line(name, table, begins, _named(name, begins, header, cells))
                begins = counted.number + 1
        except csv.Error as fault:
            raise UnreadableFile(f"{name}, line {counted.number}: broken CSV ({fault}).") from None
    if encoding == "cp1252":
        yield Line(name, table, 0, {"": "Not UTF-8: read as Windows-1252."})


def _named(name: str, number: int, header: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) < len(header):
        # Fewer cells are a file that breaks off: what followed would be taken for gone.
        raise UnreadableFile(f"{name}, line {number}: fewer cells than the header names.")
    if any(cell.strip() for cell in cells[len(header) :]):
        raise UnreadableFile(f"{name}, line {number}: more cells than the header names.")
    named = zip(header, cells, strict=False)
    return {column: cell.strip() for column, cell in named if column and cell.strip()}


class _Bounded:
    """The lines of a text, none of them endless."""

    def __init__(self, name: str, text: TextIOWrapper) -> None:
        self._name = name
        self._text = text
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        while line := self._text.readline(LONGEST):
            self.number += 1
            if len(line) == LONGEST:
                raise UnreadableFile(
                    f"{self._name}, line {self.number}: longer than {LONGEST >> 20} million characters."
                )
            yield line


def _encoding(raw: BinaryIO, told: Callable[[int], None]) -> str:
    """Answer the encoding of a file, read once to its end; it is counted on the way."""
    first = raw.read(CHUNK)
    if first[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return "utf-16"
    decoder = getincrementaldecoder("utf-8-sig")()
    read, block = 0, first
    valid = True
    while block:
        read += len(block)
        told(read)
        if valid:
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                valid = False
        block = raw.read(CHUNK)
    return "utf-8-sig" if valid else "cp1252"


def _json(path: Path, progress: Progress) -> Iterator[Line]:
    """Read the compiled tabular form: one object, each member a table's file with a list of its rows."""
    with path.open("rb") as raw, TextIOWrapper(raw, encoding="utf-8-sig") as text:
        try:
            found = _Objects(path.name, text)
            found.expect("{")
            while not found.at("}"):
                name = found.value()
                found.expect(":")
                found.expect("[")
                table = table_of(str(name).removesuffix(".csv"))
                while not found.at("]"):
                    number, row = found.number, found.value()
                    if not isinstance(row, dict):
                        raise UnreadableFile(f"{path.name}, line {number}: a row that is no object.")
                    told = {key: value for key, value in row.items() if value not in (None, "", [], {})}
                    yield Line(str(name), table, number, told)
                    if progress is not None:
                        progress(raw.tell())
                    found.skip(",")
                found.skip(",")
        except UnicodeDecodeError:
            raise UnreadableFile(f"{path.name} is not UTF-8.") from None


class _Objects:
    """The values of a JSON text, one after the other."""

    def __init__(self, name: str, text: TextIOWrapper) -> None:
        self._name = name
        self._text = text
        self._buffer = ""
        self._decoder = JSONDecoder()
        self.number = 1

    def value(self) -> Any:  # noqa: ANN401 - JSON of any shape
        """Take the next value."""
        self._blanks()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer)
            except JSONDecodeError as fault:
                if not self._more():
                    raise UnreadableFile(f"{self._name}, line {self.number}: broken JSON ({fault.msg}).") from None
                continue
            except (ValueError, RecursionError):
                raise UnreadableFile(f"{self._name}, line {self.number}: JSON nested too deep.") from None
            self._drop(end)
            return value

    def at(self, sign: str) -> bool:
        """Say whether the next sign is this one, and take it if so."""
        self._blanks()
        if not self._buffer.startswith(sign):
            return False
        self._drop(1)
        return True

    def expect(self, sign: str) -> None:
        """Take this sign."""
        if not self.at(sign):
            raise UnreadableFile(f"{self._name}, line {self.number}: broken JSON, or it breaks off ({sign} missing).")

    def skip(self, sign: str) -> None:
        """Take this sign, if it is there."""
        self.at(sign)

    def _blanks(self) -> None:
        while True:
            self._drop(len(self._buffer) - len(self._buffer.lstrip()))
            if self._buffer or not self._more():
                return

    def _more(self) -> bool:
        block = self._text.read(CHUNK)
        self._buffer += block
        if len(self._buffer) > LONGEST:
            raise UnreadableFile(f"{self._name}, line {self.number}: a row of over {LONGEST >> 20} million characters.")
        return bool(block)

    def _drop(self, count: int) -> None:
        self.number += self._buffer.count("\n", 0, count)
        self._buffer = self._buffer[count:]
