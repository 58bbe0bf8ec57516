"""data.inclusion both ways: what comes in goes out the same, in v1; the older schema is read as it is."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from data_inclusion.schema import v1
from data_inclusion.schema.v1 import Service, Structure
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from relais_directory.data import themes
from relais_directory.formats import data_inclusion
from relais_directory.formats.mapping import FaultyValue
from relais_directory.judging import Judged, Points, judge
from relais_directory.records import OrganisationProfile, OrganisationRecord, Record

ID, OWNER = UUID(int=1), UUID(int=2)
TODAY = date(2026, 1, 15)
POINTS = Points([])

V1: dict[str, Any] = {
    "source": "dora",
    "id": "dora--1",
    "structure_id": "dora--s",
    "nom": "Atelier numérique",
    "description": "On apprend à se servir d'un ordinateur.",
    "date_maj": "2026-01-15",
    "type": "atelier",
    "thematiques": ["mobilite--preparer-un-permis", "numerique--acquerir-un-equipement"],
    "frais": "gratuit",
    "frais_precisions": "Sauf le café.",
    "publics": ["jeunes", "seniors"],
    "publics_precisions": "Moins de 26 ans, ou plus de 60.",
    "conditions_acces": "Savoir lire.",
    "modes_accueil": ["a-distance", "en-presentiel"],
    "commune": "Saint-Pierre",
    "code_postal": "97410",
    "code_insee": "97416",
    "adresse": "1 rue Basse",
    "complement_adresse": "Bâtiment B",
    "latitude": -21.34,
    "longitude": 55.48,
    "telephone": "0262 00 00 00",
    "courriel": "accueil@service.example",
    "contact_nom_prenom": "Le secrétariat",
    "lien_mobilisation": "https://service.example/inscription",
    "modes_mobilisation": ["envoyer-un-courriel", "telephoner"],
    "mobilisable_par": ["professionnels", "usagers"],
    "mobilisation_precisions": "Demander l'accueil.\nLe matin.",
    "volume_horaire_hebdomadaire": 1.5,
    "nombre_semaines": 6,
    "zone_eligibilite": ["974", "97416", "france", "200093201", "99100"],
    "horaires_accueil": "Mo-Fr 09:00-12:00",
    "lien_source": "https://source.example/1",
}


def taken(row: dict[str, Any], structure: dict[str, Any] | None = None) -> Record:
    """Answer the record of a service, judged."""
    judged = judge(data_inclusion.record(row, structure), 1, POINTS)
    assert isinstance(judged, Judged), judged
    return judged.record


def given_back(record: Record) -> dict[str, Any]:
    """Answer a record as a service of v1."""
    made = data_inclusion.service(
        record, id_=ID, source="dora", organisation=record.organisation, organisation_id=OWNER, changed_on=TODAY
    )
    assert made is not None
    Service.model_validate(made)
    return made


def compared(row: dict[str, Any]) -> dict[str, Any]:
    """Answer a service without its ids, lists in order: the schema's lists have none."""
    plain = {name: value for name, value in row.items() if name not in {"source", "id", "structure_id"}}
    return {name: sorted(value) if isinstance(value, list) else value for name, value in plain.items()}


def test_a_service_becomes_a_record() -> None:
    record = taken(V1 | {"score_qualite": 0.9}, {"nom": "La Structure", "courriel": "s@structure.example"})
    assert (record.record_id, record.organisation.record_id, record.organisation.name) == (
        "dora--1",
        "dora--s",
        "La Structure",
    )
    assert set(record.themes) <= set(themes())
    assert {theme.partition("--")[0] for theme in record.themes} == {"support", "mobility"}
    assert record.modes == ["on_site", "remote"]
    assert record.free is True
    assert record.can_receive == "guest"
    assert record.service_area == ["fr:974", "fr:97416"]
    assert record.locations[0].address.municipality_code == "fr:97416"
    assert (record.assured_at and record.assured_at.isoformat(), record.assured_by) == ("2026-01-15", "dora")
    assert [one.text for one in record.conditions] == ["Savoir lire."]
    assert record.eligibility_description == V1["publics_precisions"]
    assert record.application_process == (
        "Demander l'accueil.\nLe matin.\nEnvoyer un courriel, Téléphoner (professionnels, usagers)"
    )
    assert record.url == "https://source.example/1"


