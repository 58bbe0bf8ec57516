"""data.inclusion both ways: services and structures, of v1 and of the older schema in, of v1 out.

What a record has no field for (how a service is entered, by whom, for how many weeks; what a structure belongs to)
stays with it as attributes, so that an export gives it back; so do the themes of v1 where ours are coarser.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, Final
from uuid import UUID

from data_inclusion.schema.v1 import Service, Structure
from pydantic import BaseModel, ValidationError

from relais_directory import hours
from relais_directory.data import audiences, audiences_of, thematiques, themes, themes_of
from relais_directory.formats.mapping import FaultyValue
from relais_directory.records import Attribute, OrganisationProfile, ServiceRecord

KEYS: Final = frozenset({"source", "structure_id", "id", "nom", "date_maj"})
"""What every service has: by these a file is known."""

STRUCTURE: Final = frozenset({"source", "id", "nom", "date_maj"})
"""What every structure has, and no service without more."""

OLDER: Final = frozenset(
    {
        "contact_public", "cumulable", "date_creation", "date_suspension", "formulaire_en_ligne", "frais_autres",
        "justificatifs", "modes_orientation_accompagnateur", "modes_orientation_beneficiaire", "pre_requis",
        "presentation_detail", "presentation_resume", "prise_rdv", "profils", "profils_precisions", "recurrence",
        "types", "zone_diffusion_code", "zone_diffusion_type",
    }
)  # fmt: skip
"""Members of the older schema's services alone."""

MODES: Final = {"en-presentiel": "on_site", "a-distance": "remote"}
MODES_OUT: Final = {"on_site": "en-presentiel", "at_home": "en-presentiel", "remote": "a-distance"}
TYPES: Final = frozenset(
    {"accompagnement", "aide-financiere", "aide-materielle", "atelier", "formation", "information"}
)
"""v1's types of services: among our keywords."""

WAYS: Final = {
    "telephoner": "Téléphoner", "envoyer-un-courriel": "Envoyer un courriel", "se-presenter": "Se présenter",
    "utiliser-lien-mobilisation": "Utiliser le lien",
}  # fmt: skip
"""How a service is entered, in words."""
OLDER_WAYS: Final = {
    "telephoner": "telephoner", "envoyer-un-mail": "envoyer-un-courriel", "envoyer-un-courriel": "envoyer-un-courriel",
    "envoyer-un-mail-avec-une-fiche-de-prescription": "envoyer-un-courriel",
    "envoyer-un-mail-avec-des-documents-a-completer": "envoyer-un-courriel", "se-presenter": "se-presenter",
    "completer-le-formulaire-dadhesion": "utiliser-lien-mobilisation", "prendre-rdv": "utiliser-lien-mobilisation",
}  # fmt: skip
"""What the older schema called these ways; any other one is told in its own words."""
PRESCRIBED: Final = "Sur orientation d'un professionnel."
"""The condition of a service that only professionals may ask for."""

ATTRIBUTE: Final = "data.inclusion "
"""What the link type of our attributes begins with; the member's name follows."""
KEPT: Final = ("modes_mobilisation", "mobilisable_par", "volume_horaire_hebdomadaire", "nombre_semaines")
"""Members of a service that a record has no field for."""
KEPT_OF_STRUCTURE: Final = (
    "adresse", "complement_adresse", "code_postal", "commune", "code_insee", "latitude", "longitude",
    "horaires_accueil", "accessibilite_lieu", "reseaux_porteurs",
)  # fmt: skip
"""Members of a structure that an organisation has no field for: it has no place of its own."""

SHORTEST: Final = 5
"""Characters of a v1 description, at least."""
NAME: Final = (3, 150)
"""Characters of a v1 name, at least and at most."""
LINE: Final = 500
"""Characters of a line of a record, at most."""


