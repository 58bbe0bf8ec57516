"""The base of every "no": domain and store raise a Refusal with facts; they know no status code."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not an error
    """A rule of the field says no.

    Args:
        detail: What happened and what to do next, for a human; never personal data.
        facts: JSON-able members that go into the problem document beside the detail.
    """

    def __init__(self, detail: str, **facts: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input.

    `pointer` is a JSON pointer into the body ("/person/area"), or "?name" for a query
    parameter, or "name:" for a header. `detail` never repeats the value, which may be personal.
    """

    pointer: str
    detail: str


_MEMBER: Final = re.compile(r"<\w+\.\w+: ('[^']*')>")
_LENGTH: Final = re.compile(r"Value should have (at \w+ \d+) (?:item|items) after validation.*")


def reason(error: Mapping[str, Any]) -> str:
    """Answer what one of pydantic's errors says, in words that know nothing of Python."""
    if error["type"] == "missing" and error["loc"] == ("body",):
        return "The body is missing."
    said = _MEMBER.sub(r"\1", str(error["msg"]).removeprefix("Value error, "))
    return _LENGTH.sub(r"String should have \1 characters", said) if isinstance(error.get("input"), str) else said


def how_many(faults: int) -> str:
    """Answer the sentence that stands above the faults of an input."""
    return "One input cannot be taken." if faults == 1 else f"{faults} inputs cannot be taken."


class InvalidInput(Refusal):
    """The input is well-formed but breaks rules; every fault is named, not only the first."""

    def __init__(self, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail, errors=[{"pointer": fault.pointer, "detail": fault.detail} for fault in faults])
        self.faults = tuple(faults)

    @classmethod
    def of(cls, *faults: Fault) -> Self:
        """Answer the refusal of an input whose faults say it all."""
        return cls(how_many(len(faults)), faults)


class MalformedRequest(Refusal):
    """The request cannot be judged at all: broken JSON, a header that is no header."""


class WrongMediaType(Refusal):
    """The body is of another type than what is asked for, or does not say of which."""


class Unauthenticated(Refusal):
    """Nobody we know: no token, or not one of ours."""


class ScopeMissing(Refusal):
    """Known, but the organisation does not hold the scope that this needs."""


class NotFound(Refusal):
    """Absent, or not yours to know of: the two answer alike."""


class VersionRequired(Refusal):
    """A change needs `If-Match` with the ETag that was read."""


class StaleVersion(Refusal):
    """It changed since it was read; read it again, then decide again."""


class Unavailable(Refusal):
    """Something we depend on does not answer now; try again a little later."""
