"""What pages say, in French: the words of the field, dates and distances as people say them."""

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime, format_timedelta
from babel.numbers import format_decimal

ZONE: Final = ZoneInfo("Europe/Brussels")
"""Where the counters stand; France keeps the same time."""
LOCALE: Final = "fr"
NO_BREAK = "\u00a0"
WEEK = 7
ISO_DATE = 10
"""Characters of a date without a time."""

THEMES: Final = {
    "childcare": ("Garde d'enfants", "circle"),
    "mobility": ("Mobilité", "triangle"),
    "training": ("Formation", "square"),
    "support": ("Soutien", "diamond"),
}
"""The four families, with the shape that goes with the colour."""

STATES: Final = {
    "draft": "Brouillon",
    "proposed": "En attente de réponse",
    "received": "Quelqu'un s'en occupe",
    "accepted": "Relais pris",
    "meeting_planned": "Rendez-vous convenu",
    "handed_over": "La rencontre a eu lieu",
    "closed": "Terminé",
    "declined": "Ce n'était pas possible",
    "cancelled": "Annulé",
    "withdrawn": "Le partage est arrêté",
    "ended": "Terminé",
}

EVENTS: Final = {
    "referral.created": "Demande écrite",
    "referral.drafted": "Demande écrite",
    "referral.changed": "Demande complétée",
    "referral.proposed": "Relais proposé",
    "referral.received": "Pris en main",
    "referral.accepted": "Relais pris",
    "referral.declined": "Ce n'était pas possible",
    "referral.meeting_planned": "Rendez-vous convenu",
    "referral.meeting_replanned": "Nouveau rendez-vous convenu",
    "referral.handover_confirmed": "Rencontre confirmée d'un côté",
    "referral.handed_over": "Rencontre confirmée des deux côtés",
    "referral.closed": "Terminé",
    "referral.cancelled": "Demande annulée",
    "referral.withdrawn": "Partage arrêté",
    "consent.given": "Accord de la personne noté",
    "consent.withdrawn": "Accord retiré par la personne",
}

AHEAD: Final = {
    "draft": ("Relais proposé", "Relais pris", "Rencontre"),
    "proposed": ("Relais pris", "Rencontre"),
    "received": ("Relais pris", "Rencontre"),
    "accepted": ("Rendez-vous convenu", "Rencontre"),
    "meeting_planned": ("Rencontre",),
}
"""The steps still ahead, by state."""

REASONS: Final = {
    "no_place": "Il n'y a pas de place",
    "outside_area": "La personne habite hors de notre territoire",
    "condition": "Une condition n'est pas remplie",
    "mission": "Ce n'est pas notre mission",
    "language": "Nous n'avons pas la langue",
    "hours": "Nos horaires ne conviennent pas",
    "conflict_of_interest": "Nous connaissons la personne de trop près",
    "safety": "Une question de sécurité",
    "other": "Autre chose",
}

OUTCOMES: Final = {
    "under_way": "L'accompagnement continue chez nous",
    "completed": "Le besoin a sa réponse",
    "not_pursued": "Cela s'arrête là",
    "redirected": "Une autre structure prend la suite",
}

MODES: Final = {"visit": "Sur place", "call": "Par téléphone", "video": "En visio"}
ATTENDEES: Final = {
    "person": "La personne",
    "sender": "La structure d'origine",
    "recipient": "La structure d'accueil",
}
SERVICE_MODES: Final = {"on_site": "Sur place", "remote": "À distance", "at_home": "À domicile"}

CATEGORIES: Final = {
    "identity": "Son nom",
    "contact": "Comment la joindre",
    "needs": "Son besoin, avec ses mots",
    "situation": "Sa situation",
    "notes": "Nos précisions",
    "documents": "Ses documents",
    "constraints": "Ses contraintes",
}

