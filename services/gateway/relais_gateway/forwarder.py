"""The door: every request is judged here, then handed to the service that serves it, or to the gateway itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fastapi import FastAPI
from opentelemetry.trace import SpanKind, StatusCode
from starlette.types import ASGIApp, Receive, Scope, Send

from relais_gateway.acting import actor_of
from relais_gateway.callers import ASKED, ON_BEHALF_OF, SAID, TOKEN, Callers, said
from relais_gateway.domain.limits import Key as Bucket
from relais_gateway.domain.limits import Policy
from relais_gateway.domain.refusals import TooManyCalls
from relais_gateway.domain.routing import OWN, Operation, RouteTable, operations
from relais_gateway.exchange import Exchange, Header, UpstreamDown
from relais_gateway.limiting import Limiting
from relais_gateway.live import LOOK_EVERY_S, ZONE, Live, State
from relais_gateway.onward import NEVER_BACK, WATCH_AFTER_S, Begun, CallerLeft, Onward, too_large
from relais_gateway.outer import Outer
from relais_gateway.problems import oauth_not_now
from relais_gateway.proofs import HEADER as PROOF
from relais_gateway.signing import CACHE, LEEWAY_S, Claims
from relais_gateway.told import ALWAYS, Told, answer, carried, parent_of, refuse
from relais_gateway.upstream import Busy, CircuitOpen, Upstream
from relais_shared import problems
from relais_shared.auth import ANONYMOUS, Actor, Keyring
from relais_shared.clock import utc_now
from relais_shared.problems import Problem
from relais_shared.protocol import STREAM, WITH_BODY, Cycle
from relais_shared.refusals import NotFound, Refusal, Unavailable
from relais_shared.service import BODY_LIMIT
from relais_shared.telemetry import get_logger, tracer, traceresponse

API: Final = ("/v1/", "/hsds/", "/fhir/", "/oauth2/")
"""Below these stand operations alone; elsewhere the gateway's pages may be."""

TOKENS: Final = frozenset({"/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"})
"""What speaks RFC 6749, in its refusals too."""

TABLE_EVERY_S: Final = 30.0
"""How often a service's OpenAPI document is read again."""
TABLE_AGAIN_S: Final = 0.2
"""While a service was never seen, it is asked this often: it is starting."""

HEALTH: Final = "health"
"""Why health is open to all: whoever watches over us asks again and again, and is told without being counted."""
_PEER: Final[ContextVar[str]] = ContextVar("peer", default="")
"""Whom one of our pages serves now: what it calls in their name, they have called."""

