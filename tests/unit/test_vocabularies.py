"""The taxonomy holds together: parents, labels, sensitive themes, and both ways to data.inclusion."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.stack import OWN_THEME

from relais_directory.data import audiences, audiences_of, take, themes, themes_of, words
from relais_directory.data.own import own_themes
from relais_directory.settings import DirectorySettings
from relais_shared.settings import SettingsProblem

if TYPE_CHECKING:
    from collections.abc import Callable

LANGUAGES = {"fr", "nl", "de", "en"}
REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "data"

V1_FAMILIES = {
    "choisir-un-metier": 4,
    "creer-une-entreprise": 3,
    "difficultes-administratives-ou-juridiques": 6,
    "difficultes-financieres": 5,
    "equipement-et-alimentation": 4,
    "famille": 5,
    "lecture-ecriture-calcul": 2,
    "logement-hebergement": 7,
    "mobilite": 6,
    "numerique": 4,
    "preparer-sa-candidature": 4,
    "remobilisation": 4,
    "sante": 5,
    "se-former": 2,
    "souvrir-a-linternational": 3,
    "trouver-un-emploi": 5,
}
"""The 16 families of the v1 vocabulary and how many of its 69 items each has."""


def vocabulary(name: str) -> Any:
    """Read one list of codes as its publisher gives it, or skip where the reference data is absent."""
    file = REFERENCE / name
    if not file.exists():
        pytest.skip("The reference data is not beside this checkout.")
    return json.loads(file.read_text(encoding="utf-8"))


def test_every_theme_has_its_parent_before_it_and_four_labels() -> None:
    """A loader may insert them in order; a screen finds a label in each language."""
    seen: set[str] = set()
    for slug, theme in themes().items():
        assert theme.slug == slug
        assert theme.parent is None or theme.parent in seen
        assert slug.startswith(theme.parent or slug)
        assert set(theme.labels) == LANGUAGES
        assert all(theme.labels.values())
        seen.add(slug)

    assert {slug for slug, theme in themes().items() if theme.parent is None} == {
        "childcare",
        "mobility",
        "training",
        "support",
    }


def test_each_root_has_a_shape_of_its_own_that_its_children_share() -> None:
    """Colour never speaks alone."""
    shapes = {theme.slug: (theme.shape, theme.symbol) for theme in themes().values() if theme.parent is None}

    assert shapes == {
        "childcare": ("circle", "●"),
        "mobility": ("triangle", "▲"),
        "training": ("square", "■"),
        "support": ("diamond", "◆"),
    }
    assert all((t.shape, t.symbol) == shapes[t.parent] for t in themes().values() if t.parent)


def test_the_sensitive_themes_are_those_of_health_violence_addiction_residence_and_justice() -> None:
    """They need an explicit basis and are sealed in lists: none may be forgotten."""
    assert {slug for slug, theme in themes().items() if theme.sensitive} == {
        f"support--{name}"
        for name in ("health", "mental-health", "disability", "addiction", "violence", "residence", "justice")
    }


def test_all_69_thematiques_come_in_and_go_out_again() -> None:
    """What is imported from data.inclusion v1 is exported under the same word."""
    exported = {value for theme in themes().values() for value in theme.data_inclusion}

    assert len(exported) == 69
    assert {family: sum(value.startswith(f"{family}--") for value in exported) for family in V1_FAMILIES} == V1_FAMILIES
    for value in exported:
        assert value in {out for slug in themes_of([value]) for out in themes()[slug].data_inclusion}
    assert all(theme.data_inclusion for theme in themes().values())


def test_the_thematiques_are_the_published_ones() -> None:
    """Letter for letter."""
    published = {row["value"] for row in vocabulary("conformance/data-inclusion-v1/referentiels/thematiques.json")}

    assert {value for theme in themes().values() for value in theme.data_inclusion} == published


def test_every_older_value_of_a_real_file_is_known() -> None:
    """The services of a whole département, in the vocabulary before v1, all find themes and audiences."""
    for service in vocabulary("resources/fr_974_data_inclusion_services.json"):
        thematiques, profils = (
            [value.strip('"') for value in re.findall(r'"[^"]*"|[^,{}]+', service[column] or "")]
            for column in ("Thematiques", "Profils")
        )
        assert all(themes_of([value]) for value in thematiques)
        assert all(audiences_of([value]) for value in profils)


def test_the_publics_are_the_published_ones() -> None:
    """Each v1 public comes in, and an audience goes out as one of them or as none."""
    published = {row["value"] for row in vocabulary("conformance/data-inclusion-v1/referentiels/publics.json")}

    assert {value for audience in audiences().values() for value in audience.data_inclusion} == published
    assert all(audiences_of([value]) for value in published)


def test_a_family_counts_only_alone() -> None:
    """A crèche marked `famille, famille--garde-denfants` is childcare, not parenting."""
    assert themes_of(["famille", "famille--garde-denfants"]) == ["childcare"]
    assert themes_of(["famille"]) == ["support--family"]
    assert themes_of(["mobilite--something-new"]) == ["mobility"]
    assert themes_of(["unheard-of"]) == []


def test_every_theme_has_words_in_four_languages() -> None:
    """Someone who searches in her own words finds the theme."""
    assert set(words()) == set(themes())
    for by_language in words().values():
        assert set(by_language) == LANGUAGES
        assert all(word == word.strip() and word for spelt in by_language.values() for word in spelt)


@pytest.mark.parametrize(
    ("word", "root"),
    [
        ("crèche", "childcare"),
        ("nounou", "childcare"),
        ("garde d'enfants", "childcare"),
        ("permis", "mobility"),
        ("bus", "mobility"),
        ("covoiturage", "mobility"),
        ("alphabétisation", "training"),
        ("FLE", "training"),
        ("CISP", "training"),
        ("titres-services", "support"),
        ("dettes", "support"),
        ("kinderopvang", "childcare"),
        ("Führerschein", "mobility"),
        ("food bank", "support"),
    ],
)
def test_common_words_lead_to_their_theme(word: str, root: str) -> None:
    """The words of the field, in any of the four languages."""
    found = {slug for slug, spelt in words().items() if any(word in some for some in spelt.values())}

    assert {slug.partition("--")[0] for slug in found} == {root}


def test_audiences_have_four_labels() -> None:
    """As themes do."""
    assert "everyone" in audiences()
    assert all(set(audience.labels) == LANGUAGES for audience in audiences().values())


@pytest.fixture(name="written")
def _written(tmp_path: Path) -> Callable[[Any], Path]:
    """Answer a writer of a territory's file of themes."""

    def write(told: Any) -> Path:
        file = tmp_path / "themes.json"
        file.write_text(told if isinstance(told, str) else json.dumps(told), encoding="utf-8")
        return file

    return write


