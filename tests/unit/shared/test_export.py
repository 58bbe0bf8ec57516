"""Traces and metrics go wherever the standard `OTEL_*` variables say, by OTLP, with what may leave and no more."""

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

CANARY = "Zoé Canari"
SERVICE = f"""
from opentelemetry import metrics
from relais_shared import telemetry
from relais_shared.settings import ServiceSettings

class Settings(ServiceSettings):
    service = "directory"

telemetry.set_up(Settings.load(dsn="x", secret="x" * 43, RELAIS_TELEMETRY_URL="http://127.0.0.1:9"))
attributes = {{"http.route": "/v1/things", "x": "{CANARY}"}}
with telemetry.tracer().start_as_current_span("GET /v1/things", attributes=attributes):
    metrics.get_meter("relais").create_counter("relais.things").add(1)
telemetry.stop()
"""


@pytest.fixture(name="elsewhere")
def _elsewhere() -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    """Run a receiver of its own; answer its address and what reached it."""
    taken: list[tuple[str, dict[str, str], bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            taken.append((self.path, headers, body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", taken
    server.shutdown()
    thread.join()
    server.server_close()


def run(**variables: str) -> None:
    """Run a small service to its end, with these variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RELAIS_", "OTEL_"))}
    done = subprocess.run([sys.executable, "-c", SERVICE], env=kept | variables, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_the_standard_variables_say_where_and_how(
    elsewhere: tuple[str, list[tuple[str, dict[str, str], bytes]]],
) -> None:
    url, taken = elsewhere
    run(
        OTEL_EXPORTER_OTLP_ENDPOINT=url,
        OTEL_EXPORTER_OTLP_HEADERS="x-team=abc",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=trial",
        OTEL_METRICS_EXPORTER="otlp",
    )
    by_path = {path: (headers, body) for path, headers, body in taken}
    assert set(by_path) == {"/v1/traces", "/v1/metrics"}
    for headers, _ in by_path.values():
        assert (headers["x-team"], headers["content-encoding"]) == ("abc", "gzip")
        # Our own receiver's token is nobody else's business.
        assert "x-relais-telemetry-token" not in headers
    assert all(CANARY.encode() not in gzip.decompress(body) for _, body in by_path.values())
    (told,) = ExportTraceServiceRequest.FromString(gzip.decompress(by_path["/v1/traces"][1])).resource_spans
    resource = {one.key: one.value.string_value for one in told.resource.attributes}
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("directory", "trial")
    (span,) = told.scope_spans[0].spans
    assert (span.name, [one.key for one in span.attributes]) == ("GET /v1/things", ["http.route"])
    measured = ExportMetricsServiceRequest.FromString(gzip.decompress(by_path["/v1/metrics"][1]))
    names = {one.name for each in measured.resource_metrics for scope in each.scope_metrics for one in scope.metrics}
    assert "relais.things" in names


def test_traces_alone_go_to_their_own_address_and_a_rate_holds(
    elsewhere: tuple[str, list[tuple[str, dict[str, str], bytes]]],
) -> None:
    url, taken = elsewhere
    run(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{url}/mine")
    assert [path for path, _, _ in taken] == ["/mine"]
    run(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{url}/mine", OTEL_TRACES_SAMPLER="always_off")
    assert len(taken) == 1
