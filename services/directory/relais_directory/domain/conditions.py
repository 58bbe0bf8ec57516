"""Conditions of a service, held against what a person says of herself; nothing of it is kept."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Outcome = Literal["holds", "fails", "to_ask"]
"""`to_ask`: nothing was said, or the rule is only words; "je leur demande" always remains."""

LEVELS: Final = ("A1", "A2", "B1", "B2", "C1", "C2")
"""Of the Common European Framework of Reference for Languages, rising."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition, what it names exactly."""

    kind: str
    text: str
    municipalities: Sequence[str] = ()
    audiences: Sequence[str] = ()
    minimum_age: float | None = None
    maximum_age: float | None = None
    level: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What the person says; None where she said nothing.

    Attributes:
        areas: Codes of the areas that cover where she lives.
        age: Years.
        audiences: Kinds of persons she counts herself to.
        level: Of the language in question, A1 to C2.
        prescriber: Somebody may prescribe it for her.
        papers: She has the papers.
    """

    areas: Collection[str] | None = None
    age: int | None = None
    audiences: Collection[str] | None = None
    level: str | None = None
    prescriber: bool | None = None
    papers: bool | None = None


def check(rule: Rule, said: Said) -> Outcome:
    """Answer whether a condition holds for what was said."""
    holds: bool | None = None
    if rule.kind == "area" and rule.municipalities and said.areas is not None:
        holds = bool(set(rule.municipalities) & set(said.areas))
    elif rule.kind == "status" and rule.audiences and said.audiences is not None:
        holds = bool(set(rule.audiences) & set(said.audiences))
    elif rule.kind == "age" and said.age is not None and (rule.minimum_age, rule.maximum_age) != (None, None):
        least = rule.minimum_age if rule.minimum_age is not None else 0
        holds = least <= said.age and (rule.maximum_age is None or said.age <= rule.maximum_age)
    elif rule.kind == "level" and rule.level in LEVELS and said.level in LEVELS:
        holds = LEVELS.index(said.level) >= LEVELS.index(rule.level)
    elif rule.kind == "prescriber":
        holds = said.prescriber
    elif rule.kind == "papers":
        holds = said.papers
    return "to_ask" if holds is None else "holds" if holds else "fails"
