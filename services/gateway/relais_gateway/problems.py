"""What the gateway's own refusals are on the wire."""

from collections.abc import Mapping
from typing import Final

from starlette.responses import JSONResponse

from relais_gateway.domain.refusals import AgreementMissing, LastAdministrator, LastKey, TooManyCalls
from relais_shared import idempotency
from relais_shared.problems import RETRY_AFTER_S, Problem
from relais_shared.refusals import Refusal, Unavailable
from relais_shared.telemetry import current_trace_id

NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""What every answer about tokens carries."""

TABLE: Final[Mapping[type[Refusal], Problem]] = {
    **idempotency.PROBLEMS,
    AgreementMissing: Problem("no-agreement", 403, "The organisation has no agreement on record."),
    LastAdministrator: Problem("last-administrator", 409, "Nobody could administer any more."),
    LastKey: Problem("last-signing-key", 409, "Nothing else signs access tokens."),
}
"""Refusal → problem."""

NOT_NOW: Final[Mapping[type[Refusal], int]] = {TooManyCalls: 429, Unavailable: 503}
"""What the authorisation server refuses for this moment alone: nothing is wrong with the request."""


def oauth_error(error: str, detail: str, status: int, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Answer an error as RFC 6749, section 5.2, says it, with the trace id."""
    body = {"error": error, "error_description": detail, "trace_id": current_trace_id()}
    return JSONResponse(body, status, headers={**NO_STORE, **(headers or {})})


def oauth_not_now(refusal: Refusal) -> JSONResponse | None:
    """Answer what a client of the authorisation server is told that has to come back; nothing for other refusals.

    `temporarily_unavailable` is the one registered code that means it (RFC 6749, section 4.1.2.1); the status says
    whether the client called too often itself.
    """
    status = next((NOT_NOW[kind] for kind in type(refusal).__mro__ if kind in NOT_NOW), None)
    if status is None:
        return None
    given = refusal.facts.get("headers")
    headers = {"Retry-After": str(RETRY_AFTER_S), **(given if isinstance(given, dict) else {})}
    return oauth_error("temporarily_unavailable", refusal.detail, status, headers)