REACH: Final = {
    "via_sender": "Par nous : nous lui transmettons les messages",
    "she_comes": "Elle passera d'elle-même",
    "phone": "Par téléphone",
    "address": "Par courrier",
}
REACH_SEEN: Final = {**REACH, "via_sender": "Par la structure d'origine, qui transmet les messages"}

URGENCY: Final = {"today": "Aujourd'hui", "days": "Dans les jours qui viennent", "none": "Rien ne presse"}

SAFETY: Final = {
    "may_say_who": "On peut dire qui appelle",
    "voicemail": "On peut laisser un message",
    "sms": "On peut envoyer un SMS",
    "shared_phone": "D'autres répondent à ce téléphone, elle le sait",
}

METHODS: Final = {
    "in_person_oral": "de vive voix",
    "in_person_written": "par écrit",
    "phone": "au téléphone",
    "private_link": "par son lien",
}

ANSWERS: Final = {
    "in_person_oral": "Oui, de vive voix",
    "in_person_written": "Oui, par écrit",
    "phone": "Oui, au téléphone",
}

CONSENTS: Final = {
    "requested": "Demandé",
    "given": "Donné",
    "refused": "Refusé",
    "withdrawn": "Retiré",
    "expired": "Arrivé à son terme",
    "superseded": "Remplacé",
}

LANGUAGES: Final = {
    "fr": "français",
    "nl": "néerlandais",
    "de": "allemand",
    "en": "anglais",
    "ar": "arabe",
    "es": "espagnol",
    "it": "italien",
    "pl": "polonais",
    "pt": "portugais",
    "ro": "roumain",
    "ru": "russe",
    "sq": "albanais",
    "tr": "turc",
    "uk": "ukrainien",
    "ps": "pachto",
    "fa": "persan",
    "ti": "tigrinya",
    "so": "somali",
    "vgt": "langue des signes flamande",
    "sfb": "langue des signes de Belgique francophone",
}

SECRECY: Final = {
    "professional": "L'équipe est tenue au secret professionnel.",
    "discretion": "L'équipe est tenue à la discrétion.",
}

DONE: Final = {
    "propose": "C'est parti. La structure d'accueil voit le besoin, sans le nom ni le téléphone.",
    "receive": "Vous avez pris la demande en main.",
    "accept": "Vous avez pris le relais. Vous voyez maintenant comment joindre la personne.",
    "decline": "C'est dit. La structure d'origine est prévenue, avec votre raison.",
    "release": "C'est rendu. La structure d'origine est prévenue, avec votre raison.",
    "plan_meeting": "Le rendez-vous est noté des deux côtés.",
    "replan": "Le nouveau rendez-vous est noté des deux côtés.",
    "confirm_handover": "Votre confirmation est notée.",
    "close": "C'est terminé. Merci pour ce relais.",
    "cancel": "La demande est annulée. L'autre structure ne voit plus rien de la personne.",
    "withdraw": "Le partage est arrêté. Ils ne peuvent plus lire ses informations ici.",
    "changed": "Cette page a changé entre-temps, sans doute par l'autre structure. "
    "La voici à jour : relisez, puis décidez.",
    "not_now": "Ce n'est plus possible à ce stade. Voici où en sont les choses.",
    "nothing_left": "Aucun accord n'est encore actif ici : il n'y a rien à arrêter.",
}
"""What is said on the page after a step, by a word that its address may carry."""


def moment(text: str | None) -> datetime | None:
    """Answer an instant from the API as local time, or nothing."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(ZONE)


def clock_time(at: datetime) -> str:
    """Answer the time of day: 9 h, 16 h 30."""
    minutes = f"{NO_BREAK}{at.minute:02d}" if at.minute else ""
    return f"{at.hour}{NO_BREAK}h{minutes}"


def day(at: date, today: date) -> str:
    """Answer a day as one says it: aujourd'hui, hier, mardi, mardi 3 novembre."""
    apart = (at - today).days
    near = {0: "aujourd'hui", -1: "hier", 1: "demain"}
    if apart in near:
        return near[apart]
    if -WEEK < apart < WEEK:
        return format_date(at, "EEEE", locale=LOCALE)
    return format_date(at, "EEEE d MMMM" if at.year == today.year else "d MMMM y", locale=LOCALE)


