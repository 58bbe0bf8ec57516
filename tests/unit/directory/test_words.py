"""Words: what people write means what they need."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_directory.data import lookalikes, themes, words
from relais_directory.domain.words import EMPTY, ROOT, Lexicon, Meaning, one_apart, plain, root, stem, stems

LEXICON = Lexicon(
    {
        "childcare": ["crèche", "garde d'enfants", "kinderopvang"],
        "childcare--nursery": ["crèche"],
        "mobility": ["bus", "permis de conduire"],
    }
)
LETTERS = st.text("abcdefg", min_size=5, max_size=9)


@pytest.mark.parametrize(
    ("text", "flat"),
    [
        ("Crèche  L'ÉTOILE", "creche l etoile"),
        ("Cœur-de-Ville", "coeur de ville"),
        ("Straße & Lærer", "strasse laerer"),
        ("  …  ", ""),
        ("６０００", "6000"),  # noqa: RUF001 - digits as wide as letters are digits
    ],
)
def test_plain_has_letters_digits_and_blanks_alone(text: str, flat: str) -> None:
    assert plain(text) == flat


@given(st.text())
def test_plain_is_plain_already(text: str) -> None:
    assert plain(plain(text)) == plain(text)
    assert set(plain(text)) <= set("abcdefghijklmnopqrstuvwxyz0123456789 ")


@pytest.mark.parametrize(
    ("word", "singular"),
    [
        ("creches", "creche"),
        ("chevaux", "cheval"),
        ("bureaux", "bureau"),
        ("eaux", "eau"),
        ("jeux", "jeu"),
        ("bus", "bus"),
        ("aux", "aux"),
        ("bois", "boi"),
        ("travaux", "travail"),
        ("taux", "tau"),
    ],
)
def test_a_stem_is_without_plural(word: str, singular: str) -> None:
    assert stem(word) == singular


def test_small_words_say_nothing() -> None:
    assert stems("la garde de mes enfants") == ("garde", "enfant")
    assert stems(" ".join(EMPTY)) == ()


@pytest.mark.parametrize(
    ("query", "meaning"),
    [
        ("CRÈCHES", Meaning(("childcare", "childcare--nursery"), ("creches",))),
        ("une garde d'enfants le soir", Meaning(("childcare",), ("garde enfants",), ("soir",), ("soir",))),
        ("permis de conduire", Meaning(("mobility",), ("permis conduire",))),
        ("permis", Meaning((), (), ("permi",), ("permis",))),
        ("creshe", Meaning(("childcare", "childcare--nursery"), ("creshe",))),
        ("bis", Meaning((), (), ("bis",), ("bis",))),
        ("bus crèche bus", Meaning(("mobility", "childcare", "childcare--nursery"), ("bus", "creche", "bus"))),
        ("de la", Meaning()),
        ("", Meaning()),
    ],
)
def test_a_query_means(query: str, meaning: Meaning) -> None:
    assert LEXICON.meaning(query) == meaning


def test_every_word_that_comes_with_the_directory_leads_to_its_theme() -> None:
    """A word that a longer phrase or a namesake hides would be listed in vain."""
    spelt = {slug: [word for group in told.values() for word in group] for slug, told in words().items()}
    whole = Lexicon(spelt)
    assert set(spelt) <= set(themes())
    astray = [(slug, word) for slug, told in spelt.items() for word in told if slug not in whole.meaning(word).themes]
    assert astray == []


@given(LETTERS, st.data())
def test_one_letter_wrong_is_one_apart(word: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(word) - 1))
    changed = word[:place] + "z" + word[place + 1 :]
    added = word[:place] + "z" + word[place:]
    dropped = word[:place] + word[place + 1 :]
    swapped = word[:place] + word[place : place + 2][::-1] + word[place + 2 :]
    for other in (word, changed, added, dropped, swapped):
        assert one_apart(word, other)
        assert one_apart(other, word)


@given(LETTERS, st.data())
def test_two_letters_wrong_are_not(word: str, data: st.DataObject) -> None:
    first, second = sorted(data.draw(st.sets(st.integers(0, len(word) - 1), min_size=2, max_size=2)))
    other = word[:first] + "y" + word[first + 1 : second] + "z" + word[second + 1 :]
    assert not one_apart(word, other)


@pytest.mark.parametrize(("one", "other"), [("bus", "bis"), ("abcde", "edcba"), ("abcde", "abcdefg"), ("", "")])
def test_short_or_distant_words_are_not_one_apart(one: str, other: str) -> None:
    assert not one_apart(one, other)


@pytest.mark.parametrize(
    ("text", "flat"),
    [
        ("C.P.A.S.", "cpas"),
        ("l'O.N.E de Gilly", "l one de gilly"),
        ("S. Dupont", "s dupont"),
        ("fin.Début", "fin debut"),
        ("№ 5, ﬁn", "no 5 fin"),
    ],
)
def test_letters_with_full_stops_are_one_word(text: str, flat: str) -> None:
    assert plain(text) == flat


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("fiets", "fietsen"),
        ("brief", "brieven"),
        ("rijbewijs", "rijbewijzen"),
        ("krippe", "krippen"),
        ("wohnung", "wohnungen"),
        ("independant", "independantes"),
        ("appartement", "apartements"),
        ("nanny", "nannies"),
        ("adresse", "adressen"),
    ],
)
def test_forms_of_a_word_have_one_root(one: str, other: str) -> None:
    assert root(one) == root(other) != ""


@pytest.mark.parametrize("word", ["bus", "les", "auto", "lees"])
def test_what_is_left_of_a_short_word_is_no_root(word: str) -> None:
    assert len(root(word)) in {0, ROOT}


@given(st.text("abcdefghijklmnopqrstuvwxyz", max_size=20))
def test_a_root_is_long_enough_or_none(word: str) -> None:
    assert not root(word) or len(root(word)) >= ROOT


def test_a_territory_adds_words_and_takes_some_away(tmp_path: Path) -> None:
    own = tmp_path / "words.json"
    told = {
        "words": {"mobility": {"fr": ["zembrouk", "nounou"]}},
        "lookalikes": {"fr": ["NOUNOU"], "names": ["Formatin"]},
    }
    own.write_text(json.dumps(told), encoding="utf-8")
    assert words(own)["mobility"]["fr"][-2:] == ("zembrouk", "nounou")
    assert "nounou" not in words(own)["childcare"]["fr"]
    assert words(own)["childcare"]["nl"] == words()["childcare"]["nl"]
    assert set(lookalikes(own)) == {*lookalikes(), "NOUNOU", "Formatin"}
    whole = Lexicon({slug: [word for group in by.values() for word in group] for slug, by in words(own).items()})
    assert whole.meaning("nounou").themes == ("mobility",)


def test_a_territory_needs_to_add_nothing(tmp_path: Path) -> None:
    own = tmp_path / "words.json"
    own.write_text("{}", encoding="utf-8")
    assert words(own) == words()
    assert lookalikes(own) == lookalikes()


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"words": {"cooking": {"fr": ["soupe"]}}}, "no such theme: cooking"),
        ({"words": {"mobility": {"es": ["coche"]}}}, "no such language: es"),
        ({"words": {"mobility": ["coche"]}}, "a list of words"),
        ({"words": {"mobility": {"fr": "coche"}}}, "a list of words"),
        ({"words": {"mobility": {"fr": [1]}}}, "a list of words"),
        ({"words": ["coche"]}, "by theme"),
        ({"lookalikes": ["coche"]}, "a list of words"),
        (["coche"], "an object"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, told: object, why: str) -> None:
    own = tmp_path / "words.json"
    own.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(ValueError, match=why):
        words(own)
