"""data.inclusion v1: a service of the French schema becomes a canonical record."""

from collections.abc import Mapping
from datetime import UTC, datetime, time
from typing import Any, Final

from data_inclusion.schema.v1 import Service

from relais_directory.data import audiences_of, themes_of

KEYS: Final = frozenset({"source", "structure_id", "id", "nom", "date_maj"})
"""What every v1 service has: by these a file is known."""

MODES: Final = {"en-presentiel": "on_site", "a-distance": "remote"}


def record(row: Mapping[str, Any], structure: Mapping[str, Any] | None) -> dict[str, Any]:
    """Answer the canonical record of a v1 service.

    Args:
        row: The service as published; what the public API adds to the schema is passed over.
        structure: Its structure, where it is known.

    Raises:
        ValidationError: The row breaks the schema.
    """
    service = Service.model_validate({key: value for key, value in row.items() if key in Service.model_fields})
    modes = [MODES[str(mode.value)] for mode in service.modes_accueil or ()] or ["on_site"]
    known = structure or {}
    return _filled(
        {
            "record_id": service.id,
            "organisation": _filled(
                {
                    "record_id": service.structure_id,
                    "name": known.get("nom") or f"Structure {service.structure_id}",
                    "description": known.get("description"),
                    "email": known.get("courriel"),
                    "phones": [{"number": known["telephone"]}] if known.get("telephone") else None,
                    "website": known.get("site_web"),
                }
            ),
            "name": service.nom,
            "description": service.description,
            "themes": themes_of(each.value for each in service.thematiques or ()),
            "audiences": audiences_of(each.value for each in service.publics or ()),
            "modes": sorted(modes),
            "free": None if service.frais is None else service.frais.value == "gratuit",
            "fees": service.frais_precisions,
            "conditions": _conditions(service),
            "locations": [_location(service)] if "on_site" in modes or service.adresse else [],
            "service_area": _area(service.zone_eligibilite),
            "phones": [{"number": service.telephone}] if service.telephone else None,
            "email": service.courriel,
            "website": str(service.lien_mobilisation) if service.lien_mobilisation else None,
            "can_receive": "guest" if service.courriel else "phone_only",
            "assured_at": service.date_maj.isoformat(),
            "assured_by": service.source,
            "updated_at": datetime.combine(service.date_maj, time(), UTC).isoformat(),
            "url": str(service.lien_source) if service.lien_source else None,
        }
    )


def _location(service: Service) -> dict[str, Any]:
    return _filled(
        {
            "record_id": service.id,
            "address": _filled(
                {
                    "street": " ".join(filter(None, (service.adresse, service.complement_adresse))),
                    "postcode": service.code_postal,
                    "municipality": service.commune,
                    "municipality_code": f"fr:{service.code_insee}" if service.code_insee else None,
                    "country": "FR",
                }
            ),
            "latitude": service.latitude,
            "longitude": service.longitude,
            "opening_hours": service.horaires_accueil,
        }
    )


def _conditions(service: Service) -> list[dict[str, str]]:
    texts = {"status": service.publics_precisions, "other": service.conditions_acces}
    return [{"kind": kind, "text": text[:500]} for kind, text in texts.items() if text]


def _area(zones: list[str] | None) -> list[str]:
    # Communes and départements; the country as a whole, a group of communes or abroad is no limit we can draw.
    return [f"fr:{zone}" for zone in zones or () if zone != "france" and len(zone) in {2, 3, 5}]


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "", [])}