def when(text: str | None, now: datetime) -> str:
    """Answer an instant with its day and time: mardi à 16 h 30."""
    at = moment(text)
    return f"{day(at.date(), now.astimezone(ZONE).date())} à {clock_time(at)}" if at else ""


def exact(text: str | None) -> str:
    """Answer an instant in full, for a date that is to be kept: mardi 3 novembre 2026 à 16 h 30."""
    at = moment(text)
    return f"{format_datetime(at, 'EEEE d MMMM y', locale=LOCALE)} à {clock_time(at)}" if at else ""


WAITING: Final = frozenset({"draft", "proposed", "received"})


def standing(state: str, text: str | None, now: datetime) -> str:
    """Answer where things stand: En attente de réponse depuis mardi; Relais pris mardi."""
    at, today = moment(text), now.astimezone(ZONE).date()
    if at is None:
        return STATES[state]
    if state not in WAITING:
        return f"{STATES[state]}, {day(at.date(), today)}"
    return f"{STATES[state]} depuis {clock_time(at) if at.date() == today else day(at.date(), today)}"


def ago(text: str | None, now: datetime) -> str:
    """Answer how long ago: il y a 3 jours."""
    at = moment(text)
    if at is None:
        return ""
    if text and len(text) == ISO_DATE:
        # A day without an hour: hours would pretend to know more than was said.
        days = now.astimezone(ZONE).date() - date.fromisoformat(text)
        return {0: "aujourd'hui", 1: "hier"}.get(days.days) or format_timedelta(
            -days, granularity="day", add_direction=True, locale=LOCALE, threshold=1.4
        )
    apart = now - at
    if apart < timedelta(minutes=1):
        return "à l'instant"
    return format_timedelta(-apart, add_direction=True, locale=LOCALE, threshold=1.4)


def distance(metres: float | None) -> str:
    """Answer a distance: 400 m, 1,2 km, 14 km."""
    if metres is None:
        return ""
    if metres < 950:  # noqa: PLR2004 - from there on it reads better in kilometres
        return f"{max(round(metres, -1), 10):.0f}{NO_BREAK}m"
    kilometres = metres / 1000
    shown = round(kilometres, 1) if kilometres < 10 else round(kilometres)  # noqa: PLR2004 - 14 km needs no decimal
    return f"{format_decimal(shown, locale=LOCALE)}{NO_BREAK}km"


def count(number: int, one: str, many: str) -> str:
    """Answer a number with its noun; in French nought and one are singular."""
    return f"{format_decimal(number, locale=LOCALE)}{NO_BREAK}{one if number < 2 else many}"  # noqa: PLR2004


def opening(facts: dict[str, Any] | None, now: datetime) -> tuple[bool | None, str]:
    """Answer whether it is open now, and the sentence that says it; nothing where nobody told the hours."""
    if not facts or facts.get("open_now") is None:
        return None, ""
    if facts["open_now"]:
        closes = moment(facts.get("closes_at"))
        return True, f"Ouvert jusqu'à {clock_time(closes)}" if closes else "Ouvert"
    opens = facts.get("next_opening")
    return False, f"Fermé, ouvre {when(opens, now)}" if opens else "Fermé"


def capacity(facts: dict[str, Any] | None, now: datetime) -> str:
    """Answer the open places with their age: 3 places (dit hier); or nothing."""
    if not facts:
        return ""
    said = []
    available = facts.get("available")
    if available is not None:
        said.append("Aucune place" if available == 0 else count(available, "place", "places"))
    if facts.get("waiting_days"):
        said.append(f"attente de {count(facts['waiting_days'], 'jour', 'jours')}")
    at = moment(facts.get("updated_at"))
    if not said:
        return ""
    told = f" (dit {day(at.date(), now.astimezone(ZONE).date())})" if at else ""
    return ", ".join(said) + told


