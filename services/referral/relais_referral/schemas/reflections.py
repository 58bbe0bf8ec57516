"""What travels of reflections: a side's own note, and the sums of all."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from relais_referral.criteria import MOST, Code, Version
from relais_referral.schemas.common import Input


class Note(Input):
    """Which quality criteria held, as one side saw it; codes alone, no words."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"criteria": "2026-1", "held": ["named_colleague", "own_pace", "asked_once"]}]}
    )

    criteria: Version = Field(description="The version of the list that was read.")
    held: list[Code] = Field(
        max_length=MOST,
        description="Those that held. One that is not here did not, or your side cannot say.",
    )


class NoteView(BaseModel):
    """What your side noted; the other side, and whoever else, never reads it."""

    until: datetime | None = Field(description="It can be noted, and changed, until then; null: not here, or not now.")
    noted: bool
    criteria: Version | None = Field(description="The list that it was noted on.")
    held: list[Code]


class ReflectionsQuery(BaseModel):
    """Which page; nothing is counted for a question."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100, description="Periods.")] = 24
    cursor: str | None = None


class CriterionRow(BaseModel):
    """In how many notes a criterion held, of how many; each side of a hand-over has its own note."""

    code: Code
    held: int
    of: int


class ReflectionPeriodView(BaseModel):
    """What may be told of the notes on the hand-overs that were closed in a period.

    A criterion that is not there may have held for nearly all or for nearly none; it cannot be told which.
    """

    period: str = Field(description="A quarter, `2026-Q3`; or a year, `2026`: then of those of its quarters below.")
    quarters: list[str] = Field(description="Each stands in one period.")
    counted_at: datetime = Field(description="What happened later changes nothing here any more.")
    criteria_version: Version
    criteria: list[CriterionRow]


class ReflectionsPage(BaseModel):
    """Periods, the newest first; one of which nothing may be told is not among them."""

    items: list[ReflectionPeriodView]
    next_cursor: str | None = None
