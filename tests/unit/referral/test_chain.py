"""The hash chain: every change, removal, cut and reordering shows."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import assume, given
from hypothesis import strategies as st

from relais_referral.domain.chain import START, Event, digest, first_fault

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def chained(kinds: list[str], referral: int = 1) -> list[Event]:
    """Answer events of these types, chained."""
    found: list[Event] = []
    for number, kind in enumerate(kinds, start=1):
        event = Event(
            referral_id=UUID(int=referral),
            number=number,
            at=NOON + timedelta(microseconds=number),
            type=kind,
            actor=f"client:{number}",
            organisation_id=UUID(int=number),
            data={"state": kind},
            previous=found[-1].hash if found else START,
            hash=b"",
        )
        found.append(replace(event, hash=digest(event)))
    return found


def head_of(events: list[Event]) -> bytes:
    """Answer what the referral's row remembers."""
    return events[-1].hash if events else START


chains = st.lists(st.sampled_from(["drafted", "proposed", "withdrawn"]), min_size=1, max_size=8).map(chained)


@given(chains)
def test_what_nobody_touched_is_whole(events: list[Event]) -> None:
    assert first_fault(events, head=head_of(events)) is None
    assert first_fault([], head=START) is None


OTHER: dict[str, Any] = {
    "referral_id": UUID(int=77),
    "number": 77,
    "at": NOON - timedelta(microseconds=1),
    "type": "closed",
    "actor": "client:77",
    "organisation_id": None,
    "data": {"state": "closed"},
    "previous": bytes([7] * 32),
    "hash": bytes([8] * 32),
}


@given(chains, st.data())
def test_every_changed_field_shows(events: list[Event], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(events) - 1))
    field = data.draw(st.sampled_from([field.name for field in fields(Event)]))
    changed = [*events]
    changed[place] = replace(events[place], **{field: OTHER[field]})
    assert first_fault(changed, head=head_of(events)) is not None


@given(chains, st.data())
def test_a_change_that_is_hashed_anew_shows_at_the_next_event(events: list[Event], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(events) - 1))
    forged = replace(events[place], actor="client:77")
    changed = [*events]
    changed[place] = replace(forged, hash=digest(forged))
    assert first_fault(changed, head=head_of(events)) is not None


@given(chains, st.data())
def test_every_removal_and_every_cut_shows(events: list[Event], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(events) - 1))
    end = data.draw(st.integers(start + 1, len(events)))
    assert first_fault(events[:start] + events[end:], head=head_of(events)) is not None


@given(chains, st.randoms())
def test_every_other_order_shows(events: list[Event], random: Any) -> None:
    moved = [*events]
    random.shuffle(moved)
    assume(moved != events)
    assert first_fault(moved, head=head_of(events)) is not None
    renumbered = [replace(event, number=number) for number, event in enumerate(moved, start=1)]
    assert first_fault(renumbered, head=head_of(events)) is not None


@given(chains)
def test_events_of_another_referral_do_not_fit(events: list[Event]) -> None:
    other = chained([event.type for event in events], referral=2)
    assert first_fault(other, head=head_of(events)) is not None
