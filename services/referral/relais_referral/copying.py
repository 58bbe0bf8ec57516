"""Her copy of everything as one paper, in her language; every value as it stands, none of our codes."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from relais_referral.domain.deadlines import ZONE
from relais_referral.papers.paper import LANGUAGES, Paper, Section, language_of
from relais_referral.papers.words import CATEGORIES, PURPOSES, STATUSES
from relais_referral.schemas.conferences import ConferenceView
from relais_referral.schemas.person import CopyView, HandoverView, Reading, WholeCopy, WholeView

_SAY: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "title": ("Tout ce qui est écrit ici de vous", "Alles wat hier over u staat", "Alles, was hier über Sie steht",
              "Everything that is written here about you"),
    "made_at": ("Établi le", "Opgemaakt op", "Erstellt am", "Made on"),
    "handover": ("Mise en relation", "Doorverwijzing", "Vermittlung", "Introduction"),
    "erased": ("Effacé le", "Gewist op", "Gelöscht am", "Erased on"),
    "restore_until": ("Peut être repris jusqu'au", "Kan teruggenomen worden tot", "Kann zurückgenommen werden bis",
                      "Can be taken back until"),
    "state": ("Où cela en est", "Hoever het staat", "Wie weit es ist", "Where it stands"),
    "sender": ("De la part de", "Van", "Von", "From"),
    "recipient": ("Vers", "Naar", "An", "To"),
    "counsellor": ("Votre interlocuteur", "Uw begeleider", "Ihre Begleitung", "Your counsellor"),
    "recipient_counsellor": ("Qui vous accueille", "Wie u ontvangt", "Wer Sie empfängt", "Who receives you"),
    "you": ("Ce qui est écrit de vous", "Wat over u geschreven staat", "Was über Sie geschrieben steht",
            "What is written about you"),
    "called": ("Comment vous appeler", "Hoe u genoemd wilt worden", "Wie man Sie nennt", "What to call you"),
    "given_name": ("Prénom", "Voornaam", "Vorname", "Given name"),
    "family_name": ("Nom", "Naam", "Name", "Family name"),
    "birth_date": ("Date de naissance", "Geboortedatum", "Geburtsdatum", "Date of birth"),
    "phone": ("Téléphone", "Telefoon", "Telefon", "Telephone"),
    "email": ("Courriel", "E-mail", "E-Mail", "E-mail"),
    "address": ("Adresse", "Adres", "Adresse", "Address"),
    "times": ("Quand vous appeler", "Wanneer u te bellen", "Wann man Sie anruft", "When to call you"),
    "area": ("Où vous habitez à peu près", "Waar u ongeveer woont", "Wo Sie ungefähr wohnen", "Roughly where you live"),
    "languages": ("Langues", "Talen", "Sprachen", "Languages"),
    "needs": ("Besoin", "Behoefte", "Bedarf", "Need"),
    "goal_words": ("Votre but", "Uw doel", "Ihr Ziel", "Your aim"),
    "resources": ("Ce que vous avez", "Wat u hebt", "Was Sie haben", "What you have"),
    "concerned": ("Qui d'autre", "Wie nog", "Wer noch", "Who else"),
    "situation": ("Situation", "Situatie", "Lage", "Situation"),
    "notes": ("Notes", "Notities", "Notizen", "Notes"),
    "constraints": ("À respecter", "Rekening mee te houden", "Zu beachten", "To be heeded"),
    "meeting": ("Rendez-vous", "Afspraak", "Termin", "Meeting"),
    "decline": ("Réponse de la structure", "Antwoord van de dienst", "Antwort der Stelle", "The service's answer"),
    "outcome": ("Ce qui a changé", "Wat er veranderde", "Was sich geändert hat", "What changed"),
    "agreements": ("Vos accords", "Uw toestemmingen", "Ihre Einwilligungen", "Your agreements"),
    "messages": ("Messages", "Berichten", "Nachrichten", "Messages"),
    "documents": ("Documents", "Documenten", "Dokumente", "Documents"),
    "conference": ("Réunion de concertation", "Overleg over u", "Fallbesprechung", "Case conference"),
    "structures": ("Y participent", "Nemen deel", "Es nehmen teil", "Who takes part"),
    "decisions": ("Décisions", "Beslissingen", "Beschlüsse", "Decisions"),
    "pathway": ("vos autres mises en relation, en bref", "uw andere doorverwijzingen, in het kort",
                "Ihre anderen Vermittlungen, kurz", "your other introductions, in brief"),
    "left": ("n'y est plus", "neemt niet meer deel", "nimmt nicht mehr teil", "takes part no more"),
    "ended": ("Terminée le", "Beëindigd op", "Beendet am", "Ended on"),
    "copies": ("Leur propre copie", "Hun eigen kopie", "Deren eigene Kopie", "Their own copy"),
    "copy_erased": ("effacée", "gewist", "gelöscht", "erased"),
    "copy_kept": ("gardée", "bewaard", "aufbewahrt", "kept"),
    "copy_open": ("pas encore de réponse", "nog geen antwoord", "noch keine Antwort", "no answer yet"),
    "readings": ("Qui a lu", "Wie las", "Wer gelesen hat", "Who read"),
    "copied_into": ("copié dans le logiciel de", "gekopieerd in de software van", "in die Software kopiert von",
                    "copied into the software of"),
    "openings": ("Ouvertures de votre lien", "Openingen van uw link", "Öffnungen Ihres Links", "Openings of your link"),
    "link": ("par votre lien", "via uw link", "über Ihren Link", "by your link"),
    "person": ("Vous", "U", "Sie", "You"),
    "draft": ("en préparation", "in voorbereiding", "in Vorbereitung", "being prepared"),
    "proposed": ("proposé", "voorgesteld", "vorgeschlagen", "proposed"),
    "received": ("reçu", "ontvangen", "erhalten", "received"),
    "accepted": ("accepté", "aanvaard", "angenommen", "accepted"),
    "meeting_planned": ("rendez-vous prévu", "afspraak gepland", "Termin geplant", "meeting planned"),
    "handed_over": ("relais passé", "overgedragen", "übergeben", "handed over"),
    "closed": ("terminé", "afgerond", "abgeschlossen", "closed"),
    "declined": ("pas possible là", "daar niet mogelijk", "dort nicht möglich", "not possible there"),
    "cancelled": ("arrêté", "stopgezet", "abgebrochen", "cancelled"),
    "withdrawn": ("arrêté par vous", "door u stopgezet", "von Ihnen beendet", "stopped by you"),
    "to_be_agreed": ("à convenir avec vous", "met u af te spreken", "mit Ihnen zu vereinbaren", "yet to be agreed"),
    "visit": ("sur place", "ter plaatse", "vor Ort", "in person"),
    "call": ("par téléphone", "telefonisch", "am Telefon", "by telephone"),
    "video": ("en vidéo", "met video", "per Video", "by video"),
    "no_place": ("pas de place", "geen plaats", "kein Platz", "no place"),
    "outside_area": ("hors de leur territoire", "buiten hun gebied", "außerhalb ihres Gebiets", "outside their area"),
    "condition": ("une condition manque", "een voorwaarde ontbreekt", "eine Bedingung fehlt", "a condition is not met"),
    "mission": ("pas leur mission", "niet hun opdracht", "nicht ihre Aufgabe", "not what they do"),
    "language": ("la langue", "de taal", "die Sprache", "the language"),
    "hours": ("les horaires", "de uren", "die Zeiten", "the hours"),
    "conflict_of_interest": ("un conflit d'intérêts", "een belangenconflict", "ein Interessenkonflikt",
                             "a conflict of interest"),
    "safety": ("la sécurité", "de veiligheid", "die Sicherheit", "safety"),
    "other": ("autre raison", "andere reden", "anderer Grund", "another reason"),
    "under_way": ("c'est en cours", "het loopt", "es läuft", "it is under way"),
    "completed": ("c'est fait", "het is rond", "es ist erledigt", "it is done"),
    "not_pursued": ("cela s'arrête là", "het stopt hier", "es geht nicht weiter", "it goes no further"),
    "redirected": ("ailleurs", "elders", "anderswo", "elsewhere"),
    "true": ("oui", "ja", "ja", "yes"),
    "false": ("non", "nee", "nein", "no"),
}  # fmt: skip
"""What our own words are called, in the order of `LANGUAGES`."""

_AS_WRITTEN: Final = ("goal_words", "resources", "notes", "constraints")
"""The parts that are texts of somebody's own."""


