"""The receiver takes spans in both encodings of OTLP, bounded, and gives the metrics out."""

import asyncio
import gzip
import json
import zlib
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import pytest
from api.gateway.world import OTLP_TOKEN, Door
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from relais_gateway import store
from relais_gateway.app import forget
from relais_gateway.receiver import JSON, LARGEST, PROTOBUF
from relais_shared.telemetry import TOKEN_HEADER

pytestmark = pytest.mark.anyio

CANARY = "Zoé Canari"
TRACE, SPAN, PARENT = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174", "eee19b7ec3c1b173"


def batch(**changed: Any) -> dict[str, Any]:
    """Answer a batch as the OTLP specification's own example writes it."""
    span = {
        "traceId": TRACE.upper(),
        "spanId": SPAN,
        "parentSpanId": PARENT,
        "name": "GET /v1/things",
        "kind": 2,
        "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": "1544712660250000000",
        "attributes": [
            {"key": "http.route", "value": {"stringValue": "/v1/things"}},
            {"key": "http.response.status_code", "value": {"intValue": "500"}},
            {"key": "url.path", "value": {"stringValue": f"/v1/things/{CANARY}"}},
        ],
        "events": [{"timeUnixNano": "1544712660000000000", "name": CANARY}],
        "links": [{"traceId": TRACE, "spanId": PARENT}],
        "status": {"code": 2, "message": CANARY},
        "aWordOfTomorrow": {"x": 1},
        **changed,
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "elsewhere"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "x"}, "spans": [span]}]}]}


async def send(door: Door, body: bytes, kind: str = JSON, **headers: str) -> httpx.Response:
    given = {TOKEN_HEADER: OTLP_TOKEN, "content-type": kind} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    async with httpx.AsyncClient(base_url=door.otlp_url, timeout=30) as client:
        return await client.post("/v1/traces", content=body, headers=given)


async def test_a_batch_in_json_is_kept_as_one_in_protobuf(door: Door) -> None:
    answer = await send(door, gzip.compress(json.dumps(batch()).encode()), content_encoding="gzip")
    assert (answer.status_code, answer.json(), answer.headers["content-type"]) == (200, {}, JSON)
    shown = await door.ask("GET", f"/v1/traces/{TRACE}", headers=await door.bearer(1))
    assert shown.status_code == 200, shown.text
    assert CANARY not in shown.text
    (span,) = shown.json()["spans"]
    told = {
        name: span[name] for name in ("span_id", "parent_span_id", "service", "name", "kind", "duration_ms", "status")
    }
    assert told == {
        "span_id": SPAN, "parent_span_id": PARENT, "service": "elsewhere", "name": "GET /v1/things", "kind": "server",
        "duration_ms": 250.0, "status": "error",
    }  # fmt: skip


async def test_a_status_that_is_none_closes_the_list_to_nobody(door: Door) -> None:
    """Whatever a span calls its status, it is kept without it, and the list of traces goes on being read."""
    odd = ({"stringValue": "none"}, {"intValue": "99999999999"}, {"doubleValue": 200.5}, {"boolValue": True})
    for value in odd:
        whole = batch(attributes=[{"key": "http.response.status_code", "value": value}], parentSpanId="")
        assert (await send(door, json.dumps(whole).encode())).status_code == 200
    for query in ({}, {"http_status": 500}):
        shown = await door.ask("GET", "/v1/traces", params=query, headers=await door.bearer(1))
        assert shown.status_code == 200, shown.text
    kept = await door.ask("GET", f"/v1/traces/{TRACE}", headers=await door.bearer(1))
    assert [span["attributes"] for span in kept.json()["spans"]] == [{}] * len(odd)


