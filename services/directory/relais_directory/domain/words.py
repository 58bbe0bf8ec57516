"""What people write: words without accents, case or plural, and the themes that they mean (docs/words.md)."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final, NamedTuple

EMPTY: Final = frozenset(
    word
    for language in (
        (
            "a ai au aux avec ce ces cet cette c d dans de des du elle en entre es est et il ils j je l la le les "
            "leur leurs lui m ma me mes moi mon n ne nos notre nous on ont ou par pas pour pres proche proches qu "
            "que qui s sa se ses si son sont suis sur t ta tes ton tu un une vers vos votre vous y"
        ),
        (
            "aan bij dat de deze die dit door een en er haar het hij hun ik in is jij maar met mij mijn naar niet "
            "nog of om ons onze op te tot uit uw van voor wat we wij ze zich zij zijn"
        ),
        (
            "als am an auf aus bei bin das dass dem den der des die diese diesem diesen dieser dieses du durch ein "
            "eine einem einen einer es fur hat ich ihr im in ist mein meine meinem meinen meiner mich mir mit nach "
            "nicht oder sein sich sie sind um und uns unser unsere von wir zu zum zur"
        ),
        (
            "am an and are at be for from he her his i in is it me my near of on or our she the their they this to "
            "we with you your"
        ),
    )
    for word in language.split()
)
"""Words that say nothing about a need, in French, Dutch, German and English; neither queries nor texts keep them.

"one" is not among them: O.N.E. is the office of birth and childhood.
"""

ASKING: Final = frozenset(
    word
    for language in (
        (
            "aide aider aimerais avoir besoin besoins bon bonjour bonne bonsoir cherche chercher cherchons comment "
            "deux dois doit doivent donner etes etre faire fait faut gens info infos information informations merci "
            "obtenir personne petit petite petits peut peux place places plus possible pourrait pouvoir puis quand "
            "quel quelle quelles quelqu quelque quels recherche rechercher renseignement renseignements sais savoir "
            "stp svp tres trois trouve trouver urgence urgent veut veux voudrais voudrait"
        ),
        (
            "graag goede heb hebben heeft helpen hoe hulp iemand informatie kan kunnen moet nodig plaats vind "
            "vinden waar wanneer wie wil willen zoek zoeken zoekt"
        ),
        (
            "bitte brauche brauchen braucht finde finden gibt habe haben helfen hilfe jemand jemanden kann konnen "
            "mochte muss platz suche suchen sucht wann wer wie will wo"
        ),
        (
            "about any can do find get getting have help how look looking need needs please some somebody someone "
            "there want when where who would like"
        ),
    )
    for word in language.split()
)
"""Words of asking rather than of what is asked, in the same languages.

They may stand inside a known phrase ("aide ménagère") and between its words ("garder mes deux enfants"); elsewhere they
are left aside as soon as the query says anything else. Texts keep them, so that "aide" alone still finds something.
"""

LONG_ENOUGH_TO_ERR: Final = 5
"""Letters from which one wrong letter is forgiven: shorter words have too many neighbours."""

LONG_ENOUGH_TO_BEGIN_WRONG: Final = 7
"""Letters of a known word from which the first may be the wrong one: in shorter ones that mostly makes another word.

(loyer and foyer, train and grain; two first letters swapped are forgiven from five on.)
"""

LONG_ENOUGH_TO_ERR_TWICE: Final = 9
"""Letters from which a second wrong letter is forgiven, behind the beginning."""

BEGINNING: Final = 3
"""Letters at the beginning that are right where two others are wrong."""

ROOT: Final = 4
"""Letters that a root has at least."""

BETWEEN: Final = 3
"""Words of asking that may stand between the words of a phrase: more make it another phrase."""

_TOGETHER: Final = re.compile(r"(?<![^\W_])([a-z](?:\.[a-z])+)(?![^\W_])\.?")
"""Letters parted by full stops: C.P.A.S. is CPAS."""
_WORD: Final = re.compile(r"[a-z0-9]+")
_TWO_LETTERS: Final = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d"})
"""Letters that Unicode does not take apart."""
_UMLAUTS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
"""How German is written without its letters: Fuehrerschein."""
_SINGULAR: Final = {"travaux": "travail", "baux": "bail", "vitraux": "vitrail", "yeux": "oeil"}
"""French plurals that follow no rule and matter here."""
_HARDENED: Final = str.maketrans("vz", "fs")
"""Dutch plurals soften the last letter: brieven of brief, huizen of huis."""


ANOTHER_FORM: Final = -0.5
"""What another form of a word (`root`), or a compound written apart, counts against a wrong letter's -1."""


