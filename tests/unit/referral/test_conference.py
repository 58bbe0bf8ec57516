"""What a structure reads of a case conference: for every state, agreement and seat."""

from hypothesis import given
from hypothesis import strategies as st

from relais_referral.domain.conference import OF_CATEGORY, THREAD, Act, Piece, allowed, readable
from relais_referral.domain.handshake import State
from relais_referral.domain.visibility import OPEN, Category

states = st.sampled_from(State)
categories = st.frozensets(st.sampled_from(Category))
agreements = st.none() | categories
HERS = frozenset(OF_CATEGORY.values())


@given(states, agreements, st.booleans(), st.booleans())
def test_without_her_agreement_nobody_reads_anything(
    state: State,
    handed: frozenset[Category] | None,
    joined: bool,  # noqa: FBT001 - Hypothesis gives by position
    opener: bool,  # noqa: FBT001 - Hypothesis gives by position
) -> None:
    pieces = readable(state, agreed=None, handed=handed, joined=joined, opener=opener)
    assert pieces <= ({Piece.FRAME} if opener else set())
    # It stands on the hand-over: without that agreement, neither.
    assert readable(state, agreed=frozenset(Category), handed=None, joined=joined, opener=opener) == pieces


@given(states, categories, categories, st.booleans())
def test_nothing_of_the_hand_over_beyond_both_agreements(
    state: State,
    agreed: frozenset[Category],
    handed: frozenset[Category],
    opener: bool,  # noqa: FBT001 - Hypothesis gives by position
) -> None:
    pieces = readable(state, agreed=agreed, handed=handed, joined=True, opener=opener)
    assert pieces & HERS <= {OF_CATEGORY[one] for one in agreed & handed if one in OF_CATEGORY}
    assert not {"contact", "notes", "documents"} & {str(piece) for piece in pieces}
    if state not in OPEN:
        assert not pieces & HERS


@given(states, categories, categories, categories)
def test_less_agreement_never_opens_more(
    state: State, agreed: frozenset[Category], other: frozenset[Category], handed: frozenset[Category]
) -> None:
    wide = readable(state, agreed=agreed, handed=handed, joined=True)
    assert readable(state, agreed=agreed & other, handed=handed, joined=True) <= wide
    assert readable(state, agreed=agreed, handed=handed & other, joined=True) <= wide
    assert readable(state, agreed=agreed, handed=handed, joined=False) <= wide


@given(states, categories, categories)
def test_before_a_colleague_joins_the_frame_alone(
    state: State, agreed: frozenset[Category], handed: frozenset[Category]
) -> None:
    assert readable(state, agreed=agreed, handed=handed, joined=False) <= {Piece.FRAME}


def test_the_thread_is_read_while_somebody_knows_who_she_is() -> None:
    for state in State:
        pieces = readable(state, agreed=frozenset(Category), handed=frozenset(Category), joined=True)
        expected = {
            State.WITHDRAWN: frozenset[Piece](),
            **{early: frozenset({Piece.FRAME}) for early in (State.DRAFT, State.PROPOSED, State.RECEIVED)},
            **{over: THREAD | {Piece.FRAME} for over in (State.DECLINED, State.CANCELLED)},
        }
        assert pieces == expected.get(state, frozenset(Piece)), state


@given(st.frozensets(st.sampled_from(Piece)), st.booleans(), st.booleans())
def test_whoever_reads_no_thread_writes_none_and_only_sides_ask_her(
    pieces: frozenset[Piece],
    joined: bool,  # noqa: FBT001 - Hypothesis gives by position
    side: bool,  # noqa: FBT001 - Hypothesis gives by position
) -> None:
    acts = allowed(pieces, joined=joined, side=side)
    if not pieces >= THREAD:
        assert not acts & {Act.WRITE, Act.PLAN_MEETING, Act.DECIDE, Act.DRAFT}
    if not side:
        assert not acts & {Act.ASK, Act.END}
    if Piece.FRAME not in pieces:
        assert not acts
    assert (Act.JOIN in acts) == (Piece.FRAME in pieces and not joined)
