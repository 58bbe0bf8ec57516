"""The directory's commands."""

import asyncio
import gc
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Annotated, Any
from uuid import UUID

import asyncpg
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from relais_directory import actions, importing, importing_stops, store
from relais_directory.formats import exporting, tabular
from relais_directory.formats.reading import UnreadableFile
from relais_directory.import_report import Options, Report
from relais_directory.settings import MIGRATIONS, DirectorySettings
from relais_directory.writing import Author
from relais_shared.clock import utc_now

app = typer.Typer(help="The directory.", no_args_is_help=True)
console = Console(stderr=True, soft_wrap=True)

PACKAGE = "hsds-package"
"""HSDS as tables: a folder that is not there yet, or a .zip."""

GENTLY = 10
"""How much an import that the API was asked for stands back (nice)."""

SHOWN = 20
"""Refusals printed; the report file holds the rest."""


@app.command()
def serve() -> None:
    """Serve the API until told to stop."""
    gc.disable()  # What it imports stays for as long as it serves: `service.serve` lets the collector begin.
    from relais_directory.app import create_app
    from relais_shared import service

    settings = DirectorySettings.load()
    service.serve(create_app(settings), settings)


@app.command()
def migrate() -> None:
    """Bring the schema to the newest version, and the cards that search finds to the newest form."""
    from relais_shared.migrations import upgrade  # Alembic takes a tenth of a server's start.

    upgrade(DirectorySettings.load(), MIGRATIONS)
    made = asyncio.run(_connected(actions.renew_cards))
    if made:
        console.print(f"The cards of {made} services were made anew.")


@app.command()
def gazetteer() -> None:
    """Load the places of Belgium and France, unless they are there."""
    loaded = asyncio.run(_connected(actions.load_gazetteer))
    console.print(f"{loaded} places loaded." if loaded else "The gazetteer is there.")


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A .json, .jsonl or .csv file.")],
    *,
    mapping: Annotated[
        str | None, typer.Option(help="A shipped mapping, the path of a .toml file, or `canonical`.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="The name of the source.")] = None,
    structures: Annotated[
        Path | None, typer.Option(help="data.inclusion v1: the file of structures beside the services.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write the whole report to this JSON file.")] = None,
) -> None:
    """Import a file of services: all of it or, where it cannot be read, nothing; twice is as once."""
    options = Options(mapping, source, str(structures) if structures else None)
    size = file.stat().st_size if file.is_file() else None
    try:
        with Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
            console=console, disable=not sys.stderr.isatty(),
        ) as bar:  # fmt: skip
            task = bar.add_task(file.name, total=size)

            async def run(connection: asyncpg.Connection) -> Report:
                author = Author(f"import of {file.name}", utc_now())
                return await importing.run(
                    connection,
                    file,
                    options,
                    author,
                    lambda phase, done: bar.update(task, completed=done, description=f"{phase} {file.name}"),
                )

            done = asyncio.run(_connected(run))
    except UnreadableFile as fault:
        console.print(f"Nothing was imported. {fault}")
        raise typer.Exit(1) from None
    _tell(done, report)
    if done.read and done.refused == done.read:
        raise typer.Exit(1)


