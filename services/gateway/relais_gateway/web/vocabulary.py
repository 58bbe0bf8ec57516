"""The words of the field, as pages say them: one table for each thing that the API names by a code."""

from collections.abc import Iterator, Mapping
from typing import Final

from relais_gateway.web.languages import _, later


class Words(Mapping[str, str]):
    """Texts by code, marked with `later`, each said in the language that the page at hand speaks.

    Args:
        plain: The French texts.
    """

    def __init__(self, plain: Mapping[str, str]) -> None:
        self.plain = plain

    def __getitem__(self, code: str) -> str:
        return _(self.plain[code])

    def __iter__(self) -> Iterator[str]:
        return iter(self.plain)

    def __len__(self) -> int:
        return len(self.plain)


THEMES: Final = Words(
    {
        "childcare": later("Garde d'enfants"),
        "mobility": later("Mobilité"),
        "training": later("Formation"),
        "support": later("Soutien"),
    }
)
"""The four families."""

SHAPES: Final = {"childcare": "circle", "mobility": "triangle", "training": "square", "support": "diamond"}
"""The shape that goes with each family's colour."""

STATES: Final = Words(
    {
        "draft": later("Brouillon"),
        "proposed": later("En attente de réponse"),
        "received": later("Quelqu'un s'en occupe"),
        "accepted": later("Relais pris"),
        "meeting_planned": later("Rendez-vous convenu"),
        "handed_over": later("La rencontre a eu lieu"),
        "closed": later("Terminé"),
        "declined": later("Ce n'était pas possible"),
        "cancelled": later("Annulé"),
        "withdrawn": later("Le partage est arrêté"),
        "ended": later("Terminé"),
    }
)

EVENTS: Final = Words(
    {
        "referral.created": later("Demande écrite"),
        "referral.drafted": later("Demande écrite"),
        "referral.changed": later("Demande complétée"),
        "referral.proposed": later("Relais proposé"),
        "referral.received": later("Pris en main"),
        "referral.accepted": later("Relais pris"),
        "referral.declined": later("Ce n'était pas possible"),
        "referral.meeting_planned": later("Rendez-vous convenu"),
        "referral.meeting_replanned": later("Nouveau rendez-vous convenu"),
        "referral.handover_confirmed": later("Rencontre confirmée d'un côté"),
        "referral.handed_over": later("Rencontre confirmée des deux côtés"),
        "referral.closed": later("Terminé"),
        "referral.cancelled": later("Demande annulée"),
        "referral.withdrawn": later("Partage arrêté"),
        "referral.agreed_by_phone": later("Accord donné au téléphone par un collègue"),
        "referral.undone": later("Dernier pas repris"),
        "referral.reopened": later("Relais rouvert"),
        "referral.redirected": later("Relais passé à une autre structure"),
        "referral.paused": later("Mis en pause"),
        "referral.resumed": later("Repris après la pause"),
        "referral.overdue": later("Réponse attendue, pas encore venue"),
        "document.added": later("Document ajouté"),
        "consent.given": later("Accord de la personne noté"),
        "consent.refused": later("La personne a dit non"),
        "consent.narrowed": later("La personne partage moins"),
        "consent.withdrawn": later("Accord retiré par la personne"),
    }
)

AHEAD: Final[Mapping[str, tuple[str, ...]]] = {
    "draft": ("proposed", "accepted", "meeting"),
    "proposed": ("accepted", "meeting"),
    "received": ("accepted", "meeting"),
    "accepted": ("planned", "meeting"),
    "meeting_planned": ("meeting",),
}
"""The steps still ahead, by state: keys of `STILL`."""
STILL: Final = Words(
    {
        "proposed": later("Relais proposé"),
        "accepted": later("Relais pris"),
        "planned": later("Rendez-vous convenu"),
        "meeting": later("Rencontre"),
    }
)
"""The steps still ahead, by state."""

REASONS: Final = Words(
    {
        "no_place": later("Il n'y a pas de place"),
        "outside_area": later("La personne habite hors de notre territoire"),
        "condition": later("Une condition n'est pas remplie"),
        "mission": later("Ce n'est pas notre mission"),
        "language": later("Nous n'avons pas la langue"),
        "hours": later("Nos horaires ne conviennent pas"),
        "conflict_of_interest": later("Nous connaissons la personne de trop près"),
        "safety": later("Une question de sécurité"),
        "other": later("Autre chose"),
    }
)

OUTCOMES: Final = Words(
    {
        "under_way": later("L'accompagnement continue chez nous"),
        "completed": later("Le besoin a sa réponse"),
        "not_pursued": later("Cela s'arrête là"),
        "redirected": later("Une autre structure prend la suite"),
    }
)

