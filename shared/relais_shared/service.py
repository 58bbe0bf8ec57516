"""Assembly of a service: problems, telemetry, OpenAPI, health, and the server that runs it."""

import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import cached_property
from inspect import iscoroutinefunction
from pathlib import Path
from socket import socket
from typing import Any, Final

import uvicorn
from fastapi import APIRouter, FastAPI, Request, params
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relais_shared import documents, problems, telemetry
from relais_shared.auth import Guard, Keyring, public
from relais_shared.db import Database
from relais_shared.protocol import INSIDE_HEAD_LIMIT, LARGE_HEAD, LONG_TARGET, DeadlineProtocol
from relais_shared.refusals import Refusal, Unavailable, WrongMediaType
from relais_shared.settings import ServiceSettings, SettingsProblem

BODY_LIMIT: Final = 1 << 20
"""Bytes of a body: the largest referral with every text at its longest is a tenth of this (design 10)."""
STOP_WITHIN_S: Final = 10
"""Requests under way may take this long when the service stops."""
ACCEPTED_AT_ONCE: Final = 16
"""New connections taken in one turn of the loop, at most (`listening`)."""

COLLECTED_AFTER: Final = 20_000
"""New objects after which Python looks for what refers to itself alone; by default 700, a few times in each request."""


class GuardedRoute(APIRoute):
    """A route that judges its caller before its body is even read (design 10: 401 before the body)."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say whether it serves a request; most routes can tell by how its path ends, without looking closer."""
        if not scope["path"].endswith(self._end):
            return Match.NONE, {}
        return super().matches(scope)

    @cached_property
    def _end(self) -> str:
        return self.path_format.rpartition("}")[2]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Answer FastAPI's handler behind the route's own guards."""
        guards = guards_of(self)
        if (called := _called_directly(self, guards)) is not None:
            return called
        handler = super().get_route_handler()
        takes_json = self.body_field is not None and not isinstance(self.body_field.field_info, params.Form)

        async def judged(request: Request) -> Response:
            for guard in guards:
                request.scope["relais.actor"] = await guard(request)
            if takes_json:
                _says_json(request)
            return await handler(request)

        return judged if guards or takes_json else handler


def _says_json(request: Request) -> None:
    """See that a body says that it is JSON: a browser's form, which any page may send anywhere, never does.

    Raises:
        WrongMediaType: There is a body, and it says something else or nothing.
    """
    headers = request.headers
    if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
        return
    kind, _, subtype = headers.get("content-type", "").partition(";")[0].strip().lower().partition("/")
    if kind != "application" or not (subtype == "json" or subtype.endswith("+json")):
        raise WrongMediaType("Send JSON, and say so: Content-Type: application/json.")


def _called_directly(
    route: APIRoute, guards: Sequence[Guard]
) -> Callable[[Request], Coroutine[Any, Any, Response]] | None:
    """Answer a handler of a route that takes its request and its caller alone, and makes its answer itself.

    There is nothing that FastAPI would have to find out for it, and its finding out costs as much as a search. None
    for every other route.
    """
    wanted = route.dependant
    makes_its_answer = route.response_class is Response and route.response_field is None
    others = (
        *(wanted.path_params, wanted.query_params, wanted.header_params, wanted.cookie_params, wanted.body_params),
        *(wanted.response_param_name, wanted.background_tasks_param_name),
    )
    if not makes_its_answer or any(others) or len(guards) != len(wanted.dependencies) or len(guards) != 1:
        return None
    (guard,), (dependency,) = guards, wanted.dependencies
    name, request_name, endpoint = dependency.name, wanted.request_param_name, route.endpoint
    if name is None or request_name is None or not iscoroutinefunction(endpoint):
        return None

    async def called(request: Request) -> Response:
        actor = request.scope["relais.actor"] = await guard(request)
        answer: Response = await endpoint(**{request_name: request, name: actor})
        return answer

    return called


class Router(APIRouter):
    """An APIRouter whose routes are guarded; every router of Relais is one."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - APIRouter's own options
        super().__init__(route_class=GuardedRoute, generate_unique_id_function=lambda route: route.name, **options)


def guards_of(route: APIRoute | RouteContext) -> list[Guard]:
    """Answer the guards of a route: its `requires(...)` and `from_service(...)`."""
    return [each.call for each in route.dependant.dependencies if isinstance(each.call, Guard)]


