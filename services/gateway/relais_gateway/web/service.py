"""The page of a service: how one is received, whom to call, and what professionals tell each other about it."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from relais_gateway.web import phrases
from relais_gateway.web.api import Api, ApiProblem, Json
from relais_gateway.web.languages import _, later
from relais_gateway.web.lookups import area_of, audiences_of, place_of, themes_of
from relais_gateway.web.session import AsVisitor, OurForm, SignedIn, Visitor, text, texts
from relais_gateway.web.site import PageRoute, go, show
from relais_gateway.web.vocabulary import REPORTS, Words

router = APIRouter(route_class=PageRoute, include_in_schema=False)

INVALID: Final = 422
PARTNER: Final = frozenset({"referral:send", "referral:receive"})
"""Whoever holds one of these reads and writes what colleagues tell each other."""
LEVELS: Final = {each: each for each in ("A1", "A2", "B1", "B2", "C1", "C2")}
"""Of the Common European Framework; their names are their own in every language."""
OLDEST: Final = 150

FAULTS: Final = Words(
    {
        "report": later("Écrivez ce qui ne va pas sans rien dire d'une personne : ni nom, ni numéro national."),
        "field": later("Choisissez ce qui ne va pas."),
        "tip": later("Dites ce qui est utile, sans nom de personne, ni téléphone, ni e-mail."),
        "place": later("Nous ne trouvons pas cette commune. Écrivez son nom ou son code postal."),
        "age": later("Écrivez un âge en années, par exemple 34."),
    }
)
"""What is said beside a field."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What stood in the form that could not be taken, and what is wrong with it."""

    values: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)


@router.get("/services/{service_id}")
async def service(request: Request, api: AsVisitor, visitor: SignedIn, service_id: UUID) -> Response:
    """Show one service: who, what, how one is received, whom to call."""
    return await show_service(request, api, visitor, service_id)


@router.post("/services/{service_id}/confirmer")
async def confirm(api: AsVisitor, service_id: UUID, _form: OurForm) -> Response:
    """Say that this entry is right today."""
    await api.post(f"/v1/directory/services/{service_id}/confirmations", None)
    return go(f"/services/{service_id}", fait="confirmed")


@router.post("/services/{service_id}/signaler")
async def report(request: Request, api: AsVisitor, visitor: SignedIn, service_id: UUID, form: OurForm) -> Response:
    """Report what is wrong with it; its owner reads that, and answers."""
    about, words = text(form, "field"), text(form, "report")
    faults = {} if about in REPORTS else {"field": FAULTS["field"]}
    if not faults:
        try:
            body = {"field": about, **({"text": words} if words else {})}
            await api.post(f"/v1/directory/services/{service_id}/reports", body)
        except ApiProblem as problem:
            if problem.status != INVALID:
                raise
            faults = {"report": FAULTS["report"]}
        else:
            return go(f"/services/{service_id}", fait="reported")
    return await show_service(request, api, visitor, service_id, Typed({"field": about, "report": words}, faults))


@router.post("/services/{service_id}/conseils")
async def tell(request: Request, api: AsVisitor, visitor: SignedIn, service_id: UUID, form: OurForm) -> Response:
    """Tell colleagues something good to know."""
    words = text(form, "tip")
    try:
        await api.post(f"/v1/directory/services/{service_id}/tips", {"text": words})
    except ApiProblem as problem:
        if problem.status != INVALID:
            raise
        return await show_service(request, api, visitor, service_id, Typed({"tip": words}, {"tip": FAULTS["tip"]}))
    return go(f"/services/{service_id}", fait="tip")


@router.post("/services/{service_id}/conseils/{tip_id}/retirer")
async def take_back(api: AsVisitor, service_id: UUID, tip_id: UUID, _form: OurForm) -> Response:
    """Take back what one's own structure told; its words are forgotten."""
    await api.delete(f"/v1/directory/tips/{tip_id}")
    return go(f"/services/{service_id}")


@router.post("/services/{service_id}/conditions")
async def check(request: Request, api: AsVisitor, service_id: UUID, form: OurForm) -> Response:
    """Hold the conditions against what the person says of herself; nothing of it is kept, here or there."""
    said, faults = await _said(api, form)
    checked: Json | None = None
    if not faults:
        checked = (await api.post(f"/v1/directory/services/{service_id}/conditions/check", said)).body
    facts: dict[str, Any] = {"checked": checked, "faults": faults, "said": form}
    if text(form, "part"):
        return show(request, "service_checked.html", INVALID if faults else 200, **facts)
    offered, audiences = await asyncio.gather(
        api.get(f"/v1/directory/services/{service_id}"), audiences_of(request, api)
    )
    more = {"service": offered.body, "audiences": audiences, "levels": LEVELS}
    return show(request, "service_conditions.html", INVALID if faults else 200, **facts, **more)


async def _said(api: Api, form: FormData) -> tuple[Json, dict[str, str]]:
    """Answer what was said as the API takes it, and what could not be understood."""
    said: Json = {}
    faults: dict[str, str] = {}
    if place := text(form, "her_place"):
        found = await place_of(api, place)
        if found is None:
            faults["place"] = FAULTS["place"]
        else:
            said["municipality"] = area_of(found)["municipality"]
    if age := text(form, "age"):
        if age.isdecimal() and int(age) <= OLDEST:
            said["age"] = int(age)
        else:
            faults["age"] = FAULTS["age"]
    if text(form, "level") in LEVELS:
        said["level"] = text(form, "level")
    for name in ("prescriber", "papers"):
        if text(form, name) in {"yes", "no"}:
            said[name] = text(form, name) == "yes"
    if audiences := texts(form, "audiences"):
        said["audiences"] = audiences
    return said, faults


async def show_service(
    request: Request, api: Api, visitor: Visitor, service_id: UUID, typed: Typed | None = None
) -> Response:
    """Show the page, with what was typed where it could not be taken."""
    answer, themes, audiences = await asyncio.gather(
        api.get(f"/v1/directory/services/{service_id}"), themes_of(request, api), audiences_of(request, api)
    )
    partner = bool(visitor.scopes & PARTNER)
    tips = (await api.get(f"/v1/directory/services/{service_id}/tips")).body["items"] if partner else []
    found = answer.body
    return show(
        request,
        "service.html",
        INVALID if typed else 200,
        service=found,
        themes=themes,
        audiences=audiences,
        levels=LEVELS,
        weeks={place["id"]: week(place.get("week") or ()) for place in found.get("locations") or ()},
        tips=tips,
        partner=partner,
        typed=typed or Typed(),
    )


def week(spans: Iterable[Mapping[str, str]]) -> list[tuple[str, str]]:
    """Answer the opening times of the coming days, by day as one says it.

    Args:
        spans: Of the directory: `opens_at` and `closes_at`, in order.
    """
    times = [
        (opens, closes)
        for span in spans
        if (opens := phrases.moment(span["opens_at"])) and (closes := phrases.moment(span["closes_at"]))
    ]
    return [
        (
            phrases.weekday(day),
            ", ".join(
                _("%(start)s à %(end)s") % {"start": phrases.clock_time(opens), "end": phrases.clock_time(closes)}
                for opens, closes in group
            ),
        )
        for day, group in groupby(times, key=lambda each: each[0].date())
    ]
