"""The import: a file's records into the directory, a reason for every refusal; repeatable, resumed after a kill.

A file is read twice. First to its end, without writing: one that breaks off, or is none, changes nothing. Then record
by record, in batches that stand or fall alone; the job beside them says how far it came, so that whoever goes on goes
on there. What the file no longer holds is retired at the end.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

import asyncpg

from relais_directory import import_store, store, writing
from relais_directory.domain.reach import beyond
from relais_directory.entries import areas_of
from relais_directory.formats import hsds, reading, tabular
from relais_directory.formats.reading import UnreadableFile
from relais_directory.import_report import Options, Report
from relais_directory.import_rows import Made, made_of, source_of
from relais_directory.judging import Judged, Points, Remark, judge, points
from relais_directory.records import OrganisationRecord
from relais_directory.writing import Author

BATCH: Final = 500
"""Records written at once: enough to make each statement worth its way, few enough to hold."""

NAMESPACE: Final = UUID("6f0f3a3e-6d3c-5b47-9c5e-3f2a3c1d9b10")
"""The root of our imported ids: the same source and record have the same id in every directory."""

FEW: Final = 20
"""So many entries may be missing from any file without a doubt: small lists change at once."""


async def run(
    connection: asyncpg.Connection,
    path: Path,
    options: Options,
    author: Author,
    progress: Callable[[str, int], None] | None = None,
) -> Report:
    """Import a file: an unreadable one leaves the directory as it was.

    Args:
        connection: To the directory's database, in no transaction.
        path: The file.
        options: How to read it.
        author: Stands in the history.
        progress: Told `checking` or `writing`, and the bytes read.

    Raises:
        UnreadableFile: Says where and why.
    """
    source = source_of(path, options)
    job = await import_store.open_job(connection, path, source, options.as_json(), author.now, size=_size(path))
    return await resume(connection, job, author, progress)


async def resume(
    connection: asyncpg.Connection,
    job: UUID,
    author: Author,
    progress: Callable[[str, int], None] | None = None,
) -> Report:
    """Run a job, from where it stands; one that cannot be read has failed, and changed nothing.

    Raises:
        UnreadableFile: Says where and why.
    """
    row = await import_store.begin_job(connection, job, author.now)
    path, options, source = Path(row["path"]), Options.restored(json.loads(row["options"])), row["source"]
    # Two imports of one source would retire each other's entries.
    await connection.execute("select pg_advisory_lock(hashtext($1))", f"import:{source}")
    try:
        await connection.execute("set statement_timeout = 0")
        report = Report.restored(json.loads(row["report"])) if row["rows_done"] else Report(source, _described(path))
        if not row["rows_done"]:
            for _made in made_of(path, options, _telling(progress, "checking")):
                pass
        await _write_all(connection, job, path, options, author, report, row["rows_done"], progress)
    except UnreadableFile as fault:
        await import_store.end_job(connection, job, "failed", json.dumps(report.as_json()), author.now, str(fault))
        raise
    finally:
        await connection.execute("select pg_advisory_unlock(hashtext($1))", f"import:{source}")
        await connection.execute("reset statement_timeout")
    await connection.execute("vacuum (analyze) card, search_entry, service, service_at_location")
    return report


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _described(path: Path) -> Mapping[str, Any]:
    return {"name": path.name} | ({} if tabular.is_package(path) else reading.described(path).as_json())


def _telling(progress: Callable[[str, int], None] | None, phase: str) -> Callable[[int], None] | None:
    return (lambda done: progress(phase, done)) if progress else None


async def _write_all(  # noqa: PLR0913 - a run is made of these
    connection: asyncpg.Connection,
    job: UUID,
    path: Path,
    options: Options,
    author: Author,
    report: Report,
    rows_done: int,
    progress: Callable[[str, int], None] | None,
) -> None:
    terms = {row["code"]: row["id"] for row in await connection.fetch("select code, id from taxonomy_term")}
    told: set[UUID] = set()
    registered = {row["id"] for row in await connection.fetch("select id from registered_organisation")}
    read = 0

    def telling(done: int) -> None:
        nonlocal read
        read = done
        if progress:
            progress("writing", done)

    rows = islice(made_of(path, options, telling), rows_done, None)
    while batch := list(islice(rows, BATCH)):
        rows_done += len(batch)
        async with connection.transaction():
            await _Batch(connection, job, options, author, report, terms, told, registered).write(batch)
            await import_store.note_job(connection, job, rows_done, read, json.dumps(report.as_json()))
    async with connection.transaction():
        if report.read > report.refused:
            await _retire_gone(connection, job, author, report)
        await import_store.end_job(connection, job, "done", json.dumps(report.as_json()), author.now, None)


async def _retire_gone(connection: asyncpg.Connection, job: UUID, author: Author, report: Report) -> None:
    """Retire what the file no longer holds; more than half of a source only when two files in turn lack so much."""
    gone = await import_store.gone(connection, report.source, job)
    there = await import_store.living(connection, report.source)
    if len(gone) > max(FEW, there / 2) and not await import_store.held_before(connection, report.source, job):
        report.held = len(gone)
        what = (
            f"{len(gone)} of {there} entries are missing: none was retired. If the next file lacks so many, they are."
        )
        report.flag(Remark(0, None, "file", what))
        return
    for start in range(0, len(gone), BATCH):
        report.retired += await writing.retire(connection, gone[start : start + BATCH], author)


def service_id(source: str, record: str) -> UUID:
    """Answer the id of an imported service by its source and record id: the same in every run."""
    # A faulty row's id may hold half of a surrogate pair, which no text that was stored can equal.
    return uuid5(NAMESPACE, f"{source}|service|{record}".encode(errors="replace").decode())


def organisation_id(source: str, organisation: OrganisationRecord) -> UUID:
    """Answer the id of an imported organisation: the registry's where the record tells one."""
    return organisation.id or uuid5(NAMESPACE, f"{source}|organisation|{organisation.record_id}")


