"""What is printed and kept as proof: whole, in her language, and nothing in it acts or tells who she is."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from relais_referral.domain.consent import Purpose, Status
from relais_referral.domain.visibility import Category
from relais_referral.papers import words
from relais_referral.papers.calendar import Entry, calendar
from relais_referral.papers.card import card, drawing
from relais_referral.papers.paper import LANGUAGES, MARKS, Paper, Section, as_html, as_pdf, language_of
from relais_referral.papers.receipt import (
    CONTEXT,
    PURPOSES,
    STATUS_IN_DPV,
    ConsentFacts,
    Controller,
    kantara,
    receipt,
    receipt_paper,
)
from relais_referral.papers.sheet import CallFacts, sheet

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
HOSTILE = '<script>alert(1)</script> #eval("1") $x$ *fort* `code` @ref \\ // /* */ \' " & \u200b العربية'
instants = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
lines = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)

MANDATORY = {
    "schema_version", "record_id", "pii_principal_id", "receipt_id", "privacy_notice", "language", "purposes",
    "pii_information", "pii_controllers", "storage_locations", "retention_period", "jurisdiction",
    "recipient_third_parties", "withdrawal_method", "lawful_basis", "collection_method", "privacy_rights",
    "authority_party", "events",
}  # fmt: skip
"""The fields of ISO/IEC TS 27560 that are mandatory, those that the GDPR makes so included."""


def facts(**changes: Any) -> ConsentFacts:
    """Answer the facts of a usual consent."""
    usual: dict[str, Any] = {
        "record_id": "5b0c7a4e-0000-4000-8000-000000000001",
        "schema_version": "relais-consent-1",
        "subject": "referral-5b0c7a4e",
        "purposes": ["referral"],
        "data_categories": ["identity", "needs"],
        "controllers": [Controller("a", "Depart", "sender"), Controller("b", "Creche", "recipient", "rue X, 6000")],
        "recipient": "Creche",
        "service": "Accueil",
        "method": "in_person_oral",
        "expressed_by": "spoken",
        "language": "fr",
        "notice": {"version": "2026-1", "language": "fr", "sha256": "ab" * 32},
        "collected_by": "Ana Lopes",
        "given_by": "person",
        "status": "given",
        "recorded_at": NOW,
        "given_at": NOW,
    }
    return ConsentFacts(**{**usual, **changes})


consents = st.builds(
    facts,
    purposes=st.lists(st.sampled_from(PURPOSES), min_size=1, unique=True),
    data_categories=st.lists(st.sampled_from([str(one) for one in Category]), min_size=1, unique=True),
    status=st.sampled_from([str(one) for one in Status]),
    language=st.sampled_from(["fr", "nl-BE", "de", "en", "ti", "ar"]),
    given_at=st.none() | instants,
    valid_until=st.none() | instants,
    article_9_basis=st.none() | lines,
    recipient=lines,
    service=lines,
)


@given(consents)
def test_every_mandatory_field_stands_on_every_receipt(consent: ConsentFacts) -> None:
    made = receipt(consent)
    assert not [name for name in MANDATORY if made.get(name) in (None, "", [], {})]
    assert {one["purpose"] for one in made["purposes"]} == set(PURPOSES)
    assert {one["purpose"] for one in made["purposes"] if one["agreed"]} == set(consent.purposes)
    for one in made["pii_controllers"]:
        assert all(one[f"party_{name}"] for name in ("id", "name", "address", "contact", "type"))
    for one in made["events"]:
        assert all(one[name] for name in ("event_time", "validity_duration", "entity_id", "event_type", "event_state"))
    json.dumps(made)
    # Every field that the vocabulary names has its term, and every prefix that is used is declared.
    prefixes = {value.split(":")[0] for value in CONTEXT.values() if not value.startswith("http")}
    assert prefixes <= CONTEXT.keys()
    assert CONTEXT.keys() >= MANDATORY
    old = kantara(consent)
    assert all(old[name] not in (None, "") for name in ("version", "consentReceiptID", "piiControllers", "services"))


def test_every_status_and_word_has_its_place() -> None:
    assert set(STATUS_IN_DPV) == {str(one) for one in Status}
    assert set(PURPOSES) == {str(one) for one in Purpose}
    for table, keys in (
        (words.CATEGORIES, {str(one) for one in Category}),
        (words.PURPOSES, {str(one) for one in Purpose}),
        (words.STATUSES, {str(one) for one in Status}),
        (words.RECEIPT, words.RECEIPT["fr"].keys()),
        (words.CARD, words.CARD["fr"].keys()),
    ):
        assert set(table) == set(LANGUAGES)
        for language in LANGUAGES:
            assert set(table[language]) == set(keys)
            assert all(table[language].values())


def test_a_discreet_receipt_names_no_structure() -> None:
    consent = facts(
        recipient="Maison Zinzoline",
        service="Abri Zinzolin",
        controllers=[Controller("a", "Zinzoline Aide", "sender")],
    )
    assert "Zinzolin" in as_html(receipt_paper(consent))
    assert "inzolin" not in as_html(receipt_paper(consent, discreet=True))


class Tags(HTMLParser):
    """Every element of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element and its attributes."""
        self.tags.append(tag)
        self.tags += [f"@{name}" for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.text += data


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.just(HOSTILE))
def test_no_value_becomes_markup(value: str) -> None:
    page = Tags(as_html(Paper(value, "fr", [Section(value, [value], [(value, value)])])))
    plain = Tags(as_html(Paper("x", "fr", [Section("x", ["x"], [("x", "x")])])))
    assert page.tags == plain.tags


@settings(max_examples=15, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60) | st.just(HOSTILE))
def test_any_value_is_set_as_text(value: str) -> None:
    made = as_pdf(Paper(f"Titre {value}", "fr", [Section(f"S {value}", [value], [(f"N {value}", value)])]))
    assert made.startswith(b"%PDF-")
    # Signs that the fonts have make an accessible file; others a readable one.
    assert b"pdfuaid" in made or not value.isascii()


@pytest.mark.parametrize("language", ["fr", "nl", "de", "en", "ar"])
def test_papers_speak_her_language_or_french(language: str) -> None:
    paper = receipt_paper(facts(language=language))
    assert paper.language == language_of(language) == (language if language in LANGUAGES else "fr")
    assert f'<html lang="{paper.language}">' in as_html(paper)
    assert as_pdf(paper).startswith(b"%PDF-")


def test_her_card_holds_the_link_and_no_code() -> None:
    link = "https://relais.example/p#AbCdEf0123456789_-xyz"
    paper = card(link, "nl")
    page = as_html(paper)
    assert link in page
    assert page.count("<svg") == 1
    assert "<script" not in page
    assert as_pdf(paper).startswith(b"%PDF-")
    assert drawing(link) != drawing(link + "x")
    assert not re.search(r"\b\d{6}\b", Tags(page).text)


@given(st.frozensets(st.sampled_from([str(one) for one in Category])))
def test_a_call_sheet_says_only_what_she_agreed_to(consented: frozenset[str]) -> None:
    pieces = {
        "identity": {"called": "Mme Zin", "given_name": "Zoé", "family_name": "Quetzal"},
        "contact": {"phone": "0499 87 65 43", "address": "rue Canari 5"},
        "needs": [
            {"theme": "childcare", "words": "deux berceaux"},
            {"theme": "mobility", "words": "la voiture saisie", "hidden_from": ["recipient"]},
        ],
        "constraints": ["pas le mardi"],
        "notes": "elle dort mal",
    }
    text = as_html(
        sheet(CallFacts("Creche", "Accueil", "ABCD2345", ("071 1",), "", "Charleroi", ("fr",), pieces, consented))
    )
    assert ("Quetzal" in text) == ("Mme Zin" in text) == ("identity" in consented)
    assert ("0499 87" in text) == ("rue Canari" in text) == ("contact" in consented)
    assert ("deux berceaux" in text) == ("needs" in consented)
    assert ("pas le mardi" in text) == bool(consented)
    assert "saisie" not in text
    assert "dort mal" not in text
    assert "071 1" in text
    assert "ABCD2345" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_paper_of_a_rehearsal_says_so_across_its_pages(language: str) -> None:
    """Beside the text as a page, behind it in a PDF that can still be read aloud; a real paper says nothing."""
    real = Paper("Reçu", language, [Section("S", ["p"])])
    practised = replace(real, practice=True)
    assert f'<p class="mark">{practised.mark}</p>' in as_html(practised)
    assert 'class="mark"' not in as_html(real)
    drawn = as_pdf(practised)
    assert b"pdfuaid" in drawn
    assert len(drawn) > len(as_pdf(real))
    facts = CallFacts("Crèche", "Accueil", "ABCD2345", practice=True)
    assert sheet(facts).mark == "Exercice"


@given(st.lists(st.builds(
    Entry,
    referral_id=st.uuids().map(str),
    short_code=st.text("ABCDEFGH23456789", min_size=8, max_size=8),
    starts_at=instants,
    mode=st.sampled_from(["visit", "call", "video"]),
    sequence=st.integers(0, 10_000),
    stamped_at=instants,
    place=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=200),
    cancelled=st.booleans(),
), max_size=5))  # fmt: skip
def test_a_calendar_reads_as_it_was_written(entries: list[Entry]) -> None:
    made = calendar(entries)
    assert all(len(line) <= 75 for line in made.split(b"\r\n"))
    events = Calendar.from_ical(made).walk("VEVENT")
    assert len(events) == len(entries)
    for event, entry in zip(events, entries, strict=True):
        assert event.decoded("dtstart").replace(microsecond=0) == entry.starts_at.replace(microsecond=0)
        assert entry.short_code in str(event["summary"])
        assert (str(event["status"]) == "CANCELLED") == entry.cancelled
        assert int(event["sequence"]) == entry.sequence


def test_a_meeting_moves_under_its_own_name() -> None:
    one = Entry("r1", "ABCD2345", NOW, "visit", 3, NOW)
    moved = Entry("r1", "ABCD2345", NOW + timedelta(days=1), "visit", 4, NOW)
    [before], [after] = (Calendar.from_ical(calendar([each])).walk("VEVENT") for each in (one, moved))
    assert before["uid"] == after["uid"]
    assert int(after["sequence"]) > int(before["sequence"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_meeting_of_a_rehearsal_says_so_in_every_calendar(language: str) -> None:
    real = Entry("r1", "", NOW, "visit", 3, NOW, language=language)
    made = calendar([real, replace(real, practice=True)])
    said = [str(event["summary"]) for event in Calendar.from_ical(made).walk("VEVENT")]
    assert said[1] == f"{MARKS[language]} · {said[0]}"
