"""The gateway's own OTLP/HTTP receiver, on a loopback port: spans in, PostgreSQL out; never traced itself.

Both encodings of OTLP 1.x are taken, whole or gzipped. Metrics are given out beside it, for Prometheus.
"""

import asyncio
import hmac
import json
import math
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import orjson
from google.protobuf.json_format import ParseDict, ParseError
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
from relais_shared.db import DOWN
from relais_shared.problems import COMMON, MALFORMED, TOO_LARGE, WRONG_MEDIA_TYPE, problem_response
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
JSON: Final = "application/json"
PACKINGS: Final = frozenset({"gzip", "identity"})
STATUS: Final = "http.response.status_code"
GZIP: Final = 31
"""zlib's word for "gzip, of any window"."""


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
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        packing = request.headers.get("content-encoding", "identity").lower()
        if kind not in _READ or packing not in PACKINGS:
            return problem_response(WRONG_MEDIA_TYPE, f"Spans come as {PROTOBUF} or {JSON}, as they are or gzipped.")
        try:
            body = await _body(request, packed=packing == "gzip")
            # Beside the loop: a large batch takes a while to read, and the door stands on the same loop.
            found = None if body is None else await asyncio.to_thread(lambda: list(_rows(_READ[kind](body))))
        except _UNREADABLE:
            return problem_response(MALFORMED, "This is no OTLP trace request.")
        if found is None:
            return problem_response(TOO_LARGE, f"At most {LARGEST >> 20} MiB, unpacked.")
        try:
            with suppress_instrumentation():
                async with pool.acquire() as connection:
                    await store.add_spans(connection, found)
        except DOWN:
            # An exporter sends again what is refused in this way.
            return problem_response(COMMON[Unavailable], headers={"Retry-After": "1"})
        said = b"{}" if kind == JSON else ExportTraceServiceResponse().SerializeToString()
        return Response(said, media_type=kind)

    async def metrics(_request: Request) -> Response:
        page, kind = metrics_page()
        return Response(page, media_type=kind)

    return Starlette(routes=[Route("/v1/traces", traces, methods=["POST"]), Route("/metrics", metrics)])


async def _body(request: Request, *, packed: bool) -> bytes | None:
    """Answer the body, unpacked; nothing where it is larger than any batch of ours.

    Raises:
        ValueError: It ends in the middle.
    """
    unpack = zlib.decompressobj(GZIP) if packed else None
    found = bytearray()
    async for block in request.stream():
        found += unpack.decompress(block, LARGEST - len(found) + 1) if unpack else block
        if len(found) > LARGEST or (unpack and unpack.unconsumed_tail):
            return None
    if unpack and not unpack.eof:
        raise ValueError("half a batch")
    return bytes(found)


def _from_json(body: bytes) -> ExportTraceServiceRequest:
    """Answer a batch in OTLP's JSON: that of protobuf, except that its ids are hexadecimal."""
    told = orjson.loads(body)
    for resource in told.get("resourceSpans", ()):
        for scope in resource.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in span:
                        span[name] = b64encode(bytes.fromhex(span[name])).decode()
                # Not kept, and their ids are hexadecimal too.
                span.pop("links", None)
    found: ExportTraceServiceRequest = ParseDict(told, ExportTraceServiceRequest(), ignore_unknown_fields=True)
    return found


_READ: Final[Mapping[str, Callable[[bytes], ExportTraceServiceRequest]]] = {
    PROTOBUF: ExportTraceServiceRequest.FromString,
    JSON: _from_json,
}
_UNREADABLE: Final = (zlib.error, DecodeError, ParseError, ValueError, OverflowError, TypeError, AttributeError)
"""What reading a batch raises when it is none; the last two where JSON has other shapes than OTLP's."""


def _rows(request: ExportTraceServiceRequest) -> Iterator[tuple[Any, ...]]:
    for resource in request.resource_spans:
        named = {one.key: _value(one.value) for one in resource.resource.attributes}
        service = str(named.get("service.name") or "unknown")[:NAME_LENGTH]
        for scope in resource.scope_spans:
            for span in scope.spans:
                if (len(span.trace_id), len(span.span_id)) != (TRACE_ID_BYTES, SPAN_ID_BYTES):
                    raise ValueError("a span without ids")
                attributes = allowed({one.key: _value(one.value) for one in span.attributes})
                if not _is_status(attributes.get(STATUS)):
                    # The list of traces reads it as a number: one that is none would close the list to everybody.
                    attributes.pop(STATUS, None)
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


def _is_status(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599  # noqa: PLR2004 - as HTTP counts


def _text(told: str) -> str:
    """Answer a text without the one character that PostgreSQL cannot keep."""
    return told.replace("\0", "")