def plain(text: str) -> str:
    """Answer a text without accents, case and signs: words of letters and digits parted by one blank.

    An abbreviation with full stops becomes one word: `C.P.A.S.` is `cpas`.
    """
    if text.isascii():
        flat = text.lower()
    else:
        flat = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold().translate(_TWO_LETTERS))
        flat = "".join([sign for sign in flat if not unicodedata.combining(sign)])
    if "." in flat:
        flat = _TOGETHER.sub(lambda found: found[1].replace(".", ""), flat)
    return " ".join(_WORD.findall(flat))


def stem(word: str) -> str:
    """Answer a plain word without the commonest endings of the plural."""
    if word[-1:] not in {"s", "x"} or len(word) < 4:  # noqa: PLR2004 - shorter ones ("bus") are no plurals
        return word
    if singular := _SINGULAR.get(word):
        return singular
    if word.endswith("aux") and not word.endswith("eaux"):
        return word[:-3] + "al" if len(word) > 4 else word[:-1]  # noqa: PLR2004 - "taux", "faux": no root is left
    return word[:-1]


def stems(text: str) -> tuple[str, ...]:
    """Answer the plain, singular words of a text that say something."""
    return tuple(stem(word) for word in plain(text).split() if word not in EMPTY)


def root(word: str) -> str:
    """Answer what stays of a plain word in its other forms: its singular, feminine or declined ending, doubled letters.

    Coarser than `stem`, so only known words are looked up by it, never texts: fietsen is fiets, Krippen is Krippe,
    brieven is brief, indépendante is indépendant. Empty where fewer than four letters would be left: too many words
    share so little.
    """
    word = _without("s", word)
    if (shorter := _without("en", word)) != word:
        word = shorter[:-1] + shorter[-1].translate(_HARDENED)
    word = _without("e", word)
    word = "".join([sign for sign, before in zip(word, " " + word, strict=False) if sign != before])
    word = _without("s", word)
    # nannies, nanny: the e has gone already.
    word = word[:-1] + "i" if word.endswith("y") else word
    return word if len(word) >= ROOT else ""


def _without(ending: str, word: str) -> str:
    return word.removesuffix(ending) if len(word) > ROOT else word


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


class _Found(NamedTuple):
    """A known phrase at one place of a query; of several, the longest with the fewest errors counts."""

    end: int
    """The place of the word behind it."""
    right: float
    """Minus the errors in it; another form of a word is half an error."""
    themes: frozenset[str]
    written: str


class _Begun(NamedTuple):
    """A phrase of which some words were read."""

    end: int
    key: tuple[str, ...] = ()
    right: float = 0.0
    written: tuple[str, ...] = ()
    between: int = 0
    """Words of asking passed over."""


_Meant = tuple[tuple[str, float], ...]
"""What one written word stands for: stems of known words, and minus its errors."""


