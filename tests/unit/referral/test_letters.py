"""Every language says the same of the same."""

import pytest

from relais_referral.domain.letters import LETTERS, TYPES, first_of, words_of


@pytest.mark.parametrize("language", LETTERS)
def test_every_language_says_everything(language: str) -> None:
    words = words_of(language)
    assert tuple(words.told) == TYPES
    assert "7" in words.many.format(count=7)
    assert all([words.one, words.stop, words.sure, words.yes, *words.told.values()])


@pytest.mark.parametrize(
    ("asked", "first"),
    [("nl-BE,nl;q=0.9", "nl"), ("it, DE;q=0.8, fr;q=0.5", "de"), ("", "fr"), ("*", "fr"), (";;,,-", "fr")],
)
def test_a_browser_is_answered_in_its_first_language_of_ours(asked: str, first: str) -> None:
    assert first_of(asked) == first
    assert words_of("it") is words_of(None) is LETTERS["fr"]
