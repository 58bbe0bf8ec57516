"""Rows of a package put together: each service with all that hangs on it, as a nested HSDS document."""

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

import orjson

from relais_directory.formats import hsds
from relais_directory.formats.reading import Row
from relais_directory.formats.schedules import opening_hours
from relais_directory.formats.tabular import older
from relais_directory.formats.tabular.opening import Line, Progress, lines
from relais_directory.formats.tabular.tables import ALL, PARENTS, PARTS, SILENT, table_of

MOST_PARTS: Final = 1_000
"""Parts of one kind that hang on one thing: no service has so many numbers."""

MOST_PARTS_OF_ALL: Final = 20_000
"""Parts of one document: a thousand places with a thousand numbers each are no service either."""

CACHE_KIB: Final = 16 * 1024
"""Of the temporary database, in memory: what the ids of a large package are looked up in."""

NAMED: Final = frozenset({parent for shape in ALL.values() for parent in shape.links.values()})
"""Tables whose rows are named by the ids in others."""

KEPT_IDS: Final = frozenset({"service", "organization", "location", "taxonomy", "taxonomy_term"})
"""Tables whose ids are kept though they be no UUIDs: other rows name them."""


class Told(NamedTuple):
    """What is to be said of one row instead of a document.

    Attributes:
        column: Where in the row.
        reason: What is wrong.
        refused: The row was to be a service or an organisation, and is none.
    """

    column: str
    reason: str
    refused: bool = False


def documents(path: Path, progress: Progress = None) -> Iterator[Row]:
    """Answer the documents of a package, each with the file (as its sheet) and line where it began.

    First the services, then the organisations that have none, in the order of their rows; then `Told` of each row
    that hangs on nothing, stands twice, or stands below itself.

    Args:
        path: A folder, a zip, or JSON of tables.
        progress: Told the bytes read so far, now and then.

    Raises:
        UnreadableFile: The package cannot be read to its end; nothing was answered.
    """
    with _Package() as package:
        package.fill(lines(path, progress))
        package.check()
        yield from package.services()
        yield from package.organizations()
        yield from package.told()


