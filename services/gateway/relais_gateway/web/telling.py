"""What the inbox and the thread say of facts: tasks, whose turn it is, days, who took a step."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final

from relais_gateway.web.languages import _, later
from relais_gateway.web.phrases import NO_BREAK, dated, moment, number
from relais_gateway.web.vocabulary import Words

TASKS: Final = Words(
    {
        "tell_person": later("Le dire à la personne"),
        "local_copy": later("Dire ce que devient votre copie"),
        "overdue": later("Une réponse tarde"),
        "idle": later("Plus rien ne bouge depuis un an"),
        "refused": later("La personne a dit non"),
        "corrected": later("La personne a corrigé quelque chose"),
        "consent_expiring": later("L'accord arrive à son terme"),
        "consent_expired": later("L'accord est arrivé à son terme"),
        "other": later("À regarder"),
    }
)
"""What waits for one side, by its kind."""

TURNS: Final = Words(
    {
        "propose": later("À vous : le proposer"),
        "accept": later("À vous : répondre"),
        "plan_meeting": later("À vous : convenir d'un rendez-vous"),
        "confirm_handover": later("À vous : confirmer la rencontre"),
        "close": later("À vous : terminer"),
    }
)
"""The step that is waited for, by its action."""

FOR_WHOM: Final = Words(
    {
        "me": later("Pour moi"),
        "team": later("Pour mon équipe"),
        "others": later("Chez les autres"),
    }
)
"""Whom something waits for."""

KILO: Final = 1_000


def long_day(text: str | None) -> str:
    """Answer a day in full: mardi 3 novembre 2026."""
    try:
        return dated(date.fromisoformat(text or ""), "EEEE d MMMM y")
    except ValueError:
        return ""


def fields_of(text: str | None) -> tuple[str, str]:
    """Answer an instant as the fields of a form take it: a day, an hour of here."""
    at = moment(text)
    return (at.date().isoformat(), at.strftime("%H:%M")) if at else ("", "")


def size(count: int) -> str:
    """Answer the size of a file: 240 ko."""
    return _("%(num)s ko") % {"num": number(max(1, round(count / KILO)))} if count else f"0{NO_BREAK}o"


def teams_of(colleagues: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Answer the teams that colleagues are in, each once, by name."""
    found = {str(team["id"]): team for each in colleagues for team in each["teams"]}
    return sorted(found.values(), key=lambda team: str(team["name"]).casefold())


def side_of(event: Mapping[str, Any], referral: Mapping[str, Any]) -> str:
    """Answer on which side of the person's line a step stands: sender, recipient, hers, or alone in the middle."""
    if str(event.get("actor") or "").startswith("person"):
        return "hers"
    by = str(event.get("organisation_id") or "")
    for side in ("sender", "recipient"):
        if by and str((referral.get(side) or {}).get("organisation_id")) == by:
            return side
    return "alone"
