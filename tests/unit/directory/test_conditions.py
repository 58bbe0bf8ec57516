"""Conditions: what is named exactly is held against what was said; the rest is to be asked."""

from hypothesis import given
from hypothesis import strategies as st

from relais_directory.domain.conditions import LEVELS, Rule, Said, check

CODES = st.sampled_from(["be:52011", "be:92094", "fr:97411", "fr:974", "*"])
AUDIENCES = st.sampled_from(["women", "young", "seniors"])
RULES = st.builds(
    Rule,
    kind=st.sampled_from(["area", "status", "age", "level", "prescriber", "papers", "other"]),
    text=st.just("t"),
    municipalities=st.lists(CODES, max_size=3),
    audiences=st.lists(AUDIENCES, max_size=3),
    minimum_age=st.none() | st.integers(0, 100),
    maximum_age=st.none() | st.floats(0, 100),
    level=st.none() | st.sampled_from([*LEVELS, "fluent"]),
)
SAID = st.builds(
    Said,
    areas=st.none() | st.sets(CODES),
    age=st.none() | st.integers(0, 150),
    audiences=st.none() | st.lists(AUDIENCES),
    level=st.none() | st.sampled_from(LEVELS),
    prescriber=st.none() | st.booleans(),
    papers=st.none() | st.booleans(),
)
ASKED_OF = {
    "area": "areas", "status": "audiences", "age": "age", "level": "level", "prescriber": "prescriber",
    "papers": "papers",
}  # fmt: skip


@given(RULES, SAID)
def test_a_rule_is_judged_only_where_something_was_said_of_it(rule: Rule, said: Said) -> None:
    outcome = check(rule, said)
    if rule.kind == "other" or getattr(said, ASKED_OF[rule.kind]) is None:
        assert outcome == "to_ask"
    if outcome != "to_ask":
        # Nothing else that was said plays a part.
        alone = Said(**{ASKED_OF[rule.kind]: getattr(said, ASKED_OF[rule.kind])})
        assert check(rule, alone) == outcome


@given(RULES)
def test_nothing_said_is_always_to_ask(rule: Rule) -> None:
    assert check(rule, Said()) == "to_ask"


@given(st.lists(CODES, min_size=1), st.sets(CODES))
def test_an_area_holds_where_one_of_its_codes_covers_the_home(area: list[str], home: set[str]) -> None:
    outcome = check(Rule("area", "t", municipalities=area), Said(areas=home))
    assert outcome == ("holds" if set(area) & home else "fails")


@given(st.none() | st.integers(0, 99), st.none() | st.integers(0, 99), st.integers(0, 120))
def test_an_age_holds_between_its_bounds_both_included(least: int | None, most: int | None, age: int) -> None:
    outcome = check(Rule("age", "t", minimum_age=least, maximum_age=most), Said(age=age))
    if least is None and most is None:
        assert outcome == "to_ask"
    else:
        fits = (least is None or age >= least) and (most is None or age <= most)
        assert outcome == ("holds" if fits else "fails")


@given(st.sampled_from(LEVELS), st.sampled_from(LEVELS))
def test_a_level_holds_from_itself_upwards(wanted: str, said: str) -> None:
    outcome = check(Rule("level", "t", level=wanted), Said(level=said))
    assert outcome == ("holds" if said >= wanted else "fails")


def test_a_level_that_only_words_tell_is_to_ask() -> None:
    assert check(Rule("level", "t", level="courant"), Said(level="C2")) == "to_ask"
