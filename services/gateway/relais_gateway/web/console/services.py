"""An organisation's own services: open places in one click, confirmed in one click, edited, opened and closed."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from relais_gateway.web.api import Api, ApiProblem, Json
from relais_gateway.web.console import sheet, words
from relais_gateway.web.console.desk import (
    CONFLICT,
    HOME,
    INVALID,
    PAGE,
    STALE,
    back,
    exported,
    faults_by_field,
    number,
    page,
    rows,
    wants_file,
)
from relais_gateway.web.languages import _
from relais_gateway.web.lookups import themes_of
from relais_gateway.web.session import AsVisitor, OurForm, text
from relais_gateway.web.site import PageRoute

router = APIRouter(prefix=HOME, route_class=PageRoute, include_in_schema=False)

PATH: Final = f"{HOME}/services"
STALE_DAYS: Final = 180
"""After so long a list that asks for what is stale shows an entry."""
HISTORY: Final = 20
"""Changes shown below an entry."""


def _asked(state: str, *, stale: bool) -> dict[str, str | int]:
    asked: dict[str, str | int] = {}
    if state in words.STATUSES:
        asked["status"] = state
    if stale:
        asked["stale_days"] = STALE_DAYS
    return asked


@router.get("/services")
async def services(
    request: Request,
    api: AsVisitor,
    etat: Annotated[str, Query(max_length=30)] = "",
    anciens: Annotated[str, Query(max_length=3)] = "",
    cursor: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """List the organisation's services with their open places, freshness, quality and reports."""
    asked = _asked(etat, stale=bool(anciens))
    if wants_file(request):
        header = [
            _("Service"), _("État"), _("Places"), _("Attente (jours)"), _("Places dites le"), _("Confirmé le"),
            _("Qualité (%)"), _("Signalements"),
        ]  # fmt: skip
        found = await rows(api, "/v1/directory/own/services", asked)
        return exported("services", header, [_line(each) for each in found])
    more = {"cursor": cursor} if cursor else {}
    body = (await api.get("/v1/directory/own/services", {**asked, "limit": PAGE, **more})).body
    return page(
        request,
        "services.html",
        items=body["items"],
        next_cursor=body["next_cursor"],
        state=etat,
        stale=bool(anciens),
        words=words,
    )


def _line(each: Json) -> tuple[str | int | None, ...]:
    capacity = each["capacity"] or {}
    return (
        each["name"],
        words.said(words.STATUSES)[each["status"]],
        capacity.get("available"),
        capacity.get("waiting_days"),
        capacity.get("updated_at"),
        each["assured_on"],
        round(each["quality"] * 100),
        each["open_reports"],
    )


@router.post("/services/{service_id}/places")
async def tell_capacity(request: Request, api: AsVisitor, service_id: UUID, form: OurForm) -> Response:
    """Tell the open places of a service; what else was told of them stays."""
    there = _where(text(form, "retour"))
    try:
        told: dict[str, Any] = {"available": number(form, "available")}
        for name in ("waiting_days", "maximum"):
            told[name] = number(form, name)
    except ValueError:
        return await _again(request, api, service_id, _("Écrivez un nombre entier, par exemple 3."))
    if told["available"] is None:
        return await _again(request, api, service_id, _("Dites combien de places sont libres ; 0 si c'est complet."))
    if told["maximum"] is not None and told["maximum"] < told["available"]:
        # More open than was ever told: what was told of the whole no longer holds.
        told["maximum"] = None
    told |= {name: text(form, name) for name in ("unit", "description") if text(form, name)}
    told = {name: value for name, value in told.items() if value is not None}
    try:
        await api.put(f"/v1/directory/services/{service_id}/capacity", told)
    except ApiProblem as problem:
        if problem.status == INVALID:
            return await _again(request, api, service_id, _("Ce nombre ne peut pas être pris : de 0 à 100 000."))
        if problem.status == CONFLICT:
            return back(there, "plus_tard")
        raise
    return back(there, "places")


async def _again(request: Request, api: Api, service_id: UUID, fault: str) -> Response:
    """Show the list again with what is wrong beside the service's field."""
    body = (await api.get("/v1/directory/own/services", {"limit": PAGE})).body
    return page(
        request,
        "services.html",
        INVALID,
        items=body["items"],
        next_cursor=body["next_cursor"],
        state="",
        stale=False,
        words=words,
        faults={str(service_id): fault},
    )


@router.post("/services/{service_id}/confirmer")
async def confirm(api: AsVisitor, service_id: UUID, form: OurForm) -> Response:
    """Say that an entry is right today."""
    await api.post(f"/v1/directory/services/{service_id}/confirmations", {})
    return back(_where(text(form, "retour")), "confirme")