def test_every_member_of_a_service_comes_back() -> None:
    assert set(V1) == set(Service.model_fields)
    assert compared(given_back(taken(V1))) == compared(V1)
    # The same row is the same document, in whatever order a set is told.
    assert taken(V1 | {"thematiques": V1["thematiques"][::-1]}) == taken(V1)


def some(words: Any) -> st.SearchStrategy[list[str] | None]:
    """Answer any part of a vocabulary of v1."""
    return st.none() | st.sets(st.sampled_from([one.value for one in words]), min_size=1).map(sorted)


@given(
    thematiques=some(v1.Thematique),
    publics=some(v1.Public).filter(lambda told: not told or len(told) == 1 or "tous-publics" not in told),
    ways=some(v1.ModeMobilisation),
    who=some(v1.PersonneMobilisatrice),
    modes=some(v1.ModeAccueil).filter(bool),
    fees=st.sampled_from(["gratuit", "payant", None]),
    conditions=st.none() | st.text(st.sampled_from("ab é."), min_size=1, max_size=499).map(str.strip).filter(bool),
)
def test_every_word_of_v1_comes_back(
    thematiques: list[str] | None,
    publics: list[str] | None,
    ways: list[str] | None,
    who: list[str] | None,
    modes: list[str],
    fees: str | None,
    conditions: str | None,
) -> None:
    told = V1 | {
        "thematiques": thematiques,
        "publics": publics,
        "modes_mobilisation": ways,
        "mobilisable_par": who,
        "modes_accueil": modes,
        "frais": fees,
        "conditions_acces": conditions,
    }
    row = {name: value for name, value in told.items() if value is not None}
    assert compared(given_back(taken(row))) == compared(row)


def test_themes_that_were_changed_here_leave_as_they_are_here() -> None:
    record = taken(V1)
    record.themes = ["mobility--driving-licence", "childcare"]
    assert given_back(record)["thematiques"] == ["famille--garde-denfants", "mobilite--preparer-un-permis"]


def test_what_was_assured_after_midnight_here_leaves_all_the_same() -> None:
    """In UTC, by which the schema is asked, it is the day before for an hour or two."""
    record, today = taken(V1, STRUCTURE), datetime.now(UTC).date()
    record.assured_at = today + timedelta(days=1)
    assert given_back(record)["date_maj"] in {today.isoformat(), datetime.now(UTC).date().isoformat()}


def test_what_only_professionals_may_ask_for_is_a_condition() -> None:
    record = taken(V1 | {"mobilisable_par": ["professionnels"]})
    assert [one.kind for one in record.conditions] == ["other", "prescriber"]
    assert given_back(record)["conditions_acces"] == "Savoir lire."


def test_long_conditions_are_told_in_parts_and_nothing_is_lost() -> None:
    text = "\n".join(f"- {number} " + "mot " * 200 for number in range(3))
    record = taken(V1 | {"conditions_acces": text})
    assert len(record.conditions) > 3
    assert given_back(record)["conditions_acces"].split() == text.split()


@pytest.mark.parametrize("hours", ["le lundi matin", "Mo-Fr 25:00", "x" * 600])
def test_hours_that_nobody_can_judge_are_shown_as_they_are(hours: str) -> None:
    record = taken(V1 | {"horaires_accueil": hours})
    assert record.locations[0].opening_hours is None
    assert record.schedules[0].description == hours
    assert given_back(record)["horaires_accueil"] == hours


def test_nothing_confidential_leaves() -> None:
    record = taken(V1)
    place = record.locations[0]
    record.locations = [place.model_copy(update={"confidential": True})]
    made = given_back(record)
    assert (
        not {"adresse", "complement_adresse", "latitude", "longitude", "code_postal", "horaires_accueil"} & made.keys()
    )
    assert (made["commune"], made["code_insee"]) == ("Saint-Pierre", "97416")
    # Beside a public place elsewhere, nothing of the confidential one is told.
    address = place.address.model_copy(update={"municipality": "Le Tampon", "municipality_code": "fr:97422"})
    record.locations.append(place.model_copy(update={"address": address}))
    made = given_back(record)
    assert (made["commune"], made["code_insee"]) == ("Le Tampon", "97422")


def test_the_smallest_service_has_a_name_for_its_structure() -> None:
    small = {key: V1[key] for key in ("source", "id", "structure_id", "nom", "description", "date_maj")}
    record = taken(small | {"modes_accueil": ["a-distance"]})
    assert record.organisation.name == "Structure dora--s"
    assert record.locations == []
    assert record.can_receive == "phone_only"
    assert record.attributes == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("date_maj", "soon"), ("date_maj", "1850-01-01"), ("thematiques", ["x"]), ("code_insee", "1"), ("courriel", "x")],
)
def test_what_breaks_the_schema_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as fault:
        data_inclusion.record(V1 | {field: value}, None)
    assert fault.value.errors()[0]["loc"][0] == field


