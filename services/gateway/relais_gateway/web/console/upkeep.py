"""Kept right together: reports and their answers, reviews, doubles, and how well the whole directory is kept."""

import asyncio
from datetime import date
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from relais_gateway.web.api import ApiProblem, Json
from relais_gateway.web.console import words
from relais_gateway.web.console.desk import (
    CONFLICT,
    HOME,
    INVALID,
    PAGE,
    back,
    exported,
    faults_by_field,
    number,
    page,
    rows,
    wants_file,
)
from relais_gateway.web.languages import _
from relais_gateway.web.session import AsVisitor, OurForm, SignedIn, Visitor, text, texts
from relais_gateway.web.site import PageRoute

router = APIRouter(prefix=HOME, route_class=PageRoute, include_in_schema=False)

OPERATOR: Final = "platform:admin"
USUAL_DAYS: Final = 180
"""After so long without anybody's word an entry is stale, unless asked otherwise."""
SEARCHES_AT_MOST: Final = 200
"""Calls of one search for doubles: two thousand entries each."""
TAKEN: Final = ("description", "phones", "email", "website", "themes", "fees", "relay_contact", "application_process")
"""What one entry is offered to take over from the other."""

Cursor = Annotated[str, Query(max_length=500)]


def _operates(visitor: Visitor) -> bool:
    return OPERATOR in visitor.scopes


def _next(cursor: str) -> dict[str, str]:
    return {"cursor": cursor} if cursor else {}


# Reports ---------------------------------------------------------------------------------------------


@router.get("/signalements")
async def reports(
    request: Request, api: AsVisitor, visitor: SignedIn, repondus: Annotated[str, Query(max_length=3)] = "",
    cursor: Cursor = "",
) -> Response:  # fmt: skip
    """List what counsellors reported on our entries; for the operator, on those whose owner is not here."""
    path = "/v1/directory/reports" if _operates(visitor) else "/v1/directory/own/reports"
    asked = {"answered": "true" if repondus else "false"}
    if wants_file(request):
        header = [_("Service"), _("Ce qui ne va pas"), _("Précision"), _("Depuis"), _("Réponse"), _("Répondu le")]
        found = await rows(api, path, asked)
        lines = [
            (
                each["service"],
                words.said(words.REPORTED)[each["field"]],
                each["text"],
                each["at"],
                each["answer"],
                each["answered_at"],
            )
            for each in found
        ]
        return exported("signalements", header, lines)
    body = (await api.get(path, {**asked, "limit": PAGE, **_next(cursor)})).body
    return page(
        request,
        "reports.html",
        items=body["items"],
        next_cursor=body["next_cursor"],
        answered=bool(repondus),
        operator=_operates(visitor),
        words=words,
    )


@router.post("/signalements/{report_id}")
async def answer_report(api: AsVisitor, report_id: UUID, form: OurForm) -> Response:
    """Answer a report: corrected, or right as it is."""
    told: Json = {"corrected": text(form, "corrige") == "oui"}
    if words_ := text(form, "text"):
        told["text"] = words_[:1_000]
    try:
        await api.post(f"/v1/directory/own/reports/{report_id}/answer", told)
    except ApiProblem as problem:
        if problem.status == CONFLICT:
            return back(f"{HOME}/signalements", "plus_tard")
        raise
    return back(f"{HOME}/signalements", "repondu")


@router.get("/verifications")
async def reviews(request: Request, api: AsVisitor) -> Response:
    """List the entries of ours that a review asks about."""
    body = (await api.get("/v1/directory/own/reviews")).body
    return page(request, "reviews.html", items=body["items"], words=words)


# Doubles ---------------------------------------------------------------------------------------------


@router.get("/doublons")
async def duplicates(
    request: Request,
    api: AsVisitor,
    visitor: SignedIn,
    etat: Literal["proposed", "merged", "apart"] = "proposed",
    cursor: Cursor = "",
) -> Response:
    """List pairs of entries that may be one service."""
    path = "/v1/directory/duplicates" if _operates(visitor) else "/v1/directory/own/duplicates"
    body = (await api.get(path, {"state": etat, "limit": 20, **_next(cursor)})).body
    pairs = []
    for pair in body["items"]:
        cards = await asyncio.gather(*(_card(api, entry) for entry in pair["entries"]))
        pairs.append((pair, cards))
    return page(
        request,
        "duplicates.html",
        pairs=pairs,
        next_cursor=body["next_cursor"],
        state=etat,
        operator=_operates(visitor),
        taken=TAKEN,
        words=words,
    )


async def _card(api: AsVisitor, entry: Json) -> Json:
    """Answer an entry of a pair with what its page tells, where the visitor may read it."""
    try:
        found = (await api.get(f"/v1/directory/services/{entry['id']}")).body
    except ApiProblem:
        # The operator of a platform need not hold the right to read: the names are enough to decide on.
        return entry
    return {**entry, "told": found}


