"""Who looks at a page: the session cookie, the proof that a form is ours, the API with their rights."""

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from secrets import token_urlsafe
from typing import Annotated, Final, Protocol
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import Depends, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import RedirectResponse, Response

from relais_gateway.domain.devices import ANYWHERE, Source, named
from relais_gateway.web.api import Api
from relais_gateway.web.languages import language
from relais_shared.client import ASGITransport, Client, open_client
from relais_shared.clock import Now

COOKIE: Final = "relais_session"
"""Holds the session's secret and nothing else."""
FORM_COOKIE: Final = "relais_form"
"""Binds the sign-in form to a browser that has no session yet."""
API_TIMEOUT_S: Final = 12.0
"""The door answers for its services well before; this only ends what never would."""
STEP_COOKIE: Final = "relais_step"
"""Holds the secret of somebody halfway through signing in."""
FORM_FIELDS: Final = 100
"""More than the longest of our forms has."""
FRESH: Final = timedelta(minutes=15)
"""A sign-in this young may change how one signs in: whoever finds a browser left open may not."""
NOBODY: Final = UUID(int=0)
LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


LOOKING_AFTER: Final = frozenset(
    {"directory:write", "directory:capacity", "webhook:manage", "org:admin", "platform:admin", "trace:read"}
)
"""Scopes that open a part of the console."""


class Refused(StrEnum):
    """Why somebody halfway does not come in."""

    WRONG = "wrong"
    """The code fits nothing, was used already, or there were too many tries: which one is not told."""
    ENDED = "ended"
    """Nobody is halfway, or no longer: it begins again with the password."""


@dataclass(frozen=True, slots=True)
class Halfway:
    """Somebody whose password fitted and who has a second step to go; the cookie holds the secret."""

    secret: str = field(repr=False)


class SignInNeeded(Exception):  # noqa: N818 - not an error: the page asks who it is
    """Nobody is signed in in this browser."""


class SecondStepNeeded(Exception):  # noqa: N818 - not an error: the page shows how
    """Whoever is signed in has to set up a second step first."""


class SignInOld(Exception):  # noqa: N818 - not an error: the page asks to sign in again
    """What is asked for takes a fresh sign-in."""


class FormRefused(Exception):  # noqa: N818 - a refusal is an answer
    """A form came without the proof that one of our pages, in this browser, showed it."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """The person signed in: who, of which organisation, the access token of the session and what it lets her do.

    Attributes:
        since: When she signed in.
        must_enrol: She has to set up a second step before anything else.
    """

    name: str
    email: str
    function: str
    organisation_id: UUID
    organisation: str
    token: str = field(repr=False)
    secret: str = field(repr=False)
    scopes: frozenset[str] = frozenset()
    practice: bool = False
    account_id: UUID = NOBODY
    session_id: UUID = NOBODY
    since: datetime = LONG_AGO
    must_enrol: bool = False

    @property
    def looks_after(self) -> bool:
        """Whether some part of the console is open to her."""
        return bool(self.scopes & LOOKING_AFTER)

    @property
    def demonstration(self) -> bool:
        """Whether the organisation is one of the demonstration territory, which says so in its name."""
        return "(démonstration)" in self.organisation.casefold()


class Sessions(Protocol):
    """What the pages ask of the gateway's sessions."""

    async def sign_in(
        self, email: str, password: str, now: datetime, device: str = "", source: Source = ANYWHERE
    ) -> str | Halfway | None:
        """Open a session and answer its secret, or who is halfway; nothing where e-mail and password do not fit."""

    async def second_step(self, halfway: str, typed: str, now: datetime, device: str = "") -> str | Refused:
        """Open the session of somebody halfway whose code fits; answer its secret, or what is wrong."""

    async def visitor(self, secret: str, now: datetime, *, prolong: bool = True) -> Visitor | None:
        """Answer whose session this is, or nothing where it has ended; a page that looks by itself prolongs none."""

    async def speak(self, secret: str, language: str) -> None:
        """Note in which language the owner of a session reads."""

    async def sign_out(self, secret: str, now: datetime) -> None:
        """End a session."""


def sessions(request: Request) -> Sessions:
    """Answer the gateway's sessions."""
    found: Sessions = request.app.state.sessions
    return found


async def visitor_or_none(request: Request, now: Now) -> Visitor | None:
    """Answer who is signed in, if anybody; a page asks once."""
    if not hasattr(request.state, "visitor"):
        secret = request.cookies.get(COOKIE)
        request.state.visitor = await sessions(request).visitor(secret, now) if secret else None
    found: Visitor | None = request.state.visitor
    return found


async def _watching(request: Request, now: Now) -> Visitor | None:
    secret = request.cookies.get(COOKIE)
    request.state.visitor = await sessions(request).visitor(secret, now, prolong=False) if secret else None
    found: Visitor | None = request.state.visitor
    return found


