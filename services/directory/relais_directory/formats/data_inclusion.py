"""data.inclusion both ways: services and structures of v1 and of the older schema in, services of v1 out."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Final
from uuid import UUID

from data_inclusion.schema.v1 import Service, Structure
from pydantic import ValidationError

from relais_directory.data import audiences, audiences_of, themes, themes_of
from relais_directory.records import OrganisationProfile, ServiceRecord

KEYS: Final = frozenset({"source", "structure_id", "id", "nom", "date_maj"})
"""What every service has: by these a file is known."""

STRUCTURE: Final = frozenset({"source", "id", "nom", "date_maj"})
"""What every structure has, and no service without more."""

OLDER: Final = frozenset({"profils", "presentation_resume", "zone_diffusion_type", "types", "frais_autres"})
"""Members of the older schema (v0) alone."""

MODES: Final = {"en-presentiel": "on_site", "a-distance": "remote"}
SHORTEST: Final = 5
"""Characters of a v1 description, at least."""


def is_record(values: Mapping[str, Any]) -> bool:
    """Say whether a row is a service or a structure of data.inclusion."""
    return values.keys() >= KEYS or (values.keys() >= STRUCTURE and not {"record_id", "status"} & values.keys())


def record(row: Mapping[str, Any], structure: Mapping[str, Any] | None) -> dict[str, Any]:
    """Answer the canonical record of a service; of a structure alone, that of an organisation without a service.

    Args:
        row: As published; what the public API adds to the schema is passed over.
        structure: The service's structure, where it is known.

    Raises:
        ValidationError: The row breaks the schema.
    """
    if "structure_id" not in row:
        return {"organisation": _organisation(Structure.model_validate(_known(row, Structure)).model_dump(mode="json"))}
    older = bool(OLDER & row.keys()) or isinstance(row.get("frais"), list)
    service = Service.model_validate(_known(_newer(row) if older else row, Service))
    modes = [MODES[str(mode.value)] for mode in service.modes_accueil or ()] or ["on_site"]
    known = structure or {}
    made = _filled(
        {
            "record_id": service.id,
            "organisation": _organisation(
                {**known, "id": service.structure_id, "nom": known.get("nom") or f"Structure {service.structure_id}"}
            ),
            "name": service.nom,
            "description": service.description,
            "themes": themes_of(each.value for each in service.thematiques or ()),
            "keywords": [str(service.type.value)] if service.type else None,
            "audiences": audiences_of(each.value for each in service.publics or ()),
            "modes": sorted(modes),
            "free": None if service.frais is None else service.frais.value == "gratuit",
            "fees": service.frais_precisions,
            "conditions": _conditions(service),
            "eligibility_description": service.publics_precisions,
            "application_process": _ways_in(service),
            "locations": [_location(service)] if "on_site" in modes or service.adresse else [],
            "service_area": _area(service.zone_eligibilite),
            "phones": [{"number": service.telephone}] if service.telephone else None,
            "contacts": [{"name": service.contact_nom_prenom}] if service.contact_nom_prenom else None,
            "email": service.courriel,
            "website": str(service.lien_mobilisation) if service.lien_mobilisation else None,
            "can_receive": "guest" if service.courriel else "phone_only",
            "assured_at": service.date_maj.isoformat(),
            "assured_by": service.source,
            "updated_at": datetime.combine(service.date_maj, time(), UTC).isoformat(),
            "url": str(service.lien_source) if service.lien_source else None,
        }
    )
    if older and (documents := row.get("justificatifs")):
        made["required_documents"] = [{"document": str(one)} for one in documents]
    return made


def service(  # noqa: PLR0913 - a record, and what the directory knows of it beside
    record: ServiceRecord,
    *,
    id_: UUID,
    source: str,
    organisation: OrganisationProfile,
    organisation_id: UUID,
    changed_on: date,
) -> dict[str, Any] | None:
    """Answer a service of v1; nothing where the schema has no form for it (an entry without any text).

    Args:
        record: The public record.
        id_: The service's.
        source: Which source it came from.
        organisation: Who offers it.
        organisation_id: The organisation's.
        changed_on: When it changed last.
    """
    public = [one for one in record.locations if not one.confidential]
    address = record.locations[0].address if record.locations else None
    shown = public[0] if public else None
    code = (address.municipality_code or "").partition(":")[2] if address and address.country == "FR" else None
    made = _filled(
        {
            "source": "relais",
            "structure_id": f"relais--{organisation_id}",
            "id": f"relais--{id_}",
            "nom": f"{record.name}…"[:150] if len(record.name) < 3 else record.name[:150].rstrip("."),  # noqa: PLR2004 - the schema's own bounds
            "description": (record.description or record.eligibility_description or record.name)[:10_000],
            "lien_source": record.url,
            "date_maj": max(filter(None, (changed_on, record.assured_at))).isoformat(),
            "type": next((word for word in record.keywords if word in TYPES), None),
            "thematiques": sorted(
                {themes()[slug].data_inclusion[0] for slug in record.themes if themes()[slug].data_inclusion}
            ),
            "frais": None if record.free is None else "gratuit" if record.free else "payant",
            "frais_precisions": record.fees,
            "publics": _publics(record),
            "publics_precisions": record.eligibility_description,
            "conditions_acces": " ; ".join(one.text for one in record.conditions) or None,
            "commune": address.municipality if address else None,
            "code_postal": shown.address.postcode if shown and shown.address.country == "FR" else None,
            "code_insee": code or None,
            "adresse": shown.address.street if shown else None,
            "complement_adresse": shown.address.address_2 if shown else None,
            "latitude": shown.latitude if shown else None,
            "longitude": shown.longitude if shown else None,
            "telephone": record.phones[0].number if record.phones else None,
            "courriel": record.email,
            "modes_accueil": sorted({_MODES_OUT[mode] for mode in record.modes}),
            "zone_eligibilite": [one[3:] for one in record.service_area if one.startswith("fr:")],
            "contact_nom_prenom": next((one.name for one in record.contacts if one.name), None),
            "lien_mobilisation": record.website,
            "mobilisation_precisions": record.application_process,
            "horaires_accueil": shown.opening_hours if shown else None,
        }
    )
    made["description"] = made["description"] if len(made["description"]) >= SHORTEST else f"{made['description']} …"
    del source, organisation
    while True:
        try:
            valid: dict[str, Any] = Service.model_validate(made).model_dump(mode="json", exclude_none=True)
        except ValidationError as fault:
            # What the stricter schema refuses (a foreign phone, an address that is none) stays at home.
            refused = {str(one["loc"][0]) for one in fault.errors() if one["loc"]} & made.keys()
            if not refused or refused & KEYS:
                return None
            made = {name: value for name, value in made.items() if name not in refused}
        else:
            return valid


TYPES: Final = frozenset(
    {"accompagnement", "aide-financiere", "aide-materielle", "atelier", "formation", "information"}
)
"""v1's types of services: among our keywords."""