def is_record(values: Mapping[str, Any]) -> bool:
    """Say whether a row is a service or a structure of data.inclusion."""
    return values.keys() >= KEYS or (values.keys() >= STRUCTURE and not {"record_id", "status"} & values.keys())


def record(row: Mapping[str, Any], structure: Mapping[str, Any] | None) -> dict[str, Any]:
    """Answer the canonical record of a service; of a structure alone, that of an organisation without a service.

    That is `{"organisation": {...}}` and nothing else.

    Args:
        row: As published; what the public API adds to the schema is passed over.
        structure: The service's structure, where it is known.

    Raises:
        ValidationError: The row breaks the schema.
        FaultyValue: A member of the older schema is not what it has to be.
    """
    if "structure_id" not in row:
        newer = _newer_structure(row)
        name = _name_out(newer["nom"]) if isinstance(newer.get("nom"), str) else newer.get("nom")
        valid = _dumped(Structure.model_validate(_known(newer | {"nom": name}, Structure)))
        return {"organisation": _organisation(newer | valid | {"nom": newer["nom"]})}
    older = _is_older(row)
    told = _newer(row) if older else dict(row)
    service = _dumped(Service.model_validate(_known(told, Service)))
    modes = [MODES[mode] for mode in service.get("modes_accueil", ())] or ["on_site"]
    known = _newer_structure(structure or {})
    place = "on_site" in modes or "adresse" in service or "latitude" in service
    opening, schedules = _hours(service, place=place)
    found = themes_of(told.get("themes", ()) if older else service.get("thematiques", ()))
    hidden = row.get("contact_public") is False
    return _filled(
        {
            "record_id": service["id"],
            "organisation": _organisation(
                {
                    **known,
                    "id": service["structure_id"],
                    "nom": known.get("nom") or f"Structure {service['structure_id']}",
                }
            ),
            "name": told["name"] if older else service["nom"],
            "description": service["description"],
            "themes": found,
            "keywords": _words(row, "types") if older and row.get("types") else _one(service.get("type")),
            "audiences": audiences_of(told.get("audiences", ()) if older else service.get("publics", ())),
            "modes": sorted(modes),
            "free": {"gratuit": True, "payant": False}.get(service.get("frais", "")),
            "fees": service.get("frais_precisions"),
            "conditions": _conditions(service),
            "eligibility_description": service.get("publics_precisions"),
            "application_process": "\n".join(filter(None, (service.get("mobilisation_precisions"), _ways_in(service)))),
            "required_documents": [{"document": one} for one in _words(row, "justificatifs")] if older else None,
            "locations": [_location(service, opening)] if place else [],
            "schedules": schedules,
            "service_area": [f"fr:{zone.upper()}" for zone in service.get("zone_eligibilite", ()) if _is_area(zone)],
            "other_areas": [{"name": one} for one in (told.get("other_areas") or ())],
            **_contact(service, hidden=hidden),
            "website": service.get("lien_mobilisation"),
            "assured_at": service["date_maj"],
            "assured_by": service["source"],
            "updated_at": datetime.combine(date.fromisoformat(service["date_maj"]), time(), UTC).isoformat(),
            "url": service.get("lien_source"),
            "attributes": [*_kept_themes(service, found, older=older), *_kept(service, KEPT), *_kept_areas(service)],
        }
    )


