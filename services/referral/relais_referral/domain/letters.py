"""The words of our letters to counsellors, by language; never anything of hers, neither theme nor service."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Words:
    """What a letter says in one language.

    Attributes:
        one: Its subject where one thing happened.
        many: Its subject where `{count}` did.
        told: What happened, after a referral's short code, by the type that this side is told of.
        stop: What stands before the link that ends the letters.
        sure: What the page behind that link asks.
        yes: The button of that page.
    """

    one: str
    many: str
    told: Mapping[str, str]
    stop: str
    sure: str
    yes: str


FRENCH: Final = "fr"
"""What is said to whom of whom no language is known."""

LETTERS: Final[Mapping[str, Words]] = {
    FRENCH: Words(
        one="Relais : du nouveau",
        many="Relais : {count} nouvelles",
        told={
            "referral.proposed": "vous est proposé",
            "referral.received": "est pris en main par l'autre structure",
            "referral.accepted": "est accepté",
            "referral.declined": "est décliné ou rendu",
            "referral.meeting_planned": "a un rendez-vous",
            "referral.meeting_replanned": "a un nouveau rendez-vous",
            "referral.handed_over": "est passé : la personne a été rencontrée",
            "referral.closed": "est clôturé",
            "referral.cancelled": "est annulé",
            "referral.withdrawn": "est arrêté par la personne",
            "referral.ended": "est terminé",
            "referral.message": "a un nouveau message",
            "referral.reopened": "est rouvert",
            "consent.withdrawn": "a un accord retiré",
        },
        stop="Pour ne plus recevoir ces messages :",
        sure="Ne plus recevoir de messages de Relais à cette adresse ?",
        yes="Oui, arrêter",
    ),
    "nl": Words(
        one="Relais: nieuws",
        many="Relais: {count} berichten",
        told={
            "referral.proposed": "wordt u voorgesteld",
            "referral.received": "wordt door de andere dienst bekeken",
            "referral.accepted": "is aanvaard",
            "referral.declined": "is geweigerd of teruggegeven",
            "referral.meeting_planned": "heeft een afspraak",
            "referral.meeting_replanned": "heeft een nieuwe afspraak",
            "referral.handed_over": "is overgedragen: men heeft de persoon ontmoet",
            "referral.closed": "is afgesloten",
            "referral.cancelled": "is geannuleerd",
            "referral.withdrawn": "is door de persoon stopgezet",
            "referral.ended": "is beëindigd",
            "referral.message": "heeft een nieuw bericht",
            "referral.reopened": "is heropend",
            "consent.withdrawn": "heeft een ingetrokken toestemming",
        },
        stop="Om deze berichten niet meer te krijgen:",
        sure="Geen berichten van Relais meer op dit adres?",
        yes="Ja, stoppen",
    ),
    "de": Words(
        one="Relais: Neues",
        many="Relais: {count} Neuigkeiten",
        told={
            "referral.proposed": "wird Ihnen vorgeschlagen",
            "referral.received": "wird von der anderen Stelle bearbeitet",
            "referral.accepted": "ist angenommen",
            "referral.declined": "ist abgelehnt oder zurückgegeben",
            "referral.meeting_planned": "hat einen Termin",
            "referral.meeting_replanned": "hat einen neuen Termin",
            "referral.handed_over": "ist übergeben: Die Person wurde empfangen",
            "referral.closed": "ist abgeschlossen",
            "referral.cancelled": "ist abgesagt",
            "referral.withdrawn": "ist von der Person beendet",
            "referral.ended": "ist beendet",
            "referral.message": "hat eine neue Nachricht",
            "referral.reopened": "ist wieder offen",
            "consent.withdrawn": "hat eine widerrufene Einwilligung",
        },
        stop="Um diese Nachrichten nicht mehr zu erhalten:",
        sure="Keine Nachrichten von Relais mehr an diese Adresse?",
        yes="Ja, beenden",
    ),
    "en": Words(
        one="Relais: news",
        many="Relais: {count} pieces of news",
        told={
            "referral.proposed": "is proposed to you",
            "referral.received": "is being looked at by the other organisation",
            "referral.accepted": "is accepted",
            "referral.declined": "is declined or given back",
            "referral.meeting_planned": "has a meeting",
            "referral.meeting_replanned": "has a new meeting",
            "referral.handed_over": "is handed over: the person has been met",
            "referral.closed": "is closed",
            "referral.cancelled": "is cancelled",
            "referral.withdrawn": "is stopped by the person",
            "referral.ended": "has ended",
            "referral.message": "has a new message",
            "referral.reopened": "is open again",
            "consent.withdrawn": "has an agreement withdrawn",
        },
        stop="To receive these messages no more:",
        sure="Receive no more messages from Relais at this address?",
        yes="Yes, stop",
    ),
}

TYPES: Final = tuple(LETTERS[FRENCH].told)
"""Of these a letter tells; of others none is sent."""


def words_of(language: str | None) -> Words:
    """Answer the words of a language, French where it is none of ours or not known."""
    return LETTERS.get(language or FRENCH, LETTERS[FRENCH])


def first_of(accept_language: str) -> str:
    """Answer the first language of ours that a browser asks for (RFC 9110, 12.5.4), French where it asks for none."""
    asked = (part.partition(";")[0].partition("-")[0].strip().lower() for part in accept_language.split(",")[:20])
    return next((one for one in asked if one in LETTERS), FRENCH)
