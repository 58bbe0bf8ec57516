"""The pages: sign in, search, a service, passing the relay, the inbox, one thread."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

from fastapi import APIRouter, Path, Query, Request
from starlette.datastructures import FormData
from starlette.responses import JSONResponse, RedirectResponse, Response

from relais_gateway.web import languages, phrases, relay, steps
from relais_gateway.web.api import Api, ApiProblem, Json, segment
from relais_gateway.web.assets import assets
from relais_gateway.web.drawing import Outline, Position, draw, outlines_of
from relais_gateway.web.relay import RelayForm
from relais_gateway.web.session import (
    COOKIE,
    FORM_COOKIE,
    AsVisitor,
    MaybeVisitor,
    OurForm,
    SignedIn,
    Visitor,
    inside,
    keep,
    sessions,
    text,
    texts,
)
from relais_gateway.web.site import FORBIDDEN, NOT_FOUND, UNKNOWN, PageRoute, go, show, trouble
from relais_shared.clock import Now
from relais_shared.telemetry import get_logger

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE: Final = 20
"""Cards on one page: as many numbers as the map can hold."""
LIST: Final = 50
"""Lines of each part of the inbox."""
RADII_KM: Final = (2, 5, 10, 25, 50)
USUAL_KM: Final = 10
WIDER_KM: Final = 25
KEPT: Final = "public, max-age=31536000, immutable"
"""For files whose address changes with their content."""
NOT_UNDERSTOOD: Final = {
    "place": "Nous ne trouvons pas ce lieu. Écrivez une commune ou un code postal, par exemple 6000 Charleroi.",
    "q": "Nous n'avons pas compris ces mots. Écrivez ce dont la personne a besoin, en un ou deux mots.",
}
"""What is said beside a field of the search."""
STALE, CONFLICT, INVALID, GONE = 412, 409, 422, 404


@router.get("/static/{name:path}")
async def static(request: Request, name: str) -> Response:
    """Answer a file that pages are dressed with."""
    found = assets().get(name)
    if found is None:
        return trouble(request, NOT_FOUND)
    headers = {"Vary": "Accept-Encoding", "Cache-Control": KEPT, "ETag": f'"{found.mark}"'}
    if "v" not in request.query_params:
        # The font is named by the stylesheet, whose own address changes when it names another.
        headers["Cache-Control"] = "public, max-age=86400"
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    if found.squeezed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(found.squeezed, headers=headers, media_type=found.kind)
    return Response(found.body, headers=headers, media_type=found.kind)


@router.get("/favicon.ico")
async def favicon() -> Response:
    """Send browsers that ask by the old name to our sign."""
    return RedirectResponse("/static/favicon.svg", 308)


# The door --------------------------------------------------------------------------------------------


@router.get("/connexion")
async def sign_in_page(request: Request, visitor: MaybeVisitor, vers: str = "/") -> Response:
    """Ask who it is."""
    if visitor is not None:
        return go(inside(vers))
    return show(request, "sign_in.html", vers=inside(vers), email="", refused=False)


@router.post("/connexion")
async def sign_in(request: Request, form: OurForm, now: Now) -> Response:
    """Open a session; a wrong e-mail and a wrong password are answered alike."""
    email, onward = text(form, "email"), inside(text(form, "vers") or "/")
    # A password is taken as typed: blanks may be part of it.
    secret = await sessions(request).sign_in(email, str(form.get("password", "")), now)
    if secret is None:
        return show(request, "sign_in.html", INVALID, vers=onward, email=email, refused=True)
    response = go(onward)
    keep(request, response, COOKIE, secret)
    response.delete_cookie(FORM_COOKIE, path="/")
    return response


@router.post("/deconnexion")
async def sign_out(request: Request, _form: OurForm, now: Now) -> Response:
    """End the session, here and on the server."""
    secret = request.cookies.get(COOKIE)
    if secret:
        await sessions(request).sign_out(secret, now)
    response = go("/connexion")
    response.delete_cookie(COOKIE, path="/")
    return response


@router.post("/langue")
async def speak(request: Request, form: OurForm) -> Response:
    """Speak another language from now on, in this browser."""
    response = go(inside(text(form, "vers") or "/"))
    keep(request, response, languages.COOKIE, text(form, "langue"))
    return response


@router.get("/accessibilite")
async def accessibility(request: Request, _visitor: MaybeVisitor) -> Response:
    """Say how these pages can be used, and what is not proven yet."""
    return show(request, "accessibility.html")


# Search ----------------------------------------------------------------------------------------------


@router.get("/")
async def first(_visitor: SignedIn) -> Response:
    """Begin where the work begins: with the search."""
    return go("/recherche")


@router.get("/lieux")
async def places(api: AsVisitor, q: Annotated[str, Query(max_length=100)]) -> Response:
    """Answer names of places for the field that one types in."""
    found = await api.get("/v1/directory/places", {"q": q, "limit": 8})
    return JSONResponse([place_label(each) for each in found.body["items"]])


@router.get("/recherche")
async def search(  # noqa: PLR0913 - the fields of the form
    request: Request,
    api: AsVisitor,
    place: Annotated[str, Query(max_length=200)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
    theme: Annotated[list[str], Query()] = [],  # noqa: B006 - FastAPI copies it
    radius_km: int = USUAL_KM,
    cursor: str | None = None,
    numero: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    """Search near a place: a list and a map, side by side."""
    place, q = place.strip(), q.strip()
    chosen = [each for each in theme if each in phrases.THEMES]
    radius_km = radius_km if radius_km in RADII_KM else USUAL_KM
    asked: dict[str, str | int | list[str]] = {}
    if place:
        asked |= {"place": place, "radius_km": radius_km}
    if q:
        asked["q"] = q
    if chosen:
        asked["theme"] = chosen
    fields: dict[str, Any] = {"place": place, "q": q, "themes": chosen, "radius_km": radius_km, "radii": RADII_KM}
    if not asked:
        return show(request, "search.html", **fields, found=None, faults={}, started=False)
    try:
        answer, here, outlines = await asyncio.gather(
            api.get("/v1/directory/search", {**asked, "limit": PAGE, **({"cursor": cursor} if cursor else {})}),
            place_of(api, place),
            background(request, api),
        )
    except ApiProblem as problem:
        if problem.status not in {INVALID, GONE}:
            raise
        at = "q" if any(pointer == "?q" for pointer, _ in problem.faults) or not place else "place"
        return show(
            request, "search.html", INVALID, **fields, found=None, faults={at: NOT_UNDERSTOOD[at]}, started=True
        )
    found = answer.body
    cards = list(enumerate(found["items"], start=numero))
    spots = {number: spot for number, item in cards if (spot := spot_of(item)) is not None}
    wider = None
    if not cards and place and radius_km < WIDER_KM:
        more = await api.get("/v1/directory/search", {**asked, "radius_km": WIDER_KM, "limit": 1})
        wider = {"km": WIDER_KM, "total": more.body["total"]}
    return show(
        request,
        "search.html",
        **fields,
        found=found,
        cards=cards,
        shapes={number: root_of(item, chosen) for number, item in cards},
        drawing=draw(outlines, spots, (here["latitude"], here["longitude"]) if here else None),
        wider=wider,
        more=numero + len(cards),
        faults={},
        started=True,
    )


@router.get("/services/{service_id}")
async def service(request: Request, api: AsVisitor, service_id: UUID) -> Response:
    """Show one service: who, what, how one is received, whom to call."""
    answer = await api.get(f"/v1/directory/services/{service_id}")
    return show(request, "service.html", service=answer.body, themes=await themes_of(request, api))


def place_label(place: Mapping[str, Any]) -> str:
    """Answer a place as one writes it in the field: 6000 Charleroi."""
    postcodes = place.get("postcodes") or []
    name = str(place.get("name") or "")
    return f"{postcodes[0]} {name}" if postcodes else name


async def place_of(api: Api, written: str) -> Json | None:
    """Answer the place of the gazetteer that somebody wrote (a name, a postcode, both), if there is one."""
    code = next(iter(re.findall(r"\b\d{4,5}\b", written)), "")
    name = written.replace(code, "").strip() if code else written
    if not (name or code):
        return None
    found: list[Json] = (await api.get("/v1/directory/places", {"q": name or code, "limit": 50})).body["items"]
    borne = [each for each in found if code in (each.get("postcodes") or ())]
    return next(iter(borne or found), None)


def spot_of(item: Mapping[str, Any]) -> Position | None:
    """Answer where a card stands on the map; what comes to the person stands nowhere."""
    location = item.get("location") or {}
    latitude, longitude = location.get("latitude"), location.get("longitude")
    return (latitude, longitude) if latitude is not None and longitude is not None else None


def root_of(item: Mapping[str, Any], chosen: Sequence[str]) -> str:
    """Answer the family whose shape and colour a card wears: one that was asked for, else its first."""
    families = [phrases.theme_root(slug) for slug in item["service"]["themes"]]
    known = [family for family in families if family in phrases.THEMES]
    return next((family for family in known if family in chosen), known[0] if known else "support")


async def background(request: Request, api: Api) -> tuple[Outline, ...]:
    """Answer the outlines behind the map: the same for all, so asked for once and kept."""
    state = request.app.state
    if not hasattr(state, "outlines"):
        try:
            state.outlines = outlines_of((await api.get("/v1/directory/outlines")).body["features"])
        except ApiProblem as problem:
            # Without its background the map still shows the places: that is no reason to show nothing.
            get_logger().warning("no outlines", status=problem.status)
            return ()
    found: tuple[Outline, ...] = state.outlines
    return found


# Passing the relay -----------------------------------------------------------------------------------


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
        "idempotency-key-reused": "Cette demande est déjà partie, et vous en avez changé le texte depuis. "
        "Voyez d'abord dans « Relais en cours ». Si c'en est une nouvelle, validez encore une fois.",
        "request-in-progress": "Cette demande est en train de partir. "
        "Attendez un instant, puis voyez dans « Relais en cours ».",
        "no-agreement": "Votre structure n'a pas encore signé la convention Relais.",
    }
    code = f" Le code pour l'équipe technique : {problem.trace_id}." if problem.trace_id else ""
    usual = f"Nous n'avons pas pu enregistrer. Rien n'est perdu de ce que vous avez écrit : réessayez.{code}"
    return said.get(problem.slug, usual)


async def show_relay(request: Request, api: Api, offered: Json, written: RelayForm, status: int = 200) -> Response:
    """Show the relay page with what stands in its form."""
    version, language = relay.NOTICE
    themes, notice = await asyncio.gather(themes_of(request, api), api.get(f"/v1/notices/{version}/{language}"))
    slugs = offered_themes(offered)
    choices = [themes[slug] for slug in (slugs or tuple(phrases.THEMES)) if slug in themes]
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


async def themes_of(request: Request, api: Api) -> dict[str, Json]:
    """Answer the themes by slug: the same for all, so asked for once and kept."""
    state = request.app.state
    if not hasattr(state, "themes"):
        found = (await api.get("/v1/directory/themes")).body["items"]
        state.themes = {each["slug"]: each for each in found}
    kept: dict[str, Json] = state.themes
    return kept


def offered_id(offered: Mapping[str, Any]) -> str:
    """Answer the id of a service page's service."""
    return str((offered.get("service") or offered)["id"])


