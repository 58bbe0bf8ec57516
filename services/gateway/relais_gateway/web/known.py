"""Browsers in which an account was opened before: what strangers try with its address keeps nobody out of them."""

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from secrets import token_urlsafe
from typing import Final

from fastapi import Request
from starlette.responses import Response

from relais_gateway.domain.devices import Source
from relais_gateway.limiting import Limiting
from relais_gateway.web.session import keep

COOKIE: Final = "relais_known"
"""Holds a name that the browser drew for itself, and a mark of each account that was opened in it."""
KEPT_S: Final = 365 * 24 * 3_600
"""So long after the last time: longer than anybody is on leave."""
AT_MOST: Final = 10
"""Colleagues at one counter; of more, those who came longest ago are strangers again."""


def source(request: Request, email: str) -> Source:
    """Answer where a try of a password comes from: this browser where it knows that account, else its network."""
    browser, marks = _read(request)
    mine = _mark(request, browser, email)
    if any(hmac.compare_digest(mine, one) for one in marks):
        return Source(f"browser:{browser}", known=True)
    limiting: Limiting = request.app.state.door.limiting
    return Source(limiting.network(request.client.host if request.client else ""))


def remember(request: Request, response: Response, email: str) -> None:
    """Know this browser from now on for the account whose password was right."""
    browser, marks = _read(request)
    browser = browser or token_urlsafe(16)
    mine = _mark(request, browser, email)
    kept = [mine, *(one for one in marks if one != mine)][:AT_MOST]
    keep(request, response, COOKIE, ".".join([browser, *kept]), KEPT_S)


def _read(request: Request) -> tuple[str, list[str]]:
    said = request.cookies.get(COOKIE, "")
    browser, *marks = said.split(".") if said.isascii() else [""]
    return browser, marks[:AT_MOST]


def _mark(request: Request, browser: str, email: str) -> str:
    """Answer what only we can write: nobody makes a browser known by its cookie, or reads there for whom it is."""
    key: bytes = request.app.state.settings.secret_bytes()
    about = f"known:{browser}\0{email.strip().casefold()}"
    return urlsafe_b64encode(hmac.digest(key, about.encode(), sha256)).decode().rstrip("=")
