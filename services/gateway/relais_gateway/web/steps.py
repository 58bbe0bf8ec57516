"""The steps of a thread: what each form becomes for the API, which one comes first, who looked."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from itertools import groupby
from typing import Any, Final, Protocol
from uuid import UUID

from starlette.datastructures import FormData

from relais_gateway.web.languages import _
from relais_gateway.web.phrases import ZONE, moment
from relais_gateway.web.session import text, texts
from relais_gateway.web.vocabulary import ATTENDEES, MODES, OUTCOMES, REASONS

Json = dict[str, Any]


class Fields(Protocol):
    """A form: the text of a field, stripped, or all its values."""

    def one(self, name: str) -> str:
        """Answer the text of a field."""

    def all(self, name: str) -> list[str]:
        """Answer every value of a field."""


@dataclass(frozen=True, slots=True)
class FormFields:
    """A form that a browser sent, as the steps read it."""

    form: FormData

    def one(self, name: str) -> str:
        """Answer the text of a field."""
        return text(self.form, name)

    def all(self, name: str) -> list[str]:
        """Answer every value of a field."""
        return texts(self.form, name)


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
    """A form that could not be taken: of which action, what stood in it, what is wrong by field, what was ticked."""

    action: str
    values: Mapping[str, Any]
    faults: Mapping[str, str]
    several: Mapping[str, list[str]] = field(default_factory=dict)

    def ticked(self, action: str, name: str, value: str, *, usual: bool = False) -> bool:
        """Answer whether a box of an action's form was ticked."""
        return value in self.several.get(name, ()) if self.action == action else usual

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


WAITING: Final = frozenset({"proposed", "received"})
"""The states in which the recipient has not answered yet."""
OFFERED: Final = 3
"""Times for a first meeting that a form offers at most: enough to choose from beside somebody."""

Made = tuple[Json, dict[str, str]]
Step = Callable[[Fields, Counsellor], Made]


def _named(_form: Fields, by: Counsellor) -> Made:
    return {"counsellor": by.body()}, {}


def _taken_over(form: Fields, by: Counsellor) -> Made:
    """Answer the acceptance, with the times offered: a row without a day and an hour offers nothing."""
    body, faults = _named(form, by)
    offered: list[Json] = []
    for row in range(1, OFFERED + 1):
        if not (form.one(f"on_{row}") or form.one(f"at_{row}")):
            continue
        starts_at = _instant(form.one(f"on_{row}"), form.one(f"at_{row}"))
        if starts_at is None:
            faults[f"on_{row}"] = _("Écrivez le jour et l'heure, ou laissez les deux vides.")
        else:
            offered.append({"starts_at": starts_at, **_where(form)})
    return body | ({"meeting_options": offered} if offered else {}), faults


def _phoned(form: Fields, _by: Counsellor) -> Made:
    colleague = form.one("colleague")
    faults = {} if colleague else {"colleague": _("Écrivez qui vous a dit oui.")}
    at = _instant(form.one("on"), form.one("at"))
    if at is None and (form.one("on") or form.one("at")):
        faults["on"] = _("Écrivez le jour et l'heure, ou laissez les deux vides.")
    return {"colleague": colleague, **({"at": at} if at else {})}, faults


def _refused(form: Fields, _by: Counsellor) -> Made:
    reason, words = form.one("reason"), form.one("words")
    faults = {} if reason in REASONS else {"reason": _("Choisissez une raison.")}
    body: Json = {"reason": reason, **({"words": words} if words else {})}
    if suggested := [each for each in form.all("suggested") if _is_id(each)]:
        body["suggested_service_ids"] = suggested
    return body, faults


def _meeting(form: Fields, _by: Counsellor) -> Made:
    faults: dict[str, str] = {}
    body: Json = _where(form)
    starts_at = _instant(form.one("on"), form.one("at"))
    if form.one("agreed") == "later":
        body["to_be_agreed"] = True
    elif starts_at is not None:
        body["starts_at"] = starts_at
    else:
        faults["on"] = _("Écrivez le jour et l'heure, ou choisissez « à convenir avec la personne ».")
    if form.one("how"):
        body["agreed"] = form.one("how")
    body["attendees"] = [each for each in form.all("attendees") if each in ATTENDEES] or ["person"]
    return body, faults


def _where(form: Fields) -> Json:
    """Answer how one meets, and where if that was said."""
    mode, place = form.one("mode"), form.one("place")
    return {"mode": mode if mode in MODES else "visit", **({"place": place} if place else {})}


def _instant(on: str, at: str) -> str | None:
    """Answer a day and an hour of here as the API takes an instant; nothing where one of them is not there."""
    try:
        return datetime.combine(date.fromisoformat(on), time.fromisoformat(at), ZONE).isoformat()
    except ValueError:
        return None


def _is_id(written: str) -> bool:
    try:
        UUID(written)
    except ValueError:
        return False
    return True


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


def _paused(form: Fields, _by: Counsellor) -> Made:
    until = form.one("until")
    try:
        return ({"until": date.fromisoformat(until).isoformat()} if until else {}), {}
    except ValueError:
        return {}, {"until": _("Écrivez un jour, ou laissez vide.")}


def _plain(_form: Fields, _by: Counsellor) -> Made:
    return {}, {}


def _withdrawn(_form: Fields, _by: Counsellor) -> Made:
    return {"method": "counsellor"}, {}


STEPS: Final[Mapping[str, Step]] = {
    "propose": _plain,
    "agree_by_phone": _phoned,
    "receive": _named,
    "accept": _taken_over,
    "decline": _refused,
    "release": _refused,
    "plan_meeting": _meeting,
    "replan": _meeting,
    "confirm_handover": _confirmed,
    "close": _closed,
    "undo": _plain,
    "reopen": _plain,
    "pause": _paused,
    "resume": _plain,
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
        "/meeting_options": ("place", _("Écrivez ce lieu sur une ligne, en quelques mots.")),
        "/place": ("place", _("Écrivez ce lieu sur une ligne, en quelques mots.")),
        "/agreed": ("how", _("Écrivez-le sur une ligne, en quelques mots, sans numéro national.")),
        "/colleague": ("colleague", _("Écrivez un nom, sur une ligne.")),
        "/until": ("until", _("Écrivez un jour, ou laissez vide.")),
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
