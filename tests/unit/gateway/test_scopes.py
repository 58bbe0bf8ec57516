"""Scopes only narrow, whatever is asked; a grant holds as long as it says and while its conditions do."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_gateway.domain.refusals import InvalidScope
from relais_gateway.domain.scopes import MEANINGS, OF_ROLE, Grant, granted, narrowed

TODAY = date(2026, 11, 23)
scopes = st.sets(st.sampled_from(sorted(MEANINGS)))


@given(asked=st.one_of(st.none(), scopes, st.just({"no:such"})), may=scopes, held=scopes)
def test_scopes_only_narrow(asked: set[str] | None, may: set[str], held: set[str]) -> None:
    words = None if asked is None else " ".join(sorted(asked))
    left = (may if asked is None else asked) & may & held
    if not left or (asked or set()) - set(MEANINGS):
        with pytest.raises(InvalidScope):
            narrowed(words, may, held)
    else:
        assert narrowed(words, may, held) == sorted(left)


@given(st.text(), scopes, scopes)
def test_no_words_open_more(asked: str, may: set[str], held: set[str]) -> None:
    try:
        found = set(narrowed(asked, may, held))
    except InvalidScope:
        return
    assert found <= may & held & set(asked.split(" "))


@pytest.mark.parametrize("scope", sorted(MEANINGS))
@pytest.mark.parametrize("agreement", [True, False])
@pytest.mark.parametrize("control_unit", [True, False])
def test_who_hands_people_over_has_agreed_and_does_not_control(
    scope: str, *, agreement: bool, control_unit: bool
) -> None:
    found = granted([Grant(scope, {})], today=TODAY, agreement=agreement, control_unit=control_unit)
    expected = not scope.startswith("referral:") or (agreement and not control_unit)
    assert (scope in found) is expected


@pytest.mark.parametrize(("days", "holds"), [(-1, False), (0, True), (1, True)])
def test_a_grant_holds_through_its_last_day(days: int, *, holds: bool) -> None:
    grant = Grant("directory:read", {}, TODAY + timedelta(days=days))
    assert bool(granted([grant], today=TODAY, agreement=True, control_unit=False)) is holds


def test_what_does_not_exist_is_not_granted() -> None:
    assert not granted([Grant("person:self", {})], today=TODAY, agreement=True, control_unit=False)


def test_every_role_asks_for_scopes_that_exist() -> None:
    assert all(found <= set(MEANINGS) for found in OF_ROLE.values())
