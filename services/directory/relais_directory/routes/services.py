"""Services and themes: everything that is known of one, and the taxonomy."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Request, Response

from relais_directory import hours, store
from relais_directory.data import themes as all_themes
from relais_directory.domain import freshness
from relais_directory.schemas import ServiceView, ThemePage, ThemeView
from relais_shared import problems
from relais_shared.auth import Actor, requires
from relais_shared.clock import Now
from relais_shared.http import etag
from relais_shared.refusals import InvalidInput, NotFound, ScopeMissing, Unauthenticated
from relais_shared.service import Router

router = Router(prefix="/v1/directory", tags=["directory"])

MayRead = Annotated[Actor, requires("directory:read")]


@router.get("/themes", responses=problems.responses(Unauthenticated, ScopeMissing))
async def themes(_actor: MayRead) -> ThemePage:
    """List the themes, each parent before its children, with labels in four languages."""
    return ThemePage(
        items=[
            ThemeView(
                slug=theme.slug,
                parent=theme.parent,
                labels={str(language): label for language, label in theme.labels.items()},
                sensitive=theme.sensitive,
                shape=theme.shape,
                symbol=theme.symbol,
            )
            for theme in all_themes().values()
        ]
    )


@router.get(
    "/services/{service_id}",
    response_class=Response,
    responses={
        200: {"model": ServiceView, "description": "The service."},
        **problems.responses(InvalidInput, NotFound, Unauthenticated, ScopeMissing),
    },
)
async def service(request: Request, service_id: UUID, _actor: MayRead, now: Now) -> Response:
    """Read all that is known of a service: who, where, when, on which conditions, and whom to call.

    A confidential place is shown as its municipality alone.
    """
    async with request.app.state.pool.acquire() as connection:
        row = await store.service(connection, service_id)
    if row is None:
        raise NotFound("The directory has no such service.")
    body = orjson.dumps(_view(dict(row), now), default=str)
    headers = {"ETag": etag(sha256(body).hexdigest()[:20])}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _view(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    retired = row["retired_at"] is not None
    told = row["assured_date"]
    return {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "status": "inactive" if retired else row["status"],
        "alert": row["alert"],
        "organisation": {
            "id": row["organisation_id"],
            "name": row["organisation_name"],
            "description": row["organisation_description"],
            "website": row["organisation_website"],
            "email": row["organisation_email"],
        },
        "themes": row["themes"],
        "sensitive": row["sensitive"],
        "keywords": row["keywords"],
        "audiences": row["audiences"],
        "languages": row["languages"],
        "modes": row["modes"],
        "free": row["free"],
        "fees": row["fees_description"],
        "conditions": _read(row["conditions"]) or [],
        "reception": _read(row["reception"]),
        "service_area": row["area"],
        "locations": [_location(place, now) for place in _read(row["places"]) or []],
        "phone": row["phone"],
        "email": row["email"],
        "website": row["website"],
        "relay_contact": _read(row["relay_contact"]),
        "can_receive": row["receives"],
        "capacity": _read(row["capacity"]),
        "freshness": {
            "assured_at": told,
            "assured_by": row["assurer"],
            "score": freshness.score(told, now.astimezone(UTC).date()),
        },
        "source": {"name": row["source"], "record_id": row["record_id"], "url": row["url"]},
        "updated_at": row["last_modified"],
    }


def _location(place: dict[str, Any], now: datetime) -> dict[str, Any]:
    address = {
        "street": place["street"],
        "postcode": place["postcode"],
        "municipality": place["municipality"],
        "municipality_code": place["municipality_code"],
        "country": place["country"],
    }
    if place["confidential"]:
        address |= {"street": None, "postcode": None}
        return {"id": place["id"], "name": None, "confidential": True, "address": address}
    zone = place["time_zone"] or "UTC"
    here = hours.opening(place["hours"], zone, place["country"], now)
    return {
        "id": place["id"],
        "name": place["name"],
        "confidential": False,
        "address": address,
        "latitude": place["latitude"],
        "longitude": place["longitude"],
        "precision": place["precision"],
        "nearest_stop": place["nearest_stop"],
        "wheelchair": place["wheelchair"],
        "opening_hours": place["hours"],
        "time_zone": zone,
        "opening": {"open_now": here.open_now, "next_opening": here.next_opening},
        "week": hours.week(place["hours"], zone, place["country"], now) if place["hours"] else [],
    }


def _read(text: str | None) -> Any:  # noqa: ANN401 - JSON of any shape
    return orjson.loads(text) if text else None