def _where(asked: str) -> str:
    """Answer the page of the console to go on to."""
    return asked if asked in {PATH, f"{HOME}/verifications"} or asked.startswith(f"{PATH}/") else PATH


@router.get("/services/nouveau")
async def new_service(request: Request, api: AsVisitor) -> Response:
    """Open an empty sheet."""
    # Whoever may not write is told so before writing.
    await api.get("/v1/directory/own/reviews")
    return await _sheet(request, api, sheet.Sheet.of({}))


@router.post("/services/nouveau")
async def create_service(request: Request, api: AsVisitor, form: OurForm) -> Response:
    """Create a service, as a draft or published."""
    written = sheet.Sheet.typed(form, {})
    if not written.faults:
        record = written.record() | {"status": "active" if text(form, "publier") else "draft"}
        try:
            answer = await api.post("/v1/directory/services", record)
        except ApiProblem as problem:
            if problem.status != INVALID:
                raise
            written = written.refused(faults_by_field(problem, sheet.POINTERS))
        else:
            return back(f"{PATH}/{answer.location.rpartition('/')[2]}" if answer.location else PATH, "cree")
    return await _sheet(request, api, written, INVALID)


@router.get("/services/{service_id}")
async def service(request: Request, api: AsVisitor, service_id: UUID) -> Response:
    """Show one entry to be edited, with its state and its history."""
    read = await api.get(f"/v1/directory/services/{service_id}/record")
    return await _sheet(request, api, sheet.Sheet.of(read.body), service_id=service_id, version=read.version)


@router.post("/services/{service_id}")
async def change_service(request: Request, api: AsVisitor, service_id: UUID, form: OurForm) -> Response:
    """Write what was changed; every fault stands beside its field, and what was typed stays."""
    path = f"/v1/directory/services/{service_id}/record"
    read = await api.get(path)
    written, version = sheet.Sheet.typed(form, read.body), text(form, "version")
    if not written.faults:
        try:
            await api.patch(path, written.changes(), version=version)
        except ApiProblem as problem:
            if problem.status == STALE:
                return back(f"{PATH}/{service_id}", "change")
            if problem.status == CONFLICT:
                return back(f"{PATH}/{service_id}", "plus_tard")
            if problem.status != INVALID:
                raise
            written = written.refused(faults_by_field(problem, sheet.POINTERS))
        else:
            return back(f"{PATH}/{service_id}", "enregistre")
    return await _sheet(request, api, written, INVALID, service_id=service_id, version=version)


@router.post("/services/{service_id}/etat")
async def change_state(request: Request, api: AsVisitor, service_id: UUID, form: OurForm) -> Response:
    """Publish, close for a while, open again, suspend or retire."""
    path, version, wanted = f"/v1/directory/services/{service_id}/record", text(form, "version"), text(form, "etat")
    change: dict[str, Any] = {"status": wanted, "closed_from": None, "closed_until": None}
    if wanted == "temporarily_closed":
        change |= {name: text(form, name) or None for name in ("closed_from", "closed_until")}
    try:
        if wanted == "retired":
            await api.delete(f"/v1/directory/services/{service_id}", version=version)
            return back(PATH, "retire")
        await api.patch(path, change, version=version)
    except ApiProblem as problem:
        if problem.status in {STALE, CONFLICT}:
            return back(f"{PATH}/{service_id}", "change" if problem.status == STALE else "plus_tard")
        if problem.status != INVALID:
            raise
        read = await api.get(path)
        faults = faults_by_field(problem, {**sheet.POINTERS, "": "closed_until"})
        written = sheet.Sheet.of(read.body).refused(faults)
        return await _sheet(request, api, written, INVALID, service_id=service_id, version=read.version)
    return back(f"{PATH}/{service_id}", "enregistre")


async def _sheet(  # noqa: PLR0913 - what the page is made of
    request: Request,
    api: Api,
    written: sheet.Sheet,
    status: int = 200,
    *,
    service_id: UUID | None = None,
    version: str = "",
) -> Response:
    themes = await themes_of(request, api)
    history: list[Json] = []
    if service_id is not None:
        path = f"/v1/directory/services/{service_id}/history"
        history = (await api.get(path, {"limit": HISTORY})).body["items"]
    return page(
        request,
        "sheet.html",
        status,
        written=written,
        faults=written.faults,
        service_id=service_id,
        version=version,
        families=sheet.families(themes),
        spoken=sheet.SPOKEN,
        week_days=words.week_days(),
        history=history,
        words=words,
    )
