"""RFC 9457 on the wire: every "no" as a problem document, with its trace id and every field at fault."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from relais_shared import refusals
from relais_shared.refusals import Refusal, how_many, reason
from relais_shared.telemetry import current_trace_id, get_logger, traceresponse

MEDIA_TYPE: Final = "application/problem+json"

RETRY_AFTER_S: Final = 1
"""What a 503 and a 409 still running advise: our restarts take about a second."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One type of problem: its stable slug, status and title.

    The `type` on the wire is `/problems/<slug>`, the same in every installation, opened by the gateway.
    """

    slug: str
    status: int
    title: str

    @property
    def type(self) -> str:
        """The `type` member."""
        return f"/problems/{self.slug}"


INVALID_INPUT = Problem("invalid-input", 422, "Some of the input cannot be taken.")
MALFORMED = Problem("malformed-request", 400, "The request cannot be read.")
INTERNAL = Problem("internal", 500, "Something went wrong on our side.")
WRONG_MEDIA_TYPE = Problem("unsupported-media-type", 415, "The body is of another type than expected.")
TOO_LARGE = Problem("body-too-large", 413, "The body is larger than allowed.")

COMMON: Final[dict[type[Refusal], Problem]] = {
    refusals.InvalidInput: INVALID_INPUT,
    refusals.MalformedRequest: MALFORMED,
    refusals.WrongMediaType: WRONG_MEDIA_TYPE,
    refusals.Unauthenticated: Problem("unauthenticated", 401, "We do not know who asks."),
    refusals.ScopeMissing: Problem("scope-missing", 403, "This needs a scope that is not held."),
    refusals.NotFound: Problem("not-found", 404, "Not found."),
    refusals.VersionRequired: Problem("version-required", 428, "A change needs If-Match."),
    refusals.StaleVersion: Problem("stale-version", 412, "It changed since it was read."),
    refusals.Unavailable: Problem("unavailable", 503, "Temporarily unavailable."),
}
"""The refusals that every service may answer."""

UNREAD: Final = "There was an error parsing the body"
"""FastAPI's words for a body of JSON that is not even text, or that nests deeper than Python reads."""

_BY_STATUS: Final = {
    400: MALFORMED,
    404: COMMON[refusals.NotFound],
    405: Problem("method-not-allowed", 405, "This resource has no such method."),
    413: TOO_LARGE,
    415: WRONG_MEDIA_TYPE,
}


def problem_response(
    problem: Problem, detail: str | None = None, *, headers: Mapping[str, str] | None = None, **members: object
) -> Response:
    """Answer a problem document, with the trace id of the running request."""
    document: dict[str, object] = {"type": problem.type, "title": problem.title, "status": problem.status}
    if detail:
        document["detail"] = detail
    document |= members
    document["trace_id"] = current_trace_id()
    more = dict(headers or {})
    if problem.status == COMMON[refusals.Unauthenticated].status:
        more.setdefault("WWW-Authenticate", "Bearer")
    if problem.status == COMMON[refusals.Unavailable].status:
        more.setdefault("Retry-After", str(RETRY_AFTER_S))
    return Response(orjson.dumps(document, default=str), problem.status, headers=more, media_type=MEDIA_TYPE)


def responses(*kinds: type[Refusal] | Problem, table: Mapping[type[Refusal], Problem] = COMMON) -> dict[int | str, Any]:
    """Answer a route's `responses=`: each problem that it can answer, by status."""
    found: dict[int | str, Any] = {}
    for kind in kinds:
        problem = kind if isinstance(kind, Problem) else {**COMMON, **table}[kind]
        entry = found.setdefault(
            problem.status,
            {
                "description": "",
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        )
        entry["description"] = f"{entry['description']} `{problem.type}`: {problem.title}".strip()
    return found


def install(app: FastAPI, table: Mapping[type[Refusal], Problem]) -> None:
    """Make the app answer every refusal, fault of input and bug as a problem document.

    Args:
        app: The service.
        table: Its own refusals; a subclass without a row answers as its nearest base.
    """
    whole = {**COMMON, **table}

    async def refused(_request: Request, refusal: Exception) -> Response:
        assert isinstance(refusal, Refusal)  # noqa: S101 - registered for this class alone
        problem = next((whole[kind] for kind in type(refusal).__mro__ if kind in whole), None)
        if problem is None:
            raise refusal
        headers = refusal.facts.get("headers")
        members = {key: value for key, value in refusal.facts.items() if key != "headers"}
        return problem_response(
            problem, refusal.detail, headers=headers if isinstance(headers, dict) else None, **members
        )

    async def invalid(_request: Request, fault: Exception) -> Response:
        assert isinstance(fault, RequestValidationError)  # noqa: S101 - registered for this class alone
        errors = fault.errors()
        if any(error["type"] == "json_invalid" for error in errors):
            return problem_response(MALFORMED, "The body is not JSON.")
        named = [{"pointer": pointer(error["loc"]), "detail": reason(error)} for error in errors]
        return problem_response(INVALID_INPUT, how_many(len(named)), errors=named)

    async def http(_request: Request, answer: Exception) -> Response:
        assert isinstance(answer, HTTPException)  # noqa: S101 - registered for this class alone
        problem = _BY_STATUS.get(answer.status_code) or Problem("about:blank", answer.status_code, answer.detail)
        unread = "Send JSON in UTF-8, not nested too deep." if answer.detail == UNREAD else None
        return problem_response(problem, unread, headers=answer.headers)

    async def bug(_request: Request, fault: Exception) -> Response:
        get_logger().error("bug", exc_info=fault)
        # This answer leaves outside of the middleware that says the trace id of the others.
        told = {"traceresponse": traceresponse() or ""}
        return problem_response(INTERNAL, "Give this trace id to the technical team.", headers=told)

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, bug)
    app.state.problems = whole


def pointer(place: tuple[int | str, ...]) -> str:
    """Answer where a fault is: a JSON pointer into the body, `?name` for a parameter, `name:` for a header."""
    kind, *path = place
    if kind == "body":
        return "/" + "/".join(str(step).replace("~", "~0").replace("/", "~1") for step in path) if path else ""
    name = ".".join(str(step) for step in path)
    return {"query": f"?{name}", "header": f"{name}:", "path": f"{{{name}}}"}.get(str(kind), name)