Key = tuple[bytes, frozenset[str]]
"""A token as it is shown, and the scopes of which it needs one."""
Sent = tuple[Onward, Begun]
"""A request that was sent on already."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What was judged of a token before an operation: good in one state of the registry, from when until when.

    Attributes:
        asked: The buckets that each call is taken from.
    """

    since: datetime
    until: datetime
    claims: Claims
    actor: Actor
    asked: Sequence[tuple[Bucket, Policy]]


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
        self.live: Live | None = None
        self._passes: dict[Key, Pass] = {}
        self._judged_in: State | None = None

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
                # In one order, whoever starts first: of two shapes named alike the second is known by its service.
                known = {**self.documents, name: document}
                self.documents = {each: known[each] for each in self._upstreams if each in known}
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
        scope[SAID] = said(scope)
        told = Told(self._callers.telling(scope, send))
        try:
            await self._judged(scope, receive, told)
        finally:
            told.ended()

    def at_once(self, cycle: Cycle, in_a_task: Callable[[ASGIApp], None]) -> ASGIApp | None:
        """Forward or refuse a request in the turn of the loop that brought it, without a task of its own.

        It goes where nothing is to be waited for but the answer: whoever asks was judged before, a connection is there,
        and no body comes along. What does not come at once, or not as hoped, goes on in a task from where it stands: a
        task, and what each part of it waits by, costs more than judging and passing on. What is beyond a bound is
        refused here too: under a flood the door does little else, and everybody waits for what that costs.

        Args:
            cycle: The request and its answer.
            in_a_task: Lets an ASGI app go on with it later.

        Returns:
            What goes on with it in a task now; None where nothing has to.
        """
        asked: tuple[Any, Any] = (cycle.scope, cycle.receive)  # uvicorn's names of what ASGI calls so too
        scope, receive = self._outer.seen(asked[0]), asked[1]
        operation = self._table.find(scope["method"], scope["path"])
        if not isinstance(operation, Operation) or operation.upstream == OWN or scope["method"] != "GET":
            return self
        scope[SAID] = said(scope)
        known = self._known(_key(operation, scope), self._now())
        if known is None or known.claims.jkt is not None or PROOF in scope[SAID] or cycle.flow.write_paused:
            return self
        told, upstream = Told(cycle.send, known.claims), self._upstreams[operation.upstream]
        beyond = self._beyond(told, known.asked, upstream)
        if beyond is not None:
            status, headers, body = told.beyond(operation, beyond)
            told.over()
            cycle.answer(status, told.headers(headers), body)
            return None
        told.served(operation, scope)
        so_far: Refusal | Sent | None = None

        async def go_on(_scope: Scope, receive: Receive, _send: Send) -> None:
            await self._going_on(operation, known.actor, scope, receive, told, so_far)

        try:
            onward = self._onward(operation, known.actor, scope, receive)
            begun = None if onward.has_body else upstream.kept()
        except Refusal as no:
            # Said in a task: nobody hurries to hear no.
            begun, so_far = None, no
        if begun is None:
            return go_on
        so_far = (onward, begun)
        onward.add(told.asking())
        onward.begin(*begun)
        _follow(upstream, begun, told, cycle, lambda: in_a_task(go_on))
        return None

    async def _judged(self, scope: Scope, receive: Receive, told: Told) -> None:
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

    async def _no_operation(self, methods: frozenset[str] | None, scope: Scope, receive: Receive, told: Told) -> None:
        if methods is None and not scope["path"].startswith(API):
            # The gateway's pages, and what only our services may ask; both judge for themselves.
            before = _PEER.set(_peer(scope))
            if scope["method"] == "HEAD":
                scope = {**scope, "method": "GET", ASKED: "HEAD"}
            try:
                await self._app(_unspoken(scope), receive, told)
            finally:
                _PEER.reset(before)
            return
        with tracer().start_as_current_span(scope["method"], kind=SpanKind.SERVER):
            try:
                claims, state = await self._who(scope, self._now())
                told.entry = self.limiting.known(self.limiting.asked(claims, state))
                if methods is None and len(self.documents) < len(self._upstreams):
                    raise Unavailable("A part of Relais is starting. Try again in a moment.")
                status = Problem("method-not-allowed", 405, "This resource has no such method.")
                if methods is None:
                    raise NotFound("There is no such operation.")
                allow = {"Allow": ", ".join(sorted(methods))}
                await answer(told, problems.problem_response(status, headers=allow))
            except Refusal as refusal:
                await refuse(told, refusal)

    async def _own(self, operation: Operation, scope: Scope, receive: Receive, told: Told) -> None:
        try:
            if operation.public is None:
                actor = (await self.admit(operation, scope, told)).actor
                scope = {**_unspoken(scope, carried(scope)), "relais.actor": actor}
            else:
                scope = _unspoken(scope)
                if operation.public != HEALTH:
                    told.entry = self.limiting.own(_peer(scope))
            _small(scope)
            await self._app(scope, receive, told)
        except Refusal as refusal:
            if told.begun:
                raise
            # A known partner's trace goes on; anybody else's begins here, so that nobody writes into ours.
            parent = parent_of(carried(scope)) if told.claims is not None else None
            with tracer().start_as_current_span(operation.name, parent, kind=SpanKind.SERVER) as span:
                span.set_attribute("http.route", operation.template)
                later = oauth_not_now(refusal) if operation.template in TOKENS else None
                await (answer(told, later) if later else refuse(told, refusal))

    async def _elsewhere(self, operation: Operation, scope: Scope, receive: Receive, told: Told) -> None:
        refusal: Refusal | None = None
        actor = ANONYMOUS
        try:
            if operation.public is None:
                actor = (await self.admit(operation, scope, told)).actor
            else:
                # Whatever token came along is not looked at: it would open nothing more here.
                told.entry = self.limiting.anybody(_peer(scope))
        except Refusal as no:
            refusal = no
        refusal = refusal or self._upstreams[operation.upstream].busy(told.entry.running if told.entry else 1)
        if isinstance(refusal, TooManyCalls | Busy):
            await told.say(*told.beyond(operation, refusal))
            return
        told.served(operation, scope)
        await self._going_on(operation, actor, scope, receive, told, refusal)

    def _beyond(self, told: Told, asked: Sequence[tuple[Bucket, Policy]], upstream: Upstream) -> Refusal | None:
        """Let a call of somebody known in; answer the refusal of one that is beyond a bound."""
        try:
            told.entry = self.limiting.known(asked)
        except TooManyCalls as no:
            return no
        return upstream.busy(told.entry.running)

    async def _going_on(  # noqa: PLR0913 - a request, and how far it came
        self,
        operation: Operation,
        actor: Actor,
        scope: Scope,
        receive: Receive,
        told: Told,
        so_far: Refusal | Sent | None,
    ) -> None:
        with told.running():
            try:
                if isinstance(so_far, Refusal):
                    raise so_far
                await self._forward(operation, actor, scope, receive, told, so_far)
            except Refusal as no:
                if not told.begun:
                    await refuse(told, no)
            except CallerLeft:
                pass
            except UpstreamDown as fault:
                if told.begun:
                    told.span.set_status(StatusCode.ERROR)
                    raise  # The server closes the connection: a broken answer must not look whole.
                await refuse(told, _down(operation.upstream, fault))
            finally:
                told.ended()

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

    async def admit(self, operation: Operation, scope: Scope, told: Told | None) -> Pass:
        """Let somebody in to an operation by the token that they show.

        What was judged is judged again as soon as it may be another: in another state of the registry, on another day,
        when the token is to be verified anew or has ended. Limits, and a proof, which is good for once, are looked at
        on each request. Who names the human behind the call is judged each time, so that nobody fills the memory by
        other names.

        Args:
            operation: What is asked for.
            scope: The request.
            told: Remembers who it is and what is left to them. None: it was let in before, is not counted again and
                needs no other proof.

        Raises:
            As `_who`, `Limiting.known` and `_actor`.
        """
        now, key = self._now(), _key(operation, scope)
        found = self._known(key, now)
        if found is not None and (told is None or found.claims.jkt is None):
            if told is not None:
                told.claims, told.entry = found.claims, self.limiting.known(found.asked)
            return found
        claims, state = await self._who(scope, now, again=told is None)
        asked = self.limiting.asked(claims, state)
        if told is not None:
            told.claims = claims
            told.entry = self.limiting.known(asked)
        today = now.date()
        until = datetime.fromtimestamp(min(claims.good_until, claims.expires + LEEWAY_S + 1), UTC)
        until = min(until, datetime.combine(today + timedelta(days=1), datetime.min.time(), UTC))
        # Who is away noted it by the clocks on the wall.
        local = now.astimezone(ZONE).date()
        until = min(until, datetime.combine(local + timedelta(days=1), datetime.min.time(), ZONE))
        found = Pass(now, until, claims, actor_of(claims, state, operation, scope, today, local), asked)
        if self._judged_in is not state or len(self._passes) >= CACHE:
            self._judged_in = state
            self._passes.clear()
        if key is not None:
            self._passes[key] = found
        return found

    def _known(self, key: Key | None, now: datetime) -> Pass | None:
        """Answer what was judged of a token before an operation, where it still holds."""
        # In a stale state nobody was judged: `_who` looks it up again, or refuses.
        if key is None or self.live is None or self.live.fresh() is not self._judged_in:
            return None
        found = self._passes.get(key)
        return found if found is not None and found.since <= now < found.until else None

    def _onward(self, operation: Operation, actor: Actor, scope: Scope, receive: Receive) -> Onward:
        assertion = self._keyring.sign(operation.upstream, actor)
        ours = [(b"authorization", b"Bearer " + assertion.encode()), self._outer.word]
        return Onward(scope, receive, operation.body_max or BODY_LIMIT, ours)

    async def _forward(  # noqa: PLR0913 - a request, and how far it came
        self, operation: Operation, actor: Actor, scope: Scope, receive: Receive, send: Told, sent: Sent | None
    ) -> None:
        status: int | None = None
        try:
            onward, begun = sent or (self._onward(operation, actor, scope, receive), None)
            if begun is None:
                onward.add(send.asking())
            found = await onward.asked(self._upstreams[operation.upstream], begun)
            exchange, status = found.exchange, found.exchange.status
        finally:
            send.asked(status)
        watching: asyncio.Task[None] | None = None
        try:
            # Of what was asked by HEAD nobody waits for the body: a stream's would never end.
            whole = b"" if found.whole is None and scope.get(ASKED) == "HEAD" else found.whole
            headers = _back(exchange.headers, send)
            start = {"type": "http.response.start", "status": status, "headers": headers}
            start[WITH_BODY] = whole is not None
            await send(start)
            if whole is not None:
                await send({"type": "http.response.body", "body": whole})
                return
            if operation.public is None and _streams(exchange.headers):
                # It goes on for hours, and has a bound of its own: it is no call under way any more.
                send.over()
                watching = asyncio.create_task(self._watch(operation, actor, scope, exchange))
            async for block in exchange.body():
                await send({"type": "http.response.body", "body": block, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except UpstreamDown:
            if exchange.left:
                raise CallerLeft from None
            if watching is not None and watching.done():
                # Cut by us, at the end of an event: whoever follows comes back, and is then told why not.
                await send({"type": "http.response.body", "body": b""})
                return
            raise
        finally:
            if watching is not None:
                watching.cancel()
            found.end()

    async def _watch(self, operation: Operation, actor: Actor, scope: Scope, exchange: Exchange) -> None:
        """Cut a stream when its token ends or what is granted becomes another (design 3: within a second)."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                if (await self.admit(operation, scope, None)).actor == actor:
                    continue
            except Refusal:
                # The right is gone, or cannot be looked up: nobody is let on on memory.
                pass
            exchange.abort()
            return


def _follow(upstream: Upstream, begun: Begun, told: Told, cycle: Cycle, otherwise: Callable[[], None]) -> None:
    """Answer a call by what a service says to it, where that comes soon, small and whole.

    Args:
        upstream: The service.
        begun: Whom the call was sent to.
        told: Of the call.
        cycle: Its answer.
        otherwise: Called where it does not.
    """
    instance, exchange = begun
    since = time.monotonic()

    def heard() -> None:
        body = None if cycle.flow.write_paused else exchange.there()
        if body is not None:
            upstream.working -= 1
            upstream.took(time.monotonic() - since)
            exchange.follow(None)
            instance.circuit.worked()
            instance.give_back(exchange)
            told.asked(exchange.status)
            headers = told.headers(_back(exchange.headers, told))
            told.ended(exchange.status)
            cycle.answer(exchange.status, headers, body)
        elif exchange.late or exchange.broken or (exchange.status and not exchange.small):
            upstream.working -= 1
            exchange.follow(None)
            otherwise()

    upstream.working += 1
    exchange.follow(heard, WATCH_AFTER_S)


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


def _key(operation: Operation, scope: Scope) -> Key | None:
    """Answer by what is remembered how a request was judged; None where it is judged each time."""
    tokens = scope[SAID].get(TOKEN, ())
    return (tokens[0], operation.scopes) if len(tokens) == 1 and ON_BEHALF_OF not in scope[SAID] else None


def _back(headers: Iterable[Header], told: Told) -> list[Header]:
    """Answer the headers that the caller gets of a service's, and those that every answer carries."""
    back = [header for header in headers if header[0] not in NEVER_BACK]
    there = dict(back)
    back += [header for header in ALWAYS if header[0] not in there]
    if told.traced:
        back.append((b"traceresponse", (traceresponse(told.span) or "").encode()))
    return back


def _streams(headers: Iterable[Header]) -> bool:
    """Say whether an answer goes on for as long as somebody reads it."""
    return any(name == b"content-type" and value.startswith(STREAM) for name, value in headers)


def _peer(scope: Scope) -> str:
    """Answer the address that asks; for a call that one of our pages makes, that of the browser before it."""
    return _PEER.get() or (scope["client"][0] if scope.get("client") else "")


def _unspoken(scope: Scope, carried: Mapping[str, str] | None = None) -> Scope:
    """Answer the scope without the trace that an unknown caller would have us write into, or with a partner's."""
    headers = [one for one in scope["headers"] if one[0] not in {b"traceparent", b"tracestate", b"baggage"}]
    headers += [(name.encode(), value.encode("latin-1")) for name, value in (carried or {}).items()]
    return {**scope, "headers": headers}
