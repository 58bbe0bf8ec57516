"""The reference for integrators: one OpenAPI document for the whole, a page to read it, and one for each problem."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

from fastapi import Request, Response
from starlette.responses import JSONResponse

from relais_gateway.domain.scopes import MEANINGS
from relais_gateway.forwarder import HEALTH
from relais_gateway.web.site import PageRoute, show, trouble
from relais_shared import problems
from relais_shared.service import Router

DESCRIPTION: Final = """
Find the local resource that a person needs, and hand that person over to a named colleague in another structure:
warm, with the person's agreement, closed on both sides.

Get a token at `/oauth2/token` (client credentials), then call what its scopes open. Errors are RFC 9457 problem
documents; each `type` opens a page here. Unsafe calls take `Idempotency-Key`, changes take `If-Match`.
Every answer tells by `RateLimit` and `RateLimit-Policy` how often you may still call.
"""

TOO_MANY: Final = "too-many-requests"
LIMITED: Final[Mapping[str, Any]] = {
    "headers": {
        "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
        "RateLimit-Policy": {"description": "How often one may call.", "schema": {"type": "string"}},
        "RateLimit": {"description": "How often one may still call.", "schema": {"type": "string"}},
    },
    "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
"""What the door itself answers to whoever calls too often, whatever the operation."""

PROBLEMS: Final[Mapping[str, tuple[int, str, str]]] = {
    "malformed-request": (400, "The request cannot be read.", "Send JSON as the reference shows it."),
    "idempotency-key-missing": (
        400,
        "This needs an Idempotency-Key.",
        "Send a new UUID; send the same one again when you retry.",
    ),
    "unauthenticated": (
        401,
        "We do not know who asks.",
        "Get a token at /oauth2/token and send it as Authorization: Bearer, or DPoP with a proof where it is bound.",
    ),
    "scope-missing": (
        403,
        "This needs a scope that is not held.",
        "Ask for the scope when you get the token; if it is refused, ask your administrator.",
    ),
    "no-agreement": (
        403,
        "The organisation has no agreement on record.",
        "Hand-overs need a signed agreement first: the platform's administrator records it.",
    ),
    "not-found": (404, "Not found.", "It is absent, or not yours to know of: the two answer alike."),
    "method-not-allowed": (405, "This resource has no such method.", "Allow names those that it has."),
    "transition-not-allowed": (
        409,
        "The referral's state has no such action.",
        "Do one of allowed_actions, or read it again.",
    ),
    "not-your-turn": (409, "This action belongs to the other side.", "allowed_actions names yours."),
    "consent-missing": (
        409,
        "Her agreement is missing.",
        "Record the agreement that names this recipient, then propose again.",
    ),
    "recipient-not-bound": (
        409,
        "The recipient is bound by no secrecy.",
        "Leave situation, notes and documents out of the consent.",
    ),
    "sensitive-basis-missing": (
        409,
        "A sensitive theme needs its legal basis.",
        "Say it in article_9_basis when you record the consent.",
    ),
    "request-in-progress": (
        409,
        "The first request with this key is still running.",
        "Wait as Retry-After says, then send it again unchanged.",
    ),
    "last-signing-key": (
        409,
        "Nothing else signs access tokens.",
        "Make new keys first (POST /v1/platform/signing_keys), then withdraw this one.",
    ),
    "last-administrator": (
        409,
        "Nobody could administer any more.",
        "Make somebody else an administrator first, then take the role, the account or the right away.",
    ),
    "stale-version": (412, "It changed since it was read.", "Read it again, decide again, send the new ETag."),
    "body-too-large": (413, "The body is larger than allowed.", "At most 1 MiB."),
    "unsupported-media-type": (415, "The body is of another type than expected.", "Send application/json."),
    "invalid-input": (
        422,
        "Some of the input cannot be taken.",
        "errors names every fault: a JSON pointer into the body, or ?name for a parameter.",
    ),
    "idempotency-key-reused": (
        422,
        "This Idempotency-Key was used for another request.",
        "Take a new key for a new request.",
    ),
    "personal-data-detected": (
        422,
        "A text tells more than it may.",
        "What is read before acceptance holds no name, phone, e-mail or national number.",
    ),
    "version-required": (428, "A change needs If-Match.", "Send the ETag that you read."),
    "address-too-long": (414, "The address is longer than allowed.", "Ask for less in one request."),
    "too-many-requests": (
        429,
        "Too many calls.",
        "Wait as Retry-After says. RateLimit tells in every answer what is left; violated_policies names the bound.",
    ),
    "headers-too-large": (431, "The headers are more or larger than allowed.", "Send fewer of them, or shorter ones."),
    "internal": (500, "Something went wrong on our side.", "Give the trace_id to the technical team."),
    "unavailable": (503, "Temporarily unavailable.", "Wait as Retry-After says, then send it again."),
}
"""Every problem type: status, title, what to do. A test holds it against the services' own tables."""

