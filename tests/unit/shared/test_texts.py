"""What may not stand in a text that is read before acceptance, and what must pass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_shared.texts import national_number, telling

HER = ["Éloïse", "Ben-Saïd", "Van den Berg"]

PHONES = [
    "0470112233", "0470 11 22 33", "0470/11.22.33", "0470/11 22 33", "0470 / 11 22 33", "0470-11-22-33",
    "+32 470 11 22 33", "+32 (0)470 11 22 33", "0032470112233", "tel.0470112233", "gsm0470112233", "071 12 34 56",
    "071/12.34.56", "02 123 45 67", "06 12 34 56 78", "+33 6 12 34 56 78", "06.12.34.56.78",
    "0262 20 12 34", "0470\u00a011\u00a022\u00a033", "0470\u201311\u201322\u201333",
    "le 0470112233.", "(0470112233)", "0470  11  22  33",
    "vue le 12/03/2026 - 0470 11 22 33",
]  # fmt: skip
EMAILS = ["ana@exemple.be", "ecrire à ana.lopes+relais@mail.exemple.org svp", "<ana@exemple.fr>", "ana@exämple.be"]
PLAIN = [
    "une place avant lundi", "deux enfants de 3 et 5 ans", "le matin de 8h30 à 12h30", "lundi 08.30-12.30",
    "rendez-vous le 12/03/2026", "du 12/03/2026 au 14/03/2026", "12/03/2026 - 14/03/2026", "depuis le 2026-03-02",
    "année scolaire 2025-2026", "un loyer de 1 250,50 euros", "à 6000 Charleroi", "97411 Saint-Denis",
    "le bus 71 à 7:45", "la Mme du guichet", "une réponse claire, s.v.p.", "permis B depuis 2019", "",
    "elle vient à pied @ la crèche", "le plan 1.2.3", "van maandag tot vrijdag", "24/24, 7j/7",
    "elle n'a ni voiture ni permis : 45 minutes de marche", "niveau A2/B1", "10 000 habitants",
]  # fmt: skip


def niss(body: str, *, century: str = "") -> str:
    """Answer the eleven digits of a Belgian national number: nine, and 97 less the rest by 97."""
    return f"{body}{97 - int(century + body) % 97:02}"


def nir(body: str) -> str:
    """Answer the fifteen signs of a French social security number."""
    counted = body.replace("2A", "19").replace("2B", "18")
    return f"{body}{97 - int(counted) % 97:02}"


@pytest.mark.parametrize("text", PHONES)
def test_a_phone_number_is_seen(text: str) -> None:
    assert telling(text, HER) == "a phone number"


@pytest.mark.parametrize("text", EMAILS)
def test_an_address_is_seen(text: str) -> None:
    assert telling(text, HER) == "an e-mail address"


@pytest.mark.parametrize("text", PLAIN)
def test_plain_words_pass(text: str) -> None:
    assert telling(text, [*HER, "Mme B."]) is None


@pytest.mark.parametrize(
    "text",
    [
        "Eloise cherche",
        "ELOÏSE",
        "l'enfant d'Éloïse.",
        "bensaïd, Saïd",
        "famille Said",
        "le fils Berg",
        "E\u0301loi\u0308se",
    ],
)
def test_her_names_are_seen_in_any_spelling(text: str) -> None:
    assert telling(text, HER) == "her name"


@pytest.mark.parametrize("text", ["Je m'appelle Li", "une liste", "Elois", "bergerie"])
def test_what_only_looks_like_her_name_passes(text: str) -> None:
    assert telling(text, [*HER, "Li"]) is None


SEPARATED = ["{}{}{}{}{}", "{}.{}.{}-{}.{}", "{} {} {} {} {}", "{}/{}/{}-{}-{}", "{}{}{}-{}{}", "{}-{}-{} {}.{}"]


@given(
    st.integers(0, 999_999_999).map(lambda number: f"{number:09}"),
    st.sampled_from(["", "2"]),
    st.sampled_from(SEPARATED),
)
def test_a_belgian_number_is_seen_however_it_is_written(body: str, century: str, way: str) -> None:
    whole = niss(body, century=century)
    text = way.format(whole[:2], whole[2:4], whole[4:6], whole[6:9], whole[9:])
    assert national_number(text)
    assert national_number(f"dossier n°{text}, à voir")
    assert national_number(f"le 12 {text}.")
    assert telling(text, []) == "a national number"


@given(st.integers(0, 999_999_999).map(lambda number: f"{number:09}"), st.integers(0, 99))
def test_other_check_digits_are_no_belgian_number(body: str, check: int) -> None:
    right = {niss(body, century=century)[9:] for century in ("", "2")}
    assert national_number(f"{body}{check:02}") == (f"{check:02}" in right)


@pytest.mark.parametrize("body", ["1910559123456", "285072A004321", "187032B033045", "2990297411001"])
def test_a_french_number_is_seen(body: str) -> None:
    whole = nir(body)
    spaced = " ".join([whole[0], whole[1:3], whole[3:5], whole[5:7], whole[7:10], whole[10:13], whole[13:]])
    for text in (whole, spaced, spaced.replace(" ", "."), f"sécu {spaced}, merci", spaced.lower()):
        assert national_number(text), text
    wrong = f"{whole[:13]}{(int(whole[13:]) + 1) % 97:02}"
    assert not national_number(wrong)


@given(st.text(max_size=60), st.lists(st.text(max_size=12), max_size=3))
def test_what_is_found_is_never_repeated(text: str, names: list[str]) -> None:
    assert telling(text, names) in {
        None, "a national number", "an e-mail address", "a phone number", "her name",
    }  # fmt: skip