def offered_themes(offered: Mapping[str, Any]) -> tuple[str, ...]:
    """Answer the themes of a service page's service."""
    return tuple((offered.get("service") or offered).get("themes") or ())


def area_of(place: Mapping[str, Any]) -> dict[str, str]:
    """Answer the municipality of a place of the gazetteer as the referral wants it, with its postcode."""
    code = str(place["code"]).partition("/")[0]
    postcodes = place.get("postcodes") or []
    return {"municipality": code, **({"postcode": postcodes[0]} if postcodes else {})}


# The inbox and the thread ----------------------------------------------------------------------------

PARTS: Final = (
    ("recipient", ("proposed", "received")),
    ("recipient", ("accepted", "meeting_planned", "handed_over")),
    ("sender", ("draft", "proposed", "received", "accepted", "meeting_planned", "handed_over")),
    ("recipient", ("closed", "declined", "cancelled", "withdrawn")),
    ("sender", ("closed", "declined", "cancelled", "withdrawn")),
)
"""The parts of the inbox: as which side, in which states."""


@router.get("/relais")
async def inbox(request: Request, api: AsVisitor) -> Response:
    """Show what waits for us, what is with us, and what we passed on."""
    parts = await asyncio.gather(
        *(api.get("/v1/referrals", {"role": role, "state": list(states), "limit": LIST}) for role, states in PARTS)
    )
    to_take, with_us, passed, ended_here, ended_there = [
        [each for each in part.body["items"] if each["state"] in {*states, "ended"}]
        for part, (_, states) in zip(parts, PARTS, strict=True)
    ]
    ended = sorted(ended_here + ended_there, key=lambda each: str(each["updated_at"]), reverse=True)
    return show(
        request,
        "inbox.html",
        to_take=to_take,
        with_us=with_us,
        passed=passed,
        ended=ended[:LIST],
        longer=any(part.body.get("next_cursor") for part in parts),
    )


