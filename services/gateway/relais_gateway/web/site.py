"""What every page shares: templates, headers, and a kind word where something goes wrong."""

import re
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from inspect import isawaitable
from types import ModuleType, SimpleNamespace
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, Undefined
from markupsafe import Markup, escape
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from relais_gateway.web import phrases, telling, vocabulary
from relais_gateway.web.api import ApiProblem
from relais_gateway.web.assets import asset_url
from relais_gateway.web.languages import LANGUAGES, _, language, later, ngettext, speaking, wanted
from relais_gateway.web.session import (
    FORM_COOKIE,
    FormRefused,
    SecondStepNeeded,
    SignInNeeded,
    SignInOld,
    keep,
    proof,
)
from relais_shared.clock import utc_now
from relais_shared.problems import COMMON
from relais_shared.refusals import Refusal
from relais_shared.telemetry import current_trace_id, get_logger

POLICY: Final = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
"""Nothing from elsewhere, nothing inline."""

HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # With `no-referrer` browsers send forms from the origin "null"; outside, this tells as little.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # Pages hold what people said; no copy stays in a browser or on the way.
    "Cache-Control": "no-store",
}

NOT_FOUND, FORBIDDEN, UNKNOWN, BUSY, INTERNAL = 404, 403, 401, 429, 500

TROUBLE: Final = {
    UNKNOWN: (
        later("Votre session a pris fin"),
        later("Connectez-vous à nouveau. Rien n'est perdu de ce qui était enregistré."),
    ),
    FORBIDDEN: (
        later("Votre structure n'a pas ce droit"),
        later(
            "Cette page demande un droit que votre structure n'a pas reçu. "
            "La personne qui administre Relais chez vous peut le demander."
        ),
    ),
    NOT_FOUND: (
        later("Cette page n'est pas là"),
        later("Soit l'adresse a changé, soit ce qu'elle montre n'est pas à vous : nous ne disons pas lequel des deux."),
    ),
    BUSY: (
        later("Beaucoup de demandes à la fois"),
        later("Attendez quelques secondes, puis réessayez."),
    ),
}
"""What is said for a status: the title, and what one can do now."""

REFUSED: Final = (
    later("Cette page a trop attendu"),
    later("Nous n'avons rien enregistré. Revenez à la page, rechargez-la, puis recommencez."),
)
OTHERWISE: Final = (
    later("Nous n'avons pas pu répondre"),
    later("Rien de ce qui était enregistré n'est perdu. Réessayez dans un instant."),
)


