"""What the gateway's own refusals are on the wire."""

from collections.abc import Mapping
from typing import Final

from relais_gateway.domain.refusals import LastKey
from relais_shared.problems import Problem
from relais_shared.refusals import Refusal

TABLE: Final[Mapping[type[Refusal], Problem]] = {
    LastKey: Problem("last-signing-key", 409, "Nothing else signs access tokens."),
}
"""Refusal → problem."""
