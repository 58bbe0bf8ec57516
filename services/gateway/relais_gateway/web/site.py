"""What every page shares: templates, headers, and a kind word where something goes wrong."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, Undefined
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from relais_gateway.web import phrases
from relais_gateway.web.api import ApiProblem
from relais_gateway.web.assets import asset_url
from relais_gateway.web.session import FORM_COOKIE, FormRefused, SignInNeeded, keep, proof
from relais_shared.clock import utc_now
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
        "Votre session a pris fin",
        "Connectez-vous à nouveau. Rien n'est perdu de ce qui était enregistré.",
    ),
    FORBIDDEN: (
        "Votre structure n'a pas ce droit",
        (
            "Cette page demande un droit que votre structure n'a pas reçu. "
            "La personne qui administre Relais chez vous peut le demander."
        ),
    ),
    NOT_FOUND: (
        "Cette page n'est pas là",
        "Soit l'adresse a changé, soit ce qu'elle montre n'est pas à vous : nous ne disons pas lequel des deux.",
    ),
    BUSY: ("Beaucoup de demandes à la fois", "Attendez quelques secondes, puis réessayez."),
}
"""What is said for a status: the title, and what one can do now."""

REFUSED: Final = (
    "Cette page a trop attendu",
    "Nous n'avons rien enregistré. Revenez à la page, rechargez-la, puis recommencez.",
)
OTHERWISE: Final = (
    "Nous n'avons pas pu répondre",
    "Rien de ce qui était enregistré n'est perdu. Réessayez dans un instant.",
)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("relais_gateway.web"),
        autoescape=True,
        # What the API does not show is absent: a template asks for it, and shows nothing.
        undefined=Undefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = asset_url
    environment.globals["say"] = phrases
    environment.filters["distance"] = phrases.distance
    environment.filters["exact"] = phrases.exact
    environment.filters["root"] = phrases.theme_root
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
        done=phrases.DONE.get(request.query_params.get("fait", ""), ""),
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
        title=title,
        text=text,
        code="" if known else trace_id or current_trace_id(),
        sign_in=status == UNKNOWN,
    )


class PageRoute(APIRoute):
    """A route that answers with pages only: every no becomes one, and every answer carries our headers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Answer FastAPI's handler inside our own."""
        handler = super().get_route_handler()

        async def page(request: Request) -> Response:
            try:
                response = await handler(request)
            except SignInNeeded:
                response = _to_sign_in(request)
            except FormRefused:
                response = trouble(request, FORBIDDEN, said=REFUSED)
            except ApiProblem as problem:
                if problem.status == UNKNOWN:
                    response = _to_sign_in(request)
                else:
                    response = trouble(request, problem.status, problem.trace_id)
            except RequestValidationError:
                response = trouble(request, NOT_FOUND)
            except HTTPException as answer:
                response = trouble(request, answer.status_code)
            except Exception as fault:  # noqa: BLE001 - logged as the bug it is, and told kindly
                get_logger().error("bug", exc_info=fault)
                response = trouble(request, INTERNAL)
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return page


def _to_sign_in(request: Request) -> Response:
    wanted = request.url.path
    if request.method != "GET" or wanted == "/":
        return go("/connexion")
    # Only the path goes along: what was searched for is nobody else's to read over a shoulder.
    return go("/connexion", vers=wanted)
