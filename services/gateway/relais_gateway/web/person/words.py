"""What her pages say: short sentences that read well aloud, in the four languages."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Final

from babel.dates import format_skeleton

from relais_gateway.web.drawing import METRES_A_MINUTE, Walk, draw_walk
from relais_gateway.web.languages import FRENCH, _, language, later, ngettext
from relais_gateway.web.phrases import NO_BREAK, ZONE, dated, moment, theme_root, within

PICTURES: Final = (
    ("sun", later("Soleil")),
    ("moon", later("Lune")),
    ("star", later("Étoile")),
    ("tree", later("Arbre")),
    ("flower", later("Fleur")),
    ("house", later("Maison")),
    ("key", later("Clé")),
    ("fish", later("Poisson")),
    ("bird", later("Oiseau")),
    ("cat", later("Chat")),
    ("bike", later("Vélo")),
    ("boat", later("Bateau")),
)
"""The twelve pictures of a code, by their number; the order never changes, since codes are kept by number."""

CATEGORIES: Final = {
    "identity": ("user", later("Votre nom")),
    "contact": ("phone", later("Comment vous joindre")),
    "needs": ("message", later("Votre demande, avec vos mots")),
    "situation": ("house", later("Votre situation")),
    "notes": ("pencil", later("Les notes de votre conseiller ou conseillère")),
    "documents": ("file", later("Vos documents")),
    "meeting": ("calendar", later("Votre rendez-vous")),
    "constraints": ("clock", later("Ce qui compte pour vous")),
}
"""What can be shared, each with its pictogram."""

PURPOSES: Final = {
    "referral": later("vous aider avec cette demande"),
    "feedback": later("dire à la première équipe comment cela se passe"),
    "case_conference": later("se parler entre équipes, avec vous"),
    "pathway_sharing": later("voir vos autres relais"),
    "statistics": later("compter, sans votre nom"),
}

THEMES: Final = {
    "childcare": later("La garde de vos enfants"),
    "mobility": later("Vos déplacements"),
    "training": later("Apprendre, se former"),
    "support": later("Un soutien"),
}

MODES: Final = {
    "visit": later("Sur place, en personne"),
    "call": later("Au téléphone"),
    "video": later("Par vidéo"),
}

REACH: Final = {
    "via_sender": later("Par la première équipe"),
    "she_comes": later("Je passe moi-même"),
    "phone": later("Par téléphone"),
    "address": later("Par courrier"),
}

SAFETY: Final = {
    "voicemail": later("On peut laisser un message vocal"),
    "sms": later("On peut m'envoyer un SMS"),
    "may_say_who": later("On peut dire qui appelle"),
    "shared_phone": later("D'autres répondent à ce téléphone"),
}

STEPS: Final = (
    ("send", later("Demande"), frozenset({"draft"})),
    ("eye", later("Réponse"), frozenset({"proposed", "received"})),
    ("calendar", later("Rendez-vous"), frozenset({"accepted"})),
    ("user", later("Rencontre"), frozenset({"meeting_planned"})),
)
"""The four steps on the way, with the states in which each is awaited."""

PAST: Final = {
    "referral.drafted": later("Demande écrite"),
    "consent.given": later("Vous avez dit oui"),
    "consent.refused": later("Vous avez dit non"),
    "consent.withdrawn": later("Vous avez arrêté un partage"),
    "consent.narrowed": later("Vous partagez moins"),
    "consent.expired": later("Un accord a pris fin"),
    "referral.proposed": later("Demande envoyée"),
    "referral.received": later("Quelqu'un lit la demande"),
    "referral.accepted": later("Quelqu'un s'occupe de vous"),
    "referral.declined": later("Ce n'était pas possible"),
    "referral.meeting_planned": later("Rendez-vous fixé"),
    "referral.meeting_replanned": later("Rendez-vous changé"),
    "referral.handed_over": later("La rencontre a eu lieu"),
    "referral.closed": later("C'est terminé"),
    "referral.cancelled": later("Demande annulée"),
    "referral.withdrawn": later("Partage arrêté"),
    "referral.paused": later("Mis en pause"),
    "referral.resumed": later("Repris"),
    "referral.restored": later("Rétabli"),
    "person.corrected": later("Informations corrigées"),
    "person.changed_needs": later("Demande modifiée"),
}
"""What happened, by the event; what is not named here is no news for her."""

BY: Final = {
    "person": later("vous"),
    "sender": later("la première équipe"),
    "recipient": later("la nouvelle équipe"),
    "participant": later("une autre équipe"),
}

WAYS: Final = {"link": later("Par votre lien"), "assisted": later("À un guichet")}

COPIES: Final = {
    "erased": later("Ils ont effacé leur copie."),
    "kept": later("Ils gardent une copie. Voici pourquoi :"),
    None: later("Nous leur avons demandé d'effacer leur copie. Ils n'ont pas encore répondu."),
}

DONE: Final = {
    "stop": later("Le partage est arrêté. Ils ne peuvent plus lire vos informations ici."),
    "part": later("C'est fait. Cette partie n'est plus partagée."),
    "correct": later("C'est corrigé. Les deux équipes sont prévenues."),
    "words": later("Vos mots sont ajoutés."),
    "hide": later("C'est fait. Cette ligne est cachée."),
    "show": later("C'est fait. Cette ligne est à nouveau visible."),
    "message": later("Votre message est parti."),
    "pause": later("C'est en pause. Personne ne vous relance."),
    "resume": later("C'est reparti."),
    "met": later("Merci. C'est noté."),
    "yes": later("Vous avez dit oui. C'est noté."),
    "no": later("Vous avez dit non. Cela ne change rien à l'aide que vous recevez."),
    "alone": later("Merci. C'est confirmé."),
    "erase": later("C'est effacé. Plus personne ne peut le lire ici."),
    "restore": later("L'effacement est annulé. Le partage reste arrêté."),
    "link": later("L'autre carte est ajoutée ici. Nous ne le disons à personne."),
    "unlink": later("Ce relais n'est plus sur cette carte."),
    "attend": later("C'est noté."),
    "end": later("C'est arrêté. Les équipes ne lisent plus cet échange."),
    "away": later("C'est fait. Cette équipe ne lit plus cet échange."),
    "accept": later("Vous avez pris le relais. Vous voyez maintenant comment joindre la personne."),
    "decline": later("C'est dit. La structure qui vous a écrit est prévenue."),
    "plan_meeting": later("Le rendez-vous est noté."),
    "confirm_handover": later("Votre confirmation est notée."),
    "close": later("C'est terminé. Merci pour ce relais."),
    "task": later("C'est noté. Merci."),
}
"""What is said after a deed, by a word that the address may carry."""

FAULTS: Final = {
    "personal-data-detected": later(
        "N'écrivez ici ni nom, ni numéro, ni adresse. Ce texte est lu avant que quelqu'un prenne le relais."
    ),
    "illegal-action": later("Ce n'est plus possible. Voici où en sont les choses."),
    "not-your-turn": later("Ce n'est pas possible maintenant."),
    "not-found": later("Cette carte ou ce code ne va pas. Réessayez."),
    "nothing-ticked": later("Cochez au moins une chose, ou dites non."),
    "stale-version": later("La page a changé entre-temps. Relisez, puis recommencez."),
}
FAULT: Final = later("Nous n'avons pas pu prendre ce que vous avez écrit. Relisez, puis réessayez.")

LOCALES: Final = {"fr": "fr_BE", "nl": "nl_BE", "de": "de_BE", "en": "en_GB"}


def done(deed: str) -> str:
    """Answer what is said after a deed; nothing where the word is none of ours."""
    return _(DONE[deed]) if deed in DONE else ""


def fault(slug: str) -> str:
    """Answer what is said where the API refused what was written."""
    return _(FAULTS.get(slug, FAULT))


def clock(at: datetime) -> str:
    """Answer the time of day in figures: 16 h 30, 16.30, 16:30."""
    spoken = language()
    if spoken == "fr":
        return f"{at.hour}{NO_BREAK}h" + (f"{NO_BREAK}{at.minute:02d}" if at.minute else "")
    return f"{at:%H.%M}" if spoken == "nl" else f"{at:%H:%M}"


def day(at: date | None) -> str:
    """Answer a day in full: mardi 3 novembre."""
    return dated(at, "EEEE d MMMM", LOCALES[language()]) if at else ""


def when(text: str | None) -> str:
    """Answer an instant from the API with its day and time: mardi 3 novembre à 16 h 30; nothing where there is none."""
    at = moment(text)
    return _("%(day)s à %(time)s") % {"day": day(at.date()), "time": clock(at)} if at else ""


def day_of(text: str | None) -> str:
    """Answer the day of an instant or date from the API."""
    at = moment(text)
    return day(at.date()) if at else ""


def time_of(text: str | None) -> str:
    """Answer the time of an instant from the API, as one says it: 16 h 30, 16.30 uur, 16:30 Uhr, 16:30."""
    at = moment(text)
    said_after = {"nl": f"{NO_BREAK}uur", "de": f"{NO_BREAK}Uhr"}
    return clock(at) + said_after.get(language(), "") if at else ""


def standing(item: Mapping[str, Any], *, discreet: bool) -> str:
    """Answer in one or two sentences where a hand-over stands.

    Args:
        item: As the API shows it to her.
        discreet: Whether no structure may be named.
    """
    if item.get("erased"):
        return _("C'est effacé. Plus personne ne peut le lire ici.")
    state = str(item.get("state"))
    if item.get("paused") and state not in ENDED:
        return _("C'est en pause. Personne ne vous relance.")
    who = "" if discreet else (item.get("recipient") or {}).get("name", "")
    if state == "meeting_planned" and (at := when((item.get("meeting") or {}).get("starts_at"))):
        return _("Vous avez rendez-vous %(when)s.") % {"when": at}
    named, plain = STANDING.get(state, STANDING["closed"])
    return _(named) % {"who": who} if who else _(plain)


ENDED: Final = frozenset({"closed", "declined", "cancelled", "withdrawn", "ended"})

STANDING: Final = {
    "draft": (
        later("Votre demande pour %(who)s est écrite. Rien n'est encore parti."),
        later("Votre demande est écrite. Rien n'est encore parti."),
    ),
    "proposed": (
        later("Votre demande est chez %(who)s. On attend une réponse."),
        later("Votre demande est partie. On attend une réponse."),
    ),
    "received": (
        later("Quelqu'un lit votre demande chez %(who)s."),
        later("Quelqu'un lit votre demande."),
    ),
    "accepted": (
        later("C'est oui : %(who)s s'occupe de vous. Il reste à fixer un rendez-vous."),
        later("C'est oui. Il reste à fixer un rendez-vous."),
    ),
    "meeting_planned": (
        later("Vous allez rencontrer %(who)s. Le moment reste à choisir avec vous."),
        later("Vous allez vous rencontrer. Le moment reste à choisir avec vous."),
    ),
    "handed_over": (
        later("La rencontre a eu lieu. %(who)s vous accompagne."),
        later("La rencontre a eu lieu. On vous accompagne."),
    ),
    "closed": (later("C'est terminé avec %(who)s."), later("C'est terminé.")),
    "ended": (later("C'est terminé avec %(who)s."), later("C'est terminé.")),
    "declined": (
        later("Ce n'était pas possible chez %(who)s. Demandez à votre première équipe : elle peut chercher ailleurs."),
        later("Ce n'était pas possible là-bas. Demandez à votre première équipe : elle peut chercher ailleurs."),
    ),
    "cancelled": (later("La demande pour %(who)s est annulée."), later("La demande est annulée.")),
    "withdrawn": (
        later("Vous avez arrêté le partage. %(who)s ne peut plus lire vos informations ici."),
        later("Vous avez arrêté le partage. Ils ne peuvent plus lire vos informations ici."),
    ),
}
"""Where things stand, by state: with the name of the structure, and without."""


def step_now(state: str) -> int:
    """Answer how many of the four steps lie behind: 4 once she was met or it ended otherwise."""
    return next((number for number, (_icon, _label, states) in enumerate(STEPS) if state in states), len(STEPS))


def past(steps: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Answer what happened, the newest first: the day, what, by whom."""
    found = [(day_of(one["at"]), said(PAST, one["type"]), _by(one)) for one in steps if one["type"] in PAST]
    return list(dict.fromkeys(reversed(found)))