class _Batch:
    """Some rows, judged and written together."""

    def __init__(  # noqa: PLR0913 - a batch of a run is made of these
        self,
        connection: asyncpg.Connection,
        job: UUID,
        options: Options,
        author: Author,
        report: Report,
        terms: Mapping[str, int],
        told: set[UUID],
        registered: set[UUID],
    ) -> None:
        self._connection = connection
        self._job = job
        self._options = options
        self._author = author
        self._report = report
        self._terms = terms
        self._told = told
        """Organisations of this file: what is told first of one holds, or services would change it in turn."""
        self._registered = registered
        self._points: Points = points()
        self._services: dict[UUID, tuple[Made, Judged]] = {}
        self._organisations: dict[UUID, OrganisationRecord] = {}
        self._alone: dict[UUID, OrganisationRecord] = {}
        self._still_there: set[UUID] = set()
        """Entries whose rows were refused: a refused row has not left its source, what was known of it stays."""
        self._names: set[str] = set()
        """Record ids of these rows."""

    async def write(self, batch: Iterable[Made]) -> None:
        """Judge and write the rows."""
        for made in batch:
            if made.record is None:
                for remark in made.told:
                    self._report.flag(remark)
                continue
            self._report.read += 1
            self._judge(made)
        await self._drop_known()
        source = self._report.source
        organisations = {
            id_: writing.Organisation(id_, source, one.record_id, one)
            for id_, one in (self._organisations | self._alone).items()
        }
        outcomes = await writing.write_organisations(self._connection, list(organisations.values()), self._author)
        for id_ in self._alone:
            self._report.count(outcomes[id_])
        services = [
            writing.Service(
                id_,
                organisation_id(source, judged.record.organisation),
                judged.record.organisation.name,
                source,
                judged.record.record_id,
                judged.record,
                judged.places,
            )
            for id_, (_made, judged) in self._services.items()
        ]
        written = await writing.write_services(self._connection, services, self._author, self._terms)
        for id_, outcome in written.items():
            self._report.count(outcome)
            for flag in self._services[id_][1].flags:
                self._report.flag(flag)

    def _judge(self, made: Made) -> None:  # noqa: C901 - one look at each reason to refuse a row
        line = made.row.line
        judged = judge(made.record, line, self._points) if isinstance(made.record, dict) else list(made.record or ())
        if isinstance(made.record, hsds.Made):
            for where, reason in made.record.remarks:
                self._report.flag(Remark(line, made.name, where, reason, made.row.sheet))
        if isinstance(judged, list):
            self._report.refuse(self._located(made, judged))
            if made.name:
                self._still_there.add(service_id(self._report.source, made.name))
                with suppress(ValueError):
                    self._still_there.add(UUID(made.name))
            return
        organisation = judged if isinstance(judged, OrganisationRecord) else judged.record.organisation
        mine = self._options.organisation_id
        if mine is not None and organisation.id != mine and organisation.id in self._registered:
            self._refuse(made, "organisation.id", "Another organisation's: its services are its own to tell of.")
            if not isinstance(judged, OrganisationRecord):
                self._still_there.add(self._id_of(judged))
            return
        owner = organisation_id(self._report.source, organisation)
        if isinstance(judged, OrganisationRecord):
            if owner in self._told:
                self._refuse(made, "record_id", "Twice in this file.")
            else:
                self._told.add(owner)
                self._alone[owner] = judged
            return
        id_ = self._id_of(judged)
        if past := beyond(self._options.limits, judged.record.themes, areas_of(judged.record, judged.places)):
            told = [Remark(made.row.line, made.name, where.strip("/").replace("/", "."), why) for where, why in past]
            self._report.refuse(self._located(made, told))
            self._still_there.add(id_)
            return
        if id_ in self._services or judged.record.record_id in self._names:
            self._refuse(made, "record_id", "Twice in this file.")
            return
        self._services[id_] = (made, judged)
        self._names.add(judged.record.record_id)
        if owner not in self._told:
            self._told.add(owner)
            self._organisations[owner] = organisation

    def _id_of(self, judged: Judged) -> UUID:
        return judged.record.id or service_id(self._report.source, judged.record.record_id)

    @staticmethod
    def _located(made: Made, remarks: Iterable[Remark]) -> Iterator[Remark]:
        """Answer remarks with the words of the file's own format, and its sheet."""
        for one in remarks:
            where = made.record.where(one.field) if isinstance(made.record, hsds.Made) else one.field
            yield Remark(one.line, one.record, where, one.reason, one.file or made.row.sheet)

    def _refuse(self, made: Made, where: str, reason: str) -> None:
        self._report.refuse([Remark(made.row.line, made.name, where, reason, made.row.sheet)])

    async def _drop_known(self) -> None:
        """Refuse what an earlier batch held, and what would take the id of another entry, or of one at its place."""
        named = {id_: judged.record.record_id for id_, (_made, judged) in self._services.items()}
        for id_, known in (await import_store.other_ids(self._connection, self._report.source, named)).items():
            self._refuse(self._services.pop(id_)[0], "id", "Its record id stands here with another id.")
            self._still_there.add(known)
        await self._drop_places_of_others()
        new = await import_store.see(self._connection, self._job, list(self._services))
        await import_store.see(self._connection, self._job, list(self._still_there - self._services.keys()))
        foreign = await import_store.of_other_source(self._connection, self._report.source, list(self._services))
        for id_ in list(self._services):
            if id_ in foreign:
                self._refuse(self._services.pop(id_)[0], "id", "An entry of another source has this id.")
            elif id_ not in new:
                self._refuse(self._services.pop(id_)[0], "record_id", "Twice in this file.")

    async def _drop_places_of_others(self) -> None:
        """Refuse services whose id at a place is another service's: each is of one alone."""
        told = [
            (id_, number, place.at_id)
            for id_, (_made, judged) in self._services.items()
            for number, place in enumerate(judged.record.locations)
            if place.at_id
        ]
        first: dict[UUID, UUID] = {}
        for id_, _number, at in told:
            first.setdefault(at, id_)
        others = await store.places_of_others(self._connection, first) if first else set()
        for id_, number in {id_: number for id_, number, at in told if first[at] != id_ or at in others}.items():
            made, _judged = self._services.pop(id_)
            remark = Remark(
                made.row.line, made.name, f"locations.{number}.at_id", "Another service's at its place.", made.row.sheet
            )
            self._report.refuse(self._located(made, [remark]))
            self._still_there.add(id_)
