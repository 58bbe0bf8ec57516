"""The door: every request is judged here, then handed to the service that serves it, or to the gateway itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from fastapi import FastAPI
from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Message, Receive, Scope, Send

from relais_gateway.callers import ASKED, Callers, fits
from relais_gateway.domain import traces
from relais_gateway.domain.limits import Entry
from relais_gateway.domain.refusals import TooManyCalls
from relais_gateway.domain.routing import Operation, RouteTable, operations
from relais_gateway.exchange import Exchange, Header, UpstreamDown
from relais_gateway.limiting import Limiting
from relais_gateway.live import LOOK_EVERY_S, Live, State
from relais_gateway.onward import NEVER_BACK, Answer, CallerLeft, Onward, TooLarge, too_large
from relais_gateway.outer import Outer
from relais_gateway.signing import CACHE, Claims, unknown
from relais_gateway.upstream import CircuitOpen, Upstream
from relais_shared import problems, telemetry
from relais_shared.auth import ANONYMOUS, Actor, Keyring
from relais_shared.clock import utc_now
from relais_shared.problems import COMMON, Problem
from relais_shared.protocol import STREAM
from relais_shared.refusals import MalformedRequest, NotFound, Refusal, ScopeMissing, Unavailable
from relais_shared.service import BODY_LIMIT
from relais_shared.telemetry import get_logger, tracer, traceresponse

OWN: Final = "gateway"
"""The name under which the route table knows the gateway's own operations."""

API: Final = ("/v1/", "/hsds/", "/fhir/", "/oauth2/")
"""Below these stand operations alone; elsewhere the gateway's pages may be."""

ALWAYS: Final[list[Header]] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
"""What every answer of the API carries."""

ON_BEHALF_OF: Final = b"relais-on-behalf-of"
"""By it a partner's system names the human that it acts for; it goes on inside the assertion alone."""
LONGEST_REFERENCE: Final = 100
"""Characters of that name: room for any system's own id of a user."""

TABLE_EVERY_S: Final = 30.0
"""How often a service's OpenAPI document is read again."""
TABLE_AGAIN_S: Final = 0.2
"""While a service was never seen, it is asked this often: it is starting."""

CLIENT_CLOSED: Final = 499
"""What traces call a caller that left before the answer (nginx's number)."""
SERVER_FAULT: Final = 500
HEALTH: Final = "health"
"""Why health is open to all: whoever watches over us asks again and again, and is told without being counted."""
LARGE: Final = problems.TOO_LARGE
TOO_MANY: Final = Problem("too-many-requests", 429, "Too many calls.")

_PEER: Final[ContextVar[str]] = ContextVar("peer", default="")
"""Whom one of our pages serves now: what it calls in their name, they have called."""


_W3C: Final = TraceContextTextMapPropagator()


