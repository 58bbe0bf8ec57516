"""Who is invited comes in: the link of the invitation, then the password that she chooses."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from relais_gateway.web.api import Api, ApiProblem
from relais_gateway.web.languages import _
from relais_gateway.web.session import OurForm, door, text
from relais_gateway.web.site import NOT_FOUND, PageRoute, go, show

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PATH: Final = "/invitation"
INVALID: Final = 422


@router.get(PATH)
async def invitation(request: Request) -> Response:
    """Ask for the link; its secret behind the `#` stays in the browser until she sends it."""
    return show(request, "invitation.html", refused=False)


@router.post(PATH)
async def open_invitation(request: Request, form: OurForm) -> Response:
    """Say who invites whom, and ask for a password."""
    # Whoever has no script pastes the whole link.
    secret = text(form, "secret").rpartition("#")[2]
    try:
        found = (await _outside(request).post("/v1/invitations/open", {"secret": secret})).body
    except ApiProblem as problem:
        return _spent(request, problem)
    return show(request, "invited.html", found=found, secret=secret, name=found["name"], faults={})


@router.post(f"{PATH}/accepter")
async def accept(request: Request, form: OurForm) -> Response:
    """Make her account; she then signs in with it as everybody does."""
    secret, name = text(form, "secret"), text(form, "name")
    # A password is taken as typed: blanks may be part of it.
    typed, again = str(form.get("password", "")), str(form.get("again", ""))
    api = _outside(request)
    faults: dict[str, str] = {}
    if typed != again:
        faults["again"] = _("Les deux mots de passe ne sont pas les mêmes.")
    else:
        body = {"secret": secret, "password": typed, **({"name": name} if name else {})}
        try:
            await api.post("/v1/invitations/accept", body)
        except ApiProblem as problem:
            faults = _faults(problem)
            if not faults:
                return _spent(request, problem)
        else:
            return go("/connexion", fait="compte")
    try:
        found = (await api.post("/v1/invitations/open", {"secret": secret})).body
    except ApiProblem as problem:
        return _spent(request, problem)
    return show(request, "invited.html", INVALID, found=found, secret=secret, name=name, faults=faults)


def _faults(problem: ApiProblem) -> dict[str, str]:
    """Answer what to say beside which field; nothing where it is not a matter of what was typed."""
    if problem.status != INVALID:
        return {}
    said = {
        "/password": _("Au moins 12 caractères, et rien qu'on devine en vous connaissant : une petite phrase va bien."),
        "/name": _("Écrivez votre nom, sur une ligne."),
        "": _("Cette adresse a déjà un compte ailleurs dans Relais. Demandez une invitation à une autre adresse."),
    }
    return {pointer.lstrip("/"): said[pointer] for pointer, _detail in problem.faults if pointer in said}


def _spent(request: Request, problem: ApiProblem) -> Response:
    if problem.status not in {NOT_FOUND, INVALID}:
        raise problem
    return show(request, "invitation.html", NOT_FOUND, refused=True)


def _outside(request: Request) -> Api:
    return Api(door(request), shown={})