def _by(step: Mapping[str, Any]) -> str:
    """Answer whose a step is; what she said herself is only written down by somebody else."""
    by = said(BY, step["by"])
    hers = step["type"].startswith("consent.") and step["by"] != "person"
    return _("noté par %(who)s") % {"who": by} if by and hers else by


def category(name: str) -> str:
    """Answer a category as she calls it."""
    return _(CATEGORIES[name][1]) if name in CATEGORIES else _("Autre chose que vous avez dit")


def icon(name: str) -> str:
    """Answer the pictogram of a category."""
    return CATEGORIES[name][0] if name in CATEGORIES else "file"


def said(table: Mapping[Any, str], name: object) -> str:
    """Answer a word of one of the tables here, in the language spoken; nothing where it has none."""
    return _(table[name]) if name in table else ""


def theme(slug: str) -> str:
    """Answer a theme as she would say it."""
    return said(THEMES, theme_root(slug)) or _("Une demande")


def attendees(meeting: Mapping[str, Any]) -> str:
    """Answer who comes to a meeting besides her: named people, or the two teams."""
    sides = {"sender": _("la première équipe"), "recipient": _("la nouvelle équipe")}
    return ", ".join(
        one["name"] if isinstance(one, Mapping) else sides[one]
        for one in meeting.get("attendees") or ()
        if isinstance(one, Mapping) or one in sides
    )