@router.get("/relais/{referral_id}")
async def thread(request: Request, api: AsVisitor, visitor: SignedIn, referral_id: UUID, now: Now) -> Response:
    """Show one thread between two structures: where it stands, what we may see, what can be done."""
    return await show_thread(request, api, visitor, referral_id, now)


@router.post("/relais/{referral_id}/{action}")
async def act(  # noqa: PLR0913 - who acts, on what, with which form
    request: Request,
    api: AsVisitor,
    visitor: SignedIn,
    referral_id: UUID,
    action: Annotated[str, Path(pattern="^[a-z_]+$")],
    form: OurForm,
    now: Now,
) -> Response:
    """Take one step, then show the thread again."""
    page = f"/relais/{referral_id}"
    step = steps.STEPS.get(action)
    if step is None:
        return trouble(request, NOT_FOUND)
    body, faults = step(_Fields(form), steps.Counsellor(visitor.name, visitor.email, visitor.function))
    if not faults:
        # Withdrawing needs no reading first: stopping is never too late.
        version = None if action == "withdraw" else text(form, "version")
        try:
            await api.post(f"/v1/referrals/{referral_id}/{action}", body, version=version)
        except ApiProblem as problem:
            if problem.status == STALE:
                return go(page, fait="changed")
            if problem.status == CONFLICT:
                return go(page, fait="not_now")
            if problem.status != INVALID:
                raise
            faults = steps.faults_of(problem.faults)
        else:
            return go(page, fait=action)
    return await show_thread(request, api, visitor, referral_id, now, steps.Typed(action, dict(form), faults))


