"""How well the directory is kept, for whoever runs Relais: by organisation, and entry by entry."""

from datetime import date, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request

from relais_directory import quality_store
from relais_directory.domain.days import day_of
from relais_directory.routes.dependencies import Operator, Reading
from relais_directory.schemas import QualityPage, StalePage
from relais_shared import problems
from relais_shared.clock import Now
from relais_shared.http import CursorCodec
from relais_shared.refusals import InvalidInput, ScopeMissing, Unauthenticated, Unavailable
from relais_shared.service import Router

router = Router(prefix="/v1/directory", tags=["directory: upkeep"])

_READ = problems.responses(Unauthenticated, ScopeMissing, InvalidInput, Unavailable)

Days = Annotated[int, Query(ge=1, le=3_650, description="Stale is what nobody assured for so many days.")]
Limit = Annotated[int, Query(ge=1, le=100)]


@router.get("/quality", response_model=QualityPage, responses=_READ)
async def quality(
    request: Request,
    _actor: Operator,
    connection: Reading,
    now: Now,
    older_than_days: Days = 180,
    limit: Limit = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """List who offers services here and how well their entries are kept, those with most stale entries first."""
    codec = CursorCodec(request.app.state.settings.secret_bytes(), f"quality:{older_than_days}")
    after = codec.decode(cursor) if cursor else None
    place = (int(after[0]), UUID(after[1])) if after else None
    since = day_of(now) - timedelta(days=older_than_days)
    rows = await quality_store.by_organisation(connection, since, place, limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    return {
        "items": [dict(row) for row in rows[:limit]],
        "next_cursor": codec.encode([last["stale"], str(last["organisation_id"])]) if last else None,
    }


@router.get("/stale", response_model=StalePage, responses=_READ)
async def stale(
    request: Request,
    _actor: Operator,
    connection: Reading,
    now: Now,
    organisation_id: Annotated[UUID | None, Query(description="Only this organisation's.")] = None,
    older_than_days: Days = 180,
    limit: Limit = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """List entries that nobody assured for long, the longest untouched first; a review (`campaigns`) asks for them."""
    codec = CursorCodec(request.app.state.settings.secret_bytes(), f"stale:{older_than_days}:{organisation_id}")
    after = codec.decode(cursor) if cursor else None
    place = (date.fromisoformat(after[0]), UUID(after[1])) if after else None
    since = day_of(now) - timedelta(days=older_than_days)
    rows = await quality_store.stale(connection, since, organisation_id, place, limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    return {
        "items": [dict(row) for row in rows[:limit]],
        "next_cursor": codec.encode([last["since"].isoformat(), str(last["id"])]) if last else None,
    }
