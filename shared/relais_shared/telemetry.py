"""OpenTelemetry and logs: one trace over every service, and nothing personal in any of it."""

import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from secrets import token_hex
from typing import Any

import asyncpg
import structlog
from asyncpg.connection import LoggedQuery
from asyncpg.pool import PoolConnectionProxy
from fastapi.telemetry import TelemetryConfig
from opentelemetry import metrics, trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from relais_shared.losses import NOT_TAKEN, Batches, Losses
from relais_shared.settings import ServiceSettings

EXPORT_EVERY_MS = 1_000
"""Spans leave once a second: an administrator who looks at once finds the trace (the SDK's default is 5 s)."""

EXPORT_WITHIN_S = 2
"""How long a receiver has to take spans: a stopping service waits no longer for it."""

ATTEMPTS = 5
"""How often a batch is sent: a receiver on a busy machine may miss one term. A stopping service tries once."""

TOKEN_HEADER = "x-relais-telemetry-token"  # noqa: S105 - the header's name, not a token
"""What carries the token of a service to the gateway's own receiver."""

ALLOWED_ATTRIBUTES = frozenset(
    {
        "db.namespace",
        "db.operation.name",
        "db.query.text",
        "db.response.status_code",
        "db.system.name",
        "error.type",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "network.protocol.version",
        "relais.action",
        "relais.operation",
        "relais.organisation_id",
        "relais.referral_id",
        "relais.result_count",
        "server.address",
        "server.port",
        "service.instance.id",
        "service.name",
        "service.version",
        "url.scheme",
    }
)
"""The only attributes that leave. No path, query, address of a person's browser, token or free text.

`db.query.text` is our own SQL with its placeholders: values are always bound, never written into it.
"""

TEXT_LIMIT = 1_000
"""Characters kept of one attribute: long enough for our longest statement's shape."""


def allowed(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Answer only the attributes that may leave, long texts cut."""
    return {
        key: value[:TEXT_LIMIT] if isinstance(value, str) else value
        for key, value in (attributes or {}).items()
        if key in ALLOWED_ATTRIBUTES
    }


class AllowListExporter(SpanExporter):
    """Passes spans on with allowed attributes only, without events, links' attributes or status texts."""

    def __init__(self, onward: SpanExporter, losses: Losses | None = None) -> None:
        self._onward = onward
        self._losses = losses or Losses()
        self.stopping = False
        """The service ends: a batch that is not taken is not sent again."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Cut every span to what may leave, then pass them on; again where they were not taken."""
        cut = [_cut(span) for span in spans]
        result = SpanExportResult.FAILURE
        for _attempt in range(ATTEMPTS):
            result = self._onward.export(cut)
            if result is SpanExportResult.SUCCESS or self.stopping:
                break
        if result is not SpanExportResult.SUCCESS:
            self._losses.add(len(cut), NOT_TAKEN)
        return result

    def shutdown(self) -> None:
        """Close the onward exporter."""
        self._onward.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the onward exporter within `timeout_millis`."""
        return self._onward.force_flush(timeout_millis)


def _cut(span: ReadableSpan) -> ReadableSpan:
    attributes = allowed(span.attributes)
    # A client span is named by its library after method or statement; a server span after its route.
    return ReadableSpan(
        name=span.name[:200],
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        kind=span.kind,
        # Event attributes hold exception texts, and a status description may: neither leaves.
        status=trace.Status(trace.StatusCode.UNSET if _left(span) else span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _left(span: ReadableSpan) -> bool:
    """Say whether the caller went away from an answer that was well under way, as everybody does from a stream.

    FastAPI writes it down as a fault, and a page that somebody closes would stand among ours.
    """
    said = span.attributes or {}
    answered = said.get("http.response.status_code")
    return (
        span.kind is trace.SpanKind.SERVER
        and said.get("error.type") == ConnectionError.__name__
        and isinstance(answered, int)
        and answered < _SERVER_FAULT
    )


_SERVER_FAULT = 500
_W3C = TraceContextTextMapPropagator()

NAME = "relais"
"""Of our own tracer."""

QUIET = frozenset({"/healthz", "/readyz", "/metrics", "/openapi.json", "/internal/registry"})
"""Paths that leave no trace of their own."""

_provider: TracerProvider | None = None
_tracer: trace.Tracer | None = None
_IDS = RandomIdGenerator()
_off = False
"""Nobody traces here: the API's own stand-ins do nothing, but take their time for it on every request."""
_exporter: AllowListExporter | None = None


def set_up(settings: ServiceSettings, exporter: SpanExporter | None = None) -> None:
    """Start traces, metrics and logs of this process; the first call decides, later ones change nothing.

    Spans go where the standard `OTEL_EXPORTER_OTLP_*` variables say, else to `settings.telemetry_url`,
    else nowhere (they still give trace ids).

    Args:
        settings: Of the service that this process runs.
        exporter: Takes the place of the OTLP exporter (tests).
    """
    global _provider, _exporter, _tracer, _off  # noqa: PLW0603 - OpenTelemetry's providers are of the process
    if _provider is not None:
        return
    set_up_logs(settings.service)
    if exporter is None and _disabled():
        # Not even the questions whether somebody listens: the API's own stand-ins do nothing at all.
        _off = True
        return
    resource = Resource.create({"service.namespace": "relais", "service.name": settings.service})
    provider = TracerProvider(resource=resource)
    exporter = exporter or _otlp_exporter(settings)
    if exporter is not None:
        losses = Losses()
        _exporter = AllowListExporter(exporter, losses)
        provider.add_span_processor(Batches(_exporter, losses, EXPORT_EVERY_MS))
        losses.measure()
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider(_metric_readers(), resource=resource))
    # The stable names of the semantic conventions: without this word the instrumentation still says the old ones.
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    HTTPXClientInstrumentor().instrument()
    _provider, _tracer = provider, provider.get_tracer(NAME)


