"""The steps of a thread: what each form becomes for the API, which one comes first, who looked."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import groupby
from typing import Any, Final, Protocol
from uuid import UUID

from relais_gateway.web.languages import _
from relais_gateway.web.phrases import ZONE, moment
from relais_gateway.web.vocabulary import ATTENDEES, MODES, OUTCOMES, REASONS

Json = dict[str, Any]


class Fields(Protocol):
    """A form: the text of a field, stripped, or all its values."""

    def one(self, name: str) -> str:
        """Answer the text of a field."""

    def all(self, name: str) -> list[str]:
        """Answer every value of a field."""


@dataclass(frozen=True, slots=True)
class Counsellor:
    """The colleague who acts, and so answers for the step by name."""

    name: str
    email: str
    function: str

    def body(self) -> Json:
        """Answer it as the API takes it."""
        return {
            "name": self.name,
            "email": self.email,
            **({"function": self.function} if self.function else {}),
        }


@dataclass(frozen=True, slots=True)
class Typed:
    """A form that could not be taken: of which action, what stood in it, what is wrong by field."""

    action: str
    values: Mapping[str, Any]
    faults: Mapping[str, str]

    def value(self, action: str, name: str, usual: str = "") -> str:
        """Answer what stood in a field of an action's form."""
        return str(self.values.get(name, usual)) if self.action == action else usual

    def fault(self, action: str, name: str) -> str:
        """Answer what is wrong with a field of an action's form."""
        return self.faults.get(name, "") if self.action == action else ""


@dataclass(frozen=True, slots=True)
class Look:
    """Who looked: one line for each structure and day."""

    day: date
    organisation: str
    categories: tuple[str, ...]
    times: int


Made = tuple[Json, dict[str, str]]
Step = Callable[[Fields, Counsellor], Made]


def _named(_form: Fields, by: Counsellor) -> Made:
    return {"counsellor": by.body()}, {}


def _refused(form: Fields, _by: Counsellor) -> Made:
    reason, words = form.one("reason"), form.one("words")
    faults = {} if reason in REASONS else {"reason": _("Choisissez une raison.")}
    return {"reason": reason, **({"words": words} if words else {})}, faults


def _meeting(form: Fields, _by: Counsellor) -> Made:
    faults: dict[str, str] = {}
    body: Json = {"mode": form.one("mode") if form.one("mode") in MODES else "visit"}
    if form.one("agreed") == "later":
        body["to_be_agreed"] = True
    else:
        try:
            on, at = date.fromisoformat(form.one("on")), time.fromisoformat(form.one("at"))
            body["starts_at"] = datetime.combine(on, at, ZONE).isoformat()
        except ValueError:
            faults["on"] = _("Écrivez le jour et l'heure, ou choisissez « à convenir avec la personne ».")
    if form.one("place"):
        body["place"] = form.one("place")
    body["attendees"] = [each for each in form.all("attendees") if each in ATTENDEES] or ["person"]
    return body, faults


def _confirmed(form: Fields, _by: Counsellor) -> Made:
    try:
        on = date.fromisoformat(form.one("on")).isoformat()
    except ValueError:
        return {}, {"on": _("Écrivez le jour de la rencontre.")}
    return {"on": on, "mode": form.one("mode") if form.one("mode") in MODES else "visit"}, {}


def _closed(form: Fields, _by: Counsellor) -> Made:
    outcome, words = form.one("outcome"), form.one("words")
    faults = {} if outcome in OUTCOMES else {"outcome": _("Choisissez ce qui convient.")}
    return {"outcome": outcome, **({"words": words} if words else {})}, faults


def _plain(_form: Fields, _by: Counsellor) -> Made:
    return {}, {}


def _withdrawn(_form: Fields, _by: Counsellor) -> Made:
    return {"method": "counsellor"}, {}


STEPS: Final[Mapping[str, Step]] = {
    "propose": _plain,
    "receive": _named,
    "accept": _named,
    "decline": _refused,
    "release": _refused,
    "plan_meeting": _meeting,
    "replan": _meeting,
    "confirm_handover": _confirmed,
    "close": _closed,
    "cancel": _plain,
    "withdraw": _withdrawn,
}
"""What each action's form becomes."""

_ORDER: Final = ("propose", "accept", "plan_meeting", "confirm_handover", "close")
"""The step that a state waits for, the first that is allowed."""


def main_action(referral: Mapping[str, Any], sides: frozenset[str]) -> str:
    """Answer the one action that is shown large, or nothing where the other side is awaited."""
    allowed = referral["allowed_actions"]
    if referral["state"] == "meeting_planned" and "sender" in sides and "confirm_handover" in allowed:
        return "confirm_handover"
    # Where the recipient agrees on the meeting, the sender may, but is not pressed to.
    if referral["state"] == "accepted" and sides == {"sender"}:
        return ""
    return next((action for action in _ORDER if action in allowed), "")


def sides(referral: Mapping[str, Any], organisation_id: UUID) -> frozenset[str]:
    """Answer what an organisation is in a referral; one that reads too little to know is its recipient."""
    ours = str(organisation_id)
    found = {side for side in ("sender", "recipient") if str((referral.get(side) or {}).get("organisation_id")) == ours}
    return frozenset(found or {"recipient"})


def names(referral: Mapping[str, Any]) -> dict[str, str]:
    """Answer the names of the two structures by their id."""
    known = [referral.get(side) or {} for side in ("sender", "recipient")]
    return {str(each["organisation_id"]): str(each["name"]) for each in known if "organisation_id" in each}


def told(events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Answer what happened, in order; a draft that was changed again and again was changed once, at the end."""
    rows = list(events)
    after: list[Mapping[str, Any]] = [*rows[1:], {}]
    return [
        row
        for row, following in zip(rows, after, strict=False)
        if not (row["type"] == following.get("type") == "referral.changed")
    ]


def looks(items: Iterable[Mapping[str, Any]], referral: Mapping[str, Any]) -> list[Look]:
    """Answer who looked, one line for each structure and day, the newest first."""
    named = names(referral)
    told = [
        (at.date(), named.get(str(each.get("organisation_id")), _("Une structure")), tuple(each["categories"]))
        for each in items
        if (at := moment(each.get("at"))) is not None and each["categories"]
    ]
    told.sort(key=lambda each: each[:2], reverse=True)
    found = []
    for (day, organisation), group in groupby(told, key=lambda each: each[:2]):
        opened = [each[2] for each in group]
        categories = dict.fromkeys(name for one in opened for name in one)
        found.append(Look(day, organisation, tuple(categories), len(opened)))
    return found


def faults_of(pointers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Answer what to say beside which field of a step's form."""
    said = {
        "/reason": ("reason", _("Choisissez une raison.")),
        "/words": ("words", _("Ce texte ne peut pas être pris tel quel. Écrivez-le plus simplement.")),
        "/starts_at": ("on", _("Ce jour ou cette heure ne conviennent pas.")),
        "/place": ("place", _("Écrivez ce lieu sur une ligne, en quelques mots.")),
        "/on": ("on", _("Ce jour ne convient pas.")),
        "/outcome": ("outcome", _("Choisissez ce qui convient.")),
    }
    found: dict[str, str] = {}
    for pointer, _detail in pointers:
        name, words = next(
            (row for start, row in said.items() if pointer.startswith(start)),
            ("", _("Ce que vous avez écrit ne peut pas être pris. Relisez, puis réessayez.")),
        )
        found.setdefault(name, words)
    return found
