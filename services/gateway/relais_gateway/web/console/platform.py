"""Who can do what: organisations and their rights, a dry run of a system's call, who changed what."""

import asyncio
from datetime import date
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from relais_gateway.domain.scopes import MEANINGS
from relais_gateway.web.api import Api, ApiProblem, Json, segment
from relais_gateway.web.console import words
from relais_gateway.web.console.accounts import ROLES
from relais_gateway.web.console.desk import CONFLICT, GONE, HOME, INVALID, PAGE, back, exported, page, rows, wants_file
from relais_gateway.web.languages import _
from relais_gateway.web.session import AsVisitor, OurForm, text
from relais_gateway.web.site import PageRoute

router = APIRouter(prefix=HOME, route_class=PageRoute, include_in_schema=False)

PATH: Final = f"{HOME}/structures"
LIMITS: Final = ("themes", "municipalities")
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


@router.get("/structures")
async def organisations(request: Request, api: AsVisitor) -> Response:
    """Show every organisation with its rights as a matrix."""
    items = (await api.get("/v1/organisations")).body["items"]
    matrix = [(each, {grant["scope"]: grant for grant in each["grants"]}) for each in items]
    if wants_file(request):
        header = [_("Structure"), _("Ouverte"), _("Convention"), _("Logiciels"), _("Comptes"), *MEANINGS]
        lines = [
            (
                each["name"],
                _("oui") if each["active"] else _("non"),
                (each["agreement"] or {}).get("signed_on"),
                each["clients"],
                each["accounts"],
                *(_("oui") if scope in held and held[scope]["holds"] else "" for scope in MEANINGS),
            )
            for each, held in matrix
        ]
        return exported("droits", header, lines)
    return page(request, "organisations.html", matrix=matrix, scopes=tuple(MEANINGS), words=words)


@router.get("/structures/{organisation_id}")
async def organisation(request: Request, api: AsVisitor, organisation_id: UUID) -> Response:
    """Show one organisation: its agreements, its rights, its people, its systems, what was changed lately."""
    return await show_organisation(request, api, organisation_id)


async def show_organisation(
    request: Request, api: Api, organisation_id: UUID, status: int = 200, **facts: object
) -> Response:
    """Answer the page of an organisation.

    Args:
        request: For whom.
        api: With the rights of the visitor.
        organisation_id: Which one.
        status: Of the answer.
        **facts: What a form shows again: `faults` (rights, by scope), `unsigned` and `signing` (agreement), `typed`
            (invitation) and `made` (with its link, this once).
    """
    path = f"/v1/organisations/{organisation_id}"
    one, clients, changes, agreements, users, invitations = await asyncio.gather(
        api.get(path),
        api.get(f"{path}/clients"),
        api.get("/v1/audit", {"organisation_id": str(organisation_id), "limit": 20}),
        api.get(f"{path}/agreements"),
        api.get(f"{path}/users", {"closed": "true"}),
        api.get(f"{path}/invitations"),
    )
    blank: dict[str, object] = {"faults": {}, "typed": {}, "made": None, "signing": {}, "unsigned": {}}
    return page(
        request,
        "organisation.html",
        status,
        one=one.body,
        grants={grant["scope"]: grant for grant in one.body["grants"]},
        clients=clients.body["items"],
        changes=changes.body["items"],
        agreements=agreements.body["items"],
        users=users.body["items"],
        invitations=invitations.body["items"],
        scopes=tuple(MEANINGS),
        roles=words.said(ROLES),
        secrecies=words.said(words.SECRECIES),
        words=words,
        **(blank | facts),
    )