class Lexicon:
    """The words that people use, ready to be looked up.

    A word means the first of these that is known: itself or its plural; another form of it (`root`); words with one
    letter more, less, changed or swapped; in long words, with two. Where several known words are equally near, all of
    them are meant: a counsellor sees which in `why`, and too much is easier to narrow than nothing. Words that are one
    or two letters away by chance (ville and viol, transfert and transport) stand in `lookalikes`, as data.

    Args:
        words: Spelt words and phrases by theme.
        lookalikes: Words that mean nothing but themselves, however near they are to a known one.
    """

    def __init__(self, words: Mapping[str, Iterable[str]], lookalikes: Iterable[str] = ()) -> None:
        self._themes: dict[tuple[str, ...], frozenset[str]] = {}
        self._forms: dict[str, str] = {}  # every spelling of a known word: its stem
        for theme, spelt in words.items():
            for phrase in spelt:
                for written in _spellings(phrase):
                    said = [word for word in written.split() if word not in EMPTY]
                    self._forms |= {word: stem(word) for word in said}
                    key = tuple(map(stem, said))
                    if key:
                        self._themes[key] = self._themes.get(key, frozenset()) | {theme}
        self._known = frozenset(self._forms.values())
        self._begun = frozenset(key[:size] for key in self._themes for size in range(1, len(key)))
        self._apart = frozenset(
            word for phrase in lookalikes for word in plain(phrase).split() if word not in self._forms
        )
        self._roots: dict[str, set[str]] = {}
        near: dict[str, tuple[str, ...]] = {}  # tuples, not sets: a hundred thousand of these take half the room
        self._alike: dict[str, _Meant] = {}
        self._beginnings = frozenset(form[:BEGINNING] for form in self._forms if len(form) >= LONG_ENOUGH_TO_ERR_TWICE)
        for form in {*self._forms, *self._known}:
            known = self._forms.get(form, form)
            self._roots.setdefault(root(form) or form, set()).add(known)
            if len(form) >= LONG_ENOUGH_TO_ERR:
                for shorter in _shortened(form):
                    near[shorter] = (*near.get(shorter, ()), form)
        self._near = near
        for known in self._known:
            others = self._roots.get(root(known) or known, set()) - {known}
            self._alike[known] = ((known, 0.0), *((one, ANOTHER_FORM) for one in sorted(others)))

    def meaning(self, query: str) -> Meaning:
        """Answer what a query means, the longest phrases first, typing errors forgiven in long words."""
        written = [word for word in plain(query).split() if word not in EMPTY]
        meant = [self._meant(word) for word in written]
        themes: dict[str, None] = {}
        by: list[str] = []
        left: list[str] = []
        place = 0
        while place < len(written):
            best: tuple[int, float] | None = None
            named: set[str] = set()
            words = ""
            for one in self._phrases(written, meant, _Begun(place)):
                if best is None or one[:2] > best:
                    best, named, words = one[:2], set(one.themes), one.written
                elif one[:2] == best:
                    named |= one.themes
            if best:
                themes |= dict.fromkeys(sorted(named))
                by.append(words)
                place = best[0]
            else:
                left.append(written[place])
                place += 1
        said = [word for word in left if word not in ASKING]
        if not said and not themes:
            said = left
        return Meaning(tuple(themes), tuple(by), tuple(map(stem, said)), tuple(said))

    def _phrases(self, written: list[str], meant: list[_Meant], begun: _Begun) -> Iterator[_Found]:
        """Find every known phrase that begins so."""
        end, key, right, words, between = begun
        if end == len(written):
            return
        word = written[end]
        steps = [(known, end + 1, less) for known, less in meant[end]]
        if end + 1 < len(written):
            # Compound words are often written apart: "kinder opvang", "baby sitting".
            joined = word + written[end + 1]
            if known := self._forms.get(joined) or (stem(joined) if stem(joined) in self._known else None):
                steps.append((known, end + 2, ANOTHER_FORM))
        for known, after, less in steps:
            longer = _Begun(after, (*key, known), right + less, (*words, *written[end:after]), between)
            if themes := self._themes.get(longer.key):
                yield _Found(after, longer.right, themes, " ".join(longer.written))
            if longer.key in self._begun:
                yield from self._phrases(written, meant, longer)
        if key and word in ASKING and between < BETWEEN:
            yield from self._phrases(written, meant, _Begun(end + 1, key, right, words, between + 1))

    def _meant(self, word: str) -> _Meant:
        """Answer the known words that a written one stands for: those with the fewest errors, or none.

        A known word stands for its other forms too, so that a phrase is found by any of them.
        """
        known = self._forms.get(word)
        if known is None and (singular := stem(word)) in self._known and word not in self._apart:
            known = singular
        if known is not None:
            return self._alike[known]
        if word in ASKING or word in self._apart or not word.isalpha():
            return ()
        if found := self._roots.get(root(word) or word):
            return tuple((one, ANOTHER_FORM) for one in sorted(found))
        return self._nearly(word) if len(word) >= LONG_ENOUGH_TO_ERR else ()

    def _nearly(self, word: str) -> _Meant:
        found: set[str] = set()
        for form in self._neighbours(word, 1):
            first = word[0] == form[0] or word[:2] == form[1::-1]
            if (first or len(form) >= LONG_ENOUGH_TO_BEGIN_WRONG) and one_apart(word, form):
                found.add(self._forms.get(form, form))
        if found:
            return tuple((one, -1.0) for one in sorted(found))
        if len(word) >= LONG_ENOUGH_TO_ERR_TWICE and word[:BEGINNING] in self._beginnings:
            for form in self._neighbours(word, 2):
                long = len(form) >= LONG_ENOUGH_TO_ERR_TWICE
                if long and word[:BEGINNING] == form[:BEGINNING] and _apart(word, form, 2):
                    found.add(self._forms.get(form, form))
        return tuple((one, -2.0) for one in sorted(found))

    def _neighbours(self, word: str, errors: int) -> set[str]:
        """Answer the known forms that share a shortened form with a word: all that are so near, and some others.

        This is the deletion neighbourhood of SymSpell: both sides leave letters out, so that one look-up serves for
        letters added, dropped, changed and swapped.
        """
        found: set[str] = set()
        for shorter in _shortened(word, errors):
            if forms := self._near.get(shorter):
                found.update(forms)
        return found