class _Fields:
    """A form as the steps read it: one text or several by name."""

    def __init__(self, form: FormData) -> None:
        self._form = form

    def one(self, name: str) -> str:
        return text(self._form, name)

    def all(self, name: str) -> list[str]:
        return texts(self._form, name)


async def show_thread(  # noqa: PLR0913 - what the page is made of
    request: Request,
    api: Api,
    visitor: Visitor,
    referral_id: UUID,
    now: datetime,
    typed: steps.Typed | None = None,
) -> Response:
    """Show a thread, with what was typed where a step could not be taken."""
    path = f"/v1/referrals/{referral_id}"
    # The reading comes first: the list of who looked then tells of it too.
    read = await api.get(path)
    events, looks, consents = await asyncio.gather(
        api.get(f"{path}/events"), api.get(f"{path}/disclosures"), api.get(f"{path}/consents")
    )
    referral = read.body
    sides = steps.sides(referral, visitor.organisation_id)
    today = now.astimezone(phrases.ZONE).date()
    return show(
        request,
        "thread.html",
        INVALID if typed else 200,
        referral=referral,
        version=read.version,
        sides=sides,
        main_action=steps.main_action(referral, sides),
        events=events.body["items"],
        looks=steps.looks(looks.body["items"], referral),
        consents=consents.body["items"],
        names=steps.names(referral),
        themes=await themes_of(request, api),
        typed=typed or steps.Typed("", {}, {}),
        area=await area_said(api, referral),
        today=today.isoformat(),
        today_date=today,
    )


async def area_said(api: Api, referral: Mapping[str, Any]) -> str:
    """Answer her municipality by name where the gazetteer knows the postcode, else the postcode."""
    area = (referral.get("person") or {}).get("area") or {}
    postcode = str(area.get("postcode") or "")
    if not postcode:
        return str(area.get("municipality") or "")
    for place in (await api.get("/v1/directory/places", {"q": postcode, "limit": 8})).body["items"]:
        if area_of(place)["municipality"] == area.get("municipality"):
            return f"{postcode} {place['municipality']}"
    return postcode
