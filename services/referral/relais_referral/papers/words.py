"""The words of our papers, by language."""

from collections.abc import Mapping
from typing import Final

CATEGORIES: Final[Mapping[str, Mapping[str, str]]] = {
    "fr": {
        "identity": "qui vous êtes",
        "contact": "comment vous joindre",
        "needs": "votre besoin, avec vos mots",
        "situation": "votre situation",
        "notes": "les notes de votre conseillère ou conseiller",
        "documents": "vos documents",
    },
    "nl": {
        "identity": "wie u bent",
        "contact": "hoe men u bereikt",
        "needs": "wat u nodig hebt, in uw woorden",
        "situation": "uw situatie",
        "notes": "de notities van uw begeleider",
        "documents": "uw documenten",
    },
    "de": {
        "identity": "wer Sie sind",
        "contact": "wie man Sie erreicht",
        "needs": "was Sie brauchen, in Ihren Worten",
        "situation": "Ihre Lage",
        "notes": "die Notizen Ihrer Beraterin oder Ihres Beraters",
        "documents": "Ihre Dokumente",
    },
    "en": {
        "identity": "who you are",
        "contact": "how to reach you",
        "needs": "what you need, in your words",
        "situation": "your situation",
        "notes": "your counsellor's notes",
        "documents": "your documents",
    },
}
"""What her consent names, said to her."""

PURPOSES: Final[Mapping[str, Mapping[str, str]]] = {
    "fr": {
        "referral": "vous mettre en lien avec cette structure",
        "feedback": "dire à votre première structure ce que cela a donné",
        "case_conference": "en parler ensemble, entre structures",
        "pathway_sharing": "montrer vos autres mises en lien",
        "statistics": "compter, sans que l'on vous reconnaisse",
    },
    "nl": {
        "referral": "u in contact brengen met deze dienst",
        "feedback": "uw eerste dienst zeggen wat het opleverde",
        "case_conference": "er samen over spreken, tussen diensten",
        "pathway_sharing": "uw andere doorverwijzingen tonen",
        "statistics": "tellen, zonder dat men u herkent",
    },
    "de": {
        "referral": "Sie mit dieser Stelle zusammenbringen",
        "feedback": "Ihrer ersten Stelle sagen, was daraus wurde",
        "case_conference": "gemeinsam darüber sprechen, zwischen Stellen",
        "pathway_sharing": "Ihre anderen Vermittlungen zeigen",
        "statistics": "zählen, ohne dass man Sie erkennt",
    },
    "en": {
        "referral": "putting you in touch with this service",
        "feedback": "telling your first service what came of it",
        "case_conference": "talking about it together, between services",
        "pathway_sharing": "showing your other introductions",
        "statistics": "counting, without anyone recognising you",
    },
}
"""What the data may be used for, said to her."""

STATUSES: Final[Mapping[str, Mapping[str, str]]] = {
    "fr": {
        "requested": "demandé",
        "given": "donné",
        "refused": "refusé",
        "withdrawn": "retiré",
        "expired": "arrivé à son terme",
        "superseded": "remplacé par un autre",
    },
    "nl": {
        "requested": "gevraagd",
        "given": "gegeven",
        "refused": "geweigerd",
        "withdrawn": "ingetrokken",
        "expired": "afgelopen",
        "superseded": "vervangen door een ander",
    },
    "de": {
        "requested": "erbeten",
        "given": "gegeben",
        "refused": "abgelehnt",
        "withdrawn": "zurückgezogen",
        "expired": "abgelaufen",
        "superseded": "durch ein anderes ersetzt",
    },
    "en": {
        "requested": "asked for",
        "given": "given",
        "refused": "refused",
        "withdrawn": "withdrawn",
        "expired": "run out",
        "superseded": "replaced by another",
    },
}