@router.post("/structures/{organisation_id}/droits")
async def change_grant(request: Request, api: AsVisitor, organisation_id: UUID, form: OurForm) -> Response:
    """Grant a scope, change its last day, or take it away."""
    scope, verb = text(form, "scope"), text(form, "verb")
    path = f"/v1/organisations/{organisation_id}/grants/{segment(scope)}"
    there = text(form, "retour")
    onward = there if there.startswith(f"{HOME}/peut-il") else f"{PATH}/{organisation_id}"
    try:
        if verb == "retirer":
            await api.delete(path)
            return back(onward, "droit_retire")
        await api.put(path, await _wanted(api, organisation_id, scope, form))
    except ValueError:
        fault = {scope: _("Écrivez le dernier jour, ou laissez vide pour un droit sans fin.")}
        return await show_organisation(request, api, organisation_id, INVALID, faults=fault)
    except ApiProblem as problem:
        if problem.status == GONE and verb == "retirer":
            return back(onward, "plus_tard")
        if problem.status == CONFLICT:
            return back(onward, "dernier_admin")
        if problem.status != INVALID and problem.slug != "no-agreement":
            raise
        if any(pointer.startswith(("/themes", "/municipalities")) for pointer, _detail in problem.faults):
            fault = {scope: _("Écrivez des thèmes comme childcare, des communes comme be:52011.")}
        else:
            fault = {scope: _("Ce droit demande une convention signée, et aucune unité de contrôle ne le reçoit.")}
        return await show_organisation(request, api, organisation_id, INVALID, faults=fault)
    return back(onward, "droit_donne")


async def _wanted(api: Api, organisation_id: UUID, scope: str, form: FormData) -> Json:
    """Answer a grant with the last day as typed; how far it reaches too, or as it was where the form does not ask.

    Raises:
        ValueError: What was typed is no day.
    """
    ends_on = text(form, "ends_on")
    told: Json = {"ends_on": date.fromisoformat(ends_on).isoformat()} if ends_on else {}
    if "themes" in form:
        return told | {name: text(form, name).replace(",", " ").split() for name in LIMITS}
    one = (await api.get(f"/v1/organisations/{organisation_id}")).body
    limits: dict[str, Any] = next((grant["limits"] for grant in one["grants"] if grant["scope"] == scope), {})
    return told | {name: limits[name] for name in LIMITS if limits.get(name)}


@router.get("/peut-il")
async def may_it(
    request: Request,
    api: AsVisitor,
    structure: Annotated[str, Query(max_length=36)] = "",
    logiciel: Annotated[str, Query(max_length=100)] = "",
    appel: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """Try out a system's call without making it: would it be let in, and if not, why not?"""
    houses = (await api.get("/v1/organisations")).body["items"]
    known = {each["id"]: each["name"] for each in houses}
    clients: list[Json] = []
    if structure in known:
        clients = (await api.get(f"/v1/organisations/{structure}/clients")).body["items"]
    # A call is written as traces name it: a method and a route, whose braces stand for any id.
    method, _space, path = appel.strip().partition(" ")
    if method.upper() not in METHODS:
        method, path = "GET", appel.strip()
    logiciel = logiciel or (clients[0]["id"] if len(clients) == 1 else "")
    told: Json | None = None
    if logiciel and path.startswith("/"):
        question = {"client_id": logiciel, "method": method.upper(), "path": path}
        told = (await api.post("/v1/decisions", question)).body
    missing = []
    if told and not told["allowed"] and told["checks"][-1]["check"] in {"granted", "in_time"}:
        # What the system itself may ask for and its organisation lacks: giving it would open the door.
        may = next((set(one["scopes"]) for one in clients if one["id"] == logiciel), set(told["scopes"]))
        missing = [scope for scope in told["scopes"] if scope in may]
    return page(
        request,
        "may_it.html",
        houses=known,
        clients={each["id"]: each["name"] for each in clients},
        structure=structure,
        logiciel=logiciel,
        appel=appel,
        decision=told,
        missing=missing,
        words=words,
    )


@router.get("/journal")
async def journal(request: Request, api: AsVisitor, cursor: Annotated[str, Query(max_length=500)] = "") -> Response:
    """Show who changed what, the latest first."""
    if wants_file(request):
        header = [_("Moment"), _("Qui"), _("Quoi"), _("Sur quoi"), _("Détails")]
        lines = [
            (each["at"], each["actor"], each["action"], each["subject"], words.facts(each["facts"]))
            for each in await rows(api, "/v1/audit")
        ]
        return exported("journal", header, lines)
    body = (await api.get("/v1/audit", {"limit": PAGE, **({"cursor": cursor} if cursor else {})})).body
    return page(request, "journal.html", items=body["items"], next_cursor=body["next_cursor"], words=words)
