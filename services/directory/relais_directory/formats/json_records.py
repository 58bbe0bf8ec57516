"""Records out of JSON, one at a time, with the line where each begins: an array, an object that holds one, or lines.

A JSON text is not split before it is understood, and to understand a whole file would hold it. So a buffer holds about
one record: where the next one seems to begin (a brace, and the key that the last one began with) the piece before is
given to orjson, which says whether it is one whole value: an object ends where its braces do, so that no other piece
could be right. Where the guess fails the standard decoder finds the end, a third as fast.
"""

import json
import re
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder
from typing import Any, BinaryIO, Final, NamedTuple

import orjson

from relais_directory.formats.refused import UnreadableFile

BLANKS: Final = re.compile(rb"[ \t\r\n]*")
OPENING: Final = re.compile(rb'\{[ \t\r\n]*"[^"\\]{1,100}"')
COLONS: Final = re.compile(rb'"[ \t\r\n]*:')
FIRST_TRY: Final = 1 << 12
"""Bytes that the standard decoder is given at first: a record of some size."""
CUT: Final = 16
"""Characters before the end of a piece within which a fault may come of the cut: the longest sign has six."""

Faults = tuple[tuple[str, str], ...]
"""What is wrong with a record already as JSON: where, and why."""


class Found(NamedTuple):
    """A record and where it begins."""

    line: int
    values: Any
    faults: Faults


def lines(stream: BinaryIO, longest: int) -> Iterator[Found]:
    """Read one record from each line of UTF-8.

    Raises:
        UnreadableFile: A line is no JSON, or endless.
    """
    number = 0
    while raw := stream.readline(longest):
        number += 1
        if len(raw) == longest:
            raise UnreadableFile(f"Line {number} is longer than {longest >> 20} million characters.")
        if raw.isspace():
            continue
        try:
            value = _loads(raw)
        except JSONDecodeError as fault:
            raise UnreadableFile(f"Line {number}: broken JSON ({fault.msg}).") from None
        except (ValueError, RecursionError):
            raise UnreadableFile(f"Line {number}: JSON nested too deep, or with an endless number.") from None
        yield Found(number, value, twice(raw, value))


def records(stream: BinaryIO, chunk: int, longest: int) -> Iterator[Found]:
    """Read the records of a JSON text in UTF-8: of its array, of the array of objects in its object, or one with an id.

    Args:
        stream: The text, without a byte order mark.
        chunk: Bytes to read at a time.
        longest: Bytes of a record, and of everything beside the array, at most.

    Raises:
        UnreadableFile: It breaks off, goes on behind its end, or is none; says the line.
    """
    text = _Text(stream, chunk, longest)
    begins = text.peek()
    if begins == b"[":
        yield from text.array()
    elif begins == b"{":
        yield from text.page()
    else:
        raise UnreadableFile("The file holds no JSON array of records.")
    if text.peek():
        raise UnreadableFile(f"Line {text.line}: the file goes on behind its end.")


def twice(raw: bytes, value: Any) -> Faults:  # noqa: ANN401 - parsed JSON
    """Answer the keys that stand twice in one object: which of the two was meant nobody can say."""
    # A key and its colon: as many as were read, or more where a text holds the like, or where one was written over.
    if raw.count(b'":') == (keys := _keys(value)) or len(COLONS.findall(raw)) == keys:
        return ()
    found: list[tuple[str, str]] = []

    def paired(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _value in pairs]
        found.extend((name[:100], "Twice in one object.") for name in sorted({*names}) if names.count(name) > 1)

    json.loads(raw, object_pairs_hook=paired)
    return tuple(found)


def _keys(value: Any) -> int:  # noqa: ANN401 - parsed JSON
    """Answer how many keys all objects have together; one loop, since every record passes here."""
    count, parts = 0, value
    if isinstance(value, dict):
        count, parts = len(value), value.values()
    elif not isinstance(value, list):
        return 0
    for part in parts:
        kind = type(part)
        if kind is dict or kind is list:
            count += _keys(part)
    return count


def _loads(raw: bytes) -> Any:  # noqa: ANN401 - JSON of any shape
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        # The standard module also takes what spoils one record alone (half a surrogate pair, NaN), and says why not.
        return json.loads(raw)


