"""Who has come in without an account: her session and a guest's, each in a cookie of its own, and their forms."""

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_urlsafe
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from relais_gateway.web.api import Api
from relais_gateway.web.languages import LANGUAGES, wanted
from relais_gateway.web.session import FORM_FIELDS, FormRefused, door


@dataclass(frozen=True, slots=True)
class Kind:
    """One way in without an account: its address, its cookie, and the header that shows its session to the API."""

    path: str
    cookie: str
    header: str
    session_path: str


HER: Final = Kind("/p", "relais_person", "Relais-Person-Session", "/v1/person/session")
GUEST: Final = Kind("/g", "relais_guest", "Relais-Guest-Session", "/v1/guest/session")

FORM_COOKIE: Final = "relais_visit_form"
"""Binds the form at the door to a browser that has no session yet."""
LANGUAGE_COOKIE: Final = "relais_visit_language"
"""Her language, as her card says or as she chose on the page."""


class NotIn(Exception):  # noqa: N818 - not an error: the door is shown
    """Nobody has come in with this browser, or the session has ended."""


def kind_of(request: Request) -> Kind:
    """Answer which of the two ways in a path belongs to."""
    path = request.url.path
    return GUEST if path == GUEST.path or path.startswith(f"{GUEST.path}/") else HER


def spoken_in(request: Request) -> str:
    """Answer the language of a page: the one of her card or chosen here, else what the browser asks for."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    return chosen if chosen in LANGUAGES else wanted(request)


async def _inside(request: Request) -> Api:
    kind = kind_of(request)
    session = request.cookies.get(kind.cookie)
    if not session:
        raise NotIn
    return Api(door(request), shown={kind.header: session})


Inside = Annotated[Api, Depends(_inside)]
"""The public API with her session, or the guest's, and no other right."""


def outside(request: Request) -> Api:
    """Answer the public API for somebody who has shown nothing yet."""
    return Api(door(request), shown={})


def proof(request: Request) -> str:
    """Answer what a form of this page carries: a keyed hash of a cookie that only this browser has."""
    bound = request.cookies.get(kind_of(request).cookie) or request.cookies.get(FORM_COOKIE)
    if bound is None:
        bound = request.state.visit_form = getattr(request.state, "visit_form", None) or token_urlsafe(24)
    return _proof(request, bound)


def _proof(request: Request, bound: str) -> str:
    key: bytes = request.app.state.settings.secret_bytes()
    return urlsafe_b64encode(hmac.digest(key, b"visit:" + bound.encode(), sha256)).decode().rstrip("=")


async def _form(request: Request) -> FormData:
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise FormRefused
    form = await request.form(max_files=0, max_fields=FORM_FIELDS)
    shown = form.get("proof")
    names = (kind_of(request).cookie, FORM_COOKIE)
    bound = [request.cookies[name] for name in names if name in request.cookies]
    if not isinstance(shown, str) or not any(hmac.compare_digest(shown, _proof(request, one)) for one in bound):
        raise FormRefused
    return form


VisitForm = Annotated[FormData, Depends(_form)]
"""A form that one of these pages showed to this browser."""


def keep(request: Request, response: Response, name: str, value: str) -> None:
    """Set a cookie for the length of the browser's session; no other site makes the browser send it."""
    secure = urlsplit(request.app.state.settings.public_url).scheme == "https"
    response.set_cookie(name, value, httponly=True, samesite="strict", secure=secure, path="/")


def forget(response: Response, *names: str) -> None:
    """Take cookies away."""
    for name in names:
        response.delete_cookie(name, path="/", httponly=True, samesite="strict")
