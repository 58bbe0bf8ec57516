"""A mapping file: how the columns of somebody's file become a canonical record."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Self

from relais_directory.data import audiences_of, themes_of
from relais_directory.formats.reading import UnreadableFile

SHIPPED: Final = files("relais_directory.mappings")
"""The mappings that come with the directory; `docs/imports.md` explains how to write another."""

TRUE: Final = frozenset({"true", "oui", "ja", "yes", "1", "vrai", "wahr", "x"})
FALSE: Final = frozenset({"false", "non", "nee", "nein", "no", "0", "faux", "falsch"})


class FaultyValue(ValueError):  # noqa: N818 - an answer to whoever imports
    """Values of a row cannot be read as its mapping says: each argument names a column and why, never the value."""


@dataclass(frozen=True, slots=True)
class Mapping_:  # noqa: N801 - collections.abc has the plain name
    """A mapping, read from TOML."""

    name: str
    source: str
    match: frozenset[str]
    record: Mapping[str, Any]

    @classmethod
    def parse(cls, name: str, text: str) -> Self:
        """Read a mapping.

        Raises:
            UnreadableFile: It is no TOML, or misses its parts.
        """
        try:
            found = tomllib.loads(text)
            made = cls(name, found["source"], frozenset(found.get("match", ())), found["record"])
        except (tomllib.TOMLDecodeError, KeyError, TypeError, RecursionError) as fault:
            raise UnreadableFile(f"The mapping {name} cannot be read: {fault}.") from None
        if not (isinstance(made.source, str) and isinstance(made.record, dict)):
            raise UnreadableFile(f"The mapping {name} cannot be read: source is a text, record a table.")
        # A step that is misspelt would refuse every row: better to say so at once.
        if unknown := sorted(set(_steps(made.record)) - _STEPS.keys()):
            raise UnreadableFile(f"The mapping {name} names steps that are not known: {', '.join(unknown)}.")
        return made

    def id_of(self, row: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a value of any type
        """Answer the record id of a row.

        Raises:
            FaultyValue: It cannot be read.
        """
        return _made(self.record.get("record_id"), row)

    def apply(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the canonical record of a row, not yet judged.

        Raises:
            FaultyValue: Values cannot be read; names the column of each.
        """
        found = _made(self.record, row)
        return found if isinstance(found, dict) else {}


