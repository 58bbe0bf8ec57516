"""A territory's own themes, beside those that come along (docs/words.md)."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from relais_directory.data import coming, thematiques

_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)


def _family(slug: str) -> str:
    if slug not in (families := [one for one in coming() if "--" not in one]):
        raise ValueError(f"one of {', '.join(families)} is expected")
    return slug


def _thematique(value: str) -> str:
    if value not in thematiques():
        raise ValueError("data.inclusion v1 has no such thematique")
    return value


Label = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]*[^\s\x00-\x1f][^\x00-\x1f]*$", max_length=100)]


class Labels(BaseModel):
    """What a theme is called, in each of our languages."""

    model_config = _STRICT

    fr: Label
    nl: Label
    de: Label
    en: Label


class OwnTheme(BaseModel):
    """A theme below one of the four families, whose colour and shape it wears."""

    model_config = _STRICT

    parent: Annotated[str, AfterValidator(_family)]
    slug: Annotated[str, StringConstraints(pattern="^[a-z]+--[a-z]+(-[a-z]+)*$", max_length=60)]
    labels: Labels
    sensitive: bool = Field(description="Asked for, never taken for granted: a sensitive theme is sealed in lists.")
    data_inclusion: list[Annotated[str, AfterValidator(_thematique)]] = Field(
        description="The v1 thematiques that say it, the nearest first: an export takes that one."
    )
    from_data_inclusion: list[str] = Field(
        default=[], description="The values, of v1 or older, that an import reads as this theme too."
    )

    @field_validator("slug")
    @classmethod
    def _below_its_parent(cls, slug: str, info: ValidationInfo) -> str:
        if not slug.startswith(f"{info.data.get('parent', slug.partition('--')[0])}--"):
            raise ValueError(f"begins with {info.data['parent']}--, as its parent says")
        return slug


class OwnThemes(BaseModel):
    """The file."""

    model_config = _STRICT

    about: str = ""
    themes: list[OwnTheme]


def own_themes(file: Path) -> list[OwnTheme]:
    """Read a territory's file of themes.

    Raises:
        ValueError: It cannot be read, or is not of this form; says every fault.
    """
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise ValueError(f"{file} cannot be read: {fault}") from None
    faults = []
    try:
        found = OwnThemes.model_validate(told).themes
    except ValidationError as problem:
        faults = [f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in problem.errors()]
    # Looked for in what was told: a theme with another fault may be there twice as well.
    slugs = _slugs(told)
    faults += [f"{slug} stands there twice" for slug, times in slugs.items() if times > 1]
    faults += [f"{slug} comes along already" for slug in slugs if slug in coming()]
    if faults:
        raise ValueError(f"{file}: {'; '.join(faults)}")
    return found


def _slugs(told: object) -> Counter[str]:
    rows = told.get("themes") if isinstance(told, dict) else None
    named = [row.get("slug") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return Counter(slug for slug in named if isinstance(slug, str))