def theme_root(slug: str) -> str:
    """Answer the family of a theme: childcare of childcare--nursery."""
    return slug.partition("--")[0]


def why(item: dict[str, Any], typed: str) -> str:
    """Answer in words why a card is in the list.

    Args:
        item: The card.
        typed: What was searched for; a stem is shown as the word that somebody wrote.
    """
    said = item.get("why") or {}
    parts = []
    spelt = {_plain(word): word for word in typed.split()}
    shown = [
        next((word for plain, word in spelt.items() if plain.startswith(_plain(stem))), stem)
        for stem in said.get("words") or ()
    ]
    words = [f"«{NO_BREAK}{word}{NO_BREAK}»" for word in dict.fromkeys(shown)]
    families = dict.fromkeys(theme_root(slug) for slug in said.get("themes") or ())
    labels = [THEMES[family][0].lower() for family in families if family in THEMES]
    if words:
        parts.append(", ".join(words) + (f" → {', '.join(labels)}" if labels else ""))
    elif labels:
        parts.append(", ".join(labels))
    return "; ".join(parts)


def _plain(word: str) -> str:
    letters = unicodedata.normalize("NFKD", word.casefold())
    return "".join(sign for sign in letters if not unicodedata.combining(sign))


RECEPTION: Final = {
    "private_room": "Un bureau fermé pour parler",
    "children_welcome": "Les enfants sont les bienvenus",
    "may_come_accompanied": "On peut venir accompagné",
    "calm": "Un endroit calme",
}

_DAYS: Final = {
    "Mo": "lundi",
    "Tu": "mardi",
    "We": "mercredi",
    "Th": "jeudi",
    "Fr": "vendredi",
    "Sa": "samedi",
    "Su": "dimanche",
}
_RULE: Final = re.compile(
    r"^(?P<days>(?:(?:Mo|Tu|We|Th|Fr|Sa|Su)(?:-(?:Mo|Tu|We|Th|Fr|Sa|Su))?,?\s*)+)\s+"
    r"(?P<times>(?:\d{2}:\d{2}-\d{2}:\d{2},?\s*)+)$"
)


def reception(facts: dict[str, Any]) -> list[str]:
    """Answer how one is received, one phrase each; what is not said is not there."""
    said = [text for key, text in RECEPTION.items() if facts.get(key)]
    spoken = [LANGUAGES.get(code, code) for code in facts.get("languages") or ()]
    return said + ([f"On y parle {', '.join(spoken)}"] if spoken else [])


def hours(written: str) -> list[str]:
    """Answer opening hours (OpenStreetMap's syntax) in words; a rarer rule stands as it is written."""
    said = []
    for rule in (part.strip() for part in written.split(";")):
        if rule in {"PH off", "PH,SH off"}:
            said.append("fermé les jours fériés" + (" et pendant les vacances scolaires" if "SH" in rule else ""))
            continue
        found = _RULE.match(rule)
        if found is None:
            said.append(rule)
            continue
        days = re.sub(r"(Mo|Tu|We|Th|Fr|Sa|Su)", lambda one: _DAYS[one[0]], found["days"].strip(", "))
        days = re.sub(r"(\w+)-(\w+)", r"du \1 au \2", days).replace(",", ", ")
        said.append(f"{days} : {', '.join(_span(span) for span in found['times'].split(','))}")
    return [part[:1].upper() + part[1:] for part in said if part]


def _span(written: str) -> str:
    start, _, end = written.strip().partition("-")
    return f"{_o_clock(start)} à {_o_clock(end)}"


def _o_clock(written: str) -> str:
    hour, _, minute = written.partition(":")
    return f"{int(hour)}{NO_BREAK}h" + ("" if minute == "00" else f"{NO_BREAK}{minute}")