def service(  # noqa: PLR0913 - a record, and what the directory knows of it beside
    record: ServiceRecord,
    *,
    id_: UUID,
    source: str,
    organisation: OrganisationProfile,
    organisation_id: UUID,
    changed_on: date,
) -> dict[str, Any] | None:
    """Answer a service of v1; nothing where the schema has no form for it.

    Nobody who takes hand-overs is in it, and of a confidential place its municipality alone.

    Args:
        record: The service's.
        id_: Its id.
        source: Which source it came from.
        organisation: Who offers it.
        organisation_id: The organisation's.
        changed_on: When it changed last.
    """
    del source, organisation
    shown = next((one for one in record.locations if not one.confidential), None)
    address = shown.address if shown else record.locations[0].address if record.locations else None
    french = address is not None and address.country == "FR"
    code = (address.municipality_code or "").partition(":")[2] if address and french else None
    kept = _given_back(record.attributes)
    ways = _ways_in(kept)
    own = [one.text for one in record.conditions if (one.kind, one.text) != ("prescriber", PRESCRIBED)]
    made = {
        **{name: kept.get(name) for name in KEPT},
        "source": "relais",
        "structure_id": f"relais--{organisation_id}",
        "id": f"relais--{id_}",
        "nom": _name_out(record.name),
        "description": _description_out(record.description or record.eligibility_description or record.name),
        "lien_source": record.url,
        # The schema takes no day that has not begun: after midnight here it is the day before in UTC.
        "date_maj": min(max(filter(None, (changed_on, record.assured_at))), datetime.now(UTC).date()).isoformat(),
        "type": next((word for word in record.keywords if word in TYPES), None),
        "thematiques": _themes_out(record.themes, kept.get("thematiques", ())),
        "frais": None if record.free is None else "gratuit" if record.free else "payant",
        "frais_precisions": record.fees,
        "publics": _publics(record),
        "publics_precisions": record.eligibility_description,
        "conditions_acces": "\n".join(own),
        "commune": address.municipality if address else None,
        "code_postal": shown.address.postcode if shown and french else None,
        "code_insee": code,
        "adresse": shown.address.street if shown else None,
        "complement_adresse": shown.address.address_2 if shown else None,
        "latitude": shown.latitude if shown else None,
        "longitude": shown.longitude if shown else None,
        "telephone": record.phones[0].number if record.phones else None,
        "courriel": record.email,
        "modes_accueil": sorted({MODES_OUT[mode] for mode in record.modes}),
        "zone_eligibilite": [
            *(one[3:] for one in record.service_area if one.startswith("fr:")),
            *kept.get("zone_eligibilite", ()),
        ],
        "contact_nom_prenom": next((one.name for one in record.contacts if one.name), None),
        "lien_mobilisation": record.website,
        "mobilisation_precisions": (record.application_process or "").removesuffix(ways or "").strip(),
        "horaires_accueil": _hours_out(record, shown.opening_hours if shown else None),
    }
    return _valid(made, Service)


def structure(profile: OrganisationProfile, *, id_: UUID, changed_on: date) -> dict[str, Any] | None:
    """Answer a structure of v1; nothing where the schema has no form for it.

    Args:
        profile: The organisation's.
        id_: Its id.
        changed_on: When it changed last.
    """
    kept = _given_back(profile.attributes)
    siret = next((one.identifier for one in profile.identifiers if one.identifier_type.upper() == "SIRET"), None)
    made = {
        **{name: kept.get(name) for name in KEPT_OF_STRUCTURE},
        "source": "relais",
        "id": f"relais--{id_}",
        "nom": _name_out(profile.name),
        "date_maj": changed_on.isoformat(),
        "description": _description_out(profile.description) if profile.description else None,
        "lien_source": profile.uri,
        "siret": siret,
        "telephone": profile.phones[0].number if profile.phones else None,
        "courriel": profile.email,
        "site_web": profile.website,
    }
    return _valid(made, Structure)


def _valid(made: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any] | None:
    made = _filled(made)
    while True:
        try:
            return _dumped(model.model_validate(made))
        except ValidationError as fault:
            # What the stricter schema refuses (a foreign phone, an address that is none) stays at home.
            refused = {str(one["loc"][0]) for one in fault.errors() if one["loc"]} & made.keys()
            if not refused or refused & KEYS:
                return None
            made = {name: value for name, value in made.items() if name not in refused}