class TraceResponse:
    """Says the trace id of every answer, where an administrator finds what happened."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add `traceresponse` (W3C) to the head of the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start" and (told := telemetry.traceresponse()):
                MutableHeaders(scope=message)["traceresponse"] = told
            await send(message)

        await self._app(scope, receive, tell)


Check = Callable[[FastAPI], Awaitable[Mapping[str, bool]]]
Opened = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def build_app(  # noqa: PLR0913 - the parts of a service, each by name
    settings: ServiceSettings,
    *,
    title: str,
    description: str,
    table: Mapping[type[Refusal], problems.Problem],
    routers: Iterable[APIRouter],
    migrations: Path,
    opened: Opened | None = None,
    upstreams: Check | None = None,
    database_options: Mapping[str, str] | None = None,
    scopes: Mapping[str, str] | None = None,
    inside: bool = True,
) -> FastAPI:
    """Assemble a service from its parts.

    Args:
        settings: Its settings, read once.
        title: Its name for integrators.
        description: What it is for, in Markdown.
        table: Its own refusals and their problems.
        routers: Its routes.
        migrations: Its migrations folder; it refuses to start on another schema.
        opened: What else opens and closes with it.
        upstreams: What else must answer for it to be ready, by name.
        database_options: PostgreSQL settings of its connections.
        scopes: Scope → meaning, for its OpenAPI document.
        inside: Only our own services reach it: `/metrics` and its own `/openapi.json` are here.

    Returns:
        The app. Its state holds settings, database and keyring, also before it starts.
    """
    telemetry.set_up(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(app.state.database.close)
            try:
                await app.state.database.check_schema(migrations)
                if opened is not None:
                    await stack.enter_async_context(opened(app))
            except SettingsProblem as problem:
                # Logged here because the server below logs only where it happened, not what to do.
                telemetry.get_logger().error("cannot start", reason=str(problem))
                raise
            yield
        telemetry.stop()

    app = FastAPI(
        title=title,
        description=description,
        version="1",
        lifespan=lifespan,
        openapi_url="/openapi.json" if inside else None,
        docs_url=None,
        redoc_url=None,
        max_body_size=BODY_LIMIT,
        telemetry=telemetry.fastapi_config(),
        separate_input_output_schemas=False,
        # Strict addresses: a redirect would lose the Authorization header on its way.
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.database = Database(settings, **(database_options or {}))
    app.state.keyring = Keyring.load(settings)
    app.add_middleware(TraceResponse)
    problems.install(app, table)
    if inside:
        app.add_api_route("/metrics", metrics_route, include_in_schema=False)
    for router in (_health(upstreams), *routers):
        # Each route as it is: one of an included router is made anew, looked for twice, and bounded three times.
        app.router.routes.extend(router.routes)
    app.openapi = lambda: _openapi(app, scopes or {}, migrations.parent)  # type: ignore[method-assign]  # FastAPI's documented way
    return app


async def metrics_route() -> Response:
    """Answer this process's metrics for Prometheus."""
    page, kind = telemetry.metrics_page()
    return Response(page, media_type=kind)


def _health(upstreams: Check | None) -> Router:
    routes = Router(tags=["health"])

    @routes.get("/healthz", openapi_extra=public("health"))
    async def healthz() -> Mapping[str, str]:
        """Say that the process is alive."""
        return {"status": "alive"}

    @routes.get("/readyz", openapi_extra=public("health"), responses=problems.responses(Unavailable))
    async def readyz(request: Request) -> Response:
        """Say whether it can work: its database and what it depends on answer."""
        checks = {"database": await request.app.state.database.ping()}
        if upstreams is not None:
            checks |= await upstreams(request.app)
        if not all(checks.values()):
            down = ", ".join(name for name, up in checks.items() if not up)
            raise Unavailable(f"No answer from: {down}.", checks=checks)
        return JSONResponse({"status": "ready", "checks": checks})

    return routes


def _openapi(app: FastAPI, scopes: Mapping[str, str], package: Path) -> dict[str, Any]:
    app.openapi_schema = app.openapi_schema or documents.kept(package)
    if app.openapi_schema is None:
        app.openapi_schema = described(app, scopes)
        documents.keep(package, app.openapi_schema)
    return app.openapi_schema