@router.post("/doublons/chercher")
async def find_duplicates(api: AsVisitor, _form: OurForm) -> Response:
    """Look through the whole directory for doubles; nothing is merged."""
    path, cursor = "/v1/directory/duplicates/search", ""
    for _turn in range(SEARCHES_AT_MOST):
        answer = await api.post(f"{path}?cursor={cursor}" if cursor else path, {})
        cursor = answer.body["next_cursor"] or ""
        if not cursor:
            break
    return back(f"{HOME}/doublons", "cherche")


@router.post("/doublons/{duplicate_id}/{verb}")
async def decide(
    api: AsVisitor, duplicate_id: UUID, verb: Literal["merge", "apart", "undo"], form: OurForm
) -> Response:
    """Decide on a pair, or undo what was decided."""
    marks = {"merge": "fusionne", "apart": "separe", "undo": "defait"}
    told: Json = {}
    if verb == "merge":
        told = {"keep": text(form, "keep"), "take": [each for each in texts(form, "take") if each in TAKEN]}
    try:
        await api.post(f"/v1/directory/duplicates/{duplicate_id}/{verb}", told)
    except ApiProblem as problem:
        if problem.status == CONFLICT:
            return back(f"{HOME}/doublons", "plus_tard")
        raise
    return back(f"{HOME}/doublons", marks[verb])


# The whole directory ---------------------------------------------------------------------------------


@router.get("/qualite")
async def quality(
    request: Request, api: AsVisitor, jours: Annotated[int, Query(ge=1, le=3_650)] = USUAL_DAYS, cursor: Cursor = ""
) -> Response:
    """Show how well each organisation's entries are kept, and the reviews that are under way."""
    asked = {"older_than_days": jours}
    if wants_file(request):
        header = [_("Structure"), _("Dans Relais"), _("Services"), _("Anciens"), _("Signalements"), _("Qualité (%)")]
        found = await rows(api, "/v1/directory/quality", asked)
        lines = [
            (
                each["organisation"],
                _("oui") if each["registered"] else _("non"),
                each["services"],
                each["stale"],
                each["open_reports"],
                round(each["quality"] * 100),
            )
            for each in found
        ]
        return exported("qualite", header, lines)
    return await _quality(request, api, jours, cursor)


async def _quality(  # noqa: PLR0913 - what the page is made of
    request: Request,
    api: AsVisitor,
    days: int,
    cursor: str,
    status: int = 200,
    faults: dict[str, str] | None = None,
    typed: dict[str, str] | None = None,
) -> Response:
    kept, stale, campaigns = await asyncio.gather(
        api.get("/v1/directory/quality", {"older_than_days": days, "limit": PAGE, **_next(cursor)}),
        api.get("/v1/directory/stale", {"older_than_days": days, "limit": 20}),
        api.get("/v1/directory/campaigns"),
    )
    return page(
        request,
        "quality.html",
        status,
        items=kept.body["items"],
        next_cursor=kept.body["next_cursor"],
        stale=stale.body["items"],
        campaigns=campaigns.body["items"],
        days=days,
        faults=faults or {},
        typed=typed or {},
        words=words,
    )


@router.post("/qualite/campagnes")
async def start_campaign(request: Request, api: AsVisitor, form: OurForm) -> Response:
    """Ask the owners of stale entries to look at them."""
    faults: dict[str, str] = {}
    try:
        older = number(form, "older_than_days") or USUAL_DAYS
    except ValueError:
        older, faults["older_than_days"] = USUAL_DAYS, _("Écrivez un nombre de jours, de 1 à 3 650.")
    told: Json = {"name": text(form, "name"), "older_than_days": older, "due_on": text(form, "due_on")}
    try:
        date.fromisoformat(told["due_on"])
    except ValueError:
        faults["due_on"] = _("Écrivez le jour jusqu'auquel vous attendez les réponses.")
    if not told["name"]:
        faults["name"] = _("Donnez un nom à la campagne.")
    if not faults:
        try:
            await api.post("/v1/directory/campaigns", told)
        except ApiProblem as problem:
            if problem.status != INVALID:
                raise
            said = {
                "name": _("Donnez un nom à la campagne."),
                "older_than_days": _("Écrivez un nombre de jours, de 1 à 3 650."),
                "due_on": _("Choisissez un jour à venir."),
            }
            faults = {
                name: said.get(name, detail)
                for name, detail in faults_by_field(problem, {f"/{name}": name for name in said}).items()
            }
        else:
            return back(f"{HOME}/qualite", "demande")
    typed = {name: text(form, name) for name in ("name", "older_than_days", "due_on")}
    return await _quality(request, api, USUAL_DAYS, "", INVALID, faults, typed)


@router.post("/qualite/campagnes/{campaign_id}/fin")
async def end_campaign(api: AsVisitor, campaign_id: UUID, _form: OurForm) -> Response:
    """End a review; what was not answered stays as it is."""
    await api.post(f"/v1/directory/campaigns/{campaign_id}/end", {})
    return back(f"{HOME}/qualite", "termine")
