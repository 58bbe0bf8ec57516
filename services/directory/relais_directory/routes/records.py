"""Owners write: services as whole records, what the organisation tells of itself, open places; and the history."""

from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Body, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from relais_directory import entries, store, writing
from relais_directory.cards import facts
from relais_directory.domain import quality
from relais_directory.domain.days import day_of
from relais_directory.domain.refusals import NotNow
from relais_directory.problems import TABLE
from relais_directory.records import CapacityRecord, OrganisationProfile, ServiceRecord
from relais_directory.routes.dependencies import (
    MayRead,
    MayTell,
    MayWrite,
    Owners,
    Reading,
    Writing,
    changing,
    organisation_of,
)
from relais_directory.schemas import CapacityTold, HistoryPage, OrganisationView, OwnServices
from relais_directory.writing import Author
from relais_shared import problems
from relais_shared.clock import Now, now_of
from relais_shared.http import CursorCodec, IfMatch, etag
from relais_shared.refusals import (
    InvalidInput,
    MalformedRequest,
    NotFound,
    ScopeMissing,
    StaleVersion,
    Unauthenticated,
    Unavailable,
    VersionRequired,
)
from relais_shared.service import Router

router = Router(prefix="/v1/directory", tags=["directory: owners"])

_KNOWN = (Unauthenticated, ScopeMissing, InvalidInput, Unavailable)
_WRITE = problems.responses(MalformedRequest, *_KNOWN, table=TABLE)
_CHANGE = problems.responses(MalformedRequest, *_KNOWN, NotFound, NotNow, StaleVersion, VersionRequired, table=TABLE)
_TELL = problems.responses(MalformedRequest, *_KNOWN, NotFound, NotNow, table=TABLE)
_PROFILE = problems.responses(MalformedRequest, *_KNOWN, StaleVersion, VersionRequired, table=TABLE)
_READ = problems.responses(*_KNOWN, NotFound, table=TABLE)
_OWN: dict[int | str, dict[str, Any]] = {200: {"model": OrganisationProfile, "description": "As it stands."}, **_READ}