router = Router(include_in_schema=False)
pages = Router(include_in_schema=False)
pages.route_class = PageRoute


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """Answer the OpenAPI document of the whole."""
    own, door = request.app.openapi(), request.app.state.door
    whole = merged(own, door.documents, request.app.state.settings.public_url)
    return JSONResponse(whole, headers={"Cache-Control": "public, max-age=60"})


@pages.get("/docs")
async def docs(request: Request) -> Response:
    """Show the reference, readable without scripts."""
    own, door = request.app.openapi(), request.app.state.door
    whole = merged(own, door.documents, request.app.state.settings.public_url)
    return show(request, "docs.html", document=whole, operations=_by_tag(whole), problems=PROBLEMS)


@pages.get("/problems/{slug}")
async def problem(request: Request, slug: str) -> Response:
    """Explain one type of problem."""
    if slug not in PROBLEMS:
        return trouble(request, 404)
    status, title, advice = PROBLEMS[slug]
    return show(request, "problem.html", slug=slug, code=status, title=title, advice=advice)


def merged(own: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]], public_url: str) -> dict[str, Any]:
    """Answer one document of several; what two describe differently under one name gets its service's name before."""
    whole: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Relais", "version": "1", "description": DESCRIPTION.strip()},
        "servers": [{"url": public_url}],
        "paths": {},
        "components": {
            "schemas": {},
            "securitySchemes": {
                "oauth2": {
                    "type": "oauth2",
                    "flows": {"clientCredentials": {"tokenUrl": "/oauth2/token", "scopes": dict(MEANINGS)}},
                }
            },
        },
    }
    schemas = whole["components"]["schemas"]
    for service, document in {"gateway": own, **others}.items():
        found = deepcopy(dict(document))
        there = found.get("components", {}).get("schemas", {})
        renamed = {
            name: f"{service.title()}{name}" if name in schemas and schemas[name] != there[name] else name
            for name in there
        }
        found = _renamed(
            found, {f"#/components/schemas/{old}": f"#/components/schemas/{new}" for old, new in renamed.items()}
        )
        for name, schema in found.get("components", {}).get("schemas", {}).items():
            # Generators name their classes after the title, where there is one.
            schemas[renamed[name]] = schema if renamed[name] == name else {**schema, "title": renamed[name]}
        for path, operations in found["paths"].items():
            if service == "gateway" or path not in {"/healthz", "/readyz"}:
                whole["paths"].setdefault(path, {}).update(operations)
                for operation in operations.values():
                    if operation.get("x-relais-public") != HEALTH:
                        _limit(operation)
    return whole


def _limit(operation: dict[str, Any]) -> None:
    own = operation["responses"].get("429", {})
    if "application/json" in own.get("content", {}):
        # The authorisation server's own clients read no problem documents.
        operation["responses"]["429"] = {**LIMITED, **own}
        return
    told = f"`/problems/{TOO_MANY}`: {PROBLEMS[TOO_MANY][1]}"
    operation["responses"]["429"] = {"description": f"{own.get('description', '')} {told}".strip(), **LIMITED}


def _renamed(part: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - a JSON tree
    if isinstance(part, dict):
        return {
            key: names.get(value, value) if key == "$ref" and isinstance(value, str) else _renamed(value, names)
            for key, value in part.items()
        }
    return [_renamed(one, names) for one in part] if isinstance(part, list) else part


def _by_tag(document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Answer the operations by their first tag, as the page shows them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            scopes = [scope for way in said.get("security", ()) for names in way.values() for scope in names]
            row = {"method": method.upper(), "path": path, "scopes": scopes, **said}
            found.setdefault((said.get("tags") or ["other"])[0], []).append(row)
    return found