def _code(text: str) -> Markup:
    """Answer a text of the API's document with what stands between backticks as code, and nothing else as markup."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def _public(module: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("relais_gateway.web"),
        autoescape=True,
        extensions=["jinja2.ext.i18n"],
        # What the API does not show is absent: a template asks for it, and shows nothing.
        undefined=Undefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # What the i18n extension adds to an environment is unknown to its type.
    environment.install_gettext_callables(_, ngettext, newstyle=True)  # type: ignore[attr-defined]
    environment.globals["language"] = language
    environment.globals["asset"] = asset_url
    environment.globals["languages"] = LANGUAGES
    # What templates say of facts, and the words that they say it with, by one name.
    environment.globals["say"] = SimpleNamespace(**(_public(phrases) | _public(vocabulary) | _public(telling)))
    environment.filters["distance"] = phrases.distance
    environment.filters["exact"] = phrases.exact
    environment.filters["within"] = phrases.within
    environment.filters["root"] = phrases.theme_root
    environment.filters["code"] = _code
    # Last: the components ask for all that stands above.
    environment.globals["ui"] = environment.get_template("macros.html").module
    return environment


TEMPLATES: Final = _environment()


def show(request: Request, template: str, /, status: int = 200, **facts: object) -> HTMLResponse:
    """Answer a page.

    Args:
        request: For whom.
        template: Its file below `templates/`.
        status: Of the answer.
        **facts: What the template shows.
    """
    visitor = getattr(request.state, "visitor", None)
    now = getattr(request.app.state, "clock", utc_now)()
    html = TEMPLATES.get_template(template).render(
        visitor=visitor,
        proof=partial(proof, request),
        path=request.url.path,
        now=now,
        here=request.url.path + (f"?{request.url.query}" if request.method == "GET" and request.url.query else ""),
        done=vocabulary.DONE.get(request.query_params.get("fait", ""), ""),
        **facts,
    )
    response = HTMLResponse(html, status)
    fresh = getattr(request.state, "form_cookie", None)
    if fresh:
        keep(request, response, FORM_COOKIE, fresh)
    return response


def go(path: str, **query: str) -> RedirectResponse:
    """Answer that what was sent is done, and where to look next."""
    return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, 303)


def trouble(request: Request, status: int, trace_id: str = "", said: tuple[str, str] | None = None) -> Response:
    """Answer what happened, what one can do now, and a code to quote where only a technician can help."""
    title, text = said or TROUBLE.get(status, OTHERWISE)
    known = status in TROUBLE or said is not None
    return show(
        request,
        "trouble.html",
        status,
        title=_(title),
        text=_(text),
        code="" if known else trace_id or current_trace_id(),
        sign_in=status == UNKNOWN,
    )


class PageRoute(APIRoute):
    """A route that answers with pages only: every no becomes one, and every answer carries our headers."""

    carries: Mapping[str, str] = HEADERS

    def speaks(self, request: Request) -> str:
        """Answer the language of a page."""
        return wanted(request)

    def says_no(self, request: Request, fault: Exception) -> Response:
        """Answer the page for what was refused, or for a bug."""
        return _no(request, fault)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Answer FastAPI's handler inside our own."""
        handler = super().get_route_handler()

        async def page(request: Request) -> Response:
            with speaking(self.speaks(request)):
                try:
                    response = await handler(request)
                except Exception as fault:  # noqa: BLE001 - every no becomes a page; a bug is logged as one
                    response = self.says_no(request, fault)
            for name, value in self.carries.items():
                response.headers.setdefault(name, value)
            return response

        return page


def _no(request: Request, fault: Exception) -> Response:
    match fault:
        case SignInNeeded() | ApiProblem(status=401):
            page = _to_sign_in(request)
        case SecondStepNeeded() | SignInOld():
            # There it is said what is missing, and how to go on.
            page = go("/compte")
        case FormRefused():
            page = trouble(request, FORBIDDEN, said=REFUSED)
        case ApiProblem():
            page = trouble(request, fault.status, fault.trace_id)
        case RequestValidationError():
            page = trouble(request, NOT_FOUND)
        case HTTPException():
            page = trouble(request, fault.status_code)
            page.headers.update(fault.headers or {})
        case Refusal():
            kind = next((COMMON[each] for each in type(fault).__mro__ if each in COMMON), None)
            page = trouble(request, kind.status if kind else INTERNAL)
        case _:
            get_logger().error("bug", exc_info=fault)
            page = trouble(request, INTERNAL)
    return page


def install(app: FastAPI) -> None:
    """Let an address that leads nowhere answer a browser with a page; programs keep their problem document.

    Called after the app's own handlers stand.
    """
    told = app.exception_handlers[HTTPException]

    async def nowhere(request: Request, answer: Exception) -> Response:
        assert isinstance(answer, HTTPException)  # noqa: S101 - registered for this class alone
        reads = "text/html" in request.headers.get("accept", "") and request.method in {"GET", "HEAD"}
        if answer.status_code == NOT_FOUND and reads:
            with speaking(wanted(request)):
                response = trouble(request, NOT_FOUND)
            response.headers.update(HEADERS)
            return response
        found = told(request, answer)
        return await found if isawaitable(found) else found

    app.add_exception_handler(HTTPException, nowhere)


def _to_sign_in(request: Request) -> Response:
    wanted = request.url.path
    if request.method != "GET" or wanted == "/":
        return go("/connexion")
    # What was searched for is nobody else's to read over a shoulder: only the path goes along, and a service's id.
    service = request.query_params.get("service", "")
    return go("/connexion", vers=f"{wanted}?{urlencode({'service': service})}" if service else wanted)