class _Words:
    """Our words in one language; what we have no word for is said as it stands."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._place = LANGUAGES.index(language)

    def __call__(self, name: str) -> str:
        found = _SAY.get(name)
        return found[self._place] if found else name

    def value(self, value: Any) -> str:  # noqa: ANN401 - whatever was written
        """Answer a value as a text; an instant as the clock here says it."""
        if isinstance(value, datetime):
            return value.astimezone(ZONE).strftime("%d/%m/%Y %H:%M")
        if isinstance(value, date):
            return value.strftime("%d/%m/%Y")
        if isinstance(value, bool):
            return self(str(value).lower())
        if isinstance(value, list):
            return "; ".join(self.value(one) for one in value)
        return str(value)

    def categories(self, names: list[str]) -> str:
        """Answer categories as they are said to her."""
        said = CATEGORIES[self.language]
        return ", ".join(said.get(name, self(name)) for name in names)


def paper(copy: CopyView) -> Paper:
    """Answer her copy as a paper to print."""
    words = _Words(language_of(copy.access.language))
    sections = [Section(words("made_at"), [words.value(copy.made_at)])]
    for number, item in enumerate(copy.items, start=1):
        sections += _item(words, number, item)
    opened = [(words.value(one.at), one.organisation or words("link")) for one in copy.access.openings or []]
    sections.append(Section(words("openings"), rows=opened))
    practice = any(item.whole and item.whole.stands.practice for item in copy.items)
    return Paper(words("title"), words.language, sections, practice=practice)


def _item(words: _Words, number: int, item: WholeCopy) -> list[Section]:
    title = f"{words('handover')} {number}"
    if item.erased is not None:
        rows = [(words(name), words.value(getattr(item.erased, name + at))) for name, at in
                (("erased", "_at"), ("restore_until", ""))]  # fmt: skip
        return [Section(title, rows=rows)]
    if item.whole is None:
        return []
    return [
        Section(title, rows=_stands(words, item.whole.stands)),
        *(
            Section(f"{title} · {words(name)}", rows=rows)
            for name, rows in (
                ("you", _you(words, item.whole)),
                ("agreements", _agreements(words, item.whole)),
                ("messages", _messages(words, item.whole)),
                ("documents", [(words.value(one.at), one.title) for one in item.whole.documents]),
                *(("conference", _conference(words, one)) for one in item.whole.conferences),
                ("copies", _copies(words, item.whole)),
                ("readings", [_reading(words, one) for one in item.readings]),
            )
            if rows
        ),
    ]


def _stands(words: _Words, stands: HandoverView) -> list[tuple[str, str]]:
    rows = [(words("state"), words(stands.state or ""))]
    if stands.sender is not None:
        rows.append((words("sender"), stands.sender.name))
    if stands.recipient is not None:
        named = (stands.recipient.name, stands.recipient.service_name)
        rows.append((words("recipient"), ", ".join(one for one in named if one)))
    for name in ("counsellor", "recipient_counsellor"):
        colleague = getattr(stands, name) or {}
        if colleague.get("name"):
            rows.append((words(name), ", ".join(str(one) for one in colleague.values() if one)))
    return rows


def _you(words: _Words, whole: WholeView) -> list[tuple[str, str]]:
    written, rows = whole.referral, []
    person = written.person
    if person is not None:
        contact = person.contact or {}
        said = {**(person.identity or {}), **contact, "times": contact.get("safety", {}).get("times")}
        rows = [
            (words(name), str(said[name]))
            for name in ("called", "given_name", "family_name", "birth_date", "phone", "email", "address", "times")
            if said.get(name)
        ]
        rows.append((words("area"), ", ".join(str(one) for one in (person.area or {}).values() if one)))
        rows.append((words("languages"), ", ".join(person.languages or [])))
    rows += [
        # Its theme alone says what it is about where nobody wrote more.
        (words("needs"), line.get("words") or line["theme"])
        for line in written.needs or []
    ]
    rows += [(words(name), words.value(value)) for name in _AS_WRITTEN if (value := getattr(written, name))]
    rows += [(words("concerned"), f"{one['relation']} ({one['age_band']})") for one in written.concerned or []]
    rows += [(name, words.value(value)) for name, value in (written.situation or {}).items() if value is not None]
    if written.meeting:
        rows.append((words("meeting"), _meeting(words, written.meeting)))
    for name, code in (("decline", "reason"), ("outcome", "outcome")):
        said = getattr(written, name)
        if said:
            rows.append((words(name), ": ".join(each for each in (words(said[code]), said.get("words")) if each)))
    return rows


def _meeting(words: _Words, meeting: Mapping[str, Any]) -> str:
    at = meeting.get("starts_at")
    when = words.value(datetime.fromisoformat(at)) if at else words("to_be_agreed")
    parts = (when, words(meeting.get("mode", "")), meeting.get("place"), meeting.get("agreed"))
    return ", ".join(each for each in parts if each)


def _agreements(words: _Words, whole: WholeView) -> list[tuple[str, str]]:
    statuses, purposes = STATUSES[words.language], PURPOSES[words.language]
    return [
        (
            f"{one.recipient['name']}: {statuses.get(one.status or '', one.status or '')}",
            f"{words.categories(one.data_categories)} ({', '.join(purposes.get(name, name) for name in one.purposes)})",
        )
        for one in whole.consents
    ]


def _messages(words: _Words, whole: WholeView) -> list[tuple[str, str]]:
    return [(f"{words.value(one.at)}, {words(one.author)}", one.words) for one in whole.messages]


def _conference(words: _Words, one: ConferenceView) -> list[tuple[str, str]]:
    statuses = STATUSES[words.language]
    opened = {consent.recipient["organisation_id"]: words.categories(consent.data_categories)
              for consent in reversed(one.consents or [])}  # fmt: skip
    rows = [
        (
            f"{words('structures')}: {part.name}",
            ", ".join(
                each
                for each in (
                    (part.counsellor or {}).get("name"),
                    opened.get(str(part.organisation_id)),
                    statuses.get(part.status or "", part.status),
                    words("left") if part.left_at else None,
                )
                if each
            ),
        )
        for part in one.organisations
    ]
    if one.meeting:
        rows.append((words("meeting"), _meeting(words, one.meeting)))
    rows += [
        (f"{words.value(said.at)}, {said.organisation or words(said.author)}", said.words)
        for said in one.messages or []
    ]
    rows += [
        (f"{words('decisions')}, {words.value(made.at)}, {', '.join(made.decided_by)}", made.words)
        for made in one.decisions or []
    ]
    if one.ended_at:
        rows.append((words("ended"), words.value(one.ended_at)))
    return rows


def _copies(words: _Words, whole: WholeView) -> list[tuple[str, str]]:
    return [
        (
            words.value(one.asked_at),
            ", ".join(each for each in (words(f"copy_{one.answer or 'open'}"), one.basis) if each),
        )
        for one in whole.local_copies
    ]


def _reading(words: _Words, one: Reading) -> tuple[str, str]:
    said = [one.organisation, one.name, one.function, words.categories(one.categories)]
    if one.copied_into:
        said.append(f"{words('copied_into')} {one.copied_into}")
    return words.value(one.day), ", ".join(each for each in said if each)