class _Text:
    """What was read of a JSON text and is not used yet.

    Attributes:
        line: The line of its first sign.
    """

    def __init__(self, stream: BinaryIO, chunk: int, longest: int) -> None:
        self._stream = stream
        self._chunk = chunk
        self._longest = longest
        self._data = b""
        self._at = 0
        self._ended = False
        self._try = FIRST_TRY
        self._decoder = JSONDecoder()
        self.line = 1

    def peek(self) -> bytes:
        """Pass over blanks and answer the next sign; nothing at the end."""
        while True:
            self._pass(BLANKS.match(self._data, self._at).end())  # type: ignore[union-attr]  # matches nothing too
            if self._at < len(self._data) or self._ended:
                return self._data[self._at : self._at + 1]
            self._more()

    def array(self) -> Iterator[Found]:
        """Pass over an array, record by record."""
        self._pass(self._at + 1)
        sign = self._sign("inside the array")
        while sign != b"]":
            line = self.line
            value, raw = self._value()
            yield Found(line, value, twice(raw, value))
            # Almost every record: a comma and the next one, with nothing between.
            if self._data[self._at : self._at + 2] == b",{":
                self._at += 1
            else:
                sign = self._behind("]", "inside the array")
        self._pass(self._at + 1)

    def page(self) -> Iterator[Found]:
        """Pass over an object that holds the array of records, or that is itself the only record."""
        members: dict[str, Any] = {}
        line, beside, where, found = self.line, 0, "before any array of records", False
        self._pass(self._at + 1)
        sign = self._sign(where)
        while sign != b"}":
            name, raw = self._value()
            if not isinstance(name, str) or self._sign(where) != b":":
                raise UnreadableFile(f"Line {self.line}: broken JSON (a key and its colon are missing).")
            self._pass(self._at + 1)
            if self._sign(where) == b"[" and "id" not in members and self._of_objects():
                if found:
                    raise UnreadableFile(f"Line {self.line}: a second array of objects: which are the records?")
                found, where = True, "behind its array"
                yield from self.array()
            else:
                members[name], raw = self._value()
                beside += len(raw)
            if beside > self._longest:
                raise UnreadableFile(f"Line {self.line}: over {self._longest >> 20} million characters beside records.")
            sign = self._behind("}", where)
        self._pass(self._at + 1)
        if not found and "id" in members:
            yield Found(line, members, ())
        elif not found and [] not in members.values():
            raise UnreadableFile("The file holds no JSON array of records.")

    def _sign(self, where: str) -> bytes:
        """Answer the next sign, of which there has to be one."""
        if sign := self.peek():
            return sign
        raise UnreadableFile(f"Line {self.line}: the file breaks off {where}.")

    def _behind(self, end: str, where: str) -> bytes:
        """Answer the sign that ends what we are in, or, behind a comma, the first of what follows."""
        sign = self._sign(where)
        if sign == b",":
            self._pass(self._at + 1)
            if (sign := self._sign(where)) != end.encode():
                return sign
        elif sign == end.encode():
            return sign
        raise UnreadableFile(f"Line {self.line}: broken JSON (a comma too many or too few).")

    def _of_objects(self) -> bool:
        """Say whether the array that begins here holds objects."""
        while True:
            behind = BLANKS.match(self._data, self._at + 1).end()  # type: ignore[union-attr]  # matches nothing too
            if behind < len(self._data) or self._ended:
                return self._data[behind : behind + 1] == b"{"
            self._more()

    def _value(self) -> tuple[Any, bytes]:
        """Pass over a value; answer it, and as it stood."""
        while True:
            if (found := self._guessed() or self._decoded()) is not None:
                self._pass(self._at + len(found[1]))
                return found
            self._more()

    def _guessed(self) -> tuple[Any, bytes] | None:
        opening = OPENING.match(self._data, self._at)
        next_ = self._data.find(opening[0], opening.end()) if opening else -1
        end = self._data.rfind(b"}", self._at, next_) + 1 if next_ > 0 else 0
        if not end:
            return None
        raw = self._data[self._at : end]
        try:
            return orjson.loads(raw), raw
        except orjson.JSONDecodeError:
            return None

    def _decoded(self) -> tuple[Any, bytes] | None:
        """Answer the value that begins here, by the standard decoder; None where its end was not read yet."""
        size = self._try
        while True:
            # A sign that the cut divides is left out; that all of it is UTF-8 was seen before.
            text = self._data[self._at : self._at + size].decode(errors="ignore")
            whole = self._at + size >= len(self._data)
            try:
                value, end = self._decoder.raw_decode(text)
            except JSONDecodeError as fault:
                of_the_cut = fault.msg.startswith("Unterminated") or fault.pos > len(text) - CUT
                if not of_the_cut or (whole and self._ended):
                    line = self.line + fault.lineno - 1
                    raise UnreadableFile(f"Line {line}: broken JSON ({fault.msg}).") from None
            except (ValueError, RecursionError):
                raise UnreadableFile(f"Line {self.line}: JSON nested too deep, or with an endless number.") from None
            else:
                # A number at the cut may go on; what has a sign for its end is whole.
                if end < len(text) or isinstance(value, dict | list | str) or (whole and self._ended):
                    raw = text[:end].encode()
                    self._try = max(FIRST_TRY, 2 * len(raw))
                    return value, raw
            if whole:
                return None
            size *= 2

    def _pass(self, to: int) -> None:
        self.line += self._data.count(b"\n", self._at, to)
        self._at = to

    def _more(self) -> None:
        left = self._data[self._at :]
        if len(left) > self._longest:
            raise UnreadableFile(
                f"Line {self.line}: broken JSON, or a record of over {self._longest >> 20} million characters."
            )
        # As much again: a long record is tried a few times, not once for each block.
        block = self._stream.read(max(self._chunk, len(left)))
        self._data, self._at, self._ended = left + block, 0, not block
