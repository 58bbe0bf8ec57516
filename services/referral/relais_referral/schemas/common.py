"""What every body and representation is made of."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints


class Input(BaseModel):
    """A body: what is not named here is refused, so that a misspelt protection is not silently lost."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


def shown(**example: Any) -> ConfigDict:  # noqa: ANN401 - JSON
    """Answer the configuration of a model that shows integrators what is sent; a test holds each to its own schema."""
    return ConfigDict(json_schema_extra={"examples": [example]})


def _one_line(value: object) -> object:
    if isinstance(value, str) and any(ord(sign) < ord(" ") for sign in value):
        raise ValueError("Write it on one line, without control characters.")
    return value


def _no_controls(value: object) -> object:
    if isinstance(value, str) and any(ord(sign) < ord(" ") and sign not in "\n\r\t" for sign in value):
        raise ValueError("Control characters cannot be taken.")
    return value


Line = Annotated[str, BeforeValidator(_one_line), StringConstraints(min_length=1, max_length=200)]
"""A short text on one line, at most 200 characters."""
Text = Annotated[str, BeforeValidator(_no_controls), StringConstraints(min_length=1, max_length=4_000)]
"""Some paragraphs, at most 4,000 characters: a page, not a file."""
Phone = Annotated[str, StringConstraints(pattern=r"^\+?[0-9][0-9 ./()\-]{4,24}$")]
"""A telephone number as people write it."""
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)]
"""A BCP 47 tag."""
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-{1,2}[a-z0-9]+)*$", max_length=80)]
"""A theme of the directory."""


class View(BaseModel):
    """A representation: a field that its reader may not see is absent, not empty."""

    model_config = ConfigDict(extra="forbid")


class OrganisationView(View):
    """One structure of a hand-over."""

    organisation_id: UUID
    name: str
