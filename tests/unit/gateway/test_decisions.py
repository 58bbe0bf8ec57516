"""The dry run says yes exactly where the door opens, whatever is granted, asked and on record."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from relais_gateway.domain.decisions import Check, Facts, decide
from relais_gateway.domain.scopes import MEANINGS, Grant, granted

TODAY = date(2026, 11, 23)
scopes = st.frozensets(st.sampled_from(["directory:read", "directory:write", "referral:send", "referral:receive"]))
ends = st.one_of(st.none(), st.integers(-2, 2).map(lambda days: TODAY + timedelta(days=days)))


@given(
    scopes, scopes, st.dictionaries(st.sampled_from(sorted(MEANINGS)), ends), st.tuples(st.booleans(), st.booleans())
)
def test_all_yes_is_what_the_door_does(
    wanted: frozenset[str], may: frozenset[str], given_: dict[str, date | None], about: tuple[bool, bool]
) -> None:
    agreement, control = about
    grants = {scope: Grant(scope, {}, ends_on) for scope, ends_on in given_.items()}
    facts = Facts(
        scopes=wanted, open_to_all=False, client=True, organisation=True, may=may, grants=grants,
        agreement=agreement, control_unit=control,
    )  # fmt: skip
    held = granted(grants.values(), today=TODAY, agreement=agreement, control_unit=control)
    checks = decide(facts, TODAY)
    assert all(holds for _check, holds in checks) == bool(wanted & may & held.keys())


def test_the_first_no_is_the_last_question_and_what_is_open_to_all_asks_nobody() -> None:
    facts = Facts(frozenset(), False, False, False, frozenset(), {}, False, False)
    assert decide(facts, TODAY) == [(Check.OPERATION, False)]
    public = Facts(frozenset(), True, False, False, frozenset(), {}, False, False)
    assert decide(public, TODAY) == [(Check.OPERATION, True)]