def _dumped(valid: BaseModel) -> dict[str, Any]:
    """Answer what is told as JSON-able values; sets in order, so that the same row is the same document."""
    told = valid.model_dump(mode="json", exclude_none=True)
    orderless = {name for name, info in type(valid).model_fields.items() if "set[" in str(info.annotation)}
    return {name: sorted(value) if name in orderless else value for name, value in told.items()}


def _name_out(name: str) -> str:
    shortest, longest = NAME
    return f"{name} …" if len(name) < shortest else name if len(name) <= longest else f"{name[: longest - 1]}…"


def _description_out(text: str) -> str:
    return f"{text} …" if len(text) < SHORTEST else text[:10_000]


def _themes_out(slugs: Sequence[str], told: Iterable[str]) -> list[str]:
    """Answer the thematiques of a record: those it came with and still bears, and the nearest of each other theme."""
    still = {one for one in told if set(themes_of([one])) & set(slugs)}
    others = set(slugs).difference(themes_of(still))
    return sorted(still | {themes()[slug].data_inclusion[0] for slug in others if themes()[slug].data_inclusion})


def _publics(record: ServiceRecord) -> list[str]:
    found = {public for slug in record.audiences for public in audiences()[slug].data_inclusion}
    # `tous-publics` has to stand alone.
    return ["tous-publics"] if "tous-publics" in found else sorted(found)


def _hours_out(record: ServiceRecord, told: str | None) -> str | None:
    return told or next((one.description for one in record.schedules if one.description and not one.opens_at), None)


def _given_back(attributes: Iterable[Attribute]) -> dict[str, Any]:
    """Answer the members of v1 that were kept as attributes; those that hold a set as lists."""
    many = {"thematiques", "modes_mobilisation", "mobilisable_par", "reseaux_porteurs", "zone_eligibilite"}
    found: dict[str, Any] = {}
    for one in attributes:
        if one.link_type and one.link_type.startswith(ATTRIBUTE) and one.value:
            name = one.link_type.removeprefix(ATTRIBUTE)
            if name in many:
                found.setdefault(name, []).append(one.value)
            else:
                found[name] = one.value
    return found


def _kept(told: Mapping[str, Any], names: Iterable[str]) -> list[dict[str, str]]:
    return [
        {"link_type": f"{ATTRIBUTE}{name}", "value": str(one)[:LINE]}
        for name in names
        for one in _one(told.get(name))
        if str(one).strip()
    ]


def _kept_themes(service: Mapping[str, Any], found: Sequence[str], *, older: bool) -> list[dict[str, str]]:
    told = service.get("thematiques", [])
    return [] if older or _themes_out(found, ()) == told else _kept({"thematiques": told}, ["thematiques"])


def _kept_areas(service: Mapping[str, Any]) -> list[dict[str, str]]:
    others = [zone for zone in service.get("zone_eligibilite", ()) if not _is_area(zone)]
    return _kept({"zone_eligibilite": others}, ["zone_eligibilite"])


def _is_area(zone: str) -> bool:
    # Communes and départements; the country as a whole, a group of communes or abroad is no area that we can draw.
    return len(zone) in {2, 3} or (len(zone) == 5 and not zone.startswith("99"))  # noqa: PLR2004 - INSEE's own lengths


def _one(value: Any) -> list[Any]:  # noqa: ANN401 - a value of any type
    return [] if value is None else list(value) if isinstance(value, list | set) else [value]


def _contact(service: Mapping[str, Any], *, hidden: bool) -> dict[str, Any]:
    """Answer how one reaches a service; for professionals alone, where the older schema says that it is not public."""
    phone, email, name = (service.get(one) for one in ("telephone", "courriel", "contact_nom_prenom"))
    if hidden:
        desk = _filled({"name": name or service["nom"], "phone": phone, "email": email})
        return {"relay_contact": desk, "can_receive": "guest" if email else "phone_only"}
    return {
        "phones": [{"number": phone}] if phone else None,
        "contacts": [{"name": name}] if name else None,
        "email": email,
        "can_receive": "guest" if email else "phone_only",
    }


