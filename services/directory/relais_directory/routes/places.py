"""Places: type-ahead over the gazetteer, one municipality, and outlines to find one's way by on a map."""

from functools import cache
from typing import Annotated

import orjson
from fastapi import Path, Query, Request, Response

from relais_directory import gazetteer, store
from relais_directory.domain.words import plain
from relais_directory.routes.dependencies import reading
from relais_directory.schemas import PlacePage, PlaceView, Short
from relais_shared import problems
from relais_shared.auth import Actor, requires
from relais_shared.http import etag
from relais_shared.refusals import InvalidInput, NotFound, ScopeMissing, Unauthenticated
from relais_shared.service import Router

router = Router(prefix="/v1/directory", tags=["directory"])

MayRead = Annotated[Actor, requires("directory:read")]
_PROBLEMS = problems.responses(InvalidInput, Unauthenticated, ScopeMissing)


@router.get("/places", responses=_PROBLEMS)
async def places(
    request: Request,
    _actor: MayRead,
    q: Annotated[Short, Query(description="The beginning of a name or of a postcode.", examples=["charl"])],
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
) -> PlacePage:
    """Find places while typing, offline: accents, case and hyphens do not matter."""
    text = plain(q)
    code = text if text.isdigit() else ""
    async with reading(request) as connection:
        rows = await store.places(connection, "" if code else text, code, limit, request.app.state.settings.country)
    return PlacePage(items=[_view(row, row["municipality_name"] or row["name"]) for row in rows])


@router.get("/places/{code}", responses=_PROBLEMS | problems.responses(NotFound))
async def place(
    request: Request,
    _actor: MayRead,
    code: Annotated[str, Path(pattern="^[a-z]{2}:[0-9A-Z]{4,6}$", examples=["be:52011"])],
) -> PlaceView:
    """Read a municipality by its official code."""
    async with reading(request) as connection:
        row = await store.place_by_code(connection, code)
    if row is None:
        raise NotFound("The gazetteer has no such municipality.")
    return _view(row, row["name"])


def _view(row: store.Row, municipality: str) -> PlaceView:
    told = PlaceView.model_fields.keys() - {"municipality"}
    return PlaceView(municipality=municipality, **{name: row[name] for name in told})


@cache
def _outlines() -> bytes:
    return orjson.dumps(gazetteer.read_outlines())


@router.get("/outlines", response_class=Response, responses=_PROBLEMS)
async def outlines(request: Request, _actor: MayRead) -> Response:
    """Answer outlines of the country as GeoJSON: lines to find one's way by, not limits of municipalities."""
    headers = {"ETag": etag(gazetteer.VERSION), "Cache-Control": "private, max-age=86400"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(_outlines(), media_type="application/geo+json", headers=headers)
