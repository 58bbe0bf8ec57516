"""Traces: one request through every service, for the organisation that runs this Relais."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import orjson
from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field

from relais_gateway import store
from relais_gateway.routes.dependencies import PRINTED
from relais_shared import problems
from relais_shared.auth import Actor, requires
from relais_shared.clock import Now
from relais_shared.http import CursorCodec
from relais_shared.refusals import InvalidInput, NotFound, ScopeMissing, Unauthenticated
from relais_shared.service import Router

router = Router(prefix="/v1/traces", tags=["traces"])

TRACE_ID: Final = re.compile("[0-9a-f]{32}")

MayRead = Annotated[Actor, requires("trace:read")]
_PROBLEMS = problems.responses(InvalidInput, Unauthenticated, ScopeMissing, NotFound)


class TraceRow(BaseModel):
    """A trace in the list, by its root span."""

    trace_id: str
    root: str
    started_at: datetime
    duration_ms: float
    services: list[str]
    status: Literal["ok", "error"]
    spans: int
    http_status: int | None = Field(description="What was answered; none where nobody asked over HTTP.")


class TracePage(BaseModel):
    """One page of traces, the newest first."""

    items: list[TraceRow]
    next_cursor: str | None


class SpanView(BaseModel):
    """One span."""

    span_id: str
    parent_span_id: str | None
    service: str
    name: str
    kind: str
    started_at: datetime
    duration_ms: float
    status: Literal["ok", "error"]
    attributes: dict[str, Any]


class TraceView(BaseModel):
    """One trace, its spans in the order in which they began."""

    trace_id: str
    spans: list[SpanView]


class TraceQuery(BaseModel):
    """The filters of the list."""

    model_config = ConfigDict(extra="forbid")

    service: str | None = Field(default=None, max_length=100, pattern=PRINTED, description="A service that took part.")
    status: Literal["ok", "error"] | None = None
    min_duration_ms: float | None = Field(default=None, ge=0)
    organisation: UUID | None = Field(default=None, description="Whose request it was.")
    http_status: int | None = Field(default=None, ge=100, le=599, description="What was answered, as 403.")
    calls: bool = Field(default=False, description="Only what came in at the gateway, not what a service began.")
    limit: int = Field(default=50, ge=1, le=100)
    cursor: str | None = None


class ServiceCall(BaseModel):
    """One arrow of the service map: the calls that one service made to another."""

    caller: str | None = Field(description="Who called; null where the call came from outside.")
    service: str = Field(description="Who was called.")
    calls: int
    per_second: float = Field(description="Calls a second, over the whole window.")
    errors: int = Field(description="Calls that ended in a fault of ours.")
    median_ms: float
    p95_ms: float


class ServiceMap(BaseModel):
    """Who called whom in the last minutes."""

    since: datetime
    calls: list[ServiceCall]


class MapQuery(BaseModel):
    """The window of the service map."""

    model_config = ConfigDict(extra="forbid")

    minutes: int = Field(default=15, ge=1, le=1440, description="Minutes back from now.")


async def _ours(request: Request, actor: Actor) -> None:
    """Let the platform's own organisation alone pass.

    Raises:
        NotFound: Another organisation; it shall not know what there is.
    """
    state = await request.app.state.live.now()
    member = state.members.get(actor.organisation_id)
    if member is None or not member.platform:
        raise NotFound("There are no traces of yours here.")


@router.get("", responses=_PROBLEMS)
async def list_traces(request: Request, actor: MayRead, query: Annotated[TraceQuery, Query()]) -> TracePage:
    """List traces, the newest first."""
    await _ours(request, actor)
    codec = CursorCodec(request.app.state.settings.secret_bytes(), "traces")
    before = None
    if query.cursor is not None:
        at, trace_id = codec.decode(query.cursor)
        before = (datetime.fromisoformat(at), trace_id)
    async with request.app.state.pool.acquire() as connection:
        rows = await store.traces(
            connection,
            service=query.service,
            status=query.status,
            min_duration_ms=query.min_duration_ms,
            organisation_id=query.organisation,
            http_status=query.http_status,
            calls=query.calls,
            before=before,
            limit=query.limit + 1,
        )
    shown, more = rows[: query.limit], rows[query.limit :]
    cursor = codec.encode([shown[-1]["started_at"].isoformat(), shown[-1]["trace_id"]]) if more else None
    return TracePage(items=[TraceRow(**dict(row)) for row in shown], next_cursor=cursor)


@router.get("/map", responses=_PROBLEMS)
async def read_service_map(
    request: Request, actor: MayRead, query: Annotated[MapQuery, Query()], now: Now
) -> ServiceMap:
    """Show which service called which: how often, with how many faults, and how long it took."""
    await _ours(request, actor)
    window = timedelta(minutes=query.minutes)
    async with request.app.state.pool.acquire() as connection:
        rows = await store.service_calls(connection, now - window)
    calls = [ServiceCall(**dict(row), per_second=row["calls"] / window.total_seconds()) for row in rows]
    return ServiceMap(since=now - window, calls=calls)


@router.get("/{trace_id}", responses=_PROBLEMS)
async def read_trace(request: Request, actor: MayRead, trace_id: str) -> TraceView:
    """Read one trace: every span of every service that took part."""
    await _ours(request, actor)
    rows: Sequence[store.Row] = ()
    if TRACE_ID.fullmatch(trace_id):
        async with request.app.state.pool.acquire() as connection:
            rows = await store.trace(connection, trace_id)
    if not rows:
        raise NotFound("There is no such trace, or its days are over.")
    spans = [SpanView(**{**dict(row), "attributes": orjson.loads(row["attributes"])}) for row in rows]
    return TraceView(trace_id=trace_id, spans=spans)