@app.command("stops")
def import_stops(
    file: Annotated[Path, typer.Argument(help="A GTFS feed (folder, .zip, stops.txt) or a table of stops.")],
    *,
    source: Annotated[
        str | None, typer.Option(help="The name under which they stand; the file's where absent.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="bus, tram, train, metro: where all are one.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the whole report to this JSON file.")] = None,
) -> None:
    """Import the stops of public transport; every place learns the nearest ones."""
    name = source or file.name.partition(".")[0]
    try:
        done: importing_stops.Report = asyncio.run(
            _connected(lambda connection: importing_stops.run(connection, file, name, kind))
        )
    except UnreadableFile as fault:
        console.print(f"Nothing was imported. {fault}")
        raise typer.Exit(1) from None
    counts = ("read", "taken", "skipped", "refused", "gone", "places")
    console.print(f"Stops of {name}: " + ", ".join(f"{getattr(done, count)} {count}" for count in counts))
    for one in done.refusals[:SHOWN]:
        console.print(f"  line {one['line']}, {one['record'] or 'no id'}, {one['field']}: {one['reason']}")
    if report is not None:
        report.write_text(json.dumps(asdict(done), ensure_ascii=False, indent=1), encoding="utf-8")


@app.command("export")
def export_file(
    file: Annotated[Path, typer.Argument(help="Where to write; - for standard output.")],
    *,
    kind: Annotated[
        str,
        typer.Option("--format", help="hsds, hsds-ndjson, hsds-package, data-inclusion, csv, geojson or canonical."),
    ] = "hsds",
    source: Annotated[str | None, typer.Option(help="Only this source's entries.")] = None,
) -> None:
    """Write the directory to a file, without what is for professionals alone."""
    if kind not in {*exporting.MEDIA, PACKAGE}:
        console.print(f"There is no format {kind}: {', '.join((*exporting.MEDIA, PACKAGE))}.")
        raise typer.Exit(2)

    async def run(connection: asyncpg.Connection, out: IO[bytes], kind: str) -> None:
        async for piece in exporting.written(store.exported(connection, None, None, source), kind):
            out.write(piece)

    if kind != PACKAGE:
        with sys.stdout.buffer if str(file) == "-" else file.open("wb") as out:
            asyncio.run(_connected(lambda connection: run(connection, out, kind)))
        return
    # The tables of a package are filled side by side: the services are read once more, from a file.
    with TemporaryFile() as documents:
        asyncio.run(_connected(lambda connection: run(connection, documents, "hsds-ndjson")))
        documents.seek(0)
        try:
            count = tabular.write_package((json.loads(line) for line in documents if line.strip()), file)
        except FileExistsError as fault:
            console.print(f"{fault}")
            raise typer.Exit(1) from None
    console.print(f"{count} services in {file.name}.")


@app.command("run-job", hidden=True)
def run_job(job: UUID) -> None:
    """Run one import that the API was asked for; the directory starts this itself."""

    async def run(connection: asyncpg.Connection) -> None:
        # Two directories may look at once: one of them takes it.
        if not await connection.fetchval("select pg_try_advisory_lock(hashtext($1))", f"job:{job}"):
            return
        row = await connection.fetchrow("select organisation_id, path from import_job where id = $1", job)
        if row is None:
            return
        with suppress(UnreadableFile):
            await importing.resume(connection, job, Author(f"import {job}", utc_now()))
        await asyncio.to_thread(Path(row["path"]).unlink, missing_ok=True)

    # An import stands back behind searches on the same cores.
    os.nice(GENTLY)
    asyncio.run(_connected(run))


def _tell(done: Report, report: Path | None) -> None:
    console.print(f"Source {done.source}: " + ", ".join(f"{count} {name}" for name, count in done.summary().items()))
    for remark in done.refusals[:SHOWN]:
        where = f"{remark.file}, line {remark.line}" if remark.file else f"line {remark.line}"
        console.print(f"  {where}, {remark.record or 'no record id'}, {remark.field}: {remark.reason}")
    if done.refused > SHOWN:
        console.print(f"  … {done.refused - SHOWN} more; --report FILE writes them all.")
    if report is not None:
        report.write_text(json.dumps(done.as_json(), ensure_ascii=False, indent=1), encoding="utf-8")


async def _connected(work: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:  # noqa: ANN401 - whatever the work answers
    settings = DirectorySettings.load()
    settings.take_themes()
    connection = await asyncpg.connect(settings.dsn.get_secret_value())
    try:
        await actions.load_vocabularies(connection)
        return await work(connection)
    finally:
        await connection.close()
