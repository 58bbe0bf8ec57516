"""What waits, for whom, in which order: the inbox's rules, without a server."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from relais_gateway.web.steps import WAITING, main_action

Item = Mapping[str, Any]

ME, TEAM, OTHERS = "me", "team", "others"

WITH_US: Final = frozenset({"accepted", "meeting_planned", "handed_over"})
"""The states in which a recipient accompanies somebody."""


@dataclass(frozen=True, slots=True)
class Colleague:
    """Who looks at the inbox: her account, and for whom she stands today."""

    account_id: UUID | None
    stands_for: frozenset[str] = frozenset()

    def answers_for(self, account_id: object) -> bool:
        """Say whether something given to an account is hers to do today."""
        return account_id is not None and str(account_id) in {str(self.account_id), *self.stands_for}


@dataclass(frozen=True, slots=True)
class Line:
    """One thread in a list.

    Attributes:
        item: As the API lists it.
        side: As which side it is listed.
        action: The step that our side is waited for; empty where the other side is.
        waits_for: `me`, `team` or `others`.
        instead_of: The account of the absent colleague for whom she stands here; empty where it is not so.
    """

    item: Item
    side: str
    action: str
    waits_for: str
    instead_of: str = ""

    @property
    def late(self) -> bool:
        """Whether an answer is overdue."""
        return bool(self.item.get("overdue"))


def line(item: Item, side: str, reader: Colleague) -> Line:
    """Answer a listed thread with whom it waits for."""
    assigned = item.get("assigned") or {}
    account_id = assigned.get("account_id")
    action = main_action(item, frozenset({side}))
    if not action:
        return Line(item, side, "", OTHERS)
    instead = str(account_id) if str(account_id) in reader.stands_for else ""
    return Line(item, side, action, ME if reader.answers_for(account_id) else TEAM, instead)


def in_order(lines: Iterable[Line]) -> list[Line]:
    """Answer lines as they press: overdue first, what is for today next, then whoever has waited longest."""
    return sorted(
        lines, key=lambda one: (not one.late, one.item.get("urgency") != "today", str(one.item["updated_at"]))
    )


def parts(received: Iterable[Item], sent: Iterable[Item], reader: Colleague) -> dict[str, list[Line]]:
    """Answer what is under way by the inbox's parts: `to_take`, `with_us`, `passed`, each in order.

    Args:
        received: Listed as recipient.
        sent: Listed as sender.
        reader: Who looks.
    """
    ours = [line(item, "recipient", reader) for item in received]
    theirs = [line(item, "sender", reader) for item in sent]
    return {
        "to_take": in_order(one for one in ours if one.item["state"] in WAITING),
        "with_us": in_order(one for one in ours if one.item["state"] in WITH_US),
        "passed": in_order(theirs),
    }


def task_waits_for(task: Mapping[str, Any], known: Mapping[str, Line], reader: Colleague) -> str:
    """Answer whom a task waits for: whoever has its thread, else the team."""
    there = known.get(str(task["referral_id"]))
    assigned = (there.item.get("assigned") or {}) if there else {}
    return ME if reader.answers_for(assigned.get("account_id")) else TEAM


def counted(lines: Iterable[Line], tasks: Iterable[str]) -> dict[str, int]:
    """Answer how many wait for whom, by `me`, `team`, `others`.

    Args:
        lines: Of every part under way.
        tasks: For each task, whom it waits for.
    """
    found = dict.fromkeys((ME, TEAM, OTHERS), 0)
    for who in [*(one.waits_for for one in lines), *tasks]:
        found[who] += 1
    return found