def _disabled() -> bool:
    return os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"


def _metric_readers() -> list[MetricReader]:
    """Answer who reads the metrics: Prometheus always; OTLP too where the standard variable says so."""
    readers: list[MetricReader] = [PrometheusMetricReader()]
    if os.environ.get("OTEL_METRICS_EXPORTER", "").strip() == "otlp":
        # Few ask for it, and every start would pay for reading it.
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415

        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
    return readers


def _otlp_exporter(settings: ServiceSettings) -> SpanExporter | None:
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return OTLPSpanExporter()
    if settings.telemetry_url is None:
        return None
    token = settings.telemetry_token
    return OTLPSpanExporter(
        endpoint=settings.telemetry_url.rstrip("/") + "/v1/traces",
        headers={TOKEN_HEADER: token.get_secret_value()} if token else None,
        timeout=EXPORT_WITHIN_S,
    )


def stop() -> None:
    """Send the spans still held, once: the process ends."""
    if _exporter is not None:
        _exporter.stopping = True
    flush()


def flush() -> None:
    """Send the spans still held."""
    if _provider is not None:
        _provider.force_flush(EXPORT_WITHIN_S * 1_000)


def metrics_page() -> tuple[bytes, str]:
    """Answer this process's metrics in Prometheus's text format, and their content type."""
    return generate_latest(), CONTENT_TYPE_LATEST


def fastapi_config() -> TelemetryConfig:
    """Answer FastAPI's native telemetry settings: one server span a request, nothing of its content."""
    return TelemetryConfig(
        tracing=True,
        metrics=True,
        logs=False,
        operation_spans=False,
        auto_configure=False,
        # The supervisor, balancers and our services ask for these all day; nobody looks for them in the traces.
        exclude=lambda scope: scope["path"] in QUIET,
    )


def current_trace_id() -> str:
    """Answer the trace id of the running request, 32 hex digits (all zero outside of a trace)."""
    return trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)


def traceresponse(span: trace.Span | None = None) -> str | None:
    """Answer the `traceresponse` header of a request (W3C Trace Context, level 2), if it is traced.

    Args:
        span: Of the request; where None, the running one.
    """
    if span is None and silent():
        return None
    context = (span or trace.get_current_span()).get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def apart() -> dict[str, str]:
    """Answer the header of a call that nobody asked for: whoever serves it records nothing (W3C: not sampled)."""
    return {"traceparent": f"00-{token_hex(16)}-{token_hex(8)}-00"}


