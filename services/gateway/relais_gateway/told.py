"""One call through the door: what its caller is told, what is left to them of their bounds, and the trace of it."""

import time
from collections.abc import Awaitable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.responses import Response
from starlette.types import Message, Scope, Send

from relais_gateway.callers import SAID
from relais_gateway.domain import traces
from relais_gateway.domain.limits import Entry
from relais_gateway.domain.refusals import TooManyCalls
from relais_gateway.domain.routing import Operation
from relais_gateway.exchange import Header
from relais_gateway.onward import TooLarge
from relais_gateway.signing import Claims
from relais_shared import problems, telemetry
from relais_shared.problems import COMMON, Problem
from relais_shared.refusals import Refusal
from relais_shared.telemetry import traceresponse

ALWAYS: Final[list[Header]] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
"""What every answer of the API carries."""

CLIENT_CLOSED: Final = 499
"""What traces call a caller that left before the answer (nginx's number)."""
SERVER_FAULT: Final = 500

LARGE: Final = problems.TOO_LARGE
TOO_MANY: Final = Problem("too-many-requests", 429, "Too many calls.")
TABLE: Final = {**COMMON, TooLarge: LARGE, TooManyCalls: TOO_MANY}
"""Refusal → problem, of the door itself."""

Whole = tuple[int, list[Header], bytes]
"""Status, headers and body of an answer that is whole."""

_W3C: Final = TraceContextTextMapPropagator()
_DURATION: Final = metrics.get_meter("relais").create_histogram(
    "http.server.request.duration", "s", "Duration of requests, by operation."
)


class Told:
    """A `send` that remembers what was told, and tells whoever was let in what is left to it.

    Args:
        send: Tells the caller.
        claims: Whose call it is, where that is known.
        entry: How it was let in.
    """

    __slots__ = ("_asking", "_began", "_operation", "_send", "begun", "claims", "entry", "span", "status", "traced")

    def __init__(self, send: Send, claims: Claims | None = None, entry: Entry | None = None) -> None:
        self._send = send
        self.claims = claims
        self.entry = entry
        self.begun = False
        self.status: int | None = None
        self.traced = False
        self.span: Span = INVALID_SPAN
        self._asking: Span = INVALID_SPAN

    def __call__(self, message: Message) -> Awaitable[None]:
        """Pass a part of the answer on."""
        if message["type"] == "http.response.start":
            self.begun, self.status = True, message["status"]
            message = {**message, "headers": self.headers(message["headers"])}
        return self._send(message)

    def headers(self, headers: Iterable[Header]) -> list[Header]:
        """Answer the headers of an answer with what is left to whoever is answered."""
        return [*headers, *(self.entry.headers() if self.entry is not None else ())]

    def over(self) -> None:
        """Count the call as under way no longer."""
        if self.entry is not None:
            self.entry.over()

    # ── its trace ──────────────────────────────────────────────────────────────────────────────────────────────

    def served(self, operation: Operation, scope: Scope) -> None:
        """Begin the span of a call that goes on to a service, where anything is traced."""
        # A known partner's trace goes on; anybody else's begins here, so that nobody writes into ours.
        comes = self.claims is not None and b"traceparent" in scope[SAID]
        parent = parent_of(carried(scope)) if comes else None
        self.traced = parent is not None or not telemetry.silent()
        if self.traced:
            self._began, self._operation = time.perf_counter(), operation
            organisation = {"relais.organisation_id": str(self.claims.organisation_id)} if self.claims else {}
            known = {**_known(operation), "url.scheme": scope["scheme"], **organisation}
            self.span = telemetry.begun(operation.name, SpanKind.SERVER, known, parent)

    def asking(self) -> list[Header]:
        """Begin the span of asking the service; answer the headers by which the trace goes on there."""
        if not self.traced:
            return []
        known = {**_known(self._operation), "server.address": self._operation.upstream}
        serving = trace.set_span_in_context(self.span)
        self._asking = telemetry.begun(self._operation.method, SpanKind.CLIENT, known, serving)
        told: dict[str, str] = {}
        _W3C.inject(told, trace.set_span_in_context(self._asking))
        return [(name.encode(), value.encode()) for name, value in told.items()]

    def asked(self, status: int | None) -> None:
        """End that span: a status came, or nothing did."""
        if self.traced:
            if status is not None:
                self._asking.set_attribute("http.response.status_code", status)
            self._asking.end()

    def running(self) -> AbstractContextManager[Any]:
        """Let its span be the running one: what is said of a refusal, and what is logged, names its trace."""
        if not self.traced:
            return nullcontext()
        return trace.use_span(self.span, record_exception=False, set_status_on_exception=False)

    def ended(self, status: int | None = None) -> None:
        """Count the call as under way no longer, and end its span; a second time changes nothing.

        Args:
            status: Of the answer, where it did not pass here.
        """
        self.over()
        if not self.traced:
            return
        self.traced = False
        status = status or self.status or CLIENT_CLOSED
        self.span.set_attribute("http.response.status_code", status)
        if status >= SERVER_FAULT:
            self.span.set_status(StatusCode.ERROR)
        self.span.end()
        _DURATION.record(
            time.perf_counter() - self._began, {**_known(self._operation), "http.response.status_code": status}
        )

    def beyond(self, operation: Operation, refusal: Refusal) -> Whole:
        """Answer how a bound refuses: they come in thousands when they come, are counted, and leave no span."""
        with telemetry.unrecorded():
            whole = _whole(_problem(refusal))
        if not telemetry.silent():
            _DURATION.record(0.0, {**_known(operation), "http.response.status_code": whole[0]})
        return whole

    async def say(self, status: int, headers: list[Header], body: bytes) -> None:
        """Tell the whole of an answer."""
        await self({"type": "http.response.start", "status": status, "headers": headers})
        await self({"type": "http.response.body", "body": body})


