"""What the console says of facts, in French first: states, fields, reasons, figures."""

import json
from datetime import datetime
from typing import Any, Final

from babel.dates import format_date, format_datetime, get_day_names

from relais_gateway.web.console import week
from relais_gateway.web.languages import _, language, later
from relais_gateway.web.phrases import moment, number

STATUSES: Final = {
    "draft": later("Brouillon"),
    "active": later("Publié"),
    "temporarily_closed": later("Fermé pour un temps"),
    "inactive": later("Suspendu"),
    "retired": later("Retiré"),
}
IMPORTS: Final = {
    "receiving": later("En réception"),
    "waiting": later("En attente"),
    "running": later("En cours"),
    "done": later("Terminé"),
    "failed": later("Échoué : rien n'a changé"),
}
COUNTS: Final = {
    "read": later("lues"),
    "new": later("nouvelles"),
    "changed": later("changées"),
    "unchanged": later("sans changement"),
    "kept": later("tenues par leur structure"),
    "retired": later("retirées"),
    "refused": later("refusées"),
    "flagged": later("remarques"),
}
DELIVERIES: Final = {
    "waiting": later("En attente"),
    "delivered": later("Reçu"),
    "set_aside": later("Mis de côté"),
    "withheld": later("Plus permis"),
}
REPORTED: Final = {
    "name": later("Le nom"),
    "description": later("La description"),
    "themes": later("Les thèmes"),
    "address": later("L'adresse"),
    "hours": later("Les heures"),
    "phone": later("Le téléphone"),
    "email": later("L'e-mail"),
    "closed": later("C'est fermé"),
    "conditions": later("Les conditions"),
    "other": later("Autre chose"),
}
CRITERIA: Final = {
    "contact": later("un moyen de contact"),
    "ways_in": later("comment entrer"),
    "updated": later("une date récente"),
    "themes": later("un thème"),
    "audiences": later("un public"),
    "description": later("une description assez longue"),
    "fees": later("le prix"),
    "address": later("une adresse"),
}
ALIKE: Final = {
    "name": later("noms proches"),
    "place": later("même endroit"),
    "phone": later("même téléphone"),
    "email": later("même e-mail"),
    "street": later("même rue"),
    "organisation": later("même structure"),
    "themes": later("mêmes thèmes"),
}
SERVICES: Final = {
    "gateway": later("Portail"),
    "directory": later("Annuaire"),
    "referral": later("Relais"),
    "worker": later("Envois"),
}


SCOPES: Final = {
    "directory:read": later("Chercher et lire l'annuaire, l'exporter."),
    "directory:write": later("Écrire ses services et ses lieux, importer sous son nom."),
    "directory:capacity": later("Dire les places libres de ses services."),
    "referral:send": later("Ouvrir, proposer et suivre des relais ; noter l'accord de la personne."),
    "referral:receive": later("Prendre des relais, y répondre et les suivre."),
    "referral:stats": later("Lire des chiffres, jamais de moins de cinq personnes."),
    "webhook:manage": later("Inscrire ses adresses de livraison, revoir et renvoyer."),
    "org:admin": later("Gérer ses comptes, ses logiciels et ses clés."),
    "platform:admin": later("Gérer les structures et les droits, lire le journal."),
    "trace:read": later("Lire les traces et la santé des services."),
}
"""What each scope lets an organisation do, as `domain.scopes.MEANINGS` says it for programs."""
CHECKS: Final = {
    "operation": (later("Cet appel existe."), later("Cet appel n'existe pas : la méthode ou le chemin est faux.")),
    "client": (later("Le logiciel est connu."), later("Ce logiciel n'est pas connu, ou il est fermé.")),
    "organisation": (later("Sa structure est ouverte."), later("Sa structure est fermée.")),
    "client_may": (
        later("Le logiciel peut demander ce droit."),
        later("Le logiciel lui-même ne peut pas demander ce droit : il faut le lui ajouter."),
    ),
    "granted": (later("Sa structure a reçu ce droit."), later("Sa structure n'a pas reçu ce droit.")),
    "in_time": (later("Le droit n'est pas fini."), later("Le droit est fini : son dernier jour est passé.")),
    "agreement": (
        later("Une convention signée est enregistrée."),
        later("Aucune convention signée n'est enregistrée."),
    ),
    "not_control": (
        later("Ce n'est pas une unité de contrôle."),
        later("C'est une unité de contrôle : elle ne prend part à aucun relais."),
    ),
}
"""What a question of the dry run says where it holds, and where it does not."""
ACTIONS: Final = {
    "grant_written": later("Droit donné"),
    "grant_removed": later("Droit retiré"),
    "signed_in": later("Connexion"),
    "account_written": later("Compte écrit"),
    "demonstration_loaded": later("Démonstration chargée"),
    "team_created": later("Équipe créée"),
    "team_renamed": later("Équipe renommée"),
    "team_removed": later("Équipe retirée"),
    "team_member_written": later("Membre d'équipe écrit"),
    "team_member_removed": later("Membre d'équipe retiré"),
    "absence_written": later("Absence notée"),
    "absence_removed": later("Absence retirée"),
    "answer_time_written": later("Délai de réponse écrit"),
    "organisation_created": later("Structure inscrite"),
    "organisation_changed": later("Structure changée"),
    "agreement_recorded": later("Convention enregistrée"),
    "agreement_end_written": later("Fin de convention écrite"),
    "agreement_ended": later("Convention finie"),
    "invitation_made": later("Invitation faite"),
    "invitation_withdrawn": later("Invitation retirée"),
    "account_created": later("Compte créé"),
    "account_changed": later("Compte changé"),
}
SECRECIES: Final = {
    "professional": later("Secret professionnel"),
    "discretion": later("Devoir de discrétion"),
    "none": later("Aucun : elle ne lira ni situation, ni notes, ni documents"),
}
FIELDS: Final = {
    "description": later("la description"),
    "phones": later("les téléphones"),
    "email": later("l'e-mail"),
    "website": later("le site"),
    "themes": later("les thèmes"),
    "fees": later("le prix"),
    "relay_contact": later("le contact relais"),
    "application_process": later("comment entrer"),
}
BRIEF: Final = 120
"""Characters of a former value that a list shows."""