RECEIPT: Final[Mapping[str, Mapping[str, str]]] = {
    "fr": {
        "title": "Reçu de votre accord",
        "discreet": "Votre reçu",
        "what": "Ce que vous avez décidé",
        "status": "Votre accord est",
        "on": "Le",
        "until": "Valable jusqu'au",
        "open_end": "tant que vous ne l'arrêtez pas",
        "for": "Pour",
        "data": "Ce qui peut être lu",
        "who": "Qui",
        "to": "Qui lit",
        "from": "Qui transmet",
        "address": "Adresse",
        "contact": "Contact",
        "dpo": "Protection des données",
        "stop": "Arrêter",
        "stop_how": "Vous pouvez arrêter quand vous voulez, en tout ou en partie, sans dire pourquoi : par votre "
        "lien, ou "
        "en le disant à l'une des structures. Refuser ou arrêter ne change rien à l'aide que vous recevez.",
        "rights": "Vous pouvez demander une copie, une correction ou l'effacement, et vous plaindre auprès de "
        "l'autorité "
        "de protection des données.",
        "proof": "Pour vérifier",
        "record": "Numéro",
        "notice": "Texte lu",
        "kept": "Gardé",
        "law": "Base légale",
    },
    "nl": {
        "title": "Ontvangstbewijs van uw akkoord",
        "discreet": "Uw bewijs",
        "what": "Wat u besliste",
        "status": "Uw akkoord is",
        "on": "Op",
        "until": "Geldig tot",
        "open_end": "zolang u het niet stopt",
        "for": "Voor",
        "data": "Wat gelezen mag worden",
        "who": "Wie",
        "to": "Wie leest",
        "from": "Wie geeft door",
        "address": "Adres",
        "contact": "Contact",
        "dpo": "Gegevensbescherming",
        "stop": "Stoppen",
        "stop_how": "U kunt stoppen wanneer u wilt, helemaal of voor een deel, zonder te zeggen waarom: met uw link, "
        "of "
        "door het aan een van de diensten te zeggen. Weigeren of stoppen verandert niets aan de hulp die u krijgt.",
        "rights": "U kunt een kopie, een verbetering of het wissen vragen, en een klacht indienen bij de "
        "gegevensbeschermingsautoriteit.",
        "proof": "Om na te gaan",
        "record": "Nummer",
        "notice": "Voorgelezen tekst",
        "kept": "Bewaard",
        "law": "Wettelijke grond",
    },
    "de": {
        "title": "Beleg Ihrer Zustimmung",
        "discreet": "Ihr Beleg",
        "what": "Was Sie entschieden haben",
        "status": "Ihre Zustimmung ist",
        "on": "Am",
        "until": "Gültig bis",
        "open_end": "solange Sie sie nicht beenden",
        "for": "Für",
        "data": "Was gelesen werden darf",
        "who": "Wer",
        "to": "Wer liest",
        "from": "Wer weitergibt",
        "address": "Adresse",
        "contact": "Kontakt",
        "dpo": "Datenschutz",
        "stop": "Beenden",
        "stop_how": "Sie können jederzeit ganz oder teilweise aufhören, ohne zu sagen warum: über Ihren Link, oder "
        "indem "
        "Sie es einer der Stellen sagen. Ablehnen oder Beenden ändert nichts an der Hilfe, die Sie bekommen.",
        "rights": "Sie können eine Kopie, eine Berichtigung oder die Löschung verlangen und sich bei der "
        "Datenschutzbehörde beschweren.",
        "proof": "Zum Nachprüfen",
        "record": "Nummer",
        "notice": "Vorgelesener Text",
        "kept": "Aufbewahrt",
        "law": "Rechtsgrundlage",
    },
    "en": {
        "title": "Receipt of your agreement",
        "discreet": "Your receipt",
        "what": "What you decided",
        "status": "Your agreement is",
        "on": "On",
        "until": "Valid until",
        "open_end": "for as long as you do not stop it",
        "for": "For",
        "data": "What may be read",
        "who": "Who",
        "to": "Who reads",
        "from": "Who passes on",
        "address": "Address",
        "contact": "Contact",
        "dpo": "Data protection",
        "stop": "Stopping",
        "stop_how": "You can stop whenever you like, all or a part, without saying why: by your link, or by telling "
        "either "
        "of the services. Refusing or stopping changes nothing in the help you receive.",
        "rights": "You can ask for a copy, a correction or erasure, and complain to the data protection authority.",
        "proof": "To verify",
        "record": "Number",
        "notice": "Text read to you",
        "kept": "Kept",
        "law": "Legal basis",
    },
}

