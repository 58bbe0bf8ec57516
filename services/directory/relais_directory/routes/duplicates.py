"""Entries that may be one service: looked for, merged, parted, and undone."""

from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from relais_directory import duplicates_store, entries, finding_duplicates, store, writing
from relais_directory.domain.refusals import NotNow
from relais_directory.problems import TABLE
from relais_directory.records import ServiceRecord
from relais_directory.routes.dependencies import MayWrite, Operator, Owners, Reading, Writing, organisation_of
from relais_directory.schemas import (
    DuplicatePage,
    LookedAt,
)
from relais_directory.writing import Author
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

router = Router(prefix="/v1/directory", tags=["directory: upkeep"])

_KNOWN = (Unauthenticated, ScopeMissing, InvalidInput, Unavailable)
_READ = problems.responses(*_KNOWN, table=TABLE)
_DECIDE = problems.responses(MalformedRequest, *_KNOWN, NotFound, NotNow, table=TABLE)


@router.post("/duplicates/search", response_model=LookedAt, responses=_READ)
async def find_duplicates(
    request: Request,
    _actor: Operator,
    connection: Writing,
    now: Now,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the last call; absent: from the start.")] = None,
) -> dict[str, Any]:
    """Look for entries of different sources that may be one service; nothing is merged.

    One call looks at some thousand entries: call again with `next_cursor` until there is none.
    """
    codec = CursorCodec(request.app.state.settings.secret_bytes(), "duplicates search")
    after = UUID(codec.decode(cursor)) if cursor else None
    proposed, last = await finding_duplicates.run(connection, now, after)
    return {"proposed": proposed, "next_cursor": codec.encode(str(last)) if last else None}