async def test_many_old_spans_are_forgotten_however_long_it_takes(door: Door) -> None:
    """Every statement of the gateway has ten seconds, but an hour of a busy Relais takes longer to remove."""
    assert (await send(door, json.dumps(batch()).encode())).status_code == 200
    slow, other = await asyncpg.connect(door.dsn), await asyncpg.connect(door.dsn)
    try:
        await slow.execute("set statement_timeout = '50ms'")
        holding = other.transaction()
        await holding.start()
        await other.execute("select from span where trace_id = $1 for update", TRACE)
        forgetting = asyncio.create_task(store.forget_spans(slow, datetime.now(UTC)))
        waits = "select now() - query_start > '200ms' from pg_stat_activity where pid = $1 and query like 'delete%'"
        while not forgetting.done() and not await door.state.pool.fetchval(waits, slow.get_server_pid()):  # noqa: ASYNC110 - a lock tells nobody that it is waited for
            await asyncio.sleep(0.02)
        await holding.rollback()
        await forgetting
        assert await other.fetchval("select count(*) from span where trace_id = $1", TRACE) == 0
        assert (await send(door, json.dumps(batch()).encode())).status_code == 200
        await forget(door.state.pool, 7)
        assert await other.fetchval("select count(*) from span where trace_id = $1", TRACE) == 0
    finally:
        await slow.close()
        await other.close()


async def test_what_is_no_batch_is_refused(door: Door) -> None:
    whole = json.dumps(batch()).encode()
    wrong: list[tuple[bytes, str, dict[str, str], int]] = [
        (b"[]", JSON, {}, 400),
        (b'{"resourceSpans": 1}', JSON, {}, 400),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": ["x"]}]}]}', JSON, {}, 400),
        (b"[" * 100_000, JSON, {}, 400),
        (whole[:-1], JSON, {}, 400),
        *((json.dumps(batch(**each)).encode(), JSON, {}, 400) for each in (
            {"traceId": "xyz"}, {"traceId": TRACE[2:]}, {"spanId": 7}, {"kind": {}},
            {"startTimeUnixNano": "soon"}, {"startTimeUnixNano": str(1 << 64)},
            {"attributes": [{"key": "http.route", "value": {"intValue": "x"}}]},
        )),
        (whole, PROTOBUF, {}, 400),
        (whole, "text/plain", {}, 415),
        (whole, JSON, {"content_encoding": "br"}, 415),
        (whole, JSON, {"content_encoding": "gzip"}, 400),
        (gzip.compress(whole)[:-9], JSON, {"content_encoding": "gzip"}, 400),
        (b" " * (LARGEST + 1), JSON, {}, 413),
        (gzip.compress(b" " * (LARGEST + 1)), JSON, {"content_encoding": "gzip"}, 413),
        (zlib.compress(whole), JSON, {"content_encoding": "gzip"}, 400),
        (whole, JSON, {TOKEN_HEADER: "a guess"}, 401),
    ]  # fmt: skip
    for body, kind, headers, status in wrong:
        answer = await send(door, body, kind, **headers)
        assert answer.status_code == status, (body[:200], kind, headers, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    shown = await door.ask("GET", f"/v1/traces/{TRACE}", headers=await door.bearer(1))
    assert shown.status_code == 404


async def test_protobuf_is_answered_in_protobuf(door: Door) -> None:
    """As the SDKs send it: whole, gzipped, and with a type that says more."""
    body = ExportTraceServiceRequest().SerializeToString()
    for sent, headers in ((body, {}), (gzip.compress(body), {"content_encoding": "gzip"})):
        answer = await send(door, sent, f"{PROTOBUF}; charset=utf-8", **headers)
        assert (answer.status_code, answer.headers["content-type"]) == (200, PROTOBUF)
        ExportTraceServiceResponse.FromString(answer.content)


async def test_metrics_are_given_out_for_prometheus(door: Door) -> None:
    await door.ask("GET", "/v1/directory/big", headers=await door.bearer())
    async with httpx.AsyncClient(base_url=door.otlp_url) as client:
        page = await client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=")
    # The service behind runs in this process too, and counts for itself.
    counted = [
        float(line.rpartition(" ")[2])
        for line in page.text.splitlines()
        if line.startswith("http_server_request_duration_seconds_count")
        and 'http_route="/v1/directory/big"' in line
        and 'http_response_status_code="200"' in line
    ]
    assert sum(counted) >= 1
    # Not at the door: it is for those who run Relais.
    assert (await door.ask("GET", "/metrics")).status_code == 404
