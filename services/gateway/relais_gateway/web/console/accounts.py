"""Who signs in for an organisation: its administrator invites, changes roles, closes; the platform does it for any."""

import asyncio
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from relais_gateway.web.api import Api, ApiProblem, Json
from relais_gateway.web.console import words
from relais_gateway.web.console.desk import (
    CONFLICT,
    GONE,
    HOME,
    INVALID,
    back,
    exported,
    faults_by_field,
    page,
    wants_file,
)
from relais_gateway.web.languages import _, later
from relais_gateway.web.session import AsVisitor, OurForm, text, texts
from relais_gateway.web.site import PageRoute

router = APIRouter(prefix=HOME, route_class=PageRoute, include_in_schema=False)

PATH: Final = f"{HOME}/comptes"
USERS, INVITATIONS = "/v1/organisation/users", "/v1/organisation/invitations"
ROLES: Final = {
    "counsellor": later("Cherche, passe et prend des relais"),
    "data_manager": later("Tient les fiches de l'annuaire"),
    "administrator": later("Administre"),
}
"""What somebody may do, in the words of the page."""


@router.get("/comptes")
async def accounts(request: Request, api: AsVisitor) -> Response:
    """Show who signs in for the visitor's organisation, the closed accounts too, and who is invited."""
    if wants_file(request):
        header = [_("Nom"), _("Fonction"), _("Adresse e-mail"), _("Rôles"), _("Ouvert")]
        lines = [
            (
                each["name"],
                each["function"],
                each["email"],
                ", ".join(words.said(ROLES)[role] for role in each["roles"]),
                _("oui") if each["active"] else _("non"),
            )
            for each in (await api.get(USERS, {"closed": "true"})).body["items"]
        ]
        return exported("comptes", header, lines)
    return await _accounts(request, api)


async def _accounts(request: Request, api: Api, status: int = 200, **facts: object) -> Response:
    users, invitations = await asyncio.gather(api.get(USERS, {"closed": "true"}), api.get(INVITATIONS))
    shown: dict[str, object] = {"faults": {}, "typed": {}, "made": None, "trouble": ""} | facts
    return page(
        request,
        "accounts.html",
        status,
        users=users.body["items"],
        invitations=invitations.body["items"],
        roles=words.said(ROLES),
        words=words,
        **shown,
    )


@router.post("/comptes/inviter")
async def invite(request: Request, api: AsVisitor, form: OurForm) -> Response:
    """Invite a colleague, and show the link, this once."""
    try:
        made = await sent(api, INVITATIONS, form)
    except ApiProblem as problem:
        return await _accounts(request, api, INVALID, **refused(problem, form))
    return await _accounts(request, api, made=made)


async def sent(api: Api, path: str, form: FormData) -> Json:
    """Send an invitation as typed; answer what was made, its link among it.

    Raises:
        ApiProblem: The API said no, or did not answer.
    """
    typed = _typed(form)
    return (await api.post(path, {**typed, "roles": texts(form, "roles")})).body | {"name": typed["name"]}


def refused(problem: ApiProblem, form: FormData) -> dict[str, object]:
    """Answer what the form of an invitation shows again, with what is wrong beside it.

    Raises:
        ApiProblem: It is not a matter of what was typed.
    """
    if problem.status != INVALID:
        raise problem
    said = {
        "email": _("Écrivez une adresse qui n'a pas encore de compte ici. Un compte fermé se rouvre."),
        "name": _("Écrivez le nom, sur une ligne."),
        "function": _("Écrivez la fonction, sur une ligne."),
        "roles": _("Choisissez au moins un rôle."),
    }
    found = faults_by_field(problem, {f"/{name}": name for name in said})
    faults = {name: said.get(name, told) for name, told in found.items()}
    return {"faults": faults, "typed": {**_typed(form), "roles": texts(form, "roles")}}


def _typed(form: FormData) -> dict[str, str]:
    return {name: text(form, name) for name in ("email", "name", "function")}


@router.post("/comptes/{account_id}")
async def change(api: AsVisitor, account_id: UUID, form: OurForm) -> Response:
    """Write somebody's roles, close the account or open it again."""
    verb = text(form, "verb")
    changes: Mapping[str, Json] = {
        "fermer": {"active": False},
        "rouvrir": {"active": True},
        "roles": {"roles": texts(form, "roles")},
    }
    onward = _onward(form)
    try:
        await api.patch(f"{USERS}/{account_id}", changes.get(verb, {}))
    except ApiProblem as problem:
        if problem.status == CONFLICT:
            return back(onward, "dernier_admin")
        if problem.status == INVALID:
            return back(onward, "sans_role")
        raise
    return back(onward, {"fermer": "compte_ferme", "rouvrir": "compte_rouvert"}.get(verb, "enregistre"))


@router.post("/comptes/invitations/{invitation_id}")
async def withdraw(api: AsVisitor, invitation_id: UUID, form: OurForm) -> Response:
    """Withdraw an invitation."""
    try:
        await api.delete(f"{INVITATIONS}/{invitation_id}")
    except ApiProblem as problem:
        if problem.status != GONE:
            raise
        return back(_onward(form), "plus_tard")
    return back(_onward(form), "invitation_retiree")


def _onward(form: FormData) -> str:
    there = text(form, "retour")
    return there if there.startswith(f"{HOME}/structures/") else PATH
