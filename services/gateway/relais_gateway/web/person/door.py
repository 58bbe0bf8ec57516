"""Coming in without an account and leaving: her card and code, her language, the quick exit."""

from calendar import Calendar
from typing import Final

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from relais_gateway.web.api import ApiProblem, Json
from relais_gateway.web.languages import LANGUAGES, language
from relais_gateway.web.person.session import (
    FORM_COOKIE,
    HER,
    LANGUAGE_COOKIE,
    Kind,
    VisitForm,
    forget,
    keep,
    kind_of,
    outside,
)
from relais_gateway.web.person.site import VisitRoute, go, show
from relais_gateway.web.person.words import LOCALES, PICTURES
from relais_gateway.web.phrases import ZONE
from relais_gateway.web.session import door, text
from relais_shared.client import TransportError
from relais_shared.clock import Now

router = APIRouter(route_class=VisitRoute, include_in_schema=False)

UNKNOWN, INVALID = 401, 422
DIGITS: Final = 6
WEEKS_FROM_MONDAY: Final = Calendar()


def code_of(form: FormData) -> Json | None:
    """Answer the code that stands in a form, as the API takes it: four pictures, or six digits; None where neither."""
    digits = text(form, "digits").replace(" ", "")
    if digits:
        return {"kind": "digits", "value": digits} if len(digits) == DIGITS and digits.isdecimal() else None
    chosen = [text(form, f"picture{number}") for number in (1, 2, 3, 4)]
    if not all(each.isdecimal() and int(each) < len(PICTURES) for each in chosen):
        return None
    return {"kind": "pictures", "value": [int(each) for each in chosen]}


def door_page(request: Request, status: int = 200, *, link: str = "", said: str = "") -> Response:
    """Ask for card and code.

    Args:
        request: For whom.
        status: Of the answer.
        link: As it was sent, so that only the code is asked again.
        said: `wrong` or `fin`: why the door is shown.
    """
    return show(request, "door.html", status, pictures=PICTURES, link=link, said=said)


@router.get("/p")
async def her_door(request: Request, fait: str = "") -> Response:
    """Ask for her card and her code; the secret behind the `#` stays in her browser until she sends it."""
    return door_page(request, said=fait if fait == "fin" else "")


@router.post("/p")
async def come_in(request: Request, form: VisitForm) -> Response:
    """Open her session; whatever is wrong reads alike."""
    link, code = text(form, "link"), code_of(form)
    if code is None or not link:
        return door_page(request, INVALID, link=link, said="wrong")
    try:
        opened = (await outside(request).post(HER.session_path, {"link": link, "code": code})).body
    except ApiProblem as problem:
        if problem.status not in {UNKNOWN, INVALID}:
            raise
        return door_page(request, UNKNOWN, link=link, said="wrong")
    return let_in(request, HER, opened)


def let_in(request: Request, kind: Kind, opened: Json) -> Response:
    """Answer with the cookie of a session just opened, and the language of the card."""
    response = go(f"{kind.path}/ici")
    keep(request, response, kind.cookie, opened["session"])
    forget(response, FORM_COOKIE)
    spoken = str(opened.get("language") or "").partition("-")[0].lower()
    if spoken in LANGUAGES and LANGUAGE_COOKIE not in request.cookies:
        keep(request, response, LANGUAGE_COOKIE, spoken)
    return response


@router.post("/p/quitter")
@router.post("/g/quitter")
async def leave(request: Request) -> Response:
    """End the session at once and show a page that says nothing; no proof is asked: whoever wants to leave leaves."""
    kind = kind_of(request)
    session = request.cookies.get(kind.cookie)
    response = RedirectResponse("/p/calendrier", 303)
    forget(response, kind.cookie, FORM_COOKIE, LANGUAGE_COOKIE)
    if session:
        try:
            await door(request).delete(kind.session_path, headers={kind.header: session})
        except TransportError:
            # The browser forgets it all the same; what is left of the session ends by itself.
            return response
    return response


@router.get("/p/calendrier")
async def neutral(request: Request, now: Now) -> Response:
    """Answer a page that anybody may see over a shoulder: this month."""
    today = now.astimezone(ZONE).date()
    weeks = WEEKS_FROM_MONDAY.monthdatescalendar(today.year, today.month)
    return show(request, "calendar.html", weeks=weeks, today=today, locale=LOCALES[language()])


@router.post("/p/langue")
@router.post("/g/langue")
async def speak(request: Request, form: VisitForm) -> Response:
    """Speak another language from now on, in this browser."""
    kind = kind_of(request)
    response = go(f"{kind.path}/ici" if kind.cookie in request.cookies else kind.path)
    chosen = text(form, "langue")
    if chosen in LANGUAGES:
        keep(request, response, LANGUAGE_COOKIE, chosen)
    return response
