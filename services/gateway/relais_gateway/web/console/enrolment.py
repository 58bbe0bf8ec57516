"""Enrol an organisation, record what it signed and when that ends, close it, invite its first administrator."""

from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from relais_gateway.web.api import ApiProblem, Json
from relais_gateway.web.console import accounts
from relais_gateway.web.console.desk import CONFLICT, HOME, INVALID, STALE, back, faults_by_field, page
from relais_gateway.web.console.platform import PATH, show_organisation
from relais_gateway.web.languages import _, later
from relais_gateway.web.session import AsVisitor, OurForm, text
from relais_gateway.web.site import PageRoute

router = APIRouter(prefix=HOME, route_class=PageRoute, include_in_schema=False)

API: Final = "/v1/organisations"
KINDS: Final = {
    "association": later("Association"),
    "public_service": later("Service public"),
    "cooperative": later("Coopérative"),
    "company": later("Entreprise"),
}
CONTROLLER: Final = ("name", "address", "contact", "email", "phone", "dpo")


def _kinds() -> dict[str, str]:
    return {kind: _(said) for kind, said in KINDS.items()}


@router.get("/structures/nouvelle")
async def blank(request: Request, api: AsVisitor) -> Response:
    """Ask for what an organisation begins with."""
    # Whoever may enrol none is told so before writing.
    await api.get(API)
    return page(request, "enrol.html", kinds=_kinds(), typed={"kind": "association"}, faults={})


@router.post("/structures/nouvelle")
async def enrol(request: Request, api: AsVisitor, form: OurForm) -> Response:
    """Enrol an organisation, then show it: its agreement, its rights and its people come next."""
    typed = {name: text(form, name) for name in ("name", "kind", "municipality")}
    ticked = {name: bool(text(form, name)) for name in ("control_unit", "practice")}
    try:
        made = (await api.post(API, {**typed, "municipality": typed["municipality"] or None, **ticked})).body
    except ApiProblem as problem:
        if problem.status != INVALID:
            raise
        said = {
            "name": _("Écrivez un nom qu'aucune structure ouverte ne porte déjà."),
            "municipality": _("Écrivez un code comme be:52011, ou laissez vide."),
        }
        found = faults_by_field(problem, {f"/{name}": name for name in typed})
        faults = {name: said.get(name, told) for name, told in found.items()}
        return page(request, "enrol.html", INVALID, kinds=_kinds(), typed=typed | ticked, faults=faults)
    return back(f"{PATH}/{made['id']}", "structure_inscrite")


@router.post("/structures/{organisation_id}/etat")
async def open_or_close(api: AsVisitor, organisation_id: UUID, form: OurForm) -> Response:
    """Close an organisation, or open it again."""
    path, active = f"{API}/{organisation_id}", text(form, "verb") == "rouvrir"
    try:
        version = (await api.get(path)).version
        await api.patch(path, {"active": active}, version=version)
    except ApiProblem as problem:
        marks = {CONFLICT: "dernier_admin", STALE: "plus_tard", INVALID: "nom_pris"}
        if problem.status not in marks:
            raise
        return back(f"{PATH}/{organisation_id}", marks[problem.status])
    return back(f"{PATH}/{organisation_id}", "structure_rouverte" if active else "structure_fermee")


@router.post("/structures/{organisation_id}/convention")
async def record(request: Request, api: AsVisitor, organisation_id: UUID, form: OurForm) -> Response:
    """Record an agreement that was signed."""
    typed = {name: text(form, name) for name in ("text_version", "signed_on", "ends_on", "parties", "secrecy")}
    controller = {name: text(form, f"controller_{name}") for name in CONTROLLER}
    body: Json = {
        **typed,
        "ends_on": typed["ends_on"] or None,
        "parties": [line.strip() for line in typed["parties"].splitlines() if line.strip()],
        "may_sanction": text(form, "may_sanction") == "oui",
        "controller": {name: value for name, value in controller.items() if value},
    }
    try:
        await api.post(f"{API}/{organisation_id}/agreements", body)
    except ApiProblem as problem:
        if problem.status != INVALID:
            raise
        said = {
            "text_version": _("Écrivez la version du texte, comme 2026-1."),
            "signed_on": _("Écrivez le jour de la signature : aujourd'hui ou avant."),
            "ends_on": _("Écrivez un jour à venir, ou laissez vide."),
            "parties": _("Écrivez au moins deux signataires, un par ligne."),
        }
        fields = {f"/{name}": name for name in typed} | {
            f"/controller/{name}": f"controller_{name}" for name in CONTROLLER
        }
        found = faults_by_field(problem, fields)
        faults = {name: said.get(name, _("Complétez ce champ.") if name else told) for name, told in found.items()}
        shown = typed | {f"controller_{name}": value for name, value in controller.items()}
        shown["may_sanction"] = text(form, "may_sanction")
        return await show_organisation(request, api, organisation_id, INVALID, signing=shown, unsigned=faults)
    return back(f"{PATH}/{organisation_id}", "convention_notee")


@router.post("/structures/{organisation_id}/convention/{agreement_id}/finir")
async def end(api: AsVisitor, organisation_id: UUID, agreement_id: UUID, form: OurForm) -> Response:
    """End an agreement, now or on a day."""
    ends_on = text(form, "ends_on") or None
    try:
        await api.post(f"{API}/{organisation_id}/agreements/{agreement_id}/end", {"ends_on": ends_on})
    except ApiProblem as problem:
        if problem.status != INVALID:
            raise
        return back(f"{PATH}/{organisation_id}", "jour_passe")
    return back(f"{PATH}/{organisation_id}", "convention_finie")


@router.post("/structures/{organisation_id}/inviter")
async def invite(request: Request, api: AsVisitor, organisation_id: UUID, form: OurForm) -> Response:
    """Invite somebody into an organisation, and show the link, this once."""
    try:
        made = await accounts.sent(api, f"{API}/{organisation_id}/invitations", form)
    except ApiProblem as problem:
        return await show_organisation(request, api, organisation_id, INVALID, **accounts.refused(problem, form))
    return await show_organisation(request, api, organisation_id, made=made)