@pytest.mark.parametrize(("name", "told"), [("X", "X …"), ("x" * 200, "x" * 149 + "…")])
def test_a_name_that_v1_does_not_take_is_fitted(name: str, told: str) -> None:
    record = taken(V1)
    record.name = name
    record.description = "Ici"
    made = given_back(record)
    assert (made["nom"], made["description"]) == (told, "Ici …")


STRUCTURE: dict[str, Any] = {
    "source": "dora",
    "id": "dora--s",
    "nom": "Le Tournesol",
    "date_maj": "2026-01-15",
    "description": "Un centre social.",
    "lien_source": "https://source.example/s",
    "siret": "13003013300016",
    "commune": "Saint-Pierre",
    "code_postal": "97410",
    "code_insee": "97416",
    "adresse": "1 rue Basse",
    "complement_adresse": "Bâtiment B",
    "latitude": -21.34,
    "longitude": 55.48,
    "telephone": "0262 00 00 00",
    "courriel": "s@structure.example",
    "site_web": "https://structure.example/",
    "horaires_accueil": "Mo-Fr 09:00-12:00",
    "accessibilite_lieu": "https://acceslibre.example/1",
    "reseaux_porteurs": ["caf", "mission-locale"],
}


def test_every_member_of_a_structure_comes_back() -> None:
    assert set(STRUCTURE) == set(Structure.model_fields)
    made = data_inclusion.record(STRUCTURE, None)
    assert made.keys() == {"organisation"}
    profile = judge(made, 1, POINTS)
    assert isinstance(profile, OrganisationRecord)
    back = data_inclusion.structure(profile, id_=OWNER, changed_on=TODAY)
    assert back is not None
    Structure.model_validate(back)
    assert compared(back) == compared(STRUCTURE)
    # A service that names it tells the same of it.
    assert taken(V1, STRUCTURE).organisation == profile


def test_an_organisation_without_a_form_in_v1_stays_at_home() -> None:
    assert data_inclusion.structure(OrganisationProfile(name="A", email="none"), id_=ID, changed_on=TODAY) == {
        "source": "relais",
        "id": f"relais--{ID}",
        "nom": "A …",
        "date_maj": "2026-01-15",
    }
    assert data_inclusion.structure(OrganisationProfile(name="A"), id_=ID, changed_on=date(1999, 1, 1)) is None


V0: dict[str, Any] = {
    "source": "dora",
    "id": "dora--1",
    "structure_id": "dora--s",
    "nom": "Louer une voiture",
    "presentation_resume": "Une voiture.",
    "presentation_detail": "Une voiture à louer, pour aller travailler.",
    "types": ["aide-materielle", "delegation"],
    "thematiques": ["mobilite--louer-un-vehicule-voiture-velo-scooter-trottinette"],
    "profils": ["demandeurs-demploi", "sortants-de-detention"],
    "profils_precisions": "Avec un permis.",
    "frais": ["payant", "adhesion"],
    "frais_autres": "12 euros",
    "pre_requis": ["Avoir le permis", "Avoir un contrat"],
    "justificatifs": ["Pièce d'identité"],
    "modes_accueil": ["en-presentiel"],
    "modes_orientation_accompagnateur": ["envoyer-un-mail-avec-une-fiche-de-prescription"],
    "modes_orientation_beneficiaire": ["telephoner", "autre"],
    "modes_orientation_beneficiaire_autres": "Passer le matin",
    "zone_diffusion_type": "departement",
    "zone_diffusion_code": "974",
    "formulaire_en_ligne": "https://service.example/formulaire",
    "recurrence": "Tous les matins",
    "contact_nom_prenom": "Camille Exemple",
    "contact_public": True,
    "telephone": "0262 00 00 00",
    "courriel": "accueil@service.example",
    "commune": "Saint-Pierre",
    "code_insee": "97416",
    "latitude": -21.34,
    "longitude": 55.48,
    "date_maj": "2024-05-02T10:00:00",
    "date_creation": "2023-01-01",
}


