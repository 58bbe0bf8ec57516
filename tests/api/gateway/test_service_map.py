"""What traces come to: who called whom, how often, how long it took; and which of them are calls at all."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api.gateway.world import Door

pytestmark = pytest.mark.anyio

INSERT = """
    insert into span (trace_id, span_id, parent_span_id, service, name, kind, started_at, duration_ms, status,
        attributes, entry)
    values ($1, $2, $3, $4, 'GET /x', $5, $6, $7, $8, '{}', false)
"""


async def call(door: Door, number: int, duration_ms: float, status: str, at: datetime) -> None:
    """Write down one call from outside that the shop answers by asking the mill."""
    trace = f"{number:032x}"
    first, second, third = (f"{number:015x}{place}" for place in range(3))
    await door.change(INSERT, trace, first, None, "shop", "server", at, duration_ms, "ok")
    await door.change(INSERT, trace, second, first, "shop", "client", at, duration_ms, "ok")
    await door.change(INSERT, trace, third, second, "mill", "server", at, duration_ms, status)


async def test_the_map_counts_calls_between_services(door: Door) -> None:
    nobody = await door.ask("GET", "/v1/traces/map")
    assert nobody.status_code == 401
    assert (await door.ask("GET", "/v1/traces/map", headers=await door.bearer())).status_code == 403
    now = datetime.now(UTC)
    for number, (duration_ms, status) in enumerate([(10.0, "ok"), (20.0, "ok"), (30.0, "error")], 1):
        await call(door, number, duration_ms, status, now - timedelta(minutes=1))
    await call(door, 9, 900.0, "error", now - timedelta(minutes=30))
    headers = await door.bearer(1)
    answer = await door.ask("GET", "/v1/traces/map?minutes=10", headers=headers)
    assert answer.status_code == 200, answer.text
    arrows: dict[Any, Any] = {(one["caller"], one["service"]): one for one in answer.json()["calls"]}
    mill = arrows["shop", "mill"]
    assert (mill["calls"], mill["errors"], mill["median_ms"], mill["p95_ms"]) == (3, 1, 20.0, 29.0)
    assert mill["per_second"] == pytest.approx(3 / 600)
    assert (arrows[None, "shop"]["calls"], arrows[None, "shop"]["errors"]) == (3, 0)
    assert not {("shop", "shop"), (None, "mill")} & arrows.keys()
    for minutes in (0, 1441):
        assert (await door.ask("GET", f"/v1/traces/map?minutes={minutes}", headers=headers)).status_code == 422


async def test_what_the_services_ask_each_other_is_no_call_from_outside(door: Door) -> None:
    """A worker that looks for changes every two seconds would hide the one call that somebody looks for."""
    insert = INSERT.replace("'GET /x'", "$9").replace("false)", "true)")
    at = datetime.now(UTC)
    for number, (service, name) in enumerate(
        [("gateway", "GET /x"), ("gateway", "GET /internal/registry"), ("directory", "GET /v1/directory/changes")], 21
    ):
        trace, span = f"{number:032x}", f"{number:016x}"
        await door.change(insert, trace, span, None, service, "server", at, 1.0, "ok", name)
    headers = await door.bearer(1)
    for asked, shown in (("calls=true", {21}), ("calls=false", {21, 22, 23})):
        answer = await door.ask("GET", f"/v1/traces?limit=100&{asked}", headers=headers)
        assert answer.status_code == 200, answer.text
        found = {int(one["trace_id"], 16) for one in answer.json()["items"]}
        assert found & {21, 22, 23} == shown
