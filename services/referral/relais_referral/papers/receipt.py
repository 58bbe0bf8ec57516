"""Receipts of her agreement: ISO/IEC TS 27560 as JSON-LD with W3C DPV terms, Kantara's fields, and a plain paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from relais_referral.papers import words
from relais_referral.papers.paper import Paper, Section, language_of

PURPOSES: Final = ("referral", "feedback", "case_conference", "pathway_sharing", "statistics")
SENSITIVE: Final = frozenset({"situation", "documents", "notes"})
"""Categories that may hold special data (GDPR, article 9)."""

STATUS_IN_DPV: Final[Mapping[str, str]] = {
    "requested": "dpv:ConsentRequested",
    "given": "dpv:ConsentGiven",
    "refused": "dpv:ConsentRefused",
    "withdrawn": "dpv:ConsentWithdrawn",
    "expired": "dpv:ConsentExpired",
    # The vocabulary has no word for a record that another took the place of; it holds no longer, as an expired one.
    "superseded": "dpv:ConsentExpired",
}

CONTEXT: Final[Mapping[str, Any]] = {
    "dpv": "https://w3id.org/dpv#",
    "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
    "dct": "http://purl.org/dc/terms/",
    "schema_version": "dct:conformsTo",
    "record_id": "dct:identifier",
    "receipt_id": "dct:identifier",
    "pii_principal_id": "dpv:hasDataSubject",
    "privacy_notice": "dpv:hasNotice",
    "language": "dct:language",
    "purposes": "dpv:hasPurpose",
    "lawful_basis": "dpv:hasLegalBasis",
    "pii_information": "dpv:hasPersonalData",
    "pii_controllers": "dpv:hasDataController",
    "recipient_third_parties": "dpv:hasRecipient",
    "collection_method": "dpv:hasDataSource",
    "storage_locations": "dpv:hasStorageCondition",
    "retention_period": "dpv:hasDuration",
    "jurisdiction": "dpv:hasJurisdiction",
    "withdrawal_method": "dpv:hasConsentControl",
    "privacy_rights": "dpv:hasRight",
    "authority_party": "dpv:hasAuthority",
    "events": "dpv:hasProcess",
    "event_time": "dpv:isIndicatedAtTime",
    "validity_duration": "dpv:hasDuration",
    "entity_id": "dpv:isIndicatedBy",
    "event_type": "dpv:hasConsentType",
    "event_state": "dpv:hasConsentStatus",
}
"""Our field names, which are the standard's, and the vocabulary's terms for them."""

RIGHTS: Final = ("eu-gdpr:A15", "eu-gdpr:A16", "eu-gdpr:A17", "eu-gdpr:A7-3", "eu-gdpr:A77")
"""Access, rectification, erasure, withdrawal, complaint."""


@dataclass(frozen=True, slots=True)
class Controller:
    """An organisation that answers for the data."""

    id: str
    name: str
    role: str
    address: str = ""
    contact: str = ""
    email: str = ""
    phone: str = ""
    dpo: str = ""

    @classmethod
    def of(cls, facts: Mapping[str, Any], role: str) -> "Controller":
        """Answer a controller as a consent record holds it."""
        return cls(
            id=str(facts["organisation_id"]),
            name=str(facts["name"]),
            role=role,
            **{
                name: str(facts[name])
                for name in ("address", "contact", "email", "phone", "dpo")
                if facts.get(name) is not None
            },
        )


@dataclass(frozen=True, slots=True)
class ConsentFacts:
    """All that a receipt says: never her name, her link or her code."""

    record_id: str
    schema_version: str
    subject: str
    purposes: Sequence[str]
    data_categories: Sequence[str]
    controllers: Sequence[Controller]
    recipient: str
    service: str
    method: str
    expressed_by: str
    language: str
    notice: Mapping[str, str]
    collected_by: str
    given_by: str
    status: str
    recorded_at: datetime
    given_at: datetime | None = None
    valid_until: datetime | None = None
    history: Sequence[Mapping[str, Any]] = ()
    legal_basis: Mapping[str, str] | None = None
    article_9_basis: str | None = None
    seen_alone: str = "unknown"
    interpreter: str = "none"
    storage: str = "European Union"
    jurisdiction: str = "BE"
    retention: str = "6 months after closing, 30 days after an end; the proof itself without the data"
    practice: bool = False
    authority: str = "Autorité de protection des données, rue de la Presse 35, 1000 Bruxelles"


def receipt(facts: ConsentFacts) -> dict[str, Any]:
    """Answer the receipt as ISO/IEC TS 27560 asks, as JSON-LD; every mandatory field is there.

    Source: the field list of the W3C DPV guide for consent records and receipts.
    """
    return {
        "@context": dict(CONTEXT),
        "@id": f"urn:uuid:{facts.record_id}",
        "@type": "dpv:ConsentRecord",
        "schema_version": facts.schema_version,
        "record_id": facts.record_id,
        "receipt_id": f"receipt-{facts.record_id}",
        "pii_principal_id": facts.subject,
        "privacy_notice": dict(facts.notice),
        "language": facts.language,
        "purposes": [
            {
                "purpose": name,
                "agreed": name in facts.purposes,
                "lawful_basis": (facts.legal_basis or {}).get(name, "dpv:Consent"),
                "purpose_type": "dpv:ServiceProvision" if name == "referral" else "dpv:Purpose",
            }
            for name in PURPOSES
        ],
        "lawful_basis": dict(facts.legal_basis or {}) or {"referral": "dpv:Consent"},
        "article_9_basis": facts.article_9_basis,
        "pii_information": [
            {
                "pii_type": name,
                "optional": name != "needs",
                "sensitive_category": name in SENSITIVE,
                "special_category": facts.article_9_basis if name in SENSITIVE else None,
            }
            for name in facts.data_categories
        ],
        "pii_controllers": [_party(one) for one in facts.controllers],
        "recipient_third_parties": [{"name": facts.recipient, "service": facts.service}],
        "collection_method": facts.method,
        "expressed_by": facts.expressed_by,
        "seen_alone": facts.seen_alone,
        "interpreter": facts.interpreter,
        "storage_locations": [facts.storage],
        "retention_period": facts.retention,
        "jurisdiction": facts.jurisdiction,
        "withdrawal_method": words.RECEIPT["en"]["stop_how"],
        "privacy_rights": list(RIGHTS),
        "authority_party": facts.authority,
        "events": [_event(facts, one) for one in facts.history or _only(facts)],
    }


def _party(one: Controller) -> dict[str, Any]:
    return {
        "party_id": one.id,
        "party_name": one.name,
        # A controller that told no address is reached by its name alone; the field stands all the same.
        "party_address": one.address or one.name,
        "party_contact": one.contact or one.email or one.phone or one.name,
        "party_type": "dpv:DataController",
        "party_role": one.role,
        "party_email": one.email or None,
        "party_phone": one.phone or None,
        "data_protection_officer": one.dpo or None,
    }


def _only(facts: ConsentFacts) -> list[Mapping[str, Any]]:
    return [{"status": facts.status, "at": (facts.given_at or facts.recorded_at).isoformat()}]


def _event(facts: ConsentFacts, said: Mapping[str, Any]) -> dict[str, Any]:
    state = str(said["status"])
    at = facts.given_at.isoformat() if state == "given" and facts.given_at else said["at"]
    return {
        "event_time": at,
        "validity_duration": facts.valid_until.isoformat() if facts.valid_until else "until withdrawn",
        "entity_id": facts.subject,
        "event_type": "dpv:ExplicitlyExpressedConsent",
        "event_state": STATUS_IN_DPV[state],
        "status": state,
    }


def kantara(facts: ConsentFacts) -> dict[str, Any]:
    """Answer the fields of the Kantara consent receipt 1.1."""
    return {
        "version": "KI-CR-v1.1.0",
        "jurisdiction": facts.jurisdiction,
        "consentTimestamp": int((facts.given_at or facts.recorded_at).timestamp()),
        "collectionMethod": facts.method,
        "consentReceiptID": facts.record_id,
        "language": facts.language,
        "piiPrincipalId": facts.subject,
        "piiControllers": [
            {
                "piiController": one.name,
                "onBehalf": False,
                "contact": one.contact or one.dpo or one.name,
                "address": one.address or one.name,
                "email": one.email,
                "phone": one.phone,
            }
            for one in facts.controllers
        ],
        "policyUrl": f"/v1/notices/{facts.notice['version']}/{facts.notice['language']}",
        "services": [
            {
                "service": facts.service,
                "purposes": [
                    {
                        "purpose": name,
                        "purposeCategory": ["core" if name == "referral" else "secondary"],
                        "consentType": "EXPLICIT",
                        "piiCategory": list(facts.data_categories),
                        "primaryPurpose": name == "referral",
                        "termination": facts.valid_until.isoformat() if facts.valid_until else "withdrawal",
                        "thirdPartyDisclosure": True,
                        "thirdPartyName": facts.recipient,
                    }
                    for name in facts.purposes
                ],
            }
        ],
        "sensitive": facts.article_9_basis is not None,
        "spiCat": [name for name in facts.data_categories if name in SENSITIVE] if facts.article_9_basis else [],
    }


def receipt_paper(facts: ConsentFacts, *, discreet: bool = False) -> Paper:
    """Answer the receipt to print, in her language; discreet: no structure and no service stand on it."""
    language = language_of(facts.language)
    say = words.RECEIPT[language]
    decided = [
        (say["status"], words.STATUSES[language][facts.status]),
        (say["on"], _day(facts.given_at or facts.recorded_at)),
        (say["until"], _day(facts.valid_until) if facts.valid_until else say["open_end"]),
        *((say["for"], words.PURPOSES[language][name]) for name in PURPOSES if name in facts.purposes),
        *((say["data"], words.CATEGORIES[language][name]) for name in facts.data_categories),
    ]
    sections = [Section(say["what"], rows=decided)]
    if not discreet:
        sections.append(Section(say["who"], rows=_who(facts, say)))
    sections += [
        Section(say["stop"], paragraphs=[say["stop_how"], say["rights"]]),
        Section(
            say["proof"],
            rows=[
                (say["record"], facts.record_id),
                (say["notice"], f"{facts.notice['version']} ({facts.notice['language']}), {facts.notice['sha256']}"),
            ],
        ),
    ]
    return Paper(say["discreet" if discreet else "title"], language, sections, practice=facts.practice)


def _who(facts: ConsentFacts, say: Mapping[str, str]) -> list[tuple[str, str]]:
    rows = [(say["to"], f"{facts.recipient}, {facts.service}")]
    for one in facts.controllers:
        rows.append((say["from"] if one.role == "sender" else say["to"], one.name))
        told = ((say["address"], one.address), (say["contact"], one.contact or one.email), (say["dpo"], one.dpo))
        rows += [(name, value) for name, value in told if value]
    return rows


def _day(at: datetime) -> str:
    return at.strftime("%d.%m.%Y")
