"""What is told of what was noted: nobody of few, no organisation's own, each hand-over in one quarter."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_referral import criteria
from relais_referral.domain.figures import LEAST, Step
from relais_referral.domain.handshake import State
from relais_referral.domain.reflection import (
    Ballot,
    Reflections,
    closed_at,
    counted_at,
    name_of,
    next_quarter,
    noted_until,
    quarter_due,
    quarter_of,
    reflections_of,
    year_of,
)
from relais_referral.domain.retention import CLOSED_FOR
from relais_shared.settings import SettingsProblem

T0 = datetime(2026, 9, 3, 10, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
CODES = frozenset({"own_pace", "asked_once", "met_soon"})


def ballot(person: int, author: int, held: frozenset[str] = CODES, version: str = "1") -> Ballot:
    """Answer what an organisation noted of somebody."""
    return Ballot(UUID(int=person), frozenset({UUID(int=author)}), version, held, CODES - held)


# Often all or none, as people tick: else hardly any criterion would ever be told, and nothing shown to hold.
ballots = st.lists(
    st.builds(
        ballot,
        st.integers(0, 25),
        st.integers(0, 4),
        st.one_of(st.just(CODES), st.just(frozenset[str]()), st.frozensets(st.sampled_from(sorted(CODES)))),
        st.sampled_from(["1", "1", "1", "2"]),
    ),
    max_size=60,
)


def groups(told: Reflections, quarter: list[Ballot]) -> Iterator[list[Ballot]]:
    """Answer the notes behind every number that is told, and behind what is left of the whole without it."""
    noted = [one for one in quarter if one.criteria == told.criteria]
    for row in told.rows:
        held = [one for one in noted if row.code in one.held]
        assert (row.held, row.of) == (len(held), len(noted))
        yield from (noted, held, [one for one in noted if one not in held])


@given(ballots)
def test_every_number_is_of_five_persons_also_without_ones_own(quarter: list[Ballot]) -> None:
    told = reflections_of(quarter)
    if told is None:
        return
    for group in groups(told, quarter):
        assert not group or len({one.person for one in group}) >= LEAST
        for author in range(5):
            left = {one.person for one in group if UUID(int=author) not in one.parties}
            assert not left or len(left) >= LEAST


@given(ballots)
def test_no_organisation_is_left_alone_with_another(quarter: list[Ballot]) -> None:
    """Whoever takes off its own notes is left with those of two others at least: whose they are stays open."""
    told = reflections_of(quarter)
    if told is not None:
        authors = {party for one in quarter if one.criteria == told.criteria for party in one.parties}
        assert all(len(authors - {one}) > 1 for one in authors)


@given(ballots, st.randoms(use_true_random=False))
def test_the_order_of_the_notes_changes_nothing(quarter: list[Ballot], random: Random) -> None:
    mixed = list(quarter)
    random.shuffle(mixed)
    assert reflections_of(mixed) == reflections_of(quarter)


def quarter_with(*held: int, of: int = 18) -> list[Ballot]:
    """Answer notes of three organisations in turn on a person each; one code held in the first so many of each."""
    return [
        ballot(person, person % 3, frozenset({"own_pace"}) if person // 3 < held[person % 3] else frozenset())
        for person in range(of)
    ]


@pytest.mark.parametrize(
    ("held", "told"),
    [
        ((6, 6, 6), 18),
        ((0, 0, 0), 0),
        ((3, 3, 3), 9),
        # Four who did not are hidden, and so is that they were four.
        ((6, 6, 2), None),
        ((2, 1, 1), None),
        # Six are enough to who knows none of them; whoever noted three of them is left with three.
        ((3, 3, 0), None),
        # Only one organisation noted it: to itself nobody is left, to the others it is six among unknown.
        ((6, 0, 0), 6),
    ],
)
def test_a_criterion_is_told_where_both_answers_are_of_enough(held: tuple[int, ...], told: int | None) -> None:
    found = reflections_of(quarter_with(*held))
    assert found is not None
    assert {row.code: row.held for row in found.rows}.get("own_pace") == told


def test_five_persons_of_three_organisations_are_enough_and_less_are_not() -> None:
    def noted(persons: int, authors: int) -> list[Ballot]:
        # Everybody noted everybody: nobody can take a person off altogether.
        return [ballot(*pair) for pair in product(range(persons), range(authors))]

    assert [reflections_of(noted(persons, 3)) is None for persons in (4, 5)] == [True, False]
    assert [reflections_of(noted(9, authors)) is None for authors in (1, 2, 3)] == [True, True, False]
    assert reflections_of([]) is None


def test_one_list_is_told_and_not_the_difference_of_two() -> None:
    old, new = quarter_with(6, 6, 6), [ballot(30 + number, number % 3, version="2") for number in range(3)]
    assert reflections_of([*old, *new]) == reflections_of(old)


def steps(*more: tuple[timedelta, str, str]) -> list[Step]:
    """Answer what happened to a hand-over, each so long after the first instant."""
    return [Step(T0 + after, f"referral.{type_}", state) for after, type_, state in more]


@pytest.mark.parametrize(
    ("more", "closed"),
    [
        ([(DAY, "handed_over", "handed_over")], None),
        ([(DAY, "closed", "closed")], DAY),
        ([(DAY, "closed", "closed"), (DAY + MINUTE, "undone", "handed_over")], None),
        ([(DAY, "closed", "closed"), (DAY + MINUTE, "undone", "handed_over"), (2 * DAY, "closed", "closed")], 2 * DAY),
        ([(DAY, "closed", "closed"), (9 * DAY, "reopened", "handed_over"), (99 * DAY, "closed", "closed")], DAY),
        (
            [
                (DAY, "closed", "closed"),
                (9 * DAY, "reopened", "handed_over"),
                (99 * DAY, "closed", "closed"),
                (99 * DAY + MINUTE, "undone", "handed_over"),
            ],
            DAY,
        ),
    ],
)
def test_a_handover_is_of_the_quarter_in_which_it_was_first_closed(
    more: list[tuple[timedelta, str, str]], closed: timedelta | None
) -> None:
    assert closed_at(steps(*more)) == (closed and T0 + closed)


@pytest.mark.parametrize("state", State)
def test_it_is_noted_while_closed_until_it_is_counted(state: State) -> None:
    """Not before, not after, not without her agreement to be counted, and never where the sender may sanction."""
    end = datetime(2026, 11, 1, tzinfo=UTC)

    def until(*, agreed: bool = True, may_sanction: bool = False, now: datetime = T0) -> datetime | None:
        return noted_until(T0, state, agreed=agreed, sender_may_sanction=may_sanction, now=now)

    assert until() == until(now=end - MINUTE) == (end if state is State.CLOSED else None)
    assert until(now=end) is until(agreed=False) is until(may_sanction=True) is None
    assert noted_until(None, state, agreed=True, sender_may_sanction=False, now=T0) is None


def test_a_quarter_is_counted_a_month_after_its_end_and_before_what_is_hers_is_gone() -> None:
    quarter = quarter_of(T0)
    assert (quarter, name_of(quarter), next_quarter(quarter)) == (date(2026, 7, 1), "2026-Q3", date(2026, 10, 1))
    assert [name_of(one) for one in year_of(quarter)] == ["2026-Q1", "2026-Q2", "2026-Q3", "2026-Q4"]
    due = datetime(2026, 11, 1, 0, 10, tzinfo=UTC)
    assert quarter_due(None, T0, due) == quarter
    assert quarter_due(None, T0, due - MINUTE) is None
    assert quarter_due(quarter, T0, due + 92 * DAY) == next_quarter(quarter)
    assert quarter_due(None, None, due) is None
    for year, month in product((2027, 2028), (1, 4, 7, 10)):
        first = date(year, month, 1)
        closed = datetime(year, month, 1, tzinfo=UTC)
        assert quarter_of(closed - MINUTE) < quarter_of(closed) == first
        assert counted_at(first) + DAY < closed + CLOSED_FOR


def test_the_list_is_of_twenty_plain_statements() -> None:
    ours = criteria.read(None)
    assert (ours.version, len(set(ours.codes()))) == ("2026-1", 20)
    for language in ("fr", "nl", "de", "en"):
        texts = [getattr(one.text, language) for one in ours.criteria]
        assert len(set(texts)) == 20, language
        assert all(text.endswith(".") for text in texts), language


@pytest.mark.parametrize(
    "written",
    [
        "",
        "version = ",
        'version = "t-1"\ncriteria = []',
        'version = "t-1"\n[[criteria]]\ncode = "A b"\ntext = {fr = "a", nl = "a", de = "a", en = "a"}',
        'version = "t-1"\n[[criteria]]\ncode = "a"\ntext = {fr = "a", nl = "a", de = "a"}',
        'version = "t-1"\n' + '[[criteria]]\ncode = "a"\ntext = {fr = "a", nl = "a", de = "a", en = "a"}\n' * 2,
    ],
)
def test_a_territorys_own_list_is_judged_when_we_start(tmp_path: Path, written: str) -> None:
    file = tmp_path / "criteria.toml"
    file.write_text(written)
    with pytest.raises(SettingsProblem, match="RELAIS_REFERRAL_CRITERIA_FILE"):
        criteria.read(file)
    with pytest.raises(SettingsProblem, match="cannot be read"):
        criteria.read(tmp_path / "nowhere.toml")


def test_a_territory_may_have_its_own_list(tmp_path: Path) -> None:
    file = tmp_path / "criteria.toml"
    file.write_text('version = "t-1"\n[[criteria]]\ncode = "a"\ntext = {fr = "a", nl = "b", de = "c", en = "d"}')
    assert criteria.read(file).codes() == ["a"]