@router.get("/duplicates", response_model=DuplicatePage, responses=_READ)
async def duplicates(
    request: Request,
    _actor: Operator,
    connection: Reading,
    state: Literal["proposed", "merged", "apart"] = "proposed",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """List pairs that may be one service, the likeliest first, each with its reasons."""
    return await _duplicates(request, connection, state, limit, cursor, None)


@router.get("/own/duplicates", response_model=DuplicatePage, responses=_READ)
async def own_duplicates(
    request: Request,
    actor: MayWrite,
    connection: Reading,
    state: Literal["proposed", "merged", "apart"] = "proposed",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """List pairs of your organisation's own entries that may be one service: you decide on them yourself.

    A pair with another organisation's entry is the operator's to decide.
    """
    return await _duplicates(request, connection, state, limit, cursor, organisation_of(actor))


async def _duplicates(
    request: Request,
    connection: store.Connection,
    state: str,
    limit: int,
    cursor: str | None,
    organisation_id: UUID | None,
) -> dict[str, Any]:
    codec = CursorCodec(request.app.state.settings.secret_bytes(), f"duplicates:{state}:{organisation_id}")
    after = codec.decode(cursor) if cursor else None
    place = (after[0], UUID(after[1])) if after else None
    rows = await duplicates_store.duplicates(connection, state, place, limit + 1, organisation_id=organisation_id)
    last = rows[limit - 1] if len(rows) > limit else None
    return {
        "items": [
            {**row, "reasons": orjson.loads(row["reasons"]), "entries": orjson.loads(row["entries"])}
            for row in rows[:limit]
        ],
        "next_cursor": codec.encode([last["score"], str(last["id"])]) if last else None,
    }


MERGEABLE = frozenset(ServiceRecord.model_fields) - {
    "status", "closed_from", "closed_until", "modes", "locations", "capacity", "assured_at", "assured_by", "updated_at",
}  # fmt: skip
"""What one entry can take over from the other: never where it is, whether it is open, nor how fresh."""


def _mergeable(given: list[str]) -> list[str]:
    if unknown := [name for name in given if name not in MERGEABLE]:
        raise ValueError(f"Not a field that can be taken over: {', '.join(unknown)[:200]}.")
    return given


class Merge(BaseModel):
    """Which entry stays, and what it takes over from the other."""

    model_config = ConfigDict(extra="forbid")

    keep: UUID
    take: Annotated[list[str], AfterValidator(_mergeable)] = Field(default=[], description="Fields of the record.")


@router.post("/duplicates/{duplicate_id}/merge", status_code=204, responses=_DECIDE)
async def merge(
    request: Request, duplicate_id: UUID, told: Merge, actor: Owners, connection: Writing, now: Now
) -> Response:
    """Let one entry stand for both; the other leaves search, keeps its id and history, and can come back.

    What the kept one takes over, imports of its source leave alone until the merge is undone. An owner decides on
    pairs of its own entries, the operator on all.
    """
    pair = await _pair(connection, duplicate_id, _owner(actor), "proposed")
    ids = {pair["first_id"], pair["second_id"]}
    if told.keep not in ids:
        raise InvalidInput.of(Fault("/keep", "Has to be one of the two entries."))
    (other,) = ids - {told.keep}
    kept, left = await _both(connection, told.keep, other)
    if kept["merged_into"] or left["merged_into"]:
        raise NotNow("Another entry stands for one of them already.")
    if {kept["status"], left["status"]} & {"draft", "retired"}:
        raise NotNow("One of them is not published.")
    _within_grant(actor, kept, left)
    author = Author(actor.id, now)
    taken = await _take_over(request, connection, kept, left, told.take, author)
    await duplicates_store.stand_for(connection, other, told.keep, now, actor.id)
    await writing.rebuild(connection, [other])
    version = await duplicates_store.version_of(connection, told.keep)
    before = orjson.dumps({"owned": kept["owned"], "version": version, "taken": taken}).decode()
    await duplicates_store.decide(connection, duplicate_id, "merged", now, actor.id, told.keep, before)
    return Response(status_code=204)


async def _both(connection: store.Connection, one: UUID, other: UUID) -> tuple[store.Row, store.Row]:
    """Answer both entries of a pair, their rows locked."""
    await duplicates_store.lock_services(connection, [one, other])
    rows = [await store.service(connection, id_) for id_ in (one, other)]
    assert rows[0] is not None  # noqa: S101 - a pair goes when one of its entries does
    assert rows[1] is not None  # noqa: S101 - the same
    return rows[0], rows[1]


async def _take_over(
    request: Request,
    connection: store.Connection,
    kept: store.Row,
    left: store.Row,
    names: list[str],
    author: Author,
) -> dict[str, Any]:
    """Write what one entry takes over; answer each field with what stood there and what stands now."""
    record = _document(kept)
    given = _document(left)
    taken = {name: [record.get(name), given.get(name)] for name in names if record.get(name) != given.get(name)}
    if taken:
        await _write(request, connection, kept, record, {name: new for name, (_old, new) in taken.items()}, author)
    return taken


def _document(row: store.Row) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(row["record_text"])
    return found


@router.post("/duplicates/{duplicate_id}/undo", status_code=204, responses=_DECIDE)
async def undo_merge(request: Request, duplicate_id: UUID, actor: Owners, connection: Writing, now: Now) -> Response:
    """Undo a merge or a parting: both entries are again what they were, and the pair is proposed.

    What their owners changed since then stays as they wrote it.
    """
    pair = await duplicates_store.lock_duplicate(connection, duplicate_id, _owner(actor))
    if pair is None:
        raise NotFound("There is no such pair.")
    if pair["state"] == "proposed":
        raise NotNow("Nothing was decided on it.")
    if pair["state"] == "merged":
        (other,) = {pair["first_id"], pair["second_id"]} - {pair["kept_id"]}
        kept, left = await _both(connection, pair["kept_id"], other)
        if kept["merged_into"]:
            raise NotNow("Another entry stands for the one that was kept: undo that first.")
        _within_grant(actor, kept, left)
        before = orjson.loads(pair["before_text"])
        record = _document(kept)
        back = {name: old for name, (old, new) in before["taken"].items() if record.get(name) == new}
        if back:
            await _write(request, connection, kept, record, back, Author(actor.id, now))
        if before["taken"] and kept["version"] == before["version"]:
            # Nobody wrote it since: it is of its source again, where it was so.
            await store.keep_from_imports(connection, kept["id"], owned=before["owned"])
        await duplicates_store.stand_for(connection, left["id"], None, now, actor.id)
        await writing.rebuild(connection, [left["id"]])
    await duplicates_store.decide(connection, duplicate_id, "proposed", now, actor.id)
    return Response(status_code=204)


@router.post("/duplicates/{duplicate_id}/apart", status_code=204, responses=_DECIDE)
async def keep_apart(duplicate_id: UUID, actor: Owners, connection: Writing, now: Now) -> Response:
    """Say that two entries are two services; they are not proposed again."""
    await _pair(connection, duplicate_id, _owner(actor), "proposed")
    await duplicates_store.decide(connection, duplicate_id, "apart", now, actor.id)
    return Response(status_code=204)


def _owner(actor: Actor) -> UUID | None:
    """Answer whose pairs an actor decides on; nothing for the operator, who decides on all."""
    return None if "platform:admin" in actor.scopes else organisation_of(actor)


def _within_grant(actor: Actor, *rows: store.Row) -> None:
    """Ask whether an owner's grant reaches both entries of a pair; the operator's own reaches all.

    Raises:
        ScopeMissing: It does not.
    """
    if _owner(actor) is not None:
        for row in rows:
            entries.reached(actor, row)


async def _pair(connection: store.Connection, id_: UUID, owner: UUID | None, state: str) -> Any:  # noqa: ANN401 - a row
    pair = await duplicates_store.lock_duplicate(connection, id_, owner)
    if pair is None:
        raise NotFound("There is no such pair.")
    if pair["state"] != state:
        raise NotNow("It was decided before; undo that first.")
    return pair


async def _write(
    request: Request,
    connection: store.Connection,
    row: store.Row,
    document: dict[str, Any],
    changes: dict[str, Any],
    author: Author,
) -> None:
    """Write an entry with some fields changed (none: taken away), assured as it was."""
    whole = {name: value for name, value in {**document, **changes}.items() if value is not None}
    record = writing.read({**row, "record": orjson.dumps(whole).decode()})
    one = writing.Service(
        row["id"],
        row["organisation_id"],
        row["organisation_name"],
        row["source"],
        row["record_id"],
        record,
        entries.judged(record, author.now, row["status"]),
        owned=True,
    )
    await writing.write_services(connection, [one], author, request.app.state.terms)
