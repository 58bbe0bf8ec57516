"""What the person reads is plain: short sentences, everyday words; and what the words of her page answer."""

import re
from datetime import UTC, date, datetime

import pytest
from starlette.datastructures import FormData
from unit.gateway.test_languages import first, texts

from relais_gateway.web.languages import LANGUAGES, speaking
from relais_gateway.web.person import words
from relais_gateway.web.person.deeds import correction
from relais_gateway.web.person.door import code_of

LONGEST_SENTENCE = 16
"""Words: what one hears in a breath. The easy-to-read rules of Inclusion Europe ask for short sentences."""
LONGEST_WORD = 16
JARGON = re.compile(
    r"révoqu|consent|usag|bénéficiair|dispositif|orientation|accompagnement|confidentialité|authentifi|destinataire|"
    r"modalité|procédure|cas échéant|veuillez|erreur|!",
    re.IGNORECASE,
)


def hers() -> list[str]:
    """Answer every French text of her pages."""
    return [first(key) for key, where in texts() if re.match(r"(templates/)?person/", where)]


def test_every_sentence_is_short_and_plain() -> None:
    found = hers()
    assert len(found) > 250
    for text in found:
        for sentence in re.split(r"[.?:](?:\s|$)", text):
            said = re.findall(r"[\w%()·]+(?:['-][\w]+)*", sentence)
            assert len(said) <= LONGEST_SENTENCE, sentence
            assert not [one for one in said if len(one) > LONGEST_WORD and "%" not in one], sentence
        assert not JARGON.search(text), text


@pytest.mark.parametrize("spoken", LANGUAGES)
@pytest.mark.parametrize("state", words.STANDING)
def test_where_things_stand_is_said_in_each_language_and_names_nobody_on_a_discreet_card(
    state: str, spoken: str
) -> None:
    item = {"state": state, "recipient": {"name": "Nidouce"}, "meeting": None}
    with speaking(spoken):
        assert "Nidouce" in words.standing(item, discreet=False)
        told = words.standing(item, discreet=True)
    assert told
    assert "Nidouce" not in told
    assert "%" not in told


@pytest.mark.parametrize(
    ("spoken", "said"),
    [
        ("fr", "jeudi 3 décembre à 9\u00a0h\u00a030"),
        ("nl", "donderdag 3 december om 09.30 uur"),
        ("de", "Donnerstag, 3. Dezember um 09:30 Uhr"),
        ("en", "Thursday 3 December at 09:30"),
    ],
)
def test_a_meeting_is_said_as_people_say_it(spoken: str, said: str) -> None:
    with speaking(spoken):
        assert words.when("2026-12-03T08:30:00Z") == said


def test_a_pause_and_an_erasure_come_before_the_state() -> None:
    assert words.standing({"state": "accepted", "paused": {"since": "x"}}, discreet=False).startswith("C'est en pause")
    assert words.standing({"erased": {"erased_at": "x"}}, discreet=False).startswith("C'est effacé")


def test_whether_a_day_is_ahead() -> None:
    now = datetime(2026, 12, 3, 22, 0, tzinfo=UTC)
    assert words.ahead("2026-12-04T08:00:00Z", now)
    assert not words.ahead("2026-12-03T08:00:00Z", now)
    assert not words.ahead(None, now)
    assert words.day(date(2026, 12, 3)) == "jeudi 3 décembre"


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"digits": "482 910"}, {"kind": "digits", "value": "482910"}),
        (
            {"digits": "", "picture1": "4", "picture2": "0", "picture3": "11", "picture4": "4"},
            {"kind": "pictures", "value": [4, 0, 11, 4]},
        ),
        ({"digits": "48291"}, None),
        ({"picture1": "4", "picture2": "12", "picture3": "1", "picture4": "1"}, None),
        ({}, None),
    ],
)
def test_a_code_is_four_pictures_or_six_digits(form: dict[str, str], code: object) -> None:
    assert code_of(FormData(form)) == code


def test_what_she_does_not_tick_is_no() -> None:
    form = FormData(
        [("of", "contact"), ("reach", "phone"), ("phone", "0477 11 22 33"), ("safety", "sms"), ("times", "")]
    )
    asked = correction(form)["contact"]
    assert asked["safety"] == {"voicemail": False, "sms": True, "may_say_who": False, "shared_phone": False}
    assert "times" not in asked["safety"]
