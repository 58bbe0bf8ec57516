"""The call sheet of a hand-over by telephone: whom to call, and what she agreed may be said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from relais_referral.papers.paper import Paper, Section
from relais_referral.papers.words import SHEET


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What a call sheet says.

    Attributes:
        structure: Whom to call.
        service: Which service.
        short_code: What both sides say to each other.
        phones: Numbers of the service, as the directory knows them.
        contact: The colleague to ask for.
        area: Her municipality, as it is said.
        languages: Hers.
        pieces: What was written of her, opened for the sender, by name.
        consented: The categories that she agreed to; nothing else of her stands on the sheet.
        practice: Of a rehearsal.
    """

    structure: str
    service: str
    short_code: str
    phones: Sequence[str] = ()
    contact: str = ""
    area: str = ""
    languages: Sequence[str] = ()
    pieces: Mapping[str, Any] = field(default_factory=dict)
    consented: frozenset[str] = frozenset()
    practice: bool = False


def sheet(facts: CallFacts) -> Paper:
    """Answer the call sheet, in French as the counsellors' screens are."""
    whom = [(SHEET["structure"], facts.structure), (SHEET["service"], facts.service)]
    whom += [(SHEET["phone"], number) for number in facts.phones]
    whom += [(SHEET["contact"], facts.contact)] if facts.contact else []
    whom += [(SHEET["code"], facts.short_code)]
    rows = [(SHEET["area"], facts.area)] if facts.area else []
    rows += [(SHEET["languages"], ", ".join(facts.languages))] if facts.languages else []
    hers = _hers(facts)
    return Paper(
        SHEET["title"],
        "fr",
        [
            Section(SHEET["whom"], rows=whom),
            Section(SHEET["say"], [SHEET["steps"]], rows),
            Section(SHEET["may"], () if hers else (SHEET["nothing"],), hers),
        ],
        practice=facts.practice,
    )


def _hers(facts: CallFacts) -> list[tuple[str, str]]:
    pieces = facts.pieces
    rows: list[tuple[str, str]] = []
    if "needs" in facts.consented:
        rows += [
            (SHEET["needs"], str(line["words"]))
            for line in pieces.get("needs") or []
            if line.get("words") and "recipient" not in line.get("hidden_from", ())
        ]
    if "identity" in facts.consented:
        identity = pieces.get("identity") or {}
        whole = " ".join(str(identity[part]) for part in ("given_name", "family_name") if identity.get(part))
        rows += [(SHEET["called"], str(identity["called"]))] if identity.get("called") else []
        rows += [(SHEET["name"], whole)] if whole else []
    if "contact" in facts.consented:
        contact = pieces.get("contact") or {}
        rows += [(SHEET["reach"], str(contact[way])) for way in ("phone", "email", "address") if contact.get(way)]
    if facts.consented:
        rows += [(SHEET["constraints"], str(text)) for text in pieces.get("constraints") or []]
    return rows
