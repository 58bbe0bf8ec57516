"""The quality criteria that either side may note after closing: one versioned list, ours or the territory's own."""

import tomllib
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from relais_shared.settings import SettingsProblem

OURS: Final = Path(__file__).with_name("2026-1.toml")
"""The list of Relais (docs/decisions/0021)."""

MOST: Final = 40
"""Criteria of one list: nobody reads more before ticking."""

Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
"""What a criterion is called in data: the same in every language."""
Version = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)]
"""Which list, such as `2026-1`."""
Statement = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


class Statements(BaseModel):
    """One plain statement that held or did not, in each language of the pages."""

    model_config = ConfigDict(extra="forbid")

    fr: Statement
    nl: Statement
    de: Statement
    en: Statement


class Criterion(BaseModel):
    """One quality criterion."""

    model_config = ConfigDict(extra="forbid")

    code: Code
    text: Statements


class Criteria(BaseModel):
    """The list as it stands; its order is that of the form."""

    model_config = ConfigDict(extra="forbid")

    version: Version
    criteria: list[Criterion] = Field(min_length=1, max_length=MOST)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        codes = [one.code for one in self.criteria]
        if len(set(codes)) != len(codes):
            raise ValueError("A code stands twice.")
        return self

    def codes(self) -> list[str]:
        """Answer the codes in the list's order."""
        return [one.code for one in self.criteria]


def read(path: Path | None) -> Criteria:
    """Answer the list that holds here.

    Args:
        path: A territory's own list, TOML as ours is; none: ours.

    Raises:
        SettingsProblem: The file is absent or no such list.
    """
    try:
        return Criteria.model_validate(tomllib.loads((path or OURS).read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise SettingsProblem(f"RELAIS_REFERRAL_CRITERIA_FILE cannot be read ({type(fault).__name__}).") from None
    except ValidationError as fault:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in fault.errors())
        raise SettingsProblem(f"RELAIS_REFERRAL_CRITERIA_FILE is no list of criteria: {told}") from None
