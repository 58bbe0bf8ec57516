"""Passing the relay: one page, its draft kept at each step, from the form to the proposed referral."""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from relais_gateway.web import drafts, phrases, reaching, relay, vocabulary
from relais_gateway.web.api import Answer, Api, ApiProblem, Json
from relais_gateway.web.drafts import Unfinished, Writing
from relais_gateway.web.languages import _, speaking
from relais_gateway.web.lookups import (
    area_of,
    audiences_of,
    notices_of,
    offered_id,
    offered_themes,
    place_of,
    themes_of,
)
from relais_gateway.web.person import words
from relais_gateway.web.relay import RelayForm
from relais_gateway.web.service import LEVELS
from relais_gateway.web.session import AsVisitor, OurForm, SignedIn, Visitor, text, texts
from relais_gateway.web.site import FORBIDDEN, NOT_FOUND, UNKNOWN, PageRoute, go, show, trouble
from relais_shared.clock import Now

router = APIRouter(route_class=PageRoute, include_in_schema=False)

CONFLICT, INVALID = 409, 422
UNDER_WAY: Final = "request-in-progress"
"""The first press was cut off and still runs: pressed again in a moment, it says where the thread is."""
KEEP: Final = "keep"
"""The start of the value of a button that keeps the draft; the step to come back to stands behind it."""


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


@router.get("/relais/{referral_id}/brouillon")
async def draft_page(request: Request, api: AsVisitor, referral_id: UUID) -> Response:
    """Go on with a draft where it was left, here or in a partner's own tool; one that has left shows its thread."""
    draft = (await api.get(f"/v1/referrals/{referral_id}")).body
    if draft["state"] != drafts.DRAFT:
        return go(f"/relais/{referral_id}")
    offered, asked = await asyncio.gather(
        api.get(f"/v1/directory/services/{draft['recipient']['service_id']}"),
        api.get(f"/v1/referrals/{referral_id}/consents"),
    )
    consent = next(iter(asked.body["items"]), None)
    written = RelayForm.of_draft(draft, phrases.area_said(draft.get("person")))
    return await show_relay(request, api, offered.body, written, draft=draft, consent=consent)


@router.get("/relais/{referral_id}/papier")
async def paper(request: Request, api: AsVisitor, referral_id: UUID) -> Response:
    """Show the text to sign, in her language: to whom, and a box for each thing that she is asked about."""
    draft = (await api.get(f"/v1/referrals/{referral_id}")).body
    if draft["state"] != drafts.DRAFT:
        return go(f"/relais/{referral_id}")
    notices = await notices_of(request, api, relay.NOTICE, relay.READ_IN)
    hers = next(iter(draft["person"]["languages"]), relay.READ_IN[0])
    spoken = hers if hers in notices else relay.READ_IN[0]
    asking = _asking({"can_receive": draft["via"]}, draft)
    with speaking(spoken):
        return show(request, "relay_paper.html", referral=draft, notice=notices[spoken], asking=asking, words=words)


@router.post("/relais/nouveau")
async def pass_relay(request: Request, api: AsVisitor, visitor: SignedIn, form: OurForm, now: Now) -> Response:
    """Keep the draft; or record what she agreed to and propose it. What was typed is never lost on the way."""
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
    keeping = text(form, "do").startswith(KEEP)
    try:
        offered = (await api.get(f"/v1/directory/services/{UUID(text(form, 'service'))}")).body
    except ValueError:
        return trouble(request, NOT_FOUND)
    if written.answer == relay.NO and not keeping:
        if written.referral:
            await drafts.throw_away(api, written.referral)
        return show(request, "not_agreed.html", service=offered)
    themes = await themes_of(request, api)
    sensitive = bool(themes.get(written.theme, {}).get("sensitive"))
    faults = written.unkept() if keeping else written.missing(sensitive=sensitive)
    here = await place_of(api, written.place)
    if written.place and here is None:
        faults["place"] = relay.FAULTS["place"]
    if faults or here is None:
        return await _again(request, api, offered, replace(written, faults=faults), form)
    beside = Writing(
        _recipient(offered),
        {"name": visitor.name, "email": visitor.email} | ({"function": visitor.function} if visitor.function else {}),
        area_of(here),
    )
    try:
        if keeping:
            written, there = await drafts.keep(api, written, beside)
            return await _kept(request, api, written, there, form)
        return _passed_on(await drafts.propose(api, written, beside, visitor.name, now))
    except Unfinished as stopped:
        problem = stopped.problem
        found = relay.faults_of(problem.slug, problem.faults)
        if not found and (problem.slug == UNDER_WAY or problem.status not in {FORBIDDEN, CONFLICT, INVALID}):
            raise problem from None
        again = replace(stopped.written, faults=found or {"": unexplained(problem)})
        return await _again(request, api, offered, again, form)


def _recipient(offered: Json) -> dict[str, str]:
    """Answer to whom it goes: a named colleague where the service has one, not an address."""
    contact = (offered.get("relay_contact") or {}).get("id")
    named = {"organisation_id": offered["organisation"]["id"], "service_id": str(offered_id(offered))}
    return named | ({"relay_contact_id": contact} if contact else {})


