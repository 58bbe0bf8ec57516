"""Webhook endpoints of the organisation: how they do, what was sent to them, and sending it again."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from relais_gateway.web.api import ApiProblem
from relais_gateway.web.console import words
from relais_gateway.web.console.desk import CONFLICT, HOME, PAGE, back, exported, page, rows, wants_file
from relais_gateway.web.languages import _
from relais_gateway.web.session import AsVisitor, OurForm, text
from relais_gateway.web.site import PageRoute

router = APIRouter(prefix=HOME, route_class=PageRoute, include_in_schema=False)

PATH = f"{HOME}/livraisons"
API = "/v1/webhooks"


@router.get("/livraisons")
async def endpoints(request: Request, api: AsVisitor) -> Response:
    """List the organisation's endpoints with how they do."""
    items = (await api.get(API)).body["items"]
    if wants_file(request):
        header = [_("Adresse"), _("Active"), _("Échecs"), _("En attente"), _("Mis de côté"), _("Dernier succès")]
        lines = [
            (
                each["url"],
                _("oui") if each["enabled"] else _("non"),
                each["health"]["failures"],
                each["health"]["waiting"],
                each["health"]["set_aside"],
                each["health"]["last_success_at"],
            )
            for each in items
        ]
        return exported("points-de-livraison", header, lines)
    return page(request, "endpoints.html", items=items, words=words)


@router.get("/livraisons/{webhook_id}")
async def deliveries(
    request: Request,
    api: AsVisitor,
    webhook_id: UUID,
    etat: Annotated[str, Query(max_length=20)] = "",
    cursor: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """Show one endpoint: how it does, what was sent to it, what waits."""
    asked: dict[str, Any] = {"state": [etat]} if etat in words.DELIVERIES else {}
    path = f"{API}/{webhook_id}/deliveries"
    if wants_file(request):
        header = [_("Événement"), _("Genre"), _("Moment"), _("État"), _("Essais"), _("Dernière réponse")]
        lines = [
            (
                each["event_id"],
                each["type"],
                each["time"],
                words.said(words.DELIVERIES)[each["state"]],
                len(each["attempts"]),
                str((each["attempts"] or [{}])[-1].get("status") or ""),
            )
            for each in await rows(api, path, asked)
        ]
        return exported("livraisons", header, lines)
    endpoint = (await api.get(f"{API}/{webhook_id}")).body
    body = (await api.get(path, {**asked, "limit": PAGE, **({"cursor": cursor} if cursor else {})})).body
    return page(
        request,
        "deliveries.html",
        endpoint=endpoint,
        items=body["items"],
        next_cursor=body.get("next_cursor"),
        state=etat,
        words=words,
    )


@router.post("/livraisons/{webhook_id}/essai")
async def try_endpoint(api: AsVisitor, webhook_id: UUID, _form: OurForm) -> Response:
    """Send a test message."""
    return await _done(api, f"{API}/{webhook_id}/test", webhook_id, "essai")


@router.post("/livraisons/{webhook_id}/renvoyer")
async def replay(api: AsVisitor, webhook_id: UUID, form: OurForm) -> Response:
    """Send one event again, or all that were set aside."""
    event = text(form, "event")
    try:
        path = f"{API}/{webhook_id}/deliveries/{UUID(event)}/replay" if event else f"{API}/{webhook_id}/replay"
    except ValueError:
        return back(f"{PATH}/{webhook_id}")
    return await _done(api, path, webhook_id, "renvoye")


async def _done(api: AsVisitor, path: str, webhook_id: UUID, mark: str) -> Response:
    try:
        await api.post(path, {})
    except ApiProblem as problem:
        if problem.status == CONFLICT:
            return back(f"{PATH}/{webhook_id}", "plus_tard")
        raise
    return back(f"{PATH}/{webhook_id}", mark)
