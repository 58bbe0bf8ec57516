"""Passwords that people choose: long rather than odd (NIST SP 800-63B, 3.1.1), and not what anybody would try first."""

from enum import StrEnum
from typing import Final

SHORTEST: Final = 12
LONGEST: Final = 200
"""A hash takes any length; a request does not."""
FEWEST: Final = 5
"""Different characters: `aaaaaaaaaaaa` and `121212121212` are long and worth nothing."""


class Weakness(StrEnum):
    """Why a password cannot be taken."""

    SHORT = "short"
    """Under `SHORTEST` characters."""
    LONG = "long"
    """Over `LONGEST` characters."""
    PLAIN = "plain"
    """It repeats a few characters, or runs along the alphabet or the keyboard."""
    KNOWN = "known"
    """It is made of the e-mail, the name or ours, which whoever guesses tries first."""


_RUNS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "0123456789" * 3,
    "azertyuiopqsdfghjklmwxcvbn",
    "qwertyuiopasdfghjklzxcvbnm",
)


def weakness(password: str, *, email: str, name: str) -> Weakness | None:
    """Answer why a password cannot be taken; nothing where it can."""
    plain = password.casefold()
    if len(password) < SHORTEST:
        return Weakness.SHORT
    if len(password) > LONGEST:
        return Weakness.LONG
    if len(set(plain)) < FEWEST or any(plain in run or plain in run[::-1] for run in _RUNS):
        return Weakness.PLAIN
    rest = plain
    # The longest first: an address holds the name that stands in it.
    for word in sorted({email.casefold(), *email.casefold().split("@"), *name.casefold().split(), "relais"}, key=len)[
        ::-1
    ]:
        rest = rest.replace(word, "") if word else rest
    return Weakness.KNOWN if len([each for each in rest if each.isalnum()]) < FEWEST else None
