"""What people write: words without accents, case or plural, and the themes that they mean."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

EMPTY: Final = frozenset(
    [
        "a",
        "au",
        "aux",
        "avec",
        "ce",
        "ces",
        "d",
        "dans",
        "de",
        "des",
        "du",
        "en",
        "et",
        "l",
        "la",
        "le",
        "les",
        "ma",
        "mes",
        "mon",
        "ou",
        "par",
        "pas",
        "pour",
        "pres",
        "proche",
        "qui",
        "sa",
        "ses",
        "son",
        "sur",
        "un",
        "une",
        "vers",
        "aan",
        "bij",
        "de",
        "een",
        "en",
        "het",
        "in",
        "mijn",
        "naar",
        "of",
        "op",
        "te",
        "van",
        "voor",
        "am",
        "an",
        "auf",
        "das",
        "der",
        "die",
        "ein",
        "eine",
        "fur",
        "im",
        "in",
        "ist",
        "mein",
        "mit",
        "und",
        "von",
        "zu",
        "zum",
        "zur",
        "and",
        "at",
        "for",
        "from",
        "i",
        "in",
        "is",
        "my",
        "near",
        "of",
        "on",
        "or",
        "the",
        "to",
    ]
)
"""Words that say nothing about a need, in the four languages."""

LONG_ENOUGH_TO_ERR: Final = 5
"""Letters from which one wrong letter is forgiven: shorter words have too many neighbours."""


def plain(text: str) -> str:
    """Answer a text without accents, case and signs: words of letters and digits parted by one blank."""
    flat = unicodedata.normalize("NFKD", text.casefold().replace("œ", "oe").replace("æ", "ae"))
    flat = "".join(sign for sign in flat if not unicodedata.combining(sign))
    return " ".join(re.findall(r"[a-z0-9]+", flat))


def stem(word: str) -> str:
    """Answer a plain word without the commonest endings of the plural."""
    for ending, singular, least in (("eaux", "eau", 4), ("aux", "al", 5), ("s", "", 4), ("x", "", 4)):
        if word.endswith(ending) and len(word) >= least:
            return word.removesuffix(ending) + singular
    return word


def stems(text: str) -> tuple[str, ...]:
    """Answer the plain, singular words of a text that say something."""
    return tuple(stem(word) for word in plain(text).split() if word not in EMPTY)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a query means.

    Attributes:
        themes: Those that its words name.
        by: The words that led there, as written.
        words: The stems of those left to be found in texts.
        spelt: The same, as written.
    """

    themes: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    spelt: tuple[str, ...] = ()


class Lexicon:
    """The words that people use, ready to be looked up.

    Args:
        words: Spelt words and phrases by theme.
    """

    def __init__(self, words: Mapping[str, Iterable[str]]) -> None:
        self._themes: dict[tuple[str, ...], set[str]] = {}
        for theme, spelt in words.items():
            for phrase in spelt:
                if key := stems(phrase):
                    self._themes.setdefault(key, set()).add(theme)
        self._longest = max(map(len, self._themes), default=1)
        self._singles = sorted(key[0] for key in self._themes if len(key) == 1)

    def meaning(self, query: str) -> Meaning:
        """Answer what a query means, the longest phrases first, one wrong letter forgiven in long words."""
        written = [word for word in plain(query).split() if word not in EMPTY]
        left = [stem(word) for word in written]
        themes: list[str] = []
        by: list[str] = []
        words: list[str] = []
        spelt: list[str] = []
        place = 0
        while place < len(left):
            for size in range(min(self._longest, len(left) - place), 0, -1):
                phrase = tuple(left[place : place + size])
                known = self._themes.get(phrase) or (self._nearly(phrase[0]) if size == 1 else None)
                if known:
                    themes += sorted(known)
                    by.append(" ".join(written[place : place + size]))
                    place += size
                    break
            else:
                words.append(left[place])
                spelt.append(written[place])
                place += 1
        return Meaning(tuple(dict.fromkeys(themes)), tuple(by), tuple(words), tuple(spelt))

    def _nearly(self, word: str) -> set[str] | None:
        if len(word) < LONG_ENOUGH_TO_ERR:
            return None
        near = next((known for known in self._singles if one_apart(word, known)), None)
        return self._themes[(near,)] if near else None


@lru_cache(maxsize=50_000)
def one_apart(one: str, other: str) -> bool:
    """Answer whether one letter changed, added, dropped or swapped with its neighbour makes two words equal."""
    if abs(len(one) - len(other)) > 1 or min(len(one), len(other)) < LONG_ENOUGH_TO_ERR - 1:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    rest, rest_of_other = one[start:], other[start:]
    if len(one) == len(other):
        swapped = rest[:2] == rest_of_other[:2][::-1] and rest[2:] == rest_of_other[2:]
        return rest[1:] == rest_of_other[1:] or swapped
    longer, shorter = (rest, rest_of_other) if len(one) > len(other) else (rest_of_other, rest)
    return longer[1:] == shorter
