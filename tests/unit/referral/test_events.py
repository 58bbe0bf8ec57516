"""Which events leave, for whom; and that a partner's copy ends where we are, whatever happens on the way."""

import re
from pathlib import Path
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import relais_referral
from relais_referral.domain.events import CAPACITY_CHANGED, PUBLIC, SERVICE_CHANGED, Happened, directory_change, told
from relais_referral.domain.handshake import EVENTS, State
from relais_referral.domain.visibility import shown_state

DOCS = Path(relais_referral.__file__).parents[3] / "docs" / "events.md"
SENDER, RECIPIENT = UUID(int=1), UUID(int=2)
INSIDE = ("referral.drafted", "referral.changed", "person.corrected", "task.done", "document.added", "consent.narrowed")

chains = st.lists(
    st.tuples(
        st.sampled_from([*EVENTS.values(), *INSIDE, "message.written", "consent.given", "consent.withdrawn"]),
        st.sampled_from([SENDER, RECIPIENT, None]),
        st.none() | st.sampled_from(list(State)),
    ),
    max_size=30,
)


def a_chain(drawn: list[tuple[str, UUID | None, State | None]]) -> list[Happened]:
    """Answer a chain of events, by number."""
    return [Happened(number, *one) for number, one in enumerate(drawn, start=1)]


@given(chains)
def test_only_what_is_public_leaves_and_each_side_counts_without_gaps(drawn: Any) -> None:
    chain = a_chain(drawn)
    public = list(told(chain, sender_id=SENDER, may_sanction=False))
    assert [one.number for one in public] == [one.number for one in chain if one.type in PUBLIC]
    for side in ("sender", "recipient"):
        sequences = [getattr(one, side).sequence for one in public if getattr(one, side)]
        assert sequences == list(range(1, len(sequences) + 1))
    proposed = next((one.number for one in chain if one.type == "referral.proposed"), len(chain) + 1)
    assert all(one.recipient is None for one in public if one.number < proposed)


@given(chains)
def test_a_sender_that_may_sanction_is_told_what_its_view_shows(drawn: Any) -> None:
    """Its own steps, and each change of proposed, accepted, ended: nothing else is even counted."""
    chain = a_chain(drawn)
    public = [one for one in told(chain, sender_id=SENDER, may_sanction=True) if one.sender]
    own = {one.number for one in chain if one.organisation_id == SENDER}
    view, changes = "draft", {}
    for one in chain:
        after = shown_state(State(one.state), neutral=True) if one.state else view
        if after != view:
            changes[one.number] = f"referral.{after}"
        view = after
    for one in public:
        assert one.sender is not None
        assert one.number in own or one.sender.type == changes[one.number]
    assert [one.sender.sequence for one in public if one.sender] == list(range(1, len(public) + 1))


def test_what_changed_of_a_service() -> None:
    assert directory_change(None, (1, False, None)) == SERVICE_CHANGED
    assert directory_change((1, False, None), (2, False, "today")) == SERVICE_CHANGED
    assert directory_change((1, False, None), (1, True, None)) == SERVICE_CHANGED
    assert directory_change((1, False, "yesterday"), (1, False, "today")) == CAPACITY_CHANGED
    assert directory_change((1, False, "today"), (1, False, "today")) == SERVICE_CHANGED


def examples() -> dict[str, Any]:
    """Answer what the page for partners defines in Python."""
    found: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, found)  # noqa: S102 - our own page, run as its readers run it
    return found


class Following(RuleBasedStateMachine):
    """A partner keeps a copy, as our page tells it to, of referrals that move on; its deliveries have no luck."""

    @initialize()
    def begin(self) -> None:
        """Nothing has happened."""
        self.states: dict[str, int] = {}
        self.feed: list[dict[str, Any]] = []
        self.on_the_way: list[dict[str, Any]] = []
        self.asked_until = 0
        self.copy = examples()["Copy"](lambda subject: self.states[subject])

    @rule(referral=st.integers(1, 4))
    def happen(self, referral: int) -> None:
        """A referral moves on; its event is sent."""
        subject = f"/v1/referrals/{referral}"
        self.states[subject] = self.states.get(subject, 0) + 1
        event = {"id": len(self.feed), "subject": subject, "sequence": self.states[subject], "type": "referral.paused"}
        self.feed.append(event)
        self.on_the_way.append(event)

    @rule(data=st.data(), stays=st.booleans())
    def arrive(self, data: st.DataObject, *, stays: bool) -> None:
        """Any delivery arrives, in whatever order; and perhaps once more, later."""
        if self.on_the_way:
            place = data.draw(st.integers(0, len(self.on_the_way) - 1))
            self.copy.take(self.on_the_way[place] if stays else self.on_the_way.pop(place))

    @rule(data=st.data())
    def be_lost(self, data: st.DataObject) -> None:
        """A delivery never arrives."""
        if self.on_the_way:
            self.on_the_way.pop(data.draw(st.integers(0, len(self.on_the_way) - 1)))

    @rule()
    def ask(self) -> None:
        """The partner asks the feed for what it has not asked before."""
        for event in self.feed[self.asked_until :]:
            self.copy.take(event)
        self.asked_until = len(self.feed)
        assert self.copy.states == self.states

    @invariant()
    def never_ahead(self) -> None:
        """A copy shows what was, or what is; never what was not yet."""
        assert all(state <= self.states[subject] for subject, state in self.copy.states.items())

    def teardown(self) -> None:
        """In the end it asks once more, and is where we are."""
        if hasattr(self, "copy"):
            self.ask()


TestFollowing = Following.TestCase
TestFollowing.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