def ahead(text: str | None, now: datetime) -> bool:
    """Answer whether the day of an instant from the API is still to come."""
    at = moment(text)
    return at is not None and at.date() > now.astimezone(ZONE).date()


STAGES: Final = {
    "proposed": later("Avant de dire oui, ils lisent :"),
    "accepted": later("Quand ils s'occupent de vous, ils lisent :"),
    "ended": later("Maintenant que c'est fini, ils lisent :"),
}
"""When the other side reads what a preview shows."""

STOPS: Final = {
    "bus": later("Arrêt de bus"),
    "tram": later("Arrêt de tram"),
    "metro": later("Station de métro"),
    "train": later("Gare"),
}
"""What a stop is called; where nobody told what halts there, it is a stop."""

STOPS_TOLD: Final = 2
"""The nearest one, and one more where it does not suit her."""

RIGHT_TO_LEFT: Final = frozenset({"ar", "fa", "he", "ps", "ur"})
"""Languages written from the right; none has a catalogue yet, and none needs more than that."""


def direction() -> str:
    """Answer how the language spoken is written, as HTML's `dir` has it."""
    return "rtl" if language() in RIGHT_TO_LEFT else "ltr"


def minutes(walk_m: int) -> int:
    """Answer how long a walk takes, in whole minutes, one at least."""
    return max(1, round(walk_m / METRES_A_MINUTE))