MODES: Final = Words(
    {
        "visit": later("Sur place"),
        "call": later("Par téléphone"),
        "video": later("En visio"),
    }
)
ATTENDEES: Final = Words(
    {
        "person": later("La personne"),
        "sender": later("La structure d'origine"),
        "recipient": later("La structure d'accueil"),
    }
)
SERVICE_MODES: Final = Words(
    {
        "on_site": later("Sur place"),
        "remote": later("À distance"),
        "at_home": later("À domicile"),
    }
)

CATEGORIES: Final = Words(
    {
        "identity": later("Son nom"),
        "contact": later("Comment la joindre"),
        "needs": later("Son besoin, avec ses mots"),
        "situation": later("Sa situation"),
        "notes": later("Nos précisions"),
        "documents": later("Ses documents"),
        "constraints": later("Ses contraintes"),
    }
)

REACH: Final = Words(
    {
        "via_sender": later("Par nous : nous lui transmettons les messages"),
        "she_comes": later("Elle passera d'elle-même"),
        "phone": later("Par téléphone"),
        "address": later("Par courrier"),
    }
)
REACH_SEEN: Final = Words({**REACH.plain, "via_sender": later("Par la structure d'origine, qui transmet les messages")})
"""The same, as the other side reads it."""

URGENCY: Final = Words(
    {
        "today": later("Aujourd'hui"),
        "days": later("Dans les jours qui viennent"),
        "none": later("Rien ne presse"),
    }
)

SAFETY: Final = Words(
    {
        "may_say_who": later("On peut dire qui appelle"),
        "voicemail": later("On peut laisser un message"),
        "sms": later("On peut envoyer un SMS"),
        "shared_phone": later("D'autres répondent à ce téléphone, elle le sait"),
    }
)

METHODS: Final = Words(
    {
        "in_person_oral": later("de vive voix"),
        "in_person_written": later("par écrit"),
        "phone": later("au téléphone"),
        "private_link": later("par son lien"),
    }
)

ANSWERS: Final = Words(
    {
        "in_person_oral": later("Oui, de vive voix"),
        "in_person_written": later("Oui, par écrit"),
        "phone": later("Oui, au téléphone"),
    }
)

CONSENTS: Final = Words(
    {
        "requested": later("Demandé"),
        "given": later("Donné"),
        "refused": later("Refusé"),
        "withdrawn": later("Retiré"),
        "expired": later("Arrivé à son terme"),
        "superseded": later("Remplacé"),
    }
)

LANGUAGES: Final = Words(
    {
        "fr": later("français"),
        "nl": later("néerlandais"),
        "de": later("allemand"),
        "en": later("anglais"),
        "ar": later("arabe"),
        "es": later("espagnol"),
        "it": later("italien"),
        "pl": later("polonais"),
        "pt": later("portugais"),
        "ro": later("roumain"),
        "ru": later("russe"),
        "sq": later("albanais"),
        "tr": later("turc"),
        "uk": later("ukrainien"),
        "ps": later("pachto"),
        "fa": later("persan"),
        "ti": later("tigrinya"),
        "so": later("somali"),
        "vgt": later("langue des signes flamande"),
        "sfb": later("langue des signes de Belgique francophone"),
    }
)

DONE: Final = Words(
    {
        "compte": later("Votre compte est prêt. Connectez-vous."),
        "propose": later("C'est parti. La structure d'accueil voit le besoin, sans le nom ni le téléphone."),
        "receive": later("Vous avez pris la demande en main."),
        "accept": later("Vous avez pris le relais. Vous voyez maintenant comment joindre la personne."),
        "decline": later("C'est dit. La structure d'origine est prévenue, avec votre raison."),
        "release": later("C'est rendu. La structure d'origine est prévenue, avec votre raison."),
        "plan_meeting": later("Le rendez-vous est noté des deux côtés."),
        "replan": later("Le nouveau rendez-vous est noté des deux côtés."),
        "confirm_handover": later("Votre confirmation est notée."),
        "close": later("C'est terminé. Merci pour ce relais."),
        "cancel": later("La demande est annulée. L'autre structure ne voit plus rien de la personne."),
        "withdraw": later("Le partage est arrêté. Ils ne peuvent plus lire ses informations ici."),
        "agree_by_phone": later("C'est noté. Votre collègue n'a plus qu'un geste à faire pour prendre le relais."),
        "undo": later("Votre dernier pas est repris."),
        "reopen": later("Le relais est rouvert. L'autre structure est prévenue."),
        "redirect": later("Voici un brouillon pour l'autre service. La personne doit redonner son accord."),
        "pause": later("C'est en pause. Personne ne sera relancé."),
        "resume": later("C'est repris."),
        "message": later("Votre message est envoyé."),
        "document": later("Le document est ajouté."),
        "document_removed": later("Le document est retiré."),
        "no_documents": later("La personne n'a pas accepté qu'on transmette des documents : rien n'est ajouté."),
        "part": later("Cette partie n'est plus transmise. Le reste continue."),
        "nothing_ticked": later("Rien n'était coché : rien n'a changé."),
        "not_theirs": later("Ce service ne peut pas prendre de relais ici. Choisissez-en un autre, ou appelez-le."),
        "basis_missing": later("Dites sur quelle base vous gardez cette copie. Rien n'a encore été noté."),
        "absence": later("Votre absence est notée. Votre remplaçant·e voit ce qui vous est confié."),
        "back": later("Vous êtes de retour."),
        "task": later("C'est noté."),
        "assign": later("C'est confié."),
        "to_invite": later("Son accord est noté. Il reste à inviter la structure."),
        "to_call": later("Son accord est noté. Il reste à appeler la structure."),
        "saved": later("Le brouillon est enregistré. Rien n'est encore parti."),
        "asked": later("Sa carte est prête. Le relais partira quand elle aura dit oui."),
        "confirmed": later("Merci. Cette fiche est confirmée aujourd'hui."),
        "reported": later("Merci. La structure qui tient cette fiche est prévenue."),
        "tip": later("Merci. Vos collègues le liront ici."),
        "unmet": later("Merci. Ce manque est compté, sans rien sur la personne."),
        "ended_link": later("Son lien ne s'ouvre plus."),
        "changed": later(
            "Cette page a changé entre-temps, sans doute par l'autre structure. "
            "La voici à jour : relisez, puis décidez."
        ),
        "not_now": later("Ce n'est plus possible à ce stade. Voici où en sont les choses."),
        "nothing_left": later("Aucun accord n'est encore actif ici : il n'y a rien à arrêter."),
    }
)
"""What is said on the page after a step, by a word that its address may carry."""