class Capacity(BaseModel):
    """Open places and waiting time, as of now."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    available: int = Field(ge=0, le=100_000, description="Open places now.")
    maximum: int | None = Field(default=None, ge=0, le=100_000)
    unit: str | None = Field(
        default=None, min_length=1, max_length=200, description="What is counted: places, half days."
    )
    waiting_days: int | None = Field(default=None, ge=0, le=10_000)
    description: str | None = Field(default=None, min_length=1, max_length=2_000)

    @field_validator("maximum")
    @classmethod
    def _at_least_what_is_open(cls, given: int | None, told: ValidationInfo) -> int | None:
        if given is not None and given < told.data.get("available", 0):
            raise ValueError("Fewer than the open places.")
        return given


MERGE_PATCH = "application/merge-patch+json"
_PATCH: dict[str, Any] = {
    "requestBody": {"required": True, "content": {MERGE_PATCH: {"schema": {"type": "object"}}}},
}


def _record(record: ServiceRecord, version: int, status: int = 200, place: str | None = None) -> Response:
    headers = {"ETag": etag(version), "Cache-Control": "no-store"}
    if place:
        headers["Location"] = place
    body = record.model_dump_json(exclude_defaults=True)
    return Response(body, status, media_type="application/json", headers=headers)


async def _answer(connection: store.Connection, id_: UUID, status: int = 200, place: str | None = None) -> Response:
    row = await store.service(connection, id_)
    assert row is not None  # noqa: S101 - written in this transaction
    return _record(writing.read({**row, "record": row["record_text"]}), row["version"], status, place)


@router.post(
    "/services",
    status_code=201,
    response_class=Response,
    responses={201: {"model": ServiceRecord, "description": "Its record; `Location` says where it stands."}, **_WRITE},
)
async def create_service(
    request: Request, record: ServiceRecord, actor: MayWrite, connection: Writing, now: Now
) -> Response:
    """Publish a service of your organisation; with the status `draft` nobody but you sees it.

    Whoever writes an entry assures it, today unless `assured_at` says when.
    """
    organisation_of(actor)
    id_ = await entries.publish(connection, actor, record, Author(actor.id, now), request.app.state.terms)
    return await _answer(connection, id_, 201, f"/v1/directory/services/{id_}")


@router.get("/own/services", response_model=OwnServices, responses=problems.responses(*_KNOWN))
async def own_services(
    request: Request,
    actor: MayTell,
    connection: Reading,
    now: Now,
    status: Annotated[str | None, Query(pattern="^(draft|active|temporarily_closed|inactive|retired)$")] = None,
    stale_days: Annotated[int | None, Query(ge=1, le=3_650, description="Not assured for so many days.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """List the services of your organisation, drafts too, with what each needs: freshness, quality, open reports."""
    codec = CursorCodec(request.app.state.settings.secret_bytes(), f"own:{actor.organisation_id}:{status}:{stale_days}")
    after = UUID(codec.decode(cursor)) if cursor else None
    rows = await store.own_services(
        connection, organisation_of(actor), status, stale_days, day_of(now), after, limit + 1
    )
    return {
        "items": [_own(row, now) for row in rows[:limit]],
        "next_cursor": codec.encode(str(rows[limit - 1]["id"])) if len(rows) > limit else None,
    }


def _own(row: store.Row, now: Now) -> dict[str, Any]:
    # The score falls with time: it is made when it is read.
    told = facts(writing.read(row), row["assured_on"])
    found = quality.criteria(told, day_of(now))
    capacity = None
    if row["told_at"] is not None:
        capacity = {
            **{name: row[name] for name in ("available", "maximum", "unit", "waiting_days", "description")},
            "updated_at": row["told_at"],
        }
    return {**row, "quality": quality.score(told, day_of(now)), "criteria": found, "capacity": capacity}


@router.get(
    "/services/{service_id}/record",
    response_class=Response,
    responses={200: {"model": ServiceRecord, "description": "The record."}, **_READ},
)
async def read_record(service_id: UUID, actor: MayWrite, connection: Reading) -> Response:
    """Read the whole record of a service of your organisation, as you may write it back; its ETag is its version."""
    row = await store.service(connection, service_id)
    if row is None or row["organisation_id"] != organisation_of(actor):
        raise NotFound("Your organisation has no such service.")
    return _record(writing.read({**row, "record": row["record_text"]}), row["version"])


@router.put(
    "/services/{service_id}/record",
    response_class=Response,
    responses={200: {"model": ServiceRecord, "description": "As it stands now."}, **_CHANGE},
)
async def replace_record(
    request: Request,
    service_id: UUID,
    record: ServiceRecord,
    actor: MayWrite,
    version: IfMatch,
    connection: Writing,
    now: Now,
) -> Response:
    """Write a service of your organisation anew; from then on imports of its source leave it as it is.

    The same content twice is one version. Its open reviews are answered. What was published never becomes a draft
    again; `retired` takes it out for good, until you write another status.
    """
    organisation_of(actor)
    author = Author(actor.id, now)
    await entries.replace(connection, actor, service_id, version, record, author, request.app.state.terms)
    return await _answer(connection, service_id)


@router.patch(
    "/services/{service_id}/record",
    response_class=Response,
    responses={200: {"model": ServiceRecord, "description": "As it stands now."}, **_CHANGE},
    openapi_extra=_PATCH,
)
async def change_record(
    request: Request, service_id: UUID, actor: MayWrite, version: IfMatch, connection: Writing, now: Now
) -> Response:
    """Change some members of a record (JSON Merge Patch, RFC 7396): null takes a member away, a list is replaced."""
    organisation_of(actor)
    changed = await entries.patched(connection, actor, service_id, version, await _json(request))
    author = Author(actor.id, now)
    await entries.replace(connection, actor, service_id, version, changed, author, request.app.state.terms)
    return await _answer(connection, service_id)


async def _json(request: Request) -> Any:  # noqa: ANN401 - JSON of any shape
    try:
        return orjson.loads(await request.body())
    except orjson.JSONDecodeError as fault:
        raise MalformedRequest("The body is not JSON.") from fault


@router.delete("/services/{service_id}", status_code=204, responses=_CHANGE)
async def retire_service(
    service_id: UUID, actor: MayWrite, version: IfMatch, connection: Writing, now: Now
) -> Response:
    """Retire a service of your organisation: out of every search, on record for whoever was handed over to it.

    A draft, which nobody else ever saw, is deleted. Write a retired one with another status, and it is back.
    """
    organisation_of(actor)
    await entries.retire(connection, actor, service_id, version, Author(actor.id, now))
    return Response(status_code=204)


@router.get("/services/{service_id}/history", response_model=HistoryPage, responses=_READ)
async def history(
    request: Request,
    service_id: UUID,
    actor: Owners,
    connection: Reading,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Read every change of a service of your organisation: which field, before, after, who, when; the latest first.

    The operator reads those of every published one; what changed at a confidential place is told without its values.
    """
    row = await store.service(connection, service_id)
    own = row is not None and row["organisation_id"] == actor.organisation_id
    if row is None or not (own or ("platform:admin" in actor.scopes and row["status"] != "draft")):
        raise NotFound("Your organisation has no such service.")
    hides = not own and _confidential(orjson.loads(row["record_text"]).get("locations"))
    codec = CursorCodec(request.app.state.settings.secret_bytes(), f"history:{service_id}")
    rows = await store.history(connection, service_id, codec.decode(cursor) if cursor else None, limit + 1)
    return {
        "items": [_changed(one, own=own, hides=hides) for one in rows[:limit]],
        "next_cursor": codec.encode(rows[limit - 1]["id"]) if len(rows) > limit else None,
    }


