"""By what people sign in, and who has to show more than a password."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

ADMINISTRATOR: Final = "administrator"


class How(StrEnum):
    """By what a session was opened."""

    PASSWORD = "password"  # noqa: S105 - the name of a way in
    """A password alone."""
    APP = "app"
    """A password and the code of an app."""
    RECOVERY_CODE = "recovery_code"
    """A password and a recovery code."""
    PASSKEY = "passkey"
    """A passkey, whose device asked its owner."""
    PROVIDER = "provider"
    """By an outside provider, who sees to the steps himself."""


class For(StrEnum):
    """Who has to have a second step beside a password."""

    NOBODY = "nobody"
    """Everyone chooses."""
    ADMINISTRATORS = "administrators"
    """Whoever administers an organisation, or this Relais."""
    EVERYBODY = "everybody"
    """Everyone who signs in."""


def has_to_have_one(required: For, roles: Iterable[str], how: How) -> bool:
    """Answer whether a session opened so may do nothing before its account has a second step."""
    if how is How.PROVIDER:
        return False
    return required is For.EVERYBODY or (required is For.ADMINISTRATORS and ADMINISTRATOR in set(roles))