def named(name: str) -> Mapping_:
    """Answer a mapping by the name of a shipped one or by its path.

    Raises:
        UnreadableFile: There is none such.
    """
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        try:
            return Mapping_.parse(path.name, path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            raise UnreadableFile(f"The mapping {path.name} is not UTF-8.") from None
    for mapping in shipped():
        if mapping.name == name:
            return mapping
    known = ", ".join(mapping.name for mapping in shipped())
    raise UnreadableFile(f"There is no mapping {name}. Shipped: {known}; or give the path of a .toml file.")


def shipped() -> Iterator[Mapping_]:
    """Answer the mappings that come with the directory."""
    for file in sorted(SHIPPED.iterdir(), key=lambda each: each.name):
        if file.name.endswith(".toml"):
            yield Mapping_.parse(file.name.removesuffix(".toml"), file.read_text(encoding="utf-8"))


def fitting(columns: frozenset[str]) -> Mapping_ | None:
    """Answer the one shipped mapping that was made for a file with these columns."""
    found = [mapping for mapping in shipped() if mapping.match and mapping.match <= columns]
    return found[0] if len(found) == 1 else None


def _made(spec: Any, row: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a tree of any shape
    try:
        return _build(spec, row)
    except FaultyValue:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        # Anybody may write a mapping: what it says in the wrong shape is a fault of it, told for each row.
        raise FaultyValue("mapping: a part of it is not of the shape that it has to be") from None


def _build(spec: Any, row: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a tree of any shape
    """Answer what a part of the mapping says for a row: a value, an object, a list; nothing where all is empty."""
    if isinstance(spec, list):
        # A part of a list of which only constants are left (a phone without its number) is none.
        return [made for part in spec if (made := _build(part, row)) is not None and _tells(part, row)]
    if not isinstance(spec, dict):
        return spec
    if "each" in spec:
        return _each(spec, row)
    if spec.keys() & _SOURCES:
        value = _value(spec, row)
        return _build(spec["else"], row) if value is None and "else" in spec else value
    return _object(spec, row) or None


def _object(spec: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Answer what is made of an object's parts; what cannot be read is told of all of them at once."""
    made: dict[str, Any] = {}
    faults: list[str] = []
    for name, part in spec.items():
        try:
            value = _build(part, row)
        except FaultyValue as fault:
            faults += fault.args
            continue
        if value not in (None, {}, []):
            made[name] = value
    if faults:
        raise FaultyValue(*dict.fromkeys(faults))
    return made


def _tells(spec: Any, row: Mapping[str, Any]) -> bool:  # noqa: ANN401 - a tree of any shape
    """Say whether a part of a list is anything but the constants of an object."""
    if not isinstance(spec, dict) or spec.keys() & _SOURCES or "each" in spec:
        return True
    return any(
        _tells(part, row) and _build(part, row) not in (None, {}, [])
        for part in spec.values()
        if isinstance(part, list | dict) and "constant" not in part
    )


def _each(spec: Mapping[str, Any], row: Mapping[str, Any]) -> list[Any]:
    """Answer what is made of each object of a list that is as `when` says."""
    told = _cell(row, spec["each"])
    wanted = spec.get("when", {})
    if not isinstance(told, list | type(None)):
        raise FaultyValue(f"{spec['each']}: not a list")
    made = [
        _build(spec["make"], one)
        for one in told or ()
        if isinstance(one, Mapping) and all(one.get(name) == value for name, value in wanted.items())
    ]
    return [one for one in made if one is not None]


def _cell(row: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - a value of any type
    """Answer a value by its column, or by its path in an object (`address.city`)."""
    if name in row or "." not in name:
        return row.get(name)
    found: Any = row
    for step in name.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _steps(spec: Any) -> Iterator[str]:  # noqa: ANN401 - a tree of any shape
    if isinstance(spec, dict):
        yield from map(str, spec.get("steps", ()) if spec.keys() & _SOURCES else ())
    for part in spec.values() if isinstance(spec, dict) else spec if isinstance(spec, list) else ():
        if isinstance(part, dict | list):
            yield from _steps(part)


_SOURCES: Final = frozenset({"column", "columns", "first", "template", "constant"})
_BRACES: Final = re.compile(r"\{([^{}]+)\}")


def _value(spec: Mapping[str, Any], row: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a value of any type
    named = spec.get("columns") or spec.get("first") or ()
    column = str(spec.get("column") or "/".join(named) or spec.get("template", ""))
    try:
        value = _read(spec, row)
        for step in spec.get("steps", ()):
            value = _STEPS[step](value) if value is not None else None
        if value is not None and "multiply" in spec:
            value = float(value) * float(spec["multiply"])
        if value is not None and "map" in spec:
            value = spec["map"].get(str(value), spec.get("otherwise"))
        if value is not None and "map_each" in spec:
            value = list(dict.fromkeys(spec["map_each"][one] for one in value if one in spec["map_each"]))
        if isinstance(value, list) and "join" in spec:
            value = str(spec["join"]).join(value)
        if value is not None and "has" in spec:
            value = spec["has"] in value
        if value is not None and "prefix" in spec:
            value = f"{spec['prefix']}{value}"
        if value is not None and "cut" in spec:
            value = str(value)[: int(spec["cut"])]
    except (ValueError, LookupError, TypeError, AttributeError) as fault:
        raise FaultyValue(f"{column}: {_reason(fault)}") from None
    return spec.get("default") if value in (None, "", []) else value


def _read(spec: Mapping[str, Any], row: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a value of any type
    if "constant" in spec:
        return spec["constant"]
    if "template" in spec:
        return _BRACES.sub(lambda found: _filled_in(row, found[1]), spec["template"])
    if "columns" in spec:
        parts = [text for name in spec["columns"] if (text := str(_cell(row, name) or "").strip())]
        return spec.get("join", " ").join(parts) or None
    if "first" in spec:
        return next((cell for name in spec["first"] if (cell := _cell(row, name)) not in (None, "")), None)
    if spec["column"] not in row and "." not in spec["column"] and spec.get("optional") is not True:
        raise KeyError(spec["column"])
    value = _cell(row, spec["column"])
    if isinstance(value, str):
        value = value.strip()
    return None if value == "" else value


def _filled_in(row: Mapping[str, Any], name: str) -> str:
    # No format of Python's: it could ask for a text of gigabytes, and for what stands behind a value.
    if name not in row and not isinstance(row.get(name.partition(".")[0]), Mapping):
        raise KeyError(name)
    cell = _cell(row, name)
    return "" if cell is None else str(cell)


def postgres_list(text: str) -> list[str]:
    r"""Read PostgreSQL's text form of an array, `{a,"b, c",NULL}`, with its quotes and backslashes."""
    if not (text.startswith("{") and text.endswith("}")):
        raise ValueError("not a list in braces")
    found: list[str] = []
    place, inside = 1, text[:-1]
    while place < len(inside):
        if inside[place] == '"':
            word, place = _quoted(inside, place + 1)
            found.append(word)
        else:
            end = inside.find(",", place)
            end = len(inside) if end < 0 else end
            word = inside[place:end].strip()
            if word and word != "NULL":
                found.append(word)
            place = end
        if place < len(inside) and inside[place] != ",":
            raise ValueError("a list that is not parted by commas")
        place += 1
    return found


def _quoted(text: str, place: int) -> tuple[str, int]:
    word = ""
    while place < len(text):
        if text[place] == "\\" and place + 1 < len(text):
            word += text[place + 1]
            place += 2
        elif text[place] == '"':
            return word, place + 1
        else:
            word += text[place]
            place += 1
    raise ValueError("a quote that is not closed")


def _yes(value: Any) -> bool:  # noqa: ANN401 - a cell of any type
    text = str(value).strip().lower()
    if text in TRUE | FALSE:
        return text in TRUE
    raise ValueError("neither yes nor no")


def _free(told: Any) -> bool | None:  # noqa: ANN401 - a word or a list of them
    """Answer what data.inclusion's frais say: one price alone is a price; a condition is neither."""
    words = {told} if isinstance(told, str) else set(told)
    return True if "gratuit" in words else False if words & {"payant", "adhesion"} else None


def _titled(value: str) -> str:
    return value if value != value.upper() else value.title()


def _reason(fault: Exception) -> str:
    if isinstance(fault, KeyError):
        return "this column is not in the row"
    text = str(fault)
    return "not a number" if "could not convert" in text else text


_STEPS: Final[Mapping[str, Any]] = {
    "decimal_comma": lambda value: float(str(value).replace(",", ".")),
    "number": float,
    "south": lambda value: -abs(float(value)),  # a file that lost the minus sign of its latitudes
    "west": lambda value: -abs(float(value)),
    "postgres_list": lambda value: postgres_list(str(value)),
    "comma_list": lambda value: [part.strip() for part in str(value).split(",") if part.strip()],
    "yes_no": _yes,
    "upper": lambda value: str(value).upper(),
    "lower": lambda value: str(value).lower(),
    "semicolon_list": lambda value: [part.strip() for part in str(value).split(";") if part.strip()],
    "titled": lambda value: _titled(str(value)),
    "themes": themes_of,
    "audiences": audiences_of,
    "free": _free,
}
"""What can be done to a value, in order."""