RECEPTION: Final = Words(
    {
        "private_room": later("Un bureau fermé pour parler"),
        "children_welcome": later("Les enfants sont les bienvenus"),
        "may_come_accompanied": later("On peut venir avec quelqu'un"),
        "calm": later("Un endroit calme"),
    }
)

ROLES: Final = Words(
    {
        "sender": later("Structure d'origine"),
        "recipient": later("Structure d'accueil"),
        "person": later("La personne"),
    }
)

NUMBERS: Final = Words(
    {
        "112": later("ambulance et pompiers"),
        "101": later("police"),
        "0800 30 030": later("violences conjugales, en français, jour et nuit"),
        "1712": later("violences, en néerlandais"),
        "103": later("écoute-enfants, en français"),
        "102": later("écoute des jeunes, en néerlandais"),
        "116 000": later("enfant disparu ou exploité, jour et nuit"),
        "107": later("télé-accueil en français, jour et nuit"),
        "106": later("télé-accueil en néerlandais, jour et nuit"),
        "108": later("télé-accueil en allemand"),
        "0800 32 123": later("prévention du suicide, en français, jour et nuit"),
    }
)
"""Belgian numbers that anybody may call, free of charge: emergencies, violence, the protection of the young."""

CAN_RECEIVE: Final = Words(
    {
        "relais": later("Relais dans cette page"),
        "guest": later("Relais par un lien, sans compte"),
        "phone_only": later("Relais par téléphone"),
    }
)

REPORTS: Final = Words(
    {
        "hours": later("Les horaires"),
        "phone": later("Le téléphone"),
        "email": later("L'adresse e-mail"),
        "address": later("L'adresse"),
        "closed": later("C'est fermé"),
        "conditions": later("Les conditions"),
        "themes": later("Ce qu'on y fait"),
        "name": later("Le nom"),
        "description": later("La description"),
        "other": later("Autre chose"),
    }
)
"""What can be wrong with an entry."""

OUTCOME_OF_CHECK: Final = Words(
    {
        "holds": later("Cela va"),
        "fails": later("Cela ne va pas"),
        "to_ask": later("À leur demander"),
    }
)

HOW_TOLD: Final = Words(
    {
        "told_in_person": later("Je le lui ai dit, ici"),
        "told_by_phone": later("Je le lui ai dit au téléphone"),
        "told_in_writing": later("Je le lui ai écrit"),
        "not_possible": later("Je n'ai pas pu"),
    }
)

SEEN_ALONE: Final = Words(
    {
        "unknown": later("Je ne sais pas"),
        "yes": later("Oui, seule avec moi"),
        "no": later("Non, quelqu'un était là"),
    }
)

INTERPRETERS: Final = Words(
    {
        "none": later("Non"),
        "professional": later("Oui, un·e interprète professionnel·le"),
        "relative": later("Oui, un·e proche"),
    }
)

LEVELS: Final = Words(
    {
        "full": later("Tout ce qui est à elle"),
        "steps": later("Seulement où cela en est"),
        "none": later("Rien : sa carte ne s'ouvre qu'à un guichet"),
    }
)
"""What her link shows."""
