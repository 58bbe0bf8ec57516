"""The relay page's form: what was written becomes the API's bodies, faults come back beside the fields."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from relais_gateway.web.languages import _, later
from relais_gateway.web.vocabulary import Words

NOTICE: Final = ("2026-1", "fr")
"""The text that this page shows to be read aloud: version and language."""

CATEGORIES: Final = ("identity", "contact", "needs", "notes")
"""What this page can write, and so what it asks her about."""

HOW: Final = {"in_person_oral": "spoken", "in_person_written": "signature", "phone": "spoken"}
"""How she said yes, with the way in which the consent record tells it."""

NO: Final = "no"

FIELDS: Final = {
    "/recipient": "service",
    "/counsellor": "counsellor_phone",
    "/person/identity": "called",
    "/person/contact/phone": "phone",
    "/person/contact/address": "address",
    "/person/contact/safety": "times",
    "/person/contact": "reach",
    "/person/area": "place",
    "/person/languages": "language",
    "/needs/0/theme": "theme",
    "/needs": "words",
    "/notes": "notes",
    "/constraints": "constraints",
    "/urgency": "urgency",
    "/data_categories": "categories",
    "/purposes": "feedback",
    "/given_at": "answer",
    "/method": "answer",
    "/article_9_basis": "sensitive",
}
"""Where the API finds a fault → the field that it is shown at; the first pointer that fits wins."""

FAULTS: Final = Words(
    {
        "service": later("Cette structure ne peut pas prendre de relais ici. Appelez-la."),
        "counsellor_phone": later("Écrivez un numéro de téléphone, par exemple 071 00 00 00."),
        "called": later("Écrivez comment la personne souhaite être appelée : un prénom suffit."),
        "phone": later("Écrivez un numéro de téléphone, par exemple 0470 00 00 00."),
        "address": later("Écrivez l'adresse où lui écrire, sur une ligne."),
        "times": later("Écrivez ces moments en quelques mots, sur une ligne."),
        "reach": later("Choisissez comment la joindre."),
        "place": later("Nous ne trouvons pas cette commune. Écrivez son nom ou son code postal."),
        "language": later("Choisissez une langue de la liste."),
        "theme": later("Choisissez à quoi ce besoin se rapporte."),
        "words": later("Ce texte ne peut pas être pris tel quel. Écrivez-le plus simplement."),
        "notes": later("Ce texte ne peut pas être pris tel quel. Écrivez-le plus simplement."),
        "constraints": later("Écrivez chaque contrainte sur une ligne, en quelques mots."),
        "urgency": later("Choisissez une réponse de la liste."),
        "categories": later("Cochez au moins une chose qu'elle accepte de transmettre."),
        "feedback": later("Votre structure ne peut pas demander ce retour : décochez cette case."),
        "answer": later("Notez comment elle a répondu. Sans son accord, rien ne part."),
        "sensitive": later("Ce besoin touche à sa vie intime : il faut son accord exprès."),
    }
)
"""What is said beside a field."""

TELLING: Final = later(
    "Ce texte se lit avant que l'autre structure ait pris le relais. "
    "Retirez-en le nom, le téléphone, l'adresse e-mail ou le numéro national."
)
NATIONAL_NUMBER: Final = later("Un numéro national n'est jamais utile ici. Retirez-le.")
NOT_BOUND: Final = later(
    "L'équipe de cette structure n'est tenue à aucun secret : vos précisions ne peuvent pas lui être transmises. "
    "Décochez « Nos précisions »."
)


@dataclass(frozen=True, slots=True)
class RelayForm:
    """What stands in the form, as typed; nothing of it ever goes into an address.

    `key` makes a second press harmless; `referral` is the draft that an earlier press made, if any.
    """

    key: str = ""
    referral: str = ""
    theme: str = ""
    words: str = ""
    urgency: str = "days"
    constraints: str = ""
    called: str = ""
    given_name: str = ""
    family_name: str = ""
    reach: str = ""
    phone: str = ""
    address: str = ""
    safety: tuple[str, ...] = ()
    times: str = ""
    place: str = ""
    language: str = "fr"
    notes: str = ""
    counsellor_phone: str = ""
    categories: tuple[str, ...] = ()
    feedback: bool = False
    answer: str = ""
    interpreter: str = "none"
    sensitive: bool = False
    faults: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def new(cls, place: str, theme: str) -> "RelayForm":
        """Answer an empty form with a key of its own, and what is known from the search."""
        return cls(key=str(uuid4()), place=place, theme=theme)

    @classmethod
    def of(cls, sent: Mapping[str, str], several: Mapping[str, Iterable[str]]) -> "RelayForm":
        """Read a form as sent; texts are stripped, line ends are those of the field.

        Args:
            sent: The last value of each field.
            several: Every value of the fields that have several: `categories`, `safety`.
        """
        plain: dict[str, Any] = {
            name: sent.get(name, "").strip().replace("\r\n", "\n")
            for name, kind in cls.__annotations__.items()
            if kind is str
        }
        plain["urgency"] = plain["urgency"] or "days"
        plain["language"] = plain["language"] or "fr"
        plain["interpreter"] = plain["interpreter"] or "none"
        return cls(
            **plain,
            safety=tuple(several.get("safety", ())),
            categories=tuple(each for each in several.get("categories", ()) if each in CATEGORIES),
            feedback="feedback" in sent,
            sensitive="sensitive" in sent,
        )

    def missing(self, *, sensitive: bool) -> dict[str, str]:
        """Answer what must be there and is not, by field.

        Args:
            sensitive: The theme needs her express agreement.
        """
        absent = {
            "theme": not self.theme,
            "called": not self.called,
            "reach": not self.reach,
            "phone": self.reach == "phone" and not self.phone,
            "address": self.reach == "address" and not self.address,
            "place": not self.place,
            "categories": not self.categories,
            "answer": self.answer not in HOW,
            "sensitive": sensitive and not self.sensitive,
        }
        return {name: FAULTS[name] for name, missing in absent.items() if missing}

    def draft(
        self, recipient: Mapping[str, str], counsellor: Mapping[str, str], area: Mapping[str, str]
    ) -> dict[str, Any]:
        """Answer the body that opens the referral.

        Args:
            recipient: The organisation's and the service's id.
            counsellor: Who answers for the person here.
            area: Her municipality's code, and a postcode where one is known.
        """
        identity = {"called": self.called, "given_name": self.given_name, "family_name": self.family_name}
        contact: dict[str, Any] = {
            "reach": self.reach,
            "safety": dict.fromkeys(self.safety, True) | ({"times": self.times} if self.times else {}),
        }
        # What belongs to another way of reaching her stays here: she did not ask for it to be sent.
        if self.reach in {"phone", "address"}:
            contact[self.reach] = getattr(self, self.reach)
        body: dict[str, Any] = {
            "recipient": dict(recipient),
            "counsellor": {
                **counsellor,
                **({"phone": self.counsellor_phone} if self.counsellor_phone else {}),
            },
            "person": {
                "identity": {name: value for name, value in identity.items() if value},
                "contact": contact,
                "area": dict(area),
                "languages": [self.language],
            },
            "needs": [{"theme": self.theme, **({"words": self.words} if self.words else {})}],
            "urgency": self.urgency,
        }
        constraints = [line.strip() for line in self.constraints.splitlines() if line.strip()]
        if constraints:
            body["constraints"] = constraints
        if self.notes:
            body["notes"] = self.notes
        return body

    def consent(self, collected_by: str, now: datetime) -> dict[str, Any]:
        """Answer the body that records what she agreed to, just now."""
        version, language = NOTICE
        body: dict[str, Any] = {
            "purposes": ["referral", *(["feedback"] if self.feedback else [])],
            "data_categories": list(self.categories),
            "method": self.answer,
            "expressed_by": HOW[self.answer],
            "interpreter": self.interpreter,
            "language": language,
            "notice_version": version,
            "collected_by": collected_by,
            "given_at": now.isoformat(),
        }
        if self.sensitive:
            body["article_9_basis"] = "explicit_consent"
        return body


def faults_of(slug: str, pointers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Answer what to say beside which field, from a problem document; nothing where no field is meant.

    Args:
        slug: End of the problem's type.
        pointers: Pointer and text of each fault.
    """
    if slug == "recipient-not-bound":
        return {"categories": _(NOT_BOUND)}
    if slug == "sensitive-basis-missing":
        return {"sensitive": FAULTS["sensitive"]}
    found: dict[str, str] = {}
    for pointer, detail in pointers:
        name = next((name for start, name in FIELDS.items() if pointer.startswith(start)), "")
        if not name:
            continue
        text = FAULTS[name]
        if slug == "personal-data-detected":
            refused = NATIONAL_NUMBER if "national number is never" in detail.lower() else TELLING
            text = _(refused)
        found.setdefault(name, text)
    return found
