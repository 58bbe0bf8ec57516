"""What the pages say and draw, without a server: pure functions."""

from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from math import hypot
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_gateway.web import drawing, phrases, relay, steps
from relais_gateway.web.assets import asset_url, assets
from relais_gateway.web.languages import speaking
from relais_gateway.web.relay import RelayForm
from relais_gateway.web.session import inside

NOON = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)
CHARLEROI = (50.4114, 4.4444)

spots = st.tuples(st.floats(50.3, 50.5, allow_nan=False), st.floats(4.3, 4.6, allow_nan=False))


@given(st.lists(spots, min_size=1, max_size=20))
def test_every_place_is_on_the_sheet_and_the_drawing_never_varies(places: list[tuple[float, float]]) -> None:
    numbered = dict(enumerate(places, start=1))
    drawn = drawing.draw([], numbered, CHARLEROI)
    assert drawn is not None
    assert drawn == drawing.draw([], numbered, CHARLEROI)
    assert [mark.number for mark in drawn.marks] == list(numbered)
    assert all(0 < mark.x < drawing.WIDTH and 0 < mark.y < drawing.HEIGHT for mark in drawn.marks)


def test_twenty_places_in_one_house_can_each_be_read() -> None:
    drawn = drawing.draw([], dict.fromkeys(range(1, 21), CHARLEROI), CHARLEROI)
    assert drawn is not None
    gaps = [hypot(one.x - other.x, one.y - other.y) for one in drawn.marks for other in drawn.marks if one is not other]
    assert min(gaps) > drawing.APART * 0.6


def test_north_is_up_and_east_is_right() -> None:
    drawn = drawing.draw([], {1: (50.45, 4.4444), 2: (50.4114, 4.5)}, CHARLEROI)
    assert drawn is not None
    assert drawn.here is not None
    north, east = drawn.marks
    assert north.y < drawn.here[1]
    assert east.x > drawn.here[0]


def test_without_a_place_and_a_point_there_is_no_map() -> None:
    assert drawing.draw([], {}, None) is None


@given(st.lists(st.tuples(st.floats(50.405, 50.418), st.floats(4.435, 4.455)), min_size=1, max_size=2))
def test_the_stops_of_a_walk_are_whole_on_the_sheet_and_apart(stops: list[tuple[float, float]]) -> None:
    drawn = drawing.draw_walk(CHARLEROI, dict(enumerate(stops)))
    assert drawn is not None
    assert [mark.number for mark in drawn.marks] == list(range(len(stops)))
    points = [(mark.x, mark.y) for mark in drawn.marks]
    assert all(26 <= x <= drawing.WIDTH - 26 and 26 <= y <= drawing.HEIGHT - 26 for x, y in points)
    points.append(drawn.here)
    gaps = [hypot(one[0] - other[0], one[1] - other[1]) for one, other in combinations(points, 2)]
    assert min(gaps) > 52 - 1
    assert 0 < drawn.ring < drawing.HEIGHT / 2


def test_the_ring_of_a_walk_is_so_many_minutes_away() -> None:
    """Five minutes of a slow walk are 350 metres, and 269 as the crow flies."""
    drawn = drawing.draw_walk(CHARLEROI, {0: (50.4114 + 0.28 / drawing.KM_PER_DEGREE, 4.4444)})
    assert drawn is not None
    (stop,) = drawn.marks
    assert drawn.minutes == 5
    assert drawn.here[1] - stop.y == pytest.approx(drawn.ring * 0.28 / 0.2692, rel=0.01)
    assert drawing.draw_walk(CHARLEROI, {}) is None