CARD: Final[Mapping[str, Mapping[str, str]]] = {
    "fr": {
        "title": "Votre page",
        "alt": "Code à scanner avec un téléphone : il ouvre votre page",
        "how": "Comment faire",
        "scan": "Scannez ce dessin avec un téléphone, ou écrivez l'adresse ci-dessous. Donnez ensuite le code que "
        "vous avez "
        "choisi : il n'est écrit nulle part.",
        "counter": "Sans téléphone : venez avec cette carte à l'un de nos comptoirs.",
        "keep": "Gardez cette carte pour vous. Perdue, elle se remplace : dites-le à votre conseillère ou conseiller.",
        "address": "Adresse",
    },
    "nl": {
        "title": "Uw pagina",
        "alt": "Code om te scannen met een telefoon: ze opent uw pagina",
        "how": "Hoe doet u dat",
        "scan": "Scan deze tekening met een telefoon, of schrijf het adres hieronder. Geef dan de code die u koos: "
        "ze staat "
        "nergens geschreven.",
        "counter": "Zonder telefoon: kom met deze kaart naar een van onze loketten.",
        "keep": "Houd deze kaart voor u. Verloren? Zeg het aan uw begeleider, u krijgt een nieuwe.",
        "address": "Adres",
    },
    "de": {
        "title": "Ihre Seite",
        "alt": "Code zum Scannen mit einem Telefon: Er öffnet Ihre Seite",
        "how": "So geht es",
        "scan": "Scannen Sie dieses Bild mit einem Telefon, oder schreiben Sie die Adresse unten. Geben Sie dann den "
        "Code "
        "ein, den Sie gewählt haben: Er steht nirgends geschrieben.",
        "counter": "Ohne Telefon: Kommen Sie mit dieser Karte an einen unserer Schalter.",
        "keep": "Behalten Sie diese Karte für sich. Verloren? Sagen Sie es Ihrer Beraterin oder Ihrem Berater.",
        "address": "Adresse",
    },
    "en": {
        "title": "Your page",
        "alt": "Code to scan with a phone: it opens your page",
        "how": "How to use it",
        "scan": "Scan this drawing with a phone, or type the address below. Then give the code that you chose: it is "
        "written "
        "nowhere.",
        "counter": "Without a phone: come to one of our counters with this card.",
        "keep": "Keep this card to yourself. If you lose it, tell your counsellor: it is replaced.",
        "address": "Address",
    },
}

SHEET: Final[Mapping[str, str]] = {
    "title": "Fiche d'appel",
    "whom": "Qui appeler",
    "structure": "Structure",
    "service": "Service",
    "phone": "Téléphone",
    "contact": "Demander",
    "code": "Code de ce relais",
    "say": "Ce que vous dites",
    "steps": "1. Dites qui vous êtes et d'où vous appelez. 2. Dites le besoin et la commune, sans nommer la personne. "
    "3. Demandez si la structure peut la recevoir, quand et chez qui. 4. Si oui, dites ce qui est noté ci-dessous, "
    "et rien "
    "d'autre. 5. Notez ensuite ce premier contact dans Relais, ou la raison du refus.",
    "may": "Ce que la personne accepte que vous disiez",
    "nothing": "Rien de plus que le besoin et la commune.",
    "area": "Commune",
    "languages": "Langues",
    "needs": "Besoin",
    "called": "À appeler",
    "name": "Nom",
    "reach": "La joindre",
    "constraints": "À respecter",
}
"""The call sheet is for the counsellor, whose screens are in French first."""
