"""Imports by API: announce a file, send it in blocks, start, follow the job and read its report."""

import asyncio
import tomllib
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Header, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from relais_directory import import_store, store
from relais_directory.domain.refusals import NotNow
from relais_directory.formats import mapping
from relais_directory.formats.reading import UnreadableFile
from relais_directory.import_report import COUNTS, Options
from relais_directory.problems import TABLE
from relais_directory.routes.dependencies import MayWrite, Owners, Reading, Writing, organisation_of
from relais_shared import problems
from relais_shared.auth import Actor
from relais_shared.clock import Now
from relais_shared.http import CursorCodec
from relais_shared.refusals import (
    Fault,
    InvalidInput,
    MalformedRequest,
    NotFound,
    ScopeMissing,
    Unauthenticated,
    Unavailable,
)
from relais_shared.service import Router

router = Router(prefix="/v1/directory/imports", tags=["directory: imports"])

LARGEST = 2 << 30
"""Bytes of a file: a million records of two kilobytes."""
OPEN_JOBS = 10
"""Imports of one organisation that have not ended: each may hold a file of two gigabytes."""

_KNOWN = (MalformedRequest, Unauthenticated, ScopeMissing, InvalidInput, Unavailable)
_NEW = problems.responses(*_KNOWN, NotNow, table=TABLE)
_ONE = problems.responses(*_KNOWN, NotFound, NotNow, table=TABLE)


def _file_name(given: str) -> str:
    if "/" in given or "\\" in given or given.startswith("."):
        raise ValueError("A file's name, without folders.")
    return given


def _mapping(given: str | None) -> str | None:
    if given is None or given == "canonical" or given in {each.name for each in mapping.shipped()}:
        return given
    try:
        tomllib.loads(given)
        mapping.Mapping_.parse("of this import", given)
    except (tomllib.TOMLDecodeError, UnreadableFile) as fault:
        raise ValueError(f"Neither a shipped mapping nor a mapping file: {fault}") from None
    return given


class NewImport(BaseModel):
    """A file to be imported."""

    model_config = ConfigDict(extra="forbid")

    file: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_file_name)
    ] = Field(description="Its name; the ending tells the format.", examples=["services.xlsx"])
    size: int = Field(ge=1, le=LARGEST, description="Its bytes.")
    source: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")] = Field(
        default="import", description="Which of your sources it is: what this file no longer holds is retired there."
    )
    mapping: Annotated[Annotated[str, StringConstraints(max_length=100_000)] | None, AfterValidator(_mapping)] = Field(
        default=None, description="`canonical`, a shipped mapping's name, or the text of a mapping file (TOML)."
    )


class Job(BaseModel):
    """An import and how far it came."""

    id: UUID
    organisation_id: UUID | None = Field(description="Who asked for it; none: the operator's own command.")
    source: str
    file: str
    state: str = Field(description="receiving, waiting, running, done or failed.")
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    bytes_total: int
    bytes_received: int
    bytes_read: int
    rows_done: int
    reason: str | None = Field(description="Why it failed: then nothing was changed.")
    report: dict[str, Any] | None = Field(
        description="Counts, refusals with file, line, field and reason, flags; up to 1,000 of each."
    )


class Jobs(BaseModel):
    """Imports, the latest first."""

    items: list[Job]
    next_cursor: str | None


def _view(row: store.Row, *, whole: bool = True) -> dict[str, Any]:
    report = orjson.loads(row["report"])
    if report and not whole:
        report = {name: report[name] for name in COUNTS}
    received = row["bytes_total"]
    if row["state"] == "receiving":
        path = Path(row["path"])
        received = path.stat().st_size if path.exists() else 0
    return {**row, "bytes_received": received, "report": report or None}


@router.post("", status_code=201, response_model=Job, responses=_NEW)
async def announce(
    request: Request, response: Response, told: NewImport, actor: MayWrite, connection: Writing, now: Now
) -> dict[str, Any]:
    """Announce a file. Then send it: `PATCH …/content` in blocks of up to 1 MiB, and `POST …/start`.

    Its entries stand under a source name of your organisation's own. It may tell of services of yours, and of
    organisations that are not registered here, never of another registered organisation's.
    """
    organisation_id = organisation_of(actor)
    if await import_store.open_jobs(connection, organisation_id) >= OPEN_JOBS:
        raise NotNow(f"{OPEN_JOBS} imports of your organisation have not ended: wait for them, or delete some.")
    folder = request.app.state.uploads
    # As the grant stands now: what it reaches when the job runs is judged by this.
    limits = actor.limits.get("directory:write") or {}
    options = Options(told.mapping, f"{organisation_id}/{told.source}", None, organisation_id, limits)
    id_ = await import_store.open_job(
        connection,
        folder / "to be named",
        options.source or "",
        options.as_json(),
        now,
        size=told.size,
        file=told.file,
        state="receiving",
    )
    # The ending tells the format; the rest of a stranger's name has no business in our file system.
    path = folder / f"{id_}{''.join(Path(told.file).suffixes[-2:]).lower()}"
    await import_store.place_job(connection, id_, str(path))
    row = await import_store.job(connection, id_, organisation_id)
    assert row is not None  # noqa: S101 - made just above
    response.headers["Location"] = f"/v1/directory/imports/{id_}"
    return _view(row)