def test_what_lies_far_away_is_not_drawn() -> None:
    square = [[4.4, 50.4], [4.5, 50.4], [4.5, 50.5], [4.4, 50.4]]
    far = [[longitude - 3, latitude] for longitude, latitude in square]
    features: list[dict[str, Any]] = [
        {"properties": {"name": name}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
        for name, ring in (("Ici, et autour", square), ("Loin", far))
    ]
    drawn = drawing.draw(drawing.outlines_of(features), {1: CHARLEROI}, CHARLEROI)
    assert drawn is not None
    assert len(drawn.lands) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-11-23", "aujourd'hui"),
        ("2026-11-22", "hier"),
        ("2026-11-20", "il y a 3 jours"),
        ("2026-11-23T10:59:40Z", "à l'instant"),
        ("2026-11-23T08:00:00Z", "il y a 3 heures"),
        (None, ""),
        ("bientôt", ""),
    ],
)
def test_how_long_ago_is_said_as_people_say_it(text: str | None, said: str) -> None:
    assert phrases.ago(text, NOON) == said


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("fr", "dimanche 1er novembre"),
        ("nl", "zondag 1 november"),
        ("de", "Sonntag, 1. November"),
        ("en", "Sunday 1 November"),
    ],
)
def test_a_day_is_written_as_each_language_writes_it(code: str, said: str) -> None:
    with speaking(code):
        assert phrases.day(date(2026, 11, 1), NOON.date()) == said
        assert phrases.day(date(2026, 11, 11), NOON.date()) != said


def test_distances_and_numbers_are_said_as_people_say_them() -> None:
    said = [phrases.distance(metres) for metres in (3, 412, 1_240, 14_400, None)]
    assert said == ["10\xa0m", "410\xa0m", "1,2\xa0km", "14\xa0km", ""]
    assert [phrases.places(number) for number in (0, 1, 2)] == [
        "0\xa0place",
        "1\xa0place",
        "2\xa0places",
    ]


def test_why_a_card_is_there_is_said_with_the_word_that_was_typed() -> None:
    card = {"why": {"words": ["permi"], "themes": ["mobility--driving-licence"], "filters": []}}
    assert phrases.why(card, "le Permis") == "« Permis » → mobilité"
    assert phrases.why({"why": {"words": [], "themes": ["support"]}}, "") == "soutien"
    assert phrases.why({}, "") == ""


@pytest.mark.parametrize(
    ("code", "said", "inside"),
    [("fr", "Sur place", "sur place"), ("de", "Vor Ort", "vor Ort"), ("de", "Mobilität", "Mobilität")],
)
def test_a_german_noun_keeps_its_capital_within_a_sentence(code: str, said: str, inside: str) -> None:
    with speaking(code):
        assert phrases.within(said) == inside


def test_where_things_stand_names_the_day_or_the_hour() -> None:
    assert phrases.standing("proposed", "2026-11-17T09:00:00Z", NOON) == "En attente de réponse depuis mardi"
    assert phrases.standing("proposed", "2026-11-23T09:30:00Z", NOON).endswith("depuis 10\xa0h\xa030")
    assert phrases.standing("accepted", "2026-11-22T09:00:00Z", NOON) == "Relais pris, hier"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Mo-Fr 07:00-18:30; PH off", ["Du lundi au vendredi : 7\xa0h à 18\xa0h\xa030", "Fermé les jours fériés"]),
        ("Mo,We 09:00-12:00,13:00-16:00", ["Lundi, mercredi : 9\xa0h à 12\xa0h, 13\xa0h à 16\xa0h"]),
        ("SH off", ["Fermé pendant les vacances scolaires"]),
        ("sunrise-sunset", ["Sunrise-sunset"]),
    ],
)
def test_hours_are_said_in_words_and_a_rare_rule_is_not_lost(written: str, said: list[str]) -> None:
    assert phrases.hours(written) == said


def test_an_empty_form_asks_for_at_most_five_things() -> None:
    assert 0 < len(RelayForm.new("", "").missing(sensitive=False)) <= 6
    # The boxes of what she agrees to are part of her answer, not one more question.
    assert set(RelayForm.new("", "").missing(sensitive=False)) - {"categories"} == {
        "theme", "called", "reach", "place", "answer",
    }  # fmt: skip


def test_what_belongs_to_another_way_of_reaching_her_is_not_sent() -> None:
    form = RelayForm.of(
        {"called": "Amina", "reach": "via_sender", "phone": "0470 11 22 33", "theme": "childcare"},
        {"safety": ["sms"]},
    )
    body = form.draft({}, {"name": "Ana"}, {"municipality": "be:52011"})
    assert "0470" not in str(body)
    assert body["person"]["identity"] == {"called": "Amina"}
    assert body["person"]["contact"]["reach"] == "via_sender"


