"""What the terms and words of other houses say in ours."""

import re
from functools import cache
from typing import Final

from relais_directory.data import words
from relais_directory.domain.words import Lexicon, plain

WHEELCHAIR_WORDS: Final = frozenset(
    {"wheelchair", "wheelchair accessible", "wheelchair access", "accessible by wheelchair"}
)
"""How others say, in one word, that a wheelchair gets in."""

NOT_A_NEED: Final = re.compile(r"eligib|audience|public|population|people|target", re.IGNORECASE)
"""Kinds of attributes that say for whom a service is, not what it is."""

FOREIGN_NAMES: Final = {
    "12 step": "support--addiction",
    "afterschool care": "childcare--after-school",
    "benefits and tax": "support--rights",
    "birth control": "support--health",
    "care at home": "support--home-help",
    "community services": "",
    "community transport": "mobility--accompanied-transport",
    "credit counseling": "support--debt",
    "education": "training",
    "emergency cash": "support--debt",
    "english as a second language": "training--languages",
    "english as a second language esl": "training--languages",
    "esol": "training--languages",
    "financial aid loans": "training--funding",
    "financial assistance": "support--debt",
    "foreclosure counseling": "support--housing",
    "ged high school equivalency": "training",
    "help fill out forms": "support--rights",
    "help find work": "support--employment",
    "help pay for food": "support--food-clothing",
    "help pay for gas": "mobility--cost",
    "help pay for housing": "support--housing",
    "help pay for school": "training--funding",
    "help pay for transit": "mobility--cost",
    "help pay for utilities": "support--housing",
    "identification recovery": "support--rights",
    "independent living": "support--housing",
    "long term housing": "support--housing",
    "maternity care": "support--health",
    "meals": "support--food-clothing",
    "mediation": "support--legal",
    "navigating the system": "support--rights",
    "one on one support": "support--social-link",
    "preschool": "childcare",
    "primary care": "support--health",
    "representation": "support--legal",
    "residential housing": "support--housing",
    "resume development": "support--employment",
    "short term housing": "support--shelter",
    "skills assessment": "training--recognition-of-skills",
    "transit": "mobility--public-transport",
    "transportation": "mobility",
    "understand government programs": "support--rights",
    "work": "support--employment",
}
"""Terms of Open Eligibility and of British directories, plain, that our own words do not have; empty: no theme.

(Community services are no community service, which a court orders.)
"""


def themes_named(name: str) -> tuple[str, ...]:
    """Answer the themes that the name of another taxonomy's term says; none where it says more than we understand."""
    if (theme := FOREIGN_NAMES.get(plain(name))) is not None:
        return (theme,) if theme else ()
    meaning = _lexicon().meaning(name)
    return meaning.themes if len(meaning.words) <= len(meaning.by) else ()


@cache
def _lexicon() -> Lexicon:
    return Lexicon({slug: [word for group in told.values() for word in group] for slug, told in words().items()})
