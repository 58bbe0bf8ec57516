"""How far a grant reaches: a limit only ever narrows."""

from hypothesis import given
from hypothesis import strategies as st

from relais_directory.domain.reach import beyond

THEMES = st.sampled_from(["childcare", "childcare--nursery", "mobility", "mobility--bike", "support"])
CODES = st.sampled_from(["be:52011", "be:92094", "fr:97411", "fr:97418", "fr:75056"])
AREAS = st.lists(st.none() | CODES).map(lambda codes: [(f"/{n}", code) for n, code in enumerate(codes)])


@given(st.lists(THEMES), AREAS)
def test_a_grant_without_limits_reaches_everything(themes: list[str], areas: list[tuple[str, str | None]]) -> None:
    assert beyond({}, themes, areas) == []
    assert beyond({"themes": [], "municipalities": None}, themes, areas) == []


@given(st.lists(THEMES, min_size=1), st.lists(THEMES, min_size=1))
def test_a_theme_takes_its_children_and_no_other(allowed: list[str], themes: list[str]) -> None:
    found = {where for where, _why in beyond({"themes": allowed}, themes, [])}
    assert found == {
        f"/themes/{n}" for n, slug in enumerate(themes) if slug not in allowed and slug.split("--")[0] not in allowed
    }


@given(st.lists(CODES, min_size=1), AREAS)
def test_an_area_is_reached_by_its_own_code(allowed: list[str], areas: list[tuple[str, str | None]]) -> None:
    found = {where for where, _why in beyond({"municipalities": allowed}, ["x"], areas)}
    assert found == {where for where, code in areas if code not in allowed}


def test_a_departement_takes_its_communes_and_no_theme_at_all_is_beyond() -> None:
    limits = {"municipalities": ["fr:974"], "themes": ["childcare"]}
    assert beyond(limits, ["childcare"], [("/a", "fr:97411"), ("/b", "fr:974")]) == []
    assert [where for where, _why in beyond(limits, [], [("/a", "fr:75056"), ("/b", None)])] == ["/themes", "/a", "/b"]
