"""Whom a thread waits for, in which order they stand, and what a thread's forms become: pure functions."""

from typing import Any
from uuid import UUID

import pytest

from relais_gateway.web import steps, telling, waiting

ANA, BEA = UUID(int=1), UUID(int=2)
BY = steps.Counsellor("Ana Lopes", "ana@depart.example", "")


class Form:
    """A form as a browser sends it: each field once or several times."""

    def __init__(self, **fields: str | list[str]) -> None:
        self.fields = fields

    def one(self, name: str) -> str:
        """Answer the first value."""
        value = self.fields.get(name, "")
        return value if isinstance(value, str) else value[0]

    def all(self, name: str) -> list[str]:
        """Answer every value."""
        value = self.fields.get(name, [])
        return [value] if isinstance(value, str) else value


def item(id_: int, state: str = "proposed", *actions: str, **more: Any) -> dict[str, Any]:
    return {"id": str(UUID(int=id_)), "state": state, "allowed_actions": actions, "updated_at": str(id_), **more}


@pytest.mark.parametrize(
    ("assigned", "stands_for", "whose"),
    [
        ({"account_id": str(ANA), "team_id": None}, (), "me"),
        ({"account_id": str(BEA), "team_id": None}, (), "team"),
        ({"account_id": str(BEA), "team_id": None}, (str(BEA),), "me"),
        ({"account_id": None, "team_id": "accueil"}, (), "team"),
        ({}, (), "team"),
    ],
)
def test_what_our_side_owes_is_mine_or_my_teams(assigned: dict[str, Any], stands_for: tuple[str], whose: str) -> None:
    reader = waiting.Colleague(ANA, frozenset(stands_for))
    line = waiting.line(item(1, "proposed", "accept", assigned=assigned), "recipient", reader)
    assert (line.action, line.waits_for) == ("accept", whose)
    assert bool(line.instead_of) is bool(stands_for)
    # The other side's turn is the others', whoever has it here.
    theirs = waiting.line(item(1, "proposed", "cancel", assigned=assigned), "sender", reader)
    assert (theirs.action, theirs.waits_for, theirs.instead_of) == ("", "others", "")


def test_the_overdue_come_first_then_today_then_whoever_waited_longest() -> None:
    received = [
        item(4, "proposed", "accept"),
        item(3, "received", "accept"),
        item(5, "proposed", "accept", urgency="today"),
        item(6, "proposed", "accept", overdue=True),
        item(2, "accepted", "plan_meeting"),
    ]
    found = waiting.parts(received, [item(7, "draft", "propose")], waiting.Colleague(ANA))
    assert [int(UUID(one.item["id"])) for one in found["to_take"]] == [6, 5, 3, 4]
    assert [len(found[name]) for name in ("to_take", "with_us", "passed")] == [4, 1, 1]
    assert waiting.counted([one for part in found.values() for one in part], ["me"]) == {
        "me": 1, "team": 6, "others": 0,
    }  # fmt: skip


def test_times_are_offered_as_they_are_on_the_clock_here() -> None:
    body, faults = steps.STEPS["accept"](Form(on_1="2030-05-06", at_1="09:30", mode="call", place="au 2e"), BY)
    assert faults == {}
    assert body["meeting_options"] == [{"starts_at": "2030-05-06T09:30:00+02:00", "mode": "call", "place": "au 2e"}]
    assert telling.fields_of(body["meeting_options"][0]["starts_at"]) == ("2030-05-06", "09:30")
    assert "meeting_options" not in steps.STEPS["accept"](Form(mode="visit"), BY)[0]
    assert set(steps.STEPS["accept"](Form(on_2="2030-05-06"), BY)[1]) == {"on_2"}


def test_a_no_carries_the_services_that_were_ticked_and_nothing_else() -> None:
    body, faults = steps.STEPS["decline"](Form(reason="no_place", suggested=[str(ANA), "../x"]), BY)
    assert (body, faults) == ({"reason": "no_place", "suggested_service_ids": [str(ANA)]}, {})


@pytest.mark.parametrize(
    ("action", "fields", "fault"),
    [
        ("pause", {"until": "demain"}, "until"),
        ("agree_by_phone", {"colleague": ""}, "colleague"),
        ("agree_by_phone", {"colleague": "Ben", "on": "2030-05-06"}, "on"),
        ("plan_meeting", {"agreed": "at", "on": "2030-05-06"}, "on"),
    ],
)
def test_what_is_missing_is_said_at_its_field(action: str, fields: dict[str, str], fault: str) -> None:
    assert set(steps.STEPS[action](Form(**fields), BY)[1]) == {fault}


def test_each_step_stands_on_the_side_that_took_it() -> None:
    referral = {"sender": {"organisation_id": str(ANA)}, "recipient": {"organisation_id": str(BEA)}}
    for event, side in (
        ({"organisation_id": ANA}, "sender"),
        ({"organisation_id": BEA}, "recipient"),
        ({"actor": "person:x"}, "hers"),
        ({"actor": "system"}, "alone"),
    ):
        assert telling.side_of(event, referral) == side