def _ways_in(told: Mapping[str, Any]) -> str | None:
    """Answer in words how a service is entered, and by whom."""
    ways = ", ".join(WAYS.get(one, one) for one in told.get("modes_mobilisation", ()))
    who = ", ".join(told.get("mobilisable_par", ()))
    return f"{ways} ({who})" if ways and who else ways or who or None


def _conditions(service: Mapping[str, Any]) -> list[dict[str, str]]:
    made = [{"kind": "other", "text": one} for one in _pieces(service.get("conditions_acces") or "")]
    if service.get("mobilisable_par") == ["professionnels"]:
        made.append({"kind": "prescriber", "text": PRESCRIBED})
    return made


def _pieces(text: str) -> list[str]:
    """Answer a text as one condition; a long one line by line, and what is longer still cut between words."""
    if len(text) <= LINE:
        return [text] if text.strip() else []
    found = []
    for line in text.splitlines():
        left = line.strip()
        while len(left) > LINE:
            cut = left.rfind(" ", 1, LINE)
            cut = cut if cut > 0 else LINE
            found.append(left[:cut].rstrip())
            left = left[cut:].lstrip()
        found += [left] if left else []
    return found


def _hours(service: Mapping[str, Any], *, place: bool) -> tuple[str | None, list[dict[str, str]] | None]:
    """Answer the hours of the place, or, where they are none that can be judged, a text to show."""
    told = service.get("horaires_accueil")
    if not told:
        return None, None
    try:
        hours.parse(told, hours.zone_of(f"fr:{service.get('code_insee', '')}", "FR"), "FR")
    except ValueError:
        place = False
    return (told, None) if place and len(told) <= LINE else (None, [{"description": told}])


def _location(service: Mapping[str, Any], opening: str | None) -> dict[str, Any]:
    code = service.get("code_insee")
    address = {
        "street": service.get("adresse"),
        "address_2": service.get("complement_adresse"),
        "postcode": service.get("code_postal"),
        "municipality": service.get("commune"),
        "municipality_code": f"fr:{code.upper()}" if code else None,
        "country": "FR",
    }
    return _filled(
        {
            "record_id": service["id"],
            "address": _filled(address),
            "latitude": service.get("latitude"),
            "longitude": service.get("longitude"),
            "opening_hours": opening,
        }
    )


def _organisation(known: Mapping[str, Any]) -> dict[str, Any]:
    identifiers = [
        {"identifier_type": name.upper(), "identifier": known[name]} for name in ("siret", "rna") if known.get(name)
    ]
    return _filled(
        {
            "record_id": known.get("id"),
            "name": known.get("nom"),
            "description": known.get("description"),
            "email": known.get("courriel"),
            "phones": [{"number": known["telephone"]}] if known.get("telephone") else None,
            "website": known.get("site_web"),
            "uri": known.get("lien_source"),
            "identifiers": identifiers,
            "attributes": [*_kept(known, KEPT_OF_STRUCTURE), *_kept(known.get("others") or {}, OLDER_STRUCTURE)],
        }
    )


def _known(row: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key in model.model_fields}


def _is_older(row: Mapping[str, Any]) -> bool:
    """Say whether a service is of the older schema: by its members, or by a thematique that only it knew."""
    if OLDER & row.keys() or isinstance(row.get("frais"), list):
        return True
    told = row.get("thematiques")
    return isinstance(told, list) and any(
        isinstance(one, str) and one not in thematiques() and themes_of([one]) for one in told
    )


def _words(row: Mapping[str, Any], name: str) -> list[str]:
    told = row.get(name)
    found = [told] if isinstance(told, str) else told or []
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise FaultyValue(f"{name}: not a list of words")
    return [one for one in found if one.strip()]


