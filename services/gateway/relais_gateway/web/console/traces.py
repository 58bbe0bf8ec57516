"""Traces and health: one request followed through every service, and whether each of them answers."""

import re
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from relais_gateway.web.api import Api, segment
from relais_gateway.web.console import words
from relais_gateway.web.console.arrows import picture
from relais_gateway.web.console.desk import HOME, PAGE, back, exported, page, rows, wants_file
from relais_gateway.web.console.waterfall import WIDE, bars, share
from relais_gateway.web.languages import _, later
from relais_gateway.web.session import AsVisitor, SignedIn, Visitor, door
from relais_gateway.web.site import PageRoute
from relais_shared.client import TransportError

router = APIRouter(prefix=HOME, route_class=PageRoute, include_in_schema=False)

SLOW_MS: Final = (0, 100, 300, 1_000, 3_000)
"""Durations to begin a list with."""
STATUSES: Final = ("ok", "error")
ANSWERS: Final = (200, 201, 204, 400, 401, 403, 404, 409, 412, 422, 429, 500, 503)
"""Statuses of HTTP to choose from."""
REFUSED: Final = (401, 403)
"""Where the dry run can say why."""
WINDOWS: Final = {
    15: later("le dernier quart d'heure"),
    60: later("la dernière heure"),
    360: later("les six dernières heures"),
    1_440: later("le dernier jour"),
}
"""How far back the service map looks, in minutes."""
TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")


@router.get("/traces")
async def traces(  # noqa: PLR0913 - the filters of the list
    request: Request,
    api: AsVisitor,
    visitor: SignedIn,
    service: Annotated[str, Query(max_length=100)] = "",
    status: Annotated[str, Query(max_length=10)] = "",
    min_duration_ms: Annotated[int, Query(ge=0)] = 0,
    organisation: Annotated[str, Query(max_length=36)] = "",
    http_status: Annotated[int, Query(ge=0, le=599)] = 0,
    fond: Annotated[str, Query(max_length=3)] = "",
    cursor: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """List what came in, the newest first, with how long each took."""
    asked: dict[str, str | int] = {} if fond else {"calls": "true"}
    if http_status in ANSWERS:
        asked["http_status"] = http_status
    if service in words.SERVICES:
        asked["service"] = service
    if status in STATUSES:
        asked["status"] = status
    if min_duration_ms:
        asked["min_duration_ms"] = min_duration_ms
    if id_ := _id(organisation):
        asked["organisation"] = id_
    if wants_file(request):
        found = await rows(api, "/v1/traces", asked)
        header = [
            _("Trace"), _("Début"), _("Appel"), _("Services"), _("Durée (ms)"), _("Étapes"), _("État"), _("Réponse"),
        ]  # fmt: skip
        lines = [
            (
                each["trace_id"],
                each["started_at"],
                each["root"],
                " ".join(each["services"]),
                each["duration_ms"],
                each["spans"],
                each["status"],
                each["http_status"],
            )
            for each in found
        ]
        return exported("traces", header, lines)
    body = (await api.get("/v1/traces", {**asked, "limit": PAGE, **({"cursor": cursor} if cursor else {})})).body
    items: list[dict[str, Any]] = body["items"]
    longest = max((each["duration_ms"] for each in items), default=0.0)
    return page(
        request,
        "traces.html",
        items=[(each, share(each["duration_ms"], longest)) for each in items],
        next_cursor=body.get("next_cursor"),
        asked={
            **{name: value for name, value in asked.items() if name != "calls"},
            **({"fond": "oui"} if fond else {}),
        },
        names=await _names(api, visitor),
        answers=ANSWERS,
        slow=SLOW_MS,
        words=words,
    )


def _id(written: str) -> str:
    """Answer an id as somebody pasted it; nothing where it is none."""
    try:
        return str(UUID(written.strip()))
    except ValueError:
        return ""


async def _names(api: Api, visitor: Visitor) -> dict[str, str]:
    """Answer organisations by id, for whoever may list them."""
    if "platform:admin" not in visitor.scopes:
        return {}
    return {each["id"]: each["name"] for each in (await api.get("/v1/organisations")).body["items"]}


@router.get("/traces/chercher")
async def find_trace(code: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Open a trace by the code that an error page shows; a whole `traceparent` or link may be pasted."""
    found = TRACE_ID.search(code.lower())
    return back(f"{HOME}/traces/{found.group()}" if found else f"{HOME}/traces")


@router.get("/traces/carte")
async def service_map(request: Request, api: AsVisitor, minutes: int = min(WINDOWS)) -> Response:
    """Show which process calls which: how often, with how many faults, how long it takes; a table and a drawing."""
    minutes = minutes if minutes in WINDOWS else min(WINDOWS)
    calls: list[dict[str, Any]] = (await api.get("/v1/traces/map", {"minutes": minutes})).body["calls"]
    if wants_file(request):
        header = [
            _("Qui appelle"), _("Qui est appelé"), _("Appels"), _("Par seconde"), _("En erreur"),
            _("Durée médiane (ms)"), _("95 sur 100 en moins de (ms)"),
        ]  # fmt: skip
        figures = ("calls", "per_second", "errors", "median_ms", "p95_ms")
        lines = [(one["caller"] or _("Dehors"), one["service"], *(one[name] for name in figures)) for one in calls]
        return exported("appels", header, lines)
    return page(
        request,
        "map.html",
        calls=calls,
        picture=picture(calls),
        minutes=minutes,
        windows=words.said(WINDOWS),
        words=words,
    )


@router.get("/traces/{trace_id}")
async def trace(request: Request, api: AsVisitor, visitor: SignedIn, trace_id: str) -> Response:
    """Show one trace as a waterfall."""
    body = (await api.get(f"/v1/traces/{segment(trace_id)}")).body
    drawn = bars(body["spans"])
    organisations = {
        str(one["attributes"]["relais.organisation_id"])
        for one in body["spans"]
        if "relais.organisation_id" in one["attributes"]
    }
    return page(
        request,
        "trace.html",
        trace_id=body["trace_id"],
        bars=drawn,
        wide=WIDE,
        whole_ms=max((bar.starts_ms + bar.span["duration_ms"] for bar in drawn), default=0),
        organisations=sorted(organisations),
        organisation_names=await _names(api, visitor),
        root=drawn[0].span if drawn else None,
        refused=bool(drawn) and drawn[0].span["attributes"].get("http.response.status_code") in REFUSED,
        link=f"{request.app.state.settings.public_url}{HOME}/traces/{body['trace_id']}",
        words=words,
    )


@router.get("/sante")
async def health(request: Request, api: AsVisitor) -> Response:
    """Say whether each service answers, and what went wrong lately."""
    # What is open to all says too little of who may look: the traces come first, and with them the right to.
    wrong = (await api.get("/v1/traces", {"status": "error", "limit": 10})).body["items"]
    try:
        answer = (await door(request).get("/readyz")).json()
    except (TransportError, ValueError):
        answer = {}
    checks = answer.get("checks") or {}
    return page(
        request,
        "health.html",
        checks=[(name, bool(checks[name])) for name in ("database", "directory", "referral") if name in checks],
        wrong=wrong,
        words=words,
    )
