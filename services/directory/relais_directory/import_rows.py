"""The rows of a file, whatever its format, as canonical records that nobody judged yet."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from relais_directory.formats import data_inclusion, hsds, mapping, reading, tabular
from relais_directory.formats.reading import Row, UnreadableFile
from relais_directory.import_report import Options
from relais_directory.judging import Remark, faults


@dataclass(frozen=True, slots=True)
class Made:
    """One row of a file as a canonical record, not yet judged, or why it cannot be read; and its id, if told."""

    row: Row
    record: dict[str, Any] | list[Remark] | None
    """None where the row was never to be a record, and something is to be said of it all the same."""
    name: str | None
    told: Sequence[Remark] = ()


def made_of(path: Path, options: Options, progress: Callable[[int], None] | None = None) -> Iterator[Made]:
    """Answer the records of a file, whatever its format.

    Raises:
        UnreadableFile: Says where and why.
    """
    if tabular and tabular.is_package(path):
        for row in tabular.documents(path, progress):
            yield _of_hsds(row)
        return
    chosen = chosen_mapping(path, options.mapping)
    structures = _structures(options.structures)
    for row in reading.rows(path, progress):
        if chosen is None and isinstance(row.values, dict) and _is_hsds(row.values):
            yield _of_hsds(row)
        else:
            yield _of_row(row, chosen, structures)


def _structures(path: str | None) -> Mapping[str, Any]:
    beside = reading.rows(Path(path)) if path else ()
    return {str(row.values.get("id")): row.values for row in beside if isinstance(row.values, dict)}


def _of_hsds(row: Row, organisation: Mapping[str, Any] | None = None) -> Made:
    values = row.values
    if isinstance(values, tabular.Told):
        told = [Remark(row.line, None, values.column, values.reason, row.sheet)]
        return Made(row, told if values.refused else None, None, told)
    if "service" in values and "location" in values:
        # One place of a service: the service with this place.
        place = {key: value for key, value in values.items() if key != "service"}
        values = {**values["service"], "service_at_locations": [place]} if isinstance(values["service"], dict) else {}
    name = str(values.get("id"))[:100] if values.get("id") else None
    if "organization" in values or "organization_id" in values or "status" in values:
        return Made(row, hsds.record(values, organisation=organisation), name)
    return Made(row, hsds.organisation(values), name)


def _is_hsds(values: Mapping[str, Any]) -> bool:
    """Say whether an object is an HSDS service, or an organization: both have what no other format has together."""
    service = {"id", "name", "status"} <= values.keys() and bool({"organization", "organization_id"} & values.keys())
    organisation = {"id", "name", "description"} <= values.keys() and bool(
        {"organization_identifiers", "funding", "legal_status", "year_incorporated", "programs"} & values.keys()
    )
    place = {"service", "location"} <= values.keys()
    return (service or organisation or place) and "record_id" not in values


def _of_row(row: Row, chosen: "mapping.Mapping_ | None", structures: Mapping[str, Any]) -> Made:
    values = row.values
    name = record_id(values, chosen)
    if row.faults:
        # A key that stands twice: nobody can say which of the two was meant.
        return Made(row, [Remark(row.line, name, where, reason, row.sheet) for where, reason in row.faults], name)
    made: dict[str, Any] | list[Remark]
    try:
        if not isinstance(values, dict):
            raise mapping.FaultyValue("row: not an object")  # noqa: TRY301 - one way to refuse a row
        if chosen is not None:
            made = chosen.apply(values)
        elif data_inclusion.is_record(values):
            beside = values.get("structure") or structures.get(str(values.get("structure_id")))
            made = data_inclusion.record(values, beside if isinstance(beside, dict) else None)
        else:
            made = values
    except mapping.FaultyValue as fault:
        told = (each.rpartition(": ") for each in fault.args)
        made = [Remark(row.line, name, column, reason, row.sheet) for column, _, reason in told]
    except ValidationError as fault:
        made = faults(row.line, name, fault)
    return Made(row, made, name)


def record_id(values: Any, chosen: "mapping.Mapping_ | None") -> str | None:  # noqa: ANN401 - a row of any shape
    """Answer the id that a row tells for its record, also where the rest of the row cannot be read."""
    told = None
    if isinstance(values, dict):
        with suppress(mapping.FaultyValue):
            told = chosen.id_of(values) if chosen else values.get("record_id", values.get("id"))
    return told.strip() or None if isinstance(told, str) else None


def chosen_mapping(path: Path, name: str | None) -> "mapping.Mapping_ | None":
    """Answer the mapping to read a file with: the named one, the one that fits, or none where none is needed.

    Raises:
        UnreadableFile: No mapping fits, or the file cannot be read.
    """
    if name == "canonical":
        return None
    if name is not None:
        return mapping.Mapping_.parse("of this import", name) if "\n" in name else mapping.named(name)
    first = next(reading.rows(path), None)
    if first is None or not isinstance(first.values, dict):
        raise UnreadableFile(f"{path.name} holds no record.")
    values = first.values
    if data_inclusion.is_record(values) or _is_hsds(values):
        return None
    columns = frozenset(values)
    if {"record_id", "organisation", "name"} <= columns or columns == {"organisation"}:
        return None
    found = mapping.fitting(columns)
    if found is None:
        for what, marks in HSDS_PARTS.items():
            if marks <= columns:
                raise UnreadableFile(
                    f"{path.name} holds {what} of HSDS alone: they are read with the services they are of."
                )
        known = ", ".join(each.name for each in mapping.shipped())
        raise UnreadableFile(f"No mapping fits the columns of {path.name}: name one (--mapping). Shipped: {known}.")
    return found


HSDS_PARTS: Final = {
    "places": frozenset({"id", "location_type"}),
    "taxonomy terms": frozenset({"id", "name", "taxonomy"}),
    "taxonomies": frozenset({"id", "name", "uri", "version"}),
}
"""What HSDS lists apart though it is only ever of a service, and what it is known by."""


def source_of(path: Path, options: Options) -> str:
    """Answer the name under which a file's entries stand.

    Raises:
        UnreadableFile: No mapping fits, or the file cannot be read.
    """
    if options.source:
        return options.source
    chosen = None if tabular.is_package(path) else chosen_mapping(path, options.mapping)
    return chosen.source if chosen else path.name.partition(".")[0]