def test_nothing_is_agreed_beforehand_and_a_no_is_no_consent() -> None:
    form = RelayForm.new("", "")
    assert (form.categories, form.answer, form.feedback, form.sensitive, form.safety) == ((), "", False, False, ())
    assert "answer" in RelayForm.of({"answer": "no"}, {}).missing(sensitive=False)


def test_every_fault_of_the_form_has_a_field_and_words() -> None:
    names = {each.name for each in fields(RelayForm)} | {"service"}
    assert set(relay.FIELDS.values()) <= set(relay.FAULTS)
    assert set(relay.FAULTS) <= names


def test_a_fault_of_the_api_is_said_beside_its_field() -> None:
    found = relay.faults_of("invalid-input", [("/person/contact/phone", "x"), ("/person/identity", "x"), ("/?", "")])
    assert found == {"phone": relay.FAULTS["phone"], "called": relay.FAULTS["called"]}
    telling = relay.faults_of("personal-data-detected", [("/needs/0/words", "holds a phone number")])
    assert telling == {"words": relay.TELLING}
    assert relay.faults_of("internal", []) == {}


def test_a_draft_that_was_changed_again_and_again_is_told_once() -> None:
    changed = [{"type": "referral.changed", "at": each} for each in (1, 2, 3)]
    rows = [{"type": "referral.drafted"}, *changed[:2], {"type": "consent.given"}, changed[2]]
    assert steps.told(rows) == [rows[0], changed[1], rows[3], changed[2]]
    assert steps.told([]) == []


def test_who_looked_is_one_line_for_each_structure_and_day() -> None:
    ours, theirs = str(uuid4()), str(uuid4())
    referral = {
        "sender": {"organisation_id": ours, "name": "Départ"},
        "recipient": {"organisation_id": theirs, "name": "Arrivée"},
    }
    seen = [(theirs, 0, ["identity"]), (theirs, 1, ["contact", "identity"]), (ours, 30, ["needs"]), (ours, 2, [])]
    looks = steps.looks(
        [
            {"at": (NOON - timedelta(hours=hours)).isoformat(), "organisation_id": who, "categories": what}
            for who, hours, what in seen
        ],
        referral,
    )
    assert [(look.organisation, look.categories, look.times) for look in looks] == [
        ("Arrivée", ("identity", "contact"), 2),
        ("Départ", ("needs",), 1),
    ]


def test_a_meeting_without_a_time_is_to_be_agreed_or_a_fault() -> None:
    def form(**values: str) -> Any:
        return SimpleNamespace(one=lambda name: values.get(name, ""), all=lambda _name: [])

    by = steps.Counsellor("Ben", "ben@arrivee.example", "")
    later, none = steps.STEPS["plan_meeting"](form(agreed="later"), by)
    assert (later["to_be_agreed"], none) == (True, {})
    _, faults = steps.STEPS["plan_meeting"](form(on="2026-11-31", at="9"), by)
    assert set(faults) == {"on"}
    body, none = steps.STEPS["plan_meeting"](form(on="2026-11-30", at="09:30"), by)
    assert (body["starts_at"], none) == ("2026-11-30T09:30:00+01:00", {})


@given(st.text(max_size=40))
def test_after_signing_in_one_never_leaves_the_site(wanted: str) -> None:
    path = inside(wanted)
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))


@pytest.mark.parametrize("wanted", ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example"])
def test_an_address_elsewhere_leads_home(wanted: str) -> None:
    assert inside(wanted) == "/"


def test_every_file_is_named_by_its_content_and_the_first_page_is_light() -> None:
    assert asset_url("relais.css") == f"/static/relais.css?v={assets()['relais.css'].mark}"
    first = {"relais.css", "counsellor.css", "relais.js", "icons.svg", "favicon.svg"}
    weights = {name: len(each.squeezed or each.body) for name, each in assets().items()}
    font = sum(weight for name, weight in weights.items() if name.endswith("woff2"))
    assert font + sum(weights[name] for name in first) < 50_000
    for name, each in assets().items():
        if name.endswith((".css", ".js")):
            assert b"http" not in each.body, name
