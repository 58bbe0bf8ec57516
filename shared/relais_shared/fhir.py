"""What every FHIR R4 route does: its media type, its errors as OperationOutcome, its pages as Bundles."""

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError

from relais_shared import problems
from relais_shared.problems import INVALID_INPUT, Problem, pointer
from relais_shared.refusals import Fault, InvalidInput, Refusal, reason
from relais_shared.service import GuardedRoute, Router

MEDIA_TYPE: Final = "application/fhir+json"

CODES: Final[Mapping[int, str]] = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    409: "conflict",
    422: "invalid",
    503: "transient",
}
"""The issue type (FHIR's value set) of each status; any other is a `processing` fault."""


def answered(resource: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer a resource; it is nobody's to keep."""
    more = {"Cache-Control": "no-store", **(headers or {})}
    return Response(orjson.dumps(resource, default=str), status, headers=more, media_type=MEDIA_TYPE)


def outcome(problem: Problem, details: Sequence[tuple[str, str | None]]) -> dict[str, Any]:
    """Answer what went wrong as an OperationOutcome: texts, each with the parameter at fault where one is.

    Args:
        problem: What it is called elsewhere; its type stands in `details`.
        details: A text and where; at least one.
    """
    code = CODES.get(problem.status, "processing")
    called = {"coding": [{"system": "/problems", "code": problem.type.rpartition("/")[2]}], "text": problem.title}
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {"severity": "error", "code": code, "details": called, "diagnostics": text}
            | ({"expression": [place]} if place else {})
            for text, place in details
        ],
    }


class FhirRoute(GuardedRoute):
    """A route whose refusals are OperationOutcomes; its status is that of the same refusal elsewhere."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Answer the handler, its refusals told in FHIR's words."""
        handler = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handler(request)
            except Refusal as no:
                table: Mapping[type[Refusal], Problem] = request.app.state.problems
                problem = next((table[kind] for kind in type(no).__mro__ if kind in table), None)
                if problem is None:
                    raise
                headers = no.facts.get("headers")
                said: list[tuple[str, str | None]] = [(no.detail or problem.title, None)]
                errors = no.facts.get("errors")
                said += [(one["detail"], one["pointer"]) for one in errors] if isinstance(errors, list) else []
                given = headers if isinstance(headers, dict) else None
                return answered(outcome(problem, said), problem.status, given)
            except RequestValidationError as fault:
                said = [(reason(one), pointer(one["loc"])) for one in fault.errors()]
                return answered(outcome(INVALID_INPUT, said), INVALID_INPUT.status)

        return told


class FhirRouter(Router):
    """A router of FHIR routes."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - APIRouter's own options
        super().__init__(**options)
        self.route_class = FhirRoute


def answers(resource: str) -> dict[int | str, Any]:
    """Answer a route's `responses=`: the resource, and each refusal as an OperationOutcome.

    Who is not let in at all is told so at the door, which speaks problem documents.
    """
    content = {MEDIA_TYPE: {"schema": {"type": "object"}}}
    at_the_door = content | {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        200: {"description": f"`{resource}` (R4).", "content": content},
        401: {"description": "Unknown caller.", "content": at_the_door},
        403: {"description": "The scope is not held.", "content": at_the_door},
        404: {"description": "`OperationOutcome`: absent, or not yours to know of.", "content": content},
        422: {"description": "`OperationOutcome`: a parameter cannot be taken.", "content": content},
    }


def once_each(request: Request) -> None:
    """Refuse a search parameter that stands twice: both would have to hold, and one would be lost.

    Raises:
        InvalidInput: Names every one that does.
    """
    given = Counter(
        name for name, _ in parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    )
    if found := [Fault(f"?{name}", "Give it once.") for name, times in given.items() if times > 1]:
        raise InvalidInput.of(*found)


def searched(base: str, resources: Sequence[Mapping[str, Any]], *, own: str, following: str | None) -> dict[str, Any]:
    """Answer a page of a search as a Bundle.

    Args:
        base: The address of the FHIR endpoint, without a slash at its end.
        resources: Each with `resourceType` and `id`.
        own: What was asked, from the type on: `Task?status=requested`.
        following: The same for the next page; none where nothing follows.
    """
    links = [{"relation": "self", "url": f"{base}/{own}"}]
    if following is not None:
        links.append({"relation": "next", "url": f"{base}/{following}"})
    entries = [
        {"fullUrl": f"{base}/{one['resourceType']}/{one['id']}", "resource": one, "search": {"mode": "match"}}
        for one in resources
    ]
    # FHIR takes no empty array.
    return {"resourceType": "Bundle", "type": "searchset", "link": links} | ({"entry": entries} if entries else {})


def instant(prefixed: str) -> str:
    """Answer the date or instant of `ge…`, the one comparison that is served.

    Raises:
        ValueError: Another comparison, or none.
    """
    if not prefixed.startswith("ge"):
        raise ValueError("Only `ge` (at or after) is served, as in ge2026-11-03T09:12:44Z.")
    value = prefixed.removeprefix("ge")
    return f"{value}T00:00:00Z" if len(value) == len("2026-11-03") else value


def without_empty(value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """Answer a resource without what is absent or empty: FHIR takes neither null nor an empty list or object."""
    if isinstance(value, Mapping):
        kept = {name: without_empty(one) for name, one in value.items()}
        return {name: one for name, one in kept.items() if one not in (None, "", [], {})}
    if isinstance(value, list):
        return [one for one in map(without_empty, value) if one not in (None, "", [], {})]
    return value
