"""The gateway's own OTLP/HTTP receiver, on a loopback port: spans in, PostgreSQL out; never traced itself."""

import hmac
import json
import math
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
from google.protobuf.message import DecodeError
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from relais_gateway import store
from relais_shared.problems import COMMON, MALFORMED, TOO_LARGE, problem_response
from relais_shared.refusals import Unauthenticated, Unavailable
from relais_shared.telemetry import TOKEN_HEADER, allowed, metrics_page

LARGEST: Final = 8 << 20
"""Bytes of a batch, unpacked: our exporters send 512 spans of some hundred bytes."""
NAME_LENGTH: Final = 200
TRACE_ID_BYTES: Final = 16
SPAN_ID_BYTES: Final = 8
DOOR: Final = "gateway"
"""A span of the gateway with a parent elsewhere is where a partner's trace comes in."""
PARENT_ELSEWHERE: Final = 0x200
"""OTLP's SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK."""
PROTOBUF: Final = "application/x-protobuf"


def create_receiver(pool: asyncpg.Pool, token: str) -> Starlette:
    """Assemble the receiver.

    Args:
        pool: Of the gateway's database.
        token: What our own services show.
    """

    async def traces(request: Request) -> Response:
        shown = request.headers.get(TOKEN_HEADER, "")
        # Where no token is set, nobody has it.
        if not token or not hmac.compare_digest(shown.encode(), token.encode()):
            return problem_response(COMMON[Unauthenticated])
        if request.headers.get("content-type", "").partition(";")[0] != PROTOBUF:
            return problem_response(MALFORMED, f"Spans come as {PROTOBUF}.")
        try:
            body = await _body(request)
            found = None if body is None else list(_rows(ExportTraceServiceRequest.FromString(body)))
        except (zlib.error, DecodeError, ValueError, OverflowError):
            return problem_response(MALFORMED, "This is no OTLP trace request.")
        if found is None:
            return problem_response(TOO_LARGE)
        try:
            with suppress_instrumentation():
                async with pool.acquire() as connection:
                    await store.add_spans(connection, found)
        except store.DOWN:
            # An exporter sends again what is refused in this way.
            return problem_response(COMMON[Unavailable], headers={"Retry-After": "1"})
        return Response(ExportTraceServiceResponse().SerializeToString(), media_type=PROTOBUF)

    async def metrics(_request: Request) -> Response:
        page, kind = metrics_page()
        return Response(page, media_type=kind)

    return Starlette(routes=[Route("/v1/traces", traces, methods=["POST"]), Route("/metrics", metrics)])


async def _body(request: Request) -> bytes | None:
    """Answer the body, unpacked; nothing where it is larger than any batch of ours."""
    packed = request.headers.get("content-encoding") == "gzip"
    unpack = zlib.decompressobj(31) if packed else None
    found = b""
    async for block in request.stream():
        found += unpack.decompress(block, LARGEST - len(found) + 1) if unpack else block
        if len(found) > LARGEST or (unpack and unpack.unconsumed_tail):
            return None
    return found


def _rows(request: ExportTraceServiceRequest) -> Iterator[tuple[Any, ...]]:
    for resource in request.resource_spans:
        named = {one.key: _value(one.value) for one in resource.resource.attributes}
        service = str(named.get("service.name") or "unknown")[:NAME_LENGTH]
        for scope in resource.scope_spans:
            for span in scope.spans:
                if (len(span.trace_id), len(span.span_id)) != (TRACE_ID_BYTES, SPAN_ID_BYTES):
                    raise ValueError("a span without ids")
                attributes = allowed({one.key: _value(one.value) for one in span.attributes})
                yield (
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex() or None,
                    service,
                    _text(span.name)[:NAME_LENGTH],
                    Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    datetime.fromtimestamp(span.start_time_unix_nano / 1e9, UTC),
                    max(0.0, (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6),
                    "error" if span.status.code == 2 else "ok",  # noqa: PLR2004 - OTLP's STATUS_CODE_ERROR
                    json.dumps(attributes),
                    not span.parent_span_id or (service == DOOR and bool(span.flags & PARENT_ELSEWHERE)),
                )


def _value(value: Any) -> str | int | float | bool | None:  # noqa: ANN401 - protobuf's AnyValue
    kind = value.WhichOneof("value")
    found = getattr(value, kind) if kind else None
    if isinstance(found, str):
        return _text(found)
    # JSON has no word for what is no number.
    return found if isinstance(found, bool | int) or (isinstance(found, float) and math.isfinite(found)) else None


def _text(told: str) -> str:
    """Answer a text without the one character that PostgreSQL cannot keep."""
    return told.replace("\0", "")