_MODES_OUT: Final = {"on_site": "en-presentiel", "at_home": "en-presentiel", "remote": "a-distance"}


def _publics(record: ServiceRecord) -> list[str]:
    found = {public for slug in record.audiences for public in audiences()[slug].data_inclusion}
    # `tous-publics` has to stand alone.
    return ["tous-publics"] if "tous-publics" in found else sorted(found)


def _known(row: Mapping[str, Any], model: Any) -> dict[str, Any]:  # noqa: ANN401 - a pydantic model
    return {key: value for key, value in row.items() if key in model.model_fields}


def _newer(row: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a service of the older schema with the members of v1; what v1 has no vocabulary for is left to us."""
    fees = row.get("frais") or []
    free = {"gratuit", "gratuit-sous-conditions"} & set(fees)
    made = dict(row) | {
        "description": row.get("presentation_detail") or row.get("presentation_resume") or row.get("description")
        or row.get("nom"),
        "type": next(iter(row.get("types") or ()), None),
        "frais": None if not fees else "gratuit" if free else "payant",
        "frais_precisions": row.get("frais_autres"),
        "publics_precisions": row.get("profils_precisions"),
        "conditions_acces": " ; ".join(row.get("pre_requis") or ()) or None,
        "zone_eligibilite": [row["zone_diffusion_code"]]
        if row.get("zone_diffusion_type") in {"commune", "departement"} and row.get("zone_diffusion_code")
        else None,
        "horaires_accueil": row.get("recurrence"),
    }  # fmt: skip
    # The older vocabularies are read by our own tables, not by v1's.
    made["thematiques"] = sorted(
        {one for slug in themes_of(row.get("thematiques") or ()) for one in themes()[slug].data_inclusion[:1]}
    )
    made["publics"] = sorted(
        {one for slug in audiences_of(row.get("profils") or ()) for one in audiences()[slug].data_inclusion[:1]}
    )
    if "tous-publics" in made["publics"]:
        made["publics"] = ["tous-publics"]
    return {name: value for name, value in made.items() if value not in (None, [], "")}


def _organisation(known: Mapping[str, Any]) -> dict[str, Any]:
    return _filled(
        {
            "record_id": known.get("id"),
            "name": known.get("nom"),
            "description": known.get("description"),
            "email": known.get("courriel"),
            "phones": [{"number": known["telephone"]}] if known.get("telephone") else None,
            "website": known.get("site_web"),
            "identifiers": [{"identifier_type": "SIRET", "identifier": known["siret"]}] if known.get("siret") else None,
        }
    )


def _ways_in(service: Service) -> str | None:
    ways = sorted(str(one.value) for one in service.modes_mobilisation or ())
    who = sorted(str(one.value) for one in service.mobilisable_par or ())
    parts = [service.mobilisation_precisions, ", ".join(ways), f"({', '.join(who)})" if who else None]
    return " ".join(filter(None, parts)) or None


def _location(service: Service) -> dict[str, Any]:
    return _filled(
        {
            "record_id": service.id,
            "address": _filled(
                {
                    "street": service.adresse,
                    "address_2": service.complement_adresse,
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
    return [{"kind": "other", "text": service.conditions_acces[:500]}] if service.conditions_acces else []


def _area(zones: list[str] | None) -> list[str]:
    # Communes and départements; the country as a whole, a group of communes or abroad is no limit we can draw.
    return [f"fr:{zone}" for zone in zones or () if zone != "france" and len(zone) in {2, 3, 5}]


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "", [])}
