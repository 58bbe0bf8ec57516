"""Places: type-ahead over the gazetteer, and outlines to find one's way by on a map."""

from functools import cache
from typing import Annotated

import orjson
from fastapi import Query, Request, Response

from relais_directory import gazetteer, store
from relais_directory.domain.words import plain
from relais_directory.routes.dependencies import reading
from relais_directory.schemas import PlacePage, PlaceView, Short
from relais_shared import problems
from relais_shared.auth import Actor, requires
from relais_shared.http import etag
from relais_shared.refusals import InvalidInput, ScopeMissing, Unauthenticated
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
    return PlacePage(
        items=[
            PlaceView(
                code=row["code"],
                name=row["name"],
                kind=row["kind"],
                municipality=row["municipality_name"] or row["name"],
                postcodes=row["postcodes"],
                latitude=row["latitude"],
                longitude=row["longitude"],
                country=row["country"],
                precision=row["precision"],
            )
            for row in rows
        ]
    )


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