class Door:
    """The ASGI app that the outside reaches.

    Args:
        app: The gateway's own FastAPI app: its operations and pages.
        keyring: Signs the assertions for the services.
        callers: Tells by their tokens who calls.
        upstreams: The services by name.
        document: Answers a service's OpenAPI document, or nothing while it does not answer.
        limiting: How often each may call.
        outer: What stands before us.
    """

    def __init__(  # noqa: PLR0913 - the parts of the door, put together once
        self,
        app: FastAPI,
        keyring: Keyring,
        callers: Callers,
        upstreams: Mapping[str, Upstream],
        document: Callable[[str], Awaitable[Mapping[str, Any] | None]],
        limiting: Limiting,
        outer: Outer,
    ) -> None:
        self._app = app
        self._keyring = keyring
        self._callers = callers
        self._upstreams = upstreams
        self._document = document
        self.limiting = limiting
        self._outer = outer
        self.documents: dict[str, Mapping[str, Any]] = {}
        self._table = RouteTable(())
        self._duration = metrics.get_meter("relais").create_histogram(
            "http.server.request.duration", "s", "Duration of requests, by operation."
        )
        self.live: Live | None = None
        self._acting: dict[tuple[Claims, frozenset[str]], Actor] = {}
        self._judged_in: State | None = None
        self._judged_on: date | None = None

    @property
    def state(self) -> Any:  # noqa: ANN401 - Starlette's own
        """The state of the app behind."""
        return self._app.state

    @property
    def router(self) -> Any:  # noqa: ANN401 - FastAPI's own
        """The router of the app behind: tests enter its lifespan."""
        return self._app.router

    # ── the route table ────────────────────────────────────────────────────────────────────────────────────────

    def operation(self, method: str, path: str) -> Operation | None:
        """Answer the operation that a call would reach, or nothing where the path has none of that method."""
        found = self._table.find(method, path)
        return found if isinstance(found, Operation) else None

    def lay_out(self) -> None:
        """Build the route table from the documents at hand; what declares no scope is refused, and said so."""
        found: list[Operation] = []
        for name, document in {**self.documents, OWN: self._app.openapi()}.items():
            served, undeclared = operations(name, document)
            # A service's health is asked inside; outside, the gateway's own answers.
            found += [one for one in served if name == OWN or one.template not in {"/healthz", "/readyz"}]
            if undeclared:
                get_logger().error("operations without scope are refused", service=name, operations=undeclared)
        self._table = RouteTable(found)

    async def keep_reading(self, name: str) -> None:
        """Read a service's OpenAPI document again and again, and lay the routes out anew when it changed."""
        while True:
            changed = self._upstreams[name].changed
            changed.clear()
            document = await self._document(name)
            if document is not None and document != self.documents.get(name):
                self.documents[name] = document
                self.lay_out()
            # At once when an instance comes back: it may serve other operations than before.
            with suppress(TimeoutError):
                async with asyncio.timeout(TABLE_EVERY_S if name in self.documents else TABLE_AGAIN_S):
                    await changed.wait()

    # ── one request ────────────────────────────────────────────────────────────────────────────────────────────

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge a request and hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = self._outer.seen(scope)
        told = _Told(self._callers.telling(scope, send))
        try:
            await self._judged(scope, receive, told)
        finally:
            told.over()

    async def _judged(self, scope: Scope, receive: Receive, told: "_Told") -> None:
        operation = self._table.find(scope["method"], scope["path"])
        if not isinstance(operation, Operation):
            await self._no_operation(operation, scope, receive, told)
            return
        if scope["method"] != operation.method:
            # HEAD on what GET reads: it is asked as GET, and the server keeps the body back.
            scope = {**scope, "method": operation.method, ASKED: scope["method"]}
        if operation.upstream == OWN:
            await self._own(operation, scope, receive, told)
            return
        await self._elsewhere(operation, scope, receive, told)

    async def _no_operation(
        self, methods: frozenset[str] | None, scope: Scope, receive: Receive, told: "_Told"
    ) -> None:
        if methods is None and not scope["path"].startswith(API):
            # The gateway's pages, and what only our services may ask; both judge for themselves.
            before = _PEER.set(_peer(scope))
            try:
                await self._app(_unspoken(scope), receive, told)
            finally:
                _PEER.reset(before)
            return
        with tracer().start_as_current_span(scope["method"], kind=SpanKind.SERVER):
            try:
                claims, state = await self._who(scope, self._now())
                told.entry = self.limiting.known(claims, state)
                if methods is None and len(self.documents) < len(self._upstreams):
                    raise Unavailable("A part of Relais is starting. Try again in a moment.")
                status = Problem("method-not-allowed", 405, "This resource has no such method.")
                if methods is None:
                    raise NotFound("There is no such operation.")
                allow = {"Allow": ", ".join(sorted(methods))}
                await _answer(told, problems.problem_response(status, headers=allow))
            except Refusal as refusal:
                await _refuse(told, refusal)

    async def _own(self, operation: Operation, scope: Scope, receive: Receive, told: "_Told") -> None:
        carried: dict[str, str] = {}
        try:
            if operation.public is None:
                now = self._now()
                claims, state = await self._who(scope, now)
                told.entry = self.limiting.known(claims, state)
                carried = _carried(scope)
                actor = self.acting(claims, state, operation, scope, now)
                scope = {**_unspoken(scope, carried), "relais.actor": actor}
            else:
                scope = _unspoken(scope)
                if operation.public != HEALTH:
                    told.entry = self.limiting.own(_peer(scope))
            _small(scope)
            await self._app(scope, receive, told)
        except Refusal as refusal:
            if told.begun:
                raise
            with tracer().start_as_current_span(operation.name, _parent(carried), kind=SpanKind.SERVER) as span:
                span.set_attribute("http.route", operation.template)
                await _refuse(told, refusal)

    async def _elsewhere(self, operation: Operation, scope: Scope, receive: Receive, told: "_Told") -> None:
        began = time.perf_counter()
        claims: Claims | None = None
        refusal: Refusal | None = None
        actor: Actor | None = None
        try:
            if operation.public is None:
                now = self._now()
                claims, state = await self._who(scope, now)
                told.entry = self.limiting.known(claims, state)
                actor = self.acting(claims, state, operation, scope, now)
            else:
                # Whatever token came along is not looked at: it would open nothing more here.
                told.entry = self.limiting.anybody(_peer(scope))
                actor = ANONYMOUS
        except Refusal as no:
            refusal = no
        # A known partner's trace goes on; anybody else's begins here, so that nobody writes into ours.
        parent = _parent(_carried(scope)) if claims is not None else None
        said = {
            "http.request.method": operation.method,
            "http.route": operation.template,
            "url.scheme": scope["scheme"],
            **({"relais.organisation_id": str(claims.organisation_id)} if claims else {}),
        }
        with telemetry.span(operation.name, SpanKind.SERVER, said, parent) as span:
            try:
                if refusal is not None or actor is None:
                    raise refusal or unknown()
                await self._forward(operation, actor, scope, receive, told)
            except Refusal as no:
                if not told.begun:
                    await _refuse(told, no)
            except CallerLeft:
                pass
            except UpstreamDown as fault:
                if told.begun:
                    span.set_status(StatusCode.ERROR)
                    raise  # The server closes the connection: a broken answer must not look whole.
                await _refuse(told, _down(operation.upstream, fault))
            finally:
                status = told.status or CLIENT_CLOSED
                span.set_attribute("http.response.status_code", status)
                if status >= SERVER_FAULT:
                    span.set_status(StatusCode.ERROR)
                self._duration.record(
                    time.perf_counter() - began,
                    {
                        "http.request.method": operation.method,
                        "http.route": operation.template,
                        "http.response.status_code": status,
                    },
                )

    def _now(self) -> datetime:
        clock: Callable[[], datetime] = getattr(self._app.state, "clock", utc_now)
        return clock()

    async def _who(self, scope: Scope, now: datetime, *, again: bool = False) -> tuple[Claims, State]:
        """Answer what the caller's token says, and the state that it is held against.

        Args:
            scope: The request.
            now: The instant.
            again: It was let in before: its proof, which is good for once, is not asked for again.

        Raises:
            Unauthenticated: No token of ours, or no proof of the key that it is bound to.
            Unavailable: The state cannot be looked up.
        """
        claims = await self._callers.who(scope, now, again=again)
        assert self.live is not None  # noqa: S101 - set before the first request is taken
        # Looked up last: whatever took time before it, the state is not older than a second.
        return claims, await self.live.now()

    def acting(self, claims: Claims, state: State, operation: Operation, scope: Scope, now: datetime) -> Actor:
        """Answer who acts, with what is granted at this moment.

        A token is judged once in one state on one day: a state is another as soon as anything in it is. Who names the
        human behind the call is judged each time, so that nobody fills the memory by other names.

        Raises:
            As `_actor`.
        """
        today = now.date()
        if self._judged_in is not state or self._judged_on != today or len(self._acting) >= CACHE:
            self._judged_in, self._judged_on = state, today
            self._acting.clear()
        if any(name == ON_BEHALF_OF for name, _ in scope["headers"]):
            return _actor(claims, state, operation, scope, today)
        asked = (claims, operation.scopes)
        actor = self._acting.get(asked)
        if actor is None:
            actor = self._acting[asked] = _actor(claims, state, operation, scope, today)
        return actor

    async def _forward(self, operation: Operation, actor: Actor, scope: Scope, receive: Receive, send: "_Told") -> None:
        upstream = self._upstreams[operation.upstream]
        said = {
            "http.request.method": operation.method,
            "http.route": operation.template,
            "server.address": upstream.name,
        }
        with telemetry.span(operation.method, SpanKind.CLIENT, said) as span:
            told: dict[str, str] = {}
            if not telemetry.silent():
                _W3C.inject(told)
            assertion = self._keyring.sign(upstream.name, actor)
            ours = [(b"authorization", b"Bearer " + assertion.encode()), self._outer.word]
            ours += [(name.encode(), value.encode()) for name, value in told.items()]
            answer = await Onward(scope, receive, operation.body_max or BODY_LIMIT, ours).asked(upstream)
            span.set_attribute("http.response.status_code", answer.status)
        watching: asyncio.Task[None] | None = None
        try:
            await send({"type": "http.response.start", "status": answer.status, "headers": _back(answer)})
            if answer.whole is not None or scope.get(ASKED) == "HEAD":
                # Of what was asked by HEAD nobody waits for the body: a stream's would never end.
                await send({"type": "http.response.body", "body": answer.whole or b""})
                return
            if operation.public is None and answer.kind.startswith(STREAM):
                # It goes on for hours, and has a bound of its own: it is no call under way any more.
                send.over()
                watching = asyncio.create_task(self._watch(operation, actor, scope, answer.exchange))
            async for block in answer.exchange.body():
                await send({"type": "http.response.body", "body": block, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except UpstreamDown:
            if answer.exchange.left:
                raise CallerLeft from None
            if watching is not None and watching.done():
                # Cut by us, at the end of an event: whoever follows comes back, and is then told why not.
                await send({"type": "http.response.body", "body": b""})
                return
            raise
        finally:
            if watching is not None:
                watching.cancel()
            answer.end()

    async def _watch(self, operation: Operation, actor: Actor, scope: Scope, exchange: Exchange) -> None:
        """Cut a stream when its token ends or what is granted becomes another (design 3: within a second)."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                now = self._now()
                claims, state = await self._who(scope, now, again=True)
                if self.acting(claims, state, operation, scope, now) == actor:
                    continue
            except Refusal:
                # The right is gone, or cannot be looked up: nobody is let on on memory.
                pass
            exchange.abort()
            return


def _small(scope: Scope) -> None:
    """See that a body does not say that it is too large: what the framework answers to that is no problem document.

    Raises:
        TooLarge: It says so.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > BODY_LIMIT:
            raise too_large(BODY_LIMIT)


def _down(service: str, fault: UpstreamDown) -> Unavailable:
    """Answer the refusal of a call whose service does not answer, and log it where it is news."""
    if isinstance(fault, CircuitOpen):
        # Said in the log when it opened; each call that meets it would flood the log.
        wait = {"Retry-After": str(fault.wait_s)}
        return Unavailable("A part of Relais does not answer at this moment. Try again then.", headers=wait)
    get_logger().warning("service down", service=service, fault=str(fault))
    return Unavailable("A part of Relais does not answer. Try again in a moment.")


def _back(answer: Answer) -> list[Header]:
    """Answer the headers that the caller gets."""
    back = [header for header in answer.headers if header[0] not in NEVER_BACK]
    there = {name for name, _ in back}
    back += [header for header in ALWAYS if header[0] not in there]
    back.append((b"traceresponse", (traceresponse() or "").encode()))
    return back


def _actor(claims: Claims, state: State, operation: Operation, scope: Scope, today: date) -> Actor:
    """Answer who acts, with what is granted on a day.

    Raises:
        MalformedRequest: A partner's system names the human that it acts for in no way we take.
        Unauthenticated: The client, the person or the organisation is no longer there.
        ScopeMissing: None of the operation's scopes is held now.
    """
    member = state.members.get(claims.organisation_id)
    kind, _, id_ = claims.subject.partition(":")
    may: frozenset[str] = frozenset()
    account = None
    if kind == "user":
        account = state.accounts.get(UUID(id_))
        there = account is not None and account.organisation_id == claims.organisation_id
        may = account.scopes if account else may
    else:
        client = state.clients.get(claims.client_id)
        there = client is not None and fits(client, claims, state)
        may = client.scopes if client else may
    if member is None or not member.active or not there:
        raise unknown()
    held = member.held(today)
    scopes = claims.scopes.intersection(may, held)
    if not scopes & operation.scopes:
        wanted = " ".join(sorted(operation.scopes))
        raise ScopeMissing(
            "Your organisation, or this token, does not hold the scope that this needs.",
            scopes=sorted(operation.scopes),
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{wanted}"'},
        )
    return Actor(
        kind="user" if account else "client",
        id=claims.subject,
        organisation_id=member.id,
        organisation=member.name,
        scopes=scopes,
        user_id=account.id if account else None,
        name=account.name if account else "",
        teams=account.teams if account else (),
        leads=account.leads if account else (),
        stands_for=account.stands_for(today) if account else (),
        on_behalf_of=None if account else _on_behalf_of(scope),
        limits={name: dict(held[name].limits) for name in sorted(scopes) if held[name].limits},
        issuer=OWN,
    )


def _on_behalf_of(scope: Scope) -> str | None:
    """Answer its own word for the human whom a partner's system acts for, where it gives one.

    Raises:
        MalformedRequest: It stands twice, is empty, too long, or holds what cannot be printed.
    """
    given = [value for name, value in scope["headers"] if name == ON_BEHALF_OF]
    if not given:
        return None
    try:
        reference: str = given[0].decode().strip()
    except UnicodeDecodeError:
        reference = ""
    if len(given) > 1 or not 1 <= len(reference) <= LONGEST_REFERENCE or not reference.isprintable():
        raise MalformedRequest(f"Relais-On-Behalf-Of takes 1 to {LONGEST_REFERENCE} printable characters (UTF-8).")
    return reference


def _carried(scope: Scope) -> dict[str, str]:
    """Answer the trace that a partner's call carries from outside, as headers."""
    parents, states = [], []
    for name, value in scope["headers"]:
        if name == b"traceparent":
            parents.append(value.decode("latin-1"))
        elif name == b"tracestate":
            states.append(value.decode("latin-1"))
    return traces.carried(parents, states) if parents and _outside() else {}


def _parent(carried: Mapping[str, str]) -> otel_context.Context | None:
    """Answer the trace that goes on, as its own flag says whether it is recorded; None where one begins here."""
    return _W3C.extract(carried, otel_context.Context()) or None if carried else None


def _outside() -> bool:
    """Say whether this request came from outside: one of our own pages has a trace already."""
    return not trace.get_current_span(otel_context.get_current()).get_span_context().is_valid


def _peer(scope: Scope) -> str:
    """Answer the address that asks; for a call that one of our pages makes, that of the browser before it."""
    return _PEER.get() or (scope["client"][0] if scope.get("client") else "")


def _unspoken(scope: Scope, carried: Mapping[str, str] | None = None) -> Scope:
    """Answer the scope without the trace that an unknown caller would have us write into, or with a partner's."""
    headers = [one for one in scope["headers"] if one[0] not in {b"traceparent", b"tracestate", b"baggage"}]
    headers += [(name.encode(), value.encode("latin-1")) for name, value in (carried or {}).items()]
    return {**scope, "headers": headers}


class _Told:
    """A `send` that remembers what was told, and tells whoever was let in what is left to it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False
        self.status: int | None = None
        self.entry: Entry | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun, self.status = True, message["status"]
            if self.entry is not None:
                message = {**message, "headers": [*message["headers"], *self.entry.headers()]}
        await self._send(message)

    def over(self) -> None:
        """Count the call as under way no longer."""
        if self.entry is not None:
            self.entry.over()


async def _refuse(send: Send, refusal: Refusal) -> None:
    table = {**COMMON, TooLarge: LARGE, TooManyCalls: TOO_MANY}
    problem = next(table[kind] for kind in type(refusal).__mro__ if kind in table)
    facts = {name: value for name, value in refusal.facts.items() if name != "headers"}
    headers = refusal.facts.get("headers")
    given = headers if isinstance(headers, dict) else None
    await _answer(send, problems.problem_response(problem, refusal.detail, headers=given, **facts))


async def _answer(send: Send, response: Any) -> None:  # noqa: ANN401 - Starlette's Response
    trace.get_current_span().set_attribute("http.response.status_code", response.status_code)
    headers = [*response.raw_headers, *ALWAYS, (b"traceresponse", (traceresponse() or "").encode())]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