def _spellings(phrase: str) -> set[str]:
    """Answer a phrase as it may be written: its hyphens left out, its umlauts spelt with an e."""
    ways = {phrase, phrase.replace("-", "")}
    return {plain(one) for way in ways for one in (way, way.casefold().translate(_UMLAUTS))}


def _shortened(word: str, errors: int | None = None) -> set[str]:
    """Answer a word with letters left out: at most `errors`, by default as many as may be wrong in one so long.

    The beginning stays where a second error is looked for.
    """
    most = errors or (2 if len(word) >= LONG_ENOUGH_TO_ERR_TWICE else 1)
    found = {word}
    found.update(word[:at] + word[at + 1 :] for at in range(len(word)))
    if most > 1:
        found.update(
            word[:one] + word[one + 1 : other] + word[other + 1 :]
            for one, other in combinations(range(BEGINNING, len(word)), 2)
        )
    return found


def one_apart(one: str, other: str) -> bool:
    """Answer whether one letter changed, added, dropped or swapped with its neighbour makes two words equal."""
    if abs(len(one) - len(other)) > 1 or min(len(one), len(other)) < LONG_ENOUGH_TO_ERR - 1:
        return False
    return _apart(one, other, 1)


def _apart(one: str, other: str, errors: int) -> bool:
    """Answer whether two words are at most so many letters apart (restricted Damerau-Levenshtein distance)."""
    if one == other:
        return True
    if not errors or abs(len(one) - len(other)) > errors:
        return False
    at = 0
    while at < min(len(one), len(other)) and one[at] == other[at]:
        at += 1
    one, other = one[at:], other[at:]
    return (
        _apart(one[1:], other[1:], errors - 1)
        or _apart(one[1:], other, errors - 1)
        or _apart(one, other[1:], errors - 1)
        or (one[:2] == other[1::-1] and _apart(one[2:], other[2:], errors - 1))
    )
