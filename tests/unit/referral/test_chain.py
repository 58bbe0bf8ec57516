"""The hash chain: every change, removal, addition, cut and reordering shows, and the first bad event is named."""

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
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
        found.append(hashed_anew(event))
    return found


def fault(found: list[Event], events: list[Event]) -> str | None:
    """Answer what is wrong with what was found, where the referral's row remembers these events."""
    return first_fault(found, head=events[-1].hash if events else START, count=len(events))


chains = st.lists(st.sampled_from(["drafted", "proposed", "withdrawn"]), min_size=1, max_size=8).map(chained)


@given(chains)
def test_what_nobody_touched_is_whole(events: list[Event]) -> None:
    assert fault(events, events) is None
    assert fault([], []) is None


OTHER: dict[str, Any] = {
    "referral_id": UUID(int=7_777),
    "number": 77,
    "at": NOON - timedelta(microseconds=1),
    "type": "closed",
    "actor": "client:77",
    "organisation_id": None,
    "data": {"state": "closed"},
    "previous": bytes([7] * 32),
    "hash": bytes([8] * 32),
}


@pytest.fixture(name="log", scope="module")
def _log() -> list[list[Event]]:
    """Answer a log of 10,000 events, five for each referral."""
    return [chained([f"step_{number}" for number in range(5)], referral) for referral in range(1, 2_001)]


def altered(events: list[Event]) -> Iterator[tuple[int, list[Event]]]:
    """Answer every single change of a chain, beside the number of the first event that does not fit then."""
    for place, event in enumerate(events):
        number, before, after = place + 1, events[:place], events[place + 1 :]
        for field in fields(Event):
            yield number, [*before, replace(event, **{field.name: OTHER[field.name]}), *after]
        yield number, [*before, *after]
        yield number, before
        moved_up = [replace(one, number=one.number + 1) for one in events[place:]]
        yield number, [*before, replace(event, actor="client:77"), *moved_up]
        # Whoever hashes its forgery anew is contradicted by the event that follows, or by the referral's row.
        forged = hashed_anew(replace(event, actor="client:77"))
        yield min(number + 1, len(events)), [*before, forged, *after]
        yield number + 1, [*before, forged, *moved_up]
        if after:
            swapped = [replace(after[0], number=number), replace(event, number=number + 1)]
            yield number, [*before, *swapped, *after[1:]]
    end = events[-1]
    yield end.number + 1, [*events, hashed_anew(replace(end, number=end.number + 1, previous=end.hash))]


def hashed_anew(event: Event) -> Event:
    """Answer an event with the hash that fits what it says."""
    return replace(event, hash=digest(event))


def test_every_single_change_of_ten_thousand_events_shows_and_is_named(log: list[list[Event]]) -> None:
    tried = 0
    for events in log:
        for number, found in altered(events):
            tried += 1
            said = fault(found, events)
            assert said is not None
            assert said.split()[:2] == ["event", str(number)]
    assert tried > 130_000


def test_a_referral_that_remembers_otherwise_shows(log: list[list[Event]]) -> None:
    events = log[0]
    last = events[-1].hash
    other = "event 5 is not the one that the referral remembers as its last"
    assert first_fault(events, head=bytes(32), count=5) == other
    assert first_fault(events, head=last, count=4) == "event 5 was added, the referral remembers 4"
    assert first_fault(events, head=last, count=6) == "event 6 is missing, and whatever came after it"
    assert first_fault([], head=last, count=5) == "event 1 is missing, and whatever came after it"


@given(chains, st.data())
def test_every_removal_and_every_cut_shows(events: list[Event], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(events) - 1))
    end = data.draw(st.integers(start + 1, len(events)))
    assert fault(events[:start] + events[end:], events) is not None


@given(chains, st.randoms())
def test_every_other_order_shows(events: list[Event], random: Any) -> None:
    moved = [*events]
    random.shuffle(moved)
    assume(moved != events)
    assert fault(moved, events) is not None
    renumbered = [replace(event, number=number) for number, event in enumerate(moved, start=1)]
    assert fault(renumbered, events) is not None


@given(chains)
def test_events_of_another_referral_do_not_fit(events: list[Event]) -> None:
    other = chained([event.type for event in events], referral=2)
    assert fault(other, events) is not None