def _known(operation: Operation) -> dict[str, str]:
    return {"http.request.method": operation.method, "http.route": operation.template}


def carried(scope: Scope) -> dict[str, str]:
    """Answer the trace that a partner's call carries from outside, as headers."""
    parents, states = scope[SAID].get(b"traceparent"), scope[SAID].get(b"tracestate", ())
    if not parents or not _outside():
        return {}
    return traces.carried(*([value.decode("latin-1") for value in each] for each in (parents, states)))


def parent_of(carried: Mapping[str, str]) -> otel_context.Context | None:
    """Answer the trace that goes on, as its own flag says whether it is recorded; None where one begins here."""
    return _W3C.extract(carried, otel_context.Context()) or None if carried else None


def _outside() -> bool:
    """Say whether this request came from outside: one of our own pages has a trace already."""
    return not trace.get_current_span(otel_context.get_current()).get_span_context().is_valid


def _problem(refusal: Refusal) -> Response:
    problem = next(TABLE[kind] for kind in type(refusal).__mro__ if kind in TABLE)
    facts = {name: value for name, value in refusal.facts.items() if name != "headers"}
    headers = refusal.facts.get("headers")
    given = headers if isinstance(headers, dict) else None
    return problems.problem_response(problem, refusal.detail, headers=given, **facts)


def _whole(response: Response) -> Whole:
    headers = [*response.raw_headers, *ALWAYS, (b"traceresponse", (traceresponse() or "").encode())]
    return response.status_code, headers, bytes(response.body)


async def refuse(send: Send, refusal: Refusal) -> None:
    """Answer a refusal by its problem document."""
    await answer(send, _problem(refusal))


async def answer(send: Send, response: Response) -> None:
    """Answer by a response of the door's own."""
    trace.get_current_span().set_attribute("http.response.status_code", response.status_code)
    status, headers, body = _whole(response)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
