"""Spans that found no room are counted and said once a minute, and cost nothing else."""

import threading
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from structlog.testing import capture_logs

from relais_shared import losses, telemetry
from relais_shared.losses import NO_ROOM, NOT_TAKEN, Batches, Losses

ROOM, SENT = 8, 4


class Slow(SpanExporter):
    """Takes nothing until it is let; refuses what it is told to."""

    def __init__(self) -> None:
        self.free, self.busy = threading.Event(), threading.Event()
        self.taken = 0
        self.refuses = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take a batch, late."""
        self.busy.set()
        assert self.free.wait(60)
        if self.refuses:
            return SpanExportResult.FAILURE
        self.taken += len(spans)
        return SpanExportResult.SUCCESS


@pytest.fixture(name="small", autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", str(ROOM))
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", str(SENT))


def test_what_finds_no_room_is_counted_and_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1_000.0
    monkeypatch.setattr(losses.time, "monotonic", lambda: now_s)
    slow, counted = Slow(), Losses()
    provider = TracerProvider()
    batches = Batches(slow, counted, 60_000)
    provider.add_span_processor(batches)
    tracer = provider.get_tracer("test")

    def ended(count: int) -> None:
        for _ in range(count):
            tracer.start_span("x").end()

    with capture_logs() as said:
        ended(SENT)
        assert slow.busy.wait(60), "the first batch is under way, and its place free again"
        ended(ROOM + 5)
        assert counted.counts == {NO_ROOM: 5, NOT_TAKEN: 0}
        now_s += losses.SAY_EVERY_S
        ended(2)
        slow.free.set()
        provider.shutdown()
    assert slow.taken == SENT + ROOM, "whatever found room was sent"
    assert [(one["event"], one["since_last_said"]) for one in said] == [("spans lost", 1), ("spans lost", 5)]
    assert {one.attributes["error.type"]: one.value for one in counted.observed(None)} == counted.counts  # type: ignore[arg-type, index]  # asks nothing of its argument; always has attributes


def test_what_the_receiver_never_takes_is_counted_too() -> None:
    slow, counted = Slow(), Losses()
    slow.refuses = True
    slow.free.set()
    provider = TracerProvider()
    provider.add_span_processor(Batches(telemetry.AllowListExporter(slow, counted), counted, 60_000))
    with capture_logs() as said:
        provider.get_tracer("test").start_span("x").end()
        provider.shutdown()
    assert counted.counts == {NO_ROOM: 0, NOT_TAKEN: 1}
    assert len(said) == 1