@contextmanager
def going_on(name: str, traceparent: str | None) -> Iterator[dict[str, str]]:
    """Do something in a trace that began elsewhere, as a span of its own; answer the headers that pass it on.

    Args:
        name: Of the span.
        traceparent: As `traceresponse` wrote it; a new trace begins where there is none.
    """
    carrier = {"traceparent": traceparent} if traceparent else {}
    before = _W3C.extract(carrier, context=Context())
    with tracer().start_as_current_span(name, context=before, kind=trace.SpanKind.PRODUCER):
        headers: dict[str, str] = {}
        _W3C.inject(headers)
        yield headers


def tracer() -> trace.Tracer:
    """Answer the tracer for the few spans that we make by hand."""
    return _tracer or trace.get_tracer(NAME)


def silent() -> bool:
    """Say whether nothing is traced here, and nobody's trace goes on through us."""
    return _off and not get_current()


def begun(name: str, kind: trace.SpanKind, attributes: Mapping[str, Any], context: Context | None) -> trace.Span:
    """Answer a span of a hot path, to be ended by hand: it keeps no exception, and is not the running one.

    Args:
        name: Of the operation, never a path.
        kind: Whether it serves or asks.
        attributes: Known at its beginning.
        context: The trace that it belongs to; where None, the running one.
    """
    return tracer().start_span(name, context, kind, attributes, record_exception=False, set_status_on_exception=False)


@contextmanager
def unrecorded() -> Iterator[None]:
    """Do something under a trace id by which it can be named, and record nothing: it may be done thousands of times."""
    if silent():
        yield
        return
    context = trace.SpanContext(_IDS.generate_trace_id(), _IDS.generate_span_id(), is_remote=False)
    token = attach(trace.set_span_in_context(trace.NonRecordingSpan(context)))
    try:
        yield
    finally:
        detach(token)


def transaction(database: str | None) -> trace.Span | None:
    """Answer a span of a transaction, to be ended with it: it is told as one; None where nothing is traced.

    A span of each of its statements, as instrumentation makes them, costs more than the statement itself.
    """
    if silent() or not is_instrumentation_enabled():
        return None
    return begun("transaction", trace.SpanKind.CLIENT, _asked(database), None)


async def tell_statements(connection: asyncpg.Connection | PoolConnectionProxy) -> None:
    """Tell every statement of a connection as a span: the `init` of a pool that is asked without a session."""
    if not _off:
        connection.add_query_logger(_told)


def _told(said: LoggedQuery) -> None:
    """Tell of a statement, which has ended."""
    if not is_instrumentation_enabled():
        return
    now = time.time_ns()
    first = said.query.split(None, 1)[:1]
    span = tracer().start_span(
        first[0] if first else "",
        kind=trace.SpanKind.CLIENT,
        attributes=_asked(said.conn_params.database) | {"db.query.text": said.query},
        start_time=now - int(said.elapsed * 1e9),
    )
    if isinstance(said.exception, Exception):
        span.set_status(trace.StatusCode.ERROR)
        span.set_attribute("error.type", type(said.exception).__qualname__)
    span.end(now)


def _asked(database: str | None) -> dict[str, str]:
    return {"db.system.name": "postgresql", "db.namespace": database or ""}


def get_logger() -> structlog.stdlib.BoundLogger:
    """Answer the structured logger; log ids, counts and kinds, never a person's words."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger()
    return logger


def _add_trace(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
    return event


def set_up_logs(service: str) -> None:
    """Send every log line of this process to standard error as one JSON object.

    Exceptions are written as their type and the places they passed, not as their text: the text of an
    exception may hold what a person wrote.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
        _places_of_exception,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *shared],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, shared[-2], shared[-1]],
            foreign_pre_chain=shared[:-2],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)


def _places_of_exception(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    if isinstance(info, BaseException):
        info = (type(info), info, info.__traceback__)
    if isinstance(info, tuple) and info[0] is not None:
        kind, _, step = info
        places = []
        while step is not None:
            code = step.tb_frame.f_code
            places.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{step.tb_lineno} {code.co_name}")
            step = step.tb_next
        event["exception"] = f"{kind.__module__}.{kind.__qualname__}"
        event["stack"] = places
    return event
