"""What each party reads: for every state and every set of categories that she consented to."""

from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_referral.domain.handshake import ENDED, Party, State
from relais_referral.domain.visibility import (
    OF_CATEGORY,
    OPEN,
    PERSONAL,
    Category,
    Part,
    pathway_open,
    shown_state,
    visible,
)

CONSENTS = [
    frozenset(chosen)
    for chosen in chain.from_iterable(combinations(Category, size) for size in range(len(Category) + 1))
]
BEFORE = {State.PROPOSED, State.RECEIVED}
consents = st.frozensets(st.sampled_from(Category))


@pytest.mark.parametrize("state", State)
def test_the_recipient_reads_as_far_as_the_handshake_and_her_consent_go(state: State) -> None:
    for consented in CONSENTS:
        parts = visible(Party.RECIPIENT, state, consented, feedback=True)
        opened = {OF_CATEGORY[category] for category in consented}
        if state is State.DRAFT:
            assert parts == set()
        elif state in ENDED:
            assert parts == {Part.REASON}
        elif state in BEFORE:
            assert parts & PERSONAL <= {Part.NEEDS, Part.CONSTRAINTS}
            assert parts & {Part.NEEDS} == opened & {Part.NEEDS}
            assert not parts & {Part.IDENTITY, Part.CONTACT, Part.COUNSELLORS, Part.MEETING}
        else:
            assert parts & set(OF_CATEGORY.values()) == opened
        if not consented:
            assert not parts & PERSONAL


@given(st.sampled_from(State), consents, consents, st.booleans())
def test_less_consent_never_opens_more(
    state: State,
    wide: frozenset[Category],
    other: frozenset[Category],
    feedback: bool,  # noqa: FBT001 - Hypothesis gives by position
) -> None:
    for party in Party:
        narrow = visible(party, state, wide & other, feedback=feedback)
        assert narrow <= visible(party, state, wide, feedback=feedback)
        assert visible(party, state, wide) <= visible(party, state, wide, feedback=True)


@given(st.sampled_from(Party), st.sampled_from(State), consents, st.booleans())
def test_what_is_erased_is_read_by_nobody(
    party: Party,
    state: State,
    consented: frozenset[Category],
    sanctioning: bool,  # noqa: FBT001 - Hypothesis gives by position
) -> None:
    parts = visible(party, state, consented, may_sanction=sanctioning, erased=True)
    hers = set(OF_CATEGORY.values())
    assert not parts & hers


@given(st.sampled_from(State), consents)
def test_she_reads_all(state: State, consented: frozenset[Category]) -> None:
    assert visible(Party.PERSON, state, consented) == set(Part)


@given(st.sampled_from([state for state in State if state is not State.DRAFT]), consents, st.booleans())
def test_a_sender_that_may_sanction_reads_the_same_in_every_state(
    state: State,
    consented: frozenset[Category],
    feedback: bool,  # noqa: FBT001 - Hypothesis gives by position
) -> None:
    parts = visible(Party.SENDER, state, consented, feedback=feedback, may_sanction=True)
    assert parts == visible(Party.SENDER, State.PROPOSED, frozenset(), may_sanction=True)
    assert not parts & {Part.REASON, Part.OUTCOME, Part.MEETING, Part.STEPS, Part.COUNSELLORS}


def test_the_neutral_state_tells_no_ending_from_another() -> None:
    assert {shown_state(state, neutral=True) for state in ENDED | {State.CLOSED}} == {"ended"}
    assert {shown_state(state, neutral=True) for state in State} == {"draft", "proposed", "accepted", "ended"}
    assert [shown_state(state, neutral=False) for state in State] == [str(state) for state in State]


@given(st.sampled_from(State), consents)
def test_the_outcome_is_the_senders_under_feedback_only(state: State, consented: frozenset[Category]) -> None:
    assert Part.OUTCOME not in visible(Party.SENDER, state, consented)
    assert Part.OUTCOME in visible(Party.SENDER, state, consented, feedback=True)


@given(st.sampled_from(Party), st.sampled_from(State), st.booleans(), st.booleans(), st.booleans())
def test_her_pathway_is_read_under_her_agreement_alone(
    party: Party,
    state: State,
    agreed: bool,  # noqa: FBT001 - Hypothesis gives by position
    sanctioning: bool,  # noqa: FBT001 - Hypothesis gives by position
    erased: bool,  # noqa: FBT001 - Hypothesis gives by position
) -> None:
    open_ = pathway_open(party, state, agreed=agreed, may_sanction=sanctioning, erased=erased)
    if not agreed or sanctioning or erased or state not in OPEN or party is Party.PERSON:
        assert not open_
    else:
        assert open_
