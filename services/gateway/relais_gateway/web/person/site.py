"""What her pages and a guest's share: light templates, headers, and a kind word where something goes wrong."""

import gzip
from functools import partial
from typing import Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from relais_gateway.web.api import ApiProblem
from relais_gateway.web.languages import LANGUAGES, _, later
from relais_gateway.web.person import words
from relais_gateway.web.person.session import FORM_COOKIE, NotIn, forget, keep, kind_of, proof, spoken_in
from relais_gateway.web.session import FormRefused
from relais_gateway.web.site import HEADERS, TEMPLATES, PageRoute
from relais_shared.clock import utc_now
from relais_shared.telemetry import current_trace_id, get_logger

OURS: Final = {**HEADERS, "Referrer-Policy": "no-referrer"}
"""As on every page; where she comes from is nobody's to know."""

UNKNOWN, FORBIDDEN, NOT_FOUND, BUSY, INTERNAL = 401, 403, 404, 429, 500

TROUBLE: Final = {
    FORBIDDEN: (
        later("Cette partie est fermée ici"),
        later("Votre carte montre seulement les étapes. À un guichet, avec votre carte et votre code, tout s'ouvre."),
    ),
    NOT_FOUND: (later("Il n'y a rien ici"), later("Revenez à votre page.")),
    BUSY: (later("Un peu de patience"), later("Attendez une minute, puis réessayez. Rien n'est perdu.")),
}
"""What is said for a status: the title, and what one can do now."""
OTHERWISE: Final = (
    later("Cela n'a pas marché"),
    later("Rien n'est perdu. Réessayez dans un instant."),
)
REFUSED: Final = (
    later("Cette page a trop attendu"),
    later("Rien n'a changé. Revenez à votre page, puis recommencez."),
)


def show(request: Request, template: str, /, status: int = 200, **facts: object) -> Response:
    """Answer a page, compressed where the browser takes it.

    What a page says to one browser is mixed with nothing that another site could put there: its cookie is never sent
    from elsewhere, so compressing tells nothing.

    Args:
        request: For whom.
        template: Its file below `templates/person/`.
        status: Of the answer.
        **facts: What the template shows.
    """
    html = TEMPLATES.get_template(f"person/{template}").render(
        proof=partial(proof, request),
        root=kind_of(request).path,
        languages=LANGUAGES,
        words=words,
        now=getattr(request.app.state, "clock", utc_now)(),
        done=words.done(request.query_params.get("fait", "")),
        **facts,
    )
    headers = {"Vary": "Accept-Encoding"}
    body = html.encode()
    if "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["Content-Encoding"] = gzip.compress(body, 6), "gzip"
    response = HTMLResponse(body, status, headers)
    fresh = getattr(request.state, "visit_form", None)
    if fresh:
        keep(request, response, FORM_COOKIE, fresh)
    return response


def go(path: str, done: str = "") -> Response:
    """Answer that what was sent is done, and where to look next."""
    return RedirectResponse(f"{path}?fait={done}" if done else path, 303)


class VisitRoute(PageRoute):
    """A route whose pages are hers or a guest's: in their language, each no in their words."""

    carries = OURS

    def speaks(self, request: Request) -> str:
        """Answer the language of a page."""
        return spoken_in(request)

    def says_no(self, request: Request, fault: Exception) -> Response:
        """Answer the page for what was refused, or for a bug."""
        return _no(request, fault)


def _no(request: Request, fault: Exception) -> Response:
    status, said, code = INTERNAL, OTHERWISE, ""
    match fault:
        case NotIn() | ApiProblem(status=401):
            kind = kind_of(request)
            response = go(kind.path, "fin")
            forget(response, kind.cookie)
            return response
        case FormRefused():
            status, said = FORBIDDEN, REFUSED
        case ApiProblem():
            status, said, code = fault.status, TROUBLE.get(fault.status, OTHERWISE), fault.trace_id
        case RequestValidationError():
            status, said = NOT_FOUND, TROUBLE[NOT_FOUND]
        case HTTPException():
            status, said = fault.status_code, TROUBLE.get(fault.status_code, OTHERWISE)
        case _:
            get_logger().error("bug", exc_info=fault)
            code = current_trace_id()
    title, text = said
    known = status in TROUBLE or said is REFUSED
    return show(request, "trouble.html", status, title=_(title), text=_(text), code="" if known else code)