def test_a_territory_s_own_theme_stands_behind_ours(written: Callable[[Any], Path], tmp_path: Path) -> None:
    """With the shape of its family, its labels as words, and both ways to data.inclusion."""
    spoken = tmp_path / "words.json"
    spoken.write_text(json.dumps({"words": {"mobility--ferry": {"fr": ["bac"]}}}), encoding="utf-8")
    before = list(themes())
    try:
        take(own_themes(written({"about": "Ours.", "themes": [OWN_THEME]})))
        assert list(themes()) == [*before, "mobility--ferry"]
        ferry = themes()["mobility--ferry"]
        assert (ferry.parent, ferry.shape, ferry.symbol, ferry.sensitive) == ("mobility", "triangle", "▲", False)
        assert ferry.data_inclusion == ("mobilite--mobilite-douce-partagee-collective",)
        assert themes_of(["transport-fluvial"]) == ["mobility--ferry"]
        assert words()["mobility--ferry"]["nl"] == ("Veerdienst",)
        assert words(spoken)["mobility--ferry"]["fr"] == ("Passeur d'eau", "bac")
    finally:
        take([])
    assert list(themes()) == before
    assert themes_of(["transport-fluvial"]) == []
    with pytest.raises(ValueError, match="no such theme: mobility--ferry"):
        words(spoken)


def test_every_fault_of_a_territory_s_themes_is_named(written: Callable[[Any], Path]) -> None:
    """All at once: who writes the file mends it in one go."""
    labels = {"fr": "A", "nl": "B", "de": " ", "en": "D"}
    faulty = {
        "themes": [
            {**OWN_THEME, "labels": labels, "sensitive": "no", "colour": "red"},
            {**OWN_THEME, "parent": "leisure", "data_inclusion": ["mobilite--barque"]},
            {**OWN_THEME, "slug": "training--Ferry"},
            {**OWN_THEME, "slug": "training--digital"},
            {"slug": "mobility--pont"},
        ],
        "words": {},
    }
    with pytest.raises(SettingsProblem) as refused:
        DirectorySettings.load(dsn="x", secret="x", themes=written(faulty))
    told = str(refused.value)
    assert told.startswith("RELAIS_DIRECTORY_THEMES: ")
    for fault in (
        "themes.0.labels.de: ", "themes.0.sensitive: ", "themes.0.colour: ", "themes.1.parent: ",
        "themes.1.data_inclusion.0: ", "themes.2.slug: ", "themes.3.slug: ", "themes.4.parent: ", "themes.4.labels: ",
        "words: ", "mobility--ferry stands there twice", "training--digital comes along already",
    ):  # fmt: skip
        assert fault in told


@pytest.mark.parametrize("told", ["{", "[]", "{}", '{"themes": {}}', '{"themes": [1]}', '{"themes": [{"slug": []}]}'])
def test_a_file_of_another_form_is_no_file_of_themes(written: Callable[[Any], Path], told: str) -> None:
    """Nor is one that is not there."""
    with pytest.raises(ValueError, match=r"themes\.json"):
        own_themes(written(told))
    with pytest.raises(ValueError, match="cannot be read"):
        own_themes(Path("nowhere.json"))
