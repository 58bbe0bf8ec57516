"""The vocabularies of the directory: themes, audiences, and the words that lead to themes.

Three JSON files, read by people and by this module; each begins with `about`, what its fields mean. The files
are the contract; a territory puts themes and words of its own beside them (docs/words.md).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from relais_directory.data.own import OwnTheme

Language = Literal["fr", "nl", "de", "en"]

_OWN: list[OwnTheme] = []
"""The territory's own themes: one territory, one directory, so one list for the process."""


@dataclass(frozen=True, slots=True)
class Theme:
    """One theme of the taxonomy."""

    slug: str
    """`childcare`, or `childcare--nursery` below it."""
    parent: str | None
    labels: Mapping[Language, str]
    sensitive: bool
    """Health, addiction, violence, residence or justice: needs an explicit basis, and is sealed in lists."""
    shape: str
    """`circle`, `triangle`, `square` or `diamond`, so that colour never speaks alone; that of the parent."""
    symbol: str
    """The same shape as one character."""
    data_inclusion: tuple[str, ...]
    """The v1 thematiques that say it, the nearest first."""


@dataclass(frozen=True, slots=True)
class Audience:
    """A kind of person that a service is for."""

    slug: str
    labels: Mapping[Language, str]
    data_inclusion: tuple[str, ...]
    """The v1 publics that say it; none means that no public does."""


def take(own: Iterable[OwnTheme]) -> None:
    """Let a territory's own themes stand behind those that come along.

    Called at the start, before anyone asks for the themes: the words, the terms of HSDS and more are made of them once.
    """
    _OWN[:] = own
    themes.cache_clear()
    words.cache_clear()
    _from_data_inclusion.cache_clear()


@cache
def themes() -> Mapping[str, Theme]:
    """Every theme by its slug, each parent before its children; the territory's own last."""
    rows = [*_read("themes.json")["themes"], *(one.model_dump() for one in _OWN)]
    roots = {row["slug"]: row for row in rows if row["parent"] is None}
    return {
        row["slug"]: Theme(
            slug=row["slug"],
            parent=row["parent"],
            labels=row["labels"],
            sensitive=row["sensitive"],
            shape=roots[row["parent"] or row["slug"]]["shape"],
            symbol=roots[row["parent"] or row["slug"]]["symbol"],
            data_inclusion=tuple(row["data_inclusion"]),
        )
        for row in rows
    }


@cache
def coming() -> tuple[str, ...]:
    """Every slug that comes along, each parent before its children."""
    return tuple(row["slug"] for row in _read("themes.json")["themes"])


@cache
def thematiques() -> frozenset[str]:
    """Every thematique of data.inclusion v1."""
    return frozenset(one for row in _read("themes.json")["themes"] for one in row["data_inclusion"])


@cache
def audiences() -> Mapping[str, Audience]:
    """Every audience by its slug."""
    return {
        row["slug"]: Audience(row["slug"], row["labels"], tuple(row["data_inclusion"]))
        for row in _read("audiences.json")["audiences"]
    }


@cache
def words(extra: Path | None = None) -> Mapping[str, Mapping[Language, tuple[str, ...]]]:
    """Every word that people use for a theme, by theme and language, spelt as it is written.

    Args:
        extra: A territory's own file of the same form (docs/words.md): its words come after ours, and ours that it
            names among its `lookalikes` are left out.

    Raises:
        ValueError: The file names a theme or a language that is not, or is not of this form.
    """
    # Of a theme of the territory's own its name is known, whatever else the file of words says.
    ours = _read("words.json")["words"] | {
        one.slug: {language: [label] for language, label in one.labels.model_dump().items()} for one in _OWN
    }
    theirs = _words_of(extra)
    if strange := sorted(set(theirs["words"]) - set(ours)):
        raise ValueError(f"{extra}: no such theme: {', '.join(strange)}.")
    left_out = {word.casefold() for group in theirs["lookalikes"].values() for word in group}
    found: dict[str, dict[Language, tuple[str, ...]]] = {}
    for slug, told in ours.items():
        own = theirs["words"].get(slug, {})
        if strange := sorted(set(own) - set(told)):
            raise ValueError(f"{extra}: no such language: {', '.join(strange)}.")
        found[slug] = {
            language: tuple(
                dict.fromkeys(
                    [*(word for word in spelt if word.casefold() not in left_out), *own.get(language, ())],
                )
            )
            for language, spelt in told.items()
        }
    return found


@cache
def lookalikes(extra: Path | None = None) -> tuple[str, ...]:
    """Every word that is near to one of `words` and means something else; never taken for a mistyped one.

    Args:
        extra: As for `words`.

    Raises:
        ValueError: As for `words`.
    """
    groups = (*_read("words.json")["lookalikes"].values(), *_words_of(extra)["lookalikes"].values())
    return tuple(dict.fromkeys(word for group in groups for word in group))


def _words_of(file: Path | None) -> dict[str, dict[str, Any]]:
    """Answer a territory's words, their form looked at: `words` and `lookalikes`, each of which may be absent."""
    told = {} if file is None else json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(told, dict):
        raise ValueError(f"{file}: an object with `words` and `lookalikes` is expected.")  # noqa: TRY004 - as documented
    found = {"words": told.get("words", {}), "lookalikes": told.get("lookalikes", {})}
    lists = [found["lookalikes"]]
    if isinstance(found["words"], dict):
        lists += found["words"].values()
    for group in lists:
        if not isinstance(group, dict) or not all(
            isinstance(spelt, list) and all(isinstance(word, str) for word in spelt) for spelt in group.values()
        ):
            raise ValueError(f"{file}: each language has a list of words.")
    if not isinstance(found["words"], dict):
        raise ValueError(f"{file}: `words` are by theme.")  # noqa: TRY004 - as documented
    return found


def themes_of(thematiques: Iterable[str]) -> list[str]:
    """Read the thematiques of data.inclusion, v1 or older, as themes; sorted, empty when none is known.

    A family alone (`mobilite`) counts only where no item of it stands beside; an unknown item is read as its
    family.
    """
    given = set(thematiques)
    known = _from_data_inclusion()
    detailed = {value.partition("--")[0] for value in given if "--" in value}
    found: set[str] = set()
    for value in given:
        family, _, item = value.partition("--")
        if item or family not in detailed:
            found.update(known.get(value, known.get(family, ())))
    return sorted(found)


@cache
def _from_data_inclusion() -> Mapping[str, Sequence[str]]:
    mapping = _read("themes.json")["from_data_inclusion"]
    known: dict[str, list[str]] = mapping["v0"] | mapping["v1"]
    for one in _OWN:
        for value in one.from_data_inclusion:
            known[value] = [*known.get(value, ()), one.slug]
    return known


def audiences_of(publics: Iterable[str]) -> list[str]:
    """Read the publics (older: profils) of data.inclusion as audiences; sorted, unknown ones left out."""
    mapping = _read("audiences.json")["from_data_inclusion"]
    known = mapping["v0"] | mapping["v1"]
    return sorted({slug for value in publics for slug in known.get(value, ())})


@cache
def _read(name: str) -> Any:  # noqa: ANN401 - parsed JSON, whose shape the callers know
    return json.loads(resources.files(__name__).joinpath(name).read_text(encoding="utf-8"))
