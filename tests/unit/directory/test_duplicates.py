"""Whether two entries may be one service: a score with reasons, the same from both sides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_directory.domain.duplicates import PROPOSED_FROM, SAME_PLACE_M, Entry, compare, digits

NAMES = st.sampled_from(
    ["Crèche Les Lutins", "Les lutins - crèche", "CRECHE LES LUTINS", "Maison médicale", "Service d'aide", "", "!"]
)
ENTRIES = st.builds(
    Entry,
    name=NAMES,
    organisation=NAMES,
    phones=st.frozensets(st.sampled_from(["71000000", "470112233"])),
    email=st.none() | st.sampled_from(["a@example.org", "A@Example.org", "b@example.org"]),
    streets=st.frozensets(st.sampled_from(["Rue Haute 1", "rue haute, 1", "Rue Basse 2"])),
    themes=st.frozensets(st.sampled_from(["childcare", "mobility"])),
)
DISTANCES = st.none() | st.floats(0, 1_000)


def entry(name: str = "Crèche Les Lutins", **facts: object) -> Entry:
    """Answer an entry of which only a name is told, and what a test adds."""
    told: dict[str, object] = {
        "organisation": "", "phones": frozenset(), "email": None, "streets": frozenset(), "themes": frozenset(),
    }  # fmt: skip
    return Entry(name, **{**told, **facts})  # type: ignore[arg-type]  # fields of Entry


@given(ENTRIES, ENTRIES, DISTANCES)
def test_it_is_the_same_from_both_sides_and_always_told_why(one: Entry, other: Entry, distance: float | None) -> None:
    score, reasons = compare(one, other, distance)
    assert 0 <= score <= 1
    assert {reason["what"] for reason in reasons} == {reason["what"] for reason in compare(other, one, distance)[1]}
    assert abs(score - compare(other, one, distance)[0]) <= 0.1
    assert bool(score) == bool(reasons)


@given(ENTRIES, ENTRIES, DISTANCES)
def test_a_name_alone_is_never_enough(one: Entry, other: Entry, distance: float | None) -> None:
    score, reasons = compare(one, other, distance)
    if score >= PROPOSED_FROM:
        assert {reason["what"] for reason in reasons} & {"place", "phone", "email", "street", "organisation"}
        assert reasons[0]["what"] == "name"


@given(ENTRIES, ENTRIES)
def test_a_place_out_of_reach_is_no_reason(one: Entry, other: Entry) -> None:
    assert "place" not in {reason["what"] for reason in compare(one, other, SAME_PLACE_M + 1)[1]}
    assert "place" not in {reason["what"] for reason in compare(one, other, None)[1]}
    assert compare(one, other, 0)[0] >= compare(one, other, None)[0]


@pytest.mark.parametrize(
    ("one", "other", "distance", "proposed"),
    [
        (entry(), entry(), 0, True),
        (entry(), entry("Les Lutins (crèche)"), 100, True),
        (entry(), entry(), None, False),
        (entry(), entry(), 500, False),
        (entry(phones=frozenset({"71000000"})), entry(phones=frozenset({"71000000"})), None, True),
        (entry(email="a@example.org"), entry(email="A@example.org"), None, True),
        (entry(), entry("Maison médicale"), 0, False),
        (entry("Consultations ONE"), entry("Consultations de planning familial"), 0, False),
        (entry(""), entry(""), 0, False),
    ],
)
def test_a_name_with_a_place_a_number_or_a_mailbox_is_worth_a_look(
    one: Entry,
    other: Entry,
    distance: float | None,
    proposed: bool,  # noqa: FBT001 - what a row of the table expects
) -> None:
    assert (compare(one, other, distance)[0] >= PROPOSED_FROM) is proposed


@pytest.mark.parametrize(
    ("spellings", "expected"),
    [
        (("071 12 34 56", "+32 71 12 34 56", "0032 71/12.34.56", "+32 (0)71 12 34 56", "32 71 12 34 56"), "71123456"),
        (("03 312 34 56", "+32 3 312 34 56", "0032 3 312 34 56"), "33123456"),
        (("0470/11.22.33", "+32 470 11 22 33", "32470112233"), "470112233"),
        (("01 42 00 00 00", "+33 1 42 00 00 00", "0033142000000"), "142000000"),
        (("0262 12 34 56", "+262 262 12 34 56"), "262123456"),
        (("+352 621 123 456", "00352 621 123 456"), "621123456"),
        (("", "poste"), ""),
    ],
)
def test_a_number_is_one_however_it_is_written(spellings: tuple[str, ...], expected: str) -> None:
    assert {digits(one) for one in spellings} == {expected}
