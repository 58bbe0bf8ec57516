"""Passing the relay: from the form to the proposed referral."""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from relais_gateway.web import phrases, relay, vocabulary
from relais_gateway.web.api import Api, ApiProblem, Json, segment
from relais_gateway.web.languages import _
from relais_gateway.web.lookups import area_of, offered_id, offered_themes, place_of, themes_of
from relais_gateway.web.relay import RelayForm
from relais_gateway.web.session import AsVisitor, OurForm, SignedIn, Visitor, text, texts
from relais_gateway.web.site import FORBIDDEN, NOT_FOUND, UNKNOWN, PageRoute, go, show, trouble
from relais_shared.clock import Now

router = APIRouter(route_class=PageRoute, include_in_schema=False)

CONFLICT, INVALID = 409, 422


@router.get("/relais/nouveau")
async def relay_page(
    request: Request,
    api: AsVisitor,
    service: UUID,
    place: Annotated[str, Query(max_length=200)] = "",
    theme: Annotated[str, Query(max_length=80)] = "",
) -> Response:
    """Open the relay page for a service, with what is known already."""
    offered = (await api.get(f"/v1/directory/services/{service}")).body
    return await show_relay(request, api, offered, RelayForm.new(place=place.strip(), theme=theme))


@router.post("/relais/nouveau")
async def pass_relay(request: Request, api: AsVisitor, visitor: SignedIn, form: OurForm, now: Now) -> Response:
    """Open the referral, record what she agreed to, propose it; what was typed is never lost on the way."""
    try:
        return await _passed(request, api, visitor, form, now)
    except ApiProblem as problem:
        if problem.status in {UNKNOWN, NOT_FOUND}:
            raise
        sent = [(name, value) for name, value in form.multi_items() if isinstance(value, str) and name != "proof"]
        return show(request, "again.html", problem.status, sent=sent, code=problem.trace_id)


async def _passed(request: Request, api: Api, visitor: Visitor, form: FormData, now: datetime) -> Response:
    """Answer where the thread is; or the form again, with the reason beside the field.

    Raises:
        ApiProblem: Nothing in the form is the reason.
    """
    sent = {name: value for name, value in form.items() if isinstance(value, str)}
    written = RelayForm.of(sent, {name: texts(form, name) for name in ("categories", "safety")})
    try:
        offered = (await api.get(f"/v1/directory/services/{UUID(text(form, 'service'))}")).body
    except ValueError:
        return trouble(request, NOT_FOUND)
    if written.answer == relay.NO:
        return show(request, "not_agreed.html", service=offered)
    themes = await themes_of(request, api)
    sensitive = bool(themes.get(written.theme, {}).get("sensitive"))
    faults = written.missing(sensitive=sensitive)
    here = await place_of(api, written.place)
    if written.place and here is None:
        faults["place"] = relay.FAULTS["place"]
    if faults or here is None:
        return await show_relay(request, api, offered, replace(written, faults=faults), INVALID)
    counsellor = {"name": visitor.name, "email": visitor.email}
    if visitor.function:
        counsellor["function"] = visitor.function
    recipient = {"organisation_id": offered["organisation"]["id"], "service_id": str(offered_id(offered))}
    draft = written.draft(recipient, counsellor, area_of(here))
    try:
        written, place = await propose(api, written, draft, visitor, now)
    except _Unfinished as stopped:
        problem = stopped.problem
        found = relay.faults_of(problem.slug, problem.faults)
        if not found and problem.status not in {FORBIDDEN, CONFLICT, INVALID}:
            raise problem from None
        again = replace(stopped.written, faults=found or {"": unexplained(problem)})
        return await show_relay(request, api, offered, again, INVALID)
    return go(place, fait="propose")


class _Unfinished(Exception):  # noqa: N818 - the form is shown again
    """The API said no on the way; the form as it now stands comes back with it."""

    def __init__(self, problem: ApiProblem, written: RelayForm) -> None:
        super().__init__(problem.slug)
        self.problem = problem
        self.written = written


async def propose(api: Api, written: RelayForm, draft: Json, visitor: Visitor, now: datetime) -> tuple[RelayForm, str]:
    """Walk from the form to the proposed referral; a second press, or one after a fault, goes on where it stands.

    Raises:
        _Unfinished: The API said no; what exists by then is remembered in the form.
    """
    try:
        if written.referral:
            path = f"/v1/referrals/{segment(written.referral)}"
            there = await api.get(path)
            if there.body["state"] == "draft":
                # To whom it goes was said when it was opened.
                change = {name: value for name, value in draft.items() if name != "recipient"}
                there = await api.patch(path, change, version=there.version)
            agreed = False
        else:
            there = await api.post("/v1/referrals", draft, key=written.key)
            path = f"/v1/referrals/{there.body['id']}"
            agreed = "propose" in there.body["allowed_actions"]
        page = f"/relais/{there.body['id']}"
        if there.body["state"] != "draft":
            return written, page
        # From here on the draft exists: a fault below changes it instead of making another.
        written = replace(written, referral=there.body["id"])
        if not agreed:
            consent = written.consent(visitor.name, now)
            await api.post(f"{path}/consents", consent, key=str(uuid4()))
            there = await api.get(path)
        await api.post(f"{path}/propose", {}, version=there.version)
    except ApiProblem as problem:
        if problem.slug == "idempotency-key-reused":
            # The browser went back to a form that had left already, and something in it was changed.
            written = replace(written, key=str(uuid4()), referral="")
        raise _Unfinished(problem, written) from None
    return written, page


def unexplained(problem: ApiProblem) -> str:
    """Answer what to say where a problem belongs to no field."""
    said = {
        "idempotency-key-reused": _(
            "Cette demande est déjà partie, et vous en avez changé le texte depuis. "
            "Voyez d'abord dans « Relais en cours ». Si c'en est une nouvelle, validez encore une fois."
        ),
        "request-in-progress": _(
            "Cette demande est en train de partir. Attendez un instant, puis voyez dans « Relais en cours »."
        ),
        "no-agreement": _("Votre structure n'a pas encore signé la convention Relais."),
    }
    usual = _("Nous n'avons pas pu enregistrer. Rien n'est perdu de ce que vous avez écrit : réessayez.")
    if problem.trace_id:
        usual += " " + _("Le code pour l'équipe technique : %(code)s.") % {"code": problem.trace_id}
    return said.get(problem.slug, usual)


async def show_relay(request: Request, api: Api, offered: Json, written: RelayForm, status: int = 200) -> Response:
    """Show the relay page with what stands in its form."""
    version, language = relay.NOTICE
    themes, notice = await asyncio.gather(themes_of(request, api), api.get(f"/v1/notices/{version}/{language}"))
    slugs = offered_themes(offered)
    choices = [themes[slug] for slug in (slugs or tuple(vocabulary.THEMES)) if slug in themes]
    if not written.theme or written.theme not in themes:
        asked = [each for each in choices if phrases.theme_root(each["slug"]) == written.theme]
        known = asked or choices
        written = replace(written, theme=known[0]["slug"] if len(known) == 1 else "")
    elif written.theme not in {each["slug"] for each in choices}:
        below = [each["slug"] for each in choices if phrases.theme_root(each["slug"]) == written.theme]
        written = replace(written, theme=below[0] if len(below) == 1 else "")
    return show(
        request,
        "relay.html",
        status,
        service=offered,
        form=written,
        faults=written.faults,
        choices=choices,
        notice=notice.body,
        sensitive=[each["slug"] for each in choices if each.get("sensitive")],
    )
