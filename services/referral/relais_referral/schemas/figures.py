"""What travels of figures."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from relais_referral.schemas.common import Slug

Month = Annotated[str, StringConstraints(pattern=r"^[12]\d{3}-(0[1-9]|1[0-2])$")]
"""A month, `2026-09`."""


class FiguresQuery(BaseModel):
    """Which months, and which of their rows; rows are only left out, nothing is counted for a question."""

    model_config = ConfigDict(extra="forbid")

    since: Month | None = Field(default=None, description="The first month, such as `2026-01`.")
    until: Month | None = Field(default=None, description="The last month.")
    theme: list[Slug] = Field(default=[], description="Only these rows by theme; a family takes its themes.")
    municipality: list[Annotated[str, StringConstraints(max_length=20)]] = Field(
        default=[], description="Only these rows by municipality, such as `be:52011`."
    )
    limit: int = Field(default=24, ge=1, le=100, description="Months.")
    cursor: str | None = None


class StepRow(BaseModel):
    """How many hand-overs had come so far, and no further, when their month was counted."""

    step: Literal["waiting", "answered", "met"] = Field(
        description="`waiting`: not answered; `answered`: with yes or no; `met`: both sides say that she was met."
    )
    handovers: int


class _Times(BaseModel):
    handovers: int = Field(description="Proposed in this month.")
    answered_within_days: int | None = Field(
        description="Half of those that were answered were so within this many days; null where they are too few."
    )
    met_within_days: int | None = Field(
        description="Half of those that were handed over were first met within this many days."
    )


class ThemeRow(_Times):
    """The hand-overs of a theme, or of a family with all its themes."""

    theme: str = Field(description="A family (`childcare`), a theme of it, or `several` (families).")


class MunicipalityRow(_Times):
    """The hand-overs of persons who live in a municipality."""

    municipality: str


class MonthFigures(BaseModel):
    """What may be told of the hand-overs that were proposed in a month.

    A row that is not there may be of nobody or of few; it cannot be told which.
    """

    month: str
    counted_at: datetime = Field(description="What happened later changes nothing here any more.")
    handovers: int | None = Field(description="Null where your grant is for some themes or municipalities.")
    answered_within_days: int | None
    met_within_days: int | None
    by_step: list[StepRow]
    by_theme: list[ThemeRow]
    by_municipality: list[MunicipalityRow]


class FiguresPage(BaseModel):
    """Months, the newest first; one of which nothing may be told is not among them."""

    items: list[MonthFigures]
    next_cursor: str | None = None


def day_of(month: str | None) -> date | None:
    """Answer the first day of a month."""
    return date.fromisoformat(f"{month}-01") if month else None
