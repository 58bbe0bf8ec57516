"""Nothing personal leaves in a span or a log line."""

import json
import logging
from collections.abc import Iterator, Sequence

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from relais_shared import telemetry

CANARY = "Zoé Canari 0470 12 34 56"


def test_a_span_leaves_with_allowed_attributes_only() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(telemetry.AllowListExporter(kept)))

    with provider.get_tracer("test").start_as_current_span(
        "GET /v1/things", attributes={"http.route": "/v1/things", "url.query": CANARY, "url.path": CANARY}
    ) as span:
        span.add_event("exception", {"exception.message": CANARY})
        span.set_status(StatusCode.ERROR, CANARY)

    (left,) = kept.get_finished_spans()
    assert CANARY not in json.dumps(json.loads(left.to_json()), ensure_ascii=False)
    assert left.attributes == {"http.route": "/v1/things"}
    assert left.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize(
    ("kind", "status", "error", "left"),
    [
        (SpanKind.SERVER, 200, "ConnectionError", StatusCode.UNSET),
        (SpanKind.SERVER, 500, "ConnectionError", StatusCode.ERROR),
        (SpanKind.SERVER, 200, "RuntimeError", StatusCode.ERROR),
        (SpanKind.CLIENT, 200, "ConnectionError", StatusCode.ERROR),
    ],
)
def test_who_closes_a_page_that_streams_is_no_fault(kind: SpanKind, status: int, error: str, left: StatusCode) -> None:
    """As FastAPI writes it down: the status that was answered, and what ended it."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(telemetry.AllowListExporter(kept)))
    attributes = {"http.response.status_code": status, "error.type": error}
    with provider.get_tracer("test").start_as_current_span("GET /nouvelles", kind=kind, attributes=attributes) as span:
        span.set_status(StatusCode.ERROR)
    assert [each.status.status_code for each in kept.get_finished_spans()] == [left]


@pytest.fixture(name="logs_as_before")
def _logs_as_before() -> Iterator[None]:
    """Log nowhere that a test set up: its stream is closed when it ends."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:], root.level = before


@pytest.mark.usefixtures("logs_as_before")
def test_an_exception_is_logged_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.set_up_logs("directory")
    try:
        raise ValueError(CANARY)  # noqa: TRY301 - the log needs an exception that was raised
    except ValueError as fault:
        telemetry.get_logger().error("bug", exc_info=fault)
        logging.getLogger("some.library").exception("went wrong")

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["exception"] for line in lines] == ["builtins.ValueError"] * 2
    assert all("test_an_exception_is_logged" in line["stack"][-1] for line in lines)
    assert CANARY not in json.dumps(lines, ensure_ascii=False)


def test_allowed_cuts_long_texts() -> None:
    cut = telemetry.allowed({"db.query.text": "x" * 5_000, "enduser.id": "x"})
    assert cut == {"db.query.text": "x" * telemetry.TEXT_LIMIT}


class Deaf(SpanExporter):
    """Takes a batch at the third attempt only."""

    def __init__(self) -> None:
        self.asked = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take or refuse a batch."""
        del spans
        self.asked += 1
        return SpanExportResult.SUCCESS if self.asked % 3 == 0 else SpanExportResult.FAILURE


def test_spans_that_were_not_taken_are_sent_again_until_the_process_ends() -> None:
    deaf = Deaf()
    exporter = telemetry.AllowListExporter(deaf)
    assert exporter.export([]) is SpanExportResult.SUCCESS
    assert deaf.asked == 3
    exporter.stopping = True
    assert exporter.export([]) is SpanExportResult.FAILURE
    assert deaf.asked == 4