def stop(one: Mapping[str, Any]) -> str:
    """Answer what a stop is, its name, and how long the walk from it takes."""
    kind = said(STOPS, one.get("kind")) or _("Arrêt")
    takes = minutes(one["walk_m"])
    far = ngettext("à %(minutes)s minute à pied", "à %(minutes)s minutes à pied", takes) % {"minutes": takes}
    return f"{kind} {one['name']}, {far}"


def walk(place: Mapping[str, Any]) -> Walk | None:
    """Answer the drawing of the last steps to a place, the stops numbered as they are listed; none of a vague place."""
    if place.get("latitude") is None:
        return None
    known = {
        number: (one["latitude"], one["longitude"])
        for number, one in enumerate(place["stops"][:STOPS_TOLD])
        if one.get("latitude") is not None
    }
    return draw_walk((place["latitude"], place["longitude"]), known)


def town(place: Mapping[str, Any]) -> str:
    """Answer postcode and town of a place."""
    return " ".join(part for part in (place.get("postcode"), place.get("municipality")) if part)


def month(at: date) -> str:
    """Answer a month with its year."""
    return format_skeleton("yMMMM", at, locale=LOCALES[language()])


def weekday(at: date) -> str:
    """Answer the short name of a day."""
    return format_skeleton("EEE", at, locale=LOCALES[language()])


