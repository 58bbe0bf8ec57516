"""The relay page's form: what was written becomes the API's bodies, faults come back beside the fields."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from relais_gateway.web.languages import _, later
from relais_gateway.web.vocabulary import Words

NOTICE: Final = "2026-1"
"""Version of the text that is read aloud."""
READ_IN: Final = ("fr", "nl", "de", "en")
"""The languages that this text is written in; in any other somebody translates it."""

CATEGORIES: Final = ("needs", "identity", "contact", "situation", "notes")
"""What a draft can hold, and so what she is asked about, one by one."""

HOW: Final = {"in_person_oral": "spoken", "in_person_written": "signature", "phone": "spoken"}
"""How she said yes, with the way in which the consent record tells it."""

NO: Final = "no"
BY_LINK: Final = "private_link"
"""She answers by her own link, later."""
GIVEN: Final = "given"
"""She has answered already: her agreement stands in the draft."""

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
    "/notice_version": "interpreter",
    "/colleague": "colleague",
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
        "interpreter": later("Le texte n'existe pas dans cette langue : dites qui l'a traduit."),
        "colleague": later("Écrivez le nom de votre collègue, sur une ligne."),
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
    seen_alone: str = "unknown"
    colleague: str = ""
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
        plain["seen_alone"] = plain["seen_alone"] or "unknown"
        return cls(
            **plain,
            safety=tuple(several.get("safety", ())),
            categories=tuple(each for each in several.get("categories", ()) if each in CATEGORIES),
            feedback="feedback" in sent,
            sensitive="sensitive" in sent,
        )

    @classmethod
    def of_draft(cls, draft: Mapping[str, Any], place: str) -> "RelayForm":
        """Fill the form from a draft as its sender reads it; what she agreed to is asked again, never ticked before.

        Args:
            draft: Of the API.
            place: Her municipality, as one writes it in the field.
        """
        person = draft.get("person") or {}
        identity, contact = person.get("identity") or {}, person.get("contact") or {}
        safety = contact.get("safety") or {}
        need: Mapping[str, Any] = next(iter(draft.get("needs") or ()), {})
        return cls(
            key=str(uuid4()),
            referral=str(draft["id"]),
            theme=need.get("theme", ""),
            words=need.get("words") or "",
            urgency=draft.get("urgency") or "days",
            constraints="\n".join(draft.get("constraints") or ()),
            called=identity.get("called") or identity.get("given_name") or identity.get("family_name") or "",
            given_name=identity.get("given_name") or "",
            family_name=identity.get("family_name") or "",
            reach=contact.get("reach") or "",
            phone=contact.get("phone") or "",
            address=contact.get("address") or "",
            safety=tuple(name for name, said in safety.items() if said is True),
            times=safety.get("times") or "",
            place=place,
            language=next(iter(person.get("languages") or ()), "fr"),
            notes=draft.get("notes") or "",
            counsellor_phone=(draft.get("counsellor") or {}).get("phone") or "",
        )

    def unkept(self) -> dict[str, str]:
        """Answer what a draft cannot be kept without, by field: whom, where, and what it is about."""
        absent = {"theme": not self.theme, "called": not self.called, "place": not self.place}
        return {name: FAULTS[name] for name, missing in absent.items() if missing}

    def missing(self, *, sensitive: bool) -> dict[str, str]:
        """Answer what must be there before the relay is passed and is not, by field.

        Args:
            sensitive: The theme needs her express agreement.
        """
        asked = self.answer != GIVEN
        spoken = self.answer in HOW
        absent = {
            "reach": not self.reach,
            "phone": self.reach == "phone" and not self.phone,
            "address": self.reach == "address" and not self.address,
            "categories": asked and not self.categories,
            "answer": asked and not spoken and self.answer != BY_LINK,
            "sensitive": asked and sensitive and not self.sensitive,
            "interpreter": spoken and self.language not in READ_IN and self.interpreter == "none",
        }
        return self.unkept() | {name: FAULTS[name] for name, missing in absent.items() if missing}

    def draft(
        self,
        counsellor: Mapping[str, str],
        area: Mapping[str, str],
        before: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Answer what a draft holds, but for whom it goes to.

        Args:
            counsellor: Who answers for the person here.
            area: Her municipality's code, and a postcode where one is known.
            before: The draft as it stands; what this page does not ask stays as it was.
        """
        person = (before or {}).get("person") or {}
        needs = list((before or {}).get("needs") or ({},))
        spoken = [each for each in person.get("languages") or () if each != self.language]
        # What this page does not write came with the draft, from a partner's own tool: it stays.
        need = {**needs[0], "theme": self.theme, "words": self.words}
        return {
            "counsellor": {**counsellor, **({"phone": self.counsellor_phone} if self.counsellor_phone else {})},
            "person": {
                "identity": self._identity(person.get("identity") or {}),
                "contact": self._contact(person.get("contact") or {}),
                "area": dict(area),
                "languages": [self.language, *spoken],
            },
            "needs": [{name: value for name, value in need.items() if value}, *needs[1:]],
            "urgency": self.urgency,
            "constraints": [line.strip() for line in self.constraints.splitlines() if line.strip()],
            "notes": self.notes or None,
        }

    def _identity(self, before: Mapping[str, Any]) -> dict[str, Any]:
        written = {"called": self.called, "given_name": self.given_name, "family_name": self.family_name}
        return {name: value for name, value in {**before, **written}.items() if value}

    def _contact(self, before: Mapping[str, Any]) -> dict[str, Any]:
        kept = {name: before[name] for name in ("email",) if before.get(name)}
        safety = dict.fromkeys(self.safety, True) | ({"times": self.times} if self.times else {})
        # What belongs to another way of reaching her stays here: she did not ask for it to be sent.
        way = {"phone": self.phone, "address": self.address}.get(self.reach)
        if way:
            kept[self.reach] = way
        # A way without its number yet is no way: the draft then says what shows least of her.
        return kept | {"safety": safety, "reach": "via_sender" if way == "" else self.reach or "via_sender"}

    def consent(self, collected_by: str, now: datetime) -> dict[str, Any]:
        """Answer the body that records what she agreed to, just now."""
        return self._terms(collected_by, self.language) | {
            "method": self.answer,
            "expressed_by": HOW[self.answer],
            "interpreter": self.interpreter,
            "seen_alone": self.seen_alone,
            "given_at": now.isoformat(),
        }

    def request(self, collected_by: str) -> dict[str, Any]:
        """Answer the body that asks for her agreement by her own link, in a language that her page speaks."""
        return self._terms(collected_by, self.language if self.language in READ_IN else READ_IN[0])

    def _terms(self, collected_by: str, language: str) -> dict[str, Any]:
        return {
            "purposes": ["referral", *(["feedback"] if self.feedback else [])],
            "data_categories": list(self.categories),
            "language": language,
            "notice_version": NOTICE,
            "collected_by": collected_by,
            **({"article_9_basis": "explicit_consent"} if self.sensitive else {}),
        }


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