def _passed_on(there: Answer) -> Response:
    """Answer where to go on: the thread, or what is still to be done where nobody answers on the screen."""
    referral, page = there.body, f"/relais/{there.body['id']}"
    if referral["state"] == drafts.DRAFT:
        return go(f"/cartes/{referral['id']}", fait="asked")
    if referral.get("via") in reaching.PAGES:
        step, said = reaching.PAGES[referral["via"]]
        return go(f"{page}/{step}", fait=said)
    return go(page, fait="agree_by_phone" if referral.get("agreed_by_phone") else "propose")


async def _kept(request: Request, api: Api, written: RelayForm, there: Answer, form: FormData) -> Response:
    """Answer that the draft is kept: to a script what changes in its page, else the page at the step it was left at."""
    page = f"/relais/{there.body['id']}"
    if text(form, "part"):
        seen = await drafts.previews(api, written)
        calling = there.body.get("via") == reaching.PHONE_ONLY
        themes = await themes_of(request, api)
        return show(request, "relay_kept.html", form=written, previews=seen, themes=themes, calling=calling)
    if there.body["state"] != drafts.DRAFT:
        return go(page)
    step = text(form, "do").removeprefix(f"{KEEP}-")
    # Behind the `#` it names the place on the page: nothing of it travels.
    return RedirectResponse(f"{page}/brouillon?fait=saved" + (f"#pas-{step}" if step.isdigit() else ""), 303)


async def _again(request: Request, api: Api, offered: Json, written: RelayForm, form: FormData) -> Response:
    """Show the form again with its faults; to a script only what is wrong."""
    if text(form, "part"):
        return show(request, "relay_kept.html", INVALID, form=written, previews=[], themes={}, calling=False)
    return await show_relay(request, api, offered, written, INVALID)


def unexplained(problem: ApiProblem) -> str:
    """Answer what to say where a problem belongs to no field."""
    said = {
        "idempotency-key-reused": _(
            "Cette demande est déjà partie, et vous en avez changé le texte depuis. "
            "Voyez d'abord dans « Relais en cours ». Si c'en est une nouvelle, validez encore une fois."
        ),
        "no-agreement": _("Votre structure n'a pas encore signé la convention Relais."),
        "consent-missing": _("Son accord n'est pas encore donné, ou il a été retiré. Demandez-lui à nouveau."),
    }
    usual = _("Nous n'avons pas pu enregistrer. Rien n'est perdu de ce que vous avez écrit : réessayez.")
    if problem.trace_id:
        usual += " " + _("Le code pour l'équipe technique : %(code)s.") % {"code": problem.trace_id}
    return said.get(problem.slug, usual)


async def show_relay(  # noqa: PLR0913 - what the page is made of
    request: Request,
    api: Api,
    offered: Json,
    written: RelayForm,
    status: int = 200,
    draft: Json | None = None,
    consent: Json | None = None,
) -> Response:
    """Show the relay page with what stands in its form.

    Args:
        request: For whom.
        api: With the visitor's rights.
        offered: The service that it goes to.
        written: What stands in the form.
        status: Of the answer.
        draft: As it is kept, where it is.
        consent: The last one of that draft: asked for, given, refused.
    """
    themes, audiences, notices, previews = await asyncio.gather(
        themes_of(request, api),
        audiences_of(request, api),
        notices_of(request, api, relay.NOTICE, relay.READ_IN),
        drafts.previews(api, written),
    )
    slugs = offered_themes(offered)
    choices = [themes[slug] for slug in (slugs or tuple(vocabulary.THEMES)) if slug in themes]
    if written.referral and written.theme in themes and written.theme not in {each["slug"] for each in choices}:
        # A partner's own tool named it: its word stands.
        choices.append(themes[written.theme])
    written = replace(written, theme=_theme(written.theme, choices))
    return show(
        request,
        "relay.html",
        status,
        service=offered,
        form=written,
        faults=written.faults,
        choices=choices,
        notices=notices,
        themes=themes,
        audiences=audiences,
        levels=LEVELS,
        previews=previews,
        draft=draft,
        consent=consent,
        calling=(draft or {}).get("via", offered.get("can_receive")) == reaching.PHONE_ONLY,
        asking=_asking(offered, draft),
        sensitive=[each["slug"] for each in choices if each.get("sensitive")],
    )


def _asking(offered: Json, draft: Json | None) -> list[str]:
    """Answer what she is asked about, one by one: what can be written here, and go to such a recipient."""
    # Nobody who is only called is bound by secrecy, so what the counsellor adds stays here.
    called = offered.get("can_receive") == "phone_only"
    told = {"situation": bool(draft and draft.get("situation")) and not called, "notes": not called}
    return [name for name in relay.CATEGORIES if told.get(name, True)]


def _theme(asked: str, choices: list[Json]) -> str:
    """Answer the theme to tick: the one asked for, or the only one that fits; else none."""
    slugs = [str(each["slug"]) for each in choices]
    if asked in slugs:
        return asked
    fitting = [slug for slug in slugs if phrases.theme_root(slug) == asked] or (slugs if "--" not in asked else [])
    return fitting[0] if len(fitting) == 1 else ""