@router.get("", response_model=Jobs, responses=problems.responses(*_KNOWN))
async def imports(
    request: Request,
    actor: Owners,
    connection: Reading,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: str | None = None,
) -> dict[str, Any]:
    """List your organisation's imports, the latest first, with their counts; the operator sees everybody's."""
    whose = _whose(actor)
    codec = CursorCodec(request.app.state.settings.secret_bytes(), f"imports:{whose}")
    before = UUID(codec.decode(cursor)) if cursor else None
    rows = await import_store.jobs(connection, whose, before, limit + 1)
    return {
        "items": [_view(row, whole=False) for row in rows[:limit]],
        "next_cursor": codec.encode(str(rows[limit - 1]["id"])) if len(rows) > limit else None,
    }


@router.get("/{import_id}", response_model=Job, responses=_ONE)
async def read_import(import_id: UUID, actor: Owners, connection: Reading) -> dict[str, Any]:
    """Read how far an import came, and what became of each row that was not taken."""
    return _view(await _mine(connection, import_id, _whose(actor)))


def _whose(actor: Actor) -> UUID | None:
    """Answer whose imports an actor reads; nothing for the operator, who reads all."""
    return None if "platform:admin" in actor.scopes else organisation_of(actor)


async def _mine(connection: store.Connection, id_: UUID, organisation_id: UUID | None) -> store.Row:
    row = await import_store.job(connection, id_, organisation_id)
    if row is None:
        raise NotFound("Your organisation has no such import.")
    return row


@router.patch(
    "/{import_id}/content",
    status_code=204,
    responses=_ONE,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def send_content(
    request: Request,
    import_id: UUID,
    actor: MayWrite,
    connection: Writing,
    upload_offset: Annotated[int, Header(ge=0, description="Bytes that were sent before; the answer tells them.")],
) -> Response:
    """Send the next block of the file, up to 1 MiB; after a break, ask how many bytes arrived and go on there."""
    row = await _mine(connection, import_id, organisation_of(actor))
    if row["state"] != "receiving":
        raise NotNow("This import has its file already.")
    block = await request.body()
    done = await asyncio.to_thread(_append, Path(row["path"]), upload_offset, block, row["bytes_total"])
    if done is None:
        raise InvalidInput("1 fault.", [Fault("upload-offset:", "More than the announced size.")])
    there, taken = done
    if not taken:
        raise NotNow("Some blocks are missing, or came twice: go on at Upload-Offset.", headers=_offset(there))
    return Response(status_code=204, headers=_offset(there))


def _offset(there: int) -> dict[str, str]:
    return {"Upload-Offset": str(there)}


def _append(path: Path, offset: int, block: bytes, whole: int) -> tuple[int, bool] | None:
    """Write a block where it belongs; answer how long the file is and whether it was taken; nothing: too long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    there = path.stat().st_size if path.exists() else 0
    if offset != there:
        return there, False
    if there + len(block) > whole:
        return None
    with path.open("ab") as file:
        file.write(block)
    return there + len(block), True


@router.post("/{import_id}/start", status_code=202, response_model=Job, responses=_ONE)
async def start_import(import_id: UUID, actor: MayWrite, connection: Writing) -> dict[str, Any]:
    """Start the import of a file that is all here."""
    organisation_id = organisation_of(actor)
    row = await _mine(connection, import_id, organisation_id)
    if row["state"] != "receiving":
        raise NotNow("This import was started before.")
    if _view(row)["bytes_received"] != row["bytes_total"]:
        raise NotNow("The file is not all here yet.")
    await import_store.ready_job(connection, import_id)
    return _view(await _mine(connection, import_id, organisation_id))


@router.delete("/{import_id}", status_code=204, responses=_ONE)
async def drop_import(import_id: UUID, actor: MayWrite, connection: Writing) -> Response:
    """Forget an import that was not started, or that ended; what it wrote stays."""
    row = await _mine(connection, import_id, organisation_of(actor))
    if row["state"] in {"waiting", "running"}:
        raise NotNow("It runs, or will in a moment: wait for its end.")
    await import_store.drop_job(connection, import_id)
    await asyncio.to_thread(Path(row["path"]).unlink, missing_ok=True)
    return Response(status_code=204)
