"""What is told of a month: nobody of few, and no part that could be computed from the rest."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import chain, combinations, count, product
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_referral.domain.figures import (
    LEAST,
    SEVERAL,
    UNTOLD,
    Counted,
    Course,
    Figures,
    Step,
    counted_at,
    course_of,
    enough,
    family,
    figures_of,
    months_due,
    shown,
    theme_of,
)

T0 = datetime(2026, 9, 3, 10, tzinfo=UTC)
END = counted_at(date(2026, 9, 1))
DAY = timedelta(days=1)
YES, NO = UUID(int=1), UUID(int=2)
WAITING = Course(None, met=False, met_after=None)

courses = st.one_of(
    st.just(WAITING),
    st.builds(Course, st.timedeltas(timedelta(), 40 * DAY), st.just(value=False), st.none()),
    st.builds(Course, st.timedeltas(timedelta(), 40 * DAY), st.just(value=True), st.timedeltas(timedelta(), 40 * DAY)),
)
counted = st.builds(
    Counted,
    person=st.integers(0, 60),
    parties=st.frozensets(st.sampled_from([UUID(int=number) for number in range(4)]), min_size=1, max_size=2),
    theme=st.sampled_from([UNTOLD, SEVERAL, "childcare", "childcare--nursery", "mobility", "mobility--bike"]),
    municipality=st.sampled_from(["be:52011", "be:52012", "be:52021"]),
    course=courses,
)
months = st.lists(counted, max_size=50)


def groups_of(told: Figures, month: list[Counted]) -> Iterator[list[list[Counted]]]:
    """Answer the groups into which each part of what is told divides the month, what is not told being one of them."""
    families = {row.key for row in told.themes if row.key in {family(row.key), SEVERAL}}
    ways: list[tuple[Callable[[Counted], str], set[str], list[Counted]]] = [
        (lambda one: one.course.step, {row.key for row in told.steps}, month),
        (lambda one: one.municipality, {row.key for row in told.municipalities}, month),
        (lambda one: family(one.theme), families, month),
    ]
    for name in families:
        inside = [one for one in month if family(one.theme) == name]
        ways.append((lambda one: one.theme, {row.key for row in told.themes} - families, inside))
    for key, names, whole in ways:
        found: dict[str | None, list[Counted]] = defaultdict(list)
        for one in whole:
            found[key(one) if key(one) in names else None].append(one)
        yield list(found.values())


@given(months)
def test_whatever_can_be_added_up_is_of_five_persons(month: list[Counted]) -> None:
    """Every number that is told, and every difference of two, also for an organisation that takes off its own."""
    told = figures_of(month, insiders=True)
    if told is None:
        return
    for groups in groups_of(told, month):
        for some in chain.from_iterable(combinations(groups, size) for size in range(1, len(groups) + 1)):
            together = [one for group in some for one in group]
            assert len({one.person for one in together}) >= LEAST
            for party in {party for one in together for party in one.parties}:
                left = {one.person for one in together if party not in one.parties}
                assert not left or len(left) >= LEAST


@given(months)
def test_what_is_told_is_true(month: list[Counted]) -> None:
    told = figures_of(month, insiders=False)
    if told is None:
        assert len({one.person for one in month}) < LEAST
        return
    assert told.whole.handovers == len(month)
    for row in told.municipalities:
        assert row.handovers == sum(one.municipality == row.key for one in month)
    for row in told.themes:
        exact = sum(one.theme == row.key for one in month)
        assert row.handovers in {exact, sum(family(one.theme) == row.key for one in month)}
    assert all(row.key != UNTOLD for row in told.themes)
    for row in (told.whole, *told.themes, *told.municipalities):
        assert row.answered_within_days is None or 0 <= row.answered_within_days <= 40


@given(months, st.randoms(use_true_random=False))
def test_the_order_of_the_log_changes_nothing(month: list[Counted], random: Random) -> None:
    mixed = list(month)
    random.shuffle(mixed)
    assert figures_of(mixed, insiders=True) == figures_of(month, insiders=True)


def parted(sizes: tuple[int, ...]) -> dict[str, list[Counted]]:
    """Answer parts of so many persons, each known to nobody."""
    person = count()
    return {
        f"part {number}": [Counted(next(person), frozenset(), "", "", WAITING) for _ in range(size)]
        for number, size in enumerate(sizes)
    }


@pytest.mark.parametrize(
    ("parts", "most", "never"),
    [(1, 30, ()), (2, 24, ()), (3, 20, ()), (4, 14, ()), (5, 9, ()), (3, 18, (2,)), (4, 12, (2, 3))],
)
def test_no_hidden_part_can_be_computed(parts: int, most: int, never: tuple[int, ...]) -> None:
    """Who knows the whole, every part that is told, this program, and that there are so few parts, cannot do it.

    Every way to part every whole is looked at: each hidden part of each is as large as it is in no other way that
    would be told alike, or there is nobody in it.
    """
    alike: dict[object, list[tuple[int, ...]]] = defaultdict(list)
    hide = {f"part {number}" for number in never}
    for sizes in product(range(most + 1), repeat=parts):
        if LEAST <= sum(sizes) <= most:
            found = parted(sizes)
            told = tuple((key, len(found[key])) for key in shown(found, never=hide))
            alike[sum(sizes), told].append(sizes)
    assert alike
    for (_, told), ways in alike.items():
        names = {key for key, _ in told}
        for number in range(parts):
            if f"part {number}" not in names:
                assert {way[number] for way in ways} == {0} or len({way[number] for way in ways}) > 1, (told, ways)


def test_five_are_enough_and_four_are_not() -> None:
    assert [len(shown(parted((size, 0)))) for size in (4, 5, 6)] == [0, 1, 1]
    # What is left over is of fewer than five, so that the smallest is hidden beside it, and all as small as it.
    assert shown(parted((9, 7, 2))) == ["part 0"]
    assert shown(parted((9, 7, 7, 2))) == ["part 0"]
    assert shown(parted((7, 7, 2))) == []


def test_an_organisation_that_takes_off_its_own_is_left_with_five_or_nobody() -> None:
    us, them = frozenset({UUID(int=1)}), frozenset({UUID(int=2)})

    def group(ours: int, theirs: int) -> list[Counted]:
        return [Counted(number, us if number < ours else them, "", "", WAITING) for number in range(ours + theirs)]

    assert [enough(group(8, theirs)) for theirs in (0, 1, 4, 5)] == [True, False, False, True]


def test_who_was_redirected_is_one_person() -> None:
    one = Counted("she", frozenset(), "childcare", "be:52011", WAITING)
    others = [Counted(number, frozenset(), "childcare", "be:52011", WAITING) for number in range(4)]
    assert figures_of([one, one, *others[:3]], insiders=False) is None
    told = figures_of([one, one, *others], insiders=False)
    assert told is not None
    assert told.whole.handovers == 6


def steps(*more: tuple[float, str, str | None]) -> list[Step]:
    """Answer a hand-over that was agreed to and proposed, and what happened so many days later."""
    return [
        Step(T0 - DAY, "referral.drafted"),
        Step(T0 - DAY, "consent.given", consent_id=YES, statistics=True),
        Step(T0, "referral.proposed", "proposed"),
        *(Step(T0 + days * DAY, type_, state) for days, type_, state in more),
    ]


def test_times_are_of_the_first_answer_and_the_first_word_that_she_was_met() -> None:
    made = course_of(
        steps(
            (1, "referral.received", "received"),
            (2, "referral.accepted", "accepted"),
            (5, "referral.handover_confirmed", "accepted"),
            (9, "referral.handed_over", "handed_over"),
        ),
        END,
    )
    assert made == Course(2 * DAY, met=True, met_after=5 * DAY)
    assert made.step == "met"


@pytest.mark.parametrize(
    ("more", "answered", "step"),
    [
        ([], None, "waiting"),
        ([(1, "referral.declined", "declined")], 1, "answered"),
        ([(1, "referral.declined", "declined"), (3, "referral.reopened", "received")], 1, "answered"),
        ([(1, "referral.accepted", "accepted"), (1.01, "referral.undone", "proposed")], None, "waiting"),
        ([(2, "referral.accepted", "accepted"), (3, "referral.closed", "closed")], 2, "answered"),
        ([(2, "referral.cancelled", "cancelled")], None, "waiting"),
        ([(2, "referral.handed_over", "handed_over")], 2, "met"),
        (
            [
                (2, "referral.accepted", "accepted"),
                (3, "referral.handed_over", "handed_over"),
                (4, "referral.closed", "closed"),
                (4.01, "referral.undone", "handed_over"),
            ],
            2,
            "met",
        ),
        # One side alone says that she was met.
        ([(2, "referral.accepted", "accepted"), (3, "referral.handover_confirmed", "accepted")], 2, "answered"),
        # After the month was counted.
        ([(80, "referral.accepted", "accepted")], None, "waiting"),
    ],
)
def test_how_far_it_came(more: list[tuple[float, str, str | None]], answered: int | None, step: str) -> None:
    made = course_of(steps(*more), END)
    assert made is not None
    assert (made.answered_after, made.step) == (answered and answered * DAY, step)


@pytest.mark.parametrize(
    ("later", "agreed"),
    [
        ([], True),
        ([Step(T0 + DAY, "consent.withdrawn", consent_id=YES)], False),
        ([Step(T0 + DAY, "consent.expired", consent_id=YES)], False),
        ([Step(T0 + DAY, "consent.withdrawn", consent_id=NO)], True),
        ([Step(T0 + DAY, "consent.narrowed", consent_id=NO)], False),
        ([Step(T0 + DAY, "consent.narrowed", consent_id=NO, statistics=True)], True),
        ([Step(T0 + DAY, "consent.given", consent_id=NO, statistics=True, valid_until=END)], False),
        ([Step(T0 + DAY, "consent.given", consent_id=NO, statistics=True, valid_until=END + DAY)], True),
        # What is agreed among more organisations, in a conference, is no agreement to the hand-over.
        ([Step(T0 + DAY, "consent.given")], True),
        # After the month was counted.
        ([Step(END, "consent.withdrawn", consent_id=YES)], True),
    ],
)
def test_only_who_agrees_when_it_is_counted(later: list[Step], agreed: bool) -> None:  # noqa: FBT001 - a column of the table
    assert (course_of([*steps(), *later], END) is not None) is agreed
    assert course_of(later, END) is None


def test_a_handover_counts_under_one_theme() -> None:
    assert theme_of(["childcare--nursery"], sensitive=False) == "childcare--nursery"
    assert theme_of(["childcare--nursery", "childcare--sick-child"], sensitive=False) == "childcare"
    assert theme_of(["childcare", "mobility--bike"], sensitive=False) == SEVERAL
    assert theme_of(["support--health"], sensitive=True) == UNTOLD


def test_sensitive_themes_are_told_in_no_way() -> None:
    """However many they are, they are hidden among others."""
    themes = [UNTOLD] * 7 + ["childcare"] * 8 + ["mobility"] * 6
    month = [Counted(number, frozenset(), theme, "be:52011", WAITING) for number, theme in enumerate(themes)]
    told = figures_of(month, insiders=False)
    assert told is not None
    assert [(row.key, row.handovers) for row in told.themes] == [("childcare", 8)]
    assert told.whole.handovers == 21


def test_a_month_is_counted_a_month_after_its_end() -> None:
    assert counted_at(date(2026, 12, 1)) == datetime(2027, 2, 1, tzinfo=UTC)
    first, due = date(2026, 9, 14), datetime(2026, 11, 1, 0, 10, tzinfo=UTC)
    assert months_due(None, first, due) == [date(2026, 9, 1)]
    assert months_due(None, first, due - timedelta(seconds=1)) == []
    assert months_due(date(2026, 9, 1), first, due + 62 * DAY) == [date(2026, 10, 1), date(2026, 11, 1)]
    assert months_due(None, None, due) == []
