"""Names of persons in a text, as far as a rule can see them: after a title, or after "ask for"."""

import re
from typing import Final

_NAME: Final = r"[^\W\d_][\w'\u2019-]+"
_TITLES: Final = (
    r"mme|mlle|m|mr|mrs|ms|dr|madame|mademoiselle|monsieur|docteur|mevrouw|mijnheer|meneer|dhr|mevr|frau|herr|miss"
)
_AFTER_TITLE: Final = re.compile(rf"\b(?:{_TITLES})\b\.?\s+(?P<name>{_NAME})", re.IGNORECASE)
_ASKING: Final = (
    r"demander|demandez|demande|voir|voyez|appeler|appelez|contacter|contactez|chez|avec|vraag(?:\s+naar)?|bel|met|"
    r"fragen\s+sie(?:\s+nach)?|nach|mit|ask(?:\s+for)?|call|see|with"
)
_AFTER_ASKING: Final = re.compile(rf"\b(?:{_ASKING})\s+(?P<name>{_NAME})(?P<more>(?:\s+{_NAME})?)", re.IGNORECASE)

_NOT_NAMES: Final = frozenset(
    [
        "accueil",
        "service",
        "guichet",
        "secrétariat",
        "maison",
        "centre",
        "bureau",
        "monsieur",
        "madame",
        "cpas",
        "forem",
    ]
)
"""Words written large that are no person: desks and houses."""


def named_in(text: str) -> bool:
    """Answer whether a text seems to name a person: a title and a name, or somebody to ask for, written large."""
    for found in _AFTER_TITLE.finditer(text):
        if found["name"][0].isupper():
            return True
    return any(
        found["name"][0].isupper() and not found["name"].isupper() and found["name"].casefold() not in _NOT_NAMES
        for found in _AFTER_ASKING.finditer(text)
    )
