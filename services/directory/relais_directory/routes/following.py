"""Following the directory: its change feed with deletions, saved searches that tell of new services."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from relais_directory import following_store, store
from relais_directory.domain.refusals import NotNow
from relais_directory.problems import TABLE
from relais_directory.records import SHOWN
from relais_directory.routes import search
from relais_directory.routes.dependencies import MayRead, Reading, Writing, organisation_of
from relais_directory.schemas import ChangePage, NewPage, SearchQuery
from relais_shared import problems
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

router = Router(prefix="/v1/directory", tags=["directory: following"])

_KNOWN = (Unauthenticated, ScopeMissing, InvalidInput, Unavailable)
_READ = problems.responses(*_KNOWN, NotFound, table=TABLE)
_SAY = problems.responses(MalformedRequest, *_KNOWN, NotNow, table=TABLE)


@router.get("/changes", response_model=ChangePage, responses=problems.responses(*_KNOWN))
async def changes(
    request: Request,
    _actor: MayRead,
    connection: Reading,
    since: Annotated[
        str | None, Query(description="`next_cursor` of the last page; absent: from the beginning.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
) -> dict[str, Any]:
    """Follow every service: each stands once, at its last change; `gone` says that it left search.

    Open places and confirmations that were told are changes too, without a new `version`.

    Ask again with `next_cursor`, now or tomorrow: what changed meanwhile comes, nothing is left out. Read the service
    itself for what it says now.
    """
    codec = CursorCodec(request.app.state.settings.secret_bytes(), "changes")
    place = codec.decode(since, "since") if since else None
    if place and not await store.passed(connection, place[0]):
        raise InvalidInput(
            "The directory was restored from a copy that is older than this cursor.",
            [Fault("?since", "Leave it out, and begin anew.")],
        )
    rows = await store.changes(connection, (place[0], UUID(place[1])) if place else None, limit + 1)
    shown = rows[:limit]
    if shown:
        place = [shown[-1]["changed_in"], str(shown[-1]["id"])]
    return {
        "items": [
            {
                "id": row["id"],
                "organisation_id": row["organisation_id"],
                "gone": row["status"] not in SHOWN or row["merged_into"] is not None,
                "status": row["status"],
                "merged_into": row["merged_into"],
                "version": row["version"],
                "updated_at": row["updated_at"],
                "capacity_at": row["capacity_at"],
            }
            for row in shown
        ],
        "more": len(rows) > limit,
        "next_cursor": codec.encode(place) if place else None,
    }


class SavedSearch(BaseModel):
    """A search to be told of."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    query: SearchQuery = Field(
        description="As the search takes it; `cursor`, `limit` and `facets` have no meaning here."
    )


class SavedSearchView(BaseModel):
    """A saved search."""

    id: UUID
    name: str
    query: dict[str, Any]
    created_at: datetime
    seen_at: datetime


class SavedSearches(BaseModel):
    """Saved searches, by name."""

    items: list[SavedSearchView]


@router.post("/saved-searches", status_code=201, response_model=SavedSearchView, responses=_SAY)
async def save_search(
    request: Request, told: SavedSearch, actor: MayRead, connection: Writing, now: Now
) -> dict[str, Any]:
    """Save a search; it tells of services that are new from now on."""
    organisation_of(actor)
    if "\0" in told.name + told.query.model_dump_json():
        raise InvalidInput.of(Fault("", "Holds a sign that cannot be stored."))
    try:
        # Whether it can be asked at all (a place that nobody knows) shows now, not next week.
        await search.prepared(connection, request.app.state, told.query, now)
    except InvalidInput as refusal:
        named = [Fault(fault.pointer.replace("?", "/query/", 1), fault.detail) for fault in refusal.faults]
        raise InvalidInput(refusal.detail, named) from None
    if await following_store.count_searches(connection, actor.id) >= following_store.MOST_SEARCHES:
        raise NotNow(f"You saved {following_store.MOST_SEARCHES} searches: forget one first.")
    query = told.query.model_dump(mode="json", exclude_defaults=True, exclude={"cursor", "limit", "facets"})
    id_ = await following_store.save_search(
        connection, organisation_of(actor), actor.id, told.name, orjson.dumps(query).decode(), now
    )
    return {"id": id_, "name": told.name, "query": query, "created_at": now, "seen_at": now}


@router.get("/saved-searches", response_model=SavedSearches, responses=_READ)
async def saved_searches(actor: MayRead, connection: Reading) -> dict[str, Any]:
    """List the searches that you saved."""
    rows = await following_store.saved_searches(connection, actor.id)
    return {"items": [{**row, "query": orjson.loads(row["query_text"])} for row in rows]}


@router.get(
    "/saved-searches/{search_id}/new",
    response_class=Response,
    responses={200: {"model": NewPage, "description": "Cards of what is new."}, **_READ},
)
async def new_of_search(
    request: Request,
    search_id: UUID,
    actor: MayRead,
    connection: Reading,
    now: Now,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
    cursor: str | None = None,
) -> Response:
    """Read which services a saved search finds that were not there when you last marked it as seen."""
    row = await following_store.saved_search(connection, search_id, actor.id)
    if row is None:
        raise NotFound("You saved no such search.")
    as_of = await following_store.settled(connection, now)
    query = SearchQuery(**orjson.loads(row["query_text"]), limit=limit, cursor=cursor)
    found = await search.answer(request, connection, query, now, since=row["seen_at"])
    body = bytes(found.body)[:-1] + b',"as_of":' + orjson.dumps(as_of) + b"}"
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


@router.post("/saved-searches/{search_id}/seen", status_code=204, responses=_READ)
async def see_search(
    search_id: UUID,
    actor: MayRead,
    connection: Writing,
    now: Now,
    until: Annotated[AwareDatetime | None, Query(description="`as_of` of what was read; absent: now.")] = None,
) -> Response:
    """Mark a saved search as seen."""
    until = min(until or now, await following_store.settled(connection, now))
    if await following_store.saved_search(connection, search_id, actor.id) is None:
        raise NotFound("You saved no such search.")
    await following_store.see_search(connection, search_id, until)
    return Response(status_code=204)


@router.delete("/saved-searches/{search_id}", status_code=204, responses=_READ)
async def drop_search(search_id: UUID, actor: MayRead, connection: Writing) -> Response:
    """Forget a saved search."""
    if not await following_store.drop_search(connection, search_id, actor.id):
        raise NotFound("You saved no such search.")
    return Response(status_code=204)