def test_the_older_schema_is_read_in_its_own_words() -> None:
    record = taken(V0)
    assert {theme.partition("--")[0] for theme in record.themes} == {"mobility"}
    assert record.audiences == ["jobseekers", "justice"]
    assert record.keywords == ["aide-materielle", "delegation"]
    assert (record.description, record.free, record.fees) == (V0["presentation_detail"], False, "Adhesion ; 12 euros")
    assert [one.text for one in record.conditions] == ["Avoir le permis\nAvoir un contrat"]
    assert [one.document for one in record.required_documents] == ["Pièce d'identité"]
    assert record.eligibility_description == "Avec un permis."
    assert record.application_process == "Passer le matin\nEnvoyer un courriel, Téléphoner (professionnels, usagers)"
    assert record.service_area == ["fr:974"]
    assert record.website == V0["formulaire_en_ligne"]
    assert record.schedules[0].description == "Tous les matins"
    assert [one.name for one in record.contacts] == ["Camille Exemple"]
    assert record.assured_at == date(2024, 5, 2)
    back = given_back(record)
    assert back["type"] == "aide-materielle"
    assert all(one.startswith("mobilite--") for one in back["thematiques"])


def test_a_contact_that_is_not_public_is_for_professionals_alone() -> None:
    record = taken(V0 | {"contact_public": False})
    assert record.relay_contact is not None
    assert (record.relay_contact.name, record.relay_contact.phone) == ("Camille Exemple", "0262 00 00 00")
    assert (record.phones, record.contacts, record.email) == ([], [], None)
    assert "Camille" not in str(given_back(record))
    assert "0262" not in str(given_back(record))


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"frais": ["gratuit"]}, "free", True),
        ({"frais": ["gratuit-sous-conditions"], "frais_autres": None}, "free", None),
        ({"frais": ["gratuit-sous-conditions"], "frais_autres": None}, "fees", "Gratuit sous conditions"),
        ({"frais": None, "frais_autres": 12}, "fees", "12"),
        ({"zone_diffusion_type": "region", "zone_diffusion_nom": "La Réunion"}, "service_area", []),
        ({"nom": "x" * 400}, "name", "x" * 400),
        ({"presentation_detail": None, "presentation_resume": "Ici"}, "description", "Ici …"),
        ({"thematiques": None}, "themes", []),
    ],
)
def test_an_older_member_is_read_as_it_was_meant(changes: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(taken(V0 | changes), field) == value


def test_an_older_theme_alone_tells_the_older_schema() -> None:
    row = V1 | {"thematiques": ["mobilite--louer-un-vehicule-voiture-velo-scooter-trottinette"]}
    assert {theme.partition("--")[0] for theme in taken(row).themes} == {"mobility"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=400)
@given(member=st.sampled_from(sorted({*V0, *V1, "zone_diffusion_nom"})), value=JSON, older=st.booleans())
def test_a_member_of_any_shape_is_taken_or_refused(member: str, value: Any, *, older: bool) -> None:
    """No row, however broken, ends in anything but a record or a reason."""
    try:
        made = data_inclusion.record((V0 if older else V1) | {member: value}, None)
    except (ValidationError, FaultyValue):
        return
    judge(made, 1, POINTS)


@settings(max_examples=400)
@given(member=st.sampled_from(sorted({*STRUCTURE, "typologie", "rna", "horaires_ouverture"})), value=JSON)
def test_a_member_of_a_structure_of_any_shape_too(member: str, value: Any) -> None:
    for row, beside in ((STRUCTURE | {member: value}, None), (V1, STRUCTURE | {member: value})):
        try:
            made = data_inclusion.record(row, beside)
        except (ValidationError, FaultyValue):
            continue
        judge(made, 1, POINTS)


def test_an_older_structure_keeps_what_v1_has_no_word_for() -> None:
    row = {
        "source": "dora", "id": "dora--s", "nom": "Le Tournesol", "date_maj": "2023-02-01", "rna": "W9741",
        "typologie": "ASSO", "presentation_resume": "Un centre social.", "labels_nationaux": ["caf", "mobin"],
    }  # fmt: skip
    profile = judge(data_inclusion.record(row, None), 1, POINTS)
    assert isinstance(profile, OrganisationRecord)
    assert profile.description == "Un centre social."
    assert [(one.identifier_type, one.identifier) for one in profile.identifiers] == [("RNA", "W9741")]
    assert [(one.link_type, one.value) for one in profile.attributes] == [
        ("data.inclusion typologie", "ASSO"),
        ("data.inclusion labels_nationaux", "caf"),
        ("data.inclusion labels_nationaux", "mobin"),
    ]