def _confidential(places: Any) -> bool:  # noqa: ANN401 - what stood in a record as `locations`
    return any(place.get("confidential") for place in places or ())


def _changed(row: store.Row, *, own: bool, hides: bool) -> dict[str, Any]:
    """Answer one change; where a confidential place is, or was, is between its owner and the persons."""
    values = [orjson.loads(row[name]) if row[name] else None for name in ("previous_value", "replacement_value")]
    of_places = row["field_name"] in {"locations", "schedules"}
    was = row["field_name"] == "locations" and any(map(_confidential, values))
    if not own and of_places and (hides or was):
        values = [None, None]
    return {
        "at": row["at"],
        "action": row["action"],
        "field_name": row["field_name"],
        "previous_value": values[0],
        "replacement_value": values[1],
        "updated_by": row["updated_by"],
    }


@router.put(
    "/services/{service_id}/capacity",
    response_class=Response,
    responses={200: {"model": CapacityTold, "description": "As it was told."}, **_TELL},
)
async def set_capacity(
    request: Request, service_id: UUID, told: Annotated[Capacity, Body()], actor: MayTell
) -> Response:
    """Tell the open places and waiting time of a service of your organisation; search shows them at once."""
    organisation_of(actor)
    record = CapacityRecord(**told.model_dump(), updated_at=now_of(request))
    async with changing(request) as connection:
        await entries.tell_capacity(connection, actor, service_id, record)
    return Response(record.model_dump_json(), media_type="application/json")


@router.get(
    "/organisations/{organisation_id}",
    response_model=OrganisationView,
    responses=_READ,
)
async def read_organisation(organisation_id: UUID, _actor: MayRead, connection: Reading, response: Response) -> Any:  # noqa: ANN401 - what the model says
    """Read what an organisation tells of itself, and its services."""
    row = await store.organisation(connection, organisation_id)
    if row is None:
        raise NotFound("The directory has no such organisation.")
    response.headers["ETag"] = etag(row["version"])
    return {**orjson.loads(row["record"]), "id": row["id"], "name": row["name"], "services": row["services"]}


@router.get("/own/organisation", response_class=Response, responses=_OWN)
async def read_own_organisation(actor: MayWrite, connection: Reading) -> Response:
    """Read what your organisation tells of itself, as you may write it back; its ETag is its version."""
    return await _profile(connection, organisation_of(actor))


@router.put("/own/organisation", response_class=Response, responses={**_OWN, **_PROFILE})
async def write_own_organisation(
    profile: OrganisationProfile, actor: MayWrite, version: IfMatch, connection: Writing, now: Now
) -> Response:
    """Write what your organisation tells of itself; `If-Match: "0"` where the directory knows nothing of it yet.

    From then on imports leave it as it is. A new name stands on every card at once.
    """
    id_ = organisation_of(actor)
    await entries.write_profile(connection, actor, version, profile, Author(actor.id, now))
    return await _profile(connection, id_)


async def _profile(connection: store.Connection, id_: UUID) -> Response:
    row = await store.organisation(connection, id_)
    if row is None:
        raise NotFound("The directory knows nothing of your organisation yet.", headers={"ETag": etag(0)})
    headers = {"ETag": etag(row["version"]), "Cache-Control": "no-store"}
    return Response(row["record"], media_type="application/json", headers=headers)
