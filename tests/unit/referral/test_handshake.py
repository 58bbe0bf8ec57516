"""The handshake's table: what each party may do, in each state, with and without her consent."""

from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_referral.domain.handshake import (
    RULES,
    Action,
    Party,
    Standing,
    State,
    allowed_actions,
    decide,
    needed_confirmations,
)
from relais_referral.domain.refusals import ConsentMissing, IllegalAction, NotYourTurn

PARTY_SETS = [
    frozenset(chosen) for chosen in chain.from_iterable(combinations(Party, size) for size in range(len(Party) + 1))
]
REFUSALS = (IllegalAction, NotYourTurn, ConsentMissing)

standings = st.builds(
    Standing,
    state=st.sampled_from(State),
    consented=st.booleans(),
    confirmed=st.frozensets(st.sampled_from(Party)),
    sender_may_sanction=st.booleans(),
)


def able(standing: Standing, action: Action, parties: frozenset[Party]) -> bool:
    """Say whether `decide` lets these parties act."""
    try:
        decide(standing, action, parties=parties)
    except REFUSALS:
        return False
    return True


@given(st.lists(st.tuples(st.sampled_from(Action), st.sampled_from(PARTY_SETS))))
def test_without_consent_a_draft_goes_to_nobody(steps: list[tuple[Action, frozenset[Party]]]) -> None:
    """Whatever is tried, by whomever: what never had her consent is seen by nobody but its sender."""
    standing = Standing(State.DRAFT, consented=False)
    for action, parties in steps:
        try:
            target = decide(standing, action, parties=parties).target
        except REFUSALS:
            continue
        standing = Standing(target, consented=False)
        assert standing.state in {State.DRAFT, State.CANCELLED, State.WITHDRAWN}


@pytest.mark.parametrize("parties", PARTY_SETS, ids=lambda parties: "+".join(sorted(parties)) or "nobody")
@pytest.mark.parametrize("state", State)
def test_allowed_is_what_decide_allows(state: State, parties: frozenset[Party]) -> None:
    """For every state, set of parties, consent, confirmation and sender; withdrawing apart, which is always hers."""
    for consented in (True, False):
        for confirmed in PARTY_SETS:
            for sanctioning in (True, False):
                standing = Standing(state, consented, confirmed, sanctioning)
                decided = [action for action in Action if able(standing, action, parties)]
                assert (Action.WITHDRAW in decided) == bool(parties)
                shown = allowed_actions(standing, parties)
                assert set(shown) == set(decided) - {Action.WITHDRAW}
                assert len(shown) == len(set(shown))


@given(standings, st.sampled_from(Action), st.sampled_from(PARTY_SETS))
def test_a_refusal_says_what_is_possible_instead(standing: Standing, action: Action, parties: frozenset[Party]) -> None:
    allowed = allowed_actions(standing, parties)
    if action not in allowed and not (action is Action.WITHDRAW and parties):
        with pytest.raises(REFUSALS) as refused:
            decide(standing, action, parties=parties)
        facts = getattr(refused.value, "facts", {})
        assert facts["allowed_actions"] == [str(one) for one in allowed]
        return
    step = decide(standing, action, parties=parties)
    assert (step.source, step.action) == (standing.state, action)
    assert step.by in parties
    assert step.target in {RULES[standing.state, action].target, standing.state}


@given(standings, st.sampled_from(Action))
def test_nobody_does_nothing(standing: Standing, action: Action) -> None:
    assert not able(standing, action, frozenset())
    assert allowed_actions(standing, frozenset()) == []


@given(standings, st.sampled_from(PARTY_SETS[1:]))
def test_what_she_stopped_stays_stopped(standing: Standing, parties: frozenset[Party]) -> None:
    """Stopping is possible in every state, twice as well; from there nothing leads away."""
    assert decide(standing, Action.WITHDRAW, parties=parties).target is State.WITHDRAWN
    if standing.state in {State.CANCELLED, State.WITHDRAWN}:
        assert allowed_actions(standing, parties) == []
    if standing.state is State.DECLINED:
        assert set(allowed_actions(standing, parties)) <= {Action.UNDO, Action.REOPEN, Action.REDIRECT}


def test_both_sides_say_that_she_was_met() -> None:
    first = Standing(State.ACCEPTED, consented=True)
    half = decide(first, Action.CONFIRM_HANDOVER, parties=frozenset({Party.SENDER}))
    assert (half.target, half.event) == (State.ACCEPTED, "referral.handover_confirmed")
    again = Standing(State.ACCEPTED, consented=True, confirmed=frozenset({Party.SENDER}))
    with pytest.raises(NotYourTurn):
        decide(again, Action.CONFIRM_HANDOVER, parties=frozenset({Party.SENDER}))
    whole = decide(again, Action.CONFIRM_HANDOVER, parties=frozenset({Party.RECIPIENT}))
    assert (whole.target, whole.event) == (State.HANDED_OVER, "referral.handed_over")


def test_a_sender_that_may_sanction_confirms_nothing() -> None:
    """The recipient and the person do; the sender's word neither counts nor is taken."""
    standing = Standing(State.MEETING_PLANNED, consented=True, sender_may_sanction=True)
    assert needed_confirmations(standing) == {Party.RECIPIENT, Party.PERSON}
    with pytest.raises(NotYourTurn):
        decide(standing, Action.CONFIRM_HANDOVER, parties=frozenset({Party.SENDER}))
    half = decide(standing, Action.CONFIRM_HANDOVER, parties=frozenset({Party.RECIPIENT}))
    assert half.target is State.MEETING_PLANNED
    both = Standing(State.MEETING_PLANNED, True, frozenset({Party.RECIPIENT}), sender_may_sanction=True)
    assert decide(both, Action.CONFIRM_HANDOVER, parties=frozenset({Party.PERSON})).target is State.HANDED_OVER


@given(standings, st.sampled_from(Action))
def test_a_sender_that_may_sanction_can_only_send_and_stop(standing: Standing, action: Action) -> None:
    sanctioning = Standing(standing.state, standing.consented, standing.confirmed, sender_may_sanction=True)
    if able(sanctioning, action, frozenset({Party.SENDER})):
        assert action in {Action.PROPOSE, Action.CANCEL, Action.WITHDRAW}


@given(st.sampled_from(State), st.sampled_from(PARTY_SETS))
def test_nothing_new_of_her_goes_without_consent(state: State, parties: frozenset[Party]) -> None:
    for action in (Action.PROPOSE, Action.ACCEPT, Action.PLAN_MEETING, Action.REPLAN):
        assert not able(Standing(state, consented=False), action, parties)
