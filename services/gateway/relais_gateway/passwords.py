"""How passwords are kept: Argon2id, slow where people choose them, quick where chance did."""

from functools import cache
from secrets import token_urlsafe
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error

CHOSEN: Final = PasswordHasher()
"""For what a person chose: the library's settings (RFC 9106, low memory), a quarter of a second of one core."""
_DRAWN: Final = PasswordHasher(time_cost=1, memory_cost=8 << 10, parallelism=1)
"""For what we drew: nobody guesses 96 random bits, however quick the hash; a demonstration draws a score at once."""


def draw() -> str:
    """Answer a new password of 96 random bits."""
    return token_urlsafe(12)


def hash_of_drawn(password: str) -> str:
    """Answer what to keep of a password that `draw` answered."""
    return _DRAWN.hash(password)


def fits(hash_: str | None, password: str) -> bool:
    """Answer whether a password is the one kept, after as long whatever is kept: nobody learns who has an account."""
    if hash_ is None or CHOSEN.check_needs_rehash(hash_):
        _verify(_nobodys(), password)
    return hash_ is not None and _verify(hash_, password)


def _verify(hash_: str, password: str) -> bool:
    try:
        return CHOSEN.verify(hash_, password)
    except Argon2Error:
        return False


@cache
def _nobodys() -> str:
    return CHOSEN.hash("nobody has this password")
