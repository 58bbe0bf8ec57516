"""An HSDS 3.1 package written: a folder or zip of CSV files with their description, one document after the other."""

import csv
import json
import shutil
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TextIO
from uuid import uuid5
from zipfile import ZIP_DEFLATED, ZipFile

from relais_directory.formats.hsds import NAMESPACE
from relais_directory.formats.tabular.opening import DESCRIBED
from relais_directory.formats.tabular.tables import PARTS, TABLES

VERSION: Final = "3.1"

SINGLE: Final = {
    "service": (("organization", "organization", "organization_id"), ("program", "program", "program_id")),
    "service_at_location": (("location", "location", "location_id"),),
    "service_capacity": (("unit", "unit", "unit_id"),),
    "attribute": (("taxonomy_term", "taxonomy_term", "taxonomy_term_id"),),
    "taxonomy_term": (("taxonomy_detail", "taxonomy", "taxonomy_id"),),
}
"""The single objects inside an object: where they stand, of which table they are, and the column that names them."""

SHARED: Final = frozenset({"organization", "program", "location", "unit", "taxonomy_term", "taxonomy"})
"""Tables whose rows several documents hold: written once."""

NUMBERS: Final = frozenset(
    {"latitude", "longitude", "extension", "timezone", "amount", "minimum_age", "maximum_age", "available", "maximum"}
)
DATES: Final = frozenset({"assured_date", "valid_from", "valid_to", "dtstart", "until"})


def write_package(documents: Iterable[Mapping[str, Any]], target: Path) -> int:
    """Write full HSDS services (and organizations) as a package; answer how many documents it holds.

    Args:
        documents: As `hsds.service` and `hsds.organisation_document` answer them.
        target: A folder that is not there yet, or a file that ends in .zip.

    Raises:
        FileExistsError: There is something already.
    """
    if target.exists():
        raise FileExistsError(f"{target.name} is there already.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent, prefix=".package-") as made:
        folder = Path(made) / "package"
        folder.mkdir()
        count = _write(documents, folder)
        if target.suffix.lower() == ".zip":
            packed = Path(made) / "package.zip"
            with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
                for file in sorted(folder.iterdir()):
                    archive.write(file, file.name)
            packed.rename(target)
        else:
            shutil.move(folder, target)
    return count


def _write(documents: Iterable[Mapping[str, Any]], folder: Path) -> int:
    with ExitStack() as stack:
        tables = _Tables(folder, stack)
        count = 0
        for count, document in enumerate(documents, 1):  # noqa: B007 - the last number is the answer
            tables.put("service" if "status" in document else "organization", document)
        written = tables.written()
    (folder / DESCRIBED).write_text(json.dumps(_described(written), ensure_ascii=False, indent=1), encoding="utf-8")
    return count


class _Tables:
    """The files of a package while they are written, and which shared rows stand in them already."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._files: dict[str, Any] = {}
        # On disk: a country's organisations need not fit into the memory.
        self._there = sqlite3.connect("", isolation_level=None)
        stack.callback(self._there.close)
        self._there.execute("create table there (tab text, id text, primary key (tab, id)) without rowid")

    def put(self, table: str, part: Mapping[str, Any], link: Mapping[str, Any] | None = None) -> None:
        """Write a part and all that hangs on it, each into its table."""
        id_ = part.get("id")
        done = self._there.execute("insert or ignore into there values (?, ?)", (table, id_))
        if not done.rowcount and table in SHARED:
            return
        row = {**part, **(link or {})}
        if not done.rowcount:
            # The same part hangs on two things: a table has one row for each, and an id once.
            owner = next(iter((link or {}).values()), None)
            row["id"] = id_ = str(uuid5(NAMESPACE, f"{table}|{id_}|{owner}"))
        for member, inner, column in SINGLE.get(table, ()):
            if isinstance(there := part.get(member), Mapping):
                row[column] = there.get("id")
                owner = {"organization_id": part.get("organization_id")} if inner == "program" else None
                self.put(inner, there, owner)
        self._line(table, row)
        for member, inner, column in (*PARTS.get(table, ()), ("attributes", "attribute", "link_id")):
            more = {"link_entity": table} if inner == "attribute" else {}
            for child in part.get(member) or ():
                self.put(inner, child, {column: id_, **more})

    def written(self) -> list[str]:
        """Answer the tables that hold rows, in the standard's order."""
        return [table for table in TABLES if table in self._files]

    def _line(self, table: str, row: Mapping[str, Any]) -> None:
        columns = TABLES[table].columns
        if table not in self._files:
            text: TextIO = self._stack.enter_context(
                (self._folder / TABLES[table].file).open("w", encoding="utf-8", newline="")
            )
            self._files[table] = csv.writer(text, lineterminator="\r\n")
            self._files[table].writerow(columns)
        self._files[table].writerow(["" if row.get(column) is None else row[column] for column in columns])


def _described(tables: Iterable[str]) -> dict[str, Any]:
    """Answer the description of a package: a tabular data package of Frictionless Data."""
    written = set(tables)
    return {
        "name": "human_services_data",
        "title": "Human Services Data Specification",
        "profile": "tabular-data-package",
        "version": VERSION,
        "resources": [
            {
                "name": table,
                "path": TABLES[table].file,
                "profile": "tabular-data-resource",
                "format": "csv",
                "mediatype": "text/csv",
                "encoding": "utf-8",
                "schema": {
                    "fields": [{"name": column, "type": _type(column)} for column in TABLES[table].columns],
                    "primaryKey": "id",
                    "foreignKeys": [
                        {"fields": column, "reference": {"resource": other, "fields": "id"}}
                        for column, other in TABLES[table].links.items()
                        if other in written
                    ],
                },
            }
            for table in TABLES
            if table in written
        ],
    }


def _type(column: str) -> str:
    return "number" if column in NUMBERS else "date" if column in DATES else "string"