Watching = Annotated[Visitor | None, Depends(_watching)]
"""Whose page looks by itself, if anybody's: nobody is at work because a page is open, so the session ends as before."""


async def _known(visitor: Annotated[Visitor | None, Depends(visitor_or_none)]) -> Visitor:
    if visitor is None:
        raise SignInNeeded
    return visitor


async def _visitor(visitor: Annotated[Visitor, Depends(_known)]) -> Visitor:
    if visitor.must_enrol:
        raise SecondStepNeeded
    return visitor


async def _fresh(visitor: Annotated[Visitor, Depends(_known)], now: Now) -> Visitor:
    if now - visitor.since > FRESH:
        raise SignInOld
    return visitor


MaybeVisitor = Annotated[Visitor | None, Depends(visitor_or_none)]
"""The person signed in, if anybody."""
SignedIn = Annotated[Visitor, Depends(_visitor)]
"""The person signed in; anybody else is asked to sign in first."""
Known = Annotated[Visitor, Depends(_known)]
"""The same, also where a second step is still to be set up."""
JustIn = Annotated[Visitor, Depends(_fresh)]
"""The same, signed in a moment ago: whoever may change how one signs in."""


async def _api(request: Request, visitor: SignedIn) -> Api:
    return Api(door(request), visitor.token)


AsVisitor = Annotated[Api, Depends(_api)]
"""The public API with the rights of the person signed in."""


def door(request: Request) -> Client:
    """Answer a client that enters by the gateway's own door, in this process; made at first use."""
    state = request.app.state
    if not hasattr(state, "pages_client"):
        entrance = getattr(state, "door", request.app)
        transport = ASGITransport(app=entrance, raise_app_exceptions=False)
        state.pages_client = open_client("http://gateway", timeout_s=API_TIMEOUT_S, transport=transport)
    found: Client = state.pages_client
    return found


def proof(request: Request) -> str:
    """Answer what a form of this page carries: a keyed hash of the cookie that only this browser has."""
    bound = request.cookies.get(COOKIE) or request.cookies.get(FORM_COOKIE)
    if bound is None:
        bound = request.state.form_cookie = getattr(request.state, "form_cookie", None) or token_urlsafe(24)
    return _proof(request, bound)


def _proof(request: Request, bound: str) -> str:
    key: bytes = request.app.state.settings.secret_bytes()
    return urlsafe_b64encode(hmac.digest(key, b"form:" + bound.encode(), sha256)).decode().rstrip("=")


async def our_form(request: Request, files: int = 0) -> FormData:
    """Answer a form that one of our pages showed to this browser.

    Args:
        request: That carries it.
        files: How many it may carry.

    Raises:
        FormRefused: It comes from elsewhere, or without the proof.
    """
    # Browsers say where a form comes from; one of another site is refused even with the right words in it.
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise FormRefused
    form = await request.form(max_files=files, max_fields=FORM_FIELDS)
    shown = form.get("proof")
    bound = [request.cookies[name] for name in (COOKIE, FORM_COOKIE) if name in request.cookies]
    if not isinstance(shown, str) or not any(hmac.compare_digest(shown, _proof(request, one)) for one in bound):
        raise FormRefused
    return form


async def _form(request: Request) -> FormData:
    return await our_form(request)


OurForm = Annotated[FormData, Depends(_form)]
"""A form that one of our pages showed to this browser."""


def text(form: FormData, name: str) -> str:
    """Answer a field's text, stripped; empty where it is absent. No text of the database holds a zero byte."""
    value = form.get(name, "")
    return "" if isinstance(value, UploadFile) else value.replace("\0", "").strip()


def texts(form: FormData, name: str) -> list[str]:
    """Answer every value of a field."""
    return [value for value in form.getlist(name) if isinstance(value, str)]


def keep(request: Request, response: Response, name: str, value: str, seconds: int | None = None) -> None:
    """Set a cookie, for the length of the browser's session unless said; scripts and other sites never see it."""
    secure = urlsplit(request.app.state.settings.public_url).scheme == "https"
    response.set_cookie(name, value, max_age=seconds, httponly=True, samesite="lax", secure=secure, path="/")


def inside(path: str) -> str:
    """Answer a path of our own to go on to; anything else becomes the first page."""
    parts = urlsplit(path)
    ours = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    return path if ours else "/"


def device(request: Request) -> str:
    """Answer what the browser says it is, in the few words by which its owner knows it again."""
    return named(request.headers.get("user-agent", ""))


async def come_in(request: Request, secret: str, path: str) -> Response:
    """Answer that the session is open, and where to go on to; letters speak the language of this page from now on."""
    await sessions(request).speak(secret, language())
    response = RedirectResponse(path, 303)
    keep(request, response, COOKIE, secret)
    for left in (FORM_COOKIE, STEP_COOKIE):
        response.delete_cookie(left, path="/")
    return response
