"""Every "no" as an exception: what Relais refused, or that it could not be reached."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx


class RelaisError(Exception):
    """Anything that this client raises on purpose."""


class Unreachable(RelaisError):  # noqa: N818 - it says what happened
    """No answer came; whether the request arrived is not known unless it could be repeated safely."""


class NotFromRelais(RelaisError):  # noqa: N818 - it says what happened
    """A webhook that does not bear the signature it should, or is too old."""


class TokenRefused(RelaisError):  # noqa: N818 - it says what happened
    """The authorisation server gave no token (RFC 6749, section 5.2).

    Args:
        error: As `invalid_client` or `invalid_scope`.
        status: Of the answer.
        trace_id: What the operator of Relais finds the request by.
    """

    def __init__(self, error: str, status: int, trace_id: str | None = None) -> None:
        super().__init__(f"No token: {error} ({status}, trace {trace_id}).")
        self.error = error
        self.status = status
        self.trace_id = trace_id


@dataclass(frozen=True, slots=True)
class Fault:
    """One input that cannot be taken.

    `pointer` is a JSON pointer into the body, `?name` for a parameter, `name:` for a header.
    """

    pointer: str
    detail: str


class Problem(RelaisError):  # noqa: N818 - named after the document that it carries
    """A problem document (RFC 9457): what was refused, and why.

    Attributes:
        type: Stable, as `/problems/consent-missing`; every installation opens it to read what to do.
        status: Of the answer.
        title: What it is, in words.
        detail: What it is this time; never anything of hers.
        errors: Every input at fault.
        trace_id: What the operator of Relais finds the request by.
        allowed_actions: What could be done instead, where a step was refused.
        retry_after_s: How long to wait before asking again, where the answer says so.
        members: The whole document.
    """

    def __init__(self, status: int, members: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        self.status = status
        self.type = str(members.get("type", "about:blank"))
        self.title = str(members.get("title", ""))
        self.detail: str | None = members.get("detail")
        self.errors = [Fault(one.get("pointer", ""), one.get("detail", "")) for one in members.get("errors", ())]
        self.trace_id: str | None = members.get("trace_id")
        self.allowed_actions: list[str] = list(members.get("allowed_actions", ()))
        self.retry_after_s = retry_after_s
        self.members = dict(members)
        faults = "; ".join(f"{one.pointer} {one.detail}" for one in self.errors)
        said = " ".join(part for part in (self.title, self.detail, faults) if part)
        super().__init__(f"{said} ({self.status} {self.type}, trace {self.trace_id})")

    @property
    def slug(self) -> str:
        """The last part of `type`, as `consent-missing`."""
        return self.type.rpartition("/")[2]


def problem_of(answer: httpx.Response) -> Problem:
    """Answer the problem of an answer; whatever stands between us and Relais may have answered without a document."""
    return Problem(answer.status_code, document(answer) or {"title": answer.reason_phrase}, retry_after_s(answer))


def document(answer: httpx.Response) -> dict[str, Any]:
    """Answer the JSON object of an answer, empty where there is none."""
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def retry_after_s(answer: httpx.Response) -> float | None:
    """Answer how long `Retry-After` says to wait: seconds, or until a date (RFC 9110, section 10.2.3)."""
    said = answer.headers.get("retry-after", "").strip()
    if said.isdecimal():
        return float(said)
    try:
        until = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