def week_days() -> dict[str, str]:
    """Answer the days of the week by the name that hours have for them."""
    names = get_day_names("wide", locale=language())
    return {day: names[number].capitalize() for number, day in enumerate(week.DAYS)}


def said(named: dict[Any, str]) -> dict[Any, str]:
    """Answer words of ours in the language of the page."""
    return {key: _(word) for key, word in named.items()}


def names(keys: tuple[str, ...]) -> dict[str, str]:
    """Answer keys that are their own name."""
    return {key: key for key in keys}


def numbers(keys: tuple[int, ...]) -> dict[int, str]:
    """Answer numbers that are their own name."""
    return {key: str(key) for key in keys}


def field(name: str) -> str:
    """Answer a field of a record in words."""
    return _(FIELDS[name]) if name in FIELDS else name


def durations(steps: tuple[int, ...]) -> dict[int, str]:
    """Answer durations in milliseconds to choose from; nought is all."""
    return {step: milliseconds(step) if step else _("Peu importe") for step in steps}


def instant(written: str | None) -> str:
    """Answer a day and an hour of ours, in the language of the page; to the second, for comparing with other notes."""
    at = moment(written)
    return format_datetime(at, "d MMM HH:mm:ss", locale=language()) if at else ""


def day(written: str) -> str:
    """Answer a day in the language of the page."""
    at = datetime.fromisoformat(written)
    return format_date(at, "long", locale=language())


def brief(value: Any) -> str:  # noqa: ANN401 - a value of any field
    """Answer what a field held, cut short; nothing is a dash."""
    if value is None or value in ("", []):
        return "\N{EN DASH}"
    whole = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return whole if len(whole) <= BRIEF else f"{whole[:BRIEF]}…"


def action(name: str) -> str:
    """Answer what was done in words; a rarer act by its own name."""
    return _(ACTIONS[name]) if name in ACTIONS else name


def facts(told: dict[str, Any]) -> str:
    """Answer the facts of a change on one line."""
    return ", ".join(
        f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}" for name, value in told.items()
    )


def brief_id(written: str) -> str:
    """Answer the beginning of an id: enough to compare two lines."""
    kind, colon, id_ = written.rpartition(":")
    return f"{kind}{colon}{id_[:8]}"


def source(name: str) -> str:
    """Answer a source without the id of the organisation that stands before it."""
    return _("écrite dans Relais") if name == "relais" else name.rpartition("/")[2]


def service(name: str) -> tuple[str, str]:
    """Answer a process by a short key (for its colour) and the name people know it by."""
    key = name.removeprefix("relais-").removeprefix("relais_")
    return (key if key in SERVICES else "other", _(SERVICES[key]) if key in SERVICES else name)


def milliseconds(value: float) -> str:
    """Answer a duration as it is read: 0,4 ms, 12 ms, 1,3 s."""
    if value >= 1_000:  # noqa: PLR2004 - a second
        return f"{number(round(value / 1_000, 1))}\N{NO-BREAK SPACE}s"
    if value < 10:  # noqa: PLR2004 - below, a tenth matters
        return f"{number(round(value, 1))}\N{NO-BREAK SPACE}ms"
    return f"{value:.0f}\N{NO-BREAK SPACE}ms"


def size(bytes_: int) -> str:
    """Answer a size as it is read: 12 ko, 2,4 Mo."""
    if bytes_ >= 1 << 20:
        return f"{bytes_ / (1 << 20):.1f}\N{NO-BREAK SPACE}Mo".replace(".", ",")
    return f"{max(1, round(bytes_ / 1_024))}\N{NO-BREAK SPACE}ko"


def lacking(criteria: dict[str, float]) -> list[str]:
    """Answer what an entry lacks most, said in words."""
    return [_(CRITERIA[name]) for name, value in criteria.items() if value < 1 and name in CRITERIA]