def name_of(identity: Mapping[str, Any]) -> str:
    """Answer how somebody is called, then the full name."""
    full = " ".join(part for part in (identity.get("given_name"), identity.get("family_name")) if part)
    return ", ".join(dict.fromkeys(part for part in (identity.get("called"), full) if part))


def reached(contact: Mapping[str, Any]) -> str:
    """Answer how somebody is reached, and what may be done, as one sentence without its full stop."""
    safety = contact.get("safety") or {}
    written = [str(contact[name]) for name in ("phone", "email", "address") if contact.get(name)]
    may = [within(_(SAFETY[name])) for name in allowed(contact)]
    times = [str(safety["times"])] if safety.get("times") else []
    return ", ".join(each for each in (said(REACH, contact.get("reach")), *written, *may, *times) if each)


def allowed(contact: Mapping[str, Any]) -> list[str]:
    """Answer what may be done to reach her, by the names of `SAFETY`."""
    safety = contact.get("safety") or {}
    return [name for name in SAFETY if safety.get(name)]


def colon() -> str:
    """Answer a colon as the language spoken sets it: French stands apart from the word before."""
    return f"{NO_BREAK}:" if language() == FRENCH else ":"


def plain(value: object) -> str:
    """Answer a fact of a situation in words."""
    if isinstance(value, bool):
        return _("oui") if value else _("non")
    return _("pas dit") if value is None else str(value)


def consent(whole: Mapping[str, Any], consent_id: str) -> Mapping[str, Any]:
    """Answer an agreement of a hand-over or of one of its conferences by its id."""
    every = [*whole["consents"], *(one for talk in whole["conferences"] for one in talk.get("consents") or ())]
    return next(
        (one for one in every if one["id"] == consent_id), {"recipient": {}, "purposes": [], "data_categories": []}
    )


REACHED: Final = {
    "via_sender": later("par la structure qui vous écrit"),
    "she_comes": later("la personne passera elle-même"),
    "phone": later("par téléphone"),
    "address": later("par courrier"),
}
"""How she is reached, as a guest reads it."""

ALLOWED: Final = {
    "voicemail": later("on peut laisser un message"),
    "sms": later("on peut envoyer un SMS"),
    "may_say_who": later("on peut dire qui appelle"),
    "shared_phone": later("attention : d'autres répondent à ce téléphone"),
}


def reached_by_others(contact: Mapping[str, Any]) -> list[str]:
    """Answer how a guest reaches her; what may be done comes before the number."""
    safety = contact.get("safety") or {}
    allowed = [_(label) for name, label in ALLOWED.items() if safety.get(name)]
    written = [str(contact[name]) for name in ("phone", "email", "address") if contact.get(name)]
    return [each for each in (said(REACHED, contact.get("reach")), *allowed, *written) if each]


def today(now: datetime) -> str:
    """Answer the day it is, as a date field takes it."""
    return now.astimezone(ZONE).date().isoformat()
