"""Packed files, opened with care: what a few bytes unpack to is bounded before anybody reads it."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import IO, BinaryIO, Final

from relais_directory.formats.refused import UnreadableFile

LARGEST: Final = 4 << 30
"""Bytes that a packed file may unpack to: more than a million records of two kilobytes."""

RATIO: Final = 200
"""How much smaller a real table gets by packing, at most; a bomb gets a thousand times smaller."""

SUSPECT_FROM: Final = 32 << 20
"""Below this nobody is hurt, whatever the ratio."""

ENTRIES: Final = 10_000
"""Files in one archive: a package of tables has thirty."""


@contextmanager
def opened(path: Path, largest: int = LARGEST) -> Iterator[zipfile.ZipFile]:
    """Open a zip file whose directory promises nothing monstrous.

    Raises:
        UnreadableFile: It is no zip file, or would unpack to far more than it is.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            whole, packed = sum(one.file_size for one in entries), max(1, path.stat().st_size)
            if len(entries) > ENTRIES:
                raise UnreadableFile(f"{path.name} holds {len(entries)} files; {ENTRIES} are the most that are read.")
            if whole > largest or (whole > SUSPECT_FROM and whole > RATIO * packed):
                raise UnreadableFile(f"{path.name} would unpack to {whole >> 20} MiB: it is not opened.")
            yield archive
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error) as fault:
        raise UnreadableFile(f"{path.name} is no zip file that can be read: {fault}.") from None


def check(path: Path, largest: int) -> None:
    """Unpack a zip file once, holding nothing, for readers that believe no directory: every file is as long as told.

    Raises:
        UnreadableFile: As for `opened`; or a file is longer than the directory tells, or damaged.
    """
    with opened(path, largest) as archive:
        for told in archive.infolist():
            longer = copy(told)
            longer.file_size += 1
            size = 0
            with archive.open(longer) as content:
                while block := content.read(1 << 20):
                    size += len(block)
            if size != told.file_size:
                raise UnreadableFile(f"{path.name} is damaged: {told.filename[:100]} is not as long as it says.")


def entry(archive: zipfile.ZipFile, name: str) -> BinaryIO:
    """Open one file of an archive; it ends where its directory said, whatever its bytes say."""
    return io.BufferedReader(Bounded(archive.open(name), archive.getinfo(name).file_size, name))


def unpacked(raw: BinaryIO, name: str) -> BinaryIO:
    """Answer the content of a gzip file as it is read; not more than `LARGEST`, nor absurdly more than its bytes."""
    return io.BufferedReader(Bounded(gzip.GzipFile(fileobj=raw), LARGEST, name, packed=raw))


class Bounded(io.RawIOBase):
    """A stream that refuses to go on behind its bound.

    Args:
        stream: What is read.
        most: Bytes of it.
        name: Of the file, for whoever has to repair it.
        packed: What it is unpacked from, to see how much smaller that is.
    """

    def __init__(
        self, stream: "IO[bytes] | gzip.GzipFile", most: int, name: str, packed: BinaryIO | None = None
    ) -> None:
        super().__init__()
        self._stream = stream
        self._most = most
        self._name = name
        self._packed = packed
        self._done = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # a buffer of any kind
        """Read the next bytes."""
        try:
            block = self._stream.read(len(buffer))
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as fault:
            raise UnreadableFile(f"{self._name} is damaged: {fault}.") from None
        self._done += len(block)
        read = self._packed.tell() if self._packed is not None else 0
        absurd = self._packed is not None and self._done > SUSPECT_FROM and self._done > RATIO * max(1, read)
        if self._done > self._most or absurd:
            raise UnreadableFile(f"{self._name} unpacks to far more than it says: it was read no further.")
        buffer[: len(block)] = block
        return len(block)