class _Package:
    """The rows of a package in a temporary database on disk, so that no package fills the memory."""

    def __init__(self) -> None:
        # An empty name is a private file that is gone when it is closed.
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("pragma journal_mode = off")
        self._db.execute("pragma synchronous = off")
        self._db.execute(f"pragma cache_size = -{CACHE_KIB}")
        self._db.execute("create table part (n integer primary key, tab text, id text, file text, line int, data text)")
        self._db.execute("create table link (tab text, col text, parent text, n int)")
        self._db.execute("create table told (n integer primary key, file, line, col, reason, no)")
        self._db.execute("create table offered (id text primary key)")
        self._once: set[tuple[str, str, str]] = set()
        self._left = 0
        self._there: set[str] = set()
        self._organization = lru_cache(maxsize=256)(self._whole_organization)
        self._term = lru_cache(maxsize=1_024)(self._whole_term)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_fault: object) -> None:
        self._db.close()

    def fill(self, rows: Iterable[Line]) -> None:
        """Keep every row; one whose id stands already is told of."""
        self._db.execute("begin")
        self._db.execute("create unique index part_by_id on part (tab, id) where id is not null")
        for row in rows:
            if row.number == 0:
                self._say(row.file, 1, "", row.values[""])
            elif row.table is None:
                self._say(row.file, 1, "", "Not a table that this directory knows: left out.", once=True)
            elif row.table in SILENT:
                self._say(row.file, 1, "", "Not of any service: left out.", once=True)
            else:
                for table, values in older.modern(_stem(row.file), row.table, row.values):
                    self._keep(row, table, values)
        self._db.execute("create index link_by_parent on link (tab, col, parent, n)")
        self._db.execute("create index link_by_part on link (n)")
        self._db.execute("create index part_by_any_id on part (id)")
        self._db.execute("commit")

    def _keep(self, row: Line, table: str, values: dict[str, Any]) -> None:
        shape = ALL[table]
        for column in values.keys() - set(shape.columns):
            if not column.startswith("_"):
                del values[column]
                self._say(row.file, 1, column, "Not a column that this directory knows: left out.", once=True)
        id_ = values.get("id")
        id_ = None if id_ is None else str(id_)
        if id_ is None and table in {"service", "organization"}:
            self._say(row.file, row.number, "id", "No id.", refused=True)
            return
        done = self._db.execute(
            "insert or ignore into part (tab, id, file, line, data) values (?, ?, ?, ?, ?)",
            (table, _key(table, id_, row.file), row.file, row.number, orjson.dumps(values).decode()),
        )
        if not done.rowcount:
            self._say(row.file, row.number, "id", "Twice in this file: the first one stands.", refused=table in _WHOLE)
            return
        self._there.add(table)
        number = done.lastrowid
        columns = {**shape.links, "link_id": ""} if table == "attribute" else shape.links
        self._db.executemany(
            "insert into link values (?, ?, ?, ?)",
            [(table, column, str(values[column]), number) for column in columns if column in values],
        )

    def check(self) -> None:
        """Tell of what hangs on nothing, and cut what stands below itself."""
        self._orphans()
        self._attributes()
        self._unused()
        for table, column in PARENTS.items():
            self._loops(table, column)

    def _orphans(self) -> None:
        for table, shape in ALL.items():
            for column, parent in shape.links.items():
                missing = self._db.execute(
                    "select p.n, p.file, p.line from link l join part p on p.n = l.n where l.tab = ? and l.col = ?"
                    " and not exists (select 1 from part o where o.tab = ? and o.id = l.parent) order by p.n",
                    (table, column, parent),
                )
                for _number, file, line in missing:
                    refused = (table, column) == ("service", "organization_id")
                    self._say(file, line, column, f"No such {_said(parent)} in this package.", refused=refused)
            owners = [column for column in shape.links if column in _OWNING]
            if owners and table not in {"service", "location", "program"}:
                marks = ", ".join("?" for _column in owners)
                for file, line in self._db.execute(
                    "select p.file, p.line from part p where p.tab = ? and not exists"  # noqa: S608 - marks of our own
                    f" (select 1 from link l where l.n = p.n and l.col in ({marks})) order by p.n",
                    (table, *owners),
                ):
                    self._say(file, line, owners[0], "Hangs on nothing: left out.")

    def _attributes(self) -> None:
        for file, line in self._db.execute(
            "select p.file, p.line from part p where p.tab = 'attribute' and not exists"
            " (select 1 from link l join part o on o.id = l.parent where l.n = p.n and l.col = 'link_id') order by p.n"
        ):
            self._say(file, line, "link_id", "Nothing in this package has this id: left out.")

    def _unused(self) -> None:
        for file, line in self._db.execute(
            "select p.file, p.line from part p where p.tab = 'location' and not exists (select 1 from link l"
            " where l.tab = 'service_at_location' and l.col = 'location_id' and l.parent = p.id) order by p.n"
        ):
            self._say(file, line, "id", "No service is given here: left out.")

    def _loops(self, table: str, column: str) -> None:
        """Cut each loop of parents at its first row; rows are followed by number, eight bytes each."""
        (last,) = self._db.execute("select coalesce(max(n), 0) from part").fetchone()
        above = array("q", bytes(8 * (last + 1)))
        parents = (
            "select p.n, o.n from part p join part o on o.tab = p.tab"  # noqa: S608 - a column of ours
            f" and o.id = cast(json_extract(p.data, '$.{column}') as text) where p.tab = ?"
        )
        for number, parent in self._db.execute(parents, (table,)):
            above[number] = parent
        seen = array("q", bytes(8 * (last + 1)))
        for start in range(1, last + 1):
            number, path = start, []
            while above[number] and not seen[number]:
                seen[number] = start
                path.append(number)
                number = above[number]
            if above[number] and seen[number] == start:
                loop = path[path.index(number) :]
                first = min(loop)
                above[first] = 0
                (file, line) = self._db.execute("select file, line from part where n = ?", (first,)).fetchone()
                self._db.execute(f"update part set data = json_remove(data, '$.{column}') where n = ?", (first,))  # noqa: S608 - the same
                self._say(file, line, column, "Stands below itself: this parent is left out.")

    def services(self) -> Iterator[Row]:
        """Answer every service whose organisation is there."""
        for number, file, line in self._db.execute("select n, file, line from part where tab = 'service' order by n"):
            self._left = MOST_PARTS_OF_ALL
            document = self._service(number)
            if document is None:
                continue
            yield Row(line, document, file)

    def organizations(self) -> Iterator[Row]:
        """Answer every organisation that no service names."""
        for id_, file, line in self._db.execute(
            "select id, file, line from part p where tab = 'organization' and not exists (select 1 from offered o"
            " where o.id = p.id) order by n"
        ):
            self._left = MOST_PARTS_OF_ALL
            told = {name: value for name, value in self._organization(id_).items() if not name.startswith("_")}
            yield Row(line, told, file)

    def _service(self, number: int) -> dict[str, Any] | None:
        values = self._values(number)
        id_ = str(values["id"])
        document = self._with_parts("service", values)
        owner = self._owner(values, document)
        if owner is None:
            if "organization_id" not in values:
                self._say(*self._where(number), "organization_id", "No organization is told.", refused=True)
            return None
        self._db.execute("insert or ignore into offered values (?)", (owner,))
        organization = dict(self._organization(owner))
        for column in ("accreditations", "licenses"):
            if (told := organization.pop(f"_{column}", None)) is not None:
                document.setdefault(column, told)
        document |= {"organization": organization, "organization_id": owner}
        program = self._one("program", document.pop("program_id", None))
        if program is not None:
            document["program"] = self._with_parts("program", program)
        self._finish(document, id_)
        return document

    def _owner(self, values: Mapping[str, Any], document: Mapping[str, Any]) -> str | None:
        """Answer the organisation of a service: its own, or (Ohana) that of its place or programme."""
        told = [values.get("organization_id")]
        if told[0] is None:
            told = [
                place.get("location", {}).get("organization_id") for place in document.get("service_at_locations", ())
            ]
            program = self._one("program", values.get("program_id"))
            told.append(program.get("organization_id") if program else None)
        for id_ in filter(None, told):
            if self._one("organization", id_) is not None:
                return str(id_)
        return None

    def _finish(self, document: dict[str, Any], id_: str) -> None:
        """Put into a service what older packages keep in tables that are gone."""
        eligible = [row["eligibility"] for row in self._rows("eligibility", "service_id", id_) if "eligibility" in row]
        if eligible:
            document.setdefault("eligibility_description", "\n".join(map(str, eligible)))
        paid = [str(row["payment"]) for row in self._rows("payment_accepted", "service_id", id_) if "payment" in row]
        if paid:
            fees = document.pop("fees", None) or document.get("fees_description")
            document["fees_description"] = "\n".join(filter(None, [fees, f"Accepted payments: {', '.join(paid)}"]))
        if words := [row["keyword"] for row in self._rows("keyword", "service_id", id_)]:
            own = [_own_attribute("keywords", word) for word in words]
            document["attributes"] = [*document.get("attributes", ()), *own]
        of_service = self._holidays("service_id", id_)
        for place in document.get("service_at_locations", ()):
            location = place.get("location")
            if not isinstance(location, dict):
                continue
            of_pair = self._holidays("service_at_location_id", place.get("_id"))
            of_place = self._holidays("location_id", location.get("id"))
            rules = [rule for _schedule, rule in (*of_place, *of_service, *of_pair)]
            regular = place.get("schedules") or document.get("schedules") or location.get("schedules") or ()
            weekly = opening_hours(regular)
            if rules and None not in rules and weekly:
                told = "; ".join([weekly, *dict.fromkeys(filter(None, rules))])
                location["attributes"] = [*location.get("attributes", ()), _own_attribute("opening_hours", told)]
        for place in document.get("service_at_locations", ()):
            self._keep_holidays(place, "service_at_location_id", place.pop("_id", None))
            if isinstance(place.get("location"), dict):
                self._keep_holidays(place["location"], "location_id", place["location"].get("id"))
        self._keep_holidays(document, "service_id", id_)

    def _holidays(self, column: str, id_: Any) -> list[tuple[dict[str, Any], str | None]]:  # noqa: ANN401 - an id
        return [older.holiday(row) for row in self._rows("holiday_schedule", column, id_)] if id_ is not None else []

    def _keep_holidays(self, part: dict[str, Any], column: str, id_: Any) -> None:  # noqa: ANN401 - an id
        told = [schedule for schedule, _rule in self._holidays(column, id_)]
        if told:
            part["schedules"] = [*part.get("schedules", ()), *told]

    def _whole_organization(self, id_: str) -> dict[str, Any]:
        found = self._one("organization", id_)
        return self._with_parts("organization", found) if found else {"id": id_}

    def _with_parts(self, table: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a row with all that hangs on it."""
        made = dict(values)
        id_ = made.get("id")
        if table not in KEPT_IDS and not _is_uuid(id_):
            made.pop("id", None)
        if id_ is not None:
            for member, child, column in PARTS.get(table, ()):
                if parts := self._children(table, child, column, str(id_)):
                    made[member] = parts
            if attributes := self._children(table, "attribute", "link_id", str(id_)):
                made["attributes"] = attributes
        if table == "service_at_location":
            made["_id"] = id_
            if (location := self._one("location", made.get("location_id"))) is not None:
                made["location"] = self._with_parts("location", location)
        elif table == "service_capacity" and (unit := self._one("unit", made.get("unit_id"))) is not None:
            made["unit"] = self._with_parts("unit", unit)
        elif table == "attribute" and (term := self._term(str(made.get("taxonomy_term_id")))) is not None:
            made["taxonomy_term"] = term
        return made

    def _whole_term(self, id_: str) -> dict[str, Any] | None:
        values = self._one("taxonomy_term", id_)
        if values is None:
            return None
        made = self._with_parts("taxonomy_term", values)
        if (taxonomy := self._one("taxonomy", made.get("taxonomy_id"))) is not None:
            made["taxonomy_detail"] = self._with_parts("taxonomy", taxonomy)
            made.setdefault("taxonomy", made["taxonomy_detail"].get("name"))
        return made

    def _children(self, owner: str, table: str, column: str, parent: str) -> list[dict[str, Any]]:
        if table not in self._there:
            return []
        found = self._db.execute(
            "select p.data, p.file, p.line from link l join part p on p.n = l.n"
            " where l.tab = ? and l.col = ? and l.parent = ? order by l.n limit ?",
            (table, column, parent, MOST_PARTS + 1),
        ).fetchall()
        if len(found) > MOST_PARTS:
            _data, file, line = found.pop()
            self._say(file, line, column, f"More than {MOST_PARTS:,} of one thing: the rest is left out.")
        if len(found) > self._left:
            self._say(found[0][1], found[0][2], column, f"More than {MOST_PARTS_OF_ALL:,} parts in all: left out.")
            return []
        self._left -= len(found)
        parts = [orjson.loads(data) for data, _file, _line in found]
        if table == "attribute":
            # In older packages a service and its place may have the same number.
            parts = [part for part in parts if table_of(str(part.get("link_entity", ""))) in {None, owner}]
        return [self._with_parts(table, part) for part in parts]

    def _rows(self, table: str, column: str, parent: str) -> Iterator[dict[str, Any]]:
        if table not in self._there:
            return iter(())
        rows = self._db.execute(
            "select p.data from link l join part p on p.n = l.n where l.tab = ? and l.col = ? and l.parent = ?"
            " order by l.n limit ?",
            (table, column, parent, MOST_PARTS),
        ).fetchall()
        return (orjson.loads(data) for (data,) in rows)

    def _one(self, table: str, id_: Any) -> dict[str, Any] | None:  # noqa: ANN401 - an id
        if id_ is None:
            return None
        found = self._db.execute("select data from part where tab = ? and id = ?", (table, str(id_))).fetchone()
        values: dict[str, Any] | None = orjson.loads(found[0]) if found else None
        return values

    def _values(self, number: int) -> dict[str, Any]:
        (data,) = self._db.execute("select data from part where n = ?", (number,)).fetchone()
        values: dict[str, Any] = orjson.loads(data)
        return values

    def _where(self, number: int) -> tuple[str, int]:
        file, line = self._db.execute("select file, line from part where n = ?", (number,)).fetchone()
        return file, line

    def told(self) -> Iterator[Row]:
        """Answer what is to be said of rows, in the order in which it was found."""
        for file, line, column, reason, refused in self._db.execute(
            "select file, line, col, reason, no from told order by n"
        ):
            yield Row(line, Told(column, reason, bool(refused)), file)

    def _say(  # noqa: PLR0913 - what is said of a row
        self, file: str, line: int, column: str, reason: str, *, refused: bool = False, once: bool = False
    ) -> None:
        if once:
            # Columns and files: never more than the headers have.
            if (file, column, reason) in self._once:
                return
            self._once.add((file, column, reason))
        self._db.execute(
            "insert into told (file, line, col, reason, no) values (?, ?, ?, ?, ?)",
            (file, line, column, reason, refused),
        )


_WHOLE: Final = frozenset({"service", "organization"})
"""Tables whose rows are records of their own."""

_OWNING: Final = frozenset(
    {"location_id", "service_id", "organization_id", "contact_id", "service_at_location_id", "phone_id"}
)


def _key(table: str, id_: str | None, file: str) -> str | None:
    """Answer under which id a row is kept: parts that nothing names may have the same number in two files."""
    return id_ if id_ is None or table in NAMED or _is_uuid(id_) else f"{file}#{id_}"


@lru_cache(maxsize=64)
def _stem(file: str) -> str:
    return PurePosixPath(file).stem.lower()


def _said(table: str) -> str:
    return table.replace("_", " ")


def _is_uuid(told: Any) -> bool:  # noqa: ANN401 - an id
    try:
        UUID(told)
    except (ValueError, TypeError, AttributeError):
        return False
    return True


def _own_attribute(code: str, value: str) -> dict[str, Any]:
    """Answer an attribute of our own taxonomy, for what HSDS has no member for."""
    term = next(one for one in hsds.taxonomy_terms() if one["taxonomy"] == hsds.OWN and one["code"] == code)
    return {"value": value, "taxonomy_term": term}