def _newer(row: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a service of the older schema with the members of v1.

    What v1 has no word for stands beside: `name` uncut, `themes` and `audiences` in the older words, `other_areas`.
    """
    fees, name = _words(row, "frais"), row.get("nom")
    free = "gratuit" if "gratuit" in fees else "payant" if {"payant", "adhesion"} & set(fees) else None
    fees_told = [one.replace("-", " ").capitalize() for one in fees if one not in {"gratuit", "payant"}]
    asked = _words(row, "modes_orientation_beneficiaire")
    sent = _words(row, "modes_orientation_accompagnateur")
    others = [row.get(f"modes_orientation_{who}_autres") for who in ("beneficiaire", "accompagnateur")]
    words = [
        one.replace("-", " ").capitalize() for one in dict.fromkeys(asked + sent) if one not in {*OLDER_WAYS, "autre"}
    ]
    link = next((row[one] for one in ("lien_mobilisation", "formulaire_en_ligne", "prise_rdv") if row.get(one)), None)
    kind, code = row.get("zone_diffusion_type"), row.get("zone_diffusion_code")
    zones = (
        ["france"] if kind == "pays" else [str(code)] if code and kind in ("commune", "departement", "epci") else None
    )
    made = dict(row) | {
        "name": name,
        "themes": _words(row, "thematiques"),
        "audiences": [*_words(row, "profils"), *_words(row, "publics")],
        "other_areas": [row["zone_diffusion_nom"]] if kind == "region" and row.get("zone_diffusion_nom") else None,
        "nom": _name_out(name) if isinstance(name, str) else name,
        "description": next(
            (row[one] for one in ("presentation_detail", "description", "presentation_resume") if row.get(one)), name
        ),
        "date_maj": str(row.get("date_maj"))[:10],
        "type": next((one for one in _words(row, "types") if one in TYPES), None),
        "thematiques": None,
        "publics": None,
        "frais": free,
        "frais_precisions": " ; ".join(
            map(str, filter(None, (row.get("frais_precisions"), *fees_told, row.get("frais_autres"))))
        ),
        "publics_precisions": row.get("publics_precisions") or row.get("profils_precisions"),
        "conditions_acces": row.get("conditions_acces") or "\n".join(_words(row, "pre_requis")),
        "zone_eligibilite": row.get("zone_eligibilite") or zones,
        "horaires_accueil": row.get("horaires_accueil") or row.get("recurrence"),
        "lien_mobilisation": link,
        "lien_source": row.get("lien_source") or row.get("page_web"),
        "modes_mobilisation": row.get("modes_mobilisation")
        or sorted({OLDER_WAYS[one] for one in asked + sent if one in OLDER_WAYS}),
        "mobilisable_par": row.get("mobilisable_par")
        or [*(["professionnels"] if sent else []), *(["usagers"] if asked else [])],
        "mobilisation_precisions": row.get("mobilisation_precisions")
        or "\n".join(dict.fromkeys(str(one) for one in (*words, *others) if one)),
    }
    if isinstance(made["description"], str):
        made["description"] = _description_out(made["description"])
    return _filled(made)


OLDER_STRUCTURE: Final = ("typologie", "labels_nationaux", "labels_autres", "thematiques")
"""Members of an older structure that neither v1 nor an organisation has a field for."""


def _newer_structure(row: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a structure with the members of v1, whichever schema it is of; `others` has what is left."""
    description = row.get("description")
    for told in ("presentation_detail", "presentation_resume"):
        description = description or row.get(told)
    made = dict(row) | {
        "description": _description_out(description) if isinstance(description, str) else description,
        "date_maj": str(row["date_maj"])[:10] if row.get("date_maj") else None,
        "horaires_accueil": row.get("horaires_accueil") or row.get("horaires_ouverture"),
        "accessibilite_lieu": row.get("accessibilite_lieu") or row.get("accessibilite"),
        "others": {one: _words(row, one) for one in OLDER_STRUCTURE if row.get(one)},
    }
    return _filled(made)


def _filled(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "", [], {})}