def described(app: FastAPI, scopes: Mapping[str, str]) -> dict[str, Any]:
    """Answer an app's OpenAPI document, each operation with its scopes as alternatives (design 3)."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    # FastAPI's own description of 422 is not what we answer.
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas["Problem"] = PROBLEM_SCHEMA
    used: set[str] = set()
    for route in api_routes(app.routes):
        for method in route.methods or ():
            operation = document["paths"].get(route.path_format, {}).get(method.lower())
            if operation is None:
                continue
            wanted = [scope for guard in guards_of(route) for scope in guard.scopes]
            if wanted:
                operation["security"] = [{"oauth2": [scope]} for scope in wanted]
                used.update(wanted)
            if "application/json" in operation.get("requestBody", {}).get("content", {}):
                operation["responses"].setdefault("415", problems.responses(problems.WRONG_MEDIA_TYPE)[415])
            for parameter in operation.get("parameters", ()):
                # Where it is missing we answer 428, not 422: FastAPI takes it for optional.
                if (parameter["in"], parameter["name"].lower()) == ("header", "if-match"):
                    parameter["required"] = True
                # Whoever reads its head says so before an operation hears of it.
                too_much = LARGE_HEAD if parameter["in"] in {"header", "cookie"} else LONG_TARGET
                operation["responses"].setdefault(str(too_much.status), problems.responses(too_much)[too_much.status])
            if "requestBody" in operation:
                operation["responses"].setdefault("400", problems.responses(problems.MALFORMED)[400])
                # The door says so before the service does.
                operation["responses"].setdefault("413", problems.responses(problems.TOO_LARGE)[413])
            answer = operation["responses"].get("422")
            if answer and "HTTPValidationError" in str(answer):
                operation["responses"]["422"] = problems.responses(problems.INVALID_INPUT)[422]
    components["securitySchemes"] = {
        "oauth2": {
            "type": "oauth2",
            "flows": {
                "clientCredentials": {
                    "tokenUrl": "/oauth2/token",
                    "scopes": {scope: scopes.get(scope, scope) for scope in sorted(used | set(scopes))},
                }
            },
        }
    }
    return document


def api_routes(routes: Sequence[BaseRoute]) -> list[RouteContext]:
    """Answer every API route of an app with its whole path, those of included routers too."""
    return [each for each in iter_route_contexts(routes) if isinstance(each.original_route, APIRoute)]


PROBLEM_SCHEMA: Final = {
    "title": "Problem",
    "description": "RFC 9457 problem document.",
    "type": "object",
    "required": ["type", "title", "status", "trace_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "trace_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
        "allowed_actions": {"type": "array", "items": {"type": "string"}},
    },
}


def server(
    app: ASGIApp, *, host: str, port: int, head_limit: int = INSIDE_HEAD_LIMIT, keep_alive_s: int = 75
) -> uvicorn.Server:
    """Answer the server of an app, not yet running.

    Args:
        app: Any ASGI app.
        host: Address to listen on.
        port: Port to listen on.
        head_limit: Bytes of a request's head.
        keep_alive_s: Idle seconds of a kept connection; longer than our own clients keep theirs.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=type("Protocol", (DeadlineProtocol,), {"head_limit": head_limit}),
            loop="uvloop",
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=True,
            proxy_headers=False,
            timeout_keep_alive=keep_alive_s,
            timeout_graceful_shutdown=STOP_WITHIN_S,
        )
    )


def listening(config: uvicorn.Config) -> list[socket]:
    """Bind where a server shall listen, and answer that socket under several handles.

    uvloop takes one new connection for each handle in each turn of its loop (libuv has done so since 1.45). Where much
    is to be done a turn takes long, and whoever has just connected would wait for as many turns as others stand before:
    seconds, while a request on a kept connection is answered at once (docs/decisions/0035).

    Raises:
        SystemExit: The address cannot be had; the log says why.
    """
    first = config.bind_socket()
    return [first, *(first.dup() for _ in range(ACCEPTED_AT_ONCE - 1))]


def serve(app: ASGIApp, settings: ServiceSettings, *, head_limit: int = INSIDE_HEAD_LIMIT) -> None:
    """Run a service until it is told to stop (SIGTERM or Ctrl-C).

    Args:
        app: The service.
        settings: Say where it listens.
        head_limit: Bytes of a request's head.

    Raises:
        SystemExit: It could not start; the log says why.
    """
    running = server(app, host=settings.host, port=settings.port, head_limit=head_limit)
    # What was imported and put together lives as long as the process: no collection need ever look at it again.
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER)
    gc.enable()
    running.run(sockets=listening(running.config))
    if not running.started:
        raise SystemExit(3)
