"""The sandbox: a structure that practises, and one whose services answer in each way there is.

They stand far from the territory, so that nobody who looks near Charleroi finds them. How a service answers is the
referral app's to know (`relais_referral.domain.rehearsal`); here stand their ids and what people read.
"""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

from relais_local.territory.generate import (
    AGREEMENT_VERSION,
    LABEL,
    organisation_id,
    phone,
)

Json = dict[str, Any]

SERVICE_NAMESPACE = uuid.UUID("6f3f0f0e-3a0c-5d0b-9a4e-7c1d2b8e5a10")
"""Under it the referral app knows the services of the sandbox; a test compares the two."""

PARTNER, ANSWERING = "exercice-partenaire", "exercice-reponses"

WAYS = {
    "by_person": "répond selon le prénom donné",
    "accepts": "accepte, rencontre, clôture",
    "declines_no_place": "décline, pas de place",
    "declines_outside_area": "décline, hors du territoire",
    "declines_condition": "décline, une condition manque",
    "declines_mission": "décline, ce n'est pas sa mission",
    "declines_language": "décline, la langue",
    "declines_hours": "décline, les horaires",
    "declines_conflict_of_interest": "décline, conflit d'intérêts",
    "declines_safety": "décline, la sécurité",
    "declines_other": "décline, autre raison",
    "never_answers": "ne répond jamais",
    "takes_in_hand": "prend connaissance, puis se tait",
    "releases": "accepte, puis rend le relais",
}
"""How each service answers, in words."""

_SCOPES = ["directory:read", "referral:send", "referral:receive", "webhook:manage", "referral:stats"]
_NAMES = {
    PARTNER: "Structure partenaire qui s'exerce (démonstration)",
    ANSWERING: "Structure d'exercice qui répond (démonstration)",
}


def organisations() -> list[Json]:
    """Make the two organisations, as the gateway reads them."""
    return [
        {
            "id": organisation_id(key),
            "name": name,
            "kind": "association",
            "description": "Pour s'exercer : rien de ce qui s'y passe n'est réel, et tout s'efface après sept jours.",
            "municipality": "be:81001",
            "may_sanction": False,
            "control_unit": False,
            "secrecy": "professional",
            "practice": True,
            "answer_within_days": 1,
            "agreement": {"text_version": AGREEMENT_VERSION, "signed_at": "2026-09-01", "parties": [name]},
            "controller": {
                "name": name,
                "address": "Rue de l'Exercice 1, 6700 Arlon",
                "contact": f"contact@{key}.example",
                "dpo": f"protection.des.donnees@{key}.example",
            },
            "scopes": _SCOPES,
            "clients": [{"name": f"Logiciel d'exercice {key}", "scopes": _SCOPES}] if key == PARTNER else [],
            "users": [],
            "teams": [],
        }
        for key, name in _NAMES.items()
    ]


def services(as_of: date) -> list[Json]:
    """Make the services that answer, as canonical import records."""
    owner = {
        "id": organisation_id(ANSWERING),
        "record_id": ANSWERING,
        "name": _NAMES[ANSWERING],
        "description": "Pour s'exercer : ses services répondent d'eux-mêmes.",
        "email": f"contact@{ANSWERING}.example",
        "phones": [{"number": phone("organisation", ANSWERING)}],
        "website": f"https://{ANSWERING}.example/",
    }
    return [
        {
            "record_id": f"exercice-{key}",
            "id": str(uuid.uuid5(SERVICE_NAMESPACE, key)),
            "organisation": owner,
            "name": f"Exercice : {words}",
            "description": f"Un service qui n'existe pas : {words}. {LABEL}",
            "themes": ["support"],
            "keywords": ["exercice", "démonstration"],
            "audiences": [],
            "languages": ["fr"],
            "modes": ["on_site"],
            "locations": [
                {
                    "record_id": "exercice-arlon",
                    "name": "Exercice, Arlon",
                    "address": {
                        "street": "Rue de l'Exercice 1",
                        "postcode": "6700",
                        "municipality": "Arlon",
                        "municipality_code": "be:81001",
                        "country": "BE",
                    },
                    "latitude": 49.68333,
                    "longitude": 5.81667,
                }
            ],
            "can_receive": "relais",
            "assured_at": as_of.isoformat(),
            "assured_by": "Exercice",
            "updated_at": f"{as_of.isoformat()}T08:00:00Z",
        }
        for key, words in WAYS.items()
    ]
